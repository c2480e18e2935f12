/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_records: a section is a row of fixed parts, each of which says how long
 * the next one is.
 *
 *   NODE  maxinode:32, from 1.1 on another 32 bits
 *         type:8, then by type and version what node_len says; 0 ends it
 *   EDGE  from 1.1 on nextid:64
 *         parent:32 child:32, from 1.1 on id:64, len:16 name;
 *         parent and child 0 end it
 *
 * Integers are big-endian.  A part that lies whole in what was fed is used
 * where it lies, else it is gathered.
 */
#include "format/mfs_records.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum step {
	STEP_OTHER, /* of another section */
	STEP_NODE_HEAD,
	STEP_NODE_TYPE,
	STEP_NODE,
	STEP_EDGE_HEAD,
	STEP_EDGE,
	STEP_NAME,
	STEP_DONE
};

enum { NODE_MINOR_MAX = 4, EDGE_MINOR_MAX = 1, PART_MAX = 65535 + 18 };

struct be { /* front to back through a part that is whole */
	const uint8_t *p;
};

static uint64_t
take(struct be *b, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *b->p++;
	return v;
}

static uint16_t
take16(struct be *b)
{
	return (uint16_t)take(b, 2);
}

static uint32_t
take32(struct be *b)
{
	return (uint32_t)take(b, 4);
}

static enum err
bad(const struct mfs_records *r, const char *what, struct error *err)
{
	return err_set(err, ERR_CORRUPT,
		"at byte %" PRIu64 " of section %s: %s", r->begin,
		r->has_edges ? "EDGE" : "NODE", what);
}

static void
go_to(struct mfs_records *r, enum step step, size_t want)
{
	r->step = step;
	r->want = want;
	buf_clear(&r->part);
}

void
mfs_records_init(struct mfs_records *r, const struct mfs_records_fn *fn)
{
	*r = (struct mfs_records){ .fn = fn, .part = BUF_INIT(PART_MAX) };
}

void
mfs_records_fini(struct mfs_records *r)
{
	buf_fini(&r->part);
}

/* ---- nodes ---- */

static bool
kind_of(unsigned minor, uint8_t type, enum mfs_kind *out)
{
	static const char letters[] = " fdlqbcstr";
	const char *at;

	if (minor >= 3) {
		*out = (enum mfs_kind)type;
		return type >= MFS_FILE && type <= MFS_SUSTAINED;
	}
	at = type > ' ' ? strchr(letters, type) : NULL;
	if (at != NULL)
		*out = (enum mfs_kind)(at - letters);
	return at != NULL;
}

static bool
is_file(enum mfs_kind kind)
{
	return kind == MFS_FILE || kind == MFS_TRASH || kind == MFS_SUSTAINED;
}

/* Of the fixed part behind the type. */
static size_t
node_len(unsigned minor, enum mfs_kind kind)
{
	size_t n = 4 + 1 + 2 + 6 * 4;

	if (minor >= 2)
		n = 4 + 1 + 1 + 2 + 6 * 4;
	if (minor >= 4)
		n = 4 + 1 + 1 + 1 + 2 + 5 * 4 + 2;
	if (is_file(kind))
		return n + 8 + 4 + (minor >= 4 ? 0 : 2);
	if (kind == MFS_SYMLINK || kind == MFS_BLOCKDEV || kind == MFS_CHARDEV)
		return n + 4;
	return n;
}

static enum err
take_type(struct mfs_records *r, const uint8_t *p, struct error *err)
{
	if (*p == 0) {
		go_to(r, STEP_DONE, 0);
		return ERR_OK;
	}
	if (!kind_of(r->minor, *p, &r->node.kind))
		return bad(r, "a kind of node that is not known", err);
	go_to(r, STEP_NODE, node_len(r->minor, r->node.kind));
	return ERR_OK;
}

