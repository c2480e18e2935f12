/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern: each rule becomes a row of tokens, matched on keys, in which a
 * zero byte is the slash.
 *
 * The grammar is that of git's wildmatch.c and dir.c (parse_path_pattern,
 * trim_trailing_spaces).  Tokens are the states of a nondeterministic
 * automaton that is simulated with one bit per state (Thompson, "Regular
 * expression search algorithm", CACM 1968), so no input makes it go back.
 *
 * In one place git does not do what its manual says: it compares the part
 * before the first wildcard separately, and so takes the asterisks of
 * "x/foo**" "/bar" for a leading "**" "/".  Here they are what the manual
 * calls regular asterisks.
 */
#include "model/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fsx.h"
#include "model/path.h"

enum {
	RULE_MAX = 4096, /* bytes of a rule, and so tokens */
	RULE_FILE_MAX = 64 << 20,
	STATE_WORDS = RULE_MAX / 64 + 1
};

enum token_kind {
	TOKEN_BYTE, /* this byte; zero is the slash */
	TOKEN_ANY, /* one byte, not the slash */
	TOKEN_CLASS, /* one byte of a set */
	TOKEN_STAR, /* bytes other than the slash */
	TOKEN_ALL, /* any bytes */
	TOKEN_DIRS /* nothing, or any bytes and then a slash */
};

struct token {
	uint8_t kind;
	uint8_t byte;
	uint16_t class;
};

struct class
{
	uint64_t bits[4];
};

struct rule {
	bool negated, dirs_only;
	bool whole; /* on the whole key; else on the last component */
	bool dead; /* malformed: git lets it match nothing */
	size_t n_head; /* TOKEN_BYTEs at the front */
	size_t n_tail; /* and at the end, where there is a wildcard */
	size_t n_tokens;
	struct token *tokens;
	struct class *classes;
	size_t n_classes;
};

struct patterns {
	struct rule *rules;
	size_t n, cap;
};

enum err
patterns_new(struct patterns **out, struct error *err)
{
	struct patterns *ps = calloc(1, sizeof(*ps));

	if (ps == NULL)
		return err_set(err, ERR_NOMEM, "no memory for patterns");
	*out = ps;
	return ERR_OK;
}

static void
rule_fini(struct rule *r)
{
	free(r->tokens);
	free(r->classes);
}

void
patterns_free(struct patterns *ps)
{
	if (ps == NULL)
		return;
	for (size_t i = 0; i < ps->n; i++)
		rule_fini(&ps->rules[i]);
	free(ps->rules);
	free(ps);
}

bool
patterns_empty(const struct patterns *ps)
{
	return ps->n == 0;
}

/* ---- character classes ---- */

static void
class_put(struct class *c, unsigned byte)
{
	c->bits[byte / 64] |= UINT64_C(1) << byte % 64;
}

static bool
class_has(const struct class *c, unsigned byte)
{
	return (c->bits[byte / 64] >> byte % 64 & 1) != 0;
}

/* The names that POSIX gives, on ASCII whatever the locale. */
static bool
in_named(const char *name, size_t len, int b, bool *known)
{
	static const struct {
		const char *name;
		int (*has)(int);
	} table[] = {
		{ "alnum", isalnum },
		{ "alpha", isalpha },
		{ "blank", isblank },
		{ "cntrl", iscntrl },
		{ "digit", isdigit },
		{ "graph", isgraph },
		{ "lower", islower },
		{ "print", isprint },
		{ "punct", ispunct },
		{ "space", isspace },
		{ "upper", isupper },
		{ "xdigit", isxdigit },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strlen(table[i].name) == len &&
			memcmp(table[i].name, name, len) == 0) {
			*known = true;
			return b < 128 && table[i].has(b) != 0;
		}
	}
	*known = false;
	return false;
}

/* p is behind "[:"; where it ends in ":]", its set and the position of ']'.
 * NULL and *bad false: this is no named class. */
static const char *
class_named(struct class *c, const char *p, const char *end, bool *bad)
{
	const char *close = memchr(p, ']', (size_t)(end - p));
	bool known = true;

	*bad = close == NULL;
	if (close == NULL || close == p || close[-1] != ':')
		return NULL;
	for (int b = 0; b < 256; b++) {
		if (in_named(p, (size_t)(close - 1 - p), b, &known))
			class_put(c, (unsigned)b);
	}
	*bad = !known;
	return known ? close : NULL;
}

