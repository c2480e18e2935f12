/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a real cluster, one promise of system/ceph.h after another. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lab/ceph_rig.h"

static struct rig rig;

/* ---- names that a listing told ---- */

struct names {
	char v[256][128];
	char id[256][CEPH_ID_MAX];
	unsigned n;
	unsigned stop_at; /* 0: never */
};

static enum err
keep_name(void *arg, const char *name, const char *id, struct error *err)
{
	struct names *l = arg;

	assert_true(l->n < 256);
	(void)snprintf(l->v[l->n], sizeof(l->v[0]), "%s", name);
	(void)snprintf(l->id[l->n++], sizeof(l->id[0]), "%s",
		id != NULL ? id : "");
	return l->n == l->stop_at ? err_set(err, ERR_CANCELLED, "enough")
				  : ERR_OK;
}

static unsigned
times(const struct names *l, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++)
		n += strcmp(l->v[i], name) == 0;
	return n;
}

/* ---- pools and listings ---- */

static void
test_pools(void **state)
{
	struct error err = ERROR_INIT;
	struct ceph_pool *p = NULL;

	assert_int_equal(strlen(ceph_fsid(rig.c)), 36);
	assert_string_equal(ceph_pool_name(rig.volumes), "volumes");
	assert_string_equal(ceph_pool_ns(rig.volumes), "");
	must_fail(ceph_pool_open(&p, rig.c, "no\npool", NULL, &err),
		ERR_NOTFOUND, &err, "no\\012pool: the cluster has no such");
	must_fail(ceph_pool_open(&p, rig.c, "volumes", "nons", &err),
		ERR_NOTFOUND, &err, "volumes/nons: the pool has no such");
}

/* More than the first array holds, some of them in the trash. */
static void
test_listing(void **state)
{
	enum { N = 70, TRASHED = 5 };
	struct names l = { .n = 0 };
	struct error err = ERROR_INIT;
	char name[64];

	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "image \n\377 %u", i);
		rig_create(rig.backups, name, 1 << 20);
	}
	for (unsigned i = 0; i < TRASHED; i++) {
		(void)snprintf(name, sizeof(name), "backups/image \n\377 %u",
			i);
		rig_run(&rig, "rbd", "trash", "mv", name, NULL);
	}
	must(ceph_each_image(rig.backups, keep_name, &l, &err), &err);
	assert_int_equal(l.n, N - TRASHED);
	for (unsigned i = TRASHED; i < N; i++) {
		(void)snprintf(name, sizeof(name), "image \n\377 %u", i);
		assert_int_equal(times(&l, name), 1);
	}
	for (unsigned i = 0; i < l.n; i++)
		assert_true(l.id[i][0] != '\0');
	l = (struct names){ .stop_at = 2 };
	must_fail(ceph_each_image(rig.backups, keep_name, &l, &err),
		ERR_CANCELLED, &err, "enough");
	assert_int_equal(l.n, 2);
}

static void
test_namespaces(void **state)
{
	struct error err = ERROR_INIT;
	struct ceph_image *img = NULL;
	struct ceph_pool *p;
	struct names l = { .n = 0 };

	rig_run(&rig, "rbd", "namespace", "create", "volumes/tenant", NULL);
	p = rig_pool(rig.c, "volumes", "tenant");
	assert_string_equal(ceph_pool_ns(p), "tenant");
	rig_create(p, "same", 4 << 20);
	rig_create(rig.volumes, "same", 8 << 20);
	must(ceph_each_image(p, keep_name, &l, &err), &err);
	assert_int_equal(l.n, 1);
	must_fail(ceph_image_open(&img, p, "other", &(struct ceph_open){ 0 },
			  &err),
		ERR_NOTFOUND, &err, "volumes/tenant/other: there is no such");
	ceph_pool_close(p);
}

/* ---- what an image is ---- */

static struct ceph_info
info_of(struct ceph_image *img)
{
	struct error err = ERROR_INIT;
	struct ceph_info info;

	must(ceph_image_info(img, &info, &err), &err);
	return info;
}

