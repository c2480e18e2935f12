/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lineup: one lock, never held while a journal is opened or closed.  Which
 * generation is the current one is written down under it: who seals must not
 * let go meanwhile of a journal that comes again.
 *
 * Crash argument: a generation leaves the line after it was sealed, or with
 * the process; then the next process finds by its directory that it is not
 * sealed (source/moosefs/unsealed.h).
 */
#include "source/moosefs/lineup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "source/moosefs/unsealed.h"

void
lineup_init(struct lineup *l, const struct home *home,
	void (*note)(void *arg, const char *sentence), void *arg)
{
	*l = (struct lineup){ .home = home, .note = note, .arg = arg };
	(void)pthread_mutex_init(&l->lock, NULL);
}

static void
lock(struct lineup *l)
{
	(void)pthread_mutex_lock(&l->lock);
}

static void
unlock(struct lineup *l)
{
	(void)pthread_mutex_unlock(&l->lock);
}

/* Take out the i-th; its journal, unless another one has it, too. */
static struct journal *
take_out(struct lineup *l, size_t i)
{
	struct journal *j = l->v[i].journal;

	memmove(l->v + i, l->v + i + 1, (l->n - i - 1) * sizeof(*l->v));
	l->n--;
	for (size_t k = 0; k < l->n; k++)
		if (l->v[k].journal == j)
			return NULL;
	return j;
}

void
lineup_fini(struct lineup *l)
{
	while (l->n > 0)
		journal_close(take_out(l, l->n - 1));
	free(l->v);
	(void)pthread_mutex_destroy(&l->lock);
}

static enum err
append(struct lineup *l, const char *gen, struct journal *j, struct error *err)
{
	struct lineup_entry *v =
		array_grow(l->v, l->n, &l->cap, sizeof(*v), err);

	if (v == NULL)
		return err->code;
	l->v = v;
	v += l->n++;
	*v = (struct lineup_entry){ .journal = j };
	(void)snprintf(v->name, sizeof(v->name), "%s", gen);
	return ERR_OK;
}

static enum err
open_journal(const struct lineup *l, const char *gen, struct journal **out,
	struct error *err)
{
	struct journal_conf conf = { .note = l->note, .arg = l->arg };
	char *path = home_path(l->home, gen);
	enum err rc;

