/* SPDX-License-Identifier: Apache-2.0 */
/* What a check finds in a repository that something was done to. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "repo/segment.h"
#include "store/store_fault.h"
#include "tests/engine/fake.h"
#include "tests/lib/scale.h"

enum { KIB = 1 << 10, NAMES_MAX = 256 };

/* ---- objects ---- */

struct names {
	char v[NAMES_MAX][STORE_NAME_MAX + 1];
	uint64_t size[NAMES_MAX];
	unsigned n;
};

static enum err
note_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct names *names = arg;

	assert_true(names->n < NAMES_MAX);
	(void)snprintf(names->v[names->n], sizeof(names->v[0]), "%s", name);
	names->size[names->n++] = size;
	return ERR_OK;
}

static void
list(struct fake *f, const char *prefix, struct names *names)
{
	struct error err = ERROR_INIT;

	names->n = 0;
	must(store_list(f->st, prefix, note_name, names, &err), &err);
}

static void delete (struct fake *f, const char *name)
{
	struct error err = ERROR_INIT;

	must(store_del(f->st, name, &err), &err);
}

/* ---- packs, as the segments have them ---- */

struct pack_seen {
	struct pack_info info;
	struct record recs[4096];
};

struct packs {
	struct pack_seen v[64];
	unsigned n;
};

static enum err
see_pack(void *arg, const struct pack_info *info, struct error *err)
{
	struct packs *p = arg;

	assert_true(p->n < ARRAY_LEN(p->v));
	assert_true(info->n_records <= ARRAY_LEN(p->v[0].recs));
	p->v[p->n++].info = *info;
	p->v[p->n - 1].info.n_records = 0;
	return ERR_OK;
}

static enum err
see_record(void *arg, const struct location *loc, struct error *err)
{
	struct packs *p = arg;
	struct pack_seen *pack = &p->v[p->n - 1];

	pack->recs[pack->info.n_records++] = loc->rec;
	return ERR_OK;
}

static struct packs *
packs_of(struct fake *f)
{
	struct packs *p = calloc(1, sizeof(*p));
	struct segment_visitor v = { .pack = see_pack,
		.record = see_record,
		.arg = p };
	struct error err = ERROR_INIT;
	struct names names;

	assert_non_null(p);
	list(f, "index", &names);
	for (unsigned i = 0; i < names.n; i++)
		must(segment_load(f->st, names.v[i],
			     &repo_keys(f->repo)->structure, &v, &err),
			&err);
	return p;
}

static bool
is_of(const struct pack_seen *pack, uint8_t type)
{
	return pack->recs[0].type == type;
}

static void
name_of(const struct pack_seen *pack, char name[STORE_NAME_MAX + 1])
{
	char hex[ID_HEX + 1];

	hex_encode(pack->info.id.b, ID_LEN, hex);
	(void)snprintf(name, STORE_NAME_MAX + 1, "packs/%.2s/%s", hex, hex);
}

/* The first pack of nodes or of data. */
static const struct pack_seen *
pack_with(const struct packs *p, uint8_t type)
{
	for (unsigned i = 0; i < p->n; i++)
		if (is_of(&p->v[i], type))
			return &p->v[i];
	fail_msg("no such pack");
	return NULL;
}

/* ---- a repository ---- */

static struct snapshot
take(struct fake *f)
{
	struct snapshot snap;

	snapshot_init(&snap);
	fake_backup_ok(f, &snap);
	fake_verify(f, &snap);
	return snap;
}

static void
take_and_forget(struct fake *f)
{
	struct snapshot snap = take(f);

	snapshot_fini(&snap);
}

/* Some files, among them one with an extent tree of its own. */
static void
filled(struct fake *f)
{
	char name[64];

	fake_init(f, true);
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "d%u/f%04u", i / 400, i);
		if (i % 5 == 0)
			(void)fake_add(f, name, 100 + 13 * i);
		else
			fake_add(f, name, 0)->type = ENTRY_DIR;
	}
	(void)fake_add(f, "image", 3000 * KIB);
	take_and_forget(f);
}

