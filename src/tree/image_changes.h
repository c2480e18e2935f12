/* SPDX-License-Identifier: Apache-2.0 */
/* image_changes: what became of one window of an image.  Private to
 * src/tree. */
#ifndef TREE_IMAGE_CHANGES_H
#define TREE_IMAGE_CHANGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "tree/runs.h"

/* A range of the window that now reads as data, is a hole, or reads as the old
 * image does at old_off. */
struct image_change {
	struct run run;
	enum { BECOMES_DATA, BECOMES_HOLE, BECOMES_OLD } kind;
	uint64_t old_off;
};

/* Zeroed: none.  They ascend and lie apart; what is in none of them is as it
 * was. */
struct image_changes {
	struct image_change *v;
	size_t n, cap;
};

void image_changes_fini(struct image_changes *c);

/* One more, behind the others; one that continues the last one lengthens
 * it. */
enum err image_changes_add(struct image_changes *c,
	const struct image_change *change, struct error *err) MUST_CHECK;

/* Have the runs, which ascend, be data, whatever they were.  After a failure
 * they are partly so. */
enum err image_changes_cover(struct image_changes *c, const struct run *runs,
	size_t n, struct error *err) MUST_CHECK;

#endif /* TREE_IMAGE_CHANGES_H */
