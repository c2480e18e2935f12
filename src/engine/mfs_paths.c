/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mfs_paths.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "format/mfs_records.h"

/* Of one inode: what to tell; places are of the two sides, one may be NULL. */
struct told {
	const struct mfs_place *before, *after;
};

struct tellings {
	struct told *v;
	size_t n, cap;
};

void
mfs_paths_init(struct mfs_paths *p, size_t memory_max)
{
	*p = (struct mfs_paths){ .text = BUF_INIT(memory_max) };
}

void
mfs_paths_fini(struct mfs_paths *p)
{
	for (size_t i = 0; i < 2; i++)
		free(p->v[i]);
	buf_fini(&p->text);
	*p = (struct mfs_paths){ 0 };
}

enum err
mfs_paths_put_text(struct buf *out, const struct mfs_path *path,
	struct error *err)
{
	char base[24] = "/";
	enum err rc;

	if (path->base == 0)
		(void)snprintf(base, sizeof(base), "[?]/");
	else if (path->base != MFS_ROOT)
		(void)snprintf(base, sizeof(base), "[%" PRIu32 "]/",
			path->base);
	rc = buf_put(out, base, strlen(base), err);
	if (rc == ERR_OK)
		rc = buf_put(out, path->text.p, path->text.len, err);
	return rc;
}

enum err
mfs_paths_add(struct mfs_paths *p, unsigned side, uint32_t inode,
	const struct mfs_path *path, struct error *err)
{
	struct mfs_place place = { .inode = inode, .off = p->text.len };
	void *v;
	enum err rc;

	if (path->kind != MFS_NAMED)
		return ERR_OK;
	v = array_grow(p->v[side], p->n[side], &p->cap[side],
		sizeof(*p->v[side]), err);
	if (v == NULL)
		return err->code;
	p->v[side] = v;
	rc = mfs_paths_put_text(&p->text, path, err);
	if (rc != ERR_OK)
		return rc;
	place.len = (uint32_t)(p->text.len - place.off);
	p->v[side][p->n[side]++] = place;
	return ERR_OK;
}

/* ---- order ---- */

static int
compare_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	int cmp = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (cmp != 0)
		return cmp;
	return (a_len > b_len) - (a_len < b_len);
}

static int
by_inode(const void *x, const void *y, void *arg)
{
	const struct mfs_place *a = x, *b = y;
	const struct mfs_paths *p = arg;

	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return compare_bytes(p->text.data + a->off, a->len,
		p->text.data + b->off, b->len);
}

static const struct mfs_place *
place_of(const struct told *t)
{
	return t->before != NULL ? t->before : t->after;
}

/* With its slash, so that no path is without one. */
static size_t
directory_len(const struct mfs_paths *p, const struct mfs_place *at)
{
	const uint8_t *text = p->text.data + at->off;
	size_t len = at->len;

	while (len > 0 && text[len - 1] != '/')
		len--;
	return len;
}

static int
by_directory(const void *x, const void *y, void *arg)
{
	const struct mfs_paths *p = arg;
	const struct mfs_place *a = place_of(x), *b = place_of(y);
	const uint8_t *text = p->text.data;
	int cmp = compare_bytes(text + a->off, directory_len(p, a),
		text + b->off, directory_len(p, b));

	if (cmp == 0)
		cmp = compare_bytes(text + a->off, a->len, text + b->off,
			b->len);
	if (cmp == 0 && a->inode != b->inode)
		cmp = a->inode < b->inode ? -1 : 1;
	return cmp;
}

/* ---- pairs ---- */

static enum err
add_told(struct tellings *t, const struct mfs_place *before,
	const struct mfs_place *after, struct error *err)
{
	void *v = array_grow(t->v, t->n, &t->cap, sizeof(*t->v), err);

	if (v == NULL)
		return err->code;
	t->v = v;
	t->v[t->n++] = (struct told){ before, after };
	return ERR_OK;
}

/* The paths of one inode on one side. */
struct run {
	struct mfs_place *v;
	size_t n;
};

/* Those that both sides have are dropped. */
static void
drop_equal(struct mfs_paths *p, struct run *a, struct run *b)
{
	size_t i = 0, k = 0, left_a = 0, left_b = 0;

	while (i < a->n || k < b->n) {
		int cmp = i == a->n   ? 1
			  : k == b->n ? -1
				      : by_inode(&a->v[i], &b->v[k], p);

		if (cmp == 0) {
			i++;
			k++;
		} else if (cmp < 0) {
			a->v[left_a++] = a->v[i++];
		} else {
			b->v[left_b++] = b->v[k++];
		}
	}
	a->n = left_a;
	b->n = left_b;
}

/* Of others than the same file no pairs are made. */
static enum err
pair_runs(const struct run *a, const struct run *b, bool is_new,
	struct tellings *out, struct error *err)
{
	size_t pairs = a->n < b->n ? a->n : b->n;
	enum err rc = ERR_OK;

