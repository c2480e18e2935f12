/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_mfs_master: a MooseFS master of a few hundred lines, as metaloggers see
 * it, in a thread of its own; it misbehaves as it is told.
 *
 *	f = fake_mfs_start();
 *	fake_mfs_changes(f, 100);
 *	fake_mfs_save(f, 5000);
 *	... connect to 127.0.0.1, fake_mfs_port(f) ...
 *	fake_mfs_stop(f);
 *
 * It knows registration types 1 and 2, replay, rotation, the downloads 1, 11
 * and 12, versions and signs of life, as 3.0.117 has them.  All functions are
 * for the test's thread; what they change counts at once.  What a client does
 * against the protocol ends its connection and is told by fake_mfs_seen.
 */
#ifndef TESTS_LIB_FAKE_MFS_MASTER_H
#define TESTS_LIB_FAKE_MFS_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_mfs;

enum fake_mfs_damage {
	FAKE_MFS_CRC, /* a bit of the data is another one */
	FAKE_MFS_OFF, /* the offset is another one */
	FAKE_MFS_SHORT, /* a byte less than was asked for */
	FAKE_MFS_LONG /* the block says it is longer than it is */
};

/* All zero: a master as it should be. */
struct fake_mfs_faults {
	uint64_t seed; /* of what is drawn */
	size_t piece_max; /* bytes sent at once, drawn; 0: as many as go */
	int piece_ms; /* between two pieces */
	uint64_t close_after; /* bytes sent on a connection; 0: never */
	bool refuse; /* hang up at once */
	bool mute; /* read, and say nothing */
	bool no_nops;
	bool no_image; /* as a new file system until its first save */
	unsigned damaged_block; /* of a download, from 1 on */
	enum fake_mfs_damage damage;
	uint64_t remembers; /* no replay from an id below */
	uint64_t logged; /* its log ends before this change; 0: it has all */
	bool no_version; /* as one that does not know the question */
	/* This answer of a download (1: its size, 2: the first block ...) and
	 * those behind it do not come, only signs of life do. */
	unsigned stall;
};

/* What clients did, since the start. */
struct fake_mfs_seen {
	unsigned connections, registrations, starts, ends, nops;
	uint64_t since; /* of the last registration; 0: type 1 */
	unsigned timeout_sec; /* likewise */
	uint32_t version; /* likewise */
	uint64_t image_bytes; /* asked for */
	size_t unsent; /* bytes that wait to be sent, now */
	char trouble[160]; /* against the protocol; "" where nothing is */
};

struct fake_mfs *fake_mfs_start(void);
/* The same at ::1; NULL where this machine has none. */
struct fake_mfs *fake_mfs_start6(void);
void fake_mfs_stop(struct fake_mfs *f);
uint16_t fake_mfs_port(const struct fake_mfs *f);
void fake_mfs_fault(struct fake_mfs *f, const struct fake_mfs_faults *faults);
void fake_mfs_seen(struct fake_mfs *f, struct fake_mfs_seen *out);

/* A change, or n of them made up.  The id of the (last) one. */
uint64_t fake_mfs_change(struct fake_mfs *f, const char *text);
uint64_t fake_mfs_changes(struct fake_mfs *f, unsigned n);
/* Its file's line without the LF; NULL where there is none. */
const char *fake_mfs_text(struct fake_mfs *f, uint64_t id);
/* The id of the next change: more leaves a hole, less went back, and what was
 * from there on is gone. */
void fake_mfs_renumber(struct fake_mfs *f, uint64_t next);
void fake_mfs_rotate(struct fake_mfs *f);

/* The image of now, with a section of so many bytes; in force until the next.
 * Without one the master has the eight bytes of a new file system. */
void fake_mfs_save(struct fake_mfs *f, size_t bytes);
/* Any bytes as the image. */
void fake_mfs_image(struct fake_mfs *f, const void *data, size_t len);
/* Another file system, without changes: what there was is gone. */
void fake_mfs_replace(struct fake_mfs *f, uint64_t metaid);

/* These bytes to all who are connected. */
void fake_mfs_raw(struct fake_mfs *f, const void *data, size_t len);
void fake_mfs_hang_up(struct fake_mfs *f);

#endif /* TESTS_LIB_FAKE_MFS_MASTER_H */
