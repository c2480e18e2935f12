/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/hook.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/time.h"

enum { TICK_MS = 20, TICK_NS = 20000000, DRAIN = 4096 };

/* It has ended, and waits to be reaped. */
static bool
has_ended(const struct child *c)
{
	siginfo_t about = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)c->pid, &about, WEXITED | WNOHANG | WNOWAIT) !=
		0)
		return errno != EINTR;
	return about.si_pid != 0;
}

/* Drop what it prints, so that it does not wait for us.  What it left in the
 * background may keep the pipe open; that is not waited for. */
static void
drain(const struct child *c)
{
	struct pollfd p = { .fd = c->out_fd, .events = POLLIN };
	const struct timespec tick = { .tv_nsec = TICK_NS };
	char dropped[DRAIN];

	if (poll(&p, 1, TICK_MS) > 0 &&
		read(c->out_fd, dropped, sizeof(dropped)) <= 0)
		(void)nanosleep(&tick, NULL);
}

static enum err
wait_for(struct child *c, const char *verb, unsigned timeout_sec,
	struct error *err)
{
	double until = mono_sec() + timeout_sec;
	enum err rc;

	while (!has_ended(c)) {
		if (mono_sec() > until) {
			child_kill(c);
			return err_set(err, ERR_IO,
				"hook %s %s: it took more than %u seconds",
				c->name, verb, timeout_sec);
		}
		drain(c);
	}
	rc = child_wait(c, err);
	return rc == ERR_OK ? rc : err_wrap(err, "hook, to %s", verb);
}

enum err
hook_run(const char *program, const char *verb, const char *const *images,
	unsigned timeout_sec, struct error *err)
{
	struct child c = { .pid = -1 };
	char **argv = NULL;
	size_t n = 0;
	enum err rc;

	while (images[n] != NULL)
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	rc = argv == NULL ? err_set(err, ERR_NOMEM, "no memory for a hook")
			  : ERR_OK;
	for (size_t i = 0; rc == ERR_OK && i < n + 2; i++) {
		argv[i] = strdup(i == 0   ? program
				 : i == 1 ? verb
					  : images[i - 2]);
		if (argv[i] == NULL)
			rc = err_set(err, ERR_NOMEM, "no memory for a hook");
	}
	if (rc == ERR_OK)
		rc = child_start(&c, argv, err);
	if (rc == ERR_OK)
		rc = wait_for(&c, verb, timeout_sec, err);
	for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
		free(argv[i]);
	free(argv);
	return rc;
}
