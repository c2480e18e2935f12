/* SPDX-License-Identifier: Apache-2.0 */
/* pack_table: the table and trailer of a pack, written and walked. */
#include "repo/pack.h"

#include <string.h>

#include "codec/hash.h"

enum { MAGIC_LEN = 8, EPK_OFF = 16, ENVELOPE_LEN = 4 + KX_PUBLIC };

static const char magic[] = "cofferPE";

static void
table_key(struct secret *out, const struct secret *structure,
	const uint8_t header[PACK_HEADER])
{
	hash_derive(out, "coffer 1 pack table", structure->b, SECRET_LEN,
		header + EPK_OFF, KX_PUBLIC);
}

static enum err
put_plain(struct buf *out, const struct pack_table_conf *conf,
	struct error *err)
{
	size_t start = out->len, end;
	enum err rc;

	rc = buf_put_varint(out, conf->n_foreign, err);
	for (uint32_t i = 0; i < conf->n_foreign && rc == ERR_OK; i++) {
		rc = buf_put_u32(out, conf->foreign[i].epoch, err);
		if (rc == ERR_OK)
			rc = buf_put(out, conf->foreign[i].epk.b, KX_PUBLIC,
				err);
	}
	if (rc == ERR_OK)
		rc = buf_put_varint(out, conf->n_recs, err);
	for (uint32_t i = 0; i < conf->n_recs && rc == ERR_OK; i++)
		rc = record_put(out, &conf->recs[i], err);
	if (rc != ERR_OK)
		return rc;
	end = conf->body_len + out->len - start + AEAD_TAG + PACK_TRAILER;
	return buf_put_zero(out, (PACK_ALIGN - end % PACK_ALIGN) % PACK_ALIGN,
		err);
}

static enum err
put_trailer(struct buf *out, size_t table_len, struct error *err)
{
	enum err rc;

	if (table_len > PACK_TABLE_MAX)
		return err_set(err, ERR_NOMEM, "table of a pack is too large");
	rc = buf_put_u32(out, (uint32_t)table_len, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, 0, err);
	if (rc == ERR_OK)
		rc = buf_put(out, magic, MAGIC_LEN, err);
	return rc;
}

enum err
pack_table_seal(struct buf *out, const struct pack_table_conf *conf,
	struct error *err)
{
	size_t start = out->len, plain;
	uint8_t header[PACK_HEADER];
	struct aead *aead = NULL;
	struct secret key;
	struct aead_args args = { &key, 0, header, PACK_HEADER };
	enum err rc;

	pack_header_encode(conf->header, header);
	table_key(&key, conf->structure, header);
	rc = put_plain(out, conf, err);
	if (rc != ERR_OK)
		goto out;
	plain = out->len - start;
	rc = buf_put_zero(out, AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = aead_new(&aead, err);
	if (rc == ERR_OK)
		rc = aead_seal(aead, &args, out->data + start, plain,
			out->data + start, err);
	if (rc == ERR_OK)
		rc = put_trailer(out, plain + AEAD_TAG, err);
out:
	aead_free(aead);
	secret_wipe(&key);
	return rc;
}

enum err
pack_table_len(uint32_t *table_len, const uint8_t trailer[PACK_TRAILER],
	uint64_t pack_size, struct error *err)
{
	uint32_t len;
	struct rd rd;

	if (memcmp(trailer + 8, magic, MAGIC_LEN) != 0)
		return err_set(err, ERR_CORRUPT, "does not end as a pack");
	rd_init(&rd, trailer, 4);
	len = rd_u32(&rd);
	if (len < AEAD_TAG || len > PACK_TABLE_MAX ||
		pack_size < PACK_HEADER + PACK_TRAILER ||
		len > pack_size - PACK_HEADER - PACK_TRAILER)
		return err_set(err, ERR_CORRUPT, "damaged trailer");
	*table_len = len;
	return ERR_OK;
}

enum err
pack_table_open(struct buf *out, const struct secret *structure,
	const uint8_t header[PACK_HEADER], const uint8_t *sealed, size_t len,
	struct error *err)
{
	struct aead *aead = NULL;
	struct secret key;
	struct aead_args args = { &key, 0, header, PACK_HEADER };
	enum err rc;

	buf_clear(out);
	rc = buf_reserve(out, len + 1, err);
	if (rc != ERR_OK)
		return rc;
	rc = aead_new(&aead, err);
	if (rc != ERR_OK)
		return rc;
	table_key(&key, structure, header);
	rc = aead_open(aead, &args, sealed, len, out->data, err);
	if (rc == ERR_OK)
		out->len = len - AEAD_TAG;
	else if (rc == ERR_CORRUPT)
		rc = err_set(err, ERR_CORRUPT, "damaged header or table");
	secret_wipe(&key);
	aead_free(aead);
	return rc;
}

static enum err
damaged(struct error *err)
{
	return err_set(err, ERR_CORRUPT, "its table is not well-formed");
}

enum err
pack_table_begin(struct pack_table *t, const void *data, size_t len,
	struct error *err)
{
	rd_init(&t->rd, data, len);
	t->n_foreign = (uint32_t)rd_varint_max(&t->rd, PACK_FOREIGN_MAX);
	t->foreign = rd_raw(&t->rd, (size_t)t->n_foreign * ENVELOPE_LEN);
	t->n_recs = (uint32_t)rd_varint_max(&t->rd, PACK_RECORDS_MAX);
	t->at = 0;
	t->off = PACK_HEADER;
	return rd_ok(&t->rd) ? ERR_OK : damaged(err);
}

enum err
pack_table_next(struct pack_table *t, struct record *r, uint64_t *off,
	struct error *err)
{
	record_get(&t->rd, r);
	if (t->at == t->n_recs || !rd_ok(&t->rd) || r->envelope > t->n_foreign)
		return damaged(err);
	*off = t->off;
	t->off += r->stored_len;
	t->at++;
	return ERR_OK;
}

enum err
pack_table_end(const struct pack_table *t, uint64_t records_end,
	struct error *err)
{
	bool zero = true;

	for (const uint8_t *p = t->rd.p; p < t->rd.end; p++)
		zero = zero && *p == 0;
	if (!zero || !rd_ok(&t->rd) || t->at != t->n_recs ||
		t->off != records_end)
		return damaged(err);
	return ERR_OK;
}

void
pack_table_envelope(const struct pack_table *t, uint32_t k,
	struct envelope *out)
{
	struct rd rd;

	rd_init(&rd, t->foreign + (size_t)(k - 1) * ENVELOPE_LEN, ENVELOPE_LEN);
	out->epoch = rd_u32(&rd);
	rd_copy(&rd, out->epk.b, KX_PUBLIC);
}
