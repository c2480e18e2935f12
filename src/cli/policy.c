/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy.h"

#include <stdlib.h>
#include <string.h>

/* by enum period */
static const char *const keep_flags[PERIODS] = { "keep-last", "keep-hourly",
	"keep-daily", "keep-weekly", "keep-monthly", "keep-yearly" };
static const char *const within_flags[PERIODS] = { "keep-within",
	"keep-within-hourly", "keep-within-daily", "keep-within-weekly",
	"keep-within-monthly", "keep-within-yearly" };

enum { KEEP_MAX = 1000000000 };

static enum err
parse_keep(uint32_t *out, const char *flag, const char *text, struct error *err)
{
	unsigned long n;
	char *end;

	if (strcmp(text, "all") == 0) {
		*out = UINT32_MAX;
		return ERR_OK;
	}
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > KEEP_MAX)
		return err_set(err, ERR_USAGE,
			"--%s: a number is wanted, or all", flag);
	*out = (uint32_t)n;
	return ERR_OK;
}

static enum err
parse_group_by(unsigned *out, const char *text, struct error *err)
{
	static const struct {
		const char *name;
		enum group_by bit;
	} names[] = { { "identity", GROUP_IDENTITY }, { "host", GROUP_HOST },
		{ "paths", GROUP_PATHS }, { "tags", GROUP_TAGS } };
	unsigned by = 0;
	size_t len, i;

	while (*text != '\0') {
		len = strcspn(text, ",");
		for (i = 0; i < ARRAY_LEN(names); i++)
			if (strlen(names[i].name) == len &&
				memcmp(names[i].name, text, len) == 0)
				break;
		if (i == ARRAY_LEN(names))
			return err_set(err, ERR_USAGE,
				"--group-by: identity, host, paths and tags "
				"are wanted, with commas between them");
		by |= names[i].bit;
		text += len;
		text += *text == ',';
	}
	*out = by;
	return ERR_OK;
}

static enum err
fill_rules(struct retention *out, const struct cli *c, struct error *err)
{
	const char *text;
	enum err rc = ERR_OK;

	for (size_t p = 0; p < PERIODS && rc == ERR_OK; p++) {
		text = flag_text(c, keep_flags[p]);
		if (text != NULL)
			rc = parse_keep(&out->keep[p], keep_flags[p], text,
				err);
		text = flag_text(c, within_flags[p]);
		if (rc != ERR_OK || text == NULL)
			continue;
		out->has_within[p] = true;
		rc = span_parse(&out->within[p], text, err);
		if (rc != ERR_OK)
			(void)err_wrap(err, "--%s", within_flags[p]);
	}
	return rc;
}

enum err
policy_fill(struct forget_conf *out, const struct cli *c, struct error *err)
{
	const char *text;
	size_t at = 0;
	enum err rc;

	*out = (struct forget_conf){ .group_by = GROUP_DEFAULT };
	rc = fill_rules(&out->policy, c, err);
	while (rc == ERR_OK && (text = flag_next(c, "keep-tag", &at)) != NULL)
		rc = strings_add(&out->keep_tags, text, err);
	text = flag_text(c, "group-by");
	if (rc == ERR_OK && text != NULL)
		rc = parse_group_by(&out->group_by, text, err);
	text = flag_text(c, "time-from");
	if (rc != ERR_OK || text == NULL)
		return rc;
	out->time_from_record = strcmp(text, "record") == 0;
	if (!out->time_from_record && strcmp(text, "store") != 0)
		return err_set(err, ERR_USAGE,
			"--time-from: store or record is wanted");
	return ERR_OK;
}

void
policy_fini(struct forget_conf *conf)
{
	strings_fini(&conf->keep_tags);
}

void
policy_text(char out[POLICY_TEXT_MAX], const struct cli *c)
{
	size_t used = 0;
	int n;

	out[0] = '\0';
	if (c->n_operands > 0) {
		(void)snprintf(out, POLICY_TEXT_MAX, "by name");
		return;
	}
	for (size_t i = 0; i < c->n_given; i++) {
		const struct given *g = &c->given[i];

		if (strncmp(g->flag->name, "keep-", 5) != 0 ||
			used >= POLICY_TEXT_MAX)
			continue;
		n = snprintf(out + used, POLICY_TEXT_MAX - used, "%s--%s %s",
			used > 0 ? " " : "", g->flag->name, g->value);
		used += n > 0 ? (size_t)n : 0;
	}
}
