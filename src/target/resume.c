/* SPDX-License-Identifier: Apache-2.0 */
#include "target/resume.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"

/* magic, sum of what follows, serial, done, size, blank, key and its NUL */
enum {
	AT_SUM = 16,
	AT_SERIAL = 24,
	AT_DONE = 32,
	AT_SIZE = 40,
	AT_BLANK = 48,
	AT_KEY = 56
};

static const char magic[AT_SUM] = "coffer restore\n";

/* FNV-1a, 64 bits: against torn writes, not against people. */
static uint64_t
sum_of(const uint8_t *sector)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = AT_SERIAL; i < RESUME_SECTOR; i++)
		sum = (sum ^ sector[i]) * 0x100000001b3;
	return sum;
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void
put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

static uint64_t
place(uint64_t size)
{
	return (size + RESUME_SECTOR - 1) / RESUME_SECTOR * RESUME_SECTOR;
}

uint64_t
resume_file_size(uint64_t size)
{
	return place(size) + 2 * (uint64_t)RESUME_SECTOR;
}

static bool
is_ours(const struct resume *r, const uint8_t *sector)
{
	return memcmp(sector, magic, sizeof(magic)) == 0 &&
	       get64(sector + AT_SUM) == sum_of(sector) &&
	       get64(sector + AT_SIZE) == r->size &&
	       get64(sector + AT_DONE) <= r->size &&
	       strncmp((const char *)sector + AT_KEY, r->key, RESUME_KEY_MAX) ==
		       0;
}

enum err
resume_read(struct resume *r, int fd, bool *found, struct error *err)
{
	uint8_t sector[RESUME_SECTOR];
	uint64_t best = 0;
	size_t got;

	*found = false;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = place(r->size) + (uint64_t)i * RESUME_SECTOR;
		enum err rc = fsx_pread(fd, sector, sizeof(sector), at, &got,
			"its mark", err);

		if (rc != ERR_OK)
			return rc;
		if (got < sizeof(sector) || !is_ours(r, sector) ||
			(*found && get64(sector + AT_SERIAL) < best))
			continue;
		*found = true;
		best = r->serial = get64(sector + AT_SERIAL);
		r->done = get64(sector + AT_DONE);
		r->blank = sector[AT_BLANK] == 1;
	}
	return ERR_OK;
}

enum err
resume_write(struct resume *r, int fd, const char *what, struct error *err)
{
	uint8_t sector[RESUME_SECTOR] = { 0 };
	size_t len = strlen(r->key);
	uint64_t at;
	enum err rc;

	if (len >= RESUME_KEY_MAX)
		return err_set(err, ERR_USAGE,
			"%s: the restore point's name is too long", what);
	r->serial++;
	at = place(r->size) + r->serial % 2 * RESUME_SECTOR;
	memcpy(sector, magic, sizeof(magic));
	put64(sector + AT_SERIAL, r->serial);
	put64(sector + AT_DONE, r->done);
	put64(sector + AT_SIZE, r->size);
	sector[AT_BLANK] = r->blank ? 1 : 0;
	memcpy(sector + AT_KEY, r->key, len);
	put64(sector + AT_SUM, sum_of(sector));
	if (fdatasync(fd) != 0)
		return err_sys(err, errno, "sync %s", what);
	rc = fsx_pwrite(fd, sector, sizeof(sector), at, what, err);
	if (rc == ERR_OK && fdatasync(fd) != 0)
		rc = err_sys(err, errno, "sync %s", what);
	return rc;
}
