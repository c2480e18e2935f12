/* SPDX-License-Identifier: Apache-2.0 */
/* What store.h promises, checked for every kind of store. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/conformance/store_kinds.h"
#include "tests/lib/scale.h"

static const struct kind *kind_now;
static unsigned fds_before;

#define must(w, call) must_be(w, ERR_OK, call)
#define must_be(w, want, call) \
	check_code(&(w)->err, #call, want, call, __FILE__, __LINE__)

static void
check_code(struct error *err, const char *call, enum err want, enum err have,
	const char *file, int line)
{
	if (have != want) {
		print_error("%s: %s, not %s: %s\n", call, err_name(have),
			err_name(want), have == ERR_OK ? "" : err->msg);
		_fail(file, line);
	}
	/* Success leaves the caller's error alone. */
	if (have == ERR_OK && err->code != ERR_OK) {
		print_error("%s: touched the error: %s\n", call, err->msg);
		_fail(file, line);
	}
	*err = ERROR_INIT;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->kind = kind_now;
	w->err = ERROR_INIT;
	prng_init(&w->rng, 42);
	fds_before = store_kinds_fds();
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test-store-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	must(w, w->kind->open(w));
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	store_close(w->st);
	store_kinds_rm(w->dir);
	assert_int_equal(store_kinds_fds(), fds_before);
	free(w);
	return 0;
}

/*
 * The model: what each of these names holds.  Among them are prefixes of each
 * other as text that are none by components, and the longest names allowed.
 */
#define PART60 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
#define PART64 PART60 "cdef"

static const char *const names[] = { "a", "b", "packs/3f", "packs/3/x",
	"packs/3g/x", "packs/3g/y", "packs/3g.x", "packs/3g-/x", "packs.x/3",
	"index/0/" PART64, "index/1/" PART64, "x/y/z/1/2/3/4/5",
	"x/y/z/1/2/3/4/6", PART64 "/" PART64 "/" PART64 "/" PART60 };

static const char *const prefixes[] = { "", "a", "packs", "packs/3", "packs/3g",
	"packs/3f", "pack", "index", "index/0", "x/y/z", "x/y/z/1/2/3/4",
	"x/y/z/1/2/3/4/5", "nothing", "nothing/here", PART64,
	"index/0/" PART64 };

enum { N_NAMES = ARRAY_LEN(names), LEN_MAX = 5000 };

struct model {
	bool there[N_NAMES];
	size_t len[N_NAMES];
	uint8_t data[N_NAMES][LEN_MAX];
	unsigned listed[N_NAMES];
};

static bool
is_below(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return len == 0 ||
	       (strncmp(name, prefix, len) == 0 && name[len] == '/');
}

static enum err
count_listed(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct model *m = arg;

	for (size_t i = 0; i < N_NAMES; i++)
		if (strcmp(names[i], name) == 0) {
			assert_true(m->there[i]);
			assert_int_equal(size, m->len[i]);
			m->listed[i]++;
			return ERR_OK;
		}
	print_error("listed what was never put: %s\n", name);
	fail();
	return ERR_OK;
}

static void
check_list(struct world *w, struct model *m, const char *prefix)
{
	memset(m->listed, 0, sizeof(m->listed));
	must(w, store_list(w->st, prefix, count_listed, m, &w->err));
	for (size_t i = 0; i < N_NAMES; i++)
		assert_int_equal(m->listed[i],
			m->there[i] && is_below(names[i], prefix));
}

static void
check_all(struct world *w, struct model *m)
{
	struct buf out = BUF_INIT(LEN_MAX);

	for (size_t i = 0; i < N_NAMES; i++) {
		buf_clear(&out);
		must_be(w, m->there[i] ? ERR_OK : ERR_NOTFOUND,
			store_get_all(w->st, names[i], LEN_MAX, &out, &w->err));
		assert_int_equal(out.len, m->there[i] ? m->len[i] : 0);
		if (out.len > 0)
			assert_memory_equal(out.data, m->data[i], out.len);
	}
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		check_list(w, m, prefixes[i]);
	buf_fini(&out);
}

/* Never the bytes that the object has: through a lossy connection nobody can
 * tell such a put from its own earlier attempt. */
