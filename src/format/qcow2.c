/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: clusters are handed out in the order in which they are asked for.
 *
 *   0                    the header
 *   1 ...                the L1 table, whose size is known from the image's
 *   ...                  L2 tables and data, as they come
 *   ...                  refcount blocks, then the refcount table
 *
 * Every cluster is used once and none is given back, so all refcounts are 1 and
 * are written at the end.
 *
 * One lock guards the numbers and the tables; data is read and written outside
 * of it, in clusters that have their owner by then.
 */
#include "format/qcow2.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"

enum {
	CLUSTER = QCOW2_CLUSTER,
	CLUSTER_BITS = 16,
	L2_ENTRIES = CLUSTER / 8, /* of an L2 table */
	BLOCK_ENTRIES = CLUSTER / 2, /* of a refcount block */
	REFCOUNT_ORDER = 4,
	HEADER_LEN = 104,
	SECTOR = 512,
	/* Clusters that are looked up at once, and their bytes. */
	BATCH = 32,
	BATCH_BYTES = BATCH * CLUSTER
};

#define COPIED    (UINT64_C(1) << 63)
#define OFF_MASK  UINT64_C(0x00fffffffffffe00)
#define L2_COVERS ((uint64_t)L2_ENTRIES * CLUSTER)
/* QEMU's own limit: an L1 table of 32 MiB. */
#define L1_MAX UINT64_C(4194304)

struct qcow2 {
	int fd;
	const char *what;
	uint64_t size; /* as the header says: whole sectors */
	pthread_mutex_t lock;
	uint64_t *l1; /* offsets in the file; 0: none */
	uint64_t l1_n;
	uint64_t clusters; /* used so far */
};

/* ---- big-endian ---- */

static void
put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static void
put64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static uint64_t
divided(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0 ? 1 : 0);
}

/* ---- life ---- */

enum err
qcow2_new(struct qcow2 **out, int fd, uint64_t size, const char *what,
	struct error *err)
{
	struct qcow2 *q;

	if (size > L1_MAX * L2_COVERS)
		return err_set(err, ERR_USAGE,
			"%s: %llu bytes are more than a qcow2 image can have",
			what, (unsigned long long)size);
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	q->fd = fd;
	q->what = what;
	q->size = divided(size, SECTOR) * SECTOR;
	q->l1_n = divided(q->size, L2_COVERS);
	q->clusters = 1 + divided(q->l1_n * 8, CLUSTER);
	q->l1 = calloc((size_t)q->l1_n + 1, sizeof(*q->l1));
	if (q->l1 == NULL) {
		free(q);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	(void)pthread_mutex_init(&q->lock, NULL);
	*out = q;
	return ERR_OK;
}

void
qcow2_free(struct qcow2 *q)
{
	if (q == NULL)
		return;
	(void)pthread_mutex_destroy(&q->lock);
	free(q->l1);
	free(q);
}

/* ---- where a cluster is ---- */

static enum err
read_at(struct qcow2 *q, uint64_t off, void *data, size_t len,
	struct error *err)
{
	size_t got;
	enum err rc = fsx_pread(q->fd, data, len, off, &got, q->what, err);

	/* A cluster that was handed out and not written yet. */
	if (rc == ERR_OK)
		memset((uint8_t *)data + got, 0, len - got);
	return rc;
}

/* With the lock held: the offset of the L2 table that covers index, or 0. */
static uint64_t
table_of(struct qcow2 *q, uint64_t index, bool make)
{
	uint64_t *at = &q->l1[index / L2_ENTRIES];

	if (*at == 0 && make)
		*at = q->clusters++ * CLUSTER;
	return *at;
}

/*
 * With the lock held: where the n clusters from index are, in one L2 table; 0
 * for one that is not there, and none is with make.
 */
static enum err
find_locked(struct qcow2 *q, uint64_t index, size_t n, bool make,
	uint64_t at[BATCH], struct error *err)
{
	uint8_t raw[BATCH * 8];
	uint64_t table = table_of(q, index, make);
	uint64_t entry = table + index % L2_ENTRIES * 8;
	bool changed = false;
	enum err rc;

	if (table == 0) {
		memset(at, 0, n * sizeof(*at));
		return ERR_OK;
	}
	rc = read_at(q, entry, raw, n * 8, err);
	for (size_t i = 0; i < n && rc == ERR_OK; i++) {
		at[i] = get64(raw + i * 8) & OFF_MASK;
		if (at[i] != 0 || !make)
			continue;
		at[i] = q->clusters++ * CLUSTER;
		put64(raw + i * 8, at[i] | COPIED);
		changed = true;
	}
	if (rc == ERR_OK && changed)
		rc = fsx_pwrite(q->fd, raw, n * 8, entry, q->what, err);
	return rc;
}

/* A part of a range: bytes that are together in the image and in the file. */
struct part {
	uint64_t at; /* in the file; 0: not there */
	size_t len;
};

/* What [off, off + len) is made of, as far as BATCH clusters of one table go;
 * *n parts. */
static enum err
find(struct qcow2 *q, uint64_t off, uint64_t len, bool make,
	struct part parts[BATCH], size_t *n, struct error *err)
{
	uint64_t index = off / CLUSTER, last = (off + len - 1) / CLUSTER;
	uint64_t end = (index / L2_ENTRIES + 1) * L2_ENTRIES;
	uint64_t at[BATCH];
	size_t count = BATCH;
	enum err rc;

