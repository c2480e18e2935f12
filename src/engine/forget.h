/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forget: what a policy would forget, and why; nothing is changed here.
 *
 *   forget_plan -> look at groups, verdicts and damaged -> forget_plan_fini
 *
 * Snapshots are grouped, and each group is judged by itself, by the times at
 * which the store received its snapshots.  A repository that was copied file
 * by file has lost these times, and a store whose clock was wrong has wrong
 * ones; a group where this shows is refused, unless the snapshots' own times
 * are asked for.
 */
#ifndef ENGINE_FORGET_H
#define ENGINE_FORGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/select.h"
#include "model/retention.h"
#include "repo/epoch.h"
#include "repo/marks.h"
#include "repo/repo.h"

enum group_by {
	GROUP_IDENTITY = 1, /* whose key has signed it */
	GROUP_HOST = 2,
	GROUP_PATHS = 4,
	GROUP_TAGS = 8,
	GROUP_DEFAULT = GROUP_IDENTITY | GROUP_HOST | GROUP_PATHS
};

struct forget_conf {
	struct retention policy;
	struct strings keep_tags; /* those with any of these are kept */
	unsigned group_by;
	/* The time that the record tells (which "backup --time" sets), where
	 * that is before the receipt. */
	bool time_from_record;
};

struct verdict {
	const struct snapshot *snap;
	size_t group;
	struct retained r;
	const char *tag; /* of keep_tags, for which it is kept, or NULL */
	const struct mark *held; /* or NULL */
};

/* Why a group is not judged: its times of receipt mean nothing. */
enum refusal {
	REFUSED_NOT,
	REFUSED_COPIED, /* all at once, though made on different days */
	REFUSED_FUTURE /* one lies ahead of now */
};

/* Verdicts [first, first + n), ascending by time. */
struct forget_group {
	size_t first, n;
	enum refusal refused;
};

/* Snapshots whose record cannot be read; never judged. */
struct damaged {
	struct snapshot_name name;
	struct error why;
};

struct forget_plan {
	struct snapshot_list list;
	struct marks marks;
	struct verdict *v;
	size_t n;
	struct forget_group *groups;
	size_t n_groups;
	struct damaged *damaged;
	size_t n_damaged;
};

/* Those that the filter leaves; its bad is not asked.  An empty policy keeps
 * all. */
enum err forget_plan(struct forget_plan *out, struct repo *r,
	const struct snapshot_filter *filter, const struct forget_conf *conf,
	struct error *err) MUST_CHECK;
void forget_plan_fini(struct forget_plan *p);

/* Whether the verdict is to forget it. */
bool forget_goes(const struct forget_plan *p, const struct verdict *v);

/*
 * Whether forgetting the verdicts for which going[i] is set would take the
 * last good snapshot of a group: *which is then one of them.
 */
bool forget_takes_last(const struct forget_plan *p, const bool *going,
	size_t *which);

#endif /* ENGINE_FORGET_H */
