/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a file of difference streams, or a container of them.  Reading it
 * with and without a way to skip tells the same; what is read ascends and lies
 * within the image; and what is refused is refused with an offset.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "format/rbd_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct mem {
	const uint8_t *data;
	size_t len, pos;
};

/* What a reading came to. */
struct told {
	enum err rc;
	uint64_t streams, runs, data, zero, sum;
	struct error err;
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
mem_skip(void *arg, uint64_t len, bool *there, struct error *err)
{
	struct mem *m = arg;

	(void)err;
	*there = len <= m->len - m->pos;
	if (*there)
		m->pos += (size_t)len;
	return ERR_OK;
}

/* Half of each payload is read, the rest is passed over. */
static enum err
read_stream(struct rbd_diff *d, struct told *t, struct error *err)
{
	uint64_t size = rbd_diff_head(d)->size, end = 0;
	struct rbd_diff_range run;
	uint8_t part[16];
	enum err rc;

	for (;;) {
		rc = rbd_diff_next(d, &run, err);
		if (rc != ERR_OK || run.kind == RBD_DIFF_END)
			return rc;
		assert(run.len > 0 && run.off >= end);
		assert(run.off < size && run.len <= size - run.off);
		end = run.off + run.len;
		t->runs++;
		if (run.kind == RBD_DIFF_ZERO) {
			t->zero += run.len;
			continue;
		}
		for (uint64_t left = run.len / 2; left > 0;) {
			size_t n = left < sizeof(part) ? (size_t)left
						       : sizeof(part);

			rc = rbd_diff_read(d, part, n, err);
			if (rc != ERR_OK)
				return rc;
			for (size_t i = 0; i < n; i++)
				t->sum = t->sum * 31 + part[i];
			left -= n;
		}
		t->data += run.len;
	}
}

static void
read_file(const uint8_t *data, size_t len, bool skip, struct told *t)
{
	struct mem mem = { data, len, 0 };
	struct rbd_in_conf conf = { .read = mem_read, .arg = &mem };
	struct rbd_file *f = NULL;
	struct rbd_diff *d = NULL;
	struct rbd_in *in;

	*t = (struct told){ .rc = ERR_OK };
	conf.skip = skip ? mem_skip : NULL;
	assert(rbd_in_new(&in, &conf, &t->err) == ERR_OK);
	t->rc = rbd_file_open(&f, in, &t->err);
	while (t->rc == ERR_OK) {
		t->rc = rbd_file_next(f, &d, &t->err);
		if (t->rc != ERR_OK || d == NULL)
			break;
		t->streams++;
		t->rc = read_stream(d, t, &t->err);
	}
	rbd_file_close(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct told a, b;
	unsigned long long at;

	read_file(data, len, false, &a);
	read_file(data, len, true, &b);
	assert(a.rc == b.rc && a.streams == b.streams && a.runs == b.runs);
	assert(a.data == b.data && a.zero == b.zero && a.sum == b.sum);
	if (a.rc == ERR_OK)
		return 0;
	assert(a.rc == ERR_CORRUPT || a.rc == ERR_VERSION);
	assert(strcmp(a.err.msg, b.err.msg) == 0);
	assert(sscanf(a.err.msg, "at byte %llu:", &at) == 1 && at <= len);
	return 0;
}
