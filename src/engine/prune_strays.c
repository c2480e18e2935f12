/* SPDX-License-Identifier: Apache-2.0 */
/* prune_strays: marks of all kinds whose snapshot is not there: it was deleted
 * by a run that got no further, or they came when it had been. */
#include <stdlib.h>
#include <string.h>

#include "engine/pruning.h"
#include "repo/mark_object.h"
#include "repo/session.h"

enum { NAMES_MAX = 1 << 30 };

static int
cmp_names(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

static enum err
on_mark(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct mark_object o;

	if (!mark_object_parse(&o, name))
		return ERR_OK;
	return buf_put(arg, &o.name, sizeof(o.name), err);
}

static enum err
is_there(struct pruning *p, const struct snapshot_name *snap, bool *yes,
	struct error *err)
{
	char ns[UID_HEX + 1], name[STORE_NAME_MAX + 1];
	uint64_t size;
	enum err rc;

	hex_encode(snap->ns.b, UID_LEN, ns);
	session_snapshot_name(name, ns, &snap->sid);
	rc = store_size(p->store, name, &size, err);
	*yes = rc == ERR_OK;
	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

enum err
prune_strays(struct pruning *p, prune_stray_fn *fn, void *arg,
	struct error *err)
{
	struct buf marked = BUF_INIT(NAMES_MAX); /* struct snapshot_name */
	struct snapshot_name snap, last = { { { 0 } }, { { 0 } } };
	bool there = true;
	enum err rc = store_list(p->store, "forgotten", on_mark, &marked, err);

	if (rc == ERR_OK)
		rc = store_list(p->store, "holds", on_mark, &marked, err);
	if (rc == ERR_OK && marked.len > 0)
		qsort(marked.data, marked.len / sizeof(snap), sizeof(snap),
			cmp_names);
	for (size_t at = 0; rc == ERR_OK && at < marked.len;
		at += sizeof(snap)) {
		memcpy(&snap, marked.data + at, sizeof(snap));
		if (epoch_snapshot_cmp(&snap, &last) == 0)
			continue;
		last = snap;
		rc = is_there(p, &snap, &there, err);
		if (rc == ERR_OK && !there)
			rc = fn(arg, &snap, err);
	}
	buf_fini(&marked);
	return rc;
}
