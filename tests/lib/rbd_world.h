/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_world: a small image that lives through snapshots, and the difference
 * streams that tell of them: the model that readers, merges and imports are
 * compared with.  Its streams are written by hand, byte for byte, and not by
 * the code that is tested.
 */
#ifndef TESTS_LIB_RBD_WORLD_H
#define TESTS_LIB_RBD_WORLD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/rbd_diff.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

/* A test may want a larger one. */
#ifndef RBD_WORLD_MAX
#define RBD_WORLD_MAX  ((size_t)192 << 10)
#define RBD_WORLD_UNIT ((size_t)512)
#endif

/* ---- streams in memory ---- */

struct rbd_mem {
	const uint8_t *data;
	size_t len, pos;
};

static inline enum err
rbd_mem_read(void *arg, void *data, size_t len, size_t *got, struct error *err)
{
	struct rbd_mem *m = arg;

	(void)err;
	*got = len < m->len - m->pos ? len : m->len - m->pos;
	if (*got > 0)
		memcpy(data, m->data + m->pos, *got);
	m->pos += *got;
	return ERR_OK;
}

static inline enum err
rbd_mem_skip(void *arg, uint64_t len, bool *there, struct error *err)
{
	struct rbd_mem *m = arg;

	(void)err;
	*there = len <= m->len - m->pos;
	if (*there)
		m->pos += (size_t)len;
	return ERR_OK;
}

static inline struct rbd_in *
rbd_mem_in(struct rbd_mem *m, const void *data, size_t len, bool skip)
{
	struct rbd_in_conf conf = { .read = rbd_mem_read, .arg = m };
	struct error err = ERROR_INIT;
	struct rbd_in *in = NULL;

	*m = (struct rbd_mem){ data, len, 0 };
	conf.skip = skip ? rbd_mem_skip : NULL;
	must(rbd_in_new(&in, &conf, &err), &err);
	return in;
}

static inline enum err
rbd_buf_write(void *arg, const void *data, size_t len, struct error *err)
{
	return buf_put(arg, data, len, err);
}

/* ---- the image ---- */

struct rbd_world {
	struct prng p;
	uint8_t data[RBD_WORLD_MAX]; /* zero behind size */
	size_t size;
	bool touched[RBD_WORLD_MAX / RBD_WORLD_UNIT];
	unsigned snaps; /* named s1, s2, ... */
};

static inline void
rbd_world_init(struct rbd_world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	prng_init(&w->p, seed);
}

static inline void
rbd_world_resize(struct rbd_world *w)
{
	size_t size = prng_below(&w->p, RBD_WORLD_MAX + 1);

	if (size < w->size)
		memset(w->data + size, 0, w->size - size);
	w->size = size;
}

static inline void
rbd_world_write(struct rbd_world *w)
{
	size_t units = (w->size + RBD_WORLD_UNIT - 1) / RBD_WORLD_UNIT;
	size_t at = prng_below(&w->p, units), n = 1 + prng_below(&w->p, 24);
	size_t off = at * RBD_WORLD_UNIT, end;
	bool zero = prng_below(&w->p, 3) == 0;

	n = n < units - at ? n : units - at;
	end = off + n * RBD_WORLD_UNIT;
	end = end < w->size ? end : w->size;
	for (size_t i = at; i < at + n; i++)
		w->touched[i] = true;
	if (zero)
		memset(w->data + off, 0, end - off);
	else
		prng_fill(&w->p, w->data + off, end - off);
}

/* What happens between two snapshots. */
static inline void
rbd_world_live(struct rbd_world *w)
{
	memset(w->touched, 0, sizeof(w->touched));
	if (w->snaps == 0 || prng_below(&w->p, 3) == 0)
		rbd_world_resize(w);
	if (w->size > 0)
		for (uint64_t n = prng_below(&w->p, 8); n > 0; n--)
			rbd_world_write(w);
	w->snaps++;
}

/* ---- its streams ---- */

static inline void
rbd_world_tag(struct buf *b, char tag, uint64_t len, bool v2)
{
	struct error err = ERROR_INIT;

	must(buf_put_u8(b, (uint8_t)tag, &err), &err);
	if (v2)
		must(buf_put_u64(b, len, &err), &err);
}

static inline void
rbd_world_name(struct buf *b, char tag, unsigned snap, bool v2)
{
	struct error err = ERROR_INIT;
	char name[16];
	size_t len;

	if (snap == 0)
		return;
	len = (size_t)snprintf(name, sizeof(name), "s%u", snap);
	rbd_world_tag(b, tag, 4 + len, v2);
	must(buf_put_u32(b, (uint32_t)len, &err), &err);
	must(buf_put(b, name, len, &err), &err);
}

static inline void
rbd_world_run(struct rbd_world *w, struct buf *b, size_t off, size_t end,
	bool v2)
{
	static const uint8_t zeroes[RBD_WORLD_MAX];
	struct error err = ERROR_INIT;
	size_t len = end - off;
	bool zero = memcmp(w->data + off, zeroes, len) == 0 &&
		    prng_below(&w->p, 2) == 0;

	rbd_world_tag(b, zero ? 'z' : 'w', 16 + (zero ? 0 : len), v2);
	must(buf_put_u64(b, off, &err), &err);
	must(buf_put_u64(b, len, &err), &err);
	if (!zero)
		must(buf_put(b, w->data + off, len, &err), &err);
}

/*
 * From snapshot `from` (0: nothing; else the last but one) to the last one,
 * added to b.  head: it ends at the head instead.
 */
static inline void
rbd_world_diff(struct rbd_world *w, struct buf *b, unsigned from, bool head,
	bool v2)
{
	struct error err = ERROR_INIT;
	size_t end;

	must(buf_put(b, v2 ? "rbd diff v2\n" : "rbd diff v1\n", 12, &err),
		&err);
	rbd_world_name(b, 'f', from, v2);
	rbd_world_name(b, 't', head ? 0 : w->snaps, v2);
	if (v2 && !head) { /* as 16.2: 8 bytes are told, one is there */
		rbd_world_tag(b, 'p', 8, v2);
		must(buf_put_u8(b, 0, &err), &err);
	}
	rbd_world_tag(b, 's', 8, v2);
	must(buf_put_u64(b, w->size, &err), &err);
	for (size_t off = 0; off < w->size; off = end) {
		end = off - off % RBD_WORLD_UNIT + RBD_WORLD_UNIT;
		if (from != 0 && !w->touched[off / RBD_WORLD_UNIT])
			continue;
		for (uint64_t n = prng_below(&w->p, 6); n > 0; n--)
			if (end < w->size &&
				(from == 0 || w->touched[end / RBD_WORLD_UNIT]))
				end += RBD_WORLD_UNIT;
		end = end < w->size ? end : w->size;
		rbd_world_run(w, b, off, end, v2);
	}
	must(buf_put_u8(b, 'e', &err), &err);
}

#endif /* TESTS_LIB_RBD_WORLD_H */
