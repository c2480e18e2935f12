/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take: what changed of one image.
 *
 * Asking each object what changed costs a round trip, so with a valid object
 * map it is asked first which objects changed at all (fast-diff), and only
 * those are looked at closely.  Without one, all are.
 *
 * fast-diff of Ceph 16 is wrong after a rollback: the object map of the older
 * snapshot becomes that of the head, marks and all, and says of an object that
 * was changed between that snapshot and the base, and so was changed back, that
 * it is clean.  The close look is right.  So each record says what may differ
 * between its snapshot S and any older one that there is to roll back to, and
 * the next difference looks closely there, too.  Let B be the base of S:
 *   - no snapshot is older than S: nothing;
 *   - S was read as a difference: what was found changed since B, and, if a
 *     snapshot older than B is there, what B's record says.  A snapshot between
 *     B and S differs from S in nothing else, as the close look tells all that
 *     was written since B;
 *   - S was read whole: what a close look says since the oldest snapshot.
 *
 * A clone's object that came to be its own, by the first write to it, is told
 * as changed only where it was written, and one that is separated from its
 * parent not at all, as its contents are the same.  So where only own objects
 * are kept, the bitmap of these is compared as well.  That an object hides its
 * parent's data without having any is in the object map only.
 */
#include "source/rbd/take.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/rbd_record.h"
#include "source/rbd/about.h"
#include "source/rbd/reads.h"
#include "source/rbd/since.h"
#include "source/rbd/spans.h"
#include "source/rbd/still.h"

enum {
	IMAGE_MODE = 0600,
	/* Each 24 bytes. */
	DIRTY_MAX = 1 << 18,
	FINE_MAX = 1 << 18,
	CLOSE_LOOK = 1 << 30, /* image bytes at a time */
	OWN_MAX = 64 << 20
};

struct take {
	struct rbd *r;
	struct pick *p;
	struct sink *sink;
	struct ceph_image *img;
	struct ceph_info info;
	struct rbd_record now;
	struct since since;
	const char *from; /* the base's name; NULL: all is read */
	struct spans dirty; /* what is looked at closely */
	struct spans forced; /* what is known without that */
	struct spans fine, parts; /* of one close look */
	struct spans changed; /* whole objects */
	struct reads reads;
	struct origin origin;
};

static void
take_init(struct take *t, struct rbd *r, struct pick *p, struct sink *sink)
{
	*t = (struct take){ .r = r, .p = p, .sink = sink };
	rbd_record_init(&t->now);
	since_init(&t->since);
	spans_init(&t->dirty, DIRTY_MAX);
	spans_init(&t->forced, DIRTY_MAX);
	spans_init(&t->fine, FINE_MAX);
	spans_init(&t->parts, (size_t)2 * (FINE_MAX + DIRTY_MAX));
	spans_init(&t->changed, RBD_OLDER_MAX);
}

static void
take_fini(struct take *t)
{
	reads_fini(&t->reads);
	spans_fini(&t->dirty);
	spans_fini(&t->forced);
	spans_fini(&t->fine);
	spans_fini(&t->parts);
	spans_fini(&t->changed);
	since_fini(&t->since);
	rbd_record_fini(&t->now);
	ceph_image_close(t->img);
}

static void
say(struct take *t, const char *sentence)
{
	char text[480];

	(void)snprintf(text, sizeof(text), "rbd:%s %s", t->p->label, sentence);
	t->sink->ops->note(t->sink, text);
}

/* ---- a clone's own objects ---- */

static uint64_t
object_size(const struct take *t)
{
	return (uint64_t)1 << t->info.order;
}

static uint64_t
n_objects(const struct take *t)
{
	return t->info.size / object_size(t) +
	       (t->info.size % object_size(t) != 0);
}

static bool
without_parent(const struct take *t)
{
	return t->now.has_parent && !t->now.parent_data;
}

