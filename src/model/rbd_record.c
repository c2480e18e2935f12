/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rbd_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json.h"
#include "model/path.h"

enum {
	TEXT_MAX = 1 << 20,
	ORDER_MIN = 12,
	ORDER_MAX = 26,
	/* of "@rbd.json" and "@rbd.own" */
	SUFFIX_MAX = 9
};

void
rbd_record_init(struct rbd_record *r)
{
	memset(r, 0, sizeof(*r));
}

static void
parent_fini(struct rbd_parent *p)
{
	free(p->pool);
	free(p->ns);
	free(p->image);
	free(p->image_id);
	free(p->snap);
}

void
rbd_record_fini(struct rbd_record *r)
{
	for (size_t i = 0; i < r->n_meta; i++) {
		free(r->meta[i].key);
		free(r->meta[i].value);
	}
	for (size_t i = 0; i < r->n_snaps; i++)
		free(r->snaps[i].name);
	parent_fini(&r->parent);
	free(r->meta);
	free(r->snaps);
	ranges_fini(&r->older);
	free(r->fsid);
	free(r->pool);
	free(r->ns);
	free(r->image);
	free(r->image_id);
	free(r->snap);
	free(r->data_pool);
	free(r->why_full);
	rbd_record_init(r);
}

/* ---- arrays ---- */

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for an image's record");
}

/* Room for the nth item: arrays that double at each power of two. */
static void *
one_more(void *v, size_t n, size_t each, struct error *err)
{
	size_t cap = n;

	if (n > 0 && (n & (n - 1)) != 0)
		return v;
	return array_grow(v, n, &cap, each, err);
}

enum err
rbd_record_add_meta(struct rbd_record *r, const char *key, const char *value,
	struct error *err)
{
	struct rbd_meta *v =
		one_more(r->meta, r->n_meta, sizeof(*r->meta), err);
	struct rbd_meta m = { strdup(key != NULL ? key : ""),
		strdup(value != NULL ? value : "") };

	r->meta = v != NULL ? v : r->meta;
	if (v == NULL || m.key == NULL || m.value == NULL) {
		free(m.key);
		free(m.value);
		return no_memory(err);
	}
	v[r->n_meta++] = m;
	return ERR_OK;
}

enum err
rbd_record_add_snap(struct rbd_record *r, const char *name, uint64_t id,
	uint64_t size, bool is_protected, struct error *err)
{
	struct rbd_snap *v =
		one_more(r->snaps, r->n_snaps, sizeof(*r->snaps), err);
	struct rbd_snap s = { strdup(name != NULL ? name : ""), id, size,
		is_protected };

	r->snaps = v != NULL ? v : r->snaps;
	if (v == NULL || s.name == NULL) {
		free(s.name);
		return no_memory(err);
	}
	v[r->n_snaps++] = s;
	return ERR_OK;
}

/* ---- encoding ---- */

static void
put_text(struct json_writer *w, const char *name, const char *text)
{
	json_put_text(w, name, text);
}

static void
put_parent(struct json_writer *w, const struct rbd_parent *p)
{
	json_open(w, "parent", '{');
	put_text(w, "pool", p->pool);
	put_text(w, "namespace", p->ns);
	put_text(w, "image", p->image);
	put_text(w, "image_id", p->image_id);
	put_text(w, "snap", p->snap);
	json_put_uint(w, "snap_id", p->snap_id);
	json_put_uint(w, "overlap", p->overlap);
	json_close(w);
}

static void
put_lists(struct json_writer *w, const struct rbd_record *r)
{
	json_open(w, "metadata", '[');
	for (size_t i = 0; i < r->n_meta; i++) {
		json_open(w, NULL, '{');
		put_text(w, "key", r->meta[i].key);
		put_text(w, "value", r->meta[i].value);
		json_close(w);
	}
	json_close(w);
	json_open(w, "snapshots", '[');
	for (size_t i = 0; i < r->n_snaps; i++) {
		json_open(w, NULL, '{');
		put_text(w, "name", r->snaps[i].name);
		json_put_uint(w, "id", r->snaps[i].id);
		json_put_uint(w, "size", r->snaps[i].size);
		json_put_bool(w, "protected", r->snaps[i].is_protected);
		json_close(w);
	}
	json_close(w);
	if (!r->older_known)
		return;
	json_open(w, "older", '[');
	for (size_t i = 0; i < r->older.n; i++) {
		const struct range *one = &r->older.v[i];

		json_put_uint(w, NULL, one->off);
		json_put_uint(w, NULL, one->end - one->off);
	}
	json_close(w);
}

