/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "repo/keys.h"

static const struct flag new_flags[] = {
	{ "new-password-file", 0, FLAG_TEXT, "FILE",
		"read the new passphrase from the first line of FILE" },
	{ "label", 0, FLAG_TEXT, "TEXT", "what the key is for" },
	KDF_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

/* The passphrase of a key that is made, and what deriving from it costs. */
static enum err
new_pass(struct key_new *conf, struct buf *pass, const struct cli *c,
	struct error *err)
{
	enum err rc = number_kdf(&conf->cost, c, err);

	if (rc == ERR_OK)
		rc = access_new_password(pass, c, err);
	conf->pass = (struct pass){ (const char *)pass->data, pass->len };
	return rc;
}

static enum err
add_key(struct access *a, const struct cli *c, char keyid[KEYID_HEX + 1],
	struct error *err)
{
	struct buf pass = BUF_INIT(0);
	struct key_new conf = { .role = ROLE_ADMIN,
		.label = flag_text(c, "label") };
	enum err rc = new_pass(&conf, &pass, c, err);

	if (rc == ERR_OK)
		rc = keys_add(a->store, &repo_config(a->repo)->repo,
			repo_keys(a->repo), &conf, keyid, err);
	buf_wipe(&pass);
	return rc;
}

static void
tell(const struct cli *c, const char *what, const char *keyid)
{
	struct jsonl *j;

	if (c->json) {
		j = jsonl_new("key");
		jsonl_str(j, "change", what);
		jsonl_str(j, "id", keyid);
		jsonl_print(j, stdout);
	} else if (!c->quiet) {
		(void)printf("key %s %s\n", keyid, what);
	}
}

static enum err
run_add(struct cli *c, struct error *err)
{
	char keyid[KEYID_HEX + 1];
	struct access a;
	enum err rc;

	rc = access_open(&a, c, err);
	if (rc != ERR_OK)
		return rc;
	rc = add_key(&a, c, keyid, err);
	access_close(&a);
	if (rc == ERR_OK)
		tell(c, "added", keyid);
	return rc;
}

const struct command cmd_key_add = {
	.name = "key add",
	.operands = "",
	.summary = "Let another passphrase open the repository",
	.flags = new_flags,
	.run = run_add,
};

struct key_listing {
	const struct cli *c;
	const char *in_use;
};

static enum err
print_key(void *arg, const struct key_info *info, struct error *err)
{
	struct key_listing *l = arg;
	struct when created = { info->created_sec, 0 };
	bool in_use = strcmp(info->keyid, l->in_use) == 0;
	struct jsonl *j;
	char when[40];

	if (l->c->json) {
		j = jsonl_new("key");
		jsonl_str(j, "id", info->keyid);
		jsonl_str(j, "role", role_name(info->role));
		jsonl_when(j, "created", &created);
		jsonl_bool(j, "in_use", in_use);
		jsonl_print(j, stdout);
		return ERR_OK;
	}
	when_local(&created, when);
	(void)printf("%c %s  %-10s  %s\n", in_use ? '*' : ' ', info->keyid,
		role_name(info->role), when);
	return ERR_OK;
}

static enum err
run_list(struct cli *c, struct error *err)
{
	struct key_listing l = { .c = c };
	struct access a;
	enum err rc;

	rc = access_open(&a, c, err);
	if (rc != ERR_OK)
		return rc;
	l.in_use = repo_keys(a.repo)->keyid;
	rc = keys_each(a.store, repo_keys(a.repo), print_key, &l, err);
	access_close(&a);
	return rc;
}

const struct command cmd_key_list = {
	.name = "key list",
	.operands = "",
	.summary = "List the keys; * marks the one in use",
	.run = run_list,
};

static enum err
run_remove(struct cli *c, struct error *err)
{
	struct access a;
	enum err rc;

	rc = access_open(&a, c, err);
	if (rc != ERR_OK)
		return rc;
	rc = keys_remove(a.store, repo_keys(a.repo), c->operands[0], err);
	access_close(&a);
	if (rc == ERR_OK)
		tell(c, "removed", c->operands[0]);
	return rc;
}

const struct command cmd_key_remove = {
	.name = "key remove",
	.operands = "KEY",
	.summary = "Let a passphrase no longer open the repository",
	.operands_min = 1,
	.operands_max = 1,
	.run = run_remove,
};

static enum err
run_passwd(struct cli *c, struct error *err)
{
	char keyid[KEYID_HEX + 1];
	struct buf pass = BUF_INIT(0);
	struct key_new conf = { .label = flag_text(c, "label") };
	struct access a;
	enum err rc = access_open(&a, c, err);

	if (rc != ERR_OK)
		return rc;
	rc = new_pass(&conf, &pass, c, err);
	if (rc == ERR_OK)
		rc = keys_rewrap(a.store, repo_keys(a.repo), &conf, keyid, err);
	buf_wipe(&pass);
	access_close(&a);
	if (rc == ERR_OK)
		tell(c, "replaces the old one", keyid);
	return rc;
}

const struct command cmd_key_passwd = {
	.name = "key passwd",
	.operands = "",
	.summary = "Change the passphrase",
	.flags = new_flags,
	.run = run_passwd,
};
