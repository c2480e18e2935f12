/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook: a program that gets a system ready to have its images frozen, and lets
 * it go on afterwards: PROGRAM freeze IMAGE..., PROGRAM thaw IMAGE...
 */
#ifndef SOURCE_RBD_HOOK_H
#define SOURCE_RBD_HOOK_H

#include "base/compiler.h"
#include "base/err.h"

/*
 * Run it, without a shell; images ends with NULL.  What it prints to its
 * standard output is dropped.  After timeout_sec it is ended.  ERR_IO where it
 * does not end with status 0, ERR_NOTFOUND where it cannot be executed.
 */
enum err hook_run(const char *program, const char *verb,
	const char *const *images, unsigned timeout_sec,
	struct error *err) MUST_CHECK;

#endif /* SOURCE_RBD_HOOK_H */
