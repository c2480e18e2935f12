/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_made: images of a MooseFS master that are made up, in each version of
 * the sections NODE and EDGE.
 *
 *   made_begin, made_section ... made_end
 *
 * made_section leaves the length open; the next section, or the end, sets it.
 */
#ifndef TESTS_LIB_MFS_MADE_H
#define TESTS_LIB_MFS_MADE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "format/mfs_records.h"
#include "tests/lib/must.h"

struct made {
	struct buf b;
	size_t section; /* where its data begins; 0: none */
	unsigned node, edge; /* minor versions */
};

static inline void
made_put(struct made *m, const void *data, size_t len)
{
	struct error err = ERROR_INIT;

	must(buf_put(&m->b, data, len, &err), &err);
}

/* Big-endian. */
static inline void
made_int(struct made *m, uint64_t v, size_t bytes)
{
	while (bytes-- > 0) {
		uint8_t byte = (uint8_t)(bytes < 8 ? v >> (8 * bytes) : 0);

		made_put(m, &byte, 1);
	}
}

static inline void
made_close(struct made *m)
{
	uint64_t len = m->b.len - m->section;

	for (size_t i = 0; m->section > 0 && i < 8; i++)
		m->b.data[m->section - 1 - i] = (uint8_t)(len >> (8 * i));
	m->section = 0;
}

/* head: "NODE 1.4" */
static inline void
made_section(struct made *m, const char *head)
{
	made_close(m);
	made_put(m, head, 8);
	made_int(m, 0, 8);
	m->section = m->b.len;
	if (memcmp(head, "NODE", 4) == 0)
		m->node = (unsigned)(head[7] - '0');
	if (memcmp(head, "EDGE", 4) == 0)
		m->edge = (unsigned)(head[7] - '0');
}

static inline void
made_begin(struct made *m, uint64_t version, uint64_t id)
{
	*m = (struct made){ .b = BUF_INIT(64u << 20) };
	made_put(m, "MFSM 2.0", 8);
	made_int(m, version, 8);
	made_int(m, id, 8);
}

static inline void
made_end(struct made *m)
{
	made_close(m);
	made_put(m, "[MFS EOF MARKER]", 16);
}

static inline void
made_nodes(struct made *m, const char *head)
{
	made_section(m, head);
	made_int(m, 0, m->node >= 1 ? 8 : 4);
}

/* What the version has no room for is left out; extra: sessions (up to 1.3),
 * or the length of a link's target. */
static inline void
made_node(struct made *m, const struct mfs_node *n, uint32_t extra)
{
	bool file = n->kind == MFS_FILE || n->kind >= MFS_TRASH;

	made_int(m,
		m->node >= 3 ? (uint64_t)n->kind
			     : (uint64_t) " fdlqbcstr"[n->kind],
		1);
	made_int(m, n->inode, 4);
	made_int(m, 2, 1);
	if (m->node >= 2)
		made_int(m, 0x5, m->node >= 4 ? 2 : 1);
	made_int(m, n->mode | (m->node >= 2 ? 0u : 0x5000u), 2);
	made_int(m, n->uid, 4);
	made_int(m, n->gid, 4);
	made_int(m, n->atime, 4);
	made_int(m, n->mtime, 4);
	made_int(m, n->ctime, 4);
	made_int(m, m->node >= 4 ? n->trash_sec / 3600 : n->trash_sec,
		m->node >= 4 ? 2 : 4);
	if (file) {
		made_int(m, n->length, 8);
		made_int(m, n->chunks, 4);
		if (m->node < 4)
			made_int(m, extra, 2);
		for (uint32_t i = 0; i < n->chunks; i++)
			made_int(m, i, 8);
		for (uint32_t i = 0; m->node < 4 && i < extra; i++)
			made_int(m, i, 4);
	} else if (n->kind == MFS_SYMLINK) {
		made_int(m, extra, 4);
		for (uint32_t i = 0; i < extra; i++)
			made_put(m, "t", 1);
	} else if (n->kind == MFS_BLOCKDEV || n->kind == MFS_CHARDEV) {
		made_int(m, n->device, 4);
	}
}

static inline void
made_edges(struct made *m, const char *head)
{
	made_int(m, 0, 1); /* the end of the nodes */
	made_section(m, head);
	if (m->edge >= 1)
		made_int(m, 1, 8);
}

static inline void
made_edge(struct made *m, uint32_t parent, uint32_t child, const void *name,
	size_t len)
{
	made_int(m, parent, 4);
	made_int(m, child, 4);
	if (m->edge >= 1)
		made_int(m, 7, 8);
	made_int(m, len, 2);
	made_put(m, name, len);
}

static inline void
made_edges_end(struct made *m)
{
	made_int(m, 0, m->edge >= 1 ? 18 : 10);
}

#endif /* TESTS_LIB_MFS_MADE_H */