static void
model_put(struct world *w, struct model *m, struct prng *p, size_t i)
{
	uint8_t data[LEN_MAX];
	size_t len =
		prng_below(p, 4) == 0 ? 0 : 16 + prng_below(p, LEN_MAX - 16);

	prng_fill(p, data, len);
	if (m->there[i] && m->len[i] == 0 && len == 0)
		return;
	must_be(w, m->there[i] ? ERR_EXISTS : ERR_OK,
		store_put(w->st, names[i], len == 0 ? NULL : data, len,
			&w->err));
	if (m->there[i])
		return;
	m->there[i] = true;
	m->len[i] = len;
	memcpy(m->data[i], data, len);
}

/* A range of the object, or around its end; what buf held stays. */
static void
model_get(struct world *w, struct model *m, struct prng *p, size_t i)
{
	struct buf out = BUF_INIT(3 * LEN_MAX);
	uint64_t off = prng_below(p, m->len[i] + 3);
	size_t len = prng_below(p, m->len[i] + 3);
	bool fits = off <= m->len[i] && len <= m->len[i] - off;

	if (prng_below(p, 50) == 0)
		off = UINT64_MAX - prng_below(p, 3);
	if (prng_below(p, 50) == 0)
		len = SIZE_MAX - prng_below(p, 3);
	fits = off <= m->len[i] && len <= m->len[i] - off;
	must(w, buf_put(&out, "before", 6, &w->err));
	must_be(w,
		!m->there[i] ? ERR_NOTFOUND
		: fits       ? ERR_OK
			     : ERR_CORRUPT,
		store_get(w->st, names[i], off, len, &out, &w->err));
	assert_int_equal(out.len, m->there[i] && fits ? 6 + len : 6);
	assert_memory_equal(out.data, "before", 6);
	if (out.len > 6)
		assert_memory_equal(out.data + 6, m->data[i] + off, len);
	buf_fini(&out);
}

static void
model_del(struct world *w, struct model *m, size_t i)
{
	enum err rc = store_del(w->st, names[i], &w->err);

	if (!m->there[i] && w->kind->lossy && rc == ERR_OK)
		return;
	check_code(&w->err, "del", m->there[i] ? ERR_OK : ERR_NOTFOUND, rc,
		__FILE__, __LINE__);
	m->there[i] = false;
	m->len[i] = 0;
}

static void
model_size(struct world *w, struct model *m, size_t i)
{
	uint64_t size = 77;

	must_be(w, m->there[i] ? ERR_OK : ERR_NOTFOUND,
		store_size(w->st, names[i], &size, &w->err));
	assert_int_equal(size, m->there[i] ? m->len[i] : 77);
}

/* Property: a store does what the model does, over any sequence of calls. */
static void
test_model(void **state)
{
	struct world *w = *state;
	struct model *m = calloc(1, sizeof(*m));
	struct prng p;

	assert_non_null(m);
	for (uint64_t seed = 1; seed <= test_scale(8); seed++) {
		prng_init(&p, seed);
		print_message("seed %llu\n", (unsigned long long)seed);
		for (unsigned n = 0; n < 400; n++) {
			size_t i = prng_below(&p, N_NAMES);

			switch (prng_below(&p, 6)) {
			case 0:
			case 1:
				model_put(w, m, &p, i);
				break;
			case 2:
				model_get(w, m, &p, i);
				break;
			case 3:
				model_size(w, m, i);
				break;
			case 4:
				model_del(w, m, i);
				break;
			default:
				check_list(w, m,
					prefixes[prng_below(&p,
						ARRAY_LEN(prefixes))]);
			}
		}
		check_all(w, m);
		if (w->kind->persists) {
			store_close(w->st);
			must(w, w->kind->open(w));
			check_all(w, m);
		}
	}
	free(m);
}

static enum err
count_one(void *arg, const char *name, uint64_t size, struct error *err)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

