/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_packet: what a MooseFS master and a metalogger say to each other, as
 * bytes.  No state and no system calls.
 *
 *   packet := type:32 length:32 body, integers big-endian
 *
 * What comes from the master is hostile: a type that we did not provoke and a
 * length that does not fit its type are ERR_CORRUPT as soon as the eight
 * bytes of the head are there, so nothing is stored for them.
 *
 * Source: the protocol as spoken by mfsmaster 2.0.91, 3.0.117 and 4.59.2.
 */
#ifndef SYSTEM_MFS_PACKET_H
#define SYSTEM_MFS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum {
	MFS_PACKET_HEAD = 8,
	MFS_PACKET_ASK_MAX =
		MFS_PACKET_HEAD + 15, /* the longest that we send */
	MFS_PACKET_TEXT_MAX = 199999 /* of a change, without its NUL */
};

enum mfs_packet_kind {
	MFS_IS_IDLE, /* a sign of life, or of no meaning for us */
	MFS_IS_CHANGE,
	MFS_IS_ROTATE,
	MFS_IS_INFO, /* the answer to mfs_packet_start */
	MFS_IS_DATA, /* the answer to mfs_packet_request */
	MFS_IS_VERSION,
	MFS_IS_ACK, /* 4.x, to those that say they are 4.x, too */
	MFS_IS_TIMEOUT /* 4.24 and later, likewise */
};

/* Texts and data borrow from the bytes. */
struct mfs_packet {
	enum mfs_packet_kind kind;
	union {
		struct {
			uint64_t id;
			const char *text; /* not looked into */
			size_t len; /* without the NUL */
		} change;
		struct {
			bool exists;
			uint64_t size;
		} info;
		struct {
			uint64_t off;
			const uint8_t *data;
			uint32_t len;
			uint32_t crc; /* as it says, not compared */
		} data;
		uint32_t version; /* as on the wire: last byte doubled */
		uint8_t ack;
		uint16_t seconds;
	};
};

/* *size: of the packet of which data is the beginning, with its head; of the
 * head alone, while that is not whole. */
enum err mfs_packet_size(size_t *size, const uint8_t *data, size_t len,
	struct error *err) MUST_CHECK;

/* A whole packet: size is what mfs_packet_size said. */
enum err mfs_packet_parse(struct mfs_packet *out, const uint8_t *data,
	size_t size, struct error *err) MUST_CHECK;

/* Whether these bytes begin with a block of a download, or a part of one. */
bool mfs_packet_is_data(const uint8_t *data, size_t len);

/* What we say.  Each returns its length, at most MFS_PACKET_ASK_MAX. */
size_t mfs_packet_nop(uint8_t *out);
size_t mfs_packet_get_version(uint8_t *out);
size_t mfs_packet_register(uint8_t *out, unsigned timeout_sec, uint64_t since);
size_t mfs_packet_start(uint8_t *out, uint8_t file);
size_t mfs_packet_request(uint8_t *out, uint64_t off, uint32_t len);
size_t mfs_packet_end(uint8_t *out);

#endif /* SYSTEM_MFS_PACKET_H */
