/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/since.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/path.h"

enum { OWN_MAX = 64 << 20 };

void
since_init(struct since *s)
{
	*s = (struct since){ .own = BUF_INIT(OWN_MAX) };
	rbd_record_init(&s->old);
}

void
since_fini(struct since *s)
{
	rbd_record_fini(&s->old);
	buf_fini(&s->own);
}

/* Always false. */
static bool PRINTF_LIKE(2, 3) because(struct since *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(s->why, sizeof(s->why), fmt, args);
	va_end(args);
	return false;
}

static bool
same(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static enum err
previous(struct since *s, struct pick *p, struct sink *sink,
	enum err (*key_of)(struct buf *, const char *, const char *,
		const char *, struct error *),
	struct buf *out, bool *found, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX);
	enum err rc = key_of(&key, ceph_pool_name(p->pool),
		ceph_pool_ns(p->pool), p->name, err);

	*found = false;
	if (rc == ERR_OK) {
		struct bytes k = { key.data, key.len };

		rc = sink->ops->previous(sink, k, out, found, err);
		if (rc != ERR_OK && rc != ERR_NOMEM) {
			*found = because(s,
				"what lies beside it in the previous snapshot "
				"cannot be read: %s",
				err->msg);
			rc = ERR_OK;
		}
	}
	buf_fini(&key);
	return rc;
}

/* ---- what has to be the same ---- */

static bool
same_image(struct since *s, const struct rbd_record *now)
{
	const struct rbd_record *old = &s->old;

	if (old->fsid == NULL || old->image_id == NULL)
		return because(s, "the previous snapshot has it from a file");
	if (!same(old->fsid, now->fsid))
		return because(s,
			"the previous snapshot has it from cluster %s",
			old->fsid);
	if (!same(old->image_id, now->image_id))
		return because(s, "another image has taken its name");
	if (old->snap == NULL)
		return because(s, "the previous snapshot names no base");
	if (old->order != now->order)
		return because(s, "its objects have another size");
	if (old->size > now->size)
		return because(s, "it was made smaller");
	return true;
}

static bool
same_parent(struct since *s, const struct rbd_record *now)
{
	const struct rbd_parent *a = &s->old.parent, *b = &now->parent;

	if (!s->old.has_parent && !now->has_parent)
		return true;
	if (s->old.has_parent && !now->has_parent)
		return because(s, "it was separated from its parent");
	if (!s->old.has_parent || !same(a->image_id, b->image_id) ||
		a->snap_id != b->snap_id || !same(a->pool, b->pool))
		return because(s, "it has another parent");
	if (a->overlap != b->overlap)
		return because(s, "it was made smaller meanwhile");
	if (s->old.parent_data != now->parent_data)
		return because(s, now->parent_data
					  ? "its parent's data are now stored"
					  : "its parent's data are no longer "
					    "stored");
	return true;
}

struct find {
	const struct rbd_record *old;
	bool found;
};

static enum err
on_snap(void *arg, const struct ceph_snap *snap, struct error *err)
{
	struct find *f = arg;

	(void)err;
	f->found = f->found || (snap->user && snap->id == f->old->snap_id &&
				       strcmp(snap->name, f->old->snap) == 0);
	return ERR_OK;
}

static enum err
find_base(struct since *s, struct ceph_image *img, bool *found,
	struct error *err)
{
	struct find f = { &s->old, false };
	enum err rc = ceph_each_snap(img, on_snap, &f, err);

	*found = f.found;
	if (!f.found)
		(void)because(s, "its snapshot %s is gone", s->old.snap);
	return rc;
}

/* For a clone without its parent's data. */
static enum err
find_own(struct since *s, struct pick *p, const struct rbd_record *now,
	struct sink *sink, bool *found, struct error *err)
{
	enum err rc;

	*found = true;
	if (!now->has_parent || now->parent_data)
		return ERR_OK;
	rc = previous(s, p, sink, rbd_own_key, &s->own, found, err);
	if (rc == ERR_OK && !*found)
		*found = because(s,
			"which objects were its own cannot be read from the "
			"previous snapshot");
	return rc;
}

static enum err
read_old(struct since *s, struct pick *p, struct sink *sink, bool *found,
	struct error *err)
{
	struct buf text = BUF_INIT(RBD_RECORD_MAX);
	enum err rc = previous(s, p, sink, rbd_record_key, &text, found, err);

	if (rc == ERR_OK && !*found && s->why[0] == '\0') {
		s->first = true;
		(void)because(s, "it is in no previous snapshot that was "
				 "compared with");
	}
	if (rc == ERR_OK && *found &&
		rbd_record_decode(&s->old, text.data, text.len, err) !=
			ERR_OK) {
		rc = err->code == ERR_NOMEM ? ERR_NOMEM : ERR_OK;
		*found = because(s, "%s", err->msg);
	}
	buf_fini(&text);
	return rc;
}

enum err
since_choose(struct since *s, struct pick *p, struct ceph_image *img,
	const struct rbd_record *now, struct sink *sink, struct error *err)
{
	bool ok;
	enum err rc = read_old(s, p, sink, &ok, err);

	ok = rc == ERR_OK && ok && same_image(s, now) && same_parent(s, now);
	if (ok)
		rc = find_base(s, img, &ok, err);
	if (rc == ERR_OK && ok)
		rc = find_own(s, p, now, sink, &ok, err);
	s->has_base = rc == ERR_OK && ok;
	return rc;
}
