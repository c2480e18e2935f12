/* SPDX-License-Identifier: Apache-2.0 */
/* rig: a repository in memory, a scratch directory, and what backups into it
 * and restores from it report. */
#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

#include "engine/restore.h"
#include "tests/engine/fs_tree.h"
#include "tests/lib/repo_tools.h"
#include "tree/builder.h"

struct rig {
	char dir[64]; /* scratch */
	struct store *st;
	struct repo *repo;
	struct progress progress;
	struct report report;
	unsigned n_problems, n_notes;
	unsigned n_removed; /* told as such */
	char problem[600]; /* the last one: key with '/', message */
	char notes[2048];
};

void rig_init(struct rig *w);
void rig_fini(struct rig *w);

/* A path below the scratch directory; the last 256 live. */
const char *rig_path(struct rig *w, const char *name);

/* Of path; snap was initialised. */
void rig_backup(struct rig *w, const char *path, struct snapshot *snap);

/* Counters are set to 0 first. */
enum err rig_restore(struct rig *w, const struct snapshot *snap,
	const struct restore_conf *conf, struct restore_result *result,
	struct error *err);
/* The same; it must succeed without problems. */
struct restore_result rig_restore_ok(struct rig *w, const struct snapshot *snap,
	const struct restore_conf *conf);

void rig_equal(const char *a, const char *b, int leave_out);

/* A snapshot of entries that nobody would back up.  Each is added with its
 * own text as content, inline. */
struct rig_forge {
	struct rig *rig;
	struct lane *lane;
	struct writer *writer;
	struct tree_io_repo io;
	struct builder *builder;
};

void rig_forge_begin(struct rig_forge *f, struct rig *w);
void rig_forge_add(struct rig_forge *f, struct bytes key,
	const struct entry *e);
void rig_forge_end(struct rig_forge *f, struct snapshot *snap);

#endif /* TESTS_ENGINE_RIG_H */