static void
test_create_as_told(void **state)
{
	struct ceph_create conf = {
		.size = 123456789,
		.order = 20,
		.features = CEPH_LAYERING | CEPH_EXCLUSIVE_LOCK |
			    CEPH_OBJECT_MAP | CEPH_FAST_DIFF | CEPH_STRIPING,
		.has_features = true,
		.stripe_unit = 64 << 10,
		.stripe_count = 4,
		.data_pool = "backups",
	};
	struct error err = ERROR_INIT;
	struct ceph_image *img;
	struct ceph_info info;
	struct when now = when_now();

	must(ceph_image_create(rig.volumes, "told", &conf, &err), &err);
	must_fail(ceph_image_create(rig.volumes, "told", &conf, &err),
		ERR_EXISTS, &err, "volumes/told: it exists already");
	img = rig_open(rig.volumes, "told", NULL, false);
	info = info_of(img);
	assert_true(info.id[0] != '\0');
	assert_int_equal(info.size, conf.size);
	assert_int_equal(info.order, 20);
	assert_int_equal(info.features, conf.features | CEPH_DATA_POOL);
	assert_int_equal(info.stripe_unit, 64 << 10);
	assert_int_equal(info.stripe_count, 4);
	assert_string_equal(info.data_pool, "backups");
	assert_true(info.fast_diff);
	assert_false(info.has_parent);
	assert_true(llabs(info.created.sec - now.sec) < 60);
	ceph_image_close(img);
}

static void
test_fast_diff_is_valid_or_not(void **state)
{
	struct ceph_image *img;

	rig_create(rig.volumes, "map", 16 << 20);
	rig_run(&rig, "rbd", "feature", "disable", "volumes/map", "fast-diff",
		NULL);
	img = rig_open(rig.volumes, "map", NULL, false);
	assert_false(info_of(img).fast_diff);
	ceph_image_close(img);
	rig_run(&rig, "rbd", "feature", "enable", "volumes/map", "object-map",
		"fast-diff", NULL);
	img = rig_open(rig.volumes, "map", NULL, false);
	assert_true((info_of(img).features & CEPH_FAST_DIFF) != 0);
	assert_false(info_of(img).fast_diff);
	ceph_image_close(img);
	rig_run(&rig, "rbd", "object-map", "rebuild", "--no-progress",
		"volumes/map", NULL);
	img = rig_open(rig.volumes, "map", NULL, false);
	assert_true(info_of(img).fast_diff);
	ceph_image_close(img);
}

static void
test_resize(void **state)
{
	struct error err = ERROR_INIT;
	struct ceph_image *img;

	rig_create(rig.volumes, "size", 16 << 20);
	img = rig_open(rig.volumes, "size", NULL, true);
	must(ceph_snap_create(img, "small", true, &err), &err);
	must(ceph_image_resize(img, 64 << 20, &err), &err);
	assert_int_equal(info_of(img).size, 64 << 20);
	must(ceph_image_resize(img, 1 << 20, &err), &err);
	assert_int_equal(info_of(img).size, 1 << 20);
	ceph_image_close(img);
}

/* ---- metadata ---- */

enum { N_KEYS = 150 };

struct meta {
	char *value[N_KEYS];
	unsigned seen[N_KEYS], n;
};

static enum err
keep_meta(void *arg, const char *key, const char *value, struct error *err)
{
	struct meta *m = arg;
	unsigned i = (unsigned)strtoul(key + 1, NULL, 10);

	assert_true(i < N_KEYS);
	assert_string_equal(value, m->value[i]);
	m->seen[i]++;
	m->n++;
	return ERR_OK;
}

static void
test_meta(void **state)
{
	struct meta m = { .n = 0 };
	struct error err = ERROR_INIT;
	struct ceph_image *img;
	struct prng rng;
	char key[32], *value = NULL;

	prng_init(&rng, 7);
	rig_create(rig.volumes, "meta", 1 << 20);
	img = rig_open(rig.volumes, "meta", NULL, true);
	for (unsigned i = 0; i < N_KEYS; i++) {
		size_t len = prng_below(&rng, i % 10 == 0 ? 9000 : 40);

		m.value[i] = calloc(1, len + 1);
		for (size_t k = 0; k < len; k++)
			m.value[i][k] = (char)(1 + prng_below(&rng, 255));
		(void)snprintf(key, sizeof(key), "k%u", i);
		must(ceph_meta_set(img, key, m.value[i], &err), &err);
	}
	must(ceph_each_meta(img, keep_meta, &m, &err), &err);
	assert_int_equal(m.n, N_KEYS);
	for (unsigned i = 0; i < N_KEYS; i++) {
		assert_int_equal(m.seen[i], 1);
		(void)snprintf(key, sizeof(key), "k%u", i);
		must(ceph_meta_get(img, key, &value, &err), &err);
		assert_string_equal(value, m.value[i]);
		free(value);
		free(m.value[i]);
	}
	must(ceph_meta_remove(img, "k0", &err), &err);
	must_fail(ceph_meta_get(img, "k0", &value, &err), ERR_NOTFOUND, &err,
		"volumes/meta: metadata \"k0\": No such file");
	ceph_image_close(img);
}

