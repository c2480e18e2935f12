/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/select.h"

#include <stdlib.h>
#include <string.h>

#include "repo/names.h"

struct loading {
	struct snapshot_list *list;
	const struct snapshot_filter *filter;
};

/* "/etc" means "files:/etc". */
static bool
has_source(const struct strings *sources, const char *wanted)
{
	static const char files[] = "files:";

	for (size_t i = 0; i < sources->n; i++) {
		const char *s = sources->v[i];

		if (strcmp(s, wanted) == 0)
			return true;
		if (strncmp(s, files, sizeof(files) - 1) == 0 &&
			strcmp(s + sizeof(files) - 1, wanted) == 0)
			return true;
	}
	return false;
}

static bool
passes(const struct snapshot *s, const struct snapshot_filter *f)
{
	if (f == NULL)
		return true;
	if (f->host != NULL &&
		(s->host == NULL || strcmp(f->host, s->host) != 0))
		return false;
	for (size_t i = 0; i < f->tags.n; i++)
		if (!strings_have(&s->tags, f->tags.v[i]))
			return false;
	for (size_t i = 0; i < f->sources.n; i++)
		if (!has_source(&s->sources, f->sources.v[i]))
			return false;
	return true;
}

static enum err
pass_over(const struct loading *l, const struct snapshot_name *name,
	const struct error *why, struct error *err)
{
	const struct snapshot_filter *f = l->filter;

	if ((why->code == ERR_CORRUPT || why->code == ERR_VERSION) &&
		f != NULL && (f->bad != NULL || f->bad_uid != NULL)) {
		if (f->bad_uid != NULL)
			f->bad_uid(f->bad_arg, name, why);
		else
			f->bad(f->bad_arg, why);
		return ERR_OK;
	}
	*err = *why;
	return err->code;
}

static enum err
on_bad(void *arg, const char *name, const struct error *why, struct error *err)
{
	struct snapshot_name found = { 0 };
	const char *at = name;

	if (!names_text(&at, "snapshots/") ||
		!names_hex(&at, found.ns.b, UID_LEN) || !names_text(&at, "/") ||
		!names_hex(&at, found.sid.b, UID_LEN))
		found = (struct snapshot_name){ 0 };
	return pass_over(arg, &found, why, err);
}

static enum err
load_one(void *arg, const struct snapshot_ref *ref, struct error *err)
{
	struct loading *l = arg;
	struct snapshot *v;
	struct error why = ERROR_INIT;
	struct snapshot_name name = { ref->ns_id, ref->uid };
	struct snapshot s;
	char uid[UID_HEX + 1];
	enum err rc;

	if (l->filter != NULL && l->filter->forgotten && !ref->forgotten)
		return ERR_OK;
	snapshot_init(&s);
	s.uid = ref->uid;
	s.ns = ref->ns_id;
	s.forgotten = ref->forgotten;
	s.held = ref->held;
	rc = snapshot_decode(&s, ref->data, ref->len, &why);
	if (rc != ERR_OK) {
		hex_encode(ref->uid.b, UID_LEN, uid);
		snapshot_fini(&s);
		(void)err_wrap(&why, "snapshot %s", uid);
		return pass_over(l, &name, &why, err);
	}
	if (!passes(&s, l->filter)) {
		snapshot_fini(&s);
		return ERR_OK;
	}
	v = realloc(l->list->v, (l->list->n + 1) * sizeof(*v));
	if (v == NULL) {
		snapshot_fini(&s);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	l->list->v = v;
	v[l->list->n++] = s;
	return ERR_OK;
}

static int
by_time(const void *a, const void *b)
{
	const struct snapshot *x = a, *y = b;
	int order = when_cmp(&x->begin, &y->begin);

	return order != 0 ? order : memcmp(&x->uid, &y->uid, UID_LEN);
}

enum err
snapshot_list_load(struct snapshot_list *out, struct repo *r,
	const struct snapshot_filter *filter, struct error *err)
{
	struct snapshot_list list = { NULL, 0 };
	struct loading l = { &list, filter };
	enum err rc;

	rc = repo_each_snapshot_named(r, filter != NULL ? filter->uid : NULL,
		filter != NULL && filter->forgotten ? SNAPSHOTS_FORGOTTEN : 0,
		load_one, on_bad, &l, err);
	if (rc != ERR_OK) {
		snapshot_list_fini(&list);
		return rc;
	}
	if (list.n > 0)
		qsort(list.v, list.n, sizeof(*list.v), by_time);
	*out = list;
	return ERR_OK;
}

void
snapshot_list_fini(struct snapshot_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		snapshot_fini(&list->v[i]);
	free(list->v);
	*list = (struct snapshot_list){ NULL, 0 };
}

static bool
is_hex(const char *text)
{
	size_t len = strspn(text, "0123456789abcdef");

	return len >= 1 && len <= UID_HEX && text[len] == '\0';
}

/* The one whose uid begins with name. */
static enum err
pick_prefix(const struct snapshot_list *list, const char *name, size_t *at,
	struct error *err)
{
	char text[UID_HEX + 1];
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		hex_encode(list->v[i].uid.b, UID_LEN, text);
		if (strncmp(text, name, strlen(name)) != 0)
			continue;
		*at = i;
		n++;
	}
	if (n == 0)
		return err_set(err, ERR_NOTFOUND, "no snapshot %s", name);
	if (n > 1)
		return err_set(err, ERR_USAGE,
			"%s begins the names of %zu snapshots", name, n);
	return ERR_OK;
}

enum err
snapshot_select(struct snapshot *out, struct repo *r, const char *name,
	const struct snapshot_filter *filter, struct error *err)
{
	bool latest = strcmp(name, "latest") == 0;
	struct snapshot_filter any = { 0 };
	struct snapshot_list list;
	size_t at = 0;
	enum err rc;

	if (!latest && !is_hex(name))
		return err_set(err, ERR_USAGE,
			"%s is neither \"latest\" nor the name of a snapshot",
			name);
	if (filter != NULL) {
		any.bad = filter->bad;
		any.bad_uid = filter->bad_uid;
		any.bad_arg = filter->bad_arg;
	}
	any.uid = name;
	rc = snapshot_list_load(&list, r, latest ? filter : &any, err);
	if (rc != ERR_OK)
		return rc;
	if (!latest)
		rc = pick_prefix(&list, name, &at, err);
	else if (list.n == 0)
		rc = err_set(err, ERR_NOTFOUND, "no snapshot fits");
	else
		at = list.n - 1;
	if (rc == ERR_OK) {
		snapshot_fini(out);
		*out = list.v[at];
		snapshot_init(&list.v[at]);
	}
	snapshot_list_fini(&list);
	return rc;
}

void
snapshot_split(char *spec, char **name, char **subpath)
{
	char *colon = strchr(spec, ':');

	*name = spec;
	*subpath = NULL;
	if (colon != NULL) {
		*colon = '\0';
		*subpath = colon + 1;
	}
}
