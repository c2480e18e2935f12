/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_diff: reading.  A record is read in two steps: its tag and, in version 2,
 * its length, then what that tag has before the payload.  Everything is
 * compared with the limits before it is believed.
 */
#include "format/rbd_diff.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"

struct record {
	uint8_t tag;
	uint64_t at, len; /* len: version 2 */
};

struct rbd_diff {
	struct rbd_in *in;
	enum rbd_diff_version version;
	struct rbd_diff_head head;
	char *from, *to;
	bool has_from, has_to, has_size, has_protection;
	struct record pending; /* tag 0: none */
	struct rbd_diff_range run; /* the last one given */
	uint64_t left; /* of its payload */
	uint64_t end; /* of the ranges so far */
	bool ended;
};

static enum err damaged(uint64_t at, struct error *err, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

static enum err
damaged(uint64_t at, struct error *err, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return err_set(err, ERR_CORRUPT, "at byte %" PRIu64 ": %s", at, text);
}

/* All len bytes of the record that begins at `at`. */
static enum err
take(struct rbd_diff *d, uint64_t at, void *data, size_t len, struct error *err)
{
	size_t got = 0;
	enum err rc = rbd_in_read(d->in, data, len, &got, err);

	if (rc != ERR_OK || got == len)
		return rc;
	return damaged(at, err, "the stream ends within this record");
}

static enum err
pass(struct rbd_diff *d, uint64_t at, uint64_t len, struct error *err)
{
	bool there = false;
	enum err rc = rbd_in_skip(d->in, len, &there, err);

	if (rc != ERR_OK || there)
		return rc;
	return damaged(at, err, "the stream ends within this record");
}

static enum err
read_banner(struct rbd_diff *d, struct error *err)
{
	static const char prefix[] = "rbd diff v";
	uint64_t at = rbd_in_at(d->in);
	char banner[RBD_BANNER];
	size_t got = 0;
	enum err rc = rbd_in_read(d->in, banner, sizeof(banner), &got, err);

	if (rc != ERR_OK)
		return rc;
	if (got < sizeof(banner) ||
		memcmp(banner, prefix, sizeof(prefix) - 1) != 0 ||
		banner[RBD_BANNER - 1] != '\n')
		return damaged(at, err,
			"this is not a difference stream of rbd");
	if (banner[RBD_BANNER - 2] != '0' + (char)d->version)
		return err_set(err, ERR_VERSION,
			"at byte %" PRIu64 ": a difference stream of another "
			"version than %d",
			at, (int)d->version);
	return ERR_OK;
}

static enum err
next_record(struct rbd_diff *d, struct record *rec, struct error *err)
{
	uint8_t room[sizeof(uint64_t)];
	struct rd rd;
	size_t got = 0;
	enum err rc;

	if (d->pending.tag != 0) {
		*rec = d->pending;
		d->pending.tag = 0;
		return ERR_OK;
	}
	*rec = (struct record){ .at = rbd_in_at(d->in) };
	rc = rbd_in_read(d->in, &rec->tag, 1, &got, err);
	if (rc != ERR_OK)
		return rc;
	if (got == 0)
		return damaged(rec->at, err,
			"the stream ends without its end mark");
	if (d->version == RBD_DIFF_V1 || rec->tag == 'e')
		return ERR_OK;
	rc = take(d, rec->at, room, sizeof(room), err);
	rd_init(&rd, room, sizeof(room));
	rec->len = rd_u64(&rd);
	return rc;
}

/* In version 2 the length of a record is told twice. */
static enum err
check_len(const struct rbd_diff *d, const struct record *rec, uint64_t want,
	struct error *err)
{
	if (d->version == RBD_DIFF_V1 || rec->len == want)
		return ERR_OK;
	return damaged(rec->at, err,
		"a record '%c' of %" PRIu64 " bytes, %" PRIu64 " are wanted",
		rec->tag, rec->len, want);
}

static enum err
read_name(struct rbd_diff *d, const struct record *rec, char **name,
	struct error *err)
{
	uint8_t room[sizeof(uint32_t)];
	struct rd rd;
	uint32_t len;
	enum err rc = take(d, rec->at, room, sizeof(room), err);

	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, room, sizeof(room));
	len = rd_u32(&rd);
	if (len > RBD_NAME_MAX)
		return damaged(rec->at, err,
			"a snapshot's name of %" PRIu32 " bytes", len);
	rc = check_len(d, rec, sizeof(room) + (uint64_t)len, err);
	if (rc != ERR_OK || len == 0)
		return rc;
	*name = calloc(1, (size_t)len + 1);
	if (*name == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	rc = take(d, rec->at, *name, len, err);
	if (rc == ERR_OK && memchr(*name, '\0', len) != NULL)
		rc = damaged(rec->at, err,
			"a snapshot's name with a zero byte in it");
	return rc;
}

static enum err
read_size(struct rbd_diff *d, const struct record *rec, struct error *err)
{
	uint8_t room[sizeof(uint64_t)];
	struct rd rd;
	enum err rc = check_len(d, rec, sizeof(room), err);

	if (rc == ERR_OK)
		rc = take(d, rec->at, room, sizeof(room), err);
	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, room, sizeof(room));
	d->head.size = rd_u64(&rd);
	if (d->head.size > INT64_MAX)
		return damaged(rec->at, err, "an image of %" PRIu64 " bytes",
			d->head.size);
	return ERR_OK;
}