static char told[2048]; /* the last finding */

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	(void)snprintf(told, sizeof(told), "%s", why->msg);
	if (getenv("CHECK_SHOW") != NULL)
		print_message("%s\n", told);
}

static enum err
try_check(struct fake *f, double percent, struct check_result *result,
	struct error *err)
{
	struct check_conf conf = { .read_data_percent = percent, .workers = 2 };
	struct report report = f->report;

	report.problem = on_problem;
	told[0] = '\0';
	return check_run(f->repo, &conf, &report, result, err);
}

/* As somebody who comes anew. */
static struct check_result
check(struct fake *f, double percent)
{
	struct error err = ERROR_INIT;
	struct check_result result;

	fake_reopen(f, NULL);
	must(try_check(f, percent, &result, &err), &err);
	return result;
}

static void
must_be_sound(struct fake *f)
{
	struct check_result r = check(f, 100);

	if (r.errors > 0)
		fail_msg("%s", told);
	assert_int_equal(r.packs, r.packs_read);
	assert_int_equal(r.packs_unlisted, 0);
}

/* ---- damages ---- */

static void
test_sound(void **state)
{
	struct check_result one, two, three;
	struct names packs;
	struct fake f;

	filled(&f);
	must_be_sound(&f);
	one = check(&f, 0);
	list(&f, "packs", &packs);
	assert_int_equal(one.snapshots, 1);
	assert_int_equal(one.packs, packs.n);
	assert_int_equal(one.packs_read, 0);
	assert_int_equal(one.bytes_read, 0);
	assert_true(one.nodes > 3);
	assert_true(one.references > 100);
	/* The same tree again: every node once. */
	take_and_forget(&f);
	two = check(&f, 0);
	assert_int_equal(two.snapshots, 2);
	assert_int_equal(two.nodes, one.nodes);
	assert_int_equal(two.references, one.references);
	/* One with a file more shares most of them. */
	(void)fake_add(&f, "d2/f0888-more", 100);
	take_and_forget(&f);
	three = check(&f, 0);
	assert_true(three.nodes > one.nodes);
	/* A leaf, its ancestors, and now and then some that were split. */
	assert_true(three.nodes <= one.nodes + 8);
	must_be_sound(&f);
	fake_fini(&f);
}

static void
test_sample(void **state)
{
	uint64_t n_all = 0, n_read = 0;
	struct fake f;

	filled(&f);
	for (unsigned i = 0; i < 100; i++) {
		struct check_result r = check(&f, 50);

		assert_int_equal(r.errors, 0);
		n_all += r.packs;
		n_read += r.packs_read;
	}
	assert_true(n_read > n_all / 4 && n_read < n_all * 3 / 4);
	fake_fini(&f);
}

static void
test_missing_pack(void **state)
{
	for (uint8_t type = CHUNK_DATA; type <= CHUNK_NODE; type++) {
		char name[STORE_NAME_MAX + 1];
		struct check_result r;
		struct packs *packs;
		struct fake f;

		filled(&f);
		packs = packs_of(&f);
		name_of(pack_with(packs, type), name);
		free(packs);
		delete (&f, name);
		r = check(&f, 0);
		assert_true(r.errors >= 1);
		if (type == CHUNK_DATA) {
			assert_int_equal(r.errors, 1);
			assert_non_null(strstr(told, "missing"));
			assert_non_null(strstr(told, strrchr(name, '/') + 1));
		}
		fake_fini(&f);
	}
}

/* Every segment anew, without one pack of data. */
static void
forget_pack(struct fake *f, const struct pack_seen *without)
{
	struct packs *packs = packs_of(f);
	struct error err = ERROR_INIT;
	const struct segment_owner owner = { .epoch = 0 };
	struct segment_ref ref;
	struct segment seg;
	struct names names;

	list(f, "index", &names);
	for (unsigned i = 0; i < names.n; i++)
		delete (f, names.v[i]);
	segment_init(&seg);
	for (unsigned i = 0; i < packs->n; i++) {
		if (id_eq(&packs->v[i].info.id, &without->info.id))
			continue;
		must(segment_add(&seg, &packs->v[i].info, packs->v[i].recs,
			     &err),
			&err);
	}
	must(segment_publish(&seg, f->st, &repo_keys(f->repo)->structure,
		     &owner, &ref, &err),
		&err);
	segment_fini(&seg);
	free(packs);
}

