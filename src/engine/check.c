/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/check.h"

#include "engine/checking.h"

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

enum err
check_run(struct repo *r, const struct check_conf *conf,
	const struct report *report, struct check_result *result,
	struct error *err)
{
	struct checking c = { .repo = r,
		.conf = conf,
		.report = report,
		.result = result,
		.lock = PTHREAD_MUTEX_INITIALIZER };
	enum err rc;

	*result = (struct check_result){ 0 };
	rc = crew_init(&c.crew, r, conf->workers, CHECK_QUEUE, err);
	if (rc == ERR_OK)
		rc = check_packs(&c, err);
	if (rc == ERR_OK)
		rc = check_trees(&c, err);
	crew_fini(&c.crew);
	pthread_mutex_destroy(&c.lock);
	return rc;
}
