/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune_sweep: the deletions of an epoch whose final list is there.
 *
 *   segments, packs, swept and void snapshots with their marks, fences,
 *   session objects -> done -> the objects of earlier epochs
 *
 * What is deleted means nothing any more: by the final list, index segments
 * and snapshots of older views that it does not name are void, and so is the
 * commit that a fence kept from being made.  Names never come back, so a
 * deletion that is late, or done twice, deletes nothing else.  A fence is the
 * exception, because a later prune may make others: so fences are listed, then
 * it is made sure that no later epoch has begun, and then those of the list
 * are deleted; they are all of this epoch, and of sessions that it has
 * resolved.
 *
 * Crash argument.  Whoever is killed has deleted some of it; the next run
 * lists again what is left, and creates done after the last.
 *
 * An object that the store will not delete yet (ERR_DENIED: object lock) is
 * left for a later epoch, which finds it as garbage again.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/pruning.h"
#include "repo/pack.h"
#include "repo/presence.h"
#include "repo/segment.h"
#include "repo/session.h"
#include "repo/snapshot_object.h"

enum { NAMES_MAX = 1 << 30, FENCE_LEN = sizeof(SNAPSHOT_FENCE) - 1 };

struct sweeping {
	struct pruning *p;
	uint64_t epoch;
	struct condemned c;
	struct final f;
	struct buf fences, others; /* names in snapshots/, each with its NUL */
	struct buf sealed, plain;
};

/* *gone where it is not there any more, by us or by others. */
static enum err
remove_object(struct sweeping *s, const char *name, bool *gone,
	struct error *err)
{
	enum err rc = pruning_going(s->p, err);

	if (rc == ERR_OK)
		rc = store_del(s->p->store, name, err);
	*gone = rc == ERR_OK || rc == ERR_NOTFOUND;
	if (rc == ERR_DENIED)
		s->p->figures->retained++;
	return *gone || rc == ERR_DENIED ? ERR_OK : rc;
}

/* ---- segments ---- */

/* Those of later epochs are none of ours. */
static bool
is_void(const struct sweeping *s, const struct segment_ref *ref)
{
	bool ours = ref->base ? ref->epoch <= s->epoch : ref->epoch < s->epoch;

	return ours && !final_has_segment(&s->f, ref);
}

static enum err
sweep_segments(struct sweeping *s, struct error *err)
{
	struct index_segments list;
	char name[SEGMENT_NAME_MAX];
	bool gone;
	enum err rc = prune_segments_read(&list, s->p, err);

	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < list.n && rc == ERR_OK; i++) {
		if (!is_void(s, &list.v[i].ref))
			continue;
		segment_name(&list.v[i].ref, name);
		rc = remove_object(s, name, &gone, err);
	}
	prune_segments_fini(&list);
	return rc;
}

/* ---- packs ---- */

static enum err
sweep_pack(struct sweeping *s, const struct id *pack, struct error *err)
{
	struct prune_figures *f = s->p->figures;
	char name[PACK_NAME];
	uint64_t size;
	bool gone;
	enum err rc;

	pack_name(name, pack);
	rc = store_size(s->p->store, name, &size, err);
	if (rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc == ERR_OK)
		rc = remove_object(s, name, &gone, err);
	if (rc == ERR_OK && gone) {
		f->packs_deleted++;
		f->bytes_freed += size;
	}
	s->p->report->progress->items_done++;
	return rc;
}

static enum err
sweep_packs(struct sweeping *s, struct error *err)
{
	enum err rc = ERR_OK;

	s->p->report->progress->items_total += s->c.n_packs - s->f.n_spared;
	for (size_t i = 0; i < s->c.n_packs && rc == ERR_OK; i++)
		if (!final_spares(&s->f, &s->c.packs[i]))
			rc = sweep_pack(s, &s->c.packs[i], err);
	return rc;
}

/* ---- snapshots ---- */

static int
cmp_names(const void *a, const void *b)
{
	return epoch_snapshot_cmp(a, b);
}

static bool
counts(const struct final *f, const struct snapshot_name *name)
{
	return f->n_snapshots > 0 &&
	       bsearch(name, f->snapshots, f->n_snapshots,
		       sizeof(*f->snapshots), cmp_names) != NULL;
}

static void
object_name(char out[STORE_NAME_MAX + 1], const struct snapshot_name *name)
{
	char ns[UID_HEX + 1];

	hex_encode(name->ns.b, UID_LEN, ns);
	session_snapshot_name(out, ns, &name->sid);
}

static enum err
remove_marks(void *arg, const struct snapshot_name *name, struct error *err)
{
	struct sweeping *s = arg;
	enum err rc = marks_remove(s->p->store, name, err);

	if (rc == ERR_DENIED)
		s->p->figures->retained++;
	return rc == ERR_DENIED || rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* The snapshot first, for without its marks it would be there again. */
static enum err
sweep_doomed(struct sweeping *s, struct error *err)
{
	char name[STORE_NAME_MAX + 1];
	bool gone;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < s->c.n_doomed && rc == ERR_OK; i++) {
		const struct snapshot_name *snap = &s->c.doomed[i].name;

		if (counts(&s->f, snap))
			continue;
		object_name(name, snap);
		rc = remove_object(s, name, &gone, err);
		if (rc == ERR_OK && gone) {
			s->p->figures->snapshots_swept++;
			rc = remove_marks(s, snap, err);
		}
	}
	return rc;
}