static void
test_hostile_names(void **state)
{
	static const char *const bad[] = { "/", "/abs", "a/", "a//b", "//", ".",
		"..", "../a", "a/..", "a/../b", "./a", "a/.", ".a", "a/.a", "A",
		"a/B", "a b", " ", "a\nb", "a\\b", "a:b", "a*", "\xc3\xa4",
		"a\x7f", "~", PART64 "0", "a/" PART64 "0", "1/2/3/4/5/6/7/8/9",
		"1/2/3/4/5/6/7/8/", PART64 "/" PART64 "/" PART64 "/" PART64 };
	struct world *w = *state;
	struct buf out = BUF_INIT(100);
	uint64_t size;
	struct when t;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *name = bad[i];

		assert_false(store_name_ok(name));
		must_be(w, ERR_USAGE, store_put(w->st, name, "x", 1, &w->err));
		must_be(w, ERR_USAGE,
			store_get(w->st, name, 0, 0, &out, &w->err));
		must_be(w, ERR_USAGE,
			store_get_all(w->st, name, 9, &out, &w->err));
		must_be(w, ERR_USAGE, store_size(w->st, name, &size, &w->err));
		must_be(w, ERR_USAGE, store_time(w->st, name, &t, &w->err));
		must_be(w, ERR_USAGE, store_del(w->st, name, &w->err));
		must_be(w, ERR_USAGE,
			store_list(w->st, name, count_one, &n, &w->err));
	}
	assert_false(store_name_ok(""));
	must_be(w, ERR_USAGE, store_put(w->st, "", "x", 1, &w->err));
	must(w, store_list(w->st, "", count_one, &n, &w->err));
	assert_int_equal(n, 0);
	assert_int_equal(out.len, 0);
}

/* Property: a string is a name just when the grammar says so, put otherwise
 * than store.c does: by the longest match of each part. */
static bool
grammar(const char *s)
{
	unsigned parts = 0;
	size_t len = strlen(s), n;

	if (len > STORE_NAME_MAX)
		return false;
	for (;;) {
		n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-");
		if (n < 1 || n > 64 || s[0] == '.' || ++parts > 8)
			return false;
		if (s[n] == '\0')
			return true;
		if (s[n] != '/')
			return false;
		s += n + 1;
	}
}

static void
test_grammar(void **state)
{
	static const char alphabet[] = "az09._-/aaaaaaaaaaaaaaaaaaaaaaA";
	char s[300];
	struct prng p;
	unsigned n_ok = 0;

	prng_init(&p, 1);
	for (unsigned n = 0; n < 200000; n++) {
		size_t len = prng_below(&p, prng_below(&p, 2) ? 20 : 280);
		size_t of = sizeof(alphabet) - 1 - prng_below(&p, 2);

		for (size_t i = 0; i < len; i++)
			s[i] = alphabet[prng_below(&p, of)];
		s[len] = '\0';
		if (store_name_ok(s) != grammar(s)) {
			print_error("\"%s\"\n", s);
			fail();
		}
		n_ok += grammar(s);
	}
	assert_in_range(n_ok, 10000, 190000);
}

/* "A name is never also a prefix." */
static void
test_prefix_is_no_name(void **state)
{
	struct world *w = *state;
	struct buf out = BUF_INIT(100);
	uint64_t size;
	unsigned n = 0;

	must(w, store_put(w->st, "d/e/f", "1", 1, &w->err));
	must_be(w, ERR_USAGE, store_put(w->st, "d/e", "2", 1, &w->err));
	must_be(w, ERR_USAGE, store_put(w->st, "d", "3", 1, &w->err));
	must_be(w, ERR_USAGE, store_put(w->st, "d/e/f/g", "4", 1, &w->err));
	must_be(w, ERR_USAGE, store_put(w->st, "d/e/f/g/h", "5", 1, &w->err));
	must_be(w, ERR_NOTFOUND, store_get(w->st, "d/e", 0, 0, &out, &w->err));
	must_be(w, ERR_NOTFOUND, store_size(w->st, "d", &size, &w->err));
	must_be(w, ERR_NOTFOUND,
		store_get(w->st, "d/e/f/g", 0, 0, &out, &w->err));
	if (!w->kind->lossy) {
		must_be(w, ERR_NOTFOUND, store_del(w->st, "d/e", &w->err));
		must_be(w, ERR_NOTFOUND, store_del(w->st, "d/e/f/g", &w->err));
	}
	must(w, store_list(w->st, "", count_one, &n, &w->err));
	assert_int_equal(n, 1);
}

