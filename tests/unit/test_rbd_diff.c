/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rbd 16.2 wrote is read as it is meant; what was cut, bent or made up is
 * refused, with the offset of the record; what is written is read again.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "format/rbd_export.h"
#include "format/rbd_file.h"
#include "tests/lib/rbd_world.h"

enum { FILE_MAX = 64 << 10, STREAM_MAX = 1 << 20 };

static size_t
sample(const char *name, uint8_t *room)
{
	char path[512];
	FILE *f;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", FORMAT_DATA, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(room, 1, FILE_MAX, f);
	assert_in_range(len, 1, FILE_MAX - 1);
	(void)fclose(f);
	return len;
}

/* Each record as text, "w 4198+2 43430000", and the head before them. */
static enum err
tell_diff(struct rbd_diff *d, FILE *out, struct error *err)
{
	const struct rbd_diff_head *h = rbd_diff_head(d);
	struct rbd_diff_range run;
	uint8_t data[4];
	enum err rc;

	(void)fprintf(out, "%s>%s %llu %d", h->from != NULL ? h->from : "-",
		h->to != NULL ? h->to : "-", (unsigned long long)h->size,
		h->is_protected);
	for (;;) {
		rc = rbd_diff_next(d, &run, err);
		if (rc != ERR_OK || run.kind == RBD_DIFF_END)
			break;
		(void)fprintf(out, "|%c%llu+%llu",
			run.kind == RBD_DIFF_ZERO ? 'z' : 'w',
			(unsigned long long)run.off,
			(unsigned long long)run.len);
		if (run.kind != RBD_DIFF_DATA)
			continue;
		memset(data, 0, sizeof(data));
		rc = rbd_diff_read(d, data,
			run.len < sizeof(data) ? (size_t)run.len : sizeof(data),
			err);
		if (rc != ERR_OK)
			break;
		(void)fprintf(out, "=%02x%02x", data[0], data[1]);
	}
	(void)fputc('\n', out);
	return rc;
}

/* *text: what was read before a failure, for the caller to free. */
static enum err
tell(const void *data, size_t len, bool skip, char **text, struct error *err)
{
	struct rbd_file *f = NULL;
	struct rbd_diff *d = NULL;
	struct rbd_mem mem;
	size_t size;
	FILE *out = open_memstream(text, &size);
	enum err rc;

	assert_non_null(out);
	rc = rbd_file_open(&f, rbd_mem_in(&mem, data, len, skip), err);
	while (rc == ERR_OK) {
		rc = rbd_file_next(f, &d, err);
		if (rc != ERR_OK || d == NULL)
			break;
		rc = tell_diff(d, out, err);
	}
	rbd_file_close(f);
	(void)fclose(out);
	return rc;
}

static void
expect(const char *name, const char *want)
{
	uint8_t *data = malloc(FILE_MAX);
	struct error err = ERROR_INIT;
	size_t len;
	char *text;

	assert_non_null(data);
	len = sample(name, data);
	for (int skip = 0; skip < 2; skip++) {
		must(tell(data, len, skip, &text, &err), &err);
		assert_string_equal(text, want);
		free(text);
	}
	free(data);
}

static void
test_samples(void **state)
{
	expect("t1.rbd-diff",
		"->s1 16384 0|w0+8=4141|w4096+104=0000|w8192+4096=4444\n");
	expect("t12.rbd-diff",
		"s1>s2 20480 0|w4198+2=4343|z8192+4096|w12288+2=4545\n");
	expect("tm.rbd-diff",
		"->s2 20480 0|w0+8=4141|w4096+102=0000|w4198+2=4343|"
		"z8192+4096|w12288+2=4545|z16384+4096\n");
}

