/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_image full DIR MIB
 * bench_image scatter DIR MIB WRITES INCREMENTS
 * bench_image records DIR MIB CHANGED MOVED INCREMENTS
 *
 * full: backups of an image of so many MiB of random bytes, which are at hand,
 * into a repository below DIR, three times: processor seconds of everything
 * behind the source.  The figure beside it is the source's alone.
 *
 * scatter: one full backup of such an image, then increments of so many
 * changed blocks of 4 KiB each, anywhere: what each adds to the repository, and
 * what reading the first and every tenth costs.  It holds the image in memory.
 *
 * records: the same for a file of records of 44 bytes as a MooseFS image has
 * them, of which CHANGED of a million change in their place each time, and
 * MOVED of a million go and come elsewhere.
 *
 * DIR must not exist.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/time.h"
#include "engine/backup.h"
#include "model/entry.h"
#include "repo/repo.h"
#include "tests/lib/prng.h"
#include "tree/cursor.h"
#include "tree/extents.h"
#include "tree/image.h"

enum {
	ROUNDS = 3,
	BLOCK = 4096,
	POOL = 64 << 20, /* what full takes its bytes from */
	STRETCH = 64 << 20, /* read at a time */
	EVERY = 10,
	RECORD = 44,
	MILLION = 1000000
};

static const char pass[] = "bench";
static const char image_name[] = "image";

struct bench;

struct bench_origin {
	struct origin base; /* comes first */
	struct bench *bench;
};

/* A range of a file of records: taken from the one before, or new. */
struct step {
	uint64_t off, old_off, len;
	bool is_new;
};

struct step_list {
	struct step *v;
	size_t n, cap;
};

struct bench {
	struct source src;
	struct bench_origin origin;
	struct error err;
	struct progress progress;
	struct report report;
	struct store *store;
	struct repo *repo;
	uint64_t size;
	uint8_t *bytes; /* the image, or the pool */
	uint8_t *window;
	uint64_t round;
	bool whole; /* capture everything */
	bool *hit; /* else these blocks */
	uint64_t read_again; /* by the origin */
	bool records;
	struct step_list steps;
	struct entry was; /* the image before */
};

static void
check(struct bench *b, enum err rc)
{
	if (rc == ERR_OK)
		return;
	(void)fprintf(stderr, "bench_image: %s\n", b->err.msg);
	_exit(1);
}

static double
peak(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_maxrss * 1024 / 1e6;
}

static double
cpu(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void *
room(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		return p;
	(void)fprintf(stderr, "bench_image: no memory\n");
	_exit(1);
}

static void
fill(struct prng *p, uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = prng_next(p);

		memcpy(data + i, &v, 8);
	}
}

/* ---- the source ---- */

static struct bench *
to_bench(struct source *src)
{
	return container_of(src, struct bench, src);
}

static void
no_close(struct source *src)
{
	(void)src;
}

static enum err
describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	(void)src;
	return name(arg, "bench:image", err);
}

/* A window of bytes that no other round has. */
static void
make_window(struct bench *b, uint64_t off)
{
	struct prng p;

	prng_init(&p, (off + 1) * (b->round + 1));
	memcpy(b->window, b->bytes + off % POOL, IMAGE_WINDOW);
	for (size_t i = 0; i < IMAGE_WINDOW; i += BLOCK)
		fill(&p, b->window + i, 2 * sizeof(uint64_t));
}

static enum err
capture_whole(struct bench *b, struct sink *sink, struct error *err)
{
	enum err rc = ERR_OK;

	for (uint64_t off = 0; off < b->size && rc == ERR_OK;
		off += IMAGE_WINDOW) {
		make_window(b, off);
		rc = sink->ops->image_replace(sink, off, b->window,
			IMAGE_WINDOW, err);
	}
	return rc;
}

static enum err
capture_image(struct bench *b, struct sink *sink, struct error *err)
{
	enum err rc = ERR_OK;

	for (uint64_t off = 0; off < b->size && rc == ERR_OK; off += BLOCK)
		if (b->whole || b->hit[off / BLOCK])
			rc = sink->ops->image_replace(sink, off, b->bytes + off,
				BLOCK, err);
	return rc;
}

