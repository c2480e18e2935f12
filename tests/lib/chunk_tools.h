/* SPDX-License-Identifier: Apache-2.0 */
/* chunk_tools: numbered chunks to put and to compare, and every pack that a
 * repository knows of checked, for tests. */
#ifndef TESTS_LIB_CHUNK_TOOLS_H
#define TESTS_LIB_CHUNK_TOOLS_H

#include "tests/lib/repo_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/segment.h"

enum { CHUNK_LEN_MAX = 64 << 10, PACKS_MAX = 256 };

/* Chunk number n of a family of chunks; every fourth one is a node. */
static inline size_t
chunk_len(uint64_t n)
{
	return 1 + n * 7919 % (CHUNK_LEN_MAX - 1);
}

static inline bool
is_node(uint64_t n)
{
	return n % 4 == 3;
}

static inline size_t
head_len(uint64_t n)
{
	return n % 8 == 3 ? 0 : chunk_len(n) / 3;
}

static inline enum err
put_chunk(struct writer *w, struct lane *lane, uint64_t n, uint8_t *memory,
	struct id *id, struct error *err)
{
	size_t len = chunk_len(n), head = head_len(n), added;
	struct node_bytes node = { memory, head, memory + head, len - head };

	tool_bytes(n, memory, len);
	return is_node(n)
		       ? writer_put_node(w, lane, &node, id, &added, err)
		       : writer_put_data(w, lane, memory, len, id, &added, err);
}

static inline void
check_chunk(struct lane *lane, uint64_t n, const struct id *id)
{
	static _Thread_local uint8_t expect[CHUNK_LEN_MAX];
	struct buf out = BUF_INIT(CHUNK_LEN_MAX);
	struct error err = ERROR_INIT;
	size_t head = 0;

	if (is_node(n))
		must(repo_read_node(lane, id, &out, &head, &err), &err);
	else
		must(repo_read_data(lane, id, &out, &err), &err);
	tool_bytes(n, expect, chunk_len(n));
	assert_int_equal(out.len, chunk_len(n));
	assert_memory_equal(out.data, expect, out.len);
	if (is_node(n))
		assert_int_equal(head, head_len(n));
	buf_fini(&out);
}

/* Packs as the segments tell of them. */
struct packs {
	struct repo *repo;
	unsigned n;
	struct pack_info info[PACKS_MAX];
	struct record *recs[PACKS_MAX];
	uint32_t at;
};

static inline enum err
take_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct packs *p = arg;

	assert_true(p->n < PACKS_MAX);
	p->recs[p->n] = calloc(pack->n_records, sizeof(struct record));
	assert_non_null(p->recs[p->n]);
	p->info[p->n++] = *pack;
	p->at = 0;
	return ERR_OK;
}

static inline enum err
take_record(void *arg, const struct location *loc, struct error *err)
{
	struct packs *p = arg;

	p->recs[p->n - 1][p->at++] = loc->rec;
	return ERR_OK;
}

struct names {
	char name[PACKS_MAX][STORE_NAME_MAX + 1];
	unsigned n;
};

static inline enum err
take_name(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct names *l = arg;

	assert_true(l->n < PACKS_MAX);
	snprintf(l->name[l->n++], STORE_NAME_MAX + 1, "%s", name);
	return ERR_OK;
}

static inline unsigned
count_objects(struct store *st, const char *prefix)
{
	static struct names l;
	struct error err = ERROR_INIT;

	l.n = 0;
	must(store_list(st, prefix, take_name, &l, &err), &err);
	return l.n;
}

/* Every pack that a segment names is whole and as the segment says. */
static inline unsigned
check_packs(struct repo *r)
{
	static struct packs p;
	static struct names l;
	struct segment_visitor v = { take_pack, take_record, NULL, &p };
	struct lane *lane = tool_lane(r);
	struct error err = ERROR_INIT;

	p.n = 0;
	l.n = 0;
	must(store_list(repo_store(r), "index", take_name, &l, &err), &err);
	for (unsigned i = 0; i < l.n; i++)
		must(segment_load(repo_store(r), l.name[i],
			     &repo_keys(r)->structure, &v, &err),
			&err);
	for (unsigned i = 0; i < p.n; i++) {
		must(repo_check_pack(lane, &p.info[i], p.recs[i], true, &err),
			&err);
		free(p.recs[i]);
	}
	lane_free(lane);
	return p.n;
}

#endif /* TESTS_LIB_CHUNK_TOOLS_H */
