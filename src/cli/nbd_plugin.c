/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_plugin: nbdkit-coffer-plugin.so, which nbdkit loads: one entry of a
 * snapshot as a disk that is read only.  `coffer nbd` starts nbdkit with it
 * (cli/nbd_server.h); by hand:
 *
 *   nbdkit -f nbdkit-coffer-plugin.so repository=URL snapshot=ID path=PATH \
 *       password-fd=3 3<FILE
 *
 * password-fd is read to its end, and what is read is the passphrase, byte by
 * byte, so that it stands neither in a command line nor in an environment.
 *
 * control-fd is a socket to `coffer nbd`.  When everything is ready, one byte
 * is sent there, and the names of the socket and of its directory (or
 * nothing) come back, each ended by a zero byte; only then does coffer create
 * them, and send one byte more.  From the names on, they are removed when this
 * process ends, so that nothing stays behind should coffer be killed: nbdkit's
 * handlers of signals are in place by then.  Should coffer die before the
 * last byte, serving does not begin.
 *
 * nbdkit may fork between get_ready and after_fork: no thread of ours runs
 * before the first request (view/image_view.h).
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "cli/unlock.h"
#include "engine/select.h"
#include "model/path.h"
#include "view/image_view.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

enum {
	ARENAS = 2,
	MMAP_FROM = 128 << 10,
	PREFERRED = 64 << 10,
	LARGEST = 32 << 20,
	NAME_ROOM = 256
};

/* nbdkit has one plugin in one process, and nowhere else to keep this. */
static struct {
	char *repository, *snapshot, *path, *cache_dir, *key_hint;
	unsigned readers;
	int64_t cache_size;
	int control_fd;
	struct buf pass;
	struct store *store;
	struct repo *repo;
	struct image_view *view;
	char socket[NAME_ROOM], dir[NAME_ROOM];
} self = { .control_fd = -1, .pass = { .max = PASSWORD_MAX } };

static int
fail(const struct error *err)
{
	nbdkit_error("%s", err->msg);
	return -1;
}

/* ---- parameters ---- */

static int
take_text(char **out, const char *value)
{
	free(*out);
	*out = strdup(value);
	if (*out == NULL)
		nbdkit_error("out of memory");
	return *out != NULL ? 0 : -1;
}

static int
take_password(const char *value)
{
	struct error err = ERROR_INIT;
	enum err rc;
	int fd;

	if (nbdkit_parse_int("password-fd", value, &fd) != 0)
		return -1;
	rc = fsx_read_all(fd, &self.pass, "password-fd", &err);
	fsx_close(&fd);
	return rc == ERR_OK ? 0 : fail(&err);
}

static int
take_size(const char *value)
{
	self.cache_size = nbdkit_parse_size(value);
	return self.cache_size < 0 ? -1 : 0;
}

static int
nbd_config(const char *key, const char *value)
{
	static const struct {
		const char *key;
		char **out;
	} texts[] = {
		{ "repository", &self.repository },
		{ "snapshot", &self.snapshot },
		{ "path", &self.path },
		{ "cache-dir", &self.cache_dir },
		{ "key-hint", &self.key_hint },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcmp(key, texts[i].key) == 0)
			return take_text(texts[i].out, value);
	if (strcmp(key, "password-fd") == 0)
		return take_password(value);
	if (strcmp(key, "control-fd") == 0)
		return nbdkit_parse_int(key, value, &self.control_fd);
	if (strcmp(key, "readers") == 0)
		return nbdkit_parse_unsigned(key, value, &self.readers);
	if (strcmp(key, "cache-size") == 0)
		return take_size(value);
	nbdkit_error("unknown parameter \"%s\"", key);
	return -1;
}

static int
nbd_config_complete(void)
{
	if (self.repository != NULL && self.snapshot != NULL &&
		self.path != NULL && self.pass.len > 0)
		return 0;
	nbdkit_error("repository, snapshot, path and password-fd are needed");
	return -1;
}

#define CONFIG_HELP                                                \
	"repository=URL     where the repository is (required)\n"  \
	"snapshot=ID        which snapshot (required)\n"           \
	"path=PATH          which entry of it (required)\n"        \
	"password-fd=N      read the passphrase here (required)\n" \
	"cache-dir=DIR      where the local index is\n"            \
	"key-hint=KEY       try this key first\n"                  \
	"cache-size=SIZE    memory for chunks that were read\n"    \
	"readers=N          requests that are served at once"

/* ---- life ---- */

/* Chunks are allocated by one thread and freed by another; with an arena for
 * each thread, a third of the memory would lie there unused.  Nor is malloc to
 * learn from their being freed to keep such memory (mallopt(3),
 * M_MMAP_THRESHOLD): between what lives long there would be holes. */
static void
nbd_load(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	(void)mallopt(M_ARENA_MAX, ARENAS);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): likewise */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
}

static enum err
open_view(struct error *err)
{
	const struct image_view_conf conf = { .readers = self.readers,
		.cache_max = (size_t)self.cache_size };
	const struct snapshot_filter all = { 0 };
	struct buf key = BUF_INIT(KEY_MAX);
	struct snapshot snap;
	enum err rc;

	snapshot_init(&snap);
	rc = key_from_path(&key, self.path, err);
	if (rc == ERR_OK)
		rc = snapshot_select(&snap, self.repo, self.snapshot, &all,
			err);
	if (rc == ERR_OK)
		rc = image_view_open_key(&self.view, self.repo, &snap.root,
			(struct bytes){ key.data, key.len }, &conf, err);
	snapshot_fini(&snap);
	buf_fini(&key);
	return rc;
}

