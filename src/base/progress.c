/* SPDX-License-Identifier: Apache-2.0 */
#include "base/progress.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Bytes of a UTF-8 character after its first (RFC 3629). */
enum { UTF8_MORE = 3 };

static bool
is_inner(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

static void
lock(struct progress *p)
{
	int rc = pthread_mutex_lock(&p->lock);

	assert(rc == 0);
}

static void
unlock(struct progress *p)
{
	int rc = pthread_mutex_unlock(&p->lock);

	assert(rc == 0);
}

void
progress_init(struct progress *p)
{
	int rc;

	atomic_init(&p->items_done, 0);
	atomic_init(&p->items_total, 0);
	atomic_init(&p->bytes_done, 0);
	atomic_init(&p->bytes_total, 0);
	atomic_init(&p->errors, 0);
	p->current[0] = '\0';
	rc = pthread_mutex_init(&p->lock, NULL);
	assert(rc == 0);
}

void
progress_fini(struct progress *p)
{
	int rc = pthread_mutex_destroy(&p->lock);

	assert(rc == 0);
}

void
progress_current(struct progress *p, const char *name, size_t len)
{
	size_t keep = len;

	if (keep > sizeof(p->current) - 1) {
		keep = sizeof(p->current) - 1;
		/* Not from the middle of a UTF-8 character. */
		for (int i = 0; i < UTF8_MORE && is_inner(name[len - keep]);
			i++)
			keep--;
	}
	lock(p);
	if (keep > 0)
		memcpy(p->current, name + (len - keep), keep);
	p->current[keep] = '\0';
	unlock(p);
}

void
progress_get_current(struct progress *p, char out[256])
{
	lock(p);
	memcpy(out, p->current, sizeof(p->current));
	unlock(p);
}
