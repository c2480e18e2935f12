/* SPDX-License-Identifier: Apache-2.0 */
/* config: the plain header of a repository (docs/format.md, section 3). */
#ifndef REPO_CONFIG_H
#define REPO_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "codec/chunker.h"

enum { CONFIG_LEN = 96, FORMAT_VERSION = 1, SUITE_1 = 1 };

struct config {
	struct uid repo;
	struct chunker_params chunker;
	uint32_t pack_target; /* 1 MiB .. 64 MiB */
};

void config_encode(uint8_t out[CONFIG_LEN], const struct config *c,
	const struct secret *structure);

/*
 * What can be told without keys: ERR_CORRUPT for foreign or damaged bytes,
 * ERR_VERSION for a repository of a newer program.
 */
enum err config_decode(struct config *c, const uint8_t *data, size_t len,
	struct error *err) MUST_CHECK;

/* The MAC, once the keys are known; ERR_CORRUPT. */
enum err config_verify(const uint8_t *data, size_t len,
	const struct secret *structure, struct error *err) MUST_CHECK;

#endif /* REPO_CONFIG_H */
