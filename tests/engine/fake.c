/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/ingest.h"
#include "model/path.h"
#include "tests/engine/fake_reader.h"

enum { PIECE = 1 << 20 };

/* ---- what files hold ---- */

static uint64_t
mixed(uint64_t x)
{
	struct prng p;

	prng_init(&p, x);
	return prng_next(&p);
}

/* Where the run that off lies in begins and ends; whether it is a hole. */
bool
fake_run(const struct fake_file *file, uint64_t off, uint64_t *end)
{
	uint64_t first = file->hole_first ? file->hole_run : file->data_run;
	uint64_t period = file->data_run + file->hole_run;
	uint64_t in;

	if (file->hole_run == 0) {
		*end = UINT64_MAX;
		return false;
	}
	in = off % period;
	*end = off - in + (in < first ? first : period);
	return (in < first) == file->hole_first;
}

void
fake_content(const struct fake_file *file, uint64_t seed, uint64_t off,
	uint8_t *out, size_t len)
{
	uint64_t at = off, word, end;
	size_t n;

	for (; at < off + len; at += n, out += n) {
		bool hole = fake_run(file, at, &end);

		n = 8 - at % 8;
		if (n > off + len - at)
			n = off + len - at;
		if (n > end - at)
			n = end - at;
		word = hole ? 0
			    : mixed(seed * 0x9e3779b97f4a7c15u + at / 8) >>
				       (at % 8 * 8);
		memcpy(out, &word, n);
	}
}

static bool
has_data(const struct fake_file *file, uint64_t from, uint64_t to)
{
	uint64_t end;

	for (; from < to; from = end)
		if (!fake_run(file, from, &end))
			return true;
	return false;
}

struct fake_outcome
fake_outcome(const struct fake_file *file)
{
	const struct fake_trouble *t = &file->trouble;
	struct fake_outcome o = { .seed = file->seed, .size = file->size };
	enum err code = ERR_OK;

	for (unsigned i = 0; i < READ_ATTEMPTS && code == ERR_OK; i++) {
		uint64_t told = t->resized ? t->sizes[i] : file->size;

		if (t->open_code != ERR_OK && i >= t->open_from) {
			code = t->open_code;
			break;
		}
		o.seed = file->seed + (t->changes > 0 ? i : 0);
		o.size = t->ends && t->end < told ? t->end : told;
		if (t->read_code != ERR_OK &&
			has_data(file, t->read_from, o.size))
			code = t->read_code;
		else if (t->settle_code != ERR_OK)
			code = t->settle_code;
		o.changed = i < t->changes || o.size < told;
		if (!o.changed)
			break;
	}
	if (code != ERR_OK) {
		o.changed = false;
		o.dropped = code == ERR_NOTFOUND && file->nlink <= 1;
		o.unreadable = !o.dropped;
	}
	return o;
}

/* ---- the list of files ---- */

struct bytes
fake_key(const char *name, uint8_t room[128])
{
	size_t len = strlen(name);

	assert_true(len < 128);
	for (size_t i = 0; i < len; i++)
		room[i] = name[i] == '/' ? 0 : (uint8_t)name[i];
	return (struct bytes){ room, len };
}

static int
by_key(const char *a, const char *b)
{
	uint8_t room_a[128], room_b[128];
	struct bytes x = fake_key(a, room_a), y = fake_key(b, room_b);

	return key_cmp(x.data, x.len, y.data, y.len);
}