static void
test_container(void **state)
{
	uint8_t *data = malloc(FILE_MAX);
	struct rbd_export_head h;
	struct error err = ERROR_INIT;
	struct rbd_mem mem;
	struct rbd_in *in;
	size_t len;

	assert_non_null(data);
	len = sample("tiny.rbd-image-v2", data);
	in = rbd_mem_in(&mem, data, len, false);
	must(rbd_export_read_head(&h, in, &err), &err);
	assert_int_equal(h.order, 12);
	assert_int_equal(h.features, 0x3d);
	assert_int_equal(h.stripe_unit, 4096);
	assert_int_equal(h.stripe_count, 1);
	assert_int_equal(h.n_meta, 1);
	assert_string_equal(h.meta[0].key, "k");
	assert_string_equal(h.meta[0].value, "v");
	assert_int_equal(h.n_diffs, 3);
	rbd_export_head_fini(&h);
	rbd_in_free(in);
	free(data);
	expect("tiny.rbd-image-v2",
		"->s1 16384 1|w0+8=4141|w4096+104=0000|w8192+4096=4444\n"
		"s1>s2 20480 0|w4198+2=4343|z8192+4096|w12288+2=4545\n"
		"s2>- 20480 0\n");
}

/* ---- damage ---- */

/* A sentence that begins with the offset of what is wrong, within the bytes
 * that there are. */
static void
check_sentence(const struct error *err, size_t len)
{
	unsigned long long at;

	if (sscanf(err->msg, "at byte %llu: ", &at) != 1)
		fail_msg("no offset in '%s'", err->msg);
	assert_true(at <= len);
}

static void
cut_everywhere(const char *name)
{
	uint8_t *data = malloc(FILE_MAX);
	char *text;
	size_t len;

	assert_non_null(data);
	len = sample(name, data);
	for (size_t n = 0; n < len; n++) {
		struct error err = ERROR_INIT;

		assert_int_equal(tell(data, n, n % 2 == 0, &text, &err),
			ERR_CORRUPT);
		check_sentence(&err, n);
		free(text);
	}
	free(data);
}

static void
test_truncated(void **state)
{
	cut_everywhere("t1.rbd-diff");
	cut_everywhere("t12.rbd-diff");
	cut_everywhere("t12w.rbd-diff");
	cut_everywhere("tiny.rbd-image-v2");
}

/* Either it is seen, or it only changed data, a name, a number. */
static void
flip_every_bit(const char *name)
{
	uint8_t *data = malloc(FILE_MAX);
	size_t len, refused = 0;
	char *text;

	assert_non_null(data);
	len = sample(name, data);
	for (size_t bit = 0; bit < len * 8; bit++) {
		struct error err = ERROR_INIT;
		enum err rc;

		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = tell(data, len, bit % 2 == 0, &text, &err);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		free(text);
		if (rc == ERR_OK)
			continue;
		assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION);
		check_sentence(&err, len);
		refused++;
	}
	assert_true(refused > 100);
	free(data);
}

static void
test_flipped(void **state)
{
	flip_every_bit("t12.rbd-diff");
	flip_every_bit("tiny.rbd-image-v2");
}

struct made_up {
	const char *body; /* behind the banner */
	size_t len;
	const char *want;
};

#define BODY(text)  (text), sizeof(text) - 1
#define U64(a)      a "\0\0\0\0\0\0\0"
#define SIZE_16K    "s\0\x40\0\0\0\0\0\0"
#define FULL_OFFSET "\xff\xff\xff\xff\xff\xff\xff\xff"

static const struct made_up made_up[] = {
	{ BODY("e"), "at byte 12: data begins, and the size" },
	{ BODY("f\x01\x10\0\0"), "at byte 12: a snapshot's name of 4097" },
	{ BODY("t\x03\0\0\0a\0b" SIZE_16K "e"), "with a zero byte" },
	{ BODY(SIZE_16K SIZE_16K "e"), "at byte 21: a second record 's'" },
	{ BODY("s" FULL_OFFSET "e"), "at byte 12: an image of" },
	{ BODY(SIZE_16K "p\0\0\0\0\0\0\0\0\0e"),
		"at byte 21: no record begins with the byte 0x70" },
	{ BODY(SIZE_16K "z" U64("\0") U64("\x10") "t\x01\0\0\0te"),
		"at byte 38: a record 't' after data" },
	{ BODY(SIZE_16K "z" U64("\0") U64("\0") "e"), "a range of no bytes" },
	{ BODY(SIZE_16K "z" FULL_OFFSET U64("\x10") "e"),
		"beyond what can be counted" },
	{ BODY(SIZE_16K "z" U64("\x10") U64("\x10") "z" U64("\x1f")
			  U64("\x10") "e"),
		"at byte 38: offset 31 lies before the end" },
	{ BODY(SIZE_16K "w" U64("\0") "\x01\x40\0\0\0\0\0\0"),
		"at byte 21: data up to 16385 in an image of 16384" },
	{ BODY(SIZE_16K "w" U64("\0") U64("\x10")), "within this record" },
	{ BODY(SIZE_16K), "at byte 21: the stream ends without its end" },
};

