/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload: pack by pack, in the order in which they were opened.
 *
 * Crash argument.  A pack becomes known to the index only after the store
 * made it durable, and a segment names only such packs; killed in between, a
 * pack is left that nothing names.
 */
#include "repo/upload.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "codec/hash.h"
#include "repo/writer.h"

struct upload {
	struct upload_conf conf;
	struct buf table;
	pthread_mutex_t drain_lock; /* of table, where there is no thread */
	pthread_mutex_t publish_lock; /* one publication at a time */
	double published;
	pthread_t thread;
};

/* Header, table and trailer around the records; the pack is then whole. */
static enum err
finish(struct upload *u, struct stage_pack *p, struct error *err)
{
	const struct pack_table_conf conf = {
		.structure = u->conf.structure,
		.header = &p->header,
		.recs = p->recs,
		.n_recs = p->n_recs,
		.body_len = p->len,
	};
	enum err rc;

	pack_header_encode(&p->header, p->bytes);
	buf_clear(&u->table);
	rc = pack_table_seal(&u->table, &conf, err);
	if (rc != ERR_OK)
		return rc;
	if (u->table.len > p->room - p->len)
		return err_set(err, ERR_NOMEM, "table of a pack is too large");
	memcpy(p->bytes + p->len, u->table.data, u->table.len);
	p->len += u->table.len;
	return ERR_OK;
}

static enum err
store_pack(struct upload *u, struct stage_pack *p, struct error *err)
{
	struct pack_info info;
	char name[PACK_NAME];
	enum err rc = finish(u, p, err);

	if (rc != ERR_OK)
		return rc;
	hash_plain(&info.id, p->bytes, p->len);
	info.size = p->len;
	info.n_records = p->n_recs;
	pack_name(name, &info.id);
	rc = store_put(u->conf.store, name, p->bytes, p->len, err);
	/* The name says what is in it: it was this one, tried before. */
	if (rc != ERR_OK && rc != ERR_EXISTS)
		return rc;
	return index_add(u->conf.index, &info, p->recs, err);
}

enum err
upload_publish(struct upload *u, struct error *err)
{
	enum err rc;

	pthread_mutex_lock(&u->publish_lock);
	rc = index_publish(u->conf.index, err);
	u->published = mono_sec();
	pthread_mutex_unlock(&u->publish_lock);
	return rc;
}

static bool
is_due(struct upload *u)
{
	double published;

	pthread_mutex_lock(&u->publish_lock);
	published = u->published;
	pthread_mutex_unlock(&u->publish_lock);
	return index_unpublished(u->conf.index) >= PUBLISH_PACKS ||
	       mono_sec() - published >= PUBLISH_SEC;
}

static void
handle(struct upload *u, struct stage_pack *p)
{
	struct stage *s = u->conf.stage;
	struct error err = ERROR_INIT;
	enum err rc = store_pack(u, p, &err);
	bool stored = rc == ERR_OK;

	if (stored && is_due(u))
		rc = upload_publish(u, &err);
	if (rc != ERR_OK)
		stage_fail(s, &err);
	stage_recycle(s, p, stored);
}

static void *
run(void *arg)
{
	struct upload *u = arg;
	struct stage_pack *p;

	while ((p = stage_take(u->conf.stage)) != NULL)
		handle(u, p);
	return NULL;
}

void
upload_drain(struct upload *u)
{
	struct stage_pack *p;

	if (!u->conf.inline_upload)
		return;
	pthread_mutex_lock(&u->drain_lock);
	while ((p = stage_take_now(u->conf.stage)) != NULL)
		handle(u, p);
	pthread_mutex_unlock(&u->drain_lock);
}

/* Signals are for the threads that know what to do about them. */
static int
start_thread(struct upload *u)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&u->thread, NULL, run, u);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

enum err
upload_start(struct upload **out, const struct upload_conf *conf,
	struct error *err)
{
	struct upload *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a session");
	u->conf = *conf;
	u->table = BUF_INIT(PACK_TABLE_MAX + PACK_ALIGN);
	u->published = mono_sec();
	pthread_mutex_init(&u->publish_lock, NULL);
	pthread_mutex_init(&u->drain_lock, NULL);
	rc = conf->inline_upload ? 0 : start_thread(u);
	if (rc != 0) {
		pthread_mutex_destroy(&u->drain_lock);
		pthread_mutex_destroy(&u->publish_lock);
		free(u);
		return err_sys(err, rc, "thread that stores packs");
	}
	*out = u;
	return ERR_OK;
}

void
upload_stop(struct upload *u)
{
	if (u == NULL)
		return;
	stage_end(u->conf.stage);
	if (!u->conf.inline_upload)
		pthread_join(u->thread, NULL);
	pthread_mutex_destroy(&u->drain_lock);
	pthread_mutex_destroy(&u->publish_lock);
	buf_fini(&u->table);
	free(u);
}
