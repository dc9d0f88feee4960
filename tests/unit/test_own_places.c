// SPDX-License-Identifier: Apache-2.0
/* Where a mount would hide what keepfs needs, or lie in what is its own. */
#include "../../src/cli/own_places.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/tree.h"

struct fixture {
	char directory[32];
	struct conf conf;
	struct conf_job job;
	char *paths[16]; /* of conf: to free */
	size_t count;
};

static char *path_of(struct fixture *f, const char *format, const char *name)
{
	char *path = mem_printf("%s%s/%s", format, f->directory, name);

	f->paths[f->count++] = path;
	return path;
}

static int set_up(void **state)
{
	static const char *const directories[] = {"state",       "cache", "objects",     "etc",
	                                          "media/films", "free",  "around/media"};
	struct fixture *f = mem_alloc(sizeof(*f));
	_cleanup(fd) int fd = -1;

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-own-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(fd_make_dirs(path_of(f, "", directories[i]), 0700), 0);
	f->job = (struct conf_job){
	        .name = (char *)"media", .kind = CONF_JOB_FILES, .files.path = path_of(f, "", "media")};
	f->conf = (struct conf){.path = path_of(f, "", "etc/keepfs.conf"),
	                        .state_dir = path_of(f, "", "state"),
	                        .read.cache_dir = path_of(f, "", "cache"),
	                        .store.url = path_of(f, "dir:", "objects"),
	                        .jobs = &f->job,
	                        .job_count = 1};
	fd = open(f->conf.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(remove_tree(f->directory), 0);
	for (size_t i = 0; i < f->count; i++)
		free(f->paths[i]);
	free(f);
	return 0;
}

/* A mount on @name is refused, and the message has @says in it; NULL: it is not. */
static void assert_refused(struct fixture *f, const char *name, const char *says)
{
	_cleanup(free) char *mountpoint = mem_printf("%s/%s", f->directory, name);
	struct error err = {0};
	int r = own_places_check(&f->conf, mountpoint, &err);

	if (r != (says ? -EINVAL : 0) || (says && !strstr(err.message, says)))
		fail_msg("%s: %d, %s", name, r, err.message);
	assert_true(!says || strstr(err.message, mountpoint));
}

static void what_would_be_hidden(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	assert_refused(f, "state", "which is [keepfs] state_dir");
	assert_refused(f, "cache", "which is [read] cache_dir");
	assert_refused(f, "objects", "which is the directory of [store] url");
	assert_refused(f, "etc", "which is the configuration");
	assert_refused(f, "media", "which is archived by the job media");
	assert_int_equal(own_places_check(&f->conf, f->directory, &err), -EINVAL);
	assert_int_equal(own_places_check(&f->conf, "/", &err), -EINVAL);
	assert_non_null(strstr(err.message, "a mount on / would hide"));
}

static void what_is_keepfs_alone(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "state/mnt", "state, which is [keepfs] state_dir: name a directory outside of it");
	assert_refused(f, "cache/a/b", "cache, which is [read] cache_dir");
	assert_refused(f, "objects/backups/full", "objects, which is the directory of [store] url");
}

static void what_is_in_nobodys_way(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "free", NULL);
	assert_refused(f, "new/not/there", NULL);
	/* A directory of the same name, one that begins alike, and one in what is archived, which leaves other mounts
	 * out. */
	assert_refused(f, "around/media", NULL);
	assert_refused(f, "state2", NULL);
	assert_refused(f, "media/films", NULL);
	assert_refused(f, "etc/mnt", NULL);
	f->conf.path = NULL;
	f->conf.store.url = (char *)"s3://bucket/prefix";
	f->conf.read.cache_dir = (char *)"";
	assert_refused(f, "objects", NULL);
	assert_refused(f, "cache", NULL);
}

static void what_is_not_there_yet(void **state)
{
	struct fixture *f = *state;

	f->conf.state_dir = path_of(f, "", "new/keep/state");
	f->conf.store.url = path_of(f, "dir:", "new/objects");
	assert_refused(f, "new/keep", "which is [keepfs] state_dir");
	assert_refused(f, "new", "would hide");
	assert_refused(f, "new/keep/state", "which is [keepfs] state_dir");
	assert_refused(f, "new/keep/state/mnt", "name a directory outside of it");
	assert_refused(f, "new/objects/mnt", "the directory of [store] url");
	assert_refused(f, "new/mnt", NULL);
	assert_refused(f, "new/keep2", NULL);
}

static void links_are_followed(void **state)
{
	struct fixture *f = *state;
	const char *link = path_of(f, "", "link"), *etc = path_of(f, "", "other.conf");

	assert_int_equal(symlink("objects", link), 0);
	assert_refused(f, "link", "which is the directory of [store] url");
	assert_refused(f, "link/mnt", "which is the directory of [store] url");
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("free", link), 0);
	f->conf.state_dir = path_of(f, "", "link/state");
	assert_refused(f, "free", "which is [keepfs] state_dir");
	/* The file that a link leads to is the configuration. */
	assert_int_equal(symlink("etc/keepfs.conf", etc), 0);
	f->conf.path = path_of(f, "", "other.conf");
	assert_refused(f, "etc", "which is the configuration");
}

#define PLACES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        PLACES_TEST(what_would_be_hidden),   PLACES_TEST(what_is_keepfs_alone),
	        PLACES_TEST(what_is_in_nobodys_way), PLACES_TEST(what_is_not_there_yet),
	        PLACES_TEST(links_are_followed),
	};

	return cmocka_run_group_tests_name("own_places", tests, NULL, NULL);
}
