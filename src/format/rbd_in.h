/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_in: bytes of a stream of RBD, front to back, and where in it they were.
 *
 *   rbd_in_new or rbd_in_open_file -> rbd_in_read, rbd_in_skip ...
 *     -> rbd_in_free
 *
 * Small reads are served from a buffer of RBD_IN_BUF bytes, larger ones go
 * straight to the caller's memory.  One thread at a time.
 */
#ifndef FORMAT_RBD_IN_H
#define FORMAT_RBD_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { RBD_IN_BUF = 64 << 10 };

struct rbd_in;

struct rbd_in_conf {
	/* Up to len bytes; *got < len only at the end. */
	enum err (*read)(void *arg, void *data, size_t len, size_t *got,
		struct error *err);
	/* Go on len bytes further on; *there false where fewer are left.
	 * NULL: what is to be passed over is read. */
	enum err (
		*skip)(void *arg, uint64_t len, bool *there, struct error *err);
	/* NULL, or called once by rbd_in_free. */
	void (*close)(void *arg);
	void *arg;
};

/* Takes what conf tells over, also where it fails. */
enum err rbd_in_new(struct rbd_in **out, const struct rbd_in_conf *conf,
	struct error *err) MUST_CHECK;

/*
 * A file, or "-" for standard input.  seek: where it is a regular file, what is
 * passed over is not read.  stop (may be NULL, is borrowed): once it is set,
 * reading is ERR_CANCELLED.  Errors of the system name the file.
 */
enum err rbd_in_open_file(struct rbd_in **out, const char *path, bool seek,
	const _Atomic bool *stop, struct error *err) MUST_CHECK;

void rbd_in_free(struct rbd_in *in);

/* The offset of the next byte. */
uint64_t rbd_in_at(const struct rbd_in *in);

/* Up to len bytes; *got < len only at the end. */
enum err rbd_in_read(struct rbd_in *in, void *data, size_t len, size_t *got,
	struct error *err) MUST_CHECK;

/* As rbd_in_read, and the next read gives the same bytes again; len is at most
 * RBD_IN_BUF. */
enum err rbd_in_peek(struct rbd_in *in, void *data, size_t len, size_t *got,
	struct error *err) MUST_CHECK;

/* Pass over len bytes; *there false where fewer are left. */
enum err rbd_in_skip(struct rbd_in *in, uint64_t len, bool *there,
	struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_IN_H */
