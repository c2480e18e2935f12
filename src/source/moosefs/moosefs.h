/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moosefs: the metadata of a MooseFS file system.
 *
 * From a master by its network (moosefs:HOST[:PORT]), as a metalogger: once,
 * or following; or from the files of a master or a metalogger on this machine
 * (moosefs:/DATA/PATH).  A snapshot holds an image with version V and the
 * lines V..N behind it:
 *
 *   GENERATION/metadata.mfs
 *   GENERATION/changelog/FIRST   20 digits; the first may begin before V
 *   moosefs.json                 what it is of, and from where to where
 *
 * docs/decisions/0010 says why.
 */
#ifndef SOURCE_MOOSEFS_MOOSEFS_H
#define SOURCE_MOOSEFS_MOOSEFS_H

#include "source/source.h"

extern const struct source_ops moosefs_source_ops;

#endif /* SOURCE_MOOSEFS_MOOSEFS_H */
