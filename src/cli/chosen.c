/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/chosen.h"

#include <stdlib.h>
#include <string.h>

void
chosen_fini(struct chosen *g)
{
	for (size_t i = 0; i < g->n_texts; i++)
		free(g->texts[i]);
	free(g->texts);
	free(g->v);
	*g = (struct chosen){ NULL };
}

void
chosen_add(struct chosen *g, const char *name, const char *value)
{
	g->v[g->n++] = (struct setting){ name, value };
}

static enum err
take_one(struct chosen *g, const char *text, struct error *err)
{
	char *copy = strdup(text), *equals;

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	g->texts[g->n_texts++] = copy;
	equals = strchr(copy, '=');
	if (equals == NULL)
		return err_set(err, ERR_USAGE, "-o %s: NAME=VALUE is wanted",
			text);
	*equals = '\0';
	chosen_add(g, copy, equals + 1);
	return ERR_OK;
}

enum err
chosen_take(struct chosen *g, const struct cli *c, struct error *err)
{
	const char *text;
	size_t at = 0;
	enum err rc = ERR_OK;

	g->v = calloc(c->n_given + 1, sizeof(*g->v));
	g->texts = calloc(c->n_given + 1, sizeof(*g->texts));
	if (g->v == NULL || g->texts == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	while (rc == ERR_OK && (text = flag_next(c, "option", &at)) != NULL)
		rc = take_one(g, text, err);
	return rc;
}

struct settings
chosen_settings(const struct chosen *g)
{
	return (struct settings){ g->v, g->n };
}
