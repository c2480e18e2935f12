/* SPDX-License-Identifier: Apache-2.0 */
#include "view/export_rbd.h"

#include <stdlib.h>
#include <string.h>

#include "format/rbd_diff.h"
#include "format/rbd_export.h"

/* What `rbd create` makes where nothing is known: layering, exclusive-lock,
 * object-map, fast-diff, deep-flatten; objects of 4 MiB. */
enum { USUAL_FEATURES = 0x3d, USUAL_ORDER = 22 };

/* Features that an import can set; others (operations, migrating, dirty cache)
 * are states of the image that was. */
enum { FEATURES_KEPT = 0x7f };

static enum err
to_data(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	return rbd_diff_begin(arg, off, len, err);
}

static enum err
to_put(void *arg, const void *data, size_t len, struct error *err)
{
	return rbd_diff_put(arg, data, len, err);
}

static enum err
to_zero(void *arg, uint64_t off, uint64_t len, struct error *err)
{
	return rbd_diff_zero(arg, off, len, err);
}

static bool
was_protected(const struct export_state *s)
{
	const struct rbd_record *r = &s->image->record;

	for (size_t i = 0; s->name != NULL && i < r->n_snaps; i++)
		if (strcmp(r->snaps[i].name, s->name) == 0)
			return r->snaps[i].is_protected;
	return false;
}

static uint64_t
object_size(const struct export_image *image)
{
	unsigned order = image->has_record ? image->record.order : 0;

	return order < RBD_ORDER_MIN || order > RBD_ORDER_MAX
		       ? RBD_OBJECT
		       : UINT64_C(1) << order;
}

struct making {
	struct repo *repo;
	struct tree_io *io;
	const struct export_conf *conf;
	struct rbd_out *out;
	enum rbd_diff_version version;
};

/* One stream; same: there is nothing between the two. */
static enum err
put_diff(const struct making *m, const struct export_state *from,
	const struct export_state *to, bool same, struct error *err)
{
	struct rbd_diff_head head = { .from = from != NULL ? from->name : NULL,
		.to = to->name,
		.size = to->image->size,
		.is_protected = was_protected(to) };
	struct rbd_diff_writer *w = NULL;
	struct export_sink sink = { to_data, to_put, to_zero, NULL };
	enum err rc;

	rc = rbd_diff_writer_new(&w, m->out, m->version, &head,
		object_size(to->image), err);
	sink.arg = w;
	if (rc == ERR_OK && !same)
		rc = export_run(m->repo, m->io,
			from != NULL ? from->image : NULL, to->image, m->conf,
			&sink, err);
	if (rc == ERR_OK)
		rc = rbd_diff_end(w, err);
	rbd_diff_writer_free(w);
	return rc;
}

enum err
export_rbd_diff(struct repo *r, struct tree_io *io,
	const struct export_state *from, const struct export_state *to,
	const struct export_conf *conf, struct rbd_out *out, struct error *err)
{
	struct making m = { r, io, conf, out, RBD_DIFF_V1 };
	enum err rc = put_diff(&m, from, to, false, err);

	return rc == ERR_OK ? rbd_out_flush(out, err) : rc;
}

static enum err
put_head(struct rbd_out *out, const struct export_image *image, size_t n,
	struct error *err)
{
	const struct rbd_record *r = &image->record;
	struct rbd_export_head head = { .order = USUAL_ORDER,
		.features = USUAL_FEATURES,
		.n_diffs = n };
	enum err rc;

	if (image->has_record && r->order > 0) {
		head.order = r->order;
		head.features = r->features & FEATURES_KEPT;
		head.stripe_unit = r->stripe_unit;
		head.stripe_count = r->stripe_count;
	}
	head.meta = calloc(r->n_meta + 1, sizeof(*head.meta));
	if (head.meta == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < r->n_meta; i++)
		head.meta[i] = (struct rbd_export_meta){ r->meta[i].key,
			r->meta[i].value };
	head.n_meta = r->n_meta;
	rc = rbd_export_write_head(out, &head, err);
	free(head.meta); /* the texts are the record's */
	return rc;
}

enum err
export_rbd_image(struct repo *r, struct tree_io *io,
	const struct export_state *states, size_t n,
	const struct export_conf *conf, struct rbd_out *out, struct error *err)
{
	const struct export_state *last = &states[n - 1];
	const struct export_state head = { last->image, NULL };
	struct making m = { r, io, conf, out, RBD_DIFF_V2 };
	enum err rc = put_head(out, last->image, n + 1, err);

	for (size_t i = 0; i < n && rc == ERR_OK; i++)
		rc = put_diff(&m, i > 0 ? &states[i - 1] : NULL, &states[i],
			false, err);
	if (rc == ERR_OK)
		rc = put_diff(&m, last, &head, true, err);
	return rc == ERR_OK ? rbd_out_flush(out, err) : rc;
}
