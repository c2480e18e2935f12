/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive: what a master sends, into journals.
 *
 *   receive_open -> receive_once, or receive_start ... receive_stop
 *   -> receive_close
 *
 * The order of a connection is one in which nothing can be lost: the image,
 * the previous log, the current one, then live changes from the first one
 * that is not here.  What the logs say about changes that are here already
 * proves that this is the same history; another id, another text for a change
 * or lower ids begin a new generation, in a journal of its own.
 *
 * With receive_start a thread does so for ever and connects again; others ask
 * receive_state.  receive_once is a connection up to the end of the logs, in
 * the caller's thread.
 */
#ifndef SOURCE_MOOSEFS_RECEIVE_H
#define SOURCE_MOOSEFS_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/moosefs/lineup.h"
#include "source/source.h"

struct receive;

struct receive_conf {
	const char *host;
	uint16_t port;
	unsigned timeout_sec;
	unsigned image_sec; /* after the hour, until its image is fetched */
	const char *dir; /* of this master */
	void (*note)(void *arg, const char *sentence);
	void *arg;
};

struct receive_state {
	enum follow_health health;
	char why[256];
	struct when heard;
	unsigned changes; /* of health, so far */
	uint64_t connections; /* made so far */
};

enum err receive_open(struct receive **out, const struct receive_conf *conf,
	struct error *err) MUST_CHECK;
void receive_close(struct receive *r);

enum err receive_once(struct receive *r, struct error *err) MUST_CHECK;

enum err receive_start(struct receive *r, struct error *err) MUST_CHECK;
/* Makes durable what came. */
void receive_stop(struct receive *r);
void receive_state(struct receive *r, struct receive_state *out);

/* Its generations, which whoever seals asks.  What an earlier process left is
 * loaded before receive_start, and not where receive_once is to follow. */
struct lineup *receive_line(struct receive *r);

#endif /* SOURCE_MOOSEFS_RECEIVE_H */
