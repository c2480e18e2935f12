/* SPDX-License-Identifier: Apache-2.0 */
/* ls, find, cat: looking into a snapshot. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/opened.h"
#include "cli/text.h"
#include "model/path.h"
#include "tree/content.h"

enum { CAT_READ = 1 << 20, NAME_ROOM = 1 << 20 };

static void
print_long(struct bytes key, const struct entry *e)
{
	struct buf name = BUF_INIT(NAME_ROOM), target = BUF_INIT(NAME_ROOM);
	char mode[11], when[40], owner[64], group[64];

	text_mode(e, mode);
	when_local(&e->mtime, when);
	(void)snprintf(owner, sizeof(owner), "%u", e->uid);
	(void)snprintf(group, sizeof(group), "%u", e->gid);
	if (e->user.len > 0)
		(void)snprintf(owner, sizeof(owner), "%.*s", (int)e->user.len,
			(const char *)e->user.data);
	if (e->group.len > 0)
		(void)snprintf(group, sizeof(group), "%.*s", (int)e->group.len,
			(const char *)e->group.data);
	text_plain(owner);
	text_plain(group);
	(void)printf("%s %-8s %-8s %12llu %s %s", mode, owner, group,
		(unsigned long long)e->size, when, text_key(&name, key));
	if (e->target.len > 0)
		(void)printf(" -> %s", text_bytes(&target, e->target));
	if (e->marks & MARK_UNREADABLE)
		(void)printf("  (could not be read)");
	if (e->marks & MARK_CHANGED)
		(void)printf("  (changed while it was read)");
	(void)putchar('\n');
	buf_fini(&name);
	buf_fini(&target);
}

static void
print_entry(const struct cli *c, struct bytes key, const struct entry *e,
	bool as_long)
{
	struct buf name = BUF_INIT(NAME_ROOM);
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("entry");
		jsonl_entry(j, key, e);
		jsonl_print(j, stdout);
	} else if (as_long) {
		print_long(key, e);
	} else {
		(void)printf("%s\n", text_key(&name, key));
	}
	buf_fini(&name);
}

/* ---- ls ---- */

struct listing {
	const struct cli *c;
	struct opened *o;
	struct bytes top;
	unsigned depth_max; /* components below top; 0: no limit */
	uint64_t shown;
};

static enum err
list_entry(void *arg, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct listing *l = arg;
	unsigned depth = key_depth(key.data, key.len) -
			 key_depth(l->top.data, l->top.len);

	l->shown++;
	if (l->depth_max == 0 || depth <= l->depth_max)
		print_entry(l->c, key, e, flag_on(l->c, "long"));
	return ERR_OK;
}

static enum err
list_below(struct listing *l, struct error *err)
{
	enum err rc = opened_walk(l->o, l->top, list_entry, l, err);
	struct buf name = BUF_INIT(NAME_ROOM);

	if (rc == ERR_OK && l->shown == 0)
		rc = err_set(err, ERR_NOTFOUND, "%s is not in the snapshot",
			text_key(&name, l->top));
	buf_fini(&name);
	return rc;
}

static enum err
run_ls(struct cli *c, struct error *err)
{
	struct opened o;
	struct buf key = BUF_INIT(KEY_MAX);
	struct listing l = { .c = c,
		.o = &o,
		.depth_max = flag_on(c, "children") ? 1 : 0 };
	enum err rc;

	rc = opened_open(&o, c, c->operands[0], err);
	if (rc == ERR_OK && c->n_operands == 1) {
		l.top = (struct bytes){ o.sub.data, o.sub.len };
		rc = list_below(&l, err);
	}
	for (size_t i = 1; i < c->n_operands && rc == ERR_OK; i++) {
		buf_clear(&key);
		l.shown = 0;
		rc = key_from_path(&key, c->operands[i], err);
		l.top = (struct bytes){ key.data, key.len };
		if (rc == ERR_OK)
			rc = list_below(&l, err);
	}
	buf_fini(&key);
	opened_close(&o);
	return rc;
}

