/* SPDX-License-Identifier: Apache-2.0 */
/* pick: which images an operand means. */
#ifndef SOURCE_RBD_PICK_H
#define SOURCE_RBD_PICK_H

#include "base/compiler.h"
#include "base/err.h"
#include "source/rbd/state.h"

/* Cut POOL[/NS]/NAME.  ERR_USAGE. */
enum err pick_cut(struct place *out, const char *text,
	struct error *err) MUST_CHECK;
void pick_cut_free(struct place *p);

/* The pool, opened once and kept by r. */
enum err pick_pool(struct rbd *r, const struct place *p, struct ceph_pool **out,
	struct error *err) MUST_CHECK;

/*
 * Fill in r's picks from its operands, or from its group.  A name that is not
 * there is found out when it is opened; a pattern that fits no image is
 * ERR_NOTFOUND.  Images in the trash are not there.
 */
enum err pick_all(struct rbd *r, struct error *err) MUST_CHECK;
void pick_none(struct rbd *r);

#endif /* SOURCE_RBD_PICK_H */
