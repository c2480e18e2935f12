/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fsx.h"
#include "format/mfs_edges.h"
#include "format/mfs_records.h"
#include "tests/lib/mfs_made.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { MEMORY = 64 << 20 };

static void
load_file(struct buf *b, const char *name)
{
	struct error err = ERROR_INIT;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), FORMAT_DATA "/mfs/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	*b = BUF_INIT(1 << 20);
	must(fsx_read_all(fd, b, name, &err), &err);
	fsx_close(&fd);
}

static struct mfs_edges *
new_edges(bool all, size_t memory_max)
{
	struct mfs_edges_conf conf = { all, memory_max };
	struct error err = ERROR_INIT;
	struct mfs_edges *e = NULL;

	must(mfs_edges_new(&e, &conf, &err), &err);
	return e;
}

static enum err
read_image(struct mfs_edges *e, const struct buf *b, struct error *err)
{
	const struct mfs_image_fn fn = { NULL, mfs_edges_section,
		mfs_edges_data, e };
	struct mfs_image w;
	enum err rc;

	mfs_image_init(&w, &fn);
	rc = mfs_image_feed(&w, b->data, b->len, err);
	if (rc == ERR_OK)
		rc = mfs_image_end(&w, err);
	if (rc == ERR_OK)
		rc = mfs_edges_loaded(e, err);
	return rc;
}

/* ---- paths as sorted text: "inode kind base path", each with a LF ---- */

struct told {
	char *v[4096];
	size_t n;
};

static enum err
tell(void *arg, uint32_t inode, const struct mfs_path *path, struct error *err)
{
	struct told *t = arg;
	int n;

	(void)err;
	assert_true(t->n < ARRAY_LEN(t->v));
	n = asprintf(&t->v[t->n++], "%u %d %u %.*s", inode, path->kind,
		path->base, (int)path->text.len, path->text.p);
	assert_true(n > 0);
	return ERR_OK;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
told_sort(struct told *t)
{
	qsort(t->v, t->n, sizeof(t->v[0]), by_text);
}

static void
told_clear(struct told *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	t->n = 0;
}

static bool
told_has(const struct told *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->v[i], text) == 0)
			return true;
	}
	return false;
}

static void
told_same(struct told *a, struct told *b)
{
	told_sort(a);
	told_sort(b);
	for (size_t i = 0; i < a->n && i < b->n; i++)
		assert_string_equal(a->v[i], b->v[i]);
	assert_int_equal(a->n, b->n);
}

static void
tell_all(struct mfs_edges *e, struct told *t)
{
	struct error err = ERROR_INIT;

	told_clear(t);
	must(mfs_edges_each(e, tell, t, &err), &err);
}

static void
tell_one(struct mfs_edges *e, uint32_t inode, struct told *t)
{
	struct error err = ERROR_INIT;

	told_clear(t);
	must(mfs_edges_paths(e, inode, tell, t, &err), &err);
}

static void
apply_line(struct mfs_edges *e, const char *line, size_t len)
{
	struct error err = ERROR_INIT;
	struct mfs_change c;

	must(mfs_change_parse(&c, line, len, &err), &err);
	must(mfs_edges_apply(e, &c, &err), &err);
}

static void
apply_text(struct mfs_edges *e, const char *line)
{
	apply_line(e, line, strlen(line));
}

/* ---- a real master ---- */

/*
 * The lines applied to the first image come to what the master made of both,
 * but for the inodes of directories that UNDEL made anew, and what was purged
 * and not open.
 */
