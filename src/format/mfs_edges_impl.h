/* SPDX-License-Identifier: Apache-2.0 */
/* mfs_edges_impl: what the files of mfs_edges share; not for others. */
#ifndef FORMAT_MFS_EDGES_IMPL_H
#define FORMAT_MFS_EDGES_IMPL_H

#include "format/mfs_edges.h"
#include "format/mfs_names.h"
#include "format/mfs_records.h"

/* Of an inode: whether it is wanted, and its enum mfs_kind, or 0. */
enum { NOTE_WANTED = 0x80, NOTE_KIND = 0x0f };

struct mfs_edges {
	bool all;
	struct mfs_names names;
	struct mfs_records records;
	struct mfs_records_fn fn;
	uint64_t gaps;
	struct buf path; /* of the last one that was told */
	struct buf name[2]; /* of a line, unescaped */
};

static inline enum mfs_kind
mfs_edges_kind(const struct mfs_edges *e, uint32_t inode)
{
	return (enum mfs_kind)(mfs_names_noted(&e->names, inode) & NOTE_KIND);
}

#endif /* FORMAT_MFS_EDGES_IMPL_H */
