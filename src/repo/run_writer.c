/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/run_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/fsx.h"
#include "repo/filter.h"

enum { WINDOW_PAGES = 16 };

/* A table under way: some pages in memory, all before them written. */
struct window {
	uint8_t *buf;
	uint64_t page; /* first in buf, counted from the table's first */
	uint64_t n; /* items put; of the filter: not used */
};

struct run_writer {
	int fd;
	struct secret key;
	struct run_layout layout;
	struct window win[RUN_TABLES];
};

static const char what[] = "index cache";

enum err
run_writer_new(struct run_writer **out, const struct run_target *to,
	const struct run_layout *layout, struct error *err)
{
	struct run_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return err_set(err, ERR_NOMEM, "no memory to write a run");
	w->fd = to->fd;
	w->layout = *layout;
	run_key(&w->key, to->structure, to->uid);
	for (unsigned t = 0; t < RUN_TABLES; t++) {
		w->win[t].buf = calloc(WINDOW_PAGES, RUN_PAGE);
		if (w->win[t].buf == NULL) {
			run_writer_free(w);
			return err_set(err, ERR_NOMEM,
				"no memory to write a run");
		}
	}
	*out = w;
	return ERR_OK;
}

void
run_writer_free(struct run_writer *w)
{
	if (w == NULL)
		return;
	for (unsigned t = 0; t < RUN_TABLES; t++)
		free(w->win[t].buf);
	secret_wipe(&w->key);
	free(w);
}

/* What a run is made of passed its MACs and still does not add up. */
static enum err
bad_input(struct error *err)
{
	return err_set(err, ERR_CORRUPT,
		"index cache: a run does not agree with itself");
}

/* Write the window's pages before last, and move behind them. */
static enum err
window_flush(struct run_writer *w, enum run_table t, uint64_t last,
	struct error *err)
{
	struct window *win = &w->win[t];
	uint64_t first = w->layout.first[t] + win->page;
	size_t n = (size_t)(last - win->page), len = n * RUN_PAGE;
	enum err rc;

	for (size_t i = 0; i < n; i++)
		run_page_seal(&w->key, first + i, win->buf + i * RUN_PAGE);
	rc = fsx_pwrite(w->fd, win->buf, len, first * RUN_PAGE, what, err);
	memset(win->buf, 0, len);
	win->page = last;
	return rc;
}

/* Item i of a table, zeroed when it is first asked for; i never descends. */
static enum err
item_slot(struct run_writer *w, enum run_table t, uint64_t i, uint8_t **out,
	struct error *err)
{
	struct window *win = &w->win[t];
	uint32_t per = run_per_page[t];
	uint64_t page = i / per;
	enum err rc = ERR_OK;

	if (i >= w->layout.n[t] || page < win->page)
		return bad_input(err);
	while (rc == ERR_OK && page - win->page >= WINDOW_PAGES)
		rc = window_flush(w, t, win->page + WINDOW_PAGES, err);
	if (rc == ERR_OK)
		*out = win->buf + (page - win->page) * RUN_PAGE +
		       i % per * run_item_len[t];
	return rc;
}

enum err
run_writer_seg(struct run_writer *w, const struct segment_ref *seg,
	struct error *err)
{
	uint8_t *at;
	enum err rc = item_slot(w, RUN_SEGS, w->win[RUN_SEGS].n++, &at, err);

	if (rc == ERR_OK)
		run_seg_put(at, seg);
	return rc;
}

enum err
run_writer_pack(struct run_writer *w, const struct run_pack *pack,
	struct error *err)
{
	uint8_t *at;
	enum err rc = item_slot(w, RUN_PACKS, w->win[RUN_PACKS].n++, &at, err);

	if (rc == ERR_OK)
		run_pack_put(at, pack);
	return rc;
}

enum err
run_writer_item(struct run_writer *w, const struct run_item *item,
	struct error *err)
{
	struct filter_key key;
	uint64_t i = w->win[RUN_RECORDS].n++;
	uint8_t *at;
	enum err rc = item_slot(w, RUN_RECORDS, i, &at, err);

	if (rc != ERR_OK)
		return rc;
	run_item_put(at, item);
	filter_key(&key, &item->rec.id);
	rc = item_slot(w, RUN_FILTER,
		filter_place(&key, w->layout.n[RUN_FILTER]), &at, err);
	if (rc != ERR_OK)
		return rc;
	filter_add(at, &key);
	if (i % run_per_page[RUN_RECORDS] != 0)
		return ERR_OK;
	rc = item_slot(w, RUN_FENCES, w->win[RUN_FENCES].n++, &at, err);
	if (rc == ERR_OK)
		run_fence_put(at, key.prefix);
	return rc;
}

static enum err
finish_table(struct run_writer *w, enum run_table t, struct error *err)
{
	uint32_t per = run_per_page[t];
	uint64_t end = (w->layout.n[t] + per - 1) / per;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && w->win[t].page < end) {
		uint64_t last = w->win[t].page + WINDOW_PAGES;

		rc = window_flush(w, t, last < end ? last : end, err);
	}
	return rc;
}

enum err
run_writer_finish(struct run_writer *w, struct error *err)
{
	uint8_t page[RUN_PAGE] = { 0 };
	enum err rc = ERR_OK;

	for (unsigned t = 0; t < RUN_TABLES; t++) {
		if (t != RUN_FILTER && w->win[t].n != w->layout.n[t])
			return bad_input(err);
	}
	for (unsigned t = 0; t < RUN_TABLES && rc == ERR_OK; t++)
		rc = finish_table(w, t, err);
	if (rc != ERR_OK)
		return rc;
	run_header_put(page, &w->layout);
	run_page_seal(&w->key, 0, page);
	return fsx_pwrite(w->fd, page, sizeof(page), 0, what, err);
}
