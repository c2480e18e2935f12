/* SPDX-License-Identifier: Apache-2.0 */
/* What a master sends, however it misbehaves, against what is in journals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fsx.h"
#include "source/moosefs/receive.h"
#include "tests/lib/fake_mfs_master.h"
#include "tests/lib/prng.h"

enum { WAIT_MS = 300000, STEP_US = 5000, SEEDS = 3, LAG_TIMES = 4 };

struct world {
	struct fake_mfs *master;
	struct receive *r;
	char dir[64];
	unsigned health_seen; /* a bit each */
};

static void
begin(struct world *w)
{
	struct receive_conf conf = { .host = "127.0.0.1", .timeout_sec = 60 };
	struct error err = ERROR_INIT;

	memset(w, 0, sizeof(*w));
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-receive-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->master = fake_mfs_start();
	(void)fake_mfs_changes(w->master, 20);
	fake_mfs_save(w->master, 500);
	conf.port = fake_mfs_port(w->master);
	conf.dir = w->dir;
	assert_int_equal(receive_open(&w->r, &conf, &err), ERR_OK);
}

static void
start(struct world *w)
{
	struct error err = ERROR_INIT;

	assert_int_equal(receive_start(w->r, &err), ERR_OK);
}

static void
end(struct world *w)
{
	char command[96];

	receive_close(w->r);
	fake_mfs_stop(w->master);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	assert_int_equal(system(command), 0);
}

static enum follow_health
look(struct world *w)
{
	struct receive_state s;

	receive_state(w->r, &s);
	w->health_seen |= 1u << s.health;
	return s.health;
}

static uint64_t
durable(struct world *w, char gen[HOME_GEN_MAX])
{
	struct journal_figures f = { .durable = 0 };

	(void)lineup_figures(receive_line(w->r), gen, &f);
	return f.durable;
}

static void
wait_health(struct world *w, enum follow_health health)
{
	for (int us = 0; us < WAIT_MS * 1000; us += STEP_US) {
		if (look(w) == health)
			return;
		(void)usleep(STEP_US);
	}
	fail_msg("state %d did not come", health);
}

static void
wait_for(struct world *w, uint64_t last)
{
	char gen[HOME_GEN_MAX];

	for (int us = 0; us < WAIT_MS * 1000; us += STEP_US) {
		if (look(w) == FOLLOW_PROTECTED && durable(w, gen) == last + 1)
			return;
		(void)usleep(STEP_US);
	}
	fail_msg("change %" PRIu64 " did not come, but %" PRIu64, last,
		durable(w, gen) - 1);
}

/* All lines of the newest generation are the master's. */
static void
check_lines(struct world *w)
{
	struct error err = ERROR_INIT;
	struct buf data = BUF_INIT(64 << 20);
	struct journal_view v;
	char *line, *rest;
	struct journal *j = lineup_target(receive_line(w->r));
	uint64_t id = 0;
	int fd;

	assert_int_equal(journal_pin(j, &v, &err), ERR_OK);
	assert_true(v.has_base);
	for (size_t i = 0; i < v.n; i++) {
		assert_int_equal(journal_open_segment(j, &v.v[i], &fd, &err),
			ERR_OK);
		assert_int_equal(fsx_read_all(fd, &data, "segment", &err),
			ERR_OK);
		(void)close(fd);
	}
	assert_int_equal(buf_put_u8(&data, 0, &err), ERR_OK);
	rest = (char *)data.data;
	while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
		uint64_t at = strtoull(line, NULL, 10);

		assert_true(id == 0 ? at <= v.first : at == id + 1);
		id = at;
		assert_string_equal(line, fake_mfs_text(w->master, id));
	}
	if (id != 0)
		assert_int_equal(id, v.last);
	assert_int_equal(journal_unpin(j, &v, true, &err), ERR_OK);
	buf_fini(&data);
}

/* ---- tests ---- */

static void
trouble(struct world *w, struct prng *p)
{
	struct fake_mfs_faults faults = { .seed = prng_next(p) };

	switch (prng_below(p, 5)) {
	case 0:
		fake_mfs_hang_up(w->master);
		break;
	case 1:
		faults.piece_max = 1 + prng_below(p, 40);
		break;
	case 2:
		faults.close_after = 200 + prng_below(p, 20000);
		break;
	case 3:
		fake_mfs_rotate(w->master);
		fake_mfs_save(w->master, prng_below(p, 3000));
		break;
	default:
		break;
	}
	fake_mfs_fault(w->master, &faults);
}

/* Whatever breaks, the chain is whole in the end, and of one generation. */
static void
test_random(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		const struct fake_mfs_faults none = { 0 };
		struct world w;
		struct prng p;
		uint64_t last = 0;

		prng_init(&p, seed);
		begin(&w);
		start(&w);
		for (unsigned i = 0; i < 25; i++) {
			last = fake_mfs_changes(w.master,
				1 + (unsigned)prng_below(&p, 300));
			trouble(&w, &p);
			(void)usleep((unsigned)prng_below(&p, 60000));
			(void)look(&w);
		}
		fake_mfs_fault(w.master, &none);
		wait_for(&w, last);
		check_lines(&w);
		assert_false(lineup_has_next(receive_line(w.r)));
		assert_int_equal(w.health_seen &
					 (1u << FOLLOW_OTHER |
						 1u << FOLLOW_WENT_BACK),
			0);
		end(&w);
	}
}

