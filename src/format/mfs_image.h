/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_image: a metadata image of a MooseFS master, walked as it comes.
 *
 *   mfs_image_init -> mfs_image_feed ... -> mfs_image_end
 *
 * A header, sections, an end marker at the very end.  The file has no checksum
 * of its content: the walk finds what is cut off, what is no image, and
 * lengths that lead astray.  Images are hostile; nothing is held in memory but
 * the part of a header that is at hand.
 *
 * Source: images of mfsmaster 2.0.91, 3.0.117 and 4.59.2.
 */
#ifndef FORMAT_MFS_IMAGE_H
#define FORMAT_MFS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct mfs_section {
	char name[5]; /* "NODE" */
	unsigned major, minor;
	uint64_t off, len; /* of its data */
};

struct mfs_header {
	bool is_new; /* MFSM NEW: an empty file system, version 1, no id */
	uint64_t version; /* the id of the first change that is not in it */
	uint64_t id; /* of the file system */
};

/* Either may be NULL.  Any result but ERR_OK ends the walk with it. */
struct mfs_image_fn {
	enum err (*header)(void *arg, const struct mfs_header *h,
		struct error *err);
	enum err (*section)(void *arg, const struct mfs_section *s,
		struct error *err);
	/* Bytes of the section that was told last; data is borrowed. */
	enum err (*data)(void *arg, const struct mfs_section *s, uint64_t at,
		const void *data, size_t len, struct error *err);
	void *arg;
};

enum { MFS_HEAD_ROOM = 32 };

struct mfs_image {
	const struct mfs_image_fn *fn;
	struct mfs_header header;
	uint64_t at; /* bytes so far */
	bool has_header, ended; /* the end marker has come */
	struct mfs_section section;
	unsigned n_sections;
	uint8_t head[MFS_HEAD_ROOM];
	size_t head_len;
};

void mfs_image_init(struct mfs_image *w, const struct mfs_image_fn *fn);

/* ERR_CORRUPT with what is wrong, and at which byte; ERR_VERSION for an image
 * of a kind or age that is not read (MFSM 1.x, LFSM). */
enum err mfs_image_feed(struct mfs_image *w, const void *data, size_t len,
	struct error *err) MUST_CHECK;

/* That was all: the marker has come, and nothing behind it. */
enum err mfs_image_end(struct mfs_image *w, struct error *err) MUST_CHECK;

#endif /* FORMAT_MFS_IMAGE_H */
