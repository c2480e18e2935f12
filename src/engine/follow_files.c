/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow_files: the status as JSON and as metrics, and back.
 *
 * A process number would not tell whether its process is the one that wrote a
 * status: numbers come again.  A lock ends with its process, and can be asked
 * for without being taken (F_OFD_GETLK, fcntl(2)).
 */
#include "engine/follow_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/json.h"

enum { STATUS_MAX = 64 << 10, STATUS_MODE = 0644 };

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

/* In the status file; in metrics they are the label of a state. */
static const char *const entered_names[] = {
	[FOLLOW_CONNECTING] = "times_connecting",
	[FOLLOW_WAITING] = "times_no_image",
	[FOLLOW_HOLE] = "times_hole",
	[FOLLOW_PROTECTED] = "times_protected",
	[FOLLOW_OTHER] = "times_other_id",
	[FOLLOW_WENT_BACK] = "times_went_back",
};

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
	return s->unsealed_since.sec == 0 ? 0 : since(&s->unsealed_since, now);
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
	put_when(&w, "unsealed_since", &s->unsealed_since);
	put_when(&w, "written", &s->written);
	json_put_uint(&w, "seals", s->seals);
	json_put_uint(&w, "failures", s->failures);
	json_put_uint(&w, "connections", t->connections);
	for (size_t i = 0; i < FOLLOW_HEALTHS; i++)
		json_put_uint(&w, entered_names[i], s->entered[i]);
	json_put_uint(&w, "untold", s->untold);
	json_put_text(&w, "problem", s->problem);
	json_put_text(&w, "trouble", s->trouble);
	put_when(&w, "trouble_at", &s->trouble_at);
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
		{ "failures", &s->failures },
		{ "connections", &t->connections }, { "untold", &s->untold } };
	enum err rc = get_text(v, "name", t->name, sizeof(t->name), err);

	if (rc == ERR_OK)
		rc = get_health(v, &t->health, err);
	if (rc == ERR_OK)
		rc = get_text(v, "why", t->why, sizeof(t->why), err);
	if (rc == ERR_OK)
		rc = get_text(v, "problem", s->problem, sizeof(s->problem),
			err);
	if (rc == ERR_OK)
		rc = get_text(v, "trouble", s->trouble, sizeof(s->trouble),
			err);
	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == ERR_OK; i++)
		rc = json_get_uint(v, numbers[i].name, UINT64_MAX,
			numbers[i].to, err);
	for (size_t i = 0; i < FOLLOW_HEALTHS && rc == ERR_OK; i++)
		rc = json_get_uint(v, entered_names[i], UINT64_MAX,
			&s->entered[i], err);
	get_when(v, "changed", &t->changed);
	get_when(v, "heard", &t->heard);
	get_when(v, "saved", &t->saved);
	get_when(v, "protected_at", &s->protected_at);
	get_when(v, "sealed_at", &s->sealed_at);
	get_when(v, "unsealed_since", &s->unsealed_since);
	get_when(v, "trouble_at", &s->trouble_at);
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

static enum err
write_file(const char *path, int flags, const struct buf *text,
	struct error *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, STATUS_MODE);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	rc = fsx_write(fd, text->data, text->len, path, err);
	if (rc == ERR_OK && ftruncate(fd, (off_t)text->len) != 0)
		rc = err_sys(err, errno, "%s", path);
	fsx_close(&fd);
	return rc;
}

/*
 * A reader sees the old file or the new one.  Not synced: after a crash of the
 * machine it is written anew anyway.  Where the disk is full the old one is
 * written over, which takes no room on most file systems: that it is so has to
 * be told then, and who reads in that very moment can read again.
 */
static enum err
replace_file(const char *path, const struct buf *text, struct error *err)
{
	struct error why = ERROR_INIT;
	char *tmp;
	enum err rc;

	if (asprintf(&tmp, "%s.tmp", path) < 0)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	rc = write_file(tmp, O_CREAT | O_TRUNC, text, err);
	if (rc == ERR_OK && rename(tmp, path) != 0)
		rc = err_sys(err, errno, "%s", path);
	free(tmp);
	if (rc == ERR_NOSPACE && write_file(path, 0, text, &why) == ERR_OK)
		rc = ERR_OK;
	return rc;
}

enum err
follow_files_status(const struct follow_status *s, struct error *err)
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

/* ---- the process ---- */

static int
open_lock(const char *dir, int flags)
{
	char path[sizeof(((struct follow_state *)NULL)->dir) + 16];

	(void)snprintf(path, sizeof(path), "%.512s/status.lock", dir);
	return open(path, flags | O_CLOEXEC, STATUS_MODE);
}