static void
an_image_and_lines_are_the_next_image(void **state)
{
	struct mfs_edges *a = new_edges(true, MEMORY);
	struct mfs_edges *b = new_edges(true, MEMORY);
	static struct told ours, theirs, rest;
	struct error err = ERROR_INIT;
	struct buf first, second, log;
	const char *p, *lf;
	unsigned n = 0;

	(void)state;
	load_file(&first, "first.mfs");
	load_file(&second, "second.mfs");
	load_file(&log, "log");
	must(read_image(a, &first, &err), &err);
	must(read_image(b, &second, &err), &err);
	p = (const char *)log.data;
	for (; (size_t)(p - (const char *)log.data) < log.len; p = lf + 1) {
		lf = strchr(p, '\n');
		if (++n >= 19)
			apply_line(a, p, (size_t)(lf - p));
	}
	assert_int_equal(mfs_edges_gaps(a), 2);
	tell_all(a, &ours);
	tell_all(b, &theirs);
	for (size_t i = 0; i < theirs.n; i++) {
		if (!told_has(&ours, theirs.v[i]))
			rest.v[rest.n++] = theirs.v[i];
	}
	told_sort(&rest);
	assert_int_equal(rest.n, 3);
	assert_string_equal(rest.v[0], "22 1 1 new");
	assert_string_equal(rest.v[1], "23 1 1 new/er");
	assert_string_equal(rest.v[2], "24 1 1 a/b/c");
	assert_true(told_has(&ours, "15 3 1 a/purged"));
	assert_int_equal(ours.n, theirs.n - rest.n + 1);
	assert_true(told_has(&ours, "13 1 1 new/er/back"));
	assert_true(told_has(&ours, "17 2 1 under"));
	assert_true(told_has(&ours, "20 3 1 held"));
	told_clear(&ours);
	told_clear(&theirs);
	mfs_edges_free(a);
	mfs_edges_free(b);
	buf_fini(&first);
	buf_fini(&second);
	buf_fini(&log);
}

/* ---- a model: a file system of names, its image and its lines ---- */

enum { INODES = 60, LINKS = 120, NAMES = 12 };

struct link {
	uint32_t parent, child; /* parent 0: deleted */
	char name[2048]; /* or path */
	int kind;
};

struct model {
	struct link v[LINKS];
	size_t n;
	int kinds[INODES + 1]; /* enum mfs_kind; 0: free */
	struct prng p;
	uint64_t id;
};

static struct link *
model_find(struct model *m, uint32_t parent, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].parent == parent && strcmp(m->v[i].name, name) == 0)
			return &m->v[i];
	}
	return NULL;
}

static struct link *
model_of(struct model *m, uint32_t child, bool deleted)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].child == child && (m->v[i].parent == 0) == deleted)
			return &m->v[i];
	}
	return NULL;
}

static bool
model_empty(struct model *m, uint32_t dir)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].parent == dir)
			return false;
	}
	return true;
}

static void
model_path(struct model *m, uint32_t parent, const char *name, char *out)
{
	char rest[2048];

	strcpy(out, name);
	while (parent != MFS_ROOT) {
		struct link *l = model_of(m, parent, false);

		snprintf(rest, sizeof(rest), "%s", out);
		assert_true(snprintf(out, 2048, "%s/%s", l->name, rest) < 2048);
		parent = l->parent;
	}
}

static struct link *
model_add(struct model *m, uint32_t parent, uint32_t child, const char *name,
	int kind)
{
	struct link *l = &m->v[m->n++];

	assert_true(m->n <= LINKS);
	*l = (struct link){ .parent = parent, .child = child, .kind = kind };
	strcpy(l->name, name);
	return l;
}

static void
model_drop(struct model *m, struct link *l)
{
	*l = m->v[--m->n];
}

static void
model_unlink(struct model *m, struct link *l)
{
	uint32_t child = l->child;
	char path[2048];

	model_path(m, l->parent, l->name, path);
	model_drop(m, l);
	if (model_of(m, child, false) != NULL)
		return;
	if (m->kinds[child] == MFS_FILE)
		model_add(m, 0, child, path, MFS_DELETED);
	else
		m->kinds[child] = 0;
}

/* Whether dir lies in, or is, what. */
static bool
model_below(struct model *m, uint32_t dir, uint32_t what)
{
	while (dir != MFS_ROOT && dir != what)
		dir = model_of(m, dir, false)->parent;
	return dir == what;
}

static uint32_t
draw_dir(struct model *m)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		uint32_t i = 1 + (uint32_t)prng_below(&m->p, INODES);

		if (m->kinds[i] == MFS_DIR)
			return i;
	}
	return MFS_ROOT;
}

