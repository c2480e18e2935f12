/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fsx.h"
#include "cli/numbers.h"
#include "cli/unlock.h"

enum { KEY_FILE_MIN = 32 };

/* Of a key file: there is nothing to guess. */
static const struct kdf_cost cost_of_file = { 1, 8 };

static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

enum err
access_url(const char **out, const struct cli *c, struct error *err)
{
	const char *url = flag_text(c, "repository");

	if (url == NULL)
		url = env("COFFER_REPOSITORY");
	if (url == NULL)
		return err_set(err, ERR_USAGE,
			"no repository given: use -r or COFFER_REPOSITORY");
	*out = url;
	return ERR_OK;
}

enum err
access_store(struct store **out, const struct cli *c, bool create,
	struct error *err)
{
	const char *url = NULL;
	enum err rc = access_url(&url, c, err);

	return rc == ERR_OK ? unlock_store(out, url, create, err) : rc;
}

/* The passphrase is the first line. */
static enum err
first_line(struct buf *b, const char *what, struct error *err)
{
	const uint8_t *end = memchr(b->data, '\n', b->len);

	if (b->len > 0 && end != NULL)
		b->len = (size_t)(end - b->data);
	if (b->len == 0)
		return err_set(err, ERR_USAGE, "%s holds no passphrase", what);
	return ERR_OK;
}

static enum err
from_file(struct buf *out, const char *file, struct error *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "%s", file);
	rc = fsx_read_all(fd, out, file, err);
	fsx_close(&fd);
	return rc == ERR_OK ? first_line(out, file, err) : rc;
}

/* A key file is a passphrase as it is. */
static enum err
from_key_file(struct buf *out, const char *file, struct error *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "%s", file);
	rc = fsx_read_all(fd, out, file, err);
	fsx_close(&fd);
	if (rc == ERR_OK && out->len < KEY_FILE_MIN)
		rc = err_set(err, ERR_USAGE,
			"%s: %zu bytes are no key file, which has at least %d "
			"(coffer key generate makes one)",
			file, out->len, KEY_FILE_MIN);
	return rc;
}

static enum err
from_command(struct buf *out, const char *command, struct error *err)
{
	char **argv = NULL;
	struct child child;
	enum err rc;

	rc = child_split(&argv, command, err);
	if (rc != ERR_OK)
		return rc;
	rc = child_start(&child, argv, err);
	if (rc != ERR_OK)
		goto out;
	rc = fsx_read_all(child.out_fd, out, command, err);
	if (rc != ERR_OK)
		child_kill(&child);
	else
		rc = child_wait(&child, err);
	if (rc == ERR_OK)
		rc = first_line(out, "the output of the password command", err);

out:
	free(argv);
	return rc;
}

