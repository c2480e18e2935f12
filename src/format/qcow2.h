/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: an image in QEMU's format, written in any order.
 *
 *   qcow2_new -> qcow2_write, qcow2_zero, qcow2_read ... -> qcow2_finish
 *     -> qcow2_free
 *
 * Version 3, clusters of 64 KiB, refcounts of 16 bits; what was never written
 * takes no cluster.  Any thread may write; ranges that are written at one time
 * are apart.  The header is written last, so a file that was not finished is
 * no image.
 *
 * Memory: 8 bytes for each 512 MiB of the image; its other tables are kept in
 * the file.
 *
 * Source: QEMU, docs/interop/qcow2.txt.
 */
#ifndef FORMAT_QCOW2_H
#define FORMAT_QCOW2_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { QCOW2_CLUSTER = 64 << 10 };

struct qcow2;

/* fd is an empty file open for reading and writing, borrowed; what names it in
 * messages, borrowed.  ERR_USAGE for a size that the format cannot have. */
enum err qcow2_new(struct qcow2 **out, int fd, uint64_t size, const char *what,
	struct error *err) MUST_CHECK;
void qcow2_free(struct qcow2 *q);

/* [off, off + len) lies within the image. */
enum err qcow2_write(struct qcow2 *q, uint64_t off, const void *data,
	size_t len, struct error *err) MUST_CHECK;
enum err qcow2_zero(struct qcow2 *q, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;
/* Zeroes where nothing was written, and behind the end. */
enum err qcow2_read(struct qcow2 *q, uint64_t off, void *data, size_t len,
	struct error *err) MUST_CHECK;

/* Whole clusters that were written, ascending; no other call is at work. */
typedef enum err qcow2_range_fn(void *arg, uint64_t off, uint64_t len,
	struct error *err);
enum err qcow2_each_data(struct qcow2 *q, qcow2_range_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* The refcounts and the header; no other call is at work, and none but
 * qcow2_read and qcow2_each_data comes after it.  Durable when it returns. */
enum err qcow2_finish(struct qcow2 *q, struct error *err) MUST_CHECK;

#endif /* FORMAT_QCOW2_H */