static struct link *
draw_link(struct model *m)
{
	struct link *l = m->n > 0 ? &m->v[prng_below(&m->p, m->n)] : NULL;

	return l != NULL && l->parent != 0 ? l : NULL;
}

static struct link *
draw_deleted(struct model *m)
{
	struct link *l = m->n > 0 ? &m->v[prng_below(&m->p, m->n)] : NULL;

	return l != NULL && l->parent == 0 && l->kind == MFS_DELETED ? l : NULL;
}

static void
draw_name(struct model *m, char *out)
{
	static const char *const names[NAMES] = { "a", "b", "c", "with space",
		"x,y", "(z)", "50%", "\xc3\xbe", "\n", "\x01\x02", "?", "..." };

	strcpy(out, names[prng_below(&m->p, NAMES)]);
}

static void
escaped(const char *name, char *out)
{
	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < 32 || c > 126 || strchr(",%()", c) != NULL)
			out += sprintf(out, "%%%02X", c);
		else
			*out++ = *name;
	}
	*out = '\0';
}

/* A number that is free, or one whose file is long gone from the trash. */
static uint32_t
draw_free(struct model *m)
{
	uint32_t i = 2 + (uint32_t)prng_below(&m->p, INODES - 1);
	struct link *l;

	if (m->kinds[i] == 0)
		return i;
	l = model_of(m, i, true);
	if (l == NULL)
		return 0;
	model_drop(m, l);
	return i;
}

/* One change each: its line in out, which stays empty where the change cannot
 * be. */
static void
step_create(struct model *m, uint32_t dir, const char *name, char *out)
{
	uint32_t inode;
	char text[256];

	if (m->n > LINKS - 4 || model_find(m, dir, name) != NULL)
		return;
	inode = draw_free(m);
	if (inode == 0)
		return;
	escaped(name, text);
	m->kinds[inode] = 1 + (int)prng_below(&m->p, 3);
	model_add(m, dir, inode, name, MFS_NAMED);
	if (m->kinds[inode] == MFS_SYMLINK)
		sprintf(out, "%" PRIu64 ": 1|SYMLINK(%u,%s,to,0,0):%u", m->id,
			dir, text, inode);
	else
		sprintf(out, "%" PRIu64 ": 1|CREATE(%u,%s,%d,420,18,0,0,0):%u",
			m->id, dir, text, m->kinds[inode], inode);
}

static void
step_link(struct model *m, uint32_t dir, const char *name, char *out)
{
	struct link *l = draw_link(m);
	char text[256];

	if (l == NULL || m->kinds[l->child] != MFS_FILE || m->n > LINKS - 4 ||
		model_find(m, dir, name) != NULL)
		return;
	escaped(name, text);
	sprintf(out, "%" PRIu64 ": 1|LINK(%u,%u,%s)", m->id, l->child, dir,
		text);
	model_add(m, dir, l->child, name, MFS_NAMED);
}

static void
step_unlink(struct model *m, char *out)
{
	struct link *l = draw_link(m);
	char text[256];

	if (l == NULL ||
		(m->kinds[l->child] == MFS_DIR && !model_empty(m, l->child)))
		return;
	escaped(l->name, text);
	sprintf(out, "%" PRIu64 ": 1|UNLINK(%u,%s):%u", m->id, l->parent, text,
		l->child);
	model_unlink(m, l);
}

/* What is there may be replaced by its like, if it is no directory in use. */
static bool
model_replaces(struct model *m, const struct link *l, const struct link *victim)
{
	if (victim == NULL)
		return true;
	return victim->child != l->child &&
	       (m->kinds[victim->child] == MFS_DIR) ==
		       (m->kinds[l->child] == MFS_DIR) &&
	       model_empty(m, victim->child);
}