static int
nbd_get_ready(void)
{
	const struct repo_conf conf = {
		.pass = { (const char *)self.pass.data, self.pass.len },
		.key_hint = self.key_hint,
		.cache_root = self.cache_dir,
	};
	struct error err = ERROR_INIT;
	enum err rc;

	rc = unlock_open(&self.store, &self.repo, self.repository, &conf, &err);
	buf_wipe(&self.pass);
	if (rc == ERR_OK)
		rc = open_view(&err);
	return rc == ERR_OK ? 0 : fail(&err);
}

static bool
receive_byte(char *out)
{
	ssize_t n;

	do {
		n = read(self.control_fd, out, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

static bool
receive_name(char name[NAME_ROOM])
{
	for (size_t i = 0; i < NAME_ROOM; i++) {
		if (!receive_byte(&name[i]))
			break;
		if (name[i] == '\0')
			return true;
	}
	name[0] = '\0';
	return false;
}

static void
remove_names(void)
{
	if (self.socket[0] != '\0')
		(void)unlink(self.socket);
	if (self.dir[0] != '\0')
		(void)rmdir(self.dir);
	self.socket[0] = self.dir[0] = '\0';
}

static int
nbd_after_fork(void)
{
	struct error err = ERROR_INIT;
	char byte = 'r';

	if (self.control_fd < 0)
		return 0;
	if (fsx_write(self.control_fd, &byte, 1, "control-fd", &err) != ERR_OK)
		return fail(&err);
	if (receive_name(self.socket) && receive_name(self.dir) &&
		receive_byte(&byte))
		return 0;
	remove_names();
	nbdkit_error("who started this has gone");
	return -1;
}

static void
nbd_cleanup(void)
{
	remove_names();
	fsx_close(&self.control_fd);
	image_view_close(self.view);
	repo_close(self.repo);
	store_close(self.store);
	self.view = NULL;
	self.repo = NULL;
	self.store = NULL;
}

static void
nbd_unload(void)
{
	buf_wipe(&self.pass);
	free(self.repository);
	free(self.snapshot);
	free(self.path);
	free(self.cache_dir);
	free(self.key_hint);
}

/* ---- serving ---- */

static void *
nbd_open(int readonly)
{
	return self.view;
}

static int64_t
nbd_get_size(void *handle)
{
	uint64_t size = image_view_size(handle);

	if (size <= INT64_MAX)
		return (int64_t)size;
	nbdkit_error("%s is too large", self.path);
	return -1;
}

static int
nbd_yes(void *handle)
{
	return 1;
}

static int
nbd_can_cache(void *handle)
{
	return NBDKIT_CACHE_NATIVE;
}

static int
nbd_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
	uint32_t *maximum)
{
	*minimum = 1;
	*preferred = PREFERRED;
	*maximum = LARGEST;
	return 0;
}

static int
failed(const struct error *err)
{
	nbdkit_error("%s: %s", self.path, err->msg);
	nbdkit_set_error(err->code == ERR_NOMEM ? ENOMEM : EIO);
	return -1;
}

static int
nbd_pread(void *handle, void *buf, uint32_t count, uint64_t offset,
	uint32_t flags)
{
	struct error err = ERROR_INIT;
	enum err rc;

	rc = image_view_read(handle, offset, buf, count, &err);
	return rc == ERR_OK ? 0 : failed(&err);
}

struct extents_told {
	struct nbdkit_extents *extents;
	bool one, refused;
};

static bool
tell_extent(void *arg, uint64_t off, uint64_t len, bool hole)
{
	struct extents_told *t = arg;
	uint32_t type = hole ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;

	t->refused = nbdkit_add_extent(t->extents, off, len, type) != 0;
	return !t->refused && !t->one;
}

static int
nbd_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
	struct nbdkit_extents *extents)
{
	struct extents_told told = { extents,
		(flags & NBDKIT_FLAG_REQ_ONE) != 0, false };
	struct error err = ERROR_INIT;
	enum err rc;

	rc = image_view_extents(handle, offset, count, tell_extent, &told,
		&err);
	if (rc != ERR_OK)
		return failed(&err);
	return told.refused ? -1 : 0;
}

static int
nbd_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct error err = ERROR_INIT;
	enum err rc;

	rc = image_view_ahead(handle, offset, count, &err);
	return rc == ERR_OK ? 0 : failed(&err);
}

static const char *
nbd_export_description(void *handle)
{
	return self.path;
}

static struct nbdkit_plugin plugin = {
	.name = "coffer",
	.longname = "coffer backups",
	.version = COFFER_VERSION,
	.description = "An image or file of a coffer snapshot, read only",
	.load = nbd_load,
	.config = nbd_config,
	.config_complete = nbd_config_complete,
	.config_help = CONFIG_HELP,
	.get_ready = nbd_get_ready,
	.after_fork = nbd_after_fork,
	.cleanup = nbd_cleanup,
	.unload = nbd_unload,
	.open = nbd_open,
	.get_size = nbd_get_size,
	.can_multi_conn = nbd_yes,
	.can_extents = nbd_yes,
	.can_cache = nbd_can_cache,
	.block_size = nbd_block_size,
	.export_description = nbd_export_description,
	.pread = nbd_pread,
	.extents = nbd_extents,
	.cache = nbd_cache,
};

/* The macro defines it, and declares it nowhere. */
struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
