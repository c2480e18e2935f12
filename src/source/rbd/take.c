/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take: what changed of one image.
 *
 * After a rollback the object maps of Ceph 16 hide what was rolled back
 * (system/ceph_changes.h).  So each record says what may differ between its
 * snapshot S and any older one that there is to roll back to, and the next
 * difference looks closely there, too.  Let B be the base of S:
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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/rbd_record.h"
#include "source/rbd/about.h"
#include "source/rbd/reads.h"
#include "source/rbd/since.h"
#include "source/rbd/still.h"
#include "system/ceph_changes.h"

enum { IMAGE_MODE = 0600, OWN_MAX = 64 << 20 };

struct take {
	struct rbd *r;
	struct pick *p;
	struct sink *sink;
	struct ceph_image *img;
	struct ceph_info info;
	struct rbd_record now;
	struct since since;
	const char *from; /* the base's name; NULL: all is read */
	struct ranges forced; /* what is known without asking */
	struct ranges changed; /* whole objects */
	struct reads reads;
	struct origin origin;
};

static void
take_init(struct take *t, struct rbd *r, struct pick *p, struct sink *sink)
{
	*t = (struct take){ .r = r, .p = p, .sink = sink };
	rbd_record_init(&t->now);
	since_init(&t->since);
	t->changed.max = RBD_OLDER_MAX;
}

static void
take_fini(struct take *t)
{
	reads_fini(&t->reads);
	ranges_fini(&t->forced);
	ranges_fini(&t->changed);
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
		struct range one = { .off = off, .zero = !own };

		one.end = off + (left < each ? left : each);
		if (own != bit(&t->since.own, i))
			rc = ranges_put(&t->forced, one, err);
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

/* ---- reading ---- */

static bool
with_parent(const struct take *t)
{
	return t->now.has_parent && t->now.parent_data;
}

/* For the next run: in whole objects, which is how it will be asked. */
static enum err
remember(struct take *t, uint64_t off, uint64_t len, struct error *err)
{
	uint64_t mask = object_size(t) - 1, begin = off & ~mask;
	uint64_t end = ((off + len - 1) | mask) + 1;

	return ranges_add(&t->changed, begin, end - begin, err);
}

static enum err
hand_over(void *arg, const struct range *x, struct error *err)
{
	struct take *t = arg;
	/* Where an object is none, its parent shows. */
	bool through = with_parent(t) && x->off < t->now.parent.overlap;
	uint64_t len = x->end - x->off;
	enum err rc = ERR_OK;

	if (t->from != NULL)
		rc = remember(t, x->off, len, err);
	if (rc != ERR_OK)
		return rc;
	if (!x->zero || through)
		return reads_data(&t->reads, x->off, len, err);
	return t->from != NULL ? reads_zero(&t->reads, x->off, len, err)
			       : ERR_OK;
}

static enum err
read_changes(struct take *t, struct error *err)
{
	const struct rbd_record *old = &t->since.old;
	const struct ceph_since since = { .from = t->from,
		.parent = with_parent(t),
		.older = old->older_known ? &old->older : NULL,
		.known = &t->forced };
	enum err rc = ceph_changes(t->img, &t->info, &since, hand_over, t, err);

	return rc == ERR_OK ? reads_drain(&t->reads, err) : rc;
}

static enum err
read_origin(const struct origin *o, uint64_t off, void *data, size_t len,
	struct error *err)
{
	const struct take *t = container_of_const(o, struct take, origin);
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

/* With what B's record says. */
static enum err
add_older(const struct take *t, struct ranges *out, struct error *err)
{
	const struct rbd_record *old = &t->since.old;

	if (!old->older_known)
		return ranges_add(out, 0, t->info.size, err);
	return ranges_overlay(out, &old->older, &t->changed, 0, UINT64_MAX,
		err);
}

static enum err
find_older(struct take *t, struct error *err)
{
	struct oldest o = { .id = 0 };
	struct ranges *older = &t->now.older;
	enum err rc = ceph_each_snap(t->img, on_snap, &o, err);
	bool before_base = t->from != NULL && o.id < t->since.old.snap_id;

	if (rc != ERR_OK || t->p->snap_id == 0)
		return rc;
	if (o.id == t->p->snap_id)
		ranges_fini(&t->changed);
	else if (t->from == NULL && o.user)
		rc = ceph_diff(t->img, o.name, 0, t->info.size, 0, on_older, t,
			err);
	else if (t->from == NULL)
		rc = ranges_add(&t->changed, 0, t->info.size, err);
	older->max = RBD_OLDER_MAX;
	if (rc == ERR_OK && before_base) {
		rc = add_older(t, older, err);
	} else if (rc == ERR_OK) {
		*older = t->changed;
		t->changed = (struct ranges){ 0 };
	}
	t->now.older_known = rc == ERR_OK;
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
