/* SPDX-License-Identifier: Apache-2.0 */
/* sim: the world, its scheduler, and its end. */
#include "tests/sim/sim.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_mem.h"
#include "tests/sim/oracle.h"
#include "tests/sim/store.h"

enum { MILLION = 1000000, JOB_STEPS_MAX = 200000, STEP_SEC_MAX = 3 };

static const uint64_t second = 1000000000, day = 86400;

static const char *const passes[KEYS] = { "admin", "maintainer", "writer-1",
	"writer-2" };

bool
sim_chance(struct prng *dice, uint32_t of)
{
	return prng_below(dice, MILLION) < of;
}

void
sim_trace(struct sim *s, const char *fmt, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (int i = 0; i < n && i < (int)sizeof(line) - 1; i++)
		s->hash = (s->hash ^ (uint8_t)line[i]) * 0x100000001b3u;
	if (s->conf.trace)
		(void)printf("%8" PRIu64 " %s\n", s->step, line);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return at->level > 0 ? remove(path) : 0;
}

void
sim_violation(struct sim *s, const char *fmt, ...)
{
	va_list args;

	(void)fflush(stdout);
	(void)fprintf(stderr, "VIOLATION at step %" PRIu64 ": ", s->step);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr,
		"\nreplay: sim --seed %" PRIu64 " --steps %" PRIu64
		" --check-every %" PRIu64 "%s%s%s%s --trace\n",
		s->conf.seed, s->conf.steps, s->conf.check_every,
		s->conf.late != NULL ? " --late " : "",
		s->conf.late != NULL ? s->conf.late : "",
		s->conf.sleep != NULL ? " --sleep " : "",
		s->conf.sleep != NULL ? s->conf.sleep : "");
	(void)fflush(stderr);
	(void)nftw(s->conf.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)rmdir(s->conf.dir);
	_Exit(1);
}

static void
need(struct sim *s, enum err rc, const struct error *err)
{
	if (rc != ERR_OK)
		sim_violation(s, "setting up: %s", err->msg);
}

/* Time goes on by seconds, and at times by days. */
static void
tick(struct sim *s)
{
	s->step++;
	/* From here on everybody only ends what is begun. */
	s->closing = s->healthy = s->step >= s->conf.steps;
	s->clock_nsec += prng_below(&s->dice, STEP_SEC_MAX * second);
	if (sim_chance(&s->dice, 1500))
		s->clock_nsec += prng_below(&s->dice, 3 * day) * second;
}

/* What happens between the steps of actors. */
static void
between(struct sim *s)
{
	if (air_count(s->air) > 0 && sim_chance(&s->dice, s->rates.wake))
		(void)air_execute(s);
	if (s->step % s->conf.check_every == 0)
		oracle_check(s->oracle);
}

/* One whose time has come, NULL where all of them sleep or are done. */
static struct actor *
draw(struct sim *s, bool *any)
{
	struct actor *ready[ACTORS_MAX];
	unsigned n = 0;

	*any = false;
	for (unsigned i = 0; i < s->n_actors; i++) {
		struct actor *a = &s->actors[i];

		*any |= !a->done;
		if (a->done || a->wake > s->step)
			continue;
		if (a == s->last && prng_below(&s->dice, 100) < s->sticky)
			return a;
		ready[n++] = a;
	}
	return n > 0 ? ready[prng_below(&s->dice, n)] : NULL;
}

static struct actor *
choose(struct sim *s)
{
	struct actor *a;
	bool any;

	do {
		tick(s);
		between(s);
		a = draw(s, &any);
	} while (a == NULL && any);
	s->last = a;
	return a;
}

static void
take(sem_t *baton)
{
	while (sem_wait(baton) != 0)
		;
}

/* Whoever has the baton passes it on. */
static void
pass(struct sim *s, struct actor *from)
{
	struct actor *self = sim_self(), *next;

	sim_set_self(NULL);
	next = choose(s);
	sim_set_self(self);
	if (next == from)
		return;
	(void)sem_post(next != NULL ? &next->go : &s->home);
	if (!from->done)
		take(&from->go);
}

void
sim_yield(struct actor *a)
{
	struct sim *s = a->sim;

	if (++a->job_steps > JOB_STEPS_MAX)
		sim_violation(s, "%s: no end of its job after %d operations",
			a->name, JOB_STEPS_MAX);
	pass(s, a);
}

