/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child: another program, started without a shell.
 *
 *   child_start -> read from child.out_fd until end of file -> child_wait
 *
 * argv[0] is looked up in PATH.  The child gets /dev/null as standard input,
 * our standard error, no other descriptor, and default signal dispositions.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

struct child {
	pid_t pid;
	int out_fd; /* its standard output; closed by child_wait */
	char name[64]; /* argv[0], for messages */
};

/* ERR_NOTFOUND where the program cannot be executed. */
enum err child_start(struct child *c, char *const argv[],
	struct error *err) MUST_CHECK;

/* The same with its standard error in out_fd, too, in the order of writing. */
enum err child_start_joined(struct child *c, char *const argv[],
	struct error *err) MUST_CHECK;

/*
 * Close out_fd and wait.  ERR_OK only for exit status 0; otherwise ERR_IO
 * with a sentence that tells the status or the signal.
 */
enum err child_wait(struct child *c, struct error *err) MUST_CHECK;

/* End the child with SIGTERM (SIGKILL after two seconds), reap it.  Nothing
 * happens where pid is not positive, as after child_wait. */
void child_kill(struct child *c);

/*
 * Split text into words as sh does for plain words, quotes and backslashes
 * (no expansion of any kind).  *argv is NULL-terminated, one allocation,
 * freed by the caller with free.  ERR_USAGE where a quote is not closed or
 * there is no word at all.
 */
enum err child_split(char ***argv, const char *text,
	struct error *err) MUST_CHECK;

#endif /* BASE_CHILD_H */
