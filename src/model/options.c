/* SPDX-License-Identifier: Apache-2.0 */
#include "model/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

static const struct option_spec *
find_option(const struct option_spec *specs, const char *name)
{
	for (const struct option_spec *o = specs; o->name != NULL; o++) {
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
check_value(const struct option_spec *o, const char *value, const char *who,
	struct error *err)
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
	(void)err_wrap(err, "%s, option %s", who, o->name);
	return rc;
}

enum err
settings_check(const struct settings *s, const struct option_spec *specs,
	const char *who, struct error *err)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct setting *set = &s->v[i];
		const struct option_spec *o = find_option(specs, set->name);
		enum err rc;

		if (o == NULL)
			return err_set(err, ERR_USAGE, "%s has no option '%s'",
				who, set->name);
		rc = check_value(o, set->value, who, err);
		if (rc != ERR_OK)
			return rc;
		for (size_t j = 0; j < i && o->type != OPTION_LIST; j++) {
			if (strcmp(s->v[j].name, set->name) == 0)
				return err_set(err, ERR_USAGE,
					"%s, option %s: given twice", who,
					set->name);
		}
	}
	return ERR_OK;
}

const char *
settings_text(const struct settings *s, const struct option_spec *specs,
	const char *name)
{
	const struct option_spec *o;

	for (size_t i = s->n; i-- > 0;) {
		if (strcmp(s->v[i].name, name) == 0)
			return s->v[i].value;
	}
	o = find_option(specs, name);
	return o != NULL ? o->fallback : NULL;
}

bool
settings_bool(const struct settings *s, const struct option_spec *specs,
	const char *name)
{
	const char *text = settings_text(s, specs, name);

	return text != NULL && strcmp(text, "yes") == 0;
}

uint64_t
settings_number(const struct settings *s, const struct option_spec *specs,
	const char *name)
{
	const char *text = settings_text(s, specs, name);
	struct error err = ERROR_INIT;
	uint64_t size;

	if (text == NULL || units_parse_bytes(&size, text, &err) != ERR_OK)
		return 0;
	return size;
}
