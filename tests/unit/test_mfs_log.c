/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fsx.h"
#include "format/mfs_log.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum { LINES_MAX = 64, ROUNDS = 20000 };

/* The log of a real master, and its lines. */
static struct buf log_bytes = BUF_INIT(1 << 20);
static struct mfs_text lines[LINES_MAX];
static size_t n_lines;

static int
load(void **state)
{
	struct error err = ERROR_INIT;
	int fd = open(FORMAT_DATA "/mfs/log", O_RDONLY | O_CLOEXEC);
	const char *p, *end;

	(void)state;
	must(fsx_read_all(fd, &log_bytes, "log", &err), &err);
	fsx_close(&fd);
	p = (const char *)log_bytes.data;
	for (end = p + log_bytes.len; p < end; n_lines++) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		assert_non_null(lf);
		assert_true(n_lines < LINES_MAX);
		lines[n_lines] = (struct mfs_text){ p, (size_t)(lf - p) };
		p = lf + 1;
	}
	assert_true(n_lines > 40);
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	buf_fini(&log_bytes);
	return 0;
}

static bool
text_is(const struct mfs_text *t, const char *s)
{
	return t->len == strlen(s) && memcmp(t->p, s, t->len) == 0;
}

/* parse and check agree; whether it is a line. */
static bool
takes(const char *p, size_t len, struct mfs_change *c, struct error *err)
{
	struct error other = ERROR_INIT;
	uint64_t id = 77, seconds = 78, again = 79;
	enum err rc = mfs_change_parse(c, p, len, err);
	struct mfs_text text;

	assert_int_equal(rc, mfs_change_check(&id, &seconds, p, len, &other));
	if (rc != ERR_OK) {
		assert_int_equal(rc, ERR_CORRUPT);
		assert_string_equal(err->msg, other.msg);
		assert_true(id == 77 && seconds == 78);
		return false;
	}
	assert_true(id == c->id && seconds == c->seconds);
	text = mfs_change_text(p, len);
	must(mfs_change_check_text(&again, text.p, text.len, err), err);
	assert_true(again == seconds);
	return true;
}

static bool
takes_text(const char *s)
{
	struct error err = ERROR_INIT;
	struct mfs_change c;

	return takes(s, strlen(s), &c, &err);
}

static void
a_real_log_is_read_and_written_back(void **state)
{
	struct buf out = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct mfs_chain chain;
	struct mfs_change c;

	(void)state;
	mfs_chain_init(&chain, 1);
	for (size_t i = 0; i < n_lines; i++) {
		struct mfs_text t;

		assert_true(takes(lines[i].p, lines[i].len, &c, &err));
		assert_int_equal(c.id, i + 1);
		t = mfs_change_text(lines[i].p, lines[i].len);
		assert_int_equal(mfs_chain_add(&chain, c.id, t.p, t.len),
			MFS_LINK_NEXT);
		must(mfs_change_put(&out, c.id, t.p, t.len, &err), &err);
	}
	assert_int_equal(out.len, log_bytes.len);
	assert_memory_equal(out.data, log_bytes.data, out.len);
	buf_fini(&out);
}

static void
arguments_of_a_real_line(void **state)
{
	struct buf name = BUF_INIT(300);
	struct error err = ERROR_INIT;
	struct mfs_change c;
	bool ok;

	(void)state;
	assert_true(takes(lines[9].p, lines[9].len, &c, &err));
	assert_true(text_is(&c.op, "CREATE"));
	assert_int_equal(c.n_args, 8);
	assert_int_equal(mfs_arg_number(&c.args[3], &ok), 420);
	assert_true(ok && c.n_results == 1);
	must(mfs_arg_name(&c.args[1], &name, &err), &err);
	assert_int_equal(name.len, 255);
	for (unsigned i = 1; i < 256; i++)
		assert_int_equal(name.data[i - 1], i == '/' ? '_' : i);
	buf_fini(&name);
}

