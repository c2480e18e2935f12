/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_image: what is at hand is either a head (of the file, or of a section:
 * gathered until it is whole) or data of a section, which is passed on as it
 * comes.
 *
 *   "MFSM 2.0" version:64 id:64, or "MFSM NEW" and nothing else
 *   sections: NAME " " major "." minor length:64 data
 *   "[MFS EOF MARKER]", where a section would begin
 *
 * Integers are big-endian; major and minor are '0' + 0..15, so ':' to '?'
 * follow the 9.
 */
#include "format/mfs_image.h"

#include <inttypes.h>
#include <string.h>

enum { KIND_LEN = 8, HEADER_LEN = 24, HEAD_LEN = 16 };

static const char marker[HEAD_LEN + 1] = "[MFS EOF MARKER]";

/* Where the head that is being gathered begins. */
static uint64_t
head_at(const struct mfs_image *w)
{
	return w->at - w->head_len;
}

static enum err
bad(uint64_t at, const char *what, struct error *err)
{
	return err_set(err, ERR_CORRUPT, "at byte %" PRIu64 ": %s", at, what);
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

void
mfs_image_init(struct mfs_image *w, const struct mfs_image_fn *fn)
{
	*w = (struct mfs_image){ .fn = fn };
}

static bool
is_nibble(uint8_t c)
{
	return c >= '0' && c <= '0' + 15;
}

/* NAME, a blank, a version with a dot. */
static bool
is_head(const uint8_t *h)
{
	for (size_t i = 0; i < 4; i++) {
		if ((h[i] < 'A' || h[i] > 'Z') && (h[i] < '0' || h[i] > '9'))
			return false;
	}
	return h[4] == ' ' && is_nibble(h[5]) && h[6] == '.' && is_nibble(h[7]);
}

static enum err
tell_header(struct mfs_image *w, struct error *err)
{
	const struct mfs_image_fn *fn = w->fn;

	w->head_len = 0;
	w->has_header = true;
	if (fn == NULL || fn->header == NULL)
		return ERR_OK;
	return fn->header(fn->arg, &w->header, err);
}

/* The first KIND_LEN bytes say what it is. */
static enum err
take_kind(struct mfs_image *w, struct error *err)
{
	const uint8_t *h = w->head;

	if (memcmp(h, "MFSM NEW", KIND_LEN) == 0) {
		w->header = (struct mfs_header){ .is_new = true, .version = 1 };
		w->ended = true;
		return tell_header(w, err);
	}
	if (!is_head(h) ||
		(memcmp(h, "MFSM", 4) != 0 && memcmp(h, "LFSM", 4) != 0))
		return bad(0, "no image of a MooseFS master", err);
	if (memcmp(h, "MFSM 2.0", KIND_LEN) != 0)
		return err_set(err, ERR_VERSION,
			"an image of the kind \"%.8s\", where only "
			"\"MFSM 2.0\" is read",
			(const char *)h);
	return ERR_OK;
}

static enum err
take_header(struct mfs_image *w, struct error *err)
{
	w->header = (struct mfs_header){ .version = get64(w->head + KIND_LEN),
		.id = get64(w->head + KIND_LEN + 8) };
	if (w->header.version == 0 || w->header.version == UINT64_MAX)
		return bad(KIND_LEN, "a version that cannot be", err);
	return tell_header(w, err);
}

static enum err
take_section(struct mfs_image *w, struct error *err)
{
	const struct mfs_image_fn *fn = w->fn;
	uint64_t at = head_at(w), end;
	const uint8_t *h = w->head;

	w->head_len = 0;
	if (memcmp(h, marker, HEAD_LEN) == 0) {
		w->ended = true;
		return ERR_OK;
	}
	if (!is_head(h))
		return bad(at, "neither a section nor the end marker", err);
	w->section = (struct mfs_section){
		.major = (unsigned)(h[5] - '0'),
		.minor = (unsigned)(h[7] - '0'),
		.off = w->at,
		.len = get64(h + 8),
	};
	memcpy(w->section.name, h, 4);
	if (__builtin_add_overflow(w->at, w->section.len, &end) ||
		end > UINT64_MAX - HEAD_LEN)
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": section %s has an absurd length",
			at, w->section.name);
	w->n_sections++;
	if (fn == NULL || fn->section == NULL)
		return ERR_OK;
	return fn->section(fn->arg, &w->section, err);
}

static enum err
feed_data(struct mfs_image *w, const uint8_t *p, size_t n, struct error *err)
{
	const struct mfs_image_fn *fn = w->fn;
	uint64_t at = w->at - w->section.off;

	w->at += n;
	if (fn == NULL || fn->data == NULL)
		return ERR_OK;
	return fn->data(fn->arg, &w->section, at, p, n, err);
}

/* Bytes that the head at hand has in all. */
static size_t
head_want(const struct mfs_image *w)
{
	if (w->has_header)
		return HEAD_LEN;
	return w->head_len < KIND_LEN ? KIND_LEN : HEADER_LEN;
}

/* Take what the head needs of n bytes; the number is in *took. */
static enum err
feed_head(struct mfs_image *w, const uint8_t *p, size_t n, size_t *took,
	struct error *err)
{
	size_t want = head_want(w);

	*took = n < want - w->head_len ? n : want - w->head_len;
	memcpy(w->head + w->head_len, p, *took);
	w->head_len += *took;
	w->at += *took;
	if (w->head_len < want)
		return ERR_OK;
	if (w->has_header)
		return take_section(w, err);
	return want == KIND_LEN ? take_kind(w, err) : take_header(w, err);
}

static uint64_t
section_left(const struct mfs_image *w)
{
	return w->section.len - (w->at - w->section.off);
}

enum err
mfs_image_feed(struct mfs_image *w, const void *data, size_t len,
	struct error *err)
{
	const uint8_t *p = data;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && len > 0) {
		uint64_t left = 0;
		size_t n;

		if (w->ended)
			return bad(w->at, "more bytes behind the end", err);
		if (w->n_sections > 0 && w->head_len == 0)
			left = section_left(w);
		if (left > 0) {
			n = len < left ? len : (size_t)left;
			rc = feed_data(w, p, n, err);
		} else {
			rc = feed_head(w, p, len, &n, err);
		}
		p += n;
		len -= n;
	}
	return rc;
}

enum err
mfs_image_end(struct mfs_image *w, struct error *err)
{
	if (w->ended)
		return ERR_OK;
	if (w->at == 0)
		return bad(0, "an empty file is no image", err);
	if (!w->has_header)
		return bad(w->at, "the image is cut off in its header", err);
	if (w->n_sections > 0 && w->head_len == 0 && section_left(w) > 0)
		return err_set(err, ERR_CORRUPT,
			"at byte %" PRIu64 ": the image is cut off, %" PRIu64
			" bytes of section %s are missing",
			w->at, section_left(w), w->section.name);
	return bad(w->at, "the image is cut off before its end marker", err);
}
