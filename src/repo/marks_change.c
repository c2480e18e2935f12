/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marks_change: each function creates one object, or two; only release and
 * remove delete, and hold where it came too late.
 *
 * Crash argument.  A forgotten mark F (SID.K) lasts until its end E (SID.K.end)
 * says undeleted; E is created exclusively, so that of an undelete and a sweep
 * one wins, for good.  Of a hold H and a mark F:
 *
 *   hold     looks that there is no F, creates H, looks for F; creates E if
 *            there is one, and withdraws H where E says swept
 *   forget   looks that there is no H, creates F, looks for H; creates E if
 *            there is one
 *
 * If hold succeeded, H was there before it looked for F the second time.  An
 * F that it did not see was made later, so H was there before it; whoever
 * lists marks before holds, as marks_read does, and finds F, finds H.  Then F
 * counts for nothing until there is an E.  So no crash and no delay between
 * these steps makes a prune sweep a snapshot that was held; and a snapshot
 * that is marked and then neither held nor swept is still there.
 *
 * Marks are removed when the snapshot is gone, ends first, then the marks from
 * the highest number down: what a kill leaves is a mark that is swept again.
 * Whoever made an end, or a hold, late looks whether the snapshot is there
 * still.
 */
#include "repo/marks.h"

#include <string.h>

#include "repo/maintenance.h"
#include "repo/mark_object.h"
#include "repo/marks_look.h"
#include "repo/session.h"

/* How often others may get in the way before it is an error. */
enum { ROUNDS_MAX = 100, STRAYS_MAX = 1 << 28 };

static enum err
may_sign(const struct keyset *ks, struct error *err)
{
	if (ks->has_maint)
		return ERR_OK;
	return err_set(err, ERR_DENIED,
		"a key of role %s may not forget, undelete, hold or release "
		"snapshots; admin and maintainer may",
		role_name(ks->role));
}

static enum err
put(struct store *st, const struct keyset *ks, const struct mark_object *o,
	const void *data, size_t len, struct error *err)
{
	char name[STORE_NAME_MAX + 1];

	mark_object_name(name, o);
	return maintenance_put(st, ks, mark_object_box(o->kind), name, data,
		len, err);
}

static enum err
put_reason(struct store *st, const struct keyset *ks,
	const struct mark_object *o, const char *reason, struct error *err)
{
	struct buf plain = BUF_INIT(MARK_PLAIN_MAX);
	struct when now = when_now();
	enum err rc = mark_object_encode(&plain, &now, reason, err);

	if (rc == ERR_OK)
		rc = put(st, ks, o, plain.data, plain.len, err);
	buf_fini(&plain);
	return rc;
}

static enum err
read_end(struct store *st, const struct keyset *ks, const struct mark_object *o,
	enum mark_end *out, struct error *err)
{
	struct buf plain = BUF_INIT(MAINTENANCE_MAX);
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	mark_object_name(name, o);
	rc = maintenance_get(st, ks, BOX_FORGOTTEN_END, name, &plain, err);
	if (rc == ERR_OK && mark_object_decode_end(plain.data, plain.len, out,
				    err) != ERR_OK)
		rc = err_wrap(err, "%s", name);
	buf_fini(&plain);
	return rc;
}

/*
 * End the mark in this way, if nobody has ended it; *out is how it ended.  An
 * end that is there and then is not was removed with the snapshot.
 */
static enum err
put_end(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, uint64_t k, enum mark_end *out,
	struct error *err)
{
	struct mark_object o = { MARK_END, *name, k };
	struct error why = ERROR_INIT;
	uint8_t byte = (uint8_t)*out;
	enum err rc;

	rc = put(st, ks, &o, &byte, 1, &why);
	if (rc == ERR_EXISTS) {
		rc = read_end(st, ks, &o, out, &why);
		if (rc == ERR_NOTFOUND) {
			*out = MARK_SWEPT;
			return ERR_OK;
		}
	}
	if (rc != ERR_OK)
		*err = why;
	return rc;
}

