/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fsx.h"
#include "format/mfs_image.h"
#include "format/mfs_records.h"
#include "tests/lib/mfs_made.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

/* What a walk came to. */
struct seen {
	struct mfs_header header;
	unsigned headers;
	struct mfs_section sections[32];
	size_t n;
	uint64_t sum; /* of the data, by position */
	struct buf copy; /* of the data of all sections */
	const struct mfs_image_fn *also; /* NULL, or who gets it, too */
};

static enum err
on_header(void *arg, const struct mfs_header *h, struct error *err)
{
	struct seen *s = arg;

	(void)err;
	s->header = *h;
	s->headers++;
	return ERR_OK;
}

static enum err
on_section(void *arg, const struct mfs_section *sec, struct error *err)
{
	struct seen *s = arg;

	assert_true(s->n < ARRAY_LEN(s->sections));
	s->sections[s->n++] = *sec;
	if (s->also != NULL)
		return s->also->section(s->also->arg, sec, err);
	return ERR_OK;
}

static enum err
on_data(void *arg, const struct mfs_section *sec, uint64_t at, const void *data,
	size_t len, struct error *err)
{
	struct seen *s = arg;
	uint64_t before = 0;

	for (size_t i = 0; i + 1 < s->n; i++)
		before += s->sections[i].len;
	assert_true(len > 0 && at + len <= sec->len);
	assert_int_equal(s->copy.len, before + at);
	must(buf_put(&s->copy, data, len, err), err);
	if (s->also != NULL)
		return s->also->data(s->also->arg, sec, at, data, len, err);
	return ERR_OK;
}

/* In parts of up to max bytes. */
static enum err
walk(struct seen *s, const void *data, size_t len, size_t max, struct prng *p,
	struct error *err)
{
	const struct mfs_image_fn fn = { on_header, on_section, on_data, s };
	const uint8_t *from = data;
	struct mfs_image w;
	enum err rc = ERR_OK;
	size_t n;

	s->headers = 0;
	s->n = 0;
	s->copy = BUF_INIT(64u << 20);
	mfs_image_init(&w, &fn);
	for (size_t at = 0; rc == ERR_OK && at < len; at += n) {
		n = p != NULL ? 1 + prng_below(p, max) : max;
		n = n < len - at ? n : len - at;
		rc = mfs_image_feed(&w, from + at, n, err);
	}
	if (rc == ERR_OK)
		rc = mfs_image_end(&w, err);
	if (rc == ERR_OK)
		assert_true(
			w.at == len && w.n_sections == s->n && s->headers == 1);
	return rc;
}

static enum err
walk_whole(const void *data, size_t len, struct error *err)
{
	struct seen s = { 0 };
	enum err rc = walk(&s, data, len, SIZE_MAX, NULL, err);

	buf_fini(&s.copy);
	return rc;
}

static void
load(struct buf *b, const char *name)
{
	struct error err = ERROR_INIT;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), FORMAT_DATA "/mfs/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	*b = BUF_INIT(1 << 20);
	must(fsx_read_all(fd, b, name, &err), &err);
	fsx_close(&fd);
}

static void
a_real_image_is_walked_in_any_parts(void **state)
{
	static const char *const names[] = { "SESS 1.5", "SCLA 1.6", "NODE 1.4",
		"EDGE 1.1", "FREE 1.0", "QUOT 1.1", "XATR 1.0", "PACL 1.1",
		"OPEN 1.0", "FLCK 1.0", "PLCK 1.0", "CSDB 1.3", "CHNK 1.1" };
	struct error err = ERROR_INIT;
	struct buf b;
	struct prng p;

	(void)state;
	prng_init(&p, 1);
	load(&b, "second.mfs");
	for (size_t max = 1; max < 10000; max = max * 3 + 1) {
		struct seen s = { 0 };
		size_t at = 0;

		must(walk(&s, b.data, b.len, max, &p, &err), &err);
		assert_int_equal(s.header.version, 48);
		assert_true(s.header.id != 0 && !s.header.is_new);
		assert_int_equal(s.n, ARRAY_LEN(names));
		for (size_t i = 0; i < s.n; i++) {
			const struct mfs_section *sec = &s.sections[i];
			char head[32];

			snprintf(head, sizeof(head), "%s %u.%u", sec->name,
				sec->major, sec->minor);
			assert_string_equal(head, names[i]);
			assert_memory_equal(b.data + sec->off, s.copy.data + at,
				sec->len);
			at += sec->len;
		}
		assert_int_equal(24 + 16 * (s.n + 1) + at, b.len);
		buf_fini(&s.copy);
	}
	buf_fini(&b);
}

