/* SPDX-License-Identifier: Apache-2.0 */
#include "source/moosefs/moosefs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "source/moosefs/capture.h"
#include "source/moosefs/datadir.h"
#include "source/moosefs/following.h"
#include "source/moosefs/receive.h"
#include "system/mfs_master.h"

enum {
	NOTES_MAX = 32,
	VERSION_SEC = 3 /* for a master to tell its version */
};

struct moosefs {
	struct source base;
	char *label; /* "moosefs:HOST:PORT", without the generation */
	char *host; /* NULL: a directory */
	uint16_t port;
	char *path; /* that directory */
	char *journal_root; /* NULL: the default */
	unsigned timeout_sec, image_sec;
	bool partial;

	struct receive *receive;
	char *temp; /* for a backup that does not follow */
	struct journal *own; /* of a directory */
	bool complete;

	struct journal *journal; /* what is captured, borrowed */
	char gen[HOME_GEN_MAX];
	struct journal_view view;
	bool pinned;
	pthread_mutex_t notes_lock;
	char *notes[NOTES_MAX]; /* until the next capture */
	size_t n_notes;
};

static const struct option_spec moosefs_options[] = {
	{ "journal", OPTION_TEXT, NULL,
		"directory for what is received and not sealed yet" },
	{ "timeout", OPTION_NUMBER, "10",
		"seconds of silence until a master counts as away" },
	{ "image-delay", OPTION_NUMBER, "120",
		"seconds after the hour until its image is fetched" },
	{ "partial", OPTION_BOOL, "no",
		"of a directory: take what is before a hole" },
	{ .name = NULL },
};

static struct moosefs *
to_moosefs(struct source *src)
{
	return container_of(src, struct moosefs, base);
}

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for a name");
}

/* ---- a temporary directory ---- */

static void
remove_files(const char *dir)
{
	const struct dirent *e;
	char *path;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (asprintf(&path, "%s/%s", dir, e->d_name) < 0)
			continue;
		(void)unlink(path);
		free(path);
	}
	(void)closedir(d);
}

static void
remove_temp(struct moosefs *s)
{
	char *sub;

	if (s->temp == NULL)
		return;
	if (s->gen[0] != '\0' &&
		asprintf(&sub, "%s/%s", s->temp, s->gen) >= 0) {
		remove_files(sub);
		(void)rmdir(sub);
		free(sub);
	}
	remove_files(s->temp);
	(void)rmdir(s->temp);
	free(s->temp);
	s->temp = NULL;
}

static enum err
make_temp(struct moosefs *s, struct error *err)
{
	const char *root = getenv("TMPDIR");

	if (root == NULL || root[0] != '/')
		root = "/tmp";
	if (asprintf(&s->temp, "%s/coffer-moosefs-XXXXXX", root) < 0) {
		s->temp = NULL;
		return no_memory(err);
	}
	if (mkdtemp(s->temp) == NULL) {
		(void)err_sys(err, errno, "%s", s->temp);
		free(s->temp);
		s->temp = NULL;
		return err->code;
	}
	return ERR_OK;
}

/* ---- open ---- */

static void
moosefs_close(struct source *src)
{
	struct moosefs *s = to_moosefs(src);

	free(s->view.v);
	journal_close(s->own);
	receive_close(s->receive);
	remove_temp(s);
	for (size_t i = 0; i < s->n_notes; i++)
		free(s->notes[i]);
	(void)pthread_mutex_destroy(&s->notes_lock);
	free(s->label);
	free(s->host);
	free(s->path);
	free(s->journal_root);
	free(s);
}

