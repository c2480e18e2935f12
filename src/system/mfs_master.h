/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_master: a connection to a MooseFS master, as a metalogger has it (port
 * 9419; nothing there is authenticated or encrypted).
 *
 *   mfs_connect -> mfs_step, again and again -> mfs_close
 *   in between: mfs_fetch (an image or a log), mfs_register (live lines)
 *
 * One thread.  mfs_step waits for at most so long, sends what is due (requests,
 * keep-alive), takes what has come and calls the owner for each thing whole.
 * Downloads, lines, keep-alive and rotation are interleaved by the master as
 * it likes; this is one state machine for all of them.
 *
 * Bytes from the master are hostile: packets of up to MFS_PACKET_MAX are taken,
 * unknown ones and those of a wrong size end the connection with ERR_CORRUPT.
 * Silence beyond the timeout is ERR_AGAIN, so are a download that does not get
 * on for MFS_STALL_TIMES timeouts, and a refused or a broken connection; a host
 * name that does not exist is ERR_NOTFOUND.  After any of
 * these all calls fail likewise: close, and connect again.
 *
 * Source: the protocol as spoken by mfsmaster 2.0.91, 3.0.117 and 4.59.2; we
 * present ourselves as 3.0.117, with which all of them behave alike.
 */
#ifndef SYSTEM_MFS_MASTER_H
#define SYSTEM_MFS_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum {
	MFS_PORT = 9419,
	MFS_PACKET_MAX = 1500000,
	MFS_BLOCK_MAX = 1000000, /* of a download, at a time */
	MFS_TIMEOUT_SEC = 10,
	MFS_STALL_TIMES = 3
};

enum mfs_file { /* their numbers on the wire */
	MFS_IMAGE = 1,
	MFS_LOG_CURRENT = 11, /* as it was when the image was asked for */
	MFS_LOG_PREVIOUS = 12
};

struct mfs_master;

/*
 * Any result but ERR_OK ends the step with it; the event counts as told, and
 * the next step goes on behind it.  NULL: not of interest.  An event may call
 * mfs_register and, where no download is under way, mfs_fetch.
 */
struct mfs_events {
	void *arg;
	/* A change: text without its NUL, borrowed, at most 199,999 bytes of
	 * anything; ids as the master numbers them. */
	enum err (*change)(void *arg, uint64_t id, const char *text, size_t len,
		struct error *err);
	/* The hour is over. */
	enum err (*rotate)(void *arg, struct error *err);
	/* Of the download under way.  exists false: the master has none, and
	 * the download is over without data or end; a log that does not exist
	 * yet has size 0. */
	enum err (*begin)(void *arg, enum mfs_file file, bool exists,
		uint64_t size, struct error *err);
	enum err (*data)(void *arg, enum mfs_file file, uint64_t off,
		const void *data, size_t len, struct error *err);
	enum err (*end)(void *arg, enum mfs_file file, struct error *err);
};

struct mfs_connect_conf {
	const char *host; /* a name, IPv4 or IPv6; resolved at each call */
	uint16_t port;
	unsigned timeout_sec; /* 0: MFS_TIMEOUT_SEC */
	struct mfs_events events;
};

/* Waits for the resolver, and for each address at most three seconds. */
enum err mfs_connect(struct mfs_master **out,
	const struct mfs_connect_conf *conf, struct error *err) MUST_CHECK;
void mfs_close(struct mfs_master *m);

/* The master's version, as 3.0.117 is 0x00030075, or 0 where it does not tell.
 * On a connection of its own. */
enum err mfs_version(const struct mfs_connect_conf *conf, uint32_t *version,
	struct error *err) MUST_CHECK;

/* Begin a download; one at a time.  The image comes first: the logs are those
 * that the master had at that moment.  Works before registering, too. */
enum err mfs_fetch(struct mfs_master *m, enum mfs_file file,
	struct error *err) MUST_CHECK;
/* The same of its first max bytes at most; begin tells the whole size. */
enum err mfs_fetch_part(struct mfs_master *m, enum mfs_file file, uint64_t max,
	struct error *err) MUST_CHECK;
bool mfs_is_fetching(const struct mfs_master *m);

/* Live lines from now on; once for a connection.  since 0: from the next one
 * on.  Else the master replays from that id, if it remembers so far: it does
 * not say when it does not, the first id tells. */
enum err mfs_register(struct mfs_master *m, uint64_t since,
	struct error *err) MUST_CHECK;

/*
 * Wait for at most wait_ms (less than 0: until something is due), then take
 * all that has come, or about a megabyte of it: then the next step does not
 * wait.  Where changes come one upon the other it waits two milliseconds more,
 * unless wait_ms is 0, to take several.  It may end sooner, without any event,
 * as where a signal came.  To be called again within a third of the timeout, or
 * the master hangs up.
 */
enum err mfs_step(struct mfs_master *m, int wait_ms,
	struct error *err) MUST_CHECK;

/* Since when (seconds) nothing has come of the master.  One that has registered
 * us gives signs of life three times in a timeout. */
double mfs_silent_sec(const struct mfs_master *m);

#endif /* SYSTEM_MFS_MASTER_H */
