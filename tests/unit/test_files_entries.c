/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files source tells of each entry, and its readers, against lstat(2)
 * and what was put there.
 */
#include <grp.h>
#include <linux/fs.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "tests/lib/files_job.h"

static void *
run_reader(struct record *r, size_t len)
{
	const struct reader_ops *ops = r->reader->ops;
	char *data = calloc(1, len + 1);
	struct entry e = r->e;
	size_t got;

	assert_non_null(data);
	assert_int_equal(ops->open(r->reader, &e, &err), ERR_OK);
	assert_int_equal(ops->read(r->reader, 0, data, len, &got, &err),
		ERR_OK);
	assert_int_equal(got, e.size < len ? e.size : len);
	return data;
}

/* ---- what an entry holds ---- */

static void
assert_as_stat(struct recorder *rec, struct record *r)
{
	const struct passwd *pw;
	const struct group *gr;
	struct stat st;

	assert_int_equal(lstat(recorder_path(rec, r), &st), 0);
	assert_int_equal(r->e.mode, st.st_mode & 07777);
	assert_int_equal(r->e.uid, st.st_uid);
	assert_int_equal(r->e.gid, st.st_gid);
	assert_int_equal(r->e.mtime.sec, st.st_mtim.tv_sec);
	assert_int_equal(r->e.mtime.nsec, st.st_mtim.tv_nsec);
	assert_int_equal(r->e.ctime.sec, st.st_ctim.tv_sec);
	assert_int_equal(r->e.ctime.nsec, st.st_ctim.tv_nsec);
	assert_int_equal(r->e.ino, st.st_ino);
	assert_int_equal(r->e.dev, st.st_dev);
	assert_int_equal(r->e.size, S_ISREG(st.st_mode) ? st.st_size : 0);
	assert_int_equal(r->e.nlink, S_ISDIR(st.st_mode) ? 1 : st.st_nlink);
	assert_int_equal(r->way, S_ISREG(st.st_mode) ? WAY_FILE : WAY_ENTRY);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		assert_int_equal(r->e.major, major(st.st_rdev));
		assert_int_equal(r->e.minor, minor(st.st_rdev));
	}
	pw = getpwuid(st.st_uid);
	assert_string_equal((const char *)r->e.user.data,
		pw != NULL ? pw->pw_name : "");
	gr = getgrgid(st.st_gid);
	assert_string_equal((const char *)r->e.group.data,
		gr != NULL ? gr->gr_name : "");
}

static void
make_types(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "sock" };
	const struct timespec times[2] = { { 1, 2 }, { -5, 123456789 } };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char target[3001];

	memset(target, 't', 3000);
	target[3000] = '\0';
	put_file("file", "content");
	put_file("empty", "");
	put_file("new\nline \xff", "x");
	assert_int_equal(chmod("file", 04751), 0);
	assert_int_equal(utimensat(AT_FDCWD, "file", times, 0), 0);
	assert_int_equal(link("file", "link"), 0);
	assert_int_equal(symlink(target, "symlink"), 0);
	assert_int_equal(symlink("/etc/passwd", "out"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const void *)&addr, sizeof(addr)), 0);
	(void)close(fd);
	if (geteuid() != 0)
		return;
	assert_int_equal(mknod("char", S_IFCHR | 0600, makedev(1, 3)), 0);
	assert_int_equal(mknod("block", S_IFBLK | 0600, makedev(300, 70000)),
		0);
	assert_int_equal(lchown("symlink", 12345, 54321), 0);
	assert_int_equal(chown("fifo", 12345, 54321), 0);
}

static void
every_type_as_it_is(void **state)
{
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	struct record *r;
	char *text;

	make_types();
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_int_equal(rec.n_problems, 0);
	/* "/", "/tmp", top, and what is in it; in the first two, others make
	 * files meanwhile */
	assert_int_equal(rec.n, geteuid() == 0 ? 13 : 11);
	for (size_t i = 2; i < rec.n; i++)
		assert_as_stat(&rec, &rec.v[i]);
	for (size_t i = 3; i < rec.n; i++) {
		r = &rec.v[i];
		if (strcmp(strrchr(recorder_path(&rec, r), '/'), "/file") ==
			0) {
			text = run_reader(r, 100);
			assert_string_equal(text, "content");
			free(text);
		}
		if (r->e.type != ENTRY_SYMLINK)
			continue;
		assert_true(r->e.target.len == 11 || r->e.target.len == 3000);
		assert_true(r->e.target.len == 11
				    ? memcmp(r->e.target.data, "/etc/passwd",
					      11) == 0
				    : r->e.target.data[2999] == 't');
	}
	if (geteuid() != 0)
		print_message("no devices: not root\n");
	job_end(&j, &rec);
}

/* ---- extended attributes and flags ---- */

