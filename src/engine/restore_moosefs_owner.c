/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_moosefs_owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 16384, NUMBER_DIGITS = 10 };

static const char master_user[] = "mfs";

static bool
parse_number(const char *text, unsigned *out)
{
	size_t len = strlen(text);
	unsigned long v;

	if (len == 0 || len > NUMBER_DIGITS ||
		strspn(text, "0123456789") != len)
		return false;
	v = strtoul(text, NULL, 10);
	if (v >= UINT32_MAX) /* "no change" to chown */
		return false;
	*out = (unsigned)v;
	return true;
}

static enum err
find_user(const char *name, uid_t *uid, gid_t *gid, struct error *err)
{
	struct passwd pw, *found = NULL;
	char room[ROOM];
	unsigned n;

	if (parse_number(name, &n)) {
		*uid = n;
		if (getpwuid_r(n, &pw, room, sizeof(room), &found) == 0 &&
			found != NULL)
			*gid = pw.pw_gid;
		else
			*gid = n;
		return ERR_OK;
	}
	if (getpwnam_r(name, &pw, room, sizeof(room), &found) != 0 ||
		found == NULL)
		return err_set(err, ERR_USAGE, "owner: no user %.100s here",
			name);
	*uid = pw.pw_uid;
	*gid = pw.pw_gid;
	return ERR_OK;
}

static enum err
find_group(const char *name, gid_t *gid, struct error *err)
{
	struct group gr, *found = NULL;
	char room[ROOM];
	unsigned n;

	if (parse_number(name, &n)) {
		*gid = n;
		return ERR_OK;
	}
	if (getgrnam_r(name, &gr, room, sizeof(room), &found) != 0 ||
		found == NULL)
		return err_set(err, ERR_USAGE, "owner: no group %.100s here",
			name);
	*gid = gr.gr_gid;
	return ERR_OK;
}

static void
find_default(uid_t *uid, gid_t *gid)
{
	struct error ignored = ERROR_INIT;

	if (geteuid() == 0 &&
		find_user(master_user, uid, gid, &ignored) == ERR_OK)
		return;
	*uid = geteuid();
	*gid = getegid();
}

enum err
restore_moosefs_owner(const char *text, uid_t *uid, gid_t *gid,
	struct error *err)
{
	char *copy, *colon;
	enum err rc;

	if (text == NULL) {
		find_default(uid, gid);
		return ERR_OK;
	}
	copy = strdup(text);
	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	colon = strchr(copy, ':');
	if (colon != NULL)
		*colon = '\0';
	rc = find_user(copy, uid, gid, err);
	if (rc == ERR_OK && colon != NULL)
		rc = find_group(colon + 1, gid, err);
	free(copy);
	return rc;
}

void
restore_moosefs_owner_names(uid_t uid, gid_t gid,
	char user[RESTORE_MOOSEFS_WHO], char group[RESTORE_MOOSEFS_WHO])
{
	struct passwd pw, *found_user = NULL;
	struct group gr, *found_group = NULL;
	char room[ROOM];

	(void)snprintf(user, RESTORE_MOOSEFS_WHO, "#%u", uid);
	(void)snprintf(group, RESTORE_MOOSEFS_WHO, "#%u", gid);
	if (getpwuid_r(uid, &pw, room, sizeof(room), &found_user) == 0 &&
		found_user != NULL && strlen(pw.pw_name) < RESTORE_MOOSEFS_WHO)
		(void)snprintf(user, RESTORE_MOOSEFS_WHO, "%s", pw.pw_name);
	if (getgrgid_r(gid, &gr, room, sizeof(room), &found_group) == 0 &&
		found_group != NULL && strlen(gr.gr_name) < RESTORE_MOOSEFS_WHO)
		(void)snprintf(group, RESTORE_MOOSEFS_WHO, "%s", gr.gr_name);
}
