/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_server: nbdkit takes its socket as if from systemd (descriptor 3, with
 * LISTEN_FDS and LISTEN_PID; sd_listen_fds(3)), so that we create it, and with
 * the mode that it should have.  See cli/nbd_plugin.c for what is said over
 * the control socket.
 *
 * fork rather than posix_spawn: LISTEN_PID is known only in the child, and
 * PR_SET_PDEATHSIG has to be set there.  Between fork and exec only functions
 * that are safe after a fork are called (signal-safety(7)).
 */
#include "cli/nbd_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fsx.h"
#include "cli/cli.h"

enum {
	FD_LISTEN = 3, /* SD_LISTEN_FDS_START */
	FD_PASSWORD,
	FD_CONTROL,
	FD_FREE, /* the first that the child closes */
	FD_HIGH = 16,
	ARGS_MAX = 32,
	END_TRIES = 1000, /* of ten milliseconds */
	NO_PROGRAM = 127
};

extern char **environ;

/* ---- children ---- */

static bool
has_name(const char *var, const char *name)
{
	size_t len = strlen(name);

	return strncmp(var, name, len) == 0 && var[len] == '=';
}

/* Our environment but for the passphrase, and for what takes the place of the
 * variables in more (NULL-terminated "NAME=VALUE"); freed by free. */
static char **
child_env(char *const *more, struct error *err)
{
	size_t n = 0, n_more = 0, at = 0;
	char **env;

	while (environ[n] != NULL)
		n++;
	while (more[n_more] != NULL)
		n_more++;
	env = calloc(n + n_more + 1, sizeof(*env));
	if (env == NULL) {
		(void)err_set(err, ERR_NOMEM, "no memory for an environment");
		return NULL;
	}
	for (size_t i = 0; i < n_more; i++)
		env[at++] = more[i];
	for (size_t i = 0; i < n; i++)
		if (!has_name(environ[i], "COFFER_PASSWORD") &&
			!has_name(environ[i], "LISTEN_PID") &&
			!has_name(environ[i], "LISTEN_FDS") &&
			!has_name(environ[i], "uri") &&
			!has_name(environ[i], "unixsocket"))
			env[at++] = environ[i];
	return env;
}

static void
ended_signals(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGHUP);
	(void)sigaddset(set, SIGCHLD);
}

/* In the child: it is to die with its parent, also where that has died by
 * now, and to see signals as any program. */
static void
become_child(pid_t parent)
{
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	(void)sigaction(SIGINT, &standard, NULL);
	(void)sigaction(SIGTERM, &standard, NULL);
	(void)sigaction(SIGPIPE, &standard, NULL);
	(void)sigemptyset(&none);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
	if (getppid() != parent)
		_exit(NO_PROGRAM);
}

/* "LISTEN_PID=" and our pid, without stdio. */
static void
put_pid(char *out)
{
	char digits[24];
	size_t n = 0;

	for (pid_t pid = getpid(); pid > 0; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	out += strlen(out);
	while (n > 0)
		*out++ = digits[--n];
	*out = '\0';
}

struct launch {
	char *args[ARGS_MAX];
	size_t n_args;
	char listen_pid[40];
	char **env;
	int password[2], control[2];
	bool silent;
};

/* Standard input and output are not its own; standard error neither, where
 * its messages go elsewhere. */
static void
let_go_of_terminal(bool silent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
		dup2(null, STDOUT_FILENO) < 0 ||
		(silent && dup2(null, STDERR_FILENO) < 0))
		_exit(NO_PROGRAM);
}

static void
exec_nbdkit(struct launch *l, const struct nbd_socket *socket, pid_t parent)
{
	int high[3], fds[3] = { socket->fd, l->password[0], l->control[1] };

	become_child(parent);
	/* Ctrl-C is ours to see: a command may want to end in peace. */
	(void)setpgid(0, 0);
	let_go_of_terminal(l->silent);
	put_pid(l->listen_pid);
	for (int i = 0; i < 3; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_HIGH);
	for (int i = 0; i < 3; i++)
		if (high[i] < 0 || dup2(high[i], FD_LISTEN + i) < 0)
			_exit(NO_PROGRAM);
	(void)close_range(FD_FREE, ~0U, 0);
	(void)execvpe(l->args[0], l->args, l->env);
	_exit(NO_PROGRAM);
}

static void
launch_fini(struct launch *l)
{
	for (size_t i = 0; i < l->n_args; i++)
		free(l->args[i]);
	free(l->env);
	for (int i = 0; i < 2; i++) {
		fsx_close(&l->password[i]);
		fsx_close(&l->control[i]);
	}
}

