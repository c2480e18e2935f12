/* SPDX-License-Identifier: Apache-2.0 */
/* store_mem: an array of objects sorted by name, under one lock. */
#include "store/store_mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct object {
	char *name;
	uint8_t *data; /* NULL where len is 0 */
	size_t len;
	struct when time;
};

struct shelf {
	pthread_mutex_t lock;
	struct object *v;
	size_t n, cap;
	store_clock_fn *clock; /* NULL: the real time */
	void *clock_arg;
};

struct store_mem {
	struct store base;
	struct shelf *shelf; /* apart, so that a const store can be locked */
};

static const struct store_ops store_mem_ops;

static struct shelf *
shelf_of(const struct store *st)
{
	assert(st->ops == &store_mem_ops);
	return ((const struct store_mem *)(const void *)st)->shelf;
}

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "memory store: no memory");
}

static enum err
not_found(const char *name, struct error *err)
{
	return err_set(err, ERR_NOTFOUND, "object %s: does not exist", name);
}

/* The first object whose name is not before name. */
static size_t
lower_bound(const struct shelf *sh, const char *name)
{
	size_t lo = 0, hi = sh->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(sh->v[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct object *
find(const struct shelf *sh, const char *name)
{
	size_t i = lower_bound(sh, name);

	return i < sh->n && strcmp(sh->v[i].name, name) == 0 ? &sh->v[i] : NULL;
}

/* Whether name lies below prefix. */
static bool
is_below(const char *name, const char *prefix, size_t len)
{
	return len == 0 ||
	       (strncmp(name, prefix, len) == 0 && name[len] == '/');
}

/* Whether some object's name would be a prefix of name, or name of its. */
static bool
clashes(const struct shelf *sh, const char *name)
{
	char path[STORE_NAME_MAX + 2];
	size_t len = strlen(name), i;

	for (i = 0; i < len; i++) {
		path[i] = '\0';
		if (name[i] == '/' && find(sh, path) != NULL)
			return true;
		path[i] = name[i];
	}
	path[len] = '/';
	path[len + 1] = '\0';
	i = lower_bound(sh, path);
	return i < sh->n && is_below(sh->v[i].name, name, len);
}

static void
object_fini(struct object *o)
{
	free(o->name);
	free(o->data);
}

static enum err
object_init(struct object *o, const char *name, const void *data, size_t len,
	struct error *err)
{
	*o = (struct object){ .name = strdup(name), .len = len };
	if (len > 0)
		o->data = malloc(len);
	if (o->name == NULL || (len > 0 && o->data == NULL)) {
		object_fini(o);
		return no_memory(err);
	}
	if (len > 0)
		memcpy(o->data, data, len);
	return ERR_OK;
}

/* Takes over what o holds if it succeeds. */
static enum err
insert(struct shelf *sh, const struct object *o, struct error *err)
{
	size_t i = lower_bound(sh, o->name);

	if (i < sh->n && strcmp(sh->v[i].name, o->name) == 0)
		return err_set(err, ERR_EXISTS, "object %s: exists", o->name);
	if (clashes(sh, o->name))
		return err_set(err, ERR_USAGE,
			"object %s: an object's name cannot be a prefix too",
			o->name);
	if (sh->n == sh->cap) {
		size_t cap = sh->cap == 0 ? 64 : sh->cap * 2;
		struct object *v = reallocarray(sh->v, cap, sizeof(*v));

		if (v == NULL)
			return no_memory(err);
		sh->v = v;
		sh->cap = cap;
	}
	memmove(&sh->v[i + 1], &sh->v[i], (sh->n - i) * sizeof(sh->v[0]));
	sh->v[i] = *o;
	sh->n++;
	return ERR_OK;
}

static enum err
mem_put(struct store *st, const char *name, const void *data, size_t len,
	struct error *err)
{
	struct shelf *sh = shelf_of(st);
	struct object o;
	enum err rc;

	rc = object_init(&o, name, data, len, err);
	if (rc != ERR_OK)
		return rc;
	(void)pthread_mutex_lock(&sh->lock);
	o.time = sh->clock != NULL ? sh->clock(sh->clock_arg) : when_now();
	rc = insert(sh, &o, err);
	(void)pthread_mutex_unlock(&sh->lock);
	if (rc != ERR_OK)
		object_fini(&o);
	return rc;
}

static enum err
mem_get(struct store *st, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	struct shelf *sh = shelf_of(st);
	const struct object *o;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&sh->lock);
	o = find(sh, name);
	if (o == NULL)
		rc = not_found(name, err);
	else if (off > o->len || len > o->len - off)
		rc = err_set(err, ERR_CORRUPT,
			"object %s: ends after %zu bytes, %zu at %llu were "
			"asked for",
			name, o->len, len, (unsigned long long)off);
	else if (len > 0)
		rc = buf_put(out, o->data + off, len, err);
	(void)pthread_mutex_unlock(&sh->lock);
	return rc;
}

static enum err
mem_size(struct store *st, const char *name, uint64_t *size, struct error *err)
{
	struct shelf *sh = shelf_of(st);
	const struct object *o;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&sh->lock);
	o = find(sh, name);
	if (o == NULL)
		rc = not_found(name, err);
	else
		*size = o->len;
	(void)pthread_mutex_unlock(&sh->lock);
	return rc;
}

static enum err
mem_time(struct store *st, const char *name, struct when *out,
	struct error *err)
{
	struct shelf *sh = shelf_of(st);
	const struct object *o;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&sh->lock);
	o = find(sh, name);
	if (o == NULL)
		rc = not_found(name, err);
	else
		*out = o->time;
	(void)pthread_mutex_unlock(&sh->lock);
	return rc;
}

