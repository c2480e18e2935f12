/* SPDX-License-Identifier: Apache-2.0 */
/* rbd-diff info, verify, merge: files of rbd export-diff and rbd export. */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/outfile.h"
#include "cli/rbd_files.h"
#include "cli/text.h"
#include "format/rbd_merge.h"

enum { NAME_ROOM = 4 * RBD_NAME_MAX + 1 };

/* ---- info, verify ---- */

struct told {
	uint64_t records, bytes_data, bytes_zero;
};

static enum err
count(struct rbd_diff *d, struct told *t, struct error *err)
{
	struct rbd_diff_range r;
	enum err rc;

	*t = (struct told){ 0 };
	for (;;) {
		rc = rbd_diff_next(d, &r, err);
		if (rc != ERR_OK || r.kind == RBD_DIFF_END)
			return rc;
		t->records++;
		if (r.kind == RBD_DIFF_DATA)
			t->bytes_data += r.len;
		else
			t->bytes_zero += r.len;
	}
}

static const char *
snap_text(struct buf *b, const char *name, const char *none)
{
	return name == NULL
		       ? none
		       : text_bytes(b, (struct bytes){ (const uint8_t *)name,
					       strlen(name) });
}

static void
json_name(struct jsonl *j, const char *member, const char *name)
{
	if (name != NULL)
		jsonl_bytes(j, member,
			(struct bytes){ (const uint8_t *)name, strlen(name) });
}

static void
print_diff(const struct cli *c, const char *path, bool inner,
	const struct rbd_diff_head *h, const struct told *t)
{
	struct buf from = BUF_INIT(NAME_ROOM), to = BUF_INIT(NAME_ROOM);
	char size[24], data[24], zero[24];
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("rbd_diff");
		json_name(j, "file", path);
		json_name(j, "from", h->from);
		json_name(j, "to", h->to);
		jsonl_uint(j, "size", h->size);
		jsonl_uint(j, "records", t->records);
		jsonl_uint(j, "bytes_data", t->bytes_data);
		jsonl_uint(j, "bytes_zero", t->bytes_zero);
		if (inner)
			jsonl_bool(j, "protected", h->is_protected);
		jsonl_print(j, stdout);
		return;
	}
	units_bytes(h->size, size);
	units_bytes(t->bytes_data, data);
	units_bytes(t->bytes_zero, zero);
	(void)printf("%s%s%s to %s%s: image of %s; %llu records, %s of data, "
		     "%s of zeroes\n",
		inner ? "  " : path, inner ? "" : ": ",
		snap_text(&from, h->from, "nothing"),
		snap_text(&to, h->to, "the head"),
		h->is_protected ? " (protected)" : "", size,
		(unsigned long long)t->records, data, zero);
	buf_fini(&from);
	buf_fini(&to);
}

static void
print_meta(const struct cli *c, const char *path,
	const struct rbd_export_meta *m)
{
	struct buf key = BUF_INIT(4 * RBD_EXPORT_TEXT_MAX + 1),
		   value = BUF_INIT(4 * RBD_EXPORT_TEXT_MAX + 1);
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("rbd_metadata");
		json_name(j, "file", path);
		json_name(j, "key", m->key);
		json_name(j, "value", m->value);
		jsonl_print(j, stdout);
	} else {
		(void)printf("  %s=%s\n", snap_text(&key, m->key, ""),
			snap_text(&value, m->value, ""));
	}
	buf_fini(&key);
	buf_fini(&value);
}

static void
print_image(const struct cli *c, const char *path,
	const struct rbd_export_head *h)
{
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("rbd_image");
		json_name(j, "file", path);
		jsonl_uint(j, "order", h->order);
		jsonl_uint(j, "features", h->features);
		jsonl_uint(j, "stripe_unit", h->stripe_unit);
		jsonl_uint(j, "stripe_count", h->stripe_count);
		jsonl_uint(j, "diffs", h->n_diffs);
		jsonl_print(j, stdout);
	} else {
		(void)printf("%s: image export of %llu differences; order %u, "
			     "features 0x%llx, stripes of %llu * %llu\n",
			path, (unsigned long long)h->n_diffs, h->order,
			(unsigned long long)h->features,
			(unsigned long long)h->stripe_unit,
			(unsigned long long)h->stripe_count);
	}
	for (size_t i = 0; i < h->n_meta; i++)
		print_meta(c, path, &h->meta[i]);
}

static enum err
print_file(const struct cli *c, struct rbd_file *f, const char *path,
	struct error *err)
{
	const struct rbd_export_head *image = rbd_file_image(f);
	struct rbd_diff *d = NULL;
	struct told told;
	enum err rc = ERR_OK;

	if (image != NULL)
		print_image(c, path, image);
	while (rc == ERR_OK) {
		rc = rbd_file_next(f, &d, err);
		if (rc == ERR_OK && d == NULL)
			return rbd_files_trailing(c, f, path, err);
		if (rc == ERR_OK)
			rc = count(d, &told, err);
		if (rc == ERR_OK)
			print_diff(c, path, image != NULL, rbd_diff_head(d),
				&told);
	}
	return rc == ERR_CANCELLED ? rc : err_wrap(err, "%s", path);
}

