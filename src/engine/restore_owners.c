/* SPDX-License-Identifier: Apache-2.0 */
/* restore_owners: two tables with one place for each hash; what comes to a
 * taken place takes it over. */
#include "engine/restore_owners.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum { N_PLACES = 64, NAME_ROOM = 48, TEXT_FIRST = 4096, TEXT_MAX = 1 << 20 };

struct known {
	char name[NAME_ROOM]; /* "": free */
	uint32_t number; /* in the snapshot */
	uint32_t id; /* here */
};

struct restore_owners {
	struct known users[N_PLACES], groups[N_PLACES];
};

enum err
restore_owners_new(struct restore_owners **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? ERR_OK : err_set(err, ERR_NOMEM, "out of memory");
}

void
restore_owners_free(struct restore_owners *o)
{
	free(o);
}

typedef int look_up_fn(const char *name, char *text, size_t len, uint32_t *id);

static int
look_up_user(const char *name, char *text, size_t len, uint32_t *id)
{
	struct passwd pw, *found = NULL;
	int rc = getpwnam_r(name, &pw, text, len, &found);

	if (found != NULL)
		*id = found->pw_uid;
	return rc;
}

static int
look_up_group(const char *name, char *text, size_t len, uint32_t *id)
{
	struct group gr, *found = NULL;
	int rc = getgrnam_r(name, &gr, text, len, &found);

	if (found != NULL)
		*id = found->gr_gid;
	return rc;
}

/* A group may have thousands of members, which come along. */
static uint32_t
look_up(look_up_fn *fn, const char *name, uint32_t number)
{
	uint32_t id = number;

	for (size_t len = TEXT_FIRST; len <= TEXT_MAX; len *= 4) {
		char *text = malloc(len);
		int rc;

		if (text == NULL)
			break;
		rc = fn(name, text, len, &id);
		free(text);
		if (rc != ERANGE)
			break;
	}
	return id;
}

static uint32_t
get(struct known *table, look_up_fn *fn, struct bytes name, uint32_t number)
{
	uint32_t hash = number;
	struct known *k;

	if (name.len == 0 || name.len >= NAME_ROOM ||
		memchr(name.data, 0, name.len) != NULL)
		return number;
	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ name.data[i]) * UINT32_C(16777619);
	k = &table[hash % N_PLACES];
	if (k->number == number && strlen(k->name) == name.len &&
		memcmp(k->name, name.data, name.len) == 0)
		return k->id;
	memcpy(k->name, name.data, name.len);
	k->name[name.len] = '\0';
	k->number = number;
	k->id = look_up(fn, k->name, number);
	return k->id;
}

uid_t
restore_owners_user(struct restore_owners *o, struct bytes name, uint32_t id)
{
	return get(o->users, look_up_user, name, id);
}

gid_t
restore_owners_group(struct restore_owners *o, struct bytes name, uint32_t id)
{
	return get(o->groups, look_up_group, name, id);
}
