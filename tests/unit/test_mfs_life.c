/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection to a master that has a clock and a will of its
 * own: keep-alive, silence, downloads amid changes, replay, and its faults.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"
#include "system/mfs_master.h"
#include "tests/lib/fake_mfs_master.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { FILE_MAX = 1 << 25, WAIT_SEC = 60, LIVES = 20 };

struct world {
	struct fake_mfs *fake;
	struct mfs_master *m;
	struct mfs_connect_conf conf;
	struct error err;
	struct buf files[3]; /* image, previous, current */
	bool exists[3], ended[3];
	uint64_t first, last, n_changes, n_jumps, n_rotations;
	bool texts_differ;
};

static size_t
index_of(enum mfs_file file)
{
	return file == MFS_IMAGE ? 0 : file == MFS_LOG_PREVIOUS ? 1 : 2;
}

static enum err
on_change(void *arg, uint64_t id, const char *text, size_t len,
	struct error *err)
{
	struct world *w = arg;
	const char *want = fake_mfs_text(w->fake, id);

	(void)err;
	if (want == NULL || strlen(strchr(want, ' ') + 1) != len ||
		memcmp(strchr(want, ' ') + 1, text, len) != 0)
		w->texts_differ = true;
	if (w->n_changes++ == 0)
		w->first = id;
	else if (id != w->last + 1)
		w->n_jumps++;
	w->last = id;
	return ERR_OK;
}

static enum err
on_rotate(void *arg, struct error *err)
{
	struct world *w = arg;

	(void)err;
	w->n_rotations++;
	return ERR_OK;
}

static enum err
on_begin(void *arg, enum mfs_file file, bool exists, uint64_t size,
	struct error *err)
{
	struct world *w = arg;
	size_t i = index_of(file);

	(void)size;
	(void)err;
	w->exists[i] = exists;
	w->ended[i] = !exists;
	buf_clear(&w->files[i]);
	return ERR_OK;
}

static enum err
on_data(void *arg, enum mfs_file file, uint64_t off, const void *data,
	size_t len, struct error *err)
{
	struct world *w = arg;
	struct buf *b = &w->files[index_of(file)];

	assert_int_equal(off, b->len);
	return buf_put(b, data, len, err);
}

static enum err
on_end(void *arg, enum mfs_file file, struct error *err)
{
	struct world *w = arg;

	(void)err;
	w->ended[index_of(file)] = true;
	return ERR_OK;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->fake = fake_mfs_start();
	w->conf = (struct mfs_connect_conf){ .host = "127.0.0.1",
		.port = fake_mfs_port(w->fake),
		.timeout_sec = WAIT_SEC,
		.events = { w, on_change, on_rotate, on_begin, on_data,
			on_end } };
	for (size_t i = 0; i < 3; i++)
		buf_init(&w->files[i], FILE_MAX);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	mfs_close(w->m);
	fake_mfs_stop(w->fake);
	for (size_t i = 0; i < 3; i++)
		buf_fini(&w->files[i]);
	free(w);
	return 0;
}

/* Where the machine stands still for longer than a timeout of a second or
 * three, connections end that would not: such a life tells nothing, and there
 * is another one, with another master. */
static void
in_some_life(void **state, bool (*live)(struct world *w))
{
	for (int i = 0; i < LIVES; i++) {
		if (live(*state))
			return;
		print_message("life %d: %s\n", i,
			((struct world *)*state)->err.msg);
		(void)teardown(state);
		(void)setup(state);
	}
	fail_msg("it breaks in each life");
}

static void
start(struct world *w)
{
	mfs_close(w->m);
	w->m = NULL;
	w->n_changes = w->n_jumps = w->n_rotations = 0;
	w->first = w->last = 0;
	must(mfs_connect(&w->m, &w->conf, &w->err), &w->err);
}

/* Steps until that many changes are here. */
static enum err
until_changes(struct world *w, uint64_t n)
{
	double end = mono_sec() + WAIT_SEC;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && w->n_changes < n && mono_sec() < end)
		rc = mfs_step(w->m, 50, &w->err);
	if (rc == ERR_OK)
		assert_int_equal(w->n_changes, n);
	return rc;
}

/* Until the master knows it, so that it sends what comes from now on. */
static enum err
registered(struct world *w, uint64_t since)
{
	double end = mono_sec() + WAIT_SEC;
	struct fake_mfs_seen before, seen;
	enum err rc;

	fake_mfs_seen(w->fake, &before);
	rc = mfs_register(w->m, since, &w->err);
	do {
		if (rc == ERR_OK)
			rc = mfs_step(w->m, 10, &w->err);
		fake_mfs_seen(w->fake, &seen);
	} while (rc == ERR_OK && mono_sec() < end &&
		 seen.registrations == before.registrations);
	return rc;
}

