/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path: the name of an entry in its two forms.
 *
 * As text: components joined by '/', with a leading '/'.  As key: the same
 * without the leading slash and with a zero byte for each other one, so that
 * memcmp sorts a directory directly before what it contains (docs/format.md,
 * section 8).  Names are bytes, not characters.
 */
#ifndef MODEL_PATH_H
#define MODEL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

enum { KEY_MAX = 65535, COMPONENT_MAX = 255 };

/* memcmp order; a prefix is smaller. */
int key_cmp(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/* Whether key obeys the grammar of section 8: what a hostile tree may not. */
bool key_ok(const uint8_t *key, size_t len) MUST_CHECK;

/* Whether key is dir itself or lies below it; the empty dir holds all. */
bool key_below(const uint8_t *key, size_t len, const uint8_t *dir,
	size_t dir_len);

/* Components in key; 0 for the empty key. */
unsigned key_depth(const uint8_t *key, size_t len);

/* The last component, in place. */
const uint8_t *key_base(const uint8_t *key, size_t len, size_t *base_len);

/* Length of the parent's key (0 for a top-level or the empty key). */
size_t key_parent(const uint8_t *key, size_t len);

/*
 * Append the key of a path to out.  "//" and "/./" are single slashes, a
 * trailing slash is dropped, ".." is resolved in the text; relative paths
 * are taken as below "/" (make them absolute first).  ERR_USAGE for names
 * that cannot be.
 */
enum err key_from_path(struct buf *out, const char *path,
	struct error *err) MUST_CHECK;

/* Append "/" and the key's components to out, and a NUL not counted in len. */
enum err key_to_path(struct buf *out, const uint8_t *key, size_t len,
	struct error *err) MUST_CHECK;

/*
 * For people: the path with control characters, backslash and bytes that are
 * not valid UTF-8 as \ooo or \n, \t, \\; always valid UTF-8 and one line.
 */
enum err key_to_text(struct buf *out, const uint8_t *key, size_t len,
	struct error *err) MUST_CHECK;

#endif /* MODEL_PATH_H */
