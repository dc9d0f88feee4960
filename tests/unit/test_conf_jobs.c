// SPDX-License-Identifier: Apache-2.0
/* conf: jobs, and what a trigger makes of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static void test_backup_keys(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *b;

	accept(f, "[backup full]\n"
	          "format = Directory\n"
	          "compression = gzip:9\n"
	          "content = data\n"
	          "jobs = 64\n"
	          "schemas = public, \"My Schema\" shop*\n"
	          "exclude_schemas = temp_*\n"
	          "exclude_tables = public.\"A, b\",\"X\"\"y\".z\n"
	          "exclude_table_data = *.log\n"
	          "globals = no\n"
	          "verify = none\n"
	          "max_rate = 50MB/s\n"
	          "nice = 19\n"
	          "ionice = idle\n"
	          "lock_wait_timeout = 90s\n"
	          "pre_hook = test -e /x && echo \"$KEEPFS_JOB\"   # a comment\n"
	          "post_hook = /bin/true;/bin/false\n"
	          "hook_timeout = 5s\n"
	          "[backup b]\n"
	          "jobs = AUTO\n"
	          "tables = a.b\n"
	          "max_rate = 2G\n"
	          "lock_wait_timeout = none\n");
	b = &f->conf.jobs[0];
	assert_int_equal(b->dump.format, CONF_FORMAT_DIRECTORY);
	assert_int_equal(b->compression.kind, COMPRESS_GZIP);
	assert_int_equal(b->compression.level, 9);
	assert_int_equal(b->dump.content, CONF_CONTENT_DATA);
	assert_int_equal(b->dump.connections, 64);
	assert_string_equal(b->dump.schemas[0], "public");
	assert_string_equal(b->dump.schemas[1], "\"My Schema\"");
	assert_string_equal(b->dump.schemas[2], "shop*");
	assert_null(b->dump.schemas[3]);
	assert_string_equal(b->dump.exclude_schemas[0], "temp_*");
	assert_string_equal(b->dump.exclude_tables[0], "public.\"A, b\"");
	assert_string_equal(b->dump.exclude_tables[1], "\"X\"\"y\".z");
	assert_null(b->dump.exclude_tables[2]);
	assert_string_equal(b->dump.exclude_table_data[0], "*.log");
	assert_int_equal(b->dump.globals, CONF_GLOBALS_NO);
	assert_int_equal(b->verify, CONF_VERIFY_NONE);
	assert_int_equal(b->max_rate_bytes, 50 << 20);
	assert_int_equal(b->nice, 19);
	assert_int_equal(b->ionice, CONF_IONICE_IDLE);
	assert_int_equal(b->dump.lock_wait_timeout_ms, 90000);
	assert_string_equal(b->pre_hook, "test -e /x && echo \"$KEEPFS_JOB\"");
	assert_string_equal(b->post_hook, "/bin/true;/bin/false");
	assert_int_equal(b->hook_timeout_ms, 5000);
	b = &f->conf.jobs[1];
	assert_int_equal(b->dump.connections, 0);
	assert_string_equal(b->dump.tables[0], "a.b");
	assert_int_equal(b->max_rate_bytes, INT64_C(2) << 30);
	assert_int_equal(b->dump.lock_wait_timeout_ms, 0);
}

/* What a trigger makes of a job; @pairs: key, value, …, NULL. */
static int override(const struct conf_job *job, const char *const *pairs, struct conf_job **ret,
                    bool *ret_partial, struct error *err)
{
	const char *keys[8], *values[8];
	size_t count = 0;

	for (; pairs[2 * count]; count++) {
		keys[count] = pairs[2 * count];
		values[count] = pairs[2 * count + 1];
	}
	return conf_job_override(job, keys, values, count, ret, ret_partial, err);
}

static void test_override(void **state)
{
	struct fixture *f = *state;
	static const char *const pairs[] = {"format", "plain",  "note",        "before\nx", "compression",
	                                    "gzip",   "tables", "a.b,\"C d\"", "max_rate",  "1MB/s",
	                                    "jobs",   "1",      NULL};
	static const char *const none[] = {NULL};
	_cleanup(conf_job) struct conf_job *copy = NULL, *plain = NULL;
	_cleanup(str) struct str text = {0};
	bool partial = true;

	accept(f, "[backup full]\ndatabase = host=h\ndatabases = a b\njobs = 4\npre_hook = x\n");
	assert_int_equal(override(&f->conf.jobs[0], none, &plain, &partial, NULL), 0);
	assert_false(partial);
	assert_ptr_not_equal(plain->dump.databases, f->conf.jobs[0].dump.databases);
	assert_int_equal(override(&f->conf.jobs[0], pairs, &copy, &partial, NULL), 0);
	assert_true(partial);
	/* The copies do not need the configuration any more. */
	reset(f);
	assert_string_equal(plain->name, "full");
	assert_string_equal(plain->dump.database, "host=h");
	assert_string_equal(plain->dump.databases[1], "b");
	assert_int_equal(plain->dump.connections, 4);
	assert_string_equal(copy->pre_hook, "x");
	assert_int_equal(copy->hook_timeout_ms, 600000);
	assert_int_equal(copy->dump.format, CONF_FORMAT_PLAIN);
	assert_int_equal(copy->dump.connections, 1);
	assert_string_equal(copy->dump.tables[1], "\"C d\"");
	conf_job_format(copy, "compression", &text);
	str_append_char(&text, '|');
	conf_job_format(copy, "tables", &text);
	str_append_char(&text, '|');
	conf_job_format(copy, "max_rate", &text);
	conf_job_format(copy, "note", &text);
	assert_string_equal(str_text(&text), "gzip:6|a.b, \"C d\"|1M/s");
	assert_null(conf_job_free(NULL));
}

