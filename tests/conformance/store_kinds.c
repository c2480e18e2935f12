/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/store_kinds.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/store_dir.h"
#include "store/store_fault.h"
#include "store/store_mem.h"
#include "store/store_retry.h"

static enum err
open_dir(struct world *w)
{
	return store_open(&w->st, w->dir, true, &w->err);
}

static enum err
open_dir_as(struct world *w, enum dir_way way)
{
	char url[80];
	enum err rc;

	(void)snprintf(url, sizeof(url), "file://%s", w->dir);
	rc = store_open(&w->st, url, true, &w->err);
	if (rc == ERR_OK)
		store_dir_limit(w->st, way);
	return rc;
}

static enum err
open_dir_link(struct world *w)
{
	return open_dir_as(w, DIR_WAY_LINK);
}

static enum err
open_dir_rename(struct world *w)
{
	return open_dir_as(w, DIR_WAY_RENAME);
}

static enum err
open_mem(struct world *w)
{
	return store_mem_new(&w->st, &w->err);
}

static enum fault
never(void *arg, uint64_t n, enum store_op op, const char *name)
{
	return FAULT_NONE;
}

static enum err
open_fault(struct world *w)
{
	struct fault_plan plan = { .decide = never, .code = ERR_IO };
	struct store *inner;
	enum err rc;

	rc = store_open(&inner, w->dir, true, &w->err);
	return rc != ERR_OK ? rc
			    : store_fault_new(&w->st, inner, &plan, &w->err);
}

static enum err
retry_over(struct world *w, struct store *inner)
{
	struct retry_policy policy = { .attempts_max = 60 };

	return store_retry_new(&w->st, inner, &policy, &w->err);
}

static enum err
open_retry(struct world *w)
{
	struct store *inner;
	enum err rc;

	rc = store_mem_new(&inner, &w->err);
	return rc != ERR_OK ? rc : retry_over(w, inner);
}

/* Every other call fails, half of them after it happened.  60 such calls in a
 * row do not occur. */
static enum fault
flaky(void *arg, uint64_t n, enum store_op op, const char *name)
{
	static const enum fault faults[] = { FAULT_NONE, FAULT_NONE,
		FAULT_BEFORE, FAULT_AFTER };
	struct prng *rng = arg;

	return faults[prng_below(rng, 4)];
}

static enum err
open_flaky(struct world *w)
{
	struct fault_plan plan = { flaky, &w->rng, ERR_AGAIN };
	struct store *mem, *faulty;
	enum err rc;

	rc = store_mem_new(&mem, &w->err);
	if (rc != ERR_OK)
		return rc;
	rc = store_fault_new(&faulty, mem, &plan, &w->err);
	return rc != ERR_OK ? rc : retry_over(w, faulty);
}

const struct kind store_kinds[] = {
	{ "dir", open_dir, .persists = true },
	{ "dir by link", open_dir_link, .persists = true },
	{ "dir by rename", open_dir_rename, .persists = true },
	{ "mem", open_mem },
	{ "fault (none) over dir", open_fault, .persists = true },
	{ "retry over mem", open_retry },
	{ "retry over flaky over mem", open_flaky, .lossy = true },
};
const size_t store_kinds_n = ARRAY_LEN(store_kinds);

static int
rm_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	return remove(path);
}

void
store_kinds_rm(const char *dir)
{
	(void)nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

unsigned
store_kinds_fds(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}
