/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_names: two tables of chains over the same entries, which grow together,
 * and one with open addressing for the notes.
 */
#include "format/mfs_names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BITS_MIN = 8, BITS_MAX = 31, MALLOC_COST = 8, MALLOC_ROUND = 16 };

#define PRIME ((UINT64_C(1) << 61) - 1)

/* ---- hashes ---- */

static uint32_t
hash_inode(const struct mfs_names *t, uint32_t inode)
{
	return (uint32_t)(inode * t->mul >> 32);
}

static uint64_t
mul_mod(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t v = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);

	return v >= PRIME ? v - PRIME : v;
}

/* No coefficient is 0, so different names are different polynomials. */
static uint32_t
hash_name(const struct mfs_names *t, uint32_t parent, const char *text,
	size_t len)
{
	uint64_t h = (uint64_t)parent + 1;

	for (size_t i = 0; i < len; i++)
		h = mul_mod(h, t->point) + (uint8_t)text[i] + 1;
	return (uint32_t)(h * t->mul >> 32);
}

/* A path is found by its inode, so that many deleted files may have had the
 * same one. */
static uint32_t
hash_entry(const struct mfs_names *t, uint32_t child, uint32_t parent,
	const char *text, size_t len)
{
	if (parent == 0)
		return hash_inode(t, child);
	return hash_name(t, parent, text, len);
}

static struct mfs_entry **
place(struct mfs_entry **heads, unsigned bits, uint32_t hash)
{
	return &heads[hash >> (32 - bits)];
}

/* ---- life ---- */

enum err
mfs_names_init(struct mfs_names *t, size_t max, struct error *err)
{
	uint64_t secret[2];

	*t = (struct mfs_names){ .max = max };
	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return err_sys(err, errno, "random bytes");
	t->mul = secret[0] | 1;
	t->point = secret[1] % (PRIME - 2) + 1;
	return ERR_OK;
}

void
mfs_names_fini(struct mfs_names *t)
{
	size_t size = t->by_child != NULL ? (size_t)1 << t->bits : 0;

	for (size_t i = 0; i < size; i++) {
		struct mfs_entry *e = t->by_child[i], *next;

		for (; e != NULL; e = next) {
			next = e->next_child;
			free(e);
		}
	}
	free(t->by_child);
	free(t->by_name);
	free(t->noted);
	free(t->notes);
	*t = (struct mfs_names){ .max = t->max };
}

static enum err
charge(struct mfs_names *t, size_t bytes, struct error *err)
{
	if (bytes > t->max - t->used)
		return err_set(err, ERR_NOMEM,
			"the names of so many files need more than %zu bytes",
			t->max);
	t->used += bytes;
	return ERR_OK;
}

/* ---- entries ---- */

static size_t
entry_cost(size_t len)
{
	size_t bytes = sizeof(struct mfs_entry) + len + MALLOC_COST;

	return (bytes + MALLOC_ROUND - 1) / MALLOC_ROUND * MALLOC_ROUND;
}

static void
link_entry(struct mfs_names *t, struct mfs_entry *e)
{
	struct mfs_entry **c =
		place(t->by_child, t->bits, hash_inode(t, e->child));
	struct mfs_entry **n = place(t->by_name, t->bits, e->hash);

	e->next_child = *c;
	*c = e;
	e->next_name = *n;
	*n = e;
}

/* Twice the places.  The old ones count until they are free. */
static enum err
grow(struct mfs_names *t, struct error *err)
{
	unsigned bits = t->by_child != NULL ? t->bits + 1 : BITS_MIN;
	size_t old = t->by_child != NULL ? (size_t)1 << t->bits : 0;
	size_t size = (size_t)1 << bits;
	struct mfs_entry **from = t->by_child;
	struct mfs_entry **c, **n;
	enum err rc;

	if (bits > BITS_MAX)
		return ERR_OK;
	rc = charge(t, 2 * size * sizeof(*c), err);
	if (rc != ERR_OK)
		return rc;
	c = calloc(size, sizeof(*c));
	n = calloc(size, sizeof(*n));
	if (c == NULL || n == NULL) {
		free(c);
		free(n);
		t->used -= 2 * size * sizeof(*c);
		return err_set(err, ERR_NOMEM, "no memory for names of files");
	}
	free(t->by_name);
	t->by_child = c;
	t->by_name = n;
	t->bits = bits;
	for (size_t i = 0; i < old; i++) {
		struct mfs_entry *e = from[i], *next;

		for (; e != NULL; e = next) {
			next = e->next_child;
			link_entry(t, e);
		}
	}
	free(from);
	t->used -= 2 * old * sizeof(*c);
	return ERR_OK;
}

