/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/rbd_diff.h"

/* Of zeroes, so that no reader meets a length that it takes for negative. */
#define ZERO_MAX (UINT64_C(1) << 30)

enum { HEAD_MAX = 1 + 3 * 8 };

struct rbd_diff_writer {
	struct rbd_out *out;
	enum rbd_diff_version version;
	uint64_t size, object;
	uint64_t at; /* of the payload that comes next */
	uint64_t left; /* until the end of the run */
	uint64_t part_left; /* and of its part that lies in one object */
};

static enum err
put_tag(struct rbd_diff_writer *w, struct buf *b, char tag, uint64_t len,
	struct error *err)
{
	enum err rc = buf_put_u8(b, (uint8_t)tag, err);

	if (rc == ERR_OK && w->version == RBD_DIFF_V2)
		rc = buf_put_u64(b, len, err);
	return rc;
}

static enum err
put_name(struct rbd_diff_writer *w, struct buf *b, char tag, const char *name,
	struct error *err)
{
	size_t len = name != NULL ? strlen(name) : 0;
	enum err rc;

	if (len == 0)
		return ERR_OK;
	if (len > RBD_NAME_MAX)
		return err_set(err, ERR_USAGE, "a snapshot's name of %zu bytes",
			len);
	rc = put_tag(w, b, tag, sizeof(uint32_t) + len, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(b, (uint32_t)len, err);
	if (rc == ERR_OK)
		rc = buf_put(b, name, len, err);
	return rc;
}

/* As rbd 16.2 writes it, and as it reads it: 8 bytes are told, one follows. */
static enum err
put_protection(struct rbd_diff_writer *w, struct buf *b,
	const struct rbd_diff_head *head, struct error *err)
{
	enum err rc;

	if (w->version == RBD_DIFF_V1 || head->to == NULL)
		return ERR_OK;
	rc = put_tag(w, b, 'p', sizeof(uint64_t), err);
	if (rc == ERR_OK)
		rc = buf_put_u8(b, head->is_protected ? 1 : 0, err);
	return rc;
}

static enum err
put_head(struct rbd_diff_writer *w, const struct rbd_diff_head *head,
	struct error *err)
{
	struct buf b = BUF_INIT(RBD_BANNER + 4 * HEAD_MAX + 2 * RBD_NAME_MAX);
	enum err rc = buf_put(&b,
		w->version == RBD_DIFF_V1 ? "rbd diff v1\n" : "rbd diff v2\n",
		RBD_BANNER, err);

	if (rc == ERR_OK)
		rc = put_name(w, &b, 'f', head->from, err);
	if (rc == ERR_OK)
		rc = put_name(w, &b, 't', head->to, err);
	if (rc == ERR_OK)
		rc = put_protection(w, &b, head, err);
	if (rc == ERR_OK)
		rc = put_tag(w, &b, 's', sizeof(uint64_t), err);
	if (rc == ERR_OK)
		rc = buf_put_u64(&b, head->size, err);
	if (rc == ERR_OK)
		rc = rbd_out_put(w->out, b.data, b.len, err);
	buf_fini(&b);
	return rc;
}

enum err
rbd_diff_writer_new(struct rbd_diff_writer **out, struct rbd_out *o,
	enum rbd_diff_version version, const struct rbd_diff_head *head,
	uint64_t object, struct error *err)
{
	struct rbd_diff_writer *w = calloc(1, sizeof(*w));
	enum err rc;

	if (w == NULL)
		return err_set(err, ERR_NOMEM, "no memory to write a stream");
	w->out = o;
	w->version = version;
	w->size = head->size;
	w->object = object > 0 ? object : RBD_OBJECT;
	rc = put_head(w, head, err);
	if (rc != ERR_OK) {
		free(w);
		return rc;
	}
	*out = w;
	return ERR_OK;
}

void
rbd_diff_writer_free(struct rbd_diff_writer *w)
{
	free(w);
}

static enum err
check_range(const struct rbd_diff_writer *w, uint64_t off, uint64_t len,
	struct error *err)
{
	assert(w->left == 0);
	if (off >= w->at && off <= w->size && len <= w->size - off)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"a range at %" PRIu64
		" that is out of order, or outside of the "
		"image",
		off);
}

static enum err
put_range(struct rbd_diff_writer *w, char tag, uint64_t off, uint64_t len,
	struct error *err)
{
	struct buf b = BUF_INIT(HEAD_MAX);
	uint64_t n = 2 * sizeof(uint64_t) + (tag == 'w' ? len : 0);
	enum err rc = put_tag(w, &b, tag, n, err);

	if (rc == ERR_OK)
		rc = buf_put_u64(&b, off, err);
	if (rc == ERR_OK)
		rc = buf_put_u64(&b, len, err);
	if (rc == ERR_OK)
		rc = rbd_out_put(w->out, b.data, b.len, err);
	buf_fini(&b);
	return rc;
}

enum err
rbd_diff_begin(struct rbd_diff_writer *w, uint64_t off, uint64_t len,
	struct error *err)
{
	enum err rc = check_range(w, off, len, err);

	if (rc != ERR_OK)
		return rc;
	w->at = off;
	w->left = len;
	w->part_left = 0;
	return ERR_OK;
}

enum err
rbd_diff_put(struct rbd_diff_writer *w, const void *data, size_t len,
	struct error *err)
{
	const uint8_t *from = data;
	enum err rc = ERR_OK;
	size_t n;

	assert(len <= w->left);
	while (rc == ERR_OK && len > 0) {
		if (w->part_left == 0) {
			w->part_left = w->object - w->at % w->object;
			if (w->part_left > w->left)
				w->part_left = w->left;
			rc = put_range(w, 'w', w->at, w->part_left, err);
		}
		n = len < w->part_left ? len : (size_t)w->part_left;
		if (rc == ERR_OK)
			rc = rbd_out_put(w->out, from, n, err);
		from += n;
		len -= n;
		w->at += n;
		w->left -= n;
		w->part_left -= n;
	}
	return rc;
}

enum err
rbd_diff_zero(struct rbd_diff_writer *w, uint64_t off, uint64_t len,
	struct error *err)
{
	enum err rc = check_range(w, off, len, err);
	uint64_t n;

	while (rc == ERR_OK && len > 0) {
		n = len < ZERO_MAX ? len : ZERO_MAX;
		rc = put_range(w, 'z', off, n, err);
		off += n;
		len -= n;
	}
	if (rc == ERR_OK)
		w->at = off;
	return rc;
}

enum err
rbd_diff_end(struct rbd_diff_writer *w, struct error *err)
{
	assert(w->left == 0);
	return rbd_out_put(w->out, "e", 1, err);
}
