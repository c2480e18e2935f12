/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: u16 length of the first of two difference streams, then both.  If
 * they merge, the result is well-formed, goes from where the first began to
 * where the second ends, and reads in each byte as the second after the first.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/rbd_merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OUT_MAX = 1 << 22, IMAGE_MAX = 1 << 16 };

struct mem {
	const uint8_t *data;
	size_t len, pos;
};

struct stream {
	struct mem mem;
	struct rbd_in *in;
	struct rbd_diff *diff;
};

static enum err
mem_read(void *arg, void *data, size_t len, size_t *got, struct error *err)
{
	struct mem *m = arg;

	(void)err;
	*got = len < m->len - m->pos ? len : m->len - m->pos;
	if (*got > 0)
		memcpy(data, m->data + m->pos, *got);
	m->pos += *got;
	return ERR_OK;
}

static enum err
put(void *arg, const void *data, size_t len, struct error *err)
{
	return buf_put(arg, data, len, err);
}

static enum err
stream_open(struct stream *s, const uint8_t *data, size_t len,
	struct error *err)
{
	struct rbd_in_conf conf = { .read = mem_read, .arg = &s->mem };

	*s = (struct stream){ .mem = { data, len, 0 } };
	assert(rbd_in_new(&s->in, &conf, err) == ERR_OK);
	return rbd_diff_open(&s->diff, s->in, RBD_DIFF_V1, err);
}

static void
stream_close(struct stream *s)
{
	rbd_diff_close(s->diff);
	rbd_in_free(s->in);
}

/* The stream put onto image, which begins as 0xaa; false where it is large. */
static bool
lay(const uint8_t *data, size_t len, uint8_t *image, uint64_t *size)
{
	struct error err = ERROR_INIT;
	struct stream s;
	struct rbd_diff_range run;
	bool fits;

	assert(stream_open(&s, data, len, &err) == ERR_OK);
	fits = rbd_diff_head(s.diff)->size <= IMAGE_MAX;
	if (fits) {
		uint64_t old = *size;

		*size = rbd_diff_head(s.diff)->size;
		if (*size > old)
			memset(image + old, 0, *size - old);
	}
	while (fits) {
		assert(rbd_diff_next(s.diff, &run, &err) == ERR_OK);
		if (run.kind == RBD_DIFF_END)
			break;
		if (run.kind == RBD_DIFF_ZERO)
			memset(image + run.off, 0, (size_t)run.len);
		else
			assert(rbd_diff_read(s.diff, image + run.off,
				       (size_t)run.len, &err) == ERR_OK);
	}
	stream_close(&s);
	return fits;
}

/* The image before both had the size that it has after the first. */
static void
compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
	const struct buf *merged)
{
	uint8_t *one = malloc(IMAGE_MAX), *two = malloc(IMAGE_MAX);
	uint64_t size_one = IMAGE_MAX, size_two = IMAGE_MAX;

	assert(one != NULL && two != NULL);
	memset(one, 0xaa, IMAGE_MAX);
	memset(two, 0xaa, IMAGE_MAX);
	if (lay(a, a_len, one, &size_one) && lay(b, b_len, one, &size_one) &&
		lay(merged->data, merged->len, two, &size_two)) {
		assert(size_one == size_two);
		assert(memcmp(one, two, (size_t)size_one) == 0);
	}
	free(one);
	free(two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rbd_merge_part parts[2];
	struct rbd_merge_figures figures;
	struct error err = ERROR_INIT;
	struct buf merged = BUF_INIT(OUT_MAX);
	struct rbd_out *out = NULL;
	struct stream a, b;
	size_t first;
	enum err rc, rc_b;

	if (len < 2)
		return 0;
	first = data[0] | (size_t)data[1] << 8;
	data += 2;
	len -= 2;
	first = first < len ? first : len;
	assert(rbd_out_new(&out, put, &merged, &err) == ERR_OK);
	rc = stream_open(&a, data, first, &err);
	rc_b = stream_open(&b, data + first, len - first, &err);
	parts[0] = (struct rbd_merge_part){ a.diff, "a" };
	parts[1] = (struct rbd_merge_part){ b.diff, "b" };
	if (rc == ERR_OK && rc_b == ERR_OK)
		rc = rbd_merge(parts, 2, out, &figures, &err);
	if (rc == ERR_OK && rc_b == ERR_OK)
		compare(data, first, data + first, len - first, &merged);
	stream_close(&a);
	stream_close(&b);
	rbd_out_free(out);
	buf_fini(&merged);
	return 0;
}
