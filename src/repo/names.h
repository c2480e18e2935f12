/* SPDX-License-Identifier: Apache-2.0 */
/* names: the parts that the names of objects are made of (docs/format.md,
 * section 2). */
#ifndef REPO_NAMES_H
#define REPO_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { NUMBER_DIGITS = 18 };

/* A decimal number without leading zeros at *at, which is moved behind it;
 * false, and nothing changed, where there is none of at most NUMBER_DIGITS. */
bool names_number(const char **at, uint64_t *out) MUST_CHECK;

/* Whether text stands at *at, which is then moved behind it. */
bool names_text(const char **at, const char *text) MUST_CHECK;

/* 2 * len hexadecimal digits likewise. */
bool names_hex(const char **at, uint8_t *out, size_t len) MUST_CHECK;

#endif /* REPO_NAMES_H */
