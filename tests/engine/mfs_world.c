/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/mfs_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/must.h"

/* ---- history ---- */

static struct mfs_world_name *
free_slot(struct mfs_world_name *v)
{
	for (size_t k = 0; k < MFS_WORLD_NAMES; k++)
		if (v[k].inode == 0)
			return &v[k];
	return NULL;
}

static struct mfs_world_name *
any_slot(struct mfs_world *w, struct mfs_world_name *v)
{
	size_t at = prng_below(&w->dice, MFS_WORLD_NAMES);

	for (size_t k = 0; k < MFS_WORLD_NAMES; k++) {
		struct mfs_world_name *n = &v[(at + k) % MFS_WORLD_NAMES];

		if (n->inode != 0)
			return n;
	}
	return NULL;
}

/* The root, or some directory. */
static uint32_t
any_dir(struct mfs_world *w, struct mfs_world_name *v)
{
	struct mfs_world_name *n = any_slot(w, v);

	return n != NULL && n->is_dir && prng_below(&w->dice, 4) > 0 ? n->inode
								     : 1;
}

static bool
is_below(const struct mfs_world_name *v, uint32_t dir, uint32_t top)
{
	while (dir != 1) {
		size_t k = 0;

		if (dir == top)
			return true;
		while (v[k].inode != dir)
			k++;
		dir = v[k].parent;
	}
	return false;
}

static bool
is_parent(const struct mfs_world_name *v, uint32_t inode)
{
	for (size_t k = 0; k < MFS_WORLD_NAMES; k++)
		if (v[k].inode != 0 && v[k].parent == inode)
			return true;
	return false;
}

static void
make_name(struct mfs_world *w, char out[24])
{
	(void)snprintf(out, 24, "n%" PRIu64, prng_next(&w->dice) % 1000000000);
}

static int
create(struct mfs_world *w, struct mfs_world_name *v, char *text)
{
	struct mfs_world_name *n = free_slot(v);
	uint32_t dir = any_dir(w, v);

	if (n == NULL)
		return 0;
	make_name(w, n->name);
	n->parent = dir;
	n->is_dir = prng_below(&w->dice, 3) == 0;
	n->inode = w->next_inode++;
	return snprintf(text, 100, "CREATE(%u,%s,%d,420,18,0,0,0):%u", dir,
		n->name, n->is_dir ? 2 : 1, n->inode);
}

static int
move(struct mfs_world *w, struct mfs_world_name *v, char *text)
{
	struct mfs_world_name *n = any_slot(w, v);
	uint32_t to = any_dir(w, v), from;
	char old[24];

	if (n == NULL || is_below(v, to, n->inode))
		return 0;
	memcpy(old, n->name, sizeof(old));
	from = n->parent;
	make_name(w, n->name);
	n->parent = to;
	return snprintf(text, 100, "MOVE(%u,%s,%u,%s):%u", from, old, to,
		n->name, n->inode);
}

static int
unlink_one(struct mfs_world *w, struct mfs_world_name *v, char *text)
{
	struct mfs_world_name *n = any_slot(w, v);
	int len;

	if (n == NULL || is_parent(v, n->inode))
		return 0;
	len = snprintf(text, 100, "UNLINK(%u,%s):%u", n->parent, n->name,
		n->inode);
	memset(n, 0, sizeof(*n));
	return len;
}

static void
one_change(struct mfs_world *w, size_t i)
{
	struct mfs_world_name *v = w->names[i];
	uint64_t what = prng_below(&w->dice, 10);
	char text[100];
	int len = 0;

	memcpy(v, w->names[i - 1], sizeof(w->names[i]));
	if (i == 1)
		len = snprintf(text, sizeof(text), "SETMETAID(%" PRIu64 ")",
			w->id);
	else if (what < 4)
		len = create(w, v, text);
	else if (what < 6)
		len = move(w, v, text);
	else if (what < 8)
		len = unlink_one(w, v, text);
	if (len == 0)
		(void)snprintf(text, sizeof(text), "ACCESS(%" PRIu64 ")",
			1 + prng_below(&w->dice, w->next_inode));
	(void)snprintf(w->lines[i], MFS_WORLD_LINE, "%zu: %" PRIu64 "|%s\n", i,
		w->seconds[i], text);
}

