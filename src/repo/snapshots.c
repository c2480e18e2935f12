/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots: every snapshot object, opened.
 *
 * The names are listed first and the objects read afterwards: a snapshot
 * that is committed meanwhile is not seen, and one that is removed meanwhile
 * is passed over.
 */
#include "repo/repo.h"

#include <string.h>

#include "repo/box.h"
#include "repo/session.h"

enum { NAMES_MAX = 1 << 30, PREFIX_LEN = sizeof("snapshots/") - 1 };

static const char fenced[] = "FENCED";

struct walk {
	struct repo *repo;
	repo_snapshot_fn *fn;
	repo_snapshot_bad_fn *bad;
	void *arg;
	struct buf names; /* each with its NUL */
	struct buf sealed, plain;
};

static enum err
collect(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct walk *w = arg;

	return buf_put(&w->names, name, strlen(name) + 1, err);
}

static bool
parse_name(const char *name, struct snapshot_ref *ref)
{
	const char *ns = name + PREFIX_LEN;
	uint8_t raw[KEYID_LEN];

	if (strlen(name) != PREFIX_LEN + KEYID_HEX + 1 + UID_HEX ||
		!hex_decode(ns, raw, KEYID_LEN) || ns[KEYID_HEX] != '/')
		return false;
	memcpy(ref->ns, ns, KEYID_HEX);
	ref->ns[KEYID_HEX] = '\0';
	return hex_decode(ns + KEYID_HEX + 1, ref->uid.b, UID_LEN);
}

/* *there false where it is gone, or a fence. */
static enum err
load(struct walk *w, const char *name, struct snapshot_ref *ref, bool *there,
	struct error *err)
{
	enum err rc;

	*there = true;
	if (!parse_name(name, ref))
		return err_set(err, ERR_CORRUPT,
			"%.200s: no snapshot has such a name", name);
	buf_clear(&w->sealed);
	buf_clear(&w->plain);
	rc = store_get_all(repo_store(w->repo), name, SNAPSHOT_MAX, &w->sealed,
		err);
	if (rc == ERR_NOTFOUND)
		*there = false;
	if (rc != ERR_OK)
		return *there ? rc : ERR_OK;
	if (w->sealed.len == sizeof(fenced) - 1 &&
		memcmp(w->sealed.data, fenced, w->sealed.len) == 0) {
		*there = false;
		return ERR_OK;
	}
	rc = box_open(&w->plain, BOX_SNAPSHOT, name,
		&repo_keys(w->repo)->structure, w->sealed.data, w->sealed.len,
		err);
	ref->data = w->plain.data;
	ref->len = w->plain.len;
	return rc;
}

static enum err
visit(struct walk *w, const char *name, struct error *err)
{
	struct snapshot_ref ref;
	struct error why;
	bool there;
	enum err rc = load(w, name, &ref, &there, &why);

	if (rc == ERR_OK)
		return there ? w->fn(w->arg, &ref, err) : ERR_OK;
	if (w->bad != NULL)
		return w->bad(w->arg, name, &why, err);
	*err = why;
	return rc;
}

enum err
repo_each_snapshot(struct repo *r, repo_snapshot_fn *fn,
	repo_snapshot_bad_fn *bad, void *arg, struct error *err)
{
	struct walk w = { r, fn, bad, arg, BUF_INIT(NAMES_MAX),
		BUF_INIT(SNAPSHOT_MAX), BUF_INIT(SNAPSHOT_MAX + 1) };
	size_t at = 0;
	enum err rc;

	rc = store_list(repo_store(r), "snapshots", collect, &w, err);
	while (rc == ERR_OK && at < w.names.len) {
		const char *name = (const char *)w.names.data + at;

		at += strlen(name) + 1;
		rc = visit(&w, name, err);
	}
	buf_fini(&w.plain);
	buf_fini(&w.sealed);
	buf_fini(&w.names);
	return rc;
}
