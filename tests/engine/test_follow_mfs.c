/* SPDX-License-Identifier: Apache-2.0 */
/* A master is followed into a repository: what is told of it, and what comes
 * out of the repository, whatever ended a process before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/follow.h"
#include "engine/mfs_set.h"
#include "engine/select.h"
#include "source/moosefs/moosefs.h"
#include "source/moosefs/receive.h"
#include "store/store_fault.h"
#include "tests/lib/fake_mfs_master.h"
#include "tests/lib/repo_tools.h"

enum { WAIT_MS = 600000, STEP_US = 5000 };

struct world {
	struct fake_mfs *master;
	char host[64], journals[64];
	const char *timeout;
	struct store *inner, *store;
	_Atomic bool broken; /* the repository */

	pthread_t thread;
	bool runs;
	_Atomic bool stop;
	enum err result;

	pthread_mutex_t lock; /* of these */
	struct follow_status seen;
	unsigned came; /* states: a bit each */
};

static enum fault
decide(void *arg, uint64_t n, enum store_op op, const char *name)
{
	return ((struct world *)arg)->broken ? FAULT_BEFORE : FAULT_NONE;
}

static bool
on_state(void *arg, const struct follow_status *s)
{
	struct world *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	w->seen = *s;
	w->came |= 1u << s->state.health;
	(void)pthread_mutex_unlock(&w->lock);
	return true;
}

static void
begin(struct world *w)
{
	const struct fault_plan plan = { decide, w, ERR_IO };
	struct error err = ERROR_INIT;

	*w = (struct world){ .master = fake_mfs_start(), .timeout = "60" };
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)snprintf(w->host, sizeof(w->host), "127.0.0.1");
	(void)snprintf(w->journals, sizeof(w->journals),
		"/tmp/coffer-follow-XXXXXX");
	assert_non_null(mkdtemp(w->journals));
	(void)fake_mfs_changes(w->master, 20);
	fake_mfs_save(w->master, 500);
	w->inner = tool_repo_store();
	must(store_fault_new(&w->store, w->inner, &plan, &err), &err);
}

static void *
follow(void *arg)
{
	struct world *w = arg;
	const struct follow_conf conf = { .seal_sec = 1,
		.seal_bytes = 1 << 20,
		.arg = w,
		.on_state = on_state,
		.backup = { .host = "h", .workers = 1 } };
	const struct setting set[] = { { "journal", w->journals },
		{ "timeout", w->timeout } };
	char address[80];
	const char *args[] = { address };
	const struct source_conf sc = { args, 1, { set, ARRAY_LEN(set) } };
	struct repo *repo = tool_open(w->store, TOOL_PASS);
	struct error err = ERROR_INIT;
	struct source *src;

	(void)snprintf(address, sizeof(address), "%s:%u", w->host,
		(unsigned)fake_mfs_port(w->master));
	must(moosefs_source_ops.open(&src, &sc, &err), &err);
	w->result = follow_run(repo, src, &conf, &w->stop, &err);
	moosefs_source_ops.close(src);
	repo_close(repo);
	return NULL;
}

static void
start(struct world *w)
{
	w->stop = false;
	w->came = 0;
	w->seen = (struct follow_status){ .seals = 0 };
	assert_int_equal(pthread_create(&w->thread, NULL, follow, w), 0);
	w->runs = true;
}

static void
stop(struct world *w, enum err want)
{
	w->stop = true;
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	w->runs = false;
	assert_int_equal(w->result, want);
}

static void
end(struct world *w)
{
	char command[96];

	if (w->runs)
		stop(w, ERR_OK);
	fake_mfs_stop(w->master);
	store_close(w->store);
	(void)pthread_mutex_destroy(&w->lock);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->journals);
	assert_int_equal(system(command), 0);
}

static struct follow_status
look(struct world *w)
{
	struct follow_status s;

	(void)pthread_mutex_lock(&w->lock);
	s = w->seen;
	(void)pthread_mutex_unlock(&w->lock);
	return s;
}

static void
wait_state(struct world *w, enum follow_health health, const char *why)
{
	struct follow_status s = look(w);

	for (int us = 0; us < WAIT_MS * 1000; us += STEP_US) {
		s = look(w);
		if (s.written.sec != 0 && s.state.health == health &&
			strstr(s.state.why, why) != NULL)
			return;
		(void)usleep(STEP_US);
	}
	fail_msg("it is %s (%s), not %s (%s)",
		follow_health_name(s.state.health), s.state.why,
		follow_health_name(health), why);
}

