/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/prune_flags.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/show.h"

enum { HOUR = 3600, DAY = 24 * HOUR, SPAN_MAX_SEC = INT32_MAX };

/* ---- flags ---- */

static enum err
bad_span(const char *name, struct error *err)
{
	return err_set(err, ERR_USAGE,
		"--%s: a time is wanted, as 7d, 24h, 90m or 30s", name);
}

static enum err
span_flag(const struct cli *c, const char *name, uint64_t *out,
	struct error *err)
{
	static const struct {
		const char *text;
		uint64_t sec;
	} units[] = { { "s", 1 }, { "m", 60 }, { "h", HOUR }, { "d", DAY },
		{ "w", (uint64_t)7 * DAY } };
	const char *text = flag_text(c, name);
	unsigned long n;
	char *end;

	if (text == NULL)
		return ERR_OK;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || n > SPAN_MAX_SEC)
		return bad_span(name, err);
	if (n == 0 && *end == '\0') {
		*out = 0;
		return ERR_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(end, units[i].text) == 0 &&
			n <= SPAN_MAX_SEC / units[i].sec) {
			*out = n * units[i].sec;
			return ERR_OK;
		}
	return bad_span(name, err);
}

static enum err
unused_flag(const struct cli *c, struct prune_conf *conf, struct error *err)
{
	const char *text = flag_text(c, "max-unused");
	double percent;
	char *end;

	conf->max_unused = 0.05;
	if (text == NULL)
		return ERR_OK;
	if (strcmp(text, "unlimited") == 0) {
		conf->max_unused = 1;
		return ERR_OK;
	}
	percent = strtod(text, &end);
	if (end != text && strcmp(end, "%") == 0) {
		conf->max_unused = percent / 100;
		if (percent >= 0 && percent <= 100)
			return ERR_OK;
		return err_set(err, ERR_USAGE,
			"--max-unused: 0%% to 100%% is wanted");
	}
	conf->max_unused = 0;
	return units_parse_bytes(&conf->max_unused_size, text, err);
}

enum err
prune_flags_fill(struct prune_conf *conf, const struct cli *c,
	struct error *err)
{
	const char *repack = flag_text(c, "max-repack");
	enum err rc;

	*conf = (struct prune_conf){ .grace_sec = DAY,
		.dry_run = flag_on(c, "dry-run"),
		.list_sessions = c->verbose > 0 };
	rc = unused_flag(c, conf, err);
	if (rc == ERR_OK && repack != NULL)
		rc = units_parse_bytes(&conf->max_repack, repack, err);
	/* None is what 0 asks for, not no limit. */
	if (rc == ERR_OK && repack != NULL && conf->max_repack == 0)
		conf->max_unused = 1;
	if (rc == ERR_OK)
		rc = span_flag(c, "delay", &conf->delay_sec, err);
	if (rc == ERR_OK)
		rc = span_flag(c, "grace", &conf->grace_sec, err);
	if (rc == ERR_OK)
		rc = span_flag(c, "wait", &conf->wait_sec, err);
	return rc == ERR_OK ? number_flag(c, "workers", WORKERS_MAX,
				      &conf->workers, err)
			    : rc;
}

/* ---- what came of it ---- */

