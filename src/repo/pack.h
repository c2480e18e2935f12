/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: the bytes of a pack (docs/format.md, section 5): its header, its
 * keys, its table, and how a record is sealed and opened.
 *
 * Pure functions; a struct aead belongs to the calling thread.  repo/stage.h
 * builds packs, repo/keycache.h keeps what readers need of them.
 */
#ifndef REPO_PACK_H
#define REPO_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/rd.h"
#include "base/secret.h"
#include "codec/aead.h"
#include "codec/kx.h"
#include "repo/keys.h"
#include "repo/record.h"

enum pack_kind { PACK_DATA = 1, PACK_NODES = 2 };

enum {
	PACK_HEADER = 48,
	PACK_TRAILER = 16,
	PACK_ALIGN = 4096,
	PACK_RECORDS_MAX = 65536,
	PACK_MAX = 128 << 20,
	PACK_RECORD_MAX = 2 * (CHUNK_MAX + AEAD_TAG), /* as stored */
	PACK_LINE_MAX = 64, /* of one record in a table */
	PACK_TABLE_MAX = 8 << 20, /* as stored */
	PACK_FOREIGN_MAX = 65535,
	PACK_NAME = sizeof("packs/xx/") + ID_HEX
};

/* "packs/3f/3f9c..." */
void pack_name(char out[PACK_NAME], const struct id *id);

/* What the keys of a pack, or of records moved here from it, follow from. */
struct envelope {
	uint32_t epoch;
	struct kx_public epk;
};

struct pack_header {
	enum pack_kind kind;
	struct envelope env;
};

void pack_header_encode(const struct pack_header *h, uint8_t out[PACK_HEADER]);
enum err pack_header_decode(struct pack_header *h,
	const uint8_t data[PACK_HEADER], struct error *err) MUST_CHECK;

struct pack_keys {
	bool has_content; /* content is there */
	struct secret content, refs;
};

/* Of a new pack: a fresh epk for the newest epoch of ks, and the keys. */
enum err pack_keys_make(struct pack_keys *keys, struct envelope *env,
	const struct keyset *ks, struct error *err) MUST_CHECK;

/* As far as ks can derive them: without the epoch's secret, refs only. */
enum err pack_keys_derive(struct pack_keys *keys, const struct envelope *env,
	const struct keyset *ks, struct error *err) MUST_CHECK;

void pack_keys_wipe(struct pack_keys *keys);

/* head and body as they are stored: body compressed if r->codec says so. */
struct pack_parts {
	const void *head;
	size_t head_len;
	const void *body;
	size_t body_len;
};

/* out gets r->stored_len bytes. */
enum err pack_seal(struct aead *aead, const struct pack_keys *keys,
	const struct record *r, const struct pack_parts *parts, uint8_t *out,
	struct error *err) MUST_CHECK;

/* Length of the sealed head, which comes first: 0 for data. */
size_t pack_sealed_head(const struct record *r);
/* Length of the body as stored, opened. */
size_t pack_body_len(const struct record *r);

/* sealed: the first pack_sealed_head bytes of the record; out gets
 * r->head_len bytes.  ERR_CORRUPT. */
enum err pack_open_head(struct aead *aead, const struct pack_keys *keys,
	const struct record *r, const uint8_t *sealed, uint8_t *out,
	struct error *err) MUST_CHECK;

/* sealed: the whole record; out gets pack_body_len bytes and may be its
 * place.  ERR_CORRUPT; ERR_DENIED without the content key. */
enum err pack_open_body(struct aead *aead, const struct pack_keys *keys,
	const struct record *r, const uint8_t *sealed, uint8_t *out,
	struct error *err) MUST_CHECK;

/* Table, zeroes and trailer appended to out, so that a pack whose header and
 * records take body_len bytes becomes whole. */
struct pack_table_conf {
	const struct secret *structure;
	const struct pack_header *header;
	const struct envelope *foreign; /* at most PACK_FOREIGN_MAX */
	uint32_t n_foreign;
	const struct record *recs;
	uint32_t n_recs;
	size_t body_len;
};
enum err pack_table_seal(struct buf *out, const struct pack_table_conf *conf,
	struct error *err) MUST_CHECK;

/* The stored length of the table, checked against the size of the pack. */
enum err pack_table_len(uint32_t *table_len,
	const uint8_t trailer[PACK_TRAILER], uint64_t pack_size,
	struct error *err) MUST_CHECK;

/* Open a table; the plain bytes replace the contents of out. */
enum err pack_table_open(struct buf *out, const struct secret *structure,
	const uint8_t header[PACK_HEADER], const uint8_t *sealed, size_t len,
	struct error *err) MUST_CHECK;

/*
 * A walk over the plain bytes of a table: pack_table_begin, then
 * pack_table_next for each of n_recs records.  Envelope k of a record is
 * pack_table_envelope(t, k), k from 1 to n_foreign.
 */
struct pack_table {
	struct rd rd;
	const uint8_t *foreign;
	uint32_t n_foreign, n_recs, at;
	uint64_t off; /* of the next record in the pack */
};

enum err pack_table_begin(struct pack_table *t, const void *data, size_t len,
	struct error *err) MUST_CHECK;
enum err pack_table_next(struct pack_table *t, struct record *r, uint64_t *off,
	struct error *err) MUST_CHECK;
/* After the last record: nothing but zeroes, and the records end where the
 * table begins. */
enum err pack_table_end(const struct pack_table *t, uint64_t records_end,
	struct error *err) MUST_CHECK;
void pack_table_envelope(const struct pack_table *t, uint32_t k,
	struct envelope *out);

#endif /* REPO_PACK_H */