static void
step_move(struct model *m, uint32_t dir, const char *name, char *out)
{
	struct link *l = draw_link(m), *victim, kept;
	char from[256], to[256];

	if (l == NULL || model_below(m, dir, l->child))
		return;
	victim = model_find(m, dir, name);
	if (!model_replaces(m, l, victim))
		return;
	kept = *l;
	escaped(l->name, from);
	escaped(name, to);
	sprintf(out, "%" PRIu64 ": 1|MOVE(%u,%s,%u,%s):%u", m->id, l->parent,
		from, dir, to, l->child);
	if (victim != NULL)
		model_unlink(m, victim);
	l = model_find(m, kept.parent, kept.name);
	l->parent = dir;
	strcpy(l->name, name);
}

static void
step_purge(struct model *m, char *out)
{
	struct link *l = draw_deleted(m);

	if (l == NULL)
		return;
	sprintf(out, "%" PRIu64 ": 1|PURGE(%u)", m->id, l->child);
	l->kind = MFS_PURGED;
}

/* Another path in the trash, and perhaps back to it: two lines then. */
static void
step_undel(struct model *m, uint32_t dir, const char *name, char *out)
{
	struct link *l = draw_deleted(m);
	char path[6200];
	int n;

	if (l == NULL || model_find(m, dir, name) != NULL)
		return;
	model_path(m, dir, name, l->name);
	escaped(l->name, path);
	n = sprintf(out, "%" PRIu64 ": 1|SETPATH(%u,%s)", m->id, l->child,
		path);
	if (prng_below(&m->p, 2) == 0)
		return;
	m->id++;
	sprintf(out + n, "\n%" PRIu64 ": 1|UNDEL(%u)", m->id, l->child);
	l->parent = dir;
	l->kind = MFS_NAMED;
	strcpy(l->name, name);
}

static void
model_step(struct model *m, char *out)
{
	uint32_t dir = draw_dir(m);
	char name[64];

	*out = '\0';
	draw_name(m, name);
	switch (prng_below(&m->p, 10)) {
	case 0:
	case 1:
	case 2:
		step_create(m, dir, name, out);
		break;
	case 3:
		step_link(m, dir, name, out);
		break;
	case 4:
	case 5:
		step_unlink(m, out);
		break;
	case 6:
	case 7:
		step_move(m, dir, name, out);
		break;
	case 8:
		step_purge(m, out);
		break;
	default:
		step_undel(m, dir, name, out);
	}
}

static void
model_tell(struct model *m, struct told *t)
{
	told_clear(t);
	for (size_t i = 0; i < m->n; i++) {
		const struct link *l = &m->v[i];
		char path[2048];

		if (l->parent != 0)
			model_path(m, l->parent, l->name, path);
		else
			strcpy(path, l->name);
		assert_true(asprintf(&t->v[t->n++], "%u %d 1 %s", l->child,
				    l->kind, path) > 0);
	}
}

static void
model_image(struct model *m, struct made *made)
{
	made_begin(made, m->id, 6);
	made_nodes(made, "NODE 1.4");
	for (uint32_t i = 1; i <= INODES; i++) {
		struct mfs_node n = { .inode = i,
			.kind = (enum mfs_kind)m->kinds[i] };
		const struct link *l = model_of(m, i, true);

		if (l != NULL)
			n.kind = l->kind == MFS_PURGED ? MFS_SUSTAINED
						       : MFS_TRASH;
		if (n.kind != 0)
			made_node(made, &n, 3);
	}
	made_edges(made, "EDGE 1.1");
	for (size_t i = 0; i < m->n; i++)
		made_edge(made, m->v[i].parent, m->v[i].child, m->v[i].name,
			strlen(m->v[i].name));
	made_edges_end(made);
	made_end(made);
}

static void
apply_steps(struct mfs_edges *e, const char *lines)
{
	const char *lf = strchr(lines, '\n');

	if (lf != NULL)
		apply_line(e, lines, (size_t)(lf - lines));
	if (*lines != '\0')
		apply_text(e, lf != NULL ? lf + 1 : lines);
}

/* Images taken at any moment, and lines behind them, tell what the model has,
 * at each change. */
