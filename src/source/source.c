/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

const struct source_ops *
source_driver(const char *scheme)
{
	for (size_t i = 0; source_drivers[i] != NULL; i++) {
		if (strcmp(source_drivers[i]->scheme, scheme) == 0)
			return source_drivers[i];
	}
	return NULL;
}

enum err
source_parse(const char *text, const struct source_ops **ops, const char **rest,
	struct error *err)
{
	const char *colon = strpbrk(text, "/:");
	const struct source_ops *found = NULL;

	if (colon == NULL || *colon == '/' || colon == text) {
		*ops = source_driver("files");
		*rest = text;
		return ERR_OK;
	}
	for (size_t i = 0; source_drivers[i] != NULL; i++) {
		const char *scheme = source_drivers[i]->scheme;
		size_t len = strlen(scheme);

		if (len == (size_t)(colon - text) &&
			memcmp(scheme, text, len) == 0)
			found = source_drivers[i];
	}
	if (found == NULL)
		return err_set(err, ERR_USAGE,
			"'%.*s' is not a kind of source; write ./%s for a "
			"file of that name",
			(int)(colon - text), text, text);
	*ops = found;
	*rest = colon + 1;
	return ERR_OK;
}

static const struct source_option *
find_option(const struct source_ops *ops, const char *name)
{
	for (const struct source_option *o = ops->options; o->name != NULL;
		o++) {
		if (strcmp(o->name, name) == 0)
			return o;
	}
	return NULL;
}

static bool
is_number(const char *text)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && value <= UINT64_MAX;
}

static enum err
check_value(const struct source_ops *ops, const struct source_option *o,
	const char *value, struct error *err)
{
	uint64_t size;
	enum err rc = ERR_OK;

	switch (o->type) {
	case OPTION_BOOL:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			rc = err_set(err, ERR_USAGE, "'%s' is not yes or no",
				value);
		break;
	case OPTION_SIZE:
		rc = units_parse_bytes(&size, value, err);
		break;
	case OPTION_NUMBER:
		if (!is_number(value))
			rc = err_set(err, ERR_USAGE, "'%s' is not a number",
				value);
		break;
	case OPTION_TEXT:
	case OPTION_LIST:
		break;
	}
	if (rc == ERR_OK)
		return ERR_OK;
	rc = ERR_USAGE;
	err->code = rc;
	(void)err_wrap(err, "source %s, option %s", ops->scheme, o->name);
	return rc;
}

enum err
source_conf_check(const struct source_ops *ops, const struct source_conf *conf,
	struct error *err)
{
	for (size_t i = 0; i < conf->n_settings; i++) {
		const struct setting *s = &conf->settings[i];
		const struct source_option *o = find_option(ops, s->name);
		enum err rc;

		if (o == NULL)
			return err_set(err, ERR_USAGE,
				"source %s has no option '%s'", ops->scheme,
				s->name);
		rc = check_value(ops, o, s->value, err);
		if (rc != ERR_OK)
			return rc;
		for (size_t j = 0; j < i && o->type != OPTION_LIST; j++) {
			if (strcmp(conf->settings[j].name, s->name) == 0)
				return err_set(err, ERR_USAGE,
					"source %s, option %s: given twice",
					ops->scheme, s->name);
		}
	}
	return ERR_OK;
}

const char *
source_text(const struct source_ops *ops, const struct source_conf *conf,
	const char *name)
{
	const struct source_option *o;

	for (size_t i = conf->n_settings; i-- > 0;) {
		if (strcmp(conf->settings[i].name, name) == 0)
			return conf->settings[i].value;
	}
	o = find_option(ops, name);
	return o != NULL ? o->fallback : NULL;
}

bool
source_bool(const struct source_ops *ops, const struct source_conf *conf,
	const char *name)
{
	const char *text = source_text(ops, conf, name);

	return text != NULL && strcmp(text, "yes") == 0;
}

uint64_t
source_size(const struct source_ops *ops, const struct source_conf *conf,
	const char *name)
{
	const char *text = source_text(ops, conf, name);
	struct error err = ERROR_INIT;
	uint64_t size;

	if (text == NULL || units_parse_bytes(&size, text, &err) != ERR_OK)
		return 0;
	return size;
}
