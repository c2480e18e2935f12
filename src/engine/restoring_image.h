/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restoring_image: what the parts of the restore of one image share; private
 * to restore_image*.c.
 *
 *   restore_image.c        the run: its passes, its marks, its end
 *   restore_image_find.c   the image in the snapshot, and the record beside it
 *   restore_image_known.c  what need not be looked at
 *   restore_image_plan.c   pieces to windows, and windows to stretches
 *   restore_image_work.c   a worker: a chunk fetched, windows written
 *   restore_image_kept.c   chunks that the next stretches come back to
 *
 * A window is a run of bytes without a hole, or a hole, within WINDOW aligned
 * bytes: what is written at once.  A stretch is a bounded number of windows,
 * and the chunks that they consist of.  A job takes one chunk and puts its
 * pieces where they belong; who completes a window writes it.  A window of one
 * piece has no buffer: it is written as it lies in the chunk.  Two stretches
 * are on their way, so that planning one hides behind the work on the other.
 */
#ifndef ENGINE_RESTORING_IMAGE_H
#define ENGINE_RESTORING_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/ranges.h"
#include "engine/crew.h"
#include "engine/restore_image.h"
#include "model/entry.h"
#include "tree/content.h"
#include "tree/io.h"

enum {
	WINDOW = 1 << 20,
	/* What is compared, and written where it differs. */
	BLOCK = 4096,
	STRETCHES = 2,
	STRETCH_BUFFERED = RESTORE_IMAGE_CACHE / 16,
	STRETCH_WINDOWS = 2048,
	STRETCH_USES = 8192,
	STRETCH_FETCHES = 512,
	STRETCH_TABLE = 1024, /* a power of two */
	KEPT_MAX = RESTORE_IMAGE_CACHE / 8 * 7,
	KEPT_CHUNKS = 256,
	RECORD_MAX = 16 << 20
};

enum image_pass {
	IMAGE_FILL, /* write what is no hole */
	IMAGE_PATCH, /* write what differs */
	IMAGE_VERIFY /* read and compare */
};

struct image_counts {
	_Atomic uint64_t data, written, zeroed, compared, verified;
};

/* ---- chunks that are kept ---- */

struct kept_chunk {
	struct id id;
	struct buf data;
	unsigned pins;
	bool spent; /* it goes when it is unpinned */
	uint64_t used; /* number of the stretch that used it last */
};

struct kept {
	pthread_mutex_t lock;
	struct kept_chunk v[KEPT_CHUNKS];
	size_t sum; /* of the memory they have */
};

void kept_init(struct kept *k);
void kept_fini(struct kept *k);
/* NULL where it is not there.  Pinned: it stays until kept_put. */
struct kept_chunk *kept_get(struct kept *k, const struct id *id,
	uint64_t stretch);
/* spent: nothing behind comes back to it. */
void kept_put(struct kept *k, struct kept_chunk *c, bool spent);
/* Keep a copy, if there is room. */
void kept_add(struct kept *k, const struct id *id, const struct buf *data,
	uint64_t stretch);

/* ---- the run ---- */

/* A worker's own. */
struct image_scratch {
	struct buf chunk; /* the one at hand */
	uint8_t *there; /* WINDOW bytes of the target */
};

struct imaging {
	struct repo *repo;
	const struct snapshot *snap;
	const struct restore_image_conf *conf;
	const struct report *report;

	struct crew crew;
	struct image_scratch *scratch; /* by worker */
	struct lane *lane; /* the walk's */
	struct tree_io_repo io;

	struct buf key; /* of the image */
	struct content_view *view;
	struct id root; /* where the content is extents */
	bool has_root;
	uint64_t size;
	struct buf name; /* of restore point and image, for the target */
	struct buf record; /* len 0: none */

