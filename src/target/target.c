/* SPDX-License-Identifier: Apache-2.0 */
/* target: the one list of them, and their names. */
#include "target/target.h"

#include <string.h>

#include "target/drivers.h"

const struct target_ops *const target_drivers[] = {
	&rbd_target_ops,
	&raw_target_ops,
	&qcow_target_ops,
	&device_target_ops,
	&output_target_ops,
	NULL,
};

enum err
target_parse(const char *text, const struct target_ops **ops, const char **rest,
	struct error *err)
{
	const char *colon = strchr(text, ':');
	size_t len;

	if (strcmp(text, "-") == 0) {
		*ops = &output_target_ops;
		*rest = "";
		return ERR_OK;
	}
	if (colon == NULL)
		return err_set(err, ERR_USAGE,
			"target \"%s\" has no scheme, as in raw:%s", text,
			text);
	len = (size_t)(colon - text);
	for (size_t i = 0; target_drivers[i] != NULL; i++) {
		const char *scheme = target_drivers[i]->scheme;

		if (strncmp(text, scheme, len) != 0 || scheme[len] != '\0')
			continue;
		*ops = target_drivers[i];
		*rest = colon + 1;
		return ERR_OK;
	}
	return err_set(err, ERR_USAGE, "no target \"%.*s\"", (int)len, text);
}
