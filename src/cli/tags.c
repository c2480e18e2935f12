/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tags.h"

#include <string.h>

static enum err
add_tags(struct strings *tags, const char *text, struct error *err)
{
	char tag[256];
	size_t len;

	for (;; text += len + 1) {
		len = strcspn(text, ",");
		if (len >= sizeof(tag))
			return err_set(err, ERR_USAGE, "a tag is too long");
		memcpy(tag, text, len);
		tag[len] = '\0';
		if (len > 0 && strings_add(tags, tag, err) != ERR_OK)
			return err->code;
		if (text[len] == '\0')
			return ERR_OK;
	}
}

enum err
tags_fill(struct strings *tags, const struct cli *c, struct error *err)
{
	const char *text;
	size_t at = 0;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && (text = flag_next(c, "tag", &at)) != NULL)
		rc = add_tags(tags, text, err);
	return rc;
}
