/* SPDX-License-Identifier: Apache-2.0 */
/* ceph_meta: the keys and values that an image carries along. */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 64, /* keys asked for at a time */
	LEN_FIRST = 4096,
	LEN_MAX = 64 << 20, /* of a page, or of a value */
	TRIES = 16
};

/* Texts that end with a NUL each, one after the other. */
struct texts {
	char *data;
	size_t room, len;
};

/* Room for want bytes, and a NUL behind them. */
static enum err
grow(struct ceph_image *img, struct texts *t, size_t want, struct error *err)
{
	char *more;

	if (want > LEN_MAX)
		return err_set(err, ERR_CORRUPT,
			"%s: metadata of %zu bytes is too much", img->label,
			want);
	more = realloc(t->data, want + 1);
	if (more == NULL)
		return err_set(err, ERR_NOMEM, "no memory for metadata");
	t->data = more;
	t->room = want;
	return ERR_OK;
}

/* The text at *at, and *at behind it; NULL at the end. */
static const char *
next_text(const struct texts *t, size_t *at)
{
	const char *text = t->data + *at;

	if (*at >= t->len)
		return NULL;
	*at += strlen(text) + 1;
	return text;
}

static enum err
get_page(struct ceph_image *img, const char *after, struct texts *keys,
	struct texts *values, struct error *err)
{
	size_t klen = LEN_FIRST, vlen = LEN_FIRST;
	enum err e;
	int r = -ERANGE;

	for (int i = 0; i < TRIES && r == -ERANGE; i++) {
		e = grow(img, keys, klen, err);
		if (e == ERR_OK)
			e = grow(img, values, vlen, err);
		if (e != ERR_OK)
			return e;
		klen = keys->room;
		vlen = values->room;
		r = img->lib->rbd_metadata_list(img->rbd, after, PAGE,
			keys->data, &klen, values->data, &vlen);
	}
	if (r < 0)
		return ceph_fail(err, r, "%s: cannot list its metadata",
			img->label);
	keys->len = klen;
	values->len = vlen;
	keys->data[klen] = '\0';
	values->data[vlen] = '\0';
	return ERR_OK;
}

static enum err
tell_page(struct ceph_image *img, const struct texts *keys,
	const struct texts *values, const char **last, ceph_meta_fn *fn,
	void *arg, struct error *err)
{
	const char *key, *value;
	size_t at_key = 0, at_value = 0;
	enum err e = ERR_OK;

	*last = NULL;
	while (e == ERR_OK && (key = next_text(keys, &at_key)) != NULL) {
		value = next_text(values, &at_value);
		if (value == NULL)
			break;
		*last = key;
		e = fn(arg, key, value, err);
	}
	/* A NUL within a value would pair what follows with wrong keys. */
	if (e == ERR_OK && (at_key != keys->len || at_value != values->len))
		return err_set(err, ERR_CORRUPT,
			"%s: metadata that is not text", img->label);
	return e;
}

enum err
ceph_each_meta(struct ceph_image *img, ceph_meta_fn *fn, void *arg,
	struct error *err)
{
	struct texts keys = { NULL, 0, 0 }, values = { NULL, 0, 0 };
	const char *last = NULL;
	char *after = strdup("");
	enum err e = ERR_OK;

	while (e == ERR_OK && after != NULL) {
		e = get_page(img, after, &keys, &values, err);
		if (e == ERR_OK)
			e = tell_page(img, &keys, &values, &last, fn, arg, err);
		if (e != ERR_OK || last == NULL)
			break;
		free(after);
		after = strdup(last);
	}
	if (after == NULL)
		e = err_set(err, ERR_NOMEM, "no memory for metadata");
	free(after);
	free(keys.data);
	free(values.data);
	return e;
}

static enum err
fail(struct ceph_image *img, const char *key, int r, struct error *err)
{
	char text[CEPH_LABEL_MAX] = "";

	ceph_label_add(text, key);
	return ceph_fail(err, r, "%s: metadata \"%s\"", img->label, text);
}

struct value {
	char *key, *text;
};

static void
value_free(void *found)
{
	struct value *v = found;

	free(v->key);
	free(v->text);
	free(v);
}

static enum err
ask_value(struct ceph_image *img, void *found, struct error *err)
{
	struct value *v = found;
	struct texts t = { NULL, 0, 0 };
	size_t len = LEN_FIRST;
	enum err e = ERR_OK;
	int r = -ERANGE;

	for (int i = 0; i < TRIES && r == -ERANGE; i++) {
		e = grow(img, &t, len, err);
		if (e != ERR_OK)
			goto out;
		len = t.room;
		r = img->lib->rbd_metadata_get(img->rbd, v->key, t.data, &len);
	}
	if (r < 0) {
		e = fail(img, v->key, r, err);
		goto out;
	}
	t.data[t.room] = '\0';
	v->text = t.data;
	t.data = NULL;
out:
	free(t.data);
	return e;
}

enum err
ceph_meta_get(struct ceph_image *img, const char *key, char **value,
	struct error *err)
{
	struct value *v = calloc(1, sizeof(*v));
	bool lost = false;
	enum err e;

	if (v == NULL)
		return err_set(err, ERR_NOMEM, "no memory for metadata");
	v->key = strdup(key);
	e = v->key != NULL ? ceph_ask(img, ask_value, v, value_free, &lost, err)
			   : err_set(err, ERR_NOMEM, "no memory for metadata");
	if (e == ERR_OK) {
		*value = v->text;
		v->text = NULL;
	}
	if (!lost)
		value_free(v);
	return e;
}

static int
call_set(struct ceph_call *call)
{
	return call->lib->rbd_metadata_set(call->rbd, call->text[0],
		call->text[1]);
}

static int
call_remove(struct ceph_call *call)
{
	return call->lib->rbd_metadata_remove(call->rbd, call->text[0]);
}

enum err
ceph_meta_set(struct ceph_image *img, const char *key, const char *value,
	struct error *err)
{
	int r = ceph_patiently_on(img, call_set, key, value, 0);

	return r < 0 ? fail(img, key, r, err) : ERR_OK;
}

enum err
ceph_meta_remove(struct ceph_image *img, const char *key, struct error *err)
{
	int r = ceph_patiently_on(img, call_remove, key, NULL, 0);

	return r < 0 ? fail(img, key, r, err) : ERR_OK;
}
