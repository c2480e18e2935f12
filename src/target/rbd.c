/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd: an image of a Ceph cluster, made anew or written over.
 *
 * Crash argument.  An image says in its metadata that it is being restored:
 *
 *   coffer.restore       new:KEY or over:KEY, KEY naming the restore point
 *   coffer.restore.done  below this offset everything is durable
 *
 * The offset is set to 0 before the first key names this restore, and only
 * grows after a flush of what it speaks of; at the end the key goes first.  So
 * whoever finds his own key can go on at the offset, and where the offset
 * alone was left behind it means nothing.  new: whatever was not written is
 * zeroes.  Who is killed between making an image and marking it leaves an empty
 * one, which the next run does not take for its own and refuses.
 *
 * What the image holds is read through a handle of its own that was opened
 * without write when the size was right: it asks for no lock, so a cluster that
 * stops keeps it for as long as the time limit says, and no longer.
 */
#include "target/rbd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "target/drivers.h"

#define META_MARK "coffer.restore"
#define META_DONE "coffer.restore.done"
#define META_OURS "coffer.restore" /* what begins so is ours */
#define MARK_NEW  "new:"
#define MARK_OVER "over:"

enum {
	/* A client that was killed is a watcher for so long, and a little. */
	WATCH_SEC = 40
};

const struct option_spec rbd_target_options[] = {
	{ "conf", OPTION_TEXT, NULL, "the cluster's ceph.conf" },
	{ "user", OPTION_TEXT, "admin", "who to be there, as in client.USER" },
	{ "keyring", OPTION_TEXT, NULL, "file with the user's key" },
	{ "timeout", OPTION_NUMBER, "30",
		"seconds to wait for a cluster that does not answer" },
	{ "depth", OPTION_NUMBER, "16", "writes on their way at a time" },
	{ "order", OPTION_NUMBER, NULL,
		"of a new image: objects of 2^ORDER bytes; else as recorded" },
	{ "features", OPTION_TEXT, NULL,
		"of a new image: names with commas; else as recorded" },
	{ "stripe-unit", OPTION_SIZE, NULL, "of a new image" },
	{ "stripe-count", OPTION_NUMBER, NULL, "of a new image" },
	{ "data-pool", OPTION_TEXT, NULL,
		"of a new image: where its data lies; empty for none" },
	{ "force", OPTION_BOOL, "no",
		"write over an image that others have open" },
	{ NULL, OPTION_TEXT, NULL, NULL },
};

static struct rbd_target *
rbd_of(struct target *t)
{
	return container_of(t, struct rbd_target, base);
}

bool
rbd_target_is_layer(const struct rbd_target *r)
{
	return r->has_record && r->record.has_parent && !r->record.parent_data;
}

/* ---- names ---- */

static enum err
bad_name(const char *rest, struct error *err)
{
	return err_set(err, ERR_USAGE,
		"\"rbd:%s\" is not rbd:POOL[/NAMESPACE]/IMAGE, rbd:POOL/ or "
		"rbd:",
		rest);
}

/* The parts of rest: what it does not say, the record does. */
static enum err
take_names(struct rbd_target *r, const char *rest, struct error *err)
{
	const char *first = strchr(rest, '/');
	const char *last = strrchr(rest, '/');
	const struct rbd_record *old = &r->record;

	if (*rest != '\0' && (first == NULL || first == rest ||
				     (first != last && last == first + 1)))
		return bad_name(rest, err);
	if (first != last && memchr(first + 1, '/', (size_t)(last - first - 1)))
		return bad_name(rest, err);
	if (first == NULL || last[1] == '\0') {
		if (old->image == NULL || (first == NULL && old->pool == NULL))
			return err_set(err, ERR_USAGE,
				"nothing is recorded of how the image was "
				"called in Ceph: say rbd:POOL/IMAGE");
		r->name = strdup(old->image);
		r->pool_name = first == NULL
				       ? strdup(old->pool)
				       : strndup(rest, (size_t)(first - rest));
		r->ns = strdup(old->ns != NULL ? old->ns : "");
	} else {
		r->name = strdup(last + 1);
		r->pool_name = strndup(rest, (size_t)(first - rest));
		r->ns = strdup("");
	}
	if (first != last) {
		free(r->ns);
		r->ns = strndup(first + 1, (size_t)(last - first - 1));
	}
	if (r->name == NULL || r->pool_name == NULL || r->ns == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

/* ---- the mark ---- */

static enum err
get_meta(struct ceph_image *img, const char *key, char **out, struct error *err)
{
	enum err rc = ceph_meta_get(img, key, out, err);

	if (rc != ERR_NOTFOUND)
		return rc;
	*out = NULL;
	return ERR_OK;
}

static enum err
drop_meta(struct rbd_target *r, const char *key, struct error *err)
{
	enum err rc = ceph_meta_remove(r->img, key, err);

	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

static enum err
set_done(struct rbd_target *r, uint64_t done, struct error *err)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)done);
	return ceph_meta_set(r->img, META_DONE, text, err);
}

