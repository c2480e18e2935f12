/* SPDX-License-Identifier: Apache-2.0 */
/* Marks against a plain state machine; roles, forgeries, and what is damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/maintenance.h"
#include "repo/mark_object.h"
#include "repo/marks.h"
#include "store/store_fault.h"
#include "tests/lib/repo_tools.h"
#include "tests/lib/scale.h"

enum { N_SNAPS = 4 };

static struct keyset ks;
static struct store *st;
static struct error err;

static int
begin(void **state)
{
	err = ERROR_INIT;
	must(keyset_new(&ks, &err), &err);
	st = tool_store();
	return 0;
}

static int
end(void **state)
{
	store_close(st);
	keyset_wipe(&ks);
	return 0;
}

static struct snapshot_name
snap_name(size_t i)
{
	struct snapshot_name name;

	/* Two of each namespace; in no order. */
	memset(&name.ns, 0x40 - (int)(i % 2), UID_LEN);
	memset(&name.sid, 0x77 - (int)i, UID_LEN);
	return name;
}

static void
object_of(const struct snapshot_name *name, char out[STORE_NAME_MAX + 1])
{
	char ns[UID_HEX + 1], sid[UID_HEX + 1];

	hex_encode(name->ns.b, UID_LEN, ns);
	hex_encode(name->sid.b, UID_LEN, sid);
	(void)snprintf(out, STORE_NAME_MAX + 1, "snapshots/%s/%s", ns, sid);
}

static void
put_snapshot(size_t i)
{
	struct snapshot_name name = snap_name(i);
	char object[STORE_NAME_MAX + 1];

	object_of(&name, object);
	must(store_put(st, object, "x", 1, &err), &err);
}

static void
never_bad(void *arg, const char *name, const struct error *why)
{
	fail_msg("%s: %s", name, why->msg);
}

/* What a snapshot has been through. */
struct life {
	bool there, forgotten, swept, held;
	uint64_t k;
	bool has_k;
	char held_for[16], forgotten_for[16];
};

static void
check_reason(const struct mark *m, const char *want)
{
	struct buf out = BUF_INIT(100);

	must(marks_reason(st, &ks, m, &out, &err), &err);
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
	buf_fini(&out);
}

static void
check_lives(const struct life *lives)
{
	struct marks marks;
	size_t n = 0;

	must(marks_read(&marks, st, &ks, never_bad, NULL, &err), &err);
	for (size_t i = 0; i < N_SNAPS; i++) {
		struct snapshot_name name = snap_name(i);
		const struct mark *m = marks_find(&marks, &name);
		const struct life *l = &lives[i];

		assert_int_equal(m != NULL, l->has_k || l->held);
		if (m == NULL)
			continue;
		n++;
		assert_int_equal(m->forgotten, l->forgotten);
		assert_int_equal(m->swept, l->swept);
		assert_int_equal(m->held, l->held);
		assert_int_equal(m->has_k, l->has_k);
		if (l->has_k)
			assert_int_equal(m->k, l->k);
		check_reason(m, l->held ? l->held_for : l->forgotten_for);
	}
	assert_int_equal(marks.n, n);
	for (size_t i = 1; i < marks.n; i++)
		assert_true(memcmp(&marks.v[i - 1].name, &marks.v[i].name,
				    sizeof(struct snapshot_name)) < 0);
	marks_fini(&marks);
}

static void
expect(enum err have, enum err want)
{
	if (have != want)
		fail_msg("%s (%s), %s expected", err_name(have), err.msg,
			err_name(want));
	err = ERROR_INIT;
}

static void
do_forget(struct life *l, const struct snapshot_name *name, struct prng *p)
{
	char why[16];

	(void)snprintf(why, sizeof(why), "f%u", (unsigned)prng_below(p, 999));
	expect(marks_forget(st, &ks, name, why, &err),
		l->held ? ERR_USAGE : ERR_OK);
	if (l->held || l->forgotten)
		return;
	l->k = l->has_k ? l->k + 1 : 0;
	l->forgotten = l->has_k = true;
	memcpy(l->forgotten_for, why, sizeof(why));
}