struct class_scan {
	const char *p, *end;
	unsigned char prev; /* what a '-' would begin with; 0: nothing */
};

static bool
scan_escaped(struct class_scan *s, unsigned char *byte)
{
	if (*s->p == '\\' && ++s->p == s->end)
		return false;
	*byte = (unsigned char)*s->p;
	return true;
}

/* One member of a class at s->p, which moves to its last byte. */
static bool
class_member(struct class *c, struct class_scan *s)
{
	const char *close;
	unsigned char byte;
	bool bad;

	if (*s->p == '-' && s->prev != 0 && s->end - s->p > 1 &&
		s->p[1] != ']') {
		s->p++;
		if (!scan_escaped(s, &byte))
			return false;
		for (unsigned b = s->prev; b <= byte; b++)
			class_put(c, b);
		s->prev = 0;
		return true;
	}
	if (*s->p == '[' && s->end - s->p > 1 && s->p[1] == ':') {
		close = class_named(c, s->p + 2, s->end, &bad);
		if (bad)
			return false;
		s->prev = close != NULL ? 0 : '[';
		if (close != NULL)
			s->p = close;
		else
			class_put(c, '[');
		return true;
	}
	if (!scan_escaped(s, &byte))
		return false;
	class_put(c, byte);
	s->prev = byte;
	return true;
}

/* p is behind '['; the byte behind the closing ']', or NULL. */
static const char *
class_parse(struct class *c, const char *p, const char *end)
{
	struct class_scan s = { .p = p, .end = end };
	bool negated;

	memset(c, 0, sizeof(*c));
	negated = p < end && (*p == '!' || *p == '^');
	if (negated)
		s.p++;
	/* A ']' in the first place is a member. */
	do {
		if (s.p >= end || !class_member(c, &s))
			return NULL;
		s.p++;
	} while (s.p >= end || *s.p != ']');
	for (size_t i = 0; negated && i < ARRAY_LEN(c->bits); i++)
		c->bits[i] = ~c->bits[i];
	/* Neither the slash nor what stands for it. */
	c->bits[0] &= ~(UINT64_C(1) << '/' | 1);
	return s.p + 1;
}

/* ---- from text to tokens ---- */

struct compiler {
	struct rule *rule;
	const char *start, *p, *end;
};

static void
emit(struct compiler *c, enum token_kind kind, unsigned char byte)
{
	c->rule->tokens[c->rule->n_tokens++] = (struct token){
		.kind = (uint8_t)kind,
		.byte = byte == '/' ? 0 : byte,
	};
}

/* c->p is at the first of one or more asterisks. */
static void
compile_stars(struct compiler *c)
{
	const char *first = c->p;
	bool left, right;

	while (c->p < c->end && *c->p == '*')
		c->p++;
	left = first == c->start || first[-1] == '/';
	right = c->p == c->end || *c->p == '/' ||
		(c->end - c->p > 1 && c->p[0] == '\\' && c->p[1] == '/');
	if (!c->rule->whole || c->p - first < 2 || !left || !right) {
		emit(c, TOKEN_STAR, 0);
	} else if (c->p < c->end && *c->p == '/') {
		emit(c, TOKEN_DIRS, 0);
		c->p++;
	} else {
		emit(c, TOKEN_ALL, 0);
	}
}