/* rbd 16.2 says that the record has 8 bytes, and writes one. */
static enum err
read_protection(struct rbd_diff *d, const struct record *rec, struct error *err)
{
	uint8_t byte = 0;
	enum err rc = ERR_OK;

	if (rec->len != sizeof(uint64_t))
		rc = check_len(d, rec, 1, err);
	if (rc == ERR_OK)
		rc = take(d, rec->at, &byte, 1, err);
	d->head.is_protected = byte != 0;
	return rc;
}

static enum err
once(bool *seen, const struct record *rec, struct error *err)
{
	if (*seen)
		return damaged(rec->at, err, "a second record '%c'", rec->tag);
	*seen = true;
	return ERR_OK;
}

/* *meta false: it is no record of metadata, and was not touched. */
static enum err
read_meta(struct rbd_diff *d, const struct record *rec, bool *meta,
	struct error *err)
{
	enum err rc;

	*meta = true;
	switch (rec->tag) {
	case 'f':
		rc = once(&d->has_from, rec, err);
		return rc == ERR_OK ? read_name(d, rec, &d->from, err) : rc;
	case 't':
		rc = once(&d->has_to, rec, err);
		return rc == ERR_OK ? read_name(d, rec, &d->to, err) : rc;
	case 's':
		rc = once(&d->has_size, rec, err);
		return rc == ERR_OK ? read_size(d, rec, err) : rc;
	case 'p':
		if (d->version == RBD_DIFF_V1)
			break;
		rc = once(&d->has_protection, rec, err);
		return rc == ERR_OK ? read_protection(d, rec, err) : rc;
	default:
		break;
	}
	*meta = false;
	return ERR_OK;
}

/* A tag that is none of ours: version 2 tells how long it is. */
static enum err
pass_unknown(struct rbd_diff *d, const struct record *rec, struct error *err)
{
	if (d->version == RBD_DIFF_V1)
		return damaged(rec->at, err,
			"no record begins with the byte 0x%02x", rec->tag);
	return pass(d, rec->at, rec->len, err);
}

static bool
is_run(uint8_t tag)
{
	return tag == 'w' || tag == 'z' || tag == 'e';
}

static enum err
read_head(struct rbd_diff *d, struct error *err)
{
	struct record rec = { 0 };
	bool meta;
	enum err rc = ERR_OK;

	while (rc == ERR_OK) {
		rc = next_record(d, &rec, err);
		if (rc != ERR_OK || is_run(rec.tag))
			break;
		rc = read_meta(d, &rec, &meta, err);
		if (rc == ERR_OK && !meta)
			rc = pass_unknown(d, &rec, err);
	}
	if (rc == ERR_OK && !d->has_size)
		rc = damaged(rec.at, err,
			"data begins, and the size of the image was not told");
	d->pending = rec;
	d->head.from = d->from;
	d->head.to = d->to;
	return rc;
}

enum err
rbd_diff_open(struct rbd_diff **out, struct rbd_in *in,
	enum rbd_diff_version version, struct error *err)
{
	struct rbd_diff *d = calloc(1, sizeof(*d));
	enum err rc;

	if (d == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read a stream");
	d->in = in;
	d->version = version;
	rc = read_banner(d, err);
	if (rc == ERR_OK)
		rc = read_head(d, err);
	if (rc != ERR_OK) {
		rbd_diff_close(d);
		return rc;
	}
	*out = d;
	return ERR_OK;
}

void
rbd_diff_close(struct rbd_diff *d)
{
	if (d == NULL)
		return;
	free(d->from);
	free(d->to);
	free(d);
}

const struct rbd_diff_head *
rbd_diff_head(const struct rbd_diff *d)
{
	return &d->head;
}

/* ---- data ---- */

static enum err
check_range(struct rbd_diff *d, struct rbd_diff_range *run, struct error *err)
{
	uint64_t end;

	if (run->len == 0)
		return damaged(run->at, err, "a range of no bytes");
	if (__builtin_add_overflow(run->off, run->len, &end))
		return damaged(run->at, err,
			"a range beyond what can be counted");
	if (run->off < d->end)
		return damaged(run->at, err,
			"offset %" PRIu64 " lies before the end of the range "
			"before it, %" PRIu64,
			run->off, d->end);
	if (run->kind == RBD_DIFF_DATA && end > d->head.size)
		return damaged(run->at, err,
			"data up to %" PRIu64 " in an image of %" PRIu64
			" bytes",
			end, d->head.size);
	d->end = end;
	if (run->off >= d->head.size)
		run->len = 0;
	else if (end > d->head.size)
		run->len = d->head.size - run->off;
	return ERR_OK;
}

static enum err
read_range(struct rbd_diff *d, const struct record *rec,
	struct rbd_diff_range *run, struct error *err)
{
	uint8_t room[2 * sizeof(uint64_t)];
	uint64_t payload;
	struct rd rd;
	enum err rc = take(d, rec->at, room, sizeof(room), err);

