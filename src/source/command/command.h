/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: what a program prints, or standard input, as one entry.
 *
 * The arguments are the program and its own arguments; without any, standard
 * input is read.  The option name is the path of the entry in the snapshot.
 * Where the program does not end with status 0, capture fails and nothing is
 * committed: half a dump must not look like one.
 */
#ifndef SOURCE_COMMAND_COMMAND_H
#define SOURCE_COMMAND_COMMAND_H

#include "source/source.h"

extern const struct source_ops command_source_ops;

#endif /* SOURCE_COMMAND_COMMAND_H */
