/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/prunes.h"

#include <stdio.h>
#include <stdlib.h>

static struct when
tell_time(void *arg)
{
	struct prunes *p = arg;

	return (struct when){ p->now, 0 };
}

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	struct prunes *p = arg;

	p->n_problems++;
	(void)snprintf(p->told, sizeof(p->told), "%s", why->msg);
	if (getenv("PRUNE_SHOW") != NULL)
		print_message("problem: %s\n", p->told);
}

static void
on_note(void *arg, const char *sentence)
{
	struct prunes *p = arg;

	(void)snprintf(p->told, sizeof(p->told), "%s", sentence);
	if (getenv("PRUNE_SHOW") != NULL)
		print_message("note: %s\n", sentence);
}

static void
equip(struct prunes *p)
{
	progress_init(&p->progress);
	p->report = (struct report){ .arg = p,
		.progress = &p->progress,
		.problem = on_problem,
		.note = on_note };
	store_mem_set_clock(p->st, tell_time, p);
}

void
prunes_init(struct prunes *p, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	prng_init(&p->dice, seed);
	p->now = 1700000000;
	p->size_max = 400000;
	p->st = tool_repo_store();
	equip(p);
	prunes_change(p);
}

void
prunes_fini(struct prunes *p)
{
	for (unsigned i = 0; i < p->n; i++)
		snapshot_fini(&p->past[i].snap);
	store_close(p->st);
	progress_fini(&p->progress);
}

/* Snapshots are only looked at for what has no memory of its own. */
void
prunes_copy(struct prunes *out, const struct prunes *p)
{
	struct error err = ERROR_INIT;

	*out = *p;
	for (unsigned i = 0; i < out->n; i++) {
		const struct snapshot *from = &p->past[i].snap;
		struct snapshot *to = &out->past[i].snap;

		snapshot_init(to);
		to->uid = from->uid;
		to->root = from->root;
		to->figures = from->figures;
		to->flags = from->flags;
	}
	must(store_mem_clone(&out->st, p->st, &err), &err);
	equip(out);
}

void
prunes_unwrap(struct prunes *p, struct store *st)
{
	struct error err = ERROR_INIT;
	struct store *copy;

	must(store_mem_clone(&copy, p->st, &err), &err);
	store_close(st);
	p->st = copy;
}

void
prunes_change(struct prunes *p)
{
	for (unsigned i = 0; i < PRUNES_FILES; i++)
		if (prng_below(&p->dice, 3) == 0)
			p->sizes[i] =
				prng_below(&p->dice, 5) == 0
					? 0
					: 1 + prng_below(&p->dice, p->size_max);
	p->now += 3600;
}

/* A fake that has these files, looking at st, which stays the caller's. */
static void
fake_over(struct fake *f, struct store *st, const uint64_t *sizes)
{
	fake_init(f, true);
	repo_close(f->repo);
	f->repo = NULL;
	store_close(f->st);
	f->st = st;
	for (unsigned i = 0; i < PRUNES_FILES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%02u", i);
		if (sizes[i] > 0)
			(void)fake_add(f, name, sizes[i]);
	}
}

static void
fake_end(struct fake *f)
{
	repo_close(f->repo);
	f->repo = NULL;
	f->st = NULL;
	fake_fini(f);
}

static enum err
open_over(struct repo **out, struct store *st, struct error *err)
{
	struct repo_conf conf = { .pass = TOOL_PASS };

	return repo_open(out, st, &conf, err);
}

enum err
prunes_backup(struct prunes *p, struct store *st, struct error *err)
{
	struct past *past = &p->past[p->n];
	uint64_t sizes[PRUNES_FILES];
	struct snapshot snap;
	struct fake f;
	enum err rc;

	assert_true(p->n < PRUNES_PAST);
	memcpy(sizes, p->sizes, sizeof(sizes));
	fake_over(&f, st, sizes);
	snapshot_init(&snap);
	rc = open_over(&f.repo, st, err);
	if (rc == ERR_OK)
		rc = fake_backup(&f, NULL, &snap, err);
	if (rc == ERR_OK) {
		/* p->n may have grown meanwhile. */
		past = &p->past[p->n++];
		*past = (struct past){ .snap = snap };
		past->name.ns = repo_keys(f.repo)->ns;
		past->name.sid = snap.uid;
		memcpy(past->sizes, sizes, sizeof(sizes));
	} else {
		snapshot_fini(&snap);
	}
	fake_end(&f);
	return rc;
}

enum err
prunes_forget(struct prunes *p, struct store *st, unsigned i, struct error *err)
{
	struct repo *r = NULL;
	enum err rc = open_over(&r, st, err);

	if (rc == ERR_OK)
		rc = marks_forget(st, repo_keys(r), &p->past[i].name, "test",
			err);
	if (rc == ERR_OK)
		p->past[i].forgotten = true;
	repo_close(r);
	return rc;
}

enum err
prunes_undelete(struct prunes *p, struct store *st, unsigned i,
	struct error *err)
{
	struct repo *r = NULL;
	enum err rc = open_over(&r, st, err);

