// SPDX-License-Identifier: Apache-2.0
/*
 * Directories as archives, brought back by GNU tar and compared by rsync, which sees owners, modes, times, links, ACLs, attributes
 * and every byte. Each test makes what it needs in a directory of its own: src/ is archived as a.tar and unpacked into out/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/files/attributes.h"
#include "../../src/files/data_map.h"
#include "../../src/files/dir_names.h"
#include "../../src/files/hard_links.h"
#include "../../src/files/tar.h"
#include "../../src/files/troubles.h"
#include "unpack_test.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/files.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define MIB ((uint64_t)1 << 20)

struct fixture {
	char dir[64];
	char *src, *out, *tar;
	/* A run. */
	struct sink sink;
	FILE *file;
	struct tar_check check;
	void (*during)(struct fixture *f); /* called once, when the first MiB has come */
	struct cancel cancel;
	struct str said;
	unsigned lines;
	uint64_t paced;
	int fail_pace;
	struct files_facts facts;
	struct error err;
};

static int take(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct fixture *f = (struct fixture *)((char *)s - offsetof(struct fixture, sink));
	void (*during)(struct fixture *) = f->during;

	assert_true(len <= MIB);
	assert_int_equal(fwrite(data, 1, len, f->file), len);
	f->during = NULL;
	if (during)
		during(f);
	return tar_check_write(&f->check, data, len, err);
}

static void say(void *arg, const char *line)
{
	struct fixture *f = arg;

	assert_null(strchr(line, '\n'));
	str_appendf(&f->said, "%s\n", line);
	f->lines++;
}

static int pace(void *arg, uint64_t bytes, struct error *err)
{
	struct fixture *f = arg;

	f->paced += bytes;
	return f->fail_pace ? error_set(err, ERROR_INTERNAL, f->fail_pace, "no more") : 0;
}

static int setup(void **state)
{
	static const struct sink_ops ops = {.write = take};
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->dir, sizeof(f->dir), "/tmp/keepfs-files-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->src = mem_printf("%s/src", f->dir);
	f->out = mem_printf("%s/out", f->dir);
	f->tar = mem_printf("%s/a.tar", f->dir);
	f->sink.ops = &ops;
	cancel_init(&f->cancel);
	*state = f;
	return chmod(f->dir, 0755) || mkdir(f->src, 0755) || mkdir(f->out, 0755);
}

/* Run a script in the test's directory, in bash. Return: its exit status. */
static int run(struct fixture *f, const char *script)
{
	_cleanup(free) char *path = mem_printf("%s/script", f->dir);
	_cleanup(free) char *command = mem_printf("cd %s && bash -eu -o pipefail script", f->dir);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(script, file);
	fclose(file);
	return system(command);
}

static void sh(struct fixture *f, const char *script)
{
	if (run(f, script) != 0)
		fail_msg("failed: %s", script);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command =
	        mem_printf("umount -l %s/src/* 2>/dev/null; rm -rf %s", f->dir, f->dir);
	int r = system(command);

	cancel_finish(&f->cancel);
	str_finish(&f->said);
	free(f->src);
	free(f->out);
	free(f->tar);
	free(f);
	return r;
}

static int archive_with(struct fixture *f, struct files_options options)
{
	int r;

	if (!options.source.root)
		options.source.root = f->src;
	options.source.say = say;
	options.source.arg = f;
	options.source.cancel = &f->cancel;
	options.sink = &f->sink;
	options.pace = pace;
	str_clear(&f->said);
	f->lines = 0;
	f->paced = 0;
	f->err = (struct error){0};
	f->file = fopen(f->tar, "w");
	assert_non_null(f->file);
	tar_check_init(&f->check);
	r = files_write_tar(&options, &f->facts, &f->err);
	fclose(f->file);
	return r;
}

/* What came out is whole, and has as many entries as there are said to be. */
static void archive(struct fixture *f, struct files_options options)
{
	struct files_facts *facts = &f->facts;
	uint64_t entries;

	if (archive_with(f, options) < 0)
		fail_msg("%s", f->err.message);
	assert_int_equal(tar_check_finish(&f->check, &entries, NULL), 0);
	assert_int_equal(entries, facts->files + facts->directories + facts->symlinks + facts->hard_links +
	                                  facts->specials);
	assert_int_equal(f->check.at, facts->archive_bytes);
	assert_int_equal(f->paced, facts->archive_bytes);
	assert_int_equal(facts->archive_bytes % 10240, 0);
}

#define UNPACK                                                                                               \
	"tar --acls --xattrs --xattrs-include='*' --warning=no-timestamp -C out -xpf a.tar 2>tar.err; cat tar.err >&2; test ! -s tar.err; "
#define COMPARE                                                                                              \
	"rsync -aHAXni --checksum --delete --modify-window=-1 src/ out/ >diff; cat diff >&2; test ! -s diff"

