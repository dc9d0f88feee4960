// SPDX-License-Identifier: Apache-2.0
/* What a run of a job of files makes: by the catalog, which knows what was archived already, and by the clock, which says
 * what has been quiet for long enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/manifests.h"
#include "../support/tree.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/files.h>

#define SETTLE_MS INT64_C(600000)

struct fixture {
	char root[64]; /* of the test; in it the catalog, and src/ */
	struct repository repository;
	char *no_patterns[1];
	struct conf_job job;
	struct make_context ctx;
};

static int64_t present_us; /* of the clock that is handed in */

static int64_t tell_present(void)
{
	return present_us;
}

static void make_directory(const struct fixture *f, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", f->root, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->root, sizeof(f->root), "/tmp/keepfs-targets-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	make_directory(f, "src");
	assert_int_equal(catalog_open(f->root, &f->repository.catalog, NULL), 0);
	f->job = (struct conf_job){.name = (char *)"docs", .kind = CONF_JOB_FILES};
	f->job.files = (struct conf_files){.path = mem_printf("%s/src", f->root),
	                                   .exclude = f->no_patterns,
	                                   .each = (char *)"*",
	                                   .settle_ms = SETTLE_MS};
	f->ctx = (struct make_context){.repository = &f->repository, .now_us = tell_present};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	catalog_free(f->repository.catalog);
	remove_tree(f->root);
	free(f->job.files.path);
	free(f);
	return 0;
}

/* What a run that begins so long after now would make: "a b ". */
static char *targets_after(struct fixture *f, int64_t ms)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	_cleanup(str) struct str names = {0};
	const struct make_wanted all = {0};
	struct error err = {0};

	present_us = clock_now_us() + ms * 1000;
	if (files_kind.targets(&f->ctx, &f->job, &all, &targets, &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < targets.count; i++)
		str_appendf(&names, "%s%s ", targets.items[i].stem ? targets.items[i].stem : "(by time)",
		            targets.items[i].problem ? "!" : "");
	str_append(&names, "");
	return str_take(&names);
}

static void expect_targets_after(struct fixture *f, int64_t ms, const char *expected)
{
	_cleanup(free) char *names = targets_after(f, ms);

	assert_string_equal(names ? names : "", expected);
}

static void a_subdirectory_is_taken_when_it_has_settled(void **state)
{
	struct fixture *f = *state;

	make_directory(f, "src/2025");
	make_directory(f, "src/2026");
	expect_targets_after(f, 0, "");
	expect_targets_after(f, SETTLE_MS / 2, "");
	expect_targets_after(f, SETTLE_MS + 1000, "2025 2026 ");
	/* A clock that was set back takes nothing. */
	expect_targets_after(f, -2 * SETTLE_MS, "");
}

static void what_has_an_archive_is_not_taken_again(void **state)
{
	struct fixture *f = *state;

	make_directory(f, "src/2025");
	make_directory(f, "src/2026");
	assert_int_equal(catalog_add_intent(f->repository.catalog, 1, "backups/docs/2025.tar.gz", NULL), 0);
	expect_targets_after(f, SETTLE_MS + 1000, "2026 ");
}

/* As a run would leave it, of @source. */
static void add_archive(const struct fixture *f, const char *stem, const char *source)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = mem_printf("%s/%s", f->root, source),
	                    *artifact = mem_printf("backups/docs/%s.tar.gz", stem);
	char sha256[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];

	sha256_once(artifact, strlen(artifact), digest);
	hex_encode(digest, sizeof(digest), sha256);
	manifest_describe(&m, artifact, 1, path);
	m.started_at_us = m.finished_at_us = clock_now_us();
	str_copy(m.sha256, sizeof(m.sha256), sha256);
	manifest_put_own(&m, 10, 1, sha256);
	manifest_set_fact(&m, "path", path);
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->repository.catalog, &m, NULL), 0);
}

static void the_archive_of_another_place_is_not_its_own(void **state)
{
	struct fixture *f = *state;

	make_directory(f, "src/new");
	make_directory(f, "src/new/2025");
	make_directory(f, "src/new/2026");
	f->job.files.each = (char *)"new/*";
	add_archive(f, "2025", "src/old/2025");
	add_archive(f, "2026", "src/new/2026");
	expect_targets_after(f, SETTLE_MS + 1000, "new=2F2025 ");
	add_archive(f, "new=2F2025", "elsewhere/new/2025");
	expect_targets_after(f, SETTLE_MS + 1000, "new=2F2025-2 ");
	add_archive(f, "new=2F2025-2", "src/new/2025");
	expect_targets_after(f, SETTLE_MS + 1000, "");
}

/* What the run would say of itself. */
static void expect_said(struct fixture *f, const char *failure, const char *warning)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct make_wanted all = {0};

	present_us = clock_now_us();
	assert_int_equal(files_kind.targets(&f->ctx, &f->job, &all, &targets, NULL), 0);
	assert_int_equal(targets.failure != NULL, failure != NULL);
	assert_int_equal(targets.warning != NULL, warning != NULL);
	assert_non_null(strstr(str_or_empty(targets.failure), str_or_empty(failure)));
	assert_non_null(strstr(str_or_empty(targets.warning), str_or_empty(warning)));
}

static void nothing_at_all_is_not_silently_good(void **state)
{
	struct fixture *f = *state;

	expect_said(f, NULL, "matches each = *");
	add_archive(f, "2025", "src/2025");
	expect_said(f, "is the disk mounted", NULL);
	make_directory(f, "src/2026"); /* has not settled, but is there */
	expect_said(f, NULL, NULL);
	f->job.files.each = (char *)"years/*";
	expect_said(f, NULL, "matches each = years/*");
}

/* It fails, each time, until somebody excludes it or makes it readable. */
static void what_cannot_be_looked_into_is_taken(void **state)
{
	struct fixture *f = *state;

	make_directory(f, "src/years");
	make_directory(f, "src/years/2025");
	free(targets_after(f, SETTLE_MS + 1000)); /* the catalog is open from now on */
	assert_int_equal(chmod(f->root, 0755), 0);
	assert_int_equal(chmod(f->job.files.path, 0755), 0);
	f->job.files.each = (char *)"years/*";
	for (size_t i = 0; i < 3; i++) {
		_cleanup(free) char *years = mem_printf("%s/years", f->job.files.path),
		                    *closed = mem_printf("%s%s", years, i == 0 ? "/2025" : ""), *names = NULL;

		f->job.files.skip_unreadable = i == 2;
		assert_int_equal(chmod(years, 0755), 0);
		assert_int_equal(chmod(closed, 0), 0);
		if (getuid() == 0)
			assert_int_equal(seteuid(65534), 0);
		names = targets_after(f, 0);
		if (getuid() == 0)
			assert_int_equal(seteuid(0), 0);
		assert_int_equal(chmod(closed, 0755), 0);
		assert_string_equal(names, i == 0 ? "2025! " : "years! ");
	}
}

static void without_each_there_is_one_by_time(void **state)
{
	struct fixture *f = *state;

	f->job.files.each = (char *)"";
	expect_targets_after(f, 0, "(by time) ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_subdirectory_is_taken_when_it_has_settled, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(what_has_an_archive_is_not_taken_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_archive_of_another_place_is_not_its_own, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(nothing_at_all_is_not_silently_good, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_cannot_be_looked_into_is_taken, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(without_each_there_is_one_by_time, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
