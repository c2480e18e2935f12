/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/pick.h"

#include <assert.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "model/path.h"
#include "model/rbd_record.h"

enum { OWN_MAX = 64 << 20 };

enum err
pick_cut(struct place *out, const char *text, struct error *err)
{
	char *copy = strdup(text), *slash, *second;

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	slash = strchr(copy, '/');
	second = slash != NULL ? strchr(slash + 1, '/') : NULL;
	if (slash == NULL || slash == copy ||
		(second != NULL && strchr(second + 1, '/') != NULL) ||
		(second != NULL ? second : slash)[1] == '\0') {
		free(copy);
		return err_set(err, ERR_USAGE,
			"'%s' is not POOL[/NAMESPACE]/IMAGE", text);
	}
	*slash = '\0';
	out->pool = copy;
	out->ns = copy + strlen(copy);
	out->name = slash + 1;
	if (second != NULL) {
		*second = '\0';
		out->ns = slash + 1;
		out->name = second + 1;
	}
	return ERR_OK;
}

void
pick_cut_free(struct place *p)
{
	free(p->pool);
	*p = (struct place){ NULL };
}

enum err
pick_pool(struct rbd *r, const struct place *p, struct ceph_pool **out,
	struct error *err)
{
	struct ceph_pool **v;
	enum err rc;

	for (size_t i = 0; i < r->n_pools; i++) {
		*out = r->pools[i];
		if (strcmp(ceph_pool_name(*out), p->pool) == 0 &&
			strcmp(ceph_pool_ns(*out), p->ns) == 0)
			return ERR_OK;
	}
	v = array_grow(r->pools, r->n_pools, &r->cap_pools, sizeof(*v), err);
	if (v == NULL)
		return ERR_NOMEM;
	r->pools = v;
	rc = ceph_pool_open(out, r->ceph, p->pool, p->ns, err);
	if (rc == ERR_OK)
		v[r->n_pools++] = *out;
	return rc;
}

/* ---- one image ---- */

static void
free_pick(struct pick *p)
{
	if (p == NULL)
		return;
	ceph_image_close(p->rw);
	buf_fini(&p->key);
	buf_fini(&p->record);
	buf_fini(&p->own);
	free(p->name);
	free(p->label);
	free(p);
}

static enum err
new_pick(struct pick **out, struct ceph_pool *pool, const char *name,
	struct error *err)
{
	const char *ns = ceph_pool_ns(pool);
	struct pick *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an image");
	p->pool = pool;
	buf_init(&p->key, KEY_MAX);
	buf_init(&p->record, RBD_RECORD_MAX);
	buf_init(&p->own, OWN_MAX);
	p->name = strdup(name);
	if (asprintf(&p->label, "%s%s%s/%s", ceph_pool_name(pool),
		    ns[0] != '\0' ? "/" : "", ns, name) < 0)
		p->label = NULL;
	if (p->name == NULL || p->label == NULL) {
		free_pick(p);
		return err_set(err, ERR_NOMEM, "no memory for an image");
	}
	*out = p;
	return ERR_OK;
}

/* Under the pool's own key where it has none: it is only told of. */
static enum err
give_key(struct pick *p, struct error *err)
{
	enum err rc = rbd_image_key(&p->key, ceph_pool_name(p->pool),
		ceph_pool_ns(p->pool), p->name, err);

	if (rc != ERR_USAGE || p->named)
		return rc;
	p->trouble = *err;
	return buf_put(&p->key, "images", 6, err);
}

static enum err
add(struct rbd *r, struct ceph_pool *pool, const char *name, bool named,
	struct error *err)
{
	struct pick **v = array_grow(r->picks, r->n_picks, &r->cap_picks,
		sizeof(struct pick *), err);
	struct pick *p = NULL;
	enum err rc;

	if (v == NULL)
		return ERR_NOMEM;
	r->picks = v;
	rc = new_pick(&p, pool, name, err);
	if (rc != ERR_OK)
		return rc;
	p->named = named;
	rc = give_key(p, err);
	if (rc != ERR_OK) {
		free_pick(p);
		return rc;
	}
	v[r->n_picks++] = p;
	return ERR_OK;
}

/* ---- operands ---- */

struct search {
	struct rbd *r;
	struct ceph_pool *pool;
	const char *pattern;
	size_t found;
};

static enum err
on_image(void *arg, const char *name, const char *id, struct error *err)
{
	struct search *s = arg;

	(void)id;
	if (fnmatch(s->pattern, name, FNM_PERIOD) != 0 &&
		strcmp(s->pattern, name) != 0)
		return ERR_OK;
	s->found++;
	return add(s->r, s->pool, name, false, err);
}

static enum err
pick_operand(struct rbd *r, const char *text, struct error *err)
{
	struct place place = { NULL };
	struct search s = { .r = r };
	enum err rc = pick_cut(&place, text, err);

	if (rc == ERR_OK)
		rc = pick_pool(r, &place, &s.pool, err);
	if (rc != ERR_OK)
		goto out;
	s.pattern = place.name;
	if (strpbrk(place.name, "*?[\\") == NULL) {
		rc = add(r, s.pool, place.name, true, err);
		goto out;
	}
	rc = ceph_each_image(s.pool, on_image, &s, err);
	if (rc == ERR_OK && s.found == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"rbd:%s: there is no image that fits", text);
out:
	pick_cut_free(&place);
	return rc;
}

static enum err
on_member(void *arg, const char *name, const char *id, struct error *err)
{
	struct place place = { NULL };
	struct ceph_pool *pool;
	struct rbd *r = arg;
	enum err rc = pick_cut(&place, name, err);

	(void)id;
	if (rc == ERR_OK)
		rc = pick_pool(r, &place, &pool, err);
	if (rc == ERR_OK)
		rc = add(r, pool, place.name, true, err);
	pick_cut_free(&place);
	return rc;
}

/* ---- in order, each once ---- */

static int
by_key(const void *a, const void *b)
{
	const struct pick *const *x = a, *const *y = b;

	return key_cmp((*x)->key.data, (*x)->key.len, (*y)->key.data,
		(*y)->key.len);
}

static void
sort_unique(struct rbd *r)
{
	size_t n = 0;

	if (r->n_picks == 0)
		return;
	qsort(r->picks, r->n_picks, sizeof(struct pick *), by_key);
	for (size_t i = 1; i < r->n_picks; i++) {
		struct pick *last = r->picks[n], *p = r->picks[i];

		if (strcmp(last->label, p->label) != 0) {
			r->picks[++n] = p;
			continue;
		}
		last->named = last->named || p->named;
		free_pick(p);
	}
	r->n_picks = n + 1;
}

enum err
pick_all(struct rbd *r, struct error *err)
{
	enum err rc = ERR_OK;

	pick_none(r);
	for (size_t i = 0; rc == ERR_OK && i < r->conf.n_args; i++)
		if (r->group == NULL)
			rc = pick_operand(r, r->conf.args[i], err);
	if (rc == ERR_OK && r->group != NULL)
		rc = ceph_each_group_image(r->group_pool, r->group, on_member,
			r, err);
	if (rc == ERR_OK && r->group != NULL && r->n_picks == 0)
		rc = err_set(err, ERR_NOTFOUND, "group %s has no images",
			r->group);
	if (rc == ERR_OK)
		sort_unique(r);
	return rc;
}

void
pick_none(struct rbd *r)
{
	for (size_t i = 0; i < r->n_picks; i++)
		free_pick(r->picks[i]);
	r->n_picks = 0;
}
