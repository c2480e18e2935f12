/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever way a tree was made of the previous one, all of it is in the cache
 * afterwards, and nothing else. */
#include "tests/lib/repo_tools.h"
#include "tests/lib/tree_tools.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "tree/edit.h"
#include "tree/extents.h"
#include "tree/io_cached.h"

enum { CONTENTS = 40, EXTENTS = 3000 };

static struct error err;

struct world {
	char dir[64];
	struct store *st;
	struct repo *repo;
	struct lane *lane;
	struct writer *w;
	struct tree_io_repo direct;
	/* while a run lasts */
	struct nodecache *nodes;
	struct tree_io_cached cached;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct repo_conf conf = { .pass = TOOL_PASS };
	struct writer_conf wconf = { .host = "h" };

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-cached-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	conf.cache_root = w->dir;
	w->st = tool_repo_store();
	must(repo_open(&w->repo, w->st, &conf, &err), &err);
	w->lane = tool_lane(w->repo);
	must(writer_open(&w->w, w->repo, &wconf, &err), &err);
	tree_io_repo_init(&w->direct, w->repo, w->lane, w->w);
	*state = w;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	writer_free(w->w);
	lane_free(w->lane);
	repo_close(w->repo);
	store_close(w->st);
	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

static struct tree_io *
run_begin(struct world *w, const char *lineage, bool extents)
{
	struct nodecache_conf conf = { lineage, strlen(lineage), 0 };

	must(nodecache_open(&w->nodes, w->repo, &conf, &err), &err);
	tree_io_cached_init(&w->cached, &w->direct.io, w->nodes, extents,
		false);
	return &w->cached.io;
}

static enum err
run_end(struct world *w, const struct id *root)
{
	enum err rc = nodecache_publish(w->nodes, root, &err);

	tree_io_cached_fini(&w->cached);
	nodecache_close(w->nodes);
	return rc;
}

/* The tree that the cache has is that set, node for node. */
static void
check_tree(struct world *w, const struct tree_root *root,
	const struct tree_set *set)
{
	struct tree_io *io = run_begin(w, "a", false);
	struct cursor *c = NULL;
	struct item item;

	assert_true(nodecache_holds(w->nodes, &root->id));
	must(cursor_open(&c, io, TREE_ENTRIES, &root->id, &err), &err);
	for (size_t i = 0; i < set->n; i++) {
		must(cursor_next(c, &item, &err), &err);
		assert_true(gen_item_eq(&item, &set->v[i]));
	}
	must(cursor_next(c, &item, &err), &err);
	assert_null(item.key.data);
	cursor_close(c);
	must(run_end(w, &root->id), &err);
}

/* Change some items, and leave out a range, by an edit that reads no more of
 * the old tree than it must. */
static struct tree_root
edit_some(struct tree_io *io, const struct id *old, struct tree_set *set,
	struct prng *p)
{
	size_t cut = prng_below(p, set->n / 2), n_cut = prng_below(p, 30);
	size_t step = 1 + prng_below(p, set->n), n = 0;
	struct edit *e = NULL;
	struct tree_root root;