static void warn_in_unpacking(void *arg, const char *line)
{
	fail_msg("%s", line);
}

/* The same by ourselves: into a new directory; and then there is nothing to do. */
static void comes_back_by_us(struct fixture *f)
{
	const struct files_unpack_options o = {
	        .directory = f->out, .stage = FILES_STAGE_PREFIX "1", .warn = warn_in_unpacking};
	_cleanup(files_comparison) struct files_comparison before = {0}, after = {0};
	struct files_outcome outcome;

	if (compare_file_with(&o, f->tar, &before, &f->err) < 0 ||
	    extract_file_to(&o, f->tar, &before, &outcome, &f->err) < 0)
		fail_msg("%s", f->err.message);
	assert_int_equal(outcome.directories, f->facts.directories - 1);
	assert_int_equal(outcome.files,
	                 f->facts.files + f->facts.symlinks + f->facts.hard_links + f->facts.specials);
	assert_int_equal(outcome.files, before.names[FILES_ADDED].count);
	if (compare_file_with(&o, f->tar, &after, &f->err) < 0)
		fail_msg("%s", f->err.message);
	if (after.names[FILES_EQUAL].count != outcome.files ||
	    after.names[FILES_CHANGED_DIRECTORY].count + after.names[FILES_ONLY_HERE].count > 0)
		fail_msg("added %s different %s changed %s only %s",
		         str_text(&after.names[FILES_ADDED].first),
		         str_text(&after.names[FILES_DIFFERENT].first),
		         str_text(&after.names[FILES_CHANGED_DIRECTORY].first),
		         str_text(&after.names[FILES_ONLY_HERE].first));
}

static void comes_back(struct fixture *f)
{
	archive(f, (struct files_options){0});
	sh(f, "export LC_ALL=C.UTF-8; " UNPACK COMPARE);
	sh(f, "rm -rf out; mkdir out; export LC_ALL=C; " UNPACK COMPARE);
	sh(f, "rm -rf out");
	comes_back_by_us(f);
	sh(f, COMPARE);
}

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("skipped: only root may do this\n");
	skip();
}

/* A comparison that sees no difference where there is one would make all other tests worthless. */
static void the_comparison_sees(void **state)
{
	static const char *const changes[] = {
	        "touch -d @1600000000.000000001 out/f",
	        "chmod u+s out/f",
	        "echo x >out/f; touch -r src/f out/f",
	        "rm out/l",
	        "ln -sf other out/l",
	        "rm out/h; cp -p out/f out/h",
	        "setfattr -n user.a -v b out/f",
	        "mkdir out/further",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		sh(f,
		   "rm -rf src out; mkdir src; echo y >src/f; touch -d @1600000000.000000002 src/f; ln src/f src/h; ln -s f src/l; cp -a src out");
		sh(f, COMPARE);
		sh(f, changes[i]);
		if (run(f, COMPARE " 2>/dev/null") == 0)
			fail_msg("not seen: %s", changes[i]);
	}
}

static void kinds_modes_and_times(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; echo content >file; : >empty; mkdir -p dir/empty; ln -s ../file dir/link; ln -s nowhere dangling; mkfifo fifo;"
	   "ln -s $(printf 'x%.0s' {1..300}) long-link; echo s >setuid; chmod 6751 setuid; mkdir sticky; chmod 1777 sticky;"
	   "echo w >none; chmod 0 none; chmod 2750 dir;"
	   "touch -d @1600000000.123456789 file; touch -d @-1.5 empty; touch -h -d @0.000000001 dangling;"
	   "touch -d @99999999999.5 fifo; touch -d @1234567890 dir/empty; head -c 3000000 /dev/urandom >big; chmod 711 .");
	comes_back(f);
	assert_int_equal(f->facts.files, 5);
	assert_int_equal(f->facts.directories, 4);
	assert_int_equal(f->facts.symlinks, 3);
	assert_int_equal(f->facts.specials, 1);
	assert_int_equal(f->facts.content_bytes, 8 + 2 + 2 + 3000000);
	assert_int_equal(f->lines, 0);
	sh(f,
	   "test $(stat -c %.9Y out/file) = 1600000000.123456789; test $(stat -c %.9Y out/empty) = -1.500000000;"
	   "test $(stat -c %a out/setuid out/sticky out | tr '\\n' ' ' | tr -d ' ') = 67511777711");
}

static void owners_and_devices(void **state)
{
	struct fixture *f = *state;

	need_root();
	sh(f,
	   "cd src; : >low; chown daemon:games low; : >high; chown 4000000000:3000000000 high; ln -s x link; chown -h 1234:5678 link;"
	   "mknod null c 1 3; mknod block b 259 1048575; chown 33:44 null");
	comes_back(f);
	assert_int_equal(f->facts.specials, 2);
	/* The names are there as well as the numbers. */
	sh(f,
	   "tar -tvf a.tar | grep 'daemon/games .*low' >/dev/null; tar --numeric-owner -tvf a.tar | grep '4000000000/3000000000 .*high' >/dev/null");
}

