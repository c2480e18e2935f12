/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of many hours, captured into a repository of one snapshot that this
 * program plays: commits that come or do not, kills before and after them,
 * files of the journal that are spoilt.  Whatever happens, what is stored is
 * the image, its record has its hash, and it is an edit where it can be one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/hash.h"
#include "model/mfs_record.h"
#include "source/moosefs/capture.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"

enum {
	SEEDS = 40,
	STEPS = 40,
	ITEMS_MAX = 256,
	IMAGES_MAX = 64,
	RECORD = 44,
	IMAGE_MAX = 400000,
	KEY_ROOM = 160,
	SMALL = 4096
};

static const char generation[] = "6b013a55125e3122";
static const char image_key[] = "6b013a55125e3122/metadata.mfs";
static const uint64_t meta_id = 0x6b013a55125e3122;

/* ---- the repository ---- */

struct item {
	char key[KEY_ROOM];
	struct entry e; /* without what it borrows */
	uint8_t *data;
	size_t len;
	bool fresh; /* not to be taken over */
};

struct snap {
	struct item v[ITEMS_MAX];
	size_t n;
};

struct fake {
	struct sink base;
	struct snap previous, now;
	struct prng *dice;
	struct item *at; /* the stream or the image at work */
	const struct item *old;
	uint64_t end; /* of the image so far */
	enum err take_fails;
	unsigned edits, streams, small, notes;
	uint64_t taken, put;
};

static struct fake *
to_fake(struct sink *s)
{
	return container_of(s, struct fake, base);
}

static void
snap_clear(struct snap *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].data);
	s->n = 0;
}

static void
key_text(struct bytes key, char out[KEY_ROOM])
{
	assert_true(key.len < KEY_ROOM);
	for (size_t i = 0; i < key.len; i++)
		out[i] = key.data[i] != 0 ? (char)key.data[i] : '/';
	out[key.len] = '\0';
}

static struct item *
find(struct snap *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].key, key) == 0)
			return &s->v[i];
	return NULL;
}

static struct item *
find_key(struct snap *s, struct bytes key)
{
	char text[KEY_ROOM];

	key_text(key, text);
	return find(s, text);
}

static struct item *
add_item(struct fake *f, struct bytes key, const struct entry *e, size_t len)
{
	struct item *i = &f->now.v[f->now.n++];

	assert_true(f->now.n < ITEMS_MAX);
	*i = (struct item){ .e = *e, .len = len };
	key_text(key, i->key);
	if (f->now.n > 1)
		assert_true(strcmp(i[-1].key, i->key) < 0);
	i->data = malloc(len + 1);
	assert_non_null(i->data);
	i->fresh = prng_below(f->dice, 4) == 0;
	return i;
}

static enum err
on_offer(struct sink *s, struct bytes key, const struct entry *e, bool *done,
	struct error *err)
{
	struct fake *f = to_fake(s);
	struct item *old = find_key(&f->previous, key), *i;

	(void)err;
	*done = old != NULL && !old->fresh && old->e.size == e->size &&
		old->e.ino == e->ino && old->e.type == e->type &&
		when_cmp(&old->e.mtime, &e->mtime) == 0;
	if (!*done)
		return ERR_OK;
	i = add_item(f, key, &old->e, old->len);
	memcpy(i->data, old->data, old->len);
	i->fresh = false;
	return ERR_OK;
}

static enum err
on_entry(struct sink *s, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct item *i;

	(void)err;
	assert_int_equal(e->content.kind, CONTENT_INLINE);
	assert_int_equal(e->content.bytes.len, e->size);
	i = add_item(to_fake(s), key, e, e->content.bytes.len);
	memcpy(i->data, e->content.bytes.data, i->len);
	to_fake(s)->small += strcmp(i->key, image_key) == 0;
	return ERR_OK;
}

static enum err
on_stream_begin(struct sink *s, struct bytes key, const struct entry *e,
	struct error *err)
{
	struct fake *f = to_fake(s);

	(void)err;
	f->at = add_item(f, key, e, e->size);
	f->at->len = 0;
	return ERR_OK;
}

static enum err
on_stream_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct item *i = to_fake(s)->at;

	(void)err;
	assert_true(i->len + len <= i->e.size);
	memcpy(i->data + i->len, data, len);
	i->len += len;
	return ERR_OK;
}

