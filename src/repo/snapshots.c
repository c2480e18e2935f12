/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots: every snapshot object, opened.
 *
 * The names are listed first, then batches of objects are read, and only then
 * what counts: a late request may have put a snapshot where a fence was when
 * the names were listed, and the final that makes it void was there before.
 * A snapshot that is committed meanwhile is not seen, and one that is removed
 * meanwhile is passed over.
 *
 * Memory: the names, and the records of a batch.
 */
#include "repo/repo.h"

#include <stdlib.h>
#include <string.h>

#include "repo/marks.h"
#include "repo/session.h"
#include "repo/snapshot_object.h"

enum { NAMES_MAX = 1 << 30, BATCH = 256, BATCH_BYTES = 16 << 20 };

struct loaded {
	struct snapshot_name name;
	uint64_t view;
	size_t off, len; /* in records */
};

struct walk {
	struct repo *repo;
	const char *digits; /* NULL: all */
	unsigned flags;
	repo_snapshot_fn *fn;
	repo_snapshot_bad_fn *bad;
	void *arg;
	struct marks marks;
	struct counting counting;
	bool has_counting;
	bool met_bad; /* one that cannot be read was told */
	struct buf names; /* each with its NUL */
	struct buf sealed, plain;
	struct loaded batch[BATCH];
	size_t n;
	struct buf records;
};

static enum err
collect(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct walk *w = arg;

	return buf_put(&w->names, name, strlen(name) + 1, err);
}

/* What is gone, or a fence, is not loaded. */
static enum err
load(struct walk *w, const char *name, struct error *err)
{
	struct loaded *l = &w->batch[w->n];
	struct snapshot_opened opened;
	enum err rc;

	if (!snapshot_object_parse(name, &l->name))
		return err_set(err, ERR_CORRUPT,
			"%.200s: no snapshot has such a name", name);
	buf_clear(&w->sealed);
	rc = store_get_all(repo_store(w->repo), name, SNAPSHOT_MAX, &w->sealed,
		err);
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK ||
		snapshot_object_is_fence(w->sealed.data, w->sealed.len))
		return rc;
	rc = snapshot_object_open(&opened, &w->plain,
		&repo_keys(w->repo)->structure, name, w->sealed.data,
		w->sealed.len, err);
	if (rc != ERR_OK)
		return rc;
	l->view = opened.view;
	l->off = w->records.len;
	l->len = opened.len;
	rc = buf_put(&w->records, opened.record, opened.len, err);
	w->n += rc == ERR_OK;
	return rc;
}

/* What counts after the batch was read. */
static enum err
refresh_counting(struct walk *w, struct error *err)
{
	struct store *st = repo_store(w->repo);
	struct epoch_state now = { 0 };
	enum err rc = ERR_OK;

	if (w->has_counting)
		rc = epoch_read(st, &now, err);
	if (rc != ERR_OK ||
		(w->has_counting && now.final == w->counting.state.final))
		return rc;
	counting_fini(&w->counting);
	w->has_counting = false;
	rc = counting_read(st, repo_keys(w->repo), &w->counting, err);
	w->has_counting = rc == ERR_OK;
	return rc;
}

static struct snapshot_ref
describe(const struct walk *w, const struct loaded *l)
{
	const struct mark *mark = marks_find(&w->marks, &l->name);
	struct snapshot_ref ref = {
		.uid = l->name.sid,
		.ns_id = l->name.ns,
		.view = l->view,
		.forgotten = mark != NULL && mark->forgotten,
		.held = mark != NULL && mark->held,
		.void_ = !counting_snapshot(&w->counting, &l->name, l->view),
		.data = w->records.data + l->off,
		.len = l->len,
	};

	hex_encode(l->name.ns.b, UID_LEN, ref.ns);
	return ref;
}

static bool
is_asked_for(const struct walk *w, const struct snapshot_ref *ref)
{
	return (!ref->forgotten || (w->flags & SNAPSHOTS_FORGOTTEN) != 0) &&
	       (!ref->void_ || (w->flags & SNAPSHOTS_VOID) != 0);
}

static enum err
hand_out(struct walk *w, struct error *err)
{
	enum err rc = refresh_counting(w, err);

	for (size_t i = 0; i < w->n && rc == ERR_OK; i++) {
		struct snapshot_ref ref = describe(w, &w->batch[i]);

		if (is_asked_for(w, &ref))
			rc = w->fn(w->arg, &ref, err);
	}
	w->n = 0;
	buf_clear(&w->records);
	return rc;
}