static void hard_links(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; mkdir -p a z/y; echo one >a/first; ln a/first z/y/last; ln a/first m; head -c 100000 /dev/zero >a/two; ln a/two z/two;"
	   "ln -s x a/sym; ln a/sym z/sym; mkfifo a/fifo; ln a/fifo z/fifo; echo away >a/outside; ln a/outside ../outside;"
	   "l=$(printf 'long%.0s' {1..60}); echo l >a/$l; ln a/$l z/$l");
	comes_back(f);
	assert_int_equal(f->facts.hard_links, 2 + 1 + 1 + 1 + 1);
	sh(f,
	   "test $(stat -c %h out/m) = 3; test out/a/two -ef out/z/two; test $(stat -c %i out/a/sym) = $(stat -c %i out/z/sym)");
}

static void attributes(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; : >f; mkdir d; setfattr -n user.text -v value f; setfattr -n user.binary -v 0x000a3d00ff f; setfattr -n user.empty f;"
	   "setfattr -n user.a=b%3D -v x f; setfattr -n user.dir -v d d; setfattr -n user.root -v r .;"
	   "setfattr -n user.large -v 0x$(printf 'ab%.0s' {1..3000}) f");
	comes_back(f);
	sh(f,
	   "getfattr -d out/f | grep '^user.text=\"value\"' >/dev/null; test $(getfattr -d out/f | grep -c ^user) = 5");
}

static void attributes_of_root(void **state)
{
	struct fixture *f = *state;

	need_root();
	sh(f,
	   "cd src; : >f; chown 12:34 f; ln -s f link; mkfifo fifo; setfattr -n trusted.t -v 1 f; setfattr -h -n trusted.l -v 2 link;"
	   "setfattr -n trusted.p -v 3 fifo; setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 f");
	comes_back(f);
	sh(f,
	   "getfattr -m - -d out/f | grep ^security.capability >/dev/null; getfattr -h -m - -d out/link | grep ^trusted.l >/dev/null");
}

/* user::rw-, user:1000:rwx, user:54321:r--, group::r--, mask::rwx, other::--- */
static const unsigned char acl[] = {2, 0,   0,   0,    1,   0,    6,   0,   255, 255, 255,  255,  2,
                                    0, 7,   0,   0xe8, 3,   0,    0,   2,   0,   4,   0,    0x31, 0xd4,
                                    0, 0,   4,   0,    4,   0,    255, 255, 255, 255, 0x10, 0,    7,
                                    0, 255, 255, 255,  255, 0x20, 0,   0,   0,   255, 255,  255,  255};

static void acls(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = mem_printf("%s/file", f->src), *dir = mem_printf("%s/dir", f->src);

	sh(f, "cd src; mkdir -p dir/below; : >file; : >dir/plain");
	if (setxattr(file, "system.posix_acl_access", acl, sizeof(acl), 0) < 0) {
		print_message("skipped: /tmp has no ACLs\n");
		skip();
	}
	assert_int_equal(setxattr(dir, "system.posix_acl_access", acl, sizeof(acl), 0), 0);
	assert_int_equal(setxattr(dir, "system.posix_acl_default", acl, sizeof(acl), 0), 0);
	comes_back(f);
	sh(f,
	   "getfattr -m - -d out/file | grep posix_acl_access >/dev/null; getfattr -m - -d out/dir | grep posix_acl_default >/dev/null");
}

static void acls_as_text(void **state)
{
	_cleanup(str) struct str text = {0};

	assert_int_equal(acl_append_text(&text, acl, sizeof(acl)), 0);
	assert_string_equal(text.data,
	                    "user::rw-,user:1000:rwx,user:54321:r--,group::r--,mask::rwx,other::---");
	assert_int_equal(acl_append_text(&text, acl, 3), -EBADMSG);
	assert_int_equal(acl_append_text(&text, acl, sizeof(acl) - 1), -EBADMSG);
	assert_int_equal(acl_append_text(&text, "\1\0\0\0", 4), -EBADMSG);
	assert_int_equal(acl_append_text(&text, "\2\0\0\0\3\0\0\0\0\0\0\0", 12), -EBADMSG);
}

