/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_log: the change log of a MooseFS master, line by line.
 *
 *   line := id ": " seconds "|" OP "(" args ")" [ ":" results ] LF
 *
 * Ids rise by one from line to line for as long as the file system lives,
 * whatever the operation.  Lines are hostile: at most MFS_LINE_MAX bytes of
 * printable ASCII.  Operations that are not known are fine; later masters add
 * some.  Source: changelogs of mfsmaster 2.0.91, 3.0.117 and 4.59.2.
 */
#ifndef FORMAT_MFS_LOG_H
#define FORMAT_MFS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

enum { MFS_LINE_MAX = 200000, MFS_ARGS_MAX = 64 };

/* Borrows from the line. */
struct mfs_text {
	const char *p;
	size_t len;
};

struct mfs_change {
	uint64_t id;
	uint64_t seconds; /* UTC; does not always rise */
	struct mfs_text op;
	struct mfs_text args[MFS_ARGS_MAX]; /* still escaped */
	size_t n_args; /* of all; those beyond MFS_ARGS_MAX are left out */
	struct mfs_text results[MFS_ARGS_MAX];
	size_t n_results;
};

/* A line without its LF.  ERR_CORRUPT with what is wrong and where. */
enum err mfs_change_parse(struct mfs_change *out, const char *line, size_t len,
	struct error *err) MUST_CHECK;

/* Only the id and the seconds, with the grammar checked. */
enum err mfs_change_check(uint64_t *id, uint64_t *seconds, const char *line,
	size_t len, struct error *err) MUST_CHECK;

/* An argument that is a number; *ok false where it is not. */
uint64_t mfs_arg_number(const struct mfs_text *t, bool *ok);
/* Append a name, with %XX undone.  ERR_CORRUPT. */
enum err mfs_arg_name(const struct mfs_text *t, struct buf *out,
	struct error *err) MUST_CHECK;

/*
 * Lines out of bytes that come in any parts.  What follows the last LF is
 * torn; feed goes on with it, and mfs_lines_torn tells its length at the end.
 */
struct mfs_lines {
	struct buf rest; /* of a line that is not whole yet */
	uint64_t line; /* lines so far, for messages */
	uint64_t whole; /* bytes up to and with the last LF */
};

void mfs_lines_init(struct mfs_lines *l);
void mfs_lines_fini(struct mfs_lines *l);
/* fn gets each line without its LF; any result but ERR_OK ends it. */
typedef enum err mfs_line_fn(void *arg, const char *line, size_t len,
	struct error *err);
enum err mfs_lines_feed(struct mfs_lines *l, const void *data, size_t len,
	mfs_line_fn *fn, void *arg, struct error *err) MUST_CHECK;
size_t mfs_lines_torn(const struct mfs_lines *l);

#endif /* FORMAT_MFS_LOG_H */
