/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/forget.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "repo/session.h"

enum { KEY_MAX = 1 << 26, DAMAGED_MAX = 1 << 20, HOUR = 3600, DAY = 86400 };

/* Snapshots with equal keys are of one group. */
struct keyed {
	struct verdict v;
	struct buf key;
};

struct planning {
	struct forget_plan plan;
	struct keyed *keyed;
	const struct forget_conf *conf;
	struct repo *repo;
	bool no_memory;
};

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for what to forget");
}

static void
on_damaged(void *arg, const struct snapshot_name *name, const struct error *why)
{
	struct planning *p = arg;
	struct damaged *v;

	if (p->plan.n_damaged == DAMAGED_MAX)
		return;
	v = reallocarray(p->plan.damaged, p->plan.n_damaged + 1, sizeof(*v));
	if (v == NULL) {
		p->no_memory = true;
		return;
	}
	p->plan.damaged = v;
	v[p->plan.n_damaged++] = (struct damaged){ *name, *why };
}

/* Those that are forgotten already are nobody's business any more. */
static void
drop_forgotten(struct forget_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_damaged; i++) {
		const struct mark *m =
			marks_find(&p->marks, &p->damaged[i].name);

		if (m == NULL || !m->forgotten)
			p->damaged[n++] = p->damaged[i];
	}
	p->n_damaged = n;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In whatever order they were given. */
static enum err
put_strings(struct buf *key, const struct strings *s, struct error *err)
{
	char **sorted = calloc(s->n + 1, sizeof(*sorted));
	enum err rc;

	if (sorted == NULL)
		return no_memory(err);
	rc = buf_put_varint(key, s->n, err);
	if (s->n > 0) {
		memcpy(sorted, s->v, s->n * sizeof(*sorted));
		qsort(sorted, s->n, sizeof(*sorted), by_text);
	}
	for (size_t i = 0; rc == ERR_OK && i < s->n; i++)
		rc = buf_put_str(key, sorted[i], err);
	free(sorted);
	return rc;
}

static enum err
make_key(struct buf *key, const struct snapshot *s, unsigned by,
	struct error *err)
{
	enum err rc = ERR_OK;

	buf_init(key, KEY_MAX);
	if (by & GROUP_HOST)
		rc = buf_put_str(key, s->host != NULL ? s->host : "", err);
	if (rc == ERR_OK && (by & GROUP_PATHS))
		rc = put_strings(key, &s->sources, err);
	if (rc == ERR_OK && (by & GROUP_TAGS))
		rc = put_strings(key, &s->tags, err);
	if (rc == ERR_OK && (by & GROUP_IDENTITY))
		rc = buf_put(key, s->ns.b, UID_LEN, err);
	return rc;
}

