/* SPDX-License-Identifier: Apache-2.0 */
#include "source/moosefs/following.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	LOOK_NS = 50000000, /* between two looks at what was received */
	TELL_SEC = 1,
	SEAL_GAP_SEC = 1, /* between two sealings because of many bytes */
	SEALS_MAX = 2 /* of a generation at once: an older image, the newest */
};

struct following {
	const struct following_conf *conf;
	struct lineup *line; /* of conf->receive */
	double sealed_at;
	pthread_t teller;
	_Atomic bool told_enough;

	/* the teller's own */
	double told_at;
	unsigned told; /* states */
};

static bool
is_unsealed(const struct journal_figures *n)
{
	return n->has_base && (n->durable > n->sealed || !n->base_sealed);
}

/* ---- sealing ---- */

/* One that others come after gets no more changes: it is sealed to its end. */
static enum err
seal_first(const struct following *w, struct error *err)
{
	const struct following_conf *c = w->conf;
	struct journal_figures n;
	struct error why = ERROR_INIT;
	struct journal *j;
	char gen[HOME_GEN_MAX];
	enum err rc = ERR_OK;

	/* Why it cannot be opened is noted. */
	if (lineup_first(w->line, gen, &j, &why) != ERR_OK || j == NULL)
		return ERR_OK;
	c->choose(c->arg, j, gen);
	for (unsigned i = 0; i < SEALS_MAX && rc == ERR_OK; i++) {
		journal_figures(j, &n);
		if (!is_unsealed(&n) || (i > 0 && !lineup_has_next(w->line)))
			break;
		rc = c->f->seal(c->f->arg, err);
	}
	return rc;
}

static enum err
seal_all(struct following *w, struct error *err)
{
	const struct following_conf *c = w->conf;
	enum err rc;

	w->sealed_at = mono_sec();
	for (;;) {
		rc = seal_first(w, err);
		if (rc != ERR_OK || !lineup_has_next(w->line))
			return rc;
		c->choose(c->arg, NULL, "");
		lineup_next(w->line);
	}
}

static bool
seal_is_due(const struct following *w)
{
	const struct following_conf *c = w->conf;
	double sec = mono_sec() - w->sealed_at;
	char gen[HOME_GEN_MAX];
	struct journal_figures n;

	if (sec < SEAL_GAP_SEC)
		return false;
	if (lineup_has_next(w->line))
		return true;
	if (!lineup_figures(w->line, gen, &n) || !is_unsealed(&n))
		return false;
	return sec >= c->f->seal_sec || n.bytes_waiting >= c->f->seal_bytes;
}

/* ---- telling ---- */

static void
fill_state(const struct following *w, const struct receive_state *now,
	struct follow_state *out)
{
	const struct following_conf *c = w->conf;
	char gen[HOME_GEN_MAX] = "";
	struct journal_figures n;
	bool any = lineup_figures(w->line, gen, &n);

	*out = (struct follow_state){ .health = now->health,
		.heard = now->heard,
		.connections = now->connections };
	(void)snprintf(out->why, sizeof(out->why), "%s", now->why);
	(void)snprintf(out->dir, sizeof(out->dir), "%s", c->dir);
	(void)snprintf(out->name, sizeof(out->name),
		any ? "%.200s#%s" : "%.200s", c->label, gen);
	if (!any || !n.has_base)
		return;
	if (now->health == FOLLOW_PROTECTED && strchr(gen, '.') != NULL)
		(void)snprintf(out->why, sizeof(out->why),
			"the master went back; what it had before is kept as "
			"an earlier generation");
	out->first = n.base;
	out->last = n.durable - 1;
	out->sealed = n.sealed > 0 ? n.sealed - 1 : 0;
	out->changed.sec = (int64_t)n.seconds;
	out->saved = n.saved;
	out->bytes_waiting = n.bytes_waiting;
}

static void
tell(struct following *w)
{
	const struct following_conf *c = w->conf;
	struct receive_state now;
	struct follow_state state;
	bool more;

	do {
		receive_state(c->receive, &now);
		more = now.changes != w->told;
		if (!more && mono_sec() - w->told_at < TELL_SEC)
			return;
		fill_state(w, &now, &state);
		c->f->tell(c->f->arg, &state);
		w->told = now.changes;
		w->told_at = mono_sec();
	} while (more);
}

static void
wait_a_little(void)
{
	const struct timespec t = { .tv_nsec = LOOK_NS };

	(void)nanosleep(&t, NULL);
}

static void *
keep_telling(void *arg)
{
	struct following *w = arg;

	while (!w->told_enough) {
		tell(w);
		wait_a_little();
	}
	w->told_at = 0;
	tell(w);
	return NULL;
}

/* ---- both ---- */

static void
seal_until(struct following *w, const _Atomic bool *stop)
{
	struct error why;

	while (!*stop) {
		why = ERROR_INIT;
		/* That it failed was told by who failed; the journal keeps
		 * what is to be sealed. */
		if (seal_is_due(w) && seal_all(w, &why) != ERR_OK)
			w->sealed_at = mono_sec();
		else
			wait_a_little();
	}
}

enum err
following_run(const struct following_conf *conf, const _Atomic bool *stop,
	struct error *err)
{
	struct following w = { .conf = conf,
		.line = receive_line(conf->receive),
		.told = UINT32_MAX };
	int e = pthread_create(&w.teller, NULL, keep_telling, &w);
	enum err rc;

	if (e != 0)
		return err_sys(err, e, "a thread that tells the state");
	rc = receive_start(conf->receive, err);
	if (rc == ERR_OK) {
		seal_until(&w, stop);
		receive_stop(conf->receive);
		rc = seal_all(&w, err);
	}
	w.told_enough = true;
	(void)pthread_join(w.teller, NULL);
	conf->choose(conf->arg, NULL, "");
	return rc;
}