	if (last - index + 1 < count)
		count = (size_t)(last - index + 1);
	if (end - index < count)
		count = (size_t)(end - index);
	(void)pthread_mutex_lock(&q->lock);
	rc = find_locked(q, index, count, make, at, err);
	(void)pthread_mutex_unlock(&q->lock);
	*n = 0;
	for (size_t i = 0; i < count && rc == ERR_OK; i++) {
		struct part *p = &parts[*n];
		uint64_t skip = i == 0 ? off % CLUSTER : 0;
		uint64_t room = CLUSTER - skip;
		size_t some = (size_t)(len < room ? len : room);

		len -= some;
		if (i > 0 && at[i] != 0 && at[i] == at[i - 1] + CLUSTER) {
			p[-1].len += some;
			continue;
		}
		p->at = at[i] != 0 ? at[i] + skip : 0;
		p->len = some;
		(*n)++;
	}
	return rc;
}

/* ---- bytes ---- */

enum err
qcow2_write(struct qcow2 *q, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	const uint8_t *from = data;
	struct part parts[BATCH];
	enum err rc = ERR_OK;
	size_t n;

	assert(off <= q->size && len <= q->size - off);
	while (len > 0 && rc == ERR_OK) {
		rc = find(q, off, len, true, parts, &n, err);
		for (size_t i = 0; i < n && rc == ERR_OK; i++) {
			rc = fsx_pwrite(q->fd, from, parts[i].len, parts[i].at,
				q->what, err);
			from += parts[i].len;
			off += parts[i].len;
			len -= parts[i].len;
		}
	}
	return rc;
}

enum err
qcow2_zero(struct qcow2 *q, uint64_t off, uint64_t len, struct error *err)
{
	static const uint8_t zeroes[CLUSTER];
	struct part parts[BATCH];
	enum err rc = ERR_OK;
	size_t n;

	assert(off <= q->size && len <= q->size - off);
	while (len > 0 && rc == ERR_OK) {
		rc = find(q, off, len, false, parts, &n, err);
		for (size_t i = 0; i < n && rc == ERR_OK; i++) {
			uint64_t at = parts[i].at, left = parts[i].len;

			off += left;
			len -= left;
			while (at != 0 && left > 0 && rc == ERR_OK) {
				size_t some =
					left < CLUSTER ? (size_t)left : CLUSTER;

				rc = fsx_pwrite(q->fd, zeroes, some, at,
					q->what, err);
				at += some;
				left -= some;
			}
		}
	}
	return rc;
}

enum err
qcow2_read(struct qcow2 *q, uint64_t off, void *data, size_t len,
	struct error *err)
{
	uint8_t *to = data;
	struct part parts[BATCH];
	enum err rc = ERR_OK;
	size_t n;

	while (len > 0 && off < q->size && rc == ERR_OK) {
		uint64_t rest = q->size - off;

		rc = find(q, off, len < rest ? len : rest, false, parts, &n,
			err);
		for (size_t i = 0; i < n && rc == ERR_OK; i++) {
			if (parts[i].at == 0)
				memset(to, 0, parts[i].len);
			else
				rc = read_at(q, parts[i].at, to, parts[i].len,
					err);
			to += parts[i].len;
			off += parts[i].len;
			len -= parts[i].len;
		}
	}
	if (rc == ERR_OK)
		memset(to, 0, len);
	return rc;
}

enum err
qcow2_each_data(struct qcow2 *q, qcow2_range_fn *fn, void *arg,
	struct error *err)
{
	uint64_t off = 0;
	enum err rc = ERR_OK;

