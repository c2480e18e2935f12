/* SPDX-License-Identifier: Apache-2.0 */
/* select: which snapshots are meant. */
#ifndef ENGINE_SELECT_H
#define ENGINE_SELECT_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/snapshot.h"
#include "repo/epoch.h"
#include "repo/repo.h"

/* Empty fields do not restrict. */
struct snapshot_filter {
	const char *host;
	const char *uid; /* hexadecimal digits that it begins with; others are
			  * not even read */
	struct strings tags; /* all of them */
	struct strings sources; /* all of them, as "files:/etc" or "/etc" */
	/* Told of a record that is damaged or too new, which is then passed
	 * over; NULL: the first one is an error. */
	void (*bad)(void *arg, const struct error *why);
	/* The same with its uid, instead of bad. */
	void (*bad_uid)(void *arg, const struct snapshot_name *name,
		const struct error *why);
	void *bad_arg;
	bool forgotten; /* only those that are; else only those that are not */
};

struct snapshot_list {
	struct snapshot *v; /* ascending by begin, then uid */
	size_t n;
};

enum err snapshot_list_load(struct snapshot_list *out, struct repo *r,
	const struct snapshot_filter *filter, struct error *err) MUST_CHECK;
void snapshot_list_fini(struct snapshot_list *list);

/*
 * "latest" (of those the filter leaves), or hexadecimal digits that begin
 * exactly one snapshot's uid.  ERR_NOTFOUND, ERR_USAGE where it is ambiguous.
 * Forgotten ones are not there.  out was initialised.
 */
enum err snapshot_select(struct snapshot *out, struct repo *r, const char *name,
	const struct snapshot_filter *filter, struct error *err) MUST_CHECK;

/*
 * Split "SNAPSHOT[:SUBPATH]" in place: *name is cut at the first colon,
 * *subpath points behind it or is NULL.
 */
void snapshot_split(char *spec, char **name, char **subpath);

#endif /* ENGINE_SELECT_H */
