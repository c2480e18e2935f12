/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: one generation of a master's metadata on this machine's disk.
 *
 *   journal_open -> journal_begin (a base) -> journal_add, journal_sync ...
 *   journal_pin -> read what it tells -> journal_unpin       (another thread)
 *   -> journal_close
 *
 * Its directory holds what `mfsmaster -a restore` takes as it stands:
 *
 *   metadata.VERSION.mfs    images; the newest one is the base
 *   changelog.FIRST.mfs     whole lines from FIRST on, as mfsmaster has them
 *   sealed                  up to where they are in a repository, in decimal
 *
 * A segment is closed when it is pinned, and does not change from then on.
 * What is sealed and not needed by the base of that snapshot is removed when
 * it is unpinned, so the image of the last snapshot is there until one with a
 * newer image is committed.
 *
 * One thread may add while another pins; a lock inside is held for as long as
 * a write and an fsync take, never while a segment is read.
 */
#ifndef SOURCE_MOOSEFS_JOURNAL_H
#define SOURCE_MOOSEFS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "format/mfs_image.h"
#include "format/mfs_log.h"

struct journal;

struct journal_file {
	uint64_t first, last; /* of an image both are its version */
	uint64_t size;
	struct when time; /* of its last change, as the file system has it */
};

/* What is durable, and stays while it is pinned. */
struct journal_view {
	bool has_base;
	struct journal_file base;
	uint64_t id; /* of the file system; 0: not known */
	struct journal_file *v; /* segments base.first needs, ascending */
	size_t n;
	/* All images that are there, ascending; they lie behind v.  Among them
	 * is the one that was sealed last. */
	const struct journal_file *images;
	size_t n_images;
	uint64_t first, last; /* changes: base.first .. last; last is
			       * first - 1 where there are none */
	uint64_t seconds; /* of the last one */
};

struct journal_figures {
	bool has_base;
	uint64_t base; /* its version */
	uint64_t next; /* the id that is expected */
	uint64_t durable; /* all below it is */
	uint64_t sealed; /* likewise, in a repository */
	bool base_sealed;
	uint64_t seconds; /* of the last durable line, 0: none */
	struct when saved; /* when it was */
	uint64_t bytes_waiting; /* not sealed */
};

/*
 * Opens or makes dir.  A torn tail is cut off; what does not continue the
 * chain is put aside as hole.FIRST.mfs, and note says so.
 */
struct journal_conf {
	const char *dir;
	void (*note)(void *arg, const char *sentence);
	void *arg;
};
enum err journal_open(struct journal **out, const struct journal_conf *conf,
	struct error *err) MUST_CHECK;
void journal_close(struct journal *j); /* NULL is allowed */

/* The chain begins, or after a hole begins anew, at this version, which an
 * image that follows has. */
enum err journal_begin(struct journal *j, uint64_t version,
	struct error *err) MUST_CHECK;
bool journal_has_begun(struct journal *j);

/*
 * A line.  *link tells what it is to the chain; only MFS_LINK_NEXT is taken.
 * ERR_CORRUPT for what is no line.  After any other failure nothing that was
 * not durable counts: journal_recover comes next.
 */
enum err journal_add(struct journal *j, uint64_t id, const char *text,
	size_t len, enum mfs_link *link, struct error *err) MUST_CHECK;

/* Make durable what was added. */
enum err journal_sync(struct journal *j, struct error *err) MUST_CHECK;
/* For how long (ms) that can wait yet; -1: there is nothing. */
int journal_due(struct journal *j);
/* Back to what is durable. */
enum err journal_recover(struct journal *j, struct error *err) MUST_CHECK;

/* A checked image of the file system becomes the base: moved here from path.
 * Its version is within the chain. */
enum err journal_adopt(struct journal *j, const char *path,
	const struct mfs_header *h, struct error *err) MUST_CHECK;
/* The same for one that stays where it lies: what is open as fd is read,
 * whatever becomes of its name.  For as long as j is open; fd is borrowed. */
enum err journal_adopt_open(struct journal *j, int fd,
	const struct mfs_header *h, struct error *err) MUST_CHECK;
/* The same for a file system that is followed from its first change on. */
enum err journal_adopt_new(struct journal *j, struct error *err) MUST_CHECK;

void journal_figures(struct journal *j, struct journal_figures *out);

/* Close the segment at hand and tell what there is.  One pin at a time. */
enum err journal_pin(struct journal *j, struct journal_view *out,
	struct error *err) MUST_CHECK;
/* Ends it and frees the view; sealed: it is in a repository. */
enum err journal_unpin(struct journal *j, struct journal_view *v, bool sealed,
	struct error *err) MUST_CHECK;
/* Views to come do not show the image of this version: what the repository has
 * of it is of no use.  Until the journal is closed. */
void journal_hide_image(struct journal *j, uint64_t version);

/* Read-only descriptors of a pinned file; -1 with *err. */
enum err journal_open_image(const struct journal *j,
	const struct journal_file *f, int *fd, struct error *err) MUST_CHECK;
enum err journal_open_segment(const struct journal *j,
	const struct journal_file *f, int *fd, struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_JOURNAL_H */