static void
test_went_back(void **state)
{
	char gen[HOME_GEN_MAX], next[HOME_GEN_MAX];
	struct world w;
	uint64_t last;

	begin(&w);
	start(&w);
	last = fake_mfs_changes(w.master, 100);
	wait_for(&w, last);
	(void)durable(&w, gen);
	fake_mfs_renumber(w.master, 50);
	fake_mfs_rotate(w.master);
	fake_mfs_rotate(w.master);
	fake_mfs_save(w.master, 10);
	last = fake_mfs_changes(w.master, 10);
	wait_health(&w, FOLLOW_WENT_BACK);
	wait_for(&w, last);
	(void)durable(&w, next);
	assert_int_equal(strncmp(gen, next, strlen(gen)), 0);
	assert_string_equal(next + strlen(gen), ".1");
	assert_true(lineup_has_next(receive_line(w.r)));
	end(&w);
}

/* Another process of the master's writes its log: where the disk is slow, some
 * seconds later. */
static void
test_log_lags(void **state)
{
	const struct fake_mfs_faults none = { 0 }, lags = { .logged = 90 };
	char gen[HOME_GEN_MAX], next[HOME_GEN_MAX];
	struct fake_mfs_seen before, now;
	struct world w;

	begin(&w);
	start(&w);
	wait_for(&w, fake_mfs_changes(w.master, 100));
	(void)durable(&w, gen);
	fake_mfs_seen(w.master, &before);
	fake_mfs_fault(w.master, &lags);
	fake_mfs_hang_up(w.master);
	do {
		(void)look(&w);
		(void)usleep(STEP_US);
		fake_mfs_seen(w.master, &now);
	} while (now.connections < before.connections + LAG_TIMES);
	fake_mfs_fault(w.master, &none);
	wait_for(&w, fake_mfs_changes(w.master, 10));
	(void)durable(&w, next);
	assert_string_equal(gen, next);
	assert_int_equal(w.health_seen & 1u << FOLLOW_WENT_BACK, 0);
	check_lines(&w);
	end(&w);
}

static void
test_replaced(void **state)
{
	const struct fake_mfs_faults none = { 0 }, away = { .refuse = true };
	char gen[HOME_GEN_MAX];
	struct world w;
	uint64_t last;

	begin(&w);
	start(&w);
	wait_for(&w, fake_mfs_changes(w.master, 10));
	/* Not before it is what it is to be. */
	fake_mfs_fault(w.master, &away);
	fake_mfs_hang_up(w.master);
	fake_mfs_replace(w.master, 0x1234);
	(void)fake_mfs_changes(w.master, 5);
	fake_mfs_save(w.master, 10);
	last = fake_mfs_changes(w.master, 5);
	fake_mfs_fault(w.master, &none);
	wait_health(&w, FOLLOW_OTHER);
	wait_for(&w, last);
	(void)durable(&w, gen);
	assert_string_equal(gen, "0000000000001234");
	check_lines(&w);
	end(&w);
}

/* A block that is damaged is never taken; one that is whole is. */
static void
test_damaged(void **state)
{
	struct fake_mfs_faults faults = { .damaged_block = 1,
		.damage = FAKE_MFS_CRC };
	struct world w;

	begin(&w);
	fake_mfs_fault(w.master, &faults);
	start(&w);
	wait_health(&w, FOLLOW_HOLE);
	faults.damaged_block = 0;
	fake_mfs_fault(w.master, &faults);
	wait_for(&w, fake_mfs_changes(w.master, 3));
	check_lines(&w);
	end(&w);
}

/* Its image is older than both logs: what it remembers fills the gap. */
static void
test_short_logs(void **state)
{
	struct world w;
	uint64_t last;

	begin(&w);
	for (unsigned hour = 0; hour < 4; hour++) {
		last = fake_mfs_changes(w.master, 30);
		fake_mfs_rotate(w.master);
	}
	start(&w);
	wait_for(&w, last);
	check_lines(&w);
	end(&w);
}

/* A broken connection costs the lines that were missed, not the image. */
static void
test_image_once(void **state)
{
	struct fake_mfs_seen before, after;
	struct world w;

	begin(&w);
	fake_mfs_save(w.master, 3 << 20);
	start(&w);
	wait_for(&w, fake_mfs_changes(w.master, 5));
	fake_mfs_seen(w.master, &before);
	assert_true(before.image_bytes > 3 << 20);
	for (unsigned i = 0; i < 3; i++) {
		fake_mfs_hang_up(w.master);
		wait_for(&w, fake_mfs_changes(w.master, 7));
	}
	fake_mfs_seen(w.master, &after);
	assert_true(after.connections >= before.connections + 3);
	assert_true(after.image_bytes - before.image_bytes <
		    (after.connections - before.connections) * 100);
	check_lines(&w);
	/* One that is newer is fetched. */
	fake_mfs_save(w.master, 1 << 20);
	fake_mfs_hang_up(w.master);
	wait_for(&w, fake_mfs_changes(w.master, 7));
	fake_mfs_seen(w.master, &before);
	assert_true(before.image_bytes - after.image_bytes > 1 << 20);
	check_lines(&w);
	end(&w);
}

/* A disk that is full (a limit on the size of files stands for it): that it is
 * told once and for as long as it lasts, not between two attempts. */
static void
test_full_disk(void **state)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	const struct rlimit full = { 1000, RLIM_INFINITY };
	struct receive_state s;
	struct world w;
	uint64_t last;

	begin(&w);
	start(&w);
	wait_for(&w, fake_mfs_changes(w.master, 5));
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	last = fake_mfs_changes(w.master, 200);
	wait_health(&w, FOLLOW_HOLE);
	for (int us = 0; us < 4000000; us += STEP_US) {
		receive_state(w.r, &s);
		assert_int_not_equal(s.health, FOLLOW_PROTECTED);
		(void)usleep(STEP_US);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	wait_for(&w, last);
	check_lines(&w);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_went_back),
		cmocka_unit_test(test_log_lags),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_short_logs),
		cmocka_unit_test(test_image_once),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
