/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodefile: written front to back, believed only whole.
 *
 * Crash argument: what was not finished has no footer whose table opens, so
 * nodefile_load refuses it.
 */
#include "repo/nodefile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/rd.h"
#include "codec/hash.h"

enum {
	MAGIC_LEN = 8,
	VERSION = 1,
	SALT_AT = 16,
	AAD_LEN = ID_LEN + 4,
	TABLE_ROW = ID_LEN + 8,
	TABLE_MAX = ID_LEN + TABLE_ROW * NODEFILE_NODES_MAX + AEAD_TAG,
	NODE_LEN_MAX = 2 * CHUNK_MAX,
	ROOM_MIN = 256
};

static const char magic[MAGIC_LEN + 1] = "cofferNC";
static const char what[] = "node cache";

enum err
nodefile_init(struct nodefile *f, const struct keyset *keys, struct error *err)
{
	*f = (struct nodefile){ .fd = -1, .keys = keys };
	f->sealed = BUF_INIT((size_t)NODE_LEN_MAX + AEAD_TAG);
	return aead_new(&f->aead, err);
}

/* Without a file, as after nodefile_init. */
static void
forget(struct nodefile *f)
{
	fsx_close(&f->fd);
	secret_wipe(&f->key);
	free(f->recs);
	free(f->slots);
	f->recs = NULL;
	f->slots = NULL;
	f->n = f->room = f->n_slots = 0;
	f->end = 0;
}

void
nodefile_fini(struct nodefile *f)
{
	if (f->keys == NULL)
		return;
	forget(f);
	aead_free(f->aead);
	buf_wipe(&f->sealed);
	f->keys = NULL;
}

static void
derive_key(struct nodefile *f)
{
	const struct keyset *ks = f->keys;
	struct secret both;

	hash_derive(&both, "coffer 1 node cache", ks->structure.b, SECRET_LEN,
		ks->id.b, SECRET_LEN);
	hash_derive(&f->key, "coffer 1 node cache file", both.b, SECRET_LEN,
		f->header + SALT_AT, SECRET_LEN);
	secret_wipe(&both);
}

/* ---- by id ---- */

static uint32_t *
slot_of(const struct nodefile *f, const struct id *id)
{
	uint32_t i = (uint32_t)id_prefix(id) & (f->n_slots - 1);

	while (f->slots[i] != 0 && !id_eq(&f->recs[f->slots[i] - 1].id, id))
		i = (i + 1) & (f->n_slots - 1);
	return &f->slots[i];
}

struct nodefile_rec *
nodefile_find(const struct nodefile *f, const struct id *id)
{
	uint32_t at = f->n > 0 ? *slot_of(f, id) : 0;

	return at > 0 ? &f->recs[at - 1] : NULL;
}

/* Room for n records, and slots at most half full. */
static enum err
make_room(struct nodefile *f, uint32_t n, struct error *err)
{
	struct nodefile_rec *recs;
	uint32_t n_slots = ROOM_MIN;
	uint32_t *slots;

	while (n_slots < 2 * n)
		n_slots *= 2;
	recs = realloc(f->recs, n * sizeof(*recs));
	if (recs == NULL)
		return err_set(err, ERR_NOMEM, "%s: no memory", what);
	f->recs = recs;
	slots = calloc(n_slots, sizeof(*slots));
	if (slots == NULL)
		return err_set(err, ERR_NOMEM, "%s: no memory", what);
	free(f->slots);
	f->slots = slots;
	f->n_slots = n_slots;
	f->room = n;
	for (uint32_t i = 0; i < f->n; i++)
		*slot_of(f, &f->recs[i].id) = i + 1;
	return ERR_OK;
}

static void
add_rec(struct nodefile *f, const struct nodefile_rec *rec)
{
	uint32_t *slot = slot_of(f, &rec->id);

	assert(f->recs != NULL && f->n < f->room);
	f->recs[f->n] = *rec;
	*slot = ++f->n;
}

/* ---- writing ---- */

enum err
nodefile_create(struct nodefile *f, int fd, struct error *err)
{
	struct buf b = BUF_INIT(SALT_AT);
	enum err rc;

	forget(f);
	f->fd = fd;
	memset(f->header, 0, sizeof(f->header));
	memcpy(f->header, magic, MAGIC_LEN);
	rc = buf_put_u32(&b, VERSION, err);
	if (rc == ERR_OK)
		memcpy(f->header + MAGIC_LEN, b.data, b.len);
	buf_fini(&b);
	random_bytes(f->header + SALT_AT, SECRET_LEN);
	derive_key(f);
	f->end = NODEFILE_HEADER;
	if (rc == ERR_OK)
		rc = fsx_pwrite(fd, f->header, NODEFILE_HEADER, 0, what, err);
	if (rc != ERR_OK)
		forget(f);
	return rc;
}

