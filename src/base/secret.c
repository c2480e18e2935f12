/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void
secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

bool
secret_eq(const struct secret *a, const struct secret *b)
{
	volatile uint8_t diff = 0;

	for (size_t i = 0; i < SECRET_LEN; i++)
		diff = (uint8_t)(diff | (a->b[i] ^ b->b[i]));
	return diff == 0;
}

void
random_bytes(void *data, size_t len)
{
	uint8_t *at = data;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* Going on would mean keys that can be guessed. */
		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}
