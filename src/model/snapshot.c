/* SPDX-License-Identifier: Apache-2.0 */
#include "model/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/rd.h"

enum snapshot_tag {
	TAG_ROOT = 1,
	TAG_BEGIN,
	TAG_END,
	TAG_HOST,
	TAG_USER,
	TAG_PROGRAM,
	TAG_SOURCE,
	TAG_TAG,
	TAG_PARENT,
	TAG_FIGURES,
	TAG_FLAGS
};

enum { N_FIGURES = 10, FIELD_MAX = 65536, STRINGS_MAX = 65536 };

static const uint32_t nsec_end = 1000000000;

void
snapshot_init(struct snapshot *s)
{
	*s = (struct snapshot){ 0 };
}

void
snapshot_fini(struct snapshot *s)
{
	free(s->host);
	free(s->user);
	free(s->program);
	strings_fini(&s->sources);
	strings_fini(&s->tags);
	snapshot_init(s);
}

/* Takes text over, also where it fails. */
static enum err
strings_take(struct strings *s, char *text, struct error *err)
{
	char **v = s->v;

	/* It doubles; where n is a power of two it is full. */
	if ((s->n & (s->n - 1)) == 0) {
		size_t cap = s->n > 0 ? 2 * s->n : 1;

		v = s->n < STRINGS_MAX ? realloc(v, cap * sizeof(*v)) : NULL;
		if (v == NULL) {
			free(text);
			return err_set(err, ERR_NOMEM,
				"no memory for one more text after %zu", s->n);
		}
		s->v = v;
	}
	v[s->n++] = text;
	return ERR_OK;
}

enum err
strings_add(struct strings *s, const char *text, struct error *err)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a text");
	return strings_take(s, copy, err);
}

void
strings_fini(struct strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strings){ 0 };
}

bool
strings_eq(const struct strings *a, const struct strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	}
	return true;
}

bool
strings_have(const struct strings *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i], text) == 0)
			return true;
	}
	return false;
}

static enum err
put_field(struct buf *out, enum snapshot_tag tag, const void *data, size_t len,
	struct error *err)
{
	enum err rc;

	if (len > FIELD_MAX)
		return err_set(err, ERR_USAGE,
			"a text of %zu bytes does not fit into a snapshot",
			len);
	rc = buf_put_u8(out, (uint8_t)tag, err);
	return rc == ERR_OK ? buf_put_bytes(out, data, len, err) : rc;
}

static enum err
put_text(struct buf *out, enum snapshot_tag tag, const char *text,
	struct error *err)
{
	if (text == NULL)
		return ERR_OK;
	return put_field(out, tag, text, strlen(text), err);
}

static enum err
put_texts(struct buf *out, enum snapshot_tag tag, const struct strings *s,
	struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < s->n && rc == ERR_OK; i++)
		rc = put_text(out, tag, s->v[i], err);
	return rc;
}

static enum err
put_when(struct buf *out, enum snapshot_tag tag, const struct when *t,
	struct error *err)
{
	struct buf field = BUF_INIT(FIELD_MAX);
	enum err rc;

	rc = buf_put_svarint(&field, t->sec, err);
	if (rc == ERR_OK)
		rc = buf_put_varint(&field, t->nsec, err);
	if (rc == ERR_OK)
		rc = put_field(out, tag, field.data, field.len, err);
	buf_fini(&field);
	return rc;
}

static enum err
put_varints(struct buf *out, enum snapshot_tag tag, const uint64_t *v, size_t n,
	struct error *err)
{
	struct buf field = BUF_INIT(FIELD_MAX);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < n && rc == ERR_OK; i++)
		rc = buf_put_varint(&field, v[i], err);
	if (rc == ERR_OK)
		rc = put_field(out, tag, field.data, field.len, err);
	buf_fini(&field);
	return rc;
}

/* In the order of section 7. */
static void
figures_list(const struct snapshot_figures *f, uint64_t v[N_FIGURES])
{
	const uint64_t list[N_FIGURES] = { f->entries, f->files, f->bytes,
		f->entries_new, f->entries_changed, f->entries_unchanged,
		f->bytes_read, f->bytes_added, f->bytes_stored, f->errors };

	memcpy(v, list, sizeof(list));
}

static void
figures_set(struct snapshot_figures *f, const uint64_t v[N_FIGURES])
{
	*f = (struct snapshot_figures){ .entries = v[0],
		.files = v[1],
		.bytes = v[2],
		.entries_new = v[3],
		.entries_changed = v[4],
		.entries_unchanged = v[5],
		.bytes_read = v[6],
		.bytes_added = v[7],
		.bytes_stored = v[8],
		.errors = v[9] };
}

static enum err
put_texts_all(const struct snapshot *s, struct buf *out, struct error *err)
{
	enum err rc;

	rc = put_text(out, TAG_HOST, s->host, err);
	if (rc == ERR_OK)
		rc = put_text(out, TAG_USER, s->user, err);
	if (rc == ERR_OK)
		rc = put_text(out, TAG_PROGRAM, s->program, err);
	if (rc == ERR_OK)
		rc = put_texts(out, TAG_SOURCE, &s->sources, err);
	if (rc == ERR_OK)
		rc = put_texts(out, TAG_TAG, &s->tags, err);
	return rc;
}

