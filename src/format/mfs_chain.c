/* SPDX-License-Identifier: Apache-2.0 */
/* mfs_chain: the digest of a line lies at its id modulo the window. */
#include <assert.h>
#include <inttypes.h>

#include "format/mfs_log.h"

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static uint64_t
digest(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3u;
	return h;
}

void
mfs_chain_init(struct mfs_chain *c, uint64_t from)
{
	*c = (struct mfs_chain){ .from = from, .next = from };
}

enum mfs_link
mfs_chain_add(struct mfs_chain *c, uint64_t id, const char *text, size_t len)
{
	uint64_t *slot = &c->digests[id % MFS_CHAIN_WINDOW];

	assert(id < UINT64_MAX);
	if (id == c->next) {
		*slot = digest(text, len);
		c->next++;
		return MFS_LINK_NEXT;
	}
	if (id > c->next)
		return id - c->next >= MFS_CHAIN_JUMP_MIN ? MFS_LINK_JUMP
							  : MFS_LINK_HOLE;
	if (id < c->from)
		return MFS_LINK_SURPLUS;
	if (c->next - id > MFS_CHAIN_WINDOW)
		return MFS_LINK_OLD;
	return *slot == digest(text, len) ? MFS_LINK_SAME : MFS_LINK_OTHER;
}

const char *
mfs_link_name(enum mfs_link link)
{
	static const char *const names[] = {
		[MFS_LINK_NEXT] = "next",
		[MFS_LINK_SAME] = "same",
		[MFS_LINK_SURPLUS] = "surplus",
		[MFS_LINK_OLD] = "went back",
		[MFS_LINK_OTHER] = "other history",
		[MFS_LINK_HOLE] = "hole",
		[MFS_LINK_JUMP] = "jump",
	};

	return names[link];
}

enum err
mfs_chain_verdict(const struct mfs_chain *c, enum mfs_link link, uint64_t id,
	struct error *err)
{
	switch (link) {
	case MFS_LINK_NEXT:
	case MFS_LINK_SAME:
	case MFS_LINK_SURPLUS:
		return ERR_OK;
	case MFS_LINK_OLD:
		return err_set(err, ERR_CORRUPT,
			"change %" PRIu64 " where %" PRIu64
			" was expected: the log went back",
			id, c->next);
	case MFS_LINK_OTHER:
		return err_set(err, ERR_CORRUPT,
			"change %" PRIu64
			" has two different texts: these are two histories",
			id);
	case MFS_LINK_HOLE:
	case MFS_LINK_JUMP:
		break;
	}
	return err_set(err, ERR_CORRUPT,
		"changes %" PRIu64 " to %" PRIu64 " are missing", c->next,
		id - 1);
}