static enum err
fetch(struct world *w, enum mfs_file file)
{
	enum err rc = mfs_fetch(w->m, file, &w->err);

	while (rc == ERR_OK && mfs_is_fetching(w->m))
		rc = mfs_step(w->m, 50, &w->err);
	if (rc == ERR_OK)
		assert_true(w->ended[index_of(file)]);
	return rc;
}

static enum err
step_for(struct world *w, double sec)
{
	double end = mono_sec() + sec;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && mono_sec() < end)
		rc = mfs_step(w->m, 20, &w->err);
	return rc;
}

static void
no_trouble(struct world *w)
{
	struct fake_mfs_seen seen;

	fake_mfs_seen(w->fake, &seen);
	if (seen.trouble[0] != '\0')
		fail_msg("the master saw: %s", seen.trouble);
	assert_false(w->texts_differ);
}

/* The lines from .. to, as a file has them. */
static void
same_lines(struct world *w, const struct buf *got, uint64_t from, uint64_t to)
{
	size_t off = 0;

	for (uint64_t id = from; id <= to; id++) {
		const char *text = fake_mfs_text(w->fake, id);
		size_t len = strlen(text);

		assert_true(off + len + 1 <= got->len);
		assert_memory_equal(got->data + off, text, len);
		assert_int_equal(got->data[off + len], '\n');
		off += len + 1;
	}
	assert_int_equal(off, got->len);
}

/* The start without holes: image, both logs, then from behind them on; with
 * changes and rotations coming all the while. */
static void
whole_start(struct world *w)
{
	uint64_t e;

	fake_mfs_changes(w->fake, 500);
	fake_mfs_rotate(w->fake);
	fake_mfs_save(w->fake, 2500000);
	fake_mfs_changes(w->fake, 700);
	start(w);
	must(fetch(w, MFS_IMAGE), &w->err);
	assert_int_equal(w->files[0].len, 24 + 16 + 2500000 + 16);
	assert_memory_equal(w->files[0].data, "MFSM 2.0\0\0\0\0\0\0\x01\xf5",
		16);
	fake_mfs_changes(w->fake, 10);
	must(fetch(w, MFS_LOG_PREVIOUS), &w->err);
	same_lines(w, &w->files[1], 1, 500);
	e = fake_mfs_changes(w->fake, 10);
	must(fetch(w, MFS_LOG_CURRENT), &w->err);
	same_lines(w, &w->files[2], 501, e);
	fake_mfs_changes(w->fake, 10);
	must(mfs_register(w->m, e + 1, &w->err), &w->err);
	must(until_changes(w, 10), &w->err);
	for (unsigned i = 0; i < 20; i++) {
		fake_mfs_changes(w->fake, 50);
		if (i % 5 == 0)
			fake_mfs_rotate(w->fake);
		if (i % 5 == 1)
			must(mfs_fetch(w->m, MFS_IMAGE, &w->err), &w->err);
		must(until_changes(w, 10 + (i + 1) * 50), &w->err);
		while (mfs_is_fetching(w->m))
			must(mfs_step(w->m, 50, &w->err), &w->err);
	}
	assert_int_equal(w->first, e + 1);
	assert_int_equal(w->n_jumps, 0);
	assert_int_equal(w->n_rotations, 4);
	no_trouble(w);
}

static void
starts_without_a_hole(void **state)
{
	whole_start(*state);
}

static void
starts_in_small_pieces(void **state)
{
	struct world *w = *state;
	struct fake_mfs_faults faults = { .seed = 4, .piece_max = 3000 };

	fake_mfs_fault(w->fake, &faults);
	whole_start(w);
}

/* Slower than the timeout as a whole, but never silent. */
static bool
live_byte_by_byte(struct world *w)
{
	struct fake_mfs_faults faults = { .piece_max = 1, .piece_ms = 20 };
	double before = mono_sec();

	w->conf.timeout_sec = 1;
	fake_mfs_changes(w->fake, 1);
	fake_mfs_fault(w->fake, &faults);
	start(w);
	must(mfs_register(w->m, 1, &w->err), &w->err);
	if (until_changes(w, 1) != ERR_OK)
		return false;
	assert_true(mono_sec() - before > 1);
	no_trouble(w);
	return true;
}