	if (rc != ERR_OK)
		return rc;
	rd_init(&rd, room, sizeof(room));
	*run = (struct rbd_diff_range){ .at = rec->at,
		.kind = rec->tag == 'w' ? RBD_DIFF_DATA : RBD_DIFF_ZERO };
	run->off = rd_u64(&rd);
	run->len = rd_u64(&rd);
	payload = run->kind == RBD_DIFF_DATA ? run->len : 0;
	rc = check_range(d, run, err);
	/* check_range has seen that a payload is within the image. */
	if (rc == ERR_OK)
		rc = check_len(d, rec, sizeof(room) + payload, err);
	if (rc == ERR_OK)
		d->left = payload;
	return rc;
}

static enum err
read_run(struct rbd_diff *d, struct rbd_diff_range *run, struct error *err)
{
	struct record rec;
	bool meta;
	enum err rc = next_record(d, &rec, err);

	*run = (struct rbd_diff_range){ .kind = RBD_DIFF_ZERO };
	if (rc != ERR_OK)
		return rc;
	switch (rec.tag) {
	case 'w':
	case 'z':
		return read_range(d, &rec, run, err);
	case 'e':
		*run = (struct rbd_diff_range){ .kind = RBD_DIFF_END,
			.off = UINT64_MAX,
			.at = rec.at };
		d->ended = true;
		return ERR_OK;
	default:
		break;
	}
	meta = rec.tag == 'f' || rec.tag == 't' || rec.tag == 's' ||
	       (rec.tag == 'p' && d->version == RBD_DIFF_V2);
	if (meta)
		return damaged(rec.at, err, "a record '%c' after data",
			rec.tag);
	return pass_unknown(d, &rec, err);
}

enum err
rbd_diff_next(struct rbd_diff *d, struct rbd_diff_range *run, struct error *err)
{
	struct rbd_diff_range next = d->run;
	enum err rc = ERR_OK;

	if (d->left > 0)
		rc = rbd_diff_pass(d, d->left, err);
	while (rc == ERR_OK && !d->ended) {
		rc = read_run(d, &next, err);
		if (next.kind == RBD_DIFF_END || next.len > 0)
			break;
	}
	if (rc != ERR_OK)
		return rc;
	d->run = next;
	*run = next;
	return ERR_OK;
}

enum err
rbd_diff_read(struct rbd_diff *d, void *data, size_t len, struct error *err)
{
	enum err rc;

	assert(len <= d->left);
	rc = take(d, d->run.at, data, len, err);
	if (rc == ERR_OK)
		d->left -= len;
	return rc;
}

enum err
rbd_diff_pass(struct rbd_diff *d, uint64_t len, struct error *err)
{
	enum err rc;

	assert(len <= d->left);
	rc = pass(d, d->run.at, len, err);
	if (rc == ERR_OK)
		d->left -= len;
	return rc;
}

/* ---- chains ---- */

/* A foreign name as a message may hold it. */
struct shown {
	char text[61];
};

static struct shown
show(const char *name)
{
	struct shown s = { "" };

	(void)snprintf(s.text, sizeof(s.text), "%s", name != NULL ? name : "");
	for (char *p = s.text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return s;
}

static enum err
check_follows(const struct rbd_chain *c, const struct rbd_diff_head *head,
	const char *name, struct error *err)
{
	struct shown from = show(head->from), to = show(head->to),
		     last = show(c->to);

	if (head->from == NULL)
		return err_set(err, ERR_USAGE,
			"%.120s is a full difference, up to snapshot '%s': "
			"it cannot follow %.120s",
			name, to.text, c->name);
	if (c->to == NULL)
		return err_set(err, ERR_USAGE,
			"%.120s ends at the image's head, and %.120s begins at "
			"snapshot '%s'",
			c->name, name, from.text);
	if (strcmp(c->to, head->from) != 0)
		return err_set(err, ERR_USAGE,
			"%.120s ends at snapshot '%s', and %.120s begins at "
			"snapshot '%s'",
			c->name, last.text, name, from.text);
	return ERR_OK;
}

enum err
rbd_chain_add(struct rbd_chain *c, const struct rbd_diff_head *head,
	const char *name, struct error *err)
{
	struct rbd_chain next = { NULL, NULL };
	enum err rc = ERR_OK;

	if (c->name != NULL)
		rc = check_follows(c, head, name, err);
	if (rc != ERR_OK)
		return rc;
	next.name = strdup(name);
	next.to = head->to != NULL ? strdup(head->to) : NULL;
	if (next.name == NULL || (next.to == NULL && head->to != NULL)) {
		rbd_chain_fini(&next);
		return err_set(err, ERR_NOMEM, "no memory for a name");
	}
	rbd_chain_fini(c);
	*c = next;
	return ERR_OK;
}

void
rbd_chain_fini(struct rbd_chain *c)
{
	free(c->name);
	free(c->to);
	*c = (struct rbd_chain){ NULL, NULL };
}
