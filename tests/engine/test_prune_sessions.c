/* SPDX-License-Identifier: Apache-2.0 */
/* Who stands in the way of a prune, for how long, and what becomes of him; what
 * a prune leaves alone, and when it refuses. */
#include <stdio.h>
#include <stdlib.h>

#include "repo/writer.h"
#include "store/store_fault.h"
#include "tests/engine/prunes.h"

enum { HOUR = 3600 };

static void
make_past(struct prunes *p, uint64_t seed)
{
	struct error err = ERROR_INIT;

	prunes_init(p, seed);
	p->size_max = 120000;
	for (unsigned i = 0; i < 4; i++) {
		prunes_change(p);
		must(prunes_backup(p, p->st, &err), &err);
	}
	must(prunes_forget(p, p->st, 0, &err), &err);
	must(prunes_forget(p, p->st, 1, &err), &err);
}

static struct prune_figures
prune(struct prunes *p)
{
	struct prune_conf conf = prunes_conf(p);
	struct error err = ERROR_INIT;
	struct prune_figures f;

	must(prunes_prune(p, p->st, &conf, &f, &err), &err);
	return f;
}

static void
clean_up(struct prunes *p)
{
	prunes_verify(p);
	prunes_settle(p);
	prunes_verify(p);
	prunes_verify_clean(p);
	prunes_fini(p);
}

/* A backup that has stored something and commits when it likes. */
struct sleeper {
	struct repo *repo;
	struct lane *lane;
	struct writer *writer;
	uint64_t n;
};

static void
sleeper_store(struct sleeper *s, bool flush)
{
	struct error err = ERROR_INIT;
	uint8_t data[3000];
	struct id id;

	tool_bytes(++s->n * 1001, data, sizeof(data));
	must(writer_put_data(s->writer, s->lane, data, sizeof(data), &id, NULL,
		     &err),
		&err);
	if (flush)
		must(writer_flush(s->writer, &err), &err);
}

static void
sleeper_init(struct sleeper *s, struct prunes *p)
{
	struct writer_conf conf = { .host = "sleeper" };
	struct error err = ERROR_INIT;

	*s = (struct sleeper){ .repo = tool_open(p->st, TOOL_PASS) };
	s->lane = tool_lane(s->repo);
	must(writer_open(&s->writer, s->repo, &conf, &err), &err);
	sleeper_store(s, true);
}

static enum err
sleeper_commit(struct sleeper *s, const struct snapshot *like,
	struct error *err)
{
	struct buf record = BUF_INIT(1 << 20);
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	snap.root = like->root;
	must(snapshot_encode(&snap, &record, err), err);
	rc = writer_commit(s->writer, record.data, record.len, err);
	buf_fini(&record);
	snapshot_fini(&snap);
	return rc;
}

static void
sleeper_fini(struct sleeper *s)
{
	writer_free(s->writer);
	lane_free(s->lane);
	repo_close(s->repo);
}

static void
test_waited_for(void **state)
{
	struct error err = ERROR_INIT;
	struct prune_figures f;
	struct sleeper s;
	struct prunes p;

	make_past(&p, 1);
	sleeper_init(&s, &p);
	f = prune(&p);
	assert_true(f.waiting);
	assert_int_equal(f.sessions_open, 1);
	assert_int_equal(f.sessions_fenced, 0);
	assert_int_equal(f.packs_deleted, 0);
	/* What it relies on is in packs that were condemned: a snapshot that
	 * was forgotten. */
	must(sleeper_commit(&s, &p.past[0].snap, &err), &err);
	sleeper_fini(&s);
	f = prune(&p);
	assert_false(f.waiting);
	assert_true(f.packs_spared > 0);
	p.past[0].name.sid = p.past[0].snap.uid;
	prunes_verify(&p);
	/* Its tree is that of the swept one. */
	prunes_read(&p, p.st, 0);
	prunes_settle(&p);
	prunes_read(&p, p.st, 0);
	assert_int_equal(prunes_size(&p, "snapshots").n_objects, 3);
	prunes_fini(&p);
}

static void
test_fenced(void **state)
{
	struct error err = ERROR_INIT;
	struct prune_figures f;
	struct sleeper s, late;
	struct prunes p;

	make_past(&p, 2);
	sleeper_init(&s, &p);
	sleeper_init(&late, &p);
	p.now += 20 * HOUR;
	sleeper_store(&s, true);
	p.now += 5 * HOUR;
	/* One of them gave a sign of life five hours ago. */
	f = prune(&p);
	assert_true(f.waiting);
	assert_int_equal(f.sessions_open, 1);
	assert_int_equal(f.sessions_fenced, 1);
	p.now += 20 * HOUR;
	f = prune(&p);
	assert_false(f.waiting);
	assert_int_equal(f.sessions_fenced, 1);
	assert_int_equal(prunes_size(&p, "snapshots").n_objects, 2);
	/* Their fences are gone by now; nevertheless they cannot commit. */
	assert_int_equal(sleeper_commit(&s, &p.past[3].snap, &err), ERR_EXISTS);
	sleeper_fini(&s);
	prunes_verify(&p);
	prunes_settle(&p);
	assert_int_equal(sleeper_commit(&late, &p.past[3].snap, &err),
		ERR_EXISTS);
	sleeper_fini(&late);
	clean_up(&p);
}

