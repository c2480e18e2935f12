/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodecache: one file that is read, one that takes its place.
 *
 *   nodes-HEX        a whole file
 *   nodes-HEX.new    one that is being written, locked by who writes it
 *
 * What is new is appended as it comes; of what the old file has only the fact
 * that it is still wanted is noted, and it is copied at the end.  So the new
 * file has no garbage, and where nothing changed nothing is written.
 *
 * Crash argument: the name changes hands by rename, when the new file is
 * complete; until then the old one stays.  Nothing is synced: what a loss of
 * power tears does not pass nodefile_load.  A file that a killed run left
 * unfinished is not locked any more; the next run of its lineage writes over
 * it, and one of another removes it.
 */
#include "repo/nodecache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "codec/hash.h"
#include "repo/lane.h"
#include "repo/nodefile.h"

#define PREFIX "nodes-"
#define SUFFIX ".new"

enum {
	PREFIX_LEN = sizeof(PREFIX) - 1,
	FINAL_LEN = PREFIX_LEN + UID_HEX,
	NEW_LEN = FINAL_LEN + sizeof(SUFFIX) - 1
};

struct nodecache {
	struct repo *repo;
	int dir; /* -1: none */
	char final[FINAL_LEN + 1], new_name[NEW_LEN + 1];
	uint64_t size_max;
	struct nodefile old, new; /* without a file: fd -1 */
	uint64_t n_carried, carried_len;
	bool given_up;
	struct error why;
	struct buf plain;
};

static void
set_names(struct nodecache *nc, const struct nodecache_conf *conf)
{
	const struct keyset *ks = &nc->repo->keys;
	struct secret key;
	struct id id;

	hash_derive(&key, "coffer 1 node cache name", ks->structure.b,
		SECRET_LEN, ks->id.b, SECRET_LEN);
	hash_keyed(&id, &key, conf->lineage, conf->lineage_len);
	secret_wipe(&key);
	memcpy(nc->final, PREFIX, PREFIX_LEN);
	hex_encode(id.b, UID_LEN, nc->final + PREFIX_LEN);
	(void)snprintf(nc->new_name, sizeof(nc->new_name), "%s" SUFFIX,
		nc->final);
}

static void
open_dir(struct nodecache *nc)
{
	const char *path = nc->repo->cache_dir;
	struct error why = ERROR_INIT;

	if (path == NULL || !nc->repo->keys.has_id)
		return;
	if (fsx_mkdirs(path, 0700, &why) == ERR_OK)
		nc->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (nc->dir < 0 && why.code == ERR_OK)
		(void)err_sys(&why, errno, "open %s", path);
	if (nc->dir < 0)
		nodecache_give_up(nc, &why);
}