static void
names_are_unescaped_or_refused(void **state)
{
	static const struct {
		const char *from, *to;
	} t[] = { { "", "" }, { "a b", "a b" }, { "%25%2C%28", "%,(" },
		{ "x%FF", "x\xff" }, { "%", NULL }, { "a%2", NULL },
		{ "%2c", NULL }, { "%G0", NULL }, { "ab%0", NULL } };
	struct buf b = BUF_INIT(64);
	struct error err = ERROR_INIT;

	(void)state;
	must(buf_put(&b, "k", 1, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct mfs_text text = { t[i].from, strlen(t[i].from) };
		enum err rc = mfs_arg_name(&text, &b, &err);

		if (t[i].to == NULL) {
			must_fail(rc, ERR_CORRUPT, &err, "two digits");
			assert_int_equal(b.len, 1);
			continue;
		}
		must(rc, &err);
		assert_int_equal(b.len, 1 + strlen(t[i].to));
		assert_memory_equal(b.data + 1, t[i].to, b.len - 1);
		b.len = 1;
	}
	buf_fini(&b);
}

static void
numbers_are_decimal_and_fit(void **state)
{
	static const struct {
		const char *s;
		bool ok;
		uint64_t v;
	} t[] = { { "0", true, 0 }, { "007", true, 7 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 }, { "", false, 0 },
		{ "1x", false, 0 }, { "0x1", false, 0 }, { "-1", false, 0 },
		{ "99999999999999999999999", false, 0 } };
	bool ok;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct mfs_text text = { t[i].s, strlen(t[i].s) };

		assert_true(mfs_arg_number(&text, &ok) == t[i].v);
		assert_true(ok == t[i].ok);
	}
}

static void
the_grammar_by_example(void **state)
{
	static const char *const good[] = { "1: 0|X()", "7: 5|A_2(,)",
		"3: 1|SCSET([1:2:3],#5,x,0x0)", "3: 1|X(a):[1:2],3",
		"3: 1|X():a=%20/*", "18446744073709551614: 1|X()",
		"4: 1|X(a b|c: d)" };
	static const char *const wrong[] = { "", "1", "1:", "1: ", "1:0|X()",
		" 1: 0|X()", "01: 0|X()", "0: 0|X()", "1: |X()", "1: 0X()",
		"1: 0|()", "1: 0|x()", "1: 0|X", "1: 0|X(", "1: 0|X)",
		"1: 0|X(()", "1: 0|X())", "1: 0|X():", "1: 0|X():1,",
		"1: 0|X():,1", "1: 0|X() ", "1: 0|X():1 ", "1: 0|X():1|",
		"1: 0|X():1(", "1: 0|X():1)", "1: 0|X(%)", "1: 0|X(%4)",
		"1: 0|X(%4g)", "1: 0|X(\x7f)", "1: 0|X(\xc3)", "1: 0|X(\t)",
		"1: 0|X()\r", "1: 0|X(a)b", "18446744073709551615: 1|X()",
		"1: 18446744073709551616|X()", "+1: 0|X()" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!takes_text(good[i]))
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (takes_text(wrong[i]))
			fail_msg("taken: %s", wrong[i]);
	}
}

static void
more_arguments_than_are_kept_are_counted(void **state)
{
	char line[1024] = "5: 1|X(0";
	struct error err = ERROR_INIT;
	struct mfs_change c;
	size_t n = strlen(line);

	(void)state;
	for (unsigned i = 1; i < 100; i++)
		n += (size_t)sprintf(line + n, ",%u", i);
	n += (size_t)sprintf(line + n, "):7");
	assert_true(takes(line, n, &c, &err));
	assert_int_equal(c.n_args, 100);
	assert_true(text_is(&c.args[63], "63"));
	assert_int_equal(c.n_results, 1);
}

/* The grammar once more, as an expression of the C library. */
static bool
is_line(const regex_t *grammar, const char *p, size_t len)
{
	char text[4096];
	const char *colon = memchr(p, ':', len);

	assert_true(len < sizeof(text));
	if (memchr(p, '\0', len) != NULL || colon == NULL || colon - p > 19)
		return false;
	memcpy(text, p, len);
	text[len] = '\0';
	return regexec(grammar, text, 0, NULL, 0) == 0;
}

