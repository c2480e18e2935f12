/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a master, in any pieces, against what has to come of them. */
#include <dlfcn.h>

#include "tests/lib/mfs_pair.h"
#include "tests/lib/prng.h"

enum { MARKS_MAX = 1 << 17 };

/* How often the client waited for what did not come. */
static unsigned in_vain;

typedef int poller(struct pollfd *v, nfds_t n, int ms);

int
poll(struct pollfd *v, nfds_t n, int ms)
{
	poller *real = (poller *)dlsym(RTLD_NEXT, "poll");
	int ready;

	assert_non_null(real);
	ready = real(v, n, ms);
	in_vain += ready == 0 && n > 0 && ms != 0;
	return ready;
}

/* What a master sends, and what has to come of it. */
struct talk {
	struct buf bytes, want, asked;
	struct {
		size_t bytes, want; /* before the packet */
	} marks[MARKS_MAX];
	size_t n_marks;
	struct prng prng;
	uint64_t id;
};

static void
talk_head(struct talk *t, uint32_t type, size_t len)
{
	assert_true(t->n_marks < MARKS_MAX);
	t->marks[t->n_marks].bytes = t->bytes.len;
	t->marks[t->n_marks++].want = t->want.len;
	put_head(&t->bytes, type, len);
}

static void
talk_change(struct talk *t)
{
	static char text[199999];
	size_t len = prng_below(&t->prng, 100) == 0
			     ? prng_below(&t->prng, sizeof(text) + 1)
			     : prng_below(&t->prng, 100);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(' ' + prng_below(&t->prng, 95));
	talk_head(t, 51, len + 10);
	put_int(&t->bytes, 0xff, 1);
	put_int(&t->bytes, ++t->id, 8);
	put(&t->bytes, text, len);
	put_int(&t->bytes, 0, 1);
	say_change(&t->want, t->id, text, len);
}

/* What may stand between any two packets. */
static void
talk_between(struct talk *t)
{
	for (uint64_t n = prng_below(&t->prng, 4); n > 0; n--)
		switch (prng_below(&t->prng, 7)) {
		case 0:
			talk_head(t, 0, 0);
			break;
		case 1:
			talk_head(t, 1, 3);
			put(&t->bytes, "abc", 3);
			break;
		case 2: /* 4.x */
			talk_head(t, 52, 5);
			put_int(&t->bytes, 0, 1);
			put_int(&t->bytes, 0x00043b04, 4);
			break;
		case 3:
			talk_head(t, 51, 1);
			put_int(&t->bytes, 0x55, 1);
			say(&t->want, "rotate\n");
			break;
		default:
			talk_change(t);
		}
}

static void
talk_block(struct talk *t, enum mfs_file file, uint64_t off, size_t len)
{
	static uint8_t data[MFS_BLOCK_MAX];

	prng_fill(&t->prng, data, len < 64 ? len : 64);
	talk_head(t, 63, 16 + len);
	put_int(&t->bytes, off, 8);
	put_int(&t->bytes, len, 4);
	put_int(&t->bytes, crc32_add(0, data, len), 4);
	put(&t->bytes, data, len);
	say_data(&t->want, file, off, data, len);
	put_head(&t->asked, 62, 12);
	put_int(&t->asked, off, 8);
	put_int(&t->asked, len, 4);
}

static void
talk_file(struct talk *t, enum mfs_file file, bool exists, uint64_t size)
{
	put_head(&t->asked, 60, 1);
	put_int(&t->asked, file, 1);
	talk_head(t, 61, exists ? 8 : 1);
	put_int(&t->bytes, exists ? size : 0xff, exists ? 8 : 1);
	say_begin(&t->want, file, exists, exists ? size : 0);
	if (!exists)
		return;
	for (uint64_t off = 0; off < size; off += MFS_BLOCK_MAX) {
		uint64_t left = size - off;

		talk_between(t);
		talk_block(t, file, off,
			left < MFS_BLOCK_MAX ? (size_t)left : MFS_BLOCK_MAX);
	}
	say(&t->want, "end %d\n", file);
	put_head(&t->asked, 64, 0);
}

/* A whole conversation; size_max is of each file. */
static void
talk_init(struct talk *t, uint64_t seed, uint64_t size_max)
{
	static const uint8_t hello[] = { 0, 0, 0, 50, 0, 0, 0, 15, 2, 0, 3, 0,
		0xea, 0, 10, 0, 0, 0, 0, 0, 0, 0, 5 };

	memset(t, 0, sizeof(*t));
	buf_init(&t->bytes, MFS_STREAM_MAX);
	buf_init(&t->want, MFS_STREAM_MAX);
	buf_init(&t->asked, MFS_STREAM_MAX);
	prng_init(&t->prng, seed);
	t->id = 4;
	put(&t->asked, hello, sizeof(hello));
	for (size_t i = 0; i < ARRAY_LEN(mfs_files); i++) {
		talk_between(t);
		talk_file(t, mfs_files[i], prng_below(&t->prng, 5) > 0,
			prng_below(&t->prng, 4) == 0
				? 0
				: prng_below(&t->prng, size_max + 1));
	}
	talk_between(t);
	talk_change(t);
}

static void
talk_fini(struct talk *t)
{
	buf_fini(&t->bytes);
	buf_fini(&t->want);
	buf_fini(&t->asked);
}

