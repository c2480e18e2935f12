/* SPDX-License-Identifier: Apache-2.0 */
#include "format/rbd_export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/rd.h"

static const char image_banner[] = "rbd image v2\n";
static const char diffs_banner[] = "rbd image diffs v2\n";

enum { DIFFS_BANNER = sizeof(diffs_banner) - 1 };

/* A record's tag and length, and where it is. */
struct record {
	uint8_t tag;
	uint64_t at, len;
};

void
rbd_export_head_fini(struct rbd_export_head *h)
{
	for (size_t i = 0; i < h->n_meta; i++) {
		free(h->meta[i].key);
		free(h->meta[i].value);
	}
	free(h->meta);
	*h = (struct rbd_export_head){ 0 };
}

bool
rbd_export_is(const void *banner, size_t len)
{
	return len >= RBD_EXPORT_BANNER &&
	       memcmp(banner, image_banner, RBD_EXPORT_BANNER) == 0;
}

/* ---- reading ---- */

static enum err
truncated(uint64_t at, struct error *err)
{
	return err_set(err, ERR_CORRUPT,
		"at byte %" PRIu64 ": the stream ends within this record", at);
}

static enum err
take(struct rbd_in *in, uint64_t at, void *data, size_t len, struct error *err)
{
	size_t got = 0;
	enum err rc = rbd_in_read(in, data, len, &got, err);

	if (rc == ERR_OK && got < len)
		rc = truncated(at, err);
	return rc;
}

static enum err
take_u64(struct rbd_in *in, uint64_t at, uint64_t *out, struct error *err)
{
	uint8_t room[sizeof(uint64_t)];
	struct rd rd;
	enum err rc = take(in, at, room, sizeof(room), err);

	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, room, sizeof(room));
	*out = rd_u64(&rd);
	return ERR_OK;
}

static enum err
take_banner(struct rbd_in *in, const char *want, size_t len, struct error *err)
{
	uint64_t at = rbd_in_at(in);
	char got[sizeof(diffs_banner)];
	enum err rc = take(in, at, got, len, err);

	if (rc != ERR_OK || memcmp(got, want, len) == 0)
		return rc;
	return err_set(err, ERR_CORRUPT, "at byte %" PRIu64 ": no '%.*s'", at,
		(int)len - 1, want);
}

static enum err
take_number(struct rbd_in *in, const struct record *rec, uint64_t *out,
	struct error *err)
{
	if (rec->len != sizeof(uint64_t))
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": a record '%c' of %" PRIu64
			" bytes",
			rec->at, rec->tag, rec->len);
	return take_u64(in, rec->at, out, err);
}

static enum err
take_order(struct rbd_in *in, const struct record *rec, unsigned *order,
	struct error *err)
{
	uint64_t n = 0;
	enum err rc = take_number(in, rec, &n, err);

	if (rc != ERR_OK)
		return rc;
	if (n < RBD_ORDER_MIN || n > RBD_ORDER_MAX)
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": objects of order %" PRIu64,
			rec->at, n);
	*order = (unsigned)n;
	return ERR_OK;
}

/* A text with its length before it; *used grows by both. */
static enum err
take_text(struct rbd_in *in, const struct record *rec, char **out,
	uint64_t *used, struct error *err)
{
	uint8_t room[sizeof(uint32_t)];
	struct rd rd;
	uint32_t len;
	enum err rc = take(in, rec->at, room, sizeof(room), err);

	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, room, sizeof(room));
	len = rd_u32(&rd);
	if (len > RBD_EXPORT_TEXT_MAX)
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": metadata of %" PRIu32 " bytes",
			rec->at, len);
	*out = calloc(1, (size_t)len + 1);
	if (*out == NULL)
		return err_set(err, ERR_NOMEM, "no memory for metadata");
	*used += sizeof(room) + (uint64_t)len;
	rc = take(in, rec->at, *out, len, err);
	if (rc == ERR_OK && memchr(*out, '\0', len) != NULL)
		rc = err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": metadata with a zero byte in it",
			rec->at);
	return rc;
}

static enum err
take_meta(struct rbd_export_head *h, size_t *cap, struct rbd_in *in,
	const struct record *rec, struct error *err)
{
	struct rbd_export_meta m = { NULL, NULL }, *v;
	uint64_t used = 0;
	enum err rc;

	if (h->n_meta == RBD_EXPORT_META_MAX)
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": more than %d pairs of metadata",
			rec->at, RBD_EXPORT_META_MAX);
	rc = take_text(in, rec, &m.key, &used, err);
	if (rc == ERR_OK)
		rc = take_text(in, rec, &m.value, &used, err);
	if (rc == ERR_OK && used != rec->len)
		rc = err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": metadata of %" PRIu64
			" bytes, %" PRIu64 " are wanted",
			rec->at, rec->len, used);
	v = rc == ERR_OK ? array_grow(h->meta, h->n_meta, cap, sizeof(*v), err)
			 : NULL;
	if (v == NULL) {
		free(m.key);
		free(m.value);
		return err->code;
	}
	h->meta = v;
	h->meta[h->n_meta++] = m;
	return ERR_OK;
}

