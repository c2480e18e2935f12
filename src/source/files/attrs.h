/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attrs: what statx does not tell: extended attributes (ACLs and capabilities
 * are among them), inode flags, and where a symbolic link leads.
 */
#ifndef SOURCE_FILES_ATTRS_H
#define SOURCE_FILES_ATTRS_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"

enum { ATTRS_MAX = 32 << 20, TARGET_MAX = 65535 };

/*
 * Of an open file: e->flags, and e->xattrs encoded in block, which is cleared
 * before and has the maximum ATTRS_MAX.  Where attributes cannot be read, e
 * has none.
 */
enum err attrs_of_fd(struct entry *e, struct buf *block, int fd,
	struct error *err) MUST_CHECK;

/* Of name in the directory at, which is not opened unless it is a directory
 * itself (e->type), and not followed. */
enum err attrs_of_name(struct entry *e, struct buf *block, int at,
	const char *name, struct error *err) MUST_CHECK;

/* Where the link leads: bytes and a NUL not counted in len; out is cleared
 * before and has the maximum TARGET_MAX. */
enum err attrs_target(struct buf *out, int at, const char *name,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_FILES_ATTRS_H */
