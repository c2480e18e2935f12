/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mfs_moment.h"

#include <string.h>

#include "base/time.h"

static enum err
parse_id(uint64_t *out, const char *text, struct error *err)
{
	uint64_t v = 0;

	for (; *text != '\0'; text++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return err_set(err, ERR_USAGE,
				"a change's id that is too large");
	*out = v;
	return ERR_OK;
}

enum err
mfs_moment_parse(struct mfs_moment *out, const char *text, struct error *err)
{
	struct mfs_moment m = { .kind = MFS_MOMENT_ID };
	struct when t;
	enum err rc;

	if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
		rc = parse_id(&m.id, text, err);
	} else {
		m.kind = MFS_MOMENT_TIME;
		rc = when_parse(&t, text, err);
		if (rc == ERR_OK)
			m.sec = t.sec;
	}
	if (rc == ERR_OK)
		*out = m;
	return rc;
}

bool
mfs_moment_is_before(const struct mfs_moment *m, uint64_t id, uint64_t seconds)
{
	if (m->kind == MFS_MOMENT_ID)
		return id > m->id;
	if (m->kind == MFS_MOMENT_TIME)
		return m->sec < 0 || seconds > (uint64_t)m->sec;
	return false;
}

void
mfs_moment_text(uint64_t seconds, char out[40])
{
	struct when t = { 0, 0 };

	/* Later than any calendar has years for. */
	if (seconds > INT64_C(253402300799))
		seconds = (uint64_t)INT64_C(253402300799);
	t.sec = (int64_t)seconds;
	when_rfc3339(&t, out);
	/* Seconds are all there is. */
	memcpy(out + strlen("YYYY-MM-DDTHH:MM:SS"), "Z", sizeof("Z"));
}
