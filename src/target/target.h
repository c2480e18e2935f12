/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target: where the bytes of one image are restored to: a raw or qcow2 file, a
 * block device, standard output, an RBD image.
 *
 *   open -> write, zero (and read) ... -> mark ... -> finish -> close
 *
 * A target knows nothing of the repository.  The engine (restore_image.h)
 * gives it what the image consists of.  Until finish nothing that is half
 * written looks finished: a file has another name, an RBD image says in its
 * metadata that it is being restored.  close without finish leaves what the
 * next open needs in order to go on, and nothing else.
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/options.h"

struct target;

/* The image that comes.  What it refers to lives until close. */
struct target_image {
	uint64_t size;
	const char *key; /* names the restore point and image: who opens with
			    another one does not go on where this ended */
	/* The image's record of whatever made it (model/rbd_record.h), or
	 * len 0: how it was set up there. */
	const uint8_t *record;
	size_t record_len;
};

struct target_conf {
	const char *rest; /* of SCHEME:REST */
	struct settings settings;
	bool overwrite; /* onto what is there, else ERR_EXISTS */
	bool dry_run; /* change nothing; only reads come */
};

typedef enum err target_range_fn(void *arg, uint64_t off, uint64_t len,
	struct error *err);

struct target_ops {
	const char *scheme; /* "rbd" in rbd:POOL/IMAGE */
	const char *summary; /* one line */
	const struct option_spec *options; /* ends with a NULL name */
	/* It puts an image that was stored without its parent's data over that
	 * parent again; what the image does not cover is the parent's. */
	bool layers;
	/* rest may be empty or end with '/': the record says the rest. */
	bool names;

	enum err (*open)(struct target **out, const struct target_conf *conf,
		const struct target_image *image, struct error *err);
	/* Also after a failure, of anything but open. */
	void (*close)(struct target *t);

	/*
	 * Any thread, ranges apart from each other.  data is the caller's
	 * again when it returns; the bytes may still be on their way, and
	 * what becomes of them is told by a later call.  Where ordered is
	 * set: one thread, ascending, and what lies between is zero.
	 */
	enum err (*write)(struct target *t, uint64_t off, const void *data,
		size_t len, struct error *err);
	enum err (*zero)(struct target *t, uint64_t off, uint64_t len,
		struct error *err);

	/* What is there, zeroes behind its end; any thread.  NULL: cannot. */
	enum err (*read)(struct target *t, uint64_t off, void *data, size_t len,
		struct error *err);

	/*
	 * Ranges of what is there that may hold something else than zeroes:
	 * ascending.  NULL: all of it may.
	 */
	enum err (*each_data)(struct target *t, target_range_fn *fn, void *arg,
		struct error *err);

	/*
	 * Ranges that may read otherwise now than the restore point whose
	 * record this is: ascending.  ERR_NOTFOUND where the system cannot
	 * tell, which is no failure.  NULL: never.
	 */
	enum err (*each_changed)(struct target *t, const uint8_t *record,
		size_t len, target_range_fn *fn, void *arg, struct error *err);

	/* Everything below done is there: make it durable, and remember.  No
	 * other call is at work.  NULL: a restore cannot be resumed. */
	enum err (*mark)(struct target *t, uint64_t done, struct error *err);

	/* Durable, and under its name.  No other call is at work. */
	enum err (*finish)(struct target *t, struct error *err);
};

struct target {
	const struct target_ops *ops;
	uint64_t resume; /* below here an earlier restore was done */
	bool blank; /* reads as zeroes wherever nothing was written */
	bool ordered;
};

/* All targets, ending with NULL. */
extern const struct target_ops *const target_drivers[];

/* Split "SCHEME:REST"; "-" is stdout:.  ERR_USAGE for an unknown scheme. */
enum err target_parse(const char *text, const struct target_ops **ops,
	const char **rest, struct error *err) MUST_CHECK;

#endif /* TARGET_TARGET_H */