static void
slow_byte_by_byte(void **state)
{
	in_some_life(state, live_byte_by_byte);
}

static void
replays(void **state)
{
	struct world *w = *state;
	struct fake_mfs_faults faults = { .remembers = 30000 };
	struct fake_mfs_seen seen;

	fake_mfs_changes(w->fake, 30000);
	fake_mfs_rotate(w->fake);
	fake_mfs_changes(w->fake, 30000);
	start(w);
	must(mfs_register(w->m, 1, &w->err), &w->err);
	must(until_changes(w, 60000), &w->err);
	assert_int_equal(w->first, 1);
	assert_int_equal(w->n_jumps, 0);
	fake_mfs_seen(w->fake, &seen);
	assert_int_equal(seen.version, 0x000300ea);
	assert_int_equal(seen.timeout_sec, WAIT_SEC);
	assert_int_equal(seen.since, 1);
	/* Too old for its memory: live ones only, without a word. */
	fake_mfs_fault(w->fake, &faults);
	start(w);
	must(registered(w, 29999), &w->err);
	must(step_for(w, 0.3), &w->err);
	assert_int_equal(w->n_changes, 0);
	fake_mfs_changes(w->fake, 1);
	must(until_changes(w, 1), &w->err);
	assert_int_equal(w->first, 60001);
	no_trouble(w);
}

/* Holes and lower ids are told as they come: whose they are decides. */
static void
tells_ids_as_they_are(void **state)
{
	struct world *w = *state;

	start(w);
	must(registered(w, 0), &w->err);
	fake_mfs_changes(w->fake, 5);
	fake_mfs_renumber(w->fake, 100);
	fake_mfs_changes(w->fake, 5);
	must(until_changes(w, 10), &w->err);
	fake_mfs_renumber(w->fake, 3);
	fake_mfs_change(w->fake, "1795242784|ACCESS(1)");
	must(until_changes(w, 11), &w->err);
	assert_int_equal(w->n_jumps, 2);
	assert_int_equal(w->last, 3);
	no_trouble(w);
}

static void
nothing_to_fetch(void **state)
{
	struct world *w = *state;
	struct fake_mfs_faults faults = { .no_image = true };

	start(w);
	must(fetch(w, MFS_IMAGE), &w->err);
	assert_int_equal(w->files[0].len, 8);
	must(fetch(w, MFS_LOG_PREVIOUS), &w->err);
	assert_true(w->exists[1]);
	assert_int_equal(w->files[1].len, 0);
	fake_mfs_fault(w->fake, &faults);
	must(fetch(w, MFS_IMAGE), &w->err);
	assert_false(w->exists[0]);
	no_trouble(w);
}

static void
damaged_blocks(void **state)
{
	static const struct {
		enum fake_mfs_damage damage;
		const char *text;
	} kinds[] = {
		{ FAKE_MFS_CRC, "checksum" },
		{ FAKE_MFS_OFF, "asked for" },
		{ FAKE_MFS_SHORT, "asked for" },
		{ FAKE_MFS_LONG, "says it has" },
	};
	struct world *w = *state;

	fake_mfs_save(w->fake, 2500000);
	for (unsigned i = 0; i < ARRAY_LEN(kinds) * 3; i++) {
		struct fake_mfs_faults faults = { .seed = i,
			.damaged_block = 1 + i % 3,
			.damage = kinds[i / 3].damage };

		fake_mfs_fault(w->fake, &faults);
		start(w);
		must_fail(fetch(w, MFS_IMAGE), ERR_CORRUPT, &w->err,
			kinds[i / 3].text);
		assert_false(w->ended[0]);
		assert_int_equal(w->files[0].len, i % 3 * 1000000);
	}
	no_trouble(w);
}

/* Neither side has anything to say, for longer than the timeout. */
static bool
live_quietly(struct world *w)
{
	double before = mono_sec();
	struct fake_mfs_seen seen;
	enum err rc;

	w->conf.timeout_sec = 3;
	start(w);
	rc = mfs_register(w->m, 0, &w->err);
	/* Steps that wait as long as they may. */
	for (int i = 0; i < 4 && rc == ERR_OK; i++)
		rc = mfs_step(w->m, 1050, &w->err);
	if (rc == ERR_OK)
		rc = step_for(w, 2);
	fake_mfs_seen(w->fake, &seen);
	if (rc != ERR_OK || seen.trouble[0] != '\0')
		return false;
	assert_true(seen.nops >= 2);
	assert_true(seen.nops < mono_sec() - before + 2);
	fake_mfs_changes(w->fake, 1);
	return until_changes(w, 1) == ERR_OK;
}