static enum err
on_stream_end(struct sink *s, struct error *err)
{
	struct fake *f = to_fake(s);

	(void)err;
	assert_int_equal(f->at->len, f->at->e.size);
	f->streams += strcmp(f->at->key, image_key) == 0;
	return ERR_OK;
}

static enum err
on_again(struct sink *s, struct bytes key, const struct entry *e,
	const struct entry *was, const struct origin *origin, bool *begun,
	struct error *err)
{
	struct fake *f = to_fake(s);
	struct item *old = find_key(&f->previous, key);
	uint8_t byte;

	*begun = old != NULL && old->e.size == was->size && old->len > SMALL &&
		 old->e.ino == was->ino &&
		 when_cmp(&old->e.mtime, &was->mtime) == 0;
	if (!*begun)
		return ERR_OK;
	assert_int_equal(origin->read(origin, e->size - 1, &byte, 1, err),
		ERR_OK);
	assert_int_equal(byte, ']');
	f->old = old;
	f->at = add_item(f, key, e, e->size);
	f->end = f->taken = f->put = 0;
	return ERR_OK;
}

static enum err
on_take(struct sink *s, uint64_t off, uint64_t old_off, uint64_t len,
	struct error *err)
{
	struct fake *f = to_fake(s);

	if (f->take_fails != ERR_OK)
		return err_set(err, f->take_fails, "as it was told");
	assert_int_equal(off, f->end);
	assert_true(off + len <= f->at->e.size);
	assert_true(old_off + len <= f->old->len);
	memcpy(f->at->data + off, f->old->data + old_off, len);
	f->end += len;
	f->taken += len;
	return ERR_OK;
}

static enum err
on_replace(struct sink *s, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	struct fake *f = to_fake(s);

	(void)err;
	assert_int_equal(off, f->end);
	assert_true(off + len <= f->at->e.size);
	memcpy(f->at->data + off, data, len);
	f->end += len;
	f->put += len;
	return ERR_OK;
}

static enum err
on_image_end(struct sink *s, struct error *err)
{
	struct fake *f = to_fake(s);

	(void)err;
	assert_int_equal(f->end, f->at->e.size);
	f->edits++;
	return ERR_OK;
}

static enum err
on_previous(struct sink *s, struct bytes key, struct buf *out, bool *found,
	struct error *err)
{
	const struct item *i = find_key(&to_fake(s)->previous, key);

	*found = i != NULL;
	return i != NULL ? buf_put(out, i->data, i->len, err) : ERR_OK;
}

static void
on_note(struct sink *s, const char *sentence)
{
	(void)sentence;
	to_fake(s)->notes++;
}

static const struct sink_ops fake_ops = {
	.offer = on_offer,
	.entry = on_entry,
	.stream_begin = on_stream_begin,
	.stream_write = on_stream_write,
	.stream_end = on_stream_end,
	.image_again = on_again,
	.image_take = on_take,
	.image_replace = on_replace,
	.image_end = on_image_end,
	.previous = on_previous,
	.note = on_note,
};

/* ---- the master and the journal ---- */

struct image {
	uint64_t version;
	uint8_t *data;
	size_t len;
	bool spoilt; /* its file is */
};

struct world {
	struct fake sink;
	struct prng dice;
	char dir[64];
	struct journal *j;
	struct image images[IMAGES_MAX];
	size_t n_images;
	unsigned asked; /* for the master's version */
};

static uint64_t
next_of(const struct world *w)
{
	struct journal_figures f;

	journal_figures(w->j, &f);
	return f.next;
}

static void
open_journal(struct world *w)
{
	const struct journal_conf conf = { .dir = w->dir };
	struct error err = ERROR_INIT;

	must(journal_open(&w->j, &conf, &err), &err);
}

static void
add_lines(struct world *w)
{
	struct error err = ERROR_INIT;

	for (uint64_t n = 1 + prng_below(&w->dice, 20); n > 0; n--) {
		enum mfs_link link;

		must(journal_add(w->j, next_of(w), "1795242784|ACCESS(1)", 20,
			     &link, &err),
			&err);
		assert_int_equal(link, MFS_LINK_NEXT);
	}
	must(journal_sync(w->j, &err), &err);
}

/* Records of which few are others, more, or gone, as after an hour. */
static void
make_body(struct world *w, struct image *i, const struct image *from)
{
	uint64_t wanted = prng_below(&w->dice, 30);
	size_t at = 24;

	while (at < from->len - 16 && i->len + RECORD < IMAGE_MAX - 100) {
		uint64_t what = prng_below(&w->dice, 2000);

		memcpy(i->data + i->len, from->data + at, RECORD);
		if (what < wanted)
			i->data[i->len + 7]++;
		if (what != 1999)
			i->len += RECORD;
		if (what != 1998)
			at += RECORD;
	}
}

