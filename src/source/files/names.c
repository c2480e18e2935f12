/* SPDX-License-Identifier: Apache-2.0 */
/* names: two hash tables with linear probing, at most half full. */
#include "source/files/names.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 64, SLOTS_MAX = 1 << 17, TEXT_MAX = 1 << 20 };

struct slot {
	char *name; /* NULL where there is none */
	uint32_t id;
	bool used;
};

struct table {
	struct slot *slots;
	size_t n, n_slots; /* n_slots is 0 or a power of two */
};

struct names {
	pthread_mutex_t lock;
	struct table users, groups;
};

enum err
names_new(struct names **out, struct error *err)
{
	struct names *n = calloc(1, sizeof(*n));

	if (n == NULL || pthread_mutex_init(&n->lock, NULL) != 0) {
		free(n);
		return err_set(err, ERR_NOMEM, "no memory for names");
	}
	*out = n;
	return ERR_OK;
}

static void
table_fini(struct table *t)
{
	for (size_t i = 0; i < t->n_slots; i++)
		free(t->slots[i].name);
	free(t->slots);
}

void
names_free(struct names *n)
{
	if (n == NULL)
		return;
	table_fini(&n->users);
	table_fini(&n->groups);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

/* The slot of id, or the free one where it belongs; n_slots > 0. */
static struct slot *
find(const struct table *t, uint32_t id)
{
	size_t mask = t->n_slots - 1;
	uint32_t hash = id * UINT32_C(0x9e3779b1);
	size_t i = (hash ^ hash >> 16) & mask;

	while (t->slots[i].used && t->slots[i].id != id)
		i = (i + 1) & mask;
	return &t->slots[i];
}

/* Room for one more; false where there is none. */
static bool
make_room(struct table *t)
{
	struct table more = { .n = t->n };

	if (2 * (t->n + 1) <= t->n_slots)
		return true;
	more.n_slots = t->n_slots > 0 ? 2 * t->n_slots : SLOTS_FIRST;
	if (more.n_slots > SLOTS_MAX)
		return false;
	more.slots = calloc(more.n_slots, sizeof(*more.slots));
	if (more.slots == NULL)
		return false;
	for (size_t i = 0; i < t->n_slots; i++) {
		if (t->slots[i].used)
			*find(&more, t->slots[i].id) = t->slots[i];
	}
	free(t->slots);
	*t = more;
	return true;
}

static int
user_name(uint32_t id, char *text, size_t len, char **name)
{
	struct passwd pw, *found = NULL;
	int rc = getpwuid_r(id, &pw, text, len, &found);

	*name = found != NULL ? strdup(pw.pw_name) : NULL;
	return rc;
}

static int
group_name(uint32_t id, char *text, size_t len, char **name)
{
	struct group gr, *found = NULL;
	int rc = getgrgid_r(id, &gr, text, len, &found);

	*name = found != NULL ? strdup(gr.gr_name) : NULL;
	return rc;
}

typedef int look_up_fn(uint32_t id, char *text, size_t len, char **name);

static char *
look_up(look_up_fn *fn, uint32_t id)
{
	/* A group may have thousands of members, which come along. */
	for (size_t len = 4096; len <= TEXT_MAX; len *= 4) {
		char *text = malloc(len), *name = NULL;
		int rc;

		if (text == NULL)
			return NULL;
		rc = fn(id, text, len, &name);
		free(text);
		if (rc != ERANGE)
			return name;
		free(name);
	}
	return NULL;
}

static struct bytes
get(struct names *n, struct table *t, look_up_fn *fn, uint32_t id)
{
	struct bytes out = { 0 };
	struct slot *s = NULL;
	int rc = pthread_mutex_lock(&n->lock);

	assert(rc == 0);
	if (t->n_slots > 0)
		s = find(t, id);
	if ((s == NULL || !s->used) && make_room(t)) {
		s = find(t, id);
		*s = (struct slot){ look_up(fn, id), id, true };
		t->n++;
	}
	if (s != NULL && s->used && s->name != NULL) {
		out.data = (const uint8_t *)s->name;
		out.len = strlen(s->name);
	}
	rc = pthread_mutex_unlock(&n->lock);
	assert(rc == 0);
	return out;
}

struct bytes
names_user(struct names *n, uint32_t uid)
{
	return get(n, &n->users, user_name, uid);
}

struct bytes
names_group(struct names *n, uint32_t gid)
{
	return get(n, &n->groups, group_name, gid);
}