	must(edit_open(&e, io, TREE_ENTRIES, old, &err), &err);
	for (size_t i = prng_below(p, step); i < cut; i += step) {
		set->v[i].weight ^= 1;
		must(edit_put(e, &set->v[i], &err), &err);
	}
	must(edit_remove(e, set->v[cut].key, set->v[cut + n_cut].key, &err),
		&err);
	for (size_t i = cut + n_cut; i < set->n; i += step) {
		set->v[i].weight ^= 1;
		must(edit_put(e, &set->v[i], &err), &err);
	}
	must(edit_finish(e, &root, &err), &err);
	edit_free(e);
	for (size_t i = 0; i < set->n; i++) {
		if (i >= cut && i < cut + n_cut)
			gen_item_free(&set->v[i]);
		else
			set->v[n++] = set->v[i];
	}
	set->n = n;
	return root;
}

static void
test_edits(void **state)
{
	struct world *w = *state;
	struct tree_root root;
	struct tree_set set;
	struct prng p;

	prng_init(&p, 8);
	tree_set_random(&set, &p, 6000, GEN_PATHS);
	root = tools_build(run_begin(w, "a", false), &set);
	must(run_end(w, &root.id), &err);
	check_tree(w, &root, &set);
	for (unsigned round = 0; round < 25; round++) {
		struct tree_root again;

		root = edit_some(run_begin(w, "a", false), &root.id, &set, &p);
		must(run_end(w, &root.id), &err);
		check_tree(w, &root, &set);
		again = tools_build(run_begin(w, "b", false), &set);
		assert_memory_equal(&again.id, &root.id, sizeof(root.id));
		must(run_end(w, &root.id), &err);
	}
	tree_set_fini(&set);
}

/* ---- with contents ---- */

static struct tree_root
build_content(struct tree_io *io, struct prng *p)
{
	struct builder *b = NULL;
	struct tree_root root;

	must(builder_new(&b, io, TREE_EXTENTS, &err), &err);
	for (uint64_t i = 0; i < EXTENTS; i++) {
		struct extent e = { .off = i << 20, .len = 1 << 20 };
		struct extent_item item;

		prng_fill(p, e.chunk.b, ID_LEN);
		extent_encode(&e, &item);
		must(builder_add(b, &item.item, &err), &err);
	}
	must(builder_finish(b, &root, &err), &err);
	builder_free(b);
	return root;
}

static struct tree_root
build_entries(struct tree_io *io, const struct ref *refs, uint64_t weight)
{
	struct builder *b = NULL;
	struct tree_root root;
	char key[16];

	must(builder_new(&b, io, TREE_ENTRIES, &err), &err);
	for (unsigned i = 0; i < CONTENTS; i++) {
		struct item item = { .val = text_key("value"),
			.refs = &refs[i],
			.n_refs = 1,
			.weight = weight };

		(void)snprintf(key, sizeof(key), "image%03u", i);
		item.key = text_key(key);
		must(builder_add(b, &item, &err), &err);
	}
	must(builder_finish(b, &root, &err), &err);
	builder_free(b);
	return root;
}

/* How many of the contents can be read from the cache, to their ends. */
static unsigned
readable(struct world *w, const struct ref *refs)
{
	struct tree_io *io = run_begin(w, "a", true);
	unsigned n = 0;

	for (unsigned i = 0; i < CONTENTS; i++) {
		struct cursor *c = NULL;
		struct item item;

		if (cursor_open(&c, io, TREE_EXTENTS, &refs[i].id, &err) !=
			ERR_OK) {
			assert_int_equal(err.code, ERR_NOTFOUND);
			continue;
		}
		for (unsigned k = 0; k < EXTENTS; k++)
			must(cursor_next(c, &item, &err), &err);
		cursor_close(c);
		n++;
	}
	tree_io_cached_fini(&w->cached);
	nodecache_close(w->nodes);
	return n;
}

/* Contents that did not change are not put again, and yet stay. */
static void
test_contents(void **state)
{
	struct world *w = *state;
	struct ref refs[CONTENTS];
	struct tree_root root;
	struct tree_io *io;
	struct prng p;

	prng_init(&p, 9);
	io = run_begin(w, "a", true);
	for (unsigned i = 0; i < CONTENTS; i++)
		refs[i] = (struct ref){ build_content(io, &p).id, true };
	root = build_entries(io, refs, 1);
	must(run_end(w, &root.id), &err);
	assert_int_equal(readable(w, refs), CONTENTS);

	io = run_begin(w, "a", true);
	refs[7].id = build_content(io, &p).id;
	root = build_entries(io, refs, 2);
	must(run_end(w, &root.id), &err);
	assert_int_equal(readable(w, refs), CONTENTS);

	/* What has to be followed is not all there. */
	io = run_begin(w, "b", true);
	root = build_entries(io, refs, 3);
	assert_int_equal(run_end(w, &root.id), ERR_NOTFOUND);

	/* Not wanted any more. */
	io = run_begin(w, "a", false);
	root = build_entries(io, refs, 4);
	must(run_end(w, &root.id), &err);
	assert_int_equal(readable(w, refs), 0);
}

static void
test_reads_only(void **state)
{
	struct world *w = *state;
	struct tree_root root;
	struct tree_set set;
	struct prng p;

	prng_init(&p, 10);
	tree_set_random(&set, &p, 500, GEN_PATHS);
	(void)run_begin(w, "a", false);
	w->cached.reads_only = true;
	root = tools_build(&w->cached.io, &set);
	assert_int_equal(run_end(w, &root.id), ERR_NOTFOUND);
	tree_set_fini(&set);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_edits),
		T(test_contents),
		T(test_reads_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
