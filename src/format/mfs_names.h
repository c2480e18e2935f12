/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_names: a table of names of inodes, found by inode and by directory and
 * name, and one byte that is noted of an inode.
 *
 * Used by mfs_edges only.  Each entry costs 40 bytes and its name, rounded up
 * to 16, and 16 to 32 for its two places; a note costs 10 to 20.  Together
 * they stay below a limit that is fixed at birth: what would pass it is
 * ERR_NOMEM, and the table is then as it was.
 *
 * Keys come from strangers, so the hashes are universal ones with a secret:
 * multiplication and shift for inodes (Dietzfelbinger et al. 1997), a
 * polynomial modulo 2^61 - 1 for names (Carter, Wegman 1979).
 */
#ifndef FORMAT_MFS_NAMES_H
#define FORMAT_MFS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct mfs_entry {
	struct mfs_entry *next_child, *next_name;
	uint32_t child;
	uint32_t parent; /* 0: text is a path, not a name in a directory */
	uint32_t hash;
	uint16_t len; /* of text */
	uint8_t kind; /* the owner's, as is adrift */
	bool adrift;
	char text[];
};

struct mfs_names {
	struct mfs_entry **by_child, **by_name; /* 1 << bits of each */
	unsigned bits;
	size_t n;
	uint32_t *noted; /* 1 << note_bits; 0: free */
	uint8_t *notes;
	unsigned note_bits;
	size_t n_noted;
	size_t used, max; /* bytes */
	uint64_t mul, point; /* of the hashes */
};

enum err mfs_names_init(struct mfs_names *t, size_t max,
	struct error *err) MUST_CHECK;
void mfs_names_fini(struct mfs_names *t);

/* The entry of a name in a directory (parent > 0), or NULL. */
struct mfs_entry *mfs_names_find(const struct mfs_names *t, uint32_t parent,
	const char *text, size_t len);
/* Of the entries of an inode the first one, or the next; in no order. */
struct mfs_entry *mfs_names_of(const struct mfs_names *t, uint32_t child);
struct mfs_entry *mfs_names_next(const struct mfs_entry *e);

/* An entry that is not there yet; kind 0 and not adrift.  len > 0 and at most
 * 65535.  *out may be NULL. */
enum err mfs_names_put(struct mfs_names *t, uint32_t child, uint32_t parent,
	const char *text, size_t len, struct mfs_entry **out,
	struct error *err) MUST_CHECK;
void mfs_names_remove(struct mfs_names *t, struct mfs_entry *e);

/* What was noted of an inode (> 0), or 0. */
uint8_t mfs_names_noted(const struct mfs_names *t, uint32_t inode);
enum err mfs_names_note(struct mfs_names *t, uint32_t inode, uint8_t note,
	struct error *err) MUST_CHECK;

#endif /* FORMAT_MFS_NAMES_H */
