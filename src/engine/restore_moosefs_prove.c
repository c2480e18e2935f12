/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_moosefs: the set is proven, by the program that is to read it.
 *
 * "mfsmaster -a restore" reads the image and the log, writes metadata.mfs,
 * removes the image that it began with, and ends; it opens no port.  Its exit
 * status is 0 also where it passed over a log, so what counts is the version in
 * what it wrote.  metadata.mfs with another one, or of a run that did not end
 * well, is removed: a plain start then refuses, instead of going on with an
 * older file system.
 *
 * Its configuration is a file of ours in a directory of its own, away from
 * what a master on this host is configured by.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/fsx.h"
#include "engine/restore_moosefs.h"
#include "engine/restore_moosefs_owner.h"
#include "format/mfs_image.h"

enum { PATH_ROOM = 4096, SAID_MAX = 64 << 10, PIECE = 256 << 10 };

static const char made_name[] = "metadata.mfs";

struct proving {
	const char *dir;
	const struct report *report;
	struct restore_moosefs_result *result;
	char *real; /* dir, from the root */
	char scratch[PATH_ROOM]; /* empty: not made */
	char config[PATH_ROOM + 16];
	struct buf said;
	uint64_t id, version; /* of the image that was made */
};

/* ---- the configuration ---- */

/* A line of it is NAME = VALUE, without any way to quote. */
static enum err
check_path(const char *path, struct error *err)
{
	for (const char *p = path; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || *p == '#' || *p == '"')
			return err_set(err, ERR_USAGE,
				"%s: mfsmaster.cfg cannot hold a path with "
				"such characters; choose another one",
				path);
	return ERR_OK;
}

static enum err
make_scratch(struct proving *p, struct error *err)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(p->scratch, sizeof(p->scratch),
		"%s/coffer-mfsmaster-XXXXXX",
		tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");

	if (n < 0 || (size_t)n >= sizeof(p->scratch) ||
		mkdtemp(p->scratch) == NULL) {
		p->scratch[0] = '\0';
		return err_sys(err, errno, "make a temporary directory");
	}
	(void)snprintf(p->config, sizeof(p->config), "%s/mfsmaster.cfg",
		p->scratch);
	return ERR_OK;
}

static enum err
write_config(struct proving *p, struct error *err)
{
	char user[RESTORE_MOOSEFS_WHO], group[RESTORE_MOOSEFS_WHO];
	enum err rc = make_scratch(p, err);
	FILE *f;

	if (rc != ERR_OK)
		return rc;
	restore_moosefs_owner_names(geteuid() == 0 ? p->result->uid : geteuid(),
		geteuid() == 0 ? p->result->gid : getegid(), user, group);
	f = fopen(p->config, "wxe");
	if (f == NULL)
		return err_sys(err, errno, "make %s", p->config);
	(void)fprintf(f,
		"WORKING_USER = %s\nWORKING_GROUP = %s\nNICE_LEVEL = 0\n"
		"DISABLE_OOM_KILLER = 0\nDATA_PATH = %s\n",
		user, group, p->real);
	if (fclose(f) != 0)
		return err_sys(err, errno, "write %s", p->config);
	return ERR_OK;
}

static void
remove_scratch(struct proving *p)
{
	if (p->scratch[0] == '\0')
		return;
	(void)unlink(p->config);
	(void)rmdir(p->scratch);
}

/* ---- the program ---- */