/* The first that is not below name. */
static size_t
place_of(const struct fake *f, const char *name)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (by_key(f->files[mid]->name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct fake_file *
fake_find(struct fake *f, const char *name)
{
	size_t i = place_of(f, name);

	return i < f->n && strcmp(f->files[i]->name, name) == 0 ? f->files[i]
								: NULL;
}

struct fake_file *
fake_add(struct fake *f, const char *name, uint64_t size)
{
	struct fake_file *file = calloc(1, sizeof(*file));
	size_t at = place_of(f, name);

	assert_non_null(file);
	assert_true(strlen(name) < sizeof(file->name));
	if (f->n == f->cap) {
		f->cap = f->cap > 0 ? 2 * f->cap : 256;
		f->files = realloc(f->files, f->cap * sizeof(*f->files));
		assert_non_null(f->files);
	}
	memmove(f->files + at + 1, f->files + at,
		(f->n - at) * sizeof(*f->files));
	f->files[at] = file;
	f->n++;
	(void)snprintf(file->name, sizeof(file->name), "%s", name);
	file->type = ENTRY_FILE;
	file->size = size;
	file->seed = size + 1;
	for (const char *c = name; *c != '\0'; c++)
		file->seed = mixed(file->seed ^ (uint8_t)*c);
	file->ino = mixed(file->seed) >> 16;
	file->nlink = 1;
	file->time = (struct when){ 1700000000, 5 };
	return file;
}

void
fake_remove(struct fake *f, const char *name)
{
	size_t at = place_of(f, name);

	assert_true(at < f->n && strcmp(f->files[at]->name, name) == 0);
	free(f->files[at]);
	f->n--;
	memmove(f->files + at, f->files + at + 1,
		(f->n - at) * sizeof(*f->files));
}

/* ---- the source ---- */

static struct fake *
to_fake(struct source *src)
{
	return container_of(src, struct fake, base);
}

static enum err
fake_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	return name(arg, to_fake(src)->label, err);
}

static enum err
show_stream(struct fake *f, struct sink *sink, const struct fake_file *file,
	struct error *err)
{
	uint8_t *piece = malloc(PIECE);
	uint64_t off = 0, n;
	enum err rc = ERR_OK;

	assert_non_null(piece);
	for (; off < file->size && rc == ERR_OK; off += n) {
		f->dice = mixed(f->dice);
		n = f->dice % PIECE + 1;
		if (n > file->size - off)
			n = file->size - off;
		fake_content(file, file->seed, off, piece, (size_t)n);
		rc = sink->ops->stream_write(sink, piece, (size_t)n, err);
	}
	free(piece);
	return rc == ERR_OK ? sink->ops->stream_end(sink, err) : rc;
}

static void
fill(const struct fake_file *file, struct entry *e)
{
	*e = (struct entry){ .type = file->type,
		.mode = 0640,
		.uid = 7,
		.gid = 8,
		.mtime = file->time,
		.ctime = file->time,
		.ino = file->ino,
		.dev = 3,
		.nlink = file->nlink,
		.user = { (const uint8_t *)"somebody", 8 },
		.size = file->type == ENTRY_FILE ? file->size : 0 };
	if (file->type == ENTRY_SYMLINK)
		e->target = (struct bytes){ (const uint8_t *)"to", 2 };
}

static enum err
show_file(struct fake *f, struct sink *sink, struct fake_file *file,
	struct error *err)
{
	uint8_t room[128];
	struct bytes key = fake_key(file->name, room);
	bool done = false;
	struct entry e;
	enum err rc;

	fake_count_call(f);
	fill(file, &e);
	rc = sink->ops->offer(sink, key, &e, &done, err);
	if (rc != ERR_OK || done)
		return rc;
	if (file->type == ENTRY_FILE)
		return sink->ops->file(sink, key, &e, fake_reader_new(f, file),
			err);
	if (file->type != ENTRY_STREAM)
		return sink->ops->entry(sink, key, &e, err);
	rc = sink->ops->stream_begin(sink, key, &e, err);
	return rc == ERR_OK ? show_stream(f, sink, file, err) : rc;
}

static enum err
fake_capture(struct source *src, struct sink *sink, struct error *err)
{
	struct fake *f = to_fake(src);
	enum err rc = ERR_OK;

	if (f->capture != NULL)
		return f->capture(f, sink, err);
	for (size_t i = 0; i < f->n && rc == ERR_OK; i++)
		rc = show_file(f, sink, f->files[i], err);
	return rc;
}

static enum err
fake_freeze(struct source *src, const struct source_run *run, struct error *err)
{
	struct fake *f = to_fake(src);

	f->n_freeze++;
	assert_int_equal(strlen(run->job), 16);
	memcpy(f->job, run->job, sizeof(f->job));
	f->frozen = true;
	return f->freeze_code == ERR_OK
		       ? ERR_OK
		       : err_set(err, f->freeze_code, "it does not freeze");
}

static enum err
fake_thaw(struct source *src, bool committed, struct error *err)
{
	struct fake *f = to_fake(src);

	f->n_thaw++;
	f->n_kept += committed;
	f->frozen = false;
	return ERR_OK;
}

static const struct source_ops fake_source_ops = {
	.scheme = "fake",
	.describe = fake_describe,
	.capture = fake_capture,
	.freeze = fake_freeze,
	.thaw = fake_thaw,
};

/* ---- the repository ---- */

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	struct fake *f = arg;
	uint8_t room[128];

	f->n_problems++;
	for (size_t i = 0; i < f->n; i++) {
		struct bytes k = fake_key(f->files[i]->name, room);

		if (k.len != key.len || memcmp(k.data, key.data, k.len) != 0)
			continue;
		f->files[i]->n_problems++;
		f->files[i]->problem = why->code;
	}
}

