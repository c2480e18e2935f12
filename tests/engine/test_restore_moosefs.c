/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of random segments, whole or spoilt in one way, restored to a random
 * moment: the log that is written has exactly the lines from the image's
 * version to that moment, or there is no directory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/hash.h"
#include "engine/restore_moosefs.h"
#include "model/mfs_record.h"
#include "tests/engine/mfs_world.h"
#include "tests/lib/must.h"
#include "tests/lib/scale.h"

enum { ROUNDS = 60, LINES = 300 };

static struct mfs_world world;

static void
read_file(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, room - 1, f);
	out[n] = '\0';
	(void)fclose(f);
}

static void
join_lines(size_t from, size_t to, char *out, size_t room)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = from; i <= to; i++) {
		size_t len = strlen(world.lines[i]);

		assert_true(at + len < room);
		memcpy(out + at, world.lines[i], len + 1);
		at += len;
	}
}

/* The last line of the prefix whose lines are all of that second or before. */
static size_t
last_of_second(uint64_t version, int64_t sec)
{
	size_t i = version - 1;

	while (i < world.n && world.seconds[i + 1] <= (uint64_t)sec)
		i++;
	return i;
}

static enum err
restore(struct rig *w, const struct snapshot *snap, const char *to,
	const struct mfs_moment *until, struct restore_moosefs_result *result,
	struct error *err)
{
	const struct restore_moosefs_conf conf = { .dir = to, .until = *until };

	w->notes[0] = '\0';
	return restore_moosefs_write(w->repo, snap, &conf, &w->report, result,
		err);
}

static void
check_set(const char *to, uint64_t version, size_t last)
{
	static char want[LINES * MFS_WORLD_LINE], have[LINES * MFS_WORLD_LINE];
	char path[600];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/changelog.0.mfs", to);
	join_lines(version, last, want, sizeof(want));
	read_file(path, have, sizeof(have));
	assert_string_equal(have, want);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	(void)snprintf(path, sizeof(path), "%s/metadata.mfs.back", to);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_size, version == 1 ? 8 : 60);
	(void)snprintf(path, sizeof(path), "%s/coffer-restore.image", to);
	assert_int_not_equal(access(path, F_OK), 0);
}

static struct mfs_world_layout
whole_layout(void)
{
	struct mfs_world_layout l = {
		.version = 1 + prng_below(&world.dice, world.n),
		.overlap = prng_below(&world.dice, 2) *
			   prng_below(&world.dice, 30),
	};

	l.first = 1 + prng_below(&world.dice, l.version);
	return l;
}

static struct mfs_moment
any_moment(uint64_t version, size_t *last)
{
	struct mfs_moment m = { .kind = MFS_MOMENT_NONE };
	uint64_t id = version + prng_below(&world.dice, world.n + 1 - version);

	*last = world.n;
	switch (prng_below(&world.dice, 3)) {
	case 0:
		m.kind = MFS_MOMENT_ID;
		*last = m.id = id;
		break;
	case 1:
		m.kind = MFS_MOMENT_TIME;
		m.sec = (int64_t)world.seconds[id];
		*last = last_of_second(version, m.sec);
		break;
	default:
		break;
	}
	return m;
}

static void
any_moment_gives_exactly_its_lines(void **state)
{
	struct rig w;

	(void)state;
	rig_init(&w);
	for (unsigned seed = 1; seed <= test_scale(ROUNDS); seed++) {
		struct restore_moosefs_result result;
		struct error err = ERROR_INIT;
		struct mfs_world_layout l;
		struct mfs_moment until;
		struct snapshot snap;
		char dir[32], to[32];
		size_t last;
		enum err rc;

		mfs_world_make(&world, seed, LINES, seed % 2 == 1);
		l = whole_layout();
		until = any_moment(l.version, &last);
		(void)snprintf(dir, sizeof(dir), "s%u", seed);
		(void)snprintf(to, sizeof(to), "to/%u/data", seed);
		mfs_world_snapshot(&world, &w, rig_path(&w, dir), &l, &snap);
		rc = restore(&w, &snap, rig_path(&w, to), &until, &result,
			&err);
		/* Whether the image itself is older only the line before it
		 * can tell. */
		if (last == l.version - 1 && until.kind == MFS_MOMENT_TIME &&
			(l.first == l.version ||
				world.seconds[last] > (uint64_t)until.sec)) {
			must_fail(rc, ERR_NOTFOUND, &err, "an older snapshot");
			assert_int_not_equal(access(rig_path(&w, to), F_OK), 0);
		} else {
			must(rc, &err);
			check_set(rig_path(&w, to), l.version, last);
			assert_int_equal(result.last, last);
			assert_int_equal(result.lines, last + 1 - l.version);
			assert_int_equal(result.version, l.version);
			assert_int_equal(result.id, world.id);
		}
		snapshot_fini(&snap);
	}
	rig_fini(&w);
}

