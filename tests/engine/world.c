/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/world.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/backup.h"
#include "engine/select.h"
#include "model/path.h"
#include "source/source.h"
#include "tree/content.h"
#include "tree/cursor.h"

static void
write_file(const char *path, struct prng *p, size_t len)
{
	FILE *f = fopen(path, "we");
	bool plain = prng_below(p, 2) == 0;

	assert_non_null(f);
	for (size_t i = 0; i < len; i++)
		(void)fputc(plain ? 'a' + (int)(i % 7)
				  : (int)(prng_next(p) & 0xff),
			f);
	assert_int_equal(fclose(f), 0);
}

void
world_init(struct world *w, uint64_t seed, unsigned n_files, unsigned size_max)
{
	struct prng p;
	char path[160];

	memset(w, 0, sizeof(*w));
	progress_init(&w->progress);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/coffer-world-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->tree, sizeof(w->tree), "%s/tree", w->dir);
	assert_int_equal(mkdir(w->tree, 0755), 0);
	prng_init(&p, seed);
	for (unsigned i = 0; i < n_files; i++) {
		(void)snprintf(path, sizeof(path), "%s/d%u", w->tree, i % 3);
		(void)mkdir(path, 0755);
		(void)snprintf(path, sizeof(path), "%s/d%u/f%u", w->tree, i % 3,
			i);
		write_file(path, &p, prng_below(&p, size_max) + 1);
	}
}

void
world_change(struct world *w, uint64_t seed)
{
	struct prng p;
	char path[160];

	prng_init(&p, seed);
	(void)snprintf(path, sizeof(path), "%s/d0/f0", w->tree);
	write_file(path, &p, 5000);
	(void)snprintf(path, sizeof(path), "%s/new%u", w->tree, (unsigned)seed);
	write_file(path, &p, 70000);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void
world_fini(struct world *w)
{
	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	progress_fini(&w->progress);
}

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	struct world *w = arg;

	w->problems++;
	(void)snprintf(w->last_problem, sizeof(w->last_problem), "%s",
		why->msg);
}

static void
on_note(void *arg, const char *sentence)
{
}

static struct report
report_of(struct world *w)
{
	return (struct report){ .arg = w,
		.progress = &w->progress,
		.problem = on_problem,
		.note = on_note };
}

static enum err
open_repo(struct repo **out, struct store *st, struct error *err)
{
	struct repo_conf conf = { .pass = TOOL_PASS };

	return repo_open(out, st, &conf, err);
}

enum err
world_repo_init(struct store *st, struct error *err)
{
	struct repo_init_conf conf = tool_init_conf();

	return repo_init(st, &conf, err);
}

enum err
world_backup(struct world *w, struct store *st, struct snapshot *snap,
	struct error *err)
{
	const struct source_ops *ops = source_driver("files");
	const char *args[] = { w->tree };
	struct source_conf conf = { .args = args, .n_args = 1 };
	struct backup_conf backup = { .host = "test", .workers = 2 };
	struct report report = report_of(w);
	struct source *src = NULL;
	struct repo *r = NULL;
	struct snapshot own;
	enum err rc;

	snapshot_init(&own);
	rc = ops->open(&src, &conf, err);
	if (rc == ERR_OK)
		rc = open_repo(&r, st, err);
	if (rc == ERR_OK)
		rc = backup_run(r, src, &backup, &report,
			snap != NULL ? snap : &own, err);
	repo_close(r);
	if (src != NULL)
		ops->close(src);
	snapshot_fini(&own);
	return rc;
}

enum err
world_check(struct world *w, struct store *st, struct check_result *result,
	struct error *err)
{
	struct check_conf conf = { .read_data_percent = 100, .workers = 1 };
	struct report report = report_of(w);
	struct repo *r = NULL;
	enum err rc;

	*result = (struct check_result){ 0 };
	rc = open_repo(&r, st, err);
	if (rc == ERR_OK)
		rc = check_run(r, &conf, &report, result, err);
	repo_close(r);
	return rc;
}

enum err
world_snapshots(struct store *st, size_t *n, struct error *err)
{
	struct snapshot_list list = { NULL, 0 };
	struct repo *r = NULL;
	enum err rc;

	rc = open_repo(&r, st, err);
	if (rc == ERR_OK)
		rc = snapshot_list_load(&list, r, NULL, err);
	*n = list.n;
	snapshot_list_fini(&list);
	repo_close(r);
	return rc;
}

/* ---- comparing ---- */

struct compare {
	struct tree_io *io;
	const struct id *root;
	bool equal;
};

static bool
same_bytes(struct content_view *v, const char *path, struct error *err)
{
	uint64_t size = content_size(v);
	uint8_t *a = malloc(size + 1), *b = malloc(size + 1);
	FILE *f = fopen(path, "re");
	size_t got = 0;
	bool same = f != NULL && fread(a, 1, size + 1, f) == size &&
		    content_read(v, 0, b, size + 1, &got, err) == ERR_OK &&
		    got == size && memcmp(a, b, size) == 0;

	if (f != NULL)
		(void)fclose(f);
	free(a);
	free(b);
	return same;
}

static enum err
compare_item(struct compare *c, const struct item *item, struct error *err)
{
	struct buf path = BUF_INIT(1 << 16);
	struct content_view *v = NULL;
	struct entry e;
	struct stat st;
	enum err rc;

	entry_init(&e);
	rc = entry_decode(&e, item->val.data, item->val.len, item->refs,
		item->n_refs, err);
	if (rc == ERR_OK)
		rc = key_to_path(&path, item->key.data, item->key.len, err);
	if (rc == ERR_OK && lstat((char *)path.data, &st) != 0)
		c->equal = false;
	if (rc == ERR_OK && e.type == ENTRY_FILE) {
		rc = content_open(&v, c->io, c->root, &e, err);
		if (rc == ERR_OK && !same_bytes(v, (char *)path.data, err))
			c->equal = false;
		content_close(v);
	}
	if (rc == ERR_OK && err->code != ERR_OK)
		rc = err->code;
	buf_fini(&path);
	entry_fini(&e);
	return rc;
}

static enum err
compare_all(struct repo *r, struct lane *lane, bool *equal, struct error *err)
{
	struct tree_io_repo io;
	struct compare c = { .io = &io.io, .equal = true };
	struct cursor *cursor = NULL;
	struct snapshot snap;
	struct item item;
	enum err rc;

	snapshot_init(&snap);
	tree_io_repo_init(&io, r, lane, NULL);
	rc = snapshot_select(&snap, r, "latest", NULL, err);
	c.root = &snap.root;
	if (rc == ERR_OK)
		rc = cursor_open(&cursor, c.io, TREE_ENTRIES, c.root, err);
	while (rc == ERR_OK) {
		rc = cursor_next(cursor, &item, err);
		if (rc != ERR_OK || item.key.data == NULL)
			break;
		rc = compare_item(&c, &item, err);
	}
	cursor_close(cursor);
	snapshot_fini(&snap);
	*equal = c.equal;
	return rc;
}

enum err
world_compare(struct world *w, struct store *st, bool *equal, struct error *err)
{
	struct lane *lane = NULL;
	struct repo *r = NULL;
	enum err rc;

	*equal = false;
	rc = open_repo(&r, st, err);
	if (rc == ERR_OK)
		rc = lane_new(&lane, r, err);
	if (rc == ERR_OK)
		rc = compare_all(r, lane, equal, err);
	lane_free(lane);
	repo_close(r);
	return rc;
}
