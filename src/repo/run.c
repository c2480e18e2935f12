/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: lookups in the mapped file.
 *
 * Pages of records are read, not mapped: lookups touch all of them sooner or
 * later, and what they touched would count as memory of this process.
 *
 * A lookup reads one block of the filter; where that lets it through, the
 * fences lead to the one page (rarely two) that can hold the id.  Ids are
 * uniform, so the search in the fences starts at the place where the id would
 * lie if they were spread evenly and gallops from there (Bentley and Yao, "An
 * almost optimal algorithm for unbounded searching", 1976): the true place is
 * within some square root of the number of pages.
 */
#include "repo/run.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "repo/filter.h"

enum { CURSOR_PAGES = 16 };

#define NONE UINT64_MAX /* no record */

struct run {
	_Atomic unsigned refs;
	_Atomic bool bad;
	int fd;
	struct uid uid;
	struct secret key;
	struct run_layout layout;
	const uint8_t *map;
	size_t map_len;
	_Atomic uint64_t *passed; /* one bit a page: it was authenticated */
};

static enum err
set_bad(struct run *r, struct error *err)
{
	char hex[UID_HEX + 1];

	atomic_store(&r->bad, true);
	hex_encode(r->uid.b, UID_LEN, hex);
	return err_set(err, ERR_CORRUPT, "index cache: run %s is damaged", hex);
}

/* Whether the page is genuine, or was when it was first touched. */
static bool
pass(struct run *r, uint64_t no, const uint8_t *page)
{
	_Atomic uint64_t *word = &r->passed[no / 64];
	uint64_t bit = (uint64_t)1 << no % 64;

	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) != 0)
		return true;
	if (!run_page_check(&r->key, no, page))
		return false;
	atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	return true;
}

/* The page of a table other than the records if it is genuine, else NULL. */
static const uint8_t *
page_at(struct run *r, uint64_t no)
{
	const uint8_t *page = r->map + no * RUN_PAGE;

	return pass(r, no, page) ? page : NULL;
}

/* A page of records; false where it is not genuine, or cannot be read. */
static bool
read_page(struct run *r, uint64_t no, uint8_t page[RUN_PAGE])
{
	struct error why = ERROR_INIT;
	size_t got;

	return fsx_pread(r->fd, page, RUN_PAGE, no * RUN_PAGE, &got,
		       "index cache", &why) == ERR_OK &&
	       got == RUN_PAGE && pass(r, no, page);
}

/* Item i of a table, in its page. */
static const uint8_t *
item_at(struct run *r, enum run_table t, uint64_t i)
{
	uint32_t per = run_per_page[t];
	const uint8_t *page = page_at(r, r->layout.first[t] + i / per);

	return page != NULL ? page + i % per * run_item_len[t] : NULL;
}

/* The file must end where the header says. */
static enum err
read_header(struct run *r, struct error *err)
{
	uint8_t page[RUN_PAGE];
	struct stat st;
	size_t got;
	enum err rc;

	if (fstat(r->fd, &st) != 0)
		return err_sys(err, errno, "index cache: status of a run");
	rc = fsx_pread(r->fd, page, RUN_PAGE, 0, &got, "index cache", err);
	if (rc != ERR_OK)
		return rc;
	if (got < RUN_PAGE || !run_page_check(&r->key, 0, page) ||
		!run_header_get(&r->layout, page) ||
		(uint64_t)st.st_size != r->layout.n_pages * RUN_PAGE)
		return set_bad(r, err);
	return ERR_OK;
}

/* Map all but the records, which stand at the end. */
static enum err
map_tables(struct run *r, struct error *err)
{
	size_t len = r->layout.first[RUN_RECORDS] * RUN_PAGE;
	void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, r->fd, 0);

	if (map == MAP_FAILED)
		return err_sys(err, errno, "index cache: map a run");
	r->map = map;
	r->map_len = len;
	/* Advice only: read-ahead would fetch pages that no lookup wants. */
	(void)madvise(map, len, MADV_RANDOM);
	return ERR_OK;
}

enum err
run_open(struct run **out, int fd, const struct uid *uid,
	const struct secret *structure, struct error *err)
{
	struct run *r = calloc(1, sizeof(*r));
	enum err rc;

	if (r == NULL) {
		fsx_close(&fd);
		return err_set(err, ERR_NOMEM, "no memory for a run");
	}
	atomic_init(&r->refs, 1);
	r->fd = fd;
	r->uid = *uid;
	run_key(&r->key, structure, uid);
	rc = read_header(r, err);
	if (rc == ERR_OK)
		rc = map_tables(r, err);
	if (rc != ERR_OK)
		goto out;
	r->passed = calloc(r->layout.n_pages / 64 + 1, sizeof(*r->passed));
	if (r->passed == NULL)
		rc = err_set(err, ERR_NOMEM, "no memory for a run");
out:
	if (rc == ERR_OK)
		*out = r;
	else
		run_unref(r);
	return rc;
}

