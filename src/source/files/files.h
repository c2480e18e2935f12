/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files: directory trees of this machine.
 *
 * The arguments are paths; what is to be left out, and more paths, come as
 * options (gitignore(5), cachedir.org).  Entries are the paths with all that
 * lies below them, and the directories above them, for their own attributes.
 *
 * A path that is named is judged by the rules like any other, what lies above
 * it is not: a rule "tmp" leaves out /srv/tmp and keeps /tmp/x where that is
 * what was asked for.  Relative paths start at the working directory of open;
 * ".." is resolved in the text.  A path may lead through symbolic links, the
 * walk below it does not follow any.
 *
 * Messages of problems do not name the entry: its key comes with them.
 *
 * Readers that a sink took may be used on any thread and outlive capture, not
 * close.
 */
#ifndef SOURCE_FILES_FILES_H
#define SOURCE_FILES_FILES_H

#include "source/source.h"

extern const struct source_ops files_source_ops;

#endif /* SOURCE_FILES_FILES_H */
