/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/show.h"
#include "engine/check.h"
#include "engine/select.h"
#include "repo/repo.h"

/* ---- init ---- */

static const struct flag init_flags[] = {
	{ "pack-size", 0, FLAG_TEXT, "SIZE",
		"of pack files, 1M to 64M (default: 16M)" },
	KDF_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

static enum err
init_conf(struct repo_init_conf *conf, const struct cli *c, struct error *err)
{
	conf->chunker = CHUNKER_DEFAULT;
	conf->pack_target = REPO_PACK_TARGET;
	return number_size(c, "pack-size", 1, &conf->pack_target, err);
}

static enum err
run_init(struct cli *c, struct error *err)
{
	struct repo_init_conf conf = { 0 };
	struct store *store = NULL;
	struct buf pass = BUF_INIT(0);
	enum err rc;

	rc = init_conf(&conf, c, err);
	if (rc == ERR_OK)
		rc = access_first_password(&pass, &conf.cost, c, err);
	if (rc == ERR_OK)
		rc = access_store(&store, c, true, err);
	if (rc == ERR_OK) {
		conf.pass = (struct pass){ (const char *)pass.data, pass.len };
		rc = repo_init(store, &conf, err);
	}
	buf_wipe(&pass);
	store_close(store);
	if (rc != ERR_OK)
		return rc;
	if (c->json)
		jsonl_message(stdout, "initialized", "repository made");
	else if (!c->quiet)
		(void)printf("repository made; without its passphrase "
			     "nothing in it can be read\n");
	return ERR_OK;
}

const struct command cmd_init = {
	.name = "init",
	.operands = "",
	.summary = "Make a new repository",
	.flags = init_flags,
	.run = run_init,
};

/* ---- check ---- */

static const struct flag check_flags[] = {
	{ "read-data", 0, FLAG_OPTIONAL, "PERCENT",
		"read and prove every chunk, or those of PERCENT of the "
		"packs" },
	{ "workers", 0, FLAG_TEXT, "N", "threads (default: processors)" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

static enum err
check_conf_fill(struct check_conf *conf, const struct cli *c, struct error *err)
{
	const char *percent = flag_text(c, "read-data");
	char *end;

	*conf = (struct check_conf){ 0 };
	if (percent != NULL && percent[0] == '\0')
		percent = "100";
	if (percent != NULL) {
		conf->read_data_percent = strtod(percent, &end);
		if (end == percent || (*end != '\0' && strcmp(end, "%") != 0) ||
			!(conf->read_data_percent >= 0 &&
				conf->read_data_percent <= 100))
			return err_set(err, ERR_USAGE,
				"--read-data: 0 to 100 is wanted");
	}
	return number_flag(c, "workers", WORKERS_MAX, &conf->workers, err);
}

/* Nothing of this is damage. */
static void
print_leftovers(const struct check_result *r)
{
	char since[40];

	if (r->packs_condemned > 0) {
		when_local(&r->condemned_since, since);
		(void)printf("%llu packs are condemned since %s, and go when "
			     "that prune goes on\n",
			(unsigned long long)r->packs_condemned, since);
	}
	if (r->packs_unlisted > 0)
		(void)printf("%llu packs are in no index: of backups at work, "
			     "or left by interrupted ones; prune removes "
			     "those\n",
			(unsigned long long)r->packs_unlisted);
	if (r->sessions > 0)
		(void)printf("%llu backups are at work, or were interrupted\n",
			(unsigned long long)r->sessions);
	if (r->fences > 0)
		(void)printf("%llu backups were ended by a prune because they "
			     "gave no sign of life\n",
			(unsigned long long)r->fences);
	if (r->snapshots_void > 0 || r->segments_void > 0)
		(void)printf("%llu snapshots and %llu index segments came too "
			     "late to count; prune removes them\n",
			(unsigned long long)r->snapshots_void,
			(unsigned long long)r->segments_void);
}

static void
print_check(const struct cli *c, const struct check_result *r)
{
	struct jsonl *j;
	char bytes[24];

	if (c->json) {
		j = jsonl_new("summary");
		jsonl_uint(j, "snapshots", r->snapshots);
		jsonl_uint(j, "nodes", r->nodes);
		jsonl_uint(j, "references", r->references);
		jsonl_uint(j, "packs", r->packs);
		jsonl_uint(j, "packs_unlisted", r->packs_unlisted);
		jsonl_uint(j, "packs_condemned", r->packs_condemned);
		jsonl_uint(j, "snapshots_forgotten", r->snapshots_forgotten);
		jsonl_uint(j, "snapshots_void", r->snapshots_void);
		jsonl_uint(j, "segments_void", r->segments_void);
		jsonl_uint(j, "fences", r->fences);
		jsonl_uint(j, "sessions", r->sessions);
		jsonl_bool(j, "pruned_meanwhile", r->pruned_meanwhile);
		jsonl_uint(j, "packs_read", r->packs_read);
		jsonl_uint(j, "bytes_read", r->bytes_read);
		jsonl_uint(j, "errors", r->errors);
		jsonl_print(j, stdout);
		return;
	}
	if (!c->quiet) {
		units_bytes(r->bytes_read, bytes);
		(void)printf("%llu snapshots, %llu tree nodes, %llu packs; "
			     "%llu packs read (%s)\n",
			(unsigned long long)r->snapshots,
			(unsigned long long)r->nodes,
			(unsigned long long)r->packs,
			(unsigned long long)r->packs_read, bytes);
		print_leftovers(r);
	}
	if (r->errors == 0)
		(void)printf("no errors were found\n");
}

static enum err
run_check(struct cli *c, struct error *err)
{
	struct access access = { NULL, NULL };
	struct check_result result = { 0 };
	struct check_conf conf;
	struct show *show = NULL;
	struct report report;
	enum err rc;

	rc = check_conf_fill(&conf, c, err);
	if (rc == ERR_OK)
		rc = access_open(&access, c, err);
	if (rc == ERR_OK && !keyset_may(repo_keys(access.repo), RIGHT_READ))
		rc = keyset_need(repo_keys(access.repo), RIGHT_MAINTAIN,
			"check", err);
	if (rc == ERR_OK)
		rc = show_begin(&show, c, "check", &report, err);
	if (rc == ERR_OK)
		rc = check_run(access.repo, &conf, &report, &result, err);
	show_end(show);
	access_close(&access);
	if (rc != ERR_OK)
		return rc;
	print_check(c, &result);
	if (result.errors > 0 && result.pruned_meanwhile)
		cli_warn(c,
			"a prune went on meanwhile, so what is missing may be "
			"no damage: check again");
	if (result.errors > 0)
		return err_set(err, ERR_CORRUPT, "%llu errors were found",
			(unsigned long long)result.errors);
	return ERR_OK;
}

const struct command cmd_check = {
	.name = "check",
	.operands = "",
	.summary = "Prove that what the snapshots need is there and right",
	.flags = check_flags,
	.run = run_check,
};

/* ---- stats ---- */

struct stats {
	uint64_t packs, pack_bytes;
	uint64_t chunks[3], plain[3], stored[3]; /* by enum chunk_type */
	uint64_t snapshots, content;
};

static enum err
count_pack(void *arg, const struct pack_info *pack, struct error *err)
{
	struct stats *s = arg;

	s->packs++;
	s->pack_bytes += pack->size;
	return ERR_OK;
}

static enum err
count_chunk(void *arg, const struct location *loc, struct error *err)
{
	struct stats *s = arg;
	unsigned type = loc->rec.type == CHUNK_NODE ? CHUNK_NODE : CHUNK_DATA;

	s->chunks[type]++;
	s->plain[type] += loc->rec.plain_len + loc->rec.head_len;
	s->stored[type] += loc->rec.stored_len;
	return ERR_OK;
}

static enum err
gather_stats(struct repo *r, struct stats *s, struct error *err)
{
	struct snapshot_list list = { NULL, 0 };
	struct index *index;
	enum err rc;

	rc = snapshot_list_load(&list, r, NULL, err);
	for (size_t i = 0; i < list.n; i++)
		s->content += list.v[i].figures.bytes;
	s->snapshots = list.n;
	snapshot_list_fini(&list);
	if (rc == ERR_OK)
		rc = repo_index(r, &index, err);
	if (rc == ERR_OK)
		rc = index_each_pack(index, count_pack, s, err);
	if (rc == ERR_OK)
		rc = index_each(index, count_chunk, s, err);
	return rc;
}

static void
print_stats(const struct cli *c, const struct stats *s)
{
	char content[24], plain[24], stored[24], nodes[24], packs[24];
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("stats");
		jsonl_uint(j, "snapshots", s->snapshots);
		jsonl_uint(j, "bytes_of_snapshots", s->content);
		jsonl_uint(j, "data_chunks", s->chunks[CHUNK_DATA]);
		jsonl_uint(j, "data_bytes_plain", s->plain[CHUNK_DATA]);
		jsonl_uint(j, "data_bytes_stored", s->stored[CHUNK_DATA]);
		jsonl_uint(j, "node_chunks", s->chunks[CHUNK_NODE]);
		jsonl_uint(j, "node_bytes_plain", s->plain[CHUNK_NODE]);
		jsonl_uint(j, "node_bytes_stored", s->stored[CHUNK_NODE]);
		jsonl_uint(j, "packs", s->packs);
		jsonl_uint(j, "pack_bytes", s->pack_bytes);
		jsonl_print(j, stdout);
		return;
	}
	units_bytes(s->content, content);
	units_bytes(s->plain[CHUNK_DATA], plain);
	units_bytes(s->stored[CHUNK_DATA], stored);
	units_bytes(s->stored[CHUNK_NODE], nodes);
	units_bytes(s->pack_bytes, packs);
	(void)printf("snapshots   %llu, with %s of content in all\n",
		(unsigned long long)s->snapshots, content);
	(void)printf("data        %llu chunks, %s, stored as %s\n",
		(unsigned long long)s->chunks[CHUNK_DATA], plain, stored);
	(void)printf("trees       %llu nodes, stored as %s\n",
		(unsigned long long)s->chunks[CHUNK_NODE], nodes);
	(void)printf("packs       %llu, %s\n", (unsigned long long)s->packs,
		packs);
}

static enum err
run_stats(struct cli *c, struct error *err)
{
	struct access access;
	struct stats stats = { 0 };
	enum err rc;

	rc = access_open(&access, c, err);
	if (rc != ERR_OK)
		return rc;
	rc = gather_stats(access.repo, &stats, err);
	access_close(&access);
	if (rc == ERR_OK)
		print_stats(c, &stats);
	return rc;
}

const struct command cmd_stats = {
	.name = "stats",
	.operands = "",
	.summary = "Tell how much is stored, and as how much",
	.run = run_stats,
};
