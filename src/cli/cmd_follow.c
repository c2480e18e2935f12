/* SPDX-License-Identifier: Apache-2.0 */
/* follow: changes as they happen; and what is followed on this host. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/units.h"
#include "cli/access.h"
#include "cli/chosen.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/tags.h"
#include "engine/follow.h"

enum {
	SEAL_SEC = 10,
	SEAL_BYTES = 4 << 20,
	SEAL_SEC_MAX = 24 * 3600,
	UNIT_MAX = 1 << 20, /* bytes; what most sealings have is less */
	LEVEL = 6, /* higher ones take 20 MB more memory, for 7 % less */
	MMAP_FROM = 64 << 10, /* bytes */
	ARENAS = 2, /* of malloc: who receives, who seals */
	STALE_SEC = 15 /* a status is written each second */
};

/* ---- following ---- */

struct following {
	struct cli *c;
	bool any; /* a state was told */
	enum follow_health health;
	char name[256];
	bool torn; /* the last line on standard output */
};

/* Whether a line can be written now.  Where nobody reads, nothing waits for
 * him: what is protected matters more than what is told of it. */
static bool
takes(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

/* Past stdio, which would keep for later what cannot be written. */
static bool
write_line(struct following *f, const char *line, size_t len)
{
	struct error why = ERROR_INIT;

	if (!takes(STDOUT_FILENO))
		return false;
	if (f->torn && fsx_write(STDOUT_FILENO, "\n", 1, "", &why) != ERR_OK)
		return false;
	f->torn = fsx_write(STDOUT_FILENO, line, len, "", &why) != ERR_OK;
	return !f->torn;
}

/* Frees j. */
static bool
emit(struct following *f, struct jsonl *j)
{
	char *line = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&line, &len);
	bool done;

	jsonl_print(j, m != NULL ? m : stdout);
	done = m != NULL && fclose(m) == 0 && write_line(f, line, len);
	free(line);
	return done;
}

static struct jsonl *
state_object(const struct follow_status *s, const char *type, bool running)
{
	const struct follow_state *t = &s->state;
	struct when now = when_now();
	struct jsonl *j = jsonl_new(type);

	jsonl_str(j, "source", t->name);
	jsonl_str(j, "state", follow_health_name(t->health));
	jsonl_str(j, "why", t->why);
	jsonl_bool(j, "running", running);
	jsonl_uint(j, "first", t->first);
	jsonl_uint(j, "last", t->last);
	jsonl_uint(j, "sealed", t->sealed);
	jsonl_uint(j, "bytes_waiting", t->bytes_waiting);
	if (t->changed.sec != 0)
		jsonl_when(j, "changed", &t->changed);
	if (t->heard.sec != 0)
		jsonl_when(j, "heard", &t->heard);
	if (s->sealed_at.sec != 0)
		jsonl_when(j, "sealed_at", &s->sealed_at);
	jsonl_when(j, "written", &s->written);
	jsonl_uint(j, "rpo_milliseconds",
		(uint64_t)(follow_rpo(s, &now) * 1000));
	jsonl_uint(j, "unsealed_milliseconds",
		(uint64_t)(follow_unsealed(s, &now) * 1000));
	jsonl_uint(j, "connections", t->connections);
	jsonl_uint(j, "holes", s->entered[FOLLOW_HOLE]);
	jsonl_uint(j, "seals", s->seals);
	jsonl_uint(j, "failures", s->failures);
	jsonl_uint(j, "untold", s->untold);
	jsonl_str(j, "problem", s->problem);
	jsonl_str(j, "trouble", s->trouble);
	if (s->trouble_at.sec != 0)
		jsonl_when(j, "trouble_at", &s->trouble_at);
	return j;
}

static bool
say_state(struct following *f, const struct follow_state *t)
{
	bool good = t->health == FOLLOW_PROTECTED;

	if (good && f->c->quiet)
		return true;
	if (!takes(STDERR_FILENO))
		return false;
	if (!good) {
		cli_warn(f->c, "%s: %s: %s", t->name,
			follow_health_name(t->health), t->why);
		return true;
	}
	return fprintf(stderr,
		       "coffer: %s: protected, changes %" PRIu64 " to %" PRIu64
		       "\n",
		       t->name, t->first, t->last) > 0;
}

