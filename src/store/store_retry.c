/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_retry: each operation is called again as long as it says ERR_AGAIN.
 *
 * An ERR_AGAIN leaves open whether the operation took place.  put and del
 * therefore read a second attempt's ERR_EXISTS and ERR_NOTFOUND in that light;
 * a first attempt's are passed on as they are.
 */
#include "store/store_retry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	COMPARE_LEN = 1 << 20,
	/* A listing has to be whole before the first object of it is handed
	 * on, as another attempt would hand on the same ones again. */
	LISTING_MAX = 1 << 30
};

struct store_retry {
	struct store base;
	struct store *inner;
	struct retry_policy policy;
};

/* One operation's attempts.  The error stays here until the last of them: a
 * call that succeeds in the end leaves its caller's alone. */
struct attempts {
	const struct retry_policy *policy;
	unsigned n; /* how many have ended */
	struct error err;
};

static struct store_retry *
to_retry(struct store *st)
{
	return container_of(st, struct store_retry, base);
}

static struct attempts
attempts_of(const struct store_retry *sr)
{
	return (struct attempts){ .policy = &sr->policy, .err = ERROR_INIT };
}

/*
 * The n-th pause: doubled each time up to the maximum, half of it random, so
 * that clients that failed together do not come back together.  ("Exponential
 * backoff and jitter", M. Brooker 2015: equal jitter.)
 */
static uint64_t
pause_msec(const struct retry_policy *policy, unsigned n)
{
	uint64_t msec = policy->first_pause_msec, r = 0;

	while (--n > 0 && msec < policy->pause_max_msec)
		msec *= 2;
	if (msec > policy->pause_max_msec)
		msec = policy->pause_max_msec;
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = 0;
	return msec / 2 + r % (msec - msec / 2 + 1);
}

