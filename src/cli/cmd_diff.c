/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/opened.h"
#include "cli/text.h"
#include "model/path.h"
#include "tree/content.h"
#include "tree/diff.h"

enum { NAME_ROOM = 1 << 20 };

struct differing {
	const struct cli *c;
	struct bytes top; /* only at or below it */
	struct tree_side sides[2];
	struct content_view *a, *b; /* of the last pair that was looked at */
	uint64_t added, removed, content, attributes;
	uint64_t bytes_added, bytes_removed;
};

static bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether two contents have to be looked at to know that they are equal. */
static bool
same_layout(const struct content *x, const struct content *y)
{
	if (x->kind != y->kind)
		return false;
	if (x->kind == CONTENT_EXTENTS)
		return id_eq(&x->root, &y->root);
	return x->kind != CONTENT_SLICES && x->kind != CONTENT_LINK &&
	       bytes_eq(x->bytes, y->bytes);
}

/* *stored is false for another name of an entry that could not be read. */
static enum err
look_at(struct content_view **v, struct tree_side *side, const struct entry *e,
	bool *stored, struct error *err)
{
	enum err rc;

	if (*v != NULL)
		rc = content_reopen(*v, &side->root, e, err);
	else
		rc = content_open(v, side->io, &side->root, e, err);
	*stored = rc == ERR_OK;
	if (rc == ERR_NOTFOUND && e->content.kind == CONTENT_LINK)
		rc = ERR_OK;
	return rc;
}

/* Files gathered anew, or cut at other places, keep the bytes they had.  One
 * whose content was not stored is another than one whose was. */
static enum err
same_content(struct differing *d, const struct entry *a, const struct entry *b,
	bool *same, struct error *err)
{
	const struct content *x = &a->content, *y = &b->content;
	enum err rc;

	*same = a->size == b->size && bytes_eq(a->target, b->target);
	if (!*same || same_layout(x, y))
		return ERR_OK;
	*same = x->kind != CONTENT_NONE && y->kind != CONTENT_NONE;
	if (!*same)
		return ERR_OK;
	rc = look_at(&d->a, &d->sides[0], a, same, err);
	if (rc == ERR_OK && *same)
		rc = look_at(&d->b, &d->sides[1], b, same, err);
	if (rc == ERR_OK && *same)
		rc = content_equal(d->a, d->b, same, err);
	return rc;
}

/* What people mean by changed; other stamps (inode, ctime) are the cache's. */
static bool
same_attributes(const struct entry *a, const struct entry *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       when_cmp(&a->mtime, &b->mtime) == 0 && a->major == b->major &&
	       a->minor == b->minor && a->flags == b->flags &&
	       bytes_eq(a->xattrs, b->xattrs);
}

static void
print_change(struct differing *d, char letter, struct bytes key,
	const struct entry *a, const struct entry *b)
{
	struct buf name = BUF_INIT(NAME_ROOM);
	const struct entry *shown = b != NULL ? b : a;
	char text[2] = { letter, '\0' };
	struct jsonl *j;

	if (d->c->json) {
		j = jsonl_new("change");
		jsonl_str(j, "modifier", text);
		jsonl_path(j, "path", key);
		jsonl_str(j, "kind", entry_type_name(shown->type));
		if (a != NULL)
			jsonl_uint(j, "size_before", a->size);
		if (b != NULL)
			jsonl_uint(j, "size_after", b->size);
		jsonl_print(j, stdout);
	} else {
		(void)printf("%c  %s\n", letter, text_key(&name, key));
	}
	buf_fini(&name);
}

