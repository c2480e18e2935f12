/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list: names are sorted by Shell's method: in place, without recursion, and
 * with these gaps (Sedgewick, "A new upper bound for Shellsort", J. Algorithms
 * 1986) in O(n^(4/3)) whatever the order; for the few names of most
 * directories it is an insertion sort.  What is compared is mostly the eight
 * bytes behind those that all names have in common.
 */
#include "source/files/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/path.h"
#include "source/files/dirs.h"

enum { DENTS_SIZE = 128 << 10, ARENA_FIRST = 2048, HEADS_KEPT = 8192 };

struct name_head {
	uint64_t head;
	uint32_t at;
};

void
lister_init(struct lister *ls)
{
	*ls = (struct lister){ .key = BUF_INIT((size_t)2 * KEY_MAX) };
}

void
lister_fini(struct lister *ls)
{
	free(ls->dents);
	free(ls->heads);
	buf_fini(&ls->key);
}

void
list_fini(struct list *l)
{
	free(l->arena);
	free(l->at);
	*l = (struct list){ .n = 0 };
}

/* ---- reading ---- */

struct reading {
	struct list *list;
	struct lister *ls;
	const struct rules *rules;
	int fd;
	size_t key_len; /* of the directory's in ls->key */
	size_t len, cap; /* of the arena */
	uint32_t tags; /* those of which the name was seen */
};