static void
wait_last(struct world *w, uint64_t last)
{
	for (int us = 0; us < WAIT_MS * 1000; us += STEP_US) {
		struct follow_status s = look(w);

		if (s.state.health == FOLLOW_PROTECTED && s.state.last == last)
			return;
		(void)usleep(STEP_US);
	}
	fail_msg("%" PRIu64 " did not come; %s (%s), last is %" PRIu64, last,
		follow_health_name(look(w).state.health), look(w).state.why,
		look(w).state.last);
}

/* ---- what is in the repository ---- */

struct seen_lines {
	struct world *w;
	uint64_t last;
};

static enum err
on_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	((struct seen_lines *)arg)->last = line->id;
	return ERR_OK;
}

/* The last change of the newest snapshot of this generation; 0: none. */
static uint64_t
sealed_of(struct world *w, const char *gen)
{
	struct repo *repo = tool_open(w->inner, TOOL_PASS);
	struct snapshot_list list;
	struct error err = ERROR_INIT;
	struct seen_lines seen = { w, 0 };
	struct mfs_set *set;

	must(snapshot_list_load(&list, repo, NULL, &err), &err);
	for (size_t i = list.n; i > 0 && seen.last == 0; i--) {
		const char *name = list.v[i - 1].sources.v[0];

		if (strcmp(strchr(name, '#') + 1, gen) != 0)
			continue;
		must(mfs_set_open(&set, repo, &list.v[i - 1], NULL, NULL, &err),
			&err);
		must(mfs_set_lines(set, on_line, &seen, &err), &err);
		mfs_set_close(set);
	}
	snapshot_list_fini(&list);
	repo_close(repo);
	return seen.last;
}

static void
wait_sealed(struct world *w, const char *gen, uint64_t last)
{
	for (int us = 0; us < WAIT_MS * 1000; us += 100000) {
		if (sealed_of(w, gen) == last)
			return;
		(void)usleep(100000);
	}
	fail_msg("%s: sealed is %" PRIu64 ", not %" PRIu64, gen,
		sealed_of(w, gen), last);
}

/* ---- names and addresses ---- */

/* What this name is; "": nothing is known of it. */
static const char moving[] = "moving-master.invalid";
static char moving_is[64];
static pthread_mutex_t moving_lock = PTHREAD_MUTEX_INITIALIZER;

static void
move_to(const char *address)
{
	(void)pthread_mutex_lock(&moving_lock);
	(void)snprintf(moving_is, sizeof(moving_is), "%s", address);
	(void)pthread_mutex_unlock(&moving_lock);
}

typedef int resolver(const char *host, const char *service,
	const struct addrinfo *hints, struct addrinfo **list);

int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **list)
{
	resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
	char is[sizeof(moving_is)];

	assert_non_null(real);
	if (strcmp(host, moving) != 0)
		return real(host, service, hints, list);
	(void)pthread_mutex_lock(&moving_lock);
	memcpy(is, moving_is, sizeof(is));
	(void)pthread_mutex_unlock(&moving_lock);
	return is[0] == '\0' ? EAI_NONAME : real(is, service, hints, list);
}

/* A name that is not known is a master that is away; it is asked for again. */
static void
test_names(void **state)
{
	struct world w;

	begin(&w);
	(void)snprintf(w.host, sizeof(w.host), "%s", moving);
	move_to("");
	start(&w);
	wait_state(&w, FOLLOW_CONNECTING, "cannot resolve moving-master");
	move_to("127.0.0.1");
	wait_last(&w, fake_mfs_changes(w.master, 3));
	/* It goes away by name, having been there. */
	move_to("");
	fake_mfs_hang_up(w.master);
	wait_state(&w, FOLLOW_CONNECTING, "cannot resolve moving-master");
	move_to("127.0.0.1");
	wait_last(&w, fake_mfs_changes(w.master, 3));
	assert_int_equal(w.came,
		1u << FOLLOW_CONNECTING | 1u << FOLLOW_PROTECTED);
	assert_true(look(&w).state.connections == 2);
	end(&w);
}

/* Nobody listens there, whatever the state was before. */
static void
test_nobody(void **state)
{
	const struct fake_mfs_faults none = { .seed = 0 },
				     no_image = { .no_image = true };
	struct world w;

	begin(&w);
	(void)snprintf(w.host, sizeof(w.host), "%s", moving);
	move_to("127.0.0.1");
	fake_mfs_replace(w.master, 0x77);
	fake_mfs_renumber(w.master, 100);
	(void)fake_mfs_changes(w.master, 5);
	fake_mfs_fault(w.master, &no_image);
	start(&w);
	wait_state(&w, FOLLOW_WAITING, "no image yet");
	move_to("127.0.0.77");
	wait_state(&w, FOLLOW_CONNECTING, "cannot connect to moving-master");
	move_to("127.0.0.1");
	wait_state(&w, FOLLOW_WAITING, "no image yet");
	fake_mfs_save(w.master, 10);
	fake_mfs_fault(w.master, &none);
	wait_state(&w, FOLLOW_PROTECTED, "");
	end(&w);
}

