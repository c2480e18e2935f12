/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: three bytes, how many segments, packs and records; then what fills
 * the pages of a run, over and over.  All pages get valid MACs, as if whoever
 * knows the key had written nonsense: it may be found or refused, but every
 * number in it is checked before it is used.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "repo/run.h"
#include "repo/run_merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct secret zero;
static const struct uid name;

static int
make_file(const uint8_t *data, size_t len, struct run_layout *layout)
{
	uint8_t page[RUN_PAGE] = { 0 };
	struct secret key;
	size_t at = 3;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	assert(fd >= 0);
	assert(run_layout(layout, data[0] % 80, data[1] % 100, data[2] * 2u));
	run_key(&key, &zero, &name);
	run_header_put(page, layout);
	for (uint64_t no = 0; no < layout->n_pages; no++) {
		run_page_seal(&key, no, page);
		assert(write(fd, page, RUN_PAGE) == RUN_PAGE);
		for (size_t i = 0; i < RUN_CONTENT; i++) {
			page[i] = len > 3 ? data[at] : 0;
			at = at + 1 < len ? at + 1 : 3;
		}
	}
	return fd;
}

static void
look_around(struct run *r, const struct run_layout *layout)
{
	struct error err = ERROR_INIT;
	struct run_cursor c;
	struct run_hit hit;
	struct run_pack pack;
	struct segment_ref seg;
	uint64_t n = 0;
	bool got = true;

	assert(run_cursor_init(&c, r, &err) == ERR_OK);
	while (got && run_cursor_next(&c, &got, &err) == ERR_OK && got) {
		struct filter_key key;
		bool found;

		n++;
		filter_key(&key, &c.item.rec.id);
		if (run_find(r, &c.item.rec.id, &key, &hit, &found, &err) !=
			ERR_OK)
			continue;
		for (unsigned i = 0; found && i < 5; i++) {
			assert(id_eq(&hit.loc.rec.id, &c.item.rec.id));
			assert(hit.seg < layout->n[RUN_SEGS]);
			if (run_find_next(r, &hit, &found, &err) != ERR_OK)
				break;
		}
	}
	run_cursor_fini(&c);
	assert(n == layout->n[RUN_RECORDS]);
	for (uint64_t i = 0; i <= layout->n[RUN_PACKS]; i++)
		if (run_pack(r, i, &pack, &err) == ERR_OK)
			assert(i < layout->n[RUN_PACKS] &&
				pack.seg < layout->n[RUN_SEGS]);
	for (uint64_t i = 0; i <= layout->n[RUN_SEGS]; i++)
		if (run_seg(r, i, &seg, &err) == ERR_OK)
			assert(i < layout->n[RUN_SEGS]);
}

static bool
keep_some(void *arg, const struct segment_ref *seg)
{
	return seg->id.b[0] % 4 != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct run_choice some = { keep_some, NULL };
	struct error err = ERROR_INIT;
	struct run_target to = { .uid = &name, .structure = &zero };
	struct run_layout layout;
	struct run *r = NULL, *twice[2];
	bool empty;
	enum err rc;
	int fd;

	if (len < 3)
		return 0;
	fd = make_file(data, len, &layout);
	assert(run_open(&r, fd, &name, &zero, &err) == ERR_OK);
	twice[0] = twice[1] = r;
	to.fd = memfd_create("merged", MFD_CLOEXEC);
	assert(to.fd >= 0);
	rc = run_merge_write(twice, 2, &some, &to, &empty, &err);
	assert(rc == ERR_OK || rc == ERR_CORRUPT || rc == ERR_NOMEM);
	look_around(r, &layout);
	(void)close(to.fd);
	run_unref(r);
	return 0;
}
