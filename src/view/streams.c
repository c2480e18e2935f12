/* SPDX-License-Identifier: Apache-2.0 */
#include "view/streams.h"

#include <assert.h>
#include <string.h>

enum { HITS_MIN = 2, HITS_MAX = 32 };

static void
must(int rc)
{
	assert(rc == 0);
}

void
streams_init(struct streams *s, uint64_t window)
{
	*s = (struct streams){ .window = window };
	must(pthread_mutex_init(&s->lock, NULL));
}

void
streams_fini(struct streams *s)
{
	must(pthread_mutex_destroy(&s->lock));
}

static bool
belongs(const struct stream *st, uint64_t off, uint64_t slack)
{
	if (st->used == 0)
		return false;
	return off >= st->next ? off - st->next <= slack
			       : st->next - off <= slack;
}

/* The stream of a read, or the one that was not used for the longest time,
 * begun anew. */
static struct stream *
find(struct streams *s, uint64_t off, uint64_t slack)
{
	struct stream *oldest = &s->v[0];

	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (belongs(&s->v[i], off, slack))
			return &s->v[i];
		if (s->v[i].used < oldest->used)
			oldest = &s->v[i];
	}
	*oldest = (struct stream){ .next = off };
	return oldest;
}

static uint64_t
way_ahead(const struct streams *s, const struct stream *st, uint64_t len)
{
	uint64_t way = s->window;

	if (st->hits < HITS_MIN)
		return 0;
	return len < way >> st->hits ? len << st->hits : way;
}

bool
streams_note(struct streams *s, uint64_t off, uint64_t len, uint64_t *from,
	uint64_t *to)
{
	uint64_t slack = len < UINT64_MAX / STREAM_SLACK ? len * STREAM_SLACK
							 : UINT64_MAX;
	uint64_t end, way;
	struct stream *st;
	bool worth = false;

	if (len == 0 || s->window == 0 ||
		__builtin_add_overflow(off, len, &end))
		return false;
	must(pthread_mutex_lock(&s->lock));
	st = find(s, off, slack);
	st->used = ++s->clock;
	if (end > st->next) {
		st->next = end;
		if (st->hits < HITS_MAX)
			st->hits++;
	}
	way = way_ahead(s, st, len);
	*from = st->ahead > st->next ? st->ahead : st->next;
	/* In steps that are worth looking for the places. */
	if (way > 0 && !__builtin_add_overflow(st->next, way, to) &&
		*to > *from && *to - *from >= way / 4) {
		st->ahead = *to;
		worth = true;
	}
	must(pthread_mutex_unlock(&s->lock));
	return worth;
}

void
streams_stop(struct streams *s, uint64_t at, uint64_t to)
{
	must(pthread_mutex_lock(&s->lock));
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (s->v[i].ahead == to)
			s->v[i].ahead = at;
	}
	must(pthread_mutex_unlock(&s->lock));
}
