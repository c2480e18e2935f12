/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/json.h"

enum {
	RETRY_FIRST_SEC = 5,
	RETRY_MAX_SEC = 300,
	STATUS_MAX = 64 << 10,
	STATUS_MODE = 0644
};

struct run {
	struct repo *repo;
	struct source *src;
	const struct follow_conf *conf;
	const _Atomic bool *stop;
	struct report report;
	struct progress progress;
	struct follow_status status;
	double retry_at; /* not before, after a failure */
	unsigned retry_sec;
	struct snapshot last; /* what the next one is compared with */
	bool has_last;
	bool told_files; /* that they cannot be written */
};

static const char *const health_names[] = {
	[FOLLOW_CONNECTING] = "connecting",
	[FOLLOW_WAITING] = "no image",
	[FOLLOW_HOLE] = "hole",
	[FOLLOW_PROTECTED] = "protected",
	[FOLLOW_OTHER] = "other id",
	[FOLLOW_WENT_BACK] = "went back",
};

const char *
follow_health_name(enum follow_health h)
{
	return health_names[h];
}

static double
since(const struct when *then, const struct when *now)
{
	double sec = (double)(now->sec - then->sec) +
		     ((double)now->nsec - (double)then->nsec) / 1e9;

	return sec > 0 ? sec : 0;
}

double
follow_rpo(const struct follow_status *s, const struct when *now)
{
	return since(&s->protected_at, now);
}

double
follow_unsealed(const struct follow_status *s, const struct when *now)
{
	return s->state.bytes_waiting == 0 ? 0 : since(&s->sealed_at, now);
}

/* ---- the status file ---- */

static void
put_when(struct json_writer *w, const char *name, const struct when *t)
{
	char text[40];

	if (t->sec == 0)
		return;
	when_rfc3339(t, text);
	json_put_text(w, name, text);
}

static enum err
encode(const struct follow_status *s, struct buf *out, struct error *err)
{
	const struct follow_state *t = &s->state;
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, NULL, '{');
	json_put_text(&w, "name", t->name);
	json_put_text(&w, "state", follow_health_name(t->health));
	json_put_text(&w, "why", t->why);
	json_put_uint(&w, "first", t->first);
	json_put_uint(&w, "last", t->last);
	json_put_uint(&w, "sealed", t->sealed);
	json_put_uint(&w, "bytes_waiting", t->bytes_waiting);
	put_when(&w, "changed", &t->changed);
	put_when(&w, "heard", &t->heard);
	put_when(&w, "saved", &t->saved);
	put_when(&w, "protected_at", &s->protected_at);
	put_when(&w, "sealed_at", &s->sealed_at);
	put_when(&w, "written", &s->written);
	json_put_uint(&w, "seals", s->seals);
	json_put_uint(&w, "failures", s->failures);
	json_put_text(&w, "problem", s->problem);
	json_close(&w);
	return json_end(&w, err);
}

static void
get_when(const struct json *v, const char *name, struct when *out)
{
	struct error why = ERROR_INIT;
	struct when t;
	const char *text;

	if (json_has(v, name) &&
		json_get_text(v, name, &text, &why) == ERR_OK &&
		when_parse(&t, text, &why) == ERR_OK)
		*out = t;
}

static enum err
get_text(const struct json *v, const char *name, char *out, size_t room,
	struct error *err)
{
	const char *text = "";
	enum err rc = json_get_text(v, name, &text, err);

	if (rc == ERR_OK)
		(void)snprintf(out, room, "%s", text);
	return rc;
}

static enum err
get_health(const struct json *v, enum follow_health *out, struct error *err)
{
	const char *text;
	enum err rc = json_get_text(v, "state", &text, err);

	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(health_names); i++) {
		if (strcmp(text, health_names[i]) == 0) {
			*out = (enum follow_health)i;
			return ERR_OK;
		}
	}
	return err_set(err, ERR_CORRUPT, "'%.40s' is no state", text);
}

static enum err
decode(struct follow_status *s, const struct json *v, struct error *err)
{
	struct follow_state *t = &s->state;
	struct {
		const char *name;
		uint64_t *to;
	} numbers[] = { { "first", &t->first }, { "last", &t->last },
		{ "sealed", &t->sealed },
		{ "bytes_waiting", &t->bytes_waiting }, { "seals", &s->seals },
		{ "failures", &s->failures } };
	enum err rc = get_text(v, "name", t->name, sizeof(t->name), err);

	if (rc == ERR_OK)
		rc = get_health(v, &t->health, err);
	if (rc == ERR_OK)
		rc = get_text(v, "why", t->why, sizeof(t->why), err);
	if (rc == ERR_OK)
		rc = get_text(v, "problem", s->problem, sizeof(s->problem),
			err);
	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == ERR_OK; i++)
		rc = json_get_uint(v, numbers[i].name, UINT64_MAX,
			numbers[i].to, err);
	get_when(v, "changed", &t->changed);
	get_when(v, "heard", &t->heard);
	get_when(v, "saved", &t->saved);
	get_when(v, "protected_at", &s->protected_at);
	get_when(v, "sealed_at", &s->sealed_at);
	get_when(v, "written", &s->written);
	return rc;
}

