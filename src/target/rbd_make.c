/* SPDX-License-Identifier: Apache-2.0 */
/* make: an image set up as the recorded one was, or as options say. */
#include <stdlib.h>
#include <string.h>

#include "target/rbd.h"

/* What can be said when an image is made; the rest comes of itself. */
enum {
	FEATURES_SET = CEPH_LAYERING | CEPH_EXCLUSIVE_LOCK | CEPH_OBJECT_MAP |
		       CEPH_FAST_DIFF | CEPH_DEEP_FLATTEN | CEPH_JOURNALING
};

static const struct {
	const char *name;
	uint64_t bit;
} features[] = {
	{ "layering", CEPH_LAYERING },
	{ "exclusive-lock", CEPH_EXCLUSIVE_LOCK },
	{ "object-map", CEPH_OBJECT_MAP },
	{ "fast-diff", CEPH_FAST_DIFF },
	{ "deep-flatten", CEPH_DEEP_FLATTEN },
	{ "journaling", CEPH_JOURNALING },
};

static enum err
parse_features(const char *text, uint64_t *out, struct error *err)
{
	*out = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, ","), i = 0;

		while (i < ARRAY_LEN(features) &&
			(strlen(features[i].name) != len ||
				memcmp(features[i].name, text, len) != 0))
			i++;
		if (i == ARRAY_LEN(features))
			return err_set(err, ERR_USAGE,
				"target rbd, option features: no feature "
				"'%.*s' can be set",
				(int)len, text);
		*out |= features[i].bit;
		text += len + (text[len] == ',' ? 1 : 0);
	}
	return ERR_OK;
}

static uint64_t
told_or(const struct settings *s, const char *name, uint64_t recorded)
{
	if (settings_text(s, rbd_target_options, name) == NULL)
		return recorded;
	return settings_number(s, rbd_target_options, name);
}

static enum err
describe(const struct rbd_target *r, const struct settings *s,
	struct ceph_create *out, struct error *err)
{
	const struct rbd_record *old = &r->record;
	const char *text = settings_text(s, rbd_target_options, "features");
	const char *data_pool =
		settings_text(s, rbd_target_options, "data-pool");
	uint64_t order = told_or(s, "order", r->has_record ? old->order : 0);

	if (order != 0 && (order < 12 || order > 25))
		return err_set(err, ERR_USAGE,
			"target rbd, option order: 12 to 25, not %llu",
			(unsigned long long)order);
	*out = (struct ceph_create){ .size = r->size,
		.order = (unsigned)order };
	if (data_pool == NULL)
		data_pool = old->data_pool;
	if (data_pool != NULL && *data_pool != '\0')
		out->data_pool = data_pool;
	out->stripe_unit = told_or(s, "stripe-unit", old->stripe_unit);
	out->stripe_count = told_or(s, "stripe-count", old->stripe_count);
	/* Not the usual stripes, which are none; what is recorded for another
	 * size of objects may not fit. */
	if (out->stripe_count <= 1 && order != 0 && order == old->order)
		out->stripe_unit = out->stripe_count = 0;
	out->features = old->features & FEATURES_SET;
	out->has_features = r->has_record;
	if (text == NULL)
		return ERR_OK;
	out->has_features = true;
	return parse_features(text, &out->features, err);
}

/* A clone of what it was a clone of. */
static enum err
make_clone(struct rbd_target *r, const struct ceph_create *conf,
	struct error *err)
{
	const struct rbd_parent *p = &r->record.parent;
	struct ceph_pool *pool = NULL;
	enum err rc;

	rc = ceph_pool_open(&pool, r->cluster, p->pool, p->ns, err);
	if (rc == ERR_OK)
		rc = ceph_image_clone(pool, p->image, p->snap, r->pool, r->name,
			conf, err);
	ceph_pool_close(pool);
	if (rc == ERR_NOTFOUND)
		return err_set(err, ERR_NOTFOUND,
			"%s/%s was stored without what it sees through its "
			"parent, and that parent, %s/%s@%s, is not in this "
			"cluster",
			r->pool_name, r->name, p->pool, p->image, p->snap);
	return rc;
}

enum err
rbd_target_make(struct rbd_target *r, const struct settings *s,
	struct error *err)
{
	struct ceph_create conf;
	enum err rc = describe(r, s, &conf, err);

	if (rc != ERR_OK)
		return rc;
	if (rbd_target_is_layer(r))
		return make_clone(r, &conf, err);
	rc = ceph_image_create(r->pool, r->name, &conf, err);
	if (rc == ERR_NOTFOUND && conf.data_pool != NULL)
		rc = err_wrap(err, "data pool %s (-o data-pool= names another)",
			conf.data_pool);
	return rc;
}
