/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A librbd that does not come back.  Each call of an image that is open for
 * writing, and each that changes a header, ends in time all the same, with the
 * connection lost; and where the library goes on later, when everything that
 * was passed to the call is freed, it meets none of it, and what it has opened
 * is closed again.
 */
#include <rbd/librbd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"
#include "tests/lib/must.h"

enum {
	WITHIN = 15, /* seconds; the limit is 10 */
	LATE_WITHIN = 20
};

/* ---- a library that waits for a gate ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t open;
	bool is_open;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

static atomic_uint n_stuck, n_through, n_closed, n_destroyed, n_freed;
static void *_Atomic read_into;
static char handle[1]; /* of whatever */

static void
open_gate(bool is_open)
{
	(void)pthread_mutex_lock(&gate.lock);
	gate.is_open = is_open;
	(void)pthread_cond_broadcast(&gate.open);
	(void)pthread_mutex_unlock(&gate.lock);
}

static void
pass_gate(void)
{
	n_stuck++;
	(void)pthread_mutex_lock(&gate.lock);
	while (!gate.is_open)
		(void)pthread_cond_wait(&gate.open, &gate.lock);
	(void)pthread_mutex_unlock(&gate.lock);
	n_through++;
}

/* A text that the call must still be allowed to read. */
static void
use(const char *text)
{
	if (text != NULL)
		assert_true(strlen(text) < 16);
}

static int
fake_open(rados_ioctx_t io, const char *name, rbd_image_t *image,
	const char *snap)
{
	pass_gate();
	use(name);
	use(snap);
	*image = handle;
	return 0;
}

static int
fake_old_format(rbd_image_t image, uint8_t *old)
{
	*old = 0;
	return 0;
}

static int
fake_close(rbd_image_t image)
{
	assert_ptr_equal(image, handle);
	n_closed++;
	return 0;
}

static int
fake_ioctx_create(rados_t cluster, const char *pool, rados_ioctx_t *io)
{
	pass_gate();
	use(pool);
	*io = handle;
	return 0;
}

static void
fake_ioctx_destroy(rados_ioctx_t io)
{
	assert_ptr_equal(io, handle);
	n_destroyed++;
}

static void
fake_options_create(rbd_image_options_t *opts)
{
	*opts = handle;
}

static void
fake_options_destroy(rbd_image_options_t opts)
{
}

static int
fake_set_uint64(rbd_image_options_t opts, int which, uint64_t value)
{
	return 0;
}

static int
fake_set_string(rbd_image_options_t opts, int which, const char *value)
{
	use(value);
	return 0;
}

static int
fake_create(rados_ioctx_t io, const char *name, uint64_t size,
	rbd_image_options_t opts)
{
	pass_gate();
	use(name);
	return 0;
}

static int
fake_clone(rados_ioctx_t from, const char *parent, const char *snap,
	rados_ioctx_t io, const char *name, rbd_image_options_t opts)
{
	pass_gate();
	use(parent);
	use(snap);
	use(name);
	return -EINVAL;
}

static int
fake_resize(rbd_image_t image, uint64_t size, bool shrink,
	librbd_progress_fn_t cb, void *arg)
{
	pass_gate();
	return cb(1, 2, arg);
}

static int
fake_get_size(rbd_image_t image, uint64_t *size)
{
	*size = 1;
	return 0;
}

static int
fake_get_features(rbd_image_t image, uint64_t *features)
{
	*features = RBD_FEATURE_EXCLUSIVE_LOCK;
	return 0;
}

static int
fake_lock(rbd_image_t image, rbd_lock_mode_t mode)
{
	pass_gate();
	return 0;
}

static int
fake_meta_set(rbd_image_t image, const char *key, const char *value)
{
	pass_gate();
	use(key);
	use(value);
	return 0;
}

static int
fake_meta_remove(rbd_image_t image, const char *key)
{
	pass_gate();
	use(key);
	return 0;
}

static int
fake_meta_get(rbd_image_t image, const char *key, char *value, size_t *len)
{
	pass_gate();
	use(key);
	assert_true(*len >= 6);
	memcpy(value, "value", 6);
	return 0;
}

