/* SPDX-License-Identifier: Apache-2.0 */
/* compiler: the few spellings of the compiler that every floor uses. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a)           (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define container_of_const(ptr, type, member) \
	((const type *)(const void *)((       \
		const char *)(ptr)-offsetof(type, member)))

#endif /* BASE_COMPILER_H */
