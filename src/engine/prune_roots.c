/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_roots: all snapshots, by what becomes of them.
 *
 * The names are listed first; what counts and what is forgotten is read
 * afterwards, and the objects last.  The first half takes no forgotten
 * snapshot for a root, so the marks that it goes by were made before the
 * condemned list is.
 *
 * The second half first decides about the forgotten ones of that list, each by
 * the exclusive creation of its mark's end; then it lists.  Of what the list
 * knew only the names are looked at: they are roots of packs that were not
 * condemned.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "engine/pruning.h"
#include "model/snapshot.h"
#include "repo/snapshot_object.h"

enum { NAMES_MAX = 1 << 30, FENCE_LEN = sizeof(SNAPSHOT_FENCE) - 1 };

struct reading {
	struct roots *r;
	struct pruning *p;
	uint64_t epoch; /* 0: the first half */
	const struct condemned *c; /* NULL in the first half */
	struct snapshot_name *swept; /* in the second, ascending */
	size_t n_swept;
	struct marks marks;
	struct counting counting;
	struct buf names; /* each with its NUL */
	struct buf sealed, plain;
};

void
prune_roots_fini(struct roots *r)
{
	free(r->v);
	free(r->counting);
	free(r->doomed);
	*r = (struct roots){ 0 };
}

static enum err
add_root(struct roots *r, const struct id *id, struct error *err)
{
	struct id *v = array_grow(r->v, r->n, &r->cap, sizeof(*v), err);

	if (v == NULL)
		return err->code;
	r->v = v;
	v[r->n++] = *id;
	return ERR_OK;
}

static enum err
add_counting(struct roots *r, const struct snapshot_name *name,
	struct error *err)
{
	struct snapshot_name *v = array_grow(r->counting, r->n_counting,
		&r->cap_counting, sizeof(*v), err);

	if (v == NULL)
		return err->code;
	r->counting = v;
	v[r->n_counting++] = *name;
	return ERR_OK;
}

static enum err
add_doomed(struct roots *r, const struct mark *mark, struct error *err)
{
	struct doomed *v = array_grow(r->doomed, r->n_doomed, &r->cap_doomed,
		sizeof(*v), err);

	if (v == NULL)
		return err->code;
	r->doomed = v;
	v[r->n_doomed++] = (struct doomed){ mark->name, mark->k };
	return ERR_OK;
}

static int
cmp_names(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

static int
cmp_doomed(const void *a, const void *b)
{
	const struct doomed *x = a, *y = b;

	return epoch_snapshot_cmp(&x->name, &y->name);
}

static bool
is_in(const struct snapshot_name *v, size_t n, const struct snapshot_name *name)
{
	return n > 0 && bsearch(name, v, n, sizeof(*v), cmp_names) != NULL;
}

/* Whether its mark says so, and no hold is against it. */
static bool
is_doomed(const struct mark *mark)
{
	return mark != NULL && mark->forgotten && (mark->swept || !mark->held);
}

/* ---- one snapshot ---- */

static enum err
load(struct reading *rd, const char *name, struct snapshot_opened *opened,
	struct error *err)
{
	enum err rc;

	buf_clear(&rd->sealed);
	rc = store_get_all(rd->p->store, name, SNAPSHOT_MAX, &rd->sealed, err);
	if (rc != ERR_OK)
		return rc;
	return snapshot_object_open(opened, &rd->plain, &rd->p->keys->structure,
		name, rd->sealed.data, rd->sealed.len, err);
}

static enum err
take_tree(struct roots *r, const struct snapshot_opened *opened,
	const char *name, struct error *err)
{
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	rc = snapshot_decode(&snap, opened->record, opened->len, err);
	if (rc == ERR_OK)
		rc = add_root(r, &snap.root, err);
	else if (rc == ERR_CORRUPT)
		rc = err_wrap(err, "%s", name);
	snapshot_fini(&snap);
	return rc;
}

static enum err
take_opened(struct reading *rd, const char *name,
	const struct snapshot_name *snap, const struct snapshot_opened *opened,
	struct error *err)
{
	enum err rc;

	if (!counting_snapshot(&rd->counting, snap, opened->view)) {
		rd->r->n_void++;
		return ERR_OK;
	}
	rc = take_tree(rd->r, opened, name, err);
	if (rc == ERR_OK && (rd->epoch == 0 || opened->view < rd->epoch))
		rc = add_counting(rd->r, snap, err);
	return rc;
}

/* One whose object says nothing may need anything.  The first half ends with
 * it; the second cannot wait, and lets it count. */
static enum err
take_unreadable(struct reading *rd, const char *name,
	const struct snapshot_name *snap, const struct error *why,
	struct error *err)
{
	if (rd->epoch > 0) {
		rd->r->unreadable = true;
		return add_counting(rd->r, snap, err);
	}
	*err = *why;
	return err_wrap(err,
		"%s cannot be read, so it is not known what it needs; forget "
		"it, or restore that object, and prune again",
		name);
}

static enum err
take(struct reading *rd, const char *name, struct error *err)
{
	struct snapshot_opened opened;
	struct snapshot_name snap;
	struct error why = ERROR_INIT;
	enum err rc;

	/* Readers take no notice of such an object either. */
	if (!snapshot_object_parse(name, &snap))
		return ERR_OK;
	if (rd->epoch == 0) {
		const struct mark *mark = marks_find(&rd->marks, &snap);

		if (is_doomed(mark))
			return add_doomed(rd->r, mark, err);
	} else if (is_in(rd->swept, rd->n_swept, &snap)) {
		return ERR_OK;
	} else if (is_in(rd->c->known, rd->c->n_known, &snap)) {
		return add_counting(rd->r, &snap, err);
	}
	rc = load(rd, name, &opened, &why);
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc == ERR_OK)
		rc = take_opened(rd, name, &snap, &opened, &why);
	if (rc == ERR_CORRUPT || rc == ERR_VERSION)
		return take_unreadable(rd, name, &snap, &why, err);
	if (rc != ERR_OK)
		*err = why;
	return rc;
}