static void
do_hold(struct life *l, const struct snapshot_name *name, struct prng *p)
{
	char why[16];

	(void)snprintf(why, sizeof(why), "h%u", (unsigned)prng_below(p, 999));
	expect(marks_hold(st, &ks, name, why, &err), l->forgotten ? ERR_USAGE
						     : l->there   ? ERR_OK
								: ERR_NOTFOUND);
	if (l->forgotten || l->held || !l->there)
		return;
	l->held = true;
	memcpy(l->held_for, why, sizeof(why));
}

static void
do_sweep(struct life *l, const struct snapshot_name *name)
{
	struct doomed d = { *name, l->k };
	bool swept = false;

	if (!l->has_k)
		return;
	must(marks_sweep(st, &ks, &d, &swept, &err), &err);
	assert_int_equal(swept, l->forgotten);
	l->swept = l->forgotten;
}

static void
do_remove(struct life *l, const struct snapshot_name *name)
{
	char object[STORE_NAME_MAX + 1];

	if (!l->swept)
		return;
	object_of(name, object);
	if (l->there)
		must(store_del(st, object, &err), &err);
	must(marks_remove(st, name, &err), &err);
	*l = (struct life){ .there = false };
}

static void
one_step(struct life *lives, struct prng *p)
{
	size_t i = prng_below(p, N_SNAPS);
	struct snapshot_name name = snap_name(i);
	struct life *l = &lives[i];

	switch (prng_below(p, 12)) {
	case 0:
	case 1:
	case 2:
		if (l->there)
			do_forget(l, &name, p);
		break;
	case 3:
	case 4:
	case 5:
		expect(marks_undelete(st, &ks, &name, &err),
			!l->forgotten ? ERR_NOTFOUND
			: l->swept    ? ERR_EXISTS
				      : ERR_OK);
		if (!l->swept)
			l->forgotten = false;
		break;
	case 6:
	case 7:
		do_hold(l, &name, p);
		break;
	case 8:
	case 9:
		expect(marks_release(st, &ks, &name, &err),
			l->held ? ERR_OK : ERR_NOTFOUND);
		l->held = false;
		break;
	case 10:
		do_sweep(l, &name);
		break;
	default:
		if (prng_below(p, 3) == 0)
			do_remove(l, &name);
		break;
	}
}

/* Property: over any sequence of calls, marks say what happened. */
static void
test_model(void **state)
{
	struct prng p;

	for (uint64_t seed = 1; seed <= test_scale(60); seed++) {
		struct life lives[N_SNAPS] = { 0 };

		print_message("seed %llu\n", (unsigned long long)seed);
		prng_init(&p, seed);
		(void)end(NULL);
		(void)begin(NULL);
		for (size_t i = 0; i < N_SNAPS; i++) {
			put_snapshot(i);
			lives[i].there = true;
		}
		for (unsigned n = 0; n < 60; n++) {
			one_step(lives, &p);
			check_lives(lives);
		}
	}
}

/* Who has no maintenance key changes nothing; who has, does. */
static void
test_roles(void **state)
{
	struct snapshot_name name = snap_name(0);
	struct keyset other = ks;
	struct marks marks;
	unsigned n = 0;

	put_snapshot(0);
	other.has_maint = false;
	expect(marks_forget(st, &other, &name, "", &err), ERR_DENIED);
	expect(marks_hold(st, &other, &name, "", &err), ERR_DENIED);
	must(marks_forget(st, &ks, &name, "", &err), &err);
	expect(marks_undelete(st, &other, &name, &err), ERR_DENIED);
	must(marks_undelete(st, &ks, &name, &err), &err);
	must(marks_hold(st, &ks, &name, "", &err), &err);
	expect(marks_release(st, &other, &name, &err), ERR_DENIED);
	must(marks_read(&marks, st, &other, never_bad, &n, &err), &err);
	assert_true(marks.n == 1 && marks.v[0].held);
	marks_fini(&marks);
}

static void
count_bad(void *arg, const char *name, const struct error *why)
{
	assert_true(why->code == ERR_CORRUPT || why->code == ERR_VERSION);
	assert_true(strlen(why->msg) > 0);
	++*(unsigned *)arg;
}