enum err
follow_load(const char *path, struct follow_status *out, struct error *err)
{
	struct buf text = BUF_INIT(STATUS_MAX);
	struct follow_status s = { .seals = 0 };
	struct json *v = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	rc = fsx_read_all(fd, &text, path, err);
	if (rc == ERR_OK)
		rc = json_parse(&v, text.data, text.len, err);
	if (rc == ERR_OK)
		rc = decode(&s, v, err);
	if (rc == ERR_OK)
		*out = s;
	else
		(void)err_wrap(err, "%s", path);
	json_free(v);
	buf_fini(&text);
	fsx_close(&fd);
	return rc;
}

/* A reader sees the old file or the new one.  Not synced: after a crash of the
 * machine it is written anew anyway. */
static enum err
replace_file(const char *path, const struct buf *text, struct error *err)
{
	char *tmp;
	int fd;
	enum err rc;

	if (asprintf(&tmp, "%s.tmp", path) < 0)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, STATUS_MODE);
	rc = fd < 0 ? err_sys(err, errno, "%s", tmp)
		    : fsx_write(fd, text->data, text->len, tmp, err);
	fsx_close(&fd);
	if (rc == ERR_OK && rename(tmp, path) != 0)
		rc = err_sys(err, errno, "%s", path);
	free(tmp);
	return rc;
}

static enum err
write_status(const struct follow_status *s, struct error *err)
{
	struct buf text = BUF_INIT(STATUS_MAX);
	char path[sizeof(s->state.dir) + 16];
	enum err rc;

	if (s->state.dir[0] == '\0')
		return ERR_OK;
	(void)snprintf(path, sizeof(path), "%s/status.json", s->state.dir);
	rc = encode(s, &text, err);
	if (rc == ERR_OK)
		rc = buf_put(&text, "\n", 1, err);
	if (rc == ERR_OK)
		rc = replace_file(path, &text, err);
	buf_fini(&text);
	return rc;
}

/* ---- metrics ---- */

static enum err
put_metric(struct buf *out, const struct follow_status *s, const char *name,
	const char *help, double value, struct error *err)
{
	char text[1024], label[sizeof(s->state.name) * 2];
	size_t n = 0;
	int len;

	/* Prometheus, text format: \ and " are escaped. */
	for (const char *p = s->state.name; *p != '\0'; p++) {
		if (*p == '\\' || *p == '"')
			label[n++] = '\\';
		label[n++] = *p >= ' ' ? *p : '?';
	}
	label[n] = '\0';
	len = snprintf(text, sizeof(text),
		"# HELP coffer_follow_%s %s\n# TYPE coffer_follow_%s gauge\n"
		"coffer_follow_%s{source=\"%s\"} %.17g\n",
		name, help, name, name, label, value);
	return buf_put(out, text, (size_t)len, err);
}

static enum err
write_metrics(const struct run *run, struct error *err)
{
	const struct follow_status *s = &run->status;
	const struct follow_state *t = &s->state;
	const struct when *now = &s->written;
	const struct {
		const char *name, *help;
		double value;
	} all[] = {
		{ "health",
			"0 connecting, 1 no image, 2 hole, 3 protected, 4 "
			"other id, 5 went back",
			t->health },
		{ "protected", "1 where all up to last is safe",
			t->health == FOLLOW_PROTECTED },
		{ "last_change", "number of the last change that is safe",
			(double)t->last },
		{ "change_age_seconds", "since that change was made",
			t->changed.sec != 0 ? since(&t->changed, now) : 0 },
		{ "rpo_seconds", "of changes that may be lost",
			follow_rpo(s, now) },
		{ "sealed_change", "number of the last change in a snapshot",
			(double)t->sealed },
		{ "unsealed_seconds", "since when something is not sealed",
			follow_unsealed(s, now) },
		{ "waiting_bytes", "to be sealed", (double)t->bytes_waiting },
		{ "seals", "snapshots of this process", (double)s->seals },
		{ "seal_failures", "of this process", (double)s->failures },
		{ "written_seconds", "when this file was written",
			(double)now->sec },
	};
	struct buf text = BUF_INIT(STATUS_MAX);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < ARRAY_LEN(all) && rc == ERR_OK; i++)
		rc = put_metric(&text, s, all[i].name, all[i].help,
			all[i].value, err);
	if (rc == ERR_OK)
		rc = replace_file(run->conf->metrics, &text, err);
	buf_fini(&text);
	return rc;
}

/* ---- what the driver calls ---- */

static void
trouble(const struct run *run, const char *sentence)
{
	if (run->conf->on_trouble != NULL)
		run->conf->on_trouble(run->conf->arg, sentence);
}

