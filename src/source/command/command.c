/* SPDX-License-Identifier: Apache-2.0 */
#include "source/command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fsx.h"
#include "base/time.h"
#include "model/path.h"

enum { READ_SIZE = 1 << 20, STREAM_MODE = 0600 };

struct command {
	struct source base;
	char **argv; /* NULL: standard input */
	char *label; /* "command:NAME" */
	struct buf key;
};

static struct command *
to_command(struct source *src)
{
	return container_of(src, struct command, base);
}

static void
command_close(struct source *src)
{
	struct command *c = to_command(src);

	for (size_t i = 0; c->argv != NULL && c->argv[i] != NULL; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c->label);
	buf_fini(&c->key);
	free(c);
}

static enum err
copy_args(struct command *c, const struct source_conf *conf, struct error *err)
{
	if (conf->n_args == 0)
		return ERR_OK;
	c->argv = calloc(conf->n_args + 1, sizeof(*c->argv));
	for (size_t i = 0; c->argv != NULL && i < conf->n_args; i++) {
		c->argv[i] = strdup(conf->args[i]);
		if (c->argv[i] == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for a command");
	}
	if (c->argv == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a command");
	return ERR_OK;
}

static enum err
set_name(struct command *c, const char *name, struct error *err)
{
	enum err rc;

	if (name == NULL)
		return err_set(err, ERR_USAGE,
			"a stream needs a name in the snapshot");
	rc = key_from_path(&c->key, name, err);
	if (rc != ERR_OK)
		return rc;
	if (c->key.len == 0)
		return err_set(err, ERR_USAGE,
			"'%s' is not a name for a stream", name);
	if (asprintf(&c->label, "command:%s", name) < 0) {
		c->label = NULL;
		return err_set(err, ERR_NOMEM, "no memory for a name");
	}
	return ERR_OK;
}

static enum err
command_open(struct source **out, const struct source_conf *conf,
	struct error *err)
{
	struct command *c = calloc(1, sizeof(*c));
	enum err rc;

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a source");
	c->base.ops = &command_source_ops;
	c->base.once = conf->n_args == 0; /* standard input */
	buf_init(&c->key, KEY_MAX);
	rc = set_name(c,
		settings_text(&conf->settings, command_source_ops.options,
			"name"),
		err);
	if (rc == ERR_OK)
		rc = copy_args(c, conf, err);
	if (rc != ERR_OK) {
		command_close(&c->base);
		return rc;
	}
	*out = &c->base;
	return ERR_OK;
}

static enum err
command_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	return name(arg, to_command(src)->label, err);
}

static enum err
pump(struct sink *sink, int fd, const char *what, struct error *err)
{
	uint8_t *data = malloc(READ_SIZE);
	size_t got = READ_SIZE;
	enum err rc = ERR_OK;

	if (data == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read %s", what);
	while (rc == ERR_OK && got == READ_SIZE) {
		rc = fsx_read(fd, data, READ_SIZE, &got, what, err);
		if (rc == ERR_OK && got > 0)
			rc = sink->ops->stream_write(sink, data, got, err);
	}
	free(data);
	return rc;
}

static enum err
pump_command(struct sink *sink, char *const *argv, struct error *err)
{
	struct child child;
	enum err rc;

	rc = child_start(&child, argv, err);
	if (rc != ERR_OK)
		return rc;
	rc = pump(sink, child.out_fd, argv[0], err);
	if (rc != ERR_OK) {
		child_kill(&child);
		return rc;
	}
	return child_wait(&child, err);
}

static enum err
command_capture(struct source *src, struct sink *sink, struct error *err)
{
	struct command *c = to_command(src);
	struct bytes key = { c->key.data, c->key.len };
	struct entry e;
	bool done = false;
	enum err rc;

	entry_init(&e);
	e.type = ENTRY_STREAM;
	e.mode = STREAM_MODE;
	e.uid = geteuid();
	e.gid = getegid();
	e.mtime = e.ctime = when_now();
	rc = sink->ops->offer(sink, key, &e, &done, err);
	if (rc != ERR_OK || done)
		return rc;
	rc = sink->ops->stream_begin(sink, key, &e, err);
	if (rc != ERR_OK)
		return rc;
	if (c->argv != NULL)
		rc = pump_command(sink, c->argv, err);
	else
		rc = pump(sink, STDIN_FILENO, "standard input", err);
	return rc == ERR_OK ? sink->ops->stream_end(sink, err) : rc;
}

static const struct option_spec command_options[] = {
	{ "name", OPTION_TEXT, NULL, "path of the entry in the snapshot" },
	{ .name = NULL },
};

const struct source_ops command_source_ops = {
	.scheme = "command",
	.summary = "what a program prints, or standard input",
	.options = command_options,
	.open = command_open,
	.close = command_close,
	.describe = command_describe,
	.capture = command_capture,
};