static void
test_made_up(void **state)
{
	uint8_t stream[128] = "rbd diff v1\n";
	char *text;

	for (size_t i = 0; i < ARRAY_LEN(made_up); i++) {
		const struct made_up *m = &made_up[i];
		struct error err = ERROR_INIT;

		memcpy(stream + RBD_BANNER, m->body, m->len);
		assert_int_equal(tell(stream, RBD_BANNER + m->len, i % 2 == 0,
					 &text, &err),
			ERR_CORRUPT);
		if (strstr(err.msg, m->want) == NULL)
			fail_msg("'%s', and '%s' was expected", err.msg,
				m->want);
		free(text);
	}
}

/* Zeroes that a shrunk image no longer has are cut off; what comes after the
 * end mark is of no interest. */
static void
test_tolerated(void **state)
{
	static const char stream[] =
		"rbd diff v1\n" SIZE_16K "z\xf0\x3f\0\0\0\0\0\0" U64(
			"\x20") "z\0\x50\0\0\0\0\0\0" U64("\x20") "erubbish";
	struct error err = ERROR_INIT;
	char *text;

	must(tell(stream, sizeof(stream) - 1, true, &text, &err), &err);
	assert_string_equal(text, "->- 16384 0|z16368+16\n");
	free(text);
}

/* A payload that claims more than any memory: nothing is allocated for it. */
static void
test_huge_record(void **state)
{
	static const char stream[] =
		"rbd diff v1\ns\xff\xff\xff\xff\xff\xff\xff\x7f"
		"w" U64("\0") "\xff\xff\xff\xff\xff\xff\xff\x7f"
			      "data";
	struct error err = ERROR_INIT;
	char *text;

	for (int skip = 0; skip < 2; skip++) {
		assert_int_equal(tell(stream, sizeof(stream) - 1, skip, &text,
					 &err),
			ERR_CORRUPT);
		check_sentence(&err, sizeof(stream));
		free(text);
	}
}

/* Version 2 tells how long it is, so it can be passed over; and newer versions
 * of rbd tell the length of the protection as it is. */
static void
test_unknown_record(void **state)
{
	static const char stream[] = "rbd diff v2\nq" U64("\x03") "abct" U64(
		"\x06") "\x02\0\0\0s1p" U64("\x01") "\x01s" U64("\x08")
		U64("\x40") "q" U64("\x01") "xe";
	struct error err = ERROR_INIT;
	struct rbd_diff *d = NULL;
	struct rbd_mem mem;
	struct rbd_in *in = rbd_mem_in(&mem, stream, sizeof(stream) - 1, false);
	struct rbd_diff_range run;

	must(rbd_diff_open(&d, in, RBD_DIFF_V2, &err), &err);
	must(rbd_diff_next(d, &run, &err), &err);
	assert_int_equal(run.kind, RBD_DIFF_END);
	assert_int_equal(rbd_diff_head(d)->size, 64);
	assert_true(rbd_diff_head(d)->is_protected);
	assert_string_equal(rbd_diff_head(d)->to, "s1");
	rbd_diff_close(d);
	rbd_in_free(in);
}

