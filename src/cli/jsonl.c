/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/jsonl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "model/path.h"

enum { TEXT_MAX = 1 << 24 };

struct jsonl {
	json_t *object;
	bool failed;
};

static void
set(struct jsonl *j, const char *name, json_t *value)
{
	if (value == NULL || json_object_set_new(j->object, name, value) != 0)
		j->failed = true;
}

struct jsonl *
jsonl_new(const char *type)
{
	struct jsonl *j = calloc(1, sizeof(*j));

	if (j == NULL)
		abort();
	j->object = json_object();
	j->failed = j->object == NULL;
	jsonl_str(j, "type", type);
	return j;
}

void
jsonl_str(struct jsonl *j, const char *name, const char *text)
{
	if (text == NULL)
		return;
	jsonl_bytes(j, name,
		(struct bytes){ (const uint8_t *)text, strlen(text) });
}

void
jsonl_uint(struct jsonl *j, const char *name, uint64_t n)
{
	set(j, name, json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX));
}

void
jsonl_int(struct jsonl *j, const char *name, int64_t n)
{
	set(j, name, json_integer((json_int_t)n));
}

void
jsonl_bool(struct jsonl *j, const char *name, bool on)
{
	set(j, name, json_boolean(on));
}

void
jsonl_when(struct jsonl *j, const char *name, const struct when *t)
{
	char text[40];

	when_rfc3339(t, text);
	jsonl_str(j, name, text);
}

void
jsonl_strings(struct jsonl *j, const char *name, const struct strings *s)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < s->n; i++) {
		json_t *text = json_string(s->v[i]);

		/* jansson takes UTF-8 only */
		if (text == NULL)
			text = json_string("?");
		if (json_array_append_new(array, text) != 0)
			j->failed = true;
	}
	set(j, name, array);
}

static void
base64(struct jsonl *j, const char *name, struct bytes b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = (b.len + 2) / 3 * 4;
	char *text = malloc(len + 1), *p = text;
	char member[80];

	if (text == NULL) {
		j->failed = true;
		return;
	}
	for (size_t i = 0; i < b.len; i += 3) {
		uint32_t v = (uint32_t)b.data[i] << 16;

		v |= i + 1 < b.len ? (uint32_t)b.data[i + 1] << 8 : 0;
		v |= i + 2 < b.len ? b.data[i + 2] : 0;
		*p++ = digits[v >> 18];
		*p++ = digits[v >> 12 & 63];
		*p++ = i + 1 < b.len ? digits[v >> 6 & 63] : '=';
		*p++ = i + 2 < b.len ? digits[v & 63] : '=';
	}
	(void)snprintf(member, sizeof(member), "%s_base64", name);
	set(j, member, json_stringn(text, len));
	free(text);
}

/* Length of the UTF-8 sequence at p, or 0. */
static size_t
utf8_len(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c;

	if (n == 1)
		return 1;
	if ((p[0] & 0xc0) != 0xc0 || p[0] > 0xf4 || n > left)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

void
jsonl_bytes(struct jsonl *j, const char *name, struct bytes b)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *text = malloc(3 * b.len + 1), *p = text;
	bool is_text = true;

	if (text == NULL) {
		j->failed = true;
		return;
	}
	for (size_t i = 0, n; i < b.len; i += n) {
		n = utf8_len(b.data + i, b.len - i);
		if (n > 0) {
			memcpy(p, b.data + i, n);
			p += n;
			continue;
		}
		is_text = false;
		n = 1;
		memcpy(p, replacement, 3);
		p += 3;
	}
	set(j, name, json_stringn(text, (size_t)(p - text)));
	free(text);
	if (!is_text)
		base64(j, name, b);
}

void
jsonl_path(struct jsonl *j, const char *name, struct bytes key)
{
	struct buf path = BUF_INIT(TEXT_MAX);
	struct error err = ERROR_INIT;

	if (key_to_path(&path, key.data, key.len, &err) == ERR_OK)
		jsonl_bytes(j, name, (struct bytes){ path.data, path.len });
	else
		j->failed = true;
	buf_fini(&path);
}

static void
jsonl_device(struct jsonl *j, const struct entry *e)
{
	if (e->type != ENTRY_CHR && e->type != ENTRY_BLK)
		return;
	jsonl_uint(j, "major", e->major);
	jsonl_uint(j, "minor", e->minor);
}

