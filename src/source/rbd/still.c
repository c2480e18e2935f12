/* SPDX-License-Identifier: Apache-2.0 */
/*
 * still: a run's snapshots at the cluster.
 *
 * Crash argument.  The snapshot that the last committed backup names is
 * removed only by still_end(committed), after the next commit, so the base of
 * the next difference is there whenever a run is killed.  What a killed run
 * has made is left: the next committed run removes all snapshots of the job
 * that are older than its own, and its own is the only one that its record
 * names.  A snapshot that another run of the same job makes meanwhile is
 * younger and stays.
 *
 * The name is what makes a snapshot ours, and nothing else is removed.
 */
#include "source/rbd/still.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "source/rbd/hook.h"

/* ---- names ---- */

/* "20261121T081328.123Z"; 0 stands for a digit. */
static const char time_form[] = "00000000T000000.000Z";

static void
name_still(struct rbd *r)
{
	struct when now = when_now();
	time_t sec = (time_t)now.sec;
	struct tm tm;
	char text[32];

	(void)gmtime_r(&sec, &tm);
	(void)strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &tm);
	(void)snprintf(r->snap, sizeof(r->snap), "coffer.%s.%s.%03uZ", r->job,
		text, now.nsec / 1000000);
}

bool
still_is_ours(const struct rbd *r, const char *name)
{
	size_t len = strlen(r->job);

	if (strncmp(name, "coffer.", 7) != 0 ||
		strncmp(name + 7, r->job, len) != 0 || name[7 + len] != '.')
		return false;
	name += 8 + len;
	for (size_t i = 0; i < sizeof(time_form); i++) {
		if (time_form[i] != '0' ? name[i] != time_form[i]
					: name[i] < '0' || name[i] > '9')
			return false;
	}
	return true;
}

/* ---- making ---- */

static bool
is_gone(struct pick *p, enum err rc, const struct error *err)
{
	if (rc != ERR_NOTFOUND || p->named)
		return false;
	p->trouble = *err;
	return true;
}

/* Open p; one that a pattern found and that is gone gets its trouble. */
static enum err
open_pick(struct pick *p, struct error *err)
{
	const struct ceph_open how = { .write = true };
	enum err rc = ERR_OK;

	if (p->rw == NULL)
		rc = ceph_image_open(&p->rw, p->pool, p->name, &how, err);
	return is_gone(p, rc, err) ? ERR_OK : rc;
}

struct find {
	const struct rbd *r;
	struct pick *p;
};

static enum err
on_own_snap(void *arg, const struct ceph_snap *s, struct error *err)
{
	struct find *f = arg;

	(void)err;
	if (s->user && strcmp(s->name, f->r->snap) == 0)
		f->p->snap_id = s->id;
	return ERR_OK;
}

static enum err
make_one(struct rbd *r, struct pick *p, struct error *err)
{
	struct find find = { r, p };
	enum err rc = open_pick(p, err);

	if (rc != ERR_OK || p->trouble.code != ERR_OK)
		return rc;
	p->taken = when_now();
	p->tried = true;
	rc = ceph_snap_create(p->rw, r->snap, r->quiesce, err);
	if (is_gone(p, rc, err))
		return ERR_OK;
	if (rc == ERR_OK)
		rc = ceph_each_snap(p->rw, on_own_snap, &find, err);
	if (rc == ERR_OK && p->snap_id == 0)
		rc = err_set(err, ERR_IO,
			"%s: its new snapshot %s is gone already", p->label,
			r->snap);
	p->read_id = p->snap_id;
	return rc;
}

static enum err
make_each(struct rbd *r, struct error *err)
{
	enum err rc = ERR_OK;

	r->first = when_now();
	for (size_t i = 0; rc == ERR_OK && i < r->n_picks; i++) {
		struct pick *p = r->picks[i];

		if (p->trouble.code == ERR_OK)
			rc = make_one(r, p, err);
		/* Where they are not held together, one at a time is open. */
		if (!r->together) {
			ceph_image_close(p->rw);
			p->rw = NULL;
		}
	}
	r->last = when_now();
	return rc;
}