static void names_of_any_bytes(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; e() { echo \"$1\" >\"$1\"; }; e ./-rf; e 'back\\slash'; e $'new\\nline'; e $'\\xff\\xfe'; e $'\\xc3\\xa4'; e ' '; e '*'; e '='; e $'\\r\\t';"
	   "n=$(printf 'n%.0s' {1..255}); e $n; mkdir ${n}x 2>/dev/null && exit 1; mkdir $n.d 2>/dev/null && exit 1; m=${n:0:99}; e ${m}; e ${m}1; e ${m}12;"
	   "b=$(printf '\\xff%.0s' {1..120}); mkdir \"$b\"; e \"$b/$b\"; ln \"$b/$b\" \"$b/2\"; ln -s \"$b\" l;"
	   "u=$(printf '\\xc3\\xa4%.0s' {1..120}); mkdir -p \"$u/$u/$u\"; e \"$u/$u/$u/$u\"; mkdir -p ${m}/x 2>/dev/null || mkdir -p d${m}/x/${m}/y; e d${m}/x/${m}/y/${m}");
	archive(f, (struct files_options){0});
	/* The only names that have to be announced are those that are neither short nor UTF-8, and tar warns that it does not know the word. */
	sh(f,
	   "for l in C C.UTF-8; do rm -rf out; mkdir out; LC_ALL=$l tar -C out -xpf a.tar 2>tar.err; cat tar.err >&2; test $(wc -l <tar.err) = 3;"
	   "grep -qv hdrcharset tar.err && exit 1; " COMPARE "; done");
}

static void a_link_as_root_and_a_prefix(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *link = mem_printf("%s/link", f->dir);

	sh(f, "echo x >src/f; ln src/f src/g; ln -s src link");
	archive(f, (struct files_options){.source.root = link, .prefix = "some/where"});
	sh(f,
	   "test \"$(tar tf a.tar | tr '\\n' ' ')\" = 'some/where/ some/where/f some/where/g '; mkdir -p out; tar -C out -xpf a.tar;"
	   "mv out/some/where where; rm -rf out; mv where out; " COMPARE);
	assert_int_equal(archive_with(f, (struct files_options){.source.root = "/nowhere/at/all"}), -ENOENT);
	assert_non_null(strstr(f->err.message, "/nowhere/at/all"));
	assert_int_equal(archive_with(f, (struct files_options){.source.root = "/etc/passwd"}), -ENOTDIR);
}

static void holes(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; truncate -s 64M all-hole; echo end | dd of=end bs=1M seek=40 conv=notrunc status=none; echo begin >begin; truncate -s 50M begin;"
	   "for i in 1 3 7 20; do echo $i | dd of=middle bs=1M seek=$i conv=notrunc status=none; done; truncate -s 1 one; fallocate -l 5M unwritten;"
	   "l=$(printf 'long%.0s' {1..50}); truncate -s 9M $l; ln $l link");
	comes_back(f);
	assert_true(f->facts.archive_bytes < 8 * MIB);
	sh(f, "for n in all-hole end begin middle; do test $(stat -c %b out/$n) -lt 200; done");
}

/* The size of a disk, of which a mebibyte is there: it must not be read. */
static void a_hole_of_a_tebibyte(void **state)
{
	struct fixture *f = *state;

	if (run(f, "truncate -s 1T src/disk") != 0) {
		print_message("skipped: /tmp has no files of 1 TiB\n");
		skip();
	}
	sh(f,
	   "head -c 1M /dev/urandom >data; dd if=data of=src/disk bs=1M seek=700000 conv=notrunc status=none");
	archive(f, (struct files_options){0});
	assert_true(f->facts.archive_bytes < 2 * MIB);
	assert_true(f->facts.content_bytes == UINT64_C(1) << 40);
	sh(f, UNPACK "test $(stat -c %s out/disk) = $((1<<40)); test $(stat -c %b out/disk) -lt 3000;"
	             "dd if=out/disk bs=1M skip=700000 count=1 status=none | cmp - data");
}

static void too_many_holes_become_data(void **state)
{
	struct data_map d = {0};
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < 300000; i++) {
		data_map_add(&d, (struct data_piece){i * 8192, i % 1000 ? 4096 : 100});
		assert_true(d.count <= 65536);
	}
	for (size_t i = 0; i < d.count; i++) {
		assert_true(i == 0 || d.rows[i].at > d.rows[i - 1].at + d.rows[i - 1].bytes);
		bytes += d.rows[i].bytes;
	}
	assert_int_equal(d.rows[0].at, 0);
	assert_int_equal(d.rows[d.count - 1].at + d.rows[d.count - 1].bytes, UINT64_C(299999) * 8192 + 4096);
	assert_true(bytes >= UINT64_C(299700) * 4096);
	data_map_finish(&d);
}

/* Names of 200 bytes, one in the other, far beyond PATH_MAX; and more levels than directories are kept open, with something to come
 * back to on each. */
static void deeper_than_any_path(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; n=$(printf 'n%.0s' {1..200}); for i in {1..50}; do mkdir $n; cd -P $n 2>/dev/null || cd ./$n; done; echo bottom >bottom");
	archive(f, (struct files_options){0});
	assert_int_equal(f->facts.directories, 51);
	sh(f,
	   "tar tf a.tar | tail -1 | wc -c >len; test $(cat len) = $((2 + 50 * 201 + 6 + 1)); test \"$(tar -xOf a.tar)\" = bottom");
	sh(f, "rm -rf src; mkdir src; cd src; for i in {1..150}; do mkdir d; echo $i >z; cd d; done");
	archive(f, (struct files_options){0});
	assert_int_equal(f->facts.directories, 151);
	assert_int_equal(f->facts.files, 150);
	sh(f, UNPACK COMPARE);
}

