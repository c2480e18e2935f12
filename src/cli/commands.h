/* SPDX-License-Identifier: Apache-2.0 */
/* commands: every command; each is defined by its group's cmd_GROUP.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command cmd_init, cmd_stats, cmd_check; /* cmd_repo.c */
extern const struct command cmd_backup; /* cmd_backup.c */
extern const struct command cmd_follow; /* cmd_follow.c */
extern const struct command cmd_snapshots; /* cmd_snapshots.c */
extern const struct command cmd_forget; /* cmd_forget.c */
extern const struct command cmd_prune; /* cmd_prune.c */
extern const struct command cmd_undelete, cmd_hold,
	cmd_release; /* cmd_marks.c */
extern const struct command cmd_ls, cmd_find, cmd_cat; /* cmd_look.c */
extern const struct command cmd_diff; /* cmd_diff.c */
extern const struct command cmd_restore; /* cmd_restore.c */
extern const struct command cmd_nbd; /* cmd_nbd.c */
extern const struct command cmd_key_add, cmd_key_list, cmd_key_passwd,
	cmd_key_remove, cmd_key_rotate; /* cmd_key.c */
extern const struct command cmd_export; /* cmd_export.c */
extern const struct command cmd_import; /* cmd_import.c */
extern const struct command cmd_rbd_diff_info, cmd_rbd_diff_verify,
	cmd_rbd_diff_merge; /* cmd_rbd_diff.c */
extern const struct command cmd_rbd_diff_apply; /* cmd_rbd_apply.c */
extern const struct command cmd_moosefs_log; /* cmd_moosefs.c */
extern const struct command cmd_moosefs_diff; /* cmd_moosefs_diff.c */
extern const struct command cmd_key_generate; /* cmd_key.c */
extern const struct command cmd_completion, cmd_help,
	cmd_version; /* cmd_help.c */

#endif /* CLI_COMMANDS_H */
