/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: where objects live (a directory, memory, later S3, SFTP, RADOS).
 *
 * What every store promises, and tests/conformance checks for each:
 *
 *   atomic       get, size and list see an object whole or not at all
 *   durable      a put that returned ERR_OK survives the loss of power, and
 *                so does the object that made a put return ERR_EXISTS
 *   readable     get, size and list see an object as soon as put returned
 *   exclusive    put of an existing name fails with ERR_EXISTS and changes
 *                nothing; of many puts of one name at once exactly one wins
 *   exact        get returns len bytes or fails; an object that ends earlier
 *                is ERR_CORRUPT
 *   honest       ERR_AGAIN only where the same call may yet succeed
 *   dated        time is that of the put by the store's own clock, and stays
 *
 * A name is 1 to 8 components joined by '/', each 1 to 64 characters of
 * [a-z0-9._-] that do not begin with a dot.  A name is never also a prefix
 * ("a" and "a/b" do not both exist).
 *
 * One handle may be used by any number of threads.  Callers use the store_*
 * functions below; only store.c and the wrappers follow ops.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"

enum { STORE_NAME_MAX = 255 };

struct store;

/* Called once per object, in any order, never for two at a time.  Any result
 * but ERR_OK ends the listing with it. */
typedef enum err store_list_fn(void *arg, const char *name, uint64_t size,
	struct error *err);

struct store_ops {
	/* "file" in file:///srv/backup; NULL for wrappers and mem */
	const char *scheme;

	/* All required.  create: make the place if it does not exist yet. */
	enum err (*open)(struct store **out, const char *rest, bool create,
		struct error *err);
	void (*close)(struct store *st);
	enum err (*put)(struct store *st, const char *name, const void *data,
		size_t len, struct error *err);
	enum err (*get)(struct store *st, const char *name, uint64_t off,
		size_t len, struct buf *out, struct error *err);
	enum err (*size)(struct store *st, const char *name, uint64_t *size,
		struct error *err);
	enum err (*time)(struct store *st, const char *name, struct when *out,
		struct error *err);
	enum err (*list)(struct store *st, const char *prefix,
		store_list_fn *fn, void *arg, struct error *err);
	enum err (*del)(struct store *st, const char *name, struct error *err);
};

/* The part every store shares; each implementation embeds it first. */
struct store {
	const struct store_ops *ops;
	_Atomic uint64_t n_put, n_get, bytes_put, bytes_got;
};

/* Whether name follows the grammar above. */
bool store_name_ok(const char *name) MUST_CHECK;

/*
 * Open the store that url names: "file:///PATH", or a plain path.  ERR_USAGE
 * for an unknown scheme; ERR_NOTFOUND where the place is not there and create
 * is false.  The caller owns *out and ends it with store_close.
 */
enum err store_open(struct store **out, const char *url, bool create,
	struct error *err) MUST_CHECK;

/* Close st and free it.  NULL is allowed and does nothing. */
void store_close(struct store *st);

/* Create name with the bytes given (len may be 0); ERR_EXISTS, ERR_NOSPACE. */
enum err store_put(struct store *st, const char *name, const void *data,
	size_t len, struct error *err) MUST_CHECK;

/* Append the bytes [off, off + len) of name to out.  ERR_NOTFOUND. */
enum err store_get(struct store *st, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err) MUST_CHECK;

/* Append the whole object to out; ERR_CORRUPT where it has more than max. */
enum err store_get_all(struct store *st, const char *name, size_t max,
	struct buf *out, struct error *err) MUST_CHECK;

enum err store_size(struct store *st, const char *name, uint64_t *size,
	struct error *err) MUST_CHECK;

/*
 * When name was put, as the store saw it: no client has a say in it.  Somebody
 * who copies the store's files by other means than puts may lose these times.
 * ERR_NOTFOUND.
 */
enum err store_time(struct store *st, const char *name, struct when *out,
	struct error *err) MUST_CHECK;

/* Every object below prefix ("packs/3f"; "" is everything).  A prefix without
 * objects is an empty listing, not an error. */
enum err store_list(struct store *st, const char *prefix, store_list_fn *fn,
	void *arg, struct error *err) MUST_CHECK;

/* Delete name; ERR_NOTFOUND where it is not there. */
enum err store_del(struct store *st, const char *name,
	struct error *err) MUST_CHECK;

#endif /* STORE_STORE_H */
