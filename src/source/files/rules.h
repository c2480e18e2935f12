/* SPDX-License-Identifier: Apache-2.0 */
/* rules: what the walk leaves out. */
#ifndef SOURCE_FILES_RULES_H
#define SOURCE_FILES_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/pattern.h"
#include "source/source.h"

/* A file that keeps what lies beside it out of the backup. */
struct tag {
	char *name;
	char *header; /* it must begin so; NULL: whatever it holds */
	size_t header_len;
};

enum { TAGS_MAX = 32, TAG_HEADER_MAX = 256 };

struct rules {
	struct patterns *patterns;
	struct tag tags[TAGS_MAX];
	size_t n_tags;
	uint64_t size_max; /* of files; 0: any */
	bool one_file_system;
};

/* From settings that were checked.  rules is zeroed; fini it also after an
 * error. */
enum err rules_init(struct rules *rules, const struct source_ops *ops,
	const struct source_conf *conf, struct error *err) MUST_CHECK;
void rules_fini(struct rules *rules);

/* Whether tag, which lies in the directory at, is what it must be. */
bool rules_tag_holds(const struct tag *tag, int at);

#endif /* SOURCE_FILES_RULES_H */