enum err
rbd_record_encode(const struct rbd_record *r, struct buf *out,
	struct error *err)
{
	struct json_writer w;
	char taken[40];

	when_rfc3339(&r->taken, taken);
	json_begin(&w, out);
	json_open(&w, NULL, '{');
	put_text(&w, "fsid", r->fsid);
	put_text(&w, "pool", r->pool);
	put_text(&w, "namespace", r->ns);
	put_text(&w, "image", r->image);
	put_text(&w, "image_id", r->image_id);
	put_text(&w, "snap", r->snap);
	json_put_uint(&w, "snap_id", r->snap_id);
	put_text(&w, "taken", taken);
	json_put_uint(&w, "size", r->size);
	json_put_uint(&w, "order", r->order);
	json_put_uint(&w, "features", r->features);
	json_put_uint(&w, "stripe_unit", r->stripe_unit);
	json_put_uint(&w, "stripe_count", r->stripe_count);
	put_text(&w, "data_pool", r->data_pool);
	json_put_bool(&w, "parent_data", r->parent_data);
	if (r->has_parent)
		put_parent(&w, &r->parent);
	put_text(&w, "why_full", r->why_full);
	put_lists(&w, r);
	json_close(&w);
	return json_end(&w, err);
}

/* ---- decoding ---- */

/* Optional: *out stays NULL where it is absent. */
static enum err
get_text(const struct json *obj, const char *name, char **out,
	struct error *err)
{
	struct buf text = BUF_INIT(TEXT_MAX);
	char base64[32];
	enum err rc;

	(void)snprintf(base64, sizeof(base64), "%s_base64", name);
	if (!json_has(obj, name) && !json_has(obj, base64))
		return ERR_OK;
	rc = json_get_bytes(obj, name, &text, err);
	if (rc == ERR_OK && text.len > 0 &&
		memchr(text.data, 0, text.len) != NULL)
		rc = err_set(err, ERR_CORRUPT, "'%s' has a zero byte", name);
	if (rc == ERR_OK)
		rc = buf_put_u8(&text, 0, err);
	if (rc == ERR_OK) {
		*out = (char *)text.data;
		return ERR_OK;
	}
	buf_fini(&text);
	return rc;
}

/* Optional: 0 where it is absent. */
static enum err
get_uint(const struct json *obj, const char *name, uint64_t max, uint64_t *out,
	struct error *err)
{
	return json_has(obj, name) ? json_get_uint(obj, name, max, out, err)
				   : ERR_OK;
}

static enum err
get_bool(const struct json *obj, const char *name, bool *out, struct error *err)
{
	return json_has(obj, name) ? json_get_bool(obj, name, out, err)
				   : ERR_OK;
}

static enum err
get_taken(const struct json *obj, struct when *out, struct error *err)
{
	const char *text;
	enum err rc;

	if (!json_has(obj, "taken"))
		return ERR_OK;
	rc = json_get_text(obj, "taken", &text, err);
	if (rc == ERR_OK && when_parse(out, text, err) != ERR_OK)
		rc = err_set(err, ERR_CORRUPT, "'taken' is not a time");
	return rc;
}

static enum err
get_where(struct rbd_record *r, const struct json *obj, struct error *err)
{
	struct {
		const char *name;
		char **to;
	} texts[] = { { "fsid", &r->fsid }, { "pool", &r->pool },
		{ "namespace", &r->ns }, { "image", &r->image },
		{ "image_id", &r->image_id }, { "snap", &r->snap },
		{ "data_pool", &r->data_pool }, { "why_full", &r->why_full } };
	enum err rc = ERR_OK;

	for (size_t i = 0; i < ARRAY_LEN(texts) && rc == ERR_OK; i++)
		rc = get_text(obj, texts[i].name, texts[i].to, err);
	if (rc == ERR_OK)
		rc = get_uint(obj, "snap_id", UINT64_MAX, &r->snap_id, err);
	return rc == ERR_OK ? get_taken(obj, &r->taken, err) : rc;
}