static void
keeps_alive(void **state)
{
	in_some_life(state, live_quietly);
}

/* What ends it is that, and not that we were away for too long. */
static bool
is_silence(const struct world *w, enum err rc)
{
	if (rc == ERR_AGAIN && strstr(w->err.msg, "closed") != NULL)
		return false;
	must_fail(rc, ERR_AGAIN, &w->err, "silent for ");
	return true;
}

static bool
live_unheard(struct world *w)
{
	struct fake_mfs_faults faults = { .no_nops = true };
	double before;

	fake_mfs_fault(w->fake, &faults);
	w->conf.timeout_sec = 1;
	start(w);
	/* Not registered: nothing is due, and nothing is missed. */
	must(step_for(w, 1.5), &w->err);
	must(mfs_register(w->m, 0, &w->err), &w->err);
	before = mono_sec();
	if (!is_silence(w, step_for(w, WAIT_SEC)))
		return false;
	assert_true(mono_sec() - before > 0.9);
	/* A download that is not answered. */
	faults.mute = true;
	fake_mfs_fault(w->fake, &faults);
	start(w);
	return is_silence(w, fetch(w, MFS_IMAGE));
}

static void
silence(void **state)
{
	in_some_life(state, live_unheard);
}

/* It is there, and does not go on with a download: neither is it waited for
 * for ever, nor are the changes lost that came meanwhile. */
static unsigned stalls_at;

static bool
live_stalled(struct world *w)
{
	const struct fake_mfs_faults faults = { .stall = stalls_at };
	double before;
	enum err rc = ERR_OK;

	fake_mfs_save(w->fake, 2500000);
	fake_mfs_changes(w->fake, 7);
	w->conf.timeout_sec = 1;
	fake_mfs_fault(w->fake, &faults);
	start(w);
	if (stalls_at > 1)
		rc = mfs_register(w->m, 1, &w->err);
	if (stalls_at > 1 && rc == ERR_OK)
		rc = until_changes(w, 7);
	if (rc != ERR_OK)
		return false;
	before = mono_sec();
	rc = fetch(w, MFS_IMAGE);
	if (rc == ERR_AGAIN && strstr(w->err.msg, "nothing of its") == NULL)
		return false;
	must_fail(rc, ERR_AGAIN, &w->err, "nothing of its file 1 has come for");
	assert_true(mono_sec() - before > MFS_STALL_TIMES * 0.9);
	assert_int_equal(w->files[0].len, stalls_at < 3 ? 0 : 1000000);
	no_trouble(w);
	return true;
}

static void
stalls(void **state)
{
	for (stalls_at = 1; stalls_at <= 3; stalls_at++) {
		in_some_life(state, live_stalled);
		(void)teardown(state);
		(void)setup(state);
	}
}

/* A download that takes longer than that, and gets on. */
static bool
live_slowly(struct world *w)
{
	struct fake_mfs_faults faults = { .piece_max = 1, .piece_ms = 20 };
	double before = mono_sec();

	w->conf.timeout_sec = 1;
	fake_mfs_save(w->fake, 200);
	fake_mfs_fault(w->fake, &faults);
	start(w);
	if (fetch(w, MFS_IMAGE) != ERR_OK)
		return false;
	assert_true(mono_sec() - before > MFS_STALL_TIMES);
	no_trouble(w);
	return true;
}

static void
slow_is_no_stall(void **state)
{
	in_some_life(state, live_slowly);
}

/* It was us who did not listen. */
static bool
live_away(struct world *w)
{
	double end = mono_sec() + WAIT_SEC;
	struct fake_mfs_seen seen;

	w->conf.timeout_sec = 1;
	start(w);
	if (registered(w, 0) != ERR_OK)
		return false;
	(void)usleep(1200000);
	fake_mfs_changes(w->fake, 3);
	do {
		(void)usleep(10000);
		fake_mfs_seen(w->fake, &seen);
	} while (seen.unsent > 0 && mono_sec() < end);
	return mfs_step(w->m, 0, &w->err) == ERR_OK &&
	       until_changes(w, 3) == ERR_OK && step_for(w, 0.5) == ERR_OK;
}

static void
away_is_not_silence(void **state)
{
	in_some_life(state, live_away);
}