void
sim_nap(struct actor *a, uint64_t steps)
{
	a->wake = a->sim->step + steps;
	sim_yield(a);
}

void
sim_outcome(struct actor *a, enum err rc, const struct error *err)
{
	struct sim *s = a->sim;

	if (rc == ERR_OK)
		return;
	s->n.failures++;
	sim_trace(s, "%s ends%s: %s", a->name,
		a->disturbed ? "" : " undisturbed", err->msg);
	s->n.unexplained += !a->disturbed && rc != ERR_EXISTS;
}

static void (*const jobs[])(struct actor *) = {
	[ACTOR_WRITER] = writer_job,
	[ACTOR_READER] = reader_job,
	[ACTOR_KEEPER] = keeper_job,
	[ACTOR_PRUNE] = prune_job,
};

static void *
live(void *arg)
{
	struct actor *a = arg;
	struct sim *s = a->sim;

	take(&a->go);
	sim_set_self(a);
	while (!s->closing) {
		a->pid++;
		a->job_steps = 0;
		a->disturbed = false;
		jobs[a->kind](a);
		sim_nap(a, prng_below(&a->dice, 200));
	}
	a->done = true;
	pass(s, a);
	return NULL;
}

enum err
sim_open(struct sim *s, struct store *st, enum sim_key key, const char *cache,
	struct repo **out, struct error *err)
{
	const struct repo_conf conf = {
		.pass = { passes[key], strlen(passes[key]) },
		.key_hint = s->keyid[key],
		.cache_root = cache,
	};

	return repo_open(out, st, &conf, err);
}

static struct when
sim_now(void *arg)
{
	const struct sim *s = arg;

	return (struct when){ (int64_t)(s->clock_nsec / second),
		(uint32_t)(s->clock_nsec % second) };
}

static void
make_repository(struct sim *s)
{
	const struct kdf_cost cost = { 1, 8 };
	const struct repo_init_conf conf = {
		.pass = { passes[KEY_ADMIN], strlen(passes[KEY_ADMIN]) },
		.cost = cost,
		.chunker = { 4 << 10, 16 << 10, 64 << 10 },
		.pack_target = 1 << 20,
	};
	static const enum role roles[KEYS] = { ROLE_ADMIN, ROLE_MAINTAINER,
		ROLE_WRITER, ROLE_WRITER };
	const struct repo_conf open_conf = { .pass = conf.pass };
	struct error err = ERROR_INIT;
	struct repo *r;

	need(s, store_mem_new(&s->mem, &err), &err);
	store_mem_set_clock(s->mem, sim_now, s);
	need(s, repo_init(s->mem, &conf, &err), &err);
	need(s, repo_open(&r, s->mem, &open_conf, &err), &err);
	memcpy(s->keyid[KEY_ADMIN], repo_keys(r)->keyid, KEYID_HEX + 1);
	for (unsigned i = KEY_ADMIN + 1; i < KEYS; i++) {
		const struct key_new key = { .role = roles[i],
			.pass = { passes[i], strlen(passes[i]) },
			.cost = cost };

		need(s,
			keys_add(s->mem, &repo_config(r)->repo, repo_keys(r),
				&key, s->keyid[i], &err),
			&err);
	}
	repo_close(r);
}

static const char *
draw_place(struct prng *d)
{
	static const char *const places[] = { "index/", "snapshots/",
		"/condemned", "/final", "sessions/", "forgotten/" };

	return prng_below(d, 2) == 0 ? NULL
				     : places[prng_below(d, ARRAY_LEN(places))];
}

/* From almost nothing to a storm. */
static void
draw_rates(struct sim *s)
{
	static const uint32_t storms[] = { 0, 500, 3000, 10000 };
	struct prng *d = &s->dice;
	uint32_t base = storms[prng_below(d, 4)];
	uint32_t *each[] = { &s->rates.fail, &s->rates.lost, &s->rates.late,
		&s->rates.twice, &s->rates.die };

	for (size_t i = 0; i < ARRAY_LEN(each); i++)
		*each[i] = prng_below(d, 4) == 0 ? 0 : base;
	s->rates.sleep = prng_below(d, 2) == 0 ? 0 : 2500;
	s->rates.wake = (uint32_t)(1000 + prng_below(d, 20000));
	s->rates.lag = prng_below(d, 2) == 0 ? 0 : 150000;
	s->rates.late_place = draw_place(d);
	s->rates.sleep_place = draw_place(d);
	if (s->conf.late != NULL)
		s->rates.late_place = s->conf.late;
	if (s->conf.sleep != NULL)
		s->rates.sleep_place = s->conf.sleep;
	if (s->rates.late_place != NULL && prng_below(d, 2) == 0)
		s->rates.wake /= 10;
	s->sticky = (uint32_t)(prng_below(d, 3) * 45);
}