static void
jsonl_marks(struct jsonl *j, const struct entry *e)
{
	if (e->marks & MARK_CHANGED)
		jsonl_bool(j, "changed_while_read", true);
	if (e->marks & MARK_UNREADABLE)
		jsonl_bool(j, "unreadable", true);
}

void
jsonl_entry(struct jsonl *j, struct bytes key, const struct entry *e)
{
	char mode[8];

	jsonl_path(j, "path", key);
	jsonl_str(j, "kind", entry_type_name(e->type));
	(void)snprintf(mode, sizeof(mode), "%04o", e->mode & 07777);
	jsonl_str(j, "mode", mode);
	jsonl_uint(j, "uid", e->uid);
	jsonl_uint(j, "gid", e->gid);
	if (e->user.len > 0)
		jsonl_bytes(j, "user", e->user);
	if (e->group.len > 0)
		jsonl_bytes(j, "group", e->group);
	jsonl_uint(j, "size", e->size);
	jsonl_when(j, "mtime", &e->mtime);
	jsonl_when(j, "ctime", &e->ctime);
	jsonl_uint(j, "inode", e->ino);
	if (e->nlink > 1)
		jsonl_uint(j, "links", e->nlink);
	if (e->target.len > 0)
		jsonl_bytes(j, "target", e->target);
	if (e->content.kind == CONTENT_LINK)
		jsonl_path(j, "hard_link_to", e->content.bytes);
	jsonl_device(j, e);
	jsonl_marks(j, e);
}

static void
jsonl_figures(struct jsonl *j, const struct snapshot_figures *f)
{
	jsonl_uint(j, "entries", f->entries);
	jsonl_uint(j, "files", f->files);
	jsonl_uint(j, "bytes", f->bytes);
	jsonl_uint(j, "entries_new", f->entries_new);
	jsonl_uint(j, "entries_changed", f->entries_changed);
	jsonl_uint(j, "entries_unchanged", f->entries_unchanged);
	jsonl_uint(j, "bytes_read", f->bytes_read);
	jsonl_uint(j, "bytes_added", f->bytes_added);
	jsonl_uint(j, "bytes_stored", f->bytes_stored);
	jsonl_uint(j, "errors", f->errors);
}

void
jsonl_snapshot(struct jsonl *j, const struct snapshot *s)
{
	char id[UID_HEX + 1], ns[UID_HEX + 1];

	hex_encode(s->uid.b, UID_LEN, id);
	jsonl_str(j, "id", id);
	id[8] = '\0';
	jsonl_str(j, "short_id", id);
	jsonl_when(j, "time", &s->begin);
	jsonl_when(j, "end", &s->end);
	hex_encode(s->ns.b, UID_LEN, ns);
	jsonl_str(j, "identity", ns);
	jsonl_str(j, "host", s->host);
	jsonl_str(j, "user", s->user);
	jsonl_str(j, "program", s->program);
	jsonl_strings(j, "sources", &s->sources);
	jsonl_strings(j, "tags", &s->tags);
	if (s->has_parent) {
		char parent[UID_HEX + 1];

		hex_encode(s->parent.b, UID_LEN, parent);
		jsonl_str(j, "parent", parent);
	}
	jsonl_figures(j, &s->figures);
	if (s->flags & SNAPSHOT_INCOMPLETE)
		jsonl_bool(j, "incomplete", true);
	if (s->held)
		jsonl_bool(j, "held", true);
	if (s->forgotten)
		jsonl_bool(j, "forgotten", true);
}

void
jsonl_print(struct jsonl *j, FILE *out)
{
	if (j->failed)
		(void)fputs("{\"type\": \"error\", "
			    "\"message\": \"out of memory\"}",
			out);
	else
		(void)json_dumpf(j->object, out, JSON_COMPACT);
	(void)fputc('\n', out);
	json_decref(j->object);
	free(j);
}

void
jsonl_message(FILE *out, const char *type, const char *text)
{
	struct jsonl *j = jsonl_new(type);

	jsonl_str(j, "message", text);
	jsonl_print(j, out);
}

void
jsonl_failure(FILE *out, const struct error *err)
{
	struct jsonl *j = jsonl_new("error");

	jsonl_str(j, "code", err_name(err->code));
	jsonl_str(j, "message", err->msg);
	jsonl_print(j, out);
}
