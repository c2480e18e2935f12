/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

#include <string.h>

const struct source_ops *
source_driver(const char *scheme)
{
	for (size_t i = 0; source_drivers[i] != NULL; i++) {
		if (strcmp(source_drivers[i]->scheme, scheme) == 0)
			return source_drivers[i];
	}
	return NULL;
}

enum err
source_parse(const char *text, const struct source_ops **ops, const char **rest,
	struct error *err)
{
	const char *colon = strpbrk(text, "/:");
	const struct source_ops *found = NULL;

	if (colon == NULL || *colon == '/' || colon == text) {
		*ops = source_driver("files");
		*rest = text;
		return ERR_OK;
	}
	for (size_t i = 0; source_drivers[i] != NULL; i++) {
		const char *scheme = source_drivers[i]->scheme;
		size_t len = strlen(scheme);

		if (len == (size_t)(colon - text) &&
			memcmp(scheme, text, len) == 0)
			found = source_drivers[i];
	}
	if (found == NULL)
		return err_set(err, ERR_USAGE,
			"'%.*s' is not a kind of source; write ./%s for a "
			"file of that name",
			(int)(colon - text), text, text);
	*ops = found;
	*rest = colon + 1;
	return ERR_OK;
}