/* One thing is wrong with line bad: what the message has to hold. */
static const char *
spoil(struct mfs_world_layout *l, unsigned way, uint64_t bad, char want[100])
{
	(void)snprintf(want, 100, "/changelog/");
	switch (way) {
	case 0:
		l->drop = bad;
		l->overlap = 0;
		(void)snprintf(want, 100,
			"changes %" PRIu64 " to %" PRIu64 " are missing", bad,
			bad);
		break;
	case 1:
		l->torn = bad;
		l->overlap = 0;
		(void)snprintf(want, 100, "its last line is cut off");
		break;
	case 2:
		l->image_id = world.id + 1;
		l->version = l->version > 1 ? l->version : 2;
		(void)snprintf(want, 100,
			"the image is of another file "
			"system, %016" PRIx64,
			world.id + 1);
		break;
	default:
		l->first = l->version + 1;
		l->overlap = 0;
		(void)snprintf(want, 100,
			"changes %" PRIu64 " to %" PRIu64 " are missing",
			l->version, l->version);
		break;
	}
	return want;
}

static void
what_is_spoilt_is_refused_by_name(void **state)
{
	const struct mfs_moment until = { .kind = MFS_MOMENT_NONE };
	struct rig w;

	(void)state;
	rig_init(&w);
	for (unsigned seed = 1; seed <= test_scale(ROUNDS); seed++) {
		struct restore_moosefs_result result;
		struct error err = ERROR_INIT;
		struct mfs_world_layout l;
		struct snapshot snap;
		char dir[32], to[32], want[100];
		uint64_t bad;

		mfs_world_make(&world, seed, LINES, false);
		l = whole_layout();
		l.version = 1 + prng_below(&world.dice, LINES - 10);
		l.first = l.version;
		bad = l.version + prng_below(&world.dice, LINES - l.version);
		(void)spoil(&l, seed % 4, bad, want);
		(void)snprintf(dir, sizeof(dir), "s%u", seed);
		(void)snprintf(to, sizeof(to), "to/%u/data", seed);
		mfs_world_snapshot(&world, &w, rig_path(&w, dir), &l, &snap);
		must_fail(restore(&w, &snap, rig_path(&w, to), &until, &result,
				  &err),
			ERR_CORRUPT, &err, want);
		assert_int_not_equal(access(rig_path(&w, to), F_OK), 0);
		snapshot_fini(&snap);
	}
	rig_fini(&w);
}

static void
two_texts_for_a_change_are_two_histories(void **state)
{
	const struct mfs_moment until = { .kind = MFS_MOMENT_NONE };
	struct mfs_world_layout l = { .version = 1, .first = 1 };
	struct restore_moosefs_result result;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	char path[600];
	struct rig w;
	FILE *f;

	(void)state;
	rig_init(&w);
	mfs_world_make(&world, 7, LINES, false);
	mfs_world_snapshot(&world, &w, rig_path(&w, "a"), &l, &snap);
	snapshot_fini(&snap);
	/* Behind the last line, one of the last lines once more. */
	(void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "/changelog/%020d",
		rig_path(&w, "a"), world.id, LINES + 1);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fprintf(f, "%s%d: 17|OTHER(1)\n", world.lines[LINES - 1], LINES);
	(void)fclose(f);
	snapshot_init(&snap);
	rig_backup(&w, rig_path(&w, "a"), &snap);
	must_fail(restore(&w, &snap, rig_path(&w, "to"), &until, &result, &err),
		ERR_CORRUPT, &err, "has two different texts");
	assert_non_null(strstr(err.msg, "/changelog/"));
	assert_int_not_equal(access(rig_path(&w, "to"), F_OK), 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
what_is_wrong_behind_the_moment_is_no_hindrance(void **state)
{
	const uint64_t hole = 200;
	struct mfs_world_layout l = { .version = 5, .first = 5, .drop = hole };
	struct mfs_moment until[] = {
		{ .kind = MFS_MOMENT_ID, .id = hole - 1 },
		{ .kind = MFS_MOMENT_TIME },
	};
	struct restore_moosefs_result result;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct rig w;

	(void)state;
	rig_init(&w);
	mfs_world_make(&world, 9, LINES, false);
	until[1].sec = (int64_t)world.seconds[hole - 20];
	mfs_world_snapshot(&world, &w, rig_path(&w, "a"), &l, &snap);
	must(restore(&w, &snap, rig_path(&w, "id"), &until[0], &result, &err),
		&err);
	check_set(rig_path(&w, "id"), 5, hole - 1);
	assert_string_equal(w.notes, "");
	must(restore(&w, &snap, rig_path(&w, "time"), &until[1], &result, &err),
		&err);
	check_set(rig_path(&w, "time"), 5, last_of_second(5, until[1].sec));
	assert_non_null(strstr(w.notes, "changes 200 to 200 are missing"));
	/* Up to the hole itself it cannot. */
	until[0].id = hole;
	must_fail(restore(&w, &snap, rig_path(&w, "no"), &until[0], &result,
			  &err),
		ERR_CORRUPT, &err, "changes 200 to 200 are missing");
	snapshot_fini(&snap);
	rig_fini(&w);
}

static void
a_directory_that_was_there_stays_as_it_was(void **state)
{
	const struct mfs_moment until = { .kind = MFS_MOMENT_ID, .id = 999 };
	struct mfs_world_layout l = { .version = 5, .first = 5 };
	struct restore_moosefs_result result;
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct rig w;

	(void)state;
	rig_init(&w);
	mfs_world_make(&world, 8, LINES, false);
	mfs_world_snapshot(&world, &w, rig_path(&w, "a"), &l, &snap);
	assert_int_equal(mkdir(rig_path(&w, "to"), 0700), 0);
	must_fail(restore(&w, &snap, rig_path(&w, "to"), &until, &result, &err),
		ERR_NOTFOUND, &err, "a later snapshot");
	/* Only an empty one can be removed. */
	assert_int_equal(rmdir(rig_path(&w, "to")), 0);
	snapshot_fini(&snap);
	rig_fini(&w);
}

/* A record beside the set that is in dir: with the hash of its image but for
 * the bits of flip, or with any text instead. */
static void
write_record(const char *dir, const char *generation, uint8_t flip,
	const char *text)
{
	struct mfs_record r = { .image_version = 5, .has_hash = true };
	struct buf out = BUF_INIT(MFS_RECORD_MAX);
	struct error err = ERROR_INIT;
	char path[600], image[100];
	size_t len;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "/metadata.mfs",
		dir, world.id);
	f = fopen(path, "r");
	assert_non_null(f);
	len = fread(image, 1, sizeof(image), f);
	(void)fclose(f);
	hash_plain(&r.image_hash, image, len);
	r.image_hash.b[len % ID_LEN] ^= flip;
	(void)snprintf(r.generation, sizeof(r.generation), "%s", generation);
	must(mfs_record_encode(&r, &out, &err), &err);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, mfs_record_name);
	f = fopen(path, "w");
	assert_non_null(f);
	if (text != NULL)
		(void)fputs(text, f);
	else
		(void)fwrite(out.data, 1, out.len, f);
	(void)fclose(f);
	buf_fini(&out);
}

