/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd: images of a Ceph cluster, by the difference to the last time.
 *
 * An operand is POOL[/NAMESPACE]/IMAGE; the image may be a pattern of
 * fnmatch(3).  Each image becomes images/POOL[/@NAMESPACE]/IMAGE, its record
 * lies beside it (model/rbd_record.h), and rbd.json tells of the whole.
 * docs/guide/rbd.md is for those who use it, docs/decisions/0009 says why.
 *
 * freeze makes a snapshot coffer.JOB.TIME of each image; capture reads there;
 * thaw leaves only the newest, which the next difference is taken from, or,
 * without a commit, those that were there before.  Snapshots with other names
 * are never touched.
 */
#ifndef SOURCE_RBD_RBD_H
#define SOURCE_RBD_RBD_H

#include "source/source.h"

extern const struct source_ops rbd_source_ops;

#endif /* SOURCE_RBD_RBD_H */
