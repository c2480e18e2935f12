/* SPDX-License-Identifier: Apache-2.0 */
#include "system/mfs_packet.h"

#include "system/mfs_master.h"

enum type {
	NOP = 0,
	UNKNOWN_COMMAND = 1,
	BAD_COMMAND_SIZE = 2,
	FORCE_TIMEOUT = 5,
	GET_VERSION = 10,
	VERSION = 11,
	REGISTER = 50,
	METACHANGES_LOG = 51,
	MASTER_ACK = 52,
	DOWNLOAD_START = 60,
	DOWNLOAD_INFO = 61,
	DOWNLOAD_REQUEST = 62,
	DOWNLOAD_DATA = 63,
	DOWNLOAD_END = 64
};

enum { LOG_CHANGE = 0xff, LOG_CHANGE_ACK = 0xaa, LOG_ROTATE = 0x55 };
enum { CHANGE_HEAD = 9, DATA_HEAD = 16, NO_FILE = 0xff };
enum { REGISTER_NEW = 1, REGISTER_SINCE = 2 };

/* 3.0.117: the last byte is twice the number, an odd one were a PRO. */
#define OUR_VERSION 0x000300eau

/* What a master may send to us, and how long its body is. */
static const struct {
	uint32_t type;
	uint32_t len_min, len_max;
} known[] = {
	{ NOP, 0, 0 },
	{ UNKNOWN_COMMAND, 0, MFS_PACKET_MAX },
	{ BAD_COMMAND_SIZE, 0, MFS_PACKET_MAX },
	{ FORCE_TIMEOUT, 2, 2 },
	{ VERSION, 4, 256 },
	{ METACHANGES_LOG, 1, CHANGE_HEAD + MFS_PACKET_TEXT_MAX + 1 },
	{ MASTER_ACK, 1, 64 },
	{ DOWNLOAD_INFO, 1, 8 },
	{ DOWNLOAD_DATA, DATA_HEAD, DATA_HEAD + MFS_BLOCK_MAX },
};

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static uint64_t
get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

enum err
mfs_packet_size(size_t *size, const uint8_t *data, size_t len,
	struct error *err)
{
	uint32_t type, body;

	*size = MFS_PACKET_HEAD;
	if (len < MFS_PACKET_HEAD)
		return ERR_OK;
	type = get32(data);
	body = get32(data + 4);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].type != type)
			continue;
		if (body < known[i].len_min || body > known[i].len_max)
			break;
		*size += body;
		return ERR_OK;
	}
	return err_set(err, ERR_CORRUPT,
		"a packet that no master sends to us (type %u, %u bytes)",
		(unsigned)type, (unsigned)body);
}

bool
mfs_packet_is_data(const uint8_t *data, size_t len)
{
	return len >= MFS_PACKET_HEAD && get32(data) == DOWNLOAD_DATA;
}

static enum err
parse_log(struct mfs_packet *out, const uint8_t *body, size_t len,
	struct error *err)
{
	if (len == 1 && body[0] == LOG_ROTATE) {
		out->kind = MFS_IS_ROTATE;
		return ERR_OK;
	}
	if (body[0] == LOG_CHANGE_ACK)
		return err_set(err, ERR_CORRUPT,
			"a change that has to be acknowledged, which only a "
			"MooseFS PRO asks for");
	if (body[0] != LOG_CHANGE || len < CHANGE_HEAD + 1 ||
		body[len - 1] != '\0')
		return err_set(err, ERR_CORRUPT,
			"a change of %zu bytes that is none", len);
	out->kind = MFS_IS_CHANGE;
	out->change.id = get64(body + 1);
	out->change.text = (const char *)body + CHANGE_HEAD;
	out->change.len = len - CHANGE_HEAD - 1;
	return ERR_OK;
}

static enum err
parse_info(struct mfs_packet *out, const uint8_t *body, size_t len,
	struct error *err)
{
	out->kind = MFS_IS_INFO;
	out->info.exists = len == 8;
	out->info.size = len == 8 ? get64(body) : 0;
	if (len == 8 || (len == 1 && body[0] == NO_FILE))
		return ERR_OK;
	return err_set(err, ERR_CORRUPT,
		"an answer of %zu bytes to the beginning of a download", len);
}

static enum err
parse_data(struct mfs_packet *out, const uint8_t *body, size_t len,
	struct error *err)
{
	out->kind = MFS_IS_DATA;
	out->data.off = get64(body);
	out->data.len = get32(body + 8);
	out->data.crc = get32(body + 12);
	out->data.data = body + DATA_HEAD;
	if (out->data.len == len - DATA_HEAD)
		return ERR_OK;
	return err_set(err, ERR_CORRUPT,
		"a block that says it has %u bytes and has %zu",
		(unsigned)out->data.len, len - DATA_HEAD);
}

enum err
mfs_packet_parse(struct mfs_packet *out, const uint8_t *data, size_t size,
	struct error *err)
{
	const uint8_t *body = data + MFS_PACKET_HEAD;
	size_t len = size - MFS_PACKET_HEAD;

	*out = (struct mfs_packet){ .kind = MFS_IS_IDLE };
	switch (get32(data)) {
	case METACHANGES_LOG:
		return parse_log(out, body, len, err);
	case DOWNLOAD_INFO:
		return parse_info(out, body, len, err);
	case DOWNLOAD_DATA:
		return parse_data(out, body, len, err);
	case VERSION:
		out->kind = MFS_IS_VERSION;
		out->version = get32(body);
		return ERR_OK;
	case MASTER_ACK:
		out->kind = MFS_IS_ACK;
		out->ack = body[0];
		return ERR_OK;
	case FORCE_TIMEOUT:
		out->kind = MFS_IS_TIMEOUT;
		out->seconds = (uint16_t)(body[0] << 8 | body[1]);
		return ERR_OK;
	default:
		return ERR_OK;
	}
}

static uint8_t *
put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = bytes; i > 0; i--)
		*p++ = (uint8_t)(v >> (8 * (i - 1)));
	return p;
}

static uint8_t *
put_head(uint8_t *out, enum type type, unsigned len)
{
	return put(put(out, type, 4), len, 4);
}

size_t
mfs_packet_nop(uint8_t *out)
{
	return (size_t)(put_head(out, NOP, 0) - out);
}

size_t
mfs_packet_get_version(uint8_t *out)
{
	return (size_t)(put_head(out, GET_VERSION, 0) - out);
}

size_t
mfs_packet_register(uint8_t *out, unsigned timeout_sec, uint64_t since)
{
	uint8_t *p = put_head(out, REGISTER, since > 0 ? 15 : 7);

	p = put(p, since > 0 ? REGISTER_SINCE : REGISTER_NEW, 1);
	p = put(p, OUR_VERSION, 4);
	p = put(p, timeout_sec, 2);
	if (since > 0)
		p = put(p, since, 8);
	return (size_t)(p - out);
}

size_t
mfs_packet_start(uint8_t *out, uint8_t file)
{
	return (size_t)(put(put_head(out, DOWNLOAD_START, 1), file, 1) - out);
}

size_t
mfs_packet_request(uint8_t *out, uint64_t off, uint32_t len)
{
	uint8_t *p = put(put_head(out, DOWNLOAD_REQUEST, 12), off, 8);

	return (size_t)(put(p, len, 4) - out);
}

size_t
mfs_packet_end(uint8_t *out)
{
	return (size_t)(put_head(out, DOWNLOAD_END, 0) - out);
}