/* An image that is not what was read then is refused by the snapshot's name,
 * and so it is where nothing is written. */
static void
an_image_is_what_its_record_says(void **state)
{
	const struct {
		bool other; /* generation */
		uint8_t flip;
		const char *text, *want;
	} rows[] = {
		{ false, 0, NULL, NULL },
		{ false, 1, NULL, "other snapshots may be whole" },
		{ false, 0x80, NULL, "other snapshots may be whole" },
		{ true, 1, NULL, NULL },
		{ false, 0, "{", "moosefs.json" },
	};
	const struct mfs_moment until = { .kind = MFS_MOMENT_NONE };
	struct mfs_world_layout l = { .version = 5, .first = 5 };
	struct restore_moosefs_conf conf = { .dry_run = true };
	struct restore_moosefs_result result;
	struct snapshot snap;
	char gen[17], uid[UID_HEX + 1];
	struct rig w;

	(void)state;
	rig_init(&w);
	mfs_world_make(&world, 11, LINES, false);
	mfs_world_snapshot(&world, &w, rig_path(&w, "a"), &l, &snap);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = ERROR_INIT;
		char to[32];

		(void)snprintf(gen, sizeof(gen), "%016" PRIx64,
			world.id + rows[i].other);
		(void)snprintf(to, sizeof(to), "to%zu", i);
		write_record(rig_path(&w, "a"), gen, rows[i].flip,
			rows[i].text);
		snapshot_fini(&snap);
		snapshot_init(&snap);
		rig_backup(&w, rig_path(&w, "a"), &snap);
		conf.dir = rig_path(&w, to);
		if (rows[i].want == NULL) {
			must(restore(&w, &snap, conf.dir, &until, &result,
				     &err),
				&err);
			check_set(conf.dir, 5, LINES);
			continue;
		}
		must_fail(restore(&w, &snap, conf.dir, &until, &result, &err),
			ERR_CORRUPT, &err, rows[i].want);
		must_fail(restore_moosefs_write(w.repo, &snap, &conf, &w.report,
				  &result, &err),
			ERR_CORRUPT, &err, rows[i].want);
		assert_int_not_equal(access(conf.dir, F_OK), 0);
		if (rows[i].flip == 0)
			continue;
		hex_encode(snap.uid.b, UID_LEN, uid);
		uid[8] = '\0';
		assert_non_null(strstr(err.msg, uid));
	}
	snapshot_fini(&snap);
	rig_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_moment_gives_exactly_its_lines),
		cmocka_unit_test(what_is_spoilt_is_refused_by_name),
		cmocka_unit_test(two_texts_for_a_change_are_two_histories),
		cmocka_unit_test(
			what_is_wrong_behind_the_moment_is_no_hindrance),
		cmocka_unit_test(a_directory_that_was_there_stays_as_it_was),
		cmocka_unit_test(an_image_is_what_its_record_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
