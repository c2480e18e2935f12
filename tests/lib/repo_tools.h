/* SPDX-License-Identifier: Apache-2.0 */
/* repo_tools: repositories in memory, cheap to make, for tests. */
#ifndef TESTS_LIB_REPO_TOOLS_H
#define TESTS_LIB_REPO_TOOLS_H

#include "repo/repo.h"
#include "repo/writer.h"
#include "store/store_mem.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

#define TOOL_COST ((struct kdf_cost){ 1, 8 })
#define TOOL_PASS ((struct pass){ "secret", 6 })

static inline struct repo_init_conf
tool_init_conf(void)
{
	return (struct repo_init_conf){
		.pass = TOOL_PASS,
		.cost = TOOL_COST,
		.chunker = { 4 << 10, 16 << 10, 64 << 10 },
		.pack_target = 1 << 20,
	};
}

static inline struct store *
tool_store(void)
{
	struct error err = ERROR_INIT;
	struct store *st;

	must(store_mem_new(&st, &err), &err);
	return st;
}

/* A store with a new repository in it. */
static inline struct store *
tool_repo_store(void)
{
	struct repo_init_conf conf = tool_init_conf();
	struct error err = ERROR_INIT;
	struct store *st = tool_store();

	must(repo_init(st, &conf, &err), &err);
	return st;
}

static inline struct repo *
tool_open(struct store *st, struct pass pass)
{
	struct repo_conf conf = { .pass = pass };
	struct error err = ERROR_INIT;
	struct repo *r;

	must(repo_open(&r, st, &conf, &err), &err);
	return r;
}

static inline struct lane *
tool_lane(struct repo *r)
{
	struct error err = ERROR_INIT;
	struct lane *lane;

	must(lane_new(&lane, r, &err), &err);
	return lane;
}

/* Add a key of that role to the repository r in st. */
static inline void
tool_add_key(struct store *st, struct repo *r, enum role role, struct pass pass)
{
	struct key_new conf = { .role = role, .pass = pass, .cost = TOOL_COST };
	struct error err = ERROR_INIT;
	char keyid[KEYID_HEX + 1];

	must(keys_add(st, &repo_config(r)->repo, repo_keys(r), &conf, keyid,
		     &err),
		&err);
}

/* len bytes that belong to number n; every other one compresses well. */
static inline void
tool_bytes(uint64_t n, uint8_t *out, size_t len)
{
	struct prng p;

	prng_init(&p, n * 0x9e3779b97f4a7c15u + 1);
	prng_fill(&p, out, len);
	if (n % 2 == 0)
		for (size_t i = 0; i < len; i++)
			out[i] = (uint8_t)(i % 61 == 0 ? out[i] : 'a');
}

#endif /* TESTS_LIB_REPO_TOOLS_H */
