/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/unlock.h"

#include "store/store_retry.h"

enum err
unlock_store(struct store **out, const char *url, bool create,
	struct error *err)
{
	struct store *st;
	enum err rc;

	rc = store_open(&st, url, create, err);
	if (rc != ERR_OK)
		return rc;
	rc = store_retry_new(out, st, &RETRY_DEFAULT, err);
	if (rc != ERR_OK)
		store_close(st);
	return rc;
}

enum err
unlock_open(struct store **st, struct repo **r, const char *url,
	const struct repo_conf *conf, struct error *err)
{
	struct store *store;
	enum err rc;

	rc = unlock_store(&store, url, false, err);
	if (rc != ERR_OK)
		return rc;
	rc = repo_open(r, store, conf, err);
	if (rc == ERR_OK)
		*st = store;
	else
		store_close(store);
	return rc;
}
