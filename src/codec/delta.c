/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta: see delta.h.
 *
 * Two cursors go through the files.  As long as bytes are alike both advance;
 * where they part, delta_near finds where they go on.  Where it does not, the
 * cursors leap to right before an anchor ahead.
 *
 * Why it takes no more than linear time: a search of delta_near comes only
 * after the smaller ones found nothing, so that it either leads further than
 * they could or ends in a leap; each anchor is leapt to once; and bytes that
 * defeat the one or the other use up EFFORT, after which only the smallest
 * searches are made until the cursors have caught up.  What is sampled for
 * anchors has a limit of its own.
 */
#include "codec/delta.h"

#include <stdbool.h>
#include <stdlib.h>

#include "codec/delta_ahead.h"
#include "codec/delta_anchors.h"
#include "codec/delta_gear.h"
#include "codec/delta_near.h"
#include "codec/delta_window.h"

enum {
	PUT_MAX = 256 << 10,
	/* Bytes hashed and compared in search for each byte of both files. */
	EFFORT = 16,
	EFFORT_FIRST = 4 << 20,
	BEFORE_ANCHOR = DELTA_NEAR / 2
};

struct run {
	const struct delta_fn *fn;
	struct delta_window old, new;
	struct delta_anchor at; /* the cursors */
	uint64_t told; /* bytes of the new file that fn knows of */
	struct delta_gear gear;
	struct delta_near near;
	struct delta_ahead ahead;
};

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum err
put_until(struct run *r, uint64_t end, struct error *err)
{
	struct delta_view view;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && r->told < end) {
		size_t n;

		rc = delta_window_at(&r->new, r->told, 1, &view, err);
		if (rc != ERR_OK)
			break;
		n = (size_t)smaller(view.len, end - r->told);
		n = (size_t)smaller(n, PUT_MAX);
		rc = r->fn->put(r->fn->arg, r->told, view.data, n, err);
		r->told += n;
	}
	return rc;
}

/* Tell that the last len bytes up to the cursors are alike. */
static enum err
take(struct run *r, uint64_t len, struct error *err)
{
	enum err rc;

	if (len < DELTA_MIN)
		return ERR_OK;
	rc = put_until(r, r->at.new - len, err);
	if (rc != ERR_OK)
		return rc;
	r->told = r->at.new;
	return r->fn->take(r->fn->arg, r->at.new - len, r->at.old - len, len,
		err);
}

/* Advance both cursors to where the bytes part. */
static enum err
follow(struct run *r, uint64_t *len, struct error *err)
{
	struct delta_view old, new;
	size_t n;
	enum err rc;

	*len = 0;
	do {
		rc = delta_window_at(&r->old, r->at.old, 1, &old, err);
		if (rc == ERR_OK)
			rc = delta_window_at(&r->new, r->at.new, 1, &new, err);
		if (rc != ERR_OK)
			return rc;
		n = delta_view_alike(&old, &new);
		r->at.old += n;
		r->at.new += n;
		*len += n;
	} while (n > 0 && n == smaller(old.len, new.len));
	return ERR_OK;
}

static bool
tired(const struct run *r, const struct delta_anchor *at)
{
	return r->near.effort / EFFORT >
	       at->old + at->new + EFFORT_FIRST / EFFORT;
}

/* Go to where bytes are alike behind from, if that is near. */
static enum err
go_near(struct run *r, const struct delta_anchor *from, bool *found,
	struct error *err)
{
	size_t span = tired(r, from) ? DELTA_NEAR_FIRST : DELTA_NEAR;
	struct delta_near_spot spot;
	struct delta_view old, new;
	enum err rc;

	rc = delta_window_at(&r->old, from->old, DELTA_NEAR_WANT, &old, err);
	if (rc == ERR_OK)
		rc = delta_window_at(&r->new, from->new, DELTA_NEAR_WANT, &new,
			err);
	if (rc != ERR_OK)
		return rc;
	*found = delta_near_find(&r->near, &old, &new, span, &spot);
	if (*found) {
		r->at.old = from->old + spot.old;
		r->at.new = from->new + spot.new;
	}
	return ERR_OK;
}

/* As go_near, from before the anchor on but not from before the cursors. */
static enum err
go_to_anchor(struct run *r, const struct delta_anchor *a, bool *found,
	struct error *err)
{
	struct delta_anchor from = {
		a->old - smaller(BEFORE_ANCHOR, a->old - r->at.old),
		a->new - smaller(BEFORE_ANCHOR, a->new - r->at.new),
	};

	if (tired(r, a)) {
		delta_ahead_pass(&r->ahead, 0);
		return ERR_OK;
	}
	/* The others that this has in view are of no more use. */
	delta_ahead_pass(&r->ahead, BEFORE_ANCHOR - DELTA_MIN);
	return go_near(r, &from, found, err);
}

static enum err
leap(struct run *r, bool *found, struct error *err)
{
	struct delta_anchor a;
	bool more = true;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && !*found && more) {
		if (delta_ahead_next(&r->ahead, &r->at, &a))
			rc = go_to_anchor(r, &a, found, err);
		else
			rc = delta_ahead_sample(&r->ahead, &r->at, &more, err);
	}
	return rc;
}

static enum err
go_on(struct run *r, bool *found, struct error *err)
{
	enum err rc;

	*found = false;
	if (r->at.old == r->old.file->size || r->at.new == r->new.file->size)
		return ERR_OK;
	rc = go_near(r, &r->at, found, err);
	if (rc == ERR_OK && !*found)
		rc = leap(r, found, err);
	/* While the window still has it. */
	if (rc == ERR_OK && *found)
		rc = put_until(r, r->at.new, err);
	return rc;
}

static enum err
go_through(struct run *r, struct error *err)
{
	bool found = true;
	uint64_t len;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && found) {
		rc = follow(r, &len, err);
		if (rc == ERR_OK)
			rc = take(r, len, err);
		if (rc == ERR_OK)
			rc = go_on(r, &found, err);
	}
	if (rc == ERR_OK)
		rc = put_until(r, r->new.file->size, err);
	return rc;
}

enum err
delta_run(const struct delta_file *old, const struct delta_file *new,
	const struct delta_fn *fn, struct error *err)
{
	struct run *r = calloc(1, sizeof(*r));
	enum err rc;

	if (r == NULL)
		return err_set(err, ERR_NOMEM, "delta: out of memory");
	r->fn = fn;
	delta_gear_init(&r->gear);
	r->near.gear = &r->gear;
	delta_ahead_init(&r->ahead, &r->gear, &r->old, &r->new);
	rc = delta_window_init(&r->old, old, err);
	if (rc == ERR_OK)
		rc = delta_window_init(&r->new, new, err);
	if (rc == ERR_OK)
		rc = go_through(r, err);
	delta_ahead_fini(&r->ahead);
	delta_window_fini(&r->old);
	delta_window_fini(&r->new);
	free(r);
	return rc;
}
