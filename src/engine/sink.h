/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink: the engine's side of a capture (source/source.h): entries in, a tree
 * out, beside the tree of the previous snapshot.
 */
#ifndef ENGINE_SINK_H
#define ENGINE_SINK_H

#include "base/compiler.h"
#include "base/err.h"
#include "engine/ingest.h"
#include "source/source.h"
#include "tree/builder.h"

struct backup_sink;

/* in is borrowed; previous is the root of the tree to compare with, or NULL. */
enum err backup_sink_new(struct backup_sink **out, struct ingest *in,
	const struct id *previous, struct error *err) MUST_CHECK;
void backup_sink_free(struct backup_sink *s);

struct sink *backup_sink_base(struct backup_sink *s);

/* Wait for all content, finish the tree; in->figures is then complete. */
enum err backup_sink_finish(struct backup_sink *s, struct tree_root *root,
	struct error *err) MUST_CHECK;

#endif /* ENGINE_SINK_H */
