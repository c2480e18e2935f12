/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/presence.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/rd.h"
#include "repo/box.h"
#include "repo/epoch.h"
#include "repo/names.h"

enum { TAG_HOST = 2, TAG_NS = 4, TAG_VIEW = 5, OBJECT_MAX = 64 << 10 };

void
presence_name(char out[STORE_NAME_MAX + 1], const struct uid *sid)
{
	char hex[UID_HEX + 1];

	hex_encode(sid->b, UID_LEN, hex);
	(void)snprintf(out, STORE_NAME_MAX + 1, "sessions/%s.start", hex);
}

bool
presence_parse(const char *name, struct uid *sid)
{
	const char *at = name;

	return names_text(&at, "sessions/") &&
	       names_hex(&at, sid->b, UID_LEN) && strcmp(at, ".start") == 0;
}

static void
take_host(struct presence *p, const uint8_t *text, size_t len)
{
	size_t n = len < PRESENCE_HOST_MAX ? len : PRESENCE_HOST_MAX;

	for (size_t i = 0; i < n; i++)
		p->host[i] =
			text[i] > ' ' && text[i] < 0x7f ? (char)text[i] : '?';
	p->host[n] = '\0';
}

static bool
decode(struct presence *p, const struct buf *plain)
{
	bool has_ns = false, has_view = false;
	struct rd rd, field;

	rd_init(&rd, plain->data, plain->len);
	while (rd_ok(&rd) && rd_left(&rd) > 0) {
		uint8_t tag = rd_u8(&rd);
		size_t len;
		const uint8_t *v = rd_bytes(&rd, rd_left(&rd), &len);

		rd_init(&field, v, len);
		if (tag == TAG_HOST) {
			take_host(p, v, len);
		} else if (tag == TAG_NS) {
			rd_copy(&field, p->ns.b, UID_LEN);
			has_ns = rd_done(&field);
		} else if (tag == TAG_VIEW) {
			p->view = rd_varint_max(&field, EPOCH_MAX);
			has_view = rd_done(&field);
		}
	}
	return rd_done(&rd) && has_ns && has_view;
}

enum err
presence_read(struct presence *out, struct store *st, const struct keyset *ks,
	const struct uid *sid, struct error *err)
{
	struct buf sealed = BUF_INIT(OBJECT_MAX), plain = BUF_INIT(OBJECT_MAX);
	struct presence found = { .view = 0 };
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	presence_name(name, sid);
	rc = store_get_all(st, name, OBJECT_MAX, &sealed, err);
	if (rc == ERR_OK)
		rc = box_open(&plain, BOX_SESSION, name, &ks->structure,
			sealed.data, sealed.len, err);
	if (rc == ERR_OK && !decode(&found, &plain))
		rc = err_set(err, ERR_CORRUPT, "%s: malformed", name);
	if (rc == ERR_OK)
		*out = found;
	buf_fini(&plain);
	buf_fini(&sealed);
	return rc;
}
