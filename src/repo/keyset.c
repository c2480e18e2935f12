/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyset: secrets by role.
 *
 * A role is what its key set lacks: the encoder leaves out what the role may
 * not hold, and the decoder refuses a set that lacks what its role needs, so
 * the floors above ask for the secret and not for the role.
 */
#include "repo/keyset.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rd.h"
#include "codec/hash.h"

enum { TAG_STRUCTURE = 1, TAG_ID, TAG_EPOCH, TAG_LABEL, TAG_HOST, TAG_USER };

enum { EPOCH_PUBLIC = 4 + KX_PUBLIC, EPOCH_SECRET = EPOCH_PUBLIC + SECRET_LEN };

struct right {
	const char *name;
	bool id, epochs, secrets;
};

static const struct right rights[] = {
	[ROLE_ADMIN] = { "admin", true, true, true },
	[ROLE_READER] = { "reader", true, true, true },
	[ROLE_MAINTAINER] = { "maintainer", false, false, false },
	[ROLE_WRITER] = { "writer", true, true, false },
};

bool
role_ok(unsigned role)
{
	return role >= ROLE_ADMIN && role <= ROLE_WRITER;
}

const char *
role_name(enum role role)
{
	return role_ok(role) ? rights[role].name : "unknown";
}

static void
derive(struct keyset *ks)
{
	struct secret boundary;

	hash_derive(&ks->data_name, "coffer 1 data id", ks->id.b, SECRET_LEN,
		NULL, 0);
	hash_derive(&ks->node_name, "coffer 1 node id", ks->id.b, SECRET_LEN,
		NULL, 0);
	hash_derive(&ks->gear, "coffer 1 gear", ks->id.b, SECRET_LEN, NULL, 0);
	hash_derive(&boundary, "coffer 1 boundary", ks->id.b, SECRET_LEN, NULL,
		0);
	memcpy(ks->boundary.b, boundary.b, sizeof(ks->boundary.b));
	secret_wipe(&boundary);
}