static void
names_are_what_the_model_has(void **state)
{
	static struct told want, got;
	static struct model m;
	uint64_t seed = 5;
	struct error err = ERROR_INIT;

	(void)state;
	print_message("seed %" PRIu64 "\n", seed);
	for (unsigned round = 0; round < 30; round++) {
		struct mfs_edges *e = new_edges(true, MEMORY);
		char lines[16384];
		struct made made;

		m = (struct model){ .kinds = { [MFS_ROOT] = MFS_DIR },
			.id = 2 };
		prng_init(&m.p, seed + round);
		for (unsigned i = 0; i < round * 40; i++, m.id++)
			model_step(&m, lines);
		model_image(&m, &made);
		must(read_image(e, &made.b, &err), &err);
		for (unsigned i = 0; i < 400; i++, m.id++) {
			model_step(&m, lines);
			apply_steps(e, lines);
			model_tell(&m, &want);
			tell_all(e, &got);
			told_same(&want, &got);
		}
		assert_int_equal(mfs_edges_gaps(e), 0);
		mfs_edges_free(e);
		buf_fini(&made.b);
	}
	told_clear(&want);
	told_clear(&got);
}

/* The inodes of the lines to come are wanted: their paths are then those that
 * a table of all names tells. */
static void
what_is_wanted_has_its_paths(void **state)
{
	static struct told want, got;
	static struct model m, start;
	static char lines[300][16384];
	struct error err = ERROR_INIT;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		struct mfs_edges *all = new_edges(true, MEMORY);
		struct mfs_edges *some = new_edges(false, MEMORY);
		uint32_t asked[1200], inodes[MFS_MENTIONS_MAX];
		size_t n_asked = 0, n = 1 + round * 15;
		struct made made;

		m = (struct model){ .kinds = { [MFS_ROOT] = MFS_DIR },
			.id = 2 };
		prng_init(&m.p, round);
		for (unsigned i = 0; i < 600; i++, m.id++)
			model_step(&m, lines[0]);
		start = m;
		for (size_t i = 0; i < n; i++, m.id++) {
			struct mfs_change c;
			char *lf;

			model_step(&m, lines[i]);
			lf = strchr(lines[i], '\n');
			if (lines[i][0] == '\0')
				continue;
			must(mfs_change_parse(&c, lines[i],
				     lf != NULL ? (size_t)(lf - lines[i])
						: strlen(lines[i]),
				     &err),
				&err);
			for (size_t k = mfs_edges_mentions(&c, inodes); k > 0;
				k--) {
				asked[n_asked++] = inodes[k - 1];
				must(mfs_edges_want(some, inodes[k - 1], &err),
					&err);
			}
		}
		model_image(&start, &made);
		must(read_image(all, &made.b, &err), &err);
		must(read_image(some, &made.b, &err), &err);
		for (size_t i = 0; i < n; i++) {
			apply_steps(all, lines[i]);
			apply_steps(some, lines[i]);
			for (size_t k = 0; k < n_asked; k += 1 + n_asked / 20) {
				tell_one(all, asked[k], &want);
				tell_one(some, asked[k], &got);
				told_same(&want, &got);
			}
		}
		mfs_edges_free(all);
		mfs_edges_free(some);
		buf_fini(&made.b);
	}
	told_clear(&want);
	told_clear(&got);
}

/* ---- what is not whole, and what is hostile ---- */

