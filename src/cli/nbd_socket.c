/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nbd_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/id.h"
#include "base/secret.h"

enum { RANDOM_LEN = 6, BACKLOG = 64 };

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == NBD_SOCKET_PATH,
	"a path that fits");

static enum err
too_long(const char *path, struct error *err)
{
	return err_set(err, ERR_USAGE,
		"%s: a socket's path has at most %d bytes", path,
		NBD_SOCKET_PATH - 1);
}

/* Relative paths are made absolute, since readers may stand elsewhere. */
static enum err
choose_wanted(struct nbd_socket *s, const char *wanted, struct error *err)
{
	char *cwd = NULL;
	enum err rc = ERR_OK;
	int n;

	if (wanted[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL)
			return err_sys(err, errno, "working directory");
	}
	n = snprintf(s->path, sizeof(s->path), "%s%s%s", cwd != NULL ? cwd : "",
		cwd != NULL ? "/" : "", wanted);
	if (n < 0 || (size_t)n >= sizeof(s->path))
		rc = too_long(wanted, err);
	free(cwd);
	return rc;
}

static enum err
choose_fresh(struct nbd_socket *s, struct error *err)
{
	static const char *const names[] = { "XDG_RUNTIME_DIR", "TMPDIR" };
	char hex[2 * RANDOM_LEN + 1];
	uint8_t random[RANDOM_LEN];
	const char *base = NULL;
	int n, m;

	for (size_t i = 0; i < ARRAY_LEN(names) && base == NULL; i++) {
		base = getenv(names[i]);
		if (base != NULL && (base[0] != '/' || access(base, W_OK) != 0))
			base = NULL;
	}
	if (base == NULL)
		base = "/tmp";
	random_bytes(random, sizeof(random));
	hex_encode(random, sizeof(random), hex);
	n = snprintf(s->dir, sizeof(s->dir), "%s/coffer-nbd-%s", base, hex);
	m = snprintf(s->path, sizeof(s->path), "%s/coffer-nbd-%s/socket", base,
		hex);
	if (n < 0 || m < 0 || (size_t)m >= sizeof(s->path))
		return too_long(base, err);
	return ERR_OK;
}

/* RFC 3986: everything but unreserved characters and slashes. */
static void
make_uri(struct nbd_socket *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";
	char *out = s->uri;

	out = stpcpy(out, "nbd+unix:///?socket=");
	for (const char *c = s->path; *c != '\0'; c++) {
		if (strchr(plain, *c) != NULL)
			*out++ = *c;
		else
			out += sprintf(out, "%%%02X", (unsigned char)*c);
	}
	*out = '\0';
}

enum err
nbd_socket_init(struct nbd_socket *s, const char *wanted, struct error *err)
{
	enum err rc;

	*s = (struct nbd_socket){ .fd = -1 };
	rc = wanted != NULL ? choose_wanted(s, wanted, err)
			    : choose_fresh(s, err);
	if (rc != ERR_OK)
		return rc;
	make_uri(s);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return err_sys(err, errno, "create a socket");
	return ERR_OK;
}

static void
fill(struct sockaddr_un *a, const struct nbd_socket *s)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path, s->path, sizeof(a->sun_path));
}

static int
bind_private(const struct nbd_socket *s)
{
	mode_t before = umask(0177);
	struct sockaddr_un a;
	int rc;

	fill(&a, s);
	rc = bind(s->fd, (const struct sockaddr *)&a, sizeof(a));
	(void)umask(before);
	return rc;
}

/* Nobody answers at a socket of a process that has ended. */
static bool
is_left_behind(const struct nbd_socket *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;
	bool refused;

	if (fd < 0)
		return false;
	fill(&a, s);
	refused = connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 &&
		  errno == ECONNREFUSED;
	fsx_close(&fd);
	return refused;
}

/* A name that is no socket refuses connections as well. */
static bool
is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static enum err
bind_and_listen(const struct nbd_socket *s, struct error *err)
{
	int rc = bind_private(s);

	if (rc != 0 && errno == EADDRINUSE) {
		if (!is_socket(s->path) || !is_left_behind(s) ||
			unlink(s->path) != 0)
			return err_set(err, ERR_EXISTS,
				"%s exists, and is no socket that was left "
				"behind",
				s->path);
		rc = bind_private(s);
	}
	if (rc == 0)
		rc = listen(s->fd, BACKLOG);
	return rc == 0 ? ERR_OK : err_sys(err, errno, "%s", s->path);
}

enum err
nbd_socket_bind(struct nbd_socket *s, struct error *err)
{
	enum err rc;

	if (s->dir[0] != '\0' && mkdir(s->dir, 0700) != 0)
		return err_sys(err, errno, "%s", s->dir);
	rc = bind_and_listen(s, err);
	if (rc != ERR_OK && s->dir[0] != '\0')
		(void)rmdir(s->dir);
	return rc;
}

void
nbd_socket_close(struct nbd_socket *s)
{
	fsx_close(&s->fd);
}

void
nbd_socket_remove(const struct nbd_socket *s)
{
	(void)unlink(s->path);
	if (s->dir[0] != '\0')
		(void)rmdir(s->dir);
}
