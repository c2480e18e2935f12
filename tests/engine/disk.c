/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECTOR = 4096 };

struct disk disk;

static struct target the_target;

void
disk_init(uint64_t seed)
{
	disk = (struct disk){ .lock = PTHREAD_MUTEX_INITIALIZER };
	prng_init(&disk.dice, seed);
	disk.bytes = calloc(1, DISK_MAX);
	disk.durable = calloc(1, DISK_MAX);
	assert_non_null(disk.bytes);
	assert_non_null(disk.durable);
}

void
disk_fini(void)
{
	for (size_t i = 0; i < disk.n_points; i++)
		free(disk.points[i].bytes);
	free(disk.bytes);
	free(disk.durable);
	pthread_mutex_destroy(&disk.lock);
}

void
disk_reset(void)
{
	disk.ordered = disk.no_each_data = disk.no_mark = false;
	disk.no_read = disk.layers = disk.grainy = disk.late = false;
	disk.fail_at = disk.die_at = disk.dies_at = disk.stop_at = 0;
	disk.rot_at = 0;
	disk.n_calls = disk.n_marks = disk.n_finish = disk.n_open = 0;
	disk.written = disk.zeroed = disk.read = 0;
	disk.dead = false;
	disk.owed = ERROR_INIT;
}

void
disk_set(const void *bytes, uint64_t size)
{
	assert_true(size <= DISK_MAX);
	memset(disk.bytes, 0, DISK_MAX);
	disk.is_there = bytes != NULL;
	disk.restoring = false;
	disk.size = size;
	if (bytes != NULL)
		memcpy(disk.bytes, bytes, (size_t)size);
}

void
disk_point(const void *record, size_t len)
{
	struct disk_point *p = &disk.points[disk.n_points++];

	assert_true(disk.n_points <= DISK_POINTS && len <= sizeof(p->record));
	p->bytes = malloc(DISK_MAX);
	assert_non_null(p->bytes);
	memcpy(p->bytes, disk.bytes, DISK_MAX);
	memcpy(p->record, record, len);
	p->record_len = len;
}

/* ---- calls ---- */

/* A cache is lost: of what was written since the last mark, something is
 * there. */
static void
die(void)
{
	disk.dead = true;
	for (size_t at = 0; at < DISK_MAX; at += SECTOR)
		if (prng_below(&disk.dice, 2) == 0)
			memcpy(disk.bytes + at, disk.durable + at, SECTOR);
}

/* Takes the lock, which leave gives back. */
static enum err
enter(struct error *err)
{
	unsigned call = ++disk.n_calls;
	enum err rc = ERR_OK;

	disk.within++;
	pthread_mutex_lock(&disk.lock);
	if (disk.stop_at == call)
		*disk.stop = true;
	if (disk.dies_at == call)
		die();
	if (disk.dead)
		return err_set(err, ERR_IO, "the disk is dead");
	if (disk.owed.code != ERR_OK) {
		*err = disk.owed;
		return err->code;
	}
	if (disk.fail_at == call)
		rc = err_set(&disk.owed, ERR_NOSPACE, "call %u fails", call);
	if (disk.late)
		return ERR_OK;
	if (rc != ERR_OK)
		*err = disk.owed;
	return rc;
}

static enum err
leave(enum err rc)
{
	pthread_mutex_unlock(&disk.lock);
	disk.within--;
	return rc;
}

/* No other call is at work. */
static void
alone(void)
{
	assert_int_equal(disk.within, 0);
}

static void
check_order(uint64_t off, uint64_t len)
{
	if (!disk.ordered)
		return;
	assert_int_equal(disk.within, 1);
	assert_true(off >= disk.last_end);
	disk.last_end = off + len;
}

static void
check_range(uint64_t off, uint64_t len)
{
	assert_false(disk.dry_run);
	assert_int_equal(disk.n_finish, 0);
	assert_true(len > 0 && off <= disk.size && len <= disk.size - off);
}

static enum err
disk_write(struct target *t, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	enum err rc = enter(err);

	if (rc != ERR_OK)
		return leave(rc);
	check_range(off, len);
	check_order(off, len);
	memcpy(disk.bytes + off, data, len);
	disk.written += len;
	if (disk.rot_at > 0 && disk.rot_at >= off && disk.rot_at - off < len)
		disk.bytes[disk.rot_at] ^= 1;
	return leave(ERR_OK);
}

static enum err
disk_zero(struct target *t, uint64_t off, uint64_t len, struct error *err)
{
	enum err rc = enter(err);

	if (rc != ERR_OK)
		return leave(rc);
	check_range(off, len);
	memset(disk.bytes + off, 0, (size_t)len);
	disk.zeroed += len;
	return leave(ERR_OK);
}

static enum err
disk_read(struct target *t, uint64_t off, void *data, size_t len,
	struct error *err)
{
	enum err rc = enter(err);