static void
each_truncation_is_found(void **state)
{
	static const char *const names[] = { "empty.mfs", "first.mfs" };
	struct error err = ERROR_INIT;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		load(&b, names[i]);
		must(walk_whole(b.data, b.len, &err), &err);
		for (size_t len = 0; len < b.len; len++)
			assert_int_equal(walk_whole(b.data, len, &err),
				ERR_CORRUPT);
		must(buf_put(&b, "", 1, &err), &err);
		must_fail(walk_whole(b.data, b.len, &err), ERR_CORRUPT, &err,
			"behind the end");
		buf_fini(&b);
	}
}

static void
each_bit_of_each_length_matters(void **state)
{
	struct error err = ERROR_INIT;
	struct seen s = { 0 };
	struct buf b;

	(void)state;
	load(&b, "first.mfs");
	must(walk(&s, b.data, b.len, SIZE_MAX, NULL, &err), &err);
	for (size_t i = 0; i < s.n; i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			uint8_t *at = b.data + s.sections[i].off - 1 - bit / 8;

			*at = (uint8_t)(*at ^ 1u << bit % 8);
			assert_int_equal(walk_whole(b.data, b.len, &err),
				ERR_CORRUPT);
			*at = (uint8_t)(*at ^ 1u << bit % 8);
		}
	}
	buf_fini(&s.copy);
	buf_fini(&b);
}

static void
kinds_are_told_apart(void **state)
{
	static const struct {
		const char *head;
		enum err rc;
		const char *text;
	} t[] = { { "MFSM 1.5", ERR_VERSION, "\"MFSM 1.5\"" },
		{ "MFSM 1.6", ERR_VERSION, "\"MFSM 1.6\"" },
		{ "MFSM 1.7", ERR_VERSION, "\"MFSM 1.7\"" },
		{ "MFSM 2.1", ERR_VERSION, "\"MFSM 2.1\"" },
		{ "LFSM 2.0", ERR_VERSION, "\"LFSM 2.0\"" },
		{ "MFSM 2,0", ERR_CORRUPT, "no image" },
		{ "MFSM OLD", ERR_CORRUPT, "no image" },
		{ "LFSM NEW", ERR_CORRUPT, "no image" },
		{ "MFSX 2.0", ERR_CORRUPT, "no image" },
		{ "\x7f"
		  "ELF 1.2",
			ERR_CORRUPT, "no image" },
		{ "MFSM", ERR_CORRUPT, "in its header" },
		{ "MFSM 2.0", ERR_CORRUPT, "in its header" },
		{ "MFSM NEWS", ERR_CORRUPT, "behind the end" },
		{ "", ERR_CORRUPT, "empty file" } };
	struct error err = ERROR_INIT;
	struct seen s = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		must_fail(walk_whole(t[i].head, strlen(t[i].head), &err),
			t[i].rc, &err, t[i].text);
	must(walk(&s, "MFSM NEW", 8, 1, NULL, &err), &err);
	assert_true(s.header.is_new && s.header.version == 1 &&
		    s.header.id == 0 && s.n == 0);
}

/* An image of one section with a head as given, and four bytes. */
static enum err
walk_section(const char *head, uint64_t len, struct seen *s, struct error *err)
{
	struct made m;
	enum err rc;

	made_begin(&m, 5, 6);
	made_put(&m, head, 8);
	made_int(&m, len, 8);
	made_put(&m, "data", 4);
	made_put(&m, "[MFS EOF MARKER]", 16);
	rc = walk(s, m.b.data, m.b.len, 3, NULL, err);
	buf_fini(&m.b);
	buf_fini(&s->copy);
	return rc;
}

static void
heads_of_sections(void **state)
{
	static const char *const wrong[] = { "Scla 1.0", "SCL  1.0", "SCLA_1.0",
		"SCLA 1,0", "SCLA 1.@", "SCLA 1./", "SCLA x.0", "SCLA 1.\xff",
		"\0CLA 1.0" };
	static const uint64_t lengths[] = { 3, 5, 20, 21, UINT64_MAX,
		UINT64_MAX - 15, UINT64_MAX - 39, UINT64_MAX - 40,
		UINT64_MAX - 55, UINT64_MAX - 56, (uint64_t)INT64_MAX + 1 };
	struct error err = ERROR_INIT;
	struct seen s = { 0 };

	(void)state;
	must(walk_section("SCLA 1.<", 4, &s, &err), &err);
	assert_true(s.sections[0].major == 1 && s.sections[0].minor == 12);
	must(walk_section("X4S2 ?.:", 4, &s, &err), &err);
	assert_true(s.sections[0].major == 15 && s.sections[0].minor == 10);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		must_fail(walk_section(wrong[i], 4, &s, &err), ERR_CORRUPT,
			&err, "at byte 24: neither");
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		assert_int_equal(walk_section("SCLA 1.0", lengths[i], &s, &err),
			ERR_CORRUPT);
	must_fail(walk_section("SCLA 1.0", UINT64_MAX - 55, &s, &err),
		ERR_CORRUPT, &err,
		"at byte 24: section SCLA has an absurd length");
	must_fail(walk_section("SCLA 1.0", UINT64_MAX - 56, &s, &err),
		ERR_CORRUPT, &err, "the image is cut off");
}