static enum err
read_origin(const struct origin *o, uint64_t off, void *data, size_t len,
	struct error *err)
{
	struct bench *b = ((const struct bench_origin *)(const void *)o)->bench;

	(void)err;
	memcpy(data, b->bytes + off, len);
	b->read_again += len;
	return ERR_OK;
}

static enum err
capture_records(struct bench *b, struct sink *sink, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < b->steps.n && rc == ERR_OK; i++) {
		const struct step *s = &b->steps.v[i];

		if (s->is_new)
			rc = sink->ops->image_replace(sink, s->off,
				b->bytes + s->off, s->len, err);
		else
			rc = sink->ops->image_take(sink, s->off, s->old_off,
				s->len, err);
	}
	return rc;
}

static enum err
begin_image(struct bench *b, struct sink *sink, struct bytes key,
	const struct entry *e, struct error *err)
{
	bool begun = true;
	enum err rc;

	if (b->records && !b->whole)
		rc = sink->ops->image_again(sink, key, e, &b->was,
			&b->origin.base, &begun, err);
	else
		rc = sink->ops->image_begin(sink, key, e,
			b->whole ? (struct bytes){ 0 } : key,
			b->whole ? NULL : &b->origin.base, err);
	if (rc == ERR_OK && !begun)
		rc = err_set(err, ERR_USAGE, "the image before is another");
	b->was = *e;
	return rc;
}

static enum err
capture(struct source *src, struct sink *sink, struct error *err)
{
	struct bench *b = to_bench(src);
	struct entry e = { .type = ENTRY_IMAGE, .mode = 0600 };
	const struct bytes key = { (const uint8_t *)image_name,
		sizeof(image_name) - 1 };
	bool done;
	enum err rc;

	e.size = b->size;
	e.mtime = when_now();
	rc = sink->ops->offer(sink, key, &e, &done, err);
	if (rc == ERR_OK)
		rc = begin_image(b, sink, key, &e, err);
	if (rc == ERR_OK && b->records)
		rc = capture_records(b, sink, err);
	else if (rc == ERR_OK)
		rc = b->hit == NULL ? capture_whole(b, sink, err)
				    : capture_image(b, sink, err);
	return rc == ERR_OK ? sink->ops->image_end(sink, err) : rc;
}

static const struct source_ops bench_ops = {
	.scheme = "bench",
	.caps = { .change_map = true },
	.close = no_close,
	.describe = describe,
	.capture = capture,
};

static void
problem(void *arg, struct bytes key, const struct error *why)
{
	(void)arg;
	(void)key;
	(void)fprintf(stderr, "bench_image: %s\n", why->msg);
}

static void
note(void *arg, const char *sentence)
{
	(void)arg;
	(void)fprintf(stderr, "bench_image: %s\n", sentence);
}

static void
open_bench(struct bench *b, const char *dir, const char *mib)
{
	struct repo_init_conf init = { .pass = { pass, sizeof(pass) - 1 },
		.cost = { 1, 8 },
		.chunker = CHUNKER_DEFAULT,
		.pack_target = REPO_PACK_TARGET };
	struct repo_conf conf = { .pass = init.pass };

	b->err = ERROR_INIT;
	b->src.ops = &bench_ops;
	b->origin = (struct bench_origin){ { read_origin }, b };
	progress_init(&b->progress);
	b->report = (struct report){ .arg = b,
		.progress = &b->progress,
		.problem = problem,
		.note = note };
	b->size = strtoull(mib, NULL, 10) << 20;
	b->window = room(IMAGE_WINDOW);
	check(b, store_open(&b->store, dir, true, &b->err));
	check(b, repo_init(b->store, &init, &b->err));
	check(b, repo_open(&b->repo, b->store, &conf, &b->err));
}

static void
close_bench(struct bench *b)
{
	repo_close(b->repo);
	store_close(b->store);
	progress_fini(&b->progress);
}

static void
run_backup(struct bench *b, struct snapshot *snap)
{
	struct backup_conf conf = { .host = "bench" };

	snapshot_init(snap);
	check(b,
		backup_run(b->repo, &b->src, &conf, &b->report, snap, &b->err));
}