static enum err
get_setup(struct rbd_record *r, const struct json *obj, struct error *err)
{
	uint64_t order = 0;
	enum err rc = json_get_uint(obj, "size", INT64_MAX, &r->size, err);

	if (rc == ERR_OK)
		rc = get_uint(obj, "order", ORDER_MAX, &order, err);
	if (rc == ERR_OK && order != 0 && order < ORDER_MIN)
		rc = err_set(err, ERR_CORRUPT, "'order' is %u",
			(unsigned)order);
	r->order = (unsigned)order;
	if (rc == ERR_OK)
		rc = get_uint(obj, "features", UINT64_MAX, &r->features, err);
	if (rc == ERR_OK)
		rc = get_uint(obj, "stripe_unit", INT64_MAX, &r->stripe_unit,
			err);
	if (rc == ERR_OK)
		rc = get_uint(obj, "stripe_count", INT64_MAX, &r->stripe_count,
			err);
	if (rc == ERR_OK)
		rc = get_bool(obj, "parent_data", &r->parent_data, err);
	return rc;
}

static enum err
get_parent(struct rbd_record *r, const struct json *obj, struct error *err)
{
	struct rbd_parent *p = &r->parent;
	const struct json *o;
	enum err rc;

	if (!json_has(obj, "parent"))
		return ERR_OK;
	r->has_parent = true;
	rc = json_get_object(obj, "parent", &o, err);
	if (rc == ERR_OK)
		rc = get_text(o, "pool", &p->pool, err);
	if (rc == ERR_OK)
		rc = get_text(o, "namespace", &p->ns, err);
	if (rc == ERR_OK)
		rc = get_text(o, "image", &p->image, err);
	if (rc == ERR_OK)
		rc = get_text(o, "image_id", &p->image_id, err);
	if (rc == ERR_OK)
		rc = get_text(o, "snap", &p->snap, err);
	if (rc == ERR_OK)
		rc = get_uint(o, "snap_id", UINT64_MAX, &p->snap_id, err);
	if (rc == ERR_OK)
		rc = get_uint(o, "overlap", INT64_MAX, &p->overlap, err);
	return rc;
}

static enum err
get_meta(struct rbd_record *r, const struct json *o, struct error *err)
{
	struct rbd_meta m = { NULL, NULL };
	enum err rc = get_text(o, "key", &m.key, err);

	if (rc == ERR_OK)
		rc = get_text(o, "value", &m.value, err);
	if (rc == ERR_OK && (m.key == NULL || m.value == NULL))
		rc = err_set(err, ERR_CORRUPT, "a pair lacks its half");
	if (rc == ERR_OK)
		rc = rbd_record_add_meta(r, m.key, m.value, err);
	free(m.key);
	free(m.value);
	return rc;
}

static enum err
get_snap(struct rbd_record *r, const struct json *o, struct error *err)
{
	struct rbd_snap s = { .name = NULL };
	enum err rc = get_text(o, "name", &s.name, err);

	if (rc == ERR_OK && s.name == NULL)
		rc = err_set(err, ERR_CORRUPT, "it has no name");
	if (rc == ERR_OK)
		rc = get_uint(o, "id", UINT64_MAX, &s.id, err);
	if (rc == ERR_OK)
		rc = get_uint(o, "size", INT64_MAX, &s.size, err);
	if (rc == ERR_OK)
		rc = get_bool(o, "protected", &s.is_protected, err);
	if (rc == ERR_OK)
		rc = rbd_record_add_snap(r, s.name, s.id, s.size,
			s.is_protected, err);
	free(s.name);
	return rc;
}

static enum err
get_each(struct rbd_record *r, const struct json *obj, const char *name,
	enum err (*each)(struct rbd_record *, const struct json *,
		struct error *),
	struct error *err)
{
	const struct json *list;
	enum err rc;

	if (!json_has(obj, name))
		return ERR_OK;
	rc = json_get_array(obj, name, &list, err);
	for (size_t i = 0; rc == ERR_OK && i < json_count(list); i++) {
		rc = each(r, json_at(list, i), err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "'%s', element %zu", name, i);
	}
	return rc;
}