/* Whether the block holds name with this value. */
static bool
has_xattr(struct bytes block, const char *name, const void *value, size_t len)
{
	struct bytes n, v;
	struct xattr_iter it;

	assert_int_equal(xattrs_open(&it, block, &err), ERR_OK);
	while (xattrs_next(&it, &n, &v)) {
		if (n.len == strlen(name) && memcmp(n.data, name, n.len) == 0)
			return v.len == len && memcmp(v.data, value, len) == 0;
	}
	return false;
}

static size_t
count_xattrs(struct bytes block)
{
	struct bytes n, v;
	struct xattr_iter it;
	size_t count = 0;

	if (block.len == 0)
		return 0;
	assert_int_equal(xattrs_open(&it, block, &err), ERR_OK);
	while (xattrs_next(&it, &n, &v))
		count++;
	return count;
}

/* Opens what needs it: e is then complete, as the sink's would be. */
static struct entry
complete(struct recorder *rec, const char *name)
{
	char path[256];
	struct record *r;
	struct entry e;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	r = recorder_find(rec, path);
	assert_non_null(r);
	e = r->e;
	if (r->reader != NULL)
		assert_int_equal(r->reader->ops->open(r->reader, &e, &err),
			ERR_OK);
	return e;
}

static bool
set_flag(const char *path, int flag)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), flags = 0;
	bool ok;

	assert_true(fd >= 0);
	ok = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
	flags |= flag;
	ok = ok && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
	(void)close(fd);
	return ok;
}

static void
root_attributes(void)
{
	/* VFS_CAP_REVISION_2, effective; CAP_NET_RAW permitted. */
	static const uint8_t cap[20] = { 1, 0, 0, 2, 0, 32 };

	if (geteuid() != 0) {
		print_message("no trusted attributes: not root\n");
		return;
	}
	assert_int_equal(mknod("char", S_IFCHR | 0600, makedev(1, 3)), 0);
	assert_int_equal(setxattr("f", "security.capability", cap, 20, 0), 0);
	assert_int_equal(lsetxattr("l", "trusted.t", "link", 4, 0), 0);
	assert_int_equal(lsetxattr("p", "trusted.t", "fifo", 4, 0), 0);
	assert_int_equal(lsetxattr("char", "trusted.t", "chr", 3, 0), 0);
}

static void
check_root_attributes(struct recorder *rec)
{
	static const uint8_t cap[20] = { 1, 0, 0, 2, 0, 32 };

	if (geteuid() != 0)
		return;
	assert_true(has_xattr(complete(rec, "f").xattrs, "security.capability",
		cap, 20));
	assert_true(
		has_xattr(complete(rec, "l").xattrs, "trusted.t", "link", 4));
	assert_true(
		has_xattr(complete(rec, "p").xattrs, "trusted.t", "fifo", 4));
	assert_true(
		has_xattr(complete(rec, "char").xattrs, "trusted.t", "chr", 3));
}

static void
attributes_and_flags(void **state)
{
	/* version 2; user:: rw, user:1 rw, group:: r, mask:: rw, other:: - */
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255,
		255, 2, 0, 6, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
		0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };
	char big[2000] = { 1, 2, 3 };
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	bool flags;

	put_file("f", "content");
	put_file("g", "");
	put_file("many", "");
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(symlink("f", "l"), 0);
	assert_int_equal(mkfifo("p", 0600), 0);
	if (setxattr("f", "user.b", "value", 5, 0) != 0) {
		print_message("skipped: no extended attributes in /tmp\n");
		skip();
	}
	assert_int_equal(setxattr("f", "user.a", "", 0, 0), 0);
	assert_int_equal(setxattr("g", "user.big", big, sizeof(big), 0), 0);
	assert_int_equal(setxattr("d", "user.d", "dir", 3, 0), 0);
	for (int i = 0; i < 60; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "user.a_long_name_%d", i);
		assert_int_equal(setxattr("many", name, &i, sizeof(i), 0), 0);
	}
	assert_int_equal(setxattr("g", "system.posix_acl_access", acl,
				 sizeof(acl), 0),
		0);
	root_attributes();
	flags = set_flag("d", FS_NODUMP_FL) && set_flag("f", FS_NODUMP_FL);
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_int_equal(rec.n_problems, 0);
	assert_true(has_xattr(complete(&rec, "f").xattrs, "user.a", "", 0));
	assert_true(
		has_xattr(complete(&rec, "f").xattrs, "user.b", "value", 5));
	assert_true(has_xattr(complete(&rec, "g").xattrs, "user.big", big,
		sizeof(big)));
	assert_true(has_xattr(complete(&rec, "g").xattrs,
		"system.posix_acl_access", acl, sizeof(acl)));
	assert_true(has_xattr(complete(&rec, "d").xattrs, "user.d", "dir", 3));
	assert_int_equal(count_xattrs(complete(&rec, "many").xattrs), 60);
	if (geteuid() != 0)
		assert_int_equal(count_xattrs(complete(&rec, "l").xattrs), 0);
	check_root_attributes(&rec);
	if (flags) {
		assert_true(complete(&rec, "d").has_flags);
		assert_true((complete(&rec, "d").flags & FS_NODUMP_FL) != 0);
		assert_true((complete(&rec, "f").flags & FS_NODUMP_FL) != 0);
		assert_true((complete(&rec, "g").flags & FS_NODUMP_FL) == 0);
	} else {
		print_message("no inode flags in /tmp\n");
	}
	assert_false(complete(&rec, "l").has_flags);
	job_end(&j, &rec);
}

