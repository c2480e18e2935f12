/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_sessions: who is at work, and who may be fenced.
 *
 * Whether a session is fenced is a question of politeness, never of safety: a
 * fence that comes too early costs a writer its work.  So it may go by the
 * store's clock: the session object and the session's index segments are signs
 * of life.
 *
 * What makes it safe is the order.  The list is read after the condemned list
 * was created; a session with an older view created its object before it saw
 * that there was none.  So it is in the list, or it has ended; and what it has
 * committed by then is found by who lists the snapshots afterwards.
 *
 * A session whose object cannot be opened may have any view and any
 * namespace.  It is in the way, and is told, until it is so old that hardly
 * anybody can be behind it; then it is fenced in the namespace of every key.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/pruning.h"
#include "repo/mover.h"
#include "repo/presence.h"
#include "repo/segment.h"
#include "repo/session.h"
#include "repo/snapshot_object.h"

enum {
	SIDS_MAX = 1 << 28,
	NAMES_MAX = 1 << 30,
	UNREADABLE_SEC = 30 * 86400,
	POLL_SEC = 2
};

void
prune_sessions_fini(struct sessions *s)
{
	free(s->v);
	*s = (struct sessions){ NULL, 0 };
}

static enum err
on_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct buf *sids = arg;
	struct uid sid;

	/* Others mean something to a later version, or are an init's. */
	if (!presence_parse(name, &sid))
		return ERR_OK;
	return buf_put(sids, sid.b, UID_LEN, err);
}

static enum err
read_one(struct sessions *s, struct pruning *p, const struct uid *sid,
	struct error *err)
{
	struct session_seen *seen = &s->v[s->n];
	struct presence found = { .view = 0 };
	char name[STORE_NAME_MAX + 1];
	enum err rc;

	*seen = (struct session_seen){ .sid = *sid };
	presence_name(name, sid);
	rc = store_time(p->store, name, &seen->started, err);
	if (rc == ERR_OK)
		rc = presence_read(&found, p->store, p->keys, sid, err);
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK && rc != ERR_CORRUPT && rc != ERR_VERSION)
		return rc;
	seen->sign = seen->started;
	seen->opened = rc == ERR_OK;
	seen->ns = found.ns;
	seen->view = found.view;
	memcpy(seen->host, found.host, sizeof(found.host));
	seen->of_prune =
		strncmp(found.host, MOVER_HOST, sizeof(MOVER_HOST) - 1) == 0;
	s->n++;
	return ERR_OK;
}

/* One segment, being read for the session that wrote it. */
struct segment_look {
	struct sessions *s;
	struct session_seen *of; /* NULL: of none of them */
	sessions_pack_fn *fn;
	void *arg;
};

static enum err
on_session(void *arg, const struct uid *session, struct error *err)
{
	struct segment_look *look = arg;

	look->of = NULL;
	for (size_t i = 0; i < look->s->n; i++)
		if (memcmp(look->s->v[i].sid.b, session->b, UID_LEN) == 0)
			look->of = &look->s->v[i];
	return ERR_OK;
}

static enum err
on_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct segment_look *look = arg;

	if (look->of != NULL && look->fn != NULL)
		look->fn(look->arg, &pack->id);
	return ERR_OK;
}

/* One that cannot be read is no sign of anything; the index tells of it. */
static enum err
look_at(struct segment_look *look, struct pruning *p, const char *name,
	struct error *err)
{
	struct segment_visitor v = { .session = on_session,
		.pack = on_pack,
		.arg = look };
	struct when at;
	enum err rc;

	look->of = NULL;
	rc = segment_load(p->store, name, &p->keys->structure, &v, err);
	if (rc == ERR_OK && look->of != NULL) {
		rc = store_time(p->store, name, &at, err);
		if (rc == ERR_OK && when_cmp(&at, &look->of->sign) > 0)
			look->of->sign = at;
	}
	return rc == ERR_NOTFOUND || rc == ERR_CORRUPT ? ERR_OK : rc;
}

struct segment_names {
	const struct sessions *s;
	struct buf names; /* each with its NUL */
};

static enum err
on_segment(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct segment_names *names = arg;
	struct segment_ref ref;

	if (!segment_name_parse(name, &ref) || ref.base)
		return ERR_OK;
	for (size_t i = 0; i < names->s->n; i++)
		if (names->s->v[i].opened && names->s->v[i].view == ref.epoch)
			return buf_put(&names->names, name, strlen(name) + 1,
				err);
	return ERR_OK;
}

/* The segments that may be of one of them. */
static enum err
look_at_segments(struct segment_look *look, struct pruning *p,
	struct error *err)
{
	struct segment_names names = { look->s, BUF_INIT(NAMES_MAX) };
	size_t at = 0;
	enum err rc = store_list(p->store, "index", on_segment, &names, err);

	while (rc == ERR_OK && at < names.names.len) {
		const char *name = (const char *)names.names.data + at;

		at += strlen(name) + 1;
		rc = pruning_going(p, err);
		if (rc == ERR_OK)
			rc = look_at(look, p, name, err);
	}
	buf_fini(&names.names);
	return rc;
}

bool
prune_sessions_is_stale(const struct pruning *p, const struct session_seen *s)
{
	if (!s->opened)
		return pruning_age(p, &s->started) >= UNREADABLE_SEC;
	return s->of_prune || pruning_age(p, &s->sign) >= p->conf->grace_sec;
}

static bool
any_is_silent(const struct sessions *s, const struct pruning *p)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].opened && !s->v[i].of_prune &&
			prune_sessions_is_stale(p, &s->v[i]))
			return true;
	return false;
}