static enum err
get_older(struct rbd_record *r, const struct json *obj, struct error *err)
{
	const struct json *list;
	uint64_t off, len, end = 0;
	enum err rc;
	size_t n;

	if (!json_has(obj, "older"))
		return ERR_OK;
	rc = json_get_array(obj, "older", &list, err);
	if (rc != ERR_OK)
		return rc;
	n = json_count(list);
	if (n % 2 != 0 || n / 2 > RBD_OLDER_MAX)
		return err_set(err, ERR_CORRUPT, "'older' has %zu numbers", n);
	r->older_known = true;
	for (size_t i = 0; rc == ERR_OK && i < n; i += 2) {
		rc = json_at_uint(list, i, INT64_MAX, &off, err);
		if (rc == ERR_OK)
			rc = json_at_uint(list, i + 1, INT64_MAX - off, &len,
				err);
		if (rc == ERR_OK && (off < end || len == 0))
			rc = err_set(err, ERR_CORRUPT,
				"'older' is out of order");
		if (rc == ERR_OK)
			rc = ranges_add(&r->older, off, len, err);
		if (rc == ERR_OK)
			end = off + len;
	}
	return rc;
}

enum err
rbd_record_decode(struct rbd_record *r, const void *data, size_t len,
	struct error *err)
{
	struct json *obj = NULL;
	enum err rc;

	rbd_record_fini(r);
	if (len > RBD_RECORD_MAX)
		return err_set(err, ERR_CORRUPT,
			"an image's record of %zu bytes", len);
	rc = json_parse(&obj, data, len, err);
	if (rc == ERR_OK)
		rc = get_where(r, obj, err);
	if (rc == ERR_OK)
		rc = get_setup(r, obj, err);
	if (rc == ERR_OK)
		rc = get_parent(r, obj, err);
	if (rc == ERR_OK)
		rc = get_each(r, obj, "metadata", get_meta, err);
	if (rc == ERR_OK)
		rc = get_each(r, obj, "snapshots", get_snap, err);
	if (rc == ERR_OK)
		rc = get_older(r, obj, err);
	json_free(obj);
	if (rc != ERR_OK)
		rbd_record_fini(r);
	return rc == ERR_OK ? rc : err_wrap(err, "an image's record");
}

/* ---- keys ---- */

static bool
name_ok(const char *name, size_t max)
{
	size_t len = strlen(name);

	return len > 0 && len <= max && strpbrk(name, "/@") == NULL &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum err
put_key(struct buf *out, const char *const parts[4], const char *suffix,
	struct error *err)
{
	enum err rc = buf_put(out, "images", 6, err);

	for (size_t i = 0; i < 3 && rc == ERR_OK; i++) {
		if (parts[i] == NULL)
			continue;
		rc = buf_put_u8(out, 0, err);
		if (rc == ERR_OK && i == 1)
			rc = buf_put_u8(out, '@', err);
		if (rc == ERR_OK)
			rc = buf_put(out, parts[i], strlen(parts[i]), err);
	}
	return rc == ERR_OK ? buf_put(out, suffix, strlen(suffix), err) : rc;
}

static enum err
add_key(struct buf *out, const char *pool, const char *ns, const char *image,
	const char *suffix, struct error *err)
{
	bool has_ns = ns != NULL && ns[0] != '\0';
	const char *const parts[] = { pool, has_ns ? ns : NULL, image, NULL };
	size_t start = out->len;
	enum err rc;

	if (!name_ok(pool, COMPONENT_MAX) ||
		(has_ns && !name_ok(ns, COMPONENT_MAX - 1)) ||
		!name_ok(image, COMPONENT_MAX - SUFFIX_MAX))
		return err_set(err, ERR_USAGE,
			"%.200s/%.200s: this name cannot be a path in a "
			"snapshot",
			pool, image);
	rc = put_key(out, parts, suffix, err);
	if (rc != ERR_OK)
		out->len = start;
	return rc;
}

enum err
rbd_image_key(struct buf *out, const char *pool, const char *ns,
	const char *image, struct error *err)
{
	return add_key(out, pool, ns, image, "", err);
}

enum err
rbd_record_key(struct buf *out, const char *pool, const char *ns,
	const char *image, struct error *err)
{
	return add_key(out, pool, ns, image, "@rbd.json", err);
}

enum err
rbd_own_key(struct buf *out, const char *pool, const char *ns,
	const char *image, struct error *err)
{
	return add_key(out, pool, ns, image, "@rbd.own", err);
}
