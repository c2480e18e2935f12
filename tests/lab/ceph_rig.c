/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lab/ceph_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"

enum { WORDS_MAX = 32 };

static bool
run_words(char *const *argv, bool quiet)
{
	struct error err = ERROR_INIT;
	struct child child;
	char buf[4096];
	ssize_t n;

	if (child_start(&child, argv, &err) != ERR_OK)
		return false;
	while ((n = read(child.out_fd, buf, sizeof(buf))) > 0)
		if (!quiet)
			(void)fwrite(buf, 1, (size_t)n, stderr);
	return child_wait(&child, &err) == ERR_OK;
}

static bool
run_list(const struct rig *w, const char *program, va_list words)
{
	char *argv[WORDS_MAX];
	size_t n = 0;

	argv[n++] = (char *)(uintptr_t) "timeout";
	argv[n++] = (char *)(uintptr_t) "300";
	argv[n++] = (char *)(uintptr_t)program;
	if (strcmp(program, "rbd") == 0 || strcmp(program, "ceph") == 0) {
		argv[n++] = (char *)(uintptr_t) "-c";
		argv[n++] = (char *)(uintptr_t)w->conf;
	}
	do {
		assert_true(n < WORDS_MAX);
		argv[n] = va_arg(words, char *);
	} while (argv[n++] != NULL);
	return run_words(argv, true);
}

bool
rig_try(struct rig *w, const char *program, ...)
{
	va_list words;
	bool ok;

	va_start(words, program);
	ok = run_list(w, program, words);
	va_end(words);
	return ok;
}

void
rig_run(struct rig *w, const char *program, ...)
{
	va_list words;
	bool ok;

	va_start(words, program);
	ok = run_list(w, program, words);
	va_end(words);
	if (!ok)
		fail_msg("%s failed", program);
}

/* A child that ends the cluster when this program is no more, however that
 * came: the end of the pipe tells it. */
static void
guard(struct rig *w)
{
	int fds[2], null;
	char c;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	if (fork() != 0) {
		(void)close(fds[0]);
		return;
	}
	(void)close(fds[1]);
	(void)setsid();
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	while (read(fds[0], &c, 1) > 0)
		;
	if (access(w->dir, F_OK) == 0)
		rig_stop(w);
	_exit(0);
}

void
rig_start(struct rig *w, const char *port, ...)
{
	char *argv[WORDS_MAX] = { (char *)(uintptr_t)CEPH_UP, w->dir,
		(char *)(uintptr_t)port };
	size_t n = 3;
	va_list words;

	memset(w, 0, sizeof(*w));
	if (!rig_try(w, "ceph-osd", "--version", NULL) ||
		!rig_try(w, "ceph-mon", "--version", NULL)) {
		puts("Ceph is not installed");
		exit(77);
	}
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-lab-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->conf, sizeof(w->conf), "%s/ceph.conf", w->dir);
	guard(w);
	va_start(words, port);
	do {
		assert_true(n < WORDS_MAX);
		argv[n] = va_arg(words, char *);
	} while (argv[n++] != NULL);
	va_end(words);
	if (!run_words(argv, false)) {
		rig_stop(w);
		fputs("the cluster did not start\n", stderr);
		exit(1);
	}
}

void
rig_stop(struct rig *w)
{
	(void)setenv("SIGNAL", "KILL", 1);
	if (!rig_try(w, CEPH_DOWN, w->dir, NULL))
		fputs("the cluster did not end\n", stderr);
	(void)rig_try(w, "rm", "-rf", w->dir, NULL);
}

struct ceph *
rig_connect(const struct rig *w, unsigned timeout_sec)
{
	struct ceph_conf conf = { .conf = w->conf, .timeout_sec = timeout_sec };
	struct error err = ERROR_INIT;
	struct ceph *c = NULL;

	must(ceph_connect(&c, &conf, &err), &err);
	return c;
}

struct ceph_pool *
rig_pool(struct ceph *c, const char *pool, const char *ns)
{
	struct error err = ERROR_INIT;
	struct ceph_pool *p = NULL;

	must(ceph_pool_open(&p, c, pool, ns, &err), &err);
	return p;
}

struct ceph_image *
rig_open(struct ceph_pool *p, const char *name, const char *snap, bool write)
{
	struct ceph_open how = { .snap = snap, .write = write };
	struct error err = ERROR_INIT;
	struct ceph_image *img = NULL;

	must(ceph_image_open(&img, p, name, &how, &err), &err);
	return img;
}

void
rig_create(struct ceph_pool *p, const char *name, uint64_t size)
{
	struct ceph_create conf = { .size = size };
	struct error err = ERROR_INIT;

	must(ceph_image_create(p, name, &conf, &err), &err);
}

void
rig_kill(struct rig *w, const char *daemon)
{
	(void)setenv("SIGNAL", "KILL", 1);
	rig_run(w, CEPH_DOWN, w->dir, daemon, NULL);
}

static void
send_signal(const struct rig *w, const char *daemon, int signal)
{
	char name[sizeof(w->dir) + 64];
	int pid = 0;
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s/run/%s.pid", w->dir, daemon);
	f = fopen(name, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	(void)fclose(f);
	assert_true(pid > 1);
	assert_int_equal(kill(pid, signal), 0);
}

void
rig_pause(struct rig *w, const char *daemon)
{
	send_signal(w, daemon, SIGSTOP);
}

void
rig_resume(struct rig *w, const char *daemon)
{
	send_signal(w, daemon, SIGCONT);
}

void
rig_start_again(struct rig *w, const char *daemon)
{
	bool osd = strncmp(daemon, "osd.", 4) == 0;

	rig_run(w, osd ? "ceph-osd" : "ceph-mon", "-c", w->conf, "-i",
		daemon + 4, NULL);
}

void
rig_write(struct ceph_image *img, uint64_t off, const void *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct ceph_op op;

	must(ceph_write(&op, img, off, data, len, &err), &err);
	must(ceph_op_wait(&op, &err), &err);
}

void
rig_read(struct ceph_image *img, uint64_t off, void *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct ceph_op op;

	must(ceph_read(&op, img, off, data, len, &err), &err);
	must(ceph_op_wait(&op, &err), &err);
}
