/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_window: the part of a file that delta has in memory.
 *
 * Who goes on from where the window ends gets a window's worth at once; who
 * leaps is given no more than asked for.
 */
#ifndef CODEC_DELTA_WINDOW_H
#define CODEC_DELTA_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "codec/delta.h"

enum { DELTA_WINDOW = 256 << 10 };

struct delta_window {
	const struct delta_file *file;
	uint8_t *buf; /* of DELTA_WINDOW bytes */
	uint64_t base;
	size_t len;
};

/* Bytes of the window, until it is asked for others. */
struct delta_view {
	const uint8_t *data;
	size_t len;
};

enum err delta_window_init(struct delta_window *w,
	const struct delta_file *file, struct error *err) MUST_CHECK;
void delta_window_fini(struct delta_window *w);

/* The bytes from off on: want of them (<= DELTA_WINDOW) or more; fewer only
 * where the file ends. */
enum err delta_window_at(struct delta_window *w, uint64_t off, size_t want,
	struct delta_view *out, struct error *err) MUST_CHECK;

/* How many bytes are alike at the front of both. */
size_t delta_view_alike(const struct delta_view *a, const struct delta_view *b);

#endif /* CODEC_DELTA_WINDOW_H */
