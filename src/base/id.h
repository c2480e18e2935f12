/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id: the 32-byte name of a chunk, a pack or an index segment, the 16-byte
 * name of a snapshot or a repository, and hexadecimal for both.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

enum { ID_LEN = 32, ID_HEX = 2 * ID_LEN, UID_LEN = 16, UID_HEX = 2 * UID_LEN };

/* A hash: uniformly distributed bytes. */
struct id {
	uint8_t b[ID_LEN];
};

/* A random name: repository, session (and so snapshot). */
struct uid {
	uint8_t b[UID_LEN];
};

static inline bool
id_eq(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, ID_LEN) == 0;
}

static inline int
id_cmp(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, ID_LEN);
}

/* Which of n ids, ascending, is id; SIZE_MAX where none is. */
size_t id_find(const struct id *v, size_t n, const struct id *id);

/* The first eight bytes, big-endian: orders as the ids do. */
uint64_t id_prefix(const struct id *id);

/* Write 2 * len lower-case digits and a NUL to out. */
void hex_encode(const uint8_t *data, size_t len, char *out);

/* Exactly 2 * len lower-case digits at text (which may go on); false if not. */
bool hex_decode(const char *text, uint8_t *out, size_t len) MUST_CHECK;

#endif /* BASE_ID_H */
