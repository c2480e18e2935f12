/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph: the images of a Ceph cluster.
 *
 *   ceph_connect -> ceph_pool_open -> ceph_image_open
 *     -> ceph_diff, ceph_snap_*, operations -> ceph_image_close
 *   -> ceph_pool_close -> ceph_disconnect
 *
 * librados and librbd are loaded when a cluster is first connected to, not
 * when the program starts: a machine without Ceph runs the same program, and
 * ceph_connect says what lacks (ERR_NOTFOUND).  A program that was built
 * without their headers says so (ERR_VERSION).
 *
 * Nothing here waits for ever: connecting and each operation end after
 * timeout_sec with ERR_AGAIN where the cluster does not answer; where librbd
 * itself would wait without end, after some four times of that, and then the
 * connection is good for nothing but to be closed.  Only ceph_diff and
 * ceph_each_meta need an image that was opened without write for that.
 * Other errors:
 * ERR_NOTFOUND, ERR_EXISTS, ERR_DENIED, ERR_NOSPACE, ERR_IO; messages name the
 * pool and image as POOL/IMAGE[@SNAP].
 *
 * Handles may be used by any thread; operations on one image run in parallel.
 * An image that was opened without write is known as it was then: it hears of
 * no later snapshot, size or metadata.
 * Names that come from the cluster are hostile: they are bytes without a NUL,
 * nothing else is known of them.  In messages they cannot move a terminal.
 *
 * Nothing is written to standard error, to Ceph's log or beside its sockets.
 *
 * A connection costs some 24 MiB of memory (5 of it not shared), an open image
 * 2 more, and reading 1 GiB with 16 operations of 1 MiB at a time 45 beside
 * their buffers; a program that does not connect pays nothing, neither memory
 * nor time.
 *
 * Source: librbd.h and librados.h of Ceph 16.2.
 */
#ifndef SYSTEM_CEPH_H
#define SYSTEM_CEPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"

struct ceph;
struct ceph_pool;
struct ceph_image;

struct ceph_conf {
	const char *conf; /* a ceph.conf; NULL: where librados looks */
	const char *user; /* "backup" of client.backup; NULL: admin */
	const char *keyring; /* NULL: as conf says */
	unsigned timeout_sec; /* 0: CEPH_TIMEOUT */
};

enum { CEPH_TIMEOUT = 30 };

enum err ceph_connect(struct ceph **out, const struct ceph_conf *conf,
	struct error *err) MUST_CHECK;
void ceph_disconnect(struct ceph *c);

/* The cluster's fsid as text. */
const char *ceph_fsid(const struct ceph *c);

/* ns NULL or "": the pool's own namespace. */
enum err ceph_pool_open(struct ceph_pool **out, struct ceph *c,
	const char *pool, const char *ns, struct error *err) MUST_CHECK;
void ceph_pool_close(struct ceph_pool *p);
const char *ceph_pool_name(const struct ceph_pool *p);
const char *ceph_pool_ns(const struct ceph_pool *p); /* "" for none */

/* Any result of fn but ERR_OK ends the listing with it.  fn may call back. */
typedef enum err ceph_name_fn(void *arg, const char *name, const char *id,
	struct error *err);

/* Every image of the pool that is not in its trash; the images of one of its
 * groups, which may be in other pools: their names are POOL[/NS]/IMAGE, and id
 * is NULL.  In no order. */
enum err ceph_each_image(struct ceph_pool *p, ceph_name_fn *fn, void *arg,
	struct error *err) MUST_CHECK;
