/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: presence and commit.
 *
 * Crash argument.  A session object without a process behind it is harmless:
 * it only keeps a later prune from taking what the session may have written,
 * until that prune fences it.  The snapshot object is created exclusively
 * and whole; before its creation nothing refers to what was written, after
 * it everything it needs is durable already.
 */
#include "repo/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"
#include "repo/box.h"

enum { TAG_TIME = 1, TAG_HOST, TAG_PID, TAG_KEYID, TAG_VIEW };

enum { START_MAX = 4096, START_BOX_MAX = 2 * START_MAX };

static const char fenced[] = "FENCED";

static void
start_name(char out[STORE_NAME_MAX + 1], const struct uid *uid)
{
	char hex[UID_HEX + 1];

	hex_encode(uid->b, UID_LEN, hex);
	(void)snprintf(out, STORE_NAME_MAX + 1, "sessions/%s.start", hex);
}

void
session_snapshot_name(char out[STORE_NAME_MAX + 1], const char *keyid,
	const struct uid *uid)
{
	char hex[UID_HEX + 1];

	hex_encode(uid->b, UID_LEN, hex);
	(void)snprintf(out, STORE_NAME_MAX + 1, "snapshots/%s/%s", keyid, hex);
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
	uint8_t keyid[KEYID_LEN] = { 0 };
	enum err rc = put_now(out, err);

	if (rc == ERR_OK && host != NULL) {
		rc = buf_put_u8(out, TAG_HOST, err);
		if (rc == ERR_OK)
			rc = buf_put_bytes(out, host, strnlen(host, 1024), err);
	}
	if (rc == ERR_OK)
		rc = put_number(out, TAG_PID, (uint64_t)getpid(), err);
	if (rc == ERR_OK && !hex_decode(s->ks->keyid, keyid, KEYID_LEN))
		rc = err_set(err, ERR_USAGE, "the key set was not unlocked");
	if (rc == ERR_OK)
		rc = buf_put_u8(out, TAG_KEYID, err);
	if (rc == ERR_OK)
		rc = buf_put_bytes(out, keyid, KEYID_LEN, err);
	if (rc == ERR_OK)
		rc = put_number(out, TAG_VIEW, 0, err);
	return rc;
}

enum err
session_begin(struct session *s, struct store *st, const struct keyset *ks,
	const char *host, struct error *err)
{
	struct buf plain = BUF_INIT(START_MAX), box = BUF_INIT(START_BOX_MAX);
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	*s = (struct session){ .st = st, .ks = ks };
	random_bytes(s->uid.b, UID_LEN);
	start_name(name, &s->uid);
	rc = put_start(&plain, s, host, err);
	if (rc == ERR_OK)
		rc = box_seal(&box, BOX_SESSION, name, &ks->structure,
			plain.data, plain.len, err);
	if (rc == ERR_OK)
		rc = store_put(st, name, box.data, box.len, err);
	s->present = rc == ERR_OK;
	buf_fini(&box);
	buf_fini(&plain);
	return rc;
}

void
session_end(struct session *s)
{
	char name[STORE_NAME_MAX + 1];
	struct error ignored;

	if (!s->present)
		return;
	start_name(name, &s->uid);
	if (store_del(s->st, name, &ignored) == ERR_OK)
		s->present = false;
}

/* The name was taken: by these very bytes, whose reply was lost, or by a
 * prune that fenced us. */
static enum err
who_was_first(struct session *s, const char *name, const struct buf *mine,
	struct error *err)
{
	struct buf there = BUF_INIT(SNAPSHOT_MAX);
	struct error why;
	bool same, fence;

	if (store_get_all(s->st, name, SNAPSHOT_MAX, &there, &why) != ERR_OK) {
		buf_fini(&there);
		return err_set(err, ERR_EXISTS,
			"%s exists and cannot be read: %.300s", name, why.msg);
	}
	same = there.len == mine->len &&
	       memcmp(there.data, mine->data, mine->len) == 0;
	fence = there.len == sizeof(fenced) - 1 &&
		memcmp(there.data, fenced, there.len) == 0;
	buf_fini(&there);
	if (same)
		return ERR_OK;
	return err_set(err, ERR_EXISTS, "%s: %s", name,
		fence ? "this session took too long and was fenced by a prune; "
			"run it again"
		      : "somebody else made this snapshot");
}

enum err
session_commit(struct session *s, const void *record, size_t len,
	struct error *err)
{
	struct buf box = BUF_INIT(SNAPSHOT_MAX);
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	session_snapshot_name(name, s->ks->keyid, &s->uid);
	rc = box_seal(&box, BOX_SNAPSHOT, name, &s->ks->structure, record, len,
		err);
	if (rc == ERR_OK) {
		rc = store_put(s->st, name, box.data, box.len, err);
		if (rc == ERR_EXISTS)
			rc = who_was_first(s, name, &box, err);
	}
	buf_fini(&box);
	return rc;
}