/* The kernel dates files by the last tick of its clock, so up to a hundredth
 * of a second before the call. */
static void
check_time(struct world *w, const char *name, const struct when *from,
	const struct when *to)
{
	struct when t = { 0 }, early = *from;

	early.sec--;
	must(w, store_time(w->st, name, &t, &w->err));
	assert_true(when_cmp(&early, &t) <= 0);
	assert_true(when_cmp(&t, to) <= 0);
	assert_in_range(t.nsec, 0, 999999999);
}

/* Objects are dated by their put, and by nothing that comes later; what never
 * was has no date. */
static void
test_time(void **state)
{
	struct world *w = *state;
	struct when from[N_NAMES], to[N_NAMES], was[N_NAMES];
	struct when t = { 77, 7 };
	struct buf out = BUF_INIT(10);

	must_be(w, ERR_NOTFOUND, store_time(w->st, names[0], &t, &w->err));
	assert_true(t.sec == 77 && t.nsec == 7);
	for (size_t i = 0; i < N_NAMES; i++) {
		from[i] = when_now();
		must(w, store_put(w->st, names[i], "x", 1, &w->err));
		to[i] = when_now();
		check_time(w, names[i], &from[i], &to[i]);
		must(w, store_time(w->st, names[i], &was[i], &w->err));
	}
	(void)usleep(20000);
	for (size_t i = 0; i < N_NAMES; i++) {
		must(w, store_get(w->st, names[i], 0, 1, &out, &w->err));
		buf_clear(&out);
		must_be(w, ERR_EXISTS,
			store_put(w->st, names[i], "yy", 2, &w->err));
	}
	if (w->kind->persists) {
		store_close(w->st);
		must(w, w->kind->open(w));
	}
	for (size_t i = 0; i < N_NAMES; i++) {
		must(w, store_time(w->st, names[i], &t, &w->err));
		assert_int_equal(when_cmp(&t, &was[i]), 0);
	}
	must_be(w, ERR_NOTFOUND, store_time(w->st, "packs", &t, &w->err));
	must(w, store_del(w->st, names[0], &w->err));
	must_be(w, ERR_NOTFOUND, store_time(w->st, names[0], &t, &w->err));
	buf_fini(&out);
}

/* The largest objects are some tens of MiB. */
static void
test_large(void **state)
{
	enum { LEN = 20 << 20 };
	struct world *w = *state;
	uint8_t *data = malloc(LEN);
	struct buf out = BUF_INIT(LEN);
	struct prng p;
	uint64_t size = 0;

	assert_non_null(data);
	prng_init(&p, 7);
	prng_fill(&p, data, LEN);
	must(w, store_put(w->st, "packs/00/large", data, LEN, &w->err));
	must(w, store_size(w->st, "packs/00/large", &size, &w->err));
	assert_int_equal(size, LEN);
	must_be(w, ERR_CORRUPT,
		store_get_all(w->st, "packs/00/large", LEN - 1, &out, &w->err));
	must(w, store_get_all(w->st, "packs/00/large", LEN, &out, &w->err));
	assert_int_equal(out.len, LEN);
	assert_true(memcmp(out.data, data, LEN) == 0);
	must_be(w, ERR_NOMEM,
		store_get(w->st, "packs/00/large", 0, 1, &out, &w->err));
	assert_int_equal(out.len, LEN);
	for (unsigned n = 0; n < 200; n++) {
		size_t off = prng_below(&p, LEN);
		size_t len = prng_below(&p, LEN - off) % 100000;

		buf_clear(&out);
		must(w, store_get(w->st, "packs/00/large", off, len, &out,
				&w->err));
		assert_int_equal(out.len, len);
		assert_true(memcmp(out.data, data + off, len) == 0);
	}
	must(w, store_del(w->st, "packs/00/large", &w->err));
	must_be(w, ERR_NOTFOUND,
		store_get(w->st, "packs/00/large", 0, 1, &out, &w->err));
	buf_fini(&out);
	free(data);
}