static enum err
ask(struct buf *out, const char *prompt, struct error *err)
{
	struct termios old, quiet;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	uint8_t byte = 0;
	enum err rc = ERR_OK;

	if (fd < 0 || tcgetattr(fd, &old) != 0) {
		fsx_close(&fd);
		return err_set(err, ERR_USAGE,
			"no passphrase given: use --password-file, "
			"--password-command or COFFER_PASSWORD");
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	rc = fsx_write(fd, prompt, strlen(prompt), "terminal", err);
	while (rc == ERR_OK && read(fd, &byte, 1) == 1 && byte != '\n')
		rc = buf_put_u8(out, byte, err);
	(void)tcsetattr(fd, TCSAFLUSH, &old);
	if (rc == ERR_OK)
		rc = fsx_write(fd, "\n", 1, "terminal", err);
	fsx_close(&fd);
	if (rc == ERR_OK && out->len == 0)
		rc = err_set(err, ERR_USAGE, "an empty passphrase");
	return rc;
}

static enum err
ask_twice(struct buf *out, const char *prompt, struct error *err)
{
	struct buf again = BUF_INIT(PASSWORD_MAX);
	enum err rc;

	rc = ask(out, prompt, err);
	if (rc == ERR_OK)
		rc = ask(&again, "once more: ", err);
	if (rc == ERR_OK &&
		(again.len != out->len ||
			memcmp(again.data, out->data, out->len) != 0))
		rc = err_set(err, ERR_USAGE, "the two are not the same");
	buf_wipe(&again);
	return rc;
}

/* Flags before the environment; *key_file tells whether it was that. */
static enum err
get_password(struct buf *out, const struct cli *c, bool confirm, bool *key_file,
	struct error *err)
{
	const char *file = flag_text(c, "password-file");
	const char *command = flag_text(c, "password-command");
	const char *key = flag_text(c, "key-file");

	buf_init(out, PASSWORD_MAX);
	if (file == NULL && command == NULL && key == NULL) {
		if (env("COFFER_PASSWORD") != NULL)
			return buf_put(out, env("COFFER_PASSWORD"),
				strlen(env("COFFER_PASSWORD")), err);
		key = env("COFFER_KEY_FILE");
		file = env("COFFER_PASSWORD_FILE");
		command = env("COFFER_PASSWORD_COMMAND");
	}
	*key_file = key != NULL;
	if (key != NULL)
		return from_key_file(out, key, err);
	if (file != NULL)
		return from_file(out, file, err);
	if (command != NULL)
		return from_command(out, command, err);
	return confirm ? ask_twice(out, "new passphrase: ", err)
		       : ask(out, "passphrase: ", err);
}

static enum err
choose_cost(struct kdf_cost *cost, const struct cli *c, bool key_file,
	struct error *err)
{
	if (key_file && flag_text(c, "kdf-memory") == NULL &&
		flag_text(c, "kdf-passes") == NULL) {
		*cost = cost_of_file;
		return ERR_OK;
	}
	return number_kdf(cost, c, err);
}

enum err
access_first_password(struct buf *out, struct kdf_cost *cost,
	const struct cli *c, struct error *err)
{
	bool key_file = false;
	enum err rc = get_password(out, c, true, &key_file, err);

	return rc == ERR_OK ? choose_cost(cost, c, key_file, err) : rc;
}

enum err
access_new_password(struct buf *out, struct kdf_cost *cost, const struct cli *c,
	struct error *err)
{
	const char *file = flag_text(c, "new-password-file");
	const char *key = flag_text(c, "new-key-file");
	enum err rc;

	buf_init(out, PASSWORD_MAX);
	if (file != NULL && key != NULL)
		return err_set(err, ERR_USAGE,
			"--new-password-file and --new-key-file: one of them");
	rc = choose_cost(cost, c, key != NULL, err);
	if (rc != ERR_OK)
		return rc;
	if (key != NULL)
		return from_key_file(out, key, err);
	return file != NULL ? from_file(out, file, err)
			    : ask_twice(out, "new passphrase: ", err);
}

/* --cache-dir, else $XDG_CACHE_HOME/coffer, else ~/.cache/coffer. */
enum err
access_cache_root(char out[CACHE_ROOT_MAX], const struct cli *c,
	struct error *err)
{
	const char *dir = flag_text(c, "cache-dir");
	const char *tail = "";
	int n;

	if (dir == NULL)
		dir = env("COFFER_CACHE_DIR");
	if (dir == NULL) {
		dir = env("XDG_CACHE_HOME");
		tail = "/coffer";
	}
	if (dir == NULL) {
		dir = env("HOME");
		tail = "/.cache/coffer";
	}
	if (dir == NULL || flag_on(c, "no-cache")) {
		out[0] = '\0';
		return ERR_OK;
	}
	n = snprintf(out, CACHE_ROOT_MAX, "%s%s", dir, tail);
	if (n < 0 || n >= CACHE_ROOT_MAX)
		return err_set(err, ERR_USAGE, "cache directory: too long");
	return ERR_OK;
}

enum err
access_password(struct buf *out, const struct cli *c, struct error *err)
{
	bool key_file;

	return get_password(out, c, false, &key_file, err);
}

/* In the store, which is open. */
static enum err
open_repo(struct access *a, const struct cli *c, const struct buf *pass,
	struct error *err)
{
	struct repo_conf conf = { .key_hint = flag_text(c, "key-hint") };
	char cache[CACHE_ROOT_MAX] = "";
	enum err rc;

	rc = access_cache_root(cache, c, err);
	if (rc != ERR_OK)
		return rc;
	conf.pass = (struct pass){ (const char *)pass->data, pass->len };
	conf.cache_root = cache[0] != '\0' ? cache : NULL;
	return repo_open(&a->repo, a->store, &conf, err);
}

/* pass NULL: to be asked for when the store is there. */
static enum err
open_with(struct access *a, struct cli *c, const struct buf *pass,
	struct error *err)
{
	struct buf asked = BUF_INIT(PASSWORD_MAX);
	enum err rc;

	*a = (struct access){ NULL, NULL };
	rc = access_store(&a->store, c, false, err);
	if (rc == ERR_OK && pass == NULL)
		rc = access_password(&asked, c, err);
	if (rc == ERR_OK)
		rc = open_repo(a, c, pass != NULL ? pass : &asked, err);
	buf_wipe(&asked);
	if (rc != ERR_OK)
		access_close(a);
	if (rc == ERR_NOTFOUND)
		c->failed_as = EXIT_NO_REPOSITORY;
	if (rc == ERR_DENIED)
		c->failed_as = EXIT_WRONG_PASSWORD;
	return rc;
}

static enum err
need_right(struct access *a, const struct cli *c, enum right right,
	struct error *err)
{
	enum err rc =
		keyset_need(repo_keys(a->repo), right, c->command->name, err);

	if (rc != ERR_OK)
		access_close(a);
	return rc;
}

enum err
access_open_with(struct access *a, struct cli *c, enum right right,
	const struct buf *pass, struct error *err)
{
	enum err rc = open_with(a, c, pass, err);

	return rc == ERR_OK ? need_right(a, c, right, err) : rc;
}

enum err
access_open(struct access *a, struct cli *c, struct error *err)
{
	return open_with(a, c, NULL, err);
}

enum err
access_open_for(struct access *a, struct cli *c, enum right right,
	struct error *err)
{
	enum err rc = access_open(a, c, err);

	return rc == ERR_OK ? need_right(a, c, right, err) : rc;
}

void
access_close(struct access *a)
{
	repo_close(a->repo);
	store_close(a->store);
	*a = (struct access){ NULL, NULL };
}
