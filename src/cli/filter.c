/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/filter.h"

enum err
filter_fill(struct snapshot_filter *f, const struct cli *c, struct error *err)
{
	const char *text;
	size_t at = 0;
	enum err rc = ERR_OK;

	*f = (struct snapshot_filter){ .host = flag_text(c, "host") };
	while (rc == ERR_OK && (text = flag_next(c, "tag", &at)) != NULL)
		rc = strings_add(&f->tags, text, err);
	at = 0;
	while (rc == ERR_OK && (text = flag_next(c, "path", &at)) != NULL)
		rc = strings_add(&f->sources, text, err);
	return rc;
}

void
filter_fini(struct snapshot_filter *f)
{
	strings_fini(&f->tags);
	strings_fini(&f->sources);
}