static void
test_missing_chunks(void **state)
{
	struct check_result before, r;
	struct packs *packs;
	struct fake f;

	filled(&f);
	before = check(&f, 0);
	packs = packs_of(&f);
	forget_pack(&f, pack_with(packs, CHUNK_DATA));
	free(packs);
	r = check(&f, 0);
	assert_true(r.errors >= 1 && r.errors <= before.nodes);
	assert_non_null(strstr(told, "data chunk"));
	assert_non_null(strstr(told, "missing"));
	/* It goes on behind each finding. */
	assert_int_equal(r.nodes, before.nodes);
	assert_int_equal(r.references, before.references);
	assert_int_equal(r.packs_unlisted, 1);
	fake_fini(&f);
}

static void
test_missing_nodes(void **state)
{
	struct check_result before, r;
	struct packs *packs;
	struct fake f;

	filled(&f);
	before = check(&f, 0);
	packs = packs_of(&f);
	forget_pack(&f, pack_with(packs, CHUNK_NODE));
	free(packs);
	r = check(&f, 0);
	assert_true(r.errors >= 1);
	assert_true(r.nodes < before.nodes);
	assert_non_null(strstr(told, "node "));
	assert_non_null(strstr(told, "missing"));
	fake_fini(&f);
}

static void
flip(struct fake *f, const char *name, uint64_t bit)
{
	struct error err = ERROR_INIT;

	must(store_mem_flip(f->st, name, bit, &err), &err);
}

/* Nodes are read in any check, data where it is asked for. */
static void
test_damaged_records(void **state)
{
	for (uint8_t type = CHUNK_DATA; type <= CHUNK_NODE; type++) {
		char name[STORE_NAME_MAX + 1];
		const struct pack_seen *pack;
		struct packs *packs;
		struct fake f;

		filled(&f);
		packs = packs_of(&f);
		pack = pack_with(packs, type);
		name_of(pack, name);
		flip(&f, name, pack->info.size / 3 * 8);
		free(packs);
		if (type == CHUNK_NODE)
			assert_int_equal(check(&f, 0).errors, 1);
		else
			assert_int_equal(check(&f, 0).errors, 0);
		assert_true(check(&f, 100).errors >= 1);
		fake_fini(&f);
	}
}

static void
test_bad_snapshot(void **state)
{
	struct check_result before, r;
	struct snapshot snap;
	struct names names;
	struct fake f;

	filled(&f);
	(void)fake_add(&f, "d4/later", 77);
	take_and_forget(&f);
	before = check(&f, 0);
	list(&f, "snapshots", &names);
	assert_int_equal(names.n, 2);
	flip(&f, names.v[0], 8 * names.size[0] - 100);
	r = check(&f, 0);
	assert_int_equal(r.snapshots, 2);
	assert_int_equal(r.errors, 1);
	assert_non_null(strstr(told, strrchr(names.v[0], '/') + 1));
	assert_true(r.nodes > 3 && r.nodes < before.nodes);
	/* It does not keep others from making new ones. */
	fake_reopen(&f, NULL);
	snap = take(&f);
	assert_true(snap.has_parent);
	assert_int_equal(f.n_notes, 1);
	assert_non_null(strstr(f.note, strrchr(names.v[0], '/') + 1));
	snapshot_fini(&snap);
	fake_fini(&f);
}

