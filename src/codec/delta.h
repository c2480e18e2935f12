/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta: what of a new file lies, in the same order, in an old one.
 *
 * Made for large files of small records that keep their order from one version
 * to the next, with records changed, added and taken out all over: the sections
 * of a MooseFS image are in the order of hash tables and directories.  There no
 * content-defined chunk of a useful length comes again, but nearly all bytes
 * do.
 *
 * Both files are read front to back, in windows.  Where they part, the nearest
 * place where they go on alike is looked for (at the same distance, then in
 * the next DELTA_NEAR bytes of both); where there is none, what lies ahead in
 * both is sampled, and what most of it has in common in the same order is gone
 * for.  What was passed over in the old file does not come again, so records
 * whose order has changed altogether are put: the result is right, and large.
 *
 * Memory: DELTA_MEMORY, whatever the files' size.  Time: a pass over each, a
 * limited part of them again to sample what lies ahead, and at most once all
 * that is left.
 */
#ifndef CODEC_DELTA_H
#define CODEC_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum {
	DELTA_MIN = 128, /* bytes that are worth taking over */
	DELTA_NEAR = 64 << 10,
	DELTA_MEMORY = 4 << 20
};

struct delta_file {
	uint64_t size;
	/* All of [off, off + len), which lies in the file. */
	enum err (*read)(void *arg, uint64_t off, void *data, size_t len,
		struct error *err);
	void *arg;
};

/* The ranges ascend and are all of the new file, each byte once.  Those of the
 * old file ascend, too.  Any result but ERR_OK ends it. */
struct delta_fn {
	/* [off, off + len) is what the old file has at old_off. */
	enum err (*take)(void *arg, uint64_t off, uint64_t old_off,
		uint64_t len, struct error *err);
	enum err (*put)(void *arg, uint64_t off, const void *data, size_t len,
		struct error *err);
	void *arg;
};

enum err delta_run(const struct delta_file *old, const struct delta_file *new,
	const struct delta_fn *fn, struct error *err) MUST_CHECK;

#endif /* CODEC_DELTA_H */
