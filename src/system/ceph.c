/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph: connecting, pools and what is in them.
 *
 * A client of Ceph would write a log and listen on an administration socket
 * where the operator's ceph.conf says so, and complain on standard error; this
 * one does neither.
 */
#include <rbd/librbd.h>

#include "system/ceph.h"
#include "system/ceph_lib.h"
#include "system/ceph_patience.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list that grows each time it is asked for is not waited for for ever.  That
 * of a group comes in pages. */
enum { LIST_TRIES = 16, LIST_FIRST = 64, GROUP_PAGE = 1024 };

/* ---- connecting ---- */

/* Those with a name that this release does not know do no harm. */
static const char *const quiet[][2] = {
	{ "log_to_stderr", "false" },
	{ "err_to_stderr", "false" },
	{ "log_to_syslog", "false" },
	{ "err_to_syslog", "false" },
	{ "log_to_file", "false" },
	{ "log_file", "" },
	{ "admin_socket", "" },
	{ "log_max_recent", "100" },
};

static const char *const settings[][2] = {
	/* Reads and writes come in large pieces and once. */
	{ "rbd_cache", "false" },
	{ "rbd_parent_cache_enabled", "false" },
	{ "rbd_persistent_cache_mode", "disabled" },
	/* What is written is not ours to keep until it is. */
	{ "rbd_disable_zero_copy_writes", "true" },
	/* The smallest range reads as zeroes after it was told to. */
	{ "rbd_skip_partial_discard", "false" },
	/* Who waits for an image to be open is woken by another thread of
	 * librados than the one that opened it, and may have closed it before
	 * that one, in librbd 16, locks it once more: which ends the process.
	 * So there is no other thread. */
	{ "librados_thread_count", "1" },
};

static const char *const timeouts[] = {
	"client_mount_timeout",
	"rados_mon_op_timeout",
	"rados_osd_op_timeout",
	"rbd_request_timed_out_seconds",
};

/* A client asks for a newer map, and so finds a daemon that has come back, when
 * an operation has waited for objecter_timeout.  That must not be later than
 * the operation's end. */
static void
set_patience(struct ceph *c, unsigned seconds)
{
	unsigned late = seconds / 3, tick = seconds / 6;
	char text[24];

	late = late < 1 ? 1 : late > 10 ? 10 : late;
	tick = tick < 1 ? 1 : tick > 5 ? 5 : tick;
	(void)snprintf(text, sizeof(text), "%u", late);
	(void)c->lib->rados_conf_set(c->cluster, "objecter_timeout", text);
	(void)snprintf(text, sizeof(text), "%u", tick);
	(void)c->lib->rados_conf_set(c->cluster, "objecter_tick_interval",
		text);
}

static void
set_all(struct ceph *c, const char *const (*list)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)c->lib->rados_conf_set(c->cluster, list[i][0],
			list[i][1]);
}

static enum err
configure(struct ceph *c, const struct ceph_conf *conf, struct error *err)
{
	unsigned timeout =
		conf->timeout_sec != 0 ? conf->timeout_sec : CEPH_TIMEOUT;
	char seconds[24];
	int r;

	/* Twice: the file is read between, and may itself be wrong. */
	set_all(c, quiet, ARRAY_LEN(quiet));
	r = c->lib->rados_conf_read_file(c->cluster, conf->conf);
	if (r < 0)
		return ceph_fail(err, r, "cannot read %s",
			conf->conf != NULL ? conf->conf : "Ceph's ceph.conf");
	set_all(c, quiet, ARRAY_LEN(quiet));
	set_all(c, settings, ARRAY_LEN(settings));
	set_patience(c, timeout);
	c->timeout_sec = timeout;
	(void)snprintf(seconds, sizeof(seconds), "%u", timeout);
	for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
		r = c->lib->rados_conf_set(c->cluster, timeouts[i], seconds);
		if (r < 0)
			return ceph_fail(err, r, "cannot set %s", timeouts[i]);
	}
	if (conf->keyring == NULL)
		return ERR_OK;
	r = c->lib->rados_conf_set(c->cluster, "keyring", conf->keyring);
	return r < 0 ? ceph_fail(err, r, "keyring %s", conf->keyring) : ERR_OK;
}