enum err
follow_files_lock(int *fd, const char *dir, struct error *err)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (*fd >= 0 || dir[0] == '\0')
		return ERR_OK;
	*fd = open_lock(dir, O_RDWR | O_CREAT);
	if (*fd >= 0 && fcntl(*fd, F_OFD_SETLK, &all) == 0)
		return ERR_OK;
	(void)err_sys(err, errno, "%s/status.lock", dir);
	fsx_close(fd);
	return err->code;
}

bool
follow_is_running(const char *dir)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(dir, O_RDONLY);
	bool is = fd >= 0 && fcntl(fd, F_OFD_GETLK, &all) == 0 &&
		  all.l_type != F_UNLCK;

	fsx_close(&fd);
	return is;
}

/* ---- metrics ---- */

struct metric {
	const char *name, *help;
	bool counter;
	double value;
};

/* Prometheus, text format: \ and " are escaped. */
static void
put_label(char *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			*out++ = '\\';
		*out++ = *text >= ' ' ? *text : '?';
	}
	*out = '\0';
}

static enum err
put_head(struct buf *out, const struct metric *m, struct error *err)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
		"# HELP coffer_follow_%s %s\n# TYPE coffer_follow_%s %s\n",
		m->name, m->help, m->name, m->counter ? "counter" : "gauge");

	return buf_put(out, text, (size_t)len, err);
}

/* state: another label, or NULL. */
static enum err
put_value(struct buf *out, const struct metric *m, const char *source,
	const char *state, struct error *err)
{
	char text[1024], more[64] = "";
	int len;

	if (state != NULL)
		(void)snprintf(more, sizeof(more), ",state=\"%s\"", state);
	len = snprintf(text, sizeof(text),
		"coffer_follow_%s{source=\"%s\"%s} %.17g\n", m->name, source,
		more, m->value);
	return buf_put(out, text, (size_t)len, err);
}

static enum err
put_entered(struct buf *out, const struct follow_status *s, const char *source,
	struct error *err)
{
	struct metric m = { "state_changes_total",
		"how often it came to this state, in this process", true, 0 };
	enum err rc = put_head(out, &m, err);

	for (size_t i = 0; i < FOLLOW_HEALTHS && rc == ERR_OK; i++) {
		m.value = (double)s->entered[i];
		rc = put_value(out, &m, source, health_names[i], err);
	}
	return rc;
}

enum err
follow_files_metrics(const struct follow_status *s, const char *path,
	struct error *err)
{
	const struct follow_state *t = &s->state;
	const struct when *now = &s->written;
	const struct metric all[] = {
		{ "health",
			"0 connecting, 1 no image, 2 hole, 3 protected, 4 "
			"other id, 5 went back",
			false, t->health },
		{ "protected", "1 where all up to last is safe", false,
			t->health == FOLLOW_PROTECTED },
		{ "last_change", "number of the last change that is safe",
			false, (double)t->last },
		{ "change_age_seconds", "since that change was made", false,
			t->changed.sec != 0 ? since(&t->changed, now) : 0 },
		{ "rpo_seconds", "of changes that may be lost", false,
			follow_rpo(s, now) },
		{ "heard_age_seconds", "since the source was heard of", false,
			t->heard.sec != 0 ? since(&t->heard, now) : 0 },
		{ "sealed_change", "number of the last change in a snapshot",
			false, (double)t->sealed },
		{ "unsealed_seconds", "since when something is not sealed",
			false, follow_unsealed(s, now) },
		{ "waiting_bytes", "to be sealed", false,
			(double)t->bytes_waiting },
		{ "connections_total", "made to the source", true,
			(double)t->connections },
		{ "seals_total", "snapshots", true, (double)s->seals },
		{ "seal_failures_total", "snapshots that failed", true,
			(double)s->failures },
		{ "untold_total", "messages that could not be written", true,
			(double)s->untold },
		{ "written_seconds", "when this file was written", false,
			(double)now->sec },
	};
	char source[sizeof(t->name) * 2];
	struct buf text = BUF_INIT(STATUS_MAX);
	enum err rc = ERR_OK;

	put_label(source, t->name);
	for (size_t i = 0; i < ARRAY_LEN(all) && rc == ERR_OK; i++) {
		rc = put_head(&text, &all[i], err);
		if (rc == ERR_OK)
			rc = put_value(&text, &all[i], source, NULL, err);
	}
	if (rc == ERR_OK)
		rc = put_entered(&text, s, source, err);
	if (rc == ERR_OK)
		rc = replace_file(path, &text, err);
	buf_fini(&text);
	return rc;
}