/* Of a container's head, too; and what it claims to have is limited. */
static void
test_container_made_up(void **state)
{
	static const struct made_up heads[] = {
		{ BODY("rbd image v2\nO" U64("\x08") U64("\x09")),
			"at byte 13: objects of order 9" },
		{ BODY("rbd image v2\nT" U64("\x04") "abcd"),
			"at byte 13: a record 'T' of 4 bytes" },
		{ BODY("rbd image v2\nM" U64("\x09") "\x01\0\0\0k"
						     "\xff\xff\xff\xff"),
			"metadata of 4294967295 bytes" },
		{ BODY("rbd image v2\nM" U64("\x0a") "\x01\0\0\0k\0\0\0\0"),
			"metadata of 10 bytes, 9 are wanted" },
		{ BODY("rbd image "
		       "v2\nq\xff\xff\xff\xff\xff\xff\xff\xff"),
			"at byte 13: the stream ends within "
			"this record" },
		{ BODY("rbd image v2\nErbd image diffs v3\n"),
			"at byte 14: no 'rbd image diffs v2'" },
		{ BODY("rbd image v2\nErbd image diffs "
		       "v2\n" FULL_OFFSET "rbd diff v2\ns" U64("\x08")
				  U64("\0") "e"),
			"at byte 71: this is not a difference "
			"stream" },
		{ BODY("rbd image v2\nErbd image diffs "
		       "v2\n" U64("\x01") "rbd diff v2\nf" U64(
			       "\x06") "\x02\0\0\0s1s" U64("\x08")
				  U64("\0") "e"),
			"the first difference does not begin "
			"at nothing" },
	};
	char *text;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(tell(heads[i].body, heads[i].len, i % 2 == 0,
					 &text, &err),
			ERR_CORRUPT);
		if (strstr(err.msg, heads[i].want) == NULL)
			fail_msg("'%s', and '%s' was expected", err.msg,
				heads[i].want);
		free(text);
	}
}

/* ---- writing ---- */

/* Copy a stream record by record, in parts of any size. */
static void
copy_diff(struct rbd_diff *d, struct rbd_out *out, enum rbd_diff_version v,
	uint64_t object, struct prng *p)
{
	struct error err = ERROR_INIT;
	struct rbd_diff_writer *w = NULL;
	struct rbd_diff_range run;
	uint8_t part[4096];

	must(rbd_diff_writer_new(&w, out, v, rbd_diff_head(d), object, &err),
		&err);
	for (;;) {
		must(rbd_diff_next(d, &run, &err), &err);
		if (run.kind == RBD_DIFF_END)
			break;
		if (run.kind == RBD_DIFF_ZERO) {
			must(rbd_diff_zero(w, run.off, run.len, &err), &err);
			continue;
		}
		must(rbd_diff_begin(w, run.off, run.len, &err), &err);
		for (size_t n; run.len > 0; run.len -= n) {
			n = 1 + prng_below(p, sizeof(part));
			n = n < run.len ? n : (size_t)run.len;
			must(rbd_diff_read(d, part, n, &err), &err);
			must(rbd_diff_put(w, part, n, &err), &err);
		}
	}
	must(rbd_diff_end(w, &err), &err);
	must(rbd_out_flush(out, &err), &err);
	rbd_diff_writer_free(w);
}

static void
copy_stream(struct buf *to, const struct buf *from, uint64_t object,
	struct prng *p)
{
	struct error err = ERROR_INIT;
	struct rbd_diff *d = NULL;
	struct rbd_out *out = NULL;
	struct rbd_mem mem;
	struct rbd_in *in = rbd_mem_in(&mem, from->data, from->len, false);
	enum rbd_diff_version v =
		from->data[10] == '1' ? RBD_DIFF_V1 : RBD_DIFF_V2;

	buf_clear(to);
	must(rbd_out_new(&out, rbd_buf_write, to, &err), &err);
	must(rbd_diff_open(&d, in, v, &err), &err);
	copy_diff(d, out, v, object, p);
	rbd_diff_close(d);
	rbd_in_free(in);
	rbd_out_free(out);
}

