/* SPDX-License-Identifier: Apache-2.0 */
/* store: the operations, and what becomes of each. */
#include "tests/sim/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_retry.h"
#include "tests/sim/oracle.h"

enum { GHOSTS = 256, SLEEP_STEPS = 4000, OFTEN = 120000 };

static const uint64_t year = 365 * 86400 * 1000000000ull;

enum op { OP_PUT, OP_GET, OP_SIZE, OP_LIST, OP_TIME, OP_DEL };

static const char *const op_names[] = { "put", "get", "size", "list", "time",
	"del" };

/* What becomes of an operation. */
enum fate {
	FATE_DONE,
	FATE_FAIL, /* nothing happens; also a put that was torn */
	FATE_LOST, /* it happens, the client gets an error */
	FATE_LATE, /* the client gets an error, it happens some day */
	FATE_TWICE, /* it happens now, and once more some day */
	FATE_DIE, /* nothing happens, the client dies */
	FATE_DIE_DONE, /* it happens, and the client dies */
	FATE_DIE_LATE, /* the client dies, and it happens some day */
};

static const char *const fate_names[] = { "", " fails", " reply lost", " late",
	" twice", " dies", " done, dies", " dies, late" };

struct sim_store {
	struct store base;
	struct actor *a;
	bool dead;
};

/* A put, or a delete, that the store may execute at any time. */
struct request {
	struct actor *a;
	bool del;
	char *name;
	uint8_t *data;
	size_t len;
};

struct air {
	struct request *v;
	size_t n, cap;
	/* A ring of what was deleted lately. */
	struct ghost {
		char name[NAME_ROOM];
		uint64_t size;
	} ghosts[GHOSTS];
	size_t n_ghosts;
};