static enum err
set_mark(struct rbd_target *r, const char *kind, const char *key,
	struct error *err)
{
	char *mark = NULL;
	enum err rc = set_done(r, 0, err);

	if (rc != ERR_OK)
		return rc;
	if (asprintf(&mark, "%s%s", kind, key) < 0)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = ceph_meta_set(r->img, META_MARK, mark, err);
	free(mark);
	return rc;
}

static uint64_t
parse_done(const char *text, uint64_t size)
{
	unsigned long long done;
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	done = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && done <= size ? done : 0;
}

static bool
is_mark(const char *mark, const char *kind, const char *key)
{
	size_t len = strlen(kind);

	return strncmp(mark, kind, len) == 0 && strcmp(mark + len, key) == 0;
}

/* *ours: an earlier restore of the same was not finished. */
static enum err
read_mark(struct rbd_target *r, struct ceph_image *img, const char *key,
	bool *ours, struct error *err)
{
	char *mark = NULL, *done = NULL;
	enum err rc = get_meta(img, META_MARK, &mark, err);

	*ours = false;
	if (rc == ERR_OK && mark != NULL) {
		r->is_new = is_mark(mark, MARK_NEW, key);
		*ours = r->is_new || is_mark(mark, MARK_OVER, key);
	}
	if (rc == ERR_OK && *ours)
		rc = get_meta(img, META_DONE, &done, err);
	if (rc == ERR_OK && *ours)
		r->base.resume = parse_done(done, r->size);
	free(mark);
	free(done);
	return rc;
}

static enum err
open_image(struct rbd_target *r, struct ceph_image **out, bool write,
	struct error *err)
{
	const struct ceph_open how = { .write = write };

	return ceph_image_open(out, r->pool, r->name, &how, err);
}

/* ---- an image that is there ---- */

/* A restore that was killed may be the watcher: wait for that to end. */
static enum err
check_watchers(struct rbd_target *r, bool ours, struct error *err)
{
	double until = mono_sec() + WATCH_SEC;
	unsigned n = 0;
	enum err rc;

	for (;;) {
		rc = ceph_watchers(r->img, &n, err);
		if (rc != ERR_OK || n == 0 || !ours || mono_sec() > until)
			break;
		(void)usleep(500000);
	}
	if (rc == ERR_OK && n > 0)
		rc = err_set(err, ERR_EXISTS,
			"%s/%s is in use: %u others have it open (-o force=yes "
			"writes it nevertheless)",
			r->pool_name, r->name, n);
	return rc;
}

/* Nobody else shall write to it meanwhile, where the image can tell. */
static enum err
lock_image(struct rbd_target *r, const struct target_conf *conf,
	struct error *err)
{
	enum err rc;

	if (settings_bool(&conf->settings, rbd_target_options, "force"))
		return ERR_OK;
	rc = ceph_lock(r->img, err);
	return rc == ERR_VERSION ? ERR_OK : rc;
}

/* It is what it will be: look at it. */
static enum err
set_size(struct rbd_target *r, struct error *err)
{
	enum err rc = ERR_OK;

	if (r->info.size != r->size)
		rc = ceph_image_resize(r->img, r->size, err);
	if (rc == ERR_OK)
		rc = open_image(r, &r->see, false, err);
	return rc == ERR_OK ? ceph_image_info(r->see, &r->info, err) : rc;
}

static enum err
check_there(struct rbd_target *r, const struct target_conf *conf, bool ours,
	struct error *err)
{
	bool force =
		settings_bool(&conf->settings, rbd_target_options, "force");

