/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: the reader (source/source.h) of one regular file: a directory, kept
 * alive, and a name in it.  Thousands may wait; only an open one has a
 * descriptor.  One thread at a time.
 */
#ifndef SOURCE_FILES_FILE_H
#define SOURCE_FILES_FILE_H

#include "base/compiler.h"
#include "base/err.h"
#include "source/files/dirs.h"
#include "source/files/names.h"
#include "source/files/stamp.h"
#include "source/source.h"

/* names must outlive it.  s says which file is meant: another one that has
 * taken its name is ERR_NOTFOUND at open. */
enum err file_new(struct reader **out, struct dir *dir, const char *name,
	size_t len, const struct stamp *s, struct names *names,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_FILES_FILE_H */
