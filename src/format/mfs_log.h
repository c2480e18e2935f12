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

/* A master's text is at most MFS_TEXT_MAX bytes; the id, ": " and so the line
 * come on top. */
enum {
	MFS_TEXT_MAX = 199999,
	MFS_LINE_MAX = MFS_TEXT_MAX + 22,
	MFS_ARGS_MAX = 64
};

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

/* As mfs_change_check, of what follows "id: ", which is what a master sends. */
enum err mfs_change_check_text(uint64_t *seconds, const char *text, size_t len,
	struct error *err) MUST_CHECK;

/* Append "id: text\n", whole or not at all.  The text is one that
 * mfs_change_check_text has passed, and so holds no LF. */
enum err mfs_change_put(struct buf *out, uint64_t id, const char *text,
	size_t len, struct error *err) MUST_CHECK;

/* What follows "id: " in a line that was checked. */
struct mfs_text mfs_change_text(const char *line, size_t len);

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

/*
 * Whether lines follow one another: a state machine without memory of its own
 * or an outside.  It begins at an id (the version of an image, or the one that
 * is expected next) and goes on with each line that is the next one; whatever
 * else a line is, it says so and stays as it was, so that the caller may fetch
 * what lacks and go on.
 *
 * Of the last MFS_CHAIN_WINDOW lines it keeps a digest (64 bits, not keyed:
 * against accidents, not against forgers).
 */
enum { MFS_CHAIN_WINDOW = 1024, MFS_CHAIN_JUMP_MIN = 10000 };

enum mfs_link {
	MFS_LINK_NEXT, /* the chain is longer by this line */
	MFS_LINK_SAME, /* one of the last lines again, word for word */
	MFS_LINK_SURPLUS, /* from before the chain: in the image already.  In a
			   * file nothing special, but a master that sends it
			   * live went back. */
	MFS_LINK_OLD, /* of the chain, too old to be compared; live: as above */
	MFS_LINK_OTHER, /* one of the last ids with another text: this is
			 * another history */
	MFS_LINK_HOLE, /* ids from next to id - 1 are missing: fetch them */
	MFS_LINK_JUMP /* a hole of MFS_CHAIN_JUMP_MIN or more, at which
		       * mfsmaster -a takes the rest of a file for garbage */
};

struct mfs_chain {
	uint64_t from; /* where it began */
	uint64_t next; /* the id that is expected; lines from..next-1 are in */
	uint64_t digests[MFS_CHAIN_WINDOW];
};

void mfs_chain_init(struct mfs_chain *c, uint64_t from);
/* id is at most UINT64_MAX - 1, as the parser has it. */
enum mfs_link mfs_chain_add(struct mfs_chain *c, uint64_t id, const char *text,
	size_t len);
/* "hole", "went back" ...: for messages and metrics. */
const char *mfs_link_name(enum mfs_link link);
/* ERR_CORRUPT that says what is wrong with a line that was not added; ERR_OK
 * for NEXT, SAME and SURPLUS. */
enum err mfs_chain_verdict(const struct mfs_chain *c, enum mfs_link link,
	uint64_t id, struct error *err) MUST_CHECK;

#endif /* FORMAT_MFS_LOG_H */
