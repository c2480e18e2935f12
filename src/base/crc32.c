/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32: eight bytes at a time ("slicing by 8", Kounavis and Berry, "A
 * Systematic Approach to Building High Performance Software-based CRC
 * Generators", 2005).
 */
#include "base/crc32.h"

#include <pthread.h>

enum { SLICES = 8 };

#define REFLECTED 0xedb88320u /* 0x04c11db7 */

/* tables[k][b]: what a byte b that lies k bytes before the end adds. */
static uint32_t tables[SLICES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void
make_tables(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t v = b;

		for (int bit = 0; bit < 8; bit++)
			v = (v >> 1) ^ ((v & 1) != 0 ? REFLECTED : 0);
		tables[0][b] = v;
	}
	for (int k = 1; k < SLICES; k++)
		for (uint32_t b = 0; b < 256; b++) {
			uint32_t v = tables[k - 1][b];

			tables[k][b] = (v >> 8) ^ tables[0][v & 0xff];
		}
}

static uint32_t
load(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

uint32_t
crc32_add(uint32_t before, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t v = ~before;

	(void)pthread_once(&tables_once, make_tables);
	for (; len >= SLICES; p += SLICES, len -= SLICES) {
		uint32_t lo = v ^ load(p), hi = load(p + 4);

		v = tables[7][lo & 0xff] ^ tables[6][lo >> 8 & 0xff] ^
		    tables[5][lo >> 16 & 0xff] ^ tables[4][lo >> 24] ^
		    tables[3][hi & 0xff] ^ tables[2][hi >> 8 & 0xff] ^
		    tables[1][hi >> 16 & 0xff] ^ tables[0][hi >> 24];
	}
	for (; len > 0; p++, len--)
		v = (v >> 8) ^ tables[0][(v ^ *p) & 0xff];
	return ~v;
}