	struct target *target;
	enum image_pass pass;
	/* What lies outside is as it should be; or not in the image. */
	struct ranges look, own;
	bool has_look, has_own;
	/* What lies outside reads as zeroes at the target. */
	struct ranges data;
	bool has_data;

	struct stretch *stretches[STRETCHES];
	struct kept kept;
	struct image_counts counts;
	pthread_mutex_t lock; /* of why */
	struct error why; /* what ended the run */
	atomic_bool ended;
};

/* End the run; the first reason stays. */
void imaging_end(struct imaging *g, const struct error *why);
/* ERR_OK while it goes on. */
enum err imaging_check(struct imaging *g, struct error *err) MUST_CHECK;

/* Whether windows are written in ascending order, by the walk. */
bool imaging_in_order(const struct imaging *g);

/* ---- the image and what is beside it ---- */

/* key, view, size, record. */
enum err imaging_find(struct imaging *g, struct error *err) MUST_CHECK;

/* The image of that path in another snapshot: *found, and its record appended
 * to record, with the root and size of its extents. */
enum err imaging_find_other(struct imaging *g, const struct id *root,
	struct buf *record, struct id *extents, uint64_t *size, bool *found,
	struct error *err) MUST_CHECK;

/* The set own, objects of 1 << order bytes, from IMAGE@rbd.own: the image is
 * stored without what it sees through its parent. */
enum err imaging_find_own(struct imaging *g, unsigned order,
	struct error *err) MUST_CHECK;

/* The sets look and data, by what the target knows. */
enum err imaging_know(struct imaging *g, struct error *err) MUST_CHECK;
enum err imaging_know_data(struct imaging *g, struct error *err) MUST_CHECK;

/* ---- stretches ---- */

struct window {
	struct job job; /* of a window that needs no chunk */
	struct stretch *stretch;
	uint64_t off;
	uint32_t len;
	bool hole;
	uint8_t *data; /* of the arena; NULL: a hole, or one piece */
	uint32_t first, n_uses;
	_Atomic uint32_t pending; /* uses that are not there yet */
};

/* A part of a window, and of a chunk. */
struct use {
	struct window *window;
	const uint8_t *bytes; /* at hand; else NULL */
	uint32_t at, len; /* in the window */
	uint32_t chunk_off;
	uint32_t next; /* of the same chunk; or NO_USE */
};

#define NO_USE UINT32_MAX

struct fetch {
	struct job job;
	struct stretch *stretch;
	struct id chunk;
	uint32_t first, last; /* uses */
	uint64_t end; /* of what is used of it */
	bool gathered; /* it is not the bytes of one window, in their place */
};

struct stretch {
	struct imaging *run;
	uint64_t begin, end; /* in the image */
	bool under_way;
	struct gate done;
	_Atomic unsigned jobs;
	uint64_t number;
	uint8_t *arena; /* STRETCH_BUFFERED bytes, and a window's */
	size_t buffered;
	struct window *open; /* that may grow yet */
	uint32_t n_windows, n_uses, n_fetches;
	uint16_t table[STRETCH_TABLE]; /* number of a fetch + 1, by its id */
	struct window windows[STRETCH_WINDOWS];
	struct use uses[STRETCH_USES];
	struct fetch fetches[STRETCH_FETCHES];
};

/* Plan what comes at *at, and move that on. */
enum err stretch_plan(struct stretch *s, uint64_t *at,
	struct error *err) MUST_CHECK;
/* Hand it to the workers. */
void stretch_submit(struct stretch *s);
/* One of its jobs has run; s may be gone afterwards. */
void stretch_drop_job(struct stretch *s);
/* Until they are done.  Buffers of an ordered target are still there. */
void stretch_wait(struct stretch *s);
/* Forget its windows. */
void stretch_clear(struct stretch *s);

/* The jobs. */
void imaging_run_fetch(struct job *job, unsigned worker);
void imaging_run_window(struct job *job, unsigned worker);

#endif /* ENGINE_RESTORING_IMAGE_H */
