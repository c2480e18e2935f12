/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention: which snapshots of a group a policy keeps, and why.
 *
 * Pure: times in, verdicts out.  The time that counts is that of receipt, as
 * the store tells it; what a client says of itself is not asked.
 */
#ifndef MODEL_RETENTION_H
#define MODEL_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"

enum period {
	PERIOD_LAST, /* each snapshot is one of its own */
	PERIOD_HOURLY,
	PERIOD_DAILY,
	PERIOD_WEEKLY, /* ISO 8601: from Monday */
	PERIOD_MONTHLY,
	PERIOD_YEARLY,
	PERIODS
};

/* Years, months, days, hours, of the calendar in local time: "1y5m7d2h". */
struct span {
	unsigned years, months, days, hours;
};
enum err span_parse(struct span *out, const char *text,
	struct error *err) MUST_CHECK;

struct retention {
	/* Of the newest n periods that have a snapshot, the newest snapshot
	 * each; UINT32_MAX: of all. */
	uint32_t keep[PERIODS];
	bool has_within[PERIODS]; /* PERIOD_LAST: every snapshot within */
	struct span within[PERIODS];
	/* keep_tags is asked for by the caller, see struct retained. */
};

bool retention_is_empty(const struct retention *policy);

struct retained {
	/* given */
	struct when received;
	bool pinned; /* kept in any case: held, or by tag */
	bool good; /* complete: it may be the last good one */
	/* made */
	bool keep;
	uint32_t why; /* 1 << enum period, of each rule that keeps it */
	uint32_t why_within; /* the same, for the within rules */
	bool last_good; /* kept only because of that */
};

/* One group, ascending by received.  now is the receipt of the newest
 * snapshot of the group: spans count back from it. */
void retention_apply(const struct retention *policy, struct retained *v,
	size_t n);

#endif /* MODEL_RETENTION_H */