static void
put_u32(uint8_t *at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void
put_aad(uint8_t aad[AAD_LEN], const struct nodefile_rec *rec)
{
	memcpy(aad, rec->id.b, ID_LEN);
	put_u32(aad + ID_LEN, rec->head_len);
}

enum err
nodefile_append(struct nodefile *f, const struct id *id,
	const struct node_bytes *node, struct error *err)
{
	struct nodefile_rec rec = { .id = *id, .off = f->end };
	uint8_t aad[AAD_LEN];
	struct aead_args args = { .key = &f->key,
		.number = (uint64_t)f->n + 1,
		.aad = aad,
		.aad_len = AAD_LEN };
	struct buf *b = &f->sealed;
	enum err rc = ERR_OK;

	if (f->n == NODEFILE_NODES_MAX || node->head_len > CHUNK_MAX ||
		node->body_len > CHUNK_MAX)
		return err_set(err, ERR_NOMEM, "%s: too many nodes", what);
	if (f->n == f->room)
		rc = make_room(f, f->room > 0 ? 2 * f->room : ROOM_MIN, err);
	rec.len = (uint32_t)(node->head_len + node->body_len);
	rec.head_len = (uint32_t)node->head_len;
	put_aad(aad, &rec);
	buf_clear(b);
	if (rc == ERR_OK)
		rc = buf_put(b, node->head, node->head_len, err);
	if (rc == ERR_OK)
		rc = buf_put(b, node->body, node->body_len, err);
	if (rc == ERR_OK)
		rc = buf_put_zero(b, AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = aead_seal(f->aead, &args, b->data, rec.len, b->data, err);
	if (rc == ERR_OK)
		rc = fsx_pwrite(f->fd, b->data, b->len, f->end, what, err);
	if (rc != ERR_OK)
		return rc;
	f->end += b->len;
	add_rec(f, &rec);
	return ERR_OK;
}

static size_t
table_len(uint32_t n)
{
	return ID_LEN + (size_t)TABLE_ROW * n + AEAD_TAG;
}

uint64_t
nodefile_size(const struct nodefile *f, uint64_t more, uint64_t more_len)
{
	return (f->n > 0 ? f->end : NODEFILE_HEADER) + more_len +
	       more * AEAD_TAG + ID_LEN + TABLE_ROW * (f->n + more) + AEAD_TAG +
	       NODEFILE_FOOTER;
}

/* Header and footer. */
static void
table_args(const struct nodefile *f, const uint8_t *footer,
	uint8_t aad[NODEFILE_HEADER + NODEFILE_FOOTER], struct aead_args *args)
{
	memcpy(aad, f->header, NODEFILE_HEADER);
	memcpy(aad + NODEFILE_HEADER, footer, NODEFILE_FOOTER);
	*args = (struct aead_args){ .key = &f->key,
		.aad = aad,
		.aad_len = NODEFILE_HEADER + NODEFILE_FOOTER };
}

static enum err
put_table(const struct nodefile *f, struct buf *b, struct error *err)
{
	enum err rc = buf_reserve(b, table_len(f->n) + NODEFILE_FOOTER, err);

	if (rc == ERR_OK)
		rc = buf_put(b, f->root.b, ID_LEN, err);
	for (uint32_t i = 0; i < f->n && rc == ERR_OK; i++) {
		const struct nodefile_rec *rec = &f->recs[i];

		rc = buf_put(b, rec->id.b, ID_LEN, err);
		if (rc == ERR_OK)
			rc = buf_put_u32(b, rec->len, err);
		if (rc == ERR_OK)
			rc = buf_put_u32(b, rec->head_len, err);
	}
	if (rc == ERR_OK)
		rc = buf_put_zero(b, AEAD_TAG, err);
	if (rc == ERR_OK)
		rc = buf_put_u64(b, f->n, err);
	return rc;
}

enum err
nodefile_finish(struct nodefile *f, const struct id *root, struct error *err)
{
	uint8_t aad[NODEFILE_HEADER + NODEFILE_FOOTER];
	struct buf b = BUF_INIT((size_t)TABLE_MAX + NODEFILE_FOOTER);
	size_t len = table_len(f->n);
	struct aead_args args;
	enum err rc;

	f->root = *root;
	rc = put_table(f, &b, err);
	if (rc == ERR_OK) {
		table_args(f, b.data + len, aad, &args);
		rc = aead_seal(f->aead, &args, b.data, len - AEAD_TAG, b.data,
			err);
	}
	if (rc == ERR_OK)
		rc = fsx_pwrite(f->fd, b.data, b.len, f->end, what, err);
	buf_wipe(&b);
	return rc;
}

/* ---- reading ---- */

static enum err
damaged(struct error *err)
{
	return err_set(err, ERR_CORRUPT, "%s: damaged", what);
}

static enum err
read_exactly(const struct nodefile *f, void *out, size_t len, uint64_t off,
	struct error *err)
{
	size_t got;
	enum err rc = fsx_pread(f->fd, out, len, off, &got, what, err);

	if (rc == ERR_OK && got != len)
		rc = damaged(err);
	return rc;
}

static enum err
read_header(struct nodefile *f, struct error *err)
{
	struct rd rd;
	enum err rc;

	rc = read_exactly(f, f->header, NODEFILE_HEADER, 0, err);
	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, f->header + MAGIC_LEN, SALT_AT - MAGIC_LEN);
	if (memcmp(f->header, magic, MAGIC_LEN) != 0 || rd_u32(&rd) != VERSION)
		return damaged(err);
	derive_key(f);
	return ERR_OK;
}

/* The table, opened, and where it begins. */
static enum err
read_table(struct nodefile *f, struct buf *b, uint32_t *n, uint64_t *at,
	struct error *err)
{
	uint8_t footer[NODEFILE_FOOTER], aad[NODEFILE_HEADER + NODEFILE_FOOTER];
	struct aead_args args;
	struct stat st;
	struct rd rd;
	uint64_t count;
	size_t len;
	enum err rc;

	if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_size <
			NODEFILE_HEADER + table_len(0) + NODEFILE_FOOTER)
		return damaged(err);
	*at = (uint64_t)st.st_size - NODEFILE_FOOTER;
	rc = read_exactly(f, footer, NODEFILE_FOOTER, *at, err);
	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, footer, sizeof(footer));
	count = rd_u64(&rd);
	if (count > NODEFILE_NODES_MAX)
		return damaged(err);
	*n = (uint32_t)count;
	len = table_len(*n);
	if (len > *at - NODEFILE_HEADER)
		return damaged(err);
	*at -= len;
	rc = buf_reserve(b, len, err);
	if (rc == ERR_OK)
		rc = read_exactly(f, b->data, len, *at, err);
	if (rc != ERR_OK)
		return rc;
	table_args(f, footer, aad, &args);
	b->len = len - AEAD_TAG;
	return aead_open(f->aead, &args, b->data, len, b->data, err);
}

