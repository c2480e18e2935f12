/* SPDX-License-Identifier: Apache-2.0 */
/* Which snapshot is meant by what people write. */
#include "engine/select.h"
#include "tests/engine/fake.h"

static enum err
select_as(struct fake *f, const char *name,
	const struct snapshot_filter *filter, struct snapshot *out,
	struct error *err)
{
	snapshot_init(out);
	return snapshot_select(out, f->repo, name, filter, err);
}

static void
must_select(struct fake *f, const char *name,
	const struct snapshot_filter *filter, const struct uid *want)
{
	struct error err = ERROR_INIT;
	struct snapshot snap;

	must(select_as(f, name, filter, &snap, &err), &err);
	assert_memory_equal(&snap.uid, want, sizeof(*want));
	snapshot_fini(&snap);
}

static void
must_not_select(struct fake *f, const char *name,
	const struct snapshot_filter *filter, enum err code)
{
	struct error err = ERROR_INIT;
	struct snapshot snap;

	assert_int_equal(select_as(f, name, filter, &snap, &err), code);
	assert_int_equal(err.code, code);
	snapshot_fini(&snap);
}

static void
take_at(struct fake *f, int64_t sec, const char *host, const char *tag,
	struct uid *uid)
{
	struct backup_conf conf = { .host = host,
		.workers = 1,
		.has_time = true,
		.time = { sec, 0 } };
	struct error err = ERROR_INIT;
	struct snapshot snap;

	snapshot_init(&snap);
	if (tag != NULL)
		must(strings_add(&conf.tags, tag, &err), &err);
	must(strings_add(&conf.tags, "all", &err), &err);
	must(fake_backup(f, &conf, &snap, &err), &err);
	*uid = snap.uid;
	strings_fini(&conf.tags);
	snapshot_fini(&snap);
}

static void
test_select_by_prefix(void **state)
{
	enum { N = 17 };
	struct uid uid[N];
	char hex[UID_HEX + 1];
	unsigned n_same = 0;
	struct fake f;

	fake_init(&f, true);
	must_not_select(&f, "latest", NULL, ERR_NOTFOUND);
	must_not_select(&f, "0", NULL, ERR_NOTFOUND);
	for (unsigned i = 0; i < N; i++)
		take_at(&f, i, "h", NULL, &uid[i]);
	for (unsigned i = 0; i < N; i++) {
		hex_encode(uid[i].b, UID_LEN, hex);
		must_select(&f, hex, NULL, &uid[i]);
		hex[16] = '\0';
		must_select(&f, hex, NULL, &uid[i]);
		hex[1] = '\0';
		/* Of seventeen two begin alike. */
		for (unsigned k = 0; k < i; k++) {
			if (uid[k].b[0] >> 4 != uid[i].b[0] >> 4)
				continue;
			must_not_select(&f, hex, NULL, ERR_USAGE);
			n_same++;
		}
	}
	assert_true(n_same > 0);
	must_not_select(&f, "", NULL, ERR_USAGE);
	must_not_select(&f, "newest", NULL, ERR_USAGE);
	must_not_select(&f, "ABCD", NULL, ERR_USAGE);
	must_not_select(&f, "0123456789abcdef0123456789abcdef0", NULL,
		ERR_USAGE);
	fake_fini(&f);
}

static void
test_select_latest(void **state)
{
	struct snapshot_filter filter = { .host = "one" };
	struct error err = ERROR_INIT;
	struct uid a, b, c, d;
	char hex[UID_HEX + 1];
	struct fake f;

	fake_init(&f, true);
	f.label = "files:/etc";
	take_at(&f, 50, "one", "x", &a);
	take_at(&f, 40, "one", "y", &b);
	take_at(&f, 60, "two", "x", &c);
	f.label = "fake:/etc";
	take_at(&f, 30, "one", "x", &d);
	must_select(&f, "latest", NULL, &c);
	must_select(&f, "latest", &filter, &a);
	must(strings_add(&filter.tags, "all", &err), &err);
	must(strings_add(&filter.tags, "y", &err), &err);
	must_select(&f, "latest", &filter, &b);
	/* A name is a name, whatever the filter. */
	hex_encode(c.b, UID_LEN, hex);
	must_select(&f, hex, &filter, &c);
	strings_fini(&filter.tags);
	must(strings_add(&filter.sources, "/etc", &err), &err);
	must_select(&f, "latest", &filter, &a);
	strings_fini(&filter.sources);
	must(strings_add(&filter.sources, "fake:/etc", &err), &err);
	must_select(&f, "latest", &filter, &d);
	filter.host = "two";
	must_not_select(&f, "latest", &filter, ERR_NOTFOUND);
	filter.host = "on";
	must_not_select(&f, "latest", &filter, ERR_NOTFOUND);
	strings_fini(&filter.sources);
	fake_fini(&f);
}

static void
test_split(void **state)
{
	char whole[] = "latest:/a:b", bare[] = "12ab", empty[] = "12ab:";
	char *name, *sub;

	snapshot_split(whole, &name, &sub);
	assert_string_equal(name, "latest");
	assert_string_equal(sub, "/a:b");
	snapshot_split(bare, &name, &sub);
	assert_string_equal(name, "12ab");
	assert_null(sub);
	snapshot_split(empty, &name, &sub);
	assert_string_equal(sub, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_select_by_prefix),
		cmocka_unit_test(test_select_latest),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