static enum err
del(struct store *st, const struct mark_object *o, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	enum err rc;

	mark_object_name(name, o);
	rc = store_del(st, name, &why);
	if (rc == ERR_OK || rc == ERR_NOTFOUND)
		return ERR_OK;
	*err = why;
	return rc;
}

/* ERR_NOTFOUND where it is gone. */
static enum err
still_there(struct store *st, const struct snapshot_name *name,
	struct error *err)
{
	char ns[UID_HEX + 1], object[STORE_NAME_MAX + 1];
	uint64_t size;

	hex_encode(name->ns.b, UID_LEN, ns);
	session_snapshot_name(object, ns, &name->sid);
	return store_size(st, object, &size, err);
}

static enum err
tell(const struct snapshot_name *name, enum err code, const char *what,
	struct error *err)
{
	char sid[UID_HEX + 1];

	hex_encode(name->sid.b, UID_LEN, sid);
	return err_set(err, code, "snapshot %.8s %s", sid, what);
}

static enum err
is_held(const struct snapshot_name *name, struct error *err)
{
	return tell(name, ERR_USAGE,
		"is held, and so cannot be forgotten; release it first", err);
}

static enum err
is_swept(const struct snapshot_name *name, enum err code, struct error *err)
{
	return tell(name, code,
		"was forgotten, and a prune is removing it or has removed it",
		err);
}

static enum err
gets_in_the_way(const struct snapshot_name *name, struct error *err)
{
	return tell(name, ERR_IO,
		"is forgotten and undeleted again and again by others, or "
		"objects that mean nothing lie below forgotten/",
		err);
}

/*
 * Create the next mark.  Numbers that are taken by what means nothing, or by
 * somebody else's mark that has come and gone meanwhile, are passed over.
 */
static enum err
put_forgotten(struct store *st, const struct keyset *ks, struct mark *m,
	const char *reason, struct error *err)
{
	struct mark_object o = { MARK_FORGOTTEN, m->name,
		m->has_k ? m->k + 1 : 0 };
	struct error why = ERROR_INIT;
	enum err rc = ERR_EXISTS;

	for (unsigned n = 0; n < ROUNDS_MAX && o.k <= MARK_K_MAX; n++, o.k++) {
		rc = put_reason(st, ks, &o, reason, &why);
		if (rc == ERR_OK) {
			m->has_k = true;
			m->k = o.k;
			return ERR_OK;
		}
		if (rc != ERR_EXISTS) {
			*err = why;
			return rc;
		}
		rc = marks_look(st, ks, &m->name, m, err);
		if (rc != ERR_OK || m->forgotten || m->held)
			return rc;
	}
	return gets_in_the_way(&m->name, err);
}

/* Somebody may have held it before it saw the mark. */
static enum err
yield_to_hold(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err)
{
	enum mark_end end;
	struct mark m = { 0 };
	enum err rc;

	for (unsigned n = 0; n < ROUNDS_MAX; n++) {
		rc = marks_look(st, ks, name, &m, err);
		if (rc != ERR_OK)
			return rc;
		if (!m.held || m.swept)
			return ERR_OK;
		if (!m.has_k)
			return is_held(name, err);
		end = MARK_UNDELETED;
		rc = put_end(st, ks, name, m.k, &end, err);
		if (rc != ERR_OK)
			return rc;
		if (end == MARK_UNDELETED)
			return is_held(name, err);
	}
	return gets_in_the_way(name, err);
}

enum err
marks_forget(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, const char *reason, struct error *err)
{
	struct mark m = { 0 };
	enum err rc;

	rc = may_sign(ks, err);
	if (rc == ERR_OK)
		rc = marks_look(st, ks, name, &m, err);
	if (rc != ERR_OK || m.forgotten)
		return rc;
	if (m.held)
		return is_held(name, err);
	rc = put_forgotten(st, ks, &m, reason, err);
	return rc == ERR_OK ? yield_to_hold(st, ks, name, err) : rc;
}