	if (rc == ERR_OK)
		rc = marks_undelete(st, repo_keys(r), &p->past[i].name, err);
	if (rc == ERR_OK)
		p->past[i].forgotten = false;
	repo_close(r);
	return rc;
}

struct prune_conf
prunes_conf(struct prunes *p)
{
	return (struct prune_conf){ .grace_sec = PRUNES_DAY,
		.workers = 1,
		.now = tell_time,
		.now_arg = p };
}

enum err
prunes_prune(struct prunes *p, struct store *st, const struct prune_conf *conf,
	struct prune_figures *figures, struct error *err)
{
	struct prune_figures own;
	struct repo *r = NULL;
	enum err rc = open_over(&r, st, err);

	if (rc == ERR_OK)
		rc = prune_run(r, conf, &p->report,
			figures != NULL ? figures : &own, err);
	repo_close(r);
	return rc;
}

void
prunes_settle(struct prunes *p)
{
	struct prune_conf conf = prunes_conf(p);
	struct error err = ERROR_INIT;
	struct prune_figures f;
	uint64_t epoch = UINT64_MAX;

	for (unsigned i = 0; i < 12; i++) {
		p->now += 2 * PRUNES_DAY;
		must(prunes_prune(p, p->st, &conf, &f, &err), &err);
		assert_false(f.waiting);
		if (f.epoch == epoch)
			return;
		epoch = f.epoch;
	}
	fail_msg("prunes find something to do for ever");
}

/* ---- what is there ---- */

struct seen {
	struct prunes *p;
	bool met[PRUNES_PAST];
};

static enum err
on_snapshot(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct seen *seen = arg;

	for (unsigned i = 0; i < seen->p->n; i++)
		if (memcmp(seen->p->past[i].name.sid.b, ref->uid.b, UID_LEN) ==
			0)
			seen->met[i] = true;
	return ERR_OK;
}

void
prunes_read(struct prunes *p, struct store *st, unsigned i)
{
	struct fake f;

	fake_over(&f, st, p->past[i].sizes);
	f.repo = tool_open(st, TOOL_PASS);
	fake_verify(&f, &p->past[i].snap);
	fake_end(&f);
}

void
prunes_verify(struct prunes *p)
{
	struct check_conf conf = { .read_data_percent = 100, .workers = 2 };
	struct seen seen = { .p = p };
	struct check_result result;
	struct error err = ERROR_INIT;
	struct repo *r = tool_open(p->st, TOOL_PASS);

	must(check_run(r, &conf, &p->report, &result, &err), &err);
	if (result.errors > 0)
		fail_msg("check: %s", p->told);
	must(repo_each_snapshot(r, on_snapshot, NULL, &seen, &err), &err);
	repo_close(r);
	for (unsigned i = 0; i < p->n; i++) {
		if (p->past[i].forgotten) {
			assert_false(seen.met[i]);
			continue;
		}
		if (!seen.met[i])
			fail_msg("snapshot %u is gone", i);
		prunes_read(p, p->st, i);
	}
}

static enum err
on_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct prunes_size *s = arg;

	s->bytes += size;
	s->n_objects++;
	s->n_packs += strncmp(name, "packs/", 6) == 0;
	return ERR_OK;
}

struct prunes_size
prunes_size(struct prunes *p, const char *prefix)
{
	struct prunes_size s = { 0 };
	struct error err = ERROR_INIT;

	must(store_list(p->st, prefix, on_object, &s, &err), &err);
	return s;
}

/* Marks stay with the snapshots that were undeleted. */
static enum err
on_mark(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct prunes *p = arg;
	char hex[UID_HEX + 1];

	for (unsigned i = 0; i < p->n; i++) {
		hex_encode(p->past[i].name.sid.b, UID_LEN, hex);
		if (strstr(name, hex) == NULL)
			continue;
		assert_false(p->past[i].forgotten);
		return ERR_OK;
	}
	fail_msg("%s is of no snapshot", name);
	return ERR_OK;
}

void
prunes_verify_clean(struct prunes *p)
{
	struct prunes_size packs = prunes_size(p, "packs"), fresh_packs;
	struct error err = ERROR_INIT;
	struct prunes fresh;
	unsigned n = 0;

	prunes_init(&fresh, 1);
	for (unsigned i = 0; i < p->n; i++) {
		if (p->past[i].forgotten)
			continue;
		n++;
		memcpy(fresh.sizes, p->past[i].sizes, sizeof(fresh.sizes));
		must(prunes_backup(&fresh, fresh.st, &err), &err);
	}
	fresh_packs = prunes_size(&fresh, "packs");
	prunes_fini(&fresh);
	assert_int_equal(prunes_size(p, "snapshots").n_objects, n);
	assert_int_equal(prunes_size(p, "sessions").n_objects, 0);
	must(store_list(p->st, "forgotten", on_mark, p, &err), &err);
	assert_true(prunes_size(p, "prune").n_objects <= 3);
	/* Padding, tables, small files gathered otherwise. */
	if (packs.bytes > fresh_packs.bytes + fresh_packs.bytes / 4 + 262144)
		fail_msg("%llu bytes of packs, where %llu are needed",
			(unsigned long long)packs.bytes,
			(unsigned long long)fresh_packs.bytes);
}