enum err
keyset_new(struct keyset *ks, struct error *err)
{
	struct keyset made = { .role = ROLE_ADMIN, .has_id = true };
	struct epoch *e = calloc(1, sizeof(*e));
	enum err rc;

	if (e == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a key set");
	e->number = 1;
	e->has_secret = true;
	rc = kx_keypair(&e->pub, &e->sec, err);
	if (rc != ERR_OK) {
		free(e);
		return rc;
	}
	random_bytes(made.structure.b, SECRET_LEN);
	random_bytes(made.id.b, SECRET_LEN);
	made.epochs = e;
	made.n_epochs = 1;
	derive(&made);
	*ks = made;
	explicit_bzero(&made, sizeof(made));
	return ERR_OK;
}

void
keyset_wipe(struct keyset *ks)
{
	if (ks->epochs != NULL)
		explicit_bzero(ks->epochs,
			ks->n_epochs * sizeof(ks->epochs[0]));
	free(ks->epochs);
	explicit_bzero(ks, sizeof(*ks));
}

const struct epoch *
keyset_epoch(const struct keyset *ks, uint32_t number)
{
	for (size_t i = 0; i < ks->n_epochs; i++)
		if (ks->epochs[i].number == number)
			return &ks->epochs[i];
	return NULL;
}

const struct epoch *
keyset_newest(const struct keyset *ks)
{
	return ks->n_epochs > 0 ? &ks->epochs[ks->n_epochs - 1] : NULL;
}

/* Whether ks holds what role needs. */
static bool
suffices(const struct keyset *ks, enum role role)
{
	const struct right *r = &rights[role];

	if ((r->id && !ks->has_id) || (r->epochs && ks->n_epochs == 0))
		return false;
	for (size_t i = 0; r->secrets && i < ks->n_epochs; i++)
		if (!ks->epochs[i].has_secret)
			return false;
	return true;
}

static enum err
put_field(struct buf *out, uint8_t tag, const void *data, size_t len,
	struct error *err)
{
	enum err rc = buf_put_u8(out, tag, err);

	if (rc == ERR_OK)
		rc = buf_put_bytes(out, data, len, err);
	return rc;
}

static enum err
put_text(struct buf *out, uint8_t tag, const char *text, struct error *err)
{
	if (text == NULL || text[0] == '\0')
		return ERR_OK;
	return put_field(out, tag, text, strnlen(text, LABEL_MAX), err);
}

static enum err
put_epoch(struct buf *out, const struct epoch *e, bool with_secret,
	struct error *err)
{
	enum err rc = buf_put_u8(out, TAG_EPOCH, err);

	if (rc == ERR_OK)
		rc = buf_put_varint(out,
			with_secret ? EPOCH_SECRET : EPOCH_PUBLIC, err);
	if (rc == ERR_OK)
		rc = buf_put_u32(out, e->number, err);
	if (rc == ERR_OK)
		rc = buf_put(out, e->pub.b, KX_PUBLIC, err);
	if (rc == ERR_OK && with_secret)
		rc = buf_put(out, e->sec.b, SECRET_LEN, err);
	return rc;
}

/* Who adds the key: told to people, trusted by nobody. */
static enum err
put_origin(struct buf *out, struct error *err)
{
	char host[LABEL_MAX + 1] = "", memory[1024];
	struct passwd pw, *found = NULL;
	enum err rc;

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	rc = put_text(out, TAG_HOST, host, err);
	if (rc != ERR_OK)
		return rc;
	if (getpwuid_r(geteuid(), &pw, memory, sizeof(memory), &found) != 0)
		found = NULL;
	return put_text(out, TAG_USER, found != NULL ? pw.pw_name : NULL, err);
}

enum err
keyset_encode(struct buf *out, const struct keyset *ks, enum role role,
	const char *label, struct error *err)
{
	const struct right *r = &rights[role];
	enum err rc;

	if (!suffices(ks, role))
		return err_set(err, ERR_DENIED,
			"a %s key lacks secrets that a new %s key needs",
			role_name(ks->role), role_name(role));
	rc = put_field(out, TAG_STRUCTURE, ks->structure.b, SECRET_LEN, err);
	if (rc == ERR_OK && r->id)
		rc = put_field(out, TAG_ID, ks->id.b, SECRET_LEN, err);
	for (size_t i = 0; r->epochs && i < ks->n_epochs && rc == ERR_OK; i++)
		rc = put_epoch(out, &ks->epochs[i], r->secrets, err);
	if (rc == ERR_OK)
		rc = put_text(out, TAG_LABEL, label, err);
	if (rc == ERR_OK)
		rc = put_origin(out, err);
	return rc;
}

/* One more epoch, in its place; false where it cannot be. */
static bool
take_epoch(struct keyset *ks, const uint8_t *data, size_t len)
{
	struct epoch e = { .has_secret = len == EPOCH_SECRET };
	size_t at = ks->n_epochs;
	struct rd rd;

	if ((len != EPOCH_PUBLIC && len != EPOCH_SECRET) || at == EPOCHS_MAX)
		return false;
	rd_init(&rd, data, len);
	e.number = rd_u32(&rd);
	rd_copy(&rd, e.pub.b, KX_PUBLIC);
	if (e.has_secret)
		rd_copy(&rd, e.sec.b, SECRET_LEN);
	while (at > 0 && ks->epochs[at - 1].number >= e.number) {
		if (ks->epochs[at - 1].number == e.number)
			return false;
		ks->epochs[at] = ks->epochs[at - 1];
		at--;
	}
	ks->epochs[at] = e;
	ks->n_epochs++;
	secret_wipe(&e.sec);
	return true;
}

static bool
take_text(char out[LABEL_MAX + 1], const uint8_t *data, size_t len)
{
	if (len > LABEL_MAX || memchr(data, '\0', len) != NULL)
		return false;
	memcpy(out, data, len);
	out[len] = '\0';
	return true;
}

static bool
take_secret(struct secret *out, const uint8_t *data, size_t len)
{
	if (len != SECRET_LEN)
		return false;
	memcpy(out->b, data, SECRET_LEN);
	return true;
}

static bool
take_field(struct keyset *ks, uint8_t tag, const uint8_t *data, size_t len)
{
	switch (tag) {
	case TAG_STRUCTURE:
		return take_secret(&ks->structure, data, len);
	case TAG_ID:
		ks->has_id = true;
		return take_secret(&ks->id, data, len);
	case TAG_EPOCH:
		return take_epoch(ks, data, len);
	case TAG_LABEL:
		return take_text(ks->label, data, len);
	case TAG_HOST:
		return take_text(ks->host, data, len);
	case TAG_USER:
		return take_text(ks->user, data, len);
	default:
		return true;
	}
}

enum err
keyset_decode(struct keyset *ks, enum role role, const void *data, size_t len,
	struct error *err)
{
	struct keyset got = { .role = role };
	bool ok = true, structure = false;
	struct rd rd;

	got.epochs = calloc(EPOCHS_MAX, sizeof(got.epochs[0]));
	if (got.epochs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a key set");
	rd_init(&rd, data, len);
	while (ok && rd_left(&rd) > 0) {
		uint8_t tag = rd_u8(&rd);
		size_t n;
		const uint8_t *field = rd_bytes(&rd, KEYSET_MAX, &n);

		ok = field != NULL && take_field(&got, tag, field, n);
		structure |= tag == TAG_STRUCTURE;
	}
	if (!ok || !rd_done(&rd) || !structure || !suffices(&got, role)) {
		keyset_wipe(&got);
		return err_set(err, ERR_CORRUPT,
			"its secrets are damaged or incomplete");
	}
	if (got.has_id)
		derive(&got);
	*ks = got;
	explicit_bzero(&got, sizeof(got));
	return ERR_OK;
}