static enum err
take_record(struct rbd_export_head *h, size_t *cap, struct rbd_in *in,
	const struct record *rec, struct error *err)
{
	bool there = false;
	enum err rc;

	switch (rec->tag) {
	case 'O':
		return take_order(in, rec, &h->order, err);
	case 'T':
		return take_number(in, rec, &h->features, err);
	case 'U':
		return take_number(in, rec, &h->stripe_unit, err);
	case 'C':
		return take_number(in, rec, &h->stripe_count, err);
	case 'M':
		return take_meta(h, cap, in, rec, err);
	default:
		break;
	}
	h->unknown++;
	rc = rbd_in_skip(in, rec->len, &there, err);
	return rc == ERR_OK && !there ? truncated(rec->at, err) : rc;
}

enum err
rbd_export_read_head(struct rbd_export_head *h, struct rbd_in *in,
	struct error *err)
{
	struct record rec = { 0 };
	size_t cap = 0;
	enum err rc;

	*h = (struct rbd_export_head){ 0 };
	rc = take_banner(in, image_banner, RBD_EXPORT_BANNER, err);
	while (rc == ERR_OK) {
		rec.at = rbd_in_at(in);
		rc = take(in, rec.at, &rec.tag, 1, err);
		if (rc != ERR_OK || rec.tag == 'E')
			break;
		rc = take_u64(in, rec.at, &rec.len, err);
		if (rc == ERR_OK)
			rc = take_record(h, &cap, in, &rec, err);
	}
	if (rc == ERR_OK)
		rc = take_banner(in, diffs_banner, DIFFS_BANNER, err);
	if (rc == ERR_OK)
		rc = take_u64(in, rbd_in_at(in), &h->n_diffs, err);
	if (rc != ERR_OK)
		rbd_export_head_fini(h);
	return rc;
}

/* ---- writing ---- */

static enum err
put_number(struct buf *b, char tag, uint64_t n, struct error *err)
{
	enum err rc = buf_put_u8(b, (uint8_t)tag, err);

	if (rc == ERR_OK)
		rc = buf_put_u64(b, sizeof(n), err);
	if (rc == ERR_OK)
		rc = buf_put_u64(b, n, err);
	return rc;
}

static enum err
put_text(struct buf *b, const char *text, struct error *err)
{
	size_t len = strlen(text);
	enum err rc;

	if (len > RBD_EXPORT_TEXT_MAX)
		return err_set(err, ERR_USAGE, "metadata of %zu bytes", len);
	rc = buf_put_u32(b, (uint32_t)len, err);
	if (rc == ERR_OK)
		rc = buf_put(b, text, len, err);
	return rc;
}

static enum err
put_meta(struct buf *b, const struct rbd_export_meta *m, struct error *err)
{
	uint64_t len = 2 * sizeof(uint32_t) + strlen(m->key) + strlen(m->value);
	enum err rc = buf_put_u8(b, 'M', err);

	if (rc == ERR_OK)
		rc = buf_put_u64(b, len, err);
	if (rc == ERR_OK)
		rc = put_text(b, m->key, err);
	if (rc == ERR_OK)
		rc = put_text(b, m->value, err);
	return rc;
}

static enum err
put_numbers(struct buf *b, const struct rbd_export_head *h, struct error *err)
{
	enum err rc = buf_put(b, image_banner, RBD_EXPORT_BANNER, err);

	if (rc == ERR_OK && h->order > 0)
		rc = put_number(b, 'O', h->order, err);
	if (rc == ERR_OK && h->features > 0)
		rc = put_number(b, 'T', h->features, err);
	if (rc == ERR_OK && h->stripe_unit > 0)
		rc = put_number(b, 'U', h->stripe_unit, err);
	if (rc == ERR_OK && h->stripe_count > 0)
		rc = put_number(b, 'C', h->stripe_count, err);
	return rc;
}

enum err
rbd_export_write_head(struct rbd_out *out, const struct rbd_export_head *h,
	struct error *err)
{
	struct buf b = BUF_INIT(4 * (size_t)RBD_EXPORT_TEXT_MAX);
	enum err rc = put_numbers(&b, h, err);

	for (size_t i = 0; i < h->n_meta && rc == ERR_OK; i++) {
		rc = put_meta(&b, &h->meta[i], err);
		if (rc == ERR_OK)
			rc = rbd_out_put(out, b.data, b.len, err);
		buf_clear(&b);
	}
	if (rc == ERR_OK)
		rc = buf_put_u8(&b, 'E', err);
	if (rc == ERR_OK)
		rc = buf_put(&b, diffs_banner, DIFFS_BANNER, err);
	if (rc == ERR_OK)
		rc = buf_put_u64(&b, h->n_diffs, err);
	if (rc == ERR_OK)
		rc = rbd_out_put(out, b.data, b.len, err);
	buf_fini(&b);
	return rc;
}
