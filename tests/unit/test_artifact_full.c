// SPDX-License-Identifier: Apache-2.0
/* A disk under the catalog that is really full, at each step of making and removing: what is whole stays and is listed by
 * itself, what is to go goes, as soon as there is space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include <keepfs/base/cancel.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>

#include "artifact_fixture.h"

#define FIRST  "backups/full/20261120T020000Z.dump"
#define SECOND "backups/full/20261120T020100Z.dump"

/* A small file system of this process's own; false where the system does not let us have one. */
static bool mount_small(const char *directory)
{
	static bool own_namespace;

	if (!own_namespace && unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	own_namespace = true;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL)
		return false;
	return mount("tmpfs", directory, "tmpfs", 0, "size=2m,mode=0700") == 0;
}

static bool mounted;

static int set_up_small(void **state)
{
	struct fixture *f;

	set_up(state);
	f = *state;
	catalog_free(take_ptr(&f->catalog));
	mounted = mount_small(f->state_dir);
	assert_int_equal(catalog_open(f->state_dir, &f->catalog, NULL), 0);
	f->repo.catalog = f->catalog;
	return 0;
}

static int tear_down_small(void **state)
{
	struct fixture *f = *state;

	catalog_free(take_ptr(&f->catalog));
	if (mounted)
		assert_int_equal(umount2(f->state_dir, MNT_DETACH), 0);
	return tear_down(state);
}

static int open_ballast(struct fixture *f, int flags)
{
	_cleanup(free) char *path = mem_printf("%s/ballast", f->state_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void fill_disk(struct fixture *f)
{
	_cleanup(fd) int fd = open_ballast(f, 0);
	char page[4096];
	off_t at = 0;

	memset(page, 'x', sizeof(page));
	while (fd_pwrite_all(fd, page, sizeof(page), at) == 0)
		at += (off_t)sizeof(page);
	assert_int_equal(errno, ENOSPC);
}

static void make_room(struct fixture *f)
{
	_cleanup(fd) int fd = open_ballast(f, O_TRUNC);
}

static void nothing_is_begun(void **state)
{
	const struct artifact_name name = {.directory = "backups/full", .suffix = ".dump", .at_us = AT_US};
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;
	struct error err = {0};

	if (!mounted)
		skip();
	fill_disk(f);
	assert_int_equal(artifact_reserve(&f->repo, &name, 7, &path, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "no space left for the catalog"));
	make_room(f);
	assert_int_equal(count_pending(f), 0);
}

/* One publication on a thread of its own. */
struct publication {
	struct fixture *f;
	int64_t run_id; /* which lives */
	struct manifest m;
	struct cancel cancel;
	struct error err;
	int result;
	pthread_t thread;
	char *path, *log;
	int log_fd;
};

static void *publish(void *arg)
{
	struct publication *p = arg;

	p->result = artifact_publish(&p->f->repo, &p->m, &p->cancel, &p->err);
	return NULL;
}

/* The disk is full when the manifest has been written, and the publication waits for it. */
static void begin_publication(struct publication *p, struct fixture *f)
{
	_cleanup(str) struct str text = {0};

	*p = (struct publication){.f = f, .log = mem_printf("%s/log", f->directory)};
	cancel_init(&p->cancel);
	p->run_id = begin_run(f);
	p->path = reserve_for(f, p->run_id);
	describe_dump(&p->m, p->path, p->run_id);
	put_object_of(f, &p->m);
	fill_disk(f);
	p->log_fd = open(p->log, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
	log_to_file(p->log_fd, false);
	assert_int_equal(pthread_create(&p->thread, NULL, publish, p), 0);
	while (!strstr(str_text(&text), "is listed as soon as there is space")) {
		str_clear(&text);
		assert_int_equal(fd_read_file(p->log, 1 << 16, &text), 0);
		sched_yield();
	}
	assert_non_null(strstr(str_text(&text), FIRST));
	assert_false(is_listed(f, FIRST));
}

static void end_publication(struct publication *p)
{
	pthread_join(p->thread, NULL);
	log_to_file(STDERR_FILENO, false);
	close(p->log_fd);
	cancel_finish(&p->cancel);
	manifest_finish(&p->m);
	free(p->path);
	free(p->log);
}

static void assert_whole(struct fixture *f, const char *path)
{
	_cleanup(free) char *key = manifest_key(path);

	assert_true(is_stored(f, key));
	assert_true(is_stored(f, path));
}

static void what_is_whole_waits_for_space(void **state)
{
	struct fixture *f = *state;
	struct publication p;

	if (!mounted)
		skip();
	begin_publication(&p, f);
	make_room(f);
	end_publication(&p);
	assert_int_equal(p.result, 0);
	assert_true(is_listed(f, FIRST));
	assert_whole(f, FIRST);
	assert_int_equal(count_pending(f), 0);
}

/* The run is cancelled meanwhile, or keepfs stops. */
static int64_t cancel_publication(struct fixture *f)
{
	struct publication p;

	begin_publication(&p, f);
	cancel_set(&p.cancel);
	end_publication(&p);
	assert_int_equal(p.result, ARTIFACT_UNLISTED);
	assert_non_null(
	        strstr(p.err.message, "is whole in the store, but could not be listed yet: no space left"));
	assert_whole(f, FIRST);
	assert_false(is_listed(f, FIRST));
	return p.run_id;
}

static void the_next_start_lists_it(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery = {0};

	if (!mounted)
		skip();
	cancel_publication(f);
	make_room(f);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.adopted, 1);
	assert_true(is_listed(f, FIRST));
	assert_whole(f, FIRST);
	assert_int_equal(count_pending(f), 0);
}

static void wait_until_settled(struct fixture *f)
{
	while (count_pending(f) > 0)
		sched_yield();
}

static void the_tidier_lists_it(void **state)
{
	struct fixture *f = *state;
	struct artifact_tidier *tidier;
	int64_t run_id;

	if (!mounted)
		skip();
	assert_int_equal(artifact_tidier_start(&f->repo, 1, 0, &tidier, NULL), 0);
	run_id = cancel_publication(f);
	make_room(f);
	end_run(f, run_id, RUN_CANCELLED);
	wait_until_settled(f);
	assert_null(artifact_tidier_free(tidier));
	assert_true(is_listed(f, FIRST));
	assert_whole(f, FIRST);
}

/* What did not come to be is gone from the store; that its name is free again waits. */
static void a_discard_is_ended_by_the_tidier(void **state)
{
	struct fixture *f = *state;
	struct artifact_tidier *tidier;
	_cleanup(free) char *path = NULL;
	int64_t run_id;

	if (!mounted)
		skip();
	run_id = begin_run(f);
	path = reserve_for(f, run_id);
	put_text(f, path, "123");
	assert_int_equal(artifact_tidier_start(&f->repo, 1, 0, &tidier, NULL), 0);
	fill_disk(f);
	assert_int_equal(artifact_discard(&f->repo, path, NULL), -ENOSPC);
	assert_false(is_stored(f, path));
	assert_int_equal(count_pending(f), 1);
	make_room(f);
	end_run(f, run_id, RUN_FAILED);
	wait_until_settled(f);
	assert_null(artifact_tidier_free(tidier));
	assert_false(is_listed(f, path));
}

static void a_removal_is_refused_before_it_begins(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL;
	struct error err = {0};

	if (!mounted)
		skip();
	first = make_dump(f, 1, AT_US);
	second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	fill_disk(f);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, &err), -ENOSPC);
	assert_true(is_listed(f, first));
	assert_whole(f, first);
	make_room(f);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, &err), 0);
	assert_string_equal(second, SECOND);
}