static void test_override_refuses(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *pairs[7];
		const char *expected;
	} cases[] = {
	        {{"format", "tar"},
	         "format = tar: is none of the words that are allowed; allowed: custom, plain or directory"},
	        {{"compression", "lzma"}, "compression = lzma: is no compression; allowed: fast, small"},
	        {{"compression", ""}, "compression = : is empty"},
	        {{"content", "rows"}, "allowed: full, schema or data"},
	        {{"jobs", "0"}, "jobs = 0: is too small; allowed: auto, or a whole number from 1 to 64"},
	        {{"schemas", "a,"}, "schemas = a,: has an empty entry"},
	        {{"exclude_schemas", "\"a"}, "double quote that is not closed"},
	        {{"tables", "a a"}, "tables = a a: names a twice"},
	        {{"exclude_tables", "a\nb"}, "control character"},
	        {{"exclude_table_data", ",a"}, "has an empty entry"},
	        {{"globals", "on"}, "allowed: auto, yes or no"},
	        {{"verify", "full"}, "allowed: readback or none"},
	        {{"max_rate", "fast"}, "max_rate = fast: is no rate; allowed: none, or"},
	        {{"fromat", "plain"}, "fromat: no such key; did you mean format?"},
	        {{"notes", "x"}, "notes: no such key; did you mean note?"},
	        {{"shape", "x"},
	         "shape: no such key; allowed: format, compression, content, jobs, schemas, exclude_schemas, "
	         "tables, exclude_tables, exclude_table_data, globals, verify, max_rate, note, hold, keep, database, class, final"},
	        {{"database", "x"}, "database: this key cannot be changed for one run; allowed: format"},
	        {{"pre_hook", "x"}, "pre_hook: this key cannot be changed for one run"},
	        {{"nice", "1"}, "cannot be changed"},
	        {{"jobs", "1", "note", "x", "jobs", "1"}, "jobs: this key is given twice"},
	        {{"format", "plain"},
	         "jobs = 4 (of the job): reads through several connections, but one stream of SQL is made "
	         "with "
	         "format = plain; allowed: jobs = 1 or auto"},
	        {{"compression", "zstd", "format", "directory"},
	         "compression = zstd:3: is for custom backups only, but format = directory; allowed: fast"},
	        {{"content", "schema", "jobs", "auto"},
	         "exclude_table_data = log (of the job): leaves out rows, but there are none with content = "
	         "schema"},
	        {{"tables", "a", "schemas", "b"}, "schemas = b: has no effect beside tables = a"},
	        {{"tables", "a", "exclude_tables", "a"}, "leaves out a pattern that is asked for"},
	        {{"globals", "yes", "content", "data"}, "globals = yes: keeps roles"},
	        {{"globals", "yes", "exclude_schemas", "x"}, "globals = yes: belongs to a whole database"},
	};

	accept(f, "[backup full]\njobs = 4\nexclude_table_data = log\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_job *copy = NULL;
		struct error err = {0};
		bool partial;

		assert_int_equal(override(&f->conf.jobs[0], cases[i].pairs, &copy, &partial, &err), -EINVAL);
		assert_null(copy);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!strstr(err.message, cases[i].expected))
			fail_msg("want: %s\ngot: %s", cases[i].expected, err.message);
	}
}

static void test_override_partial(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *job;
		const char *pairs[5];
		bool partial;
	} cases[] = {
	        {"", {"compression", "none", "format", "plain"}, false},
	        {"", {"globals", "no", "verify", "none"}, false},
	        {"", {"content", "full", "tables", ""}, false},
	        {"", {"content", "schema"}, true},
	        {"", {"content", "data"}, true},
	        {"", {"schemas", "a"}, true},
	        {"", {"exclude_schemas", "a"}, true},
	        {"", {"tables", "a"}, true},
	        {"", {"exclude_tables", "a"}, true},
	        {"", {"exclude_table_data", "a"}, true},
	        {"content = schema\n", {"jobs", "1"}, false},
	        {"content = schema\n", {"content", "schema"}, false},
	        {"content = schema\n", {"content", "data"}, true},
	        {"content = schema\n", {"content", "full"}, false}, /* everything is never less */
	        {"tables = a b\n", {"tables", "b, a"}, false},
	        {"tables = a b\n", {"tables", "a b c"}, true}, /* not the same: whatever c is */
	        {"tables = a b\n", {"tables", ""}, false},
	        {"schemas = a\nexclude_table_data = a.b\n", {"exclude_table_data", ""}, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *text = mem_printf("[backup full]\n%s", cases[i].job);
		_cleanup(conf_job) struct conf_job *copy = NULL;
		struct error err = {0};
		bool partial = !cases[i].partial;

		accept(f, text);
		if (override(&f->conf.jobs[0], cases[i].pairs, &copy, &partial, &err) != 0)
			fail_msg("%s", err.message);
		if (partial != cases[i].partial)
			fail_msg("%s%s=%s", cases[i].job, cases[i].pairs[0], cases[i].pairs[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_backup_keys),
	        CONF_TEST(test_override),
	        CONF_TEST(test_override_refuses),
	        CONF_TEST(test_override_partial),
	};

	return RUN_CONF_TESTS(tests);
}
