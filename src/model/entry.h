/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: one thing in a snapshot, and its bytes in a tree (docs/format.md,
 * section 8).
 *
 * A struct entry borrows its strings: they belong to whoever filled it in, or
 * after entry_decode to the bytes it was decoded from.  It owns only the
 * array of slices, which entry_fini frees.  The key is kept beside it.
 */
#ifndef MODEL_ENTRY_H
#define MODEL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/time.h"

enum { VALUE_MAX = 131072, REFS_MAX = 65536, XATTR_INLINE_MAX = 65536 };

enum entry_type {
	ENTRY_FILE = 1,
	ENTRY_DIR,
	ENTRY_SYMLINK,
	ENTRY_CHR,
	ENTRY_BLK,
	ENTRY_FIFO,
	ENTRY_SOCKET,
	ENTRY_IMAGE,
	ENTRY_STREAM,
	ENTRY_RECORD
};

enum entry_mark {
	MARK_CHANGED = 1, /* while it was read, each time */
	MARK_UNREADABLE = 2,
	MARK_FRESH = 4 /* times too close to now to prove anything later */
};

enum content_kind {
	CONTENT_NONE = 0,
	CONTENT_INLINE = 1,
	CONTENT_SLICES = 2,
	CONTENT_EXTENTS = 3,
	CONTENT_LINK = 4
};

/* Borrowed bytes. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

/* What a tree item refers to. */
struct ref {
	struct id id;
	bool node; /* an extent tree's root; else a data chunk */
};

struct slice {
	uint64_t len;
	bool hole;
	uint32_t off; /* in the chunk */
	struct id chunk;
};

struct slices {
	struct slice *v;
	size_t n, cap;
};

struct content {
	enum content_kind kind;
	struct bytes bytes; /* INLINE: the content; LINK: the other key */
	struct slices slices; /* SLICES; owned */
	struct id root; /* EXTENTS */
};

struct entry {
	enum entry_type type;
	uint32_t mode; /* 07777 */
	uint32_t uid, gid;
	struct when mtime, ctime;
	uint64_t ino;
	uint64_t size;

	struct bytes user, group; /* len 0: not known */
	uint64_t nlink; /* 0 and 1 mean the same */
	uint64_t dev; /* of ino; 0: not kept */
	uint32_t major, minor; /* CHR, BLK */
	struct bytes target; /* SYMLINK */
	struct bytes xattrs; /* as encoded by xattrs_*; len 0: none */
	struct slices xattr_slices; /* where they are too large; owned */
	uint32_t flags; /* FS_IOC_GETFLAGS */
	bool has_flags;
	unsigned marks; /* enum entry_mark */
	struct content content;
};

void entry_init(struct entry *e);
void entry_fini(struct entry *e);

/* One more slice; one that continues the last one lengthens it. */
enum err slices_add(struct slices *s, const struct slice *slice,
	struct error *err) MUST_CHECK;

/* References in the order of an encoded value, without repetition. */
struct refs {
	struct ref *v;
	size_t n, cap;
};

void refs_fini(struct refs *r);

/* Append e's value to val and set refs to what it refers to. */
enum err entry_encode(const struct entry *e, struct buf *val, struct refs *refs,
	struct error *err) MUST_CHECK;

/*
 * Decode a value; e was initialised and loses what it held.  Everything is
 * checked: types, masks, lengths against size, offsets, references.
 * ERR_CORRUPT, or ERR_VERSION for fields this program does not know.
 */
enum err entry_decode(struct entry *e, const uint8_t *val, size_t val_len,
	const struct ref *refs, size_t n_refs, struct error *err) MUST_CHECK;

/* What the change cache compares, read without decoding the rest. */
struct entry_stamp {
	enum entry_type type;
	uint64_t size, ino, nlink;
	struct when mtime, ctime;
	unsigned marks;
};

enum err entry_decode_stamp(struct entry_stamp *s, const uint8_t *val,
	size_t val_len, struct error *err) MUST_CHECK;

/* Whether what stands at the source (now) is what prev holds; never for one
 * with marks. */
bool entry_unchanged(const struct entry *now, const struct entry_stamp *prev);

/* "file", "dir", "symlink", ...: for JSON and messages. */
const char *entry_type_name(enum entry_type t);

/*
 * Extended attributes as one block of bytes.  xattrs_encode takes them in
 * ascending order of names.
 */
struct xattr_iter {
	const uint8_t *p, *end;
	uint64_t left;
};

enum err xattrs_encode(struct buf *out, const struct bytes *names,
	const struct bytes *values, size_t n, struct error *err) MUST_CHECK;
/* ERR_CORRUPT unless the block is well-formed; then the iteration cannot
 * fail. */
enum err xattrs_open(struct xattr_iter *it, struct bytes block,
	struct error *err) MUST_CHECK;
bool xattrs_next(struct xattr_iter *it, struct bytes *name,
	struct bytes *value);

#endif /* MODEL_ENTRY_H */
