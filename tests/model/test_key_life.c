/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a repository through a long life: keys are added, removed and
 * given other passphrases, and data keys rotate, each of it perhaps while
 * another admin does something else, and perhaps killed on the way.
 *
 * All the time: somebody is an admin; whoever may write can; what anybody
 * seals, every admin and reader can open, but for those who were revoked.
 */
#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/keyset.h"
#include "repo/rotation.h"
#include "store/store_fault.h"

enum { SLOTS = 7, STEPS = 80, SEEDS = 8 };

static const struct uid repo = { { 9, 9 } };

/* Key number i, where there is one, has the digit i as its passphrase. */
struct life {
	struct store *st;
	struct prng p;
	/* Perhaps without the newest data key: it was added while there was a
	 * rotation, and one of the two was killed. */
	bool behind[SLOTS];
};

static struct pass
pass_of(unsigned slot)
{
	static const char digits[] = "0123456789";

	return (struct pass){ digits + slot, 1 };
}

static bool
unlock(struct store *st, unsigned slot, struct keyset *ks)
{
	struct pass pass = pass_of(slot);
	struct error err = ERROR_INIT;
	enum err rc = keys_unlock(st, &repo, &pass, NULL, ks, &err);

	if (rc != ERR_OK && rc != ERR_DENIED && rc != ERR_NOTFOUND)
		fail_msg("key %u: %s", slot, err.msg);
	return rc == ERR_OK;
}

/* ---- what is done ---- */

enum what { ADD, REMOVE, PASSWD, ROTATE, WHATS };

struct deed {
	enum what what;
	unsigned by, on; /* slots */
	enum role role;
};

static struct deed
choose(struct life *l)
{
	struct deed d = { (enum what)prng_below(&l->p, WHATS),
		(unsigned)prng_below(&l->p, SLOTS),
		(unsigned)prng_below(&l->p, SLOTS),
		(enum role)(prng_below(&l->p, 4) + ROLE_ADMIN) };
	struct keyset ks;

	/* Mostly by somebody who may. */
	for (unsigned i = 0; i < 20; i++) {
		bool may = unlock(l->st, d.by, &ks);

		if (may) {
			may = ks.has_root;
			keyset_wipe(&ks);
		}
		if (may)
			break;
		d.by = (d.by + 1) % SLOTS;
	}
	return d;
}

static enum err
add(struct store *calm, struct store *st, const struct keyset *ks,
	const struct deed *d, struct error *err)
{
	struct key_new conf = { .role = d->role,
		.pass = pass_of(d->on),
		.cost = TOOL_COST };
	char keyid[KEYID_HEX + 1];
	struct keyset there;

	if (unlock(calm, d->on, &there)) {
		keyset_wipe(&there);
		return ERR_OK;
	}
	return keys_add(st, &repo, ks, &conf, keyid, err);
}

static enum err
remove_key(struct store *calm, struct store *st, const struct keyset *ks,
	const struct deed *d, struct error *err)
{
	char keyid[KEYID_HEX + 1];
	struct keyset victim;

	if (!unlock(calm, d->on, &victim))
		return ERR_OK;
	memcpy(keyid, victim.keyid, sizeof(keyid));
	keyset_wipe(&victim);
	return keys_remove(st, ks, keyid, err);
}

/* With all that it takes on st; the rest of what it looks at on calm. */
static void
act(struct store *calm, struct store *st, const struct deed *d)
{
	struct key_new conf = { .pass = pass_of(d->by), .cost = TOOL_COST };
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];
	struct keyset ks;
	uint32_t number;
	enum err rc = ERR_OK;

	if (!unlock(calm, d->by, &ks))
		return;
	switch (d->what) {
	case ADD:
		rc = add(calm, st, &ks, d, &err);
		break;
	case REMOVE:
		rc = remove_key(calm, st, &ks, d, &err);
		break;
	case PASSWD:
		rc = keys_rewrap(st, &ks, &conf, keyid, &err);
		break;
	case ROTATE:
		rc = rotation_make(st, &ks, &number, &err);
		break;
	default:
		break;
	}
	if (rc == ERR_CORRUPT || rc == ERR_NOMEM)
		fail_msg("%s", err.msg);
	keyset_wipe(&ks);
}

/* ---- trouble ---- */

struct trouble {
	struct store *inner;
	uint64_t other_at, dead_at; /* 0: never */
	struct deed other;
	bool other_done, dead;
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	struct trouble *t = arg;

