/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scale: how much a heavy test does.  COFFER_TEST_SCALE=8 asks for an eighth,
 * as the runs under sanitizers do; unset means all of it.
 */
#ifndef TESTS_LIB_SCALE_H
#define TESTS_LIB_SCALE_H

#include <stdint.h>
#include <stdlib.h>

/* Of what has an order, every how many are tried. */
static inline uint64_t
test_stride(void)
{
	const char *text = getenv("COFFER_TEST_SCALE");
	uint64_t by = text != NULL ? strtoull(text, NULL, 10) : 1;

	return by > 1 ? by : 1;
}

/* n divided by the scale, at least 1. */
static inline uint64_t
test_scale(uint64_t n)
{
	uint64_t by = test_stride();

	return by > 1 && n > by ? n / by : (by > 1 ? 1 : n);
}

#endif /* TESTS_LIB_SCALE_H */