/* Where others cannot see the state they find an old one, and say so; told
 * once until it works again. */
static void
publish(struct run *run)
{
	struct error err = ERROR_INIT;
	enum err rc = write_status(&run->status, &err);

	if (rc == ERR_OK && run->conf->metrics != NULL)
		rc = write_metrics(run, &err);
	if (rc != ERR_OK && !run->told_files)
		trouble(run, err.msg);
	run->told_files = rc != ERR_OK;
}

static void
on_tell(void *arg, const struct follow_state *state)
{
	struct run *run = arg;
	struct follow_status *s = &run->status;

	s->state = *state;
	s->written = when_now();
	if (state->health == FOLLOW_PROTECTED)
		s->protected_at = state->heard;
	publish(run);
	if (run->conf->on_state != NULL)
		run->conf->on_state(run->conf->arg, s);
}

static void
failed(struct run *run, const struct error *why)
{
	struct follow_status *s = &run->status;
	char text[600];

	s->failures++;
	(void)snprintf(s->problem, sizeof(s->problem), "%.255s", why->msg);
	run->retry_sec =
		run->retry_sec == 0 ? RETRY_FIRST_SEC : run->retry_sec * 2;
	if (run->retry_sec > RETRY_MAX_SEC)
		run->retry_sec = RETRY_MAX_SEC;
	run->retry_at = mono_sec() + run->retry_sec;
	(void)snprintf(text, sizeof(text),
		"not sealed, and tried again in %u s: %s", run->retry_sec,
		why->msg);
	trouble(run, text);
}

static enum err
add_name(void *arg, const char *name, struct error *err)
{
	return strings_add(arg, name, err);
}

/* A snapshot of other names is of another generation. */
static bool
is_of_last(struct run *run)
{
	struct strings names = { NULL, 0 };
	struct error why = ERROR_INIT;
	bool same;

	same = run->has_last &&
	       run->src->ops->describe(run->src, add_name, &names, &why) ==
		       ERR_OK &&
	       strings_eq(&names, &run->last.sources);
	strings_fini(&names);
	return same;
}

/*
 * Among thousands of snapshots the parent is not searched for: it is the one
 * that was made here last.  Where it was forgotten meanwhile, it is.
 */
static enum err
back_up(struct run *run, struct snapshot *snap, struct error *err)
{
	struct backup_conf conf = run->conf->backup;
	char uid[UID_HEX + 1];
	enum err rc;

	if (is_of_last(run)) {
		hex_encode(run->last.uid.b, UID_LEN, uid);
		conf.parent = uid;
	}
	rc = backup_run(run->repo, run->src, &conf, &run->report, snap, err);
	if (rc != ERR_NOTFOUND || conf.parent == NULL)
		return rc;
	conf.parent = NULL;
	return backup_run(run->repo, run->src, &conf, &run->report, snap, err);
}

static enum err
on_seal(void *arg, struct error *err)
{
	struct run *run = arg;
	struct follow_status *s = &run->status;
	struct snapshot snap;
	enum err rc;

	if (mono_sec() < run->retry_at && !*run->stop)
		return err_set(err, ERR_AGAIN, "it is tried later");
	snapshot_init(&snap);
	rc = back_up(run, &snap, err);
	if (rc != ERR_OK) {
		failed(run, err);
		snapshot_fini(&snap);
		return rc;
	}
	s->seals++;
	s->sealed_at = when_now();
	s->problem[0] = '\0';
	run->retry_at = 0;
	run->retry_sec = 0;
	if (run->conf->on_seal != NULL)
		run->conf->on_seal(run->conf->arg, &snap);
	snapshot_fini(&run->last);
	run->last = snap;
	run->has_last = true;
	return ERR_OK;
}

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	(void)key;
	trouble(arg, why->msg);
}

static void
on_note(void *arg, const char *sentence)
{
	trouble(arg, sentence);
}

enum err
follow_run(struct repo *r, struct source *src, const struct follow_conf *conf,
	const _Atomic bool *stop, struct error *err)
{
	struct run run = { .repo = r, .src = src, .conf = conf, .stop = stop };
	const struct follow f = { .arg = &run,
		.seal_sec = conf->seal_sec,
		.seal_bytes = conf->seal_bytes,
		.seal = on_seal,
		.tell = on_tell };
	enum err rc;

	if (!src->ops->caps.follow)
		return err_set(err, ERR_USAGE,
			"a source of the kind %s cannot be followed",
			src->ops->scheme);
	progress_init(&run.progress);
	snapshot_init(&run.last);
	/* No stop: what is being sealed when it is to end is sealed. */
	run.report = (struct report){ .arg = &run,
		.progress = &run.progress,
		.problem = on_problem,
		.note = on_note };
	run.status.protected_at = run.status.sealed_at = when_now();
	rc = src->ops->follow(src, &f, stop, err);
	snapshot_fini(&run.last);
	progress_fini(&run.progress);
	return rc;
}