static void move_directories(struct fixture *f)
{
	sh(f, "d=src; for i in {1..20}; do d=$d/d; done; mv $d moved");
}

/* While the walk is 100 levels down, a directory above leaves the tree: what is in it is found, and the way back, too. */
static void moved_while_walked(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; for i in {1..100}; do mkdir d; echo $i >z; cd d; done; head -c 3000000 /dev/zero | tr '\\0' x >big");
	f->during = move_directories;
	archive(f, (struct files_options){0});
	assert_int_equal(f->facts.directories, 101);
	assert_int_equal(f->facts.files, 101);
}

static void order_and_exclusion(void **state)
{
	struct fixture *f = *state;
	char *exclude[] = {"*.tmp", "cache/", "/d/x", NULL};

	sh(f,
	   "cd src; mkdir -p b a cache/deep d/e d/x/y; : >b/2; : >b/10; : >B; : >a/x.tmp; : >cache/c; : >d/cache; : >d/e/x; : >d/x/f");
	archive(f, (struct files_options){.source.exclude = exclude});
	assert_int_equal(f->facts.excluded, 3);
	sh(f,
	   "test \"$(tar tf a.tar | tr '\\n' ' ')\" = './ ./B ./a/ ./b/ ./b/10 ./b/2 ./d/ ./d/cache ./d/e/ ./d/e/x '");
	sh(f, "cp a.tar first");
	archive(f, (struct files_options){.source.exclude = exclude});
	sh(f, "cmp first a.tar");
}

static void shrink_big(struct fixture *f)
{
	sh(f, "truncate -s 1500000 src/big");
}

static void grow_big(struct fixture *f)
{
	sh(f, "echo more >>src/big");
}

static void overwrite_big(struct fixture *f)
{
	sh(f, "echo other | dd of=src/big conv=notrunc status=none");
}

static void files_change_while_they_are_read(void **state)
{
	static void (*const changes[])(struct fixture *) = {shrink_big, grow_big, overwrite_big};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		sh(f,
		   "rm -rf src out; mkdir src out; head -c 3000000 /dev/urandom >src/big; cp src/big before; echo after >src/c");
		f->during = changes[i];
		archive(f, (struct files_options){0});
		assert_int_equal(f->facts.changed, 1);
		assert_int_equal(f->lines, 1);
		assert_non_null(strstr(f->said.data, "big: changed while it was read"));
		sh(f, UNPACK
		   "test $(stat -c %s out/big) = 3000000; cmp -n 1000000 out/big before; test $(cat out/c) = after");
	}
	/* What was not read before it was cut is zeros. */
	sh(f, "rm -rf src out; mkdir src out; head -c 3000000 /dev/urandom >src/big");
	f->during = shrink_big;
	archive(f, (struct files_options){0});
	sh(f, UNPACK "tail -c 900000 out/big | cmp -n 900000 - /dev/zero; cmp -n 1500000 src/big out/big");
	/* Files that nobody writes to are not said to change. */
	sh(f, "rm -rf out; mkdir out");
	comes_back(f);
	assert_int_equal(f->facts.changed, 0);
}

static void remove_others(struct fixture *f)
{
	sh(f, "cd src; rm b; rm -r d; rm e; mkfifo e; rm g; ln -s /etc/passwd g");
}

/* b and all of d are gone when it is their turn; e is a fifo by then, which has no other end, and g a link. */
static void files_vanish(void **state)
{
	struct fixture *f = *state;

	sh(f, "cd src; head -c 3000000 /dev/urandom >a; : >b; : >c; mkdir d; : >d/x; : >e; : >g");
	f->during = remove_others;
	archive(f, (struct files_options){0});
	assert_int_equal(f->facts.vanished, 2);
	assert_int_equal(f->facts.specials, 1);
	assert_int_equal(f->facts.symlinks, 1);
	assert_int_equal(f->facts.files, 2);
	assert_non_null(strstr(f->said.data, "b: vanished"));
	/* The root's time is that from before. */
	sh(f, UNPACK "touch -r src out; " COMPARE);
}

static int archive_as_nobody(struct fixture *f, struct files_options options)
{
	bool root = geteuid() == 0;
	int r;

	/* The archive's file is made with the rights that we have now. */
	sh(f, ": >a.tar; chmod 666 a.tar");
	if (root)
		assert_int_equal(seteuid(65534), 0);
	r = archive_with(f, options);
	if (root)
		assert_int_equal(seteuid(0), 0);
	return r;
}

