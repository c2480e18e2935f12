/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceph_lib: the libraries are opened once and never closed: they have threads
 * and destructors of their own, and a program that spoke to a cluster once
 * will do so again.  Their names stay theirs (RTLD_LOCAL).
 */
#include <rbd/librbd.h>

#include "system/ceph_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct call {
	const char *name;
	size_t at; /* in struct ceph_lib */
};

#define X(name) { #name, offsetof(struct ceph_lib, name) },
static const struct call rados_calls[] = { CEPH_RADOS_CALLS(X) };
static const struct call rbd_calls[] = { CEPH_RBD_CALLS(X) };
#undef X

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct ceph_lib lib;
static struct error trouble = { .code = ERR_OK };

static enum err
load(const char *file, const struct call *calls, size_t n, struct error *err)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	const char *why;
	void *f;

	if (handle == NULL) {
		why = dlerror();
		return err_set(err, ERR_NOTFOUND,
			"Ceph needs %s on this machine (Debian: librbd1): %s",
			file, why != NULL ? why : "it cannot be loaded");
	}
	for (size_t i = 0; i < n; i++) {
		f = dlsym(handle, calls[i].name);
		if (f == NULL)
			return err_set(err, ERR_VERSION,
				"%s is older than Ceph 16: it has no %s", file,
				calls[i].name);
		memcpy((char *)&lib + calls[i].at, &f, sizeof(f));
	}
	return ERR_OK;
}

static void
load_both(void)
{
	if (load("librados.so.2", rados_calls, ARRAY_LEN(rados_calls),
		    &trouble) == ERR_OK)
		(void)load("librbd.so.1", rbd_calls, ARRAY_LEN(rbd_calls),
			&trouble);
}

enum err
ceph_lib_get(const struct ceph_lib **out, struct error *err)
{
	(void)pthread_once(&once, load_both);
	if (trouble.code != ERR_OK) {
		*err = trouble;
		return trouble.code;
	}
	*out = &lib;
	return ERR_OK;
}

void
ceph_label_add(char label[CEPH_LABEL_MAX], const char *text)
{
	static const char more[] = "...";
	size_t len = strlen(label), limit = CEPH_LABEL_MAX - sizeof(more) - 4;
	unsigned char c;

	for (; *text != '\0' && len < limit; text++) {
		c = (unsigned char)*text;
		if (c >= ' ' && c != 0x7f) {
			label[len++] = (char)c;
			continue;
		}
		len += (size_t)snprintf(label + len, CEPH_LABEL_MAX - len,
			"\\%03o", c);
	}
	if (*text == '\0')
		label[len] = '\0';
	else if (len < CEPH_LABEL_MAX - sizeof(more))
		memcpy(label + len, more, sizeof(more));
}

void
ceph_label_image(char label[CEPH_LABEL_MAX], const struct ceph_pool *p,
	const char *image)
{
	memcpy(label, p->label, CEPH_LABEL_MAX);
	ceph_label_add(label, "/");
	ceph_label_add(label, image);
}

static enum err
code_of(int errnum, const char **why)
{
	switch (errnum) {
	case ETIMEDOUT:
		*why = "the cluster did not answer in time";
		return ERR_AGAIN;
	case EBUSY:
		*why = "it is in use";
		return ERR_EXISTS;
	case ENOTEMPTY:
		*why = "it has snapshots";
		return ERR_EXISTS;
	case EROFS:
		*why = "it is read-only, or locked by another client";
		return ERR_DENIED;
	case ESHUTDOWN:
		*why = "the cluster shut this client out (blocklist)";
		return ERR_IO;
	case EPERM:
	case EACCES:
		*why = "the user's capabilities do not allow it";
		return ERR_DENIED;
	case ENOSPC:
		*why = "the cluster is full";
		return ERR_NOSPACE;
	case EDQUOT:
		*why = "the pool's quota is used up";
		return ERR_NOSPACE;
	case EOPNOTSUPP:
		*why = "this release of Ceph cannot do it";
		return ERR_VERSION;
	default:
		return ERR_OK;
	}
}

enum err
ceph_fail(struct error *err, int r, const char *fmt, ...)
{
	int errnum = r < 0 ? -r : EIO;
	const char *why = NULL;
	char what[480];
	enum err code;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	code = code_of(errnum, &why);
	if (code == ERR_OK)
		return err_sys(err, errnum, "%s", what);
	(void)err_set(err, code, "%s: %s", what, why);
	err->sys_errno = errnum;
	return code;
}

int
ceph_no_progress(uint64_t done, uint64_t total, void *arg)
{
	(void)done;
	(void)total;
	(void)arg;
	return 0;
}