static void
parents_that_are_not_known(void **state)
{
	struct mfs_edges *e = new_edges(true, MEMORY);
	static struct told t;
	struct error err = ERROR_INIT;
	struct mfs_path path;

	(void)state;
	apply_text(e, "2: 1|CREATE(77,d,2,0,0,0,0,0):5");
	apply_text(e, "3: 1|CREATE(5,f,1,0,0,0,0,0):6");
	tell_one(e, 6, &t);
	assert_true(t.n == 1 && told_has(&t, "6 1 77 d/f"));
	apply_text(e, "4: 1|UNLINK(5,f):6");
	tell_one(e, 6, &t);
	assert_true(t.n == 1 && told_has(&t, "6 2 0 d/f"));
	apply_text(e, "5: 1|UNDEL(6)");
	tell_one(e, 6, &t);
	assert_true(t.n == 1 && told_has(&t, "6 1 0 d/f"));
	assert_int_equal(mfs_edges_gaps(e), 1);
	apply_text(e, "6: 1|SNAPSHOT(5,1,s,0,0,0,1,0,18)");
	assert_int_equal(mfs_edges_gaps(e), 2);
	apply_text(e, "7: 1|MOVE(88,f,1,g):6");
	tell_one(e, 6, &t);
	assert_true(t.n == 1 && told_has(&t, "6 1 1 g"));
	tell_one(e, MFS_ROOT, &t);
	assert_true(t.n == 1 && told_has(&t, "1 1 1 "));
	tell_one(e, 99, &t);
	assert_int_equal(t.n, 0);
	must(mfs_edges_join(e, 5, "new\n", 4, &path, &err), &err);
	assert_true(path.base == 77 && path.text.len == 6 &&
		    memcmp(path.text.p, "d/new\n", 6) == 0);
	told_clear(&t);
	mfs_edges_free(e);
}

static enum err
take_longest(void *arg, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	size_t *longest = arg;

	(void)inode;
	(void)err;
	assert_true(path->text.len <= MFS_PATH_MAX);
	if (path->base == MFS_ROOT)
		*longest = SIZE_MAX;
	else if (path->text.len > *longest)
		*longest = path->text.len;
	return ERR_OK;
}

/* A row of directories, each in the next one, the last in last. */
static void
make_row(struct made *m, uint32_t n, uint32_t last, const char *name)
{
	made_begin(m, 2, 6);
	made_nodes(m, "NODE 1.4");
	for (uint32_t i = 2; i < n + 2; i++) {
		struct mfs_node node = { .inode = i, .kind = MFS_DIR };

		made_node(m, &node, 0);
	}
	made_edges(m, "EDGE 1.1");
	for (uint32_t i = 2; i < n + 1; i++)
		made_edge(m, i + 1, i, name, strlen(name));
	made_edge(m, last, n + 1, "another name", strlen(name));
	made_edges_end(m);
	made_end(m);
}

static void
circles_and_depths_end(void **state)
{
	static const struct {
		uint32_t n, last;
		const char *name;
		size_t longest; /* SIZE_MAX: up to the root */
	} t[] = { { 1, 2, "x", 65535 }, { 7, 2, "abc", 65535 },
		{ 7, 5, "ab", 65534 }, { 32768, 1, "x", SIZE_MAX },
		{ 32769, 1, "x", 65535 } };
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct mfs_edges *e = new_edges(false, MEMORY);
		size_t longest = 0;
		struct made m;

		make_row(&m, t[i].n, t[i].last, t[i].name);
		must(read_image(e, &m.b, &err), &err);
		must(mfs_edges_paths(e, 2, take_longest, &longest, &err), &err);
		assert_int_equal(longest, t[i].longest);
		mfs_edges_free(e);
		buf_fini(&m.b);
	}
}

static void
a_name_twice_in_an_image_is_refused(void **state)
{
	struct mfs_edges *e = new_edges(true, MEMORY);
	struct error err = ERROR_INIT;
	struct made m;

	(void)state;
	made_begin(&m, 2, 6);
	made_nodes(&m, "NODE 1.4");
	made_edges(&m, "EDGE 1.0");
	made_edge(&m, 0, 5, "same/path", 9);
	made_edge(&m, 0, 6, "same/path", 9);
	made_edge(&m, 1, 7, "same", 4);
	made_edge(&m, 2, 7, "same", 4);
	made_edge(&m, 1, 8, "same", 4);
	made_edges_end(&m);
	made_end(&m);
	must_fail(read_image(e, &m.b, &err), ERR_CORRUPT, &err,
		"directory 1 has a name twice");
	mfs_edges_free(e);
	buf_fini(&m.b);
}