static enum err add_arg(struct launch *l, struct error *err, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

static enum err
add_arg(struct launch *l, struct error *err, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (l->n_args + 1 == ARGS_MAX)
		return err_set(err, ERR_USAGE, "too many arguments of nbdkit");
	va_start(ap, fmt);
	n = vasprintf(&l->args[l->n_args], fmt, ap);
	va_end(ap);
	if (n < 0) {
		l->args[l->n_args] = NULL;
		return err_set(err, ERR_NOMEM, "no memory for a command");
	}
	l->n_args++;
	return ERR_OK;
}

static enum err
add_args(struct launch *l, const struct nbd_conf *c, struct error *err)
{
	enum err rc;

	rc = add_arg(l, err, "nbdkit");
	if (rc == ERR_OK)
		rc = add_arg(l, err, "--foreground");
	if (rc == ERR_OK)
		rc = add_arg(l, err, "--threads=%u", c->threads);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "--log=%s",
			c->syslog ? "syslog" : "stderr");
	if (rc == ERR_OK && c->verbose)
		rc = add_arg(l, err, "--verbose");
	if (rc == ERR_OK && c->cow)
		rc = add_arg(l, err, "--filter=cow");
	if (rc == ERR_OK)
		rc = add_arg(l, err, "%s", c->plugin);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "repository=%s", c->repository);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "snapshot=%s", c->snapshot);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "path=%s", c->path);
	if (rc == ERR_OK && c->cache_dir != NULL)
		rc = add_arg(l, err, "cache-dir=%s", c->cache_dir);
	if (rc == ERR_OK && c->key_hint != NULL)
		rc = add_arg(l, err, "key-hint=%s", c->key_hint);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "readers=%u", c->threads);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "cache-size=%u", c->cache_size);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "password-fd=%d", FD_PASSWORD);
	if (rc == ERR_OK)
		rc = add_arg(l, err, "control-fd=%d", FD_CONTROL);
	return rc;
}

/* A pipe holds more than the longest passphrase, so writing never waits. */
static enum err
fill_pipe(struct launch *l, const struct buf *pass, struct error *err)
{
	enum err rc;

	if (pipe2(l->password, O_CLOEXEC) != 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			l->control) != 0)
		return err_sys(err, errno, "create a pipe");
	rc = fsx_write(l->password[1], pass->data, pass->len, "a pipe", err);
	fsx_close(&l->password[1]);
	return rc;
}

/* ---- waiting ---- */

/* The child's end, where it has ended. */
static bool
reap(pid_t *pid, int *status)
{
	pid_t got;

	if (*pid <= 0)
		return false;
	do {
		got = waitpid(*pid, status, WNOHANG);
	} while (got < 0 && errno == EINTR);
	if (got != *pid)
		return false;
	*pid = 0;
	return true;
}

static int
status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static enum err
ended_by_itself(int status, struct error *err)
{
	if (WIFSIGNALED(status))
		return err_set(err, ERR_IO, "nbdkit was ended by signal %d",
			WTERMSIG(status));
	return err_set(err, ERR_IO, "nbdkit ended with exit status %d",
		WEXITSTATUS(status));
}

/* The number of a signal that came; 0: none. */
static int
take_signal(const struct nbd_server *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

/* Until the plugin says that it is ready. */
static enum err
await_ready(struct nbd_server *s, int control, struct error *err)
{
	struct pollfd fds[2] = { { .fd = control, .events = POLLIN },
		{ .fd = s->signals, .events = POLLIN } };
	int signo, status;
	char byte;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return err_sys(err, errno, "wait for nbdkit");
		if (fds[0].revents != 0 && read(control, &byte, 1) == 1)
			return ERR_OK;
		signo = take_signal(s);
		if (signo != 0 && signo != SIGCHLD)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (reap(&s->pid, &status))
			return ended_by_itself(status, err);
		if (fds[0].revents != 0)
			(void)poll(NULL, 0, 10);
	}
}

/* The names first, so that the plugin removes what we are about to make. */
static enum err
open_to_clients(struct nbd_server *s, int control, struct error *err)
{
	const struct nbd_socket *sock = s->socket;
	enum err rc;

	rc = fsx_write(control, sock->path, strlen(sock->path) + 1, "nbdkit",
		err);
	if (rc == ERR_OK)
		rc = fsx_write(control, sock->dir, strlen(sock->dir) + 1,
			"nbdkit", err);
	if (rc != ERR_OK)
		return rc;
	rc = nbd_socket_bind(s->socket, err);
	if (rc != ERR_OK) {
		/* So that it does not remove what is not ours. */
		(void)kill(s->pid, SIGKILL);
		return rc;
	}
	s->bound = true;
	return fsx_write(control, "g", 1, "nbdkit", err);
}

