/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/secret.h"
#include "base/time.h"
#include "cli/access.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/numbers.h"
#include "cli/text.h"
#include "repo/keys.h"
#include "repo/rotation.h"

enum { KEY_DIGITS = 2 * SECRET_LEN }; /* of a key file */

#define NEW_FLAGS                                                         \
	{ "new-password-file", 0, FLAG_TEXT, "FILE",                      \
		"read the new passphrase from the first line of FILE" },  \
		{ "new-key-file", 0, FLAG_TEXT, "FILE",                   \
			"FILE is the new passphrase, all of it" },        \
		{ "label", 0, FLAG_TEXT, "TEXT", "what the key is for" }, \
		KDF_FLAGS

static const struct flag add_flags[] = {
	{ "role", 0, FLAG_TEXT, "ROLE",
		"admin (default), reader, maintainer or writer" },
	NEW_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

static const struct flag passwd_flags[] = {
	NEW_FLAGS,
	{ NULL, 0, FLAG_BOOL, NULL, NULL },
};

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

/* ---- add ---- */

static enum err
parse_role(enum role *out, const char *text, struct error *err)
{
	if (text == NULL)
		return ERR_OK;
	for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++) {
		if (strcmp(text, role_name(r)) != 0)
			continue;
		*out = r;
		return ERR_OK;
	}
	return err_set(err, ERR_USAGE,
		"--role: admin, reader, maintainer or writer is wanted");
}

static enum err
add_key(struct access *a, const struct cli *c, struct key_new *conf,
	char keyid[KEYID_HEX + 1], struct error *err)
{
	struct buf pass = BUF_INIT(0);
	enum err rc = access_new_password(&pass, &conf->cost, c, err);

	if (rc == ERR_OK) {
		conf->pass = (struct pass){ (const char *)pass.data, pass.len };
		rc = keys_add(a->store, &repo_config(a->repo)->repo,
			repo_keys(a->repo), conf, keyid, err);
	}
	buf_wipe(&pass);
	return rc;
}

static enum err
run_add(struct cli *c, struct error *err)
{
	struct key_new conf = { .role = ROLE_ADMIN,
		.label = flag_text(c, "label") };
	char keyid[KEYID_HEX + 1];
	struct access a;
	enum err rc = parse_role(&conf.role, flag_text(c, "role"), err);

	if (rc == ERR_OK)
		rc = access_open_for(&a, c, RIGHT_ADMINISTER, err);
	if (rc != ERR_OK)
		return rc;
	rc = add_key(&a, c, &conf, keyid, err);
	access_close(&a);
	if (rc == ERR_OK)
		tell(c, "added", keyid);
	return rc;
}

const struct command cmd_key_add = {
	.name = "key add",
	.operands = "",
	.summary = "Let another passphrase open the repository",
	.flags = add_flags,
	.run = run_add,
};

/* ---- list ---- */

struct key_listing {
	const struct cli *c;
	const char *in_use;
};

/* What is to be known of a key before it is trusted with anything. */
static const char *
standing(const struct key_info *info)
{
	if (info->damaged)
		return "damaged";
	if (info->revoked)
		return "removed before";
	return info->certified ? "" : "not certified by an admin";
}

static void
put_text(struct jsonl *j, const char *name, const char *text)
{
	const struct bytes b = { (const uint8_t *)text, strlen(text) };

	jsonl_bytes(j, name, b);
}

static void
print_json(const struct key_info *info, bool in_use)
{
	struct when created = { info->created_sec, 0 };
	struct jsonl *j = jsonl_new("key");

	jsonl_str(j, "id", info->keyid);
	jsonl_bool(j, "in_use", in_use);
	jsonl_bool(j, "damaged", info->damaged);
	if (!info->damaged) {
		jsonl_str(j, "role", role_name(info->role));
		jsonl_when(j, "created", &created);
		jsonl_str(j, "identity", info->ns_hex);
		jsonl_bool(j, "certified", info->certified);
		jsonl_bool(j, "revoked", info->revoked);
		put_text(j, "label", info->label);
		put_text(j, "host", info->host);
		put_text(j, "user", info->user);
	}
	jsonl_print(j, stdout);
}

static void
print_text(const struct key_info *info, bool in_use)
{
	struct when created = { info->created_sec, 0 };
	char about[3 * (LABEL_MAX + 8)], when[40] = "";
	const char *bad = standing(info);

	if (!info->damaged)
		when_local(&created, when);
	(void)snprintf(about, sizeof(about), "%s@%s%s%s", info->user,
		info->host, info->label[0] != '\0' ? "  " : "", info->label);
	text_plain(about);
	(void)printf("%c %s  %-10s  %-19s  %s  %s%s%s\n", in_use ? '*' : ' ',
		info->keyid, info->damaged ? "" : role_name(info->role), when,
		info->ns_hex, about, bad[0] != '\0' ? "  ! " : "", bad);
}

