/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unsealed: a segment is closed when it is pinned (source/moosefs/journal.h),
 * so one that is sealed begins before the number in the file `sealed`, and one
 * that is not begins there or later.
 */
#include "source/moosefs/unsealed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsx.h"
#include "source/moosefs/journal_state.h"

struct seen {
	uint64_t image, line; /* the greatest numbers; 0: none */
};

/* N of "KIND.N.mfs"; 0 for another name. */
static uint64_t
number(const char *name, const char *kind)
{
	size_t len = strlen(kind);
	unsigned long long n;
	char *end;

	if (strncmp(name, kind, len) != 0 || name[len] < '1' || name[len] > '9')
		return 0;
	n = strtoull(name + len, &end, 10);
	return strcmp(end, ".mfs") == 0 ? n : 0;
}

static enum err
look(int fd, struct seen *s, const char *dir, struct error *err)
{
	const struct dirent *e;
	uint64_t n;
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again >= 0 ? fdopendir(again) : NULL;

	if (d == NULL) {
		(void)err_sys(err, errno, "%s", dir);
		fsx_close(&again);
		return err->code;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		n = number(e->d_name, "metadata.");
		if (n > s->image)
			s->image = n;
		n = number(e->d_name, "changelog.");
		if (n > s->line)
			s->line = n;
	}
	(void)closedir(d);
	return ERR_OK;
}

enum err
unsealed_look(const char *dir, bool *out, struct error *err)
{
	struct seen there = { 0, 0 }, sealed = { 0, 0 };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err rc;

	*out = false;
	if (fd < 0)
		return err_sys(err, errno, "%s", dir);
	rc = look(fd, &there, dir, err);
	if (rc == ERR_OK)
		rc = journal_load_sealed(fd, dir, &sealed.line, &sealed.image,
			err);
	fsx_close(&fd);
	if (rc == ERR_OK && there.image != 0)
		*out = there.image != sealed.image ||
		       (there.line != 0 && there.line >= sealed.line);
	return rc;
}