/*
 * End every mark that has no end; there is one, unless somebody who made it
 * slept.  ERR_EXISTS where one ended otherwise.
 */
static enum err
end_marks(struct store *st, const struct keyset *ks, const struct mark *first,
	struct error *err)
{
	struct mark m = *first;
	enum mark_end end;
	uint64_t before;
	enum err rc;

	for (unsigned n = 0; n < ROUNDS_MAX; n++) {
		before = m.k;
		end = MARK_UNDELETED;
		rc = put_end(st, ks, &m.name, m.k, &end, err);
		if (rc != ERR_OK)
			return rc;
		if (end == MARK_SWEPT)
			return is_swept(&m.name, ERR_EXISTS, err);
		rc = marks_look(st, ks, &m.name, &m, err);
		if (rc != ERR_OK)
			return rc;
		if (m.swept)
			return is_swept(&m.name, ERR_EXISTS, err);
		if (!m.has_k || m.k == before)
			return ERR_OK;
	}
	return gets_in_the_way(&m.name, err);
}

enum err
marks_undelete(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err)
{
	struct mark_object o = { .kind = MARK_END, .name = *name };
	struct error why = ERROR_INIT;
	struct mark m = { 0 };
	enum err rc;

	rc = may_sign(ks, err);
	if (rc == ERR_OK)
		rc = marks_look(st, ks, name, &m, err);
	if (rc != ERR_OK)
		return rc;
	if (!m.forgotten)
		return tell(name, ERR_NOTFOUND, "is not forgotten", err);
	if (m.swept)
		return is_swept(name, ERR_EXISTS, err);
	rc = end_marks(st, ks, &m, err);
	if (rc != ERR_OK)
		return rc;
	rc = still_there(st, name, &why);
	if (rc == ERR_NOTFOUND) {
		/* The end that came too late is nobody's; where it stays, it
		 * means nothing. */
		o.k = m.k;
		(void)del(st, &o, &why);
		return is_swept(name, ERR_EXISTS, err);
	}
	if (rc != ERR_OK)
		*err = why;
	return rc;
}

enum err
marks_sweep(struct store *st, const struct keyset *ks, const struct doomed *d,
	bool *swept, struct error *err)
{
	enum mark_end end = MARK_SWEPT;
	struct error why = ERROR_INIT;
	enum err rc;

	rc = put_end(st, ks, &d->name, d->k, &end, &why);
	/* An end that means nothing is in the way: the snapshot stays. */
	if (rc == ERR_CORRUPT || rc == ERR_VERSION) {
		*swept = false;
		return ERR_OK;
	}
	if (rc != ERR_OK) {
		*err = why;
		return rc;
	}
	*swept = end == MARK_SWEPT;
	return ERR_OK;
}

/* How many numbers are taken, by whatever. */
static enum err
count_marks(struct store *st, const struct snapshot_name *name, uint64_t *out,
	struct error *err)
{
	struct mark_object o = { MARK_FORGOTTEN, *name, 0 };
	char object[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	uint64_t size;
	enum err rc = ERR_OK;

	for (;; o.k++) {
		mark_object_name(object, &o);
		rc = store_size(st, object, &size, &why);
		if (rc != ERR_OK)
			break;
	}
	*out = o.k;
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	*err = why;
	return rc;
}

struct stray {
	const struct snapshot_name *name;
	struct buf found; /* struct mark_object */
};

static enum err
on_stray(void *arg, const char *object, uint64_t size, struct error *err)
{
	struct stray *s = arg;
	struct mark_object o;

	if (!mark_object_parse(&o, object) ||
		memcmp(&o.name, s->name, sizeof(o.name)) != 0)
		return ERR_OK;
	return buf_put(&s->found, &o, sizeof(o), err);
}

/* Ends and marks without the first mark: made by somebody who slept until
 * that was removed. */
static enum err
remove_strays(struct store *st, const struct snapshot_name *name,
	struct error *err)
{
	char prefix[sizeof("forgotten/") + UID_HEX] = "forgotten/";
	struct stray s = { name, BUF_INIT(STRAYS_MAX) };
	struct mark_object o;
	enum err rc;

