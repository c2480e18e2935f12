/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/restore_moosefs.h"
#include "engine/restore_moosefs_owner.h"

static enum err add(struct strings *out, struct error *err, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

static enum err
add(struct strings *out, struct error *err, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	enum err rc;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = strings_add(out, text, err);
	free(text);
	return rc;
}

static enum err
add_proof(const char *dir, const struct restore_moosefs_result *r,
	struct strings *out, struct error *err)
{
	char user[RESTORE_MOOSEFS_WHO], group[RESTORE_MOOSEFS_WHO];
	enum err rc;

	if (r->proof == RESTORE_MOOSEFS_PROVEN)
		return ERR_OK;
	restore_moosefs_owner_names(r->uid, r->gid, user, group);
	rc = add(out, err,
		"prove the set: mfsmaster.cfg with DATA_PATH = %s, "
		"WORKING_USER = %s and WORKING_GROUP = %s, then mfsmaster -f "
		"-c /ABSOLUTE/PATH/mfsmaster.cfg -a restore (it opens no "
		"port)",
		dir, user, group);
	if (rc == ERR_OK)
		rc = add(out, err,
			"mfsmetadump -s HEAD %s/metadata.mfs has to tell "
			"version %" PRIu64 "; an exit status of 0 proves "
			"nothing",
			dir, r->last + 1);
	return rc;
}

enum err
restore_moosefs_next(const char *dir,
	const struct restore_moosefs_result *result, struct strings *out,
	struct error *err)
{
	char user[RESTORE_MOOSEFS_WHO], group[RESTORE_MOOSEFS_WHO];
	enum err rc = add_proof(dir, result, out, err);

	restore_moosefs_owner_names(result->uid, result->gid, user, group);
	if (rc == ERR_OK)
		rc = add(out, err,
			"make sure that the old master does not run, and "
			"cannot come back by itself");
	if (rc == ERR_OK)
		rc = add(out, err,
			"put mfsexports.cfg, mfstopology.cfg and mfsmaster.cfg "
			"of the old master in place, with DATA_PATH = %s and "
			"WORKING_USER = %s",
			dir, user);
	if (rc == ERR_OK && geteuid() != 0)
		rc = add(out, err,
			"give the files to the user that the master runs as "
			"(now %s:%s): chown -R mfs:mfs %s",
			user, group, dir);
	if (rc == ERR_OK)
		rc = add(out, err,
			"give this host the old master's address or name: "
			"chunkservers, mounts and metaloggers look for it "
			"there");
	if (rc == ERR_OK)
		rc = add(out, err,
			"start the master plainly, without -a: mfsmaster -c "
			"/ABSOLUTE/PATH/mfsmaster.cfg start");
	if (rc == ERR_OK)
		rc = add(out, err,
			"compare: mfscli -SIM shows metadata version %" PRIu64
			" or more",
			result->last + 1);
	if (rc == ERR_OK)
		rc = add(out, err,
			"chunks that this state does not know are deleted by "
			"the master after 7 days: look for what is missing "
			"before that");
	return rc;
}