/* ---- readers ---- */

static void
regions_tell_holes(void **state)
{
	enum { MB = 1 << 20 };
	int fd = open("sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct job j = { .n_paths = 0 };
	struct region reg = { 0 };
	struct recorder rec;
	struct record *r;
	struct entry e;
	uint64_t off = 0, data = 0;
	char path[128];

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "data", 4, 3 * MB), 4);
	assert_int_equal(pwrite(fd, "more", 4, 9 * MB + 5), 4);
	assert_int_equal(ftruncate(fd, 20 * MB + 1), 0);
	(void)close(fd);
	put_file("dense", "dense");
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	(void)snprintf(path, sizeof(path), "%s/sparse", top);
	r = recorder_find(&rec, path);
	e = r->e;
	assert_int_equal(r->reader->ops->open(r->reader, &e, &err), ERR_OK);
	while (off < e.size) {
		assert_int_equal(r->reader->ops->region(r->reader, off, e.size,
					 &reg, &err),
			ERR_OK);
		assert_int_equal(reg.off, off);
		assert_true(reg.len > 0 && reg.len <= e.size - off);
		/* What was written lies in no hole. */
		assert_false(
			reg.hole && off <= 3 * MB && off + reg.len > 3 * MB);
		assert_false(reg.hole && off <= 9 * MB + 5 &&
			     off + reg.len > 9 * MB + 5);
		data += reg.hole ? 0 : reg.len;
		off += reg.len;
	}
	assert_true(data < 4 * MB);
	(void)snprintf(path, sizeof(path), "%s/dense", top);
	r = recorder_find(&rec, path);
	e = r->e;
	assert_int_equal(r->reader->ops->open(r->reader, &e, &err), ERR_OK);
	assert_int_equal(r->reader->ops->region(r->reader, 1, e.size, &reg,
				 &err),
		ERR_OK);
	assert_true(!reg.hole && reg.off == 1 && reg.len == 4);
	job_end(&j, &rec);
}

static void
readers_notice_changes(void **state)
{
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	struct record *r;
	struct entry e;
	bool changed = true;

	put_file("a", "first");
	put_file("gone", "x");
	put_file("other", "x");
	put_file("dir", "x");
	put_file("ln", "x");
	put_file("pipe", "x");
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);

	r = find_in_top(&rec, "a");
	put_file("a", "second time");
	e = r->e;
	assert_int_equal(r->reader->ops->open(r->reader, &e, &err), ERR_OK);
	assert_int_equal(e.size, 11);
	assert_int_equal(r->reader->ops->settle(r->reader, &changed, &err),
		ERR_OK);
	assert_false(changed);
	assert_int_equal(chmod("a", 0600), 0);
	assert_int_equal(r->reader->ops->settle(r->reader, &changed, &err),
		ERR_OK);
	assert_true(changed);
	assert_int_equal(r->reader->ops->open(r->reader, &e, &err), ERR_OK);
	assert_int_equal(e.mode, 0600);
	assert_int_equal(r->reader->ops->settle(r->reader, &changed, &err),
		ERR_OK);
	assert_false(changed);

	/* Replaced while the old one still holds its inode number. */
	put_file("new", "other file");
	shell("rm gone; mv new other; rm dir; mkdir dir; ln -sf a ln; "
	      "rm pipe; mkfifo pipe");
	static const char *const names[] = { "gone", "other", "dir", "ln",
		"pipe" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		r = find_in_top(&rec, names[i]);
		e = r->e;
		assert_int_equal(r->reader->ops->open(r->reader, &e, &err),
			ERR_NOTFOUND);
	}
	job_end(&j, &rec);
}

struct crew {
	struct recorder *rec;
	_Atomic size_t next, n_read, n_wrong, fds_max;
};