/* A name that is none is looked at, so that somebody hears of it. */
static bool
may_be_named(const struct walk *w, const char *name)
{
	struct snapshot_name parsed;
	char uid[UID_HEX + 1];

	if (w->digits == NULL || !snapshot_object_parse(name, &parsed))
		return true;
	hex_encode(parsed.sid.b, UID_LEN, uid);
	return strncmp(uid, w->digits, strlen(w->digits)) == 0;
}

static enum err
visit(struct walk *w, const char *name, struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc;

	if (!may_be_named(w, name))
		return ERR_OK;
	rc = load(w, name, &why);
	w->met_bad |= rc != ERR_OK;
	if (rc != ERR_OK && w->bad != NULL)
		rc = w->bad(w->arg, name, &why, err);
	else if (rc != ERR_OK)
		*err = why;
	if (rc == ERR_OK && (w->n == BATCH || w->records.len >= BATCH_BYTES))
		rc = hand_out(w, err);
	return rc;
}

/*
 * One that this key made has a name that is known without a list: who follows
 * asks for it every few seconds, among thousands.  No other has this uid.
 */
static enum err
name_own(struct walk *w, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct uid uid;

	if (w->digits == NULL || strlen(w->digits) != UID_HEX ||
		!hex_decode(w->digits, uid.b, UID_LEN))
		return ERR_OK;
	session_snapshot_name(name, repo_keys(w->repo)->ns_hex, &uid);
	return collect(w, name, 0, err);
}

static enum err
visit_all(struct walk *w, struct error *err)
{
	size_t at = 0;
	enum err rc;

	marks_fini(&w->marks);
	rc = marks_read(&w->marks, repo_store(w->repo), repo_keys(w->repo),
		NULL, NULL, err);
	while (rc == ERR_OK && at < w->names.len) {
		const char *name = (const char *)w->names.data + at;

		at += strlen(name) + 1;
		rc = visit(w, name, err);
	}
	return rc;
}

static void
walk_free(struct walk *w)
{
	marks_fini(&w->marks);
	counting_fini(&w->counting);
	buf_fini(&w->records);
	buf_fini(&w->plain);
	buf_fini(&w->sealed);
	buf_fini(&w->names);
	free(w);
}

static enum err
walk_new(struct walk **out, struct repo *r, struct error *err)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return err_set(err, ERR_NOMEM, "no memory for snapshots");
	w->repo = r;
	w->names = BUF_INIT(NAMES_MAX);
	w->sealed = BUF_INIT(SNAPSHOT_MAX);
	w->plain = BUF_INIT(SNAPSHOT_MAX + 1);
	w->records = BUF_INIT(BATCH_BYTES + SNAPSHOT_MAX);
	*out = w;
	return ERR_OK;
}

enum err
repo_each_snapshot_named(struct repo *r, const char *digits, unsigned flags,
	repo_snapshot_fn *fn, repo_snapshot_bad_fn *bad, void *arg,
	struct error *err)
{
	struct walk *w = NULL;
	enum err rc = walk_new(&w, r, err);

	if (rc != ERR_OK)
		return rc;
	w->digits = digits;
	w->flags = flags;
	w->fn = fn;
	w->bad = bad;
	w->arg = arg;
	rc = name_own(w, err);
	if (rc == ERR_OK && w->names.len > 0)
		rc = visit_all(w, err);
	if (rc == ERR_OK && w->n == 0 && !w->met_bad) {
		buf_clear(&w->names);
		rc = store_list(repo_store(r), "snapshots", collect, w, err);
		if (rc == ERR_OK)
			rc = visit_all(w, err);
	}
	if (rc == ERR_OK)
		rc = hand_out(w, err);
	walk_free(w);
	return rc;
}

enum err
repo_each_snapshot_of(struct repo *r, unsigned flags, repo_snapshot_fn *fn,
	repo_snapshot_bad_fn *bad, void *arg, struct error *err)
{
	return repo_each_snapshot_named(r, NULL, flags, fn, bad, arg, err);
}

enum err
repo_each_snapshot(struct repo *r, repo_snapshot_fn *fn,
	repo_snapshot_bad_fn *bad, void *arg, struct error *err)
{
	return repo_each_snapshot_of(r, 0, fn, bad, arg, err);
}
