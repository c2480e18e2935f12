/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfsops: changes in a MooseFS, made by its client library.
 *
 *	mfsops HOST PORT DIR COUNT [PER_SECOND [TIMES]]
 *
 * COUNT operations on small files below the directory DIR, which is made if it
 * is not there: of eight, a file is created, renamed to a name that has to be
 * escaped, given another mode and another owner, a second one is created and
 * unlinked, and a directory comes and goes.  No contents, as there need not be
 * a chunkserver.  Each makes one line in the master's log, in this order.  The
 * names of a second run in the same DIR are others.  PER_SECOND 0 is as fast as
 * it goes.  The file TIMES gets what all names of this run begin with, and
 * behind it when each operation began, in ns of CLOCK_MONOTONIC.  It says how
 * many operations it did.  A master that does not answer is asked again, for a
 * minute.
 */
#include <errno.h>
#include <mfsio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPS = 8, PATH_LEN = 512, PATIENCE_SEC = 60, NAP_NS = 100000000 };

static int
one(const char *dir, const char *run, unsigned long n)
{
	char a[PATH_LEN], b[PATH_LEN], c[PATH_LEN];
	unsigned long file = n / OPS;

	(void)snprintf(a, sizeof(a), "%s/%s.%lu", dir, run, file);
	(void)snprintf(b, sizeof(b), "%s/%s.%lu, (100%%) \xc3\xbc", dir, run,
		file);
	(void)snprintf(c, sizeof(c), "%s/%s.%lu.other", dir, run, file);
	switch (n % OPS) {
	case 0:
		return mfs_mknod(a, S_IFREG | 0644, 0);
	case 1:
		return mfs_rename(a, b);
	case 2:
		return mfs_chmod(b, 0600);
	case 3:
		return mfs_mknod(c, S_IFREG | 0600, 0);
	case 4:
		return mfs_chown(b, 1000, 1000);
	case 5:
		return mfs_unlink(c);
	case 6:
		return mfs_mkdir(c, 0755);
	default:
		return mfs_rmdir(c);
	}
}

static int
start(char *host, char *port)
{
	mfscfg cfg;

	memset(&cfg, 0, sizeof(cfg));
	cfg.masterhost = host;
	cfg.masterport = port;
	/* What the library takes as char * and leaves alone. */
	cfg.mountpoint = (char *)(uintptr_t) "/mfsops";
	cfg.masterpath = (char *)(uintptr_t) "/";
	cfg.read_cache_mb = cfg.write_cache_mb = 16;
	cfg.io_try_cnt = 3;
	cfg.error_on_lost_chunk = cfg.error_on_no_space = 1;
	return mfs_init(&cfg, 0);
}

/* What the library keeps of a start that failed ends with the program. */
static void
start_again(char **argv)
{
	static const char name[] = "MFSOPS_UNTIL";
	const struct timespec nap = { .tv_nsec = NAP_NS };
	const char *until = getenv(name);
	struct timespec t;
	char text[32];

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	(void)snprintf(text, sizeof(text), "%ld",
		(long)t.tv_sec + PATIENCE_SEC);
	if (until == NULL)
		(void)setenv(name, text, 1);
	else if (t.tv_sec > strtol(until, NULL, 10))
		return;
	(void)nanosleep(&nap, NULL);
	(void)execv("/proc/self/exe", argv);
}

static void
note_now(FILE *times)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	fprintf(times, "%ld%09ld\n", (long)t.tv_sec, t.tv_nsec);
}

int
main(int argc, char **argv)
{
	unsigned long count, rate, n;
	struct timespec t;
	char run[64];
	FILE *times;

	if (argc < 5 || argc > 7) {
		fputs("usage: mfsops HOST PORT DIR COUNT [PER_SECOND "
		      "[TIMES]]\n",
			stderr);
		return 2;
	}
	count = strtoul(argv[4], NULL, 10);
	rate = argc >= 6 ? strtoul(argv[5], NULL, 10) : 0;
	times = fopen(argc == 7 ? argv[6] : "/dev/null", "we");
	if (times == NULL || start(argv[1], argv[2]) < 0 ||
		(mfs_mkdir(argv[3], 0755) < 0 && errno != EEXIST)) {
		perror("mfsops");
		start_again(argv);
		return 1;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	(void)snprintf(run, sizeof(run), "%lx.%lx", (long)t.tv_sec, t.tv_nsec);
	fprintf(times, "%s\n", run);
	for (n = 0; n < count; n++) {
		note_now(times);
		if (one(argv[3], run, n) < 0)
			break;
		if (rate == 0)
			continue;
		t.tv_nsec += 1000000000 / (long)rate;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	}
	if (n < count)
		fprintf(stderr, "mfsops: operation %lu: %s\n", n,
			strerror(errno));
	else
		mfs_term();
	(void)fclose(times);
	printf("%lu\n", n);
	return n < count;
}
