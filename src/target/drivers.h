/* SPDX-License-Identifier: Apache-2.0 */
/* drivers: every target; each is in the file that its line names.  Private to
 * src/target. */
#ifndef TARGET_DRIVERS_H
#define TARGET_DRIVERS_H

#include "target/target.h"

extern const struct target_ops raw_target_ops; /* raw.c */
extern const struct target_ops qcow_target_ops; /* qcow.c */
extern const struct target_ops device_target_ops; /* device.c */
extern const struct target_ops output_target_ops; /* output.c */
extern const struct target_ops rbd_target_ops; /* rbd.c */

#endif /* TARGET_DRIVERS_H */
