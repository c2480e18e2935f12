/* SPDX-License-Identifier: Apache-2.0 */
/* rooted: small objects that end with a signature of the root key. */
#include "repo/rooted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/names.h"

enum err
rooted_sign(struct buf *obj, const struct keyset *ks, const char *context,
	const char *name, struct error *err)
{
	const struct sign_part parts[] = { { name, strlen(name) },
		{ obj->data, obj->len } };
	uint8_t sig[SIGN_LEN];
	enum err rc = keyset_need(ks, RIGHT_ADMINISTER, name, err);

	if (rc == ERR_OK)
		rc = sign_make(sig, &ks->root_seed, context, parts,
			ARRAY_LEN(parts), err);
	return rc == ERR_OK ? buf_put(obj, sig, SIGN_LEN, err) : rc;
}

enum err
rooted_get(struct store *st, const struct sign_public *root,
	const char *context, const char *name, struct buf *obj, bool *ok,
	struct error *err)
{
	struct sign_part parts[] = { { name, strlen(name) }, { NULL, 0 } };
	struct error why;
	enum err rc;

	*ok = false;
	buf_clear(obj);
	rc = store_get_all(st, name, ROOTED_MAX, obj, err);
	if (rc == ERR_CORRUPT || rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK || obj->len < SIGN_LEN)
		return rc;
	obj->len -= SIGN_LEN;
	parts[1] = (struct sign_part){ obj->data, obj->len };
	*ok = sign_check(obj->data + obj->len, root, context, parts,
		      ARRAY_LEN(parts), &why) == ERR_OK;
	return ERR_OK;
}

static enum err
collect(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct rooted_numbers *nums = arg;
	uint64_t number;

	if (!names_text(&name, nums->prefix) || !names_number(&name, &number) ||
		*name != '\0')
		return ERR_OK;
	if (nums->n == ROOTED_NAMES)
		return err_set(err, ERR_CORRUPT,
			"more than %d objects below %s", ROOTED_NAMES,
			nums->prefix);
	nums->v[nums->n++] = number;
	return ERR_OK;
}

enum err
rooted_numbers(struct store *st, const char *dir, struct rooted_numbers **out,
	struct error *err)
{
	char prefix[STORE_NAME_MAX + 1];
	struct rooted_numbers *nums = calloc(1, sizeof(*nums));
	enum err rc;

	if (nums == NULL)
		return err_set(err, ERR_NOMEM, "no memory for names of grants");
	(void)snprintf(prefix, sizeof(prefix), "%s/", dir);
	nums->prefix = prefix;
	rc = store_list(st, dir, collect, nums, err);
	nums->prefix = NULL;
	if (rc == ERR_OK)
		*out = nums;
	else
		free(nums);
	return rc;
}

void
rooted_name(char out[STORE_NAME_MAX + 1], const char *dir, uint64_t number)
{
	(void)snprintf(out, STORE_NAME_MAX + 1, "%s/%llu", dir,
		(unsigned long long)number);
}