static bool
on_state(void *arg, const struct follow_status *s)
{
	struct following *f = arg;
	const struct follow_state *t = &s->state;

	if (f->any && f->health == t->health && strcmp(f->name, t->name) == 0)
		return true;
	/* At the start there is nothing to say until something happens. */
	if (t->health == FOLLOW_CONNECTING && t->why[0] == '\0')
		return true;
	f->any = true;
	f->health = t->health;
	(void)snprintf(f->name, sizeof(f->name), "%s", t->name);
	return f->c->json ? emit(f, state_object(s, "state", true))
			  : say_state(f, t);
}

static bool
on_seal(void *arg, const struct snapshot *snap)
{
	struct following *f = arg;
	struct jsonl *j;
	char id[UID_HEX + 1];

	if (f->c->json) {
		j = jsonl_new("seal");
		jsonl_snapshot(j, snap);
		return emit(f, j);
	}
	if (f->c->verbose == 0)
		return true;
	hex_encode(snap->uid.b, UID_LEN, id);
	return takes(STDERR_FILENO) &&
	       fprintf(stderr, "coffer: snapshot %.8s saved\n", id) > 0;
}

static bool
on_trouble(void *arg, const char *sentence)
{
	struct following *f = arg;

	if (!takes(STDERR_FILENO))
		return false;
	cli_warn(f->c, "%s", sentence);
	return true;
}

static enum err
parse_seconds(const char *text, unsigned *out, struct error *err)
{
	static const struct {
		const char *unit;
		unsigned sec;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
	char *end;
	unsigned long n = 0;

	if (text[0] >= '0' && text[0] <= '9') {
		n = strtoul(text, &end, 10);
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			if (strcmp(end, units[i].unit) != 0 || n == 0 ||
				n > SEAL_SEC_MAX / units[i].sec)
				continue;
			*out = (unsigned)n * units[i].sec;
			return ERR_OK;
		}
	}
	return err_set(err, ERR_USAGE,
		"--seal-every %s: 10s, 5m or 1h is wanted, up to a day", text);
}

static enum err
conf_fill(struct follow_conf *conf, const struct cli *c, struct error *err)
{
	const char *every = flag_text(c, "seal-every");
	const char *bytes = flag_text(c, "seal-bytes");
	unsigned level = LEVEL;
	enum err rc = tags_fill(&conf->backup.tags, c, err);

	conf->seal_sec = SEAL_SEC;
	conf->seal_bytes = SEAL_BYTES;
	conf->metrics = flag_text(c, "metrics");
	conf->backup.host = flag_text(c, "host");
	conf->backup.workers = 1;
	conf->backup.unit_max = UNIT_MAX;
	if (rc == ERR_OK && every != NULL)
		rc = parse_seconds(every, &conf->seal_sec, err);
	if (rc == ERR_OK && bytes != NULL)
		rc = units_parse_bytes(&conf->seal_bytes, bytes, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "level", 19, &level, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "workers", WORKERS_MAX,
			&conf->backup.workers, err);
	conf->backup.level = (int)level;
	return rc;
}

static enum err
open_source(struct source **out, const struct cli *c, struct error *err)
{
	struct chosen chosen = { NULL };
	struct source_conf conf = { .n_args = 1 };
	const struct source_ops *ops = NULL;
	const char *rest = NULL;
	char who[64];
	enum err rc = source_parse(c->operands[0], &ops, &rest, err);

	if (rc == ERR_OK)
		rc = chosen_take(&chosen, c, err);
	if (rc == ERR_OK) {
		(void)snprintf(who, sizeof(who), "source %s", ops->scheme);
		conf.args = &rest;
		conf.settings = chosen_settings(&chosen);
		rc = settings_check(&conf.settings, ops->options, who, err);
	}
	if (rc == ERR_OK && !ops->caps.follow)
		rc = err_set(err, ERR_USAGE,
			"a source of the kind %s cannot be followed",
			ops->scheme);
	if (rc == ERR_OK)
		rc = ops->open(out, &conf, err);
	chosen_fini(&chosen);
	return rc;
}