static int
fake_snap_create(rbd_image_t image, const char *name, uint32_t flags,
	librbd_progress_fn_t cb, void *arg)
{
	pass_gate();
	use(name);
	return cb(1, 2, arg);
}

static int
fake_snap_remove(rbd_image_t image, const char *name)
{
	pass_gate();
	use(name);
	return 0;
}

static int
fake_snap_get_id(rbd_image_t image, const char *name, uint64_t *id)
{
	use(name);
	*id = 1;
	return 0;
}

static int
fake_snap_list(rbd_image_t image, rbd_snap_info_t *snaps, int *max)
{
	pass_gate();
	assert_true(*max > 1);
	snaps[0] = (rbd_snap_info_t){ .id = 7, .size = 1, .name = strdup("s") };
	return 1;
}

static void
fake_snap_list_end(rbd_snap_info_t *snaps)
{
	for (; snaps->name != NULL; snaps++) {
		free((void *)(uintptr_t)snaps->name);
		n_freed++;
	}
}

static int
fake_snap_type(rbd_image_t image, uint64_t id, rbd_snap_namespace_type_t *type)
{
	*type = RBD_SNAP_NAMESPACE_TYPE_USER;
	return 0;
}

static int
fake_snap_time(rbd_image_t image, uint64_t id, struct timespec *t)
{
	return 0;
}

static int
fake_snap_protected(rbd_image_t image, const char *name, int *on)
{
	use(name);
	return 0;
}

static int
fake_group_create(rados_ioctx_t io, const char *group, const char *snap,
	uint32_t flags)
{
	pass_gate();
	use(group);
	use(snap);
	return 0;
}

static int
fake_group_remove(rados_ioctx_t io, const char *group, const char *snap)
{
	pass_gate();
	use(group);
	use(snap);
	return 0;
}

static int
fake_get_id(rbd_image_t image, char *id, size_t len)
{
	pass_gate();
	memset(id, 'x', len - 1);
	return -EIO;
}

static int
fake_watchers(rbd_image_t image, rbd_image_watcher_t *list, size_t *n)
{
	pass_gate();
	list[0].id = 1;
	*n = 1;
	return 0;
}

static void
fake_watchers_cleanup(rbd_image_watcher_t *list, size_t n)
{
}

static int
fake_completion(void *arg, rbd_callback_t cb, rbd_completion_t *out)
{
	*out = handle;
	return 0;
}

static int
fake_read(rbd_image_t image, uint64_t off, size_t len, char *data,
	rbd_completion_t op, int flags)
{
	n_stuck++;
	read_into = data;
	return 0;
}

static int
fake_write(rbd_image_t image, uint64_t off, size_t len, const char *data,
	rbd_completion_t op, int flags)
{
	n_stuck++;
	return 0;
}

static int
fake_is_complete(rbd_completion_t op)
{
	return 0;
}

static void
fake_shutdown(rados_t cluster)
{
	pass_gate();
}

static const struct ceph_lib fake = {
	.rbd_open = fake_open,
	.rbd_get_old_format = fake_old_format,
	.rbd_close = fake_close,
	.rados_ioctx_create = fake_ioctx_create,
	.rados_ioctx_destroy = fake_ioctx_destroy,
	.rados_shutdown = fake_shutdown,
	.rbd_image_options_create = fake_options_create,
	.rbd_image_options_destroy = fake_options_destroy,
	.rbd_image_options_set_uint64 = fake_set_uint64,
	.rbd_image_options_set_string = fake_set_string,
	.rbd_create4 = fake_create,
	.rbd_clone3 = fake_clone,
	.rbd_resize2 = fake_resize,
	.rbd_get_size = fake_get_size,
	.rbd_get_features = fake_get_features,
	.rbd_lock_acquire = fake_lock,
	.rbd_metadata_set = fake_meta_set,
	.rbd_metadata_remove = fake_meta_remove,
	.rbd_metadata_get = fake_meta_get,
	.rbd_snap_create2 = fake_snap_create,
	.rbd_snap_remove = fake_snap_remove,
	.rbd_snap_get_id = fake_snap_get_id,
	.rbd_snap_list = fake_snap_list,
	.rbd_snap_list_end = fake_snap_list_end,
	.rbd_snap_get_namespace_type = fake_snap_type,
	.rbd_snap_get_timestamp = fake_snap_time,
	.rbd_snap_is_protected = fake_snap_protected,
	.rbd_group_snap_create2 = fake_group_create,
	.rbd_group_snap_remove = fake_group_remove,
	.rbd_get_id = fake_get_id,
	.rbd_watchers_list = fake_watchers,
	.rbd_watchers_list_cleanup = fake_watchers_cleanup,
	.rbd_aio_create_completion = fake_completion,
	.rbd_aio_read2 = fake_read,
	.rbd_aio_write2 = fake_write,
	.rbd_aio_is_complete = fake_is_complete,
};