enum err
prune_sessions_packs(struct sessions *s, struct pruning *p,
	sessions_pack_fn *fn, void *arg, struct error *err)
{
	struct segment_look look = { s, NULL, fn, arg };

	return s->n > 0 ? look_at_segments(&look, p, err) : ERR_OK;
}

enum err
prune_sessions_read(struct sessions *s, struct pruning *p, struct error *err)
{
	struct buf sids = BUF_INIT(SIDS_MAX);
	struct uid sid;
	enum err rc;

	*s = (struct sessions){ NULL, 0 };
	rc = store_list(p->store, "sessions", on_name, &sids, err);
	if (rc == ERR_OK && sids.len > 0) {
		s->v = calloc(sids.len / UID_LEN, sizeof(*s->v));
		if (s->v == NULL)
			rc = err_set(err, ERR_NOMEM, "out of memory");
	}
	for (size_t at = 0; at < sids.len && rc == ERR_OK; at += UID_LEN) {
		memcpy(sid.b, sids.data + at, UID_LEN);
		rc = read_one(s, p, &sid, err);
	}
	if (rc == ERR_OK && any_is_silent(s, p))
		rc = prune_sessions_packs(s, p, NULL, NULL, err);
	buf_fini(&sids);
	if (rc != ERR_OK)
		prune_sessions_fini(s);
	return rc;
}

/* ---- fences ---- */

static enum err
unreadable(const struct session_seen *s, struct error *err)
{
	char name[STORE_NAME_MAX + 1];

	presence_name(name, &s->sid);
	return err_set(err, ERR_CORRUPT,
		"%s cannot be opened, so it is not known whose session it is; "
		"if no backup is running, remove that object and prune again",
		name);
}

static void
tell(const struct pruning *p, const struct session_seen *s)
{
	char sid[UID_HEX + 1], since[40];

	if (!p->conf->list_sessions)
		return;
	hex_encode(s->sid.b, UID_LEN, sid);
	when_local(&s->started, since);
	pruning_note(p, "session %.12s of %s, since %s, is in the way", sid,
		s->host[0] != '\0' ? s->host : "an unknown host", since);
}

/* Create the name that it would commit by; or somebody was first, itself or
 * another prune. */
static enum err
fence(struct pruning *p, const char *object, struct error *err)
{
	enum err rc = store_put(p->store, object, SNAPSHOT_FENCE,
		sizeof(SNAPSHOT_FENCE) - 1, err);

	if (rc == ERR_EXISTS)
		return ERR_OK;
	p->figures->sessions_fenced += rc == ERR_OK;
	return rc;
}

struct fencing {
	struct pruning *p;
	const struct uid *sid;
};

static enum err
on_key(void *arg, const struct key_info *info, struct error *err)
{
	const struct fencing *f = arg;
	char object[STORE_NAME_MAX + 1];

	if (info->damaged)
		return ERR_OK;
	session_snapshot_name(object, info->ns_hex, f->sid);
	return fence(f->p, object, err);
}

/* Nobody knows whose it is, so it is fenced wherever it could commit. */
static enum err
fence_everywhere(struct pruning *p, const struct session_seen *s,
	struct error *err)
{
	struct fencing f = { p, &s->sid };

	return keys_each(p->store, p->keys, on_key, &f, err);
}

/* Whether its commit has been made, or can be made no more. */
static enum err
resolve_one(struct pruning *p, const struct session_seen *s, bool *resolved,
	struct error *err)
{
	char ns[UID_HEX + 1], object[STORE_NAME_MAX + 1];
	uint64_t size;
	enum err rc;

	*resolved = true;
	if (!s->opened)
		return prune_sessions_is_stale(p, s)
			       ? fence_everywhere(p, s, err)
			       : unreadable(s, err);
	hex_encode(s->ns.b, UID_LEN, ns);
	session_snapshot_name(object, ns, &s->sid);
	rc = store_size(p->store, object, &size, err);
	if (rc != ERR_NOTFOUND)
		return rc;
	*resolved = prune_sessions_is_stale(p, s);
	return *resolved ? fence(p, object, err) : ERR_OK;
}

static enum err
resolve_all(struct pruning *p, uint64_t epoch, bool telling, bool *resolved,
	struct error *err)
{
	struct sessions s;
	bool one;
	enum err rc = prune_sessions_read(&s, p, err);

	if (rc != ERR_OK)
		return rc;
	p->figures->sessions_open = 0;
	for (size_t i = 0; i < s.n && rc == ERR_OK; i++) {
		if (s.v[i].opened && s.v[i].view >= epoch)
			continue;
		rc = resolve_one(p, &s.v[i], &one, err);
		if (rc != ERR_OK || one)
			continue;
		p->figures->sessions_open++;
		if (telling)
			tell(p, &s.v[i]);
	}
	*resolved = p->figures->sessions_open == 0;
	prune_sessions_fini(&s);
	return rc;
}

enum err
prune_sessions_resolve(struct pruning *p, uint64_t epoch, bool *resolved,
	struct error *err)
{
	const struct timespec poll = { .tv_sec = POLL_SEC };
	double until = mono_sec() + (double)p->conf->wait_sec;
	bool last;
	enum err rc;

	pruning_phase(p, "waiting for sessions");
	for (;;) {
		last = mono_sec() + POLL_SEC > until;
		rc = resolve_all(p, epoch, last, resolved, err);
		if (rc == ERR_OK)
			rc = pruning_going(p, err);
		if (rc != ERR_OK || *resolved || last)
			return rc;
		(void)nanosleep(&poll, NULL);
	}
}