static const struct flag ls_flags[] = {
	{ "long", 'l', FLAG_BOOL, NULL, "modes, owners, sizes, times" },
	{ "children", 0, FLAG_BOOL, NULL, "only what lies directly below" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_ls = {
	.name = "ls",
	.operands = "SNAPSHOT[:SUBPATH] [PATH...]",
	.summary = "List what a snapshot holds",
	.flags = ls_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_ls,
};

/* ---- find ---- */

struct finding {
	const struct cli *c;
	const struct snapshot *snap;
	struct buf path, base;
	uint64_t found;
	bool snap_named;
};

static bool
matches(const struct finding *f, const char *pattern)
{
	int flags = flag_on(f->c, "ignore-case") ? FNM_CASEFOLD : 0;
	const char *name = strchr(pattern, '/') != NULL
				   ? (const char *)f->path.data
				   : (const char *)f->base.data;

	return fnmatch(pattern, name, flags) == 0;
}

static void
tell_snapshot(struct finding *f)
{
	char id[UID_HEX + 1], when[40];

	if (f->snap_named)
		return;
	f->snap_named = true;
	if (f->c->json)
		return;
	hex_encode(f->snap->uid.b, UID_LEN, id);
	when_local(&f->snap->begin, when);
	(void)printf("snapshot %.8s of %s:\n", id, when);
}

static void
print_found(struct finding *f, struct bytes key, const struct entry *e)
{
	char id[UID_HEX + 1];
	struct jsonl *j;

	tell_snapshot(f);
	if (!f->c->json) {
		print_entry(f->c, key, e, flag_on(f->c, "long"));
		return;
	}
	hex_encode(f->snap->uid.b, UID_LEN, id);
	j = jsonl_new("entry");
	jsonl_str(j, "snapshot", id);
	jsonl_entry(j, key, e);
	jsonl_print(j, stdout);
}

static enum err
find_entry(void *arg, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct finding *f = arg;
	size_t base_len;
	const uint8_t *base = key_base(key.data, key.len, &base_len);
	enum err rc;

	buf_clear(&f->path);
	buf_clear(&f->base);
	rc = key_to_path(&f->path, key.data, key.len, err);
	if (rc == ERR_OK)
		rc = buf_put(&f->base, base, base_len, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(&f->base, 0, err);
	for (size_t i = 0; rc == ERR_OK && i < f->c->n_operands; i++) {
		if (!matches(f, f->c->operands[i]))
			continue;
		print_found(f, key, e);
		f->found++;
		break;
	}
	return rc;
}

/* Search one snapshot; o's own is put back. */
static enum err
find_in(struct opened *o, struct finding *f, struct snapshot *snap,
	struct error *err)
{
	struct snapshot own = o->snap;
	enum err rc;

	o->snap = *snap;
	f->snap = snap;
	f->snap_named = false;
	rc = opened_walk(o, (struct bytes){ o->sub.data, o->sub.len },
		find_entry, f, err);
	o->snap = own;
	return rc;
}

static enum err
find_in_all(struct opened *o, struct finding *f, struct error *err)
{
	struct snapshot_list list = { NULL, 0 };
	struct snapshot_filter filter;
	enum err rc;

	rc = filter_fill(&filter, f->c, err);
	if (rc == ERR_OK)
		rc = snapshot_list_load(&list, o->access.repo, &filter, err);
	for (size_t i = list.n; i > 0 && rc == ERR_OK; i--)
		rc = find_in(o, f, &list.v[i - 1], err);
	snapshot_list_fini(&list);
	filter_fini(&filter);
	return rc;
}

static enum err
run_find(struct cli *c, struct error *err)
{
	const char *spec = flag_text(c, "snapshot");
	struct finding f = { .c = c,
		.path = BUF_INIT(NAME_ROOM),
		.base = BUF_INIT(NAME_ROOM) };
	struct opened o;
	enum err rc;

	rc = opened_open(&o, c, spec != NULL ? spec : "latest", err);
	if (rc == ERR_OK)
		rc = spec != NULL ? find_in(&o, &f, &o.snap, err)
				  : find_in_all(&o, &f, err);
	if (rc == ERR_OK && f.found == 0)
		rc = err_set(err, ERR_NOTFOUND, "nothing was found");
	opened_close(&o);
	buf_fini(&f.path);
	buf_fini(&f.base);
	return rc;
}

static const struct flag find_flags[] = {
	{ "snapshot", 's', FLAG_TEXT, "SNAPSHOT[:SUBPATH]",
		"search only this one" },
	{ "ignore-case", 'i', FLAG_BOOL, NULL, "A and a are the same" },
	{ "long", 'l', FLAG_BOOL, NULL, "modes, owners, sizes, times" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_find = {
	.name = "find",
	.operands = "PATTERN...",
	.summary = "Find entries by name, or by path where PATTERN has a /",
	.flags = find_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_find,
};

/* ---- cat ---- */

static enum err
copy_out(struct content_view *v, struct error *err)
{
	uint8_t *room = malloc(CAT_READ);
	uint64_t off = 0;
	size_t got = 0;
	enum err rc = ERR_OK;

	if (room == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	do {
		rc = content_read(v, off, room, CAT_READ, &got, err);
		if (rc == ERR_OK)
			rc = fsx_write(STDOUT_FILENO, room, got,
				"standard output", err);
		off += got;
	} while (rc == ERR_OK && got == CAT_READ && !cli_stop);
	free(room);
	if (rc == ERR_OK && cli_stop)
		rc = err_set(err, ERR_CANCELLED, "interrupted");
	return rc;
}

static enum err
cat_item(struct opened *o, const struct item *item, const char *path,
	struct error *err)
{
	struct content_view *v = NULL;
	struct entry e;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK && (e.type == ENTRY_DIR || e.type == ENTRY_SYMLINK))
		rc = err_set(err, ERR_USAGE, "%s is a %s", path,
			entry_type_name(e.type));
	if (rc == ERR_OK)
		rc = content_open(&v, &o->io.io, &o->snap.root, &e, err);
	if (rc == ERR_OK)
		rc = copy_out(v, err);
	content_close(v);
	entry_fini(&e);
	return rc;
}

static enum err
cat_key(struct opened *o, struct bytes key, const char *path, struct error *err)
{
	struct cursor *cursor;
	struct item item;
	bool found;
	enum err rc;

	rc = cursor_open(&cursor, &o->io.io, TREE_ENTRIES, &o->snap.root, err);
	if (rc != ERR_OK)
		return rc;
	rc = cursor_find(cursor, key, &item, &found, err);
	if (rc == ERR_OK && !found)
		rc = err_set(err, ERR_NOTFOUND, "%s is not in the snapshot",
			path);
	if (rc == ERR_OK)
		rc = cat_item(o, &item, path, err);
	cursor_close(cursor);
	return rc;
}

static enum err
run_cat(struct cli *c, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct opened o;
	enum err rc;

	rc = opened_open(&o, c, c->operands[0], err);
	if (rc == ERR_OK && c->n_operands == 1 && o.sub.len == 0)
		rc = err_set(err, ERR_USAGE, "cat of which file?");
	if (rc == ERR_OK && c->n_operands == 1)
		rc = cat_key(&o, (struct bytes){ o.sub.data, o.sub.len },
			c->operands[0], err);
	for (size_t i = 1; i < c->n_operands && rc == ERR_OK; i++) {
		buf_clear(&key);
		rc = key_from_path(&key, c->operands[i], err);
		if (rc == ERR_OK)
			rc = cat_key(&o, (struct bytes){ key.data, key.len },
				c->operands[i], err);
	}
	buf_fini(&key);
	opened_close(&o);
	return rc;
}

static const struct flag cat_flags[] = {
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_cat = {
	.name = "cat",
	.operands = "SNAPSHOT[:SUBPATH] [PATH...]",
	.summary = "Write files' contents to standard output",
	.flags = cat_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_cat,
};