struct run *
run_ref(struct run *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void
run_unref(struct run *r)
{
	union {
		const uint8_t *in;
		void *out;
	} map;

	if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	map.in = r->map;
	if (r->map_len > 0)
		(void)munmap(map.out, r->map_len);
	fsx_close(&r->fd);
	secret_wipe(&r->key);
	free(r->passed);
	free(r);
}

const struct uid *
run_uid(const struct run *r)
{
	return &r->uid;
}

bool
run_is_bad(const struct run *r)
{
	return atomic_load(&r->bad);
}

void
run_set_bad(struct run *r)
{
	atomic_store(&r->bad, true);
}

uint64_t
run_count(const struct run *r, enum run_table table)
{
	return r->layout.n[table];
}

/* false where the page of fence i did not pass. */
static bool
fence_at(struct run *r, uint64_t i, uint64_t *prefix)
{
	const uint8_t *at = item_at(r, RUN_FENCES, i);

	if (at != NULL)
		*prefix = run_fence_get(at);
	return at != NULL;
}

/*
 * The number of fences below prefix.  At any time fences [0, lo) are below it
 * and [hi, n) are not.
 */
static bool
count_below(struct run *r, uint64_t prefix, uint64_t *out)
{
	uint64_t n = r->layout.n[RUN_FENCES];
	uint64_t lo = 0, hi = n, step = 8, fence;
	uint64_t at = (uint64_t)((unsigned __int128)prefix * n >> 64);

	while (lo < hi) {
		if (!fence_at(r, at, &fence))
			return false;
		if (fence < prefix) {
			lo = at + 1;
			at = hi - lo > step ? lo + step : lo + (hi - lo) / 2;
		} else {
			hi = at;
			at = hi - lo > step ? hi - step : lo + (hi - lo) / 2;
		}
		/* When the place is bracketed, only halving is left. */
		step = hi - lo > 4 * step ? 4 * step : UINT64_MAX;
	}
	*out = lo;
	return true;
}

/* The first record of a page of n that is not below id. */
static const uint8_t *
page_search(const uint8_t *page, uint64_t n, const struct id *id)
{
	uint32_t len = run_item_len[RUN_RECORDS];
	uint64_t lo = 0, hi = n;

	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (memcmp(page + mid * len, id->b, ID_LEN) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n ? page + lo * len : NULL;
}

static uint64_t
records_of_page(const struct run *r, uint64_t page)
{
	uint64_t left =
		r->layout.n[RUN_RECORDS] - page * run_per_page[RUN_RECORDS];

	return left < run_per_page[RUN_RECORDS] ? left
						: run_per_page[RUN_RECORDS];
}

/*
 * *at is the number of the first record of id, and page the page that it is
 * in, or NONE; false where a page did not pass.  The page before the first
 * fence that is not below may hold the id, and so may each page whose fence
 * has the same eight bytes.
 */
static bool
search(struct run *r, const struct id *id, uint64_t prefix,
	uint8_t page[RUN_PAGE], uint64_t *at)
{
	uint32_t per = run_per_page[RUN_RECORDS];
	uint32_t len = run_item_len[RUN_RECORDS];
	uint64_t n = r->layout.n[RUN_FENCES], below, fence = 0;

	*at = NONE;
	if (!count_below(r, prefix, &below))
		return false;
	for (uint64_t p = below > 0 ? below - 1 : 0; p < n; p++) {
		const uint8_t *item;

		if (p >= below && !fence_at(r, p, &fence))
			return false;
		if (p >= below && fence > prefix)
			return true;
		if (!read_page(r, r->layout.first[RUN_RECORDS] + p, page))
			return false;
		item = page_search(page, records_of_page(r, p), id);
		if (item == NULL)
			continue;
		if (memcmp(item, id->b, ID_LEN) == 0)
			*at = p * per + (uint64_t)(item - page) / len;
		return true;
	}
	return true;
}

/* What record number at says, which page holds. */
static enum err
take_hit(struct run *r, const uint8_t page[RUN_PAGE], uint64_t at,
	struct run_hit *hit, struct error *err)
{
	uint64_t in_page = at % run_per_page[RUN_RECORDS];
	struct run_item item;
	struct run_pack pack;
	enum err rc;

	run_item_get(&item, page + in_page * run_item_len[RUN_RECORDS]);
	rc = run_pack(r, item.pack, &pack, err);
	if (rc == ERR_OK)
		*hit = (struct run_hit){ { pack.info.id, item.off, item.rec },
			pack.seg, at };
	return rc;
}

void
run_prefetch(const struct run *r, const struct filter_key *key)
{
	uint64_t block = filter_place(key, r->layout.n[RUN_FILTER]);
	uint32_t per = run_per_page[RUN_FILTER];
	uint64_t page = r->layout.first[RUN_FILTER] + block / per;

	__builtin_prefetch(
		r->map + page * RUN_PAGE + block % per * FILTER_BLOCK);
}

enum err
run_find(struct run *r, const struct id *id, const struct filter_key *key,
	struct run_hit *hit, bool *found, struct error *err)
{
	uint64_t block = filter_place(key, r->layout.n[RUN_FILTER]), at;
	const uint8_t *bits = item_at(r, RUN_FILTER, block);
	uint8_t page[RUN_PAGE];

	*found = false;
	if (bits == NULL)
		return set_bad(r, err);
	if (!filter_test(bits, key))
		return ERR_OK;
	if (!search(r, id, key->prefix, page, &at))
		return set_bad(r, err);
	if (at == NONE)
		return ERR_OK;
	*found = true;
	return take_hit(r, page, at, hit, err);
}

enum err
run_find_next(struct run *r, struct run_hit *hit, bool *found,
	struct error *err)
{
	uint32_t per = run_per_page[RUN_RECORDS];
	uint64_t at = hit->at + 1;
	uint8_t page[RUN_PAGE];

	*found = false;
	if (at >= r->layout.n[RUN_RECORDS])
		return ERR_OK;
	if (!read_page(r, r->layout.first[RUN_RECORDS] + at / per, page))
		return set_bad(r, err);
	if (memcmp(page + at % per * run_item_len[RUN_RECORDS],
		    hit->loc.rec.id.b, ID_LEN) != 0)
		return ERR_OK;
	*found = true;
	return take_hit(r, page, at, hit, err);
}

enum err
run_pack(struct run *r, uint64_t i, struct run_pack *out, struct error *err)
{
	const uint8_t *at = NULL;

	if (i < r->layout.n[RUN_PACKS])
		at = item_at(r, RUN_PACKS, i);
	if (at == NULL)
		return set_bad(r, err);
	run_pack_get(out, at);
	return out->seg < r->layout.n[RUN_SEGS] ? ERR_OK : set_bad(r, err);
}

enum err
run_seg(struct run *r, uint64_t i, struct segment_ref *out, struct error *err)
{
	const uint8_t *at = NULL;

	if (i < r->layout.n[RUN_SEGS])
		at = item_at(r, RUN_SEGS, i);
	if (at == NULL)
		return set_bad(r, err);
	run_seg_get(out, at);
	return ERR_OK;
}

enum err
run_cursor_init(struct run_cursor *c, struct run *r, struct error *err)
{
	*c = (struct run_cursor){ .run = r };
	c->buf = malloc((size_t)CURSOR_PAGES * RUN_PAGE);
	if (c->buf == NULL)
		return err_set(err, ERR_NOMEM, "no memory to walk a run");
	return ERR_OK;
}

void
run_cursor_fini(struct run_cursor *c)
{
	free(c->buf);
	c->buf = NULL;
}

/* Read and authenticate some pages, from the one given. */
static enum err
cursor_fill(struct run_cursor *c, uint64_t page, struct error *err)
{
	struct run *r = c->run;
	uint64_t left = r->layout.n[RUN_FENCES] - page;
	uint64_t n = left < CURSOR_PAGES ? left : CURSOR_PAGES;
	uint64_t first = r->layout.first[RUN_RECORDS] + page;
	size_t got;
	enum err rc;

	c->n_pages = 0;
	rc = fsx_pread(r->fd, c->buf, n * RUN_PAGE, first * RUN_PAGE, &got,
		"index cache", err);
	if (rc != ERR_OK)
		return rc;
	if (got < n * RUN_PAGE)
		return set_bad(r, err);
	for (uint64_t i = 0; i < n; i++)
		if (!run_page_check(&r->key, first + i, c->buf + i * RUN_PAGE))
			return set_bad(r, err);
	c->page = page;
	c->n_pages = n;
	return ERR_OK;
}

enum err
run_cursor_next(struct run_cursor *c, bool *got, struct error *err)
{
	uint32_t per = run_per_page[RUN_RECORDS];
	uint64_t page = c->next / per;
	enum err rc;

	*got = c->next < c->run->layout.n[RUN_RECORDS];
	if (!*got)
		return ERR_OK;
	if (page >= c->page + c->n_pages) {
		rc = cursor_fill(c, page, err);
		if (rc != ERR_OK)
			return rc;
	}
	run_item_get(&c->item,
		c->buf + (page - c->page) * RUN_PAGE +
			c->next % per * run_item_len[RUN_RECORDS]);
	c->next++;
	return ERR_OK;
}