/* In pieces of at most piece_max bytes, drawn. */
static void
converse(uint64_t seed, uint64_t size_max, size_t piece_max)
{
	struct prng prng;
	static struct talk t;
	struct pair p;

	talk_init(&t, seed, size_max);
	prng_init(&prng, ~seed);
	pair_start(&p);
	for (size_t off = 0, n; off < t.bytes.len; off += n) {
		n = 1 + prng_below(&prng, piece_max);
		if (n > t.bytes.len - off)
			n = t.bytes.len - off;
		must(feed(&p, t.bytes.data + off, n), &p.err);
	}
	must(settle(&p, &t.want), &p.err);
	same_told(&p, &t.want);
	same_asked(&p, &t.asked);
	assert_false(mfs_is_fetching(p.m));
	pair_fini(&p);
	talk_fini(&t);
}

static void
any_pieces(void **state)
{
	static const size_t pieces[] = { 1, 2, 7, 30, 1000, 100000, 1 << 24 };

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
			if (pieces[i] > 7 || seed <= 8) {
				converse(seed, 2000, pieces[i]);
			}
	for (uint64_t seed = 1; seed <= 6; seed++)
		converse(seed, 3 * MFS_BLOCK_MAX, seed < 3 ? 1 << 24 : 300000);
}

/* The sizes at which a download has a block more. */
static void
block_boundaries(void **state)
{
	static const uint64_t sizes[] = { 0, 1, MFS_BLOCK_MAX - 1,
		MFS_BLOCK_MAX, MFS_BLOCK_MAX + 1, 2 * MFS_BLOCK_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		static struct talk t;
		struct pair p;

		talk_init(&t, i, 0);
		buf_clear(&t.bytes);
		buf_clear(&t.want);
		talk_file(&t, MFS_IMAGE, true, sizes[i]);
		pair_start(&p);
		must(feed(&p, t.bytes.data, t.bytes.len), &p.err);
		must(settle(&p, &t.want), &p.err);
		same_told(&p, &t.want);
		pair_fini(&p);
		talk_fini(&t);
	}
}

/* What has to be told of the first n bytes. */
static size_t
told_of(const struct talk *t, size_t n)
{
	for (size_t i = 1; i < t->n_marks; i++)
		if (t->marks[i].bytes > n)
			return t->marks[i - 1].want;
	return n == t->bytes.len ? t->want.len : t->marks[t->n_marks - 1].want;
}

/* Whole packets are told, then the end is; wherever it comes. */
static void
closed_anywhere(void **state)
{
	static struct talk t;

	(void)state;
	talk_init(&t, 7, 300);
	for (size_t n = 0; n <= t.bytes.len; n++) {
		struct pair p;
		enum err rc;

		pair_start(&p);
		must(feed(&p, t.bytes.data, n), &p.err);
		(void)close(p.fd);
		p.fd = -1;
		do
			rc = mfs_step(p.m, 5000, &p.err);
		while (rc == ERR_OK);
		must_fail(rc, ERR_AGAIN, &p.err, "master 127.0.0.1:");
		assert_int_equal(p.told.len, told_of(&t, n));
		assert_memory_equal(t.want.data, p.told.data, p.told.len);
		must_fail(mfs_fetch(p.m, MFS_IMAGE, &p.err), ERR_AGAIN, &p.err,
			"master 127.0.0.1:");
		pair_fini(&p);
	}
	talk_fini(&t);
}

/* Each event fails once; the next step goes on behind it. */
static void
failing_events(void **state)
{
	static struct talk t;

	(void)state;
	talk_init(&t, 3, 2500);
	for (int at = 0;; at++) {
		struct pair p;
		enum err rc;

		pair_start(&p);
		p.fail_at = at;
		rc = feed(&p, t.bytes.data, t.bytes.len);
		if (rc == ERR_OK)
			rc = settle(&p, &t.want);
		if (rc == ERR_OK) {
			assert_true(at > 10);
			pair_fini(&p);
			break;
		}
		must_fail(rc, ERR_CANCELLED, &p.err, "event");
		assert_int_equal(p.events, at + 1);
		/* What is here already is not waited for. */
		in_vain = 0;
		if (p.told.len < t.want.len)
			must(mfs_step(p.m, 2000, &p.err), &p.err);
		assert_int_equal(in_vain, 0);
		must(settle(&p, &t.want), &p.err);
		same_told(&p, &t.want);
		pair_fini(&p);
	}
	talk_fini(&t);
}

/* How many bytes so much told is of. */
static size_t
bytes_of(const struct talk *t, size_t told)
{
	size_t i = t->n_marks;

	while (i > 0 && t->marks[i - 1].want > told)
		i--;
	return i > 0 ? t->marks[i - 1].bytes : 0;
}

/* A step takes a part of what there is, and the next does not wait. */
static void
steps_are_bounded(void **state)
{
	static struct talk t;
	struct pair p;
	size_t most = 0, at = 0;

	(void)state;
	in_vain = 0;
	talk_init(&t, 9, 0);
	buf_clear(&t.bytes);
	buf_clear(&t.want);
	t.n_marks = 0;
	while (t.bytes.len < 8 << 20)
		talk_change(&t);
	pair_start(&p);
	for (size_t off = 0; p.told.len < t.want.len;) {
		ssize_t n = 1;

		while (off < t.bytes.len && n > 0) {
			n = send(p.fd, t.bytes.data + off, t.bytes.len - off,
				MSG_NOSIGNAL | MSG_DONTWAIT);
			off += n > 0 ? (size_t)n : 0;
		}
		must(mfs_step(p.m, 20000, &p.err), &p.err);
		n = (ssize_t)(bytes_of(&t, p.told.len) - at);
		at += (size_t)n;
		most = (size_t)n > most ? (size_t)n : most;
	}
	same_told(&p, &t.want);
	assert_true(most < 2 << 20);
	assert_int_equal(in_vain, 0);
	pair_fini(&p);
	talk_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_pieces),
		cmocka_unit_test(block_boundaries),
		cmocka_unit_test(closed_anywhere),
		cmocka_unit_test(failing_events),
		cmocka_unit_test(steps_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
