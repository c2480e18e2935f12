/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_out: bytes of a stream of RBD on their way out.  What is small is put
 * together in a buffer; what is large goes straight on.  One thread at a time.
 *
 *   rbd_out_new -> rbd_out_put ... -> rbd_out_flush -> rbd_out_free
 */
#ifndef FORMAT_RBD_OUT_H
#define FORMAT_RBD_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { RBD_OUT_BUF = 64 << 10 };

typedef enum err rbd_out_fn(void *arg, const void *data, size_t len,
	struct error *err);

struct rbd_out;

enum err rbd_out_new(struct rbd_out **out, rbd_out_fn *write, void *arg,
	struct error *err) MUST_CHECK;
void rbd_out_free(struct rbd_out *out);

enum err rbd_out_put(struct rbd_out *out, const void *data, size_t len,
	struct error *err) MUST_CHECK;
enum err rbd_out_flush(struct rbd_out *out, struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_OUT_H */