static enum err
start_master(struct proving *p, struct child *c, struct error *err)
{
	/* Where an ordinary user's PATH does not lead. */
	static const char *const places[] = { "mfsmaster",
		"/usr/sbin/mfsmaster", "/usr/local/sbin/mfsmaster" };
	enum err rc = ERR_NOTFOUND;

	for (size_t i = 0; rc == ERR_NOTFOUND && i < ARRAY_LEN(places); i++) {
		char *name = strdup(places[i]);
		char f[] = "-f", cfg[] = "-c", a[] = "-a", verb[] = "restore";
		char *argv[] = { name, f, cfg, p->config, a, verb, NULL };

		if (name == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		rc = child_start_joined(c, argv, err);
		free(name);
	}
	return rc;
}

/* The last of it is what tells. */
static void
keep_said(struct proving *p, const uint8_t *data, size_t len)
{
	struct error ignored = ERROR_INIT;

	if (p->said.len + len > SAID_MAX)
		buf_clear(&p->said);
	if (buf_put(&p->said, data, len, &ignored) != ERR_OK)
		buf_clear(&p->said);
}

static enum err
listen_to(struct proving *p, struct child *c, struct error *err)
{
	uint8_t piece[4096];
	ssize_t got;

	for (;;) {
		got = read(c->out_fd, piece, sizeof(piece));
		if (got < 0 && errno != EINTR)
			return err_sys(err, errno, "read from mfsmaster");
		if (got == 0)
			return ERR_OK;
		if (got > 0)
			keep_said(p, piece, (size_t)got);
		if (p->report->stop != NULL && *p->report->stop)
			return err_set(err, ERR_CANCELLED, "interrupted");
	}
}

/* What it says of trouble, as notes: words that mfsmaster uses, and no name in
 * the way. */
static void
tell_said(struct proving *p)
{
	static const char *const words[] = { "error", "can't", "hole",
		"mismatch", "different", "garbage", "missing", "skipping" };
	struct error ignored = ERROR_INIT;
	char *line, *rest = NULL;

	if (buf_put_u8(&p->said, 0, &ignored) != ERR_OK)
		return;
	line = strtok_r((char *)p->said.data, "\n\r", &rest);
	for (; line != NULL; line = strtok_r(NULL, "\n\r", &rest)) {
		char text[600];
		bool telling = false;

		/* Each line comes twice, once as for syslog. */
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			telling = telling || strstr(line, words[i]) != NULL;
		if (!telling || strncmp(line, "mfsmaster[", 10) == 0)
			continue;
		for (char *c = line; *c != '\0'; c++)
			if (*c < ' ' || *c > '~')
				*c = '?';
		(void)snprintf(text, sizeof(text), "mfsmaster: %.500s", line);
		p->report->note(p->report->arg, text);
	}
}

static enum err
run_master(struct proving *p, struct error *err)
{
	struct child c = { .pid = -1, .out_fd = -1 };
	enum err rc = start_master(p, &c, err);

	if (rc != ERR_OK)
		return rc;
	rc = listen_to(p, &c, err);
	if (rc != ERR_OK) {
		child_kill(&c);
		return rc;
	}
	rc = child_wait(&c, err);
	if (rc != ERR_OK) {
		tell_said(p);
		(void)err_wrap(err, "%s: the set is refused", p->dir);
		/* That a program failed is not that one lacks. */
		return ERR_IO;
	}
	return ERR_OK;
}

/* ---- what it made ---- */

static enum err
take_header(void *arg, const struct mfs_header *h, struct error *err)
{
	struct proving *p = arg;

	(void)err;
	p->id = h->id;
	p->version = h->version;
	return ERR_OK;
}

static enum err
walk_made(struct proving *p, int fd, const char *name, struct error *err)
{
	const struct mfs_image_fn fn = { .header = take_header, .arg = p };
	uint8_t *piece = malloc(PIECE);
	struct mfs_image walk;
	size_t got = PIECE;
	enum err rc = ERR_OK;

	if (piece == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	mfs_image_init(&walk, &fn);
	while (rc == ERR_OK && got == PIECE) {
		rc = fsx_read(fd, piece, PIECE, &got, name, err);
		if (rc == ERR_OK && got > 0)
			rc = mfs_image_feed(&walk, piece, got, err);
	}
	if (rc == ERR_OK)
		rc = mfs_image_end(&walk, err);
	free(piece);
	return rc;
}

static enum err
check_version(const struct proving *p, struct error *err)
{
	const struct restore_moosefs_result *r = p->result;

	if (p->version != r->last + 1)
		return err_set(err, ERR_CORRUPT,
			"mfsmaster made version %" PRIu64
			" of the set, and not %" PRIu64,
			p->version, r->last + 1);
	/* An empty file system has none before its first change. */
	if (p->id != r->id && r->last > 0)
		return err_set(err, ERR_CORRUPT,
			"mfsmaster made the file system %016" PRIx64
			" of the set, and not %016" PRIx64,
			p->id, r->id);
	return ERR_OK;
}

static enum err
check_made(struct proving *p, struct error *err)
{
	int dir = open(p->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	enum err rc;

	if (dir < 0)
		return err_sys(err, errno, "open %s", p->dir);
	fd = openat(dir, made_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		rc = err_sys(err, errno, "open %s/%s", p->dir, made_name);
		goto out;
	}
	rc = walk_made(p, fd, made_name, err);
	if (rc == ERR_OK)
		rc = check_version(p, err);
	if (rc != ERR_OK) {
		tell_said(p);
		(void)err_wrap(err, "%s/%s", p->dir, made_name);
		goto out;
	}
	/* It is what the file system will be started from. */
	if (fsync(fd) != 0)
		rc = err_sys(err, errno, "flush %s/%s", p->dir, made_name);
	if (rc == ERR_OK)
		rc = fsx_sync_dir(dir, p->dir, err);
out:
	fsx_close(&fd);
	fsx_close(&dir);
	return rc;
}

/* A file that nobody vouches for; nothing may start from it. */
static void
remove_made(const struct proving *p)
{
	int dir = open(p->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0)
		(void)unlinkat(dir, made_name, 0);
	fsx_close(&dir);
}

/* ---- the step ---- */

static enum err
run_and_check(struct proving *p, struct error *err)
{
	enum err rc = run_master(p, err);

	if (rc == ERR_NOTFOUND) {
		p->result->proof = RESTORE_MOOSEFS_NO_MASTER;
		return ERR_OK;
	}
	if (rc == ERR_OK)
		rc = check_made(p, err);
	if (rc == ERR_OK)
		p->result->proof = RESTORE_MOOSEFS_PROVEN;
	else
		remove_made(p);
	return rc;
}

enum err
restore_moosefs_prove(const char *dir, const struct report *report,
	struct restore_moosefs_result *result, struct error *err)
{
	struct proving p = { .dir = dir,
		.report = report,
		.result = result,
		.said = BUF_INIT(SAID_MAX + 1) };
	enum err rc = ERR_OK;

	p.real = realpath(dir, NULL);
	if (p.real == NULL)
		rc = err_sys(err, errno, "%s", dir);
	if (rc == ERR_OK)
		rc = check_path(p.real, err);
	if (rc == ERR_OK)
		rc = write_config(&p, err);
	if (rc == ERR_OK)
		rc = run_and_check(&p, err);
	remove_scratch(&p);
	buf_fini(&p.said);
	free(p.real);
	return rc;
}
