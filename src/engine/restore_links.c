/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_links.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "engine/links.h"
#include "engine/restore_place.h"
#include "model/path.h"

struct restore_links {
	struct restoring *run;
	struct links *firsts; /* by the name that is not restored */
};

enum err
restore_links_new(struct restore_links **out, struct restoring *r,
	struct error *err)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	(*out)->run = r;
	return ERR_OK;
}

void
restore_links_free(struct restore_links *l)
{
	if (l == NULL)
		return;
	links_free(l->firsts);
	free(l);
}

enum err
restore_links_target(struct restore_links *l, struct bytes key,
	struct bytes first, bool in_scope, struct bytes *to, struct error *err)
{
	uint64_t hash[2];
	struct id id;
	enum err rc = ERR_OK;

	*to = first;
	if (in_scope)
		return ERR_OK;
	if (l->firsts == NULL)
		rc = links_new(&l->firsts, err);
	if (rc != ERR_OK)
		return rc;
	repo_data_id(l->run->repo, first.data, first.len, &id);
	memcpy(hash, id.b, sizeof(hash));
	rc = links_meet(l->firsts, hash[0], hash[1], key, to, err);
	/* Met in an earlier pass as the one that got the content. */
	if (rc == ERR_OK && to->data != NULL &&
		key_cmp(to->data, to->len, key.data, key.len) == 0)
		to->data = NULL;
	return rc;
}

/* ---- making one ---- */

/* The directory of the key to, from the target down, and its last name. */
static enum err
open_parent(struct rdir *dir, struct bytes to, int *out,
	char name[COMPONENT_MAX + 1], struct error *err)
{
	struct rdir *top = dir;
	size_t skip, n;
	int fd, next;
	enum err rc;

	while (top->parent != NULL)
		top = top->parent;
	skip = restore_dirs_root_len(top->all);
	rc = restore_dirs_pin(top, &fd, err);
	if (rc != ERR_OK)
		return rc;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	restore_dirs_unpin(top);
	skip += skip > 0;
	for (; fd >= 0; skip += n + 1) {
		const uint8_t *at = to.data + skip;
		const uint8_t *zero = memchr(at, 0, to.len - skip);

		n = zero != NULL ? (size_t)(zero - at) : to.len - skip;
		memcpy(name, at, n);
		name[n] = '\0';
		if (zero == NULL)
			break;
		next = restore_dirs_step(fd, name);
		fsx_close(&fd);
		fd = next;
	}
	*out = fd;
	return fd >= 0 ? ERR_OK
		       : err_sys(err, errno,
				 "open the directory of the name "
				 "that it is linked to");
}

struct ends {
	int from; /* directories */
	int to;
	const char *from_name;
	const char *to_name;
};

static bool
is_linked(const struct ends *n)
{
	struct stat a, b;

	return fstatat(n->from, n->from_name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(n->to, n->to_name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* By way of a temporary name, which replaces what is there at once. */
static enum err
replace(const struct restoring *r, const struct ends *n, struct error *err)
{
	char temp[RESTORE_TEMP_NAME];

	restore_goal_temp_name(r, n->from_name, temp);
	(void)unlinkat(n->from, temp, 0);
	if (linkat(n->to, n->to_name, n->from, temp, 0) != 0)
		return err_sys(err, errno, "link");
	if (renameat(n->from, temp, n->from, n->from_name) != 0) {
		(void)err_sys(err, errno, "rename it into its place");
		(void)unlinkat(n->from, temp, 0);
		return err->code;
	}
	return ERR_OK;
}

static enum err
make(struct restoring *r, const struct ends *n, enum how how, struct error *err)
{
	if (how != HOW_CREATE)
		return replace(r, n, err);
	if (linkat(n->to, n->to_name, n->from, n->from_name, 0) != 0)
		return err_sys(err, errno, "link");
	return ERR_OK;
}

static enum err
link_up(struct restoring *r, struct rdir *dir, const struct ends *n,
	const struct entry *e, struct error *err)
{
	enum change change;
	enum how how;
	enum err rc;

	if (is_linked(n)) {
		r->counts.entries_same += r->pass == PASS_LINKS;
		return ERR_OK;
	}
	rc = restore_place(r, dir, n->from_name, e, &how, &change, err);
	if (rc != ERR_OK || how == HOW_LEAVE)
		return rc;
	if (r->pass == PASS_VERIFY)
		return err_set(err, ERR_CORRUPT,
			"is no other name of the file that it should be");
	rc = make(r, n, how, err);
	r->counts.entries += rc == ERR_OK;
	return rc;
}

enum err
restore_links_make(struct restoring *r, struct rdir *dir, const char *name,
	struct bytes to, const struct entry *e, struct error *err)
{
	char to_name[COMPONENT_MAX + 1];
	struct ends n = { .to = -1, .from_name = name, .to_name = to_name };
	enum err rc;

	rc = open_parent(dir, to, &n.to, to_name, err);
	if (rc == ERR_OK)
		rc = restore_dirs_pin(dir, &n.from, err);
	if (rc == ERR_OK) {
		rc = link_up(r, dir, &n, e, err);
		restore_dirs_unpin(dir);
	}
	fsx_close(&n.to);
	return rc;
}
