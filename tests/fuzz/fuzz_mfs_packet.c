/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: what a MooseFS master sends.  A head is judged alike however much is
 * behind it; what a packet borrows lies within it; and a download believes no
 * more bytes than it asked for.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "system/mfs_download.h"
#include "system/mfs_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_within(const void *part, size_t len, const uint8_t *data, size_t size)
{
	const uint8_t *p = part;

	assert(p >= data + MFS_PACKET_HEAD && p <= data + size);
	assert(len <= (size_t)(data + size - p));
}

/* In memory of exactly its size, so that a byte too far is seen. */
static enum err
parse(const uint8_t *data, size_t size, struct mfs_download *d)
{
	struct error err = ERROR_INIT;
	uint8_t *copy = malloc(size);
	struct mfs_packet p;
	uint64_t before = d->off;
	enum err rc;

	assert(copy != NULL);
	memcpy(copy, data, size);
	rc = mfs_packet_parse(&p, copy, size, &err);
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	if (rc == ERR_OK && p.kind == MFS_IS_CHANGE)
		check_within(p.change.text, p.change.len + 1, copy, size);
	if (rc == ERR_OK && p.kind == MFS_IS_INFO)
		rc = mfs_download_info(d, &p, &err);
	if (rc == ERR_OK && p.kind == MFS_IS_DATA) {
		check_within(p.data.data, p.data.len, copy, size);
		rc = mfs_download_data(d, &p, &err);
		assert(d->off == before + (rc == ERR_OK ? p.data.len : 0));
	}
	if (rc == ERR_OK && (p.kind == MFS_IS_INFO || p.kind == MFS_IS_DATA)) {
		assert(d->state == MFS_DOWNLOAD_NONE || d->off <= d->size);
		if (d->state != MFS_DOWNLOAD_NONE && mfs_download_next(d) == 0)
			mfs_download_start(d, MFS_LOG_CURRENT, UINT64_MAX);
	}
	free(copy);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct mfs_download d = { 0 };
	struct error err = ERROR_INIT;
	size_t off = 0, size, again;
	enum err rc;

	mfs_download_start(&d, MFS_IMAGE, UINT64_MAX);
	for (;;) {
		rc = mfs_packet_size(&size, data + off, len - off, &err);
		assert(rc == ERR_OK || rc == ERR_CORRUPT);
		if (rc != ERR_OK)
			return 0;
		assert(size >= MFS_PACKET_HEAD &&
			size <= MFS_PACKET_HEAD + MFS_PACKET_MAX);
		if (size > len - off)
			return 0;
		rc = mfs_packet_size(&again, data + off, MFS_PACKET_HEAD, &err);
		assert(rc == ERR_OK && again == size);
		if (parse(data + off, size, &d) != ERR_OK)
			return 0;
		off += size;
	}
}