/* ---- snapshots ---- */

struct snaps {
	struct ceph_snap v[64];
	char name[64][96];
	unsigned n;
};

static enum err
keep_snap(void *arg, const struct ceph_snap *snap, struct error *err)
{
	struct snaps *l = arg;

	assert_true(l->n < 64);
	l->v[l->n] = *snap;
	(void)snprintf(l->name[l->n++], sizeof(l->name[0]), "%s", snap->name);
	return ERR_OK;
}

static void
list_snaps(struct ceph_image *img, struct snaps *l)
{
	struct error err = ERROR_INIT;

	l->n = 0;
	must(ceph_each_snap(img, keep_snap, l, &err), &err);
	for (unsigned i = 1; i < l->n; i++)
		assert_true(l->v[i - 1].id < l->v[i].id);
}

static void
test_snapshots(void **state)
{
	enum { N = 40 };
	struct error err = ERROR_INIT;
	struct ceph_image *img, *old;
	struct snaps l;
	char name[16];

	rig_create(rig.volumes, "snaps", 1 << 20);
	img = rig_open(rig.volumes, "snaps", NULL, true);
	for (unsigned i = 0; i < N; i++) {
		/* Their order is not that of the names. */
		(void)snprintf(name, sizeof(name), "s%u", i * 7 % N);
		must(ceph_snap_create(img, name, i % 2 == 0, &err), &err);
		must(ceph_image_resize(img, (i + 2) << 20, &err), &err);
	}
	list_snaps(img, &l);
	assert_int_equal(l.n, N);
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i * 7 % N);
		assert_string_equal(l.name[i], name);
		assert_int_equal(l.v[i].size, (i + 1) << 20);
		assert_true(l.v[i].user && !l.v[i].is_protected);
		assert_true(l.v[i].created.sec > 1600000000);
	}
	old = rig_open(rig.volumes, "snaps", "s7", false);
	assert_int_equal(info_of(old).size, 2 << 20);
	must_fail(ceph_snap_create(old, "no", false, &err), ERR_DENIED, &err,
		"volumes/snaps@s7@no: cannot make the snapshot");
	ceph_image_close(old);
	must_fail(ceph_snap_create(img, "s3", false, &err), ERR_EXISTS, &err,
		"volumes/snaps@s3");
	must_fail(ceph_snap_remove(img, "gone", &err), ERR_NOTFOUND, &err,
		"volumes/snaps@gone: cannot remove the snapshot");
	rig_run(&rig, "rbd", "snap", "protect", "volumes/snaps@s3", NULL);
	list_snaps(img, &l);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(l.v[i].is_protected,
			strcmp(l.name[i], "s3") == 0);
	must_fail(ceph_snap_remove(img, "s3", &err), ERR_EXISTS, &err,
		"volumes/snaps@s3: cannot remove the snapshot: it is in use");
	rig_run(&rig, "rbd", "snap", "unprotect", "volumes/snaps@s3", NULL);
	for (unsigned i = 0; i < N; i++)
		must(ceph_snap_remove(img, l.name[i], &err), &err);
	list_snaps(img, &l);
	assert_int_equal(l.n, 0);
	ceph_image_close(img);
}

static void
test_missing(void **state)
{
	struct ceph_open at_snap = { .snap = "s" }, at_id = { .snap_id = 77 };
	struct error err = ERROR_INIT;
	struct ceph_image *img = NULL;

	rig_create(rig.volumes, "there", 1 << 20);
	must_fail(ceph_image_open(&img, rig.volumes, "there", &at_snap, &err),
		ERR_NOTFOUND, &err,
		"volumes/there@s: there is no such image "
		"or snapshot");
	must_fail(ceph_image_open(&img, rig.volumes, "there", &at_id, &err),
		ERR_NOTFOUND, &err, "volumes/there@77");
	assert_null(img);
}

/* ---- differences ---- */

struct range {
	uint64_t from, to; /* of what was told, without a gap */
};

static enum err
join(void *arg, uint64_t off, uint64_t len, bool exists, struct error *err)
{
	struct range *r = arg;

	if (r->to == 0)
		r->from = r->to = off;
	assert_int_equal(off, r->to);
	r->to = off + len;
	return ERR_OK;
}

