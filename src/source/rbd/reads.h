/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reads: parts of an image on their way to a sink, several at a time.
 *
 *   reads_init -> reads_data, reads_zero ... (ascending) -> reads_drain
 *     -> reads_fini
 *
 * At most depth operations are under way, each of at most READS_WINDOW bytes
 * and within an aligned window, which is what the sink stores as one chunk.
 * The sink gets them in order.  Memory: depth * READS_WINDOW, as far as used.
 */
#ifndef SOURCE_RBD_READS_H
#define SOURCE_RBD_READS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/source.h"
#include "system/ceph.h"

enum { READS_WINDOW = 1 << 20, READS_DEPTH_MAX = 1024 };

struct reads {
	struct ceph_image *img;
	struct sink *sink;
	struct reads_slot *slots; /* a ring */
	size_t depth, first, n;
};

enum err reads_init(struct reads *r, struct ceph_image *img, struct sink *sink,
	size_t depth, struct error *err) MUST_CHECK;
/* Waits for what is under way. */
void reads_fini(struct reads *r);

/* Read [off, off + len) and replace it at the sink. */
enum err reads_data(struct reads *r, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;
/* Make it a hole at the sink. */
enum err reads_zero(struct reads *r, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;
/* All of it is at the sink. */
enum err reads_drain(struct reads *r, struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_READS_H */