/* Whether the parent's data are stored, too. */
static void
choose_view(struct take *t)
{
	t->now.parent_data = true;
	if (!t->info.has_parent || t->r->parent)
		return;
	if (!t->info.fast_diff || t->info.stripe_count > 1 ||
		n_objects(t) / 8 >= OWN_MAX)
		say(t, "is stored with its parent's data: what is its own can "
		       "be told only with a valid object map and without "
		       "striping");
	else
		t->now.parent_data = false;
}

static bool
bit(const struct buf *bits, uint64_t i)
{
	return i / 8 < bits->len && (bits->data[i / 8] >> i % 8 & 1) != 0;
}

static enum err
on_own(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	struct take *t = arg;

	(void)err;
	for (uint64_t i = off >> t->info.order;
		exists && i <= (off + len - 1) >> t->info.order; i++)
		t->p->own.data[i / 8] |= (uint8_t)(1u << i % 8);
	return ERR_OK;
}

/* Objects that became its own, or are no longer. */
static enum err
force_own(struct take *t, struct error *err)
{
	uint64_t each = object_size(t);
	enum err rc = ERR_OK;

	for (uint64_t i = 0; rc == ERR_OK && i < n_objects(t); i++) {
		bool own = bit(&t->p->own, i);
		uint64_t off = i * each, left = t->info.size - off;

		if (own != bit(&t->since.own, i))
			rc = spans_add(&t->forced, off,
				left < each ? left : each, own, err);
	}
	return rc;
}

static enum err
find_own(struct take *t, struct error *err)
{
	enum err rc;

	buf_clear(&t->p->own);
	if (!without_parent(t))
		return ERR_OK;
	rc = buf_put_zero(&t->p->own, (size_t)((n_objects(t) + 7) / 8), err);
	if (rc == ERR_OK)
		rc = ceph_diff(t->img, NULL, 0, t->info.size, CEPH_DIFF_WHOLE,
			on_own, t, err);
	return rc == ERR_OK && t->since.has_base ? force_own(t, err) : rc;
}

/* ---- what is looked at closely ---- */

static unsigned
with_parent(const struct take *t)
{
	return t->now.has_parent && t->now.parent_data ? CEPH_DIFF_PARENT : 0;
}

static enum err
on_dirty(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	(void)exists;
	return spans_add(arg, off, len, true, err);
}

/* To dirty: what fast-diff says, and what a rollback may hide from it. */
static enum err
find_dirty(struct take *t, struct error *err)
{
	struct spans fast, older;
	const struct rbd_record *old = &t->since.old;
	enum err rc;

	if (!t->info.fast_diff || (t->from != NULL && !old->older_known))
		return spans_add(&t->dirty, 0, t->info.size, true, err);
	spans_init(&fast, DIRTY_MAX / 2);
	spans_init(&older, RBD_OLDER_MAX);
	rc = ceph_diff(t->img, t->from, 0, t->info.size,
		CEPH_DIFF_WHOLE | with_parent(t), on_dirty, &fast, err);
	for (size_t i = 0; rc == ERR_OK && i < old->n_older; i++)
		rc = spans_add(&older, old->older[i].off, old->older[i].len,
			true, err);
	if (rc == ERR_OK)
		rc = spans_overlay(&t->dirty, &fast, &older, 0, t->info.size,
			err);
	spans_fini(&fast);
	spans_fini(&older);
	return rc;
}

/* ---- reading ---- */

/* For the next run: in whole objects, which is how it will be asked. */
static enum err
remember(struct take *t, uint64_t off, uint64_t len, struct error *err)
{
	uint64_t mask = object_size(t) - 1, begin = off & ~mask;
	uint64_t end = ((off + len - 1) | mask) + 1;
	const struct spans *c = &t->changed;

	if (c->n > 0 && begin < c->v[c->n - 1].off)
		begin = c->v[c->n - 1].off;
	return spans_add(&t->changed, begin, end - begin, true, err);
}

static enum err
hand_over(struct take *t, const struct span *x, struct error *err)
{
	/* Where an object is none, its parent shows. */
	bool through = with_parent(t) != 0 && x->off < t->now.parent.overlap;
	enum err rc = ERR_OK;

	if (t->from != NULL)
		rc = remember(t, x->off, x->len, err);
	if (rc != ERR_OK)
		return rc;
	if (x->exists || through)
		return reads_data(&t->reads, x->off, x->len, err);
	return t->from != NULL ? reads_zero(&t->reads, x->off, x->len, err)
			       : ERR_OK;
}

