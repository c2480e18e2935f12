/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datadir: the DATA_PATH of a master or a metalogger on disk, as a journal.
 *
 * Of the images the one with the highest version counts; the lines of all
 * logs are merged by id.  What is torn at the end of a file is left out and
 * noted; a hole, two histories or two file systems are refused.
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