static void what_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "cd src; echo s >secret; chmod 0 secret; mkdir closed; : >closed/x; chmod 0 closed; echo o >open; for i in {1..30}; do echo $i >t$i; chmod 0 t$i; done");
	assert_int_equal(archive_as_nobody(f, (struct files_options){0}), -EACCES);
	assert_int_equal(f->err.class, ERROR_DENIED);
	assert_non_null(strstr(f->err.message, "cannot read \"closed\" (and 31 more): Permission denied"));
	assert_int_equal(f->lines, 21);
	assert_non_null(strstr(f->said.data, "and 12 further files cannot be read"));
	assert_int_equal(archive_as_nobody(f, (struct files_options){.skip_unreadable = true}), 0);
	assert_int_equal(f->facts.unreadable, 32);
	sh(f, "test \"$(tar tf a.tar | tr '\\n' ' ')\" = './ ./closed/ ./open '; chmod 700 src/closed");
	assert_int_equal(tar_check_finish(&f->check, NULL, NULL), 0);
}

static void sockets_are_left_out(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup(fd) int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s\n", f->src);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	archive(f, (struct files_options){0});
	assert_int_equal(f->facts.sockets, 1);
	assert_string_equal(f->said.data, "s\\012: is a socket, which an archive cannot hold: left out\n");
}

/* Of another file system, and of the same one. */
static void mounts_are_not_crossed(void **state)
{
	struct fixture *f = *state;

	need_root();
	sh(f,
	   "mkdir src/tmpfs src/bind other; echo o >other/o; echo f >src/file; : >src/onto; echo s >src/z");
	if (run(f,
	        "mount -t tmpfs none src/tmpfs; mount --bind other src/bind; mount --bind other/o src/onto") !=
	    0) {
		print_message("skipped: nothing can be mounted here\n");
		skip();
	}
	sh(f, "echo t >src/tmpfs/t");
	archive(f, (struct files_options){0});
	assert_int_equal(f->facts.other_mounts, 3);
	sh(f, "test \"$(tar tf a.tar | tr '\\n' ' ')\" = './ ./bind/ ./file ./tmpfs/ ./z '");
	archive(f, (struct files_options){.source.cross_mounts = true});
	assert_int_equal(f->facts.other_mounts, 0);
	sh(f, UNPACK COMPARE);
	sh(f, "umount src/tmpfs src/bind src/onto");
}

static void cancel_it(struct fixture *f)
{
	cancel_set(&f->cancel);
}

static void cancelled_within_a_file(void **state)
{
	struct fixture *f = *state;

	sh(f, "head -c 20000000 /dev/zero | tr '\\0' x >src/big");
	f->during = cancel_it;
	assert_int_equal(archive_with(f, (struct files_options){0}), -ECANCELED);
	assert_int_equal(f->err.class, ERROR_CANCELLED);
	assert_true(f->check.at <= 2 * MIB);
}

static void others_end_it(void **state)
{
	struct fixture *f = *state;

	sh(f, "head -c 2000000 /dev/zero | tr '\\0' x >src/big");
	f->fail_pace = EDQUOT;
	assert_int_equal(archive_with(f, (struct files_options){0}), -EDQUOT);
	assert_int_equal(f->check.at, MIB);
}

static void many_names_come_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct dir_names names = {.at_once = 3};
	_cleanup(str) struct str all = {0};
	_cleanup(fd) int fd = open(f->src, O_RDONLY | O_DIRECTORY);
	const char *name;
	unsigned count = 0, descents = 0;
	char last[256] = "";
	int errnum;

	sh(f, "cd src; touch {0..9}");
	assert_int_equal(dir_names_open(&names, fd), 0);
	while ((name = dir_names_next(&names, NULL, &errnum))) {
		assert_int_equal(errnum, 0);
		assert_true(dir_names_type(name) == DT_REG || dir_names_type(name) == DT_UNKNOWN);
		assert_true(names.count <= 3);
		descents += strcmp(name, last) < 0;
		assert_null(strstr(str_text(&all), name));
		str_append(&all, name);
		str_copy(last, sizeof(last), name);
		count++;
	}
	assert_int_equal(count, 10);
	assert_true(descents <= 3); /* between pieces only */
	assert_true(dir_names_ended(&names));
	dir_names_finish(&names);
}

static void the_working_directory_stays(void **state)
{
	struct fixture *f = *state;
	char before[4096], after[4096];

	sh(f, "mkdir -p src/a/b");
	assert_non_null(getcwd(before, sizeof(before)));
	archive(f, (struct files_options){0});
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
}