static enum err
load_old(struct nodecache *nc, struct error *err)
{
	struct error why = ERROR_INIT;
	int fd;

	if (nc->dir < 0)
		return ERR_OK;
	fd = openat(nc->dir, nc->final, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return ERR_OK;
	if (nodefile_load(&nc->old, fd, &why) == ERR_NOMEM) {
		*err = why;
		return err->code;
	}
	return ERR_OK;
}

enum err
nodecache_open(struct nodecache **out, struct repo *r,
	const struct nodecache_conf *conf, struct error *err)
{
	struct nodecache *nc = calloc(1, sizeof(*nc));
	enum err rc;

	if (nc == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a node cache");
	nc->repo = r;
	nc->dir = nc->new.fd = -1;
	nc->size_max =
		conf->size_max != 0 ? conf->size_max : NODECACHE_SIZE_MAX;
	nc->plain = BUF_INIT((size_t)2 * CHUNK_MAX);
	rc = nodefile_init(&nc->old, &r->keys, err);
	if (rc == ERR_OK)
		rc = nodefile_init(&nc->new, &r->keys, err);
	if (rc == ERR_OK) {
		set_names(nc, conf);
		open_dir(nc);
		rc = load_old(nc, err);
	}
	if (rc != ERR_OK) {
		nodecache_close(nc);
		return rc;
	}
	*out = nc;
	return ERR_OK;
}

/* Only who has it locked may. */
static void
remove_new(struct nodecache *nc)
{
	if (nc->new.fd >= 0)
		(void)unlinkat(nc->dir, nc->new_name, 0);
	nodefile_fini(&nc->new);
}

void
nodecache_close(struct nodecache *nc)
{
	if (nc == NULL)
		return;
	remove_new(nc);
	nodefile_fini(&nc->old);
	fsx_close(&nc->dir);
	buf_wipe(&nc->plain);
	free(nc);
}

void
nodecache_give_up(struct nodecache *nc, const struct error *why)
{
	if (nc->given_up)
		return;
	nc->given_up = true;
	nc->why = *why;
	remove_new(nc);
}

/* ---- the previous trees ---- */

bool
nodecache_holds(const struct nodecache *nc, const struct id *root)
{
	return nc->old.fd >= 0 && id_eq(&nc->old.root, root) &&
	       nodefile_find(&nc->old, root) != NULL;
}

/* What it has is not what was authenticated when it was opened. */
static void
lose_old(struct nodecache *nc, struct error *err)
{
	(void)err_wrap(err, "the local cache was damaged while it was used");
	nodecache_give_up(nc, err);
	(void)unlinkat(nc->dir, nc->final, 0);
	nodefile_fini(&nc->old);
}

/* Appends to out. */
static enum err
read_old(struct nodecache *nc, const struct nodefile_rec *rec, struct buf *out,
	struct error *err)
{
	size_t at = out->len;
	struct id id;
	enum err rc = nodefile_read(&nc->old, rec, out, err);

	if (rc == ERR_OK) {
		const uint8_t *head = out->data + at;

		repo_node_id(nc->repo, head, rec->head_len,
			head + rec->head_len, rec->len - rec->head_len, &id);
		if (!id_eq(&id, &rec->id))
			rc = err_set(err, ERR_CORRUPT, "a node has another id");
	}
	if (rc != ERR_OK) {
		out->len = at;
		if (rc != ERR_NOMEM)
			lose_old(nc, err);
	}
	return rc;
}

enum err
nodecache_get(struct nodecache *nc, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err)
{
	const struct nodefile_rec *rec = nodefile_find(&nc->old, id);
	size_t len;
	enum err rc;

	if (rec == NULL)
		return err_set(err, ERR_NOTFOUND,
			"not in the local cache of nodes");
	len = rec->head_len;
	rc = read_old(nc, rec, out, err);
	if (rc == ERR_OK)
		*head_len = len;
	return rc;
}

/* ---- the new ones ---- */

/* Lock the new file.  Between opening and locking it may have become the
 * final one, or have been removed, by who had it locked. */
static enum err
lock_new(const struct nodecache *nc, int fd, struct error *err)
{
	bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	struct stat mine, named;

	if (!locked && errno != EWOULDBLOCK)
		return err_sys(err, errno, "lock %s", nc->new_name);
	if (!locked || fstat(fd, &mine) != 0 ||
		fstatat(nc->dir, nc->new_name, &named, AT_SYMLINK_NOFOLLOW) !=
			0 ||
		mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
		return err_set(err, ERR_EXISTS,
			"another backup of the same keeps its nodes now");
	if (ftruncate(fd, 0) != 0)
		return err_sys(err, errno, "truncate %s", nc->new_name);
	return ERR_OK;
}

static enum err
begin_new(struct nodecache *nc, struct error *err)
{
	int fd;
	enum err rc;

	if (nc->new.fd >= 0)
		return ERR_OK;
	fd = openat(nc->dir, nc->new_name,
		O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, errno, "create %s", nc->new_name);
	rc = lock_new(nc, fd, err);
	if (rc != ERR_OK) {
		fsx_close(&fd);
		return rc;
	}
	return nodefile_create(&nc->new, fd, err);
}

/* With room for what more is to come. */
static enum err
check_size(const struct nodecache *nc, uint64_t more, uint64_t more_len,
	struct error *err)
{
	if (nodefile_size(&nc->new, nc->n_carried + more,
		    nc->carried_len + more_len) <= nc->size_max)
		return ERR_OK;
	return err_set(err, ERR_NOSPACE,
		"the nodes of the trees would take more than the %llu MiB "
		"that are allowed",
		(unsigned long long)(nc->size_max >> 20));
}

bool
nodecache_keeps(const struct nodecache *nc, const struct id *id)
{
	const struct nodefile_rec *rec = nodefile_find(&nc->old, id);

	return (rec != NULL && rec->wanted) ||
	       nodefile_find(&nc->new, id) != NULL;
}

bool
nodecache_carry(struct nodecache *nc, const struct id *id)
{
	struct nodefile_rec *rec = nodefile_find(&nc->old, id);
	struct error why = ERROR_INIT;

	if (rec == NULL)
		return false;
	if (rec->wanted)
		return true;
	rec->wanted = true;
	nc->n_carried++;
	nc->carried_len += rec->len;
	if (check_size(nc, 0, 0, &why) != ERR_OK)
		nodecache_give_up(nc, &why);
	return true;
}

void
nodecache_keep(struct nodecache *nc, const struct id *id,
	const struct node_bytes *node)
{
	struct error why = ERROR_INIT;
	enum err rc;

	if (nc->dir < 0 || nc->given_up || nodecache_keeps(nc, id) ||
		nodecache_carry(nc, id))
		return;
	rc = check_size(nc, 1, node->head_len + node->body_len, &why);
	if (rc == ERR_OK)
		rc = begin_new(nc, &why);
	if (rc == ERR_OK)
		rc = nodefile_append(&nc->new, id, node, &why);
	if (rc != ERR_OK)
		nodecache_give_up(nc, &why);
}

/* ---- publication ---- */

/* What the old file has and the new trees need, in the order of the file. */
static enum err
copy_carried(struct nodecache *nc, struct error *err)
{
	enum err rc = ERR_OK;

	for (uint32_t i = 0; i < nc->old.n && rc == ERR_OK; i++) {
		struct nodefile_rec rec = nc->old.recs[i];
		struct node_bytes node = { .head_len = rec.head_len };

		if (!rec.wanted)
			continue;
		buf_clear(&nc->plain);
		rc = read_old(nc, &nc->old.recs[i], &nc->plain, err);
		if (rc != ERR_OK)
			return rc;
		node.head = nc->plain.data;
		node.body = nc->plain.data + rec.head_len;
		node.body_len = rec.len - rec.head_len;
		rc = nodefile_append(&nc->new, &rec.id, &node, err);
	}
	return rc;
}

struct others {
	uint64_t size; /* of all together */
	char oldest[FINAL_LEN + 1]; /* empty: there is none */
	struct timespec used;
};

/* Remove what a killed run of another lineage left. */
static void
remove_stale(const struct nodecache *nc, const char *name)
{
	int fd = openat(nc->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(nc->dir, name, 0);
	fsx_close(&fd);
}

static void
see_other(const struct nodecache *nc, const char *name, struct others *o)
{
	struct stat st;

	if (strncmp(name, PREFIX, PREFIX_LEN) != 0 ||
		strncmp(name, nc->final, FINAL_LEN) == 0)
		return;
	if (strlen(name) == NEW_LEN)
		remove_stale(nc, name);
	if (strlen(name) != FINAL_LEN ||
		fstatat(nc->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	o->size += (uint64_t)st.st_size;
	if (o->oldest[0] != '\0' &&
		(st.st_mtim.tv_sec > o->used.tv_sec ||
			(st.st_mtim.tv_sec == o->used.tv_sec &&
				st.st_mtim.tv_nsec >= o->used.tv_nsec)))
		return;
	memcpy(o->oldest, name, FINAL_LEN + 1);
	o->used = st.st_mtim;
}

static struct others
list_others(const struct nodecache *nc)
{
	int fd = openat(nc->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct others o = { .size = 0 };
	struct dirent *e;

	if (dir == NULL) {
		fsx_close(&fd);
		return o;
	}
	while ((e = readdir(dir)) != NULL)
		see_other(nc, e->d_name, &o);
	(void)closedir(dir);
	return o;
}

/* Bring all files together below the limit. */
static void
make_others_give_way(const struct nodecache *nc, uint64_t mine)
{
	struct others o = list_others(nc);

	while (o.oldest[0] != '\0' && o.size + mine > nc->size_max) {
		if (unlinkat(nc->dir, o.oldest, 0) != 0)
			return;
		o = list_others(nc);
	}
}

static enum err
replace(struct nodecache *nc, const struct id *root, struct error *err)
{
	enum err rc;

	if (!nodecache_keeps(nc, root))
		return err_set(err, ERR_NOTFOUND, "the root was not kept");
	rc = begin_new(nc, err);
	if (rc == ERR_OK)
		rc = copy_carried(nc, err);
	if (rc == ERR_OK)
		rc = nodefile_finish(&nc->new, root, err);
	if (rc != ERR_OK)
		return rc;
	if (renameat(nc->dir, nc->new_name, nc->dir, nc->final) != 0)
		return err_sys(err, errno, "rename %s", nc->new_name);
	make_others_give_way(nc, nodefile_size(&nc->new, 0, 0));
	nodefile_fini(&nc->new);
	return ERR_OK;
}

enum err
nodecache_publish(struct nodecache *nc, const struct id *root,
	struct error *err)
{
	if (nc->dir < 0 && !nc->given_up)
		return ERR_OK;
	if (!nc->given_up && nc->new.fd < 0 && nodecache_holds(nc, root)) {
		(void)futimens(nc->old.fd, NULL);
		return ERR_OK;
	}
	if (!nc->given_up && replace(nc, root, err) != ERR_OK)
		nodecache_give_up(nc, err);
	if (nc->given_up)
		*err = nc->why;
	return nc->given_up ? err->code : ERR_OK;
}
