/* SPDX-License-Identifier: Apache-2.0 */
#include "source/moosefs/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fsx.h"

enum { ID_HEX = 16, HOME_MODE = 0640, BRANCH_MAX = 999999999 };

char *
home_path(const struct home *h, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", h->dir, name) < 0 ? NULL : path;
}

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for a name");
}

static enum err
take_lock(struct home *h, struct error *err)
{
	char *path = home_path(h, "lock");
	enum err rc = ERR_OK;

	if (path == NULL)
		return no_memory(err);
	h->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, HOME_MODE);
	if (h->lock_fd < 0)
		rc = err_sys(err, errno, "%s", path);
	else if (flock(h->lock_fd, LOCK_EX | LOCK_NB) != 0)
		rc = errno == EWOULDBLOCK
			     ? err_set(err, ERR_DENIED,
				       "%s: another process follows this "
				       "master into that directory",
				       h->dir)
			     : err_sys(err, errno, "%s", path);
	free(path);
	return rc;
}

enum err
home_open(struct home *h, const char *dir, struct error *err)
{
	enum err rc;

	h->lock_fd = -1;
	h->dir = strdup(dir);
	if (h->dir == NULL)
		return no_memory(err);
	rc = fsx_mkdirs(h->dir, 0750, err);
	return rc == ERR_OK ? take_lock(h, err) : rc;
}

void
home_close(struct home *h)
{
	fsx_close(&h->lock_fd);
	free(h->dir);
	h->dir = NULL;
}

/* Of "ID" 0, of "ID.N" N; -1 for another name. */
static long
branch_of(const char *name, const char *id)
{
	char *end;
	long n;

	if (strncmp(name, id, ID_HEX) != 0)
		return -1;
	if (name[ID_HEX] == '\0')
		return 0;
	if (name[ID_HEX] != '.' || name[ID_HEX + 1] < '1' ||
		name[ID_HEX + 1] > '9')
		return -1;
	n = strtol(name + ID_HEX + 1, &end, 10);
	return *end == '\0' && n < BRANCH_MAX ? n : -1;
}

static void
name_branch(char out[HOME_GEN_MAX], const char *id, long n)
{
	if (n <= 0)
		(void)snprintf(out, HOME_GEN_MAX, "%s", id);
	else
		(void)snprintf(out, HOME_GEN_MAX, "%.16s.%u", id, (unsigned)n);
}

static enum err
newest(const struct home *h, const char *id, long *out, struct error *err)
{
	const struct dirent *e;
	DIR *d = opendir(h->dir);
	long n;

	*out = -1;
	if (d == NULL)
		return err_sys(err, errno, "%s", h->dir);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		n = branch_of(e->d_name, id);
		if (n > *out)
			*out = n;
	}
	(void)closedir(d);
	return ERR_OK;
}

enum err
home_find(const struct home *h, uint64_t id, char out[HOME_GEN_MAX],
	bool *known, struct error *err)
{
	char hex[ID_HEX + 1];
	long n;
	enum err rc;

	(void)snprintf(hex, sizeof(hex), "%016" PRIx64, id);
	rc = newest(h, hex, &n, err);
	if (rc != ERR_OK)
		return rc;
	*known = n >= 0;
	name_branch(out, hex, n);
	return ERR_OK;
}

enum err
home_branch(const struct home *h, uint64_t id, char out[HOME_GEN_MAX],
	struct error *err)
{
	char hex[ID_HEX + 1];
	long n;
	enum err rc;

	(void)snprintf(hex, sizeof(hex), "%016" PRIx64, id);
	rc = newest(h, hex, &n, err);
	if (rc == ERR_OK)
		name_branch(out, hex, n + 1);
	return rc;
}

static bool
is_generation(const char *name)
{
	char id[ID_HEX + 1];

	if (strspn(name, "0123456789abcdef") != ID_HEX)
		return false;
	(void)snprintf(id, sizeof(id), "%.16s", name);
	return branch_of(name, id) >= 0;
}

static enum err
add_generation(const struct home *h, const char *name,
	struct home_generations *out, struct error *err)
{
	char *path = home_path(h, name);
	struct home_generation *v;
	struct stat st;
	int failed;

	if (path == NULL)
		return no_memory(err);
	failed = stat(path, &st);
	free(path);
	if (failed != 0 || !S_ISDIR(st.st_mode))
		return ERR_OK;
	v = array_grow(out->v, out->n, &out->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	out->v = v;
	v += out->n++;
	(void)snprintf(v->name, sizeof(v->name), "%.31s", name);
	v->changed = (struct when){ st.st_mtim.tv_sec,
		(uint32_t)st.st_mtim.tv_nsec };
	return ERR_OK;
}

static int
by_change(const void *a, const void *b)
{
	const struct home_generation *x = a, *y = b;
	int order = when_cmp(&x->changed, &y->changed);

	return order != 0 ? order : strcmp(x->name, y->name);
}

enum err
home_generations(const struct home *h, struct home_generations *out,
	struct error *err)
{
	const struct dirent *e;
	enum err rc = ERR_OK;
	DIR *d = opendir(h->dir);

	*out = (struct home_generations){ NULL, 0, 0 };
	if (d == NULL)
		return err_sys(err, errno, "%s", h->dir);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while (rc == ERR_OK && (e = readdir(d)) != NULL)
		if (is_generation(e->d_name))
			rc = add_generation(h, e->d_name, out, err);
	(void)closedir(d);
	if (rc != ERR_OK) {
		free(out->v);
		*out = (struct home_generations){ NULL, 0, 0 };
		return rc;
	}
	if (out->n > 1)
		qsort(out->v, out->n, sizeof(*out->v), by_change);
	return ERR_OK;
}

enum err
home_current(const struct home *h, char out[HOME_GEN_MAX], struct error *err)
{
	char *path = home_path(h, "current");
	size_t got = 0;
	enum err rc = ERR_OK;
	int fd;

	memset(out, 0, HOME_GEN_MAX);
	if (path == NULL)
		return no_memory(err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		rc = fsx_read(fd, out, HOME_GEN_MAX - 1, &got, path, err);
	else if (errno != ENOENT)
		rc = err_sys(err, errno, "%s", path);
	fsx_close(&fd);
	free(path);
	out[strcspn(out, "\n")] = '\0';
	if (!is_generation(out))
		out[0] = '\0';
	return rc;
}

enum err
home_set_current(const struct home *h, const char *gen, struct error *err)
{
	char *path = home_path(h, "current"),
	     *tmp = home_path(h, "current.tmp");
	char line[HOME_GEN_MAX + 2];
	enum err rc = path != NULL && tmp != NULL ? ERR_OK : no_memory(err);
	int fd = -1, n;

	if (rc != ERR_OK)
		goto out;
	n = snprintf(line, sizeof(line), "%s\n", gen);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, HOME_MODE);
	if (fd < 0)
		rc = err_sys(err, errno, "%s", tmp);
	if (rc == ERR_OK)
		rc = fsx_write(fd, line, (size_t)n, tmp, err);
	if (rc == ERR_OK && fsync(fd) != 0)
		rc = err_sys(err, errno, "%s", tmp);
	if (rc == ERR_OK && rename(tmp, path) != 0)
		rc = err_sys(err, errno, "%s", path);

out:
	fsx_close(&fd);
	free(path);
	free(tmp);
	return rc;
}
