/* SPDX-License-Identifier: Apache-2.0 */
/* output: standard output, zeroes written out. */
#include <stdlib.h>
#include <unistd.h>

#include "base/fsx.h"
#include "target/drivers.h"

enum { ZEROES = 256 << 10 };

struct output {
	struct target base;
	uint64_t size;
	uint64_t at;
};

static const struct option_spec output_options[] = {
	{ NULL, OPTION_TEXT, NULL, NULL },
};

static enum err
output_open(struct target **out, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	struct output *o;

	if (*conf->rest != '\0')
		return err_set(err, ERR_USAGE,
			"stdout: takes no name, and \"%s\" follows",
			conf->rest);
	if (isatty(STDOUT_FILENO) == 1 && !conf->dry_run)
		return err_set(err, ERR_USAGE,
			"standard output is a terminal; an image is not for "
			"one");
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	o->base = (struct target){ .ops = &output_target_ops,
		.blank = true,
		.ordered = true };
	o->size = image->size;
	*out = &o->base;
	return ERR_OK;
}

static void
output_close(struct target *t)
{
	free(container_of(t, struct output, base));
}

static enum err
zeroes_until(struct output *o, uint64_t end, struct error *err)
{
	static const uint8_t zeroes[ZEROES];
	enum err rc = ERR_OK;

	while (o->at < end && rc == ERR_OK) {
		uint64_t left = end - o->at;
		size_t n = left < ZEROES ? (size_t)left : ZEROES;

		rc = fsx_write(STDOUT_FILENO, zeroes, n, "standard output",
			err);
		o->at += n;
	}
	return rc;
}

static enum err
output_write(struct target *t, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	struct output *o = container_of(t, struct output, base);
	enum err rc = zeroes_until(o, off, err);

	if (rc == ERR_OK)
		rc = fsx_write(STDOUT_FILENO, data, len, "standard output",
			err);
	o->at = off + len;
	return rc;
}

static enum err
output_zero(struct target *t, uint64_t off, uint64_t len, struct error *err)
{
	return zeroes_until(container_of(t, struct output, base), off + len,
		err);
}

static enum err
output_finish(struct target *t, struct error *err)
{
	struct output *o = container_of(t, struct output, base);

	return zeroes_until(o, o->size, err);
}

const struct target_ops output_target_ops = {
	.scheme = "stdout",
	.summary = "standard output (stdout: or -), zeroes written out",
	.options = output_options,
	.open = output_open,
	.close = output_close,
	.write = output_write,
	.zero = output_zero,
	.finish = output_finish,
};
