/* SPDX-License-Identifier: Apache-2.0 */
#include "source/files/roots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/path.h"

/* Of all paths together: a million of a thousand bytes. */
static const size_t keys_max = (size_t)1 << 30;

void
roots_init(struct roots *r)
{
	*r = (struct roots){ .keys = BUF_INIT(keys_max) };
}

void
roots_fini(struct roots *r)
{
	buf_fini(&r->keys);
	free(r->v);
}

static enum err
make_room(struct roots *r, struct error *err)
{
	size_t cap = r->cap > 0 ? 2 * r->cap : 16;
	struct root *more;

	if (r->n_all < r->cap)
		return ERR_OK;
	more = reallocarray(r->v, cap, sizeof(*more));
	if (more == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu paths", cap);
	r->v = more;
	r->cap = cap;
	return ERR_OK;
}

static enum err
absolute(char **out, const char *path, struct error *err)
{
	char *cwd = getcwd(NULL, 0);
	enum err rc = ERR_OK;

	if (cwd == NULL)
		return err_sys(err, errno, "find the working directory");
	if (asprintf(out, "%s/%s", cwd, path) < 0)
		rc = err_set(err, ERR_NOMEM, "no memory for a path");
	free(cwd);
	return rc;
}

enum err
roots_add(struct roots *r, const char *path, struct error *err)
{
	size_t off = r->keys.len;
	char *full = NULL;
	enum err rc;

	if (*path == '\0')
		return err_set(err, ERR_USAGE, "a path is empty");
	rc = make_room(r, err);
	if (rc == ERR_OK && *path != '/')
		rc = absolute(&full, path, err);
	if (rc != ERR_OK)
		return rc;
	rc = key_from_path(&r->keys, full != NULL ? full : path, err);
	if (rc == ERR_OK && r->keys.len - off > KEY_MAX)
		rc = err_set(err, ERR_USAGE, "a path is too long");
	if (rc == ERR_OK)
		r->v[r->n_all++] = (struct root){
			.off = off,
			.len = (uint32_t)(r->keys.len - off),
		};
	else
		r->keys.len = off;
	free(full);
	return rc;
}

enum err
roots_add_file(struct roots *r, const char *file, char delimiter,
	struct error *err)
{
	bool is_stdin = strcmp(file, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(file, "re");
	char *line = NULL;
	size_t cap = 0;
	enum err rc = ERR_OK;
	ssize_t len;

	if (f == NULL)
		return err_sys(err, errno, "open %s", file);
	while (rc == ERR_OK &&
		(len = getdelim(&line, &cap, delimiter, f)) > 0) {
		if (line[len - 1] == delimiter)
			line[--len] = '\0';
		if (strlen(line) != (size_t)len)
			rc = err_set(err, ERR_USAGE,
				"a path contains a zero byte");
		else if (len > 0)
			rc = roots_add(r, line, err);
	}
	if (rc == ERR_OK && ferror(f))
		rc = err_set(err, ERR_IO, "it cannot be read");
	free(line);
	if (!is_stdin)
		(void)fclose(f);
	return rc == ERR_OK ? ERR_OK : err_wrap(err, "%s", file);
}

static int
by_key(const void *a, const void *b, void *arg)
{
	const struct root *x = a, *y = b;
	const struct buf *keys = arg;

	return key_cmp(keys->data + x->off, x->len, keys->data + y->off,
		y->len);
}

void
roots_settle(struct roots *r)
{
	size_t n = 0;

	if (r->keys.len > 0)
		qsort_r(r->v, r->n_all, sizeof(*r->v), by_key, &r->keys);
	for (size_t i = 0; i < r->n_all; i++) {
		struct bytes last, key = roots_key(r, i);
		struct root swap = r->v[i];

		if (n > 0) {
			last = roots_key(r, n - 1);
			r->v[i].under = (uint32_t)last.len;
			if (key_below(key.data, key.len, last.data, last.len))
				continue;
		}
		r->v[i] = r->v[n];
		r->v[n++] = swap;
	}
	r->n = n;
}

struct bytes
roots_key(const struct roots *r, size_t i)
{
	static const uint8_t nothing[1];
	const uint8_t *keys = r->keys.data != NULL ? r->keys.data : nothing;

	return (struct bytes){ keys + r->v[i].off, r->v[i].len };
}
