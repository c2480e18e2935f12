/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload: the thread that stores what a stage hands out, tells the index, and
 * publishes segments as they are due.  Its failures become the stage's.
 *
 * An upload that is inline has no thread: who filled packs stores them, with
 * upload_drain.
 */
#ifndef REPO_UPLOAD_H
#define REPO_UPLOAD_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "repo/index.h"
#include "repo/stage.h"
#include "store/store.h"

struct upload;

struct upload_conf {
	struct stage *stage;
	struct store *store;
	struct index *index;
	const struct secret *structure;
	bool inline_upload;
};

/* Starts the thread; everything in conf is borrowed and outlives it. */
enum err upload_start(struct upload **out, const struct upload_conf *conf,
	struct error *err) MUST_CHECK;

/* Store the full packs; where there is a thread for it, do nothing. */
void upload_drain(struct upload *u);

/* Publish now what is not published yet; any thread may call it. */
enum err upload_publish(struct upload *u, struct error *err) MUST_CHECK;

/* Ends the stage and the thread: after the pack that it is storing. */
void upload_stop(struct upload *u);

#endif /* REPO_UPLOAD_H */
