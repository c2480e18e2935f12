/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/fake_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/ingest.h"

struct fake_reader {
	struct reader base;
	struct fake *fake;
	struct fake_file *file;
	unsigned n_opened;
	uint64_t size; /* as the last open told */
	uint8_t *xattrs;
	struct prng dice;
};

static struct fake_reader *
to_reader(struct reader *r)
{
	return container_of(r, struct fake_reader, base);
}

void
fake_count_call(struct fake *f)
{
	if (++f->n_calls == f->stop_at)
		f->stop = true;
}

static void
note_call(struct fake_reader *r)
{
	r->fake->n_late += !r->fake->frozen;
	fake_count_call(r->fake);
}

static uint64_t
seed_now(const struct fake_reader *r)
{
	unsigned attempt = r->n_opened - 1;

	return r->file->seed + (r->file->trouble.changes > 0 ? attempt : 0);
}

/* As many attributes as it takes; the value of number i is of bytes i. */
static enum err
put_xattrs(struct fake_reader *r, struct entry *e, struct error *err)
{
	struct bytes names[FAKE_XATTRS_MAX], values[FAKE_XATTRS_MAX];
	char text[FAKE_XATTRS_MAX][16];
	struct buf block = BUF_INIT(1 << 24);
	uint8_t *all = malloc(r->file->xattrs_len);
	size_t n = 0, off = 0, len;
	enum err rc;

	assert_non_null(all);
	for (; off < r->file->xattrs_len; off += len) {
		len = r->file->xattrs_len - off;
		if (len > FAKE_XATTR_MAX)
			len = FAKE_XATTR_MAX;
		assert_true(n < FAKE_XATTRS_MAX);
		(void)snprintf(text[n], sizeof(text[n]), "user.%03zu", n);
		names[n] =
			(struct bytes){ (uint8_t *)text[n], strlen(text[n]) };
		memset(all + off, (int)n, len);
		values[n++] = (struct bytes){ all + off, len };
	}
	rc = xattrs_encode(&block, names, values, n, err);
	free(all);
	free(r->xattrs);
	r->xattrs = block.data;
	e->xattrs = (struct bytes){ block.data, block.len };
	return rc;
}

static enum err
fake_open(struct reader *base, struct entry *e, struct error *err)
{
	struct fake_reader *r = to_reader(base);
	const struct fake_trouble *t = &r->file->trouble;
	unsigned attempt = r->n_opened++;

	note_call(r);
	r->file->n_opened++;
	if (t->delay_us > 0)
		(void)usleep(t->delay_us);
	if (t->open_code != ERR_OK && attempt >= t->open_from)
		return err_set(err, t->open_code, "it does not open");
	r->size =
		t->resized ? t->sizes[attempt % FAKE_ATTEMPTS] : r->file->size;
	e->size = r->size;
	e->mtime = e->ctime = t->touched ? when_now() : r->file->time;
	if (r->file->xattrs_len == 0)
		return ERR_OK;
	return put_xattrs(r, e, err);
}

static enum err
fake_read(struct reader *base, uint64_t off, void *data, size_t len,
	size_t *got, struct error *err)
{
	struct fake_reader *r = to_reader(base);
	const struct fake_trouble *t = &r->file->trouble;
	uint64_t size = t->ends && t->end < r->size ? t->end : r->size;

	note_call(r);
	if (off >= size)
		len = 0;
	else if (len > size - off)
		len = (size_t)(size - off);
	if (t->short_reads && len > 0)
		len = (size_t)prng_below(&r->dice, len) + 1;
	if (t->read_code != ERR_OK && len > 0 && off + len > t->read_from)
		return err_set(err, t->read_code, "it does not read");
	fake_content(r->file, seed_now(r), off, data, len);
	*got = len;
	return ERR_OK;
}

static enum err
fake_region(struct reader *base, uint64_t off, uint64_t size,
	struct region *out, struct error *err)
{
	struct fake_reader *r = to_reader(base);
	const struct fake_trouble *t = &r->file->trouble;
	uint64_t end;

	out->hole = fake_run(r->file, off, &end);
	if (t->ends && off >= t->end)
		out->hole = false;
	else if (t->ends && end > t->end)
		end = t->end;
	out->off = off;
	out->len = (end < size ? end : size) - off;
	return ERR_OK;
}

static enum err
fake_settle(struct reader *base, bool *changed, struct error *err)
{
	struct fake_reader *r = to_reader(base);
	const struct fake_trouble *t = &r->file->trouble;

	if (t->settle_code != ERR_OK)
		return err_set(err, t->settle_code, "it does not settle");
	*changed = r->n_opened <= t->changes;
	return ERR_OK;
}

static void
fake_close(struct reader *base)
{
	struct fake_reader *r = to_reader(base);

	r->file->n_closed++;
	r->fake->n_readers--;
	free(r->xattrs);
	free(r);
}

static const struct reader_ops fake_reader_ops = {
	.open = fake_open,
	.read = fake_read,
	.region = fake_region,
	.settle = fake_settle,
	.close = fake_close,
};

struct reader *
fake_reader_new(struct fake *f, struct fake_file *file)
{
	struct fake_reader *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->base.ops = &fake_reader_ops;
	r->fake = f;
	r->file = file;
	prng_init(&r->dice, file->seed);
	f->n_readers++;
	return &r->base;
}