static void
take_tail(struct mfs_records *r, struct be *b)
{
	struct mfs_node *n = &r->node;

	n->length = 0;
	n->chunks = n->device = 0;
	if (is_file(n->kind)) {
		n->length = take(b, 8);
		n->chunks = take32(b);
		r->skip = 8 * (uint64_t)n->chunks;
		if (r->minor < 4)
			r->skip += 4 * (uint64_t)take16(b);
	} else if (n->kind == MFS_SYMLINK) {
		r->skip = take32(b);
	} else if (n->kind == MFS_BLOCKDEV || n->kind == MFS_CHARDEV) {
		n->device = take32(b);
	}
}

static enum err
take_node(struct mfs_records *r, const uint8_t *p, struct error *err)
{
	struct mfs_node *n = &r->node;
	struct be b = { p };

	n->inode = take32(&b);
	(void)take(&b, 1); /* the storage class */
	if (r->minor >= 2)
		(void)take(&b, 1);
	if (r->minor >= 4)
		(void)take(&b, 1);
	n->mode = take16(&b) & 07777;
	n->uid = take32(&b);
	n->gid = take32(&b);
	n->atime = take32(&b);
	n->mtime = take32(&b);
	n->ctime = take32(&b);
	if (r->minor >= 4)
		n->trash_sec = (uint64_t)take16(&b) * 3600;
	else
		n->trash_sec = take32(&b);
	take_tail(r, &b);
	if (n->inode == 0)
		return bad(r, "a node without a number", err);
	go_to(r, STEP_NODE_TYPE, 1);
	if (r->fn->node == NULL)
		return ERR_OK;
	return r->fn->node(r->fn->arg, n, err);
}

/* ---- edges ---- */

static size_t
edge_len(unsigned minor)
{
	return minor >= 1 ? 4 + 4 + 8 + 2 : 4 + 4 + 2;
}

static void
take_edge_head(const struct mfs_records *r, const uint8_t *p,
	struct mfs_edge *e)
{
	struct be b = { p };

	e->parent = take32(&b);
	e->child = take32(&b);
	e->id = r->minor >= 1 ? take(&b, 8) : 0;
	e->name.len = take16(&b);
}

/* p has the fixed part only: now it is known how long the name is. */
static enum err
take_edge(struct mfs_records *r, const uint8_t *p, struct error *err)
{
	struct mfs_edge e;

	take_edge_head(r, p, &e);
	if (e.parent == 0 && e.child == 0) {
		go_to(r, STEP_DONE, 0);
		return ERR_OK;
	}
	if (e.child == 0)
		return bad(r, "a name of no node", err);
	if (e.name.len == 0)
		return bad(r, "an empty name", err);
	if (e.parent != 0 && e.name.len > MFS_NAME_MAX)
		return bad(r, "a name that is too long", err);
	r->step = STEP_NAME;
	r->want = edge_len(r->minor) + e.name.len;
	return ERR_OK;
}

static enum err
take_name(struct mfs_records *r, const uint8_t *p, struct error *err)
{
	struct mfs_edge e;

	take_edge_head(r, p, &e);
	e.name.p = (const char *)p + edge_len(r->minor);
	if (memchr(e.name.p, '\0', e.name.len) != NULL)
		return bad(r, "a name with a zero byte", err);
	if (e.parent != 0 && memchr(e.name.p, '/', e.name.len) != NULL)
		return bad(r, "a name with a slash", err);
	r->step = STEP_EDGE;
	r->want = edge_len(r->minor);
	if (r->fn->edge == NULL)
		return ERR_OK;
	return r->fn->edge(r->fn->arg, &e, err);
}

/* ---- sections ---- */

static enum err
check_whole(const struct mfs_records *r, struct error *err)
{
	if (r->step == STEP_OTHER || r->step == STEP_DONE)
		return ERR_OK;
	return bad(r, "it ends too early", err);
}

