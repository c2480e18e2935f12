/* SPDX-License-Identifier: Apache-2.0 */
#include "format/rbd_out.h"

#include <stdlib.h>
#include <string.h>

struct rbd_out {
	rbd_out_fn *write;
	void *arg;
	size_t len;
	uint8_t buf[RBD_OUT_BUF];
};

enum err
rbd_out_new(struct rbd_out **out, rbd_out_fn *write, void *arg,
	struct error *err)
{
	struct rbd_out *o = malloc(sizeof(*o));

	if (o == NULL)
		return err_set(err, ERR_NOMEM, "no memory to write a stream");
	o->write = write;
	o->arg = arg;
	o->len = 0;
	*out = o;
	return ERR_OK;
}

void
rbd_out_free(struct rbd_out *out)
{
	free(out);
}

enum err
rbd_out_flush(struct rbd_out *out, struct error *err)
{
	size_t len = out->len;

	out->len = 0;
	return len > 0 ? out->write(out->arg, out->buf, len, err) : ERR_OK;
}

enum err
rbd_out_put(struct rbd_out *out, const void *data, size_t len,
	struct error *err)
{
	enum err rc = ERR_OK;

	if (len > RBD_OUT_BUF - out->len)
		rc = rbd_out_flush(out, err);
	if (rc != ERR_OK || len == 0)
		return rc;
	if (len >= RBD_OUT_BUF)
		return out->write(out->arg, data, len, err);
	memcpy(out->buf + out->len, data, len);
	out->len += len;
	return ERR_OK;
}