static enum err
on_fine(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	return spans_add(arg, off, len, exists, err);
}

static enum err
look_closely(struct take *t, uint64_t off, uint64_t end, struct error *err)
{
	enum err rc;

	spans_clear(&t->fine);
	spans_clear(&t->parts);
	rc = ceph_diff(t->img, t->from, off, end - off, with_parent(t), on_fine,
		&t->fine, err);
	if (rc == ERR_OK)
		rc = spans_overlay(&t->parts, &t->fine, &t->forced, off, end,
			err);
	for (size_t i = 0; rc == ERR_OK && i < t->parts.n; i++)
		rc = hand_over(t, &t->parts.v[i], err);
	return rc;
}

static enum err
read_changes(struct take *t, struct error *err)
{
	struct spans all;
	enum err rc;

	spans_init(&all, (size_t)2 * DIRTY_MAX);
	rc = find_dirty(t, err);
	if (rc == ERR_OK)
		rc = spans_overlay(&all, &t->dirty, &t->forced, 0, t->info.size,
			err);
	for (size_t i = 0; rc == ERR_OK && i < all.n; i++) {
		uint64_t off = all.v[i].off, stop = off + all.v[i].len, end;

		for (; rc == ERR_OK && off < stop; off = end) {
			end = off - off % CLOSE_LOOK + CLOSE_LOOK;
			end = end < stop ? end : stop;
			rc = look_closely(t, off, end, err);
		}
	}
	spans_fini(&all);
	return rc == ERR_OK ? reads_drain(&t->reads, err) : rc;
}

static enum err
read_origin(const struct origin *o, uint64_t off, void *data, size_t len,
	struct error *err)
{
	const struct take *t =
		(const struct take *)(const void *)((const char *)o -
						    offsetof(struct take,
							    origin));
	struct ceph_op op;
	enum err rc = ceph_read(&op, t->img, off, data, len, err);

	return rc == ERR_OK ? ceph_op_wait(&op, err) : rc;
}

/* ---- what the next run has to know ---- */

struct oldest {
	char name[CEPH_NAME_MAX];
	uint64_t id;
	bool user;
};

static enum err
on_snap(void *arg, const struct ceph_snap *s, struct error *err)
{
	struct oldest *o = arg;

	(void)err;
	if (o->id != 0)
		return ERR_OK;
	o->id = s->id;
	o->user = s->user;
	(void)snprintf(o->name, sizeof(o->name), "%s", s->name);
	return ERR_OK;
}

static enum err
on_older(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	(void)exists;
	return remember(arg, off, len, err);
}

/* Add what B's record says to what has changed since. */
static enum err
add_older(struct take *t, struct spans *out, struct error *err)
{
	const struct rbd_record *old = &t->since.old;
	struct spans older;
	enum err rc = ERR_OK;

	spans_init(&older, RBD_OLDER_MAX);
	if (!old->older_known)
		rc = spans_add(&older, 0, t->info.size, true, err);
	for (size_t i = 0; rc == ERR_OK && i < old->n_older; i++)
		rc = spans_add(&older, old->older[i].off, old->older[i].len,
			true, err);
	if (rc == ERR_OK)
		rc = spans_overlay(out, &older, &t->changed, 0, UINT64_MAX,
			err);
	spans_fini(&older);
	return rc;
}

