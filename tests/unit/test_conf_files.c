// SPDX-License-Identifier: Apache-2.0
/* conf: jobs that archive directories, and jobs of several kinds side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;

	accept(f, "[files documents]\npath = /srv//documents/./\n");
	assert_string_equal(str_text(&f->problems), "");
	assert_int_equal(f->conf.job_count, 1); /* no job 'full' beside it */
	job = conf_find_job(&f->conf, "documents");
	assert_ptr_equal(job, &f->conf.jobs[0]);
	assert_int_equal(job->kind, CONF_JOB_FILES);
	assert_int_equal(job->line, 1);
	assert_string_equal(job->files.path, "/srv/documents");
	assert_null(job->files.exclude[0]);
	assert_string_equal(job->files.each, "");
	assert_int_equal(job->files.settle_ms, 600000);
	assert_false(job->files.cross_mounts);
	assert_false(job->files.skip_unreadable);
	assert_int_equal(job->compression.kind, COMPRESS_FAST);
	assert_int_equal(job->verify, CONF_VERIFY_READBACK);
	assert_int_equal(job->max_rate_bytes, 0);
	assert_string_equal(job->pre_hook, "");
	assert_int_equal(job->hook_timeout_ms, 600000);
	/* Nothing of another kind. */
	assert_null(job->dump.database);
	assert_null(job->dump.databases);
	assert_int_equal(job->dump.connections, 0);
}

static void test_all_keys(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;

	accept(f, "[backup full]\n"
	          "[files media]\n"
	          "path = ~/media\n"
	          "exclude = annuaire/*, *.tmp \"with space, comma\" /cache/\n"
	          "each = annuaire/*/\n"
	          "settle = 0\n"
	          "cross_mounts = yes\n"
	          "skip_unreadable = on\n"
	          "compression = zstd:19\n"
	          "verify = none\n"
	          "max_rate = 10M\n"
	          "nice = 5\n"
	          "ionice = low\n"
	          "pre_hook = a\n"
	          "post_hook = b\n"
	          "hook_timeout = 1s\n"
	          "[backup last]\n");
	assert_int_equal(f->conf.job_count, 3);
	assert_int_equal(f->conf.jobs[0].kind, CONF_JOB_DUMP);
	assert_int_equal(f->conf.jobs[2].kind, CONF_JOB_DUMP);
	assert_string_equal(f->conf.jobs[2].name, "last");
	job = &f->conf.jobs[1];
	assert_int_equal(job->kind, CONF_JOB_FILES);
	assert_true(str_starts(job->files.path, f->dir) && str_ends(job->files.path, "/media"));
	assert_string_equal(job->files.exclude[0], "annuaire/*");
	assert_string_equal(job->files.exclude[1], "*.tmp");
	assert_string_equal(job->files.exclude[2], "with space, comma");
	assert_string_equal(job->files.exclude[3], "/cache/");
	assert_null(job->files.exclude[4]);
	assert_string_equal(job->files.each, "annuaire/*/");
	assert_int_equal(job->files.settle_ms, 0);
	assert_true(job->files.cross_mounts);
	assert_true(job->files.skip_unreadable);
	assert_int_equal(job->compression.kind, COMPRESS_ZSTD);
	assert_int_equal(job->compression.level, 19);
	assert_int_equal(job->verify, CONF_VERIFY_NONE);
	assert_int_equal(job->max_rate_bytes, 10 << 20);
	assert_int_equal(job->nice, 5);
	assert_int_equal(job->ionice, CONF_IONICE_LOW);
	assert_string_equal(job->pre_hook, "a");
	assert_string_equal(job->post_hook, "b");
	assert_int_equal(job->hook_timeout_ms, 1000);
}

