/* SPDX-License-Identifier: Apache-2.0 */
/* policy: the flags that say which snapshots to keep. */
#ifndef CLI_POLICY_H
#define CLI_POLICY_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/cli.h"
#include "engine/forget.h"

#define POLICY_KEEP(name, what)                                           \
	{                                                                 \
		name, 0, FLAG_TEXT, "N", "the newest of the last N " what \
	}
#define POLICY_WITHIN(name, what)                                          \
	{                                                                  \
		name, 0, FLAG_TEXT, "SPAN", what " within SPAN (1y5m7d2h)" \
	}

#define POLICY_FLAGS                                                          \
	{ "keep-last", 0, FLAG_TEXT, "N",                                     \
		"the last N snapshots; N may be all" },                       \
		POLICY_KEEP("keep-hourly", "hours"),                          \
		POLICY_KEEP("keep-daily", "days"),                            \
		POLICY_KEEP("keep-weekly", "weeks"),                          \
		POLICY_KEEP("keep-monthly", "months"),                        \
		POLICY_KEEP("keep-yearly", "years"),                          \
		POLICY_WITHIN("keep-within", "all"),                          \
		POLICY_WITHIN("keep-within-hourly", "hourly ones"),           \
		POLICY_WITHIN("keep-within-daily", "daily ones"),             \
		POLICY_WITHIN("keep-within-weekly", "weekly ones"),           \
		POLICY_WITHIN("keep-within-monthly", "monthly ones"),         \
		POLICY_WITHIN("keep-within-yearly", "yearly ones"),           \
		{ "keep-tag", 0, FLAG_LIST, "TAG", "those with this tag" },   \
		{ "group-by", 0, FLAG_TEXT, "LIST",                           \
			"judge apart: identity,host,paths (default), tags" }, \
	{                                                                     \
		"time-from", 0, FLAG_TEXT, "store|record",                    \
			"whose time counts (default: store)"                  \
	}

enum { POLICY_TEXT_MAX = 1024 };

/* ERR_USAGE; policy_fini ends it in any case. */
enum err policy_fill(struct forget_conf *out, const struct cli *c,
	struct error *err) MUST_CHECK;
void policy_fini(struct forget_conf *conf);

/* The policy as it was given, "by name" where names were; cut where it is
 * long. */
void policy_text(char out[POLICY_TEXT_MAX], const struct cli *c);

#endif /* CLI_POLICY_H */