static void
test_counters(void **state)
{
	struct world *w = *state;
	struct buf out = BUF_INIT(100);

	must(w, store_put(w->st, "a", "12345", 5, &w->err));
	must_be(w, ERR_EXISTS, store_put(w->st, "a", "other", 5, &w->err));
	must(w, store_get(w->st, "a", 1, 3, &out, &w->err));
	must(w, store_get_all(w->st, "a", 9, &out, &w->err));
	must_be(w, ERR_CORRUPT, store_get(w->st, "a", 4, 2, &out, &w->err));
	assert_int_equal(w->st->n_put, 1);
	assert_int_equal(w->st->bytes_put, 5);
	assert_int_equal(w->st->n_get, 2);
	assert_int_equal(w->st->bytes_got, 8);
	assert_memory_equal(out.data, "23412345", 8);
	buf_fini(&out);
}

/* 20 threads put one name at the same time, each with bytes of its own. */
enum { RACERS = 20, RACE_LEN_MAX = 60000 };

struct race {
	struct store *st;
	const char *name;
	pthread_barrier_t start;
	_Atomic unsigned next, running;
	enum err result[RACERS];
};

static size_t
racer_bytes(unsigned who, uint8_t *data)
{
	struct prng p;
	size_t len;

	prng_init(&p, who);
	len = 1 + prng_below(&p, RACE_LEN_MAX);
	prng_fill(&p, data, len);
	data[0] = (uint8_t)who;
	return len;
}

static void *
racer(void *arg)
{
	struct race *r = arg;
	unsigned who = r->next++;
	struct error err = ERROR_INIT;
	uint8_t data[RACE_LEN_MAX + 1];
	size_t len = racer_bytes(who, data);

	(void)pthread_barrier_wait(&r->start);
	r->result[who] = store_put(r->st, r->name, data, len, &err);
	r->running--;
	return NULL;
}

/* What is read meanwhile is nothing, or all that one of them put.  The one it
 * is, RACERS if none. */
static unsigned
race_winner(struct world *w, const char *name)
{
	struct buf out = BUF_INIT(RACE_LEN_MAX + 1);
	uint8_t want[RACE_LEN_MAX + 1];
	unsigned who = RACERS;
	enum err rc;

	rc = store_get_all(w->st, name, RACE_LEN_MAX + 1, &out, &w->err);
	if (rc == ERR_NOTFOUND) {
		w->err = ERROR_INIT;
		goto out;
	}
	must(w, rc);
	assert_true(out.len > 0);
	who = out.data[0];
	assert_true(who < RACERS);
	assert_int_equal(out.len, racer_bytes(who, want));
	assert_true(memcmp(out.data, want, out.len) == 0);
out:
	buf_fini(&out);
	return who;
}

static void
race_once(struct world *w, const char *name)
{
	struct race r = { .st = w->st, .name = name, .running = RACERS };
	pthread_t t[RACERS];
	unsigned seen = RACERS, now, winners = 0;

	assert_int_equal(pthread_barrier_init(&r.start, NULL, RACERS), 0);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, racer, &r), 0);
	do {
		bool over = r.running == 0;

		now = race_winner(w, name);
		/* Once seen it is there for good; at the end there is one. */
		assert_true(seen == RACERS || now == seen);
		assert_true(!over || now < RACERS);
		seen = now;
	} while (r.running > 0 || seen == RACERS);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	for (unsigned i = 0; i < RACERS; i++) {
		if (r.result[i] == ERR_OK)
			winners += i == seen ? 1 : 100;
		else
			assert_int_equal(r.result[i], ERR_EXISTS);
	}
	assert_int_equal(winners, 1);
	(void)pthread_barrier_destroy(&r.start);
}

static void
test_race(void **state)
{
	struct world *w = *state;
	char name[40];

	for (unsigned n = 0; n < test_scale(20); n++) {
		(void)snprintf(name, sizeof(name), "race/%u/x", n);
		race_once(w, name);
	}
}

/* Listing while others put: what was there before is listed once, what comes
 * meanwhile at most once and whole, all of it afterwards. */
enum { PUTTERS = 3, BEFORE = 60, MEANWHILE = 60 };

