/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor DIR FILE: the least that a backup of DIR has to do, as a bare loop.
 *
 * Two threads take files in walk order, about a MiB at a time, read them,
 * name the bytes by keyed BLAKE3, compress them by zstd at level 1, seal them
 * by AES-256-GCM and append them to FILE, which is synced at the end.  Nothing
 * is remembered: no tree, no index, no deduplication.  What coffer's first
 * backup takes longer than this is the price of being a backup.
 *
 * Prints the seconds it took, the bytes read and the bytes written.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/time.h"
#include "codec/aead.h"
#include "codec/compress.h"
#include "codec/hash.h"

enum { THREADS = 2, LOAD = 1 << 20, LOAD_PIECES = 4096 };

struct piece {
	char *path;
	uint64_t off;
	size_t len;
};

/* What the threads share. */
struct work {
	pthread_mutex_t lock; /* of the walk: fts, path, off, size */
	FTS *fts;
	char *path; /* the file being given out; NULL: none */
	uint64_t off, size; /* how far; its length */
	int out;
	struct secret key;
	_Atomic uint64_t bytes_in, bytes_out, loads;
};

struct thread {
	pthread_t id;
	struct work *work;
	struct piece pieces[LOAD_PIECES];
	size_t n;
	uint8_t *plain, *packed; /* room for a load, and for it compressed */
	struct compressor *comp;
	struct aead *aead;
};

static void
die(const struct error *err)
{
	(void)fprintf(stderr, "floor: %s\n", err->msg);
	_exit(1);
}

static void
die_errno(const char *what)
{
	struct error err;

	(void)err_sys(&err, errno, "%s", what);
	die(&err);
}

/* ---- the walk ---- */

/* The next file that is not empty, into w->path; false at the end. */
static bool
next_file(struct work *w)
{
	FTSENT *e;

	errno = 0;
	while ((e = fts_read(w->fts)) != NULL) {
		if (e->fts_info != FTS_F || !S_ISREG(e->fts_statp->st_mode) ||
			e->fts_statp->st_size == 0)
			continue;
		w->path = strdup(e->fts_path);
		if (w->path == NULL)
			die_errno("memory");
		w->off = 0;
		w->size = (uint64_t)e->fts_statp->st_size;
		return true;
	}
	if (errno != 0)
		die_errno("walk");
	return false;
}

/* Fill t->pieces with the next load; false where there is none. */
static bool
next_load(struct thread *t)
{
	struct work *w = t->work;
	size_t sum = 0;
	struct piece *p;

	t->n = 0;
	pthread_mutex_lock(&w->lock);
	while (sum < LOAD && t->n < LOAD_PIECES) {
		if (w->path == NULL && !next_file(w))
			break;
		p = &t->pieces[t->n++];
		p->off = w->off;
		p->len = LOAD - sum;
		if (p->len > w->size - w->off)
			p->len = (size_t)(w->size - w->off);
		w->off += p->len;
		sum += p->len;
		p->path = w->path;
		if (w->off < w->size)
			p->path = strdup(w->path);
		else
			w->path = NULL;
		if (p->path == NULL)
			die_errno("memory");
	}
	pthread_mutex_unlock(&w->lock);
	return t->n > 0;
}

/* ---- a load ---- */

static size_t
read_piece(const struct piece *p, uint8_t *to)
{
	int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct error err;
	size_t got;

	if (fd < 0)
		die_errno(p->path);
	if (fsx_pread(fd, to, p->len, p->off, &got, p->path, &err) != ERR_OK)
		die(&err);
	fsx_close(&fd);
	return got;
}

static void
store_load(struct thread *t, size_t len)
{
	struct work *w = t->work;
	struct aead_args args = { .key = &w->key, .number = w->loads++ };
	uint8_t *from = t->packed;
	struct error err;
	enum codec codec;
	struct id id;
	uint64_t off;
	size_t n;

	hash_keyed(&id, &w->key, t->plain, len);
	args.aad = id.b;
	args.aad_len = sizeof(id.b);
	n = compress_bytes(t->comp, 1, t->plain, len, t->packed, &codec);
	if (n == 0) {
		from = t->plain;
		n = len;
	}
	if (aead_seal(t->aead, &args, from, n, t->packed, &err) != ERR_OK)
		die(&err);
	n += AEAD_TAG;
	off = atomic_fetch_add(&w->bytes_out, n);
	if (fsx_pwrite(w->out, t->packed, n, off, "output", &err) != ERR_OK)
		die(&err);
	w->bytes_in += len;
}

static void *
run_thread(void *arg)
{
	struct thread *t = arg;
	size_t len;

	while (next_load(t)) {
		len = 0;
		for (size_t i = 0; i < t->n; i++) {
			len += read_piece(&t->pieces[i], t->plain + len);
			free(t->pieces[i].path);
		}
		if (len > 0)
			store_load(t, len);
	}
	return NULL;
}

/* ---- all of it ---- */

static void
thread_start(struct thread *t, struct work *w)
{
	struct error err;

	t->work = w;
	t->plain = malloc(LOAD);
	t->packed = malloc(compress_bound(LOAD) + AEAD_TAG);
	if (t->plain == NULL || t->packed == NULL)
		die_errno("memory");
	if (compressor_new(&t->comp, &err) != ERR_OK ||
		aead_new(&t->aead, &err) != ERR_OK)
		die(&err);
	if (pthread_create(&t->id, NULL, run_thread, t) != 0)
		die_errno("thread");
}

static void
thread_end(struct thread *t)
{
	(void)pthread_join(t->id, NULL);
	compressor_free(t->comp);
	aead_free(t->aead);
	free(t->plain);
	free(t->packed);
}

int
main(int argc, char **argv)
{
	static struct work w = { .lock = PTHREAD_MUTEX_INITIALIZER };
	static struct thread threads[THREADS];
	char *roots[] = { argc == 3 ? argv[1] : NULL, NULL };
	double begin = mono_sec();

	if (argc != 3) {
		(void)fprintf(stderr, "usage: floor DIR FILE\n");
		return 2;
	}
	w.fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (w.fts == NULL)
		die_errno(argv[1]);
	w.out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (w.out < 0)
		die_errno(argv[2]);
	for (size_t i = 0; i < THREADS; i++)
		thread_start(&threads[i], &w);
	for (size_t i = 0; i < THREADS; i++)
		thread_end(&threads[i]);
	if (fdatasync(w.out) != 0)
		die_errno(argv[2]);
	fsx_close(&w.out);
	(void)fts_close(w.fts);
	(void)printf("%.3f s, %llu bytes read, %llu written\n",
		mono_sec() - begin, (unsigned long long)w.bytes_in,
		(unsigned long long)w.bytes_out);
	return 0;
}
