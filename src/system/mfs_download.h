/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_download: where a download from a MooseFS master stands, and whether an
 * answer is the one that was asked for.  No system calls; all zero is none.
 *
 *   START -> INFO -> (REQUEST -> DATA) until size bytes are here -> END
 */
#ifndef SYSTEM_MFS_DOWNLOAD_H
#define SYSTEM_MFS_DOWNLOAD_H

#include "system/mfs_master.h"
#include "system/mfs_packet.h"

enum mfs_download_state {
	MFS_DOWNLOAD_NONE,
	MFS_DOWNLOAD_STARTED, /* INFO is waited for */
	MFS_DOWNLOAD_BLOCKS /* DATA is */
};

struct mfs_download {
	enum mfs_download_state state;
	enum mfs_file file;
	uint64_t max; /* bytes that are wanted at most */
	uint64_t size; /* that come */
	uint64_t off; /* what is before it is here */
	uint32_t asked; /* bytes from off on */
};

void mfs_download_start(struct mfs_download *d, enum mfs_file file,
	uint64_t max);

/* ERR_CORRUPT where this is not the answer. */
enum err mfs_download_info(struct mfs_download *d, const struct mfs_packet *p,
	struct error *err) MUST_CHECK;
enum err mfs_download_data(struct mfs_download *d, const struct mfs_packet *p,
	struct error *err) MUST_CHECK;

/* Bytes to ask for from off on; 0: all are here, and the download is over. */
uint32_t mfs_download_next(struct mfs_download *d);

#endif /* SYSTEM_MFS_DOWNLOAD_H */
