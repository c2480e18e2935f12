/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fsx.h"
#include "base/rd.h"
#include "codec/hash.h"

enum { MAGIC_LEN = 8, VERSION = 1, RUN_NAME = 4 + UID_HEX };
enum { MANIFEST_MAX = MAGIC_LEN + 8 + CACHE_RUNS_MAX * UID_LEN + ID_LEN };

/* How long the holder of the lock may stand still, and how often to look. */
enum { PATIENCE_SEC = 60, LOOK_MS = 20 };

static const char magic[MAGIC_LEN + 1] = "cofferMF";
static const char manifest[] = "manifest";
static const char manifest_new[] = "manifest.new";

struct cache {
	int dir; /* -1: none */
	bool shared;
	int lock; /* -1: not locked */
	struct secret key; /* of the manifest */
};

static enum err
open_dir(struct cache *c, const char *dir, struct error *err)
{
	enum err rc = fsx_mkdirs(dir, 0700, err);

	if (rc != ERR_OK)
		return rc;
	c->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		return err_sys(err, errno, "open %s", dir);
	c->shared = true;
	return ERR_OK;
}

enum err
cache_open(struct cache **out, const char *dir, const struct secret *structure,
	struct error *err)
{
	struct cache *c = calloc(1, sizeof(*c));
	struct error why = ERROR_INIT;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a cache");
	c->dir = -1;
	c->lock = -1;
	hash_derive(&c->key, "coffer 1 cache manifest", structure->b,
		SECRET_LEN, NULL, 0);
	/* A directory that cannot be used leaves the cache private. */
	if (dir != NULL)
		(void)open_dir(c, dir, &why);
	*out = c;
	return ERR_OK;
}

void
cache_close(struct cache *c)
{
	if (c == NULL)
		return;
	fsx_close(&c->lock);
	fsx_close(&c->dir);
	secret_wipe(&c->key);
	free(c);
}

bool
cache_is_shared(const struct cache *c)
{
	return c->shared;
}

void
cache_detach(struct cache *c)
{
	fsx_close(&c->lock);
	c->shared = false;
}

/* The manifest as it lies there; it changes whenever the holder gets on. */
static ino_t
manifest_mark(const struct cache *c)
{
	struct stat st;

	return fstatat(c->dir, manifest, &st, 0) == 0 ? st.st_ino : 0;
}

static bool
wait_for_lock(const struct cache *c, int fd)
{
	const struct timespec nap = { .tv_nsec = LOOK_MS * 1000000L };
	ino_t mark = manifest_mark(c), now;
	long left = PATIENCE_SEC * 1000L;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		(void)nanosleep(&nap, NULL);
		now = manifest_mark(c);
		left = now == mark ? left - LOOK_MS : PATIENCE_SEC * 1000L;
		mark = now;
		if (left <= 0)
			return false;
	}
	return true;
}

void
cache_lock(struct cache *c)
{
	int fd;

	if (!c->shared)
		return;
	fd = openat(c->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && wait_for_lock(c, fd)) {
		c->lock = fd;
		return;
	}
	fsx_close(&fd);
	cache_detach(c);
}

void
cache_unlock(struct cache *c)
{
	fsx_close(&c->lock);
}

static void
manifest_mac(const struct cache *c, const struct buf *b, size_t len,
	struct id *mac)
{
	hash_keyed(mac, &c->key, b->data, len);
}

/* What is not a manifest of this version is none. */
static enum err
decode(const struct cache *c, const struct buf *b, struct cache_list *out,
	struct error *err)
{
	struct id mac, want;
	struct rd rd;
	const uint8_t *head;
	uint32_t version, n;

	if (b->len < ID_LEN)
		return ERR_OK;
	rd_init(&rd, b->data, b->len);
	head = rd_raw(&rd, MAGIC_LEN);
	version = rd_u32(&rd);
	n = rd_u32(&rd);
	if (!rd_ok(&rd) || memcmp(head, magic, MAGIC_LEN) != 0 ||
		version != VERSION || n > CACHE_RUNS_MAX ||
		rd_left(&rd) != (size_t)n * UID_LEN + ID_LEN)
		return ERR_OK;
	manifest_mac(c, b, b->len - ID_LEN, &want);
	memcpy(mac.b, b->data + b->len - ID_LEN, ID_LEN);
	if (!id_eq(&mac, &want))
		return ERR_OK;
	out->uids = calloc((size_t)n + 1, sizeof(*out->uids));
	if (out->uids == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a manifest");
	for (out->n = 0; out->n < n; out->n++)
		rd_copy(&rd, out->uids[out->n].b, UID_LEN);
	return ERR_OK;
}

enum err
cache_load(struct cache *c, struct cache_list *out, struct error *err)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	struct error why = ERROR_INIT;
	enum err rc = ERR_OK;
	int fd;

