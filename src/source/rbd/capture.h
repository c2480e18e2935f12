/* SPDX-License-Identifier: Apache-2.0 */
/* capture: every entry of a run, in the order of their keys. */
#ifndef SOURCE_RBD_CAPTURE_H
#define SOURCE_RBD_CAPTURE_H

#include "base/compiler.h"
#include "base/err.h"
#include "source/rbd/state.h"

enum err capture_all(struct rbd *r, struct sink *sink,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_CAPTURE_H */
