/* SPDX-License-Identifier: Apache-2.0 */
#include "base/leave.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_bool abruptly;

void
leave_abruptly(void)
{
	abruptly = true;
}

_Noreturn void
leave(int status)
{
	if (abruptly)
		_exit(status);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the caller is the last */
	exit(status);
}
