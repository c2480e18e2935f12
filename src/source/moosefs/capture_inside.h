/* SPDX-License-Identifier: Apache-2.0 */
/* capture_inside: what the entries of a capture share (capture.c), and the
 * image, which is an edit of the one before where it can (capture_image.c). */
#ifndef SOURCE_MOOSEFS_CAPTURE_INSIDE_H
#define SOURCE_MOOSEFS_CAPTURE_INSIDE_H

#include "codec/hash.h"
#include "model/mfs_record.h"
#include "source/moosefs/capture.h"

enum {
	CAPTURE_PIECE = 256 << 10,
	CAPTURE_SMALL = 4 << 10, /* up to here it lies in the entry itself */
	CAPTURE_PATH = 128
};

/* ---- capture.c ---- */

/* As the file is stored, so that it is known again. */
void capture_entry(struct entry *e, enum entry_type type,
	const struct journal_file *f);

/* A file that is read in order, in pieces. */
struct capture_file {
	int fd;
	const char *what;
	uint8_t *piece; /* room for CAPTURE_PIECE */
};
typedef enum err capture_piece_fn(void *arg, const void *data, size_t len,
	struct error *err);
/* All of [off, off + size), or ERR_IO. */
enum err capture_pump(const struct capture_file *f, uint64_t off, uint64_t size,
	capture_piece_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* The content of e, all of f, behind an offer that was not done.  To hash, too,
 * where that is not NULL. */
enum err capture_content(struct sink *sink, struct bytes key, struct entry *e,
	const struct capture_file *f, struct hash_run *hash,
	struct error *err) MUST_CHECK;

/* ---- capture_image.c ---- */

/* The image and what the record tells of it; before is the record of the
 * previous snapshot, of version 0 where there is none. */
enum err capture_image_put(const struct capture_of *of,
	const struct mfs_record *before, struct sink *sink, uint8_t *piece,
	struct mfs_record *out, struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_CAPTURE_INSIDE_H */
