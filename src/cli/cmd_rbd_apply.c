/* SPDX-License-Identifier: Apache-2.0 */
/* rbd-diff apply: a raw image made of differences. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "base/fsx.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/outfile.h"
#include "cli/rbd_files.h"
#include "format/rbd_apply.h"

enum { COPY = 1 << 20 };

struct applying {
	struct cli *c;
	int fd;
	const char *name;
	bool blank;
	struct rbd_chain chain;
	struct rbd_apply_figures figures;
};

/* What the chain begins with must be there. */
static enum err
check_first(const struct applying *a, const struct rbd_diff_head *h,
	const char *path, struct error *err)
{
	if (a->chain.name != NULL)
		return ERR_OK;
	if (h->from != NULL && a->blank)
		return err_set(err, ERR_USAGE,
			"%s begins at snapshot '%.60s': it needs an image as "
			"of "
			"then (--base or --in-place)",
			path, h->from);
	if (h->from == NULL && !a->blank)
		return err_set(err, ERR_USAGE,
			"%s is a full difference: it needs no image to begin "
			"with",
			path);
	return ERR_OK;
}

static enum err
apply_file(struct applying *a, const char *path, struct error *err)
{
	struct rbd_file *f = NULL;
	struct rbd_diff *d = NULL;
	enum err rc = rbd_files_open(&f, path, false, err);

	while (rc == ERR_OK) {
		rc = rbd_file_next(f, &d, err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "%s", path);
		if (rc != ERR_OK || d == NULL)
			break;
		rc = check_first(a, rbd_diff_head(d), path, err);
		if (rc == ERR_OK)
			rc = rbd_chain_add(&a->chain, rbd_diff_head(d), path,
				err);
		if (rc != ERR_OK)
			break;
		rc = rbd_apply(d, a->fd, a->name, a->blank, &a->figures, err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "%s", path);
		a->blank = false;
	}
	if (rc == ERR_OK)
		rc = rbd_files_trailing(a->c, f, path, err);
	rbd_file_close(f);
	return rc;
}

static enum err
apply_all(struct applying *a, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < a->c->n_operands && rc == ERR_OK; i++)
		rc = apply_file(a, a->c->operands[i], err);
	rbd_chain_fini(&a->chain);
	return rc;
}

/* Data of one file into another, holes left out. */
static enum err
copy_data(int from, int to, const char *name, uint64_t off, uint64_t end,
	struct error *err)
{
	uint8_t *room = malloc(COPY);
	enum err rc = ERR_OK;
	size_t n, got = 1;

	if (room == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	while (rc == ERR_OK && off < end && got > 0) {
		if (cli_stop)
			rc = err_set(err, ERR_CANCELLED, "interrupted");
		n = end - off < COPY ? (size_t)(end - off) : COPY;
		if (rc == ERR_OK)
			rc = fsx_pread(from, room, n, off, &got, name, err);
		if (rc == ERR_OK)
			rc = fsx_pwrite(to, room, got, off, name, err);
		off += got;
	}
	free(room);
	return rc;
}

static enum err
copy_sparse(int from, int to, const char *name, uint64_t size,
	struct error *err)
{
	off_t data = 0, hole;
	enum err rc = ERR_OK;

