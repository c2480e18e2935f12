/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster that refuses, is full, or dies: each call ends in time, with a
 * sentence, and goes on when the cluster is back.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lab/ceph_rig.h"

enum {
	SIZE = 32 << 20,
	PIECE = 1 << 20,
	N = SIZE / PIECE,
	SHORT = 8, /* a timeout, in seconds */
	FULL_WITHIN = 200, /* until OSD, monitor and client have heard of it */
	ENDS = 120 /* a call with it has ended by then */
};

static struct rig rig;
static uint8_t *data;

static const char *
path(const char *name)
{
	static char text[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	(void)snprintf(text[i], sizeof(text[0]), "%s/%s", rig.dir, name);
	return text[i];
}

/* ---- who may come in ---- */

static void
refused(const struct ceph_conf *conf, enum err code, const char *text)
{
	struct error err = ERROR_INIT;
	struct ceph *c = NULL;
	double began = mono_sec();

	must_fail(ceph_connect(&c, conf, &err), code, &err, text);
	assert_null(c);
	assert_true(mono_sec() - began < ENDS);
}

static void
test_keys(void **state)
{
	struct ceph_conf conf = { .conf = rig.conf, .timeout_sec = SHORT };

	rig_run(&rig, "ceph-authtool", "-C", path("bad"), "--gen-key", "-n",
		"client.admin", NULL);
	conf.keyring = path("bad");
	refused(&conf, ERR_DENIED,
		"client.admin: the Ceph cluster does not take its key");
	conf.keyring = path("nothing");
	refused(&conf, ERR_DENIED,
		"client.admin: no keyring has a usable key for it");
	conf.keyring = NULL;
	conf.user = "stranger";
	refused(&conf, ERR_DENIED,
		"client.stranger: the Ceph cluster does not");
	conf.user = NULL;
	conf.conf = path("nothing");
	refused(&conf, ERR_NOTFOUND, "nothing: No such file");
}

/* One pool to read and write, one to read. */
static struct ceph *
connect_limited(void)
{
	struct ceph_conf conf = { .conf = rig.conf, .timeout_sec = ENDS };
	struct error err = ERROR_INIT;
	struct ceph *c = NULL;

	rig_run(&rig, "ceph", "auth", "get-or-create", "client.limited", "mon",
		"profile rbd", "osd",
		"profile rbd pool=volumes, profile rbd-read-only pool=rbd",
		"-o", path("limited"), NULL);
	conf.user = "client.limited";
	conf.keyring = path("limited");
	must(ceph_connect(&c, &conf, &err), &err);
	return c;
}

static enum err
ignore_name(void *arg, const char *name, const char *id, struct error *err)
{
	return ERR_OK;
}

static void
test_capabilities(void **state)
{
	struct ceph_open rw = { .write = true };
	struct error err = ERROR_INIT;
	struct ceph *c = connect_limited();
	struct ceph_pool *volumes = rig_pool(c, "volumes", NULL);
	struct ceph_pool *readable = rig_pool(c, "rbd", NULL);
	struct ceph_pool *none = rig_pool(c, "backups", NULL);
	struct ceph_create conf = { .size = 1 << 20 };
	struct ceph_image *img = NULL;
	struct ceph_pool *all = rig_pool(rig.c, "rbd", NULL);
	char got[4096];
	unsigned n = 0;

	must_fail(ceph_each_image(none, ignore_name, NULL, &err), ERR_DENIED,
		&err, "backups: cannot list the images: the user's capab");
	must_fail(ceph_image_open(&img, none, "x", &rw, &err), ERR_DENIED, &err,
		"backups/x: cannot open it");
	must_fail(ceph_image_create(none, "x", &conf, &err), ERR_DENIED, &err,
		"backups/x: cannot create it");

	rig_create(volumes, "mine", 1 << 20);
	img = rig_open(volumes, "mine", NULL, true);
	rig_write(img, 0, "x", 1);
	ceph_image_close(img);

	rig_create(all, "theirs", 1 << 20);
	must_fail(ceph_image_open(&img, readable, "theirs", &rw, &err),
		ERR_DENIED, &err, "rbd/theirs: cannot open it");
	img = rig_open(readable, "theirs", NULL, false);
	rig_read(img, 0, got, sizeof(got));
	must(ceph_watchers(img, &n, &err), &err);
	assert_int_equal(n, 0);
	ceph_image_close(img);
	ceph_pool_close(all);
	ceph_pool_close(none);
	ceph_pool_close(readable);
	ceph_pool_close(volumes);
	ceph_disconnect(c);
}

/* ---- what it leaves behind: nothing ---- */

static void
write_noisy_conf(const char *name)
{
	FILE *in = fopen(rig.conf, "r"), *out = fopen(name, "w");
	char line[512];

	assert_non_null(in);
	assert_non_null(out);
	while (fgets(line, sizeof(line), in) != NULL)
		(void)fputs(line, out);
	(void)fprintf(out,
		"[client]\nlog file = %s\nlog to stderr = true\n"
		"err to stderr = true\nadmin socket = %s\ndebug ms = 1\n"
		"debug rbd = 20\n",
		path("noise.log"), path("noise.asok"));
	(void)fclose(in);
	(void)fclose(out);
}

static void
test_quiet(void **state)
{
	char conf[128], bad[128];
	struct ceph_conf how = { .conf = conf, .timeout_sec = ENDS };
	struct error err = ERROR_INIT, bad_key = ERROR_INIT;
	struct ceph_image *img = NULL;
	struct ceph_pool *p = NULL;
	struct ceph *c = NULL;
	struct stat st;
	enum err e;
	int saved = dup(2), fd;

	(void)snprintf(conf, sizeof(conf), "%s", path("noisy.conf"));
	(void)snprintf(bad, sizeof(bad), "%s", path("bad"));
	write_noisy_conf(conf);
	fd = open(path("stderr"), O_CREAT | O_RDWR | O_TRUNC, 0600);
	assert_true(fd >= 0 && saved >= 0);
	(void)dup2(fd, 2);
	how.keyring = bad;
	e = ceph_connect(&c, &how, &bad_key);
	how.keyring = NULL;
	if (e != ERR_OK)
		e = ceph_connect(&c, &how, &err);
	if (e == ERR_OK)
		e = ceph_pool_open(&p, c, "volumes", NULL, &err);
	if (e == ERR_OK)
		e = ceph_image_open(&img, p, "none", &(struct ceph_open){ 0 },
			&err);
	(void)dup2(saved, 2);
	assert_int_equal(bad_key.code, ERR_DENIED);
	must_fail(e, ERR_NOTFOUND, &err, "volumes/none");
	ceph_pool_close(p);
	ceph_disconnect(c);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(stat(path("noise.log"), &st), -1);
	assert_int_equal(stat(path("noise.asok"), &st), -1);
	(void)close(fd);
	(void)close(saved);
}

/* ---- a full cluster ---- */

/* From which part of its space on an OSD counts as full. */
static void
set_full_at(const char *ratio)
{
	rig_run(&rig, "ceph", "osd", "set-nearfull-ratio", ratio, NULL);
	rig_run(&rig, "ceph", "osd", "set-backfillfull-ratio", ratio, NULL);
	rig_run(&rig, "ceph", "osd", "set-full-ratio", ratio, NULL);
}

/* A new object each time, until one of them has the result. */
static enum err
write_until(struct ceph_image *img, bool fails, struct error *err)
{
	static uint64_t off;
	double began = mono_sec();
	enum err e = ERR_OK;
	struct ceph_op op;

	do {
		(void)usleep(100000);
		off += 4 << 20;
		must(ceph_write(&op, img, off, "x", 1, err), err);
		e = ceph_op_wait(&op, err);
	} while ((e != ERR_OK) != fails && mono_sec() - began < FULL_WITHIN);
	return e;
}

static void
test_full(void **state)
{
	struct error err = ERROR_INIT;
	struct ceph_image *img;

	rig_create(rig.volumes, "sparse", (uint64_t)1 << 40);
	img = rig_open(rig.volumes, "sparse", NULL, true);
	set_full_at("0.0001");
	must_fail(write_until(img, true, &err), ERR_NOSPACE, &err,
		"the cluster is full");
	set_full_at("0.95");
	must(write_until(img, false, &err), &err);
	ceph_image_close(img);
}

/* ---- an OSD that dies ---- */

/* Read all of it, the daemon being killed on the way.  How many did not come,
 * each of them with the sentence that is due. */
static unsigned
read_over_a_crash(struct ceph_image *img, bool back)
{
	struct ceph_op op[N];
	struct error err = ERROR_INIT;
	uint8_t *got = calloc(1, SIZE);
	unsigned lost = 0;

	for (unsigned i = 0; i < N; i++) {
		if (i == N / 2)
			rig_kill(&rig, "osd.0");
		must(ceph_read(&op[i], img, (uint64_t)i * PIECE,
			     got + (size_t)i * PIECE, PIECE, &err),
			&err);
	}
	if (back)
		rig_start_again(&rig, "osd.0");
	for (unsigned i = 0; i < N; i++) {
		if (ceph_op_wait(&op[i], &err) == ERR_OK) {
			assert_memory_equal(got + (size_t)i * PIECE,
				data + (size_t)i * PIECE, PIECE);
			continue;
		}
		lost++;
		must_fail(err.code, ERR_AGAIN, &err, "cannot read 1048576");
		must_fail(err.code, ERR_AGAIN, &err, "did not answer in time");
	}
	free(got);
	return lost;
}

static void
test_osd_restarts_while_it_is_read(void **state)
{
	struct ceph_image *img = rig_open(rig.volumes, "big", "s", false);

	assert_int_equal(read_over_a_crash(img, true), 0);
	ceph_image_close(img);
}

static void
ends(double began)
{
	assert_true(mono_sec() - began < ENDS);
}

static void
test_osd_is_gone(void **state)
{
	struct ceph *c = rig_connect(&rig, SHORT);
	struct ceph_pool *p = rig_pool(c, "volumes", NULL);
	struct ceph_image *ro = rig_open(p, "big", "s", false);
	struct ceph_image *rw = rig_open(p, "big", NULL, true), *img = NULL;
	struct error err = ERROR_INIT;
	double began = mono_sec();
	struct ceph_op op;
	uint8_t *got = malloc(PIECE);
	enum err e = ERR_AGAIN;

	rig_write(rw, 0, data, 1);
	assert_true(read_over_a_crash(ro, false) >= N / 2);
	ends(began);
	began = mono_sec();
	must(ceph_write(&op, rw, 0, data, 1, &err), &err);
	must_fail(ceph_op_wait(&op, &err), ERR_AGAIN, &err,
		"volumes/big: cannot write 1 bytes at 0: the cluster did not");
	ends(began);
	began = mono_sec();
	must_fail(ceph_each_image(p, ignore_name, NULL, &err), ERR_AGAIN, &err,
		"volumes: cannot list the images: the cluster did not answer");
	ends(began);
	began = mono_sec();
	must_fail(ceph_snap_create(rw, "never", false, &err), ERR_AGAIN, &err,
		"volumes/big@never: cannot make the snapshot");
	ends(began);
	began = mono_sec();
	must_fail(ceph_snap_create(rw, "never", true, &err), ERR_AGAIN, &err,
		"volumes/big@never: cannot make the snapshot");
	ends(began);
	began = mono_sec();
	must_fail(ceph_image_open(&img, p, "big", &(struct ceph_open){ 0 },
			  &err),
		ERR_AGAIN, &err, "volumes/big: cannot open it");
	ends(began);
	began = mono_sec();
	ceph_image_close(rw);
	ends(began);

	/* What was open goes on when it is back. */
	rig_start_again(&rig, "osd.0");
	began = mono_sec();
	while (e == ERR_AGAIN && mono_sec() - began < ENDS) {
		must(ceph_read(&op, ro, 0, got, PIECE, &err), &err);
		e = ceph_op_wait(&op, &err);
	}
	must(e, &err);
	assert_memory_equal(got, data, PIECE);
	free(got);
	ceph_image_close(ro);
	ceph_pool_close(p);
	ceph_disconnect(c);
}

static void
test_monitor_is_gone(void **state)
{
	struct ceph_conf conf = { .conf = rig.conf, .timeout_sec = SHORT };
	struct ceph_image *img = rig_open(rig.volumes, "big", "s", false);
	struct error err = ERROR_INIT;
	struct ceph_pool *p = NULL;
	struct ceph *c = NULL;
	uint8_t *got = malloc(PIECE);

	rig_kill(&rig, "mon.a");
	refused(&conf, ERR_AGAIN,
		"no monitor of the Ceph cluster answered in time");
	rig_read(img, PIECE, got, PIECE);
	assert_memory_equal(got, data + PIECE, PIECE);
	rig_start_again(&rig, "mon.a");
	conf.timeout_sec = ENDS;
	must(ceph_connect(&c, &conf, &err), &err);
	must(ceph_pool_open(&p, c, "volumes", NULL, &err), &err);
	ceph_pool_close(p);
	ceph_disconnect(c);
	ceph_image_close(img);
	free(got);
}

/* librados asks it for the newest map before it says that there is no such
 * pool, and has no time limit for that. */
static void
test_monitor_stops(void **state)
{
	struct ceph *c = rig_connect(&rig, 3);
	struct error err = ERROR_INIT;
	struct ceph_pool *p = NULL;
	double began = mono_sec();
	enum err e;

	rig_pause(&rig, "mon.a");
	e = ceph_pool_open(&p, c, "nothing", NULL, &err);
	rig_resume(&rig, "mon.a");
	must_fail(e, ERR_AGAIN, &err,
		"pool nothing: the cluster did not answer in time");
	ends(began);
	assert_null(p);
	ceph_disconnect(c);

	c = rig_connect(&rig, ENDS);
	must_fail(ceph_pool_open(&p, c, "nothing", NULL, &err), ERR_NOTFOUND,
		&err, "nothing: the cluster has no such pool");
	ceph_disconnect(c);
}

static void
make_big(void)
{
	struct error err = ERROR_INIT;
	struct ceph_image *img;
	struct prng rng;

	prng_init(&rng, 4);
	data = malloc(SIZE);
	prng_fill(&rng, data, SIZE);
	rig_create(rig.volumes, "big", SIZE);
	img = rig_open(rig.volumes, "big", NULL, true);
	for (unsigned i = 0; i < N; i++)
		rig_write(img, (uint64_t)i * PIECE, data + (size_t)i * PIECE,
			PIECE);
	must(ceph_snap_create(img, "s", false, &err), &err);
	ceph_image_close(img);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_osd_restarts_while_it_is_read),
		cmocka_unit_test(test_osd_is_gone),
		cmocka_unit_test(test_monitor_is_gone),
		cmocka_unit_test(test_monitor_stops),
	};
	int failed;

	rig_start(&rig, "7340", "--bluestore", "--cephx", NULL);
	rig.c = rig_connect(&rig, 60);
	rig.volumes = rig_pool(rig.c, "volumes", NULL);
	make_big();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(data);
	ceph_pool_close(rig.volumes);
	ceph_disconnect(rig.c);
	rig_stop(&rig);
	return failed;
}
