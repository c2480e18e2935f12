/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/mark_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/rd.h"
#include "repo/names.h"

enum { TAG_TIME = 1, TAG_REASON = 2, TIME_MAX = 32 };

static const char forgotten[] = "forgotten/";
static const char holds[] = "holds/";
static const char end_suffix[] = ".end";

enum box_kind
mark_object_box(enum mark_kind kind)
{
	switch (kind) {
	case MARK_FORGOTTEN:
		return BOX_FORGOTTEN;
	case MARK_END:
		return BOX_FORGOTTEN_END;
	case MARK_HOLD:
		break;
	}
	return BOX_HOLD;
}

void
mark_object_name(char out[STORE_NAME_MAX + 1], const struct mark_object *o)
{
	char ns[UID_HEX + 1], sid[UID_HEX + 1];

	hex_encode(o->name.ns.b, UID_LEN, ns);
	hex_encode(o->name.sid.b, UID_LEN, sid);
	if (o->kind == MARK_HOLD)
		(void)snprintf(out, STORE_NAME_MAX + 1, "%s%s/%s", holds, ns,
			sid);
	else
		(void)snprintf(out, STORE_NAME_MAX + 1, "%s%s/%s.%" PRIu64 "%s",
			forgotten, ns, sid, o->k,
			o->kind == MARK_END ? end_suffix : "");
}

bool
mark_object_parse(struct mark_object *out, const char *name)
{
	struct mark_object o = { .kind = MARK_HOLD };
	const char *at = name;

	if (!names_text(&at, holds)) {
		o.kind = MARK_FORGOTTEN;
		if (!names_text(&at, forgotten))
			return false;
	}
	if (!names_hex(&at, o.name.ns.b, UID_LEN) || !names_text(&at, "/") ||
		!names_hex(&at, o.name.sid.b, UID_LEN))
		return false;
	if (o.kind == MARK_FORGOTTEN) {
		if (!names_text(&at, ".") || !names_number(&at, &o.k))
			return false;
		if (names_text(&at, end_suffix))
			o.kind = MARK_END;
	}
	if (*at != '\0')
		return false;
	*out = o;
	return true;
}

enum err
mark_object_encode(struct buf *out, const struct when *time, const char *reason,
	struct error *err)
{
	struct buf value = BUF_INIT(TIME_MAX);
	enum err rc;

	if (strlen(reason) > MARK_REASON_MAX)
		return err_set(err, ERR_USAGE,
			"a reason of %zu bytes is too long; %d are the most",
			strlen(reason), MARK_REASON_MAX);
	rc = buf_put_svarint(&value, time->sec, err);
	if (rc == ERR_OK)
		rc = buf_put_varint(&value, time->nsec, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, TAG_TIME, err);
	if (rc == ERR_OK)
		rc = buf_put_bytes(out, value.data, value.len, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, TAG_REASON, err);
	if (rc == ERR_OK)
		rc = buf_put_str(out, reason, err);
	buf_fini(&value);
	return rc;
}

static bool
take_time(const uint8_t *data, size_t len, struct when *out)
{
	struct rd r;

	rd_init(&r, data, len);
	out->sec = rd_svarint(&r);
	out->nsec = (uint32_t)rd_varint_max(&r, 999999999);
	return rd_done(&r);
}

enum err
mark_object_decode(const uint8_t *data, size_t len, struct when *time,
	const uint8_t **reason, size_t *reason_len, struct error *err)
{
	const uint8_t *text = NULL;
	size_t text_len = 0;
	bool has_time = false, ok = true;
	struct when when = { 0 };
	struct rd r;

	rd_init(&r, data, len);
	while (ok && rd_ok(&r) && rd_left(&r) > 0) {
		uint8_t tag = rd_u8(&r);
		size_t n = 0;
		const uint8_t *value = rd_bytes(&r, MARK_PLAIN_MAX, &n);

		if (!rd_ok(&r))
			break;
		if (tag == TAG_TIME) {
			ok = !has_time && take_time(value, n, &when);
			has_time = true;
		} else if (tag == TAG_REASON) {
			ok = text == NULL && n <= MARK_REASON_MAX &&
			     memchr(value, '\0', n) == NULL;
			text = value;
			text_len = n;
		}
	}
	if (!ok || !rd_done(&r) || !has_time)
		return err_set(err, ERR_CORRUPT, "malformed");
	*time = when;
	*reason = text;
	*reason_len = text_len;
	return ERR_OK;
}

enum err
mark_object_decode_end(const uint8_t *data, size_t len, enum mark_end *out,
	struct error *err)
{
	if (len != 1 || (data[0] != MARK_UNDELETED && data[0] != MARK_SWEPT))
		return err_set(err, ERR_CORRUPT, "malformed");
	*out = (enum mark_end)data[0];
	return ERR_OK;
}
