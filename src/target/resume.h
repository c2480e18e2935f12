/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resume: how far the restore to a file has come, kept behind the image in the
 * file itself.  Private to src/target.
 *
 * Two sectors of RESUME_SECTOR bytes behind the image's end, rounded up, are
 * written in turn, so one that a power failure tore leaves the one before.  It
 * is no stored format: only the next restore to the same file reads it.
 */
#ifndef TARGET_RESUME_H
#define TARGET_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { RESUME_SECTOR = 4096, RESUME_KEY_MAX = 2048 };

struct resume {
	uint64_t size; /* of the image */
	const char *key;
	uint64_t serial;
	uint64_t done;
	bool blank; /* it was new when the restore began */
};

/* Size of the file while it is being restored. */
uint64_t resume_file_size(uint64_t size);

/* Set serial, done and blank by what fd holds; *found false where it holds
 * nothing of this key and size. */
enum err resume_read(struct resume *r, int fd, bool *found,
	struct error *err) MUST_CHECK;

/* The same to fd, durably, after everything that was written before. */
enum err resume_write(struct resume *r, int fd, const char *what,
	struct error *err) MUST_CHECK;

#endif /* TARGET_RESUME_H */
