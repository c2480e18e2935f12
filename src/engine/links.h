/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links: which inode was met first under which key, for files with several
 * names.
 *
 * It lives in an unlinked temporary file that is mapped: what the run does
 * not need at the moment the kernel may write out, so that ten million hard
 * links cost disk and not memory.
 */
#ifndef ENGINE_LINKS_H
#define ENGINE_LINKS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"

struct links;

enum err links_new(struct links **out, struct error *err) MUST_CHECK;
void links_free(struct links *l);

/*
 * The key under which (dev, ino) was met before; data NULL where it was not,
 * and then key is remembered.  *first is valid until the next call.
 */
enum err links_meet(struct links *l, uint64_t dev, uint64_t ino,
	struct bytes key, struct bytes *first, struct error *err) MUST_CHECK;

#endif /* ENGINE_LINKS_H */