/* With objects that are never crossed, a copy is the same bytes. */
static void
test_copies(void **state)
{
	struct buf a = BUF_INIT(STREAM_MAX), b = BUF_INIT(STREAM_MAX);
	struct rbd_world *w = malloc(sizeof(*w));

	assert_non_null(w);
	for (uint64_t seed = 1; seed <= 40; seed++) {
		rbd_world_init(w, seed);
		for (unsigned i = 0; i < 5; i++) {
			rbd_world_live(w);
			buf_clear(&a);
			rbd_world_diff(w, &a, i, i == 4, seed % 2 == 0);
			copy_stream(&b, &a, 1 << 30, &w->p);
			assert_int_equal(a.len, b.len);
			assert_memory_equal(a.data, b.data, a.len);
		}
	}
	free(w);
	buf_fini(&a);
	buf_fini(&b);
}

/* No record crosses the border of an object. */
static void
test_split(void **state)
{
	static const char stream[] =
		"rbd diff v1\ns\0\x40\0\0\0\0\0\0w" U64("\x05")
			U64("\x14") "0123456789abcdefghij"
				    "e";
	struct buf a = BUF_INIT(STREAM_MAX), b = BUF_INIT(STREAM_MAX);
	struct error err = ERROR_INIT;
	struct prng p;
	char *text;

	prng_init(&p, 7);
	must(buf_put(&a, stream, sizeof(stream) - 1, &err), &err);
	copy_stream(&b, &a, 8, &p);
	must(tell(b.data, b.len, true, &text, &err), &err);
	assert_string_equal(text,
		"->- 16384 0|w5+3=3031|w8+8=3334|w16+8=6263|w24+1=6a00\n");
	free(text);
	buf_fini(&a);
	buf_fini(&b);
}

static void
test_container_again(void **state)
{
	uint8_t *data = malloc(FILE_MAX);
	struct buf out = BUF_INIT(STREAM_MAX);
	struct rbd_export_head h;
	struct rbd_out *o = NULL;
	struct rbd_diff *d = NULL;
	struct error err = ERROR_INIT;
	struct rbd_mem mem;
	struct rbd_in *in;
	struct prng p;
	size_t len;

	assert_non_null(data);
	prng_init(&p, 1);
	len = sample("tiny.rbd-image-v2", data);
	in = rbd_mem_in(&mem, data, len, false);
	must(rbd_out_new(&o, rbd_buf_write, &out, &err), &err);
	must(rbd_export_read_head(&h, in, &err), &err);
	must(rbd_export_write_head(o, &h, &err), &err);
	for (uint64_t i = 0; i < h.n_diffs; i++) {
		must(rbd_diff_open(&d, in, RBD_DIFF_V2, &err), &err);
		copy_diff(d, o, RBD_DIFF_V2, 1 << 12, &p);
		rbd_diff_close(d);
	}
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, data, len);
	rbd_export_head_fini(&h);
	rbd_in_free(in);
	rbd_out_free(o);
	buf_fini(&out);
	free(data);
}

/* ---- a pipe ---- */

static void *
stop_soon(void *arg)
{
	(void)usleep(50000);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

/* Who waits for a pipe sees by itself that it is to end: the signal that said
 * so may have come just before it waited. */
static void
test_stopped(void **state)
{
	struct error err = ERROR_INIT;
	atomic_bool stop = false;
	struct rbd_in *in = NULL;
	pthread_t thread;
	char path[64], have[8];
	size_t got = 0;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "1234", 4), 4);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	must(rbd_in_open_file(&in, path, true, &stop, &err), &err);
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stop), 0);
	must_fail(rbd_in_read(in, have, sizeof(have), &got, &err),
		ERR_CANCELLED, &err, "interrupted");
	assert_int_equal(pthread_join(thread, NULL), 0);
	rbd_in_free(in);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_container),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_made_up),
		cmocka_unit_test(test_tolerated),
		cmocka_unit_test(test_huge_record),
		cmocka_unit_test(test_unknown_record),
		cmocka_unit_test(test_container_made_up),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_container_again),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