static void *
need_memory(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct air *
air_new(void)
{
	return need_memory(calloc(1, sizeof(struct air)));
}

static void
request_fini(struct request *r)
{
	free(r->name);
	free(r->data);
}

void
air_free(struct air *air)
{
	for (size_t i = 0; i < air->n; i++)
		request_fini(&air->v[i]);
	free(air->v);
	free(air);
}

size_t
air_count(const struct air *air)
{
	return air->n;
}

static void
air_add(struct sim *s, const struct request *r)
{
	struct air *air = s->air;
	struct request *to;

	s->n.late++;
	if (air->n == air->cap) {
		air->cap = air->cap == 0 ? 64 : 2 * air->cap;
		air->v = need_memory(
			reallocarray(air->v, air->cap, sizeof(*air->v)));
	}
	to = &air->v[air->n++];
	*to = *r;
	to->name = need_memory(strdup(r->name));
	to->data = need_memory(malloc(r->len + 1));
	if (r->len > 0)
		memcpy(to->data, r->data, r->len);
}

/* The store itself does what was asked for. */
static enum err
execute(struct sim *s, const struct request *r, struct error *err)
{
	struct air *air = s->air;
	struct error ignored = ERROR_INIT;
	uint64_t size = 0;
	enum err rc;

	if (!r->del) {
		rc = store_put(s->mem, r->name, r->data, r->len, err);
		if (rc == ERR_OK)
			oracle_saw_put(s->oracle, r->a, r->name);
		return rc;
	}
	(void)!store_size(s->mem, r->name, &size, &ignored);
	rc = store_del(s->mem, r->name, err);
	if (rc == ERR_OK) {
		struct ghost *ghost = &air->ghosts[air->n_ghosts++ % GHOSTS];

		(void)snprintf(ghost->name, NAME_ROOM, "%s", r->name);
		ghost->size = size;
		oracle_saw_loss(s->oracle);
	}
	return rc;
}

bool
air_execute(struct sim *s)
{
	struct air *air = s->air;
	struct error err = ERROR_INIT;
	struct request r;
	size_t i;
	enum err rc;

	if (air->n == 0)
		return false;
	i = prng_below(&s->dice, air->n);
	r = air->v[i];
	air->v[i] = air->v[--air->n];
	rc = execute(s, &r, &err);
	oracle_saw_loss(s->oracle);
	sim_trace(s, "late %s of %s %s: %s", r.del ? "del" : "put", r.a->name,
		r.name, err_name(rc));
	s->n.late_done++;
	request_fini(&r);
	return true;
}

/* What decides who wins goes wrong more often. */
static bool
is_decisive(enum op op, const char *name)
{
	static const char *const places[] = { "snapshots/", "sessions/",
		"prune/", "forgotten/", "holds/", "index/" };

	if (op != OP_PUT && op != OP_DEL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (strncmp(name, places[i], strlen(places[i])) == 0)
			return true;
	return false;
}

static bool
is_place(const char *place, const char *name)
{
	return place != NULL && strstr(name, place) != NULL;
}

static enum fate
draw_change_fate(struct sim *s, uint32_t weight, bool often_late)
{
	const struct sim_rates *r = &s->rates;
	struct prng *d = &s->dice;

	if (sim_chance(d, r->fail * weight))
		return FATE_FAIL;
	if (sim_chance(d, r->lost * weight))
		return FATE_LOST;
	if (sim_chance(d, often_late ? OFTEN : r->late * weight))
		return prng_below(d, 3) == 0 ? FATE_DIE_LATE : FATE_LATE;
	if (sim_chance(d, r->twice * weight))
		return FATE_TWICE;
	if (sim_chance(d, r->die * weight))
		return prng_below(d, 2) == 0 ? FATE_DIE : FATE_DIE_DONE;
	return FATE_DONE;
}

static enum fate
draw_fate(struct sim *s, enum op op, const char *name)
{
	if (s->healthy)
		return FATE_DONE;
	if (op == OP_PUT || op == OP_DEL)
		return draw_change_fate(s, is_decisive(op, name) ? 6 : 1,
			op == OP_PUT && is_place(s->rates.late_place, name));
	/* There are many more of these. */
	if (sim_chance(&s->dice, s->rates.fail / 4))
		return FATE_FAIL;
	return sim_chance(&s->dice, s->rates.die / 4) ? FATE_DIE : FATE_DONE;
}

static void
maybe_sleep(struct actor *a, enum op op, const char *name)
{
	struct sim *s = a->sim;
	bool often = op == OP_PUT && is_place(s->rates.sleep_place, name);

	if (s->healthy || !sim_chance(&s->dice, often ? OFTEN : s->rates.sleep))
		return;
	sim_trace(s, "%s sleeps", a->name);
	s->n.sleeps++;
	a->disturbed = true;
	s->clock_nsec += prng_below(&s->dice, year);
	sim_nap(a, prng_below(&s->dice, SLEEP_STEPS));
}

static enum err
is_dead(const char *name, struct error *err)
{
	return err_set(err, ERR_IO, "%s: the client is dead", name);
}

/* What the client is told.  Only of what certainly did not happen it may hear
 * that it did not. */
static enum err
failed(struct sim *s, enum fate fate, const char *name, struct error *err)
{
	if (fate >= FATE_DIE)
		return is_dead(name, err);
	switch (prng_below(&s->dice, fate == FATE_FAIL ? 3 : 2)) {
	case 0:
		return err_set(err, ERR_IO, "%s: no answer", name);
	case 1:
		return err_set(err, ERR_AGAIN, "%s: no answer in time", name);
	default:
		return err_set(err, ERR_NOSPACE, "%s: no space", name);
	}
}

/* A step: wait for one's turn, and learn what becomes of the operation.
 * *rc is set where nothing is left to do for it. */
static enum fate
begin(struct sim_store *st, enum op op, const char *name)
{
	struct actor *a = st->a;
	enum fate fate;

	if (a->alone) {
		sim_trace(a->sim, "%s %s %s", a->name, op_names[op], name);
		return FATE_DONE;
	}
	sim_yield(a);
	maybe_sleep(a, op, name);
	fate = draw_fate(a->sim, op, name);
	sim_trace(a->sim, "%s.%u %s %s%s", a->name, a->pid % 100000,
		op_names[op], name, fate_names[fate]);
	if (fate != FATE_DONE && fate != FATE_TWICE)
		a->disturbed = true;
	if (fate >= FATE_DIE) {
		st->dead = true;
		a->sim->n.deaths++;
	}
	return fate;
}

static struct sim_store *
to_sim(struct store *st)
{
	return container_of(st, struct sim_store, base);
}

/* Put and delete. */
static enum err
change(struct sim_store *st, const struct request *r, struct error *err)
{
	struct sim *s = st->a->sim;
	struct error ignored = ERROR_INIT;
	enum fate fate;
	enum err rc;

	if (st->dead)
		return is_dead(r->name, err);
	fate = begin(st, r->del ? OP_DEL : OP_PUT, r->name);
	switch (fate) {
	case FATE_DONE:
		return execute(s, r, err);
	case FATE_TWICE:
		rc = execute(s, r, err);
		air_add(s, r);
		return rc;
	case FATE_LOST:
	case FATE_DIE_DONE:
		(void)execute(s, r, &ignored);
		break;
	case FATE_LATE:
	case FATE_DIE_LATE:
		air_add(s, r);
		break;
	case FATE_FAIL:
	case FATE_DIE:
		break;
	}
	return failed(s, fate, r->name, err);
}

/* A read: ERR_OK where it can be done now. */
static enum err
look(struct sim_store *st, enum op op, const char *name, struct error *err)
{
	enum fate fate;

	if (st->dead)
		return is_dead(name, err);
	fate = begin(st, op, name);
	return fate == FATE_DONE ? ERR_OK : failed(st->a->sim, fate, name, err);
}

static enum err
sim_put(struct store *base, const char *name, const void *data, size_t len,
	struct error *err)
{
	struct sim_store *st = to_sim(base);
	struct request r = { .a = st->a };

	r.name = (char *)(uintptr_t)name;
	r.data = (uint8_t *)(uintptr_t)data;
	r.len = len;
	return change(st, &r, err);
}

static enum err
sim_del(struct store *base, const char *name, struct error *err)
{
	struct sim_store *st = to_sim(base);
	struct request r = { .a = st->a, .del = true };

	r.name = (char *)(uintptr_t)name;
	return change(st, &r, err);
}

static enum err
sim_get(struct store *base, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	struct sim_store *st = to_sim(base);
	enum err rc = look(st, OP_GET, name, err);

	return rc == ERR_OK
		       ? store_get(st->a->sim->mem, name, off, len, out, err)
		       : rc;
}

static enum err
sim_size(struct store *base, const char *name, uint64_t *size,
	struct error *err)
{
	struct sim_store *st = to_sim(base);
	enum err rc = look(st, OP_SIZE, name, err);

	return rc == ERR_OK ? store_size(st->a->sim->mem, name, size, err) : rc;
}

static enum err
sim_time(struct store *base, const char *name, struct when *out,
	struct error *err)
{
	struct sim_store *st = to_sim(base);
	enum err rc = look(st, OP_TIME, name, err);

	return rc == ERR_OK ? store_time(st->a->sim->mem, name, out, err) : rc;
}

struct names {
	char (*v)[NAME_ROOM];
	uint64_t *sizes;
	size_t n, cap;
};

static void
names_fini(struct names *l)
{
	free(l->v);
	free(l->sizes);
}

static void
names_add(struct names *l, const char *name, uint64_t size)
{
	assert(strlen(name) < NAME_ROOM);
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->v = need_memory(reallocarray(l->v, l->cap, sizeof(*l->v)));
		l->sizes = need_memory(
			reallocarray(l->sizes, l->cap, sizeof(*l->sizes)));
	}
	l->sizes[l->n] = size;
	memcpy(l->v[l->n++], name, strlen(name) + 1);
}

static enum err
on_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	names_add(arg, name, size);
	return ERR_OK;
}

