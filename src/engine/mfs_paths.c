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

/* The paths of one inode: those that both sides have are dropped, of the
 * others pairs are made, as far as they go. */
static enum err
pair_inode(struct mfs_paths *p, struct mfs_place *a, size_t n_a,
	struct mfs_place *b, size_t n_b, bool is_new, struct tellings *out,
	struct error *err)
{
	size_t i = 0, k = 0, left_a = 0, left_b = 0, pairs;
	enum err rc = ERR_OK;

	while (i < n_a || k < n_b) {
		int cmp = i == n_a   ? 1
			  : k == n_b ? -1
				     : by_inode(&a[i], &b[k], p);

		if (cmp == 0 && !is_new) {
			i++;
			k++;
		} else if (cmp <= 0) {
			a[left_a++] = a[i++];
		} else {
			b[left_b++] = b[k++];
		}
	}
	pairs = is_new ? 0 : left_a < left_b ? left_a : left_b;
	for (i = 0; i < left_a && rc == ERR_OK; i++)
		rc = add_told(out, &a[i], i < pairs ? &b[i] : NULL, err);
	for (k = pairs; k < left_b && rc == ERR_OK; k++)
		rc = add_told(out, NULL, &b[k], err);
	return rc;
}

static size_t
run_of(const struct mfs_paths *p, unsigned side, size_t at, uint32_t inode)
{
	size_t n = 0;

	while (at + n < p->n[side] && p->v[side][at + n].inode == inode)
		n++;
	return n;
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
		uint32_t inode = i == p->n[0]   ? p->v[1][k].inode
				 : k == p->n[1] ? p->v[0][i].inode
				 : p->v[0][i].inode < p->v[1][k].inode
					 ? p->v[0][i].inode
					 : p->v[1][k].inode;
		size_t n_a = run_of(p, 0, i, inode);
		size_t n_b = run_of(p, 1, k, inode);

		rc = pair_inode(p, p->v[0] + i, n_a, p->v[1] + k, n_b,
			is_new != NULL && is_new(arg, inode), out, err);
		i += n_a;
		k += n_b;
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
