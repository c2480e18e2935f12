/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: an image of a MooseFS master.  Walking it in one piece, in pieces of
 * seven bytes and byte by byte comes to the same: the same sections, records
 * and paths, or the same words about what is wrong with it.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "format/mfs_edges.h"
#include "format/mfs_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct told {
	enum err rc;
	uint64_t sections, nodes, edges, paths, sum;
	struct error err;
	struct mfs_records records;
	struct mfs_edges *names; /* NULL: the records are asked for */
};

static void
mix(struct told *t, uint64_t v)
{
	t->sum = (t->sum ^ v) * 0x100000001b3u;
}

static enum err
on_node(void *arg, const struct mfs_node *n, struct error *err)
{
	struct told *t = arg;

	(void)err;
	assert(n->inode > 0 && n->kind >= MFS_FILE && n->kind <= MFS_SUSTAINED);
	t->nodes++;
	mix(t, n->inode + n->length);
	return ERR_OK;
}

static enum err
on_edge(void *arg, const struct mfs_edge *e, struct error *err)
{
	struct told *t = arg;

	(void)err;
	assert(e->child > 0 && e->name.len > 0);
	assert(e->parent == 0 || e->name.len <= MFS_NAME_MAX);
	t->edges++;
	mix(t, e->child);
	for (size_t i = 0; i < e->name.len; i++)
		mix(t, (uint8_t)e->name.p[i]);
	return ERR_OK;
}

static enum err
on_section(void *arg, const struct mfs_section *s, struct error *err)
{
	struct told *t = arg;

	t->sections++;
	mix(t, s->len + s->off);
	if (t->names != NULL)
		return mfs_edges_section(t->names, s, err);
	return mfs_records_section(&t->records, s, err);
}

static enum err
on_data(void *arg, const struct mfs_section *s, uint64_t at, const void *data,
	size_t len, struct error *err)
{
	struct told *t = arg;

	assert(len > 0 && at < s->len && len <= s->len - at);
	if (t->names != NULL)
		return mfs_edges_data(t->names, s, at, data, len, err);
	return mfs_records_data(&t->records, s, at, data, len, err);
}

static enum err
on_path(void *arg, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	struct told *t = arg;

	(void)err;
	assert(inode > 0 && path->text.len <= MFS_PATH_MAX);
	t->paths += path->text.len + 1;
	return ERR_OK;
}

static enum err
end(struct told *t, struct mfs_image *w)
{
	enum err rc = mfs_image_end(w, &t->err);

	if (rc != ERR_OK || w->header.is_new)
		return rc;
	if (t->names != NULL)
		return mfs_edges_loaded(t->names, &t->err);
	return mfs_records_end(&t->records, &t->err);
}

/* The records, or the names that become of them. */
static void
walk(const uint8_t *data, size_t len, size_t part, bool names, struct told *t)
{
	const struct mfs_records_fn records = { on_node, on_edge, t };
	const struct mfs_image_fn fn = { NULL, on_section, on_data, t };
	const struct mfs_edges_conf conf = { true, 64 << 20 };
	struct mfs_image w;

	memset(t, 0, sizeof(*t));
	mfs_records_init(&t->records, &records);
	if (names)
		assert(mfs_edges_new(&t->names, &conf, &t->err) == ERR_OK);
	mfs_image_init(&w, &fn);
	for (size_t at = 0; t->rc == ERR_OK && at < len; at += part)
		t->rc = mfs_image_feed(&w, data + at,
			part < len - at ? part : len - at, &t->err);
	if (t->rc == ERR_OK)
		t->rc = end(t, &w);
	if (names)
		assert(mfs_edges_each(t->names, on_path, t, &t->err) == ERR_OK);
	mfs_records_fini(&t->records);
	mfs_edges_free(t->names);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct told a, b;

	for (unsigned i = 0; i < 4; i++) {
		bool names = i % 2 != 0;

		walk(data, len, len > 0 ? len : 1, names, &a);
		walk(data, len, i < 2 ? 1 : 7, names, &b);
		assert(a.rc == b.rc && a.sections == b.sections);
		assert(a.nodes == b.nodes && a.edges == b.edges);
		assert(a.sum == b.sum && a.paths == b.paths);
		if (a.rc != ERR_OK) {
			assert(a.rc == ERR_CORRUPT || a.rc == ERR_VERSION);
			assert(strcmp(a.err.msg, b.err.msg) == 0);
		}
	}
	return 0;
}