/* What object maps alone do not tell of. */
static void
test_what_a_smaller_snapshot_hides(void **state)
{
	enum { BIG = 6 << 20, SMALL = 3000000, BIGGER = 9 << 20 };
	struct ceph_create conf = { .size = BIG, .order = 18 };
	struct error err = ERROR_INIT;
	struct ceph_image *img;
	struct range told = { 0, 0 };
	uint8_t *data = malloc(BIG);

	memset(data, 'x', BIG);
	must(ceph_image_create(rig.volumes, "shrunk", &conf, &err), &err);
	img = rig_open(rig.volumes, "shrunk", NULL, true);
	rig_write(img, 0, data, BIG);
	must(ceph_snap_create(img, "before", false, &err), &err);
	must(ceph_image_resize(img, SMALL, &err), &err);
	must(ceph_snap_create(img, "small", false, &err), &err);
	must(ceph_image_resize(img, BIGGER, &err), &err);
	must(ceph_diff(img, "before", 0, UINT64_MAX, CEPH_DIFF_WHOLE, join,
		     &told, &err),
		&err);
	assert_true(told.from <= SMALL && told.from > SMALL - (1 << 18));
	assert_true(told.to >= BIG);
	must_fail(ceph_diff(img, "gone", 0, 1, 0, join, &told, &err),
		ERR_NOTFOUND, &err,
		"volumes/shrunk: cannot ask what changed since @gone");
	must(ceph_snap_remove(img, "before", &err), &err);
	must(ceph_snap_remove(img, "small", &err), &err);
	ceph_image_close(img);
	free(data);
}

/* ---- other clients ---- */

static void
test_watchers(void **state)
{
	struct ceph *other = rig_connect(&rig, 0);
	struct ceph_pool *p = rig_pool(other, "volumes", NULL);
	struct error err = ERROR_INIT;
	struct ceph_image *reader, *mine, *theirs;
	unsigned n = 9;

	rig_create(rig.volumes, "watched", 1 << 20);
	reader = rig_open(rig.volumes, "watched", NULL, false);
	must(ceph_watchers(reader, &n, &err), &err);
	assert_int_equal(n, 0);
	mine = rig_open(rig.volumes, "watched", NULL, true);
	must(ceph_watchers(mine, &n, &err), &err);
	assert_int_equal(n, 0);
	theirs = rig_open(p, "watched", NULL, true);
	must(ceph_watchers(mine, &n, &err), &err);
	assert_int_equal(n, 1);
	must(ceph_watchers(reader, &n, &err), &err);
	assert_int_equal(n, 1);
	ceph_image_close(theirs);
	theirs = rig_open(p, "watched", NULL, false);
	must(ceph_watchers(mine, &n, &err), &err);
	assert_int_equal(n, 0);
	ceph_image_close(theirs);
	ceph_image_close(mine);
	ceph_image_close(reader);
	ceph_pool_close(p);
	ceph_disconnect(other);
}

static void
test_lock(void **state)
{
	struct ceph *other = rig_connect(&rig, 0);
	struct ceph_pool *p = rig_pool(other, "volumes", NULL);
	struct error err = ERROR_INIT;
	struct ceph_image *mine, *theirs;
	struct ceph_op op;

	rig_create(rig.volumes, "locked", 1 << 20);
	mine = rig_open(rig.volumes, "locked", NULL, true);
	theirs = rig_open(p, "locked", NULL, true);
	rig_write(theirs, 0, "a", 1);
	must(ceph_lock(mine, &err), &err);
	rig_write(mine, 1, "b", 1);
	must(ceph_write(&op, theirs, 2, "c", 1, &err), &err);
	must_fail(ceph_op_wait(&op, &err), ERR_DENIED, &err,
		"volumes/locked: cannot write 1 bytes at 2");
	must_fail(ceph_lock(theirs, &err), ERR_DENIED, &err,
		"volumes/locked: cannot lock it");
	ceph_image_close(mine);
	must(ceph_lock(theirs, &err), &err);
	rig_write(theirs, 2, "c", 1);
	ceph_image_close(theirs);
	theirs = rig_open(p, "locked", NULL, true);
	rig_write(theirs, 3, "d", 1);
	ceph_image_close(theirs);
	ceph_pool_close(p);
	ceph_disconnect(other);
}

/* ---- groups ---- */