static struct image *
make_image(struct world *w, uint64_t version)
{
	struct image *i = &w->images[w->n_images], *from = i - 1;

	assert_true(w->n_images < IMAGES_MAX);
	*i = (struct image){ .version = version, .data = malloc(IMAGE_MAX) };
	assert_non_null(i->data);
	memcpy(i->data, "MFSM 2.0", 8);
	for (unsigned b = 0; b < 8; b++) {
		i->data[8 + b] = (uint8_t)(version >> (56 - 8 * b));
		i->data[16 + b] = (uint8_t)(meta_id >> (56 - 8 * b));
	}
	i->len = 24;
	if (w->n_images > 1)
		make_body(w, i, from);
	else
		for (unsigned n = 0; n < 2000 * RECORD; n++)
			i->data[i->len++] = (uint8_t)prng_next(&w->dice);
	memcpy(i->data + i->len, "[MFS EOF MARKER]", 16);
	i->len += 16;
	w->n_images++;
	return i;
}

static void
adopt(struct world *w)
{
	struct error err = ERROR_INIT;
	struct journal_figures f;
	struct mfs_header h = { .id = meta_id };
	struct image *i;
	char path[96];
	int fd;

	journal_figures(w->j, &f);
	if (f.next == f.base)
		return;
	h.version = f.base + 1 + prng_below(&w->dice, f.next - f.base);
	i = make_image(w, h.version);
	(void)snprintf(path, sizeof(path), "%s/image.tmp", w->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, i->data, i->len), (ssize_t)i->len);
	(void)close(fd);
	must(journal_adopt(w->j, path, &h, &err), &err);
}

static void
image_path(const struct world *w, uint64_t version, char out[128])
{
	(void)snprintf(out, 128, "%s/metadata.%" PRIu64 ".mfs", w->dir,
		version);
}

static struct image *
image_of(struct world *w, uint64_t version)
{
	for (size_t i = 0; i < w->n_images; i++)
		if (w->images[i].version == version)
			return &w->images[i];
	return NULL;
}

/* Another byte in the file of what was sealed, and nobody sees it by its
 * stamps. */