void
mfs_world_make(struct mfs_world *w, uint64_t seed, size_t n, bool steps)
{
	memset(w, 0, sizeof(*w));
	prng_init(&w->dice, seed);
	w->id = prng_next(&w->dice) | 1;
	w->n = n;
	w->next_inode = 2;
	w->seconds[0] = 1795242580;
	for (size_t i = 1; i <= n; i++) {
		uint64_t back = steps && prng_below(&w->dice, 40) == 0 ? 9 : 0;

		w->seconds[i] =
			w->seconds[i - 1] + prng_below(&w->dice, 3) - back;
		one_change(w, i);
	}
}

void
mfs_world_path(const struct mfs_world *w, size_t i, size_t k, char out[1024])
{
	const struct mfs_world_name *v = w->names[i];
	char rest[1024] = "";

	for (;;) {
		uint32_t parent = v[k].parent;

		(void)snprintf(out, 1024, "/%.23s%.990s", v[k].name, rest);
		if (parent == 1)
			return;
		memcpy(rest, out, sizeof(rest));
		for (k = 0; v[k].inode != parent; k++)
			;
	}
}

/* ---- snapshots ---- */

static void
put64(uint8_t *out, uint64_t v)
{
	for (size_t i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static void
write_image(const struct mfs_world *w, const char *path,
	const struct mfs_world_layout *l)
{
	uint8_t head[24] = "MFSM 2.0";
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	if (l->version == 1) {
		(void)fputs("MFSM NEW", f);
	} else {
		put64(head + 8, l->version);
		put64(head + 16, l->image_id != 0 ? l->image_id : w->id);
		(void)fwrite(head, 1, sizeof(head), f);
		(void)fwrite("TEST 1.0\0\0\0\0\0\0\0\4data", 1, 20, f);
		(void)fputs("[MFS EOF MARKER]", f);
	}
	assert_int_equal(fclose(f), 0);
}

static void
write_line(FILE *f, const struct mfs_world *w, size_t i, bool torn)
{
	size_t len = strlen(w->lines[i]);

	(void)fwrite(w->lines[i], 1, torn ? len - 1 : len, f);
}

static void
write_segments(struct mfs_world *w, const char *dir,
	const struct mfs_world_layout *l)
{
	size_t next = l->first;

	while (next <= w->n) {
		uint64_t back = l->overlap > 0
					? prng_below(&w->dice, l->overlap + 1)
					: 0;
		size_t from = next > back + l->first ? next - back : next;
		size_t end = next + prng_below(&w->dice, 60);
		char path[600];
		FILE *f;

		if (end > w->n)
			end = w->n;
		(void)snprintf(path, sizeof(path), "%s/%020zu", dir, from);
		f = fopen(path, "w");
		assert_non_null(f);
		for (size_t i = from; i <= end; i++)
			if (i != l->drop)
				write_line(f, w, i,
					i == end && from <= l->torn &&
						l->torn <= end);
		assert_int_equal(fclose(f), 0);
		next = end + 1;
	}
}

void
mfs_world_snapshot(struct mfs_world *w, struct rig *rig, const char *dir,
	const struct mfs_world_layout *layout, struct snapshot *snap)
{
	char path[500];

	assert_int_equal(mkdir(dir, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/%016" PRIx64, dir, w->id);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "/metadata.mfs",
		dir, w->id);
	write_image(w, path, layout);
	(void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "/changelog", dir,
		w->id);
	assert_int_equal(mkdir(path, 0755), 0);
	write_segments(w, path, layout);
	snapshot_init(snap);
	rig_backup(rig, dir, snap);
}
