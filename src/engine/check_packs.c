/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_packs: the segments are read one after the other; each pack that one
 * names is a job for the crew.  A pack that several segments name is checked
 * once.  Segments that do not count are passed over; those that the last prune
 * named have to be there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "engine/checking.h"
#include "engine/idset.h"
#include "repo/epoch.h"
#include "repo/segment.h"

struct scan {
	struct checking *c;
	struct idset listed; /* packs that a segment names */
	struct segment_ref *refs; /* the segments in the store */
	size_t n_refs, cap_refs;
	struct counting counting;
	bool wanted; /* the pack at hand has not been checked */
	struct pack_info pack;
	struct record *recs;
	uint32_t n, cap;
};

struct pack_job {
	struct job job;
	struct checking *c;
	struct pack_info pack;
	bool read_data;
	struct record recs[];
};

static void
pack_run(struct job *job, unsigned worker)
{
	struct pack_job *p = container_of(job, struct pack_job, job);
	struct checking *c = p->c;
	struct error why = ERROR_INIT;

	if (repo_check_pack(c->crew.lanes[worker], &p->pack, p->recs,
		    p->read_data, &why) != ERR_OK)
		checking_found(c, &why);
	pthread_mutex_lock(&c->lock);
	c->result->packs++;
	if (p->read_data) {
		c->result->packs_read++;
		c->result->bytes_read += p->pack.size;
	}
	pthread_mutex_unlock(&c->lock);
	c->report->progress->items_done++;
	c->report->progress->bytes_done += p->pack.size;
	free(p);
}

/* Whether this pack is in the sample. */
static bool
is_sampled(double percent)
{
	uint32_t dice;

	random_bytes(&dice, sizeof(dice));
	return (double)dice < percent / 100.0 * 4294967296.0;
}

static enum err
submit_pack(struct scan *s, struct error *err)
{
	struct pack_job *p;

	p = malloc(sizeof(*p) + s->n * sizeof(struct record));
	if (p == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	p->job.run = pack_run;
	p->c = s->c;
	p->pack = s->pack;
	p->read_data = is_sampled(s->c->conf->read_data_percent);
	if (s->n > 0)
		memcpy(p->recs, s->recs, s->n * sizeof(struct record));
	pool_submit(s->c->crew.pool, &p->job);
	return ERR_OK;
}

/* The records of the pack at hand are complete. */
static enum err
end_pack(struct scan *s, struct error *err)
{
	enum err rc = ERR_OK;

	if (s->wanted)
		rc = submit_pack(s, err);
	s->wanted = false;
	s->n = 0;
	return rc;
}

static enum err
on_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct scan *s = arg;
	enum err rc = end_pack(s, err);

	if (rc == ERR_OK)
		rc = idset_add(&s->listed, &pack->id, &s->wanted, err);
	s->pack = *pack;
	s->c->report->progress->items_total += s->wanted;
	return rc;
}

static enum err
on_record(void *arg, const struct location *loc, struct error *err)
{
	struct scan *s = arg;
	struct record *v;
	uint32_t cap;

	if (s->n == s->cap) {
		cap = s->cap > 0 ? 2 * s->cap : 256;
		v = realloc(s->recs, cap * sizeof(*v));
		if (v == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		s->recs = v;
		s->cap = cap;
	}
	s->recs[s->n++] = loc->rec;
	return ERR_OK;
}

/* Load one segment for v; one that is damaged is a finding.  What is returned
 * ends the check. */
static enum err
load(struct scan *s, const char *name, const struct segment_visitor *v,
	struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc;

	rc = segment_load(repo_store(s->c->repo), name,
		&repo_keys(s->c->repo)->structure, v, &why);
	if (rc == ERR_NOMEM) {
		*err = why;
		return rc;
	}
	if (rc != ERR_OK)
		checking_found(s->c, &why);
	if (s->c->report->stop != NULL && *s->c->report->stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}

static enum err
on_segment(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct scan *s = arg;
	size_t cap = s->cap_refs > 0 ? 2 * s->cap_refs : 64;
	struct segment_ref ref, *v;

	if (!segment_name_parse(name, &ref))
		return ERR_OK;
	if (s->n_refs == s->cap_refs) {
		v = reallocarray(s->refs, cap, sizeof(*v));
		if (v == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		s->refs = v;
		s->cap_refs = cap;
	}
	s->refs[s->n_refs++] = ref;
	return ERR_OK;
}

static int
cmp_refs(const void *a, const void *b)
{
	return segment_cmp(a, b);
}

static void
find_missing(struct scan *s)
{
	const struct final *f = &s->counting.final;
	char name[SEGMENT_NAME_MAX];
	struct error why = ERROR_INIT;

	for (size_t i = 0; i < f->n_segments; i++) {
		if (s->n_refs > 0 &&
			bsearch(&f->segments[i], s->refs, s->n_refs,
				sizeof(*s->refs), cmp_refs) != NULL)
			continue;
		segment_name(&f->segments[i], name);
		if (err_set(&why, ERR_CORRUPT, "%s is missing", name) != ERR_OK)
			checking_found(s->c, &why);
	}
}

static enum err
check_segments(struct scan *s, struct error *err)
{
	struct segment_visitor v = { .pack = on_pack,
		.record = on_record,
		.arg = s };
	char name[SEGMENT_NAME_MAX];
	enum err rc = ERR_OK;

	if (s->n_refs > 0)
		qsort(s->refs, s->n_refs, sizeof(*s->refs), cmp_refs);
	find_missing(s);
	for (size_t i = 0; i < s->n_refs && rc == ERR_OK; i++) {
		if (!counting_segment(&s->counting, &s->refs[i])) {
			s->c->result->segments_void++;
			continue;
		}
		segment_name(&s->refs[i], name);
		rc = load(s, name, &v, err);
		if (rc == ERR_OK)
			rc = end_pack(s, err);
	}
	return rc;
}

static enum err
on_pack_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	static const char form[] = "packs/xx/";
	struct scan *s = arg;
	struct id id;

	if (strlen(name) != sizeof(form) - 1 + ID_HEX ||
		!hex_decode(name + sizeof(form) - 1, id.b, ID_LEN) ||
		!idset_has(&s->listed, &id))
		s->c->result->packs_unlisted++;
	return ERR_OK;
}

enum err
check_packs(struct checking *c, struct error *err)
{
	struct store *st = repo_store(c->repo);
	struct scan s = { .c = c };
	enum err rc;

	rc = store_list(st, "index", on_segment, &s, err);
	if (rc == ERR_OK)
		rc = counting_read(st, repo_keys(c->repo), &s.counting, err);
	if (rc == ERR_OK)
		rc = check_segments(&s, err);
	pool_drain(c->crew.pool);
	if (rc == ERR_OK)
		rc = store_list(st, "packs", on_pack_object, &s, err);
	idset_fini(&s.listed);
	counting_fini(&s.counting);
	free(s.refs);
	free(s.recs);
	return rc;
}
