/* SPDX-License-Identifier: Apache-2.0 */
#include "system/mfs_download.h"

#include "base/crc32.h"

void
mfs_download_start(struct mfs_download *d, enum mfs_file file, uint64_t max)
{
	*d = (struct mfs_download){ .state = MFS_DOWNLOAD_STARTED,
		.file = file,
		.max = max };
}

enum err
mfs_download_info(struct mfs_download *d, const struct mfs_packet *p,
	struct error *err)
{
	if (d->state != MFS_DOWNLOAD_STARTED)
		return err_set(err, ERR_CORRUPT,
			"the size of a file that was not asked for");
	if (!p->info.exists) {
		d->state = MFS_DOWNLOAD_NONE;
		return ERR_OK;
	}
	d->state = MFS_DOWNLOAD_BLOCKS;
	d->size = p->info.size < d->max ? p->info.size : d->max;
	return ERR_OK;
}

uint32_t
mfs_download_next(struct mfs_download *d)
{
	uint64_t left = d->size - d->off;

	d->asked = left < MFS_BLOCK_MAX ? (uint32_t)left : MFS_BLOCK_MAX;
	if (left == 0)
		d->state = MFS_DOWNLOAD_NONE;
	return d->asked;
}

enum err
mfs_download_data(struct mfs_download *d, const struct mfs_packet *p,
	struct error *err)
{
	uint32_t crc;

	if (d->state != MFS_DOWNLOAD_BLOCKS)
		return err_set(err, ERR_CORRUPT,
			"a block of a file that was not asked for");
	if (p->data.off != d->off || p->data.len != d->asked)
		return err_set(err, ERR_CORRUPT,
			"file %d: %u bytes at %llu asked for, %u at %llu came",
			d->file, (unsigned)d->asked, (unsigned long long)d->off,
			(unsigned)p->data.len, (unsigned long long)p->data.off);
	crc = crc32_add(0, p->data.data, p->data.len);
	if (crc != p->data.crc)
		return err_set(err, ERR_CORRUPT,
			"file %d: %u bytes at %llu have the checksum %08x, "
			"not %08x",
			d->file, (unsigned)d->asked, (unsigned long long)d->off,
			(unsigned)crc, (unsigned)p->data.crc);
	d->off += d->asked;
	d->asked = 0;
	return ERR_OK;
}