static enum err
note_runs(struct rbd_record *r, const struct spans *s, struct error *err)
{
	r->older_known = true;
	r->older = calloc(s->n + 1, sizeof(*r->older));
	if (r->older == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a record");
	for (; r->n_older < s->n; r->n_older++)
		r->older[r->n_older] = (struct rbd_run){ s->v[r->n_older].off,
			s->v[r->n_older].len };
	return ERR_OK;
}

static enum err
find_older(struct take *t, struct error *err)
{
	struct oldest o = { .id = 0 };
	struct spans all;
	enum err rc = ceph_each_snap(t->img, on_snap, &o, err);
	bool before_base = t->from != NULL && o.id < t->since.old.snap_id;

	spans_init(&all, RBD_OLDER_MAX);
	if (rc != ERR_OK || t->p->snap_id == 0)
		return rc;
	if (o.id == t->p->snap_id)
		spans_clear(&t->changed);
	else if (t->from == NULL && o.user)
		rc = ceph_diff(t->img, o.name, 0, t->info.size, 0, on_older, t,
			err);
	else if (t->from == NULL)
		rc = spans_add(&t->changed, 0, t->info.size, true, err);
	if (rc == ERR_OK && before_base)
		rc = add_older(t, &all, err);
	if (rc == ERR_OK)
		rc = note_runs(&t->now, before_base ? &all : &t->changed, err);
	spans_fini(&all);
	return rc;
}

/* ---- all of it ---- */

static enum err
open_image(struct take *t, struct error *err)
{
	const struct ceph_open how = { .snap_id = t->p->read_id };
	enum err rc =
		ceph_image_open(&t->img, t->p->pool, t->p->name, &how, err);

	if (rc == ERR_OK)
		rc = ceph_image_info(t->img, &t->info, err);
	if (rc == ERR_OK)
		rc = about_image(&t->now, t->r, t->p, t->img, &t->info, err);
	return rc;
}

static enum err
choose_base(struct take *t, struct error *err)
{
	struct since *s = &t->since;
	char text[400];
	enum err rc;

	rc = since_choose(s, t->p, t->img, &t->now, t->sink, err);
	if (rc != ERR_OK)
		return rc;
	if (s->has_base) {
		t->from = s->old.snap;
		return ERR_OK;
	}
	t->now.why_full = strdup(s->why);
	if (t->now.why_full == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a record");
	(void)snprintf(text, sizeof(text), "is read whole: %s", s->why);
	if (!s->first)
		say(t, text);
	return ERR_OK;
}

static void
fill_entry(const struct take *t, struct entry *e)
{
	entry_init(e);
	e->type = ENTRY_IMAGE;
	e->mode = IMAGE_MODE;
	e->uid = geteuid();
	e->gid = getegid();
	e->mtime = e->ctime = t->p->taken;
	e->size = t->info.size;
}

static enum err
edit(struct take *t, struct error *err)
{
	const struct sink_ops *ops = t->sink->ops;
	struct bytes key = { t->p->key.data, t->p->key.len };
	struct bytes none = { NULL, 0 };
	struct entry e;
	bool done;
	enum err rc;

	fill_entry(t, &e);
	t->origin.read = read_origin;
	rc = ops->offer(t->sink, key, &e, &done, err);
	/* Its time is new, so it is never taken over as it is. */
	if (rc != ERR_OK || done)
		return rc;
	rc = reads_init(&t->reads, t->img, t->sink, t->r->depth, err);
	if (rc == ERR_OK)
		rc = ops->image_begin(t->sink, key, &e,
			t->from != NULL ? key : none, &t->origin, err);
	if (rc == ERR_OK)
		rc = read_changes(t, err);
	return rc == ERR_OK ? ops->image_end(t->sink, err) : rc;
}

enum err
take_image(struct rbd *r, struct pick *p, struct sink *sink, struct error *err)
{
	struct take *t = malloc(sizeof(*t));
	enum err rc;

	if (t == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an image");
	take_init(t, r, p, sink);
	rc = open_image(t, err);
	if (rc == ERR_OK) {
		choose_view(t);
		rc = choose_base(t, err);
	}
	if (rc == ERR_OK)
		rc = find_own(t, err);
	if (rc == ERR_OK)
		rc = edit(t, err);
	if (rc == ERR_OK)
		rc = find_older(t, err);
	if (rc == ERR_OK && p->snap_id != 0)
		rc = still_present(r, p,
			t->from != NULL ? t->since.old.snap_id : 0, err);
	buf_clear(&p->record);
	if (rc == ERR_OK)
		rc = rbd_record_encode(&t->now, &p->record, err);
	take_fini(t);
	free(t);
	return rc;
}