static enum err
run_info(struct cli *c, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < c->n_operands && rc == ERR_OK; i++) {
		struct rbd_file *f = NULL;

		rc = rbd_files_open(&f, c->operands[i], true, err);
		if (rc == ERR_OK)
			rc = print_file(c, f, c->operands[i], err);
		rbd_file_close(f);
	}
	return rc;
}

static void
print_whole(const struct cli *c, const char *path)
{
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("rbd_verified");
		json_name(j, "file", path);
		jsonl_print(j, stdout);
	} else if (!c->quiet) {
		(void)printf("%s: whole\n", path);
	}
}

/* Each file is looked at, whatever was wrong with others. */
static enum err
run_verify(struct cli *c, struct error *err)
{
	struct rbd_chain chain = { NULL, NULL };
	struct error why = ERROR_INIT;
	size_t bad = 0;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < c->n_operands && rc != ERR_CANCELLED; i++) {
		rc = rbd_files_check(c, c->operands[i], false,
			flag_on(c, "chain") ? &chain : NULL, &why);
		if (rc == ERR_OK)
			print_whole(c, c->operands[i]);
		else if (rc != ERR_CANCELLED && c->n_operands > 1)
			cli_warn(c, "%s", why.msg);
		bad += rc != ERR_OK;
	}
	rbd_chain_fini(&chain);
	if (bad == 0)
		return ERR_OK;
	if (rc == ERR_CANCELLED || c->n_operands == 1) {
		*err = why;
		return why.code;
	}
	return err_set(err, ERR_CORRUPT,
		"%zu of %zu files are not as they "
		"should be",
		bad, c->n_operands);
}

static const struct flag verify_flags[] = {
	{ "chain", 0, FLAG_BOOL, NULL,
		"each file begins where the one before it ends" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_rbd_diff_info = {
	.name = "rbd-diff info",
	.operands = "FILE...",
	.summary = "Tell what files of rbd export-diff and rbd export hold",
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_info,
};

const struct command cmd_rbd_diff_verify = {
	.name = "rbd-diff verify",
	.operands = "FILE...",
	.summary = "Read such files whole, and say what is wrong and where",
	.flags = verify_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_verify,
};

/* ---- merge ---- */

struct input {
	struct rbd_file *file;
	struct rbd_diff *diff;
};

static enum err
open_inputs(const struct cli *c, struct input *in, struct rbd_merge_part *parts,
	struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < c->n_operands && rc == ERR_OK; i++) {
		const char *path = c->operands[i];

		rc = rbd_files_open(&in[i].file, path, true, err);
		if (rc == ERR_OK && rbd_file_image(in[i].file) != NULL)
			return err_set(err, ERR_USAGE,
				"%s is an image export, not a difference",
				path);
		if (rc == ERR_OK) {
			rc = rbd_file_next(in[i].file, &in[i].diff, err);
			if (rc != ERR_OK)
				(void)err_wrap(err, "%s", path);
		}
		parts[i] = (struct rbd_merge_part){ in[i].diff, path };
	}
	return rc;
}

static enum err
merge_to(struct cli *c, const struct rbd_merge_part *parts,
	struct rbd_merge_figures *figures, struct error *err)
{
	const char *path = flag_text(c, "output");
	struct outfile file = { 0 };
	struct rbd_out *out = NULL;
	enum err rc;

	if (path == NULL)
		return err_set(err, ERR_USAGE,
			"merge needs --output (- is standard output)");
	rc = outfile_open(&file, path, err);
	if (rc == ERR_OK)
		rc = rbd_out_new(&out, outfile_write, &file, err);
	if (rc == ERR_OK)
		rc = rbd_merge(parts, c->n_operands, out, figures, err);
	if (rc == ERR_OK)
		rc = outfile_commit(&file, err);
	outfile_close(&file);
	rbd_out_free(out);
	return rc;
}

static enum err
run_merge(struct cli *c, struct error *err)
{
	struct rbd_merge_figures figures = { 0 };
	struct rbd_merge_part *parts = calloc(c->n_operands, sizeof(*parts));
	struct input *in = calloc(c->n_operands, sizeof(*in));
	char data[24], zero[24];
	enum err rc;

	if (parts == NULL || in == NULL) {
		free(parts);
		free(in);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	rc = open_inputs(c, in, parts, err);
	if (rc == ERR_OK)
		rc = merge_to(c, parts, &figures, err);
	for (size_t i = 0; i < c->n_operands; i++) {
		if (rc == ERR_OK)
			rc = rbd_files_trailing(c, in[i].file, c->operands[i],
				err);
		rbd_file_close(in[i].file);
	}
	free(parts);
	free(in);
	units_bytes(figures.bytes_data, data);
	units_bytes(figures.bytes_zero, zero);
	if (rc == ERR_OK && c->verbose > 0)
		cli_warn(c, "merged: %s of data, %s of zeroes", data, zero);
	return rc;
}

static const struct flag merge_flags[] = {
	{ "output", 'o', FLAG_TEXT, "FILE",
		"write here, - is standard output; never overwrites" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_rbd_diff_merge = {
	.name = "rbd-diff merge",
	.operands = "FILE...",
	.summary = "Make one difference of several that follow each other",
	.flags = merge_flags,
	.operands_min = 1,
	.operands_max = 1 << 20,
	.run = run_merge,
};
