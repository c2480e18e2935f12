/* SPDX-License-Identifier: Apache-2.0 */
#include "model/mfs_record.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum { ID_DIGITS = 16 };

const char mfs_record_name[] = "moosefs.json";

enum err
mfs_record_encode(const struct mfs_record *r, struct buf *out,
	struct error *err)
{
	char text[ID_HEX + 1], when[40];
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, NULL, '{');
	json_put_uint(&w, "format", 1);
	json_put_text(&w, "source", r->source);
	json_put_text(&w, "generation", r->generation);
	(void)snprintf(text, sizeof(text), "%.*s", ID_DIGITS, r->generation);
	json_put_text(&w, "id", text);
	if (r->master[0] != '\0')
		json_put_text(&w, "master_version", r->master);
	json_put_uint(&w, "image_version", r->image_version);
	json_put_uint(&w, "image_size", r->image_size);
	if (r->has_hash) {
		hex_encode(r->image_hash.b, ID_LEN, text);
		json_put_text(&w, "image_blake3", text);
	}
	json_put_uint(&w, "first", r->first);
	json_put_uint(&w, "last", r->last);
	json_put_uint(&w, "segments", r->segments);
	json_put_bool(&w, "complete", r->complete);
	if (r->changed.sec != 0) {
		when_rfc3339(&r->changed, when);
		json_put_text(&w, "changed", when);
	}
	when_rfc3339(&r->captured, when);
	json_put_text(&w, "captured", when);
	json_put_text(&w, "program", "coffer " COFFER_VERSION);
	json_close(&w);
	return json_end(&w, err);
}

/* Optional: out stays as it is where it is absent. */
static enum err
get_text(const struct json *v, const char *name, char *out, size_t room,
	struct error *err)
{
	const char *text;
	enum err rc;

	if (!json_has(v, name))
		return ERR_OK;
	rc = json_get_text(v, name, &text, err);
	if (rc == ERR_OK && strlen(text) >= room)
		rc = err_set(err, ERR_CORRUPT, "'%s' is too long", name);
	if (rc == ERR_OK)
		(void)snprintf(out, room, "%s", text);
	return rc;
}

static enum err
get_hash(struct mfs_record *r, const struct json *v, struct error *err)
{
	char text[ID_HEX + 1] = "";
	enum err rc;

	r->has_hash = json_has(v, "image_blake3");
	if (!r->has_hash)
		return ERR_OK;
	rc = get_text(v, "image_blake3", text, sizeof(text), err);
	if (rc == ERR_OK && (strlen(text) != ID_HEX ||
				    !hex_decode(text, r->image_hash.b, ID_LEN)))
		rc = err_set(err, ERR_CORRUPT, "'image_blake3' is no hash");
	return rc;
}

static enum err
get_all(struct mfs_record *r, const struct json *v, struct error *err)
{
	enum err rc = get_text(v, "generation", r->generation,
		sizeof(r->generation), err);

	if (rc == ERR_OK)
		rc = get_text(v, "master_version", r->master, sizeof(r->master),
			err);
	if (rc == ERR_OK)
		rc = json_get_uint(v, "image_version", UINT64_MAX,
			&r->image_version, err);
	if (rc == ERR_OK)
		rc = json_get_uint(v, "image_size", INT64_MAX, &r->image_size,
			err);
	return rc == ERR_OK ? get_hash(r, v, err) : rc;
}

enum err
mfs_record_decode(struct mfs_record *r, const void *data, size_t len,
	struct error *err)
{
	struct mfs_record got = { .source = NULL };
	struct json *v = NULL;
	enum err rc = ERR_OK;

	if (len > MFS_RECORD_MAX)
		rc = err_set(err, ERR_CORRUPT, "it is too long");
	if (rc == ERR_OK)
		rc = json_parse(&v, data, len, err);
	if (rc == ERR_OK)
		rc = get_all(&got, v, err);
	json_free(v);
	if (rc != ERR_OK)
		return err_wrap(err, "%s", mfs_record_name);
	*r = got;
	return ERR_OK;
}
