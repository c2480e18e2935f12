/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_hours: what changes in a MooseFS from one hour to the next, for
 * bench/moosefs.
 *
 *	mfs_hours HOST PORT make COUNT
 *	mfs_hours HOST PORT change COUNT PER_MILLION SEED
 *
 * make: the files 0 to COUNT - 1, a thousand to a directory, of 500 owners.
 * change: of so many of these files in a million, anywhere, half get another
 * mode or owner, a quarter is unlinked, and for a quarter there is a new one
 * beside it.  It says how many operations it did.
 */
#include <errno.h>
#include <inttypes.h>
#include <mfsio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_DIR = 1000, OWNERS = 500, PATH_LEN = 128, MILLION = 1000000 };

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t
mix(uint64_t n)
{
	n += 0x9e3779b97f4a7c15;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
	n = (n ^ n >> 27) * 0x94d049bb133111eb;
	return n ^ n >> 31;
}

static void
path_of(char out[PATH_LEN], unsigned long n, unsigned long more)
{
	static const char *const words[] = { "report", "IMG_", "data-", "part",
		"mail.", "build_", "log" };
	static const char *const ends[] = { ".txt", ".jpg", "", ".json", ".o" };
	uint64_t r = mix(n);
	int len = snprintf(out, PATH_LEN, "/d%lu/%s%06x%s", n / PER_DIR,
		words[r % 7], (unsigned)(r >> 40), ends[r / 7 % 5]);

	if (more != 0)
		(void)snprintf(out + len, PATH_LEN - (size_t)len, ".%lx", more);
}

static int
make(const char *path, uint64_t r)
{
	if (mfs_mknod(path, S_IFREG | 0644, 0) != 0)
		return -1;
	return mfs_chown(path, 1000 + (uid_t)(r % OWNERS), 100);
}

static int
make_all(unsigned long count)
{
	char path[PATH_LEN];
	int failed = 0;

	for (unsigned long n = 0; n < count && failed == 0; n++) {
		if (n % PER_DIR == 0) {
			(void)snprintf(path, sizeof(path), "/d%lu",
				n / PER_DIR);
			failed = mfs_mkdir(path, 0755);
		}
		path_of(path, n, 0);
		if (failed == 0)
			failed = make(path, mix(n));
	}
	(void)printf("%lu\n", count);
	return failed;
}

/* What an earlier call has unlinked is missing, and passed over. */
static int
change_one(unsigned long n, uint64_t r, unsigned long seed)
{
	char path[PATH_LEN];

	path_of(path, n, 0);
	switch (r % 4) {
	case 0:
		return mfs_chmod(path, 0600 | (mode_t)(r >> 8 & 077));
	case 1:
		return mfs_chown(path, 1000 + (uid_t)(r >> 8) % OWNERS, 100);
	case 2:
		return mfs_unlink(path);
	default:
		path_of(path, n, seed);
		return make(path, r >> 8);
	}
}

static int
change_all(unsigned long count, uint64_t per_million, unsigned long seed)
{
	unsigned long done = 0;

	for (unsigned long n = 0; n < count; n++) {
		uint64_t r = mix(mix(seed) ^ n);

		if (r % MILLION >= per_million)
			continue;
		if (change_one(n, mix(r), seed) == 0)
			done++;
		else if (errno != ENOENT)
			return -1;
	}
	(void)printf("%lu\n", done);
	return 0;
}

int
main(int argc, char **argv)
{
	mfscfg cfg;
	unsigned long count;
	int failed;

	if (argc != 5 && argc != 7)
		return 2;
	memset(&cfg, 0, sizeof(cfg));
	cfg.masterhost = argv[1];
	cfg.masterport = argv[2];
	cfg.mountpoint = (char[]){ "/mfs_hours" };
	cfg.masterpath = (char[]){ "/" };
	cfg.read_cache_mb = cfg.write_cache_mb = 16;
	cfg.io_try_cnt = 3;
	cfg.error_on_lost_chunk = cfg.error_on_no_space = 1;
	if (mfs_init(&cfg, 0) < 0) {
		perror("mfs_hours");
		return 1;
	}
	count = strtoul(argv[4], NULL, 10);
	failed = argc == 5 ? make_all(count)
			   : change_all(count, strtoul(argv[5], NULL, 10),
				     strtoul(argv[6], NULL, 10));
	if (failed != 0)
		perror("mfs_hours");
	mfs_term();
	return failed != 0;
}
