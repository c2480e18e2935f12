/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: a main for a fuzz target, where libFuzzer is not linked.
 *
 * Runs the target over every file named on the command line, or in a
 * directory named there, and over MUTANTS seeded mutations of them.
 * REPLAY_SEED in the environment chooses another seed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"

enum { MUTANTS = 4000, INPUT_MAX = 1 << 16, INPUTS_MAX = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
	uint8_t *data;
	size_t len;
};

static struct input inputs[INPUTS_MAX];
static size_t n_inputs;

static void
die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void
add_file(const char *path)
{
	struct input *in = &inputs[n_inputs];
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		die(path);
	if (n_inputs == INPUTS_MAX) {
		fprintf(stderr, "more than %d inputs\n", INPUTS_MAX);
		exit(EXIT_FAILURE);
	}
	in->data = malloc(INPUT_MAX);
	if (in->data == NULL)
		die(path);
	in->len = fread(in->data, 1, INPUT_MAX, f);
	if (ferror(f))
		die(path);
	fclose(f);
	n_inputs++;
}

static void
add(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	char name[4096];

	if (dir == NULL) {
		add_file(path);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		add_file(name);
	}
	closedir(dir);
}

/* In memory of exactly this size, so that a sanitizer sees each byte too far
 * that is read. */
static void
run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		die("malloc");
	if (len > 0)
		memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static size_t
drop(struct prng *p, uint8_t *b, size_t len)
{
	size_t at = prng_below(p, len), n = 1 + prng_below(p, len - at);

	if (n > 16)
		n = 1 + n % 16;
	memmove(b + at, b + at + n, len - at - n);
	return len - n;
}

static size_t
repeat(struct prng *p, uint8_t *b, size_t len)
{
	size_t at = prng_below(p, len), n = 1 + prng_below(p, len - at);

	if (n > 64)
		n = 1 + n % 64;
	if (len + n > INPUT_MAX)
		return len;
	memmove(b + at + n, b + at, len - at);
	return len + n;
}

/* The end of another input over the end of this one. */
static size_t
splice(struct prng *p, uint8_t *b, size_t len)
{
	const struct input *in = &inputs[prng_below(p, n_inputs)];
	size_t from = prng_below(p, in->len + 1), at = prng_below(p, len);
	size_t n = in->len - from;

	if (n > INPUT_MAX - at)
		n = INPUT_MAX - at;
	memcpy(b + at, in->data + from, n);
	return at + n;
}

static size_t
mutate(struct prng *p, uint8_t *b, size_t len)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40 };
	size_t at;

	if (len == 0) {
		prng_fill(p, b, 16);
		return 1 + prng_below(p, 16);
	}
	at = prng_below(p, len);
	switch (prng_below(p, 7)) {
	case 0:
		b[at] ^= (uint8_t)(1u << prng_below(p, 8));
		return len;
	case 1:
		b[at] = odd[prng_below(p, sizeof(odd))];
		return len;
	case 2:
		b[at] = (uint8_t)prng_next(p);
		return len;
	case 3:
		return drop(p, b, len);
	case 4:
		return repeat(p, b, len);
	case 5:
		return splice(p, b, len);
	default:
		return at;
	}
}

static void
run_mutants(uint64_t seed)
{
	static uint8_t b[INPUT_MAX];
	struct prng p;

	prng_init(&p, seed);
	for (unsigned i = 0; i < MUTANTS; i++) {
		const struct input *in = &inputs[prng_below(&p, n_inputs)];
		size_t len = in->len;

		memcpy(b, in->data, len);
		for (uint64_t n = 1 + prng_below(&p, 4); n > 0; n--)
			len = mutate(&p, b, len);
		run(b, len);
	}
}

int
main(int argc, char **argv)
{
	const char *text = getenv("REPLAY_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 1;

	for (int i = 1; i < argc; i++)
		add(argv[i]);
	if (n_inputs == 0) {
		inputs[0].data = calloc(1, INPUT_MAX);
		if (inputs[0].data == NULL)
			die("calloc");
		n_inputs = 1;
	}
	printf("%zu inputs, %d mutants, seed %llu\n", n_inputs, MUTANTS,
		(unsigned long long)seed);
	fflush(stdout);
	for (size_t i = 0; i < n_inputs; i++)
		run(inputs[i].data, inputs[i].len);
	run_mutants(seed);
	for (size_t i = 0; i < n_inputs; i++)
		free(inputs[i].data);
	return 0;
}