	if (ftruncate(to, (off_t)size) != 0)
		return err_sys(err, errno, "resize a copy of %s", name);
	while (rc == ERR_OK) {
		data = lseek(from, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return ERR_OK;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(err, errno, "seek in %s", name);
		rc = copy_data(from, to, name, (uint64_t)data, (uint64_t)hole,
			err);
		data = hole;
	}
	return rc;
}

static enum err
copy_base(int to, const char *path, struct error *err)
{
	struct stat st;
	enum err rc = ERR_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		rc = err_sys(err, errno, "open %s", path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(err, ERR_USAGE, "%s is not a regular file", path);
	else if (ioctl(to, FICLONE, fd) != 0)
		rc = copy_sparse(fd, to, path, (uint64_t)st.st_size, err);
	fsx_close(&fd);
	return rc;
}

static enum err
apply_new(struct applying *a, const char *to, const char *base,
	struct error *err)
{
	struct outfile out = { 0 };
	enum err rc = outfile_open(&out, to, err);

	if (rc == ERR_OK && base != NULL)
		rc = copy_base(out.fd, base, err);
	a->fd = out.fd;
	a->blank = base == NULL;
	if (rc == ERR_OK)
		rc = apply_all(a, err);
	if (rc == ERR_OK)
		rc = outfile_commit(&out, err);
	outfile_close(&out);
	return rc;
}

/* Nothing of the image is touched before all files are known to be whole. */
static enum err
check_before(const struct cli *c, struct error *err)
{
	struct rbd_chain chain = { NULL, NULL };
	enum err rc = ERR_OK;

	for (size_t i = 0; i < c->n_operands && rc == ERR_OK; i++) {
		if (strcmp(c->operands[i], "-") == 0)
			rc = err_set(err, ERR_USAGE,
				"--in-place reads its files twice, which "
				"standard input cannot");
		if (rc == ERR_OK)
			rc = rbd_files_check(c, c->operands[i], true, &chain,
				err);
	}
	rbd_chain_fini(&chain);
	return rc;
}

static enum err
apply_in_place(struct applying *a, const char *to, struct error *err)
{
	struct stat st;
	enum err rc = check_before(a->c, err);

	if (rc != ERR_OK)
		return rc;
	a->fd = open(to, O_RDWR | O_CLOEXEC);
	if (a->fd < 0 || fstat(a->fd, &st) != 0)
		rc = err_sys(err, errno, "open %s", to);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(err, ERR_USAGE, "%s is not a regular file", to);
	if (rc == ERR_OK)
		rc = apply_all(a, err);
	if (rc == ERR_OK && fsync(a->fd) != 0)
		rc = err_sys(err, errno, "sync %s", to);
	fsx_close(&a->fd);
	return rc;
}

static void
print_applied(const struct applying *a)
{
	char written[24], zeroed[24];
	struct jsonl *j;

	if (a->c->json) {
		j = jsonl_new("summary");
		jsonl_uint(j, "bytes_written", a->figures.bytes_written);
		jsonl_uint(j, "bytes_zeroed", a->figures.bytes_zeroed);
		jsonl_print(j, stdout);
	} else if (!a->c->quiet) {
		units_bytes(a->figures.bytes_written, written);
		units_bytes(a->figures.bytes_zeroed, zeroed);
		(void)printf("%s: %s written, %s zero\n", a->name, written,
			zeroed);
	}
}

static enum err
run_apply(struct cli *c, struct error *err)
{
	const char *to = flag_text(c, "to"), *base = flag_text(c, "base");
	struct applying a = { .c = c, .fd = -1, .name = to };
	enum err rc;

	if (to == NULL || strcmp(to, "-") == 0)
		return err_set(err, ERR_USAGE, "apply needs --to with a file");
	if (base != NULL && flag_on(c, "in-place"))
		return err_set(err, ERR_USAGE,
			"--in-place takes what is in --to for its base");
	rc = flag_on(c, "in-place") ? apply_in_place(&a, to, err)
				    : apply_new(&a, to, base, err);
	if (rc == ERR_OK)
		print_applied(&a);
	return rc;
}

static const struct flag apply_flags[] = {
	{ "to", 't', FLAG_TEXT, "RAW", "the raw image to make" },
	{ "base", 0, FLAG_TEXT, "RAW",
		"begin with a copy of this one, which is as of the first "
		"file's snapshot" },
	{ "in-place", 0, FLAG_BOOL, NULL, "begin with what --to holds" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_rbd_diff_apply = {
	.name = "rbd-diff apply",
	.operands = "FILE...",
	.summary = "Make a raw image of a chain of differences",
	.flags = apply_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_apply,
};