static size_t
mutate(struct prng *p, char *s, size_t len, size_t room)
{
	static const char odd[] = "%,():|[] 0\n\0#A";
	size_t at = prng_below(p, len);

	switch (prng_below(p, 5)) {
	case 0:
		s[at] = (char)((unsigned char)s[at] ^ 1u << prng_below(p, 8));
		return len;
	case 1:
		s[at] = odd[prng_below(p, sizeof(odd))];
		return len;
	case 2:
		memmove(s + at, s + at + 1, len - at - 1);
		return len - 1;
	case 3:
		if (len == room)
			return at;
		memmove(s + at + 1, s + at, len - at);
		return len + 1;
	default:
		return prng_below(p, 4) == 0 ? at : len;
	}
}

static void
mutants_are_taken_as_the_grammar_has_it(void **state)
{
	static const char expression[] =
		"^[1-9][0-9]*: [0-9]{1,19}\\|[A-Z0-9_]+"
		"\\((,|[^(),%]|%[0-9A-F]{2})*\\)"
		"(:[^ (),|]+(,[^ (),|]+)*)?$";
	uint64_t seed = 20261121;
	struct error err = ERROR_INIT;
	size_t good = 0, refused = 0;
	struct mfs_change c;
	struct prng p;
	regex_t grammar;
	char s[2048];

	(void)state;
	print_message("seed %" PRIu64 "\n", seed);
	prng_init(&p, seed);
	assert_int_equal(regcomp(&grammar, expression,
				 REG_EXTENDED | REG_NOSUB),
		0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct mfs_text *l = &lines[prng_below(&p, n_lines)];
		size_t len = l->len;
		bool want, printable = true;

		memcpy(s, l->p, len);
		for (uint64_t n = prng_below(&p, 4); n > 0 && len > 0; n--)
			len = mutate(&p, s, len, sizeof(s));
		for (size_t k = 0; k < len; k++)
			printable = printable && s[k] >= 32 && s[k] < 127;
		want = printable && is_line(&grammar, s, len);
		if (takes(s, len, &c, &err) != want)
			fail_msg("%s: %.*s", want ? "refused" : "taken",
				(int)len, s);
		good += want;
		refused += !want;
	}
	regfree(&grammar);
	assert_true(good > ROUNDS / 10 && refused > ROUNDS / 10);
}

/* A line that was torn anywhere, and a later one written behind it. */
static void
glued_lines_are_found(void **state)
{
	struct error err = ERROR_INIT;
	struct mfs_chain chain;
	struct mfs_change c;
	char s[4096];

	(void)state;
	for (size_t i = 0; i < n_lines; i++) {
		size_t j = i + 1 < n_lines ? i + 1 : i;

		for (size_t cut = 1; cut <= lines[i].len; cut++) {
			size_t n = cut + lines[j].len;
			struct mfs_text t;

			memcpy(s, lines[i].p, cut);
			memcpy(s + cut, lines[j].p, lines[j].len);
			if (!takes(s, n, &c, &err))
				continue;
			mfs_chain_init(&chain, i + 1);
			t = mfs_change_text(s, n);
			if (mfs_chain_add(&chain, c.id, t.p, t.len) ==
				MFS_LINK_NEXT)
				fail_msg("taken: %.*s", (int)n, s);
		}
	}
}

/* ---- lines out of parts ---- */

struct seen {
	size_t n;
	size_t fail_at; /* the line that fails; 0: none */
};

static enum err
see(void *arg, const char *line, size_t len, struct error *err)
{
	struct seen *s = arg;

	if (s->fail_at > 0 && s->n + 1 == s->fail_at)
		return err_set(err, ERR_NOSPACE, "enough");
	assert_true(s->n < n_lines);
	assert_int_equal(len, lines[s->n].len);
	assert_memory_equal(line, lines[s->n].p, len);
	s->n++;
	return ERR_OK;
}