struct mfs_entry *
mfs_names_find(const struct mfs_names *t, uint32_t parent, const char *text,
	size_t len)
{
	struct mfs_entry *e;
	uint32_t hash;

	if (t->by_name == NULL)
		return NULL;
	hash = hash_name(t, parent, text, len);
	for (e = *place(t->by_name, t->bits, hash); e != NULL;
		e = e->next_name) {
		if (e->parent == parent && e->len == len &&
			memcmp(e->text, text, len) == 0)
			break;
	}
	return e;
}

static struct mfs_entry *
same_child(struct mfs_entry *e, uint32_t child)
{
	while (e != NULL && e->child != child)
		e = e->next_child;
	return e;
}

struct mfs_entry *
mfs_names_of(const struct mfs_names *t, uint32_t child)
{
	if (t->by_child == NULL)
		return NULL;
	return same_child(*place(t->by_child, t->bits, hash_inode(t, child)),
		child);
}

struct mfs_entry *
mfs_names_next(const struct mfs_entry *e)
{
	return same_child(e->next_child, e->child);
}

enum err
mfs_names_put(struct mfs_names *t, uint32_t child, uint32_t parent,
	const char *text, size_t len, struct mfs_entry **out, struct error *err)
{
	struct mfs_entry *e;
	enum err rc = ERR_OK;

	assert(len > 0 && len <= UINT16_MAX);
	if (t->by_child == NULL || t->n >> t->bits > 0)
		rc = grow(t, err);
	if (rc == ERR_OK)
		rc = charge(t, entry_cost(len), err);
	if (rc != ERR_OK)
		return rc;
	e = malloc(sizeof(*e) + len);
	if (e == NULL) {
		t->used -= entry_cost(len);
		return err_set(err, ERR_NOMEM, "no memory for a name");
	}
	*e = (struct mfs_entry){
		.child = child,
		.parent = parent,
		.hash = hash_entry(t, child, parent, text, len),
		.len = (uint16_t)len,
	};
	memcpy(e->text, text, len);
	link_entry(t, e);
	t->n++;
	if (out != NULL)
		*out = e;
	return ERR_OK;
}

void
mfs_names_remove(struct mfs_names *t, struct mfs_entry *e)
{
	struct mfs_entry **p =
		place(t->by_child, t->bits, hash_inode(t, e->child));

	while (*p != e)
		p = &(*p)->next_child;
	*p = e->next_child;
	p = place(t->by_name, t->bits, e->hash);
	while (*p != e)
		p = &(*p)->next_name;
	*p = e->next_name;
	t->used -= entry_cost(e->len);
	t->n--;
	free(e);
}

/* ---- notes ---- */

/* Where inode is, or where it would go. */
static size_t
note_place(const struct mfs_names *t, uint32_t inode)
{
	size_t mask = ((size_t)1 << t->note_bits) - 1;
	size_t i = hash_inode(t, inode) >> (32 - t->note_bits);

	while (t->noted[i] != 0 && t->noted[i] != inode)
		i = (i + 1) & mask;
	return i;
}

static enum err
grow_notes(struct mfs_names *t, struct error *err)
{
	unsigned bits = t->noted != NULL ? t->note_bits + 1 : BITS_MIN;
	size_t old = t->noted != NULL ? (size_t)1 << t->note_bits : 0;
	size_t size = (size_t)1 << bits, each = sizeof(uint32_t) + 1;
	uint32_t *inodes = t->noted;
	uint8_t *notes = t->notes;
	enum err rc;

	if (bits > BITS_MAX)
		return err_set(err, ERR_NOMEM, "too many inodes");
	rc = charge(t, size * each, err);
	if (rc != ERR_OK)
		return rc;
	t->noted = calloc(size, sizeof(uint32_t));
	t->notes = calloc(size, 1);
	if (t->noted == NULL || t->notes == NULL) {
		free(t->noted);
		free(t->notes);
		t->noted = inodes;
		t->notes = notes;
		t->used -= size * each;
		return err_set(err, ERR_NOMEM, "no memory for inodes");
	}
	t->note_bits = bits;
	for (size_t i = 0; i < old; i++) {
		size_t to;

		if (inodes[i] == 0)
			continue;
		to = note_place(t, inodes[i]);
		t->noted[to] = inodes[i];
		t->notes[to] = notes[i];
	}
	free(inodes);
	free(notes);
	t->used -= old * each;
	return ERR_OK;
}

uint8_t
mfs_names_noted(const struct mfs_names *t, uint32_t inode)
{
	return t->noted != NULL ? t->notes[note_place(t, inode)] : 0;
}

enum err
mfs_names_note(struct mfs_names *t, uint32_t inode, uint8_t note,
	struct error *err)
{
	enum err rc = ERR_OK;
	size_t i;

	assert(inode > 0);
	if (t->noted == NULL || t->n_noted >= (size_t)1 << t->note_bits >> 1)
		rc = grow_notes(t, err);
	if (rc != ERR_OK)
		return rc;
	i = note_place(t, inode);
	if (t->noted[i] == 0)
		t->n_noted++;
	t->noted[i] = inode;
	t->notes[i] = note;
	return ERR_OK;
}