static enum err
refused(int r, const char *user, struct error *err)
{
	switch (r) {
	case -ETIMEDOUT:
		return err_set(err, ERR_AGAIN,
			"no monitor of the Ceph cluster answered in time");
	case -ENOENT:
	case -EINVAL:
		return err_set(err, ERR_DENIED,
			"client.%s: no keyring has a usable key for it", user);
	case -EPERM:
	case -EACCES:
	case -EOPNOTSUPP:
		return err_set(err, ERR_DENIED,
			"client.%s: the Ceph cluster does not take its key",
			user);
	default:
		return ceph_fail(err, r, "client.%s: cannot connect to Ceph",
			user);
	}
}

static int
call_connect(struct ceph_call *call)
{
	return call->lib->rados_connect(call->cluster);
}

enum err
ceph_connect(struct ceph **out, const struct ceph_conf *conf, struct error *err)
{
	static const char prefix[] = "client.";
	const char *user = conf->user != NULL ? conf->user : "admin";
	struct ceph *c = calloc(1, sizeof(*c));
	struct ceph_call call = { .n = 0 };
	enum err e = ERR_OK;
	int r;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a connection");
	if (strncmp(user, prefix, sizeof(prefix) - 1) == 0)
		user += sizeof(prefix) - 1;
	e = ceph_lib_get(&c->lib, err);
	if (e != ERR_OK)
		goto out;
	r = c->lib->rados_create(&c->cluster, user);
	if (r < 0) {
		c->cluster = NULL;
		e = ceph_fail(err, r, "cannot be client.%s of Ceph", user);
		goto out;
	}
	e = configure(c, conf, err);
	if (e != ERR_OK)
		goto out;
	r = ceph_patiently(c, &call, call_connect, NULL);
	if (r < 0) {
		e = refused(r, user, err);
		goto out;
	}
	c->client = c->lib->rados_get_instance_id(c->cluster);
	r = c->lib->rados_cluster_fsid(c->cluster, c->fsid, sizeof(c->fsid));
	if (r < 0)
		e = ceph_fail(err, r, "cannot ask for the cluster's fsid");
out:
	if (e == ERR_OK)
		*out = c;
	else
		ceph_disconnect(c);
	return e;
}

void
ceph_disconnect(struct ceph *c)
{
	if (c == NULL)
		return;
	if (c->cluster != NULL)
		ceph_shut_patiently(c);
	free(c);
}

const char *
ceph_fsid(const struct ceph *c)
{
	return c->fsid;
}

/* ---- pools ---- */

static void
label_pool(struct ceph_pool *p)
{
	p->label[0] = '\0';
	ceph_label_add(p->label, p->name);
	if (p->ns[0] == '\0')
		return;
	ceph_label_add(p->label, "/");
	ceph_label_add(p->label, p->ns);
}

/* A user of one namespace may not be allowed to ask. */
static enum err
enter_ns(struct ceph_pool *p, struct error *err)
{
	bool exists = false;

	if (p->ns[0] == '\0')
		return ERR_OK;
	if (p->c->lib->rbd_namespace_exists(p->io, p->ns, &exists) == 0 &&
		!exists)
		return err_set(err, ERR_NOTFOUND,
			"%s: the pool has no such namespace", p->label);
	p->c->lib->rados_ioctx_set_namespace(p->io, p->ns);
	return ERR_OK;
}

static int
call_enter(struct ceph_call *call)
{
	return call->lib->rados_ioctx_create(call->cluster, call->text[0],
		&call->io);
}

static int
late_enter(struct ceph_call *call)
{
	call->lib->rados_ioctx_destroy(call->io);
	return 0;
}