enum err
snapshot_encode(const struct snapshot *s, struct buf *out, struct error *err)
{
	size_t start = out->len;
	uint64_t figures[N_FIGURES];
	enum err rc;

	figures_list(&s->figures, figures);
	rc = put_field(out, TAG_ROOT, s->root.b, ID_LEN, err);
	if (rc == ERR_OK)
		rc = put_when(out, TAG_BEGIN, &s->begin, err);
	if (rc == ERR_OK)
		rc = put_when(out, TAG_END, &s->end, err);
	if (rc == ERR_OK)
		rc = put_texts_all(s, out, err);
	if (rc == ERR_OK && s->has_parent)
		rc = put_field(out, TAG_PARENT, s->parent.b, UID_LEN, err);
	if (rc == ERR_OK)
		rc = put_varints(out, TAG_FIGURES, figures, N_FIGURES, err);
	if (rc == ERR_OK && s->flags != 0)
		rc = put_varints(out, TAG_FLAGS, &s->flags, 1, err);
	if (rc != ERR_OK)
		out->len = start;
	return rc;
}

static enum err
bad(struct error *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "snapshot record: %s", what);
}

static enum err
get_text(struct rd *field, char **out, struct error *err)
{
	size_t len = rd_left(field);
	const uint8_t *data = rd_raw(field, len);

	if (len > 0 && memchr(data, 0, len) != NULL)
		return bad(err, "a text holds a zero byte");
	*out = len > 0 ? strndup((const char *)data, len) : strdup("");
	if (*out == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a text");
	return ERR_OK;
}

static enum err
get_one_more(struct rd *field, struct strings *s, struct error *err)
{
	char *text = NULL;
	enum err rc = get_text(field, &text, err);

	return rc == ERR_OK ? strings_take(s, text, err) : rc;
}

static void
get_when(struct rd *field, struct when *t)
{
	t->sec = rd_svarint(field);
	t->nsec = (uint32_t)rd_varint_max(field, nsec_end - 1);
}

static void
get_figures(struct rd *field, struct snapshot_figures *f)
{
	uint64_t v[N_FIGURES];

	for (size_t i = 0; i < N_FIGURES; i++)
		v[i] = rd_varint(field);
	figures_set(f, v);
}

static enum err
get_field(struct snapshot *s, enum snapshot_tag tag, struct rd *field,
	struct error *err)
{
	switch (tag) {
	case TAG_ROOT:
		rd_copy(field, s->root.b, ID_LEN);
		return ERR_OK;
	case TAG_BEGIN:
		get_when(field, &s->begin);
		return ERR_OK;
	case TAG_END:
		get_when(field, &s->end);
		return ERR_OK;
	case TAG_HOST:
		return get_text(field, &s->host, err);
	case TAG_USER:
		return get_text(field, &s->user, err);
	case TAG_PROGRAM:
		return get_text(field, &s->program, err);
	case TAG_SOURCE:
		return get_one_more(field, &s->sources, err);
	case TAG_TAG:
		return get_one_more(field, &s->tags, err);
	case TAG_PARENT:
		s->has_parent = true;
		rd_copy(field, s->parent.b, UID_LEN);
		return ERR_OK;
	case TAG_FIGURES:
		get_figures(field, &s->figures);
		return ERR_OK;
	case TAG_FLAGS:
		s->flags = rd_varint(field);
		return ERR_OK;
	}
	/* A later version's: passed over. */
	(void)rd_raw(field, rd_left(field));
	return ERR_OK;
}

static enum err
get_fields(struct snapshot *s, const uint8_t *data, size_t len,
	struct error *err)
{
	const unsigned repeated = 1u << TAG_SOURCE | 1u << TAG_TAG;
	const unsigned needed =
		1u << TAG_ROOT | 1u << TAG_BEGIN | 1u << TAG_END;
	unsigned seen = 0;
	struct rd r, field;

	rd_init(&r, data, len);
	while (rd_left(&r) > 0) {
		uint8_t tag = rd_u8(&r);
		unsigned bit = tag <= TAG_FLAGS ? 1u << tag : 0;
		size_t field_len;
		const uint8_t *at = rd_bytes(&r, SIZE_MAX, &field_len);
		enum err rc;

		if (!rd_ok(&r))
			return bad(err, "a field is cut off");
		if (bit != 0 && field_len > FIELD_MAX)
			return bad(err, "a field is too long");
		if ((seen & bit & ~repeated) != 0)
			return bad(err, "a field occurs twice");
		seen |= bit;
		rd_init(&field, at, field_len);
		rc = get_field(s, (enum snapshot_tag)tag, &field, err);
		if (rc != ERR_OK)
			return rc;
		if (!rd_done(&field))
			return bad(err, "a field has the wrong form");
	}
	if ((seen & needed) != needed)
		return bad(err, "the root or a time is missing");
	return ERR_OK;
}

enum err
snapshot_decode(struct snapshot *s, const uint8_t *data, size_t len,
	struct error *err)
{
	struct snapshot made;
	enum err rc;

	snapshot_init(&made);
	made.uid = s->uid;
	made.ns = s->ns;
	made.forgotten = s->forgotten;
	made.held = s->held;
	rc = get_fields(&made, data, len, err);
	if (rc != ERR_OK) {
		snapshot_fini(&made);
		return rc;
	}
	snapshot_fini(s);
	*s = made;
	return ERR_OK;
}
