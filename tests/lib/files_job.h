/* SPDX-License-Identifier: Apache-2.0 */
/* files_job: a directory to try things in, and captures of it. */
#ifndef TESTS_LIB_FILES_JOB_H
#define TESTS_LIB_FILES_JOB_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "tests/lib/recorder.h"

static struct error err;
static char top[64]; /* each test has a fresh one, and stands in it */
static char *home; /* where it stood before */

static inline int
make_top(void **state)
{
	(void)strcpy(top, "/tmp/test_files.XXXXXX");
	home = getcwd(NULL, 0);
	return mkdtemp(top) == NULL || chdir(top) != 0 ? -1 : 0;
}

/* Where making thousands of files costs little. */
static inline int
make_top_in_memory(void **state)
{
	(void)strcpy(top, "/dev/shm/test_files.XXXXXX");
	if (mkdtemp(top) == NULL)
		return make_top(state);
	home = getcwd(NULL, 0);
	return chdir(top);
}

static inline int
remove_top(void **state)
{
	char command[128];

	int rc = chdir(home);

	free(home);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return rc != 0 || system(command) != 0 ? -1 : 0;
}

static inline void
shell(const char *command)
{
	assert_int_equal(system(command), 0);
}

static inline void
put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(fsx_write(fd, text, strlen(text), path, &err), ERR_OK);
	(void)close(fd);
}

/* ---- captures ---- */

enum { SETTINGS_MAX = 16 };

/* What capture is to be called with; the first path is top where none is
 * given. */
struct job {
	const char *paths[8];
	size_t n_paths;
	struct setting settings[SETTINGS_MAX];
	size_t n_settings;
	struct source *src;
};

static inline void
job_set(struct job *j, const char *name, const char *value)
{
	assert_true(j->n_settings < SETTINGS_MAX);
	j->settings[j->n_settings++] = (struct setting){ name, value };
}

static inline enum err
job_open(struct job *j)
{
	const struct source_ops *ops = source_driver("files");
	struct source_conf conf = { j->paths, j->n_paths,
		{ j->settings, j->n_settings } };

	assert_int_equal(settings_check(&conf.settings, ops->options,
				 "source files", &err),
		ERR_OK);
	return ops->open(&j->src, &conf, &err);
}

static inline enum err
job_run(struct job *j, struct recorder *rec)
{
	enum err rc;

	if (j->n_paths == 0)
		j->paths[j->n_paths++] = top;
	rc = job_open(j);
	if (rc != ERR_OK) {
		j->src = NULL;
		return rc;
	}
	return j->src->ops->capture(j->src, &rec->base, &err);
}

static inline void
job_end(struct job *j, struct recorder *rec)
{
	recorder_fini(rec);
	if (j->src != NULL)
		j->src->ops->close(j->src);
}

static inline struct record *
find_in_top(struct recorder *rec, const char *name)
{
	char path[256];
	struct record *r;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	r = recorder_find(rec, path);
	assert_non_null(r);
	return r;
}

#define IN_TOP(test) cmocka_unit_test_setup_teardown(test, make_top, remove_top)
#define IN_MEMORY(test) \
	cmocka_unit_test_setup_teardown(test, make_top_in_memory, remove_top)

#endif /* TESTS_LIB_FILES_JOB_H */