static enum err
take_port(struct moosefs *s, const char *text, struct error *err)
{
	char *end;
	unsigned long n;

	if (text[0] < '0' || text[0] > '9')
		return err_set(err, ERR_USAGE, "'%s' is not a port", text);
	n = strtoul(text, &end, 10);
	if (*end != '\0' || n == 0 || n > UINT16_MAX)
		return err_set(err, ERR_USAGE, "'%s' is not a port", text);
	s->port = (uint16_t)n;
	return ERR_OK;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT, or an IPv6 address as it is. */
static enum err
take_address(struct moosefs *s, const char *text, struct error *err)
{
	const char *host = text, *end, *port = NULL;

	s->port = MFS_PORT;
	if (text[0] == '[') {
		host++;
		end = strchr(host, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return err_set(err, ERR_USAGE,
				"'%s' is not [ADDRESS]:PORT", text);
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		end = strchr(text, ':');
		if (end != NULL && strchr(end + 1, ':') == NULL)
			port = end + 1;
		else
			end = text + strlen(text);
	}
	s->host = strndup(host, (size_t)(end - host));
	if (s->host == NULL)
		return no_memory(err);
	if (s->host[0] == '\0' || strchr(s->host, '/') != NULL)
		return err_set(err, ERR_USAGE, "'%s' is not a master's name",
			text);
	return port != NULL ? take_port(s, port, err) : ERR_OK;
}

static enum err
take_operand(struct moosefs *s, const char *text, struct error *err)
{
	int n;
	enum err rc;

	if (text[0] == '/') {
		s->path = realpath(text, NULL);
		if (s->path == NULL)
			return err_sys(err, errno, "%s", text);
		n = asprintf(&s->label, "moosefs:%s", s->path);
	} else {
		rc = take_address(s, text, err);
		if (rc != ERR_OK)
			return rc;
		n = asprintf(&s->label,
			strchr(s->host, ':') != NULL ? "moosefs:[%s]:%u"
						     : "moosefs:%s:%u",
			s->host, (unsigned)s->port);
	}
	if (n < 0) {
		s->label = NULL;
		return no_memory(err);
	}
	return ERR_OK;
}

static enum err
moosefs_open(struct source **out, const struct source_conf *conf,
	struct error *err)
{
	const struct settings *set = &conf->settings;
	const struct option_spec *specs = moosefs_options;
	const char *journal = settings_text(set, specs, "journal");
	struct moosefs *s;
	enum err rc;

	if (conf->n_args != 1)
		return err_set(err, ERR_USAGE,
			"a backup of moosefs: is of one master");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a source");
	s->base.ops = &moosefs_source_ops;
	(void)pthread_mutex_init(&s->notes_lock, NULL);
	s->timeout_sec = (unsigned)settings_number(set, specs, "timeout");
	s->image_sec = (unsigned)settings_number(set, specs, "image-delay");
	s->partial = settings_bool(set, specs, "partial");
	s->complete = true;
	rc = take_operand(s, conf->args[0], err);
	if (rc == ERR_OK && journal != NULL) {
		s->journal_root = strdup(journal);
		if (s->journal_root == NULL)
			rc = no_memory(err);
	}
	if (rc == ERR_OK && (s->timeout_sec == 0 || s->timeout_sec > 3600))
		rc = err_set(err, ERR_USAGE, "timeout is from 1 to 3600");
	if (rc != ERR_OK) {
		moosefs_close(&s->base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}

/* ---- one set, now ---- */

/* From either thread. */
static void
keep_note(void *arg, const char *sentence)
{
	struct moosefs *s = arg;
	char *copy = strdup(sentence);

	(void)pthread_mutex_lock(&s->notes_lock);
	if (copy != NULL && s->n_notes < NOTES_MAX) {
		s->notes[s->n_notes++] = copy;
		copy = NULL;
	}
	(void)pthread_mutex_unlock(&s->notes_lock);
	free(copy);
}

static void
tell_notes(struct moosefs *s, struct sink *sink)
{
	(void)pthread_mutex_lock(&s->notes_lock);
	for (size_t i = 0; i < s->n_notes; i++) {
		sink->ops->note(sink, s->notes[i]);
		free(s->notes[i]);
	}
	s->n_notes = 0;
	(void)pthread_mutex_unlock(&s->notes_lock);
}

static enum err
open_receive(struct moosefs *s, const char *dir, struct error *err)
{
	const struct receive_conf conf = { .host = s->host,
		.port = s->port,
		.timeout_sec = s->timeout_sec,
		.image_sec = s->image_sec,
		.dir = dir,
		.note = keep_note,
		.arg = s };

	return receive_open(&s->receive, &conf, err);
}

static enum err
load_master(struct moosefs *s, struct error *err)
{
	struct journal_figures f;
	enum err rc = open_receive(s, s->temp, err);

	if (rc == ERR_OK)
		rc = receive_once(s->receive, err);
	if (rc == ERR_OK &&
		lineup_figures(receive_line(s->receive), s->gen, &f))
		s->journal = lineup_target(receive_line(s->receive));
	return rc;
}

static enum err
load_directory(struct moosefs *s, struct error *err)
{
	const struct journal_conf jconf = { .dir = s->temp };
	const struct datadir_conf conf = { s->path, s->partial, keep_note, s };
	uint64_t id = 0;
	enum err rc = journal_open(&s->own, &jconf, err);

	if (rc == ERR_OK)
		rc = datadir_load(&conf, s->own, &id, &s->complete, err);
	if (rc != ERR_OK)
		return rc;
	s->journal = s->own;
	(void)snprintf(s->gen, sizeof(s->gen), "%016" PRIx64, id);
	return ERR_OK;
}

static enum err
prepare(struct moosefs *s, struct error *err)
{
	enum err rc;

	if (s->journal != NULL)
		return ERR_OK;
	/* What an earlier attempt has left. */
	journal_close(s->own);
	receive_close(s->receive);
	s->own = NULL;
	s->receive = NULL;
	remove_temp(s);
	rc = make_temp(s, err);
	if (rc != ERR_OK)
		return rc;
	rc = s->host != NULL ? load_master(s, err) : load_directory(s, err);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", s->label);
}

/* ---- a run ---- */

static enum err
moosefs_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	struct moosefs *s = to_moosefs(src);
	char *text;
	enum err rc = prepare(s, err);

	if (rc != ERR_OK)
		return rc;
	if (asprintf(&text, "%s#%s", s->label, s->gen) < 0)
		return no_memory(err);
	rc = name(arg, text, err);
	free(text);
	return rc;
}

static enum err
moosefs_freeze(struct source *src, const struct source_run *run,
	struct error *err)
{
	struct moosefs *s = to_moosefs(src);
	enum err rc;

	(void)run;
	rc = journal_pin(s->journal, &s->view, err);
	s->pinned = rc == ERR_OK;
	if (rc == ERR_OK && !s->view.has_base)
		rc = err_set(err, ERR_NOTFOUND, "%s: there is no image yet",
			s->label);
	return rc;
}

static enum err
moosefs_thaw(struct source *src, bool committed, struct error *err)
{
	struct moosefs *s = to_moosefs(src);

	if (!s->pinned)
		return ERR_OK;
	s->pinned = false;
	return journal_unpin(s->journal, &s->view, committed, err);
}

/* On a connection of its own, which nobody waits for but this capture. */
static uint32_t
ask_version(void *arg)
{
	const struct moosefs *s = arg;
	const struct mfs_connect_conf conf = { .host = s->host,
		.port = s->port,
		.timeout_sec = VERSION_SEC };
	struct error why = ERROR_INIT;
	uint32_t version = 0;

	return mfs_version(&conf, &version, &why) == ERR_OK ? version : 0;
}

static enum err
moosefs_capture(struct source *src, struct sink *sink, struct error *err)
{
	struct moosefs *s = to_moosefs(src);
	const struct capture_of of = { .journal = s->journal,
		.view = &s->view,
		.generation = s->gen,
		.label = s->label,
		.complete = s->complete,
		.master = s->host != NULL ? ask_version : NULL,
		.arg = s };

	tell_notes(s, sink);
	return capture_run(&of, sink, err);
}

/* ---- following ---- */

/* Where state lives that is neither cache nor configuration (XDG Base
 * Directory Specification; FHS 3.0, /var/lib). */
static enum err
journal_home(const struct moosefs *s, char **out, struct error *err)
{
	const char *state = getenv("XDG_STATE_HOME");
	int n;

	if (s->journal_root != NULL)
		n = asprintf(out, "%s/%s_%u", s->journal_root, s->host,
			(unsigned)s->port);
	else if (state != NULL && state[0] == '/')
		n = asprintf(out, "%s/coffer/moosefs/%s_%u", state, s->host,
			(unsigned)s->port);
	else
		n = asprintf(out, "/var/lib/coffer/moosefs/%s_%u", s->host,
			(unsigned)s->port);
	return n < 0 ? no_memory(err) : ERR_OK;
}

static void
choose(void *arg, struct journal *j, const char *gen)
{
	struct moosefs *s = arg;

	s->journal = j;
	(void)snprintf(s->gen, sizeof(s->gen), "%s", gen);
}

static enum err
moosefs_follow(struct source *src, const struct follow *f,
	const _Atomic bool *stop, struct error *err)
{
	struct moosefs *s = to_moosefs(src);
	struct following_conf conf = { .label = s->label,
		.f = f,
		.choose = choose,
		.arg = s };
	char *dir = NULL;
	enum err rc;

	if (s->host == NULL)
		return err_set(err, ERR_USAGE,
			"%s: a directory is not followed, its master is "
			"(moosefs:HOST)",
			s->label);
	rc = journal_home(s, &dir, err);
	if (rc == ERR_OK)
		rc = open_receive(s, dir, err);
	if (rc == ERR_OK)
		rc = lineup_load(receive_line(s->receive), err);
	conf.receive = s->receive;
	conf.dir = dir;
	if (rc == ERR_OK)
		rc = following_run(&conf, stop, err);
	receive_close(s->receive);
	s->receive = NULL;
	free(dir);
	return rc;
}

const struct source_ops moosefs_source_ops = {
	.scheme = "moosefs",
	.summary = "the metadata of a MooseFS, from its master or from disk",
	.options = moosefs_options,
	.caps = { .change_map = true, .follow = true },
	.open = moosefs_open,
	.close = moosefs_close,
	.describe = moosefs_describe,
	.capture = moosefs_capture,
	.freeze = moosefs_freeze,
	.thaw = moosefs_thaw,
	.follow = moosefs_follow,
};