struct putter {
	struct world *w;
	unsigned who;
	_Atomic unsigned *running;
	bool failed;
};

static size_t
item_len(unsigned who, unsigned n)
{
	return (who * 977 + n * 131) % 3000;
}

static void *
putter(void *arg)
{
	static const uint8_t zero[3000];
	struct putter *p = arg;
	struct error err = ERROR_INIT;
	char name[40];

	for (unsigned n = 0; n < MEANWHILE && !p->failed; n++) {
		(void)snprintf(name, sizeof(name), "list/%u/%u-%u", n % 7,
			p->who, n);
		p->failed = store_put(p->w->st, name, zero, item_len(p->who, n),
				    &err) != ERR_OK;
	}
	--*p->running;
	return NULL;
}

static enum err
count_item(void *arg, const char *name, uint64_t size, struct error *err)
{
	unsigned(*seen)[MEANWHILE] = arg;
	unsigned dir, who, n;
	int end = 0;

	assert_int_equal(sscanf(name, "list/%u/%u-%u%n", &dir, &who, &n, &end),
		3);
	assert_true(name[end] == '\0' && who <= PUTTERS && n < MEANWHILE);
	assert_int_equal(dir, n % 7);
	assert_int_equal(size, item_len(who, n));
	seen[who][n]++;
	return ERR_OK;
}

static void
check_items(struct world *w, const char *prefix, bool all)
{
	unsigned seen[PUTTERS + 1][MEANWHILE] = { 0 };

	must(w, store_list(w->st, prefix, count_item, seen, &w->err));
	for (unsigned who = 0; who <= PUTTERS; who++)
		for (unsigned n = 0; n < MEANWHILE; n++) {
			assert_true(seen[who][n] <= 1);
			if (all || who == PUTTERS)
				assert_int_equal(seen[who][n], 1);
		}
}

static void
test_list_while_putting(void **state)
{
	struct world *w = *state;
	struct putter before = { .w = w, .who = PUTTERS }, p[PUTTERS];
	_Atomic unsigned running = 1;
	pthread_t t[PUTTERS];

	before.running = &running;
	(void)putter(&before);
	assert_false(before.failed);
	running = PUTTERS;
	for (unsigned i = 0; i < PUTTERS; i++) {
		p[i] = (struct putter){ w, i, &running, false };
		assert_int_equal(pthread_create(&t[i], NULL, putter, &p[i]), 0);
	}
	do
		check_items(w, "list", false);
	while (running > 0);
	for (unsigned i = 0; i < PUTTERS; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_false(p[i].failed);
	}
	check_items(w, "", true);
}

struct stop {
	struct world *w;
	unsigned left;
};

static enum err
stop_after(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct stop *s = arg;
	uint64_t again = 0;

	/* The store may be used from here. */
	must(s->w, store_size(s->w->st, name, &again, &s->w->err));
	assert_int_equal(again, size);
	assert_true(s->left > 0);
	if (--s->left == 0)
		return err_set(err, ERR_CANCELLED, "enough");
	return ERR_OK;
}

static void
test_list_stops(void **state)
{
	struct world *w = *state;
	struct stop s = { w, 3 };
	struct error err = ERROR_INIT;
	char name[20];

	for (unsigned n = 0; n < 10; n++) {
		(void)snprintf(name, sizeof(name), "s/%u/x", n);
		must(w, store_put(w->st, name, name, n, &w->err));
	}
	assert_int_equal(store_list(w->st, "s", stop_after, &s, &err),
		ERR_CANCELLED);
	assert_string_equal(err.msg, "enough");
	assert_int_equal(s.left, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_model),
		T(test_hostile_names),
		T(test_grammar),
		T(test_prefix_is_no_name),
		T(test_time),
		T(test_large),
		T(test_counters),
		T(test_race),
		T(test_list_while_putting),
		T(test_list_stops),
#undef T
	};
	int failed = 0;

	for (size_t i = 0; i < store_kinds_n; i++) {
		kind_now = &store_kinds[i];
		failed += cmocka_run_group_tests_name(kind_now->name, tests,
			NULL, NULL);
	}
	return failed == 0 ? 0 : 1;
}
