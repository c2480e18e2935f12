/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: what is the same for every store: names are checked, calls counted,
 * and what a failed get appended is taken back.
 */
#include "store/store.h"

#include <assert.h>
#include <string.h>

#include "store/store_dir.h"

/* docs/format.md, "Object names" */
enum { PART_MAX = 64, PARTS_MAX = 8 };

/* The first one also takes plain paths. */
static const struct store_ops *const drivers[] = {
	&store_dir_ops,
};

static bool
part_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

bool
store_name_ok(const char *name)
{
	size_t parts = 0, len = 0;
	const char *p;

	for (p = name; *p != '\0'; p++) {
		if (*p == '/') {
			if (len == 0 || ++parts == PARTS_MAX)
				return false;
			len = 0;
		} else if (!part_char(*p) || (len == 0 && *p == '.') ||
			   ++len > PART_MAX) {
			return false;
		}
	}
	return len > 0 && p - name <= STORE_NAME_MAX;
}

/* A name that is not one may hold anything, so it is not shown. */
static enum err
check_name(const char *name, struct error *err)
{
	if (!store_name_ok(name))
		return err_set(err, ERR_USAGE,
			"a name of %zu bytes is not one that an object may "
			"have",
			strlen(name));
	return ERR_OK;
}

static const struct store_ops *
find_driver(const char *scheme, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strlen(drivers[i]->scheme) == len &&
			memcmp(drivers[i]->scheme, scheme, len) == 0)
			return drivers[i];
	return NULL;
}

static enum err
unknown_scheme(const char *scheme, size_t len, struct error *err)
{
	char known[200] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		size_t n = strlen(drivers[i]->scheme);

		assert(used + n + 5 < sizeof(known));
		memcpy(known + used, drivers[i]->scheme, n);
		memcpy(known + used + n, "://, ", 6);
		used += n + 5;
	}
	return err_set(err, ERR_USAGE,
		"no kind of store is called \"%.*s\"; known: %splain paths",
		(int)len, scheme, known);
}

/* The length of the scheme in front of "://", 0 for a plain path. */
static size_t
scheme_len(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+-.");

	return n > 0 && n <= PART_MAX && strncmp(url + n, "://", 3) == 0 ? n
									 : 0;
}

enum err
store_open(struct store **out, const char *url, bool create, struct error *err)
{
	const struct store_ops *ops = drivers[0];
	const char *rest = url;
	size_t n;
	enum err rc;

	assert(out != NULL && url != NULL && err != NULL);
	n = scheme_len(url);
	if (n > 0) {
		ops = find_driver(url, n);
		rest = url + n + 3;
		if (ops == NULL)
			return unknown_scheme(url, n, err);
		/* file://host/path would name a place on another machine */
		if (ops == &store_dir_ops && rest[0] != '/')
			return err_set(err, ERR_USAGE,
				"%s: an absolute path has to follow, as in "
				"file:///srv/backup",
				url);
	}
	rc = ops->open(out, rest, create, err);
	assert(rc == ERR_OK || rc == err->code);
	return rc;
}

void
store_close(struct store *st)
{
	if (st != NULL)
		st->ops->close(st);
}

enum err
store_put(struct store *st, const char *name, const void *data, size_t len,
	struct error *err)
{
	enum err rc;

	assert(st != NULL && name != NULL && err != NULL);
	assert(data != NULL || len == 0);
	rc = check_name(name, err);
	if (rc != ERR_OK)
		return rc;
	rc = st->ops->put(st, name, data, len, err);
	assert(rc == ERR_OK || rc == err->code);
	if (rc == ERR_OK) {
		st->n_put++;
		st->bytes_put += len;
	}
	return rc;
}

enum err
store_get(struct store *st, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	size_t before;
	enum err rc;

	assert(st != NULL && name != NULL && out != NULL && err != NULL);
	rc = check_name(name, err);
	if (rc != ERR_OK)
		return rc;
	before = out->len;
	rc = st->ops->get(st, name, off, len, out, err);
	assert(rc == ERR_OK || rc == err->code);
	if (rc != ERR_OK) {
		out->len = before;
		return rc;
	}
	assert(out->len == before + len);
	st->n_get++;
	st->bytes_got += len;
	return ERR_OK;
}

enum err
store_get_all(struct store *st, const char *name, size_t max, struct buf *out,
	struct error *err)
{
	uint64_t size;
	enum err rc;

	rc = store_size(st, name, &size, err);
	if (rc != ERR_OK)
		return rc;
	if (size > max)
		return err_set(err, ERR_CORRUPT,
			"object %s: has %llu bytes, where %zu are the most "
			"it may have",
			name, (unsigned long long)size, max);
	return store_get(st, name, 0, (size_t)size, out, err);
}

enum err
store_size(struct store *st, const char *name, uint64_t *size,
	struct error *err)
{
	enum err rc;

	assert(st != NULL && name != NULL && size != NULL && err != NULL);
	rc = check_name(name, err);
	if (rc != ERR_OK)
		return rc;
	rc = st->ops->size(st, name, size, err);
	assert(rc == ERR_OK || rc == err->code);
	return rc;
}

enum err
store_time(struct store *st, const char *name, struct when *out,
	struct error *err)
{
	enum err rc;

	assert(st != NULL && name != NULL && out != NULL && err != NULL);
	rc = check_name(name, err);
	if (rc != ERR_OK)
		return rc;
	rc = st->ops->time(st, name, out, err);
	assert(rc == ERR_OK || rc == err->code);
	return rc;
}

enum err
store_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	enum err rc;

	assert(st != NULL && prefix != NULL && fn != NULL && err != NULL);
	if (prefix[0] != '\0') {
		rc = check_name(prefix, err);
		if (rc != ERR_OK)
			return rc;
	}
	return st->ops->list(st, prefix, fn, arg, err);
}

enum err
store_del(struct store *st, const char *name, struct error *err)
{
	enum err rc;

	assert(st != NULL && name != NULL && err != NULL);
	rc = check_name(name, err);
	if (rc != ERR_OK)
		return rc;
	rc = st->ops->del(st, name, err);
	assert(rc == ERR_OK || rc == err->code);
	return rc;
}