	if (path == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	conf.dir = path;
	rc = journal_open(out, &conf, err);
	free(path);
	return rc;
}

/* ---- what was left ---- */

static void
tell_left_out(struct lineup *l, const char *gen, const struct error *why)
{
	char text[700];

	(void)snprintf(text, sizeof(text),
		"what was received of %s before cannot be sealed now, and is "
		"looked at again by the next process: %s",
		gen, why->msg);
	if (l->note != NULL)
		l->note(l->arg, text);
}

static enum err
append_if_unsealed(struct lineup *l, const char *gen, struct error *err)
{
	struct error why = ERROR_INIT;
	char *path = home_path(l->home, gen);
	bool is = false;
	enum err rc;

	if (path == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a name");
	rc = unsealed_look(path, &is, &why);
	free(path);
	if (rc != ERR_OK)
		tell_left_out(l, gen, &why);
	return is ? append(l, gen, NULL, err) : ERR_OK;
}

enum err
lineup_load(struct lineup *l, struct error *err)
{
	struct home_generations all = { NULL, 0, 0 };
	struct error why = ERROR_INIT;
	struct journal *j = NULL;
	char current[HOME_GEN_MAX] = "";
	enum err rc = home_generations(l->home, &all, err);

	if (rc == ERR_OK)
		rc = home_current(l->home, current, err);
	for (size_t i = 0; i < all.n && rc == ERR_OK; i++)
		if (strcmp(all.v[i].name, current) != 0)
			rc = append_if_unsealed(l, all.v[i].name, err);
	free(all.v);
	if (rc != ERR_OK || current[0] == '\0')
		return rc;
	/* The connection needs it, too, and says what is wrong with it. */
	if (open_journal(l, current, &j, &why) != ERR_OK)
		return ERR_OK;
	rc = append(l, current, j, err);
	l->receives = rc == ERR_OK;
	if (rc != ERR_OK)
		journal_close(j);
	return rc;
}

/* ---- who receives ---- */

struct journal *
lineup_target(struct lineup *l)
{
	struct journal *j;

	lock(l);
	j = l->receives ? l->v[l->n - 1].journal : NULL;
	unlock(l);
	return j;
}

/* The journal of a generation that is in the line already.  One that nobody
 * has opened yet is taken out: it is opened and put at the end. */
static enum err
find(struct lineup *l, const char *gen, struct journal **out, struct error *err)
{
	size_t i = 0;

	*out = NULL;
	while (i < l->n && strcmp(l->v[i].name, gen) != 0)
		i++;
	if (i == l->n)
		return ERR_OK;
	if (l->v[i].opening)
		return err_set(err, ERR_AGAIN,
			"what was received before of %s is being read", gen);
	*out = l->v[i].journal;
	if (*out == NULL)
		(void)take_out(l, i);
	return ERR_OK;
}

/* Under the lock. */
static enum err
make_target(struct lineup *l, const char *gen, struct journal *j,
	struct error *err)
{
	enum err rc = home_set_current(l->home, gen, err);

	if (rc == ERR_OK)
		rc = append(l, gen, j, err);
	l->receives |= rc == ERR_OK;
	return rc;
}

enum err
lineup_use(struct lineup *l, const char *gen, struct error *err)
{
	struct journal *j = lineup_target(l);
	bool is;
	enum err rc;

	lock(l);
	is = l->receives && strcmp(l->v[l->n - 1].name, gen) == 0;
	unlock(l);
	if (is)
		return ERR_OK;
	rc = j != NULL ? journal_sync(j, err) : ERR_OK;
	if (rc != ERR_OK)
		return rc;
	lock(l);
	rc = find(l, gen, &j, err);
	if (rc == ERR_OK && j != NULL)
		rc = make_target(l, gen, j, err);
	unlock(l);
	if (rc != ERR_OK || j != NULL)
		return rc;
	rc = open_journal(l, gen, &j, err);
	lock(l);
	if (rc == ERR_OK)
		rc = make_target(l, gen, j, err);
	unlock(l);
	if (rc != ERR_OK)
		journal_close(j);
	return rc;
}

/* ---- who seals ---- */

enum err
lineup_first(struct lineup *l, char gen[HOME_GEN_MAX], struct journal **out,
	struct error *err)
{
	struct journal *j = NULL;
	enum err rc = ERR_OK;
	bool open = false;

	lock(l);
	if (l->n > 0) {
		j = l->v[0].journal;
		memcpy(gen, l->v[0].name, HOME_GEN_MAX);
		open = l->v[0].opening = j == NULL;
	}
	unlock(l);
	if (open) {
		rc = open_journal(l, gen, &j, err);
		lock(l);
		l->v[0].journal = j;
		l->v[0].opening = false;
		unlock(l);
	}
	*out = rc == ERR_OK ? j : NULL;
	if (rc != ERR_OK)
		tell_left_out(l, gen, err);
	return rc;
}

bool
lineup_has_next(struct lineup *l)
{
	bool has;

	lock(l);
	has = l->n > 1 || (l->n == 1 && !l->receives);
	unlock(l);
	return has;
}

void
lineup_next(struct lineup *l)
{
	struct journal *old;

	lock(l);
	old = take_out(l, 0);
	unlock(l);
	journal_close(old);
}

/* ---- any thread ---- */

bool
lineup_figures(struct lineup *l, char gen[HOME_GEN_MAX],
	struct journal_figures *out)
{
	bool receives;

	lock(l);
	receives = l->receives;
	if (receives) {
		memcpy(gen, l->v[l->n - 1].name, HOME_GEN_MAX);
		journal_figures(l->v[l->n - 1].journal, out);
	}
	unlock(l);
	return receives;
}
