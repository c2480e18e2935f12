/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include <string.h>

#include "cli/cli.h"

const struct command *const commands[] = {
	&cmd_init,
	&cmd_backup,
	&cmd_follow,
	&cmd_snapshots,
	&cmd_ls,
	&cmd_find,
	&cmd_cat,
	&cmd_diff,
	&cmd_restore,
	&cmd_nbd,
	&cmd_forget,
	&cmd_prune,
	&cmd_undelete,
	&cmd_hold,
	&cmd_release,
	&cmd_check,
	&cmd_stats,
	&cmd_import,
	&cmd_export,
	&cmd_rbd_diff_info,
	&cmd_rbd_diff_verify,
	&cmd_rbd_diff_merge,
	&cmd_rbd_diff_apply,
	&cmd_moosefs_log,
	&cmd_moosefs_diff,
	&cmd_key_add,
	&cmd_key_list,
	&cmd_key_passwd,
	&cmd_key_remove,
	&cmd_key_rotate,
	&cmd_key_generate,
	&cmd_completion,
	&cmd_help,
	&cmd_version,
	NULL,
};

/* Whether the words of name stand first among words; how many they are. */
static size_t
words_match(const char *name, char *const *words, size_t n)
{
	size_t used = 0, len;

	for (;; name += len + 1) {
		len = strcspn(name, " ");
		if (used == n || strlen(words[used]) != len ||
			strncmp(words[used], name, len) != 0)
			return 0;
		used++;
		if (name[len] == '\0')
			return used;
	}
}

const struct command *
command_find(char *const *words, size_t n, size_t *used)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		*used = words_match(commands[i]->name, words, n);
		if (*used > 0)
			return commands[i];
	}
	return NULL;
}
