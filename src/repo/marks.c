/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marks: what is known of a snapshot is what objects are there.
 *
 * Marks are listed before holds: see marks_change.c.
 */
#include "repo/marks.h"

#include <stdlib.h>
#include <string.h>

#include "repo/maintenance.h"
#include "repo/mark_object.h"
#include "repo/marks_look.h"

enum {
	/* As stored: header, signature, tag, and some room. */
	SEALED_MAX = MARK_PLAIN_MAX + 1024,
	FOUND_MAX = 1 << 24
};

struct found {
	struct mark_object o;
	uint64_t size;
};

/* One reading of marks; of all, or of one snapshot. */
struct reading {
	struct store *st;
	const struct keyset *ks;
	const struct snapshot_name *only;
	marks_bad_fn *bad;
	void *arg;
	struct found *v;
	size_t n, cap;
	struct buf plain;
};

static int
cmp_name(const struct snapshot_name *a, const struct snapshot_name *b)
{
	int order = memcmp(a->ns.b, b->ns.b, UID_LEN);

	return order != 0 ? order : memcmp(a->sid.b, b->sid.b, UID_LEN);
}

/* An end follows its mark. */
static int
cmp_found(const void *a, const void *b)
{
	const struct mark_object *x = &((const struct found *)a)->o;
	const struct mark_object *y = &((const struct found *)b)->o;
	int order = cmp_name(&x->name, &y->name);

	if (order != 0)
		return order;
	if ((x->kind == MARK_HOLD) != (y->kind == MARK_HOLD))
		return x->kind == MARK_HOLD ? 1 : -1;
	if (x->k != y->k)
		return x->k < y->k ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static void
tell_bad(const struct reading *r, const char *name, const struct error *why)
{
	if (r->bad != NULL)
		r->bad(r->arg, name, why);
}

static enum err
add_found(struct reading *r, const struct found *f, struct error *err)
{
	struct found *v = r->v;

	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 16 : r->cap * 2;

		v = cap <= FOUND_MAX ? reallocarray(v, cap, sizeof(*v)) : NULL;
		if (v == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for one more mark after %zu", r->n);
		r->v = v;
		r->cap = cap;
	}
	v[r->n++] = *f;
	return ERR_OK;
}

static enum err
on_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct reading *r = arg;
	struct found f = { .size = size };
	struct error why = ERROR_INIT;
	enum err rc;

	if (!mark_object_parse(&f.o, name)) {
		rc = err_set(&why, ERR_CORRUPT,
			"%s: no mark of a snapshot has such a name", name);
		tell_bad(r, name, &why);
		return rc == ERR_CORRUPT ? ERR_OK : rc;
	}
	return add_found(r, &f, err);
}

/* Marks first, holds afterwards. */
static enum err
list_all(struct reading *r, struct error *err)
{
	enum err rc = store_list(r->st, "forgotten", on_name, r, err);

	return rc == ERR_OK ? store_list(r->st, "holds", on_name, r, err) : rc;
}