static bool
names_have(const struct names *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], name) == 0)
			return true;
	return false;
}

static bool
is_below(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return len == 0 ||
	       (strncmp(name, prefix, len) == 0 && name[len] == '/');
}

/* Both are sorted.  What is in one only came or went meanwhile. */
static void
merge(struct sim *s, const struct names *before, const struct names *after,
	struct names *out)
{
	size_t i = 0, k = 0;

	while (i < before->n || k < after->n) {
		int order = i == before->n  ? 1
			    : k == after->n ? -1
					    : strcmp(before->v[i], after->v[k]);
		const struct names *from = order <= 0 ? before : after;
		size_t at = order <= 0 ? i : k;

		if (order == 0 || prng_below(&s->dice, 2) == 0)
			names_add(out, from->v[at], from->sizes[at]);
		i += order <= 0;
		k += order >= 0;
	}
}

static void
add_lag(struct sim *s, const char *prefix, struct names *out)
{
	const struct air *air = s->air;

	if (s->healthy || s->rates.lag == 0)
		return;
	for (size_t i = 0; i < GHOSTS && i < air->n_ghosts; i++) {
		const struct ghost *g = &air->ghosts[i];

		if (is_below(g->name, prefix) && !names_have(out, g->name) &&
			sim_chance(&s->dice, s->rates.lag))
			names_add(out, g->name, g->size);
	}
}

