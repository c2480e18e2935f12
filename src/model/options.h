/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: what a driver lets people set, and what they have set.
 *
 * A driver has a table of struct option_spec that ends with a NULL name;
 * settings come from "-o name=value" or from a job.  settings_check looks at
 * them once, and what is asked afterwards cannot fail.
 */
#ifndef MODEL_OPTIONS_H
#define MODEL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum option_type {
	OPTION_BOOL, /* "yes", "no" */
	OPTION_TEXT,
	OPTION_LIST, /* text that may be given several times */
	OPTION_SIZE, /* bytes, with K, M, G, T */
	OPTION_NUMBER
};

struct option_spec {
	const char *name; /* as in -o name=value and in YAML */
	enum option_type type;
	const char *fallback; /* text of the default; NULL: none */
	const char *help; /* one line */
};

struct setting {
	const char *name;
	const char *value;
};

/* Borrowed. */
struct settings {
	const struct setting *v;
	size_t n;
};

/* Names, types and repetition of every setting; who ("source rbd") is named
 * in the message.  ERR_USAGE. */
enum err settings_check(const struct settings *s,
	const struct option_spec *specs, const char *who,
	struct error *err) MUST_CHECK;

/* The last setting of name, or the option's default, or NULL. */
const char *settings_text(const struct settings *s,
	const struct option_spec *specs, const char *name);
bool settings_bool(const struct settings *s, const struct option_spec *specs,
	const char *name);
/* Of an OPTION_SIZE or OPTION_NUMBER; 0 where it has neither setting nor
 * default. */
uint64_t settings_number(const struct settings *s,
	const struct option_spec *specs, const char *name);

#endif /* MODEL_OPTIONS_H */
