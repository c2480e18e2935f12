/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/capture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "model/path.h"
#include "model/rbd_record.h"
#include "source/rbd/take.h"

enum { RECORD_MODE = 0600, INLINE_MAX = 64 << 10, SUMMARY_MAX = 64 << 10 };

/* An entry to be. */
struct item {
	struct buf key;
	struct pick *pick;
	bool image; /* else what lies beside it */
};

/* ---- small entries ---- */

static enum err
put_stream(struct sink *sink, struct bytes key, const struct entry *e,
	const struct buf *data, struct error *err)
{
	const struct sink_ops *ops = sink->ops;
	enum err rc = ops->stream_begin(sink, key, e, err);

	for (size_t at = 0, n; rc == ERR_OK && at < data->len; at += n) {
		n = data->len - at < INLINE_MAX ? data->len - at : INLINE_MAX;
		rc = ops->stream_write(sink, data->data + at, n, err);
	}
	return rc == ERR_OK ? ops->stream_end(sink, err) : rc;
}

/* In the tree itself where it fits, so that a writer's key finds it again. */
static enum err
put_record(struct sink *sink, const struct buf *key, const struct buf *data,
	const struct when *t, struct error *err)
{
	struct bytes k = { key->data, key->len };
	struct entry e;
	bool done;
	enum err rc;

	entry_init(&e);
	e.type = ENTRY_RECORD;
	e.mode = RECORD_MODE;
	e.uid = geteuid();
	e.gid = getegid();
	e.mtime = e.ctime = *t;
	e.size = data->len;
	rc = sink->ops->offer(sink, k, &e, &done, err);
	if (rc != ERR_OK || done)
		return rc;
	if (data->len > INLINE_MAX)
		return put_stream(sink, k, &e, data, err);
	e.content.kind = CONTENT_INLINE;
	e.content.bytes = (struct bytes){ data->data, data->len };
	return sink->ops->entry(sink, k, &e, err);
}

static enum err
put_beside(struct item *i, struct sink *sink, struct error *err)
{
	struct pick *p = i->pick;
	struct buf own = BUF_INIT(KEY_MAX);
	enum err rc = put_record(sink, &i->key, &p->record, &p->taken, err);

	if (rc == ERR_OK && p->own.len > 0)
		rc = rbd_own_key(&own, ceph_pool_name(p->pool),
			ceph_pool_ns(p->pool), p->name, err);
	if (rc == ERR_OK && p->own.len > 0)
		rc = put_record(sink, &own, &p->own, &p->taken, err);
	buf_fini(&own);
	buf_fini(&p->record);
	buf_fini(&p->own);
	return rc;
}

/* ---- the run as a whole ---- */

static void
put_when(struct json_writer *w, const char *name, const struct when *t)
{
	char text[40];

	when_rfc3339(t, text);
	json_put_text(w, name, text);
}

static enum err
write_summary(const struct rbd *r, struct buf *out, struct error *err)
{
	struct json_writer w;
	size_t n = 0;
	double ms = (double)(r->last.sec - r->first.sec) * 1e3 +
		    ((double)r->last.nsec - (double)r->first.nsec) / 1e6;

	for (size_t i = 0; i < r->n_picks; i++)
		n += r->picks[i]->trouble.code == ERR_OK;
	json_begin(&w, out);
	json_open(&w, NULL, '{');
	json_put_text(&w, "fsid", ceph_fsid(r->ceph));
	json_put_text(&w, "job", r->job);
	json_put_text(&w, "snap", r->dry_run ? NULL : r->snap);
	json_put_text(&w, "group", r->group);
	json_put_text(&w, "together",
		r->group != NULL ? "group"
		: r->together    ? "close"
				 : "no");
	json_put_bool(&w, "hook", r->hook != NULL);
	json_put_uint(&w, "images", n);
	put_when(&w, "first", &r->first);
	put_when(&w, "last", &r->last);
	json_put_uint(&w, "spread_ms", ms > 0 ? (uint64_t)(ms + 0.5) : 0);
	json_close(&w);
	return json_end(&w, err);
}

static enum err
put_summary(struct rbd *r, struct sink *sink, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX), text = BUF_INIT(SUMMARY_MAX);
	enum err rc = write_summary(r, &text, err);

	if (rc == ERR_OK)
		rc = buf_put(&key, "rbd.json", 8, err);
	if (rc == ERR_OK)
		rc = put_record(sink, &key, &text, &r->last, err);
	buf_fini(&key);
	buf_fini(&text);
	return rc;
}

/* ---- in order ---- */

static int
by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return key_cmp(x->key.data, x->key.len, y->key.data, y->key.len);
}

static enum err
list_items(struct rbd *r, struct item *v, size_t *n, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < r->n_picks; i++) {
		struct pick *p = r->picks[i];

		if (p->trouble.code != ERR_OK)
			continue;
		for (unsigned image = 0; rc == ERR_OK && image < 2; image++) {
			struct item *x = &v[(*n)++];

			buf_init(&x->key, KEY_MAX);
			x->pick = p;
			x->image = image != 0;
			rc = (image != 0 ? rbd_image_key
					 : rbd_record_key)(&x->key,
				ceph_pool_name(p->pool), ceph_pool_ns(p->pool),
				p->name, err);
		}
	}
	return rc;
}

static void
tell_troubles(struct rbd *r, struct sink *sink)
{
	for (size_t i = 0; i < r->n_picks; i++) {
		struct pick *p = r->picks[i];
		struct bytes key = { p->key.data, p->key.len };

		if (p->trouble.code != ERR_OK)
			sink->ops->problem(sink, key, &p->trouble);
	}
}

enum err
capture_all(struct rbd *r, struct sink *sink, struct error *err)
{
	struct item *v = calloc(2 * r->n_picks + 1, sizeof(*v));
	size_t n = 0;
	enum err rc;

	if (v == NULL)
		return err_set(err, ERR_NOMEM,
			"no memory for a list of images");
	tell_troubles(r, sink);
	rc = list_items(r, v, &n, err);
	if (n > 0)
		qsort(v, n, sizeof(*v), by_key);
	for (size_t i = 0; rc == ERR_OK && i < n; i++)
		rc = v[i].image ? take_image(r, v[i].pick, sink, err)
				: put_beside(&v[i], sink, err);
	if (rc == ERR_OK)
		rc = put_summary(r, sink, err);
	for (size_t i = 0; i < n; i++)
		buf_fini(&v[i].key);
	free(v);
	return rc;
}
