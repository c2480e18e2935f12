/* SPDX-License-Identifier: Apache-2.0 */
/* lane: what a thread needs of its own, and the two steps that readers and
 * the writer's verification share. */
#include "repo/lane.h"

#include <stdlib.h>
#include <string.h>

#include "repo/pack.h"

enum err
lane_new(struct lane **out, struct repo *r, struct error *err)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	enum err rc;

	if (lane == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a lane");
	lane->repo = r;
	lane->stored = BUF_INIT(PACK_MAX);
	lane->plain = BUF_INIT(PACK_RECORD_MAX);
	rc = compressor_new(&lane->compressor, err);
	if (rc == ERR_OK)
		rc = aead_new(&lane->aead, err);
	if (rc != ERR_OK) {
		lane_free(lane);
		return rc;
	}
	*out = lane;
	return ERR_OK;
}

void
lane_free(struct lane *lane)
{
	if (lane == NULL)
		return;
	buf_fini(&lane->stored);
	buf_fini(&lane->plain);
	compressor_free(lane->compressor);
	aead_free(lane->aead);
	free(lane);
}

enum err
lane_room(struct buf *b, size_t len, struct error *err)
{
	buf_clear(b);
	/* One at least, so that there is memory to point at. */
	return buf_reserve(b, len + 1, err);
}

const char *
lane_type_name(uint8_t type)
{
	return type == CHUNK_NODE ? "a node" : "data";
}

enum err
lane_expand(struct lane *lane, const struct record *r, const uint8_t *body,
	uint8_t *out, struct error *err)
{
	if (r->codec != CODEC_RAW)
		return decompress_bytes(lane->compressor, (enum codec)r->codec,
			body, pack_body_len(r), out, r->plain_len, err);
	if (out != body)
		memcpy(out, body, r->plain_len);
	return ERR_OK;
}

enum err
lane_prove(const struct lane *lane, const struct record *r, const uint8_t *head,
	const uint8_t *body, struct error *err)
{
	struct id id;

	if (r->type == CHUNK_NODE)
		repo_node_id(lane->repo, head, r->head_len, body, r->plain_len,
			&id);
	else
		repo_data_id(lane->repo, body, r->plain_len, &id);
	if (!id_eq(&id, &r->id))
		return err_set(err, ERR_CORRUPT,
			"its bytes do not match its name");
	return ERR_OK;
}