enum err
ceph_pool_open(struct ceph_pool **out, struct ceph *c, const char *pool,
	const char *ns, struct error *err)
{
	struct ceph_pool *p = calloc(1, sizeof(*p));
	struct ceph_call call = { .text = { pool } };
	enum err e = ERR_OK;
	int r;

	if (p == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a pool");
	p->c = c;
	p->name = strdup(pool);
	p->ns = strdup(ns != NULL ? ns : "");
	if (p->name == NULL || p->ns == NULL) {
		e = err_set(err, ERR_NOMEM, "no memory for a pool");
		goto out;
	}
	label_pool(p);
	r = ceph_patiently(c, &call, call_enter, late_enter);
	if (r < 0) {
		e = r == -ENOENT ? err_set(err, ERR_NOTFOUND,
					   "%s: the cluster has no such pool",
					   p->label)
				 : ceph_fail(err, r, "pool %s", p->label);
		goto out;
	}
	p->io = call.io;
	/* A write to a full pool is refused then, and does not wait. */
	c->lib->rados_set_pool_full_try(p->io);
	e = enter_ns(p, err);
out:
	if (e == ERR_OK)
		*out = p;
	else
		ceph_pool_close(p);
	return e;
}

void
ceph_pool_close(struct ceph_pool *p)
{
	if (p == NULL)
		return;
	if (p->io != NULL && !p->c->lost)
		p->c->lib->rados_ioctx_destroy(p->io);
	free(p->name);
	free(p->ns);
	free(p);
}

const char *
ceph_pool_name(const struct ceph_pool *p)
{
	return p->name;
}

const char *
ceph_pool_ns(const struct ceph_pool *p)
{
	return p->ns;
}

/* ---- images of a pool ---- */

/* An array for n of what a list call has said that it needs. */
static enum err
make_room(void **list, size_t n, size_t each, struct error *err)
{
	free(*list);
	*list = calloc(n, each);
	return *list != NULL ? ERR_OK
			     : err_set(err, ERR_NOMEM,
				       "no memory for a list of %zu images", n);
}

enum err
ceph_each_image(struct ceph_pool *p, ceph_name_fn *fn, void *arg,
	struct error *err)
{
	const struct ceph_lib *lib = p->c->lib;
	rbd_image_spec_t *list = NULL;
	size_t n = LIST_FIRST;
	enum err e = ERR_OK;
	int r = -ERANGE;

	for (int i = 0; i < LIST_TRIES && r == -ERANGE; i++) {
		e = make_room((void **)&list, n + 1, sizeof(*list), err);
		if (e != ERR_OK)
			return e;
		n++;
		r = lib->rbd_list2(p->io, list, &n);
	}
	if (r < 0) {
		free(list);
		return ceph_fail(err, r, "%s: cannot list the images",
			p->label);
	}
	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = fn(arg, list[i].name, list[i].id, err);
	lib->rbd_image_spec_list_cleanup(list, n);
	free(list);
	return e;
}

/* ---- groups ---- */

static enum err
tell_member(struct ceph_pool *p, const rbd_group_image_info_t *image,
	ceph_name_fn *fn, void *arg, struct error *err)
{
	char pool[CEPH_NAME_MAX], *name;
	enum err e;
	int r;

	r = p->c->lib->rados_pool_reverse_lookup(p->c->cluster, image->pool,
		pool, sizeof(pool));
	if (r < 0)
		return ceph_fail(err, r, "%s: pool %lld of an image in a group",
			p->label, (long long)image->pool);
	/* A group lies in a namespace, and all of its images with it. */
	r = asprintf(&name, "%s%s%s/%s", pool, p->ns[0] != '\0' ? "/" : "",
		p->ns, image->name);
	if (r < 0)
		return err_set(err, ERR_NOMEM, "no memory for an image's name");
	e = fn(arg, name, NULL, err);
	free(name);
	return e;
}

/* The list of one that does not exist is empty, as librbd sees it. */
static enum err
group_exists(struct ceph_pool *p, const char *group, const char *label,
	struct error *err)
{
	size_t room = 4096, len = 0;
	char *names = NULL;
	bool found = false;
	int r = -ERANGE;

	for (int i = 0; i < LIST_TRIES && r == -ERANGE; i++) {
		free(names);
		names = calloc(1, room + 1);
		if (names == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for a list of groups");
		len = room;
		r = p->c->lib->rbd_group_list(p->io, names, &len);
		if (r == -ERANGE)
			room = len + 4096;
	}
	for (size_t at = 0; r >= 0 && at < len; at += strlen(names + at) + 1)
		found = found || strcmp(names + at, group) == 0;
	free(names);
	if (r < 0)
		return ceph_fail(err, r, "%s: cannot list the groups",
			p->label);
	return found ? ERR_OK
		     : err_set(err, ERR_NOTFOUND,
			       "group %s: there is no such group", label);
}

/* librbd 16 does not look whether a page of the list came: where one did not in
 * time, it tells of those before it, as if that were all. */
static int
list_group(struct ceph_pool *p, const char *group, rbd_group_image_info_t *list,
	size_t *n)
{
	double began = mono_sec();
	int r = p->c->lib->rbd_group_image_list(p->io, group, list,
		sizeof(*list), n);

	if (r < 0 || *n % GROUP_PAGE != 0 ||
		mono_sec() - began < p->c->timeout_sec)
		return r;
	(void)p->c->lib->rbd_group_image_list_cleanup(list, sizeof(*list), *n);
	return -ETIMEDOUT;
}

enum err
ceph_each_group_image(struct ceph_pool *p, const char *group, ceph_name_fn *fn,
	void *arg, struct error *err)
{
	const struct ceph_lib *lib = p->c->lib;
	rbd_group_image_info_t *list = NULL;
	size_t n = LIST_FIRST;
	char label[CEPH_LABEL_MAX];
	enum err e = ERR_OK;
	int r = -ERANGE;

	ceph_label_image(label, p, group);
	for (int i = 0; i < LIST_TRIES && r == -ERANGE; i++) {
		e = make_room((void **)&list, n + 1, sizeof(*list), err);
		if (e != ERR_OK)
			return e;
		n++;
		r = list_group(p, group, list, &n);
	}
	if (r < 0) {
		free(list);
		return ceph_fail(err, r, "group %s", label);
	}
	if (n == 0)
		e = group_exists(p, group, label, err);
	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = tell_member(p, &list[i], fn, arg, err);
	(void)lib->rbd_group_image_list_cleanup(list, sizeof(*list), n);
	free(list);
	return e;
}

static int
call_group_create(struct ceph_call *call)
{
	return call->lib->rbd_group_snap_create2(call->io, call->text[0],
		call->text[1], 0);
}

static int
call_group_remove(struct ceph_call *call)
{
	return call->lib->rbd_group_snap_remove(call->io, call->text[0],
		call->text[1]);
}

enum err
ceph_group_snap_create(struct ceph_pool *p, const char *group, const char *snap,
	struct error *err)
{
	struct ceph_call call = { .io = p->io, .text = { group, snap } };
	char label[CEPH_LABEL_MAX];
	int r = ceph_patiently(p->c, &call, call_group_create, NULL);

	ceph_label_image(label, p, group);
	return r < 0 ? ceph_fail(err, r, "group %s: cannot make a snapshot",
			       label)
		     : ERR_OK;
}

enum err
ceph_group_snap_remove(struct ceph_pool *p, const char *group, const char *snap,
	struct error *err)
{
	struct ceph_call call = { .io = p->io, .text = { group, snap } };
	char label[CEPH_LABEL_MAX];
	int r = ceph_patiently(p->c, &call, call_group_remove, NULL);

	ceph_label_image(label, p, group);
	return r < 0 ? ceph_fail(err, r, "group %s: cannot remove a snapshot",
			       label)
		     : ERR_OK;
}
