/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "model/snapshot.h"
#include "tests/lib/prng.h"

enum { ROUNDS = 2000, OUT_MAX = 1 << 20 };

static struct error err;

static char *
random_text(struct prng *p)
{
	size_t len = prng_below(p, 40);
	char *text = calloc(1, len + 1);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(1 + prng_below(p, 255));
	return text;
}

static void
random_strings(struct prng *p, struct strings *s)
{
	for (uint64_t n = prng_below(p, 6); n > 0; n--) {
		char *text = random_text(p);

		assert_int_equal(strings_add(s, text, &err), ERR_OK);
		assert_true(strings_have(s, text));
		free(text);
	}
}

static uint64_t
random_number(struct prng *p)
{
	return prng_next(p) >> prng_below(p, 64);
}

static void
random_snapshot(struct prng *p, struct snapshot *s)
{
	uint64_t *figure = &s->figures.entries;

	snapshot_init(s);
	prng_fill(p, s->root.b, ID_LEN);
	s->begin = (struct when){ (int64_t)prng_next(p), 999999999 };
	s->end = (struct when){ -(int64_t)random_number(p), 0 };
	s->host = prng_below(p, 4) > 0 ? random_text(p) : NULL;
	s->user = prng_below(p, 4) > 0 ? random_text(p) : NULL;
	s->program = prng_below(p, 4) > 0 ? random_text(p) : NULL;
	random_strings(p, &s->sources);
	random_strings(p, &s->tags);
	s->has_parent = prng_below(p, 2) == 0;
	if (s->has_parent)
		prng_fill(p, s->parent.b, UID_LEN);
	for (size_t i = 0; i < sizeof(s->figures) / sizeof(*figure); i++)
		figure[i] = random_number(p);
	s->flags = prng_below(p, 3);
}

static void
same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static void
same_snapshot(const struct snapshot *a, const struct snapshot *b)
{
	assert_true(id_eq(&a->root, &b->root));
	assert_int_equal(when_cmp(&a->begin, &b->begin), 0);
	assert_int_equal(when_cmp(&a->end, &b->end), 0);
	same_text(a->host, b->host);
	same_text(a->user, b->user);
	same_text(a->program, b->program);
	assert_true(strings_eq(&a->sources, &b->sources));
	assert_true(strings_eq(&a->tags, &b->tags));
	assert_int_equal(a->has_parent, b->has_parent);
	assert_memory_equal(a->parent.b, b->parent.b, UID_LEN);
	assert_memory_equal(&a->figures, &b->figures, sizeof(a->figures));
	assert_int_equal(a->flags, b->flags);
}

static void
round_trip(void **state)
{
	struct buf out = BUF_INIT(OUT_MAX);
	struct prng p;

	prng_init(&p, 21);
	for (int i = 0; i < ROUNDS; i++) {
		struct snapshot a, b;

		random_snapshot(&p, &a);
		snapshot_init(&b);
		b.uid.b[3] = 7;
		buf_clear(&out);
		assert_int_equal(snapshot_encode(&a, &out, &err), ERR_OK);
		assert_int_equal(snapshot_decode(&b, out.data, out.len, &err),
			ERR_OK);
		same_snapshot(&a, &b);
		assert_int_equal(b.uid.b[3], 7);
		snapshot_fini(&a);
		snapshot_fini(&b);
	}
	buf_fini(&out);
}

/* Property: cut off or changed bytes are an error or another snapshot, and a
 * failure leaves the snapshot as it was. */
static void
damage(void **state)
{
	struct buf out = BUF_INIT(OUT_MAX), copy = BUF_INIT(OUT_MAX);
	unsigned refused = 0;
	struct prng p;

	prng_init(&p, 22);
	for (int i = 0; i < ROUNDS; i++) {
		struct snapshot a, b;
		size_t len;

		random_snapshot(&p, &a);
		buf_clear(&out);
		assert_int_equal(snapshot_encode(&a, &out, &err), ERR_OK);
		buf_clear(&copy);
		len = prng_below(&p, 2) == 0 ? prng_below(&p, out.len)
					     : out.len;
		assert_int_equal(buf_put(&copy, out.data, len, &err), ERR_OK);
		if (copy.len > 0)
			copy.data[prng_below(&p, copy.len)] ^=
				(uint8_t)(1u << prng_below(&p, 8));
		snapshot_init(&b);
		b.flags = 77;
		if (snapshot_decode(&b, copy.data, copy.len, &err) != ERR_OK) {
			assert_int_equal(err.code, ERR_CORRUPT);
			assert_int_equal(b.flags, 77);
			refused++;
		}
		snapshot_fini(&a);
		snapshot_fini(&b);
	}
	assert_in_range(refused, ROUNDS / 4, ROUNDS);
	buf_fini(&out);
	buf_fini(&copy);
}

static void
unknown_tags_are_skipped_and_double_ones_refused(void **state)
{
	struct buf out = BUF_INIT(OUT_MAX);
	struct snapshot a, b;
	struct prng p;
	size_t len;

	prng_init(&p, 23);
	random_snapshot(&p, &a);
	snapshot_init(&b);
	assert_int_equal(snapshot_encode(&a, &out, &err), ERR_OK);
	len = out.len;
	assert_int_equal(buf_put(&out, "\xc8\x03xyz", 5, &err), ERR_OK);
	assert_int_equal(snapshot_decode(&b, out.data, out.len, &err), ERR_OK);
	same_snapshot(&a, &b);
	out.len = len;
	assert_int_equal(buf_put(&out, "\x02\x02\x00\x00", 4, &err), ERR_OK);
	assert_int_equal(snapshot_decode(&b, out.data, out.len, &err),
		ERR_CORRUPT);
	snapshot_fini(&a);
	snapshot_fini(&b);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damage),
		cmocka_unit_test(
			unknown_tags_are_skipped_and_double_ones_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