	if (is_new)
		pairs = 0;
	for (size_t i = 0; i < a->n && rc == ERR_OK; i++)
		rc = add_told(out, &a->v[i], i < pairs ? &b->v[i] : NULL, err);
	for (size_t k = pairs; k < b->n && rc == ERR_OK; k++)
		rc = add_told(out, NULL, &b->v[k], err);
	return rc;
}

static struct run
run_of(const struct mfs_paths *p, unsigned side, size_t at, uint32_t inode)
{
	struct run r = { p->n[side] > at ? p->v[side] + at : NULL, 0 };

	while (at + r.n < p->n[side] && r.v[r.n].inode == inode)
		r.n++;
	return r;
}

static uint32_t
next_inode(const struct mfs_paths *p, size_t i, size_t k)
{
	if (i == p->n[0])
		return p->v[1][k].inode;
	if (k == p->n[1] || p->v[0][i].inode < p->v[1][k].inode)
		return p->v[0][i].inode;
	return p->v[1][k].inode;
}

static enum err
pair_all(struct mfs_paths *p, mfs_paths_new_fn *is_new, const void *arg,
	struct tellings *out, struct error *err)
{
	size_t i = 0, k = 0;
	enum err rc = ERR_OK;

	for (unsigned side = 0; side < 2; side++)
		if (p->n[side] > 0)
			qsort_r(p->v[side], p->n[side], sizeof(*p->v[side]),
				by_inode, p);
	while (rc == ERR_OK && (i < p->n[0] || k < p->n[1])) {
		uint32_t inode = next_inode(p, i, k);
		struct run a = run_of(p, 0, i, inode);
		struct run b = run_of(p, 1, k, inode);
		bool other = is_new != NULL && is_new(arg, inode);

		i += a.n;
		k += b.n;
		if (!other)
			drop_equal(p, &a, &b);
		rc = pair_runs(&a, &b, other, out, err);
	}
	return rc;
}

/* ---- telling ---- */

static struct mfs_text
text_of(const struct mfs_paths *p, const struct mfs_place *at)
{
	return (struct mfs_text){ (const char *)p->text.data + at->off,
		at->len };
}

static void
count(struct mfs_compare_counts *c, const struct told *t)
{
	if (t->before == NULL)
		c->added++;
	else if (t->after == NULL)
		c->removed++;
	else
		c->renamed++;
}

static enum err
tell_one(struct mfs_paths *p, const struct told *t,
	const struct mfs_compare_fn *fn, struct error *err)
{
	const struct mfs_place *at = place_of(t);
	struct mfs_difference d = { .kind = MFS_REMOVED,
		.inode = at->inode,
		.path = text_of(p, at) };

	if (t->before == NULL)
		d.kind = MFS_ADDED;
	if (t->before != NULL && t->after != NULL) {
		d.kind = MFS_RENAMED;
		d.path_to = text_of(p, t->after);
	}
	return fn->name(fn->arg, &d, err);
}

/* Those of one directory, from at on; their number. */
static size_t
group_of(const struct mfs_paths *p, const struct tellings *t, size_t at,
	struct mfs_compare_counts *counts)
{
	const struct mfs_place *first = place_of(&t->v[at]);
	size_t len = directory_len(p, first), n = 0;

	for (; at + n < t->n; n++) {
		const struct mfs_place *other = place_of(&t->v[at + n]);

		if (directory_len(p, other) != len ||
			memcmp(p->text.data + first->off,
				p->text.data + other->off, len) != 0)
			break;
		count(counts, &t->v[at + n]);
	}
	return n;
}

static enum err
tell_all(struct mfs_paths *p, const struct tellings *t,
	const struct mfs_compare_fn *fn, struct mfs_compare_counts *sum,
	struct error *err)
{
	enum err rc = ERR_OK;
	size_t at = 0;

	while (rc == ERR_OK && at < t->n) {
		struct mfs_compare_counts c = { 0 };
		struct mfs_text dir = text_of(p, place_of(&t->v[at]));
		size_t n = group_of(p, t, at, &c);

		dir.len = directory_len(p, place_of(&t->v[at]));
		sum->added += c.added;
		sum->removed += c.removed;
		sum->renamed += c.renamed;
		if (fn->directory != NULL)
			rc = fn->directory(fn->arg, dir, &c, err);
		for (; fn->name != NULL && rc == ERR_OK && n > 0; n--)
			rc = tell_one(p, &t->v[at++], fn, err);
		at += n;
	}
	return rc;
}

enum err
mfs_paths_tell(struct mfs_paths *p, mfs_paths_new_fn *is_new,
	const void *new_arg, const struct mfs_compare_fn *fn,
	struct mfs_compare_counts *counts, struct error *err)
{
	struct tellings t = { 0 };
	enum err rc = pair_all(p, is_new, new_arg, &t, err);

	if (rc == ERR_OK && t.n > 0)
		qsort_r(t.v, t.n, sizeof(*t.v), by_directory, p);
	if (rc == ERR_OK)
		rc = tell_all(p, &t, fn, counts, err);
	free(t.v);
	return rc;
}