	if (rc != ERR_OK)
		return leave(rc);
	assert_true(off <= DISK_MAX && len <= DISK_MAX - off);
	memcpy(data, disk.bytes + off, len);
	disk.read += len;
	return leave(ERR_OK);
}

/* ---- what it knows ---- */

/* Sectors that differ from other (NULL: zeroes), and where grainy some more. */
static enum err
each_unlike(const uint8_t *other, target_range_fn *fn, void *arg,
	struct error *err)
{
	static const uint8_t zeroes[SECTOR];
	enum err rc = ERR_OK;

	for (size_t at = 0; at < DISK_MAX && rc == ERR_OK; at += SECTOR) {
		const uint8_t *want = other != NULL ? other + at : zeroes;

		if (memcmp(disk.bytes + at, want, SECTOR) != 0 ||
			(disk.grainy && prng_below(&disk.dice, 8) == 0))
			rc = fn(arg, at, SECTOR, err);
	}
	return rc;
}

static enum err
disk_each_data(struct target *t, target_range_fn *fn, void *arg,
	struct error *err)
{
	return each_unlike(NULL, fn, arg, err);
}

static enum err
disk_each_changed(struct target *t, const uint8_t *record, size_t len,
	target_range_fn *fn, void *arg, struct error *err)
{
	for (size_t i = 0; i < disk.n_points; i++) {
		const struct disk_point *p = &disk.points[i];

		if (p->record_len == len && memcmp(p->record, record, len) == 0)
			return each_unlike(p->bytes, fn, arg, err);
	}
	return err_set(err, ERR_NOTFOUND, "no such point");
}

/* ---- life ---- */

static enum err
disk_mark(struct target *t, uint64_t done, struct error *err)
{
	enum err rc;

	alone();
	rc = enter(err);
	if (rc != ERR_OK)
		return leave(rc);
	assert_false(disk.dry_run);
	assert_true(done >= disk.done && done <= disk.size);
	disk.done = done;
	memcpy(disk.durable, disk.bytes, DISK_MAX);
	if (++disk.n_marks == disk.die_at)
		disk.dies_at =
			disk.n_calls + 1 + (unsigned)prng_below(&disk.dice, 30);
	return leave(ERR_OK);
}

static enum err
disk_finish(struct target *t, struct error *err)
{
	alone();
	if (disk.owed.code != ERR_OK) {
		*err = disk.owed;
		return err->code;
	}
	if (disk.dead)
		return err_set(err, ERR_IO, "the disk is dead");
	assert_false(disk.dry_run);
	disk.n_finish++;
	disk.restoring = false;
	return ERR_OK;
}

static void
disk_close(struct target *t)
{
	alone();
	if (disk.restoring && disk.no_mark && disk.is_new)
		disk.is_there = false;
}

static enum err
disk_open(struct target **out, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	bool resume;

	assert_string_equal(conf->rest, "disk");
	disk.n_open++;
	resume = disk.is_there && disk.restoring && disk.size == image->size &&
		 strcmp(disk.key, image->key) == 0;
	if (disk.is_there && !conf->overwrite && !(resume && disk.is_new))
		return err_set(err, ERR_EXISTS, "the disk is there");
	disk.dry_run = conf->dry_run;
	the_target =
		(struct target){ .ops = &disk_ops, .ordered = disk.ordered };
	disk_ops.each_data = disk.no_each_data ? NULL : disk_each_data;
	disk_ops.mark = disk.no_mark ? NULL : disk_mark;
	disk_ops.read = disk.no_read ? NULL : disk_read;
	disk_ops.layers = disk.layers;
	*out = &the_target;
	if (!resume) {
		disk.is_new = !disk.is_there;
		disk.done = 0;
	}
	the_target.blank = disk.is_new && !disk.layers;
	if (conf->dry_run)
		return ERR_OK;
	if (image->size < disk.size)
		memset(disk.bytes + image->size, 0,
			(size_t)(DISK_MAX - image->size));
	disk.is_there = disk.restoring = true;
	disk.size = image->size;
	disk.last_end = 0;
	the_target.resume = disk.no_mark ? 0 : disk.done;
	(void)strncpy(disk.key, image->key, sizeof(disk.key) - 1);
	memcpy(disk.durable, disk.bytes, DISK_MAX);
	return ERR_OK;
}

static const struct option_spec no_options[] = {
	{ NULL, OPTION_TEXT, NULL, NULL },
};

struct target_ops disk_ops = {
	.scheme = "disk",
	.summary = "memory",
	.options = no_options,
	.open = disk_open,
	.close = disk_close,
	.write = disk_write,
	.zero = disk_zero,
	.read = disk_read,
	.each_data = disk_each_data,
	.each_changed = disk_each_changed,
	.mark = disk_mark,
	.finish = disk_finish,
};
