/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <string.h>

#include "model/path.h"

/* What stands for a text that does not fit into memory. */
static const char too_long[] = "(name too long)";

static const char *
finish(struct buf *b, bool ok)
{
	struct error err = ERROR_INIT;

	if (!ok || buf_put_u8(b, 0, &err) != ERR_OK)
		return too_long;
	return (const char *)b->data;
}

const char *
text_key(struct buf *b, struct bytes key)
{
	struct error err = ERROR_INIT;

	buf_clear(b);
	return finish(b, key_to_text(b, key.data, key.len, &err) == ERR_OK);
}

const char *
text_bytes(struct buf *b, struct bytes bytes)
{
	/* Escaped as a key is, but for the slash in front. */
	return text_key(b, bytes) + 1;
}

void
text_plain(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 32 || *text == 127)
			*text = '?';
}

void
text_mode(const struct entry *e, char out[11])
{
	static const char types[] = "?-dlcbps---";
	static const char bits[] = "rwxrwxrwx";
	size_t type = (size_t)e->type;

	out[0] = type < sizeof(types) - 1 ? types[type] : '?';
	for (unsigned i = 0; i < 9; i++)
		out[1 + i] = (char)(e->mode & (0400u >> i) ? bits[i] : '-');
	if (e->mode & 04000)
		out[3] = e->mode & 0100 ? 's' : 'S';
	if (e->mode & 02000)
		out[6] = e->mode & 0010 ? 's' : 'S';
	if (e->mode & 01000)
		out[9] = e->mode & 0001 ? 't' : 'T';
	out[10] = '\0';
}

const char *
text_strings(struct buf *b, const struct strings *s)
{
	struct error err = ERROR_INIT;
	size_t start;
	bool ok = true;

	buf_clear(b);
	for (size_t i = 0; i < s->n && ok; i++) {
		if (i > 0)
			ok = buf_put(b, ", ", 2, &err) == ERR_OK;
		start = b->len;
		ok = ok &&
		     buf_put(b, s->v[i], strlen(s->v[i]) + 1, &err) == ERR_OK;
		if (ok) {
			text_plain((char *)b->data + start);
			b->len--;
		}
	}
	return finish(b, ok);
}