static enum err
on_snapshot(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct sweeping *s = arg;
	struct snapshot_name snap;

	if (!snapshot_object_parse(name, &snap) || counts(&s->f, &snap))
		return ERR_OK;
	return buf_put(size == FENCE_LEN ? &s->fences : &s->others, name,
		strlen(name) + 1, err);
}

/* A snapshot that the final list does not name: of this view or a later one,
 * or void. */
static enum err
sweep_if_void(struct sweeping *s, const char *name, struct error *err)
{
	struct snapshot_opened opened;
	bool gone;
	enum err rc;

	buf_clear(&s->sealed);
	rc = store_get_all(s->p->store, name, SNAPSHOT_MAX, &s->sealed, err);
	if (rc == ERR_OK)
		rc = snapshot_object_open(&opened, &s->plain,
			&s->p->keys->structure, name, s->sealed.data,
			s->sealed.len, err);
	/* What it is cannot be known, so it stays. */
	if (rc == ERR_NOTFOUND || rc == ERR_CORRUPT || rc == ERR_VERSION)
		return ERR_OK;
	if (rc == ERR_OK && opened.view < s->epoch)
		rc = remove_object(s, name, &gone, err);
	return rc;
}

static enum err
check_newest(struct sweeping *s, struct error *err)
{
	struct epoch_state state;
	enum err rc = epoch_read(s->p->store, &state, err);

	if (rc == ERR_OK && state.newest != s->epoch)
		rc = err_set(err, ERR_EXISTS, "another prune has gone on");
	return rc;
}

static enum err
sweep_snapshots(struct sweeping *s, struct error *err)
{
	const struct buf *f = &s->fences, *o = &s->others;
	bool gone;
	size_t at;
	enum err rc = store_list(s->p->store, "snapshots", on_snapshot, s, err);

	if (rc == ERR_OK)
		rc = check_newest(s, err);
	for (at = 0; rc == ERR_OK && at < f->len;
		at += strlen((char *)f->data + at) + 1)
		rc = remove_object(s, (char *)f->data + at, &gone, err);
	for (at = 0; rc == ERR_OK && at < o->len;
		at += strlen((char *)o->data + at) + 1)
		rc = sweep_if_void(s, (char *)o->data + at, err);
	return rc;
}

/* ---- sessions ---- */

static enum err
sweep_sessions(struct sweeping *s, struct error *err)
{
	struct sessions list;
	char name[STORE_NAME_MAX + 1];
	bool gone;
	enum err rc = prune_sessions_read(&list, s->p, err);

	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < list.n && rc == ERR_OK; i++) {
		const struct session_seen *seen = &list.v[i];

		if (seen->opened ? seen->view >= s->epoch
				 : !prune_sessions_is_stale(s->p, seen))
			continue;
		presence_name(name, &seen->sid);
		rc = remove_object(s, name, &gone, err);
	}
	prune_sessions_fini(&list);
	return rc;
}

/* ---- all ---- */

static enum err
sweep_all(struct sweeping *s, struct error *err)
{
	enum err rc = check_newest(s, err);

	if (rc == ERR_OK)
		rc = sweep_segments(s, err);
	if (rc == ERR_OK)
		rc = sweep_packs(s, err);
	if (rc == ERR_OK)
		rc = sweep_doomed(s, err);
	if (rc == ERR_OK)
		rc = sweep_snapshots(s, err);
	if (rc == ERR_OK)
		rc = prune_strays(s->p, remove_marks, s, err);
	return rc == ERR_OK ? sweep_sessions(s, err) : rc;
}

/* ERR_EXISTS is another prune's, which did the same. */
static enum err
finish(struct sweeping *s, struct error *err)
{
	struct pruning *p = s->p;
	enum err rc = epoch_done_put(p->store, p->keys, s->epoch, err);

	if (rc == ERR_EXISTS)
		rc = ERR_OK;
	if (rc == ERR_OK)
		rc = epoch_forget_before(p->store, s->epoch, err);
	if (rc == ERR_DENIED)
		p->figures->retained++;
	return rc == ERR_DENIED ? ERR_OK : rc;
}

enum err
prune_sweep(struct pruning *p, uint64_t epoch, struct error *err)
{
	struct sweeping s = { .p = p,
		.epoch = epoch,
		.fences = BUF_INIT(NAMES_MAX),
		.others = BUF_INIT(NAMES_MAX),
		.sealed = BUF_INIT(SNAPSHOT_MAX),
		.plain = BUF_INIT(SNAPSHOT_MAX) };
	enum err rc;

	pruning_phase(p, "deleting");
	rc = epoch_condemned_get(p->store, p->keys, epoch, &s.c, err);
	if (rc == ERR_OK)
		rc = epoch_final_get(p->store, p->keys, epoch, &s.f, err);
	if (rc == ERR_OK)
		rc = sweep_all(&s, err);
	if (rc == ERR_OK)
		rc = finish(&s, err);
	condemned_fini(&s.c);
	final_fini(&s.f);
	buf_fini(&s.fences);
	buf_fini(&s.others);
	buf_fini(&s.sealed);
	buf_fini(&s.plain);
	return rc;
}
