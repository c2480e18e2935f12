/* SPDX-License-Identifier: Apache-2.0 */
/* A file gives back what was put into it, or nothing at all. */
#include "tests/lib/repo_tools.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "repo/nodefile.h"

enum { NODES = 700, LEN_MAX = 3000 };

static struct error err;
static struct keyset keys;

struct sample {
	struct id id;
	size_t head_len, len;
	uint8_t bytes[LEN_MAX];
};

static void
sample_make(struct sample *s, struct prng *p, size_t len_max)
{
	prng_fill(p, s->id.b, ID_LEN);
	s->len = prng_below(p, len_max + 1);
	s->head_len = prng_below(p, s->len + 1);
	prng_fill(p, s->bytes, s->len);
}

static int
make_file(const struct sample *v, size_t n, const struct id *root)
{
	struct nodefile f;
	int fd = memfd_create("nodes", MFD_CLOEXEC), mine;

	assert_true(fd >= 0);
	must(nodefile_init(&f, &keys, &err), &err);
	mine = dup(fd);
	must(nodefile_create(&f, mine, &err), &err);
	for (size_t i = 0; i < n; i++) {
		struct node_bytes node = { v[i].bytes, v[i].head_len,
			v[i].bytes + v[i].head_len, v[i].len - v[i].head_len };

		must(nodefile_append(&f, &v[i].id, &node, &err), &err);
	}
	must(nodefile_finish(&f, root, &err), &err);
	assert_int_equal(lseek(fd, 0, SEEK_END), nodefile_size(&f, 0, 0));
	nodefile_fini(&f);
	return fd;
}

static void
check_file(struct nodefile *f, const struct sample *v, size_t n)
{
	struct buf b = BUF_INIT(LEN_MAX + 1);
	struct id absent = v[0].id;

	assert_int_equal(f->n, n);
	for (size_t i = 0; i < n; i++) {
		const struct nodefile_rec *rec = nodefile_find(f, &v[i].id);

		assert_non_null(rec);
		assert_int_equal(rec->head_len, v[i].head_len);
		b.len = i % 2;
		must(nodefile_read(f, rec, &b, &err), &err);
		assert_int_equal(b.len, v[i].len + i % 2);
		if (v[i].len > 0)
			assert_memory_equal(b.data + i % 2, v[i].bytes,
				v[i].len);
	}
	absent.b[ID_LEN - 1] ^= 1;
	assert_null(nodefile_find(f, &absent));
	buf_fini(&b);
}

static void
test_round_trip(void **state)
{
	static const size_t counts[] = { 1, 2, 127, 128, 129, NODES };
	struct sample *v = calloc(NODES, sizeof(*v));
	struct nodefile f;
	struct prng p;

	prng_init(&p, 1);
	for (size_t i = 0; i < NODES; i++)
		sample_make(&v[i], &p, LEN_MAX);
	must(nodefile_init(&f, &keys, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		must(nodefile_load(&f, make_file(v, counts[i], &v[0].id), &err),
			&err);
		assert_true(id_eq(&f.root, &v[0].id));
		check_file(&f, v, counts[i]);
	}
	nodefile_fini(&f);
	free(v);
}

/* What size says of a file to come is true. */
static void
test_size(void **state)
{
	struct nodefile none;
	struct sample v[3];
	uint64_t len = 0;
	struct prng p;
	int fd;

	prng_init(&p, 2);
	must(nodefile_init(&none, &keys, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		sample_make(&v[i], &p, LEN_MAX);
		len += v[i].len;
	}
	fd = make_file(v, ARRAY_LEN(v), &v[0].id);
	assert_int_equal(lseek(fd, 0, SEEK_END),
		nodefile_size(&none, ARRAY_LEN(v), len));
	(void)close(fd);
	nodefile_fini(&none);
}

static void
must_refuse(struct nodefile *f, int fd)
{
	must_fail(nodefile_load(f, dup(fd), &err), ERR_CORRUPT, &err, "");
	assert_int_equal(f->fd, -1);
	assert_int_equal(f->n, 0);
}

/* Each byte of it counts, and each missing or additional one. */
static void
test_damage(void **state)
{
	struct sample v[3];
	struct nodefile f;
	struct prng p;
	uint8_t byte, bad;
	off_t size;
	int fd;

	prng_init(&p, 3);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		sample_make(&v[i], &p, 200);
	fd = make_file(v, ARRAY_LEN(v), &v[2].id);
	size = lseek(fd, 0, SEEK_END);
	must(nodefile_init(&f, &keys, &err), &err);
	for (off_t at = 0; at < size; at++) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		bad = (uint8_t)(byte ^ (1u << prng_below(&p, 8)));
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		must_refuse(&f, fd);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	must(nodefile_load(&f, dup(fd), &err), &err);
	check_file(&f, v, ARRAY_LEN(v));
	assert_int_equal(pwrite(fd, "", 1, size), 1);
	must_refuse(&f, fd);
	for (off_t len = size - 1; len >= 0; len--) {
		assert_int_equal(ftruncate(fd, len), 0);
		must_refuse(&f, fd);
	}
	nodefile_fini(&f);
	(void)close(fd);
}

/* Whose keys are others does not read it. */
static void
test_other_keys(void **state)
{
	struct keyset other = keys;
	struct nodefile f;
	struct sample v;
	struct prng p;
	int fd;

	prng_init(&p, 4);
	sample_make(&v, &p, LEN_MAX);
	fd = make_file(&v, 1, &v.id);
	for (unsigned i = 0; i < 2; i++) {
		struct secret *s = i == 0 ? &other.structure : &other.id;

		s->b[7] ^= 1;
		must(nodefile_init(&f, &other, &err), &err);
		must_refuse(&f, fd);
		nodefile_fini(&f);
		s->b[7] ^= 1;
	}
	(void)close(fd);
}

/* Numbers begin again with each file, so no two files share a key. */
static void
test_fresh_salt(void **state)
{
	struct sample v;
	uint8_t a[64], b[64];
	struct prng p;
	int fd[2];

	prng_init(&p, 5);
	do
		sample_make(&v, &p, LEN_MAX);
	while (v.len < sizeof(a));
	for (unsigned i = 0; i < 2; i++)
		fd[i] = make_file(&v, 1, &v.id);
	assert_int_equal(pread(fd[0], a, sizeof(a), NODEFILE_HEADER),
		sizeof(a));
	assert_int_equal(pread(fd[1], b, sizeof(b), NODEFILE_HEADER),
		sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, v.bytes, sizeof(a));
	(void)close(fd[0]);
	(void)close(fd[1]);
}

static int
setup(void **state)
{
	return keyset_new(&keys, &err) == ERR_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	keyset_wipe(&keys);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_other_keys),
		cmocka_unit_test(test_fresh_salt),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
