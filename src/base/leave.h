/* SPDX-License-Identifier: Apache-2.0 */
/* leave: the end of the process. */
#ifndef BASE_LEAVE_H
#define BASE_LEAVE_H

/* A library was left in the middle of something: its exit handlers would meet
 * its threads at work, so none are to run.  Any thread. */
void leave_abruptly(void);

/* Ends the process, by exit where nobody minds.  Output is flushed before. */
_Noreturn void leave(int status);

#endif /* BASE_LEAVE_H */
