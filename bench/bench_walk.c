/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_walk PATH [LIST-THREADS [ROUNDS]]: the files source into a sink that
 * wants nothing, as an unchanged backup does, and the entries per second.
 * To be compared with
 *   find PATH -printf '%p %s %T@ %C@ %m %U %G %i\n' >/dev/null
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/time.h"
#include "source/source.h"

struct null_sink {
	struct sink base;
	uint64_t n, n_problems, bytes;
};

static enum err
null_offer(struct sink *s, struct bytes key, const struct entry *e, bool *done,
	struct error *err)
{
	struct null_sink *ns = container_of(s, struct null_sink, base);

	(void)err;
	ns->n++;
	ns->bytes += e->size + key.len;
	*done = true;
	return ERR_OK;
}

static void
null_problem(struct sink *s, struct bytes key, const struct error *why)
{
	struct null_sink *ns = container_of(s, struct null_sink, base);

	(void)key;
	(void)fprintf(stderr, "%s\n", why->msg);
	ns->n_problems++;
}

static const struct sink_ops null_ops = {
	.offer = null_offer,
	.problem = null_problem,
};

static double
cpu_sec(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static enum err
round_trip(const struct source_conf *conf, struct error *err)
{
	struct null_sink sink = { .base.ops = &null_ops };
	const struct source_ops *ops = source_driver("files");
	double wall = mono_sec(), cpu = cpu_sec();
	struct source *src;
	struct rusage u;
	enum err rc;

	rc = source_conf_check(ops, conf, err);
	if (rc == ERR_OK)
		rc = ops->open(&src, conf, err);
	if (rc != ERR_OK)
		return rc;
	rc = ops->capture(src, &sink.base, err);
	ops->close(src);
	wall = mono_sec() - wall;
	cpu = cpu_sec() - cpu;
	(void)getrusage(RUSAGE_SELF, &u);
	printf("%" PRIu64 " entries, %" PRIu64
	       " problems, %.1f ms, %.2f M/s, %.1f ms of CPU, %ld MB\n",
		sink.n, sink.n_problems, wall * 1e3,
		(double)sink.n / wall * 1e-6, cpu * 1e3, u.ru_maxrss / 1024);
	return rc;
}

int
main(int argc, char **argv)
{
	struct setting threads = { "list-threads", argc > 2 ? argv[2] : "2" };
	const char *path = argc > 1 ? argv[1] : "/usr";
	const struct source_conf conf = { &path, 1, &threads, argc > 2 };
	int rounds = argc > 3 ? atoi(argv[3]) : 5;
	struct error err = ERROR_INIT;

	for (int i = 0; i < rounds; i++) {
		if (round_trip(&conf, &err) != ERR_OK) {
			(void)fprintf(stderr, "%s\n", err.msg);
			return 1;
		}
	}
	return 0;
}
