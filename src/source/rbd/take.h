/* SPDX-License-Identifier: Apache-2.0 */
/* take: one image, from the cluster to the sink. */
#ifndef SOURCE_RBD_TAKE_H
#define SOURCE_RBD_TAKE_H

#include "base/compiler.h"
#include "base/err.h"
#include "source/rbd/state.h"

/*
 * Offer and edit the image of p.  p->record is then its record, and p->own its
 * bitmap of own objects where that is kept: bit i % 8 (1 << i % 8) of byte i /
 * 8 is set where object i, the bytes [i << order, (i + 1) << order), is the
 * clone's own.
 */
enum err take_image(struct rbd *r, struct pick *p, struct sink *sink,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_TAKE_H */