static void
comes_and_goes(void **state)
{
	struct world *w = *state;
	struct fake_mfs_faults faults = { .refuse = true };

	start(w);
	must(registered(w, 0), &w->err);
	fake_mfs_hang_up(w->fake);
	must_fail(step_for(w, WAIT_SEC), ERR_AGAIN, &w->err, "closed");
	fake_mfs_changes(w->fake, 20);
	start(w);
	must(mfs_register(w->m, 6, &w->err), &w->err);
	must(until_changes(w, 15), &w->err);
	fake_mfs_fault(w->fake, &faults);
	start(w);
	must(mfs_register(w->m, 0, &w->err), &w->err);
	must_fail(step_for(w, WAIT_SEC), ERR_AGAIN, &w->err, "master");
}

static void
versions(void **state)
{
	struct world *w = *state;
	struct fake_mfs_faults faults = { .no_version = true };
	uint32_t version = 1;

	must(mfs_version(&w->conf, &version, &w->err), &w->err);
	assert_int_equal(version, 0x00030075);
	fake_mfs_fault(w->fake, &faults);
	must(mfs_version(&w->conf, &version, &w->err), &w->err);
	assert_int_equal(version, 0);
	faults = (struct fake_mfs_faults){ .mute = true };
	w->conf.timeout_sec = 1;
	fake_mfs_fault(w->fake, &faults);
	must_fail(mfs_version(&w->conf, &version, &w->err), ERR_AGAIN, &w->err,
		"silent");
}

static void
no_such_master(void **state)
{
	struct world *w = *state;
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	enum err rc;

	/* Nobody listens. */
	w->conf.port = 1;
	must_fail(mfs_connect(&w->m, &w->conf, &w->err), ERR_AGAIN, &w->err,
		"cannot connect to 127.0.0.1, port 1");
	/* A name that does not exist, or nobody to ask. */
	w->conf.host = "no-such-master.invalid";
	rc = mfs_connect(&w->m, &w->conf, &w->err);
	assert_true(rc == ERR_NOTFOUND || rc == ERR_AGAIN);
	assert_non_null(strstr(w->err.msg, "cannot resolve no-such-master"));
	assert_null(w->m);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		print_message("no IPv6 here\n");
		skip();
	}
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	w->conf.host = "::1";
	w->conf.port = ntohs(a.sin6_port);
	start(w);
	(void)close(fd);
	must(mfs_register(w->m, 0, &w->err), &w->err);
	must_fail(step_for(w, WAIT_SEC), ERR_AGAIN, &w->err, "master [::1]:");
}

/* The first address of this name has nobody who listens, the second has. */
static const char two_addresses[] = "two-addresses.invalid";

typedef int resolver(const char *host, const char *service,
	const struct addrinfo *hints, struct addrinfo **list);

int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **list)
{
	resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
	int r;

	assert_non_null(real);
	if (strcmp(host, two_addresses) != 0)
		return real(host, service, hints, list);
	r = real("127.0.0.1", "1", hints, list);
	if (r == 0)
		r = real("127.0.0.1", service, hints, &(*list)->ai_next);
	return r;
}

static void
each_address(void **state)
{
	struct world *w = *state;

	w->conf.host = two_addresses;
	start(w);
	must(fetch(w, MFS_IMAGE), &w->err);
}

/* The forced timeout of 4.x: we speak as often as it wants. */
static void
forced_timeout(void **state)
{
	static const uint8_t force[] = { 0, 0, 0, 5, 0, 0, 0, 2, 0, 1 };
	struct world *w = *state;
	struct fake_mfs_seen seen;
	double end;

	/* By itself it would speak twice. */
	w->conf.timeout_sec = 30;
	start(w);
	must(registered(w, 0), &w->err);
	end = mono_sec() + 25;
	fake_mfs_raw(w->fake, force, sizeof(force));
	do {
		must(mfs_step(w->m, 20, &w->err), &w->err);
		fake_mfs_seen(w->fake, &seen);
	} while (seen.nops < 3 && mono_sec() < end);
	assert_true(seen.nops >= 3);
	no_trouble(w);
}

#define test_of(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test_of(starts_without_a_hole),
		test_of(starts_in_small_pieces),
		test_of(slow_byte_by_byte),
		test_of(replays),
		test_of(tells_ids_as_they_are),
		test_of(nothing_to_fetch),
		test_of(damaged_blocks),
		test_of(keeps_alive),
		test_of(silence),
		test_of(stalls),
		test_of(slow_is_no_stall),
		test_of(away_is_not_silence),
		test_of(comes_and_goes),
		test_of(versions),
		test_of(no_such_master),
		test_of(each_address),
		test_of(forced_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
