/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "model/rbd_record.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { SEEDS = 1500, LIST_MAX = 20, RECORD_MAX = 1 << 20 };

/* Any bytes but NUL, the hostile ones more often; NULL as well. */
static char *
draw_text(struct prng *p, bool may_lack)
{
	static const char odd[] = "@/.\"\\\n\x01\x7f\xff\xc3\xa9{}[]:,";
	size_t len = prng_below(p, 30);
	char *text = malloc(len + 1);

	assert_non_null(text);
	if (may_lack && prng_below(p, 3) == 0) {
		free(text);
		return NULL;
	}
	for (size_t i = 0; i < len; i++)
		text[i] = prng_below(p, 2) == 0
				  ? odd[prng_below(p, sizeof(odd) - 1)]
				  : (char)(1 + prng_below(p, 255));
	text[len] = '\0';
	return text;
}

static uint64_t
draw_size(struct prng *p)
{
	return (prng_next(p) & INT64_MAX) >> prng_below(p, 60);
}

static void
draw_parent(struct prng *p, struct rbd_record *r)
{
	r->has_parent = prng_below(p, 2) == 0;
	if (!r->has_parent)
		return;
	r->parent.pool = draw_text(p, false);
	r->parent.ns = draw_text(p, true);
	r->parent.image = draw_text(p, false);
	r->parent.image_id = draw_text(p, true);
	r->parent.snap = draw_text(p, false);
	r->parent.snap_id = prng_next(p);
	r->parent.overlap = draw_size(p);
}

static void
draw_lists(struct prng *p, struct rbd_record *r)
{
	uint64_t n = prng_below(p, LIST_MAX), end = 0;
	struct error err = ERROR_INIT;

	for (uint64_t i = 0; i < n; i++) {
		char *a = draw_text(p, false), *b = draw_text(p, false);

		assert_int_equal(rbd_record_add_meta(r, a, b, &err), ERR_OK);
		assert_int_equal(rbd_record_add_snap(r, a, prng_next(p),
					 draw_size(p), prng_below(p, 2), &err),
			ERR_OK);
		free(a);
		free(b);
	}
	r->older_known = prng_below(p, 2) == 0;
	for (uint64_t i = 0; r->older_known && i < n; i++) {
		uint64_t off = end + prng_below(p, 1 << 30);

		end = off + prng_below(p, 1 << 30) + 1;
		must(ranges_add(&r->older, off, end - off, &err), &err);
	}
}

static void
draw(struct prng *p, struct rbd_record *r)
{
	rbd_record_init(r);
	r->fsid = draw_text(p, true);
	r->pool = draw_text(p, false);
	r->ns = draw_text(p, true);
	r->image = draw_text(p, false);
	r->image_id = draw_text(p, true);
	r->snap = draw_text(p, true);
	r->snap_id = prng_next(p);
	r->taken.sec = (int64_t)prng_below(p, 4000000000);
	r->taken.nsec = (uint32_t)prng_below(p, 1000000000);
	r->size = draw_size(p);
	r->order = (unsigned)prng_below(p, 2) * 22;
	r->features = prng_next(p);
	r->stripe_unit = draw_size(p);
	r->stripe_count = draw_size(p);
	r->data_pool = draw_text(p, true);
	r->parent_data = prng_below(p, 2);
	r->why_full = draw_text(p, true);
	draw_parent(p, r);
	draw_lists(p, r);
}

static void
same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static void
same_lists(const struct rbd_record *a, const struct rbd_record *b)
{
	assert_int_equal(a->n_meta, b->n_meta);
	for (size_t i = 0; i < a->n_meta; i++) {
		same_text(a->meta[i].key, b->meta[i].key);
		same_text(a->meta[i].value, b->meta[i].value);
	}
	assert_int_equal(a->n_snaps, b->n_snaps);
	for (size_t i = 0; i < a->n_snaps; i++) {
		same_text(a->snaps[i].name, b->snaps[i].name);
		assert_true(
			a->snaps[i].id == b->snaps[i].id &&
			a->snaps[i].size == b->snaps[i].size &&
			a->snaps[i].is_protected == b->snaps[i].is_protected);
	}
	assert_int_equal(a->older_known, b->older_known);
	assert_int_equal(a->older.n, b->older.n);
	for (size_t i = 0; i < a->older.n; i++) {
		assert_int_equal(a->older.v[i].off, b->older.v[i].off);
		assert_int_equal(a->older.v[i].end, b->older.v[i].end);
	}
}