static struct actor *
add_actor(struct sim *s, enum actor_kind kind, enum sim_key key,
	const char *what)
{
	struct actor *a = &s->actors[s->n_actors++];

	*a = (struct actor){ .sim = s, .kind = kind, .key = key };
	a->pid = s->n_actors * 100000;
	prng_init(&a->dice, prng_next(&s->dice));
	(void)snprintf(a->name, sizeof(a->name), "%s%u", what, s->n_actors);
	if (prng_below(&s->dice, 2) == 0)
		(void)snprintf(a->cache, sizeof(a->cache), "%s/%u", s->conf.dir,
			s->n_actors);
	if (sem_init(&a->go, 0, 0) != 0)
		abort();
	return a;
}

static void
add_actors(struct sim *s)
{
	struct prng *d = &s->dice;
	unsigned n = 2 + (unsigned)prng_below(d, 3);

	for (unsigned i = 0; i < n; i++) {
		/* Only who can read takes over from a parent. */
		enum sim_key key =
			i % 2 == 0 ? KEY_ADMIN : KEY_WRITER_1 + i / 2;
		struct actor *a = add_actor(s, ACTOR_WRITER, key, "writer");

		/* Two programs of one machine. */
		if (i == 1 && prng_below(d, 3) == 0)
			memcpy(a->cache, s->actors[0].cache, sizeof(a->cache));
	}
	n = 1 + (unsigned)prng_below(d, 2);
	for (unsigned i = 0; i < n; i++)
		(void)add_actor(s, ACTOR_PRUNE, KEY_MAINTAINER, "prune");
	n = 1 + (unsigned)prng_below(d, 2);
	for (unsigned i = 0; i < n; i++)
		(void)add_actor(s, ACTOR_KEEPER,
			i == 0 ? KEY_MAINTAINER : KEY_ADMIN, "keeper");
	n = 1 + (unsigned)prng_below(d, 2);
	for (unsigned i = 0; i < n; i++)
		(void)add_actor(s, ACTOR_READER, KEY_ADMIN, "reader");
}

static struct sim *
world_new(const struct sim_conf *conf)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (s == NULL || sem_init(&s->home, 0, 0) != 0)
		abort();
	s->conf = *conf;
	s->hash = 0xcbf29ce484222325u;
	s->clock_nsec = 1767225600ull * second;
	prng_init(&s->dice, conf->seed);
	sim_env_reset(s);
	make_repository(s);
	s->air = air_new();
	s->oracle = oracle_new(s);
	draw_rates(s);
	add_actors(s);
	return s;
}

static void
world_free(struct sim *s)
{
	for (unsigned i = 0; i < s->n_actors; i++)
		(void)sem_destroy(&s->actors[i].go);
	(void)sem_destroy(&s->home);
	oracle_free(s->oracle);
	air_free(s->air);
	store_close(s->mem);
	(void)nftw(s->conf.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(s);
}

static void
run_actors(struct sim *s)
{
	for (unsigned i = 0; i < s->n_actors; i++)
		if (pthread_create(&s->actors[i].thread, NULL, live,
			    &s->actors[i]) != 0)
			abort();
	(void)sem_post(&choose(s)->go);
	take(&s->home);
	for (unsigned i = 0; i < s->n_actors; i++)
		(void)pthread_join(s->actors[i].thread, NULL);
}

uint64_t
sim_run(const struct sim_conf *conf, struct sim_counts *counts)
{
	struct sim *s = world_new(conf);
	uint64_t hash;

	run_actors(s);
	sim_epilogue(s);
	hash = s->hash;
	s->n.steps = s->step;
	*counts = s->n;
	world_free(s);
	return hash;
}
