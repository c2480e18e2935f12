/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk: hands the roots, what lies above them and what lies below them to a
 * sink, in the order of keys.
 */
#ifndef SOURCE_FILES_WALK_H
#define SOURCE_FILES_WALK_H

#include "base/compiler.h"
#include "base/err.h"
#include "source/files/dirs.h"
#include "source/files/names.h"
#include "source/files/roots.h"
#include "source/files/rules.h"
#include "source/source.h"

struct walk_conf {
	struct dirs *dirs;
	struct names *names;
	const struct rules *rules;
	const struct roots *roots; /* settled */
	unsigned n_threads; /* that look ahead; 0: none */
};

/* ERR_NOTFOUND where no root exists; an error of the sink. */
enum err walk_run(const struct walk_conf *conf, struct sink *sink,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_FILES_WALK_H */
