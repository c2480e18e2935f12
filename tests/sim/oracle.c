/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/session.h"
enum { K_MAX = 64 };

struct oracle {
	struct sim *sim;
	struct sim_snapshot *v[SNAPSHOTS_MAX];
	size_t n;
};

/* One look. */
struct look {
	struct oracle *o;
	struct repo *repo;
	struct lane *lane;
	struct tree_io_repo io;
	bool chunks[MODEL_CHUNKS];
	bool *listed;
};

static void
hex_of(const struct sim_snapshot *snap, char out[UID_HEX + 1])
{
	hex_encode(snap->uid.b, UID_LEN, out);
}

struct oracle *
oracle_new(struct sim *s)
{
	struct oracle *o = calloc(1, sizeof(*o));

	if (o == NULL)
		abort();
	o->sim = s;
	return o;
}

void
oracle_free(struct oracle *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->v[i]);
	free(o);
}

bool
snapshot_is_alive(const struct sim_snapshot *snap)
{
	return snap->acked && snap->swept == 0 &&
	       (snap->held || (snap->forgotten & ~snap->undeleted) == 0);
}

bool
snapshot_is_whole(const struct sim_snapshot *snap)
{
	return snap->acked && snap->swept == 0;
}

struct sim_snapshot *
oracle_intend(struct oracle *o, const struct uid *ns, const struct uid *uid,
	const struct model *m, const struct id *root)
{
	struct sim_snapshot *snap = calloc(1, sizeof(*snap));

	if (snap == NULL || o->n == SNAPSHOTS_MAX)
		abort();
	snap->ns = *ns;
	snap->uid = *uid;
	snap->m = *m;
	snap->root = *root;
	o->v[o->n++] = snap;
	return snap;
}

void
oracle_ack(struct oracle *o, struct sim_snapshot *snap)
{
	snap->acked = true;
	o->sim->n.acks++;
}

struct sim_snapshot *
oracle_find(struct oracle *o, const struct uid *uid)
{
	for (size_t i = o->n; i > 0; i--)
		if (memcmp(o->v[i - 1]->uid.b, uid->b, UID_LEN) == 0)
			return o->v[i - 1];
	return NULL;
}

struct sim_snapshot *
oracle_draw(struct oracle *o, struct prng *dice,
	bool (*wanted)(const struct sim_snapshot *))
{
	size_t n = 0, at;

	for (size_t i = 0; i < o->n; i++)
		n += wanted(o->v[i]);
	if (n == 0)
		return NULL;
	at = prng_below(dice, n);
	for (size_t i = 0; i < o->n; i++)
		if (wanted(o->v[i]) && at-- == 0)
			return o->v[i];
	return NULL;
}

const struct sim_snapshot *
oracle_at(const struct oracle *o, size_t i)
{
	return i < o->n ? o->v[i] : NULL;
}

bool
oracle_is_there(const struct oracle *o, const struct sim_snapshot *snap)
{
	char ns[UID_HEX + 1], name[STORE_NAME_MAX + 1];
	struct error err = ERROR_INIT;
	uint64_t size;

	hex_encode(snap->ns.b, UID_LEN, ns);
	session_snapshot_name(name, ns, &snap->uid);
	return store_size(o->sim->mem, name, &size, &err) == ERR_OK;
}

/* forgotten/NS/SID.K or forgotten/NS/SID.K.end */
static bool
parse_mark(const char *name, struct uid *uid, unsigned *k, bool *end)
{
	const char *at = strchr(name + strlen("forgotten/"), '/');
	char rest[8] = "";
	int n;

	if (at == NULL || !hex_decode(at + 1, uid->b, UID_LEN))
		return false;
	n = sscanf(at + 1 + UID_HEX, ".%u%7s", k, rest);
	*end = n == 2 && strcmp(rest, ".end") == 0;
	return n >= 1 && *k < K_MAX;
}