enum err ceph_each_group_image(struct ceph_pool *p, const char *group,
	ceph_name_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* A snapshot of all images of a group at one instant, and its end. */
enum err ceph_group_snap_create(struct ceph_pool *p, const char *group,
	const char *snap, struct error *err) MUST_CHECK;
enum err ceph_group_snap_remove(struct ceph_pool *p, const char *group,
	const char *snap, struct error *err) MUST_CHECK;

/* ---- an image ---- */

struct ceph_open {
	const char *snap; /* at this snapshot; NULL: the head */
	uint64_t snap_id; /* or by id, where snap is NULL; 0: the head */
	bool write; /* else no lock is taken and no watcher registered */
};

enum err ceph_image_open(struct ceph_image **out, struct ceph_pool *p,
	const char *name, const struct ceph_open *how,
	struct error *err) MUST_CHECK;
void ceph_image_close(struct ceph_image *img);

enum { CEPH_ID_MAX = 64, CEPH_NAME_MAX = 1024 };

enum ceph_feature { /* RBD_FEATURE_* */
	CEPH_LAYERING = 1 << 0,
	CEPH_STRIPING = 1 << 1,
	CEPH_EXCLUSIVE_LOCK = 1 << 2,
	CEPH_OBJECT_MAP = 1 << 3,
	CEPH_FAST_DIFF = 1 << 4,
	CEPH_DEEP_FLATTEN = 1 << 5,
	CEPH_JOURNALING = 1 << 6,
	CEPH_DATA_POOL = 1 << 7
};

struct ceph_parent {
	char pool[CEPH_NAME_MAX], ns[CEPH_NAME_MAX], image[CEPH_NAME_MAX];
	char image_id[CEPH_ID_MAX], snap[CEPH_NAME_MAX];
	uint64_t snap_id;
	uint64_t overlap; /* bytes of the image that it reaches into */
};

struct ceph_info {
	char id[CEPH_ID_MAX];
	uint64_t size; /* of what was opened */
	unsigned order; /* an object has 1 << order bytes */
	uint64_t features;
	bool fast_diff; /* it has it, and it is valid */
	uint64_t stripe_unit, stripe_count;
	char data_pool[CEPH_NAME_MAX]; /* "" without one */
	struct when created;
	bool has_parent;
	struct ceph_parent parent;
};

enum err ceph_image_info(struct ceph_image *img, struct ceph_info *out,
	struct error *err) MUST_CHECK;

typedef enum err ceph_meta_fn(void *arg, const char *key, const char *value,
	struct error *err);
enum err ceph_each_meta(struct ceph_image *img, ceph_meta_fn *fn, void *arg,
	struct error *err) MUST_CHECK;
/* *value is allocated, for the caller to free; ERR_NOTFOUND. */
enum err ceph_meta_get(struct ceph_image *img, const char *key, char **value,
	struct error *err) MUST_CHECK;
enum err ceph_meta_set(struct ceph_image *img, const char *key,
	const char *value, struct error *err) MUST_CHECK;
enum err ceph_meta_remove(struct ceph_image *img, const char *key,
	struct error *err) MUST_CHECK;

struct ceph_snap {
	uint64_t id, size;
	const char *name; /* borrowed */
	struct when created;
	bool is_protected;
	bool user; /* not a group's, a mirror's or one in the trash */
};

/* Ascending by id, which is the order in which they were made. */
typedef enum err ceph_snap_fn(void *arg, const struct ceph_snap *snap,
	struct error *err);
enum err ceph_each_snap(struct ceph_image *img, ceph_snap_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* Watchers that registered are asked to quiesce, unless told not to; what they
 * answer is ERR_IO. */
enum err ceph_snap_create(struct ceph_image *img, const char *name,
	bool quiesce, struct error *err) MUST_CHECK;
enum err ceph_snap_remove(struct ceph_image *img, const char *name,
	struct error *err) MUST_CHECK;

/* How many clients have the image open for writing, we not counted. */
enum err ceph_watchers(struct ceph_image *img, unsigned *n,
	struct error *err) MUST_CHECK;

/* While it is held, what another client writes fails (EROFS): a guest's disk
 * would break.  It is for images that nobody else should write to, as those
 * that are restored.  ERR_DENIED where another client holds it likewise.
 * From then on, also where it failed, this handle writes only while it has the
 * lock, which ends when it is closed. */
enum err ceph_lock(struct ceph_image *img, struct error *err) MUST_CHECK;

/* ---- differences ---- */

/*
 * CEPH_DIFF_WHOLE trusts the object maps: where the image was rolled back
 * between the two to a snapshot older than from, those of Ceph 16 may have
 * lost what differs.  (Where it was shrunk and grew again they have, too; that
 * is taken care of.)
 *
 * Without CEPH_DIFF_PARENT, and from NULL, a clone's own zeroes that hide its
 * parent's data are told only by valid maps, with CEPH_DIFF_WHOLE.
 */
enum {
	CEPH_DIFF_WHOLE = 1, /* whole objects, from the object map alone */
	CEPH_DIFF_PARENT = 2 /* with what is seen through from the parent */
};

/* exists false: [off, off + len) reads as zeroes now.  Must not use the
 * image. */
typedef enum err ceph_diff_fn(void *arg, uint64_t off, uint64_t len,
	bool exists, struct error *err);

/*
 * What of [off, off + len) may differ between the snapshot from (NULL: an empty
 * image) and what is opened.  Extents lie within that range and ascend; fn is
 * called in the caller's thread.  ERR_NOTFOUND where from is gone.
 */
enum err ceph_diff(struct ceph_image *img, const char *from, uint64_t off,
	uint64_t len, unsigned flags, ceph_diff_fn *fn, void *arg,
	struct error *err) MUST_CHECK;

/* ---- reading and writing ---- */

/*
 * An operation on its way.  Begun by one of the calls below, it must be ended
 * by ceph_op_wait, also where its result is of no interest; buffers stay the
 * caller's and must live until then.  If beginning fails, there is no
 * operation.
 */
struct ceph_op {
	void *completion;
	struct ceph_image *img;
	enum { CEPH_READ, CEPH_WRITE, CEPH_ZERO, CEPH_FLUSH } what;
	uint64_t off;
	size_t len;
	void *data, *own; /* of a read */
};

enum err ceph_read(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	void *data, size_t len, struct error *err) MUST_CHECK;
enum err ceph_write(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	const void *data, size_t len, struct error *err) MUST_CHECK;
/* The range reads as zeroes and takes no room where that can be. */
enum err ceph_zero(struct ceph_op *op, struct ceph_image *img, uint64_t off,
	uint64_t len, struct error *err) MUST_CHECK;
enum err ceph_flush(struct ceph_op *op, struct ceph_image *img,
	struct error *err) MUST_CHECK;

/* Less than all bytes is ERR_IO. */
enum err ceph_op_wait(struct ceph_op *op, struct error *err) MUST_CHECK;

/* ---- making ---- */

struct ceph_create {
	uint64_t size;
	unsigned order; /* 0: the pool's default */
	uint64_t features; /* as far as has_features */
	bool has_features;
	uint64_t stripe_unit, stripe_count; /* 0: the default */
	const char *data_pool; /* NULL: none */
};

enum err ceph_image_create(struct ceph_pool *p, const char *name,
	const struct ceph_create *conf, struct error *err) MUST_CHECK;
/* A copy-on-write child of a snapshot, which is protected or of clone
 * format 2. */
enum err ceph_image_clone(struct ceph_pool *parent_pool, const char *parent,
	const char *snap, struct ceph_pool *p, const char *name,
	const struct ceph_create *conf, struct error *err) MUST_CHECK;
enum err ceph_image_resize(struct ceph_image *img, uint64_t size,
	struct error *err) MUST_CHECK;

#endif /* SYSTEM_CEPH_H */