static void
the_marker_counts_where_a_section_would_begin(void **state)
{
	struct error err = ERROR_INIT;
	struct made m;

	(void)state;
	made_begin(&m, 5, 6);
	made_section(&m, "AAAA 1.0");
	made_put(&m, "[MFS EOF MARKER]", 16);
	made_section(&m, "BBBB 1.0");
	made_end(&m);
	must(walk_whole(m.b.data, m.b.len, &err), &err);
	must_fail(walk_whole(m.b.data, m.b.len - 32, &err), ERR_CORRUPT, &err,
		"before its end marker");
	made_end(&m);
	must_fail(walk_whole(m.b.data, m.b.len, &err), ERR_CORRUPT, &err,
		"behind the end");
	buf_fini(&m.b);
	made_begin(&m, 0, 6);
	made_end(&m);
	must_fail(walk_whole(m.b.data, m.b.len, &err), ERR_CORRUPT, &err,
		"at byte 8: a version");
	buf_fini(&m.b);
}

static enum err
no_header(void *arg, const struct mfs_header *h, struct error *err)
{
	(void)arg;
	(void)h;
	return err_set(err, ERR_CANCELLED, "no");
}

static enum err
no_section(void *arg, const struct mfs_section *s, struct error *err)
{
	(void)arg;
	(void)s;
	return err_set(err, ERR_CANCELLED, "no");
}

static enum err
no_data(void *arg, const struct mfs_section *s, uint64_t at, const void *data,
	size_t len, struct error *err)
{
	(void)arg;
	(void)s;
	(void)at;
	(void)data;
	(void)len;
	return err_set(err, ERR_CANCELLED, "no");
}

static void
who_is_told_may_end_it_or_not_care(void **state)
{
	static const struct mfs_image_fn fns[] = { { .header = no_header },
		{ .section = no_section }, { .data = no_data }, { NULL } };
	struct error err = ERROR_INIT;
	struct mfs_image w;
	struct buf b;

	(void)state;
	load(&b, "empty.mfs");
	for (size_t i = 0; i < 4; i++) {
		mfs_image_init(&w, &fns[i]);
		assert_int_equal(mfs_image_feed(&w, b.data, b.len, &err),
			i < 3 ? ERR_CANCELLED : ERR_OK);
	}
	must(mfs_image_end(&w, &err), &err);
	buf_fini(&b);
}

/* ---- records ---- */

static void printed(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
printed(struct buf *out, const char *fmt, ...)
{
	struct error err = ERROR_INIT;
	char s[512];
	va_list args;

	va_start(args, fmt);
	must(buf_put(out, s, (size_t)vsnprintf(s, sizeof(s), fmt, args), &err),
		&err);
	va_end(args);
}

/* As mfsmetadump prints them. */
static enum err
print_node(void *arg, const struct mfs_node *n, struct error *err)
{
	struct buf *out = arg;

	(void)err;
	printed(out, "NODE|k:%c|i:%10u|m:0%04o|u:%10u|g:%10u|",
		" -DLFBCSTR"[n->kind], n -> inode, n -> mode, n -> uid,
		n -> gid);
	printed(out, "a:%10u,m:%10u,c:%10u|t:%5" PRIu64 "h", n->atime, n->mtime,
		n->ctime, n->trash_sec / 3600);
	if (n->kind == MFS_FILE || n->kind >= MFS_TRASH)
		printed(out, "|l:%20" PRIu64, n->length);
	printed(out, "\n");
	return ERR_OK;
}

static enum err
print_edge(void *arg, const struct mfs_edge *e, struct error *err)
{
	struct buf *out = arg;

	if (e->parent == 0)
		printed(out, "EDGE|p:      NULL|");
	else
		printed(out, "EDGE|p:%10u|", e->parent);
	printed(out, "c:%10u|i:0x%016" PRIX64 "|n:", e->child, e->id);
	must(buf_put(out, e->name.p, e->name.len, err), err);
	printed(out, "\n");
	return ERR_OK;
}

static enum err
read_records(const struct mfs_records_fn *fn, const struct buf *b, size_t max,
	struct prng *p, struct error *err)
{
	struct mfs_records r;
	const struct mfs_image_fn to = { NULL, mfs_records_section,
		mfs_records_data, &r };
	struct seen s = { .also = &to };
	enum err rc;

	mfs_records_init(&r, fn);
	rc = walk(&s, b->data, b->len, max, p, err);
	if (rc == ERR_OK)
		rc = mfs_records_end(&r, err);
	mfs_records_fini(&r);
	buf_fini(&s.copy);
	return rc;
}

static void
records_are_what_mfsmetadump_tells(void **state)
{
	static const char *const names[][2] = { { "first.mfs", "first.txt" },
		{ "second.mfs", "second.txt" } };
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1 << 20), image, text;
	struct mfs_records_fn fn = { print_node, print_edge, &out };
	struct prng p;

	(void)state;
	prng_init(&p, 2);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		load(&image, names[i][0]);
		load(&text, names[i][1]);
		for (size_t max = 1; max < 10000; max = max * 3 + 1) {
			buf_clear(&out);
			must(read_records(&fn, &image, max, &p, &err), &err);
			assert_int_equal(out.len, text.len);
			assert_memory_equal(out.data, text.data, text.len);
		}
		buf_fini(&image);
		buf_fini(&text);
	}
	buf_fini(&out);
}