static void
lines_come_in_any_parts(void **state)
{
	struct error err = ERROR_INIT;
	struct mfs_lines l;
	struct prng p;

	(void)state;
	prng_init(&p, 5);
	for (unsigned round = 0; round < 500; round++) {
		size_t total = prng_below(&p, log_bytes.len + 1), at = 0, n;
		size_t max = 1 + prng_below(&p, 300), whole = 0;
		struct seen s = { 0 };

		mfs_lines_init(&l);
		for (; at < total; at += n) {
			n = 1 + prng_below(&p, max);
			n = n < total - at ? n : total - at;
			must(mfs_lines_feed(&l, log_bytes.data + at, n, see, &s,
				     &err),
				&err);
		}
		for (size_t i = 0; i < s.n; i++)
			whole += lines[i].len + 1;
		assert_true(l.whole == whole && l.line == s.n);
		assert_int_equal(mfs_lines_torn(&l), total - whole);
		assert_true(
			s.n == n_lines || total - whole < lines[s.n].len + 1);
		mfs_lines_fini(&l);
	}
}

static void
a_line_that_is_refused_ends_it(void **state)
{
	struct seen s = { .fail_at = 7 };
	struct error err = ERROR_INIT;
	struct mfs_lines l;
	size_t whole = 0;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		whole += lines[i].len + 1;
	mfs_lines_init(&l);
	must_fail(mfs_lines_feed(&l, log_bytes.data, log_bytes.len, see, &s,
			  &err),
		ERR_NOSPACE, &err, "enough");
	assert_true(s.n == 6 && l.line == 7 && l.whole == whole);
	mfs_lines_fini(&l);
}

static enum err
see_length(void *arg, const char *line, size_t len, struct error *err)
{
	struct mfs_change c;

	*(size_t *)arg = len;
	return mfs_change_parse(&c, line, len, err);
}

/* The longest line is "18446744073709551614: " and MFS_TEXT_MAX more. */
static void
the_longest_line(void **state)
{
	char *s = malloc(MFS_LINE_MAX + 3);
	struct error err = ERROR_INIT;
	struct mfs_change c;
	struct mfs_lines l;
	size_t seen = 0;
	int n;

	(void)state;
	assert_non_null(s);
	n = sprintf(s, "18446744073709551614: 1|X(");
	memset(s + n, 'x', (size_t)(MFS_LINE_MAX - n));
	s[MFS_LINE_MAX - 1] = ')';
	s[MFS_LINE_MAX] = '\n';
	for (size_t part = 1; part < 1000000; part = part * 37 + 1) {
		mfs_lines_init(&l);
		for (size_t at = 0; at < MFS_LINE_MAX + 1; at += part) {
			size_t left = MFS_LINE_MAX + 1 - at;

			must(mfs_lines_feed(&l, s + at,
				     part < left ? part : left, see_length,
				     &seen, &err),
				&err);
		}
		assert_int_equal(seen, MFS_LINE_MAX);
		mfs_lines_fini(&l);
	}
	s[MFS_LINE_MAX - 1] = 'x';
	s[MFS_LINE_MAX] = ')';
	assert_false(takes(s, MFS_LINE_MAX + 1, &c, &err));
	mfs_lines_init(&l);
	must(mfs_lines_feed(&l, s, MFS_LINE_MAX, see_length, &seen, &err),
		&err);
	must_fail(mfs_lines_feed(&l, "x", 1, see_length, &seen, &err),
		ERR_CORRUPT, &err, "line 1 is longer");
	assert_true(l.rest.cap <= MFS_LINE_MAX);
	mfs_lines_fini(&l);
	free(s);
}

static void
zero_bytes_at_the_end_are_a_torn_line(void **state)
{
	static const char zeros[512];
	struct error err = ERROR_INIT;
	struct seen s = { 0 };
	struct mfs_change c;
	struct mfs_lines l;

	(void)state;
	mfs_lines_init(&l);
	must(mfs_lines_feed(&l, log_bytes.data, log_bytes.len, see, &s, &err),
		&err);
	must(mfs_lines_feed(&l, zeros, sizeof(zeros), see, &s, &err), &err);
	assert_int_equal(mfs_lines_torn(&l), sizeof(zeros));
	assert_int_equal(l.whole, log_bytes.len);
	mfs_lines_fini(&l);
	assert_false(takes(zeros, sizeof(zeros), &c, &err));
}

/* ---- the chain ---- */

/* The text of a change in one of two histories. */
static size_t
text_of(char *s, uint64_t id, bool other)
{
	return (size_t)sprintf(s, "%" PRIu64 "|X(%d)", id, other);
}