/* ---- the calls ---- */

/* Everything is on the heap, and freed when the call has given up. */
struct world {
	struct ceph *c;
	struct ceph_pool *p;
	struct ceph_image *img;
	char *text; /* passed as each name */
	char *bytes;
};

static enum err
stuck_open(struct world *w, struct error *err)
{
	const struct ceph_open how = { .write = true, .snap = w->text };
	struct ceph_image *img = NULL;
	enum err rc = ceph_image_open(&img, w->p, w->text, &how, err);

	assert_null(img);
	return rc;
}

static enum err
stuck_pool(struct world *w, struct error *err)
{
	struct ceph_pool *p = NULL;
	enum err rc = ceph_pool_open(&p, w->c, w->text, NULL, err);

	assert_null(p);
	return rc;
}

static enum err
stuck_create(struct world *w, struct error *err)
{
	const struct ceph_create conf = { .size = 1, .data_pool = w->text };

	return ceph_image_create(w->p, w->text, &conf, err);
}

static enum err
stuck_clone(struct world *w, struct error *err)
{
	const struct ceph_create conf = { .data_pool = w->text };

	return ceph_image_clone(w->p, w->text, w->text, w->p, w->text, &conf,
		err);
}

static enum err
stuck_resize(struct world *w, struct error *err)
{
	return ceph_image_resize(w->img, 1, err);
}

static enum err
stuck_lock(struct world *w, struct error *err)
{
	return ceph_lock(w->img, err);
}

static enum err
stuck_meta_set(struct world *w, struct error *err)
{
	return ceph_meta_set(w->img, w->text, w->text, err);
}

static enum err
stuck_meta_remove(struct world *w, struct error *err)
{
	return ceph_meta_remove(w->img, w->text, err);
}

static enum err
stuck_meta_get(struct world *w, struct error *err)
{
	char *value = NULL;
	enum err rc = ceph_meta_get(w->img, w->text, &value, err);

	assert_null(value);
	return rc;
}

static enum err
stuck_snap_create(struct world *w, struct error *err)
{
	return ceph_snap_create(w->img, w->text, false, err);
}

static enum err
stuck_snap_remove(struct world *w, struct error *err)
{
	return ceph_snap_remove(w->img, w->text, err);
}

static enum err
no_snap(void *arg, const struct ceph_snap *snap, struct error *err)
{
	fail_msg("snapshot %s", snap->name);
	return ERR_OK;
}

static enum err
stuck_snaps(struct world *w, struct error *err)
{
	return ceph_each_snap(w->img, no_snap, NULL, err);
}

static enum err
stuck_group_create(struct world *w, struct error *err)
{
	return ceph_group_snap_create(w->p, w->text, w->text, err);
}

static enum err
stuck_group_remove(struct world *w, struct error *err)
{
	return ceph_group_snap_remove(w->p, w->text, w->text, err);
}

static enum err
stuck_info(struct world *w, struct error *err)
{
	struct ceph_info info;

	return ceph_image_info(w->img, &info, err);
}

static enum err
stuck_watchers(struct world *w, struct error *err)
{
	unsigned n;

	return ceph_watchers(w->img, &n, err);
}

static enum err
stuck_read(struct world *w, struct error *err)
{
	struct ceph_op op;

	must(ceph_read(&op, w->img, 0, w->bytes, 64, err), err);
	return ceph_op_wait(&op, err);
}

static enum err
stuck_write(struct world *w, struct error *err)
{
	struct ceph_op op;

	must(ceph_write(&op, w->img, 0, w->bytes, 64, err), err);
	return ceph_op_wait(&op, err);
}