static void
memory_has_a_limit(void **state)
{
	struct error err = ERROR_INIT;
	struct made m;
	size_t max = 1000;
	enum err rc = ERR_NOMEM;

	(void)state;
	make_row(&m, 5000, 1, "some name");
	for (; rc != ERR_OK; max += max / 4) {
		struct mfs_edges *e = new_edges(false, max);

		rc = read_image(e, &m.b, &err);
		if (rc != ERR_OK)
			must_fail(rc, ERR_NOMEM, &err, "need more than");
		mfs_edges_free(e);
	}
	/* What the header says of 5000 directories, while tables double. */
	assert_in_range(max, 5000 * (48 + 10), 5000 * 200);
	buf_fini(&m.b);
}

static void
lines_without_what_they_need_are_refused(void **state)
{
	static const char *const lines[] = { "2: 1|CREATE(1,a,1,0,0,0,0,0)",
		"2: 1|CREATE(x,a,1):5", "2: 1|CREATE(1):5", "2: 1|CREATE(1,):5",
		"2: 1|CREATE(0,a,1):5", "2: 1|CREATE(1,a,1):4294967296",
		"2: 1|LINK(5,1)", "2: 1|LINK(,1,a)", "2: 1|UNLINK(1,a)",
		"2: 1|MOVE(1,a,1):5", "2: 1|MOVE(1,a,,b):5", "2: 1|PURGE()",
		"2: 1|UNDEL(a)", "2: 1|SETPATH(5)", "2: 1|SYMLINK(1,a,b,0,0)" };
	struct mfs_edges *e = new_edges(true, MEMORY);
	struct error err = ERROR_INIT;
	struct mfs_change c;
	char line[400];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		must(mfs_change_parse(&c, lines[i], strlen(lines[i]), &err),
			&err);
		must_fail(mfs_edges_apply(e, &c, &err), ERR_CORRUPT, &err,
			"change 2: ");
	}
	n = (size_t)sprintf(line, "2: 1|LINK(5,1,%0256d)", 0);
	must(mfs_change_parse(&c, line, n, &err), &err);
	must_fail(mfs_edges_apply(e, &c, &err), ERR_CORRUPT, &err, "LINK");
	apply_text(e, "2: 1|NEWOP(x,[1:2]):zz");
	apply_text(e, "2: 1|UNLINK(1,nobody):9");
	apply_text(e, "2: 1|MOVE(1,nobody,1,b):9");
	apply_text(e, "2: 1|PURGE(50)");
	apply_text(e, "2: 1|UNDEL(50)");
	mfs_edges_free(e);
}

static void
lines_mention_what_they_change_first(void **state)
{
	static const struct {
		const char *line;
		size_t n;
		uint32_t v[3];
	} t[] = { { "2: 1|CREATE(1,a,1,420,18,0,0,0):5", 2, { 5, 1 } },
		{ "2: 1|MOVE(3,a,4,b):5", 3, { 5, 3, 4 } },
		{ "2: 1|LINK(6,3,one)", 2, { 6, 3 } },
		{ "2: 1|WRITE(7,0,1,1):9", 1, { 7 } },
		{ "2: 1|SESDISCONNECTED(1)", 0, { 0 } },
		{ "2: 1|CREATEX(1,a):5", 0, { 0 } },
		{ "2: 1|MOVE(3,a,99999999999,b)", 1, { 3 } },
		{ "2: 1|ATTR()", 0, { 0 } } };
	struct error err = ERROR_INIT;
	struct mfs_change c;
	uint32_t got[MFS_MENTIONS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		must(mfs_change_parse(&c, t[i].line, strlen(t[i].line), &err),
			&err);
		assert_int_equal(mfs_edges_mentions(&c, got), t[i].n);
		assert_memory_equal(got, t[i].v, t[i].n * sizeof(got[0]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_and_lines_are_the_next_image),
		cmocka_unit_test(names_are_what_the_model_has),
		cmocka_unit_test(what_is_wanted_has_its_paths),
		cmocka_unit_test(parents_that_are_not_known),
		cmocka_unit_test(circles_and_depths_end),
		cmocka_unit_test(a_name_twice_in_an_image_is_refused),
		cmocka_unit_test(memory_has_a_limit),
		cmocka_unit_test(lines_without_what_they_need_are_refused),
		cmocka_unit_test(lines_mention_what_they_change_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
