/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32: the checksum of zlib, of Ethernet and of a MooseFS master's blocks
 * (CRC-32/ISO-HDLC: polynomial 0x04c11db7, bits reflected, all ones at the
 * beginning and inverted at the end; RFC 1952, section 8).  It finds damage,
 * not malice.  Any number of threads.
 */
#ifndef BASE_CRC32_H
#define BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* The checksum of what had the checksum before, with data behind it.  Of
 * nothing it is 0. */
uint32_t crc32_add(uint32_t before, const void *data, size_t len) MUST_CHECK;

#endif /* BASE_CRC32_H */
