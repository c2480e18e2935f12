/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonl: objects for --json, one per line, and the rules that make them
 * stable: coffer-json(5).
 *
 *   jsonl_new -> jsonl_str, jsonl_uint ... -> jsonl_print (frees)
 *
 * Building never fails visibly: where memory lacks, jsonl_print says so.
 */
#ifndef CLI_JSONL_H
#define CLI_JSONL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/time.h"
#include "model/entry.h"
#include "model/snapshot.h"

struct jsonl;

/* An object whose first member is "type". */
struct jsonl *jsonl_new(const char *type);

void jsonl_str(struct jsonl *j, const char *name, const char *text);
void jsonl_uint(struct jsonl *j, const char *name, uint64_t n);
void jsonl_int(struct jsonl *j, const char *name, int64_t n);
void jsonl_bool(struct jsonl *j, const char *name, bool on);
void jsonl_when(struct jsonl *j, const char *name, const struct when *t);
void jsonl_strings(struct jsonl *j, const char *name, const struct strings *s);
/* Bytes as text where they are UTF-8; else as text with replacements, and as
 * base64 in the member NAME_base64. */
void jsonl_bytes(struct jsonl *j, const char *name, struct bytes b);
/* The path of a key, likewise. */
void jsonl_path(struct jsonl *j, const char *name, struct bytes key);

/* Members of an entry, of a snapshot. */
void jsonl_entry(struct jsonl *j, struct bytes key, const struct entry *e);
void jsonl_snapshot(struct jsonl *j, const struct snapshot *s);

/* One line; frees j. */
void jsonl_print(struct jsonl *j, FILE *out);

void jsonl_message(FILE *out, const char *type, const char *text);
void jsonl_failure(FILE *out, const struct error *err);

#endif /* CLI_JSONL_H */