	if (t->other_at != 0 && n >= t->other_at && !t->other_done) {
		t->other_done = true;
		act(t->inner, t->inner, &t->other);
	}
	t->dead = t->dead_at != 0 && n >= t->dead_at;
	return t->dead ? FAULT_DEAD : FAULT_NONE;
}

static void
note_behind(struct life *l, const struct deed *d, const struct trouble *t)
{
	bool rotated =
		d->what == ROTATE || (t->other_done && t->other.what == ROTATE);

	if (rotated && !t->dead)
		memset(l->behind, 0, sizeof(l->behind));
	if (!rotated || !t->dead)
		return;
	if (d->what == ADD)
		l->behind[d->on] = true;
	if (t->other_done && t->other.what == ADD)
		l->behind[t->other.on] = true;
}

/* One deed, perhaps with another in its midst, perhaps to its death. */
static void
step(struct life *l)
{
	struct deed d = choose(l);
	struct trouble t = { .other = choose(l) };
	struct fault_plan plan = { decide, &t, ERR_IO };
	struct error err = ERROR_INIT;
	struct store *after, *st;

	if (prng_below(&l->p, 2) == 0)
		t.other_at = prng_below(&l->p, 60) + 1;
	if (prng_below(&l->p, 3) == 0)
		t.dead_at = prng_below(&l->p, 60) + 1;
	must(store_mem_clone(&t.inner, l->st, &err), &err);
	must(store_fault_new(&st, t.inner, &plan, &err), &err);
	act(l->st, st, &d);
	note_behind(l, &d, &t);
	must(store_mem_clone(&after, t.inner, &err), &err);
	store_close(st);
	store_close(l->st);
	l->st = after;
}

/* ---- what must be ---- */

/* The keys in good standing. */
struct standing {
	char keyid[64][KEYID_HEX + 1];
	unsigned n;
};

static enum err
look(void *arg, const struct key_info *info, struct error *err)
{
	struct standing *s = arg;

	assert_false(info->damaged);
	assert_true(info->certified || info->revoked);
	assert_true(s->n < ARRAY_LEN(s->keyid));
	if (info->certified)
		memcpy(s->keyid[s->n++], info->keyid, sizeof(s->keyid[0]));
	return ERR_OK;
}

static bool
among(const struct standing *s, const char *keyid)
{
	for (unsigned i = 0; i < s->n; i++)
		if (strcmp(s->keyid[i], keyid) == 0)
			return true;
	return false;
}

static void
can_open(const struct keyset *ks, const struct epoch *sealed)
{
	const struct epoch *e = keyset_epoch(ks, sealed->number);

	assert_non_null(e);
	assert_true(e->has_secret);
	assert_memory_equal(&e->pub, &sealed->pub, KX_PUBLIC);
}

/* How many data keys there are. */
static uint32_t
check(struct life *l)
{
	struct keyset ks[SLOTS];
	struct standing good = { .n = 0 };
	struct error err = ERROR_INIT;
	const struct keyset *admin = NULL;
	bool there[SLOTS];
	uint32_t newest = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		there[i] = unlock(l->st, i, &ks[i]);
		if (there[i] && ks[i].has_root)
			admin = &ks[i];
	}
	assert_non_null(admin);
	must(keys_each(l->st, admin, look, &good, &err), &err);
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct epoch *e;

		if (!there[i] || !role_seals(ks[i].role))
			continue;
		e = keyset_newest(&ks[i]);
		assert_non_null(e);
		newest = e->number > newest ? e->number : newest;
		for (unsigned k = 0; k < SLOTS; k++)
			if (there[k] && among(&good, ks[k].keyid) &&
				!l->behind[k] && role_opens(ks[k].role))
				can_open(&ks[k], e);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (there[i])
			keyset_wipe(&ks[i]);
	return newest;
}

static void
live(uint64_t seed)
{
	struct life l = { .st = tool_store() };
	struct deed first = { ADD, 0, 0, ROLE_ADMIN };
	struct error err = ERROR_INIT;
	uint32_t newest = 1;
	struct keyset ks;

	prng_init(&l.p, seed);
	must(keyset_new(&ks, &err), &err);
	must(add(l.st, l.st, &ks, &first, &err), &err);
	keyset_wipe(&ks);
	for (unsigned i = 0; i < STEPS; i++) {
		uint32_t now;

		step(&l);
		now = check(&l);
		assert_true(now >= newest);
		newest = now;
	}
	assert_true(newest > 4);
	store_close(l.st);
}

static void
test_lives(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		live(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
