/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsx: system calls on files as they are meant: whole, restarted after
 * signals, with the name of the thing in the error.
 */
#ifndef BASE_FSX_H
#define BASE_FSX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

/* what names the file in messages. */
enum err fsx_write(int fd, const void *data, size_t len, const char *what,
	struct error *err) MUST_CHECK;
enum err fsx_pwrite(int fd, const void *data, size_t len, uint64_t off,
	const char *what, struct error *err) MUST_CHECK;

/* Up to len bytes; *got < len only at the end of the file. */
enum err fsx_read(int fd, void *data, size_t len, size_t *got, const char *what,
	struct error *err) MUST_CHECK;
enum err fsx_pread(int fd, void *data, size_t len, uint64_t off, size_t *got,
	const char *what, struct error *err) MUST_CHECK;

/* The rest of fd appended to out; a file larger than out->max: ERR_NOMEM. */
enum err fsx_read_all(int fd, struct buf *out, const char *what,
	struct error *err) MUST_CHECK;

/* fsync of a directory, so that the names in it are durable. */
enum err fsx_sync_dir(int dirfd, const char *what,
	struct error *err) MUST_CHECK;

/* Create every missing directory of path, mode as given; existing is fine. */
enum err fsx_mkdirs(const char *path, mode_t mode,
	struct error *err) MUST_CHECK;

/* Close *fd unless it is negative, and set it to -1. */
void fsx_close(int *fd);

/* Raise the soft limit of open files to the hard one; the result. */
size_t fsx_raise_nofile(void);

#endif /* BASE_FSX_H */
