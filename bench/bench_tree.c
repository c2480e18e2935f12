/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_tree [ITEMS]: how many million items a second one core builds, reads,
 * compares and edits, over memory.
 *
 * An item is that of a small file: a key of 60 bytes, a value of 60, one
 * reference; a million where no number is given.  Storing costs the hash of
 * the nodes, fetching a copy.  Each figure is the best of three.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "tests/lib/prng.h"
#include "tree/builder.h"
#include "tree/cursor.h"
#include "tree/diff.h"
#include "tree/edit.h"

enum { ROUNDS = 3, KEY = 60, VAL = 60, EDIT_EVERY = 1000 };

struct bench {
	uint64_t n;
	struct tree_io_mem *mem;
	struct tree_io *io;
	struct tree_root root, edited;
	uint64_t seen; /* so that what is read is needed */
};

/* What the items borrow their bytes from. */
struct scratch {
	char key[KEY + 32];
	uint8_t val[VAL];
	struct ref ref;
};

typedef enum err task_fn(struct bench *b, struct error *err);

static struct item
item_of(struct scratch *s, uint64_t i, uint64_t version)
{
	struct prng p;

	prng_init(&p, i * 2 + version);
	(void)snprintf(s->key, sizeof(s->key),
		"usr%cshare%cdoc%cpackage-%07" PRIu64
		"%cexamples%cfile-number-%09" PRIu64,
		0, 0, 0, i / 100, 0, 0, i);
	for (size_t k = 0; k < VAL; k += 8) {
		uint64_t v = prng_next(&p);

		memcpy(s->val + k, &v, VAL - k < 8 ? VAL - k : 8);
	}
	memcpy(s->ref.id.b, s->val, ID_LEN);
	return (struct item){ .key = { (const uint8_t *)s->key, KEY },
		.val = { s->val, VAL },
		.refs = &s->ref,
		.n_refs = 1,
		.weight = i % 65536 };
}

/* The cost of making the items, which is no part of the tree's. */
static enum err
make(struct bench *b, struct error *err)
{
	struct scratch s = { .ref = { .node = false } };

	for (uint64_t i = 0; i < b->n; i++)
		b->seen += item_of(&s, i, 0).val.data[0];
	return ERR_OK;
}

static enum err
build(struct bench *b, struct error *err)
{
	struct scratch s = { .ref = { .node = false } };
	struct builder *builder = NULL;
	enum err rc;

	rc = builder_new(&builder, b->io, TREE_ENTRIES, err);
	for (uint64_t i = 0; rc == ERR_OK && i < b->n; i++) {
		struct item item = item_of(&s, i, 0);

		rc = builder_add(builder, &item, err);
	}
	if (rc == ERR_OK)
		rc = builder_finish(builder, &b->root, err);
	builder_free(builder);
	return rc;
}

static enum err
copy(struct bench *b, struct error *err)
{
	struct builder *builder = NULL;
	struct cursor *c = NULL;
	struct tree_root root;
	struct item item;
	enum err rc;

	rc = cursor_open(&c, b->io, TREE_ENTRIES, &b->root.id, err);
	if (rc == ERR_OK)
		rc = builder_new(&builder, b->io, TREE_ENTRIES, err);
	while (rc == ERR_OK) {
		rc = cursor_next(c, &item, err);
		if (rc != ERR_OK || item.key.data == NULL)
			break;
		rc = builder_add(builder, &item, err);
	}
	if (rc == ERR_OK)
		rc = builder_finish(builder, &root, err);
	cursor_close(c);
	builder_free(builder);
	return rc;
}

static enum err
iterate(struct bench *b, struct error *err)
{
	struct cursor *c = NULL;
	struct item item;
	enum err rc;

	rc = cursor_open(&c, b->io, TREE_ENTRIES, &b->root.id, err);
	while (rc == ERR_OK) {
		rc = cursor_next(c, &item, err);
		if (rc != ERR_OK || item.key.data == NULL)
			break;
		b->seen += item.val.data[0];
	}
	cursor_close(c);
	return rc;
}

static enum err
edit(struct bench *b, struct error *err)
{
	struct scratch s = { .ref = { .node = false } };
	struct edit *e = NULL;
	enum err rc;

	rc = edit_open(&e, b->io, TREE_ENTRIES, &b->root.id, err);
	for (uint64_t i = 0; rc == ERR_OK && i < b->n; i += EDIT_EVERY) {
		struct item item = item_of(&s, i, 1);

		rc = edit_put(e, &item, err);
	}
	if (rc == ERR_OK)
		rc = edit_finish(e, &b->edited, err);
	edit_free(e);
	return rc;
}

static enum err
count(void *arg, const struct item *a, const struct item *b, struct error *err)
{
	struct bench *bench = arg;

	bench->seen++;
	return ERR_OK;
}

static enum err
diff_with(struct bench *b, const struct id *other, struct error *err)
{
	struct tree_side one = { b->io, b->root.id };
	struct tree_side two = { b->io, *other };

	return tree_diff(&one, &two, TREE_ENTRIES, count, b, err);
}

static enum err
diff_equal(struct bench *b, struct error *err)
{
	return diff_with(b, &b->root.id, err);
}

static enum err
diff_edited(struct bench *b, struct error *err)
{
	return diff_with(b, &b->edited.id, err);
}

static void
run(struct bench *b, const char *name, task_fn *task)
{
	struct tree_io_count before = tree_io_mem_count(b->mem), after;
	struct error err = ERROR_INIT;
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		double start = mono_sec(), sec;

		if (task(b, &err) != ERR_OK) {
			(void)fprintf(stderr, "bench_tree: %s\n", err.msg);
			exit(1);
		}
		sec = mono_sec() - start;
		if (i == 0 || sec < best)
			best = sec;
	}
	after = tree_io_mem_count(b->mem);
	(void)printf("%-28s %9.2f ms %9.2f M items/s %8" PRIu64
		     " read %8" PRIu64 " stored\n",
		name, best * 1e3, (double)b->n / best / 1e6,
		(after.node_get - before.node_get) / ROUNDS,
		(after.node_put - before.node_put) / ROUNDS);
}

int
main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct bench b = { .n = 1000000 };

	if (argc > 1)
		b.n = strtoull(argv[1], NULL, 10);
	if (tree_io_mem_new(&b.mem, &err) != ERR_OK) {
		(void)fprintf(stderr, "bench_tree: %s\n", err.msg);
		return 1;
	}
	b.io = tree_io_mem_io(b.mem);
	run(&b, "make the items only", make);
	run(&b, "make and build", build);
	run(&b, "iterate", iterate);
	run(&b, "iterate and build", copy);
	run(&b, "edit 0.1 %", edit);
	run(&b, "diff of equal trees", diff_equal);
	run(&b, "diff of 0.1 %", diff_edited);
	tree_io_mem_free(b.mem);
	return b.seen == 0;
}