static void
spoil(struct world *w)
{
	const struct item *i = find(&w->sink.previous, image_key);
	struct image *image = i != NULL ? image_of(w, i->e.ino) : NULL;
	struct timespec times[2];
	char path[128];
	struct stat st;
	uint8_t byte;
	off_t at;
	int fd;

	if (image == NULL || image->len < 1000 || image->spoilt)
		return;
	image_path(w, image->version, path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	at = 100 + (off_t)prng_below(&w->dice, 800);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	(void)close(fd);
	image->spoilt = true;
}

/* ---- a seal ---- */

static uint32_t
on_master(void *arg)
{
	((struct world *)arg)->asked++;
	return 0x00030075;
}

static enum err
capture(struct world *w, struct journal_view *v, struct error *err)
{
	const struct capture_of of = { .journal = w->j,
		.view = v,
		.generation = generation,
		.label = "moosefs:a:9419",
		.complete = true,
		.master = on_master,
		.arg = w };

	must(journal_pin(w->j, v, err), err);
	w->sink.edits = w->sink.streams = w->sink.small = w->asked = 0;
	return capture_run(&of, &w->sink.base, err);
}

static void
check_record(struct world *w, const struct item *image)
{
	const struct item *i = find(&w->sink.now, mfs_record_name);
	struct error err = ERROR_INIT;
	struct mfs_record r;
	struct id id;

	assert_non_null(i);
	assert_int_equal(i->e.type, ENTRY_RECORD);
	must(mfs_record_decode(&r, i->data, i->len, &err), &err);
	hash_plain(&id, image->data, image->len);
	assert_true(r.has_hash && id_eq(&id, &r.image_hash));
	assert_int_equal(r.image_version, image->e.ino);
	assert_int_equal(r.image_size, image->len);
	assert_string_equal(r.generation, generation);
	assert_string_equal(r.master, "3.0.117");
}

/* Whether the journal's file is what the repository has. */
static bool
is_at_hand(const struct world *w, const struct item *old)
{
	static uint8_t data[IMAGE_MAX];
	char path[128];
	ssize_t n;
	int fd;

	image_path(w, old->e.ino, path);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	n = read(fd, data, sizeof(data));
	(void)close(fd);
	return n == (ssize_t)old->len && memcmp(data, old->data, old->len) == 0;
}

/* Before the new snapshot is the previous one. */
static void
check_captured(struct world *w, const struct journal_view *v)
{
	struct fake *f = &w->sink;
	const struct item *i = find(&f->now, image_key),
			  *old = find(&f->previous, image_key);
	const struct image *image = image_of(w, v->base.first);

	assert_non_null(i);
	assert_int_equal(i->e.ino, v->base.first);
	assert_int_equal(i->e.type, ENTRY_STREAM);
	if (!image->spoilt) {
		assert_int_equal(i->len, image->len);
		assert_memory_equal(i->data, image->data, i->len);
	}
	check_record(w, i);
	assert_int_equal(w->asked, f->edits + f->streams + f->small);
	if (i->len <= SMALL || f->edits + f->streams == 0)
		return;
	assert_int_equal(f->edits,
		old != NULL && old->len > SMALL && is_at_hand(w, old));
	assert_int_equal(f->streams, !f->edits);
	if (f->edits > 0)
		assert_true(f->put < f->taken / 3);
}

/* What the previous snapshot has is there; what is before it is not. */
static void
check_files(struct world *w, bool settled)
{
	const struct item *i = find(&w->sink.previous, image_key);
	char path[128];

	if (i == NULL)
		return;
	image_path(w, i->e.ino, path);
	assert_int_equal(access(path, F_OK), 0);
	for (size_t k = 0; settled && k < w->n_images; k++) {
		image_path(w, w->images[k].version, path);
		if (w->images[k].version < i->e.ino)
			assert_int_not_equal(access(path, F_OK), 0);
	}
}

static void
commit(struct world *w)
{
	snap_clear(&w->sink.previous);
	w->sink.previous = w->sink.now;
	w->sink.now.n = 0;
}

static void
seal(struct world *w)
{
	struct error err = ERROR_INIT;
	struct journal_view v;
	uint64_t end = prng_below(&w->dice, 5);

	must(capture(w, &v, &err), &err);
	check_captured(w, &v);
	if (end <= 2 || end == 3)
		commit(w);
	else
		snap_clear(&w->sink.now);
	if (end >= 3) { /* killed: nobody ends the pin */
		free(v.v);
		journal_close(w->j);
		open_journal(w);
	} else {
		must(journal_unpin(w->j, &v, true, &err), &err);
	}
	check_files(w, end <= 2);
}

static void
begin(struct world *w, uint64_t seed)
{
	struct error err = ERROR_INIT;

	memset(w, 0, sizeof(*w));
	prng_init(&w->dice, seed);
	w->sink.base.ops = &fake_ops;
	w->sink.dice = &w->dice;
	(void)snprintf(w->dir, sizeof(w->dir),
		"/dev/shm/coffer-capture-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	open_journal(w);
	must(journal_begin(w->j, 1, &err), &err);
	must(journal_adopt_new(w->j, &err), &err);
	w->images[w->n_images++] = (struct image){ .version = 1,
		.data = (uint8_t *)strdup("MFSM NEW"),
		.len = 8 };
}

static void
finish(struct world *w)
{
	char command[96];

	journal_close(w->j);
	snap_clear(&w->sink.previous);
	snap_clear(&w->sink.now);
	for (size_t i = 0; i < w->n_images; i++)
		free(w->images[i].data);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	assert_int_equal(system(command), 0);
}

static void
any_history(void **state)
{
	static struct world w;
	unsigned edits = 0, notes = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("seed %" PRIu64 "\r", seed);
		begin(&w, seed);
		for (unsigned i = 0; i < STEPS; i++) {
			uint64_t op = prng_below(&w.dice, 12);

			add_lines(&w);
			if (op < 4)
				adopt(&w);
			else if (op == 4)
				spoil(&w);
			if (op != 5)
				seal(&w);
			edits += w.sink.edits;
		}
		notes += w.sink.notes;
		finish(&w);
	}
	assert_true(edits > SEEDS && notes > 0);
}

/* Two images, the first of which is sealed. */
static void
begin_two(struct world *w)
{
	struct error err = ERROR_INIT;
	struct journal_view v;

	begin(w, 7);
	add_lines(w);
	adopt(w);
	do {
		add_lines(w);
		must(capture(w, &v, &err), &err);
		commit(w);
		must(journal_unpin(w->j, &v, true, &err), &err);
	} while (find(&w->sink.previous, image_key)->e.ino == 1);
	add_lines(w);
	adopt(w);
}

/* What the repository has of the old image cannot be read: the next attempt
 * does without it; but not because the repository was away. */
static void
a_damaged_repository_costs_an_attempt(void **state)
{
	static struct world w;
	struct error err = ERROR_INIT;
	struct journal_view v;

	begin_two(&w);
	w.sink.take_fails = ERR_AGAIN;
	assert_int_equal(capture(&w, &v, &err), ERR_AGAIN);
	snap_clear(&w.sink.now);
	must(journal_unpin(w.j, &v, false, &err), &err);
	w.sink.take_fails = ERR_CORRUPT;
	assert_int_equal(capture(&w, &v, &err), ERR_CORRUPT);
	snap_clear(&w.sink.now);
	must(journal_unpin(w.j, &v, false, &err), &err);
	must(capture(&w, &v, &err), &err);
	assert_int_equal(w.sink.streams, 1);
	commit(&w);
	must(journal_unpin(w.j, &v, true, &err), &err);
	check_files(&w, true);
	finish(&w);
}

/* A snapshot of before, whose record has no hash: the image goes whole, and is
 * told by its hash from then on. */
static void
a_record_without_a_hash(void **state)
{
	static const char text[] = "{\"generation\":\"6b013a55125e3122\","
				   "\"image_version\":%" PRIu64
				   ",\"image_size\":%" PRIu64 ",\"more\":[1]}";
	static struct world w;
	struct error err = ERROR_INIT;
	struct journal_view v;
	struct item *i, *image;

	begin_two(&w);
	i = find(&w.sink.previous, mfs_record_name);
	image = find(&w.sink.previous, image_key);
	assert_true(i != NULL && image != NULL);
	i->len = (size_t)snprintf((char *)i->data, i->len, text, image->e.ino,
		image->e.size);
	must(capture(&w, &v, &err), &err);
	assert_int_equal(w.sink.streams, 1);
	check_record(&w, find(&w.sink.now, image_key));
	snap_clear(&w.sink.now);
	must(journal_unpin(w.j, &v, false, &err), &err);
	finish(&w);
}

/* ---- the record by itself ---- */

static void
records_come_back(void **state)
{
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct buf text = BUF_INIT(MFS_RECORD_MAX);
		struct error err = ERROR_INIT;
		struct mfs_record r = { .source = "moosefs:\"b\\\x01" }, got;
		struct prng p;

		prng_init(&p, seed);
		(void)snprintf(r.generation, sizeof(r.generation),
			"%016" PRIx64 ".%u", prng_next(&p),
			(unsigned)prng_below(&p, 99));
		if (prng_below(&p, 2) == 0)
			(void)strcpy(r.master, "4.59.2");
		r.image_version = prng_next(&p) >> prng_below(&p, 64);
		r.image_size = prng_next(&p) >> (1 + prng_below(&p, 63));
		r.has_hash = prng_below(&p, 2) == 0;
		for (size_t i = 0; i < ID_LEN && r.has_hash; i++)
			r.image_hash.b[i] = (uint8_t)prng_next(&p);
		r.captured.sec = 1795242784;
		must(mfs_record_encode(&r, &text, &err), &err);
		must(mfs_record_decode(&got, text.data, text.len, &err), &err);
		assert_string_equal(got.generation, r.generation);
		assert_string_equal(got.master, r.master);
		assert_int_equal(got.image_version, r.image_version);
		assert_int_equal(got.image_size, r.image_size);
		assert_int_equal(got.has_hash, r.has_hash);
		assert_true(id_eq(&got.image_hash, &r.image_hash));
		/* Whatever else: no crash, and no belief in half a hash. */
		text.data[prng_below(&p, text.len)] = (uint8_t)prng_next(&p);
		if (mfs_record_decode(&got, text.data, text.len, &err) !=
			ERR_OK)
			assert_int_equal(err.code, ERR_CORRUPT);
		assert_int_equal(mfs_record_decode(&got, text.data,
					 text.len - 1, &err),
			ERR_CORRUPT);
		buf_fini(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_history),
		cmocka_unit_test(a_damaged_repository_costs_an_attempt),
		cmocka_unit_test(a_record_without_a_hash),
		cmocka_unit_test(records_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
