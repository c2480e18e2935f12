/* SPDX-License-Identifier: Apache-2.0 */
/* export: an image of a snapshot as a file that other tools read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/opened.h"
#include "cli/outfile.h"
#include "cli/show.h"
#include "engine/select.h"
#include "model/path.h"
#include "view/export_rbd.h"

enum { STATES_MAX = 1024, ZEROES = 1 << 20 };

enum format { FORMAT_DIFF, FORMAT_EXPORT, FORMAT_RAW };

/* The image in one snapshot, and its name at Ceph. */
struct point {
	struct snapshot snap;
	struct export_image image;
	char id[UID_HEX + 1];
	bool found;
};

struct exporting {
	struct cli *c;
	struct opened o;
	enum format format;
	struct point *points; /* the last one is what is exported */
	struct export_state *states;
	size_t n;
	struct export_conf conf;
	struct outfile file;
	_Atomic uint64_t done;
};

/* ---- which images ---- */

static const char *
name_of(const struct point *p)
{
	const struct rbd_record *r = &p->image.record;

	return p->image.has_record && r->snap != NULL && r->snap[0] != '\0'
		       ? r->snap
		       : p->id;
}

/* A clone that was stored without its parent is no whole image. */
static enum err
check_whole(const struct point *p, struct error *err)
{
	const struct rbd_record *r = &p->image.record;

	if (!p->image.has_record || !r->has_parent || r->parent_data)
		return ERR_OK;
	return err_set(err, ERR_USAGE,
		"snapshot %.8s holds only what the clone had of its own, "
		"without the data of its parent: restore it as a clone",
		p->id);
}

static enum err
find_image(struct exporting *x, struct point *p, struct bytes below,
	struct error *err)
{
	enum err rc =
		export_find(&p->image, &x->o.io.io, &p->snap.root, below, err);

	hex_encode(p->snap.uid.b, UID_LEN, p->id);
	p->found = rc == ERR_OK;
	if (rc != ERR_OK)
		return err_wrap(err, "snapshot %.8s", p->id);
	return check_whole(p, err);
}

/* SNAPSHOT[:PATH]; without a path it is where the exported image is. */
static enum err
find_other(struct exporting *x, struct point *p, const char *spec,
	struct error *err)
{
	const struct buf *same = &x->points[x->n - 1].image.key;
	struct buf key = BUF_INIT(KEY_MAX);
	struct snapshot_filter filter = { 0 };
	char *copy = strdup(spec), *name, *subpath;
	enum err rc = ERR_OK;

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	snapshot_split(copy, &name, &subpath);
	if (subpath != NULL)
		rc = key_from_path(&key, subpath, err);
	else
		rc = buf_put(&key, same->data, same->len, err);
	if (rc == ERR_OK)
		rc = filter_fill(&filter, x->c, err);
	if (rc == ERR_OK)
		rc = snapshot_select(&p->snap, x->o.access.repo, name, &filter,
			err);
	filter_fini(&filter);
	if (rc == ERR_OK)
		rc = find_image(x, p, (struct bytes){ key.data, key.len }, err);
	buf_fini(&key);
	free(copy);
	return rc;
}

static enum err
find_points(struct exporting *x, struct error *err)
{
	const char *from = flag_text(x->c, "from"), *spec;
	struct point *last = &x->points[x->n - 1];
	size_t at = 0, i = 0;
	enum err rc;

	last->snap = x->o.snap;
	snapshot_init(&x->o.snap);
	rc = find_image(x, last, (struct bytes){ x->o.sub.data, x->o.sub.len },
		err);
	if (rc == ERR_OK && from != NULL)
		rc = find_other(x, &x->points[i++], from, err);
	while (rc == ERR_OK && (spec = flag_next(x->c, "with", &at)) != NULL)
		rc = find_other(x, &x->points[i++], spec, err);
	return rc;
}

/* A snapshot of Ceph can be made once. */
static enum err
check_names(const struct exporting *x, struct error *err)
{
	for (size_t i = 1; i < x->n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(x->states[i].name, x->states[k].name) == 0)
				return err_set(err, ERR_USAGE,
					"two snapshots would have the name "
					"'%.100s': give another one "
					"(--from-name, --to-name)",
					x->states[i].name);
	return ERR_OK;
}