static void
on_note(void *arg, const char *sentence)
{
	struct fake *f = arg;

	f->n_notes++;
	(void)snprintf(f->note, sizeof(f->note), "%s", sentence);
}

void
fake_init(struct fake *f, bool small)
{
	struct repo_init_conf conf = tool_init_conf();
	struct error err = ERROR_INIT;

	memset(f, 0, sizeof(*f));
	f->base.ops = &fake_source_ops;
	f->label = "fake:it";
	f->dice = 1;
	progress_init(&f->progress);
	f->report = (struct report){ .arg = f,
		.progress = &f->progress,
		.problem = on_problem,
		.note = on_note,
		.stop = &f->stop };
	if (!small) {
		conf.chunker = CHUNKER_DEFAULT;
		conf.pack_target = REPO_PACK_TARGET;
	}
	f->st = tool_store();
	must(repo_init(f->st, &conf, &err), &err);
	f->repo = tool_open(f->st, TOOL_PASS);
}

void
fake_fini(struct fake *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->files[i]);
	free(f->files);
	repo_close(f->repo);
	store_close(f->st);
	progress_fini(&f->progress);
}

void
fake_reopen(struct fake *f, struct store *st)
{
	repo_close(f->repo);
	if (st != NULL) {
		store_close(f->st);
		f->st = st;
	}
	f->repo = tool_open(f->st, TOOL_PASS);
}

enum err
fake_backup(struct fake *f, const struct backup_conf *conf,
	struct snapshot *snap, struct error *err)
{
	struct backup_conf own = { .host = "here", .workers = 3 };
	enum err rc;

	f->n_problems = f->n_notes = 0;
	f->n_calls = 0;
	f->stop = false;
	for (size_t i = 0; i < f->n; i++) {
		struct fake_file *file = f->files[i];

		file->n_opened = file->n_closed = file->n_problems = 0;
		file->problem = ERR_OK;
	}
	rc = backup_run(f->repo, &f->base, conf != NULL ? conf : &own,
		&f->report, snap, err);
	assert_int_equal(f->n_readers, 0);
	assert_int_equal(f->n_freeze, f->n_thaw);
	assert_int_equal(f->n_late, 0);
	return rc;
}

void
fake_backup_ok(struct fake *f, struct snapshot *snap)
{
	struct error err = ERROR_INIT;

	must(fake_backup(f, NULL, snap, &err), &err);
}