static int
cmp_key(const struct buf *a, const struct buf *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int order = len == 0 ? 0 : memcmp(a->data, b->data, len);

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int
by_group(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int order = cmp_key(&x->key, &y->key);

	if (order == 0)
		order = when_cmp(&x->v.r.received, &y->v.r.received);
	if (order == 0)
		order = when_cmp(&x->v.snap->begin, &y->v.snap->begin);
	return order != 0 ? order
			  : memcmp(&x->v.snap->uid, &y->v.snap->uid, UID_LEN);
}

/* *gone where a prune has removed it meanwhile. */
static enum err
ask_time(struct planning *p, const struct snapshot *s, struct when *out,
	bool *gone, struct error *err)
{
	char ns[UID_HEX + 1], name[STORE_NAME_MAX + 1];
	struct error why = ERROR_INIT;
	enum err rc;

	hex_encode(s->ns.b, UID_LEN, ns);
	session_snapshot_name(name, ns, &s->uid);
	rc = store_time(repo_store(p->repo), name, out, &why);
	*gone = rc == ERR_NOTFOUND;
	if (rc == ERR_OK || rc == ERR_NOTFOUND)
		return ERR_OK;
	*err = why;
	return rc;
}

static enum err
add_one(struct planning *p, const struct snapshot *s, struct error *err)
{
	struct snapshot_name name = { s->ns, s->uid };
	struct keyed *k = &p->keyed[p->plan.n];
	const struct strings *tags = &p->conf->keep_tags;
	const struct mark *m;
	bool gone;
	enum err rc;

	*k = (struct keyed){ .v = { .snap = s } };
	rc = ask_time(p, s, &k->v.r.received, &gone, err);
	if (rc != ERR_OK || gone)
		return rc;
	for (size_t i = 0; i < tags->n && k->v.tag == NULL; i++)
		if (strings_have(&s->tags, tags->v[i]))
			k->v.tag = tags->v[i];
	m = marks_find(&p->plan.marks, &name);
	k->v.held = m != NULL && m->held ? m : NULL;
	k->v.r.pinned = k->v.tag != NULL || k->v.held != NULL;
	k->v.r.good = (s->flags & SNAPSHOT_INCOMPLETE) == 0;
	p->plan.n++;
	return make_key(&k->key, s, p->conf->group_by, err);
}

/* Received within an hour, though made on more than one day. */
static bool
looks_copied(const struct keyed *k, size_t n)
{
	const struct when *first = NULL, *last = NULL, *at;
	int64_t received, made;

	for (size_t i = 0; i < n; i++) {
		assert(k[i].v.snap != NULL);
		at = &k[i].v.snap->begin;
		if (first == NULL || when_cmp(at, first) < 0)
			first = at;
		if (last == NULL || when_cmp(at, last) > 0)
			last = at;
	}
	assert(first != NULL && last != NULL);
	if (__builtin_sub_overflow(k[n - 1].v.r.received.sec,
		    k[0].v.r.received.sec, &received) ||
		__builtin_sub_overflow(last->sec, first->sec, &made))
		return false;
	return received <= HOUR && made > DAY;
}

/* Nothing was made after it was received; so a clock that ran ahead, or a
 * time somebody thought of, pushes out nobody else. */
static void
use_record(struct keyed *k)
{
	assert(k->v.snap != NULL);
	if (when_cmp(&k->v.snap->begin, &k->v.r.received) < 0)
		k->v.r.received = k->v.snap->begin;
}

/* One snapshot of the year 2099 would push out all that lie within a span
 * before now. */
static bool
is_ahead(const struct keyed *newest)
{
	return newest->v.r.received.sec > when_now().sec + DAY;
}

static enum refusal
refuse(const struct keyed *k, size_t n)
{
	if (is_ahead(&k[n - 1]))
		return REFUSED_FUTURE;
	return looks_copied(k, n) ? REFUSED_COPIED : REFUSED_NOT;
}

static enum err
make_groups(struct planning *p, struct error *err)
{
	struct forget_plan *plan = &p->plan;
	size_t i = 0, end;

	plan->v = calloc(plan->n + 1, sizeof(*plan->v));
	plan->groups = calloc(plan->n + 1, sizeof(*plan->groups));
	if (plan->v == NULL || plan->groups == NULL)
		return no_memory(err);
	if (p->conf->time_from_record)
		for (size_t k = 0; k < plan->n; k++)
			use_record(&p->keyed[k]);
	if (plan->n > 0)
		qsort(p->keyed, plan->n, sizeof(*p->keyed), by_group);
	for (; i < plan->n; i = end) {
		struct forget_group *g = &plan->groups[plan->n_groups];

		for (end = i; end < plan->n && cmp_key(&p->keyed[i].key,
						       &p->keyed[end].key) == 0;
			end++) {
			plan->v[end] = p->keyed[end].v;
			plan->v[end].group = plan->n_groups;
		}
		*g = (struct forget_group){ .first = i, .n = end - i };
		if (!p->conf->time_from_record)
			g->refused = refuse(&p->keyed[i], end - i);
		plan->n_groups++;
	}
	return ERR_OK;
}

static enum err
judge(struct planning *p, struct error *err)
{
	struct forget_plan *plan = &p->plan;
	struct retained *r = calloc(plan->n + 1, sizeof(*r));

	if (r == NULL)
		return no_memory(err);
	for (size_t g = 0; g < plan->n_groups; g++) {
		size_t first = plan->groups[g].first, n = plan->groups[g].n;

		for (size_t i = 0; i < n; i++)
			r[i] = plan->v[first + i].r;
		retention_apply(&p->conf->policy, r, n);
		for (size_t i = 0; i < n; i++)
			plan->v[first + i].r = r[i];
	}
	free(r);
	return ERR_OK;
}

enum err
forget_plan(struct forget_plan *out, struct repo *r,
	const struct snapshot_filter *filter, const struct forget_conf *conf,
	struct error *err)
{
	struct planning p = { .conf = conf, .repo = r };
	struct snapshot_filter mine = *filter;
	size_t n = 0;
	enum err rc;

	mine.bad_uid = on_damaged;
	mine.bad_arg = &p;
	rc = snapshot_list_load(&p.plan.list, r, &mine, err);
	if (rc == ERR_OK && p.no_memory)
		rc = no_memory(err);
	if (rc == ERR_OK)
		rc = marks_read(&p.plan.marks, repo_store(r), repo_keys(r),
			NULL, NULL, err);
	if (rc != ERR_OK)
		goto out;
	drop_forgotten(&p.plan);
	p.keyed = calloc(p.plan.list.n + 1, sizeof(*p.keyed));
	if (p.keyed == NULL)
		rc = no_memory(err);
	for (; rc == ERR_OK && n < p.plan.list.n; n++)
		rc = add_one(&p, &p.plan.list.v[n], err);
	if (rc == ERR_OK)
		rc = make_groups(&p, err);
	if (rc == ERR_OK)
		rc = judge(&p, err);
out:
	for (size_t i = 0; p.keyed != NULL && i < n; i++)
		buf_fini(&p.keyed[i].key);
	free(p.keyed);
	if (rc != ERR_OK)
		forget_plan_fini(&p.plan);
	else
		*out = p.plan;
	return rc;
}

void
forget_plan_fini(struct forget_plan *p)
{
	snapshot_list_fini(&p->list);
	marks_fini(&p->marks);
	free(p->v);
	free(p->groups);
	free(p->damaged);
	*p = (struct forget_plan){ 0 };
}

bool
forget_goes(const struct forget_plan *p, const struct verdict *v)
{
	return !v->r.keep && p->groups[v->group].refused == REFUSED_NOT;
}

bool
forget_takes_last(const struct forget_plan *p, const bool *going, size_t *which)
{
	for (size_t g = 0; g < p->n_groups; g++) {
		const struct forget_group *group = &p->groups[g];
		bool had = false, has = false;

		for (size_t k = 0; k < group->n; k++) {
			size_t i = group->first + k;

			if (!p->v[i].r.good)
				continue;
			has = has || !going[i];
			if (going[i]) {
				had = true;
				*which = i;
			}
		}
		if (had && !has)
			return true;
	}
	return false;
}
