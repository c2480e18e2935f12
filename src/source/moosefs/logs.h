/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: files of change lines, merged by id.
 *
 *   logs_new -> logs_add, once a file -> logs_each -> logs_free
 *
 * What mfsmaster and mfsmetalogger leave of an hour is there up to four times,
 * each perhaps with holes or with a piece of a line in the middle, and the
 * numbers in their names tell nothing.  So each file is read twice: logs_add
 * finds its runs, which are lines whose ids rise, and logs_each goes through
 * all runs side by side.  Where two have the same id they have the same text,
 * whatever the distance, or these are two histories.
 *
 * Memory does not depend on the number of lines: a run takes some 60 bytes, of
 * which there are at most LOGS_RUNS_MAX, and those that have one and the same
 * id a buffer of a line's length, of which there are LOGS_BESIDE_MAX.  What is
 * beyond that is refused.  Time is that of reading all twice.
 *
 * One thread.
 */
#ifndef SOURCE_MOOSEFS_LOGS_H
#define SOURCE_MOOSEFS_LOGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { LOGS_RUNS_MAX = 1 << 18, LOGS_BESIDE_MAX = 128 };

struct logs_conf {
	uint64_t from; /* lines before it are not looked at */
	/* What is left out: a torn line, something that is no line. */
	void (*note)(void *arg, const char *sentence);
	void *arg;
};

struct logs;

enum err logs_new(struct logs **out, const struct logs_conf *conf,
	struct error *err) MUST_CHECK;
void logs_free(struct logs *l); /* NULL is allowed */

/* fd and path are borrowed until logs_free; lines that come to the file from
 * now on do not count. */
enum err logs_add(struct logs *l, int fd, const char *path,
	struct error *err) MUST_CHECK;

/*
 * Each change from conf.from on once, ascending, as a line without its LF;
 * there may be holes.  Any result of fn but ERR_OK ends it.  ERR_CORRUPT: two
 * histories, and which files have them.
 */
typedef enum err logs_fn(void *arg, uint64_t id, const char *line, size_t len,
	struct error *err);
enum err logs_each(struct logs *l, logs_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_LOGS_H */