static enum err
name_states(struct exporting *x, struct error *err)
{
	const char *from = flag_text(x->c, "from-name"),
		   *to = flag_text(x->c, "to-name");

	for (size_t i = 0; i < x->n; i++)
		x->states[i] = (struct export_state){ &x->points[i].image,
			name_of(&x->points[i]) };
	if (from != NULL)
		x->states[0].name = from;
	if (to != NULL)
		x->states[x->n - 1].name = to;
	if (x->format == FORMAT_RAW)
		return ERR_OK;
	return check_names(x, err);
}

/* ---- raw ---- */

struct raw {
	struct exporting *x;
	uint64_t at; /* of the next byte */
	const uint8_t *zeroes;
};

static enum err
raw_data(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	struct raw *raw = arg;
	enum err rc = ERR_OK;

	(void)len;
	while (rc == ERR_OK && raw->x->file.is_stdout && raw->at < off) {
		size_t n = off - raw->at < ZEROES ? (size_t)(off - raw->at)
						  : ZEROES;

		rc = outfile_write(&raw->x->file, raw->zeroes, n, err);
		raw->at += n;
	}
	raw->at = off;
	return rc;
}

static enum err
raw_put(void *arg, const void *data, size_t len, struct error *err)
{
	struct raw *raw = arg;
	struct outfile *file = &raw->x->file;
	enum err rc = file->is_stdout ? outfile_write(file, data, len, err)
				      : fsx_pwrite(file->fd, data, len, raw->at,
						file->name, err);

	raw->at += len;
	return rc;
}

static enum err
raw_zero(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	(void)arg;
	(void)off;
	(void)len;
	(void)err;
	return ERR_OK;
}

