/* SPDX-License-Identifier: Apache-2.0 */
/* stamp: what a directory tells about one of its entries, compactly. */
#ifndef SOURCE_FILES_STAMP_H
#define SOURCE_FILES_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "model/entry.h"
#include "source/files/names.h"

struct stamp {
	uint64_t size, ino, dev, blocks; /* blocks of 512 bytes */
	int64_t mtime, ctime;
	uint32_t mtime_nsec, ctime_nsec;
	uint32_t mode; /* with the type */
	uint32_t uid, gid, nlink;
	uint32_t major, minor;
	int errnum; /* 0, or why there is nothing else */
	bool left_out; /* by a rule, or because it is gone */
};

/* statx(2) of name in the directory at, links not followed; of at itself
 * where name is "".  False with errnum set. */
bool stamp_get(struct stamp *s, int at, const char *name);

/* Everything but strings; those come from names, where it is not NULL. */
void stamp_fill(const struct stamp *s, struct entry *e, struct names *names);

bool stamp_is_dir(const struct stamp *s);
bool stamp_is_file(const struct stamp *s);

#endif /* SOURCE_FILES_STAMP_H */