static void test_bad_values(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
	        {"exclude = a,,b",
	         "exclude = a,,b: has an empty entry; allowed: different patterns such as *.tmp"},
	        {"exclude = a a", "names a twice"},
	        {"exclude = \"a", "has a double quote that is not closed"},
	        {"exclude = ok, ../a", "holds ../a, which has an empty, '.' or '..' part"},
	        {"exclude = a/../b", "holds a/../b, which"},
	        {"exclude = ./a", "holds ./a, which"},
	        {"exclude = a//b", "holds a//b, which"},
	        {"exclude = /", "holds /, which"},
	        {"each = projects/*", "each = projects/*: does not end in '/'; allowed: empty, or a pattern"},
	        {"each = *", "does not end in '/'"},
	        {"each = /srv/*/", "is absolute, but is seen from path"},
	        {"each = /", "is absolute"},
	        {"each = ../*/", "has an empty, '.' or '..' part"},
	        {"each = a/../*/", "has an empty, '.' or '..' part"},
	        {"each = ./*/", "has an empty, '.' or '..' part"},
	        {"each = a//", "has an empty, '.' or '..' part"},
	        {"each = **/", "has '**', but subdirectories are taken at one depth only"},
	        {"settle = 10", "is no duration"},
	        {"settle = 366d", "is too large"},
	        {"settle =", "is empty"},
	        {"cross_mounts = 2", "is neither yes nor no"},
	        {"skip_unreadable = some", "is neither yes nor no"},
	        {"compression = xz", "is no compression"},
	        {"settle = 5m",
	         "settle = 5m: says when a subdirectory is archived, but there are none with [files x] "
	         "each =  (default); allowed: settle together with each"},
	        {"format = plain", "format: no such key; it belongs into [backup NAME] or [export]\n"},
	        {"endpoint = https://x",
	         "endpoint: no such key; it belongs into [store] or [store NAME] or [mirror NAME]\n"},
	        {"exlude = a", "exlude: no such key; did you mean exclude?\n"},
	        {"whatever = a",
	         "no such key; allowed: path exclude each settle cross_mounts secret skip_unreadable compression "
	         "verify encrypt_to encrypt_to_file encrypt_passphrase encrypt_passphrase_file encrypt_passphrase_command max_rate nice ionice pre_hook post_hook hook_timeout copies class_after timezone schedule catch_up jitter blackout "
	         "expected_interval grace keep keep_last keep_daily keep_weekly keep_monthly keep_yearly keep_within min_keep "
	         "week_starts keep_deleted rpo rto drill drill_level drill_max_age\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *text = mem_printf("[files x]\npath = /srv/x\n%s\n", cases[i][0]);
		_cleanup(free) char *place = mem_printf("%s:3: [files x] ", f->file);

		refuse(f, text, cases[i][1]);
		assert_true(str_starts(str_text(&f->problems), place));
	}
	refuse(f, "[files x]\npath = srv\n", ":2: [files x] path = srv: is not an absolute path");
	refuse(f, "[files x]\npath = /srv/../x\n", "has a '..' in it");
	refuse(f, "[files x]\npath =\n", ":2: [files x] path = : is empty");
	refuse(f, "[files now]\npath = /x\n", "[files now]: the name is reserved");
	/* Keys of jobs of any kind, and of one kind, in other sections. */
	refuse(f, "[backup x]\npath = /x\n",
	       ":2: [backup x] path: no such key; it belongs into [files NAME]\n");
	refuse(f, "[store]\nnice = 1\n",
	       "nice: no such key; it belongs into [backup NAME] or [files NAME] or [export]\n");
	/* Not wrong. */
	accept(f, "[files x]\npath = /srv/x\nsettle = 10m\n");
	accept(f, "[files x]\npath = /srv/x\neach = */\nsettle = 1d\n");
	accept(f, "[files x]\npath = /srv/x\neach =\nexclude =\n");
	accept(f, "[files x]\npath = /srv/x\nexclude = ..., a..b, .*\n");
}

static void test_path_is_required(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[backup full]\n[files x]\nnice = 1\n",
	       ":2: [files x] path: is not set; allowed: an absolute path without '..'");
	setenv("KEEPFS_FILES_DOCS_NICE", "1", 1);
	reset(f);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), -EINVAL);
	assert_true(str_starts(str_text(&f->problems),
	                       "KEEPFS_FILES_DOCS_PATH: [files docs] path: is not set; allowed"));
}