	*out = (struct cache_list){ NULL, 0 };
	if (c->dir < 0)
		return ERR_OK;
	fd = openat(c->dir, manifest, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ERR_OK;
	if (fsx_read_all(fd, &b, manifest, &why) == ERR_OK)
		rc = decode(c, &b, out, err);
	fsx_close(&fd);
	buf_fini(&b);
	return rc;
}

void
cache_list_fini(struct cache_list *list)
{
	free(list->uids);
	*list = (struct cache_list){ NULL, 0 };
}

static enum err
encode(const struct cache *c, const struct cache_list *list, struct buf *b,
	struct error *err)
{
	struct id mac;
	enum err rc;

	if (list->n > CACHE_RUNS_MAX)
		return err_set(err, ERR_NOMEM, "index cache: too many runs");
	rc = buf_put(b, magic, MAGIC_LEN, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(b, VERSION, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(b, (uint32_t)list->n, err);
	if (rc == ERR_OK)
		rc = buf_put(b, list->uids, list->n * UID_LEN, err);
	if (rc != ERR_OK)
		return rc;
	manifest_mac(c, b, b->len, &mac);
	return buf_put(b, mac.b, ID_LEN, err);
}

static enum err
replace_manifest(struct cache *c, const struct buf *b, struct error *err)
{
	int fd = openat(c->dir, manifest_new,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "index cache: create manifest");
	rc = fsx_write(fd, b->data, b->len, "index cache", err);
	fsx_close(&fd);
	if (rc == ERR_OK &&
		renameat(c->dir, manifest_new, c->dir, manifest) != 0)
		rc = err_sys(err, errno, "index cache: replace manifest");
	return rc;
}

static void
run_name(const struct uid *uid, char out[RUN_NAME + 1])
{
	memcpy(out, "run-", 4);
	hex_encode(uid->b, UID_LEN, out + 4);
}

static bool
is_listed(const struct cache_list *list, const char *name)
{
	char run[RUN_NAME + 1];

	for (size_t i = 0; i < list->n; i++) {
		run_name(&list->uids[i], run);
		if (strcmp(run, name) == 0)
			return true;
	}
	return false;
}

/* What cannot be removed now is tried again by the next who saves. */
static void
remove_others(const struct cache *c, const struct cache_list *list)
{
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (dir == NULL) {
		fsx_close(&fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, "run-", 4) == 0 &&
			!is_listed(list, e->d_name))
			(void)unlinkat(c->dir, e->d_name, 0);
	(void)closedir(dir);
}

enum err
cache_save(struct cache *c, const struct cache_list *list, struct error *err)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	enum err rc;

	if (!c->shared)
		return ERR_OK;
	rc = encode(c, list, &b, err);
	if (rc == ERR_OK)
		rc = replace_manifest(c, &b, err);
	if (rc == ERR_OK)
		remove_others(c, list);
	buf_fini(&b);
	return rc;
}

static enum err
create_private(int *fd, struct error *err)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int n;

	if (dir == NULL || dir[0] != '/')
		dir = "/tmp";
	n = snprintf(path, sizeof(path), "%s/coffer-index-XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ERR_IO, "TMPDIR is too long a name");
	*fd = mkostemp(path, O_CLOEXEC);
	if (*fd < 0)
		return err_sys(err, errno, "create a file in %s", dir);
	(void)unlink(path);
	return ERR_OK;
}

enum err
cache_create(struct cache *c, struct uid *uid, int *fd, struct error *err)
{
	char name[RUN_NAME + 1];

	random_bytes(uid->b, UID_LEN);
	if (!c->shared)
		return create_private(fd, err);
	run_name(uid, name);
	*fd = openat(c->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_sys(err, errno, "index cache: create %s", name);
	return ERR_OK;
}

enum err
cache_get(struct cache *c, const struct uid *uid, int *fd, struct error *err)
{
	char name[RUN_NAME + 1];

	if (c->dir < 0)
		return err_set(err, ERR_NOTFOUND, "index cache: private");
	run_name(uid, name);
	*fd = openat(c->dir, name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return err_sys(err, errno, "index cache: open %s", name);
	return ERR_OK;
}
