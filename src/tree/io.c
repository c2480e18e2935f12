/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/io.h"

enum err
ticket_wait(struct ticket *t, struct error *err)
{
	gate_wait(&t->done);
	if (t->err.code != ERR_OK)
		*err = t->err;
	return t->err.code;
}