	if (!conf->overwrite && !(ours && r->is_new))
		return err_set(err, ERR_EXISTS,
			"%s/%s exists (--overwrite always writes over it)",
			r->pool_name, r->name);
	if (rbd_target_is_layer(r) && !(ours && r->is_new))
		return err_set(err, ERR_EXISTS,
			"%s/%s exists, and over it an image cannot be written "
			"that was stored without its parent's data",
			r->pool_name, r->name);
	return force || conf->dry_run ? ERR_OK : check_watchers(r, ours, err);
}

static enum err
take_there(struct rbd_target *r, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	struct ceph_image *img = conf->dry_run ? r->see : r->img;
	bool ours;
	enum err rc = ceph_image_info(img, &r->info, err);

	if (rc == ERR_OK)
		rc = read_mark(r, img, image->key, &ours, err);
	if (rc == ERR_OK)
		rc = check_there(r, conf, ours, err);
	if (rc != ERR_OK || conf->dry_run)
		return rc;
	rc = lock_image(r, conf, err);
	if (rc == ERR_OK && !ours)
		rc = set_mark(r, MARK_OVER, image->key, err);
	return rc == ERR_OK ? set_size(r, err) : rc;
}

/* ---- a new one ---- */

static enum err
make_new(struct rbd_target *r, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	enum err rc;

	r->is_new = true;
	if (conf->dry_run)
		return ERR_OK;
	rc = rbd_target_make(r, &conf->settings, err);
	if (rc == ERR_OK)
		rc = open_image(r, &r->img, true, err);
	if (rc == ERR_OK)
		rc = set_mark(r, MARK_NEW, image->key, err);
	if (rc == ERR_OK)
		rc = lock_image(r, conf, err);
	if (rc == ERR_OK)
		rc = ceph_image_info(r->img, &r->info, err);
	return rc == ERR_OK ? set_size(r, err) : rc;
}

/* ---- life ---- */

static void
rbd_target_close(struct target *t)
{
	struct rbd_target *r = rbd_of(t);

	rbd_ring_fini(&r->ring);
	ceph_image_close(r->see);
	ceph_image_close(r->img);
	ceph_pool_close(r->pool);
	ceph_disconnect(r->cluster);
	rbd_record_fini(&r->record);
	free(r->pool_name);
	free(r->ns);
	free(r->name);
	free(r);
}

static enum err
connect_to(struct rbd_target *r, const struct settings *s, struct error *err)
{
	const struct option_spec *specs = rbd_target_options;
	struct ceph_conf conf = { .conf = settings_text(s, specs, "conf"),
		.user = settings_text(s, specs, "user"),
		.keyring = settings_text(s, specs, "keyring") };
	uint64_t timeout = settings_number(s, specs, "timeout");
	enum err rc;

	conf.timeout_sec = timeout < 86400 ? (unsigned)timeout : 86400;
	rc = ceph_connect(&r->cluster, &conf, err);
	if (rc == ERR_OK)
		rc = ceph_pool_open(&r->pool, r->cluster, r->pool_name, r->ns,
			err);
	return rc;
}

static enum err
take_record(struct rbd_target *r, const struct target_image *image,
	struct error *err)
{
	const struct rbd_parent *p = &r->record.parent;
	enum err rc;

	if (image->record_len == 0)
		return ERR_OK;
	r->has_record = true;
	rc = rbd_record_decode(&r->record, image->record, image->record_len,
		err);
	if (rc == ERR_OK && rbd_target_is_layer(r) &&
		(p->pool == NULL || p->image == NULL || p->snap == NULL))
		rc = err_set(err, ERR_CORRUPT,
			"the image's record does not say what its parent is");
	return rc;
}

static enum err
prepare(struct rbd_target *r, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	uint64_t depth =
		settings_number(&conf->settings, rbd_target_options, "depth");
	enum err rc = take_record(r, image, err);

	if (rc == ERR_OK)
		rc = take_names(r, conf->rest, err);
	if (rc == ERR_OK)
		rc = connect_to(r, &conf->settings, err);
	if (rc == ERR_OK) {
		rc = open_image(r, conf->dry_run ? &r->see : &r->img,
			!conf->dry_run, err);
		if (rc == ERR_NOTFOUND)
			rc = make_new(r, conf, image, err);
		else if (rc == ERR_OK)
			rc = take_there(r, conf, image, err);
	}
	if (rc == ERR_OK && !conf->dry_run)
		rc = rbd_ring_init(&r->ring, r->img,
			depth < 256 ? (unsigned)depth : 256, err);
	r->base.blank = r->is_new && !rbd_target_is_layer(r);
	return rc;
}