/* ---- full ---- */

static void
full(struct bench *b)
{
	double sec, used, own;
	struct snapshot snap;
	struct prng p;

	prng_init(&p, 1);
	b->bytes = room(POOL);
	fill(&p, b->bytes, POOL);
	b->whole = true;
	for (b->round = 0; b->round < ROUNDS; b->round++) {
		own = cpu();
		for (uint64_t off = 0; off < b->size; off += IMAGE_WINDOW)
			make_window(b, off);
		own = cpu() - own;
		used = cpu();
		sec = mono_sec();
		run_backup(b, &snap);
		sec = mono_sec() - sec;
		used = cpu() - used;
		(void)printf("%6.2f s %6.2f CPU s (source %.2f) %8.0f MB/s "
			     "%8.0f MB/CPU s  peak %.0f MB\n",
			sec, used, own, (double)b->size / sec / 1e6,
			(double)b->size / (used - own) / 1e6, peak());
		snapshot_fini(&snap);
	}
}

/* ---- scatter ---- */

struct piece_list {
	struct extent *v;
	size_t n, cap;
};

static int
by_chunk(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return memcmp(x->chunk.b, y->chunk.b, ID_LEN);
}

/* What reading an image has cost. */
struct reading {
	struct piece_list stretch;
	struct piece_list fetched; /* chunks; len is that of all of it */
	uint64_t pieces;
	uint8_t *out; /* STRETCH */
};

static void
add_piece(struct bench *b, struct piece_list *list, const struct extent *e)
{
	if (list->n == list->cap) {
		list->cap = 2 * list->cap + 1024;
		list->v = realloc(list->v, list->cap * sizeof(*list->v));
		if (list->v == NULL)
			check(b, err_set(&b->err, ERR_NOMEM, "no memory"));
	}
	list->v[list->n++] = *e;
}

/* Each chunk of a stretch is fetched once. */
static void
read_stretch(struct bench *b, struct lane *lane, struct reading *r,
	uint64_t from)
{
	struct piece_list *list = &r->stretch;
	struct buf data = BUF_INIT(CHUNK_MAX);
	uint64_t len = b->size - from < STRETCH ? b->size - from : STRETCH;

	qsort(list->v, list->n, sizeof(*list->v), by_chunk);
	for (size_t i = 0; i < list->n; i++) {
		const struct extent *e = &list->v[i];

		if (i == 0 || by_chunk(e, e - 1) != 0) {
			struct extent all = *e;

			buf_clear(&data);
			check(b, repo_read_data(lane, &e->chunk, &data,
					 &b->err));
			all.len = data.len;
			add_piece(b, &r->fetched, &all);
		}
		memcpy(r->out + (e->off - from), data.data + e->chunk_off,
			e->len);
	}
	if (memcmp(r->out, b->bytes + from, len) != 0) {
		(void)fprintf(stderr, "bench_image: it reads otherwise\n");
		_exit(1);
	}
	list->n = 0;
	buf_fini(&data);
}

static struct id
image_root(struct bench *b, struct tree_io *io, const struct snapshot *snap)
{
	struct cursor *c = NULL;
	struct item item;
	struct entry e;
	struct id root;

	check(b, cursor_open(&c, io, TREE_ENTRIES, &snap->root, &b->err));
	check(b, cursor_next(c, &item, &b->err));
	entry_init(&e);
	check(b, entry_decode(&e, item.val.data, item.val.len, item.refs,
			 item.n_refs, &b->err));
	root = e.content.root;
	entry_fini(&e);
	cursor_close(c);
	return root;
}

/* What all stretches together have to fetch, and what they do fetch. */
static void
tell_reading(struct bench *b, struct reading *r, double sec)
{
	struct piece_list *list = &r->fetched;
	double once = 0, all = 0, size = (double)b->size;

	qsort(list->v, list->n, sizeof(*list->v), by_chunk);
	for (size_t i = 0; i < list->n; i++) {
		all += (double)list->v[i].len;
		if (i == 0 || by_chunk(&list->v[i], &list->v[i - 1]) != 0)
			once += (double)list->v[i].len;
	}
	(void)printf("     read: %" PRIu64 " pieces, %.2f of the image in "
		     "chunks, %.2f with those that two stretches fetch, "
		     "%.2f s\n",
		r->pieces, once / size, all / size, sec);
}

