/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoch: the objects of a prune's steps.
 *
 * Crash argument.  A step is one object, created exclusively and whole, after
 * everything that it speaks of is durable; it is there or not.  Who removes
 * old epochs and is killed leaves some of their objects, which mean nothing
 * beside a newer final.
 */
#include "repo/epoch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "repo/epoch_list.h"
#include "repo/maintenance.h"
#include "repo/names.h"

enum { NAME_MAX_LEN = 64, TRIES = 8 };

static const char *const steps[] = {
	[EPOCH_CONDEMNED] = "condemned",
	[EPOCH_FINAL] = "final",
	[EPOCH_DONE] = "done",
};

static void
step_name(char out[NAME_MAX_LEN], uint64_t epoch, enum epoch_step step)
{
	(void)snprintf(out, NAME_MAX_LEN, "prune/%llu/%s",
		(unsigned long long)epoch, steps[step]);
}

static bool
parse(const char *name, uint64_t *epoch, enum epoch_step *step)
{
	const char *at = name;

	if (!names_text(&at, "prune/") || !names_number(&at, epoch) ||
		*epoch == 0 || !names_text(&at, "/"))
		return false;
	for (*step = EPOCH_CONDEMNED; *step <= EPOCH_DONE; ++*step)
		if (strcmp(at, steps[*step]) == 0)
			return true;
	return false;
}

int
epoch_snapshot_cmp(const struct snapshot_name *a, const struct snapshot_name *b)
{
	int cmp = memcmp(a->ns.b, b->ns.b, UID_LEN);

	return cmp != 0 ? cmp : memcmp(a->sid.b, b->sid.b, UID_LEN);
}

/* The steps of the two newest epochs, one bit each. */
struct seen {
	uint64_t newest;
	unsigned of_newest, of_former;
	uint64_t final;
};

static enum err
see(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct seen *s = arg;
	enum epoch_step step;
	uint64_t epoch;

	if (!parse(name, &epoch, &step))
		return err_set(err, ERR_CORRUPT,
			"%.200s: no prune makes such an object", name);
	if (epoch > s->newest) {
		s->of_former = epoch - s->newest == 1 ? s->of_newest : 0;
		s->of_newest = 0;
		s->newest = epoch;
	}
	if (epoch == s->newest)
		s->of_newest |= 1u << step;
	else if (s->newest - epoch == 1)
		s->of_former |= 1u << step;
	if (step == EPOCH_FINAL && epoch > s->final)
		s->final = epoch;
	return ERR_OK;
}

/* Whether a prune can have come so far: each step after the one before it,
 * and the first after the last one of the former epoch, of which nothing is
 * removed before the newest has its final. */
static bool
can_be(const struct seen *s, enum epoch_step *step)
{
	unsigned all = 0;

	*step = EPOCH_NONE;
	while (*step < EPOCH_DONE && (s->of_newest & 1u << (*step + 1)) != 0) {
		++*step;
		all |= 1u << *step;
	}
	if (all != s->of_newest)
		return false;
	return *step != EPOCH_CONDEMNED || s->newest == 1 ||
	       ((s->of_former & 1u << EPOCH_DONE) != 0 &&
		       s->final == s->newest - 1);
}

/*
 * A listing may show what was made while it was under way and not what was
 * made shortly before, so one that cannot be is not believed at once.
 */
enum err
epoch_read(struct store *st, struct epoch_state *out, struct error *err)
{
	for (unsigned i = 0; i < TRIES; i++) {
		struct seen s = { .newest = 0 };
		enum epoch_step step;
		enum err rc = store_list(st, "prune", see, &s, err);

		if (rc != ERR_OK)
			return rc;
		if (!can_be(&s, &step))
			continue;
		*out = (struct epoch_state){ s.newest, step, s.final };
		return ERR_OK;
	}
	return err_set(err, ERR_CORRUPT,
		"prune: objects are missing, or are there too early");
}

static enum err
put_step(struct store *st, const struct keyset *ks, uint64_t epoch,
	enum epoch_step step, const struct buf *plain, struct error *err)
{
	static const enum box_kind kinds[] = {
		[EPOCH_CONDEMNED] = BOX_CONDEMNED,
		[EPOCH_FINAL] = BOX_FINAL,
		[EPOCH_DONE] = BOX_DONE,
	};
	char name[NAME_MAX_LEN];