static void
test_damaged_segment(void **state)
{
	struct names segments, packs;
	struct check_result r;
	struct fake f;

	filled(&f);
	(void)fake_add(&f, "d4/later", 9000);
	take_and_forget(&f);
	list(&f, "index", &segments);
	list(&f, "packs", &packs);
	assert_int_equal(segments.n, 2);
	for (unsigned i = 0; i < 2; i++) {
		flip(&f, segments.v[i], 8 * segments.size[i] - 100);
		r = check(&f, 0);
		assert_true(r.errors >= 2);
		assert_true(r.nodes >= 1);
		assert_true(r.packs_unlisted > 0);
		assert_int_equal(r.packs + r.packs_unlisted, packs.n);
		flip(&f, segments.v[i], 8 * segments.size[i] - 100);
	}
	must_be_sound(&f);
	fake_fini(&f);
}

static void
test_unlisted_packs(void **state)
{
	struct error err = ERROR_INIT;
	struct check_result r;
	char name[128];
	struct fake f;

	filled(&f);
	(void)snprintf(name, sizeof(name), "packs/00/00%062d", 7);
	must(store_put(f.st, name, "junk", 4, &err), &err);
	r = check(&f, 100);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.packs_unlisted, 1);
	fake_fini(&f);
}

static void
test_stopped_check(void **state)
{
	struct error err = ERROR_INIT;
	struct check_result r;
	struct fake f;

	filled(&f);
	f.stop = true;
	assert_int_equal(try_check(&f, 0, &r, &err), ERR_CANCELLED);
	fake_fini(&f);
}

/* ---- a backup while the check runs ---- */

struct meanwhile {
	struct fake *writer; /* the same store by another handle */
	const char *prefix;
	enum store_op op;
	bool done;
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct meanwhile *m = arg;

	if (m->writer == NULL || m->done || op != m->op ||
		strncmp(name, m->prefix, strlen(m->prefix)) != 0)
		return FAULT_NONE;
	m->done = true;
	take_and_forget(m->writer);
	return FAULT_NONE;
}

/* Whenever a backup is committed, the check sees nothing that is missing. */
static void
test_backup_meanwhile(void **state)
{
	static const struct {
		const char *prefix;
		enum store_op op;
	} when[] = { { "index", STORE_LIST }, { "packs", STORE_LIST },
		{ "snapshots", STORE_LIST }, { "snapshots", STORE_GET },
		{ "packs", STORE_GET }, { "index", STORE_GET } };

	for (unsigned i = 0; i < ARRAY_LEN(when); i++) {
		struct meanwhile m = { .prefix = when[i].prefix,
			.op = when[i].op };
		struct fault_plan plan = { decide, &m, ERR_IO };
		struct error err = ERROR_INIT;
		struct check_result r;
		struct fake writer, f;
		struct store *st;

		filled(&writer);
		(void)fake_add(&writer, "d3/new", 20 * KIB);
		fake_reopen(&writer, NULL);
		/* f looks at the store of writer, which it must not close. */
		fake_init(&f, true);
		repo_close(f.repo);
		store_close(f.st);
		must(store_fault_new(&st, writer.st, &plan, &err), &err);
		f.st = st;
		f.repo = tool_open(st, TOOL_PASS);
		m.writer = &writer;
		must(try_check(&f, 0, &r, &err), &err);
		assert_true(m.done);
		if (r.errors > 0)
			fail_msg("%s %d: %s", m.prefix, m.op, told);
		/* By a handle that was used before, too. */
		m.writer = NULL;
		(void)fake_add(&writer, "d3/newer", 30 * KIB);
		fake_reopen(&writer, NULL);
		take_and_forget(&writer);
		must(try_check(&f, 0, &r, &err), &err);
		if (r.errors > 0)
			fail_msg("again: %s", told);
		repo_close(writer.repo);
		writer.repo = NULL;
		writer.st = NULL;
		fake_fini(&f);
		fake_fini(&writer);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_missing_pack),
		cmocka_unit_test(test_missing_chunks),
		cmocka_unit_test(test_missing_nodes),
		cmocka_unit_test(test_damaged_records),
		cmocka_unit_test(test_bad_snapshot),
		cmocka_unit_test(test_damaged_segment),
		cmocka_unit_test(test_unlisted_packs),
		cmocka_unit_test(test_stopped_check),
		cmocka_unit_test(test_backup_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