static enum err
stuck_shutdown(struct world *w, struct error *err)
{
	ceph_shut_patiently(w->c);
	return w->c->lost ? err_set(err, ERR_AGAIN, "not in time") : ERR_OK;
}

static const struct {
	const char *name;
	enum err (*run)(struct world *w, struct error *err);
} calls[] = {
	{ "open", stuck_open },
	{ "pool", stuck_pool },
	{ "create", stuck_create },
	{ "clone", stuck_clone },
	{ "resize", stuck_resize },
	{ "lock", stuck_lock },
	{ "meta set", stuck_meta_set },
	{ "meta remove", stuck_meta_remove },
	{ "meta get", stuck_meta_get },
	{ "snap create", stuck_snap_create },
	{ "snap remove", stuck_snap_remove },
	{ "snaps", stuck_snaps },
	{ "group create", stuck_group_create },
	{ "group remove", stuck_group_remove },
	{ "info", stuck_info },
	{ "watchers", stuck_watchers },
	{ "read", stuck_read },
	{ "write", stuck_write },
	{ "shutdown", stuck_shutdown },
};

/* Two are waited for by no thread; a clone that fails is tried once more. */
enum { N = ARRAY_LEN(calls), ASYNC = 2 };

/* ---- each of them, at the same time ---- */

static void
world_init(struct world *w)
{
	*w = (struct world){ .c = calloc(1, sizeof(*w->c)),
		.p = calloc(1, sizeof(*w->p)),
		.img = calloc(1, sizeof(*w->img)),
		.text = strdup("name"),
		.bytes = calloc(1, 64) };
	*w->c = (struct ceph){ .lib = &fake, .cluster = handle };
	*w->p = (struct ceph_pool){ .c = w->c,
		.io = handle,
		.name = strdup("volumes"),
		.ns = strdup(""),
		.label = "volumes" };
	*w->img = (struct ceph_image){ .lib = &fake,
		.c = w->c,
		.cluster = handle,
		.rbd = handle,
		.write = true,
		.label = "volumes/it" };
}

/* As callers do, who know of nothing. */
static void
world_fini(struct world *w)
{
	ceph_image_close(w->img);
	ceph_pool_close(w->p);
	ceph_disconnect(w->c);
	memset(w->text, 'X', strlen(w->text));
	free(w->text);
	free(w->bytes);
}

struct trial {
	unsigned which;
	pthread_t thread;
	enum err rc;
	struct error err;
	double took;
	bool lost;
};

static void *
try_it(void *arg)
{
	struct trial *t = arg;
	double began = mono_sec();
	struct world w;

	world_init(&w);
	t->rc = calls[t->which].run(&w, &t->err);
	t->took = mono_sec() - began;
	t->lost = w.c->lost;
	world_fini(&w);
	return NULL;
}

static void
wait_until(const atomic_uint *n, unsigned want)
{
	double end = mono_sec() + LATE_WITHIN;

	while (*n < want && mono_sec() < end)
		(void)usleep(1000);
	assert_int_equal(*n, want);
}

static void
test_what_does_not_come_back(void **state)
{
	struct trial trials[N];

	open_gate(false);
	for (unsigned i = 0; i < N; i++) {
		trials[i] = (struct trial){ .which = i, .err = ERROR_INIT };
		assert_int_equal(pthread_create(&trials[i].thread, NULL, try_it,
					 &trials[i]),
			0);
	}
	for (unsigned i = 0; i < N; i++) {
		struct trial *t = &trials[i];

		(void)pthread_join(t->thread, NULL);
		if (t->rc != ERR_AGAIN || !t->lost || t->took > WITHIN)
			fail_msg("%s: %s \"%s\" after %.1f s, lost: %d",
				calls[i].name, err_name(t->rc), t->err.msg,
				t->took, t->lost);
		assert_non_null(strstr(t->err.msg, "in time"));
	}
	/* Nothing of a lost connection is closed. */
	assert_int_equal(n_stuck, N);
	assert_int_equal(n_closed, 0);
	assert_int_equal(n_destroyed, 0);

	open_gate(true);
	wait_until(&n_through, N - ASYNC + 1);
	wait_until(&n_closed, 1);
	wait_until(&n_destroyed, 1);
	wait_until(&n_freed, 1);
	/* What is read lands in memory that is nobody else's. */
	memset(read_into, 'r', 64);
	free(read_into);
}