static void no_descriptor_is_left(void **state)
{
	struct fixture *f = *state;
	int before = dup(0), after;

	close(before);
	sh(f, "cd src; for i in {1..100}; do mkdir d; echo $i >z; cd d; done");
	archive(f, (struct files_options){0});
	f->during = cancel_it;
	cancel_set(&f->cancel);
	assert_int_equal(archive_with(f, (struct files_options){0}), -ECANCELED);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void links_are_forgotten_when_all_were_seen(void **state)
{
	struct hard_links l = {0};

	for (uint64_t i = 0; i < 1000; i++)
		hard_links_add(&l, 7, i, "first", 2);
	assert_null(hard_links_see(&l, 8, 1));
	assert_null(hard_links_see(&l, 7, 1000));
	for (uint64_t i = 0; i < 1000; i++)
		assert_string_equal(hard_links_see(&l, 7, i), "first");
	assert_int_equal(l.count, 1000);
	for (uint64_t i = 0; i < 999; i++)
		assert_string_equal(hard_links_see(&l, 7, i), "first");
	assert_int_equal(l.count, 1);
	assert_null(hard_links_see(&l, 7, 1));
	hard_links_finish(&l);
}

struct rows {
	struct str text;
	int64_t changed_at_us[8];
	size_t count;
	int fail;
};

static int take_row(void *arg, const struct files_subdirectory *d, struct error *err)
{
	struct rows *rows = arg;

	if (rows->fail)
		return error_set(err, ERROR_INTERNAL, rows->fail, "no more");
	str_appendf(&rows->text, "%s ", d->path);
	if (d->problem)
		str_appendf(&rows->text, "(%s) ", d->problem);
	rows->changed_at_us[rows->count++] = d->changed_at_us;
	return 0;
}

static struct rows subdirectories(struct fixture *f, const char *pattern, char *const *exclude)
{
	struct rows rows = {0};
	struct files_source source = {
	        .root = f->src, .exclude = exclude, .now_us = clock_now_us(), .arg = &rows};

	if (files_subdirectories(&source, pattern, take_row, &f->err) < 0)
		fail_msg("%s", f->err.message);
	return rows;
}

static void subdirectories_that_match(void **state)
{
	struct fixture *f = *state;
	char *exclude[] = {"c", NULL};
	struct rows rows;

	sh(f, "cd src; mkdir -p b/1 b/2x a/1/deep/er c/1; : >file; ln -s a link; : >a/2");
	rows = subdirectories(f, "*", NULL);
	assert_string_equal(rows.text.data, "a b c ");
	str_finish(&rows.text);
	rows = subdirectories(f, "*/", exclude);
	assert_string_equal(rows.text.data, "a b ");
	str_finish(&rows.text);
	rows = subdirectories(f, "[ab]/?", NULL);
	assert_string_equal(rows.text.data, "a/1 b/1 ");
	str_finish(&rows.text);
	rows = subdirectories(f, "none", NULL);
	assert_int_equal(rows.count, 0);
}

/* Nobody would miss what is left out without a word. */
static void subdirectories_with_a_problem(void **state)
{
	struct fixture *f = *state;
	struct rows rows;

	sh(f, "cd src; mkdir -p a/1 a/2/in b/1 c/1; chmod 0 a/2 b c; chmod 755 ..");
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	rows = subdirectories(f, "[ab]/*", NULL);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	sh(f, "chmod 755 src/a/2 src/b src/c");
	assert_string_equal(
	        rows.text.data,
	        "a/1 a/2 (a/2 cannot be read: Permission denied) b (b cannot be read: Permission denied) ");
	str_finish(&rows.text);
	if (run(f, "mount -t tmpfs none src/b/1") != 0) {
		print_message("not allowed to mount: not tested\n");
		return;
	}
	rows = subdirectories(f, "b/*", NULL);
	sh(f, "umount src/b/1");
	assert_string_equal(
	        rows.text.data,
	        "b/1 (another file system is mounted there: set cross_mounts = yes, or exclude it) ");
	str_finish(&rows.text);
}

/* Whoever owns a directory in between may put a link in the place of the one that was found. */
static void what_is_below_is_reached_without_a_link(void **state)
{
	struct fixture *f = *state;

	sh(f, "mkdir -p src/a/b other/b; : >src/a/b/file; ln -s ../other src/link");
	archive(f, (struct files_options){.source.below = "a/b"});
	sh(f, "test \"$(tar tf a.tar | tr '\\n' ' ')\" = './ ./file '");
	assert_int_equal(archive_with(f, (struct files_options){.source.below = "link/b"}), -ENOTDIR);
	assert_non_null(strstr(f->err.message, "src/link/b"));
	assert_int_equal(archive_with(f, (struct files_options){.source.below = "a/none"}), -ENOENT);
	sh(f, "chmod 0 src/a/b/file");
	assert_int_equal(archive_as_nobody(f, (struct files_options){.source.below = "a/b"}), -EACCES);
	assert_non_null(strstr(f->err.message, "src/a/b: cannot read \"file\""));
}

static struct rlimit limit_before;

static void no_descriptor_is_free(struct fixture *f)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
	limit = (struct rlimit){.rlim_cur = 0, .rlim_max = limit_before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* What is still to come in a directory that cannot be opened again has not vanished. */
static void a_directory_that_cannot_be_opened_again_is_an_error(void **state)
{
	struct fixture *f = *state;
	int r;

	sh(f,
	   "cd src; for i in {1..6}; do mkdir d; : >z; cd d; done; for i in {1..64}; do mkdir d; cd d; done; head -c 3M /dev/urandom >big");
	f->during = no_descriptor_is_free;
	r = archive_with(f, (struct files_options){0});
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit_before), 0);
	assert_int_equal(r, -EMFILE);
}