static void
saw_mark(struct oracle *o, const struct actor *a, const char *name)
{
	struct sim_snapshot *snap;
	struct uid uid;
	unsigned k;
	bool end;

	if (!parse_mark(name, &uid, &k, &end))
		sim_violation(o->sim, "%s made a mark called %s", a->name,
			name);
	snap = oracle_find(o, &uid);
	if (snap == NULL)
		return;
	if (!end)
		snap->forgotten |= 1ull << k;
	else if (a->kind == ACTOR_KEEPER)
		snap->undeleted |= 1ull << k;
	else if (snap->held)
		sim_violation(o->sim, "%s swept a snapshot that is held",
			a->name);
	else
		snap->swept |= 1ull << k;
}

void
oracle_saw_put(struct oracle *o, const struct actor *a, const char *name)
{
	if (strncmp(name, "forgotten/", 10) == 0)
		saw_mark(o, a, name);
	if (strncmp(name, "prune/", 6) == 0)
		oracle_saw_loss(o);
}

void
oracle_saw_loss(struct oracle *o)
{
	for (size_t i = 0; i < o->n; i++)
		o->v[i]->seen = false;
}

static size_t
index_of(const struct oracle *o, const struct uid *uid)
{
	size_t i = 0;

	while (i < o->n && memcmp(o->v[i]->uid.b, uid->b, UID_LEN) != 0)
		i++;
	return i;
}

static enum err
on_listed(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct look *look = arg;
	size_t i = index_of(look->o, &ref->uid);
	char hex[UID_HEX + 1];

	hex_encode(ref->uid.b, UID_LEN, hex);
	if (i == look->o->n)
		sim_violation(look->o->sim,
			"snapshot %s counts, and nobody wanted it", hex);
	look->listed[i] = true;
	return ERR_OK;
}

static void
restore(struct look *look, struct sim_snapshot *snap, const char *what)
{
	struct sim *s = look->o->sim;
	struct model_verdict verdict;
	struct error err = ERROR_INIT;
	char hex[UID_HEX + 1];

	if (snap->seen)
		return;
	hex_of(snap, hex);
	s->n.restores++;
	if (model_compare(&snap->m, &look->io.io, &snap->root, look->chunks,
		    &verdict, &err) != ERR_OK)
		sim_violation(s, "%s snapshot %s cannot be restored: %s", what,
			hex, err.msg);
	if (!verdict.right)
		sim_violation(s, "%s snapshot %s: %s is wrong", what, hex,
			verdict.why);
	snap->seen = true;
}

static void
look_at(struct look *look, size_t i)
{
	struct sim_snapshot *snap = look->o->v[i];
	char hex[UID_HEX + 1];

	hex_of(snap, hex);
	if (snapshot_is_alive(snap) && !look->listed[i])
		sim_violation(look->o->sim,
			"snapshot %s, which was acknowledged, does not count",
			hex);
	if (snapshot_is_whole(snap))
		restore(look, snap,
			snapshot_is_alive(snap) ? "acknowledged" : "forgotten");
	else if (look->listed[i])
		restore(look, snap, "unacknowledged");
}

static void
look_open(struct look *look, struct oracle *o)
{
	struct sim *s = o->sim;
	struct error err = ERROR_INIT;

	*look = (struct look){ .o = o };
	if (sim_open(s, s->mem, KEY_ADMIN, NULL, &look->repo, &err) != ERR_OK ||
		lane_new(&look->lane, look->repo, &err) != ERR_OK)
		sim_violation(s, "the repository cannot be opened: %s",
			err.msg);
	tree_io_repo_init(&look->io, look->repo, look->lane, NULL);
	look->listed = calloc(o->n + 1, sizeof(*look->listed));
	if (look->listed == NULL)
		abort();
	if (repo_each_snapshot(look->repo, on_listed, NULL, look, &err) !=
		ERR_OK)
		sim_violation(s, "snapshots cannot be listed: %s", err.msg);
}

static void
look_close(struct look *look)
{
	free(look->listed);
	lane_free(look->lane);
	repo_close(look->repo);
}

void
oracle_check(struct oracle *o)
{
	struct look look;

	o->sim->n.checks++;
	look_open(&look, o);
	for (size_t i = 0; i < o->n; i++)
		look_at(&look, i);
	look_close(&look);
}
