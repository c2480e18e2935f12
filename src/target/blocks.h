/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks: what a file and a block device have in common: bytes at offsets.
 * Private to src/target.  Any thread.
 */
#ifndef TARGET_BLOCKS_H
#define TARGET_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "target/target.h"

/* All len bytes at off, zeroes behind the end. */
enum err blocks_read(int fd, uint64_t off, void *data, size_t len,
	const char *what, struct error *err) MUST_CHECK;

/*
 * The range reads as zeroes: deallocated where the file system or the device
 * can do that, else written.  It lies within the file.
 */
enum err blocks_zero(int fd, bool is_device, uint64_t off, uint64_t len,
	const char *what, struct error *err) MUST_CHECK;

/* What of [0, size) is no hole, where the file system can tell; else all. */
enum err blocks_each_data(int fd, uint64_t size, target_range_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* Forget what memory holds of it, so that reading asks the medium. */
void blocks_drop_cache(int fd);

#endif /* TARGET_BLOCKS_H */
