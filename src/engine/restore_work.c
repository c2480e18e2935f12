/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_work.h"

#include <stdlib.h>

#include "base/fsx.h"
#include "engine/restore_delta.h"
#include "engine/restore_dirs.h"

enum err
restore_work_bytes(struct restore_work *w, const struct planned *p,
	struct bytes *out, struct error *err)
{
	struct buf *chunk = &w->scratch->chunk;

	if (!w->fetched) {
		w->fetched = true;
		buf_clear(chunk);
		w->rc = repo_read_data(w->lane, &w->group->chunk, chunk,
			&w->why);
	}
	if (w->rc != ERR_OK) {
		*err = w->why;
		return err->code;
	}
	if (p->len > chunk->len || p->chunk_off > chunk->len - p->len)
		return err_set(err, ERR_CORRUPT,
			"refers to more of a chunk than there is");
	*out = (struct bytes){ chunk->data + p->chunk_off, (size_t)p->len };
	return ERR_OK;
}

/* The directory of the goal, kept pinned for its neighbours. */
static enum err
enter(struct restore_work *w, struct rdir *dir, struct error *err)
{
	enum err rc;

	if (w->dir == dir)
		return ERR_OK;
	if (w->dir != NULL) {
		restore_dirs_unpin(w->dir);
		restore_dirs_unref(w->dir);
	}
	w->dir = NULL;
	rc = restore_dirs_pin(dir, &w->dirfd, err);
	if (rc == ERR_OK)
		w->dir = restore_dirs_ref(dir);
	return rc;
}

/* A goal of one piece. */
static enum err
do_single(struct restore_work *w, const struct planned *p, struct error *err)
{
	struct goal *g = p->goal;
	struct bytes data = { g->body, g->body_len };
	enum err rc = ERR_OK;

	if (w->group->has_chunk)
		rc = restore_work_bytes(w, p, &data, err);
	if (rc == ERR_OK)
		rc = restore_goal_write(g, w->dirfd, data, err);
	return rc;
}

static enum err
do_part(struct restore_work *w, const struct planned *p, int fd,
	struct error *err)
{
	struct bytes data = { p->goal->body, p->goal->body_len };
	enum how how = p->goal->how;
	enum err rc = ERR_OK;

	if (how == HOW_PATCH || how == HOW_VERIFY)
		return restore_delta_piece(w, p, fd, err);
	if (p->hole || p->len == 0)
		return ERR_OK;
	if (w->group->has_chunk)
		rc = restore_work_bytes(w, p, &data, err);
	if (rc == ERR_OK)
		rc = fsx_pwrite(fd, data.data, data.len, p->off, "it", err);
	if (rc == ERR_OK)
		w->run->counts.bytes_written += data.len;
	return rc;
}

static enum err
do_piece(struct restore_work *w, const struct planned *p, struct error *err)
{
	int fd;
	enum err rc = enter(w, p->goal->dir, err);

	if (rc != ERR_OK)
		return rc;
	if (p->goal->single)
		return do_single(w, p, err);
	rc = restore_goal_acquire(p->goal, w->dirfd, &fd, err);
	if (rc != ERR_OK)
		return rc;
	rc = do_part(w, p, fd, err);
	restore_goal_release(p->goal);
	return rc;
}

void
restore_work_run(struct job *job, unsigned worker)
{
	struct group *g = container_of(job, struct group, job);
	struct restoring *r = g->run;
	struct restore_work w = { .run = r,
		.lane = r->crew.lanes[worker],
		.scratch = &r->scratch[worker],
		.group = g,
		.why = ERROR_INIT };
	struct error err;

	for (size_t i = 0; i < g->n; i++) {
		struct planned *p = &g->v[i];

		err = ERROR_INIT;
		if (restoring_check(r, &err) != ERR_OK)
			p->goal->failed = true;
		if (!p->goal->failed && do_piece(&w, p, &err) != ERR_OK)
			restore_goal_fail(p->goal, &err);
		r->report->progress->bytes_done += p->len;
		restore_goal_drop(p->goal);
	}
	if (w.dir != NULL) {
		restore_dirs_unpin(w.dir);
		restore_dirs_unref(w.dir);
	}
	free(g->v);
	free(g);
}