static void
same(const struct rbd_record *a, const struct rbd_record *b)
{
	same_text(a->fsid, b->fsid);
	same_text(a->pool, b->pool);
	same_text(a->ns, b->ns);
	same_text(a->image, b->image);
	same_text(a->image_id, b->image_id);
	same_text(a->snap, b->snap);
	same_text(a->data_pool, b->data_pool);
	same_text(a->why_full, b->why_full);
	assert_true(a->snap_id == b->snap_id);
	assert_int_equal(when_cmp(&a->taken, &b->taken), 0);
	assert_true(a->size == b->size && a->order == b->order &&
		    a->features == b->features &&
		    a->stripe_unit == b->stripe_unit &&
		    a->stripe_count == b->stripe_count &&
		    a->parent_data == b->parent_data &&
		    a->has_parent == b->has_parent);
	same_text(a->parent.pool, b->parent.pool);
	same_text(a->parent.ns, b->parent.ns);
	same_text(a->parent.image, b->parent.image);
	same_text(a->parent.image_id, b->parent.image_id);
	same_text(a->parent.snap, b->parent.snap);
	assert_true(a->parent.snap_id == b->parent.snap_id &&
		    a->parent.overlap == b->parent.overlap);
	same_lists(a, b);
}

static void
test_round_trip(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct buf out = BUF_INIT(RECORD_MAX);
		struct error err = ERROR_INIT;
		struct rbd_record a, b;
		struct prng p;

		prng_init(&p, seed);
		draw(&p, &a);
		rbd_record_init(&b);
		assert_int_equal(rbd_record_encode(&a, &out, &err), ERR_OK);
		if (rbd_record_decode(&b, out.data, out.len, &err) != ERR_OK)
			fail_msg("seed %llu: %s", (unsigned long long)seed,
				err.msg);
		same(&a, &b);
		rbd_record_fini(&a);
		rbd_record_fini(&b);
		buf_fini(&out);
	}
}

/* Bytes changed, cut out or doubled: a record, or ERR_CORRUPT; and what is
 * believed once is believed again after a round trip. */
static void
test_damage(void **state)
{
	for (uint64_t seed = 0; seed < 20 * SEEDS; seed++) {
		struct buf out = BUF_INIT(RECORD_MAX);
		struct buf again = BUF_INIT(RECORD_MAX);
		struct error err = ERROR_INIT;
		struct rbd_record r, s;
		struct prng p;
		size_t at, len;

		prng_init(&p, seed);
		draw(&p, &r);
		rbd_record_init(&s);
		assert_int_equal(rbd_record_encode(&r, &out, &err), ERR_OK);
		at = prng_below(&p, out.len);
		len = prng_below(&p, 8);
		if (len > out.len - at)
			len = out.len - at;
		if (prng_below(&p, 2) == 0)
			out.data[at] = (uint8_t) "09-\"}],x"[len];
		else
			memmove(out.data + at, out.data + at + len,
				out.len - at - len);
		if (rbd_record_decode(&r, out.data, out.len, &err) != ERR_OK) {
			assert_int_equal(err.code, ERR_CORRUPT);
		} else {
			assert_int_equal(rbd_record_encode(&r, &again, &err),
				ERR_OK);
			assert_int_equal(rbd_record_decode(&s, again.data,
						 again.len, &err),
				ERR_OK);
			same(&r, &s);
		}
		rbd_record_fini(&r);
		rbd_record_fini(&s);
		buf_fini(&again);
		buf_fini(&out);
	}
}

