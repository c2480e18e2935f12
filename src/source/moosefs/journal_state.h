/* SPDX-License-Identifier: Apache-2.0 */
/* journal_state: what the parts of a journal share; all under the lock. */
#ifndef SOURCE_MOOSEFS_JOURNAL_STATE_H
#define SOURCE_MOOSEFS_JOURNAL_STATE_H

#include <pthread.h>

#include "base/buf.h"
#include "source/moosefs/journal.h"

enum { JOURNAL_NAME_MAX = 48, JOURNAL_MODE = 0640 };

struct journal_set {
	struct journal_file *v; /* ascending by first */
	size_t n, cap;
};

struct journal {
	struct journal_conf conf;
	char *dir;
	int dirfd;
	pthread_mutex_t lock;

	struct mfs_chain chain;
	bool begun;
	struct journal_set images, segments; /* segments: closed ones */
	uint64_t id; /* of the base's file system */

	int lent; /* an image that lies elsewhere; -1: none */
	int fd; /* of the segment at hand; -1: none */
	struct journal_file open; /* it, as far as it is durable */
	uint64_t written; /* bytes of it, durable or not */
	struct buf pending; /* lines that are not written yet */
	uint64_t pending_seconds;
	bool named; /* its name is durable, too */
	bool dirty; /* something is not durable */
	double dirty_since;
	struct error broken; /* what has to be recovered from */

	uint64_t durable, seconds;
	struct when saved;
	uint64_t sealed, sealed_base;
	uint64_t hidden; /* version of an image, 0: none */
};

/* "changelog.58.mfs", "metadata.58.mfs" */
void journal_load_name(char out[JOURNAL_NAME_MAX], const char *kind,
	uint64_t n);

/* Read the directory and all lines from the base on; cuts and puts aside. */
enum err journal_load_all(struct journal *j, struct error *err) MUST_CHECK;

/* What the file `sealed` in a journal's directory says: the number behind the
 * last line, and the version of the image; 0: nothing. */
enum err journal_load_sealed(int dirfd, const char *dir, uint64_t *line,
	uint64_t *image, struct error *err) MUST_CHECK;

enum err journal_load_add(struct journal_set *s, const struct journal_file *f,
	struct error *err) MUST_CHECK;

static inline void
journal_lock(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
}

static inline enum err
journal_unlock(struct journal *j, enum err rc)
{
	(void)pthread_mutex_unlock(&j->lock);
	return rc;
}

static inline const struct journal_file *
journal_base(const struct journal *j)
{
	return j->images.n > 0 ? &j->images.v[j->images.n - 1] : NULL;
}

/* What is at hand is synced and becomes a file that does not change any more.
 */
enum err journal_close_segment(struct journal *j, struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_JOURNAL_STATE_H */