/* Put what somebody else's key has signed, or garbage. */
static void
put_forged(enum mark_kind kind, uint64_t k, bool garbage)
{
	struct mark_object o = { kind, snap_name(0), k };
	char name[STORE_NAME_MAX + 1];
	struct when t = { 1, 1 };
	struct buf plain = BUF_INIT(100);
	struct keyset thief = ks;

	mark_object_name(name, &o);
	if (garbage) {
		must(store_put(st, name, "garbage", 7, &err), &err);
		return;
	}
	must(sign_keypair(&thief.maint_pub, &thief.maint_seed, &err), &err);
	if (kind == MARK_END)
		must(buf_put_u8(&plain, MARK_UNDELETED, &err), &err);
	else
		must(mark_object_encode(&plain, &t, "", &err), &err);
	must(maintenance_put(st, &thief, mark_object_box(kind), name,
		     plain.data, plain.len, &err),
		&err);
	buf_fini(&plain);
}

/* A stolen writer's key seals boxes, but signs nothing that counts: its marks
 * do not forget, its holds do not hold, its ends do not end; and it cannot
 * keep a number from being used. */
static void
test_forged(void **state)
{
	struct snapshot_name name = snap_name(0);
	struct doomed d = { name, 2 };
	struct marks marks;
	unsigned n;
	bool swept = true;

	for (unsigned garbage = 0; garbage < 2; garbage++) {
		(void)end(NULL);
		(void)begin(NULL);
		put_snapshot(0);
		put_forged(MARK_FORGOTTEN, 0, garbage);
		put_forged(MARK_FORGOTTEN, 1, garbage);
		put_forged(MARK_HOLD, 0, garbage);
		n = 0;
		must(marks_read(&marks, st, &ks, count_bad, &n, &err), &err);
		assert_int_equal(n, 3);
		assert_int_equal(marks.n, 0);
		marks_fini(&marks);
		expect(marks_undelete(st, &ks, &name, &err), ERR_NOTFOUND);
		must(marks_forget(st, &ks, &name, "true", &err), &err);
		put_forged(MARK_END, 2, garbage);
		n = 0;
		must(marks_read(&marks, st, &ks, count_bad, &n, &err), &err);
		assert_int_equal(n, 4);
		assert_int_equal(marks.n, 1);
		assert_true(marks.v[0].forgotten && marks.v[0].k == 2);
		assert_false(marks.v[0].held || marks.v[0].swept);
		marks_fini(&marks);
		/* Nobody can tell who was first any more: it stays. */
		expect(marks_undelete(st, &ks, &name, &err), ERR_CORRUPT);
		must(marks_sweep(st, &ks, &d, &swept, &err), &err);
		assert_false(swept);
		/* A hold that means nothing is in the way until released. */
		must(marks_remove(st, &name, &err), &err);
		put_forged(MARK_HOLD, 0, garbage);
		expect(marks_hold(st, &ks, &name, "", &err), ERR_EXISTS);
		must(marks_release(st, &ks, &name, &err), &err);
		must(marks_hold(st, &ks, &name, "", &err), &err);
	}
}

/* Names that no mark has are told of, and never read. */
static void
test_strange_names(void **state)
{
#define HEX32 "0123456789abcdef0123456789abcdef"
	static const char *const strange[] = { "forgotten/x", "holds/x",
		"forgotten/" HEX32, "holds/" HEX32,
		"forgotten/" HEX32 "x/" HEX32 ".0",
		"forgotten/" HEX32 "y/" HEX32, "holds/" HEX32 "z/" HEX32 ".0",
		"forgotten/0" HEX32 "/" HEX32 ".00",
		"forgotten/1" HEX32 "/" HEX32 "." };
	static const char *const no_names[] = { "forgotten/" HEX32 "/" HEX32,
		"forgotten/" HEX32 "/" HEX32 ".",
		"forgotten/" HEX32 "/" HEX32 ".00",
		"forgotten/" HEX32 "/" HEX32 ".01",
		"forgotten/" HEX32 "/" HEX32 ".0.End",
		"forgotten/" HEX32 "/" HEX32 ".0.end.end",
		"forgotten/" HEX32 "/" HEX32 ".1234567890123456789",
		"forgotten/" HEX32 "/" HEX32 ".-1",
		"forgotten/" HEX32 HEX32 ".0", "holds/" HEX32 "/" HEX32 ".0",
		"holds/" HEX32 "/" HEX32 "0", "hold/" HEX32 "/" HEX32, "" };
	struct mark_object o;
	struct marks marks;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		must(store_put(st, strange[i], "x", 1, &err), &err);
	must(marks_read(&marks, st, &ks, count_bad, &n, &err), &err);
	assert_int_equal(n, ARRAY_LEN(strange));
	assert_int_equal(marks.n, 0);
	marks_fini(&marks);
	for (size_t i = 0; i < ARRAY_LEN(no_names); i++)
		assert_false(mark_object_parse(&o, no_names[i]));
}

