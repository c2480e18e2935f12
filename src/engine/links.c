/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links: an open-addressing table of offsets (linear probing, at most half
 * full) into a log of records { dev, ino, key length, key }.
 */
#include "engine/links.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TABLE_FIRST = 1024, LOG_FIRST = 1 << 16, RECORD_HEAD = 20 };

/* A mapped, unlinked file. */
struct spill {
	int fd;
	uint8_t *map;
	size_t size;
};

struct links {
	struct spill table; /* uint64_t: offset in the log + 1; 0 is free */
	struct spill log;
	size_t log_len;
	size_t n_used;
};

/* The blocks are allocated here: where the disk is full, a write to the
 * mapping would be the end of the process. */
static enum err
spill_resize(struct spill *s, size_t size, struct error *err)
{
	int errnum = posix_fallocate(s->fd, 0, (off_t)size);
	void *map;

	if (errnum != 0)
		return err_sys(err, errnum, "temporary file for hard links");
	if (s->map == NULL)
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			s->fd, 0);
	else
		map = mremap(s->map, s->size, size, MREMAP_MAYMOVE);
	if (map == MAP_FAILED)
		return err_sys(err, errno, "map temporary file");
	s->map = map;
	s->size = size;
	return ERR_OK;
}

static enum err
spill_open(struct spill *s, size_t size, struct error *err)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int n;

	if (dir == NULL || dir[0] == '\0')
		dir = "/var/tmp";
	n = snprintf(path, sizeof(path), "%s/coffer-XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ERR_USAGE, "TMPDIR is too long");
	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0)
		return err_sys(err, errno, "create temporary file in %s", dir);
	(void)unlink(path);
	return spill_resize(s, size, err);
}

static void
spill_close(struct spill *s)
{
	if (s->map != NULL)
		(void)munmap(s->map, s->size);
	if (s->fd >= 0)
		(void)close(s->fd);
}

enum err
links_new(struct links **out, struct error *err)
{
	struct links *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	l->table.fd = -1;
	l->log.fd = -1;
	*out = l;
	return ERR_OK;
}

void
links_free(struct links *l)
{
	if (l == NULL)
		return;
	spill_close(&l->table);
	spill_close(&l->log);
	free(l);
}

static uint64_t
mix(uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ (dev << 32 | dev >> 32)) * 0x9e3779b97f4a7c15u;

	return h ^ (h >> 29);
}

static size_t
slots(const struct links *l)
{
	return l->table.size / sizeof(uint64_t);
}

/* The slot of (dev, ino), or the free one where it belongs. */
static uint64_t *
slot_of(const struct links *l, uint64_t dev, uint64_t ino)
{
	uint64_t *table = (uint64_t *)(void *)l->table.map;
	size_t mask = slots(l) - 1;
	size_t i = mix(dev, ino) & mask;
	uint64_t have[2];

	for (; table[i] != 0; i = (i + 1) & mask) {
		memcpy(have, l->log.map + table[i] - 1, sizeof(have));
		if (have[0] == dev && have[1] == ino)
			break;
	}
	return &table[i];
}

static enum err
table_grow(struct links *l, struct error *err)
{
	enum err rc = spill_resize(&l->table, 2 * l->table.size, err);
	uint64_t id[2];
	uint32_t key_len;

	if (rc != ERR_OK)
		return rc;
	memset(l->table.map, 0, l->table.size);
	for (size_t off = 0; off < l->log_len; off += RECORD_HEAD + key_len) {
		memcpy(id, l->log.map + off, sizeof(id));
		memcpy(&key_len, l->log.map + off + sizeof(id),
			sizeof(key_len));
		*slot_of(l, id[0], id[1]) = off + 1;
	}
	return ERR_OK;
}

static enum err
log_append(struct links *l, uint64_t dev, uint64_t ino, struct bytes key,
	struct error *err)
{
	uint64_t id[2] = { dev, ino };
	uint32_t key_len = (uint32_t)key.len;
	uint8_t *p;
	enum err rc;

	if (l->log.size - l->log_len < RECORD_HEAD + key.len) {
		rc = spill_resize(&l->log, 2 * l->log.size + key.len, err);
		if (rc != ERR_OK)
			return rc;
	}
	p = l->log.map + l->log_len;
	memcpy(p, id, sizeof(id));
	memcpy(p + sizeof(id), &key_len, sizeof(key_len));
	memcpy(p + RECORD_HEAD, key.data, key.len);
	l->log_len += RECORD_HEAD + key.len;
	return ERR_OK;
}

struct bytes
links_find(const struct links *l, uint64_t dev, uint64_t ino)
{
	const uint8_t *record;
	uint32_t key_len;
	uint64_t at;

	at = l->n_used > 0 ? *slot_of(l, dev, ino) : 0;
	if (at == 0)
		return (struct bytes){ NULL, 0 };
	record = l->log.map + at - 1;
	memcpy(&key_len, record + 2 * sizeof(uint64_t), sizeof(key_len));
	return (struct bytes){ record + RECORD_HEAD, key_len };
}

enum err
links_add(struct links *l, uint64_t dev, uint64_t ino, struct bytes key,
	struct error *err)
{
	uint64_t at = l->log_len;
	enum err rc = ERR_OK;

	if (l->table.fd < 0)
		rc = spill_open(&l->table, TABLE_FIRST * sizeof(uint64_t), err);
	if (rc == ERR_OK && l->log.fd < 0)
		rc = spill_open(&l->log, LOG_FIRST, err);
	if (rc == ERR_OK)
		rc = log_append(l, dev, ino, key, err);
	if (rc != ERR_OK)
		return rc;
	*slot_of(l, dev, ino) = at + 1;
	if (++l->n_used * 2 > slots(l))
		return table_grow(l, err);
	return ERR_OK;
}

enum err
links_meet(struct links *l, uint64_t dev, uint64_t ino, struct bytes key,
	struct bytes *first, struct error *err)
{
	*first = links_find(l, dev, ino);
	return first->data == NULL ? links_add(l, dev, ino, key, err) : ERR_OK;
}
