/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child: another program, started without a shell.
 *
 * posix_spawn rather than fork: it is safe with threads, costs the same
 * however much memory we hold, and reports a failed exec as its result.
 * Nobody is left behind: a child that we started is waited for by child_wait
 * or child_kill; should we die first, its next write to the pipe ends it.
 */
#include "base/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fsx.h"

extern char **environ;

/* What fails here is memory. */
static int
set_files(posix_spawn_file_actions_t *files, int out_fd, bool joined)
{
	/* First the pipe: it may be number 0 where we run without one. */
	int rc = posix_spawn_file_actions_adddup2(files, out_fd, STDOUT_FILENO);

	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO,
			"/dev/null", O_RDONLY, 0);
	if (rc == 0 && joined)
		rc = posix_spawn_file_actions_adddup2(files, STDOUT_FILENO,
			STDERR_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(files,
			STDERR_FILENO + 1);
	return rc;
}

static void
set_signals(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int rc;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	rc = posix_spawnattr_setsigdefault(attr, &all);
	assert(rc == 0);
	rc = posix_spawnattr_setsigmask(attr, &none);
	assert(rc == 0);
	rc = posix_spawnattr_setflags(attr,
		POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	assert(rc == 0);
}

static int
spawn(pid_t *pid, char *const argv[], int out_fd, bool joined)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc;

	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0)
		goto out_files;
	set_signals(&attr);
	rc = set_files(&files, out_fd, joined);
	if (rc == 0)
		rc = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
	(void)posix_spawnattr_destroy(&attr);
out_files:
	(void)posix_spawn_file_actions_destroy(&files);
	return rc;
}

static bool
is_shortage(int errnum)
{
	return errnum == EAGAIN || errnum == ENOMEM || errnum == E2BIG ||
	       errnum == EMFILE || errnum == ENFILE;
}

static enum err
start(struct child *c, char *const argv[], bool joined, struct error *err)
{
	int fds[2] = { -1, -1 }, errnum;
	pid_t pid = -1;
	enum err rc;

	if (argv[0] == NULL)
		return err_set(err, ERR_NOTFOUND, "no program to execute");
	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_sys(err, errno, "create a pipe");
	errnum = spawn(&pid, argv, fds[1], joined);
	if (errnum != 0) {
		rc = err_sys(err, errnum, "execute %s", argv[0]);
		if (!is_shortage(errnum)) {
			rc = ERR_NOTFOUND;
			err->code = rc;
		}
		goto out;
	}
	c->pid = pid;
	c->out_fd = fds[0];
	fds[0] = -1;
	(void)snprintf(c->name, sizeof(c->name), "%s", argv[0]);
	rc = ERR_OK;
out:
	fsx_close(&fds[0]);
	fsx_close(&fds[1]);
	return rc;
}

enum err
child_start(struct child *c, char *const argv[], struct error *err)
{
	return start(c, argv, false, err);
}

enum err
child_start_joined(struct child *c, char *const argv[], struct error *err)
{
	return start(c, argv, true, err);
}

enum err
child_wait(struct child *c, struct error *err)
{
	int status;
	pid_t got;

	fsx_close(&c->out_fd);
	do {
		got = waitpid(c->pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	c->pid = -1;
	if (got < 0)
		return err_sys(err, errno, "wait for %s", c->name);
	if (WIFSIGNALED(status))
		return err_set(err, ERR_IO, "%s was ended by signal %d (%s)",
			c->name, WTERMSIG(status),
			sigdescr_np(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0)
		return err_set(err, ERR_IO, "%s ended with exit status %d",
			c->name, WEXITSTATUS(status));
	return ERR_OK;
}

/* Look for its end every ten milliseconds, for two seconds. */
static bool
reap_soon(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 200; i++) {
		pid_t got = waitpid(pid, NULL, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

void
child_kill(struct child *c)
{
	pid_t got;

	/* Never kill(-1) or kill(0): those are other processes. */
	if (c->pid <= 0)
		return;
	fsx_close(&c->out_fd);
	(void)kill(c->pid, SIGTERM);
	if (!reap_soon(c->pid)) {
		(void)kill(c->pid, SIGKILL);
		do {
			got = waitpid(c->pid, NULL, 0);
		} while (got < 0 && errno == EINTR);
	}
	c->pid = -1;
}

struct splitter {
	const char *at; /* what is left of the text */
	char *out; /* where the next character of a word goes */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* A backslash outside of quotes, or before what it can quote inside. */
static bool
take_backslash(struct splitter *s, const char *quotable)
{
	char c = s->at[1];

	if (c == '\0')
		return false;
	s->at += 2;
	if (c == '\n')
		return true;
	if (quotable != NULL && strchr(quotable, c) == NULL)
		*s->out++ = '\\';
	*s->out++ = c;
	return true;
}

static bool
take_quoted(struct splitter *s)
{
	char quote = *s->at++;

	while (*s->at != quote) {
		if (*s->at == '\0')
			return false;
		if (quote == '"' && *s->at == '\\') {
			if (!take_backslash(s, "$`\"\\"))
				return false;
		} else {
			*s->out++ = *s->at++;
		}
	}
	s->at++;
	return true;
}

static bool
take_word(struct splitter *s)
{
	while (*s->at != '\0' && !is_blank(*s->at)) {
		bool ok = true;

		if (*s->at == '\'' || *s->at == '"')
			ok = take_quoted(s);
		else if (*s->at == '\\')
			ok = take_backslash(s, NULL);
		else
			*s->out++ = *s->at++;
		if (!ok)
			return false;
	}
	*s->out++ = '\0';
	return true;
}

/* Before a word: blanks, and newlines that a backslash takes away. */
static void
skip_blanks(struct splitter *s)
{
	while (is_blank(*s->at) || (s->at[0] == '\\' && s->at[1] == '\n'))
		s->at += *s->at == '\\' ? 2 : 1;
}

enum err
child_split(char ***argv, const char *text, struct error *err)
{
	size_t len = strlen(text), words_max, head, total, n = 0;
	struct splitter s = { .at = text };
	char **words;

	/* Two words have a blank between them.  Words are not longer than
	 * their source, and each NUL takes the place of a blank. */
	words_max = len / 2 + 1;
	if (__builtin_mul_overflow(words_max + 1, sizeof(*words), &head) ||
		__builtin_add_overflow(head, len + 1, &total))
		return err_set(err, ERR_NOMEM, "a command is too long");
	words = malloc(total);
	if (words == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a command");
	s.out = (char *)words + head;
	for (skip_blanks(&s); *s.at != '\0'; skip_blanks(&s)) {
		words[n++] = s.out;
		if (!take_word(&s)) {
			free(words);
			return err_set(err, ERR_USAGE,
				"command '%s': a quote or backslash is not "
				"closed",
				text);
		}
	}
	words[n] = NULL;
	if (n == 0) {
		free(words);
		return err_set(err, ERR_USAGE, "the command is empty");
	}
	*argv = words;
	return ERR_OK;
}