/* An archive must not hold what holds archives. */
static void test_places(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[files x]\npath = /mnt/keep/backups\n",
	       ":2: [files x] path = /mnt/keep/backups: lies inside or at [keepfs] mountpoint = /mnt/keep (default); "
	       "allowed: a directory");
	refuse(f, "[store]\nurl = dir:/o\n[files x]\npath = /o\n",
	       ":4: [files x] path = /o: lies inside or at [store] url");
	accept(f, "[store]\nurl = s3://bucket/o\n[files x]\npath = /o\n");
	accept(f, "[files x]\npath = /mnt\n[files y]\npath = /mnt/keeper\n");
}

static void test_names_are_unique_over_kinds(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[backup x]\n\n[files x]\npath = /x\n",
	       ":3: [files x]: [backup x] begins on line 1 already, and no two jobs of any kind may have the same name");
	refuse(f, "[files x]\npath = /x\n[backup x]\ndatabase = y\n",
	       ":3: [backup x]: [files x] begins on line 1 already");
	refuse(f, "[files x]\npath = /x\n[files x]\n",
	       ":3: [files x]: a job of this name begins on line 1 already\n");
	setenv("KEEPFS_FILES_X_PATH", "/srv/x", 1);
	refuse(f, "[backup x]\n", "KEEPFS_FILES_X_PATH: there is [backup x] already, and no two jobs");
	unsetenv("KEEPFS_FILES_X_PATH");
	setenv("KEEPFS_BACKUP_X_DATABASE", "y", 1);
	refuse(f, "[files x]\npath = /x\n", "KEEPFS_BACKUP_X_DATABASE: there is [files x] already");
}

/* A variable in small letters made a second job of the same name once. */
static void test_small_letters_in_a_variable(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_BACKUP_full_DATABASE", "y", 1);
	refuse(f, "[backup full]\n", "KEEPFS_BACKUP_full_DATABASE: there is [backup full] already");
}

static void test_environment(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_FILES_MY_DOCS_PATH", "/env", 1);
	setenv("KEEPFS_FILES_MY_DOCS_EXCLUDE", "*.bak", 1);
	setenv("KEEPFS_FILES_NEW_PATH", "/new", 1);
	setenv("KEEPFS_BACKUP_FULL_NICE", "3", 1);
	accept(f, "[files my-docs]\npath = /file\neach = */\n[backup full]\n");
	assert_int_equal(f->conf.job_count, 3);
	assert_string_equal(f->conf.jobs[0].files.path, "/env");
	assert_string_equal(f->conf.jobs[0].files.exclude[0], "*.bak");
	assert_string_equal(f->conf.jobs[0].files.each, "*/");
	assert_int_equal(f->conf.jobs[1].nice, 3);
	assert_int_equal(f->conf.jobs[2].kind, CONF_JOB_FILES);
	assert_string_equal(f->conf.jobs[2].name, "new");
	setenv("KEEPFS_FILES_NEW_PAHT", "/new", 1);
	refuse(f, "", "KEEPFS_FILES_NEW_PAHT: this environment variable means nothing");
}

static void test_effective(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};
	const char *t;

	accept(f, "[files docs]\npath = /srv\nexclude = a \"b c\"\n[backup full]\n");
	conf_write_effective(&f->conf, &text);
	t = strstr(str_text(&text), "\n\n[files docs]\npath = /srv  # ");
	assert_non_null(t);
	assert_non_null(strstr(t, "\nexclude = a, \"b c\"  # "));
	assert_non_null(strstr(
	        t,
	        "\neach =   # default\nsettle = 10m  # default\ncross_mounts = no  # default\nsecret = no  # default\n"
	        "skip_unreadable = no  # default\ncompression = fast  # default\n"));
	/* In the order of the file, each with its own keys only. */
	assert_true(strstr(t, "[backup full]") > strstr(t, "hook_timeout"));
	assert_true(strstr(t, "database") > strstr(t, "[backup full]"));
}

/* What a trigger makes of a job. */
static int trigger(const struct conf_job *job, const char *key, const char *value, struct conf_job **ret,
                   bool *ret_partial, struct error *err)
{
	return conf_job_override(job, &key, &value, 1, ret, ret_partial, err);
}

