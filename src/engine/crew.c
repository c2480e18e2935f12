/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/crew.h"

#include <stdlib.h>

enum err
crew_init(struct crew *c, struct repo *r, unsigned workers, unsigned queue_max,
	struct error *err)
{
	enum err rc = ERR_OK;

	*c = (struct crew){ .n = workers > 0 ? workers : pool_cpus() };
	c->lanes = calloc(c->n, sizeof(struct lane *));
	if (c->lanes == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < c->n && rc == ERR_OK; i++)
		rc = lane_new(&c->lanes[i], r, err);
	if (rc == ERR_OK)
		rc = pool_new(&c->pool, c->n, queue_max, err);
	if (rc != ERR_OK)
		crew_fini(c);
	return rc;
}

void
crew_fini(struct crew *c)
{
	pool_free(c->pool);
	for (unsigned i = 0; c->lanes != NULL && i < c->n; i++)
		lane_free(c->lanes[i]);
	free(c->lanes);
	*c = (struct crew){ 0 };
}
