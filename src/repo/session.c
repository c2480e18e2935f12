/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: presence and commit.
 *
 * Crash argument.  A session object without a process behind it is harmless:
 * it only keeps a prune waiting, until that prune fences it.  The snapshot
 * object is created exclusively and whole; before its creation nothing refers
 * to what was written, after it everything it needs is durable already.
 *
 * The view is read before and after the session object is created.  So if it
 * is E, the list that the prune of E + 1 condemns was not there after the
 * object was; and that prune lists sessions only after it made that list.
 *
 * A snapshot that a late request creates after its fence was swept away is
 * void by a final that was there before.  So the writer looks for that final
 * after its commit, and the object of a session is removed only where no
 * request of it can be under way.
 */
#include "repo/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "repo/box.h"
#include "repo/snapshot_object.h"

enum { TAG_TIME = 1, TAG_HOST, TAG_PID, TAG_NS, TAG_VIEW };

enum { START_MAX = 4096, START_BOX_MAX = 2 * START_MAX, TRIES = 16 };

static void
start_name(char out[STORE_NAME_MAX + 1], const struct uid *uid)
{
	char hex[UID_HEX + 1];

	hex_encode(uid->b, UID_LEN, hex);
	(void)snprintf(out, STORE_NAME_MAX + 1, "sessions/%s.start", hex);
}

void
session_snapshot_name(char out[STORE_NAME_MAX + 1], const char *ns_hex,
	const struct uid *uid)
{
	char hex[UID_HEX + 1];

	hex_encode(uid->b, UID_LEN, hex);
	(void)snprintf(out, STORE_NAME_MAX + 1, "snapshots/%s/%s", ns_hex, hex);
}

static enum err
put_field(struct buf *out, uint8_t tag, const struct buf *value,
	struct error *err)
{
	enum err rc = buf_put_u8(out, tag, err);

	if (rc == ERR_OK)
		rc = buf_put_bytes(out, value->data, value->len, err);
	return rc;
}

static enum err
put_number(struct buf *out, uint8_t tag, uint64_t v, struct error *err)
{
	struct buf value = BUF_INIT(16);
	enum err rc = buf_put_varint(&value, v, err);

	if (rc == ERR_OK)
		rc = put_field(out, tag, &value, err);
	buf_fini(&value);
	return rc;
}

static enum err
put_now(struct buf *out, struct error *err)
{
	struct when now = when_now();
	struct buf value = BUF_INIT(32);
	enum err rc = buf_put_svarint(&value, now.sec, err);

	if (rc == ERR_OK)
		rc = buf_put_varint(&value, now.nsec, err);
	if (rc == ERR_OK)
		rc = put_field(out, TAG_TIME, &value, err);
	buf_fini(&value);
	return rc;
}

static enum err
put_start(struct buf *out, const struct session *s, const char *host,
	struct error *err)
{
	enum err rc = put_now(out, err);

	if (rc == ERR_OK && host != NULL) {
		rc = buf_put_u8(out, TAG_HOST, err);
		if (rc == ERR_OK)
			rc = buf_put_bytes(out, host,
				strnlen(host, SESSION_HOST_MAX), err);
	}
	if (rc == ERR_OK)
		rc = put_number(out, TAG_PID, (uint64_t)getpid(), err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, TAG_NS, err);
	if (rc == ERR_OK)
		rc = buf_put_bytes(out, s->ks->ns.b, UID_LEN, err);
	if (rc == ERR_OK)
		rc = put_number(out, TAG_VIEW, s->view, err);
	return rc;
}

/* Whether name holds just these bytes; *there holds what it does hold. */
static enum err
is_mine(struct store *st, const char *name, const struct buf *mine,
	struct buf *there, bool *same, struct error *err)
{
	enum err rc = store_get_all(st, name, there->max, there, err);

	*same = rc == ERR_OK && there->len == mine->len &&
		memcmp(there->data, mine->data, mine->len) == 0;
	return rc;
}

static enum err
create(struct session *s, const char *host, struct error *err)
{
	struct buf plain = BUF_INIT(START_MAX), box = BUF_INIT(START_BOX_MAX);
	struct buf there = BUF_INIT(START_BOX_MAX);
	char name[STORE_NAME_MAX + 1];
	bool same = false;
	enum err rc;

	random_bytes(s->uid.b, UID_LEN);
	start_name(name, &s->uid);
	rc = put_start(&plain, s, host, err);
	if (rc == ERR_OK)
		rc = box_seal(&box, BOX_SESSION, name, &s->ks->structure,
			plain.data, plain.len, err);
	if (rc == ERR_OK)
		rc = store_put(s->st, name, box.data, box.len, err);
	if (rc == ERR_EXISTS) {
		rc = is_mine(s->st, name, &box, &there, &same, err);
		if (rc == ERR_OK && !same)
			rc = err_set(err, ERR_EXISTS,
				"%s: is somebody else's session", name);
	}
	s->present = rc == ERR_OK;
	buf_fini(&there);
	buf_fini(&box);
	buf_fini(&plain);
	return rc;
}

