/* SPDX-License-Identifier: Apache-2.0 */
#include "source/files/rules.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fsx.h"

/* bford.info/cachedir, "Cache Directory Tagging Specification". */
static const char cache_tag[] =
	"CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55";

void
rules_fini(struct rules *rules)
{
	patterns_free(rules->patterns);
	for (size_t i = 0; i < rules->n_tags; i++) {
		free(rules->tags[i].name);
		free(rules->tags[i].header);
	}
}

/* "NAME" or "NAME:HEADER" */
static enum err
add_tag(struct rules *rules, const char *text, struct error *err)
{
	const char *colon = strchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	struct tag *tag = &rules->tags[rules->n_tags];

	if (rules->n_tags == TAGS_MAX)
		return err_set(err, ERR_USAGE,
			"exclude-if-present: more than %d names", TAGS_MAX);
	if (len == 0 || memchr(text, '/', len) != NULL)
		return err_set(err, ERR_USAGE,
			"exclude-if-present: '%s' is not the name of a file",
			text);
	if (colon != NULL && strlen(colon + 1) > TAG_HEADER_MAX)
		return err_set(err, ERR_USAGE,
			"exclude-if-present: a header is longer than %d bytes",
			TAG_HEADER_MAX);
	tag->name = strndup(text, len);
	tag->header = colon != NULL ? strdup(colon + 1) : NULL;
	tag->header_len = colon != NULL ? strlen(colon + 1) : 0;
	rules->n_tags++;
	if (tag->name == NULL || (colon != NULL && tag->header == NULL))
		return err_set(err, ERR_NOMEM, "no memory for a rule");
	return ERR_OK;
}

static enum err
add_setting(struct rules *rules, const struct setting *s, struct error *err)
{
	if (strcmp(s->name, "exclude") == 0)
		return patterns_add(rules->patterns, s->value, err);
	if (strcmp(s->name, "exclude-file") == 0)
		return patterns_add_file(rules->patterns, s->value, err);
	if (strcmp(s->name, "exclude-if-present") == 0)
		return add_tag(rules, s->value, err);
	return ERR_OK;
}

enum err
rules_init(struct rules *rules, const struct source_ops *ops,
	const struct source_conf *conf, struct error *err)
{
	enum err rc;

	rc = patterns_new(&rules->patterns, err);
	for (size_t i = 0; i < conf->settings.n && rc == ERR_OK; i++)
		rc = add_setting(rules, &conf->settings.v[i], err);
	if (rc == ERR_OK &&
		settings_bool(&conf->settings, ops->options, "exclude-caches"))
		rc = add_tag(rules, cache_tag, err);
	rules->size_max = settings_number(&conf->settings, ops->options,
		"exclude-larger-than");
	rules->one_file_system =
		settings_bool(&conf->settings, ops->options, "one-file-system");
	return rc;
}

bool
rules_tag_holds(const struct tag *tag, int at)
{
	struct error err = ERROR_INIT;
	char have[TAG_HEADER_MAX];
	struct stat st;
	size_t got = 0;
	bool holds;
	int fd;

	if (tag->header_len == 0)
		return true;
	fd = openat(at, tag->name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	holds = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		fsx_pread(fd, have, tag->header_len, 0, &got, tag->name,
			&err) == ERR_OK &&
		got == tag->header_len && memcmp(have, tag->header, got) == 0;
	fsx_close(&fd);
	return holds;
}