/* *there is false where the object is not; else it is added. */
static enum err
probe(struct reading *r, enum mark_kind kind, uint64_t k, bool *there,
	struct error *err)
{
	struct found f = { .o = { kind, *r->only, k } };
	char name[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	enum err rc;

	mark_object_name(name, &f.o);
	rc = store_size(r->st, name, &f.size, &why);
	*there = rc == ERR_OK;
	if (rc == ERR_OK)
		return add_found(r, &f, err);
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	*err = why;
	return rc;
}

/*
 * The same of one snapshot, by name.  Numbers have no gaps: a mark is made
 * only where there is one of each lower number, and they are removed from the
 * highest down.
 */
static enum err
probe_all(struct reading *r, struct error *err)
{
	bool there = true, unused;
	enum err rc = ERR_OK;

	for (uint64_t k = 0; rc == ERR_OK && there; k++) {
		rc = probe(r, MARK_FORGOTTEN, k, &there, err);
		if (rc == ERR_OK && there)
			rc = probe(r, MARK_END, k, &unused, err);
	}
	return rc == ERR_OK ? probe(r, MARK_HOLD, 0, &unused, err) : rc;
}

/* The bytes of an object to plain; *valid is false where it is gone, or means
 * nothing. */
static enum err
fetch(struct reading *r, const struct found *f, bool *valid, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	enum err rc;

	*valid = false;
	mark_object_name(name, &f->o);
	buf_clear(&r->plain);
	if (f->size > SEALED_MAX)
		rc = err_set(&why, ERR_CORRUPT,
			"%s: is too long for the mark of a snapshot", name);
	else
		rc = maintenance_get(r->st, r->ks, mark_object_box(f->o.kind),
			name, &r->plain, &why);
	*valid = rc == ERR_OK;
	if (rc == ERR_OK || rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_CORRUPT && rc != ERR_VERSION) {
		*err = why;
		return rc;
	}
	tell_bad(r, name, &why);
	return ERR_OK;
}

/* A mark or a hold. */
static enum err
fetch_time(struct reading *r, const struct found *f, bool *valid,
	struct when *time, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	const uint8_t *reason;
	size_t len;
	enum err rc;

	rc = fetch(r, f, valid, err);
	if (rc != ERR_OK || !*valid)
		return rc;
	rc = mark_object_decode(r->plain.data, r->plain.len, time, &reason,
		&len, &why);
	if (rc != ERR_OK) {
		mark_object_name(name, &f->o);
		(void)err_wrap(&why, "%s", name);
		tell_bad(r, name, &why);
		*valid = false;
	}
	return ERR_OK;
}

static enum err
fetch_end(struct reading *r, const struct found *f, bool *valid,
	enum mark_end *end, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	enum err rc;

	rc = fetch(r, f, valid, err);
	if (rc != ERR_OK || !*valid)
		return rc;
	rc = mark_object_decode_end(r->plain.data, r->plain.len, end, &why);
	if (rc != ERR_OK) {
		mark_object_name(name, &f->o);
		(void)err_wrap(&why, "%s", name);
		tell_bad(r, name, &why);
		*valid = false;
	}
	return ERR_OK;
}

/* A forgotten mark, and its end, which is the next one if there is one. */
static enum err
judge(struct reading *r, size_t i, struct mark *m, struct error *err)
{
	const struct found *f = &r->v[i];
	bool valid, has_end = false, open;
	enum mark_end end = MARK_SWEPT;
	struct when at;
	enum err rc;

	rc = fetch_time(r, f, &valid, &at, err);
	if (rc != ERR_OK || !valid)
		return rc;
	if (i + 1 < r->n && f[1].o.kind == MARK_END && f[1].o.k == f->o.k &&
		cmp_name(&f[1].o.name, &f->o.name) == 0)
		rc = fetch_end(r, &f[1], &has_end, &end, err);
	if (rc != ERR_OK)
		return rc;
	open = !has_end || end == MARK_SWEPT;
	m->swept = m->swept || (has_end && end == MARK_SWEPT);
	if (open || !m->forgotten) {
		m->has_k = true;
		m->k = f->o.k;
		m->forgotten_at = at;
	}
	m->forgotten = m->forgotten || open;
	return ERR_OK;
}

/* The snapshot whose objects begin at *i; *i is moved behind them. */
static enum err
read_one(struct reading *r, size_t *i, struct mark *m, struct error *err)
{
	size_t k = *i;
	enum err rc = ERR_OK;

	*m = (struct mark){ .name = r->v[k].o.name };
	for (; rc == ERR_OK && k < r->n &&
		cmp_name(&r->v[k].o.name, &m->name) == 0;
		k++) {
		if (r->v[k].o.kind == MARK_FORGOTTEN)
			rc = judge(r, k, m, err);
		else if (r->v[k].o.kind == MARK_HOLD)
			rc = fetch_time(r, &r->v[k], &m->held, &m->held_at,
				err);
	}
	if (m->held && !m->swept)
		m->forgotten = false;
	*i = k;
	return rc;
}

static void
reading_fini(struct reading *r)
{
	free(r->v);
	buf_fini(&r->plain);
}

enum err
marks_read(struct marks *out, struct store *st, const struct keyset *ks,
	marks_bad_fn *bad, void *arg, struct error *err)
{
	struct reading r = { .st = st,
		.ks = ks,
		.bad = bad,
		.arg = arg,
		.plain = BUF_INIT(MAINTENANCE_MAX) };
	struct marks m = { NULL, 0 };
	size_t i = 0;
	enum err rc;

	rc = list_all(&r, err);
	if (rc != ERR_OK)
		goto out;
	if (r.n > 0) {
		qsort(r.v, r.n, sizeof(*r.v), cmp_found);
		m.v = calloc(r.n, sizeof(*m.v));
		if (m.v == NULL) {
			rc = err_set(err, ERR_NOMEM, "no memory for %zu marks",
				r.n);
			goto out;
		}
	}
	while (rc == ERR_OK && i < r.n) {
		rc = read_one(&r, &i, &m.v[m.n], err);
		if (m.v[m.n].has_k || m.v[m.n].held)
			m.n++;
	}
out:
	reading_fini(&r);
	if (rc != ERR_OK)
		marks_fini(&m);
	else
		*out = m;
	return rc;
}

void
marks_fini(struct marks *m)
{
	free(m->v);
	*m = (struct marks){ NULL, 0 };
}

static int
cmp_mark(const void *name, const void *mark)
{
	return cmp_name(name, &((const struct mark *)mark)->name);
}

const struct mark *
marks_find(const struct marks *m, const struct snapshot_name *name)
{
	return m->n == 0 ? NULL
			 : bsearch(name, m->v, m->n, sizeof(*m->v), cmp_mark);
}

enum err
marks_look(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct mark *out, struct error *err)
{
	struct reading r = { .st = st,
		.ks = ks,
		.only = name,
		.plain = BUF_INIT(MAINTENANCE_MAX) };
	size_t i = 0;
	enum err rc;

	*out = (struct mark){ .name = *name };
	rc = probe_all(&r, err);
	if (rc == ERR_OK && r.n > 0)
		rc = read_one(&r, &i, out, err);
	reading_fini(&r);
	return rc;
}

enum err
marks_reason(struct store *st, const struct keyset *ks, const struct mark *m,
	struct buf *out, struct error *err)
{
	struct mark_object o = { m->held ? MARK_HOLD : MARK_FORGOTTEN, m->name,
		m->held ? 0 : m->k };
	struct buf plain = BUF_INIT(MAINTENANCE_MAX);
	char name[STORE_NAME_MAX + 1];
	const uint8_t *reason = NULL;
	struct when time;
	size_t len = 0;
	enum err rc;

	mark_object_name(name, &o);
	rc = maintenance_get(st, ks, mark_object_box(o.kind), name, &plain,
		err);
	if (rc == ERR_OK) {
		rc = mark_object_decode(plain.data, plain.len, &time, &reason,
			&len, err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "%s", name);
	}
	if (rc == ERR_OK && len > 0)
		rc = buf_put(out, reason, len, err);
	buf_fini(&plain);
	return rc;
}