/* ---- a group ---- */

struct find_group {
	uint64_t newer_than;
	const char *name; /* that it has to have; NULL: any */
	char found[CEPH_NAME_MAX];
	uint64_t id;
};

static enum err
on_group_snap(void *arg, const struct ceph_snap *s, struct error *err)
{
	struct find_group *f = arg;

	(void)err;
	if (s->user || s->id <= f->newer_than || f->id != 0 ||
		(f->name != NULL && strcmp(s->name, f->name) != 0))
		return ERR_OK;
	f->id = s->id;
	(void)snprintf(f->found, sizeof(f->found), "%s", s->name);
	return ERR_OK;
}

/*
 * After the images' own snapshots, so that the next difference, which is taken
 * from those, begins before what is read now.  In each image it has the same
 * name, which librbd has chosen.
 */
static enum err
make_group(struct rbd *r, struct error *err)
{
	char name[CEPH_NAME_MAX] = "";
	enum err rc;

	r->group_tried = true;
	r->first = when_now();
	rc = ceph_group_snap_create(r->group_pool, r->group, r->snap, err);
	r->last = when_now();
	for (size_t i = 0; rc == ERR_OK && i < r->n_picks; i++) {
		struct pick *p = r->picks[i];
		struct find_group f = { .newer_than = p->snap_id,
			.name = i > 0 ? name : NULL };

		rc = ceph_each_snap(p->rw, on_group_snap, &f, err);
		if (rc == ERR_OK && f.id == 0)
			rc = err_set(err, ERR_IO,
				"%s: it has no snapshot of group %s, which it "
				"may have left",
				p->label, r->group);
		if (i == 0)
			(void)snprintf(name, sizeof(name), "%s", f.found);
		p->read_id = f.id;
		p->taken = r->first;
	}
	return rc;
}

/* ---- all of it ---- */

static enum err
call_hook(const struct rbd *r, const char *verb, struct error *err)
{
	const char **images;
	size_t n = 0;
	enum err rc;

	if (r->hook == NULL)
		return ERR_OK;
	images = calloc(r->n_picks + 1, sizeof(*images));
	if (images == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a hook");
	for (size_t i = 0; i < r->n_picks; i++)
		if (r->picks[i]->trouble.code == ERR_OK)
			images[n++] = r->picks[i]->label;
	rc = hook_run(r->hook, verb, images, r->hook_sec, err);
	free(images);
	return rc;
}

static enum err
open_all(struct rbd *r, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < r->n_picks; i++) {
		struct pick *p = r->picks[i];

		if (p->trouble.code == ERR_OK)
			rc = open_pick(p, err);
	}
	return rc;
}

static void
close_all(struct rbd *r)
{
	for (size_t i = 0; i < r->n_picks; i++) {
		struct pick *p = r->picks[i];

		ceph_image_close(p->rw);
		p->rw = NULL;
	}
}

static enum err
make_all(struct rbd *r, struct error *err)
{
	enum err rc = make_each(r, err);

	return rc == ERR_OK && r->group != NULL ? make_group(r, err) : rc;
}

enum err
still_make(struct rbd *r, struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc;

	name_still(r);
	rc = r->together ? open_all(r, err) : ERR_OK;
	if (rc != ERR_OK)
		goto out;
	rc = call_hook(r, "freeze", err);
	if (rc == ERR_OK)
		rc = make_all(r, err);
	/* Also after a freeze that failed: it may have stopped halfway. */
	if (call_hook(r, "thaw", &why) != ERR_OK && rc == ERR_OK) {
		*err = why;
		rc = why.code;
	}
out:
	close_all(r);
	return rc;
}

/* ---- while it is read ---- */

struct present {
	uint64_t ids[3];
	bool found[3];
};

static enum err
on_present(void *arg, const struct ceph_snap *s, struct error *err)
{
	struct present *x = arg;

	(void)err;
	for (size_t i = 0; i < ARRAY_LEN(x->ids); i++)
		x->found[i] = x->found[i] || x->ids[i] == s->id;
	return ERR_OK;
}

