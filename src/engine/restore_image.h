/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_image: one image of a snapshot written to a target.
 *
 * The image is walked in ascending order, a stretch at a time; each chunk of a
 * stretch is fetched once, by a worker, and what is small is put together to
 * writes of up to a window before it goes to the target.  When a stretch is
 * there the target marks it, so a restore that was killed goes on behind it.
 *
 * Where the target has something already, only what differs is written: what
 * the target knows to be unchanged since another restore point is not looked
 * at further than the two trees tell; the rest is read from there and compared
 * by the names of chunks, or by bytes.
 *
 * Memory: workers * two chunks + RESTORE_IMAGE_CACHE + what the target has on
 * its way.
 */
#ifndef ENGINE_RESTORE_IMAGE_H
#define ENGINE_RESTORE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/report.h"
#include "model/snapshot.h"
#include "repo/repo.h"
#include "target/target.h"

enum { RESTORE_IMAGE_CACHE = 64 << 20 };

struct restore_image_conf {
	const struct target_ops *target;
	const char *rest; /* of the target's name */
	struct settings settings;
	const char *subpath; /* the image's path; NULL: the only one there is */
	bool overwrite; /* onto what is there, writing what differs */
	bool verify; /* read all of it again and compare */
	bool dry_run;
	unsigned workers; /* 0: one per processor */
	uint64_t mark_every; /* so many bytes at the least are done anew after a
				kill; 0: 1 GiB, or what takes 5 seconds */
};

struct restore_image_result {
	uint64_t bytes; /* of the image */
	uint64_t bytes_data; /* not in holes, of what was looked at */
	uint64_t bytes_written, bytes_zeroed;
	uint64_t bytes_compared; /* read from the target to be compared */
	uint64_t bytes_resumed; /* done by an earlier restore */
	uint64_t bytes_verified;
};

/* ERR_NOTFOUND where the snapshot has no such image, ERR_USAGE where it has
 * several and none is named. */
enum err restore_image_run(struct repo *r, const struct snapshot *snap,
	const struct restore_image_conf *conf, const struct report *report,
	struct restore_image_result *result, struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_IMAGE_H */