enum err
mfs_records_section(void *arg, const struct mfs_section *s, struct error *err)
{
	struct mfs_records *r = arg;
	bool nodes = strcmp(s->name, "NODE") == 0;
	bool edges = strcmp(s->name, "EDGE") == 0;
	unsigned max = nodes ? NODE_MINOR_MAX : EDGE_MINOR_MAX;
	enum err rc = check_whole(r, err);

	if (rc != ERR_OK)
		return rc;
	go_to(r, STEP_OTHER, 0);
	r->skip = 0;
	r->at = r->begin = 0;
	if (!nodes && !edges)
		return ERR_OK;
	if (s->major != 1 || s->minor > max)
		return err_set(err, ERR_VERSION,
			"section %s %u.%u is not known, only 1.0 to 1.%u",
			s->name, s->major, s->minor, max);
	if ((nodes && r->has_nodes) || r->has_edges || (edges && !r->has_nodes))
		return err_set(err, ERR_CORRUPT,
			"section %s is not where it belongs", s->name);
	r->minor = s->minor;
	if (nodes) {
		r->has_nodes = true;
		go_to(r, STEP_NODE_HEAD, s->minor >= 1 ? 8 : 4);
		return ERR_OK;
	}
	r->has_edges = true;
	if (s->minor >= 1)
		go_to(r, STEP_EDGE_HEAD, 8);
	else
		go_to(r, STEP_EDGE, edge_len(0));
	return ERR_OK;
}

/* One whole part; it says what comes next. */
static enum err
take_part(struct mfs_records *r, const uint8_t *p, struct error *err)
{
	switch ((enum step)r->step) {
	case STEP_NODE_HEAD:
		go_to(r, STEP_NODE_TYPE, 1);
		return ERR_OK;
	case STEP_NODE_TYPE:
		return take_type(r, p, err);
	case STEP_NODE:
		return take_node(r, p, err);
	case STEP_EDGE_HEAD:
		go_to(r, STEP_EDGE, edge_len(r->minor));
		return ERR_OK;
	case STEP_EDGE:
		return take_edge(r, p, err);
	case STEP_NAME:
		return take_name(r, p, err);
	case STEP_OTHER:
	case STEP_DONE:
		break;
	}
	return bad(r, "more bytes behind its end", err);
}

/*
 * A part at p, with len bytes there; *took of them are over.  An edge is told
 * with its fixed part and its name in one piece, so the fixed part is looked at
 * first and counts only with the name.
 */
static enum err
feed_part(struct mfs_records *r, const uint8_t *p, size_t len, size_t *took,
	struct error *err)
{
	size_t have = r->part.len, miss = r->want - have;
	enum err rc;

	if (have == 0 && len >= r->want) {
		*took = r->want;
		rc = take_part(r, p, err);
		if (rc == ERR_OK && r->step == STEP_NAME)
			*took = 0;
		return rc;
	}
	*took = len < miss ? len : miss;
	rc = buf_put(&r->part, p, *took, err);
	if (rc != ERR_OK || *took < miss)
		return rc;
	rc = take_part(r, r->part.data, err);
	if (rc == ERR_OK && r->step != STEP_NAME)
		buf_clear(&r->part);
	return rc;
}

enum err
mfs_records_data(void *arg, const struct mfs_section *s, uint64_t at,
	const void *data, size_t len, struct error *err)
{
	struct mfs_records *r = arg;
	const uint8_t *p = data;
	enum err rc = ERR_OK;
	size_t n;

	(void)s;
	r->at = at;
	if (r->step == STEP_OTHER)
		return ERR_OK;
	while (rc == ERR_OK && len > 0) {
		if (r->skip > 0) {
			n = len < r->skip ? len : (size_t)r->skip;
			r->skip -= n;
		} else {
			rc = feed_part(r, p, len, &n, err);
		}
		p += n;
		len -= n;
		r->at += n;
		if (r->part.len == 0)
			r->begin = r->at;
	}
	return rc;
}

enum err
mfs_records_end(const struct mfs_records *r, struct error *err)
{
	enum err rc = check_whole(r, err);

	if (rc != ERR_OK)
		return rc;
	if (!r->has_nodes || !r->has_edges)
		return err_set(err, ERR_CORRUPT, "there is no section %s",
			r->has_nodes ? "EDGE" : "NODE");
	return ERR_OK;
}