static void
test_unreadable_session(void **state)
{
	static const char name[] =
		"sessions/00112233445566778899aabbccddeeff.start";
	struct prune_conf conf;
	struct error err = ERROR_INIT;
	struct prune_figures f;
	struct prunes p;

	make_past(&p, 3);
	conf = prunes_conf(&p);
	must(store_put(p.st, name, "junk", 4, &err), &err);
	must_fail(prunes_prune(&p, p.st, &conf, &f, &err), ERR_CORRUPT, &err,
		name);
	assert_non_null(strstr(err.msg, "remove that object"));
	prunes_verify(&p);
	p.now += 29 * PRUNES_DAY;
	must_fail(prunes_prune(&p, p.st, &conf, &f, &err), ERR_CORRUPT, &err,
		name);
	p.now += 2 * PRUNES_DAY;
	f = prune(&p);
	assert_int_equal(f.snapshots_swept, 2);
	clean_up(&p);
}

/* ---- a store that keeps what it has ---- */

static enum fault
keep_packs(void *arg, uint64_t n, enum store_op op, const char *name)
{
	const char *what = arg;

	return op == STORE_DEL && strncmp(name, what, strlen(what)) == 0
		       ? FAULT_BEFORE
		       : FAULT_NONE;
}

static void
test_retention(void **state)
{
	static char kept[][16] = { "packs", "", "snapshots", "index" };

	for (unsigned i = 0; i < ARRAY_LEN(kept); i++) {
		struct fault_plan plan = { keep_packs, kept[i], ERR_DENIED };
		struct prune_conf conf;
		struct error err = ERROR_INIT;
		struct prune_figures f;
		struct store *st;
		struct prunes p;
		uint64_t before;

		make_past(&p, 4);
		conf = prunes_conf(&p);
		before = prunes_size(&p, kept[i]).n_objects;
		must(store_fault_new(&st, p.st, &plan, &err), &err);
		must(prunes_prune(&p, st, &conf, &f, &err), &err);
		assert_true(f.retained > 0);
		assert_true(prunes_size(&p, kept[i]).n_objects >= before);
		/* Once more, in vain again. */
		p.now += 2 * PRUNES_DAY;
		must(prunes_prune(&p, st, &conf, &f, &err), &err);
		prunes_unwrap(&p, st);
		clean_up(&p);
	}
}

/* ---- what check tells of it ---- */

static struct check_result
check(struct prunes *p)
{
	struct check_conf conf = { .workers = 2 };
	struct repo *r = tool_open(p->st, TOOL_PASS);
	struct error err = ERROR_INIT;
	struct check_result result;

	must(check_run(r, &conf, &p->report, &result, &err), &err);
	repo_close(r);
	return result;
}

static void
test_check_tells(void **state)
{
	struct error err = ERROR_INIT;
	struct check_result r;
	struct prune_figures f;
	struct sleeper s, other;
	struct prunes p;

	make_past(&p, 5);
	r = check(&p);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.snapshots, 4);
	assert_int_equal(r.snapshots_forgotten, 2);
	assert_int_equal(r.packs_condemned + r.fences + r.sessions, 0);
	sleeper_init(&s, &p);
	p.now += 30 * HOUR;
	sleeper_init(&other, &p);
	f = prune(&p);
	assert_true(f.waiting);
	must(store_put(p.st,
		     "packs/00/0000000000000000000000000000000000000000"
		     "000000000000000000000000",
		     "junk", 4, &err),
		&err);
	r = check(&p);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.packs_condemned, f.packs_condemned);
	assert_int_equal(r.condemned_since.sec, p.now);
	assert_int_equal(r.fences, 1);
	assert_int_equal(r.sessions, 2);
	assert_int_equal(r.packs_unlisted, 1);
	sleeper_fini(&other);
	f = prune(&p);
	assert_false(f.waiting);
	assert_int_equal(sleeper_commit(&s, &p.past[3].snap, &err), ERR_EXISTS);
	sleeper_fini(&s);
	r = check(&p);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.snapshots, 2);
	assert_int_equal(r.snapshots_void, 1);
	assert_int_equal(r.fences + r.packs_condemned, 0);
	clean_up(&p);
}

/* ---- refusals ---- */

struct first {
	char name[STORE_NAME_MAX + 1];
};

static enum err
take_first(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct first *f = arg;

	if (f->name[0] == '\0')
		(void)snprintf(f->name, sizeof(f->name), "%s", name);
	return ERR_OK;
}

static void
test_refusals(void **state)
{
	static const char *const prefixes[] = { "index", "packs" };

	for (unsigned i = 0; i < 2 * ARRAY_LEN(prefixes); i++) {
		struct first first = { "" };
		struct prune_conf conf;
		struct error err = ERROR_INIT;
		struct prune_figures f;
		struct prunes p;
		uint64_t before;
		enum err rc;

		make_past(&p, 6);
		if (i >= ARRAY_LEN(prefixes))
			prunes_settle(&p);
		conf = prunes_conf(&p);
		must(store_list(p.st, prefixes[i % ARRAY_LEN(prefixes)],
			     take_first, &first, &err),
			&err);
		must(store_del(p.st, first.name, &err), &err);
		before = prunes_size(&p, "packs").n_objects;
		rc = prunes_prune(&p, p.st, &conf, &f, &err);
		/* A pack of data is not missed before it is to be moved. */
		if (i % ARRAY_LEN(prefixes) == 0)
			assert_true(rc == ERR_NOTFOUND || rc == ERR_CORRUPT);
		if (rc != ERR_OK)
			assert_int_equal(prunes_size(&p, "packs").n_objects,
				before);
		prunes_fini(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waited_for),
		cmocka_unit_test(test_fenced),
		cmocka_unit_test(test_unreadable_session),
		cmocka_unit_test(test_retention),
		cmocka_unit_test(test_check_tells),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