	while (off < q->size && rc == ERR_OK) {
		uint64_t left = q->size - off;
		struct part parts[BATCH];
		size_t n;

		if (q->l1[off / L2_COVERS] == 0) {
			off = (off / L2_COVERS + 1) * L2_COVERS;
			continue;
		}
		rc = find(q, off, left < BATCH_BYTES ? left : BATCH_BYTES,
			false, parts, &n, err);
		for (size_t i = 0; i < n && rc == ERR_OK; i++) {
			if (parts[i].at != 0)
				rc = fn(arg, off, parts[i].len, err);
			off += parts[i].len;
		}
	}
	return rc;
}

/* ---- the end ---- */

/* Refcount blocks, and clusters of the table that names them, such that all
 * clusters with these are covered. */
static void
count_refcounts(uint64_t used, uint64_t *blocks, uint64_t *table)
{
	uint64_t before;

	*blocks = *table = 0;
	do {
		before = *blocks + *table;
		*blocks = divided(used + before, BLOCK_ENTRIES);
		*table = divided(*blocks * 8, CLUSTER);
	} while (*blocks + *table != before);
}

static enum err
write_refcounts(struct qcow2 *q, uint64_t blocks, uint64_t table, uint8_t *room,
	struct error *err)
{
	uint64_t total = q->clusters + blocks + table;
	enum err rc = ERR_OK;

	for (uint64_t b = 0; b < blocks && rc == ERR_OK; b++) {
		uint64_t left = total - b * BLOCK_ENTRIES;
		size_t n = left < BLOCK_ENTRIES ? (size_t)left : BLOCK_ENTRIES;

		memset(room, 0, CLUSTER);
		for (size_t i = 0; i < n; i++)
			room[2 * i + 1] = 1;
		rc = fsx_pwrite(q->fd, room, CLUSTER,
			(q->clusters + b) * CLUSTER, q->what, err);
	}
	for (uint64_t t = 0; t < table && rc == ERR_OK; t++) {
		memset(room, 0, CLUSTER);
		for (uint64_t i = 0; i < L2_ENTRIES; i++) {
			uint64_t b = t * L2_ENTRIES + i;

			if (b < blocks)
				put64(room + i * 8,
					(q->clusters + b) * CLUSTER);
		}
		rc = fsx_pwrite(q->fd, room, CLUSTER,
			(q->clusters + blocks + t) * CLUSTER, q->what, err);
	}
	return rc;
}

static enum err
write_l1(struct qcow2 *q, uint8_t *room, struct error *err)
{
	enum err rc = ERR_OK;

	for (uint64_t at = 0; at < q->l1_n && rc == ERR_OK; at += L2_ENTRIES) {
		memset(room, 0, CLUSTER);
		for (uint64_t i = 0; i < L2_ENTRIES && at + i < q->l1_n; i++) {
			if (q->l1[at + i] != 0)
				put64(room + i * 8, q->l1[at + i] | COPIED);
		}
		rc = fsx_pwrite(q->fd, room, CLUSTER, CLUSTER + at * 8, q->what,
			err);
	}
	return rc;
}

static void
fill_header(const struct qcow2 *q, uint64_t blocks, uint64_t table,
	uint8_t *room)
{
	static const uint8_t magic[4] = { 'Q', 'F', 'I', 0xfb };

	memset(room, 0, CLUSTER);
	memcpy(room, magic, sizeof(magic));
	put32(room + 4, 3);
	put32(room + 20, CLUSTER_BITS);
	put64(room + 24, q->size);
	put32(room + 36, (uint32_t)q->l1_n);
	put64(room + 40, CLUSTER);
	put64(room + 48, (q->clusters + blocks) * CLUSTER);
	put32(room + 56, (uint32_t)table);
	put32(room + 96, REFCOUNT_ORDER);
	put32(room + 100, HEADER_LEN);
}

static enum err
sync_file(const struct qcow2 *q, struct error *err)
{
	if (fsync(q->fd) != 0)
		return err_sys(err, errno, "sync %s", q->what);
	return ERR_OK;
}

enum err
qcow2_finish(struct qcow2 *q, struct error *err)
{
	uint8_t *room = malloc(CLUSTER);
	uint64_t blocks, table;
	enum err rc;

	if (room == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	count_refcounts(q->clusters, &blocks, &table);
	rc = write_refcounts(q, blocks, table, room, err);
	if (rc == ERR_OK)
		rc = write_l1(q, room, err);
	if (rc == ERR_OK)
		rc = sync_file(q, err);
	fill_header(q, blocks, table, room);
	if (rc == ERR_OK)
		rc = fsx_pwrite(q->fd, room, CLUSTER, 0, q->what, err);
	if (rc == ERR_OK)
		rc = sync_file(q, err);
	free(room);
	return rc;
}
