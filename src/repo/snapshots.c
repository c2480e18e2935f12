/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots: every snapshot object, opened.
 *
 * The names are listed first, then it is read what counts and what is
 * forgotten, and the objects last: a snapshot that is committed meanwhile is
 * not seen, one that is removed meanwhile is passed over, and so is one that a
 * late request brings back, as it is void by a final that was there before.
 */
#include "repo/repo.h"

#include <string.h>

#include "repo/marks.h"
#include "repo/snapshot_object.h"

enum { NAMES_MAX = 1 << 30 };

struct walk {
	struct repo *repo;
	unsigned flags;
	repo_snapshot_fn *fn;
	repo_snapshot_bad_fn *bad;
	void *arg;
	struct counting counting;
	struct marks marks;
	struct buf names; /* each with its NUL */
	struct buf sealed, plain;
};

static enum err
collect(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct walk *w = arg;

	return buf_put(&w->names, name, strlen(name) + 1, err);
}

/* *there false where it is gone, or a fence. */
static enum err
load(struct walk *w, const char *name, struct snapshot_opened *opened,
	bool *there, struct error *err)
{
	enum err rc;

	*there = true;
	buf_clear(&w->sealed);
	rc = store_get_all(repo_store(w->repo), name, SNAPSHOT_MAX, &w->sealed,
		err);
	if (rc == ERR_NOTFOUND) {
		*there = false;
		return ERR_OK;
	}
	if (rc != ERR_OK)
		return rc;
	if (snapshot_object_is_fence(w->sealed.data, w->sealed.len)) {
		*there = false;
		return ERR_OK;
	}
	return snapshot_object_open(opened, &w->plain,
		&repo_keys(w->repo)->structure, name, w->sealed.data,
		w->sealed.len, err);
}

static void
describe(const struct walk *w, const struct snapshot_name *snap,
	const struct snapshot_opened *opened, struct snapshot_ref *ref)
{
	const struct mark *mark = marks_find(&w->marks, snap);

	*ref = (struct snapshot_ref){
		.uid = snap->sid,
		.ns_id = snap->ns,
		.view = opened->view,
		.forgotten = mark != NULL && mark->forgotten,
		.held = mark != NULL && mark->held,
		.void_ = !counting_snapshot(&w->counting, snap, opened->view),
		.data = opened->record,
		.len = opened->len,
	};
	hex_encode(snap->ns.b, UID_LEN, ref->ns);
}

static bool
is_asked_for(const struct walk *w, const struct snapshot_ref *ref)
{
	return (!ref->forgotten || (w->flags & SNAPSHOTS_FORGOTTEN) != 0) &&
	       (!ref->void_ || (w->flags & SNAPSHOTS_VOID) != 0);
}

static enum err
visit(struct walk *w, const char *name, struct error *err)
{
	struct error why = ERROR_INIT;
	struct snapshot_opened opened;
	struct snapshot_name snap;
	struct snapshot_ref ref;
	bool there = true;
	enum err rc = ERR_OK;

	if (!snapshot_object_parse(name, &snap))
		rc = err_set(&why, ERR_CORRUPT,
			"%.200s: no snapshot has such a name", name);
	if (rc == ERR_OK)
		rc = load(w, name, &opened, &there, &why);
	if (rc == ERR_OK && !there)
		return ERR_OK;
	if (rc == ERR_OK) {
		describe(w, &snap, &opened, &ref);
		return is_asked_for(w, &ref) ? w->fn(w->arg, &ref, err)
					     : ERR_OK;
	}
	if (w->bad != NULL)
		return w->bad(w->arg, name, &why, err);
	*err = why;
	return rc;
}

enum err
repo_each_snapshot_of(struct repo *r, unsigned flags, repo_snapshot_fn *fn,
	repo_snapshot_bad_fn *bad, void *arg, struct error *err)
{
	struct store *st = repo_store(r);
	struct walk w = { .repo = r,
		.flags = flags,
		.fn = fn,
		.bad = bad,
		.arg = arg,
		.names = BUF_INIT(NAMES_MAX),
		.sealed = BUF_INIT(SNAPSHOT_MAX),
		.plain = BUF_INIT(SNAPSHOT_MAX + 1) };
	size_t at = 0;
	enum err rc;

	rc = store_list(st, "snapshots", collect, &w, err);
	if (rc == ERR_OK)
		rc = counting_read(st, repo_keys(r), &w.counting, err);
	if (rc == ERR_OK)
		rc = marks_read(&w.marks, st, repo_keys(r), NULL, NULL, err);
	while (rc == ERR_OK && at < w.names.len) {
		const char *name = (const char *)w.names.data + at;

		at += strlen(name) + 1;
		rc = visit(&w, name, err);
	}
	marks_fini(&w.marks);
	counting_fini(&w.counting);
	buf_fini(&w.plain);
	buf_fini(&w.sealed);
	buf_fini(&w.names);
	return rc;
}

enum err
repo_each_snapshot(struct repo *r, repo_snapshot_fn *fn,
	repo_snapshot_bad_fn *bad, void *arg, struct error *err)
{
	return repo_each_snapshot_of(r, 0, fn, bad, arg, err);
}