static enum err
watch_signals(struct nbd_server *s, struct error *err)
{
	sigset_t set;

	ended_signals(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return err_sys(err, errno, "wait for signals");
	/* One that came before is seen nowhere else. */
	if (cli_stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}

enum err
nbd_server_start(struct nbd_server *s, const struct nbd_conf *conf,
	struct nbd_socket *socket, struct error *err)
{
	struct launch l = { .listen_pid = "LISTEN_PID=",
		.password = { -1, -1 },
		.control = { -1, -1 },
		.silent = conf->syslog };
	char fds[] = "LISTEN_FDS=1";
	char *more[] = { l.listen_pid, fds, NULL };
	pid_t parent = getpid();
	enum err rc;

	*s = (struct nbd_server){ .socket = socket, .signals = -1 };
	rc = watch_signals(s, err);
	if (rc == ERR_OK)
		rc = add_args(&l, conf, err);
	if (rc == ERR_OK)
		rc = fill_pipe(&l, conf->pass, err);
	if (rc != ERR_OK)
		goto out;
	l.env = child_env(more, err);
	if (l.env == NULL) {
		rc = err->code;
		goto out;
	}
	s->pid = fork();
	if (s->pid == 0)
		exec_nbdkit(&l, socket, parent);
	if (s->pid < 0) {
		s->pid = 0;
		rc = err_sys(err, errno, "start nbdkit");
		goto out;
	}
	fsx_close(&l.control[1]);
	rc = await_ready(s, l.control[0], err);
	if (rc == ERR_OK)
		rc = open_to_clients(s, l.control[0], err);
out:
	nbd_socket_close(socket);
	launch_fini(&l);
	if (rc != ERR_OK)
		nbd_server_end(s);
	return rc;
}

/* As a shell does, where there is no such program. */
static void
exec_command(char *const argv[], char *const env[], pid_t parent)
{
	static const char why[] = ": cannot be run\n";

	become_child(parent);
	(void)execvpe(argv[0], argv, env);
	(void)!write(STDERR_FILENO, argv[0], strlen(argv[0]));
	(void)!write(STDERR_FILENO, why, sizeof(why) - 1);
	_exit(NO_PROGRAM);
}

enum err
nbd_server_run(struct nbd_server *s, char *const argv[], struct error *err)
{
	char uri[NBD_SOCKET_URI + 8], path[NBD_SOCKET_PATH + 16];
	char *more[] = { uri, path, NULL };
	pid_t parent = getpid();
	char **env;

	(void)snprintf(uri, sizeof(uri), "uri=%s", s->socket->uri);
	(void)snprintf(path, sizeof(path), "unixsocket=%s", s->socket->path);
	env = child_env(more, err);
	if (env == NULL)
		return err->code;
	s->command = fork();
	if (s->command == 0)
		exec_command(argv, env, parent);
	free(env);
	if (s->command > 0)
		return ERR_OK;
	s->command = 0;
	return err_sys(err, errno, "start %s", argv[0]);
}

enum err
nbd_server_wait(struct nbd_server *s, int *status, struct error *err)
{
	struct pollfd fd = { .fd = s->signals, .events = POLLIN };
	int signo, ended;

	for (;;) {
		if (poll(&fd, 1, -1) < 0 && errno != EINTR)
			return err_sys(err, errno, "wait for signals");
		signo = take_signal(s);
		if (reap(&s->pid, &ended))
			return ended_by_itself(ended, err);
		if (reap(&s->command, &ended)) {
			*status = status_of(ended);
			return ERR_OK;
		}
		if (signo == 0 || signo == SIGCHLD)
			continue;
		if (s->command == 0)
			return ERR_OK;
		/* It has seen Ctrl-C itself. */
		if (signo != SIGINT)
			(void)kill(s->command, signo);
	}
}

/* With SIGTERM, after ten seconds with SIGKILL; whether it ended well. */
static bool
end_child(pid_t *pid)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int status = -1;
	pid_t got;

	if (*pid <= 0)
		return false;
	(void)kill(*pid, SIGTERM);
	for (int i = 0; i < END_TRIES; i++) {
		if (reap(pid, &status))
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(*pid, SIGKILL);
	do {
		got = waitpid(*pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	*pid = 0;
	return false;
}

void
nbd_server_end(struct nbd_server *s)
{
	bool well;

	(void)end_child(&s->command);
	well = end_child(&s->pid);
	if (s->bound && !well)
		nbd_socket_remove(s->socket);
	s->bound = false;
	fsx_close(&s->signals);
}
