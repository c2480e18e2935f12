/* SPDX-License-Identifier: Apache-2.0 */
/* xattrs: extended attributes as one block of bytes (docs/format.md, section
 * 8). */
#include <string.h>

#include "base/rd.h"
#include "model/entry.h"
#include "model/path.h"

/* As in Linux: XATTR_NAME_MAX, XATTR_SIZE_MAX. */
enum { NAME_MAX_LEN = 255, VALUE_MAX_LEN = 65536 };

static bool
name_ok(struct bytes name)
{
	return name.len > 0 && name.len <= NAME_MAX_LEN &&
	       memchr(name.data, 0, name.len) == NULL;
}

static bool
ascending(struct bytes a, struct bytes b)
{
	return key_cmp(a.data, a.len, b.data, b.len) < 0;
}

enum err
xattrs_encode(struct buf *out, const struct bytes *names,
	const struct bytes *values, size_t n, struct error *err)
{
	size_t start = out->len;
	enum err rc = buf_put_varint(out, n, err);

	for (size_t i = 0; i < n && rc == ERR_OK; i++) {
		if (!name_ok(names[i]) || values[i].len > VALUE_MAX_LEN ||
			(i > 0 && !ascending(names[i - 1], names[i])))
			rc = err_set(err, ERR_USAGE,
				"extended attributes that cannot be kept: a "
				"name or value is too long or out of order");
		if (rc == ERR_OK)
			rc = buf_put_bytes(out, names[i].data, names[i].len,
				err);
		if (rc == ERR_OK)
			rc = buf_put_bytes(out, values[i].data, values[i].len,
				err);
	}
	if (rc != ERR_OK)
		out->len = start;
	return rc;
}

/* Each attribute takes two lengths at least, so the count cannot make this
 * run longer than the block is. */
enum err
xattrs_open(struct xattr_iter *it, struct bytes block, struct error *err)
{
	struct bytes last = { 0 }, name = { 0 };
	struct rd r;
	uint64_t n;
	size_t len;

	rd_init(&r, block.data, block.len);
	n = rd_varint_max(&r, block.len / 2);
	*it = (struct xattr_iter){ .p = r.p, .end = r.end, .left = n };
	for (uint64_t i = 0; i < n && rd_ok(&r); i++) {
		name.data = rd_bytes(&r, NAME_MAX_LEN, &name.len);
		(void)rd_bytes(&r, VALUE_MAX_LEN, &len);
		if (!rd_ok(&r) || !name_ok(name) ||
			(i > 0 && !ascending(last, name)))
			r.bad = true;
		last = name;
	}
	if (rd_done(&r))
		return ERR_OK;
	*it = (struct xattr_iter){ 0 };
	return err_set(err, ERR_CORRUPT,
		"extended attributes: the block is not well-formed");
}

bool
xattrs_next(struct xattr_iter *it, struct bytes *name, struct bytes *value)
{
	struct rd r;

	if (it->left == 0)
		return false;
	rd_init(&r, it->p, (size_t)(it->end - it->p));
	name->data = rd_bytes(&r, NAME_MAX_LEN, &name->len);
	value->data = rd_bytes(&r, VALUE_MAX_LEN, &value->len);
	it->p = r.p;
	it->left--;
	return rd_ok(&r);
}