static void
print_json(const struct prune_conf *conf, const struct prune_figures *f)
{
	struct jsonl *j = jsonl_new("prune_summary");

	jsonl_bool(j, "dry_run", conf->dry_run);
	jsonl_uint(j, "epoch", f->epoch);
	jsonl_uint(j, "snapshots", f->snapshots);
	jsonl_uint(j, "snapshots_swept", f->snapshots_swept);
	jsonl_uint(j, "chunks_live", f->chunks_live);
	jsonl_uint(j, "chunks_dead", f->chunks_dead);
	jsonl_uint(j, "packs", f->packs);
	jsonl_uint(j, "packs_orphaned", f->packs_orphaned);
	jsonl_uint(j, "packs_condemned", f->packs_condemned);
	jsonl_uint(j, "packs_spared", f->packs_spared);
	jsonl_uint(j, "packs_deleted", f->packs_deleted);
	jsonl_uint(j, "bytes", f->bytes);
	jsonl_uint(j, "bytes_unused", f->bytes_unused);
	jsonl_uint(j, "bytes_moved", f->bytes_moved);
	jsonl_uint(j, "bytes_freed", f->bytes_freed);
	jsonl_uint(j, "sessions_open", f->sessions_open);
	jsonl_uint(j, "sessions_fenced", f->sessions_fenced);
	jsonl_uint(j, "retained", f->retained);
	jsonl_bool(j, "waiting", f->waiting);
	if (f->waiting && f->not_before.sec != 0)
		jsonl_when(j, "not_before", &f->not_before);
	jsonl_print(j, stdout);
}

static void
print_waiting(const struct prune_figures *f)
{
	char when[40];

	if (f->not_before.sec != 0) {
		when_local(&f->not_before, when);
		(void)printf("the next deletion is due on %s: run prune again "
			     "then\n",
			when);
	} else {
		(void)printf("%llu sessions are at work; when they have ended, "
			     "prune goes on\n",
			(unsigned long long)f->sessions_open);
	}
}

static void
print_stock(const struct prune_figures *f)
{
	char bytes[24];

	units_bytes(f->bytes, bytes);
	if (f->packs > 0)
		(void)printf("%llu packs, %s: %llu chunks that the %llu "
			     "snapshots need, %llu that nobody needs\n",
			(unsigned long long)f->packs, bytes,
			(unsigned long long)f->chunks_live,
			(unsigned long long)f->snapshots,
			(unsigned long long)f->chunks_dead);
}

static void
print_text(const struct prune_conf *conf, const struct prune_figures *f)
{
	char freed[24], moved[24], unused[24];

	units_bytes(f->bytes_freed, freed);
	units_bytes(f->bytes_moved, moved);
	units_bytes(f->bytes_unused, unused);
	print_stock(f);
	if (conf->dry_run) {
		(void)printf("would delete %llu forgotten snapshots and %llu "
			     "packs, which frees %s; would move %s; %s stay "
			     "unused\n",
			(unsigned long long)f->snapshots_swept,
			(unsigned long long)f->packs_condemned, freed, moved,
			unused);
	} else {
		if (f->packs_condemned > 0)
			(void)printf("%llu packs condemned, %s moved out of "
				     "them; %s stay unused\n",
				(unsigned long long)f->packs_condemned, moved,
				unused);
		if (f->packs_spared > 0)
			(void)printf("%llu condemned packs are needed after "
				     "all\n",
				(unsigned long long)f->packs_spared);
		(void)printf("%llu snapshots and %llu packs deleted, %s "
			     "freed\n",
			(unsigned long long)f->snapshots_swept,
			(unsigned long long)f->packs_deleted, freed);
	}
	if (f->sessions_fenced > 0)
		(void)printf("%llu sessions without a sign of life were "
			     "ended\n",
			(unsigned long long)f->sessions_fenced);
	if (f->retained > 0)
		(void)printf("%llu objects are locked by the store and go "
			     "later\n",
			(unsigned long long)f->retained);
	if (f->waiting)
		print_waiting(f);
}

enum err
prune_flags_run(struct cli *c, struct repo *r, const struct prune_conf *conf,
	struct error *err)
{
	struct prune_figures figures = { 0 };
	struct show *show = NULL;
	struct report report;
	enum err rc = show_begin(&show, c, "prune", &report, err);

	if (rc == ERR_OK)
		rc = prune_run(r, conf, &report, &figures, err);
	show_end(show);
	if (rc != ERR_OK)
		return rc;
	if (c->json)
		print_json(conf, &figures);
	else if (!c->quiet)
		print_text(conf, &figures);
	return ERR_OK;
}