static enum err
write_raw(struct exporting *x, struct error *err)
{
	const struct export_image *image = x->states[0].image;
	uint8_t *zeroes = calloc(1, ZEROES);
	struct raw raw = { x, 0, zeroes };
	const struct export_sink sink = { raw_data, raw_put, raw_zero, &raw };
	enum err rc;

	if (zeroes == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = export_run(x->o.access.repo, &x->o.io.io, NULL, image, &x->conf,
		&sink, err);
	if (rc == ERR_OK && x->file.is_stdout)
		rc = raw_data(&raw, image->size, 0, err);
	else if (rc == ERR_OK && ftruncate(x->file.fd, (off_t)image->size) != 0)
		rc = err_sys(err, errno, "resize %s", x->file.name);
	free(zeroes);
	return rc;
}

/* ---- streams ---- */

static enum err
write_stream(struct exporting *x, struct error *err)
{
	struct rbd_out *out = NULL;
	struct repo *r = x->o.access.repo;
	struct tree_io *io = &x->o.io.io;
	enum err rc = rbd_out_new(&out, outfile_write, &x->file, err);

	if (rc == ERR_OK && x->format == FORMAT_DIFF)
		rc = export_rbd_diff(r, io, x->n > 1 ? &x->states[0] : NULL,
			&x->states[x->n - 1], &x->conf, out, err);
	else if (rc == ERR_OK)
		rc = export_rbd_image(r, io, x->states, x->n, &x->conf, out,
			err);
	rbd_out_free(out);
	return rc;
}

/* ---- the command ---- */

static enum err
parse_format(const struct cli *c, enum format *out, struct error *err)
{
	static const char *const names[] = { "rbd-diff", "rbd-export", "raw" };
	const char *text = flag_text(c, "format");

	for (size_t i = 0; text != NULL && i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*out = (enum format)i;
		return ERR_OK;
	}
	return err_set(err, ERR_USAGE,
		"export needs --format: rbd-diff, rbd-export or raw");
}

static enum err
check_flags(struct exporting *x, struct error *err)
{
	const struct cli *c = x->c;
	bool from = flag_text(c, "from") != NULL;
	enum err rc = parse_format(c, &x->format, err);

	if (rc != ERR_OK)
		return rc;
	if (flag_text(c, "output") == NULL)
		return err_set(err, ERR_USAGE,
			"export needs --output (- is standard output)");
	if (from && x->format != FORMAT_DIFF)
		return err_set(err, ERR_USAGE, "--from is for rbd-diff");
	if (flag_count(c, "with") > 0 && x->format != FORMAT_EXPORT)
		return err_set(err, ERR_USAGE, "--with is for rbd-export");
	if (flag_text(c, "from-name") != NULL && !from)
		return err_set(err, ERR_USAGE, "--from-name needs --from");
	x->n = 1 + (from ? 1u : 0u) + flag_count(c, "with");
	if (x->n > STATES_MAX)
		return err_set(err, ERR_USAGE, "more than %d snapshots",
			STATES_MAX);
	return number_flag(c, "workers", WORKERS_MAX, &x->conf.workers, err);
}

static enum err
write_file(struct exporting *x, struct error *err)
{
	enum err rc = outfile_open(&x->file, flag_text(x->c, "output"), err);

	if (rc == ERR_OK)
		rc = x->format == FORMAT_RAW ? write_raw(x, err)
					     : write_stream(x, err);
	if (rc == ERR_OK)
		rc = outfile_commit(&x->file, err);
	return rc;
}

/* Nothing but the stream goes to standard output. */
static enum err
write_shown(struct exporting *x, struct error *err)
{
	struct report report;
	struct show *show = NULL;
	enum err rc;

	if (strcmp(flag_text(x->c, "output"), "-") == 0)
		return write_file(x, err);
	rc = show_begin(&show, x->c, "export", &report, err);
	if (rc == ERR_OK) {
		x->conf.bytes_done = &report.progress->bytes_done;
		rc = write_file(x, err);
		x->done = report.progress->bytes_done;
	}
	show_end(show);
	return rc;
}

static void
print_done(const struct exporting *x)
{
	char bytes[24];
	struct jsonl *j;

	if (x->file.is_stdout || x->c->quiet)
		return;
	if (x->c->json) {
		j = jsonl_new("summary");
		jsonl_str(j, "snapshot", x->points[x->n - 1].id);
		jsonl_uint(j, "size", x->points[x->n - 1].image.size);
		jsonl_uint(j, "bytes_data", x->done);
		jsonl_print(j, stdout);
		return;
	}
	units_bytes(x->done, bytes);
	(void)printf("%s: %s of data\n", flag_text(x->c, "output"), bytes);
}

static enum err
points_new(struct exporting *x, struct error *err)
{
	x->points = calloc(x->n, sizeof(*x->points));
	x->states = calloc(x->n, sizeof(*x->states));
	if (x->points == NULL || x->states == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < x->n; i++)
		snapshot_init(&x->points[i].snap);
	return ERR_OK;
}

static void
points_free(struct exporting *x)
{
	for (size_t i = 0; x->points != NULL && x->states != NULL && i < x->n;
		i++) {
		snapshot_fini(&x->points[i].snap);
		if (x->points[i].found)
			export_image_fini(&x->points[i].image);
	}
	free(x->points);
	free(x->states);
}

static enum err
run_export(struct cli *c, struct error *err)
{
	struct exporting x = { .c = c, .conf.stop = &cli_stop };
	enum err rc = check_flags(&x, err);

	if (rc != ERR_OK)
		return rc;
	rc = points_new(&x, err);
	if (rc == ERR_OK)
		rc = opened_open(&x.o, c, c->operands[0], err);
	if (rc == ERR_OK)
		rc = find_points(&x, err);
	if (rc == ERR_OK)
		rc = name_states(&x, err);
	if (rc == ERR_OK)
		rc = write_shown(&x, err);
	if (rc == ERR_OK)
		print_done(&x);
	outfile_close(&x.file);
	points_free(&x);
	opened_close(&x.o);
	return rc;
}

static const struct flag export_flags[] = {
	{ "format", 0, FLAG_TEXT, "FORMAT", "rbd-diff, rbd-export or raw" },
	{ "output", 'o', FLAG_TEXT, "FILE",
		"write here, - is standard output; never overwrites" },
	{ "from", 0, FLAG_TEXT, "SNAPSHOT[:PATH]",
		"rbd-diff: only what differs from there" },
	{ "with", 0, FLAG_LIST, "SNAPSHOT[:PATH]",
		"rbd-export: this snapshot before it; oldest first" },
	{ "from-name", 0, FLAG_TEXT, "NAME",
		"the snapshot at Ceph that the difference begins at" },
	{ "to-name", 0, FLAG_TEXT, "NAME", "and the one that it makes" },
	{ "workers", 0, FLAG_TEXT, "N", "threads (default: processors)" },
	FILTER_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_export = {
	.name = "export",
	.operands = "SNAPSHOT[:PATH]",
	.summary = "Write an image as a file for Ceph's own tools",
	.flags = export_flags,
	.operands_min = 1,
	.operands_max = 1,
	.run = run_export,
};
