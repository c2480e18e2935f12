/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder: a sink (source/source.h) that keeps what it gets, and checks what
 * holds for every source: keys ascend, and each entry was offered first.
 */
#ifndef TESTS_LIB_RECORDER_H
#define TESTS_LIB_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "source/source.h"

enum record_way { WAY_OFFER, WAY_ENTRY, WAY_FILE, WAY_STREAM };

struct record {
	uint8_t *key;
	size_t key_len;
	enum record_way way;
	struct entry e; /* its strings point into text and xattrs */
	char *text; /* user, group, target, each with a NUL */
	uint8_t *xattrs;
	struct reader *reader; /* WAY_FILE; closed by recorder_fini */
	struct buf data; /* WAY_STREAM */
};

struct recorder {
	struct sink base;
	struct record *v;
	size_t n, cap;
	struct buf problems; /* a line for each */
	size_t n_problems;
	bool all_done; /* what offer says */
	size_t n_calls, fail_at; /* the call that fails; 0: none */
	/* Called with each offer. */
	void (*on_offer)(struct recorder *rec, const struct record *r);
	void *arg;
	bool stream_open;
	struct buf path;
};

#define RECORDER_REQUIRE(cond)                                          \
	do {                                                            \
		if (!(cond)) {                                          \
			(void)fprintf(stderr, "recorder: not so: %s\n", \
				#cond);                                 \
			abort();                                        \
		}                                                       \
	} while (0)

static inline struct recorder *
to_recorder(struct sink *s)
{
	return container_of(s, struct recorder, base);
}

static inline enum err
recorder_call(struct recorder *rec, struct error *err)
{
	if (++rec->n_calls == rec->fail_at)
		return err_set(err, ERR_NOSPACE, "the sink is full");
	return ERR_OK;
}

static inline char *
recorder_text(char *out, struct bytes *b)
{
	if (b->len > 0)
		memcpy(out, b->data, b->len);
	out[b->len] = '\0';
	b->data = (const uint8_t *)out;
	return out + b->len + 1;
}

static inline void
recorder_keep(struct record *r, const struct entry *e)
{
	size_t len = e->user.len + e->group.len + e->target.len + 3;
	char *p;

	free(r->text);
	free(r->xattrs);
	r->e = *e;
	p = r->text = malloc(len);
	RECORDER_REQUIRE(p != NULL);
	p = recorder_text(p, &r->e.user);
	p = recorder_text(p, &r->e.group);
	(void)recorder_text(p, &r->e.target);
	r->xattrs = malloc(e->xattrs.len + 1);
	RECORDER_REQUIRE(r->xattrs != NULL);
	if (e->xattrs.len > 0)
		memcpy(r->xattrs, e->xattrs.data, e->xattrs.len);
	r->e.xattrs.data = r->xattrs;
}

static inline enum err
recorder_offer(struct sink *s, struct bytes key, const struct entry *e,
	bool *done, struct error *err)
{
	struct recorder *rec = to_recorder(s);
	enum err rc = recorder_call(rec, err);
	struct record *r;

	if (rc != ERR_OK)
		return rc;
	RECORDER_REQUIRE(key_ok(key.data, key.len));
	if (rec->n > 0) {
		r = &rec->v[rec->n - 1];
		RECORDER_REQUIRE(
			key_cmp(r->key, r->key_len, key.data, key.len) < 0);
	}
	if (rec->n == rec->cap) {
		rec->cap = rec->cap > 0 ? 2 * rec->cap : 64;
		rec->v = reallocarray(rec->v, rec->cap, sizeof(*rec->v));
		RECORDER_REQUIRE(rec->v != NULL);
	}
	r = &rec->v[rec->n++];
	*r = (struct record){ .data = BUF_INIT(SIZE_MAX / 4) };
	r->key = malloc(key.len + 1);
	RECORDER_REQUIRE(r->key != NULL);
	if (key.len > 0)
		memcpy(r->key, key.data, key.len);
	r->key[key.len] = 0;
	r->key_len = key.len;
	recorder_keep(r, e);
	*done = rec->all_done;
	if (rec->on_offer != NULL)
		rec->on_offer(rec, r);
	return ERR_OK;
}

/* The record that was offered last, which must be key's. */
static inline struct record *
recorder_last(struct recorder *rec, struct bytes key)
{
	struct record *r;

	RECORDER_REQUIRE(rec->n > 0);
	r = &rec->v[rec->n - 1];
	RECORDER_REQUIRE(key_cmp(r->key, r->key_len, key.data, key.len) == 0);
	RECORDER_REQUIRE(r->way == WAY_OFFER);
	return r;
}

static inline enum err
recorder_entry(struct sink *s, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct record *r = recorder_last(to_recorder(s), key);
	enum err rc = recorder_call(to_recorder(s), err);

	if (rc != ERR_OK)
		return rc;
	r->way = WAY_ENTRY;
	recorder_keep(r, e);
	return ERR_OK;
}

static inline enum err
recorder_file(struct sink *s, struct bytes key, const struct entry *e,
	struct reader *reader, struct error *err)
{
	struct record *r = recorder_last(to_recorder(s), key);
	enum err rc = recorder_call(to_recorder(s), err);

	(void)e;
	r->way = WAY_FILE;
	r->reader = reader;
	return rc;
}

static inline enum err
recorder_stream_begin(struct sink *s, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct recorder *rec = to_recorder(s);
	struct record *r = recorder_last(rec, key);

	r->way = WAY_STREAM;
	rec->stream_open = true;
	recorder_keep(r, e);
	return recorder_call(rec, err);
}

static inline enum err
recorder_stream_write(struct sink *s, const void *data, size_t len,
	struct error *err)
{
	struct recorder *rec = to_recorder(s);
	enum err rc = recorder_call(rec, err);

	RECORDER_REQUIRE(rec->stream_open && len > 0);
	if (rc != ERR_OK)
		return rc;
	return buf_put(&rec->v[rec->n - 1].data, data, len, err);
}

static inline enum err
recorder_stream_end(struct sink *s, struct error *err)
{
	struct recorder *rec = to_recorder(s);

	RECORDER_REQUIRE(rec->stream_open);
	rec->stream_open = false;
	return recorder_call(rec, err);
}

static inline void
recorder_problem(struct sink *s, struct bytes key, const struct error *why)
{
	struct recorder *rec = to_recorder(s);
	struct error err = ERROR_INIT;

	RECORDER_REQUIRE(why->code != ERR_OK && why->msg[0] != '\0');
	rec->n_problems++;
	RECORDER_REQUIRE(
		key_to_path(&rec->problems, key.data, key.len, &err) == ERR_OK);
	RECORDER_REQUIRE(buf_put(&rec->problems, ": ", 2, &err) == ERR_OK);
	RECORDER_REQUIRE(buf_put(&rec->problems, why->msg, strlen(why->msg),
				 &err) == ERR_OK);
	RECORDER_REQUIRE(buf_put(&rec->problems, "\n", 2, &err) == ERR_OK);
	rec->problems.len--;
}

static const struct sink_ops recorder_ops = {
	.offer = recorder_offer,
	.entry = recorder_entry,
	.file = recorder_file,
	.stream_begin = recorder_stream_begin,
	.stream_write = recorder_stream_write,
	.stream_end = recorder_stream_end,
	.problem = recorder_problem,
};

static inline void
recorder_init(struct recorder *rec)
{
	*rec = (struct recorder){
		.base.ops = &recorder_ops,
		.problems = BUF_INIT(1 << 24),
		.path = BUF_INIT(2 * KEY_MAX),
	};
}

static inline void
recorder_fini(struct recorder *rec)
{
	for (size_t i = 0; i < rec->n; i++) {
		struct record *r = &rec->v[i];

		if (r->reader != NULL)
			r->reader->ops->close(r->reader);
		buf_fini(&r->data);
		free(r->key);
		free(r->text);
		free(r->xattrs);
	}
	free(rec->v);
	buf_fini(&rec->problems);
	buf_fini(&rec->path);
}

/* The path of a record, valid until the next call. */
static inline const char *
recorder_path(struct recorder *rec, const struct record *r)
{
	struct error err = ERROR_INIT;

	buf_clear(&rec->path);
	RECORDER_REQUIRE(
		key_to_path(&rec->path, r->key, r->key_len, &err) == ERR_OK);
	return (const char *)rec->path.data;
}

/* The record of a path, or NULL. */
static inline struct record *
recorder_find(struct recorder *rec, const char *path)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct error err = ERROR_INIT;
	struct record *found = NULL;

	RECORDER_REQUIRE(key_from_path(&key, path, &err) == ERR_OK);
	for (size_t i = 0; i < rec->n && found == NULL; i++) {
		if (key_cmp(rec->v[i].key, rec->v[i].key_len, key.data,
			    key.len) == 0)
			found = &rec->v[i];
	}
	buf_fini(&key);
	return found;
}

#endif /* TESTS_LIB_RECORDER_H */