/* The disk becomes full between the tomb and its end. */
static _Atomic(struct fixture *) filled_at_remove; /* the tidier's thread removes, too */
static const struct store_ops *real_ops;

static int fill_and_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct fixture *filled = atomic_exchange(&filled_at_remove, NULL);

	if (filled)
		fill_disk(filled);
	return real_ops->remove(s, call, key, err);
}

static void a_removal_that_has_begun_ends(void **state)
{
	struct fixture *f = *state;
	struct artifact_tidier *tidier;
	struct store_ops ops = *f->store->ops;
	_cleanup(free) char *first = NULL, *second = NULL;

	if (!mounted)
		skip();
	first = make_dump(f, 1, AT_US);
	second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	real_ops = f->store->ops;
	ops.remove = fill_and_remove;
	atomic_store(&filled_at_remove, f);
	f->store->ops = &ops;
	assert_int_equal(artifact_tidier_start(&f->repo, 1, 0, &tidier, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), 0);
	assert_null(atomic_load(&filled_at_remove));
	assert_false(is_stored(f, first));
	assert_false(is_listed(f, first));
	assert_int_equal(count_pending(f), 1);
	make_room(f);
	wait_until_settled(f);
	assert_null(artifact_tidier_free(tidier));
	f->store->ops = real_ops;
	assert_whole(f, second);
}

#define SMALL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down_small)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        SMALL_TEST(nothing_is_begun),
	        SMALL_TEST(what_is_whole_waits_for_space),
	        SMALL_TEST(the_next_start_lists_it),
	        SMALL_TEST(the_tidier_lists_it),
	        SMALL_TEST(a_discard_is_ended_by_the_tidier),
	        SMALL_TEST(a_removal_is_refused_before_it_begins),
	        SMALL_TEST(a_removal_that_has_begun_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