static void
read_image(struct bench *b, const struct snapshot *snap)
{
	struct reading r = { .out = room(STRETCH) };
	struct cursor *c = NULL;
	double sec = mono_sec();
	struct tree_io_repo io;
	struct lane *lane;
	uint64_t from = 0;
	struct extent e;
	struct item item;
	struct id root;

	check(b, lane_new(&lane, b->repo, &b->err));
	tree_io_repo_init(&io, b->repo, lane, NULL);
	root = image_root(b, &io.io, snap);
	check(b, cursor_open(&c, &io.io, TREE_EXTENTS, &root, &b->err));
	for (;;) {
		uint64_t end = from + STRETCH, rest = 0;

		check(b, cursor_next(c, &item, &b->err));
		if (item.key.data != NULL)
			check(b, extent_decode(&item, &e, &b->err));
		else
			e.off = b->size;
		if (e.off < end && e.off + e.len > end) {
			rest = e.off + e.len - end;
			e.len -= rest;
			add_piece(b, &r.stretch, &e);
			e.chunk_off += (uint32_t)e.len;
			e.off = end;
			e.len = rest;
		}
		if (e.off >= end || item.key.data == NULL) {
			read_stretch(b, lane, &r, from);
			from = end;
		}
		if (item.key.data == NULL)
			break;
		r.pieces++;
		add_piece(b, &r.stretch, &e);
	}
	tell_reading(b, &r, mono_sec() - sec);
	cursor_close(c);
	lane_free(lane);
	free(r.stretch.v);
	free(r.fetched.v);
	(void)munmap(r.out, STRETCH);
}

static void
change_blocks(struct bench *b, struct prng *p, uint64_t writes)
{
	memset(b->hit, 0, b->size / BLOCK);
	while (writes > 0) {
		uint64_t k = prng_below(p, b->size / BLOCK);

		if (b->hit[k])
			continue;
		b->hit[k] = true;
		fill(p, b->bytes + k * BLOCK, BLOCK);
		writes--;
	}
}

static void
scatter(struct bench *b, uint64_t writes, uint64_t increments)
{
	struct snapshot snap;
	struct prng p;

	prng_init(&p, 1);
	b->bytes = room(b->size);
	b->hit = room(b->size / BLOCK);
	fill(&p, b->bytes, b->size);
	for (uint64_t i = 0; i <= increments; i++) {
		uint64_t before = b->store->bytes_put;
		double sec = mono_sec(), used = cpu();

		b->whole = i == 0;
		b->read_again = 0;
		if (i > 0)
			change_blocks(b, &p, writes);
		run_backup(b, &snap);
		(void)printf("%3" PRIu64 ": %8.1f MB added, %8.1f MB read "
			     "again, %6.2f s %6.2f CPU s\n",
			i, (double)(b->store->bytes_put - before) / 1e6,
			(double)b->read_again / 1e6, mono_sec() - sec,
			cpu() - used);
		if (i % EVERY == 0)
			read_image(b, &snap);
		(void)fflush(stdout);
		snapshot_fini(&snap);
	}
}

/* ---- records ---- */

/* As compressible as those of nodes: small numbers, times of a year. */
static void
fill_record(struct prng *p, uint64_t number, uint8_t *out)
{
	static const uint64_t bits[] = { 24, 24, 24, 26, 6 };

	memset(out, 0, RECORD);
	memcpy(out, &number, sizeof(number));
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		uint64_t v = prng_next(p) >> (64 - bits[i]);

		memcpy(out + 12 + 6 * i, &v, 4);
	}
}

