/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a change log.  Its lines are the same whether it comes whole or byte
 * by byte; a line that is taken is written back as it was, and its arguments
 * lie within it in their order; a chain of them never goes on with a wrong id;
 * names are applied without harm.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/mfs_edges.h"
#include "format/mfs_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct world {
	struct mfs_edges *edges;
	struct mfs_chain chain;
	uint64_t first; /* 0: no line was taken yet */
	size_t lines, taken;
	uint64_t sum;
};

static void
check_texts(const struct mfs_text *v, size_t n, const char **at,
	const char *end)
{
	for (size_t i = 0; i < n && i < MFS_ARGS_MAX; i++) {
		assert(v[i].p >= *at && v[i].len <= (size_t)(end - v[i].p));
		*at = v[i].p + v[i].len;
	}
}

static void
check_back(const struct mfs_change *c, const char *line, size_t len)
{
	struct mfs_text text = mfs_change_text(line, len);
	struct buf b = BUF_INIT(MFS_LINE_MAX + 1);
	struct error err = ERROR_INIT;
	uint64_t id, seconds;

	assert(mfs_change_check(&id, &seconds, line, len, &err) == ERR_OK);
	assert(id == c->id && seconds == c->seconds);
	assert(mfs_change_put(&b, id, text.p, text.len, &err) == ERR_OK);
	assert(b.len == len + 1 && memcmp(b.data, line, len) == 0);
	buf_fini(&b);
}

static enum err
count_path(void *arg, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	struct world *w = arg;

	(void)err;
	assert(path->text.len <= MFS_PATH_MAX);
	w->sum += inode + path->text.len;
	return ERR_OK;
}

static enum err
on_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct world *w = arg;
	struct error why = ERROR_INIT;
	uint32_t inodes[MFS_MENTIONS_MAX];
	struct mfs_change c;
	struct mfs_text t;
	const char *at = line;
	uint64_t next;
	enum err rc;

	w->lines++;
	for (size_t i = 0; i < len; i++)
		w->sum = w->sum * 31 + (uint8_t)line[i];
	rc = mfs_change_parse(&c, line, len, &why);
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	if (rc != ERR_OK)
		return ERR_OK;
	w->taken++;
	check_texts(&c.op, 1, &at, line + len);
	check_texts(c.args, c.n_args, &at, line + len);
	check_texts(c.results, c.n_results, &at, line + len);
	check_back(&c, line, len);
	if (w->taken == 1)
		mfs_chain_init(&w->chain, c.id);
	next = w->chain.next;
	t = mfs_change_text(line, len);
	if (mfs_chain_add(&w->chain, c.id, t.p, t.len) == MFS_LINK_NEXT)
		assert(c.id == next && w->chain.next == next + 1);
	else
		assert(c.id != next && w->chain.next == next);
	for (size_t n = mfs_edges_mentions(&c, inodes); n > 0; n--)
		assert(mfs_edges_paths(w->edges, inodes[n - 1], count_path, w,
			       err) == ERR_OK);
	rc = mfs_edges_apply(w->edges, &c, &why);
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	return ERR_OK;
}

static enum err
run(const uint8_t *data, size_t len, size_t part, struct world *w,
	struct mfs_lines *l)
{
	struct mfs_edges_conf conf = { true, 64 << 20 };
	struct error err = ERROR_INIT;
	enum err rc = ERR_OK;

	memset(w, 0, sizeof(*w));
	assert(mfs_edges_new(&w->edges, &conf, &err) == ERR_OK);
	mfs_lines_init(l);
	for (size_t at = 0; rc == ERR_OK && at < len; at += part)
		rc = mfs_lines_feed(l, data + at,
			part < len - at ? part : len - at, on_line, w, &err);
	assert(rc == ERR_OK || rc == ERR_CORRUPT);
	if (rc == ERR_OK) {
		assert(l->whole + mfs_lines_torn(l) == len);
		assert(l->line == w->lines);
	}
	assert(mfs_edges_each(w->edges, count_path, w, &err) == ERR_OK);
	mfs_edges_free(w->edges);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct world a, b;
	struct mfs_lines la, lb;

	assert(run(data, len, len > 0 ? len : 1, &a, &la) ==
		run(data, len, 1, &b, &lb));
	assert(a.lines == b.lines && a.taken == b.taken && a.sum == b.sum);
	assert(la.whole == lb.whole &&
		mfs_lines_torn(&la) == mfs_lines_torn(&lb));
	mfs_lines_fini(&la);
	mfs_lines_fini(&lb);
	return 0;
}
