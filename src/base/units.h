/* SPDX-License-Identifier: Apache-2.0 */
/* units: sizes and durations as people write and read them. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/* "1.234 GiB", "17 B". */
void units_bytes(uint64_t n, char out[24]);
/* "1:02:03", "0:07". */
void units_duration(double sec, char out[24]);
/* A whole number with an optional suffix K, M, G, T (1024); else ERR_USAGE. */
enum err units_parse_bytes(uint64_t *out, const char *text,
	struct error *err) MUST_CHECK;

#endif /* BASE_UNITS_H */