static void
test_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{}", "'size' is not a number" },
		{ "[]", "'size' is not a number" },
		{ "{\"size\":-1}", "'size' is not a number" },
		{ "{\"size\":\"9223372036854775808\"}", "more than" },
		{ "{\"size\":1,\"order\":11}", "'order' is 11" },
		{ "{\"size\":1,\"order\":27}", "'order' is 27" },
		{ "{\"size\":1,\"pool\":7}", "'pool' is not text" },
		{ "{\"size\":1,\"pool_base64\":\"AAAA\"}", "zero byte" },
		{ "{\"size\":1,\"taken\":\"noon\"}", "'taken'" },
		{ "{\"size\":1,\"parent\":[]}", "'parent'" },
		{ "{\"size\":1,\"metadata\":[{\"key\":\"k\"}]}", "its half" },
		{ "{\"size\":1,\"snapshots\":[{\"id\":1}]}", "no name" },
		{ "{\"size\":1,\"snapshots\":[1]}", "element 0" },
		{ "{\"size\":1,\"older\":[1]}", "'older'" },
		{ "{\"size\":1,\"older\":[5,5,9,1]}", "out of order" },
		{ "{\"size\":1,\"older\":[9223372036854775807,1]}", "more" },
	};
	struct error err = ERROR_INIT;
	struct rbd_record r;

	rbd_record_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(rbd_record_decode(&r, cases[i].text,
					 strlen(cases[i].text), &err),
			ERR_CORRUPT);
		if (strstr(err.msg, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].text, err.msg);
	}
	assert_int_equal(rbd_record_decode(&r, "{\"size\":1,\"new\":[]}", 19,
				 &err),
		ERR_OK);
	assert_false(r.older_known);
	rbd_record_fini(&r);
}

/* Of any names: no key at all, or three that a tree can hold and that no
 * other image has. */
static void
test_keys(void **state)
{
	enum err (*const make[])(struct buf *, const char *, const char *,
		const char *, struct error *) = { rbd_image_key, rbd_record_key,
		rbd_own_key };
	struct prng p;

	prng_init(&p, 77);
	for (unsigned n = 0; n < 40000; n++) {
		char *pool = draw_text(&p, false), *ns = draw_text(&p, true);
		char *image = draw_text(&p, false);
		struct error err = ERROR_INIT;

		for (unsigned i = 0; i < ARRAY_LEN(make); i++) {
			struct buf key = BUF_INIT(KEY_MAX);
			const uint8_t *last;
			size_t len;

			if (make[i](&key, pool, ns, image, &err) != ERR_OK) {
				assert_int_equal(err.code, ERR_USAGE);
				assert_int_equal(key.len, 0);
				continue;
			}
			assert_true(key_ok(key.data, key.len));
			assert_int_equal(key_depth(key.data, key.len),
				ns != NULL && ns[0] != '\0' ? 4 : 3);
			last = key_base(key.data, key.len, &len);
			assert_memory_equal(last, image, strlen(image));
			assert_int_equal(len == strlen(image), i == 0);
			buf_fini(&key);
		}
		free(pool);
		free(ns);
		free(image);
	}
}

static void
test_key_limits(void **state)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct error err = ERROR_INIT;
	char name[COMPONENT_MAX + 1];

	memset(name, 'x', sizeof(name));
	name[COMPONENT_MAX - 9] = '\0';
	assert_int_equal(rbd_record_key(&key, "p", "n", name, &err), ERR_OK);
	assert_true(key_ok(key.data, key.len));
	assert_memory_equal(key.data, "images\0p\0@n\0x", 13);
	name[COMPONENT_MAX - 9] = 'x';
	name[COMPONENT_MAX - 8] = '\0';
	/* Neither: its record would have no place. */
	assert_int_equal(rbd_image_key(&key, "p", "n", name, &err), ERR_USAGE);
	assert_int_equal(rbd_image_key(&key, "p", NULL, "a@b", &err),
		ERR_USAGE);
	assert_int_equal(rbd_image_key(&key, "..", NULL, "a", &err), ERR_USAGE);
	buf_fini(&key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_key_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