/* There the size is a page, whatever the content. */
static void a_file_that_ends_too_early_has_changed(void **state)
{
	struct fixture *f = *state;
	static const char root[] = "/sys/kernel/mm/transparent_hugepage";

	if (access(root, R_OK) != 0) {
		print_message("no %s: not tested\n", root);
		return;
	}
	archive(f, (struct files_options){.source.root = root, .skip_unreadable = true});
	assert_true(f->facts.changed > 0);
}

/* Deep below and anywhere in it; times of the past are no change, and one of the future is none of that time. */
static void when_something_changed(void **state)
{
	struct fixture *f = *state;
	struct files_source source = {.root = f->src};
	int64_t began_us = clock_now_us() - US_PER_S;
	struct rows rows;

	sh(f,
	   "mkdir -p src/a/deep src/b; : >src/a/deep/file; touch -d 2001-01-01 src/a/deep/file src/a/deep src/a; touch -d 2099-01-01 src/b");
	rows = subdirectories(f, "*", NULL);
	assert_int_equal(rows.count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_in_range(rows.changed_at_us[i], began_us, clock_now_us() + US_PER_S);
	str_finish(&rows.text);
	rows = (struct rows){.fail = EDQUOT};
	source.arg = &rows;
	assert_int_equal(files_subdirectories(&source, "*", take_row, &f->err), -EDQUOT);
	assert_int_equal(files_subdirectories(&source, "**", take_row, &f->err), -EINVAL);
	assert_int_equal(files_subdirectories(&source, "a/**/b", take_row, &f->err), -EINVAL);
	assert_int_equal(files_subdirectories(&source, "", take_row, &f->err), -EINVAL);
	assert_int_equal(files_subdirectories(&source, "../x", take_row, &f->err), -EINVAL);
}

/* The one below which a write makes new is the one that is told newer. */
static void only_what_changed_is_newer(void **state)
{
	struct fixture *f = *state;
	struct rows before, after;

	sh(f, "mkdir -p src/a/deep src/b; : >src/a/deep/file; : >src/b/file");
	before = subdirectories(f, "*", NULL);
	sh(f, "echo more >>src/a/deep/file");
	after = subdirectories(f, "*", NULL);
	assert_true(after.changed_at_us[0] > before.changed_at_us[0]);
	assert_true(after.changed_at_us[1] == before.changed_at_us[1]);
	str_finish(&before.text);
	str_finish(&after.text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(the_comparison_sees),
	        TEST(kinds_modes_and_times),
	        TEST(owners_and_devices),
	        TEST(hard_links),
	        TEST(attributes),
	        TEST(attributes_of_root),
	        TEST(acls),
	        cmocka_unit_test(acls_as_text),
	        TEST(names_of_any_bytes),
	        TEST(a_link_as_root_and_a_prefix),
	        TEST(holes),
	        TEST(a_hole_of_a_tebibyte),
	        cmocka_unit_test(too_many_holes_become_data),
	        TEST(deeper_than_any_path),
	        TEST(moved_while_walked),
	        TEST(order_and_exclusion),
	        TEST(files_change_while_they_are_read),
	        TEST(files_vanish),
	        TEST(what_cannot_be_read),
	        TEST(sockets_are_left_out),
	        TEST(mounts_are_not_crossed),
	        TEST(cancelled_within_a_file),
	        TEST(others_end_it),
	        TEST(many_names_come_in_pieces),
	        TEST(the_working_directory_stays),
	        TEST(no_descriptor_is_left),
	        cmocka_unit_test(links_are_forgotten_when_all_were_seen),
	        TEST(subdirectories_that_match),
	        TEST(subdirectories_with_a_problem),
	        TEST(what_is_below_is_reached_without_a_link),
	        TEST(a_directory_that_cannot_be_opened_again_is_an_error),
	        TEST(a_file_that_ends_too_early_has_changed),
	        TEST(when_something_changed),
	        TEST(only_what_changed_is_newer),
	};

	if (system("for p in tar rsync setfattr getfattr bash; do command -v $p || exit 1; done >/dev/null") !=
	    0) {
		puts("1..0 # SKIP tar, rsync, attr and bash are needed to bring back and compare what was archived");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
