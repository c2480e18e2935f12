/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret: the one type that holds key bytes.
 *
 * Whoever has one wipes it; it is never copied by memcpy, compared by memcmp,
 * printed, or put into a message.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum { SECRET_LEN = 32 };

struct secret {
	uint8_t b[SECRET_LEN];
};

void secret_wipe(struct secret *s);

/* Constant time. */
bool secret_eq(const struct secret *a, const struct secret *b);

/* Fill data from the kernel's generator; it cannot fail on Linux >= 3.17 once
 * the system has booted, and the process ends where it does. */
void random_bytes(void *data, size_t len);

#endif /* BASE_SECRET_H */