/* ---- all ---- */

static enum err
on_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct reading *rd = arg;

	/* No snapshot is so short. */
	if (size == FENCE_LEN) {
		rd->r->n_fences++;
		return ERR_OK;
	}
	return buf_put(&rd->names, name, strlen(name) + 1, err);
}

static enum err
list(struct reading *rd, struct error *err)
{
	struct pruning *p = rd->p;
	size_t at = 0;
	enum err rc = store_list(p->store, "snapshots", on_name, rd, err);

	if (rc == ERR_OK)
		rc = counting_read(p->store, p->keys, &rd->counting, err);
	if (rc == ERR_OK && rd->epoch == 0)
		rc = marks_read(&rd->marks, p->store, p->keys, NULL, NULL, err);
	if (rc == ERR_OK && rd->epoch > 0 &&
		rd->counting.state.final >= rd->epoch)
		rc = err_set(err, ERR_EXISTS, "another prune was first");
	while (rc == ERR_OK && at < rd->names.len) {
		const char *name = (const char *)rd->names.data + at;

		at += strlen(name) + 1;
		rc = pruning_going(p, err);
		if (rc == ERR_OK)
			rc = take(rd, name, err);
	}
	return rc;
}

static enum err
read_all(struct reading *rd, struct error *err)
{
	struct roots *r = rd->r;
	enum err rc;

	*r = (struct roots){ 0 };
	rd->names = BUF_INIT(NAMES_MAX);
	rd->sealed = BUF_INIT(SNAPSHOT_MAX);
	rd->plain = BUF_INIT(SNAPSHOT_MAX);
	rc = list(rd, err);
	marks_fini(&rd->marks);
	counting_fini(&rd->counting);
	buf_fini(&rd->plain);
	buf_fini(&rd->sealed);
	buf_fini(&rd->names);
	if (rc != ERR_OK) {
		prune_roots_fini(r);
		return rc;
	}
	if (r->n_counting > 0)
		qsort(r->counting, r->n_counting, sizeof(*r->counting),
			cmp_names);
	if (r->n_doomed > 0)
		qsort(r->doomed, r->n_doomed, sizeof(*r->doomed), cmp_doomed);
	return ERR_OK;
}

enum err
prune_roots_read(struct roots *r, struct pruning *p, struct error *err)
{
	struct reading rd = { .r = r, .p = p };

	return read_all(&rd, err);
}

/* Decide about each forgotten snapshot of the list.  One that is held by now
 * stays: a hold wins. */
static enum err
sweep_marks(struct reading *rd, struct error *err)
{
	struct pruning *p = rd->p;
	struct marks marks;
	enum err rc = marks_read(&marks, p->store, p->keys, NULL, NULL, err);

	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < rd->c->n_doomed && rc == ERR_OK; i++) {
		const struct doomed *d = &rd->c->doomed[i];
		const struct mark *mark = marks_find(&marks, &d->name);
		bool swept = false;

		if (mark != NULL && !is_doomed(mark))
			continue;
		rc = marks_sweep(p->store, p->keys, d, &swept, err);
		if (rc == ERR_OK && swept)
			rd->swept[rd->n_swept++] = d->name;
	}
	marks_fini(&marks);
	return rc;
}

enum err
prune_roots_read_again(struct roots *r, struct pruning *p, uint64_t epoch,
	const struct condemned *c, struct error *err)
{
	struct reading rd = { .r = r, .p = p, .epoch = epoch, .c = c };
	enum err rc;

	*r = (struct roots){ 0 };
	rd.swept = calloc(c->n_doomed + 1, sizeof(*rd.swept));
	if (rd.swept == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = sweep_marks(&rd, err);
	if (rc == ERR_OK)
		rc = read_all(&rd, err);
	free(rd.swept);
	return rc;
}