static void
test_groups(void **state)
{
	struct error err = ERROR_INIT;
	struct ceph_open how = { .snap = NULL };
	struct ceph_image *img;
	struct names l = { .n = 0 };
	struct snaps s;
	char got[4] = { 0 };

	rig_create(rig.volumes, "ga", 8 << 20);
	rig_create(rig.backups, "gb", 8 << 20);
	rig_run(&rig, "rbd", "group", "create", "volumes/g", NULL);
	rig_run(&rig, "rbd", "group", "image", "add", "volumes/g", "volumes/ga",
		NULL);
	rig_run(&rig, "rbd", "group", "image", "add", "volumes/g", "backups/gb",
		NULL);
	must(ceph_each_group_image(rig.volumes, "g", keep_name, &l, &err),
		&err);
	assert_int_equal(l.n, 2);
	assert_int_equal(times(&l, "volumes/ga"), 1);
	assert_int_equal(times(&l, "backups/gb"), 1);
	rig_run(&rig, "rbd", "group", "create", "volumes/empty", NULL);
	must(ceph_each_group_image(rig.volumes, "empty", keep_name, &l, &err),
		&err);
	assert_int_equal(l.n, 2);
	must_fail(ceph_each_group_image(rig.volumes, "nog", keep_name, &l,
			  &err),
		ERR_NOTFOUND, &err, "group volumes/nog");

	img = rig_open(rig.volumes, "ga", NULL, true);
	rig_write(img, 0, "old", 3);
	must(ceph_snap_create(img, "ours", false, &err), &err);
	must(ceph_group_snap_create(rig.volumes, "g", "instant", &err), &err);
	must_fail(ceph_group_snap_create(rig.volumes, "nog", "x", &err),
		ERR_NOTFOUND, &err, "group volumes/nog");
	rig_write(img, 0, "new", 3);
	list_snaps(img, &s);
	assert_int_equal(s.n, 2);
	assert_true(s.v[0].user && !s.v[1].user);
	ceph_image_close(img);

	how.snap_id = s.v[1].id;
	must(ceph_image_open(&img, rig.volumes, "ga", &how, &err), &err);
	rig_read(img, 0, got, 3);
	assert_string_equal(got, "old");
	ceph_image_close(img);
	must(ceph_group_snap_remove(rig.volumes, "g", "instant", &err), &err);
	img = rig_open(rig.volumes, "ga", NULL, true);
	list_snaps(img, &s);
	assert_int_equal(s.n, 1);
	must(ceph_snap_remove(img, "ours", &err), &err);
	ceph_image_close(img);
	rig_run(&rig, "rbd", "group", "rm", "volumes/g", NULL);
}

/* ---- clones ---- */

static void
clone_and_look(const char *name, const char *snap, const char *parent_id)
{
	struct ceph_create conf = { .size = 0 };
	struct error err = ERROR_INIT;
	struct ceph_image *img;
	struct ceph_info info;
	char got[7] = { 0 };

	must(ceph_image_clone(rig.volumes, "parent", snap, rig.backups, name,
		     &conf, &err),
		&err);
	img = rig_open(rig.backups, name, NULL, false);
	info = info_of(img);
	assert_true(info.has_parent);
	assert_string_equal(info.parent.pool, "volumes");
	assert_string_equal(info.parent.ns, "");
	assert_string_equal(info.parent.image, "parent");
	assert_string_equal(info.parent.image_id, parent_id);
	assert_string_equal(info.parent.snap, snap);
	assert_true(info.parent.snap_id != 0);
	assert_int_equal(info.parent.overlap, 8 << 20);
	assert_int_equal(info.size, 8 << 20);
	rig_read(img, 4 << 20, got, 6);
	assert_string_equal(got, "parent");
	ceph_image_close(img);
}

static void
test_clones(void **state)
{
	struct error err = ERROR_INIT;
	struct ceph_image *img;
	struct ceph_info info;

	rig_create(rig.volumes, "parent", 8 << 20);
	img = rig_open(rig.volumes, "parent", NULL, true);
	info = info_of(img);
	rig_write(img, 4 << 20, "parent", 6);
	must(ceph_snap_create(img, "plain", false, &err), &err);
	must(ceph_snap_create(img, "kept", false, &err), &err);
	rig_run(&rig, "rbd", "snap", "protect", "volumes/parent@kept", NULL);
	clone_and_look("child1", "kept", info.id);
	clone_and_look("child2", "plain", info.id);
	ceph_image_close(img);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_create_as_told),
		cmocka_unit_test(test_fast_diff_is_valid_or_not),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_what_a_smaller_snapshot_hides),
		cmocka_unit_test(test_watchers),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_clones),
	};
	int failed;

	rig_start(&rig, "7300", NULL);
	rig.c = rig_connect(&rig, 0);
	rig.volumes = rig_pool(rig.c, "volumes", NULL);
	rig.backups = rig_pool(rig.c, "backups", "");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ceph_pool_close(rig.volumes);
	ceph_pool_close(rig.backups);
	ceph_disconnect(rig.c);
	rig_stop(&rig);
	return failed;
}
