/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth allocation of a capture fails, for each N: it ends with ERR_NOMEM
 * or as if nothing had happened, or with a problem told, and leaves neither
 * descriptors nor memory behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "source/source.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/scale.h"

#ifndef HAVE_SANITIZER
/* How many allocations still succeed; negative: all do. */
static _Atomic long budget = -1;
static _Atomic long n_live;

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);
void *__libc_realloc(void *p, size_t len);
void __libc_free(void *p);

static bool
may_allocate(void)
{
	long left = atomic_load(&budget);

	if (left < 0)
		return true;
	do {
		if (left == 0) {
			errno = ENOMEM;
			return false;
		}
	} while (!atomic_compare_exchange_weak(&budget, &left, left - 1));
	return true;
}

static void *
counted(void *p)
{
	n_live += p != NULL;
	return p;
}

void *
malloc(size_t len)
{
	return may_allocate() ? counted(__libc_malloc(len)) : NULL;
}

void *
calloc(size_t n, size_t len)
{
	return may_allocate() ? counted(__libc_calloc(n, len)) : NULL;
}

void *
realloc(void *p, size_t len)
{
	if (!may_allocate())
		return NULL;
	return p != NULL ? __libc_realloc(p, len) : counted(__libc_malloc(len));
}

void
free(void *p)
{
	n_live -= p != NULL;
	__libc_free(p);
}

struct memory_sink {
	struct sink base;
	size_t n, n_problems;
};

static enum err
sink_offer(struct sink *s, struct bytes key, const struct entry *e, bool *done,
	struct error *err)
{
	container_of(s, struct memory_sink, base)->n++;
	*done = false;
	return ERR_OK;
}

static enum err
sink_entry(struct sink *s, struct bytes key, const struct entry *e,
	struct error *err)
{
	return ERR_OK;
}

static enum err
sink_file(struct sink *s, struct bytes key, const struct entry *e,
	struct reader *r, struct error *err)
{
	struct error why = ERROR_INIT;
	struct entry copy = *e;

	if (r->ops->open(r, &copy, &why) != ERR_OK) {
		assert_int_equal(why.code, ERR_NOMEM);
		container_of(s, struct memory_sink, base)->n_problems++;
	}
	r->ops->close(r);
	return ERR_OK;
}

static void
sink_problem(struct sink *s, struct bytes key, const struct error *why)
{
	assert_int_equal(why->code, ERR_NOMEM);
	container_of(s, struct memory_sink, base)->n_problems++;
}

static const struct sink_ops memory_ops = {
	.offer = sink_offer,
	.entry = sink_entry,
	.file = sink_file,
	.problem = sink_problem,
};

static size_t
count_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
make_tree(const char *top)
{
	char command[512];

	(void)snprintf(command, sizeof(command),
		"cd %s && mkdir -p a/b/c d e/f && touch a/x a/b/y d/z && "
		"ln -s %0200d e/l && mkfifo e/p",
		top, 7);
	assert_int_equal(system(command), 0);
	(void)snprintf(command, sizeof(command), "%s/a", top);
	(void)setxattr(command, "user.x", "value", 5, 0);
	(void)snprintf(command, sizeof(command), "%s/d/z", top);
	(void)setxattr(command, "user.y", "value", 5, 0);
}

static enum err
capture(const char *top, const char *threads, long allocations,
	struct memory_sink *sink)
{
	const struct source_ops *ops = source_driver("files");
	const struct setting settings[] = { { "list-threads", threads },
		{ "exclude", "[ab]*.o" }, { "exclude-caches", "yes" } };
	const struct source_conf conf = { &top, 1, { settings, 3 } };
	struct error err = ERROR_INIT;
	struct source *src;
	enum err rc;

	*sink = (struct memory_sink){ .base.ops = &memory_ops };
	atomic_store(&budget, allocations);
	rc = ops->open(&src, &conf, &err);
	if (rc == ERR_OK) {
		rc = ops->capture(src, &sink->base, &err);
		ops->close(src);
	}
	atomic_store(&budget, -1);
	return rc;
}

static void
any_allocation_may_fail(const char *threads)
{
	char top[] = "/tmp/test_files.XXXXXX", command[64];
	struct memory_sink whole, sink;
	size_t fds = count_fds();
	bool all = false;

	assert_non_null(mkdtemp(top));
	make_tree(top);
	assert_int_equal(capture(top, threads, -1, &whole), ERR_OK);
	assert_int_equal(whole.n_problems, 0);
	assert_int_equal(whole.n, 14);
	for (long n = 0; !all; n++) {
		long live = n_live;
		enum err rc = capture(top, threads, n, &sink);

		assert_true(n < 10000);
		/* The C library keeps some for the next thread. */
		if (*threads == '0')
			assert_int_equal(n_live, live);
		assert_int_equal(count_fds(), fds);
		if (rc != ERR_OK) {
			assert_int_equal(rc, ERR_NOMEM);
			continue;
		}
		all = sink.n_problems == 0;
		/* Nothing is left out without a word. */
		if (all)
			assert_int_equal(sink.n, whole.n);
	}
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	assert_int_equal(system(command), 0);
}

static void
without_threads(void **state)
{
	any_allocation_may_fail("0");
}

static void
with_threads(void **state)
{
	for (uint64_t i = 0; i < test_scale(10); i++)
		any_allocation_may_fail("3");
}
#endif

int
main(void)
{
#ifdef HAVE_SANITIZER
	(void)printf("skipped: the sanitizer has an allocator of its own\n");
	return 77;
#else
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_threads),
		cmocka_unit_test(with_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