enum err
session_begin(struct session *s, struct store *st, const struct keyset *ks,
	const char *host, struct error *err)
{
	struct epoch_state before, after;
	enum err rc;

	*s = (struct session){ .st = st, .ks = ks };
	if (ks->keyid[0] == '\0')
		return err_set(err, ERR_USAGE, "the key set was not unlocked");
	for (unsigned i = 0; i < TRIES; i++) {
		rc = epoch_read(st, &before, err);
		if (rc != ERR_OK)
			return rc;
		s->view = before.newest;
		rc = create(s, host, err);
		if (rc == ERR_OK)
			rc = epoch_read(st, &after, err);
		if (rc == ERR_OK && after.newest == s->view)
			return ERR_OK;
		session_end(s);
		if (rc != ERR_OK)
			return rc;
	}
	return err_set(err, ERR_AGAIN, "one prune after the other is at work");
}

enum err
session_dry(struct session *s, struct store *st, const struct keyset *ks,
	struct error *err)
{
	struct epoch_state now;
	enum err rc = epoch_read(st, &now, err);

	*s = (struct session){ .st = st, .ks = ks };
	random_bytes(s->uid.b, UID_LEN);
	if (rc == ERR_OK)
		s->view = now.newest;
	return rc;
}

void
session_doubt(struct session *s)
{
	s->doubtful = true;
}

void
session_end(struct session *s)
{
	char name[STORE_NAME_MAX + 1];
	struct error ignored;

	if (!s->present || s->doubtful)
		return;
	start_name(name, &s->uid);
	if (store_del(s->st, name, &ignored) == ERR_OK)
		s->present = false;
}

static enum err
fenced(const char *name, struct error *err)
{
	return err_set(err, ERR_EXISTS,
		"%s: this session took too long and was fenced by a prune; run "
		"it again",
		name);
}

/* The name was taken: by these very bytes, whose reply was lost, or by a
 * prune that fenced us; or it is free again, then the fence was swept. */
static enum err
who_was_first(const struct session *s, const char *name, const struct buf *mine,
	struct error *err)
{
	struct buf there = BUF_INIT(SNAPSHOT_MAX);
	bool same;
	enum err rc = is_mine(s->st, name, mine, &there, &same, err);

	if (rc == ERR_NOTFOUND ||
		(rc == ERR_OK &&
			snapshot_object_is_fence(there.data, there.len)))
		rc = fenced(name, err);
	else if (rc != ERR_OK)
		rc = err_wrap(err, "whose snapshot there is cannot be told");
	else if (!same)
		rc = err_set(err, ERR_EXISTS,
			"%s: somebody else made this snapshot", name);
	buf_fini(&there);
	return rc;
}

/* The snapshot is there; whether it counts. */
static enum err
look_again(const struct session *s, const struct snapshot_name *snap,
	const char *name, struct error *err)
{
	struct counting c;
	enum err rc = counting_read(s->st, s->ks, &c, err);

	if (rc != ERR_OK)
		return err_wrap(err,
			"the snapshot was stored, but whether a prune was "
			"first cannot be told");
	if (!counting_snapshot(&c, snap, s->view))
		rc = fenced(name, err);
	counting_fini(&c);
	return rc;
}

enum err
session_commit(struct session *s, const void *record, size_t len,
	struct error *err)
{
	const struct snapshot_name snap = { s->ks->ns, s->uid };
	struct buf box = BUF_INIT(SNAPSHOT_MAX);
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	session_snapshot_name(name, s->ks->ns_hex, &s->uid);
	rc = snapshot_object_seal(&box, s->ks, name, s->view, record, len, err);
	if (rc != ERR_OK)
		goto out;
	s->doubtful = true;
	rc = store_put(s->st, name, box.data, box.len, err);
	if (rc == ERR_EXISTS)
		rc = who_was_first(s, name, &box, err);
	if (rc == ERR_OK)
		rc = look_again(s, &snap, name, err);
	s->doubtful = rc != ERR_OK && rc != ERR_EXISTS;
out:
	buf_fini(&box);
	return rc;
}
