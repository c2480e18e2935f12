/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake: a source in memory whose files are as large, as sparse and as unsteady
 * as a test wants them, and a repository to back them up into.
 *
 *   fake_init -> fake_add ... -> fake_backup, fake_verify ... -> fake_fini
 *
 * What a file holds is computed from its seed and the offset, so size costs no
 * memory.  fake_outcome tells what a backup has to make of a file, from the
 * contract of source/source.h and engine/ingest.h alone.
 */
#ifndef TESTS_ENGINE_FAKE_H
#define TESTS_ENGINE_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/backup.h"
#include "source/source.h"
#include "tests/lib/repo_tools.h"

enum { FAKE_ATTEMPTS = 3, FAKE_XATTR_MAX = 60000, FAKE_XATTRS_MAX = 100 };

/* What happens while a file is read; zeroed: nothing. */
struct fake_trouble {
	unsigned changes; /* so many times settle tells of a change */
	bool resized; /* each open finds the next of sizes */
	uint64_t sizes[FAKE_ATTEMPTS];
	bool ends; /* reads end at end, whatever open told */
	uint64_t end;
	enum err open_code; /* opens fail from this attempt on */
	unsigned open_from;
	enum err read_code; /* reads that reach this offset fail */
	uint64_t read_from;
	enum err settle_code;
	bool short_reads;
	bool touched; /* open finds it changed just now */
	unsigned delay_us; /* of each open */
};

struct fake_file {
	char name[64]; /* a path without the leading slash */
	enum entry_type type;
	uint64_t seed, size;
	uint64_t data_run, hole_run; /* alternate; 0: no holes */
	bool hole_first;
	uint64_t ino, nlink;
	struct when time; /* both times */
	size_t xattrs_len; /* of all values; 0: no attributes */
	struct fake_trouble trouble;

	/* noted */
	unsigned n_opened, n_closed, n_problems;
	enum err problem;
};

/* What becomes of a file. */
struct fake_outcome {
	bool dropped, unreadable, changed;
	uint64_t size, seed;
};

struct fake {
	struct source base;
	struct fake_file **files; /* ascending by key */
	size_t n, cap;
	bool linked; /* some files have several names */
	const char *label; /* what the source calls itself */
	uint64_t dice; /* of sizes that are read and written */
	/* instead of the files, where it is set */
	enum err (
		*capture)(struct fake *f, struct sink *sink, struct error *err);
	void *capture_arg;
	unsigned n_freeze, n_thaw, n_kept;
	char job[17]; /* as the last freeze was told */
	enum err freeze_code;
	_Atomic unsigned n_readers; /* that are not closed */
	_Atomic bool frozen;
	_Atomic unsigned n_late; /* calls of readers that met it thawed */
	/* stop is set at that call of anything of the source; 0: never */
	uint64_t stop_at;
	_Atomic uint64_t n_calls;
	_Atomic bool stop;

	struct store *st;
	struct repo *repo;
	struct progress progress;
	struct report report;
	unsigned n_problems, n_notes;
	char note[512];
};

/* The chunker's defaults where small is false, else that of tool_init_conf. */
void fake_init(struct fake *f, bool small);
void fake_fini(struct fake *f);

/* Open the repository anew, as it is in st (which is taken over; NULL: the
 * same as before). */
void fake_reopen(struct fake *f, struct store *st);

/* A file of that name and size; its seed is made from both.  It belongs to f
 * and may be changed. */
struct fake_file *fake_add(struct fake *f, const char *name, uint64_t size);
void fake_remove(struct fake *f, const char *name);
struct fake_file *fake_find(struct fake *f, const char *name);

struct bytes fake_key(const char *name, uint8_t room[128]);

/* Bytes [off, off + len) of what such a file holds. */
void fake_content(const struct fake_file *file, uint64_t seed, uint64_t off,
	uint8_t *out, size_t len);

struct fake_outcome fake_outcome(const struct fake_file *file);

/* conf may be NULL.  What the files note is reset.  snap was initialised. */
enum err fake_backup(struct fake *f, const struct backup_conf *conf,
	struct snapshot *snap, struct error *err);
void fake_backup_ok(struct fake *f, struct snapshot *snap);

/*
 * The snapshot is what the outcomes of all files say: entries, marks, every
 * byte; problems were told once each.
 */
void fake_verify(struct fake *f, const struct snapshot *snap);

/* The entry of that name, with what it borrows in val; false where there is
 * none. */
bool fake_entry(struct fake *f, const struct snapshot *snap, const char *name,
	struct entry *e, struct buf *val);

#endif /* TESTS_ENGINE_FAKE_H */
