/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: something that can be backed up, and its life in one run.
 *
 *   open -> freeze -> capture (or follow) -> thaw -> close
 *
 * A source knows nothing of the repository.  It hands entries and their bytes
 * to a sink, in ascending order of keys (model/path.h), and the engine decides
 * what becomes of them.
 *
 * freeze makes a point in time that stays as it is while it is read: a ZFS or
 * RBD snapshot, a database transaction; plain files have none.  thaw ends it.
 * It is called once after every freeze, even one that failed halfway, and
 * learns whether the backup was committed: what the next run needs of this one
 * is kept where it was, else what the last one has left.  A run that was killed
 * has had no thaw, so the next one cleans up after it.
 *
 * What a driver can do beyond capture is data (caps) and an optional
 * operation, NULL where it cannot: follow blocks and yields changes as they
 * happen; restore back into the system and drills append steps to a plan and
 * come with plans.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "model/entry.h"
#include "model/options.h"
#include "model/origin.h"

struct source;
struct sink;
struct reader;

/* ---- what the command line or a job says ---- */

struct source_conf {
	const char *const *args; /* REST of each SCHEME:REST, or a command */
	size_t n_args;
	struct settings settings;
};

/* What a driver may know of the run that it is part of. */
struct source_run {
	/* Names what belongs together: this repository, host and sources.  Of
	 * letters and digits, the same in every run; a driver that leaves
	 * something of its own at the system names it by this. */
	const char *job;
	bool dry_run; /* change nothing at the system either */
};

/* ---- contents that are pulled: files ---- */

struct region {
	uint64_t off, len;
	bool hole; /* reads as zeroes and is not stored */
};

/*
 * One file to be read, by whichever thread, perhaps later.  The sink calls
 *
 *   open -> region, read ... -> settle -> (open again, or) close
 *
 * and always close, which also frees the reader, even without an open.
 */
struct reader_ops {
	/*
	 * Open it and complete e, which came with the reader, from what is
	 * there now: stamp, extended attributes, flags.  What e borrows then
	 * lives until close.  ERR_NOTFOUND where it is gone.
	 */
	enum err (*open)(struct reader *r, struct entry *e, struct error *err);
	/* Up to len bytes at off; *got < len only at the end. */
	enum err (*read)(struct reader *r, uint64_t off, void *data, size_t len,
		size_t *got, struct error *err);
	/* What lies at off and how far it goes, within [0, size); NULL: all
	 * is data. */
	enum err (*region)(struct reader *r, uint64_t off, uint64_t size,
		struct region *out, struct error *err);
	/* Whether it still is what open found. */
	enum err (*settle)(struct reader *r, bool *changed, struct error *err);
	void (*close)(struct reader *r);
};

struct reader {
	const struct reader_ops *ops;
};

/* ---- where entries go ---- */

/*
 * The engine implements this, a source calls it, from one thread.  Keys
 * ascend over all calls; each entry begins with offer.  Strings are borrowed
 * for the call, except that a reader is taken over.
 *
 *   offer -> done: nothing more to do for this entry, or one of
 *     entry                                 (no content, or inline)
 *     file                                  (content pulled by a reader)
 *     stream_begin, stream_write..., stream_end      (content pushed)
 *     image_begin, image_replace / image_punch..., image_end
 *     image_again, then, where it can, image_take / image_replace..., image_end
 *
 * An error from any of them ends the capture: the source returns it.
 */
struct sink_ops {
	/*
	 * Here is key, with everything that its directory tells: type, mode,
	 * ids and their names, times, inode, device, links, size.  *done: it
	 * is unchanged since the previous snapshot or another name of an
	 * earlier file, and has been taken over from there.
	 */
	enum err (*offer)(struct sink *s, struct bytes key,
		const struct entry *e, bool *done, struct error *err);
	enum err (*entry)(struct sink *s, struct bytes key,
		const struct entry *e, struct error *err);
	enum err (*file)(struct sink *s, struct bytes key,
		const struct entry *e, struct reader *r, struct error *err);

	enum err (*stream_begin)(struct sink *s, struct bytes key,
		const struct entry *e, struct error *err);
	enum err (*stream_write)(struct sink *s, const void *data, size_t len,
		struct error *err);
	enum err (*stream_end)(struct sink *s, struct error *err);