/* Property: what an object is called says what it is, and back. */
static void
test_names(void **state)
{
	char name[STORE_NAME_MAX + 1];
	struct mark_object o, back;
	struct prng p;

	prng_init(&p, 1);
	for (unsigned n = 0; n < 3000; n++) {
		memset(&o, 0, sizeof(o));
		memset(&back, 0, sizeof(back));
		o.kind = (enum mark_kind)prng_below(&p, 3);
		prng_fill(&p, &o.name, sizeof(o.name));
		if (o.kind != MARK_HOLD)
			o.k = prng_below(&p,
				prng_below(&p, 2) ? 12 : MARK_K_MAX + 1);
		mark_object_name(name, &o);
		assert_true(store_name_ok(name));
		assert_true(mark_object_parse(&back, name));
		assert_memory_equal(&o, &back, sizeof(o));
	}
}

/* A thousand bits of an object, flipped one by one: it never turns into
 * another mark, and reading never fails for it. */
static void
test_flipped(void **state)
{
	struct snapshot_name name = snap_name(0);
	struct mark_object o = { MARK_FORGOTTEN, name, 0 };
	char object[STORE_NAME_MAX + 1];
	struct marks marks;
	uint64_t size, bits;
	unsigned n;

	put_snapshot(0);
	must(marks_forget(st, &ks, &name, "because", &err), &err);
	mark_object_name(object, &o);
	must(store_size(st, object, &size, &err), &err);
	bits = size * 8;
	for (uint64_t bit = 0; bit < bits; bit++) {
		must(store_mem_flip(st, object, bit, &err), &err);
		n = 0;
		must(marks_read(&marks, st, &ks, count_bad, &n, &err), &err);
		assert_int_equal(marks.n, 0);
		assert_int_equal(n, 1);
		marks_fini(&marks);
		must(store_mem_flip(st, object, bit, &err), &err);
	}
}

struct failing {
	uint64_t at; /* of this read */
	uint64_t n;
};

static enum fault
fail_at(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct failing *f = arg;

	return ++f->n == f->at ? FAULT_BEFORE : FAULT_NONE;
}

/* A store that fails is not a mark that is missing: whichever operation it
 * is. */
static void
test_read_fails(void **state)
{
	struct failing f = { 0, 0 };
	struct fault_plan plan = { fail_at, &f, ERR_IO };
	struct store *copy = NULL, *faulty = NULL;
	struct snapshot_name name;
	struct marks marks;
	enum err rc;

	for (size_t i = 0; i < N_SNAPS; i++) {
		put_snapshot(i);
		name = snap_name(i);
		must(marks_forget(st, &ks, &name, "", &err), &err);
		if (i == 0)
			must(marks_undelete(st, &ks, &name, &err), &err);
		if (i == 0)
			must(marks_hold(st, &ks, &name, "", &err), &err);
	}
	must(store_mem_clone(&copy, st, &err), &err);
	must(store_fault_new(&faulty, copy, &plan, &err), &err);
	do {
		f.at++;
		f.n = 0;
		rc = marks_read(&marks, faulty, &ks, NULL, NULL, &err);
		expect(rc, f.n >= f.at ? ERR_IO : ERR_OK);
	} while (rc != ERR_OK);
	assert_true(f.n > 2 * N_SNAPS);
	assert_int_equal(marks.n, N_SNAPS);
	marks_fini(&marks);
	store_close(faulty);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
		T(test_model),
		T(test_roles),
		T(test_forged),
		T(test_strange_names),
		T(test_names),
		T(test_flipped),
		T(test_read_fails),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
