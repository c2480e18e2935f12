/* SPDX-License-Identifier: Apache-2.0 */
/* garbage: what is left when the last prune is done, by name. */
#include "tests/sim/garbage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/epoch.h"
#include "tests/sim/oracle.h"
#include "tree/node.h"

enum { PACK_DIR = sizeof("packs/xx/") - 1 };

struct ids {
	struct ref *v;
	size_t n, cap;
};

struct sweep {
	struct sim *s;
	struct repo *repo;
	struct lane *lane;
	struct ids needed; /* chunks */
	struct ids packs; /* that hold some of them */
	struct counting counting;
};

static void
must(struct sim *s, enum err rc, const struct error *err)
{
	if (rc != ERR_OK)
		sim_violation(s, "at the end: %s", err->msg);
}

static bool
has(const struct ids *l, const struct id *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (id_eq(&l->v[i].id, id))
			return true;
	return false;
}

static enum err
add(void *arg, const struct ref *ref, struct error *err)
{
	struct ids *l = arg;

	if (has(l, &ref->id))
		return ERR_OK;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : 2 * l->cap;
		l->v = reallocarray(l->v, l->cap, sizeof(*l->v));
		if (l->v == NULL)
			abort();
	}
	l->v[l->n++] = *ref;
	return ERR_OK;
}

/* What every snapshot needs that is there. */
static void
collect_needed(struct sweep *w)
{
	struct buf head = BUF_INIT(NODE_MAX);
	struct error err = ERROR_INIT;
	const struct sim_snapshot *snap;

	for (size_t i = 0; (snap = oracle_at(w->s->oracle, i)) != NULL; i++) {
		const struct ref root = { snap->root, true };

		if (snapshot_is_whole(snap) ||
			oracle_is_there(w->s->oracle, snap))
			must(w->s, add(&w->needed, &root, &err), &err);
	}
	for (size_t i = 0; i < w->needed.n; i++) {
		if (!w->needed.v[i].node)
			continue;
		buf_clear(&head);
		must(w->s,
			repo_read_head(w->lane, &w->needed.v[i].id, &head,
				&err),
			&err);
		must(w->s,
			node_each_ref(head.data, head.len, add, &w->needed,
				&err),
			&err);
	}
	buf_fini(&head);
}

static enum err
on_record(void *arg, const struct location *loc, struct error *err)
{
	struct sweep *w = arg;
	const struct ref pack = { loc->pack, false };

	return has(&w->needed, &loc->rec.id) ? add(&w->packs, &pack, err)
					     : ERR_OK;
}

/* Whether name, behind its first component, names a snapshot that is there. */
static bool
is_of_snapshot(const struct sweep *w, const char *name)
{
	const char *at = strrchr(name, '/');
	const struct sim_snapshot *snap;
	struct uid uid;

	if (!hex_decode(at + 1, uid.b, UID_LEN))
		return false;
	snap = oracle_find(w->s->oracle, &uid);
	return snap != NULL && oracle_is_there(w->s->oracle, snap);
}

static bool
is_pack_needed(const struct sweep *w, const char *name)
{
	struct id id;

	return strlen(name) == PACK_DIR + ID_HEX &&
	       hex_decode(name + PACK_DIR, id.b, ID_LEN) && has(&w->packs, &id);
}

static bool
segment_counts(const struct sweep *w, const char *name)
{
	struct segment_ref seg = { 0 };
	unsigned long long epoch;
	char base[8] = "", hex[ID_HEX + 1] = "";

	if (sscanf(name, "index/%llu.%4[a-z]/%64s", &epoch, base, hex) == 3)
		seg.base = true;
	else if (sscanf(name, "index/%llu/%64s", &epoch, hex) != 2)
		return false;
	seg.epoch = epoch;
	return hex_decode(hex, seg.id.b, ID_LEN) &&
	       counting_segment(&w->counting, &seg);
}

static bool
is_newest_epoch(const struct sweep *w, const char *name)
{
	unsigned long long epoch;

	return sscanf(name, "prune/%llu/", &epoch) == 1 &&
	       epoch == w->counting.state.newest;
}

static bool
is_needed(const struct sweep *w, const char *name)
{
	if (strcmp(name, "config") == 0 || strncmp(name, "keys/", 5) == 0)
		return true;
	if (strncmp(name, "packs/", 6) == 0)
		return is_pack_needed(w, name);
	if (strncmp(name, "index/", 6) == 0)
		return segment_counts(w, name);
	if (strncmp(name, "prune/", 6) == 0)
		return is_newest_epoch(w, name);
	return (strncmp(name, "snapshots/", 10) == 0 ||
		       strncmp(name, "forgotten/", 10) == 0 ||
		       strncmp(name, "holds/", 6) == 0) &&
	       is_of_snapshot(w, name);
}

static enum err
on_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct sweep *w = arg;

	if (!is_needed(w, name))
		sim_violation(w->s, "nobody needs %s, and it is left", name);
	return ERR_OK;
}

void
garbage_check(struct sim *s)
{
	struct sweep w = { .s = s };
	struct error err = ERROR_INIT;
	struct index *idx;

	must(s, sim_open(s, s->mem, KEY_ADMIN, NULL, &w.repo, &err), &err);
	must(s, lane_new(&w.lane, w.repo, &err), &err);
	must(s, repo_index(w.repo, &idx, &err), &err);
	collect_needed(&w);
	must(s, index_each(idx, on_record, &w, &err), &err);
	must(s, counting_read(s->mem, repo_keys(w.repo), &w.counting, &err),
		&err);
	must(s, store_list(s->mem, "", on_object, &w, &err), &err);
	counting_fini(&w.counting);
	free(w.needed.v);
	free(w.packs.v);
	lane_free(w.lane);
	repo_close(w.repo);
}
