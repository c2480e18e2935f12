/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mfs_compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "engine/mfs_paths.h"
#include "format/mfs_edges.h"

struct comparing {
	const struct mfs_compare_side *side[2];
	uint64_t last[2]; /* change at the moment */
	size_t memory_max;
	struct mfs_edges *edges[2];
	struct mfs_change change;
	struct mfs_paths paths;
	/* By lines: inode * 2, + 1 where it was made between the moments. */
	uint64_t *touched;
	size_t n_touched, cap_touched;
	bool has_before;
	unsigned at; /* the side at work */
	struct buf text;
	bool is_there;
};

/* ---- the moments ---- */

struct ending {
	const struct mfs_moment *at;
	uint64_t last;
};

static enum err
end_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	struct ending *e = arg;

	(void)err;
	if (line->surplus)
		return ERR_OK;
	*enough = mfs_moment_is_before(e->at, line->id, line->seconds);
	if (!*enough)
		e->last = line->id;
	/* What is behind it need not be right. */
	if (e->at->kind == MFS_MOMENT_ID && line->id == e->at->id)
		*enough = true;
	return ERR_OK;
}

static enum err
find_end(struct comparing *c, unsigned i, struct error *err)
{
	const struct mfs_moment *at = &c->side[i]->at;
	struct ending e = { at, mfs_set_facts(c->side[i]->set)->version - 1 };
	enum err rc = mfs_set_lines(c->side[i]->set, end_line, &e, err);

	if (rc != ERR_OK)
		return rc;
	if (at->kind == MFS_MOMENT_ID && e.last != at->id)
		return err_set(err, ERR_NOTFOUND,
			"change %" PRIu64
			" is not in its snapshot, which ends at %" PRIu64,
			at->id, e.last);
	c->last[i] = e.last;
	return ERR_OK;
}

/* ---- by lines ---- */

static bool
is_op(const struct mfs_change *c, const char *op)
{
	return c->op.len == strlen(op) && memcmp(c->op.p, op, c->op.len) == 0;
}

static bool
makes(const struct mfs_change *c)
{
	return is_op(c, "CREATE") || is_op(c, "SYMLINK");
}

static bool
changes_names(const struct mfs_change *c)
{
	static const char *const ops[] = { "UNLINK", "MOVE", "LINK", "UNDEL" };

	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (is_op(c, ops[i]))
			return true;
	return makes(c);
}

static enum err
touch(struct comparing *c, uint64_t inode, bool made, struct error *err)
{
	void *v;

	if (c->n_touched >= c->memory_max / 4 / sizeof(*c->touched))
		return err_set(err, ERR_NOMEM, "too many changes");
	v = array_grow(c->touched, c->n_touched, &c->cap_touched,
		sizeof(*c->touched), err);
	if (v == NULL)
		return err->code;
	c->touched = v;
	c->touched[c->n_touched++] = inode * 2 + (made ? 1 : 0);
	return mfs_edges_want(c->edges[1], (uint32_t)inode, err);
}

static enum err
touch_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	struct comparing *c = arg;
	uint32_t inodes[MFS_MENTIONS_MAX];
	enum err rc;

	*enough = line->id >= c->last[1];
	if (line->surplus || line->id <= c->last[0] || line->id > c->last[1])
		return ERR_OK;
	rc = mfs_change_parse(&c->change, line->p, line->len, err);
	if (rc != ERR_OK || !changes_names(&c->change) ||
		mfs_edges_mentions(&c->change, inodes) == 0)
		return rc;
	return touch(c, inodes[0], makes(&c->change), err);
}

static int
compare_u64(const void *x, const void *y)
{
	const uint64_t *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

static void
sort_touched(struct comparing *c)
{
	size_t n = 0;

	if (c->n_touched == 0)
		return;
	qsort(c->touched, c->n_touched, sizeof(*c->touched), compare_u64);
	for (size_t i = 0; i < c->n_touched; i++)
		if (n == 0 || c->touched[n - 1] != c->touched[i])
			c->touched[n++] = c->touched[i];
	c->n_touched = n;
}

static bool
was_made(const void *arg, uint32_t inode)
{
	const struct comparing *c = arg;
	uint64_t key = (uint64_t)inode * 2 + 1;

	return c->n_touched > 0 && bsearch(&key, c->touched, c->n_touched,
					   sizeof(key), compare_u64) != NULL;
}

static enum err
note_path(void *arg, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	struct comparing *c = arg;

	return mfs_paths_add(&c->paths, c->at, inode, path, err);
}

static enum err
note_touched(struct comparing *c, unsigned at, struct error *err)
{
	enum err rc = ERR_OK;

	c->at = at;
	for (size_t i = 0; i < c->n_touched && rc == ERR_OK; i++) {
		uint64_t inode = c->touched[i] / 2;

		if (i > 0 && c->touched[i - 1] / 2 == inode)
			continue;
		rc = mfs_edges_paths(c->edges[1], (uint32_t)inode, note_path, c,
			err);
	}
	return rc;
}

/* ---- a side's names ---- */

static enum err
load_image(struct comparing *c, unsigned i, struct error *err)
{
	const struct mfs_image_fn fn = { .section = mfs_edges_section,
		.data = mfs_edges_data,
		.arg = c->edges[i] };
	enum err rc;

	if (mfs_set_facts(c->side[i]->set)->is_new)
		return ERR_OK;
	rc = mfs_set_image(c->side[i]->set, &fn, NULL, NULL, err);
	return rc == ERR_OK ? mfs_edges_loaded(c->edges[i], err) : rc;
}

static enum err
apply_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	struct comparing *c = arg;
	unsigned i = c->at;
	enum err rc = ERR_OK;

	if (line->surplus)
		return ERR_OK;
	*enough = line->id >= c->last[i];
	if (line->id > c->last[i])
		return ERR_OK;
	if (c->n_touched > 0 && !c->has_before && line->id > c->last[0]) {
		rc = note_touched(c, 0, err);
		c->has_before = true;
		c->at = i;
	}
	if (rc == ERR_OK)
		rc = mfs_change_parse(&c->change, line->p, line->len, err);
	if (rc == ERR_OK)
		rc = mfs_edges_apply(c->edges[i], &c->change, err);
	return rc;
}

