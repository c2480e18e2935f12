/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nbd_find.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
is_in_path(const char *name)
{
	const char *path = getenv("PATH");
	char file[NBD_FIND_MAX];

	for (; path != NULL && *path != '\0'; path += *path == ':' ? 1 : 0) {
		size_t len = strcspn(path, ":");
		int n = snprintf(file, sizeof(file), "%.*s/%s", (int)len, path,
			name);

		if (n > 0 && (size_t)n < sizeof(file) &&
			access(file, X_OK) == 0)
			return true;
		path += len;
	}
	return false;
}

/* The file of that name beside the program, where there is one. */
static bool
beside_program(char plugin[NBD_FIND_MAX], const char *name)
{
	char program[NBD_FIND_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;
	int n;

	if (len <= 0)
		return false;
	program[len] = '\0';
	slash = strrchr(program, '/');
	if (slash == NULL)
		return false;
	n = snprintf(plugin, NBD_FIND_MAX, "%.*s/%s", (int)(slash - program),
		program, name);
	return n > 0 && n < NBD_FIND_MAX && access(plugin, R_OK) == 0;
}

enum err
nbd_find(char plugin[NBD_FIND_MAX], struct error *err)
{
	static const char name[] = "nbdkit-coffer-plugin.so";

	if (!is_in_path("nbdkit"))
		return err_set(err, ERR_NOTFOUND,
			"nbdkit is not in PATH; the Debian package nbdkit has "
			"it");
	if (beside_program(plugin, name))
		return ERR_OK;
	(void)snprintf(plugin, NBD_FIND_MAX, "%s/%s", COFFER_NBD_DIR, name);
	if (access(plugin, R_OK) == 0)
		return ERR_OK;
	return err_set(err, ERR_NOTFOUND,
		"%s is not there; it is built where the Debian package "
		"nbdkit-plugin-dev is installed",
		plugin);
}