static enum err
print_key(void *arg, const struct key_info *info, struct error *err)
{
	struct key_listing *l = arg;
	bool in_use = strcmp(info->keyid, l->in_use) == 0;

	if (l->c->json)
		print_json(info, in_use);
	else
		print_text(info, in_use);
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

/* ---- remove ---- */

static enum err
run_remove(struct cli *c, struct error *err)
{
	struct access a;
	enum err rc;

	rc = access_open_for(&a, c, RIGHT_ADMINISTER, err);
	if (rc != ERR_OK)
		return rc;
	rc = keys_remove(a.store, repo_keys(a.repo), c->operands[0], err);
	access_close(&a);
	if (rc != ERR_OK)
		return rc;
	tell(c, "removed", c->operands[0]);
	if (!c->json && !c->quiet)
		(void)printf(
			"who kept a copy of it can still use it on what was "
			"written so far; \"coffer key rotate\" keeps "
			"from it what comes\n");
	return ERR_OK;
}

const struct command cmd_key_remove = {
	.name = "key remove",
	.operands = "KEY",
	.summary = "Let a passphrase no longer open the repository",
	.operands_min = 1,
	.operands_max = 1,
	.run = run_remove,
};

/* ---- passwd ---- */

static enum err
run_passwd(struct cli *c, struct error *err)
{
	struct key_new conf = { .label = flag_text(c, "label") };
	struct buf pass = BUF_INIT(0);
	char keyid[KEYID_HEX + 1];
	struct access a;
	enum err rc = access_open(&a, c, err);

	if (rc != ERR_OK)
		return rc;
	rc = access_new_password(&pass, &conf.cost, c, err);
	conf.pass = (struct pass){ (const char *)pass.data, pass.len };
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
	.flags = passwd_flags,
	.run = run_passwd,
};

/* ---- rotate ---- */

static enum err
run_rotate(struct cli *c, struct error *err)
{
	struct jsonl *j;
	struct access a;
	uint32_t number;
	enum err rc = access_open_for(&a, c, RIGHT_ADMINISTER, err);

	if (rc != ERR_OK)
		return rc;
	rc = rotation_make(a.store, repo_keys(a.repo), &number, err);
	access_close(&a);
	if (rc != ERR_OK)
		return rc;
	if (c->json) {
		j = jsonl_new("key");
		jsonl_str(j, "change", "rotated");
		jsonl_uint(j, "data_key", number);
		jsonl_print(j, stdout);
	} else if (!c->quiet) {
		(void)printf("data key %u seals what is written from now on\n",
			number);
	}
	return ERR_OK;
}

const struct command cmd_key_rotate = {
	.name = "key rotate",
	.operands = "",
	.summary = "Seal with a new data key from now on",
	.run = run_rotate,
};

/* ---- generate ---- */

static enum err
write_key_file(int fd, const char *file, struct error *err)
{
	struct secret key;
	char text[KEY_DIGITS + 2];
	enum err rc;

	random_bytes(key.b, SECRET_LEN);
	hex_encode(key.b, SECRET_LEN, text);
	text[KEY_DIGITS] = '\n';
	rc = fsx_write(fd, text, KEY_DIGITS + 1, file, err);
	if (rc == ERR_OK && fsync(fd) != 0)
		rc = err_sys(err, errno, "%s", file);
	secret_wipe(&key);
	explicit_bzero(text, sizeof(text));
	return rc;
}

static enum err
run_generate(struct cli *c, struct error *err)
{
	const char *file = c->operands[0];
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum err rc;

	if (fd < 0)
		return err_sys(err, errno, "%s", file);
	rc = write_key_file(fd, file, err);
	fsx_close(&fd);
	if (rc != ERR_OK)
		(void)unlink(file);
	else if (c->json)
		jsonl_message(stdout, "key_file", file);
	else if (!c->quiet)
		(void)printf("%s made; use it with --key-file or "
			     "--new-key-file\n",
			file);
	return rc;
}

const struct command cmd_key_generate = {
	.name = "key generate",
	.operands = "FILE",
	.summary = "Make a key file, to be used as a passphrase",
	.operands_min = 1,
	.operands_max = 1,
	.run = run_generate,
};