static size_t
count_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void *
read_some(void *arg)
{
	struct crew *c = arg;
	struct error e = ERROR_INIT;

	for (;;) {
		size_t i = c->next++;
		struct reader *r;
		struct entry entry;
		char text[16];
		size_t got;

		if (i >= c->rec->n)
			return NULL;
		/* Far apart, so that directories are opened again. */
		r = c->rec->v[(i * 7919) % c->rec->n].reader;
		entry = c->rec->v[(i * 7919) % c->rec->n].e;
		if (r == NULL)
			continue;
		if (r->ops->open(r, &entry, &e) != ERR_OK ||
			r->ops->read(r, 0, text, sizeof(text), &got, &e) !=
				ERR_OK ||
			got != 4 || memcmp(text, "text", 4) != 0)
			c->n_wrong++;
		r->ops->close(r);
		c->rec->v[(i * 7919) % c->rec->n].reader = NULL;
		c->n_read++;
		if (i % 64 == 0) {
			size_t fds = count_fds();

			if (fds > c->fds_max)
				c->fds_max = fds;
		}
	}
}

static void
readers_outlive_the_walk(void **state)
{
	enum { DIRS = 300, FILES = 14, CREW = 4 };
	struct rlimit lim, few = { 128, 128 };
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	struct crew crew = { .rec = &rec };
	pthread_t threads[CREW];

	for (int i = 0; i < DIRS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(mkdir(name, 0755), 0);
		for (int k = 0; k < FILES; k++) {
			(void)snprintf(name, sizeof(name), "d%d/%d", i, k);
			put_file(name, "text");
		}
	}
	/* The source takes half of what it may. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	few.rlim_max = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_true(rec.n >= DIRS * (FILES + 1) + 3);
	/* 7919 must reach every record. */
	assert_true(rec.n % 7919 != 0);
	for (size_t i = 0; i < CREW; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_some,
					 &crew),
			0);
	for (size_t i = 0; i < CREW; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	assert_int_equal(crew.n_read, DIRS * FILES);
	assert_int_equal(crew.n_wrong, 0);
	assert_true(crew.fds_max < 100);
	job_end(&j, &rec);
}

/*
 * The file is still what it was, but it is reached through a directory that
 * has taken the place of the one that was walked.
 */
static void
replaced_directories_are_noticed(void **state)
{
	enum { DIRS = 40 };
	struct rlimit lim, few = { 16, 16 };
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	size_t n_gone = 0;

	for (int i = 0; i < DIRS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(mkdir(name, 0755), 0);
		(void)snprintf(name, sizeof(name), "d%d/file", i);
		put_file(name, "text");
	}
	/* So few that most of the directories are closed at the end. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	few.rlim_max = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	recorder_init(&rec);
	job_set(&j, "list-threads", "0");
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	shell("for d in d*; do mv $d old-$d; mkdir $d; "
	      "ln old-$d/file $d/file; done");
	for (size_t i = 0; i < rec.n; i++) {
		struct reader *r = rec.v[i].reader;
		struct entry e = rec.v[i].e;

		if (r != NULL && r->ops->open(r, &e, &err) == ERR_NOTFOUND)
			n_gone++;
	}
	assert_true(n_gone > DIRS / 2 && n_gone <= DIRS);
	job_end(&j, &rec);
}

/* ---- deep trees ---- */

static void
paths_longer_than_path_max(void **state)
{
	enum { LEVELS = 300, NAME = 200 };
	struct rlimit lim, few = { 64, 64 };
	struct job j = { .n_paths = 0 };
	struct recorder rec;
	char name[NAME + 1], *text;
	size_t n_files = 0;

	memset(name, 'n', NAME);
	name[NAME] = '\0';
	for (int i = 0; i < LEVELS; i++) {
		assert_int_equal(mkdir(name, 0755), 0);
		assert_int_equal(chdir(name), 0);
		/* Before and behind what lies deeper. */
		put_file("a", "text");
		put_file("z", "text");
		assert_int_equal(mkdir("zz", 0755), 0);
	}
	assert_int_equal(chdir(top), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	few.rlim_max = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	recorder_init(&rec);
	assert_int_equal(job_run(&j, &rec), ERR_OK);
	assert_int_equal(rec.n_problems, 0);
	assert_int_equal(rec.n, 3 + 4 * LEVELS);
	for (size_t i = 0; i < rec.n; i += 1 + i % 5) {
		if (rec.v[i].reader == NULL)
			continue;
		text = run_reader(&rec.v[i], 100);
		assert_string_equal(text, "text");
		free(text);
		rec.v[i].reader->ops->close(rec.v[i].reader);
		rec.v[i].reader = NULL;
		n_files++;
	}
	assert_true(n_files > 50);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	job_end(&j, &rec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TOP(every_type_as_it_is),
		IN_TOP(attributes_and_flags),
		IN_TOP(regions_tell_holes),
		IN_TOP(readers_notice_changes),
		IN_MEMORY(readers_outlive_the_walk),
		IN_TOP(replaced_directories_are_noticed),
		IN_TOP(paths_longer_than_path_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