/* What the header says, from a list of all that was taken. */
static enum mfs_link
expected(uint64_t from, uint64_t next, uint64_t id, bool other)
{
	if (id == next)
		return MFS_LINK_NEXT;
	if (id > next)
		return id - next < 10000 ? MFS_LINK_HOLE : MFS_LINK_JUMP;
	if (id < from)
		return MFS_LINK_SURPLUS;
	if (next - id > MFS_CHAIN_WINDOW)
		return MFS_LINK_OLD;
	return other ? MFS_LINK_OTHER : MFS_LINK_SAME;
}

static void
the_chain_tells_each_way_of_breaking(void **state)
{
	size_t count[MFS_LINK_JUMP + 1] = { 0 };
	struct mfs_chain c;
	struct prng p;
	char s[64];

	(void)state;
	prng_init(&p, 8);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t from = 1 + prng_below(&p, 30000), next = from;

		mfs_chain_init(&c, from);
		for (unsigned i = 0; i < 4000; i++) {
			uint64_t id = next, far = 1 + prng_below(&p, 11000);
			enum mfs_link want;
			bool other = false;

			if (prng_below(&p, 4) == 0)
				id += prng_below(&p, 2) == 0 ? far : far % 5;
			else if (prng_below(&p, 4) == 0)
				id -= far % (prng_below(&p, 2) ? next : 3);
			other = id != next && prng_below(&p, 2) == 0;
			want = expected(from, next, id, other);
			assert_int_equal(mfs_chain_add(&c, id, s,
						 text_of(s, id, other)),
				want);
			count[want]++;
			next += want == MFS_LINK_NEXT;
			assert_true(c.next == next && c.from == from);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(count); i++)
		assert_true(count[i] > 0);
}

static void
what_is_wrong_with_a_chain_is_said(void **state)
{
	static const struct {
		enum mfs_link link;
		uint64_t id;
		const char *text; /* NULL: nothing is */
	} t[] = { { MFS_LINK_NEXT, 9, NULL }, { MFS_LINK_SAME, 8, NULL },
		{ MFS_LINK_SURPLUS, 2, NULL },
		{ MFS_LINK_OLD, 5, "change 5 where 9 was expected" },
		{ MFS_LINK_OTHER, 8, "change 8 has two" },
		{ MFS_LINK_HOLE, 12, "changes 9 to 11 are missing" },
		{ MFS_LINK_JUMP, 10009, "changes 9 to 10008 are" } };
	struct error err = ERROR_INIT;
	struct mfs_chain c;

	(void)state;
	mfs_chain_init(&c, 9);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		enum err rc = mfs_chain_verdict(&c, t[i].link, t[i].id, &err);

		if (t[i].text == NULL)
			must(rc, &err);
		else
			must_fail(rc, ERR_CORRUPT, &err, t[i].text);
		assert_true(strlen(mfs_link_name(t[i].link)) > 0);
	}
}

static void
a_line_is_put_whole_or_not_at_all(void **state)
{
	struct buf b = BUF_INIT(12);
	struct error err = ERROR_INIT;

	(void)state;
	must(mfs_change_put(&b, 7, "1|X()", 5, &err), &err);
	must_fail(mfs_change_put(&b, 7, "1|X()", 5, &err), ERR_NOMEM, &err,
		"limit");
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "7: 1|X()\n", 9);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_log_is_read_and_written_back),
		cmocka_unit_test(arguments_of_a_real_line),
		cmocka_unit_test(names_are_unescaped_or_refused),
		cmocka_unit_test(numbers_are_decimal_and_fit),
		cmocka_unit_test(the_grammar_by_example),
		cmocka_unit_test(more_arguments_than_are_kept_are_counted),
		cmocka_unit_test(mutants_are_taken_as_the_grammar_has_it),
		cmocka_unit_test(glued_lines_are_found),
		cmocka_unit_test(lines_come_in_any_parts),
		cmocka_unit_test(a_line_that_is_refused_ends_it),
		cmocka_unit_test(the_longest_line),
		cmocka_unit_test(zero_bytes_at_the_end_are_a_torn_line),
		cmocka_unit_test(the_chain_tells_each_way_of_breaking),
		cmocka_unit_test(what_is_wrong_with_a_chain_is_said),
		cmocka_unit_test(a_line_is_put_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