/* In any order. */
static enum err
show(struct sim *s, struct names *l, store_list_fn *fn, void *arg,
	struct error *err)
{
	enum err rc = ERR_OK;

	while (l->n > 0 && rc == ERR_OK) {
		size_t i = prng_below(&s->dice, l->n);
		char name[NAME_ROOM];
		uint64_t size = l->sizes[i];

		memcpy(name, l->v[i], NAME_ROOM);
		memcpy(l->v[i], l->v[--l->n], NAME_ROOM);
		l->sizes[i] = l->sizes[l->n];
		rc = fn(arg, name, size, err);
	}
	return rc;
}

static enum err
sim_list(struct store *base, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	struct sim_store *st = to_sim(base);
	struct sim *s = st->a->sim;
	struct names before = { NULL }, after = { NULL }, all = { NULL };
	enum err rc = look(st, OP_LIST, prefix, err);

	if (rc != ERR_OK)
		return rc;
	rc = store_list(s->mem, prefix, on_name, &before, err);
	if (!st->a->alone && prng_below(&s->dice, 3) == 0)
		sim_yield(st->a);
	if (rc == ERR_OK)
		rc = store_list(s->mem, prefix, on_name, &after, err);
	if (rc == ERR_OK) {
		merge(s, &before, &after, &all);
		add_lag(s, prefix, &all);
		rc = show(s, &all, fn, arg, err);
	}
	names_fini(&all);
	names_fini(&after);
	names_fini(&before);
	return rc;
}

static void
sim_close(struct store *base)
{
	free(to_sim(base));
}

static const struct store_ops sim_ops = {
	.close = sim_close,
	.put = sim_put,
	.get = sim_get,
	.size = sim_size,
	.time = sim_time,
	.list = sim_list,
	.del = sim_del,
};

/* Most programs try again what may succeed yet, as coffer does. */
struct store *
sim_store_new(struct actor *a)
{
	static const struct retry_policy policy = { 4, 100, 10000 };
	struct sim_store *st = need_memory(calloc(1, sizeof(*st)));
	struct store *patient;
	struct error err = ERROR_INIT;

	st->base.ops = &sim_ops;
	st->a = a;
	if (prng_below(&a->dice, 3) == 0)
		return &st->base;
	if (store_retry_new(&patient, &st->base, &policy, &err) != ERR_OK)
		abort();
	return patient;
}
