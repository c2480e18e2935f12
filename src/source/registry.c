/* SPDX-License-Identifier: Apache-2.0 */
/* registry: the one list of drivers. */
#include "source/command/command.h"
#include "source/files/files.h"
#include "source/moosefs/moosefs.h"
#include "source/rbd/rbd.h"
#include "source/rbd_diff/src_rbd_diff.h"
#include "source/source.h"

const struct source_ops *const source_drivers[] = {
	&files_source_ops,
	&command_source_ops,
	&rbd_source_ops,
	&moosefs_source_ops,
	&rbd_diff_source_ops,
	NULL,
};
