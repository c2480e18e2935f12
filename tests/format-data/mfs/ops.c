/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops: changes of names on a MooseFS master, through the client as a library.
 *
 *   ops HOST PORT first|second
 *
 * "first" makes a tree; "second", later, does what can happen to a name.
 * Links are asked for by the names under which libmfsio exports what it has
 * inside.
 */
#include <fcntl.h>
#include <mfsio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint8_t fs_link(uint32_t inode, uint32_t parent, uint8_t len,
	const uint8_t *name, uint32_t uid, uint32_t gids, uint32_t *gid,
	uint32_t *made, uint8_t attr[64]);
uint8_t fs_symlink(uint32_t parent, uint8_t len, const uint8_t *name,
	const uint8_t *path, uint32_t uid, uint32_t gids, uint32_t *gid,
	uint32_t *made, uint8_t attr[64]);

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "ops: %s failed\n", what);
	exit(1);
}

static uint32_t
inode_of(const char *path)
{
	struct stat st;

	need(mfs_stat(path, &st) == 0, path);
	return (uint32_t)st.st_ino;
}

static void
file(const char *path)
{
	need(mfs_mknod(path, S_IFREG | 0644, 0) == 0, path);
}

static void
dir(const char *path)
{
	need(mfs_mkdir(path, 0755) == 0, path);
}

static void
move(const char *from, const char *to)
{
	need(mfs_rename(from, to) == 0, to);
}

static void
hard_link(const char *path, const char *parent, const char *name)
{
	uint32_t gid = 0, made;
	uint8_t attr[64];

	need(fs_link(inode_of(path), inode_of(parent), (uint8_t)strlen(name),
		     (const uint8_t *)name, 0, 1, &gid, &made, attr) == 0,
		name);
}

static void
first(void)
{
	char name[300] = "/a/";
	uint32_t gid = 0, made;
	uint8_t attr[64];

	dir("/a");
	dir("/a/b");
	dir("/a/b/c");
	dir("/empty");
	file("/a/one");
	file("/a/two, (with) %signs\n");
	memset(name + 3, 'n', 255);
	name[258] = '\0';
	file(name);
	for (int i = 1; i < 256; i++)
		name[i + 2] = (char)i;
	name['/' + 2] = '_';
	file(name);
	hard_link("/a/one", "/a/b", "one again");
	hard_link("/a/one", "/a/b/c", "one more");
	need(fs_symlink(inode_of("/a"), 4, (const uint8_t *)"link",
		     (const uint8_t *)"../to (there)", 0, 1, &gid, &made,
		     attr) == 0,
		"symlink");
	file("/a/gone");
	file("/a/b/c/gone, too");
	need(mfs_unlink("/a/gone") == 0, "unlink");
	need(mfs_unlink("/a/b/c/gone, too") == 0, "unlink");
}

static void
second(void)
{
	uint32_t one = inode_of("/a/one");

	file("/a/b/c/back");
	file("/a/b/c/again");
	file("/a/purged");
	need(mfs_unlink("/a/b/c/back") == 0, "unlink");
	need(mfs_unlink("/a/b/c/again") == 0, "unlink");
	need(mfs_unlink("/a/purged") == 0, "unlink");
	need(mfs_unlink("/a/b/one again") == 0, "unlink of one of three");
	need(mfs_unlink("/a/one") == 0, "unlink of one of two");
	need(inode_of("/a/b/c/one more") == one, "the third name");
	move("/a/b/c", "/moved");
	file("/over");
	file("/under");
	move("/over", "/under");
	move("/under", "/moved/under");
	dir("/from");
	dir("/to");
	move("/from", "/to");
	need(mfs_unlink("/a/link") == 0, "unlink of a link");
	need(mfs_rmdir("/empty") == 0, "rmdir");
	need(mfs_open("/held", O_RDWR | O_CREAT, 0600) >= 0, "open");
	need(mfs_unlink("/held") == 0, "unlink of an open file");
	file("/last");
	sleep(2);
}

int
main(int argc, char **argv)
{
	mfscfg cfg = { .masterhost = "127.0.0.1" };

	need(argc == 4, "usage");
	cfg.masterhost = argv[1];
	cfg.masterport = argv[2];
	cfg.mountpoint = "/fixture";
	cfg.masterpath = "/";
	cfg.read_cache_mb = cfg.write_cache_mb = 16;
	cfg.io_try_cnt = 3;
	need(mfs_init(&cfg, 0) >= 0, "connect");
	if (strcmp(argv[3], "first") == 0)
		first();
	else
		second();
	if (strcmp(argv[3], "second") == 0)
		_exit(0); /* what is open stays open */
	mfs_term();
	return 0;
}
