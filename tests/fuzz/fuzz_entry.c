/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte, the number of references; one bit each in the next two,
 * whether it is a node; the value.  What is accepted can be encoded; that
 * decodes and encodes to the same bytes; and the stamp says the same.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "model/entry.h"

enum { N_REFS = 16, HEAD = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
read_all_xattrs(const struct entry *e, struct error *err)
{
	struct bytes name, value;
	struct xattr_iter it;

	if (e->xattrs.len == 0)
		return;
	assert(xattrs_open(&it, e->xattrs, err) == ERR_OK);
	while (xattrs_next(&it, &name, &value))
		assert(name.len > 0);
	assert(it.left == 0);
}

static void
again(const struct entry *e, struct error *err)
{
	struct buf one = BUF_INIT(2 * VALUE_MAX);
	struct buf two = BUF_INIT(2 * VALUE_MAX);
	struct refs refs = { 0 };
	struct entry back;

	entry_init(&back);
	/* A value of the longest kind can grow: its references are numbered
	 * anew. */
	if (entry_encode(e, &one, &refs, err) != ERR_OK)
		assert(err->code == ERR_NOMEM);
	else if (entry_decode(&back, one.data, one.len, refs.v, refs.n, err) !=
		 ERR_OK)
		assert(0);
	else if (entry_encode(&back, &two, &refs, err) != ERR_OK)
		assert(0);
	else
		assert(one.len == two.len &&
			memcmp(one.data, two.data, one.len) == 0);
	entry_fini(&back);
	refs_fini(&refs);
	buf_fini(&one);
	buf_fini(&two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	struct ref refs[N_REFS] = { 0 };
	struct entry_stamp stamp = { 0 };
	struct entry e;
	size_t n_refs;

	if (len < HEAD)
		return 0;
	n_refs = data[0] % (N_REFS + 1);
	for (size_t i = 0; i < N_REFS; i++) {
		refs[i].id.b[0] = (uint8_t)(i / 2);
		refs[i].node = (data[1 + i / 8] >> i % 8 & 1) != 0;
	}
	entry_init(&e);
	if (entry_decode(&e, data + HEAD, len - HEAD, refs, n_refs, &err) ==
		ERR_OK) {
		assert(entry_decode_stamp(&stamp, data + HEAD, len - HEAD,
			       &err) == ERR_OK);
		assert(stamp.type == e.type && stamp.size == e.size &&
			stamp.ino == e.ino && stamp.marks == e.marks);
		assert(entry_unchanged(&e, &stamp) == (e.marks == 0));
		read_all_xattrs(&e, &err);
		again(&e, &err);
	} else {
		(void)!entry_decode_stamp(&stamp, data + HEAD, len - HEAD,
			&err);
	}
	entry_fini(&e);
	return 0;
}
