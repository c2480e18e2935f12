/* SPDX-License-Identifier: Apache-2.0 */
/* numbers: flags whose values are numbers and sizes. */
#ifndef CLI_NUMBERS_H
#define CLI_NUMBERS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "codec/kdf.h"

enum { WORKERS_MAX = 256 };

/* The cost of trying a passphrase. */
#define KDF_FLAGS                                        \
	{ "kdf-memory", 0, FLAG_TEXT, "SIZE",            \
		"Argon2id's memory (default: 64M)" },    \
	{                                                \
		"kdf-passes", 0, FLAG_TEXT, "N",         \
			"Argon2id's passes (default: 3)" \
	}

/* 1 to max; *out stays as it is where the flag was not given. */
enum err number_flag(const struct cli *c, const char *name, unsigned max,
	unsigned *out, struct error *err) MUST_CHECK;

/* A size in units of so many bytes, likewise. */
enum err number_size(const struct cli *c, const char *name, uint32_t unit,
	uint32_t *out, struct error *err) MUST_CHECK;

/* KDF_FLAGS, or their defaults. */
enum err number_kdf(struct kdf_cost *out, const struct cli *c,
	struct error *err) MUST_CHECK;

#endif /* CLI_NUMBERS_H */