static enum err
compile_class(struct compiler *c, struct error *err)
{
	struct rule *r = c->rule;
	struct class *more;
	const char *p;

	more = reallocarray(r->classes, r->n_classes + 1, sizeof(*more));
	if (more == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a pattern");
	r->classes = more;
	p = class_parse(&more[r->n_classes], c->p + 1, c->end);
	if (p == NULL) {
		r->dead = true;
		c->p = c->end;
		return ERR_OK;
	}
	emit(c, TOKEN_CLASS, 0);
	r->tokens[r->n_tokens - 1].class = (uint16_t)r->n_classes++;
	c->p = p;
	return ERR_OK;
}

static enum err
compile(struct compiler *c, struct error *err)
{
	while (c->p < c->end) {
		enum err rc = ERR_OK;

		switch (*c->p) {
		case '*':
			compile_stars(c);
			break;
		case '?':
			emit(c, TOKEN_ANY, 0);
			c->p++;
			break;
		case '[':
			rc = compile_class(c, err);
			break;
		case '\\':
			if (++c->p == c->end) {
				c->rule->dead = true;
				break;
			}
			__attribute__((fallthrough));
		default:
			emit(c, TOKEN_BYTE, (unsigned char)*c->p++);
		}
		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

/* The ends without wildcards refuse most names at little cost. */
static void
measure_ends(struct rule *r)
{
	while (r->n_head < r->n_tokens &&
		r->tokens[r->n_head].kind == TOKEN_BYTE)
		r->n_head++;
	if (r->n_head == r->n_tokens)
		return;
	while (r->tokens[r->n_tokens - 1 - r->n_tail].kind == TOKEN_BYTE)
		r->n_tail++;
}

/* Length of the line without the blanks at its end that are not escaped. */
static size_t
trimmed_len(const char *line, size_t len)
{
	size_t keep = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == ' ')
			continue;
		if (line[i] == '\\' && i + 1 < len)
			i++;
		keep = i + 1;
	}
	return keep;
}

static enum err
rule_parse(struct rule *r, const char *text, size_t len, struct error *err)
{
	struct compiler c = { .rule = r };
	enum err rc;

	if (len > 0 && *text == '!') {
		r->negated = true;
		text++;
		len--;
	}
	if (len > 0 && text[len - 1] == '/') {
		r->dirs_only = true;
		len--;
	}
	r->whole = len > 0 && memchr(text, '/', len) != NULL;
	if (len > 0 && *text == '/') {
		text++;
		len--;
	}
	r->dead = len == 0;
	r->tokens = calloc(len + 1, sizeof(*r->tokens));
	if (r->tokens == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a pattern");
	c.start = c.p = text;
	c.end = text + len;
	rc = compile(&c, err);
	if (rc == ERR_OK)
		measure_ends(r);
	return rc;
}

static enum err
add_line(struct patterns *ps, const char *line, size_t len, struct error *err)
{
	struct rule r = { .negated = false };
	enum err rc;

	if (len > 0 && *line == '#')
		return ERR_OK;
	len = trimmed_len(line, len);
	if (len == 0)
		return ERR_OK;
	if (len > RULE_MAX)
		return err_set(err, ERR_USAGE,
			"a pattern is longer than %d bytes", RULE_MAX);
	if (ps->n == ps->cap) {
		size_t cap = ps->cap > 0 ? 2 * ps->cap : 16;
		struct rule *more = reallocarray(ps->rules, cap, sizeof(*more));

		if (more == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu patterns", cap);
		ps->rules = more;
		ps->cap = cap;
	}
	rc = rule_parse(&r, line, len, err);
	if (rc != ERR_OK) {
		rule_fini(&r);
		return rc;
	}
	ps->rules[ps->n++] = r;
	return ERR_OK;
}

enum err
patterns_add(struct patterns *ps, const char *rule, struct error *err)
{
	return add_line(ps, rule, strlen(rule), err);
}

static enum err
add_lines(struct patterns *ps, const char *p, const char *end,
	struct error *err)
{
	static const char bom[3] = { '\xef', '\xbb', '\xbf' };
	enum err rc = ERR_OK;

	if (end - p >= 3 && memcmp(p, bom, sizeof(bom)) == 0)
		p += sizeof(bom);
	while (p < end && rc == ERR_OK) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl != NULL ? nl : end;
		size_t len = (size_t)(stop - p);

		if (nl != NULL && len > 0 && p[len - 1] == '\r')
			len--;
		/* As git, which works on strings. */
		rc = add_line(ps, p, strnlen(p, len), err);
		p = nl != NULL ? nl + 1 : end;
	}
	return rc;
}

enum err
patterns_add_file(struct patterns *ps, const char *file, struct error *err)
{
	struct buf text = BUF_INIT(RULE_FILE_MAX);
	enum err rc;
	int fd;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s", file);
	rc = fsx_read_all(fd, &text, file, err);
	if (rc != ERR_OK || text.len == 0)
		goto out;
	rc = add_lines(ps, (const char *)text.data,
		(const char *)text.data + text.len, err);
	if (rc != ERR_OK)
		rc = err_wrap(err, "%s", file);
out:
	fsx_close(&fd);
	buf_fini(&text);
	return rc;
}

/* ---- matching ---- */

struct states {
	uint64_t bits[STATE_WORDS];
};

static void
states_set(struct states *s, size_t i)
{
	s->bits[i / 64] |= UINT64_C(1) << i % 64;
}

/* Be at state i, and wherever one gets from there without a byte. */
static void
enter(const struct rule *r, struct states *s, size_t i)
{
	states_set(s, i);
	while (i < r->n_tokens && r->tokens[i].kind >= TOKEN_STAR)
		states_set(s, ++i);
}

static void
step(const struct rule *r, struct states *next, size_t i, uint8_t byte)
{
	const struct token *t = &r->tokens[i];

	switch ((enum token_kind)t->kind) {
	case TOKEN_BYTE:
		if (byte == t->byte)
			enter(r, next, i + 1);
		break;
	case TOKEN_ANY:
		if (byte != 0)
			enter(r, next, i + 1);
		break;
	case TOKEN_CLASS:
		if (class_has(&r->classes[t->class], byte))
			enter(r, next, i + 1);
		break;
	case TOKEN_STAR:
		if (byte != 0)
			enter(r, next, i);
		break;
	case TOKEN_ALL:
		enter(r, next, i);
		break;
	case TOKEN_DIRS:
		/* Within a component it cannot end. */
		states_set(next, i);
		if (byte == 0)
			enter(r, next, i + 1);
		break;
	}
}

static bool
run(const struct rule *r, const uint8_t *name, size_t len)
{
	size_t words = r->n_tokens / 64 + 1;
	struct states a, b, *now = &a, *next = &b;

	memset(now->bits, 0, words * sizeof(uint64_t));
	enter(r, now, r->n_head);
	for (size_t k = r->n_head; k < len; k++) {
		struct states *swap = now;
		uint64_t any = 0;

		memset(next->bits, 0, words * sizeof(uint64_t));
		for (size_t w = 0; w < words; w++) {
			uint64_t left = now->bits[w];

			for (; left != 0; left &= left - 1) {
				size_t i =
					64 * w + (size_t)__builtin_ctzll(left);

				if (i < r->n_tokens)
					step(r, next, i, name[k]);
			}
			any |= now->bits[w];
		}
		if (any == 0)
			return false;
		now = next;
		next = swap;
	}
	return (now->bits[r->n_tokens / 64] >> r->n_tokens % 64 & 1) != 0;
}

static bool
bytes_match(const struct token *t, const uint8_t *name, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (t[i].byte != name[i])
			return false;
	}
	return true;
}

static bool
rule_matches(const struct rule *r, const uint8_t *name, size_t len)
{
	size_t n = r->n_tokens;

	if (len < r->n_head + r->n_tail ||
		!bytes_match(r->tokens, name, r->n_head) ||
		!bytes_match(r->tokens + n - r->n_tail, name + len - r->n_tail,
			r->n_tail))
		return false;
	if (r->n_head == n)
		return len == n;
	/* "*.o" on one component: its end is all there is to it. */
	if (!r->whole && r->n_head + 1 + r->n_tail == n &&
		r->tokens[r->n_head].kind == TOKEN_STAR)
		return true;
	return run(r, name, len);
}

enum pattern_result
patterns_match(const struct patterns *ps, const uint8_t *key, size_t len,
	bool is_dir)
{
	const uint8_t *base;
	size_t base_len;

	if (len == 0 || ps->n == 0)
		return PATTERN_NONE;
	base = key_base(key, len, &base_len);
	for (size_t i = ps->n; i-- > 0;) {
		const struct rule *r = &ps->rules[i];

		if (r->dead || (r->dirs_only && !is_dir))
			continue;
		if (rule_matches(r, r->whole ? key : base,
			    r->whole ? len : base_len))
			return r->negated ? PATTERN_INCLUDE : PATTERN_EXCLUDE;
	}
	return PATTERN_NONE;
}

bool
patterns_match_path(const struct patterns *ps, const uint8_t *key, size_t len,
	bool is_dir)
{
	for (size_t i = 1; i < len; i++) {
		if (key[i] == 0 &&
			patterns_match(ps, key, i, true) == PATTERN_EXCLUDE)
			return true;
	}
	return patterns_match(ps, key, len, is_dir) == PATTERN_EXCLUDE;
}
