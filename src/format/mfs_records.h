/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_records: what the sections NODE and EDGE of an image hold, as it comes.
 *
 *   mfs_records_init -> mfs_records_section, mfs_records_data ...
 *     -> mfs_records_end -> mfs_records_fini
 *
 * The two in the middle are what a struct mfs_image_fn wants, with the struct
 * mfs_records as its arg; other sections are passed over.  NODE comes before
 * EDGE.  Held in memory is at most one record, without its chunks.
 *
 * Sections newer than NODE 1.4 and EDGE 1.1 are ERR_VERSION.  What contradicts
 * itself is ERR_CORRUPT with the byte of the section.
 *
 * Source: images of mfsmaster 3.0.117 beside what mfsmetadump tells of them;
 * the older versions after mfsmetadump.
 */
#ifndef FORMAT_MFS_RECORDS_H
#define FORMAT_MFS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "format/mfs_image.h"

enum {
	MFS_ROOT = 1, /* the inode of the root */
	MFS_NAME_MAX = 255 /* of a name; what was deleted has a path instead */
};

enum mfs_kind { /* as in the image; before NODE 1.3 letters stood for them */
	MFS_FILE = 1,
	MFS_DIR,
	MFS_SYMLINK,
	MFS_FIFO,
	MFS_BLOCKDEV,
	MFS_CHARDEV,
	MFS_SOCKET,
	MFS_TRASH, /* a file without a name, until its time is over */
	MFS_SUSTAINED /* purged, and still open somewhere */
};

struct mfs_node {
	uint32_t inode;
	enum mfs_kind kind;
	uint16_t mode; /* rights only */
	uint32_t uid, gid;
	uint32_t atime, mtime, ctime; /* seconds, UTC */
	uint64_t trash_sec;
	uint64_t length; /* of files, also deleted ones */
	uint32_t chunks;
	uint32_t device;
};

struct mfs_edge {
	uint32_t parent; /* 0: deleted, and the name is the path it had */
	uint32_t child;
	uint64_t id; /* 0 in EDGE 1.0 */
	struct mfs_name {
		const char *p; /* any bytes, borrowed */
		size_t len; /* > 0 */
	} name;
};

/* Either may be NULL.  Any result but ERR_OK ends it. */
struct mfs_records_fn {
	enum err (
		*node)(void *arg, const struct mfs_node *n, struct error *err);
	enum err (
		*edge)(void *arg, const struct mfs_edge *e, struct error *err);
	void *arg;
};

struct mfs_records {
	const struct mfs_records_fn *fn;
	unsigned step; /* what of the section comes next */
	unsigned minor;
	size_t want; /* bytes of part until then */
	uint64_t skip; /* bytes to pass over before that */
	uint64_t at; /* of the section */
	uint64_t begin; /* of the part at hand, for messages */
	bool has_nodes, has_edges;
	struct mfs_node node;
	struct buf part;
};

void mfs_records_init(struct mfs_records *r, const struct mfs_records_fn *fn);
void mfs_records_fini(struct mfs_records *r);

enum err mfs_records_section(void *r, const struct mfs_section *s,
	struct error *err) MUST_CHECK;
enum err mfs_records_data(void *r, const struct mfs_section *s, uint64_t at,
	const void *data, size_t len, struct error *err) MUST_CHECK;

/* The image is over: both sections have come, whole. */
enum err mfs_records_end(const struct mfs_records *r,
	struct error *err) MUST_CHECK;

#endif /* FORMAT_MFS_RECORDS_H */