static enum err
load_side(struct comparing *c, unsigned i, struct error *err)
{
	enum err rc = load_image(c, i, err);

	c->at = i;
	return rc == ERR_OK ? mfs_set_lines(c->side[i]->set, apply_line, c, err)
			    : rc;
}

static enum err
compare_by_lines(struct comparing *c, struct error *err)
{
	const struct mfs_edges_conf conf = { .memory_max = c->memory_max };
	enum err rc = mfs_edges_new(&c->edges[1], &conf, err);

	if (rc == ERR_OK)
		rc = mfs_set_lines(c->side[1]->set, touch_line, c, err);
	sort_touched(c);
	if (rc != ERR_OK || c->n_touched == 0)
		return rc;
	rc = load_side(c, 1, err);
	return rc == ERR_OK ? note_touched(c, 1, err) : rc;
}

/* ---- by images ---- */

static enum err
look_for(void *arg, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	struct comparing *c = arg;
	size_t before = c->text.len;
	enum err rc;

	(void)inode;
	if (path->kind != MFS_NAMED)
		return ERR_OK;
	rc = mfs_paths_put_text(&c->text, path, err);
	if (rc == ERR_OK && c->text.len == 2 * before &&
		memcmp(c->text.data, c->text.data + before, before) == 0)
		c->is_there = true;
	c->text.len = before;
	return rc;
}

/* Keep what the other side has not. */
static enum err
compare_path(void *arg, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	struct comparing *c = arg;
	enum err rc;

	if (path->kind != MFS_NAMED)
		return ERR_OK;
	buf_clear(&c->text);
	c->is_there = false;
	rc = mfs_paths_put_text(&c->text, path, err);
	if (rc == ERR_OK)
		rc = mfs_edges_paths(c->edges[1 - c->at], inode, look_for, c,
			err);
	if (rc == ERR_OK && !c->is_there)
		rc = mfs_paths_add(&c->paths, c->at, inode, path, err);
	return rc;
}

static enum err
compare_by_images(struct comparing *c, struct error *err)
{
	const struct mfs_edges_conf conf = { .all = true,
		.memory_max = c->memory_max / 2 };
	enum err rc = ERR_OK;

	for (unsigned i = 0; i < 2 && rc == ERR_OK; i++) {
		rc = mfs_edges_new(&c->edges[i], &conf, err);
		if (rc == ERR_OK)
			rc = load_side(c, i, err);
	}
	for (unsigned i = 0; i < 2 && rc == ERR_OK; i++) {
		c->at = i;
		rc = mfs_edges_each(c->edges[i], compare_path, c, err);
	}
	return rc;
}

/* ---- the comparison ---- */

static bool
continues(const struct comparing *c)
{
	const struct mfs_set_facts *a = mfs_set_facts(c->side[0]->set);
	const struct mfs_set_facts *b = mfs_set_facts(c->side[1]->set);

	return strcmp(a->name, b->name) == 0 && b->version <= c->last[0] + 1 &&
	       c->last[1] >= c->last[0];
}

static enum err
compare(struct comparing *c, const struct mfs_compare_fn *fn,
	struct mfs_compare_result *result, struct error *err)
{
	enum err rc = find_end(c, 0, err);

	if (rc == ERR_OK)
		rc = find_end(c, 1, err);
	if (rc != ERR_OK)
		return rc;
	result->last_a = c->last[0];
	result->last_b = c->last[1];
	result->by_lines = continues(c);
	rc = result->by_lines ? compare_by_lines(c, err)
			      : compare_by_images(c, err);
	if (rc == ERR_NOMEM)
		return err_set(err, rc,
			"the names of the two moments do not fit into %zu MiB",
			c->memory_max >> 20);
	for (unsigned i = 0; i < 2; i++)
		if (c->edges[i] != NULL)
			result->gaps += mfs_edges_gaps(c->edges[i]);
	if (rc == ERR_OK)
		rc = mfs_paths_tell(&c->paths, was_made, c, fn, &result->counts,
			err);
	return rc;
}

enum err
mfs_compare_run(const struct mfs_compare_side *a,
	const struct mfs_compare_side *b, size_t memory_max,
	const struct mfs_compare_fn *fn, struct mfs_compare_result *result,
	struct error *err)
{
	struct comparing *c = calloc(1, sizeof(*c));
	enum err rc;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	c->side[0] = a;
	c->side[1] = b;
	c->memory_max = memory_max > 0 ? memory_max : COMPARE_MEMORY;
	buf_init(&c->text, (size_t)2 * (MFS_PATH_MAX + 64));
	mfs_paths_init(&c->paths, c->memory_max);
	*result = (struct mfs_compare_result){ 0 };
	rc = compare(c, fn, result, err);
	for (unsigned i = 0; i < 2; i++)
		mfs_edges_free(c->edges[i]);
	mfs_paths_fini(&c->paths);
	buf_fini(&c->text);
	free(c->touched);
	free(c);
	return rc;
}