	/* An image of e->size bytes: an edit of what base (data NULL: none)
	 * was in the previous snapshot; ERR_CORRUPT where that is no image.
	 * Ranges ascend.  origin may be NULL;
	 * it is borrowed until image_end. */
	enum err (*image_begin)(struct sink *s, struct bytes key,
		const struct entry *e, struct bytes base,
		const struct origin *origin, struct error *err);
	/* An image of e->size bytes, each of which comes by image_take or
	 * image_replace: edited out of what the previous snapshot has under the
	 * same key, of whatever kind.  *begun false where that is not what was
	 * describes (size, mtime and inode number), or cannot be built upon:
	 * the entry is then to be put in another way.  That what was describes
	 * is what the source has as such is for the source to know.  origin as
	 * with image_begin. */
	enum err (*image_again)(struct sink *s, struct bytes key,
		const struct entry *e, const struct entry *was,
		const struct origin *origin, bool *begun, struct error *err);
	/* [off, off + len) reads as that did at old_off; both ascend. */
	enum err (*image_take)(struct sink *s, uint64_t off, uint64_t old_off,
		uint64_t len, struct error *err);
	enum err (*image_replace)(struct sink *s, uint64_t off,
		const void *data, size_t len, struct error *err);
	enum err (*image_punch)(struct sink *s, uint64_t off, uint64_t len,
		struct error *err);
	enum err (*image_end)(struct sink *s, struct error *err);

	/* The content of a small entry of the previous snapshot, appended to
	 * out; *found false where there is none. */
	enum err (*previous)(struct sink *s, struct bytes key, struct buf *out,
		bool *found, struct error *err);

	/* key could not be read: it is noted and the run goes on. */
	void (*problem)(struct sink *s, struct bytes key,
		const struct error *why);
	/* A sentence worth knowing, about something that is no problem. */
	void (*note)(struct sink *s, const char *sentence);
};

struct sink {
	const struct sink_ops *ops;
};

/* ---- following ---- */

enum follow_health {
	FOLLOW_CONNECTING, /* nothing is known yet, or it is away */
	FOLLOW_WAITING, /* it is there and has nothing to start from */
	FOLLOW_HOLE, /* something is missing; it is being fetched */
	FOLLOW_PROTECTED, /* all up to last is safe on this machine's disk */
	FOLLOW_OTHER, /* another system than before answers */
	FOLLOW_WENT_BACK /* the same system, earlier than it was */
};

struct follow_state {
	enum follow_health health;
	char name[256]; /* of the source, as describe has it */
	char why[256]; /* one sentence, where it is not protected */
	uint64_t first, last; /* numbers of the changes that are safe */
	uint64_t sealed; /* up to here they are in the repository, too */
	struct when changed; /* when last was made, by the source's clock */
	struct when heard; /* when the source was heard of last */
	struct when saved; /* when all up to last was safe */
	uint64_t bytes_waiting; /* to be sealed */
	uint64_t connections; /* made, since it is followed */
	char dir[512]; /* where on this machine what is safe lies */
};

/* What a driver that follows tells, and asks for.  seal is called by the thread
 * that called follow; tell by any one, also while something is sealed. */
struct follow {
	void *arg;
	unsigned seal_sec; /* a restore point at least so often, */
	uint64_t seal_bytes; /* and after so many bytes */
	/* Make a restore point now: this comes back by capture. */
	enum err (*seal)(void *arg, struct error *err);
	/* The state has changed, or a second is over. */
	void (*tell)(void *arg, const struct follow_state *state);
};

/* ---- the driver ---- */

struct source_caps {
	bool change_map; /* capture edits the previous tree */
	bool follow;
	bool restore_in_place;
	bool drill;
};

struct source_ops {
	const char *scheme; /* "zfs" in zfs:tank/vm-12 */
	const char *summary; /* one line */
	const struct option_spec *options; /* ends with a NULL name */
	struct source_caps caps;

	/* Required.  conf's settings have been checked by settings_check. */
	enum err (*open)(struct source **out, const struct source_conf *conf,
		struct error *err);
	void (*close)(struct source *src);
	/* The names of what is protected, as the snapshot lists them
	 * ("files:/etc"); added to out. */
	enum err (*describe)(struct source *src,
		enum err (
			*name)(void *arg, const char *name, struct error *err),
		void *arg, struct error *err);
	enum err (*capture)(struct source *src, struct sink *sink,
		struct error *err);

	/* Optional; both or neither. */
	enum err (*freeze)(struct source *src, const struct source_run *run,
		struct error *err);
	enum err (*thaw)(struct source *src, bool committed, struct error *err);

	/*
	 * Optional, with caps.follow: take changes to safety as they happen,
	 * until *stop is set, and have them sealed by f->seal, which comes to
	 * capture.  A source that is away is waited for, for ever; what ends
	 * it is what cannot get better by itself.
	 */
	enum err (*follow)(struct source *src, const struct follow *f,
		const _Atomic bool *stop, struct error *err);
};

struct source {
	const struct source_ops *ops;
	bool once; /* what it captures cannot be captured again */
};

/* All drivers, ending with NULL. */
extern const struct source_ops *const source_drivers[];

/* NULL for an unknown scheme. */
const struct source_ops *source_driver(const char *scheme);

/*
 * Split "SCHEME:REST"; a text without a scheme (or with a slash before the
 * first colon) is files: with the whole text as rest.  ERR_USAGE for an
 * unknown scheme.
 */
enum err source_parse(const char *text, const struct source_ops **ops,
	const char **rest, struct error *err) MUST_CHECK;

#endif /* SOURCE_SOURCE_H */
