/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_links: entries that are further names of an earlier one.
 *
 * Where the earlier one is restored too, they are linked to it, when all files
 * are made (PASS_LINKS).  Where it is not (a sub-path, a rule), the first name
 * that is restored gets the content, and the others are linked to that; which
 * one that was is kept in a mapped temporary file (engine/links.h), because
 * there may be more of them than memory should hold.
 */
#ifndef ENGINE_RESTORE_LINKS_H
#define ENGINE_RESTORE_LINKS_H

#include "engine/restore_dirs.h"

struct restore_links;

enum err restore_links_new(struct restore_links **out, struct restoring *r,
	struct error *err) MUST_CHECK;
void restore_links_free(struct restore_links *l);

/*
 * The restored name (a key, valid until the next call) that key is to be
 * linked to, where the snapshot links it to first and in_scope says whether
 * first is restored; data NULL: key gets the content itself.
 */
enum err restore_links_target(struct restore_links *l, struct bytes key,
	struct bytes first, bool in_scope, struct bytes *to,
	struct error *err) MUST_CHECK;

/* Link name in dir, which is e, to the key to. */
enum err restore_links_make(struct restoring *r, struct rdir *dir,
	const char *name, struct bytes to, const struct entry *e,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_RESTORE_LINKS_H */