static void
draw_node(struct prng *p, struct mfs_node *n, uint32_t inode)
{
	*n = (struct mfs_node){
		.inode = inode,
		.kind = (enum mfs_kind)(1 + prng_below(p, 9)),
		.mode = (uint16_t)prng_below(p, 07777),
		.uid = (uint32_t)prng_next(p),
		.gid = (uint32_t)prng_next(p),
		.atime = (uint32_t)prng_next(p),
		.mtime = (uint32_t)prng_next(p),
		.ctime = (uint32_t)prng_next(p),
		.trash_sec = 3600 * prng_below(p, 65536),
	};
	if (n->kind == MFS_FILE || n->kind >= MFS_TRASH) {
		n->length = prng_next(p);
		n->chunks = (uint32_t)prng_below(p, 5);
	}
	if (n->kind == MFS_BLOCKDEV || n->kind == MFS_CHARDEV)
		n->device = (uint32_t)prng_next(p);
}

/* What is written in any version is read back, in any parts. */
static void
each_version_of_the_records(void **state)
{
	struct error err = ERROR_INIT;
	struct buf want = BUF_INIT(1 << 24), out = BUF_INIT(1 << 24);
	struct mfs_records_fn fn = { print_node, print_edge, &out };
	struct prng p;

	(void)state;
	prng_init(&p, 3);
	for (unsigned round = 0; round < 100; round++) {
		char nodes[] = "NODE 1.0", edges[] = "EDGE 1.0", name[70000];
		struct made m;

		nodes[7] = (char)('0' + round % 5);
		edges[7] = (char)('0' + round % 2);
		buf_clear(&want);
		buf_clear(&out);
		made_begin(&m, 5, 6);
		made_nodes(&m, nodes);
		for (uint32_t i = 1; i < 40; i++) {
			struct mfs_node n;

			draw_node(&p, &n, i);
			made_node(&m, &n, (uint32_t)prng_below(&p, 6));
			(void)print_node(&want, &n, &err);
		}
		made_edges(&m, edges);
		memset(name, 'n', sizeof(name));
		for (uint32_t i = 2; i < 40; i++) {
			struct mfs_edge e = { .parent = i % 5,
				.child = i,
				.id = round % 2 != 0 ? 7 : 0 };

			e.name.p = name;
			e.name.len = 1 + prng_below(&p, i % 5 ? 255 : 65535);
			made_edge(&m, e.parent, i, name, e.name.len);
			(void)print_edge(&want, &e, &err);
		}
		made_edges_end(&m);
		made_end(&m);
		must(read_records(&fn, &m.b, 1 + prng_below(&p, 400), &p, &err),
			&err);
		assert_int_equal(want.len, out.len);
		assert_memory_equal(want.data, out.data, out.len);
		buf_fini(&m.b);
	}
	buf_fini(&want);
	buf_fini(&out);
}

