/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd: one entry of a snapshot as a disk on a Unix socket.
 *
 * The repository is opened here first, so that what is wrong is told as by
 * any other command; then nbdkit opens it again (cli/nbd_server.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/units.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/nbd_find.h"
#include "cli/nbd_server.h"
#include "cli/numbers.h"
#include "cli/text.h"
#include "cli/unlock.h"
#include "engine/select.h"
#include "model/path.h"
#include "view/image_view.h"

enum { THREADS = 8, THREADS_MAX = 64, PATH_ROOM = 1 << 17 };

struct serving {
	struct cli *c;
	char *spec, *name; /* name: points into spec */
	struct buf key, path;
	char **command; /* --run; else NULL */
	struct buf pass;
	char snapshot[UID_HEX + 1];
	uint64_t size;
	unsigned threads;
	uint32_t cache_size;
	bool cow, background;
	char plugin[NBD_FIND_MAX], cache[CACHE_ROOT_MAX];
	struct nbd_socket socket;
	struct nbd_server server;
};

static void
serving_fini(struct serving *s)
{
	nbd_socket_close(&s->socket);
	buf_wipe(&s->pass);
	buf_fini(&s->key);
	buf_fini(&s->path);
	free(s->spec);
}

/* SNAPSHOT:PATH [COMMAND...], or SNAPSHOT PATH [COMMAND...]. */
static enum err
take_operands(struct serving *s, struct error *err)
{
	struct cli *c = s->c;
	bool run = flag_on(c, "run");
	size_t used = 1;
	char *subpath;
	enum err rc;

	s->spec = strdup(c->operands[0]);
	if (s->spec == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	snapshot_split(s->spec, &s->name, &subpath);
	if (subpath == NULL && c->n_operands > 1)
		subpath = c->operands[used++];
	if (subpath == NULL || subpath[0] == '\0')
		return err_set(err, ERR_USAGE,
			"nbd of which image or file? SNAPSHOT:PATH");
	if (run && c->n_operands == used)
		return err_set(err, ERR_USAGE, "--run: which command?");
	if (!run && c->n_operands > used)
		return err_set(err, ERR_USAGE, "nbd does not take \"%s\"",
			c->operands[used]);
	s->command = run ? &c->operands[used] : NULL;
	rc = key_from_path(&s->key, subpath, err);
	if (rc == ERR_OK)
		rc = key_to_path(&s->path, s->key.data, s->key.len, err);
	return rc;
}

static enum err
take_flags(struct serving *s, struct error *err)
{
	struct cli *c = s->c;
	enum err rc;

	s->threads = THREADS;
	s->cache_size = IMAGE_VIEW_CACHE;
	s->cow = flag_on(c, "cow");
	s->background = flag_on(c, "background");
	if (s->background && s->command != NULL)
		return err_set(err, ERR_USAGE,
			"--background and --run: one of them");
	rc = number_flag(c, "threads", THREADS_MAX, &s->threads, err);
	if (rc == ERR_OK)
		rc = number_size(c, "cache", 1, &s->cache_size, err);
	if (rc == ERR_OK)
		rc = access_cache_root(s->cache, c, err);
	if (rc == ERR_OK)
		rc = nbd_find(s->plugin, err);
	if (rc == ERR_OK)
		rc = nbd_socket_init(&s->socket, flag_text(c, "socket"), err);
	return rc;
}

/* It was read; a server runs for long, and its environment can be seen. */
static void
wipe_environment(void)
{
	char *value = getenv("COFFER_PASSWORD");

	if (value != NULL)
		explicit_bzero(value, strlen(value));
}

static enum err
look_into(struct serving *s, struct repo *r, struct error *err)
{
	const struct image_view_conf conf = { .no_ahead = true };
	struct image_view *v = NULL;
	struct snapshot_filter filter;
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	rc = filter_fill(&filter, s->c, err);
	if (rc == ERR_OK)
		rc = snapshot_select(&snap, r, s->name, &filter, err);
	if (rc == ERR_OK)
		rc = image_view_open_key(&v, r, &snap.root,
			(struct bytes){ s->key.data, s->key.len }, &conf, err);
	if (rc == ERR_OK) {
		s->size = image_view_size(v);
		hex_encode(snap.uid.b, UID_LEN, s->snapshot);
	}
	image_view_close(v);
	filter_fini(&filter);
	snapshot_fini(&snap);
	return rc;
}

/* That all is there, and what exactly; the passphrase stays. */
static enum err
check(struct serving *s, struct error *err)
{
	const char *url = NULL;
	struct access a;
	enum err rc;

	rc = access_url(&url, s->c, err);
	if (rc == ERR_OK)
		rc = access_password(&s->pass, s->c, err);
	wipe_environment();
	if (rc == ERR_OK)
		rc = access_open_with(&a, s->c, RIGHT_READ, &s->pass, err);
	if (rc != ERR_OK)
		return rc;
	rc = look_into(s, a.repo, err);
	access_close(&a);
	return rc;
}

/* Where nbdkit's cow filter puts what is written. */
static const char *
cow_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL && dir[0] != '\0' ? dir : "/var/tmp";
}

static void
announce_json(const struct serving *s, pid_t pid)
{
	struct jsonl *j = jsonl_new("nbd");

	jsonl_str(j, "uri", s->socket.uri);
	jsonl_str(j, "socket", s->socket.path);
	jsonl_uint(j, "pid", (uint64_t)pid);
	jsonl_str(j, "snapshot", s->snapshot);
	jsonl_path(j, "path", (struct bytes){ s->key.data, s->key.len });
	jsonl_uint(j, "size", s->size);
	jsonl_bool(j, "writable", s->cow);
	jsonl_print(j, stdout);
}

/* The first line of standard output is the address and nothing else. */
static enum err
announce(const struct serving *s, pid_t pid, struct error *err)
{
	struct buf name = BUF_INIT(PATH_ROOM);
	char size[24];

	if (s->c->json) {
		announce_json(s, pid);
		return cli_flush(err);
	}
	(void)printf("%s\n", s->socket.uri);
	if (s->c->quiet)
		return cli_flush(err);
	units_bytes(s->size, size);
	(void)fprintf(stderr, "%s of snapshot %.8s, %s, %s\n",
		text_key(&name, (struct bytes){ s->key.data, s->key.len }),
		s->snapshot, size,
		s->cow ? "writable until the end" : "read only");
	if (s->cow)
		(void)fprintf(stderr,
			"writes go to a temporary file in %s that has no "
			"name\n",
			cow_dir());
	if (s->background)
		(void)fprintf(stderr, "kill %d ends it\n", (int)pid);
	else
		(void)fprintf(stderr, "Ctrl-C ends it\n");
	buf_fini(&name);
	return cli_flush(err);
}

static enum err
start(struct serving *s, struct error *err)
{
	struct nbd_conf conf = {
		.plugin = s->plugin,
		.snapshot = s->snapshot,
		.path = (const char *)s->path.data,
		.cache_dir = s->cache[0] != '\0' ? s->cache : NULL,
		.key_hint = flag_text(s->c, "key-hint"),
		.pass = &s->pass,
		.threads = s->threads,
		.cache_size = s->cache_size,
		.cow = s->cow,
		.syslog = s->background,
		.verbose = s->c->verbose > 1,
	};
	enum err rc;

	rc = access_url(&conf.repository, s->c, err);
	if (rc == ERR_OK)
		rc = nbd_server_start(&s->server, &conf, &s->socket, err);
	buf_wipe(&s->pass);
	return rc;
}

static enum err
serve(struct serving *s, struct error *err)
{
	int status = EXIT_DONE;
	enum err rc;

	rc = start(s, err);
	if (rc != ERR_OK)
		return rc;
	if (s->command != NULL)
		rc = nbd_server_run(&s->server, s->command, err);
	else
		rc = announce(s, getpid(), err);
	if (rc == ERR_OK)
		rc = nbd_server_wait(&s->server, &status, err);
	nbd_server_end(&s->server);
	s->c->passed_on = status;
	return rc;
}

/* ---- in the background ---- */

static void
let_go(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
		(void)dup2(null, fd);
	fsx_close(&null);
}

/* The process that stays; what fails before it serves is told by it. */
static enum err
stay(struct serving *s, int ready, struct error *err)
{
	int status;
	enum err rc;

	(void)setsid();
	rc = start(s, err);
	if (rc != ERR_OK)
		return rc;
	rc = fsx_write(ready, "r", 1, "a pipe", err);
	fsx_close(&ready);
	let_go();
	if (rc == ERR_OK)
		rc = nbd_server_wait(&s->server, &status, err);
	nbd_server_end(&s->server);
	return rc;
}

/* Until the other process serves, or has told why it does not. */
static enum err
see_off(struct serving *s, pid_t pid, int ready, struct error *err)
{
	size_t got = 0;
	int status;
	char byte;
	enum err rc;

	rc = fsx_read(ready, &byte, 1, &got, "a pipe", err);
	if (rc != ERR_OK)
		return rc;
	if (got == 1)
		return announce(s, pid, err);
	if (waitpid(pid, &status, 0) != pid)
		return err_sys(err, errno, "wait for process %d", (int)pid);
	s->c->passed_on = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
	return ERR_OK;
}

static enum err
serve_in_background(struct serving *s, struct error *err)
{
	int fds[2];
	pid_t pid;
	enum err rc;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_sys(err, errno, "create a pipe");
	pid = fork();
	if (pid < 0) {
		rc = err_sys(err, errno, "start a process");
	} else if (pid == 0) {
		fsx_close(&fds[0]);
		return stay(s, fds[1], err);
	} else {
		fsx_close(&fds[1]);
		rc = see_off(s, pid, fds[0], err);
	}
	fsx_close(&fds[0]);
	fsx_close(&fds[1]);
	return rc;
}

static enum err
run_nbd(struct cli *c, struct error *err)
{
	struct serving s = { .c = c,
		.key = BUF_INIT(KEY_MAX),
		.path = BUF_INIT(PATH_ROOM),
		.pass = BUF_INIT(PASSWORD_MAX),
		.socket.fd = -1 };
	enum err rc;

	rc = take_operands(&s, err);
	if (rc == ERR_OK)
		rc = take_flags(&s, err);
	if (rc == ERR_OK)
		rc = check(&s, err);
	if (rc == ERR_OK)
		rc = s.background ? serve_in_background(&s, err)
				  : serve(&s, err);
	serving_fini(&s);
	return rc;
}

static const struct flag nbd_flags[] = {
	{ "socket", 'U', FLAG_TEXT, "PATH",
		"listen here (default: a fresh socket)" },
	{ "cow", 0, FLAG_BOOL, NULL,
		"allow writes, into a layer that is thrown away" },
	{ "run", 0, FLAG_BOOL, NULL,
		"serve while COMMAND runs; $uri is the address" },
	{ "background", 'b', FLAG_BOOL, NULL,
		"return when clients can connect" },
	{ "threads", 0, FLAG_TEXT, "N", "requests at once (default: 8)" },
	{ "cache", 0, FLAG_TEXT, "SIZE",
		"memory for what was read (default: 72M)" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_nbd = {
	.name = "nbd",
	.operands = "SNAPSHOT[:PATH] [PATH] [-- COMMAND...]",
	.summary = "Serve an image or file as a disk (NBD) on a Unix socket",
	.flags = nbd_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_nbd,
};
