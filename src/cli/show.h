/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show: progress while a run goes on, and the engine's reports.
 *
 * On a terminal one line is redrawn twice a second: files, bytes, rate, time
 * left, what is worked on.  With --json a status object is printed once a
 * second.  In a pipe, and with --no-progress or -q, nothing.
 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "engine/report.h"

struct show;

/* report is filled in for the engine and valid until show_end. */
enum err show_begin(struct show **out, struct cli *c, const char *verb,
	struct report *report, struct error *err) MUST_CHECK;

/* Remove the line, end the thread.  NULL is allowed. */
void show_end(struct show *s);

#endif /* CLI_SHOW_H */
