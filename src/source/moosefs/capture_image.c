/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fsx.h"
#include "model/path.h"
#include "source/moosefs/capture_inside.h"

struct putting {
	const struct capture_of *of;
	const struct mfs_record *before; /* of the previous snapshot */
	struct sink *sink;
	struct mfs_record *out;

	const struct journal_file *image;
	char path[CAPTURE_PATH];
	struct bytes key;
	struct entry entry;
	int fd; /* of the image */
	struct hash_run hash; /* of it */
};

/* The previous snapshot has it, and so what is known of it. */
static void
take_facts(struct putting *p)
{
	const struct mfs_record *b = p->before;

	if (b->image_version != p->image->first ||
		b->image_size != p->image->size)
		return;
	p->out->has_hash = b->has_hash;
	p->out->image_hash = b->image_hash;
	memcpy(p->out->master, b->master, sizeof(b->master));
}

static void
ask_master(struct putting *p)
{
	uint32_t n = p->of->master != NULL ? p->of->master(p->of->arg) : 0;

	if (n != 0)
		(void)snprintf(p->out->master, sizeof(p->out->master),
			"%u.%u.%u", n >> 16, n >> 8 & 0xff, n & 0xff);
}

static enum err
put_new(struct putting *p, struct error *err)
{
	enum err rc = journal_open_image(p->of->journal, p->image, &p->fd, err);

	hash_run_init(&p->hash);
	if (rc == ERR_OK)
		rc = capture_content(p->sink, p->key, &p->entry, p->fd, p->path,
			&p->hash, err);
	if (rc != ERR_OK)
		return rc;
	p->out->has_hash = true;
	hash_run_get(&p->hash, &p->out->image_hash);
	ask_master(p);
	return ERR_OK;
}

enum err
capture_image_put(const struct capture_of *of, const struct mfs_record *before,
	struct sink *sink, struct mfs_record *out, struct error *err)
{
	struct putting p = { .of = of,
		.before = before,
		.sink = sink,
		.out = out,
		.image = &of->view->base,
		.fd = -1 };
	struct buf kb = BUF_INIT(KEY_MAX);
	bool done = false;
	enum err rc;

	(void)snprintf(p.path, sizeof(p.path), "/%s/metadata.mfs",
		of->generation);
	capture_entry(&p.entry, ENTRY_STREAM, p.image);
	rc = key_from_path(&kb, p.path, err);
	p.key = (struct bytes){ kb.data, kb.len };
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, p.key, &p.entry, &done, err);
	if (rc == ERR_OK && done)
		take_facts(&p);
	else if (rc == ERR_OK)
		rc = put_new(&p, err);
	fsx_close(&p.fd);
	buf_fini(&kb);
	return rc;
}
