/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim [--seed N] [--runs N] [--steps N] [--total N] [--check-every N]
 *     [--trace] [--random] [--want] [--twice]
 *     [--late TEXT] [--sleep TEXT]
 *
 * Runs with the seeds N, N + 1, ...; each has so many steps.  --random begins
 * with a fresh seed.  --total: as many runs as it takes for so many steps.
 * --want: it is an error if something that can happen never did.  --twice:
 * each run is made twice, and must be the same.  --late, --sleep: puts of names
 * with TEXT in them often come late, or often wait for long.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/scale.h"
#include "tests/sim/sim.h"

struct options {
	struct sim_conf conf;
	uint64_t runs, total;
	bool want, twice;
};

static void
count(struct sim_counts *sum, const struct sim_counts *one)
{
#define X(name, wanted) sum->name += one->name;
	SIM_COUNTS(X)
#undef X
}

/* Whether everything wanted happened at least once. */
static bool
tell(const struct sim_counts *n)
{
	bool all = true;

#define X(name, wanted)                                   \
	(void)printf("%s %" PRIu64 "\n", #name, n->name); \
	all &= !(wanted) || n->name > 0;
	SIM_COUNTS(X)
#undef X
	return all;
}

/* The clock outside. */
static double
now_sec(void)
{
	struct timespec ts;

	(void)timespec_get(&ts, TIME_UTC);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		(void)fprintf(stderr, "sim: %s is not a number\n", text);
		exit(2);
	}
	return n;
}

static void
parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "runs", required_argument, NULL, 'r' },
		{ "steps", required_argument, NULL, 'n' },
		{ "total", required_argument, NULL, 'T' },
		{ "check-every", required_argument, NULL, 'c' },
		{ "trace", no_argument, NULL, 't' },
		{ "random", no_argument, NULL, 'R' },
		{ "want", no_argument, NULL, 'w' },
		{ "twice", no_argument, NULL, '2' },
		{ "late", required_argument, NULL, 'l' },
		{ "sleep", required_argument, NULL, 'z' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->conf.seed = number(optarg);
			break;
		case 'r':
			o->runs = number(optarg);
			break;
		case 'n':
			o->conf.steps = number(optarg);
			break;
		case 'T':
			o->total = number(optarg);
			break;
		case 'c':
			o->conf.check_every = number(optarg);
			break;
		case 't':
			o->conf.trace = true;
			break;
		case 'R':
			o->conf.seed = (uint64_t)time(NULL) * 1000003u +
				       (uint64_t)getpid();
			break;
		case 'l':
			o->conf.late = optarg;
			break;
		case 'z':
			o->conf.sleep = optarg;
			break;
		case 'w':
			o->want = true;
			break;
		case '2':
			o->twice = true;
			break;
		default:
			exit(2);
		}
	}
}

static void
run_all(struct options *o, struct sim_counts *sum)
{
	struct sim_counts one;
	uint64_t done = 0;

	for (uint64_t i = 0; i < o->runs || done < o->total; i++) {
		uint64_t hash = sim_run(&o->conf, &one);

		(void)printf("seed %" PRIu64 ": %" PRIu64
			     " steps, trace %016" PRIx64 "\n",
			o->conf.seed, one.steps, hash);
		(void)fflush(stdout);
		if (o->twice && sim_run(&o->conf, &one) != hash) {
			(void)fprintf(stderr, "sim: the second run with the "
					      "same seed was another one\n");
			exit(1);
		}
		count(sum, &one);
		done += one.steps;
		o->conf.seed++;
	}
}

int
main(int argc, char **argv)
{
	struct options o = {
		.conf = { .seed = 1, .steps = 5000, .check_every = 64 },
		.runs = 1
	};
	struct sim_counts sum = { 0 };
	char dir[] = "/tmp/coffer-sim-XXXXXX";
	double begun;
	bool all;

	parse(&o, argc, argv);
	o.runs = test_scale(o.runs);
	begun = now_sec();
	if (mkdtemp(dir) == NULL) {
		perror(dir);
		return 1;
	}
	o.conf.dir = dir;
	run_all(&o, &sum);
	all = tell(&sum);
	(void)printf("%.0f steps/s\n",
		(double)sum.steps / (now_sec() - begun + 0.001));
	(void)rmdir(dir);
	if (o.want && !all) {
		(void)fprintf(stderr,
			"sim: something never happened, see above\n");
		return 1;
	}
	return 0;
}
