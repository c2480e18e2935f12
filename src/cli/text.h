/* SPDX-License-Identifier: Apache-2.0 */
/* text: names and lists as a terminal may see them. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "base/buf.h"
#include "model/entry.h"
#include "model/snapshot.h"

/* The path of key, escaped (model/path.h, key_to_text); kept in b. */
const char *text_key(struct buf *b, struct bytes key);

/* Any bytes, escaped likewise. */
const char *text_bytes(struct buf *b, struct bytes bytes);

/* Replace what a terminal could take for commands. */
void text_plain(char *text);

/* "drwxr-xr-x" */
void text_mode(const struct entry *e, char out[11]);

/* "a, b, c"; kept in b. */
const char *text_strings(struct buf *b, const struct strings *s);

#endif /* CLI_TEXT_H */