static enum err
decode(struct entry *e, const struct item *item, struct error *err)
{
	entry_init(e);
	if (item == NULL)
		return ERR_OK;
	return entry_decode(e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
}

static enum err
count_both(struct differing *d, struct bytes key, const struct entry *a,
	const struct entry *b, struct error *err)
{
	bool same;
	enum err rc;

	if (a->type != b->type) {
		d->content++;
		print_change(d, 'T', key, a, b);
		return ERR_OK;
	}
	rc = same_content(d, a, b, &same, err);
	if (rc != ERR_OK)
		return rc;
	if (!same) {
		d->content++;
		print_change(d, 'M', key, a, b);
	} else if (!same_attributes(a, b)) {
		d->attributes++;
		if (flag_on(d->c, "metadata"))
			print_change(d, 'U', key, a, b);
	}
	return ERR_OK;
}

static enum err
on_difference(void *arg, const struct item *a, const struct item *b,
	struct error *err)
{
	struct differing *d = arg;
	struct bytes key = a != NULL ? a->key : b->key;
	struct entry x, y;
	enum err rc;

	if (!key_below(key.data, key.len, d->top.data, d->top.len))
		return ERR_OK;
	rc = decode(&x, a, err);
	if (rc == ERR_OK)
		rc = decode(&y, b, err);
	else
		entry_init(&y);
	if (rc == ERR_OK && a == NULL) {
		d->added++;
		d->bytes_added += y.size;
		print_change(d, '+', key, NULL, &y);
	} else if (rc == ERR_OK && b == NULL) {
		d->removed++;
		d->bytes_removed += x.size;
		print_change(d, '-', key, &x, NULL);
	} else if (rc == ERR_OK) {
		rc = count_both(d, key, &x, &y, err);
	}
	entry_fini(&x);
	entry_fini(&y);
	if (rc == ERR_OK && cli_stop)
		rc = err_set(err, ERR_CANCELLED, "interrupted");
	return rc;
}

static void
print_total(const struct differing *d)
{
	char added[24], removed[24];
	struct jsonl *j;

	if (d->c->json) {
		j = jsonl_new("summary");
		jsonl_uint(j, "added", d->added);
		jsonl_uint(j, "removed", d->removed);
		jsonl_uint(j, "changed_content", d->content);
		jsonl_uint(j, "changed_attributes", d->attributes);
		jsonl_uint(j, "bytes_added", d->bytes_added);
		jsonl_uint(j, "bytes_removed", d->bytes_removed);
		jsonl_print(j, stdout);
		return;
	}
	if (d->c->quiet)
		return;
	units_bytes(d->bytes_added, added);
	units_bytes(d->bytes_removed, removed);
	(void)printf("%llu added (%s), %llu removed (%s), %llu with other "
		     "content, %llu with other attributes only\n",
		(unsigned long long)d->added, added,
		(unsigned long long)d->removed, removed,
		(unsigned long long)d->content,
		(unsigned long long)d->attributes);
}

static enum err
run_diff(struct cli *c, struct error *err)
{
	struct differing d = { .c = c };
	struct snapshot other;
	struct opened o;
	enum err rc;

	snapshot_init(&other);
	rc = opened_open(&o, c, c->operands[0], err);
	if (rc == ERR_OK)
		rc = snapshot_select(&other, o.access.repo, c->operands[1],
			NULL, err);
	if (rc == ERR_OK) {
		d.top = (struct bytes){ o.sub.data, o.sub.len };
		d.sides[0] = (struct tree_side){ &o.io.io, o.snap.root };
		d.sides[1] = (struct tree_side){ &o.io.io, other.root };
		rc = tree_diff(&d.sides[0], &d.sides[1], TREE_ENTRIES,
			on_difference, &d, err);
	}
	if (rc == ERR_OK)
		print_total(&d);
	content_close(d.a);
	content_close(d.b);
	snapshot_fini(&other);
	opened_close(&o);
	return rc;
}

static const struct flag diff_flags[] = {
	{ "metadata", 0, FLAG_BOOL, NULL,
		"also list what differs in its attributes only" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_diff = {
	.name = "diff",
	.operands = "SNAPSHOT[:SUBPATH] SNAPSHOT",
	.summary = "Tell what differs between two snapshots",
	.flags = diff_flags,
	.operands_min = 2,
	.operands_max = 2,
	.run = run_diff,
};