static enum err
rbd_target_open(struct target **out, const struct target_conf *conf,
	const struct target_image *image, struct error *err)
{
	struct rbd_target *r = calloc(1, sizeof(*r));
	enum err rc;

	if (r == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	r->base.ops = &rbd_target_ops;
	r->size = image->size;
	rbd_record_init(&r->record);
	rc = prepare(r, conf, image, err);
	if (rc != ERR_OK) {
		rbd_target_close(&r->base);
		return rc;
	}
	*out = &r->base;
	return ERR_OK;
}

/* ---- bytes ---- */

static enum err
rbd_target_write(struct target *t, uint64_t off, const void *data, size_t len,
	struct error *err)
{
	return rbd_ring_write(&rbd_of(t)->ring, off, data, len, err);
}

static enum err
rbd_target_zero(struct target *t, uint64_t off, uint64_t len, struct error *err)
{
	return rbd_ring_write(&rbd_of(t)->ring, off, NULL, len, err);
}

static enum err
rbd_target_read(struct target *t, uint64_t off, void *data, size_t len,
	struct error *err)
{
	struct rbd_target *r = rbd_of(t);
	size_t have = len;
	struct ceph_op op;
	enum err rc;

	if (r->see == NULL || off >= r->info.size)
		have = 0;
	else if (len > r->info.size - off)
		have = (size_t)(r->info.size - off);
	memset((uint8_t *)data + have, 0, len - have);
	if (have == 0)
		return ERR_OK;
	rc = ceph_read(&op, r->see, off, data, have, err);
	return rc == ERR_OK ? ceph_op_wait(&op, err) : rc;
}

/* ---- marks and the end ---- */

static enum err
flush(struct rbd_target *r, struct error *err)
{
	struct ceph_op op;
	enum err rc = rbd_ring_drain(&r->ring, err);

	if (rc == ERR_OK)
		rc = ceph_flush(&op, r->img, err);
	return rc == ERR_OK ? ceph_op_wait(&op, err) : rc;
}

static enum err
rbd_target_mark(struct target *t, uint64_t done, struct error *err)
{
	struct rbd_target *r = rbd_of(t);
	enum err rc = flush(r, err);

	return rc == ERR_OK ? set_done(r, done, err) : rc;
}

/* An older image keeps the metadata that it has. */
static enum err
set_recorded_meta(struct rbd_target *r, struct error *err)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; r->is_new && i < r->record.n_meta; i++) {
		const struct rbd_meta *m = &r->record.meta[i];

		if (strncmp(m->key, META_OURS, strlen(META_OURS)) == 0)
			continue;
		rc = ceph_meta_set(r->img, m->key, m->value, err);
		if (rc != ERR_OK)
			break;
	}
	return rc;
}

static enum err
rbd_target_finish(struct target *t, struct error *err)
{
	struct rbd_target *r = rbd_of(t);
	enum err rc = flush(r, err);

	if (rc == ERR_OK)
		rc = set_recorded_meta(r, err);
	if (rc == ERR_OK)
		rc = drop_meta(r, META_MARK, err);
	if (rc == ERR_OK)
		rc = drop_meta(r, META_DONE, err);
	return rc;
}

const struct target_ops rbd_target_ops = {
	.scheme = "rbd",
	.summary = "an image of a Ceph cluster (rbd:POOL[/NAMESPACE]/IMAGE, "
		   "rbd:POOL/ or rbd:)",
	.options = rbd_target_options,
	.layers = true,
	.names = true,
	.open = rbd_target_open,
	.close = rbd_target_close,
	.write = rbd_target_write,
	.zero = rbd_target_zero,
	.read = rbd_target_read,
	.each_data = rbd_target_each_data,
	.each_changed = rbd_target_each_changed,
	.mark = rbd_target_mark,
	.finish = rbd_target_finish,
};