static void
add_step(struct bench *b, uint64_t off, uint64_t old_off, bool is_new)
{
	struct step_list *l = &b->steps;
	struct step *last = l->n > 0 ? &l->v[l->n - 1] : NULL;

	if (last != NULL && last->is_new == is_new &&
		(is_new || last->old_off + last->len == old_off)) {
		last->len += RECORD;
		return;
	}
	if (l->n == l->cap) {
		l->cap = 2 * l->cap + 1024;
		l->v = realloc(l->v, l->cap * sizeof(*l->v));
		if (l->v == NULL)
			check(b, err_set(&b->err, ERR_NOMEM, "no memory"));
	}
	l->v[l->n++] = (struct step){ off, old_off, RECORD, is_new };
}

/* The next image in fresh, and how it comes of the one before. */
static void
edit_records(struct bench *b, struct prng *p, uint64_t changed, uint64_t moved,
	uint8_t *fresh)
{
	const uint64_t most = b->size + b->size / 8;
	uint64_t at = 0;

	b->steps.n = 0;
	for (uint64_t old = 0; old < b->size && at + 2 * RECORD <= most;
		old += RECORD) {
		uint64_t dice = prng_below(p, MILLION);
		bool stays = dice < 2 * moved || dice >= 2 * moved + changed;

		if (dice < moved)
			continue;
		add_step(b, at, old, !stays);
		memcpy(fresh + at, b->bytes + old, RECORD);
		if (!stays)
			fill_record(p, old, fresh + at);
		at += RECORD;
		if (dice >= 2 * moved)
			continue;
		add_step(b, at, 0, true);
		fill_record(p, old, fresh + at);
		at += RECORD;
	}
	b->size = at;
}

static void
records(struct bench *b, uint64_t changed, uint64_t moved, uint64_t increments)
{
	uint64_t room_for = b->size * 2;
	uint8_t *fresh = room(room_for), *before;
	double all = 0;
	struct snapshot snap;
	struct prng p;

	prng_init(&p, 1);
	b->records = true;
	b->size -= b->size % RECORD;
	b->bytes = room(room_for);
	for (uint64_t off = 0; off < b->size; off += RECORD) {
		fill_record(&p, off, b->bytes + off);
		add_step(b, off, 0, true);
	}
	for (uint64_t i = 0; i <= increments; i++) {
		uint64_t put = b->store->bytes_put;
		double sec, used;

		b->whole = i == 0;
		b->read_again = 0;
		if (i > 0) {
			edit_records(b, &p, changed, moved, fresh);
			before = b->bytes;
			b->bytes = fresh;
			fresh = before;
		}
		sec = mono_sec();
		used = cpu();
		run_backup(b, &snap);
		put = b->store->bytes_put - put;
		all += i > 0 ? (double)put : 0;
		(void)printf("%3" PRIu64 ": %8.2f MB added, %8.1f MB read "
			     "again, %6.2f s %6.2f CPU s  peak %.0f MB\n",
			i, (double)put / 1e6, (double)b->read_again / 1e6,
			mono_sec() - sec, cpu() - used, peak());
		if (i % EVERY == 0)
			read_image(b, &snap);
		(void)fflush(stdout);
		snapshot_fini(&snap);
	}
	if (increments > 0)
		(void)printf("mean: %.2f MB added\n",
			all / (double)increments / 1e6);
	free(b->steps.v);
}

int
main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return 1;
	if (argc == 4 && strcmp(argv[1], "full") == 0) {
		open_bench(b, argv[2], argv[3]);
		full(b);
	} else if (argc == 6 && strcmp(argv[1], "scatter") == 0) {
		open_bench(b, argv[2], argv[3]);
		scatter(b, strtoull(argv[4], NULL, 10),
			strtoull(argv[5], NULL, 10));
	} else if (argc == 7 && strcmp(argv[1], "records") == 0) {
		open_bench(b, argv[2], argv[3]);
		records(b, strtoull(argv[4], NULL, 10),
			strtoull(argv[5], NULL, 10),
			strtoull(argv[6], NULL, 10));
	} else {
		(void)fprintf(stderr,
			"usage: bench_image full DIR MIB\n"
			"       bench_image scatter DIR MIB WRITES "
			"INCREMENTS\n"
			"       bench_image records DIR MIB CHANGED MOVED "
			"INCREMENTS\n");
		return 2;
	}
	close_bench(b);
	free(b);
	return 0;
}