enum err
still_present(const struct rbd *r, const struct pick *p, uint64_t base_id,
	struct error *err)
{
	struct present x = { .ids = { p->read_id, p->snap_id, base_id } };
	const struct ceph_open how = { .snap = NULL };
	struct ceph_image *img = NULL;
	enum err rc;

	/* One that is open for reading alone is not told of changes. */
	rc = ceph_image_open(&img, p->pool, p->name, &how, err);
	if (rc == ERR_OK)
		rc = ceph_each_snap(img, on_present, &x, err);
	ceph_image_close(img);
	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(x.ids); i++) {
		if (x.ids[i] == 0 || x.found[i])
			continue;
		return err_set(err, ERR_IO,
			"%s: %s was removed while it was read", p->label,
			i == 2 ? "the snapshot of the last backup" : r->snap);
	}
	return ERR_OK;
}

/* ---- the end ---- */

struct old {
	const struct rbd *r;
	uint64_t before;
	char **v;
	size_t n, cap;
};

static enum err
on_old_snap(void *arg, const struct ceph_snap *s, struct error *err)
{
	struct old *o = arg;
	char **v;

	if (!s->user || s->id >= o->before || !still_is_ours(o->r, s->name))
		return ERR_OK;
	v = array_grow(o->v, o->n, &o->cap, sizeof(*v), err);
	if (v == NULL)
		return ERR_NOMEM;
	o->v = v;
	v[o->n] = strdup(s->name);
	if (v[o->n] == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	o->n++;
	return ERR_OK;
}

static enum err
remove_one(struct ceph_image *img, const char *name, struct error *err)
{
	enum err rc = ceph_snap_remove(img, name, err);

	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* One that cannot go does not keep the others; but a cluster that does not
 * answer would be waited for each time. */
static enum err
remove_each(struct ceph_image *img, const struct old *old, struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc = ERR_OK, one = ERR_OK;

	for (size_t i = 0; i < old->n && one != ERR_AGAIN; i++) {
		one = remove_one(img, old->v[i], rc == ERR_OK ? err : &why);
		if (rc == ERR_OK)
			rc = one;
	}
	return rc;
}

static enum err
remove_old(struct rbd *r, struct pick *p, struct error *err)
{
	struct old old = { .r = r, .before = p->snap_id };
	enum err rc = ceph_each_snap(p->rw, on_old_snap, &old, err);

	if (rc == ERR_OK)
		rc = remove_each(p->rw, &old, err);
	for (size_t i = 0; i < old.n; i++)
		free(old.v[i]);
	free(old.v);
	return rc;
}

static enum err
end_one(struct rbd *r, struct pick *p, bool committed, struct error *err)
{
	const struct ceph_open how = { .write = true };
	enum err rc;

	if (!p->tried || (committed && p->snap_id == 0))
		return ERR_OK;
	rc = ceph_image_open(&p->rw, p->pool, p->name, &how, err);
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK)
		return committed ? err_wrap(err, "older snapshots of ours stay")
				 : err_wrap(err, "snapshot %s stays", r->snap);
	rc = committed ? remove_old(r, p, err)
		       : remove_one(p->rw, r->snap, err);
	ceph_image_close(p->rw);
	p->rw = NULL;
	return rc;
}

enum err
still_end(struct rbd *r, bool committed, struct error *err)
{
	struct error why = ERROR_INIT;
	size_t failed = 0;
	enum err rc;

	if (r->group_tried) {
		rc = ceph_group_snap_remove(r->group_pool, r->group, r->snap,
			err);
		failed += rc != ERR_OK && rc != ERR_NOTFOUND;
	}
	r->group_tried = false;
	for (size_t i = 0; i < r->n_picks; i++) {
		rc = end_one(r, r->picks[i], committed,
			failed == 0 ? err : &why);
		failed += rc != ERR_OK;
		/* A cluster that does not answer would be waited for each
		 * time. */
		if (rc == ERR_AGAIN)
			break;
	}
	if (failed == 0)
		return ERR_OK;
	if (failed > 1)
		(void)err_wrap(err, "%zu images keep snapshots of ours, one is",
			failed);
	return err->code;
}
