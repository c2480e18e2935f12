/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_delta: a piece that is a whole chunk is compared by its name: what
 * the file holds there is hashed, and nothing is fetched where that gives the
 * chunk's id.  Everything else is compared with the chunk's bytes.
 */
#include "engine/restore_delta.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "repo/record.h"

enum { STEP = 256 << 10 };

static enum err
differs(uint64_t off, struct error *err)
{
	return err_set(err, ERR_CORRUPT,
		"differs from the snapshot at offset %llu",
		(unsigned long long)off);
}

static enum err
put(const struct planned *p, int fd, struct bytes data, uint64_t off,
	struct error *err)
{
	struct goal *g = p->goal;
	enum err rc;

	if (g->how == HOW_VERIFY)
		return differs(off, err);
	g->changed = true;
	rc = fsx_pwrite(fd, data.data, data.len, off, "it", err);
	if (rc == ERR_OK)
		g->run->counts.bytes_written += data.len;
	return rc;
}

/* Runs of blocks that differ; there holds n bytes. */
static enum err
put_different(const struct planned *p, int fd, struct bytes data,
	const struct buf *there, struct error *err)
{
	size_t at = 0, from = 0, len;
	enum err rc = ERR_OK;

	for (; at < data.len && rc == ERR_OK; at += len) {
		struct bytes run = { data.data + from, at - from };

		len = data.len - at < RESTORE_DELTA_BLOCK ? data.len - at
							  : RESTORE_DELTA_BLOCK;
		if (at + len > there->len ||
			memcmp(data.data + at, there->data + at, len) != 0)
			continue;
		if (run.len > 0)
			rc = put(p, fd, run, p->off + from, err);
		from = at + len;
	}
	if (rc == ERR_OK && from < data.len)
		rc = put(p, fd,
			(struct bytes){ data.data + from, data.len - from },
			p->off + from, err);
	return rc;
}

static enum err
read_there(struct restore_work *w, const struct planned *p, int fd,
	struct error *err)
{
	struct buf *there = &w->scratch->there;
	enum err rc;

	buf_clear(there);
	rc = buf_reserve(there, (size_t)p->len, err);
	if (rc == ERR_OK)
		rc = fsx_pread(fd, there->data, (size_t)p->len, p->off,
			&there->len, "what is there", err);
	return rc;
}

static enum err
compare_chunk(struct restore_work *w, const struct planned *p, int fd,
	struct error *err)
{
	struct buf *there = &w->scratch->there;
	struct bytes data;
	struct id id;
	enum err rc;

	if (p->len > CHUNK_MAX)
		return err_set(err, ERR_CORRUPT,
			"refers to more of a chunk than there is");
	rc = read_there(w, p, fd, err);
	if (rc != ERR_OK)
		return rc;
	if (p->chunk_off == 0 && !w->fetched && there->len == p->len) {
		repo_data_id(w->run->repo, there->data, there->len, &id);
		if (id_eq(&id, &w->group->chunk))
			return ERR_OK;
	}
	rc = restore_work_bytes(w, p, &data, err);
	return rc == ERR_OK ? put_different(p, fd, data, there, err) : rc;
}

static enum err
compare_body(struct restore_work *w, const struct planned *p, int fd,
	struct error *err)
{
	struct bytes data = { p->goal->body, p->goal->body_len };
	enum err rc = read_there(w, p, fd, err);

	if (rc != ERR_OK || data.len == 0)
		return rc;
	return put_different(p, fd, data, &w->scratch->there, err);
}

/* Bytes [off, off + len), len <= STEP, that are data where zeroes should be. */
static enum err
compare_zeroes(struct restore_work *w, const struct planned *p, int fd,
	const struct planned *part, struct error *err)
{
	static const uint8_t zeroes[STEP];
	enum err rc = read_there(w, part, fd, err);

	if (rc != ERR_OK)
		return rc;
	return put_different(part, fd,
		(struct bytes){ zeroes, w->scratch->there.len },
		&w->scratch->there, err);
}

/* The data in [off, end) becomes a hole, where the file system can do that. */
static bool
punch(struct goal *g, int fd, uint64_t off, uint64_t end)
{
	if (g->how != HOW_PATCH ||
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)off, (off_t)(end - off)) != 0)
		return false;
	g->changed = true;
	return true;
}

static enum err
compare_hole(struct restore_work *w, const struct planned *p, int fd,
	struct error *err)
{
	uint64_t end = p->off + p->len, at = p->off;
	enum err rc = ERR_OK;

	while (at < end && rc == ERR_OK) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;
		struct planned part = *p;

		if (data < 0 || (uint64_t)data >= end)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole > end)
			hole = (off_t)end;
		at = (uint64_t)hole;
		if (punch(p->goal, fd, (uint64_t)data, at))
			continue;
		for (part.off = (uint64_t)data; part.off < at && rc == ERR_OK;
			part.off += part.len) {
			part.len = at - part.off < STEP ? at - part.off : STEP;
			rc = compare_zeroes(w, p, fd, &part, err);
		}
	}
	return rc;
}

enum err
restore_delta_piece(struct restore_work *w, const struct planned *p, int fd,
	struct error *err)
{
	if (p->hole)
		return compare_hole(w, p, fd, err);
	if (w->group->has_chunk)
		return compare_chunk(w, p, fd, err);
	return compare_body(w, p, fd, err);
}
