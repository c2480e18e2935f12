/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern: gitignore rules (gitignore(5)), compiled once, matched many times.
 *
 * The last rule that matches decides; '!' negates; a rule with a slash other
 * than at its end is anchored at base, others match at any depth; a trailing
 * slash restricts to directories; '**' crosses directories.  As in git, what
 * lies below an excluded directory cannot be brought back: the caller does
 * not descend, or asks pattern_match_path, which looks at every parent.
 *
 * Bytes, not characters; '?' and classes match one byte.  Matching takes
 * time linear in the product of rule and name, never more.
 */
#ifndef MODEL_PATTERN_H
#define MODEL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct patterns;

enum err patterns_new(struct patterns **out, struct error *err) MUST_CHECK;
void patterns_free(struct patterns *ps);

/* One rule as a line of a .gitignore; blank lines and comments add nothing. */
enum err patterns_add(struct patterns *ps, const char *rule,
	struct error *err) MUST_CHECK;
/* Every line of the file. */
enum err patterns_add_file(struct patterns *ps, const char *file,
	struct error *err) MUST_CHECK;
bool patterns_empty(const struct patterns *ps);

enum pattern_result { PATTERN_NONE, PATTERN_EXCLUDE, PATTERN_INCLUDE };

/* What the rules say of this key itself (model/path.h), parents not asked. */
enum pattern_result patterns_match(const struct patterns *ps,
	const uint8_t *key, size_t len, bool is_dir);

/* Whether the key or a parent of it is excluded. */
bool patterns_match_path(const struct patterns *ps, const uint8_t *key,
	size_t len, bool is_dir);

#endif /* MODEL_PATTERN_H */
