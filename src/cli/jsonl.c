/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/jsonl.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "model/path.h"

enum { TEXT_MAX = 1 << 24, LINE_MAX_LEN = 1 << 28 };

struct jsonl {
	struct buf line;
	struct json_writer w;
};

struct jsonl *
jsonl_new(const char *type)
{
	struct jsonl *j = calloc(1, sizeof(*j));

	if (j == NULL)
		abort();
	buf_init(&j->line, LINE_MAX_LEN);
	json_begin(&j->w, &j->line);
	json_open(&j->w, NULL, '{');
	jsonl_str(j, "type", type);
	return j;
}

void
jsonl_str(struct jsonl *j, const char *name, const char *text)
{
	json_put_text(&j->w, name, text);
}

void
jsonl_uint(struct jsonl *j, const char *name, uint64_t n)
{
	json_put_uint(&j->w, name, n <= INT64_MAX ? n : INT64_MAX);
}

void
jsonl_int(struct jsonl *j, const char *name, int64_t n)
{
	json_put_int(&j->w, name, n);
}

void
jsonl_bool(struct jsonl *j, const char *name, bool on)
{
	json_put_bool(&j->w, name, on);
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
	json_open(&j->w, name, '[');
	for (size_t i = 0; i < s->n; i++)
		json_put_text(&j->w, NULL, s->v[i]);
	json_close(&j->w);
}

void
jsonl_bytes(struct jsonl *j, const char *name, struct bytes b)
{
	json_put_bytes(&j->w, name, b.data, b.len);
}

void
jsonl_path(struct jsonl *j, const char *name, struct bytes key)
{
	struct buf path = BUF_INIT(TEXT_MAX);
	struct error err = ERROR_INIT;

	if (key_to_path(&path, key.data, key.len, &err) == ERR_OK)
		jsonl_bytes(j, name, (struct bytes){ path.data, path.len });
	else
		j->w.failed = true;
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
	struct error err = ERROR_INIT;

	json_close(&j->w);
	if (json_end(&j->w, &err) != ERR_OK)
		(void)fputs("{\"type\": \"error\", "
			    "\"message\": \"out of memory\"}",
			out);
	else
		(void)fwrite(j->line.data, 1, j->line.len, out);
	(void)fputc('\n', out);
	buf_fini(&j->line);
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