/* In the order of names.  fn may call the store: the lock is not held, and
 * the next object is looked for by name. */
static enum err
mem_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	struct shelf *sh = shelf_of(st);
	size_t prefix_len = strlen(prefix), size = 0, i;
	/* A name and the byte that makes it the next thing to look for. */
	char at[STORE_NAME_MAX + 2];
	bool more;
	enum err rc = ERR_OK;

	memcpy(at, prefix, prefix_len + 1);
	for (;;) {
		(void)pthread_mutex_lock(&sh->lock);
		i = lower_bound(sh, at);
		while (i < sh->n && strcmp(sh->v[i].name, prefix) == 0)
			i++;
		more = i < sh->n &&
		       strncmp(sh->v[i].name, prefix, prefix_len) == 0;
		if (more) {
			memcpy(at, sh->v[i].name, strlen(sh->v[i].name) + 1);
			size = sh->v[i].len;
		}
		(void)pthread_mutex_unlock(&sh->lock);
		if (!more)
			return ERR_OK;
		if (is_below(at, prefix, prefix_len))
			rc = fn(arg, at, size, err);
		if (rc != ERR_OK)
			return rc;
		i = strlen(at);
		at[i] = '\001';
		at[i + 1] = '\0';
	}
}

static enum err
mem_del(struct store *st, const char *name, struct error *err)
{
	struct shelf *sh = shelf_of(st);
	struct object *o;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&sh->lock);
	o = find(sh, name);
	if (o == NULL) {
		rc = not_found(name, err);
	} else {
		object_fini(o);
		sh->n--;
		memmove(o, o + 1,
			(size_t)(sh->v + sh->n - o) * sizeof(sh->v[0]));
	}
	(void)pthread_mutex_unlock(&sh->lock);
	return rc;
}

static void
mem_close(struct store *st)
{
	struct shelf *sh = shelf_of(st);

	for (size_t i = 0; i < sh->n; i++)
		object_fini(&sh->v[i]);
	free(sh->v);
	(void)pthread_mutex_destroy(&sh->lock);
	free(sh);
	free(container_of(st, struct store_mem, base));
}

static const struct store_ops store_mem_ops = {
	.close = mem_close,
	.put = mem_put,
	.get = mem_get,
	.size = mem_size,
	.time = mem_time,
	.list = mem_list,
	.del = mem_del,
};

enum err
store_mem_new(struct store **out, struct error *err)
{
	struct store_mem *sm = calloc(1, sizeof(*sm));
	struct shelf *sh = calloc(1, sizeof(*sh));

	if (sm == NULL || sh == NULL) {
		free(sm);
		free(sh);
		return no_memory(err);
	}
	(void)pthread_mutex_init(&sh->lock, NULL);
	sm->base.ops = &store_mem_ops;
	sm->shelf = sh;
	*out = &sm->base;
	return ERR_OK;
}

enum err
store_mem_clone(struct store **out, const struct store *st, struct error *err)
{
	struct shelf *from = shelf_of(st);
	struct store *copy = NULL;
	struct object o;
	enum err rc;

	rc = store_mem_new(&copy, err);
	if (rc != ERR_OK)
		return rc;
	(void)pthread_mutex_lock(&from->lock);
	shelf_of(copy)->clock = from->clock;
	shelf_of(copy)->clock_arg = from->clock_arg;
	for (size_t i = 0; i < from->n && rc == ERR_OK; i++) {
		const struct object *src = &from->v[i];

		rc = object_init(&o, src->name, src->data, src->len, err);
		if (rc != ERR_OK)
			break;
		o.time = src->time;
		rc = insert(shelf_of(copy), &o, err);
		if (rc != ERR_OK)
			object_fini(&o);
	}
	(void)pthread_mutex_unlock(&from->lock);
	if (rc != ERR_OK)
		store_close(copy);
	else
		*out = copy;
	return rc;
}

void
store_mem_set_clock(struct store *st, store_clock_fn *fn, void *arg)
{
	struct shelf *sh = shelf_of(st);

	(void)pthread_mutex_lock(&sh->lock);
	sh->clock = fn;
	sh->clock_arg = arg;
	(void)pthread_mutex_unlock(&sh->lock);
}

enum err
store_mem_flip(struct store *st, const char *name, uint64_t bit,
	struct error *err)
{
	struct shelf *sh = shelf_of(st);
	struct object *o;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&sh->lock);
	o = find(sh, name);
	if (o == NULL)
		rc = not_found(name, err);
	else if (bit / 8 >= o->len)
		rc = err_set(err, ERR_USAGE, "object %s: has no bit %llu", name,
			(unsigned long long)bit);
	else
		o->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	(void)pthread_mutex_unlock(&sh->lock);
	return rc;
}
