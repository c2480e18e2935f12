/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datadir: the DATA_PATH of a master or a metalogger on disk, as a journal.
 *
 * Of the images the one with the highest version counts; the lines of all
 * logs from there on are merged by id, whatever the files are called and
 * however much they have in common.  What is torn or no line is left out and
 * noted; changes that no file has, two texts for one change and two file
 * systems are refused.  A master may go on meanwhile: the end of an hour is
 * noticed.
 */
#ifndef SOURCE_MOOSEFS_DATADIR_H
#define SOURCE_MOOSEFS_DATADIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "source/moosefs/journal.h"

struct datadir_conf {
	const char *path;
	bool partial; /* up to a hole is enough */
	void (*note)(void *arg, const char *sentence);
	void *arg;
};

/* Into an empty journal, whose base becomes a link to the image.  *id: of the
 * file system; *complete false: it ends before a hole. */
enum err datadir_load(const struct datadir_conf *conf, struct journal *j,
	uint64_t *id, bool *complete, struct error *err) MUST_CHECK;

#endif /* SOURCE_MOOSEFS_DATADIR_H */