	hex_encode(name->ns.b, UID_LEN, prefix + strlen(prefix));
	rc = store_list(st, prefix, on_stray, &s, err);
	for (size_t at = 0; rc == ERR_OK && at < s.found.len; at += sizeof(o)) {
		memcpy(&o, s.found.data + at, sizeof(o));
		rc = del(st, &o, err);
	}
	buf_fini(&s.found);
	return rc;
}

enum err
marks_remove(struct store *st, const struct snapshot_name *name,
	struct error *err)
{
	struct mark_object hold = { MARK_HOLD, *name, 0 };
	uint64_t n = 0;
	enum err rc;

	rc = count_marks(st, name, &n, err);
	if (rc == ERR_OK && n == 0)
		rc = remove_strays(st, name, err);
	for (uint64_t k = 0; rc == ERR_OK && k < n; k++)
		rc = del(st, &(struct mark_object){ MARK_END, *name, k }, err);
	for (uint64_t k = n; rc == ERR_OK && k > 0; k--)
		rc = del(st,
			&(struct mark_object){ MARK_FORGOTTEN, *name, k - 1 },
			err);
	return rc == ERR_OK ? del(st, &hold, err) : rc;
}

/* The hold is there: against whoever did not see it. */
static enum err
defend(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err)
{
	struct mark m = { 0 };
	enum err rc;

	rc = marks_look(st, ks, name, &m, err);
	if (rc != ERR_OK)
		return rc;
	if (m.has_k && !m.swept)
		rc = end_marks(st, ks, &m, err);
	else if (m.swept)
		rc = is_swept(name, ERR_EXISTS, err);
	return rc == ERR_OK ? still_there(st, name, err) : rc;
}

enum err
marks_hold(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, const char *reason, struct error *err)
{
	struct mark_object o = { .kind = MARK_HOLD, .name = *name };
	struct error why = ERROR_INIT;
	struct mark m = { 0 };
	enum err rc;

	rc = may_sign(ks, err);
	if (rc == ERR_OK)
		rc = marks_look(st, ks, name, &m, err);
	if (rc != ERR_OK)
		return rc;
	if (m.forgotten)
		return tell(name, ERR_USAGE, "is forgotten; undelete it first",
			err);
	if (!m.held)
		rc = put_reason(st, ks, &o, reason, &why);
	if (rc == ERR_EXISTS) {
		rc = marks_look(st, ks, name, &m, err);
		if (rc != ERR_OK)
			return rc;
		rc = m.held ? ERR_OK : why.code;
	}
	if (rc != ERR_OK) {
		*err = why;
		return rc;
	}
	rc = defend(st, ks, name, err);
	if (rc != ERR_EXISTS && rc != ERR_NOTFOUND)
		return rc;
	/* Where the hold stays, it holds what is gone. */
	if (del(st, &o, &why) != ERR_OK)
		(void)err_wrap(err, "a hold is left over");
	return rc == ERR_EXISTS ? is_swept(name, ERR_USAGE, err) : rc;
}

enum err
marks_release(struct store *st, const struct keyset *ks,
	const struct snapshot_name *name, struct error *err)
{
	struct mark_object o = { .kind = MARK_HOLD, .name = *name };
	char object[STORE_NAME_MAX + 1];
	struct mark m = { 0 };
	enum err rc;

	rc = may_sign(ks, err);
	if (rc == ERR_OK)
		rc = marks_look(st, ks, name, &m, err);
	/* A mark that the hold has kept from counting must not count now. */
	if (rc == ERR_OK && m.held && m.has_k && !m.swept)
		rc = end_marks(st, ks, &m, err);
	if (rc != ERR_OK)
		return rc;
	mark_object_name(object, &o);
	rc = store_del(st, object, err);
	if (rc != ERR_NOTFOUND)
		return rc;
	return tell(name, ERR_NOTFOUND, "is not held", err);
}