static void test_triggers(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *key, *value;
		bool partial;
		const char *formatted;
	} cases[] = {
	        {"exclude", "*.iso,*.tmp", true, "*.iso, *.tmp"},
	        {"exclude", "b *.tmp", false, "b, *.tmp"}, /* as the job says, in another order */
	        {"exclude", "", false, ""},
	        {"compression", "gzip", false, "gzip:6"},
	        {"verify", "none", false, "none"},
	        {"max_rate", "1M", false, "1M/s"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(conf_job) struct conf_job *copy = NULL;
		_cleanup(str) struct str value = {0};
		bool partial = !cases[i].partial;
		struct error err = {0};

		accept(f, "[files docs]\npath = /srv\nexclude = *.tmp, b\neach = */\n");
		if (trigger(&f->conf.jobs[0], cases[i].key, cases[i].value, &copy, &partial, &err) < 0)
			fail_msg("%s", err.message);
		/* The copy does not need the configuration any more. */
		reset(f);
		assert_int_equal(partial, cases[i].partial);
		assert_string_equal(copy->files.path, "/srv");
		assert_string_equal(copy->files.each, "*/");
		conf_job_format(copy, cases[i].key, &value);
		assert_string_equal(str_text(&value), cases[i].formatted);
	}
}

static void test_triggers_that_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][4] = {
	        {"docs", "format", "plain",
	         "format: [files docs] has no such key; allowed: exclude, compression, verify, max_rate, note, hold, keep"},
	        {"docs", "tables", "a", "tables: [files docs] has no such key; allowed: exclude, "},
	        {"docs", "path", "/", "path: this key cannot be changed for one run; allowed: exclude, "},
	        {"docs", "each", "", "each: this key cannot be changed for one run"},
	        {"docs", "nice", "1", "nice: this key cannot be changed for one run"},
	        {"docs", "exclde", "a", "exclde: no such key; did you mean exclude?"},
	        {"docs", "exclude", "../a",
	         "exclude = ../a: holds ../a, which has an empty, '.' or '..' part; allowed: different patterns"},
	        {"docs", "compression", "xz", "compression = xz: is no compression"},
	        {"full", "exclude", "a",
	         "exclude: [backup full] has no such key; allowed: format, compression, content, jobs, schemas, "
	         "exclude_schemas, tables, exclude_tables, exclude_table_data, globals, verify, max_rate, note, hold, keep, database, class, final"},
	};

	accept(f, "[files docs]\npath = /srv\n[backup full]\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_job *copy = NULL;
		struct error err = {0};
		bool partial;

		assert_int_equal(trigger(conf_find_job(&f->conf, cases[i][0]), cases[i][1], cases[i][2],
		                         &copy, &partial, &err),
		                 -EINVAL);
		assert_null(copy);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!str_starts(err.message, cases[i][3]))
			fail_msg("want: %s\ngot: %s", cases[i][3], err.message);
	}
}

static void test_lists_of_trigger_keys(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str keys = {0}, all = {0};

	accept(f, "[files docs]\npath = /srv\n");
	conf_list_trigger_keys(&f->conf.jobs[0], &keys);
	assert_string_equal(str_text(&keys), "exclude, compression, verify, max_rate, note, hold, keep");
	conf_write_trigger_keys(&all);
	assert_true(str_starts(str_text(&all), "  [backup NAME]: format, compression, "));
	assert_non_null(strstr(
	        str_text(&all),
	        "note, hold, keep, database, class, final\n  [files NAME]: exclude, compression, verify, max_rate, note, hold, keep\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_defaults),
	        CONF_TEST(test_all_keys),
	        CONF_TEST(test_bad_values),
	        CONF_TEST(test_path_is_required),
	        CONF_TEST(test_places),
	        CONF_TEST(test_names_are_unique_over_kinds),
	        CONF_TEST(test_small_letters_in_a_variable),
	        CONF_TEST(test_environment),
	        CONF_TEST(test_effective),
	        CONF_TEST(test_triggers),
	        CONF_TEST(test_triggers_that_are_refused),
	        CONF_TEST(test_lists_of_trigger_keys),
	};

	return RUN_CONF_TESTS(tests);
}