static void
pause_for(uint64_t msec)
{
	struct timespec left = {
		.tv_sec = (time_t)(msec / 1000),
		.tv_nsec = (long)(msec % 1000) * 1000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

/* After an attempt that ended with rc: whether to make another, which is due
 * when this returns. */
static bool
again(struct attempts *a, enum err rc)
{
	a->n++;
	if (rc != ERR_AGAIN || a->n >= a->policy->attempts_max)
		return false;
	pause_for(pause_msec(a->policy, a->n));
	return true;
}

static enum err
result(struct attempts *a, enum err rc, struct error *err)
{
	if (rc == ERR_AGAIN && a->n > 1)
		(void)err_wrap(&a->err, "given up after %u attempts", a->n);
	if (rc != ERR_OK)
		*err = a->err;
	return rc;
}

static enum err
retry_get(struct store *st, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	struct store_retry *sr = to_retry(st);
	struct attempts a = attempts_of(sr);
	enum err rc;

	do
		rc = store_get(sr->inner, name, off, len, out, &a.err);
	while (again(&a, rc));
	return result(&a, rc, err);
}

static enum err
retry_size(struct store *st, const char *name, uint64_t *size,
	struct error *err)
{
	struct store_retry *sr = to_retry(st);
	struct attempts a = attempts_of(sr);
	enum err rc;

	do
		rc = store_size(sr->inner, name, size, &a.err);
	while (again(&a, rc));
	return result(&a, rc, err);
}

static enum err
retry_time(struct store *st, const char *name, struct when *out,
	struct error *err)
{
	struct store_retry *sr = to_retry(st);
	struct attempts a = attempts_of(sr);
	enum err rc;

	do
		rc = store_time(sr->inner, name, out, &a.err);
	while (again(&a, rc));
	return result(&a, rc, err);
}

/* Whether the object has just these bytes. */
static enum err
compare(struct store *st, const char *name, const uint8_t *data, size_t len,
	bool *same, struct error *err)
{
	struct buf part = BUF_INIT(COMPARE_LEN);
	uint64_t size = 0;
	size_t n;
	enum err rc;

	rc = retry_size(st, name, &size, err);
	*same = size == len;
	for (size_t off = 0; rc == ERR_OK && *same && off < len; off += n) {
		n = len - off < COMPARE_LEN ? len - off : COMPARE_LEN;
		buf_clear(&part);
		rc = retry_get(st, name, off, n, &part, err);
		*same = rc == ERR_OK && memcmp(part.data, data + off, n) == 0;
	}
	buf_fini(&part);
	return rc;
}

/* The put after an ambiguous one found the name taken: by whom? */
static enum err
resolve_put(struct store *st, const char *name, const void *data, size_t len,
	struct error *err)
{
	bool same = false;
	enum err rc;

	rc = compare(st, name, data, len, &same, err);
	if (rc == ERR_NOTFOUND)
		return err_set(err, ERR_AGAIN,
			"object %s: was deleted while it was put", name);
	if (rc != ERR_OK)
		return err_wrap(err,
			"object %s: exists; reading it back to see whose it is",
			name);
	return same ? ERR_OK
		    : err_set(err, ERR_EXISTS, "object %s: exists", name);
}

static enum err
retry_put(struct store *st, const char *name, const void *data, size_t len,
	struct error *err)
{
	struct store_retry *sr = to_retry(st);
	struct attempts a = attempts_of(sr);
	enum err rc;

	do {
		rc = store_put(sr->inner, name, data, len, &a.err);
		if (rc == ERR_EXISTS && a.n > 0)
			rc = resolve_put(st, name, data, len, &a.err);
	} while (again(&a, rc));
	return result(&a, rc, err);
}

static enum err
retry_del(struct store *st, const char *name, struct error *err)
{
	struct store_retry *sr = to_retry(st);
	struct attempts a = attempts_of(sr);
	enum err rc;

	do {
		rc = store_del(sr->inner, name, &a.err);
		if (rc == ERR_NOTFOUND && a.n > 0)
			rc = ERR_OK;
	} while (again(&a, rc));
	return result(&a, rc, err);
}

/* An object: its size, its name, a NUL. */
static enum err
gather(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct buf *all = arg;
	enum err rc;

	rc = buf_put(all, &size, sizeof(size), err);
	return rc == ERR_OK ? buf_put(all, name, strlen(name) + 1, err) : rc;
}

static enum err
hand_on(const struct buf *all, store_list_fn *fn, void *arg, struct error *err)
{
	size_t at = 0;
	uint64_t size;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && at < all->len) {
		const char *name;

		memcpy(&size, all->data + at, sizeof(size));
		name = (const char *)all->data + at + sizeof(size);
		at += sizeof(size) + strlen(name) + 1;
		rc = fn(arg, name, size, err);
	}
	return rc;
}

/* Costs the memory of the names below prefix, some 80 bytes an object. */
static enum err
retry_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	struct store_retry *sr = to_retry(st);
	struct attempts a = attempts_of(sr);
	struct buf all = BUF_INIT(LISTING_MAX);
	enum err rc;

	do {
		buf_clear(&all);
		rc = store_list(sr->inner, prefix, gather, &all, &a.err);
	} while (again(&a, rc));
	rc = result(&a, rc, err);
	if (rc == ERR_OK)
		rc = hand_on(&all, fn, arg, err);
	buf_fini(&all);
	return rc;
}

static void
retry_close(struct store *st)
{
	struct store_retry *sr = to_retry(st);

	store_close(sr->inner);
	free(sr);
}

static const struct store_ops store_retry_ops = {
	.close = retry_close,
	.put = retry_put,
	.get = retry_get,
	.size = retry_size,
	.time = retry_time,
	.list = retry_list,
	.del = retry_del,
};

enum err
store_retry_new(struct store **out, struct store *inner,
	const struct retry_policy *policy, struct error *err)
{
	struct store_retry *sr = calloc(1, sizeof(*sr));

	assert(policy->attempts_max >= 1);
	if (sr == NULL)
		return err_set(err, ERR_NOMEM, "retrying store: no memory");
	sr->base.ops = &store_retry_ops;
	sr->inner = inner;
	sr->policy = *policy;
	*out = &sr->base;
	return ERR_OK;
}