	if (epoch == 0 || epoch > EPOCH_MAX)
		return err_set(err, ERR_USAGE, "there is no such epoch");
	step_name(name, epoch, step);
	return maintenance_put(st, ks, kinds[step], name, plain->data,
		plain->len, err);
}

enum err
epoch_condemned_put(struct store *st, const struct keyset *ks, uint64_t epoch,
	const struct condemned *c, struct error *err)
{
	struct buf plain = BUF_INIT(MAINTENANCE_MAX);
	enum err rc = epoch_list_put_condemned(&plain, c, err);

	if (rc == ERR_OK)
		rc = put_step(st, ks, epoch, EPOCH_CONDEMNED, &plain, err);
	buf_fini(&plain);
	return rc;
}

enum err
epoch_final_put(struct store *st, const struct keyset *ks, uint64_t epoch,
	const struct final *f, struct error *err)
{
	struct buf plain = BUF_INIT(MAINTENANCE_MAX);
	enum err rc = epoch_list_put_final(&plain, f, err);

	if (rc == ERR_OK)
		rc = put_step(st, ks, epoch, EPOCH_FINAL, &plain, err);
	buf_fini(&plain);
	return rc;
}

enum err
epoch_done_put(struct store *st, const struct keyset *ks, uint64_t epoch,
	struct error *err)
{
	struct buf plain = BUF_INIT(64);
	struct when now = when_now();
	enum err rc = epoch_list_put_time(&plain, &now, err);

	if (rc == ERR_OK)
		rc = put_step(st, ks, epoch, EPOCH_DONE, &plain, err);
	buf_fini(&plain);
	return rc;
}

enum err
epoch_condemned_get(struct store *st, const struct keyset *ks, uint64_t epoch,
	struct condemned *out, struct error *err)
{
	struct buf plain = BUF_INIT(MAINTENANCE_MAX);
	char name[NAME_MAX_LEN];
	enum err rc;

	step_name(name, epoch, EPOCH_CONDEMNED);
	rc = maintenance_get(st, ks, BOX_CONDEMNED, name, &plain, err);
	if (rc == ERR_OK) {
		rc = epoch_list_get_condemned(out, plain.data, plain.len, err);
		if (rc != ERR_OK)
			rc = err_wrap(err, "%s", name);
	}
	buf_fini(&plain);
	return rc;
}

enum err
epoch_final_get(struct store *st, const struct keyset *ks, uint64_t epoch,
	struct final *out, struct error *err)
{
	struct buf plain = BUF_INIT(MAINTENANCE_MAX);
	char name[NAME_MAX_LEN];
	enum err rc;

	step_name(name, epoch, EPOCH_FINAL);
	rc = maintenance_get(st, ks, BOX_FINAL, name, &plain, err);
	if (rc == ERR_OK) {
		rc = epoch_list_get_final(out, plain.data, plain.len, err);
		if (rc != ERR_OK)
			rc = err_wrap(err, "%s", name);
	}
	buf_fini(&plain);
	return rc;
}

/* The names of old epochs, to be removed after the listing. */
struct old {
	uint64_t before;
	struct buf names; /* each with its NUL */
};

static enum err
note_old(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct old *old = arg;
	enum epoch_step step;
	uint64_t epoch;

	if (!parse(name, &epoch, &step) || epoch >= old->before)
		return ERR_OK;
	return buf_put(&old->names, name, strlen(name) + 1, err);
}

enum err
epoch_forget_before(struct store *st, uint64_t epoch, struct error *err)
{
	struct old old = { epoch, BUF_INIT(MAINTENANCE_MAX) };
	size_t at = 0;
	enum err rc = store_list(st, "prune", note_old, &old, err);

	while (rc == ERR_OK && at < old.names.len) {
		const char *name = (const char *)old.names.data + at;

		at += strlen(name) + 1;
		rc = store_del(st, name, err);
		if (rc == ERR_NOTFOUND)
			rc = ERR_OK;
	}
	buf_fini(&old.names);
	return rc;
}
