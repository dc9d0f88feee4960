// SPDX-License-Identifier: Apache-2.0
/* links/. */
#include "fs_test.h"

#include <signal.h>
#include <sys/resource.h>

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>

static void links_mirror_backups(void **state)
{
	struct fixture *f = *state;

	add_some(f);
	add(f, "tenants/a=20b/" DUMP, false, NULL);
	assert_lists(f, "links", "./ ../ backups/ exports/ ");
	assert_lists(f, "links/backups", "./ ../ full/ tenants/ ");
	assert_int_equal(stat_at(f, "links").st_nlink, 4);
	assert_lists(f, "links/backups/full",
	             "./ ../ latest latest.dump " DUMP " " TREE "/ " SCHEMA " " TABLES " " GLOBALS " ");
	assert_lists(f, "links/backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
	assert_lists(f, "links/backups/tenants", "./ ../ a=20b/ ");
	assert_lists(f, "links/backups/tenants/a=20b", "./ ../ latest.dump " DUMP " ");
	assert_int_equal(stat_at(f, "links/backups").st_nlink, 4);
	assert_int_equal(stat_at(f, "links/backups/full").st_nlink, 3);
	assert_int_equal(stat_at(f, "links/backups/full").st_mode, S_IFDIR | 0750);
	assert_int_equal(stat_at(f, "links/backups/full").st_mtim.tv_sec,
	                 stat_at(f, "backups/full").st_mtim.tv_sec);
}

static void root_is_counted(struct fixture *f)
{
	struct node root;
	struct stat st;

	assert_int_equal(node_load(f->fs, INO_ROOT, &root), 0);
	assert_int_equal(node_stat(f->fs, &root, &st), 0);
	assert_int_equal(st.st_nlink, 16);
}

/* Nothing has the number of something else, and numbers of nothing lead nowhere. */
static void links_mirror_backups_numbers(void **state)
{
	static const char *const paths[] = {"full",       "full/latest",           "full/" DUMP,
	                                    "full/" TREE, "full/" TREE "/toc.dat", "full/" TABLES};
	static const uint64_t none[] = {INO_ROOT,    2 /* backups/ */,
	                                INO_LINKS,   INO_STATUS,
	                                INO_CONTROL, INO_FIXED,
	                                0,           UINT64_C(1) << 60 | 1 << 3,
	                                (1 << 20),   UINT64_C(5) << 61 | 12};
	struct fixture *f = *state;
	struct node node;

	add_some(f);
	root_is_counted(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup(free) char *backup = mem_printf("backups/%s", paths[i]);
		_cleanup(free) char *link = mem_printf("links/backups/%s", paths[i]);

		assert_int_equal(ino_at(f, link), ino_link(ino_at(f, backup)));
		assert_int_equal(node_load(f->fs, ino_at(f, link), &node), 0);
		assert_int_equal(node.ino, ino_at(f, link));
		assert_true(node.class->in_links);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(node_load(f->fs, ino_link(none[i]), &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino_link(ino_at(f, "backups/full/SHA256SUMS")), &node), -ENOENT);
}

static void links_go_with_their_backups(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;
	uint64_t inside;
	struct node node;

	add_some(f);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "links/backups/full", DUMP), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "links/backups/full", TREE), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "links/backups/full/" TREE, "toc.dat"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "links/backups", "full"), -EPERM);
	why = last_error(f);
#define MIRROR ": links/ only mirrors backups/, exports/: what is removed there vanishes here\n"
	assert_string_equal(why, "EPERM links/backups/full" MIRROR "EPERM links/backups/full/" TREE
	                         "/toc.dat" MIRROR "EPERM links/backups/full/" TREE MIRROR
	                         "EPERM links/backups/full/" DUMP MIRROR);
	inside = ino_at(f, "links/backups/full/" TREE "/toc.dat");
	add(f, "full/" NEWER, false, NULL);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", TREE), 0);
	assert_int_equal(find(f, "links/backups/full/" TREE, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, inside, &node), -ENOENT);
	assert_int_equal(stat_at(f, "links/backups/full").st_nlink, 2);
}

/* Opens for reading, unless @flags say else; what the file holds (heap), with errno's negative NULL. */
static char *open_and_read(struct fixture *f, const char *path, uint32_t flags, int *ret_result)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = flags};
	struct fuse_read_in in = {.size = 4096};
	struct fuse_release_in out = {0};
	uint64_t ino = ino_at(f, path);
	char *text;
	ssize_t n = ask(f, FUSE_OPEN, ino, &how, sizeof(how), answer);

	*ret_result = n < 0 ? (int)n : 0;
	if (n < 0)
		return NULL;
	assert_true(((const struct fuse_open_out *)answer)->open_flags & FOPEN_DIRECT_IO);
	in.fh = out.fh = ((const struct fuse_open_out *)answer)->fh;
	n = ask(f, FUSE_READ, ino, &in, sizeof(in), answer);
	assert_true(n >= 0);
	text = mem_printf("%.*s", (int)n, answer);
	in.offset = (uint64_t)n;
	assert_int_equal(ask(f, FUSE_READ, ino, &in, sizeof(in), answer), 0);
	assert_int_equal(ask(f, FUSE_RELEASE, ino, &out, sizeof(out), answer), 0);
	return text;
}

static void see_audit(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%s %s %s %.12s;", entry->action, entry->object, entry->result, entry->detail);
}

static char *audited(struct fixture *f)
{
	struct str seen = {0};

	assert_int_equal(catalog_audits(f->catalog, 0, see_audit, &seen), 0);
	return str_take(&seen);
}

