/* SPDX-License-Identifier: Apache-2.0 */
/* check_leftovers: what a prune is about, and what the next one will remove:
 * none of it is damage. */
#include "engine/checking.h"
#include "repo/epoch.h"
#include "repo/presence.h"
#include "repo/snapshot_object.h"

static enum err
on_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct check_result *r = arg;
	struct snapshot_name snap;

	r->fences += snapshot_object_parse(name, &snap) &&
		     size == sizeof(SNAPSHOT_FENCE) - 1;
	return ERR_OK;
}

static enum err
on_session(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct check_result *r = arg;
	struct uid sid;

	r->sessions += presence_parse(name, &sid);
	return ERR_OK;
}

static enum err
on_snapshot(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct check_result *r = arg;

	r->snapshots_void += ref->void_;
	return ERR_OK;
}

/* The trees were looked at before, and told of it. */
static enum err
on_bad(void *arg, const char *name, const struct error *why, struct error *err)
{
	return ERR_OK;
}

static enum err
look_at_epoch(struct checking *c, struct error *err)
{
	struct store *st = repo_store(c->repo);
	struct epoch_state state;
	struct condemned list;
	struct error why = ERROR_INIT;
	enum err rc = epoch_read(st, &state, err);

	if (rc != ERR_OK || state.step == EPOCH_NONE ||
		state.step == EPOCH_DONE)
		return rc;
	rc = epoch_condemned_get(st, repo_keys(c->repo), state.newest, &list,
		&why);
	if (rc == ERR_OK) {
		c->result->packs_condemned = list.n_packs;
		c->result->condemned_since = list.time;
		condemned_fini(&list);
	} else if (rc != ERR_NOTFOUND) {
		checking_found(c, &why);
	}
	return rc == ERR_NOMEM ? rc : ERR_OK;
}

enum err
check_leftovers(struct checking *c, struct error *err)
{
	struct store *st = repo_store(c->repo);
	enum err rc = look_at_epoch(c, err);

	if (rc == ERR_OK)
		rc = store_list(st, "snapshots", on_name, c->result, err);
	if (rc == ERR_OK)
		rc = store_list(st, "sessions", on_session, c->result, err);
	if (rc == ERR_OK)
		rc = repo_each_snapshot_of(c->repo,
			SNAPSHOTS_VOID | SNAPSHOTS_FORGOTTEN, on_snapshot,
			on_bad, c->result, err);
	return rc;
}