static bool
is_dots(const char *name)
{
	return name[0] == '.' &&
	       (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static bool
is_dir(const struct reading *r, const struct dirent64 *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_DIR;
	return fstatat(r->fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static enum err
excluded(struct reading *r, const struct dirent64 *d, size_t len, bool *out,
	struct error *err)
{
	struct buf *key = &r->ls->key;
	enum err rc = ERR_OK;

	*out = false;
	if (patterns_empty(r->rules->patterns))
		return ERR_OK;
	key->len = r->key_len;
	if (r->key_len > 0)
		rc = buf_put_u8(key, 0, err);
	if (rc == ERR_OK)
		rc = buf_put(key, d->d_name, len, err);
	if (rc == ERR_OK)
		*out = patterns_match(r->rules->patterns, key->data, key->len,
			       is_dir(r, d)) == PATTERN_EXCLUDE;
	return rc;
}

static enum err
keep(struct reading *r, const char *name, size_t len, struct error *err)
{
	struct list *l = r->list;
	size_t need = r->len + len + 2;

	if (need > UINT32_MAX)
		return err_set(err, ERR_NOMEM,
			"the directory has too many entries");
	if (need > r->cap) {
		size_t cap = r->cap > 0 ? 2 * r->cap : ARENA_FIRST;
		char *more = realloc(l->arena, cap);

		if (more == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for the names in the directory");
		l->arena = more;
		r->cap = cap;
	}
	l->arena[r->len] = (char)(uint8_t)len;
	memcpy(l->arena + r->len + 1, name, len + 1);
	r->len = need;
	l->n++;
	return ERR_OK;
}

static enum err
take(struct reading *r, const struct dirent64 *d, struct error *err)
{
	size_t len = strlen(d->d_name);
	bool out;
	enum err rc;

	if (is_dots(d->d_name))
		return ERR_OK;
	if (len == 0 || len > COMPONENT_MAX || r->key_len + 1 + len > KEY_MAX) {
		r->list->n_bad++;
		return ERR_OK;
	}
	for (size_t i = 0; i < r->rules->n_tags; i++) {
		if (strcmp(r->rules->tags[i].name, d->d_name) == 0)
			r->tags |= UINT32_C(1) << i;
	}
	rc = excluded(r, d, len, &out, err);
	if (rc != ERR_OK || out)
		return rc;
	return keep(r, d->d_name, len, err);
}

static enum err
read_names(struct reading *r, struct error *err)
{
	uint8_t *dents = r->ls->dents;

	/* It may have been read before. */
	if (lseek(r->fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "list the directory");
	for (;;) {
		ssize_t got = getdents64(r->fd, dents, DENTS_SIZE);

		if (got == 0)
			return ERR_OK;
		if (got < 0)
			return err_sys(err, errno, "list the directory");
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *d = (const void *)(dents + at);
			enum err rc = take(r, d, err);

			if (rc != ERR_OK)
				return rc;
			at += d->d_reclen;
		}
	}
}

/* ---- order ---- */

static size_t
common(const char *a, const char *b, size_t max)
{
	size_t i = 0;

	while (i < max && a[i] == b[i] && a[i] != '\0')
		i++;
	return i;
}

static uint64_t
head_of(const char *name)
{
	uint64_t head = 0;

	for (unsigned i = 0; i < 8; i++) {
		head = head << 8 | (uint8_t)*name;
		if (*name != '\0')
			name++;
	}
	return head;
}

/* Heads are equal also where both names end within them. */
static bool
before(const struct name_head *a, const struct name_head *b, const char *rest)
{
	if (a->head != b->head)
		return a->head < b->head;
	if ((a->head & 0xff) == 0)
		return false;
	return strcmp(rest + a->at, rest + b->at) < 0;
}

static void
shell_sort(struct name_head *v, size_t n, const char *rest)
{
	static const unsigned shift_max = 15;

	for (unsigned k = shift_max + 1; k-- > 0;) {
		size_t gap = k == 0 ? 1
				    : ((size_t)1 << 2 * k) +
					      3 * ((size_t)1 << (k - 1)) + 1;

		for (size_t i = gap; i < n; i++) {
			struct name_head x = v[i];
			size_t j = i;

			for (; j >= gap && before(&x, &v[j - gap], rest);
				j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static enum err
reserve_heads(struct lister *ls, size_t n, struct error *err)
{
	size_t cap = n < HEADS_KEPT / 2 ? 2 * n : n;
	struct name_head *more;

	if (n <= ls->heads_cap)
		return ERR_OK;
	more = reallocarray(ls->heads, cap, sizeof(*more));
	if (more == NULL)
		return err_set(err, ERR_NOMEM,
			"no memory for the names in the directory");
	ls->heads = more;
	ls->heads_cap = cap;
	return ERR_OK;
}

static void
set_heads(const struct list *l, struct name_head *heads, size_t *shared)
{
	const char *first = l->arena + 1;
	uint32_t at = 1;

	*shared = (uint8_t)l->arena[0];
	for (size_t i = 0; i < l->n; i++) {
		heads[i].at = at;
		*shared = common(first, l->arena + at, *shared);
		at += (uint32_t)(uint8_t)l->arena[at - 1] + 2;
	}
	for (size_t i = 0; i < l->n; i++)
		heads[i].head = head_of(l->arena + heads[i].at + *shared);
}

static enum err
sort(struct list *l, struct lister *ls, struct error *err)
{
	size_t shared, n = 0;
	enum err rc;

	if (l->n == 0)
		return ERR_OK;
	rc = reserve_heads(ls, l->n, err);
	if (rc != ERR_OK)
		return rc;
	set_heads(l, ls->heads, &shared);
	shell_sort(ls->heads, l->n, l->arena + shared);
	l->at = calloc(l->n, sizeof(*l->at));
	if (l->at == NULL)
		return err_set(err, ERR_NOMEM,
			"no memory for the names in the directory");
	/* A directory that changes may tell a name twice. */
	for (size_t i = 0; i < l->n; i++) {
		if (n == 0 || strcmp(l->arena + l->at[n - 1],
				      l->arena + ls->heads[i].at) != 0)
			l->at[n++] = ls->heads[i].at;
	}
	l->n = n;
	return ERR_OK;
}

/* ---- tags ---- */

/* Of a directory with a tag that holds, only the tag is left. */
static void
obey_tags(struct reading *r)
{
	struct list *l = r->list;

	for (size_t k = 0; k < r->rules->n_tags; k++) {
		const struct tag *tag = &r->rules->tags[k];
		size_t n = 0;

		if ((r->tags >> k & 1) == 0 || !rules_tag_holds(tag, r->fd))
			continue;
		for (size_t i = 0; i < l->n && n == 0; i++) {
			if (strcmp(l->arena + l->at[i], tag->name) == 0)
				l->at[n++] = l->at[i];
		}
		l->n = n;
		return;
	}
}

/* What a large directory needed is not kept for the small ones. */
static void
trim(struct reading *r)
{
	struct list *l = r->list;
	char *less;

	if (r->len < r->cap) {
		less = realloc(l->arena, r->len + 1);
		if (less != NULL)
			l->arena = less;
	}
	l->size = r->len + l->n * sizeof(*l->at);
	if (r->ls->heads_cap > HEADS_KEPT) {
		free(r->ls->heads);
		r->ls->heads = NULL;
		r->ls->heads_cap = 0;
	}
}

enum err
list_read(struct list *out, struct lister *ls, const struct dir *d, int fd,
	const struct rules *rules, struct error *err)
{
	struct list l = { .n = 0 };
	struct reading r = {
		.list = &l,
		.ls = ls,
		.rules = rules,
		.fd = fd,
		.key_len = dirs_key_len(d),
	};
	enum err rc = ERR_OK;

	if (ls->dents == NULL)
		ls->dents = malloc(DENTS_SIZE);
	if (ls->dents == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a directory");
	buf_clear(&ls->key);
	if (!patterns_empty(rules->patterns))
		rc = dirs_key(d, &ls->key, err);
	if (rc == ERR_OK)
		rc = read_names(&r, err);
	if (rc == ERR_OK)
		rc = sort(&l, ls, err);
	if (rc != ERR_OK) {
		list_fini(&l);
		return rc;
	}
	obey_tags(&r);
	trim(&r);
	*out = l;
	return ERR_OK;
}

/* ---- stamps ---- */

void
list_stat(const struct list *l, size_t first, size_t n, struct stamp *stamps,
	int fd, const struct rules *rules)
{
	for (size_t i = 0; i < n; i++) {
		struct stamp *s = &stamps[i];

		if (!stamp_get(s, fd, l->arena + l->at[first + i]))
			s->left_out =
				s->errnum == ENOENT || s->errnum == ESTALE;
		else if (rules->size_max > 0 && stamp_is_file(s))
			s->left_out = s->size > rules->size_max;
	}
}