/*
 * A sealing takes some large buffers, every few seconds, for years.  By itself
 * malloc learns from their being freed to keep such memory (mallopt(3),
 * dynamic threshold): 6 MB more of it, and 3 MB more at the peak.
 */
static void
give_back_memory(void)
{
#ifdef __GLIBC__
	/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
	(void)mallopt(M_TRIM_THRESHOLD, MMAP_FROM);
	(void)mallopt(M_ARENA_MAX, ARENAS);
	/* NOLINTEND(concurrency-mt-unsafe) */
#endif
}

static enum err
run_following(struct cli *c, struct error *err)
{
	struct following f = { .c = c };
	struct follow_conf conf = { .arg = &f,
		.on_state = on_state,
		.on_seal = on_seal,
		.on_trouble = on_trouble };
	struct access access = { NULL, NULL };
	struct source *src = NULL;
	enum err rc = conf_fill(&conf, c, err);

	give_back_memory();
	if (rc == ERR_OK)
		rc = open_source(&src, c, err);
	if (rc == ERR_OK)
		rc = access_open_for(&access, c, RIGHT_WRITE, err);
	if (rc == ERR_OK)
		rc = follow_run(access.repo, src, &conf, &cli_stop, err);
	if (src != NULL)
		src->ops->close(src);
	access_close(&access);
	strings_fini(&conf.backup.tags);
	return rc;
}

/* ---- the status of all ---- */

/* What it says of a status that is not of now. */
static const char *
why_old(const struct follow_status *s, bool running, const struct when *now)
{
	if (!running)
		return "not running";
	return now->sec - s->written.sec > STALE_SEC ? "stuck" : NULL;
}

static void
print_more(const struct follow_status *s, const struct when *now)
{
	const struct follow_state *t = &s->state;
	char ago[24];

	if (t->why[0] != '\0')
		(void)printf("    %s\n", t->why);
	if (s->problem[0] != '\0')
		(void)printf("    not sealed: %s\n", s->problem);
	if (s->trouble_at.sec != 0 && t->health == FOLLOW_PROTECTED &&
		s->problem[0] == '\0') {
		units_duration((double)(now->sec - s->trouble_at.sec), ago);
		(void)printf("    %s ago: %s\n", ago, s->trouble);
	}
	if (s->untold > 0)
		(void)printf("    %" PRIu64
			     " messages could not be written to its output\n",
			s->untold);
}

static void
print_row(const struct follow_status *s, const char *old,
	const struct when *now)
{
	const struct follow_state *t = &s->state;
	char range[48], age[24], rpo[24], unsealed[24], waiting[24];

	(void)snprintf(range, sizeof(range), "%" PRIu64 "..%" PRIu64, t->first,
		t->last);
	units_duration(t->changed.sec != 0 ? (double)(now->sec - t->changed.sec)
					   : 0,
		age);
	units_duration(follow_rpo(s, now), rpo);
	units_duration(follow_unsealed(s, now), unsealed);
	units_bytes(t->bytes_waiting, waiting);
	(void)printf("%-44s %-11s %21s %8s %8s %8s %10s\n", t->name,
		old != NULL ? old : follow_health_name(t->health), range,
		t->changed.sec != 0 ? age : "-", rpo, unsealed, waiting);
	print_more(s, now);
}

static void
print_head(void)
{
	(void)printf("%-44s %-11s %21s %8s %8s %8s %10s\n", "SOURCE", "STATE",
		"CHANGES", "AGE", "RPO", "UNSEALED", "WAITING");
}

/* dir: of one source. */
static enum err
show_one(struct cli *c, const char *dir, struct error *err)
{
	struct follow_status s;
	struct when now = when_now();
	const char *old;
	bool running;
	char *path;
	enum err rc;

	if (asprintf(&path, "%s/status.json", dir) < 0)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = follow_load(path, &s, err);
	free(path);
	if (rc != ERR_OK)
		return rc;
	running = follow_is_running(dir);
	old = why_old(&s, running, &now);
	if (c->json)
		jsonl_print(state_object(&s, old != NULL ? "stale" : "status",
				    running),
			stdout);
	else
		print_row(&s, old, &now);
	if (old != NULL || s.state.health != FOLLOW_PROTECTED)
		c->incomplete = true;
	return ERR_OK;
}