static void assert_link(struct fixture *f, const char *path)
{
	_cleanup(free) char *begin = mem_printf(
	        "https://bucket.s3.us-east-1.amazonaws.com/pre/%s?X-Amz-Algorithm=", path + strlen("links/"));
	_cleanup(free) char *line = NULL;
	int result;

	line = open_and_read(f, path, 0, &result);
	assert_int_equal(result, 0);
	assert_true(str_starts(line, begin));
	assert_non_null(strstr(line, "&X-Amz-Expires=900&"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_int_equal(stat_at(f, path).st_size, strlen(line));
}

static void attributes_of_links(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *audits = NULL;
	struct stat st;

	add_some(f);
	st = stat_at(f, "links/backups/full/" DUMP);
	assert_int_equal(st.st_mode, S_IFREG | 0440);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED);
	assert_true(st.st_size > 200);
	assert_int_equal(st.st_blocks, 1);
	assert_int_equal(stat_at(f, "links/backups/full/" GLOBALS).st_mode, S_IFREG | 0400);
	assert_int_equal(stat_at(f, "links/backups/full/" TREE).st_mode, S_IFDIR | 0550);
	assert_int_equal(stat_at(f, "links/backups/full/latest").st_size, strlen(TREE));
	assert_null(attribute(f, "links/backups/full/" DUMP, "sha256"));
	assert_null(attribute(f, "links/backups/full/" TREE, "sha256"));
	/* All that was seen, and nobody was given a URL. */
	audits = audited(f);
	assert_string_equal(audits, "");
}

static void each_open_makes_a_url(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *audits = NULL;

	add_some(f);
	assert_link(f, "links/backups/full/" DUMP);
	assert_link(f, "links/backups/full/" DUMP);
	assert_link(f, "links/backups/full/" TABLES);
	assert_link(f, "links/backups/full/" TREE "/SHA256SUMS");
	audits = audited(f);
	assert_string_equal(audits, "link backups/full/" TREE "/SHA256SUMS ok valid until ;"
	                            "link backups/full/" TABLES " ok valid until ;"
	                            "link backups/full/" DUMP " ok valid until ;"
	                            "link backups/full/" DUMP " ok valid until ;");
}

static void a_link_is_only_read(void **state)
{
	static const uint32_t flags[] = {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC};
	struct fixture *f = *state;
	_cleanup(free) char *audits = NULL;
	int result;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_null(open_and_read(f, "links/backups/full/" DUMP, flags[i], &result));
		assert_int_equal(result, -EPERM);
	}
	audits = audited(f);
	assert_string_equal(audits, "");
}

/* One line, whoever reads the whole tree. */
static void a_directory_has_no_urls(void **state)
{
	static const char *const paths[] = {"links/backups/full/" DUMP, "links/backups/full/" TABLES};
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL, *audits = NULL;
	int result;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(stat_at(f, paths[i]).st_size, 0);
		assert_null(open_and_read(f, paths[i], 0, &result));
		assert_int_equal(result, -EOPNOTSUPP);
	}
	why = last_error(f);
	assert_true(str_starts(why, "EOPNOTSUPP links: the store dir:/tmp/"));
	assert_true(str_ends(why,
	                     "/objects is a directory and has no URLs: copy the file from backups/ of the "
	                     "mount instead (2 times)\n"));
	audits = audited(f);
	assert_string_equal(audits, "");
}

static void no_link_to_what_is_damaged(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL, *audits = NULL;
	int result;

	add_some(f);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_at(f, "backups/full/" DUMP), "bad", NULL), 0);
	assert_null(open_and_read(f, "links/backups/full/" DUMP, 0, &result));
	assert_int_equal(result, -EIO);
	why = last_error(f);
	assert_true(str_starts(why, "EIO links/backups/full/" DUMP ": no link, since backups/full/" DUMP
	                            " is damaged"));
	audits = audited(f);
	assert_string_equal(audits, "");
	assert_link(f, "links/backups/full/" TABLES);
}

static void no_link_without_credentials(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;
	int result;

	f->conf.store.access_key = f->conf.store.secret_key.value = (char *)"";
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
	setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	add_some(f);
	assert_int_equal(stat_at(f, "links/backups/full/" DUMP).st_size, 0);
	assert_null(open_and_read(f, "links/backups/full/" DUMP, 0, &result));
	assert_int_equal(result, -ENOKEY);
	why = last_error(f);
	assert_true(str_starts(why, "ENOKEY links/backups/full/" DUMP ": "));
	assert_non_null(strstr(why, "/nonexistent"));
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	unsetenv("AWS_CONFIG_FILE");
	unsetenv("AWS_EC2_METADATA_DISABLED");
}

/* Nobody gets a URL of whom the audit does not know. */
static void no_link_without_an_audit(void **state)
{
	static const char path[] = "links/backups/full/" DUMP;
	const struct rlimit none = {0, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
	struct fixture *f = *state;
	_cleanup(free) char *error = NULL;
	int result;

	add_some(f);
	/* A disk on which nothing can be written. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_null(open_and_read(f, path, 0, &result));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_true(result < 0);
	error = last_error(f);
	assert_non_null(strstr(error, "no link, since the audit could not say who has it"));
	assert_link(f, path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TREE_TEST(links_mirror_backups),        TREE_TEST(links_mirror_backups_numbers),
	        TREE_TEST(links_go_with_their_backups), TREE_TEST(a_directory_has_no_urls),
	        LINK_TEST(attributes_of_links),         LINK_TEST(each_open_makes_a_url),
	        LINK_TEST(a_link_is_only_read),         LINK_TEST(no_link_to_what_is_damaged),
	        LINK_TEST(no_link_without_credentials), LINK_TEST(no_link_without_an_audit),
	};

	return cmocka_run_group_tests_name("fs_links", tests, NULL, NULL);
}
