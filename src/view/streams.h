/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams: who reads front to back, and how far ahead of them to fetch.
 *
 * Several streams are followed at once, because programs that copy read an
 * image in as many places as they have connections.  A read belongs to a
 * stream when it begins within STREAM_SLACK of its own lengths of where the
 * stream has come to, since requests that are answered side by side do not
 * come in order.  The way ahead begins with what was read last and doubles
 * with each read, up to window.
 *
 * Any number of threads.
 */
#ifndef VIEW_STREAMS_H
#define VIEW_STREAMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { STREAMS_MAX = 16, STREAM_SLACK = 32 };

struct stream {
	uint64_t next; /* behind the farthest read */
	uint64_t ahead; /* to where it was told to fetch */
	unsigned hits;
	uint64_t used; /* 0: no stream */
};

struct streams {
	pthread_mutex_t lock;
	uint64_t window, clock;
	struct stream v[STREAMS_MAX];
};

void streams_init(struct streams *s, uint64_t window);
void streams_fini(struct streams *s);

/* [off, off + len) was read.  True where [*from, *to) is worth fetching: it is
 * then the caller's to fetch, and nobody is told of it again. */
bool streams_note(struct streams *s, uint64_t off, uint64_t len, uint64_t *from,
	uint64_t *to);

/* Of a range that was told only [from, at) will be fetched. */
void streams_stop(struct streams *s, uint64_t at, uint64_t to);

#endif /* VIEW_STREAMS_H */