/* An image with one directory and one file, spoiled in some way. */
enum spoil {
	SOUND,
	NEWER_NODE,
	NEWER_EDGE,
	NO_NODES,
	NO_EDGES,
	TWO_NODES,
	NODE_ZERO,
	NODE_KIND,
	NODE_CUT,
	NODE_CHUNKS,
	NODE_MORE,
	EDGE_NO_CHILD,
	EDGE_EMPTY,
	EDGE_LONG,
	EDGE_SLASH,
	EDGE_NUL,
	EDGE_CUT,
	EDGE_NO_END,
	EDGE_MORE,
	SPOILS
};

static void
spoil_edges(struct made *m, enum spoil how)
{
	char name[300];

	memset(name, 'x', sizeof(name));
	made_edges(m, how == NEWER_EDGE ? "EDGE 1.2" : "EDGE 1.1");
	if (how == EDGE_SLASH)
		name[3] = '/';
	if (how == EDGE_NUL)
		name[3] = '\0';
	made_edge(m, 1, how == EDGE_NO_CHILD ? 0 : 2, name,
		how == EDGE_EMPTY  ? 0
		: how == EDGE_LONG ? 256
				   : 255);
	if (how == EDGE_CUT)
		m->b.len -= 10;
	else if (how != EDGE_NO_END)
		made_edges_end(m);
	if (how == EDGE_MORE)
		made_int(m, 0, 1);
}

static void
spoil(struct made *m, enum spoil how)
{
	struct mfs_node n = { .inode = 1, .kind = MFS_DIR };

	made_begin(m, 5, 6);
	if (how == NO_NODES) {
		made_section(m, "FREE 1.0");
	} else {
		made_nodes(m, how == NEWER_NODE ? "NODE 1.5" : "NODE 1.4");
		made_node(m, &n, 0);
		n.inode = how == NODE_ZERO ? 0 : 2;
		n.kind = how == NODE_KIND ? 10 : MFS_FILE;
		made_node(m, &n, 0);
		if (how == NODE_CUT)
			m->b.len -= 3;
		if (how == NODE_CHUNKS)
			m->b.data[m->b.len - 4] = 0xff;
		if (how == NODE_MORE)
			made_int(m, 0, 1);
	}
	if (how == TWO_NODES) {
		made_int(m, 0, 1);
		made_nodes(m, "NODE 1.4");
	}
	if (how == NO_EDGES)
		made_int(m, 0, 1);
	else
		spoil_edges(m, how);
	made_end(m);
}

static void
records_that_cannot_be_are_refused(void **state)
{
	static const char *const texts[SPOILS] = {
		[NEWER_NODE] = "section NODE 1.5 is not known",
		[NEWER_EDGE] = "section EDGE 1.2 is not known",
		[NO_NODES] = "section EDGE is not where",
		[NO_EDGES] = "there is no section EDGE",
		[TWO_NODES] = "section NODE is not where",
		[NODE_ZERO] = "without a number",
		[NODE_KIND] = "kind of node",
		[NODE_CUT] = "section NODE: it ends too early",
		[NODE_CHUNKS] = "section NODE: it ends too early",
		[NODE_MORE] = "section NODE: more bytes",
		[EDGE_NO_CHILD] = "a name of no node",
		[EDGE_EMPTY] = "an empty name",
		[EDGE_LONG] = "too long",
		[EDGE_SLASH] = "a slash",
		[EDGE_NUL] = "a zero byte",
		[EDGE_CUT] = "section EDGE: it ends too early",
		[EDGE_NO_END] = "section EDGE: it ends too early",
		[EDGE_MORE] = "section EDGE: more bytes",
	};
	const struct mfs_records_fn fn = { NULL };
	struct error err = ERROR_INIT;
	struct made m;

	(void)state;
	for (unsigned how = SOUND; how < SPOILS; how++) {
		for (size_t max = 1; max < 1000; max += 499) {
			enum err rc;

			spoil(&m, (enum spoil)how);
			rc = read_records(&fn, &m.b, max, NULL, &err);
			if (how == SOUND)
				must(rc, &err);
			else
				must_fail(rc,
					how <= NEWER_EDGE ? ERR_VERSION
							  : ERR_CORRUPT,
					&err, texts[how]);
			buf_fini(&m.b);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_image_is_walked_in_any_parts),
		cmocka_unit_test(each_truncation_is_found),
		cmocka_unit_test(each_bit_of_each_length_matters),
		cmocka_unit_test(kinds_are_told_apart),
		cmocka_unit_test(heads_of_sections),
		cmocka_unit_test(the_marker_counts_where_a_section_would_begin),
		cmocka_unit_test(who_is_told_may_end_it_or_not_care),
		cmocka_unit_test(records_are_what_mfsmetadump_tells),
		cmocka_unit_test(each_version_of_the_records),
		cmocka_unit_test(records_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
