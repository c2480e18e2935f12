/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/backup.h"
#include "source/source.h"
#include "tree/node.h"

enum { N_PATHS = 256 };

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	struct rig *w = arg;
	size_t len = key.len < 300 ? key.len : 300;

	w->n_problems++;
	if (len > 0)
		memcpy(w->problem, key.data, len);
	for (size_t i = 0; i < len; i++)
		if (w->problem[i] == '\0')
			w->problem[i] = '/';
	(void)snprintf(w->problem + len, sizeof(w->problem) - len, ": %s",
		why->msg);
	if (getenv("RIG_SHOW") != NULL)
		print_message("%s\n", w->problem);
}

static void
on_note(void *arg, const char *sentence)
{
	struct rig *w = arg;
	size_t len = strlen(w->notes);

	w->n_notes++;
	(void)snprintf(w->notes + len, sizeof(w->notes) - len, "%s\n",
		sentence);
}

static void
on_entry(void *arg, struct bytes key, const struct entry *e, enum change change)
{
	((struct rig *)arg)->n_removed += change == CHANGE_REMOVED;
}

void
rig_init(struct rig *w)
{
	const char *tmp = getenv("TMPDIR");

	memset(w, 0, sizeof(*w));
	(void)snprintf(w->dir, sizeof(w->dir), "%s/coffer-rig-XXXXXX",
		tmp != NULL && strlen(tmp) < 40 ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(w->dir));
	progress_init(&w->progress);
	w->report = (struct report){ .arg = w,
		.progress = &w->progress,
		.problem = on_problem,
		.note = on_note,
		.entry = on_entry };
	w->st = tool_repo_store();
	w->repo = tool_open(w->st, TOOL_PASS);
}

void
rig_fini(struct rig *w)
{
	repo_close(w->repo);
	store_close(w->st);
	progress_fini(&w->progress);
	fs_tree_remove(w->dir);
}

const char *
rig_path(struct rig *w, const char *name)
{
	static char paths[N_PATHS][400];
	static unsigned at;
	char *out = paths[at++ % N_PATHS];

	(void)snprintf(out, sizeof(paths[0]), "%s/%s", w->dir, name);
	return out;
}

void
rig_backup(struct rig *w, const char *path, struct snapshot *snap)
{
	const struct source_ops *ops = source_driver("files");
	struct source_conf sconf = { .args = &path, .n_args = 1 };
	struct backup_conf conf = { .host = "rig", .workers = 2 };
	struct error err = ERROR_INIT;
	struct source *src;

	w->n_problems = 0;
	must(ops->open(&src, &sconf, &err), &err);
	must(backup_run(w->repo, src, &conf, &w->report, snap, &err), &err);
	ops->close(src);
	if (w->n_problems > 0)
		fail_msg("backup: %s", w->problem);
}

enum err
rig_restore(struct rig *w, const struct snapshot *snap,
	const struct restore_conf *conf, struct restore_result *result,
	struct error *err)
{
	struct restore_conf c = *conf;

	if (c.workers == 0)
		c.workers = 2;
	w->n_problems = w->n_notes = w->n_removed = 0;
	w->problem[0] = w->notes[0] = '\0';
	return restore_run(w->repo, snap, &c, &w->report, result, err);
}

struct restore_result
rig_restore_ok(struct rig *w, const struct snapshot *snap,
	const struct restore_conf *conf)
{
	struct restore_result result = { 0 };
	struct error err = ERROR_INIT;

	must(rig_restore(w, snap, conf, &result, &err), &err);
	if (w->n_problems > 0 || result.errors > 0)
		fail_msg("%u problems: %s", w->n_problems, w->problem);
	return result;
}

void
rig_equal(const char *a, const char *b, int leave_out)
{
	char why[5000];

	if (!fs_tree_equal(a, b, leave_out, why, sizeof(why)))
		fail_msg("%s", why);
}

void
rig_forge_begin(struct rig_forge *f, struct rig *w)
{
	struct writer_conf conf = { .host = "rig" };
	struct error err = ERROR_INIT;

	memset(f, 0, sizeof(*f));
	f->rig = w;
	f->lane = tool_lane(w->repo);
	must(writer_open(&f->writer, w->repo, &conf, &err), &err);
	tree_io_repo_init(&f->io, w->repo, f->lane, f->writer);
	must(builder_new(&f->builder, &f->io.io, TREE_ENTRIES, &err), &err);
}

void
rig_forge_add(struct rig_forge *f, struct bytes key, const struct entry *e)
{
	struct buf val = BUF_INIT(VALUE_MAX);
	struct refs refs = { NULL, 0, 0 };
	struct error err = ERROR_INIT;
	struct item item;

	must(entry_encode(e, &val, &refs, &err), &err);
	item = (struct item){ .key = key,
		.val = { val.data, val.len },
		.refs = refs.v,
		.n_refs = refs.n,
		.weight = e->size };
	must(builder_add(f->builder, &item, &err), &err);
	buf_fini(&val);
	refs_fini(&refs);
}

void
rig_forge_end(struct rig_forge *f, struct snapshot *snap)
{
	struct error err = ERROR_INIT;
	struct tree_root root;

	must(builder_finish(f->builder, &root, &err), &err);
	must(writer_flush(f->writer, &err), &err);
	snap->root = root.id;
	must(strings_add(&snap->sources, "files:/", &err), &err);
	builder_free(f->builder);
	writer_free(f->writer);
	lane_free(f->lane);
}