static enum err
take_table(struct nodefile *f, const struct buf *b, uint32_t n, uint64_t end,
	struct error *err)
{
	struct nodefile_rec rec = { .off = NODEFILE_HEADER };
	struct rd rd;
	enum err rc = make_room(f, n > 0 ? n : 1, err);

	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, b->data, b->len);
	rd_copy(&rd, f->root.b, ID_LEN);
	for (uint32_t i = 0; i < n; i++) {
		rd_copy(&rd, rec.id.b, ID_LEN);
		rec.len = rd_u32(&rd);
		rec.head_len = rd_u32(&rd);
		if (rec.len > NODE_LEN_MAX || rec.head_len > rec.len ||
			nodefile_find(f, &rec.id) != NULL)
			return damaged(err);
		add_rec(f, &rec);
		rec.off += (uint64_t)rec.len + AEAD_TAG;
	}
	f->end = rec.off;
	return rd_done(&rd) && rec.off == end ? ERR_OK : damaged(err);
}

/* A record as it lies in the file, opened in f->sealed. */
static enum err
open_record(struct nodefile *f, const struct nodefile_rec *rec,
	struct error *err)
{
	uint8_t aad[AAD_LEN];
	struct aead_args args = { .key = &f->key,
		.number = (uint64_t)(rec - f->recs) + 1,
		.aad = aad,
		.aad_len = AAD_LEN };
	size_t len = (size_t)rec->len + AEAD_TAG;
	enum err rc;

	put_aad(aad, rec);
	buf_clear(&f->sealed);
	rc = buf_reserve(&f->sealed, len, err);
	if (rc == ERR_OK)
		rc = read_exactly(f, f->sealed.data, len, rec->off, err);
	if (rc == ERR_OK)
		rc = aead_open(f->aead, &args, f->sealed.data, len,
			f->sealed.data, err);
	return rc;
}

enum err
nodefile_load(struct nodefile *f, int fd, struct error *err)
{
	struct buf b = BUF_INIT(TABLE_MAX);
	uint64_t table_at = 0;
	uint32_t n = 0;
	enum err rc;

	forget(f);
	f->fd = fd;
	rc = read_header(f, err);
	if (rc == ERR_OK)
		rc = read_table(f, &b, &n, &table_at, err);
	if (rc == ERR_OK)
		rc = take_table(f, &b, n, table_at, err);
	for (uint32_t i = 0; i < f->n && rc == ERR_OK; i++)
		rc = open_record(f, &f->recs[i], err);
	if (rc != ERR_OK)
		forget(f);
	buf_wipe(&b);
	return rc;
}

enum err
nodefile_read(struct nodefile *f, const struct nodefile_rec *rec,
	struct buf *out, struct error *err)
{
	enum err rc = open_record(f, rec, err);

	return rc == ERR_OK ? buf_put(out, f->sealed.data, rec->len, err) : rc;
}