/* ---- and one that does ---- */

static enum err
one_snap(void *arg, const struct ceph_snap *snap, struct error *err)
{
	assert_int_equal(snap->id, 7);
	assert_string_equal(snap->name, "s");
	++*(unsigned *)arg;
	return ERR_OK;
}

static void
test_what_comes_back(void **state)
{
	const struct ceph_open how = { .write = true };
	struct error err = ERROR_INIT;
	struct ceph_image *img = NULL;
	struct ceph_info info;
	char *value = NULL;
	unsigned n = 0;
	struct world w;

	open_gate(true);
	n_closed = n_freed = 0;
	world_init(&w);
	must(ceph_image_open(&img, w.p, "it", &how, &err), &err);
	assert_ptr_equal(img->rbd, handle);
	must(ceph_meta_get(img, "key", &value, &err), &err);
	assert_string_equal(value, "value");
	free(value);
	must(ceph_each_snap(img, one_snap, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_int_equal(n_freed, 1);
	must(ceph_watchers(img, &n, &err), &err);
	assert_int_equal(n, 1);
	must_fail(ceph_image_info(img, &info, &err), ERR_IO, &err,
		"volumes/it: cannot ask what it is");
	must_fail(ceph_image_clone(w.p, "p", "s", w.p, "it",
			  &(struct ceph_create){ .size = 1 }, &err),
		ERR_IO, &err, "volumes/it: cannot create it");
	ceph_image_close(img);
	assert_int_equal(n_closed, 1);
	assert_false(w.c->lost);
	world_fini(&w);
}

/* ---- a list that did not come ---- */

/* librbd 16 tells of no images, or of whole pages of them, where the rest did
 * not come in time. */
static unsigned list_ms, list_n;

static int
fake_group_images(rados_ioctx_t io, const char *group,
	rbd_group_image_info_t *images, size_t size, size_t *n)
{
	size_t room = *n;

	(void)usleep(list_ms * 1000);
	*n = list_n;
	if (room < list_n)
		return -ERANGE;
	for (unsigned i = 0; i < list_n; i++)
		images[i].name = handle;
	return (int)list_n;
}

static int
fake_group_images_cleanup(rbd_group_image_info_t *images, size_t size, size_t n)
{
	return 0;
}

static int
fake_group_list(rados_ioctx_t io, char *names, size_t *size)
{
	memcpy(names, "it", 3);
	*size = 3;
	return 0;
}

static int
fake_pool_name(rados_t cluster, int64_t id, char *name, size_t size)
{
	memcpy(name, "p", 2);
	return 1;
}

static enum err
count_name(void *arg, const char *name, const char *id, struct error *err)
{
	++*(unsigned *)arg;
	return ERR_OK;
}

static void
test_group_that_is_not_listed(void **state)
{
	static const struct {
		unsigned ms, n;
		bool fits;
	} cases[] = { { 0, 0, true }, { 0, 3, true }, { 0, 1024, true },
		{ 1100, 0, false }, { 1100, 3, true }, { 1100, 2048, false } };
	struct ceph_lib lib = fake;
	struct error err = ERROR_INIT;
	struct world w;
	unsigned seen;
	enum err rc;

	lib.rbd_group_image_list = fake_group_images;
	lib.rbd_group_image_list_cleanup = fake_group_images_cleanup;
	lib.rbd_group_list = fake_group_list;
	lib.rados_pool_reverse_lookup = fake_pool_name;
	world_init(&w);
	w.c->lib = &lib;
	w.c->timeout_sec = 1;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		list_ms = cases[i].ms;
		list_n = cases[i].n;
		seen = 0;
		rc = ceph_each_group_image(w.p, "it", count_name, &seen, &err);
		if (cases[i].fits)
			must(rc, &err);
		else
			must_fail(rc, ERR_AGAIN, &err,
				"group volumes/it: the cluster did not answer");
		assert_int_equal(seen, cases[i].fits ? list_n : 0);
	}
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_does_not_come_back),
		cmocka_unit_test(test_what_comes_back),
		cmocka_unit_test(test_group_that_is_not_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
