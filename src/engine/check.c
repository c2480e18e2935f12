/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/check.h"

#include "engine/checking.h"
#include "repo/epoch.h"

enum { CHECK_QUEUE = 16 };

void
checking_found(struct checking *c, const struct error *what)
{
	pthread_mutex_lock(&c->lock);
	c->result->errors++;
	c->report->progress->errors++;
	c->report->problem(c->report->arg, (struct bytes){ NULL, 0 }, what);
	pthread_mutex_unlock(&c->lock);
}

static enum err
run(struct checking *c, struct error *err)
{
	struct store *st = repo_store(c->repo);
	struct epoch_state before, after;
	enum err rc = epoch_read(st, &before, err);

	if (rc == ERR_OK)
		rc = check_packs(c, err);
	if (rc == ERR_OK)
		rc = check_trees(c, err);
	if (rc == ERR_OK)
		rc = check_leftovers(c, err);
	if (rc == ERR_OK)
		rc = epoch_read(st, &after, err);
	if (rc == ERR_OK)
		c->result->pruned_meanwhile = after.newest != before.newest ||
					      after.step != before.step ||
					      before.step == EPOCH_FINAL;
	return rc;
}

enum err
check_run(struct repo *r, const struct check_conf *conf,
	const struct report *report, struct check_result *result,
	struct error *err)
{
	struct checking c = { .repo = r,
		.conf = conf,
		.report = report,
		.result = result,
		.reads_content = keyset_may(repo_keys(r), RIGHT_READ),
		.lock = PTHREAD_MUTEX_INITIALIZER };
	enum err rc;

	*result = (struct check_result){ 0 };
	rc = crew_init(&c.crew, r, conf->workers, CHECK_QUEUE, err);
	if (rc == ERR_OK)
		rc = run(&c, err);
	crew_fini(&c.crew);
	pthread_mutex_destroy(&c.lock);
	return rc;
}