static int
is_no_dot(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static enum err
status_root(const struct cli *c, char **out, struct error *err)
{
	const char *state = getenv("XDG_STATE_HOME");
	int n;

	if (c->n_operands > 0)
		n = asprintf(out, "%s", c->operands[0]);
	else if (state != NULL && state[0] == '/')
		n = asprintf(out, "%s/coffer/moosefs", state);
	else
		n = asprintf(out, "/var/lib/coffer/moosefs");
	return n < 0 ? err_set(err, ERR_NOMEM, "out of memory") : ERR_OK;
}

/* What is no directory of a source is passed over; *shown: this is one. */
static enum err
show_entry(struct cli *c, const char *root, const char *name, unsigned *shown,
	struct error *err)
{
	struct error why = ERROR_INIT;
	char *dir;
	enum err rc;

	if (asprintf(&dir, "%s/%s", root, name) < 0)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = show_one(c, dir, &why);
	free(dir);
	if (rc == ERR_NOMEM) {
		*err = why;
		return rc;
	}
	if (rc == ERR_OK) {
		++*shown;
	} else if (rc != ERR_NOTFOUND && why.sys_errno != ENOTDIR) {
		cli_warn(c, "%s", why.msg);
		c->incomplete = true;
	}
	return ERR_OK;
}

static enum err
run_status(struct cli *c, struct error *err)
{
	struct dirent **v = NULL;
	char *root = NULL;
	unsigned shown = 0;
	int n = 0;
	enum err rc = status_root(c, &root, err);

	if (rc == ERR_OK) {
		n = scandir(root, &v, is_no_dot, alphasort);
		if (n < 0 && errno != ENOENT)
			rc = err_sys(err, errno, "%s", root);
	}
	if (rc == ERR_OK && !c->json)
		print_head();
	for (int i = 0; i < n && rc == ERR_OK; i++)
		rc = show_entry(c, root, v[i]->d_name, &shown, err);
	if (rc == ERR_OK && shown == 0)
		rc = err_set(err, ERR_NOTFOUND, "%s: nothing is followed here",
			root);
	for (int i = 0; i < n; i++)
		free(v[i]);
	free(v);
	free(root);
	return rc;
}

static enum err
run_follow(struct cli *c, struct error *err)
{
	if (flag_on(c, "status"))
		return run_status(c, err);
	if (c->n_operands == 0)
		return err_set(err, ERR_USAGE, "follow what?");
	return run_following(c, err);
}

static const struct flag follow_flags[] = {
	{ "seal-every", 0, FLAG_TEXT, "TIME",
		"a restore point at least so often (default: 10s)" },
	{ "seal-bytes", 0, FLAG_TEXT, "SIZE",
		"and after so many bytes (default: 4M)" },
	{ "metrics", 0, FLAG_TEXT, "FILE",
		"write metrics for Prometheus's textfile collector" },
	{ "status", 0, FLAG_BOOL, NULL,
		"show what is followed on this host; the operand is then the "
		"directory of the journals" },
	{ "option", 'o', FLAG_LIST, "NAME=VALUE",
		"an option of the source; see \"coffer help source NAME\"" },
	{ "tag", 0, FLAG_LIST, "TAG", "tag the snapshots; also TAG,TAG" },
	{ "host", 'H', FLAG_TEXT, "NAME", "instead of this host's name" },
	{ "level", 0, FLAG_TEXT, "N", "zstd level, 1 to 19 (default: 6)" },
	{ "workers", 0, FLAG_TEXT, "N", "threads that seal (default: 1)" },
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

const struct command cmd_follow = {
	.name = "follow",
	.operands = "SOURCE | --status [DIR]",
	.summary = "Take changes to safety as they happen",
	.flags = follow_flags,
	.operands_max = 1,
	.run = run_follow,
};
