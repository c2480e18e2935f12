/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead: directories are listed and their entries looked at by threads that
 * run ahead of the walk.
 *
 *   ahead_new -> (ahead_enter -> ahead_stamps ... -> ahead_leave) ...
 *             -> ahead_free
 *
 * The walk enters a directory, asks for its stamps front to back, enters each
 * entry that ahead_descends says is to be entered at the moment it comes to
 * it, and leaves.  What the threads have not begun by then is done at once by
 * the caller, so that the result never depends on them, and with no threads
 * it is all the same.
 *
 * The threads go in the order of keys.  How far they may get ahead is bounded
 * in directories, entries and bytes; so memory is that of the directories
 * that the walk is in, and these bounds.
 *
 * All functions are for the one thread that walks.
 */
#ifndef SOURCE_FILES_AHEAD_H
#define SOURCE_FILES_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/files/dirs.h"
#include "source/files/list.h"
#include "source/files/rules.h"
#include "source/files/stamp.h"

enum { AHEAD_BATCH = 1024 }; /* entries looked at in one go */

struct ahead;

/* A directory that the walk is in, or will be. */
struct node {
	struct dir *dir;
	struct node *parent; /* NULL: a root */
	struct list list; /* empty where why is set */
	const struct error *why; /* it could not be listed; else NULL */
	size_t pos; /* these two are the walk's own */
	const struct stamp *stamps;

	size_t index; /* in the parent's list */
	uint64_t dev; /* do not leave this file system; 0: do */
	bool counted, busy;
	struct batch *batches;
	size_t n_batches, next_batch; /* next_batch: not begun by anyone */
	size_t cursor; /* entries before it have been entered, or never are */
	struct node *first_kid, *last_kid, *next_kid; /* begun, not entered */
	bool queued;
	struct node *before, *after; /* in the queue */
	struct node *all_next, *all_prev;
};

enum err ahead_new(struct ahead **out, const struct rules *rules,
	unsigned n_threads, struct error *err) MUST_CHECK;
void ahead_free(struct ahead *a);

/* Enter a root, which keeps a reference to d. */
enum err ahead_enter_root(struct ahead *a, struct dir *d, uint64_t dev,
	struct node **out, struct error *err) MUST_CHECK;
/* Enter entry i of n, the walk's innermost directory. */
enum err ahead_enter(struct ahead *a, struct node *n, size_t i,
	struct node **out, struct error *err) MUST_CHECK;
/* Only after all below it was left. */
void ahead_leave(struct ahead *a, struct node *n);

/* Stamps of the entries [batch * AHEAD_BATCH, ...), valid until those of the
 * next batch are asked for, or n is left. */
enum err ahead_stamps(struct ahead *a, struct node *n, size_t batch,
	const struct stamp **out, struct error *err) MUST_CHECK;

/* Whether the entry with these is a directory to be entered. */
bool ahead_descends(const struct node *n, const struct stamp *s);

#endif /* SOURCE_FILES_AHEAD_H */