static void
test_ipv6(void **state)
{
	struct fake_mfs *six = fake_mfs_start6();
	struct world w;

	if (six == NULL) {
		print_message("no IPv6 here\n");
		skip();
	}
	begin(&w);
	fake_mfs_stop(w.master);
	w.master = six;
	(void)fake_mfs_changes(six, 20);
	fake_mfs_save(six, 10);
	(void)snprintf(w.host, sizeof(w.host), "[::1]");
	start(&w);
	wait_last(&w, fake_mfs_changes(six, 3));
	assert_non_null(strstr(look(&w).state.name, "moosefs:[::1]:"));
	end(&w);
}

/* ---- downloads that do not come ---- */

static void
test_stall(void **state)
{
	const struct fake_mfs_faults none = { .seed = 0 },
				     stall = { .stall = 1 };
	struct world w;

	begin(&w);
	w.timeout = "1";
	fake_mfs_fault(w.master, &stall);
	start(&w);
	wait_state(&w, FOLLOW_CONNECTING, "nothing of its file 1");
	fake_mfs_fault(w.master, &none);
	wait_state(&w, FOLLOW_PROTECTED, "");
	end(&w);
}

/* ---- generations that were left ---- */

static void
go_back(struct world *w, uint64_t next)
{
	fake_mfs_renumber(w->master, next);
	fake_mfs_rotate(w->master);
	fake_mfs_rotate(w->master);
	fake_mfs_save(w->master, 10);
}

/* Two generations are received and not sealed, as the repository is away, and
 * then the process ends as a crash would end it: nothing more is written. */
static uint64_t
leave_two(struct world *w)
{
	uint64_t last;

	start(w);
	last = fake_mfs_changes(w->master, 100);
	wait_last(w, last);
	wait_sealed(w, "000000006b013a55", last);
	w->broken = true;
	last = fake_mfs_changes(w->master, 30);
	wait_last(w, last);
	go_back(w, 50);
	(void)fake_mfs_changes(w->master, 10);
	wait_last(w, 59);
	(void)fake_mfs_changes(w->master, 2);
	wait_last(w, 61);
	stop(w, ERR_IO);
	w->broken = false;
	return last;
}

static void
test_left(void **state)
{
	struct world w;
	uint64_t last;

	begin(&w);
	last = leave_two(&w);
	assert_true(sealed_of(&w, "000000006b013a55") < last);
	assert_int_equal(sealed_of(&w, "000000006b013a55.1"), 0);
	start(&w);
	wait_sealed(&w, "000000006b013a55", last);
	wait_sealed(&w, "000000006b013a55.1", 61);
	wait_last(&w, fake_mfs_changes(w.master, 4));
	wait_sealed(&w, "000000006b013a55.1", 65);
	end(&w);
}

/* So it is where the master never comes back. */
static void
test_left_alone(void **state)
{
	const struct fake_mfs_faults refuse = { .refuse = true };
	struct world w;
	uint64_t last;

	begin(&w);
	last = leave_two(&w);
	fake_mfs_fault(w.master, &refuse);
	start(&w);
	wait_sealed(&w, "000000006b013a55", last);
	wait_sealed(&w, "000000006b013a55.1", 61);
	wait_state(&w, FOLLOW_CONNECTING, "");
	assert_int_equal(look(&w).state.last, 61);
	stop(&w, ERR_OK);
	/* What is sealed is not sealed again. */
	start(&w);
	wait_state(&w, FOLLOW_CONNECTING, "");
	stop(&w, ERR_OK);
	assert_int_equal(look(&w).seals, 0);
	end(&w);
}

/* A master that comes back to what it was finds its journal again. */
static void
test_there_and_back(void **state)
{
	const struct fake_mfs_faults none = { .seed = 0 },
				     away = { .refuse = true };
	struct world w;

	begin(&w);
	start(&w);
	wait_last(&w, fake_mfs_changes(w.master, 10));
	w.broken = true;
	for (uint64_t id = 1; id <= 4; id++) {
		uint64_t last;

		fake_mfs_fault(w.master, &away);
		fake_mfs_hang_up(w.master);
		fake_mfs_replace(w.master, id % 2 == 0 ? 0x22 : 0x11);
		(void)fake_mfs_changes(w.master, 5 + (unsigned)id);
		fake_mfs_save(w.master, 10);
		last = fake_mfs_changes(w.master, 5);
		fake_mfs_fault(w.master, &none);
		wait_last(&w, last);
	}
	w.broken = false;
	wait_sealed(&w, "0000000000000011", 13);
	wait_sealed(&w, "0000000000000022", 14);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
