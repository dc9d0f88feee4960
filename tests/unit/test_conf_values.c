// SPDX-License-Identifier: Apache-2.0
/* conf: every key's defaults, good and bad values; units, lists, and passwords that are hidden. */
#include "../../src/conf/units.h"
#include "../../src/conf/value.h"
#include "../../src/conf/words.h"

#include <keepfs/base/log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	setenv("XDG_STATE_HOME", "/home/x/state", 1);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
	assert_null(f->conf.path);
	assert_string_equal(f->conf.mountpoint, "/mnt/keep");
	assert_string_equal(f->conf.state_dir, geteuid() == 0 ? "/var/lib/keepfs" : "/home/x/state/keepfs");
	assert_int_equal(f->conf.memory_bytes, 256 << 20);
	assert_int_equal(f->conf.parallel_runs, 2);
	assert_false(f->conf.allow_other);
	assert_int_equal(f->conf.owner, geteuid());
	assert_int_equal(f->conf.group, getegid());
	assert_int_equal(f->conf.file_mode, 0600);
	assert_int_equal(f->conf.dir_mode, 0700);
	assert_int_equal(f->conf.stop_grace_ms, 30000);
	assert_int_equal(f->conf.log_level, LOG_LEVEL_INFO);
	assert_true(str_starts(f->conf.store.url, "dir:/") && str_ends(f->conf.store.url, "/keepfs/objects"));
	assert_string_equal(f->conf.store.endpoint, "");
	assert_string_equal(f->conf.store.region, "us-east-1");
	assert_string_equal(f->conf.store.secret_key.value, "");
	assert_int_equal(f->conf.store.connect_timeout_ms, 10000);
	assert_int_equal(f->conf.store.stall_timeout_ms, 30000);
	assert_int_equal(f->conf.store.retry_deadline_ms, 120000);
	assert_int_equal(f->conf.store.part_bytes, 8 << 20);
	assert_int_equal(f->conf.store.max_parts, 10000);
	assert_int_equal(f->conf.store.capacity_bytes, 0);
	assert_string_equal(f->conf.store.faults, "");
	assert_int_equal(f->conf.job_count, 1);
	assert_string_equal(f->conf.jobs[0].name, "full");
	assert_string_equal(f->conf.jobs[0].dump.database, "");
	assert_null(f->conf.jobs[0].dump.databases[0]);
	assert_int_equal(f->conf.jobs[0].dump.format, CONF_FORMAT_CUSTOM);
	assert_int_equal(f->conf.jobs[0].compression.kind, COMPRESS_FAST);
	assert_int_equal(f->conf.jobs[0].dump.content, CONF_CONTENT_FULL);
	assert_int_equal(f->conf.jobs[0].dump.connections, 0);
	assert_null(f->conf.jobs[0].dump.schemas[0]);
	assert_null(f->conf.jobs[0].dump.exclude_table_data[0]);
	assert_int_equal(f->conf.jobs[0].dump.globals, CONF_GLOBALS_AUTO);
	assert_int_equal(f->conf.jobs[0].verify, CONF_VERIFY_READBACK);
	assert_int_equal(f->conf.jobs[0].max_rate_bytes, 0);
	assert_int_equal(f->conf.jobs[0].nice, 0);
	assert_int_equal(f->conf.jobs[0].ionice, CONF_IONICE_NONE);
	assert_int_equal(f->conf.jobs[0].dump.lock_wait_timeout_ms, 0);
	assert_string_equal(f->conf.jobs[0].pre_hook, "");
	assert_string_equal(f->conf.jobs[0].post_hook, "");
	assert_int_equal(f->conf.jobs[0].hook_timeout_ms, 600000);
	assert_ptr_equal(conf_find_job(&f->conf, "full"), &f->conf.jobs[0]);
	assert_null(conf_find_job(&f->conf, "now"));
}

/* Each with a wrong value in a file that is otherwise right. */
static void test_bad_values(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *section, *pair, *expected;
	} cases[] = {
	        {"keepfs", "mountpoint =", "[keepfs] mountpoint = : is empty; allowed: an absolute path"},
	        {"keepfs", "mountpoint = mnt", "is not an absolute path"},
	        {"keepfs", "state_dir = /a/../b", "has a '..' in it"},
	        {"keepfs", "memory = 63M",
	         "[keepfs] memory = 63M: is too small; allowed: a number of bytes, or with "
	         "K, M, G or T (powers of 1024), from 64M to 1T"},
	        {"keepfs", "memory = 2T", "is too large"},
	        {"keepfs", "memory = 99999999999999999999", "is too large"},
	        {"keepfs", "memory = 9999999999999T", "is too large"},
	        {"keepfs", "memory = lots", "is no size"},
	        {"keepfs", "memory = 64X", "is no size"},
	        {"keepfs", "memory = -1", "is no size"},
	        {"keepfs", "memory = 1.5G", "is no size"},
	        {"keepfs", "parallel_runs = 0", "is too small; allowed: a whole number from 1 to 64"},
	        {"keepfs", "parallel_runs = 65", "is too large"},
	        {"keepfs", "parallel_runs = two", "is no whole number"},
	        {"keepfs", "parallel_runs = 2x", "is no whole number"},
	        {"keepfs", "allow_other = maybe", "is neither yes nor no; allowed: yes or no"},
	        {"keepfs", "owner = no-such-user-here", "is no user of this system"},
	        {"keepfs", "group = no-such-group-here", "is no group of this system"},
	        {"keepfs", "owner = 4294967295", "is no user"},
	        {"keepfs", "file_mode = 0800", "is no octal mode"},
	        {"keepfs", "file_mode = rw", "is no octal mode"},
	        {"keepfs", "dir_mode = 1777", "has bits beyond the permissions"},
	        {"keepfs", "stop_grace = 30",
	         "is no duration; allowed: a number with ms, s, m, h or d, from 0 to 1d"},
	        {"keepfs", "stop_grace = 30 seconds", "is no duration"},
	        {"keepfs", "stop_grace = 2d", "is too large"},
	        {"keepfs", "log_level = loud", "allowed: error, warning, info or debug"},
	        {"store", "url =", "is empty"},
	        {"store", "url = /var/objects",
	         "is no store that keepfs knows; allowed: dir:/ABSOLUTE/PATH or s3://"},
	        {"store", "url = dir:objects", "is not an absolute path"},
	        {"store", "url = dir:/", "is the root directory"},
	        {"store", "url = dir:/a/../b", "has a '..'"},
	        {"store", "url = s3://", "names no possible bucket"},
	        {"store", "url = s3://ab", "names no possible bucket"},
	        {"store", "url = s3://a b c", "names no possible bucket"},
	        {"store", "url = s3://bucket/a//b", "has an empty, '.' or '..' part"},
	        {"store", "url = s3://bucket/../b", "has an empty, '.' or '..' part"},
	        {"store", "url = s3://bucket/a?b", "has a character in its prefix"},
	        {"store", "endpoint = minio:9000", "does not begin with https:// or http://"},
	        {"store", "endpoint = https://", "names no host"},
	        {"store", "endpoint = https://h:0", "has a port that is no number from 1 to 65535"},
	        {"store", "endpoint = https://h:65536", "has a port"},
	        {"store", "endpoint = https://h:", "has a port"},
	        {"store", "endpoint = https://[::1", "names no host"},
	        {"store", "endpoint = https://h/bucket", "has a path behind the host"},
	        {"store", "endpoint = https://u:p@h", "holds more than a host and a port"},
	        {"store", "addressing = dns", "allowed: auto, path or virtual"},
	        {"store", "sse = yes", "allowed: none, AES256 or aws:kms"},
	        {"store", "connect_timeout = 10ms", "is too small"},
	        {"store", "part_size = 4M", "is too small"},
	        {"store", "max_parts = 10001", "is too large"},
	        {"store", "ca_file = ca.pem", "is not an absolute path"},
	        {"backup full", "database = mysql://x", "is a URI of something that is not PostgreSQL"},
	        {"backup full", "databases = a,,b", "[backup full] databases = a,,b: has an empty entry"},
	        {"backup full", "databases = a,", "has an empty entry"},
	        {"backup full", "databases = ,a", "has an empty entry"},
	        {"backup full", "databases = a \"\"", "has an empty entry"},
	        {"backup full", "databases = a b a", "names a twice"},
	        {"backup full", "databases = \"a", "has a double quote that is not closed"},
	        {"backup full", "databases = \"a\"b", "right behind a closing double quote"},
	        {"backup full", "pg_bindir = bin", "is not an absolute path"},
	        {"backup full", "format = tar", "allowed: custom, plain or directory"},
	        {"backup full", "format =", "is empty"},
	        {"backup full", "compression = lz4",
	         "[backup full] compression = lz4: is no compression; allowed: fast, small, none, gzip, "
	         "gzip:1 to gzip:9, zstd, or zstd:1 to zstd:19"},
	        {"backup full", "compression = gzip:10", "is no compression"},
	        {"backup full", "compression = gzip:", "is no compression"},
	        {"backup full", "compression =", "is empty"},
	        {"backup full", "content = rows", "allowed: full, schema or data"},
	        {"backup full", "jobs = 0", "is too small; allowed: auto, or a whole number from 1 to 64"},
	        {"backup full", "jobs = 65", "is too large"},
	        {"backup full", "jobs = many", "is no whole number"},
	        {"backup full", "schemas = a,,b", "has an empty entry"},
	        {"backup full", "exclude_schemas = a, a", "names a twice"},
	        {"backup full", "tables = a.\"b",
	         "[backup full] tables = a.\"b: has a double quote that is not closed; allowed: different "
	         "patterns as pg_dump takes them"},
	        {"backup full", "exclude_tables = ,", "has an empty entry"},
	        {"backup full", "exclude_table_data = \"a\"\"", "has a double quote that is not closed"},
	        {"backup full", "globals = maybe", "allowed: auto, yes or no"},
	        {"backup full", "verify = yes", "allowed: readback or none"},
	        {"backup full", "max_rate = 1K/s",
	         "is too small; allowed: none, or a number of bytes per second, or with K, M, G or T (powers "
	         "of 1024), from 64K/s to 1T/s"},
	        {"backup full", "max_rate = 2T", "is too large"},
	        {"backup full", "max_rate = 50Mbit/s", "is no rate"},
	        {"backup full", "max_rate = none/s", "is no rate"},
	        {"backup full", "max_rate = /s", "is no rate"},
	        {"backup full", "nice = -1", "is no whole number; allowed: a whole number from 0 to 19"},
	        {"backup full", "nice = 20", "is too large"},
	        {"backup full", "ionice = realtime", "allowed: none, low or idle"},
	        {"backup full", "lock_wait_timeout = 0", "is too small; allowed: none, or a number with ms"},
	        {"backup full", "lock_wait_timeout = 30", "is no duration"},
	        {"backup full", "lock_wait_timeout = 25h", "is too large"},
	        {"backup full", "hook_timeout = none", "is no duration"},
	        {"backup full", "hook_timeout = 0", "is too small"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *text = mem_printf("[%s]\n\n%s\n", cases[i].section, cases[i].pair);
		_cleanup(free) char *place = mem_printf("%s:3: [%s] ", f->file, cases[i].section);

		refuse(f, text, cases[i].expected);
		assert_true(str_starts(str_text(&f->problems), place));
	}
}

static void test_units(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
		const char *formatted;
	} sizes[] = {
	        {"0", 0, "none"},
	        {"none", 0, "none"},
	        {"1", 1, "1"},
	        {"1B", 1, "1"},
	        {"1k", 1024, "1K"},
	        {"1KiB", 1024, "1K"},
	        {"1kb", 1024, "1K"},
	        {"3 G", INT64_C(3) << 30, "3G"},
	        {"1536M", 1536 << 20, "1536M"},
	        {"2048M", INT64_C(2) << 30, "2G"},
	        {"8388607T", INT64_C(8388607) << 40, "8388607T"},
	};
	static const struct {
		const char *text;
		int64_t ms;
		const char *formatted;
	} durations[] = {
	        {"0", 0, "0"},           {"0s", 0, "0"},
	        {"1ms", 1, "1ms"},       {"1500ms", 1500, "1500ms"},
	        {"60s", 60000, "1m"},    {"90m", 5400000, "90m"},
	        {"24h", 86400000, "1d"}, {"30 s", 30000, "30s"},
	};
	static const struct {
		const char *text;
		uint64_t bytes;
		const char *formatted;
	} rates[] = {
	        {"none", 0, "none"},          {"50MB/s", 50 << 20, "50M/s"}, {"50M", 50 << 20, "50M/s"},
	        {"1 GiB/s", 1 << 30, "1G/s"}, {"100/s", 100, "100/s"},
	};
	static const char *const bad_rates[] = {"", "/s", "s", "none/s", "1M/m", "1M/s/s", "1M /s x", "-1/s"};
	static const char *const bad_sizes[] = {"",   "K",  "1KK",   "1iB",      "1 i",
	                                        "+1", " 1", "1KiBx", "8388608T", "0x10"};
	static const char *const bad_durations[] = {"", "1", "s", "1S", "1min", "-1s", "106751991168d"};
	uint64_t bytes = 7;
	int64_t ms = 7;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup(str) struct str out = {0};

		assert_int_equal(conf_bytes_parse(sizes[i].text, &bytes), 0);
		assert_int_equal(bytes, sizes[i].bytes);
		conf_bytes_format(bytes, &out);
		assert_string_equal(str_text(&out), sizes[i].formatted);
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		_cleanup(str) struct str out = {0};

		assert_int_equal(conf_duration_parse(durations[i].text, &ms), 0);
		assert_int_equal(ms, durations[i].ms);
		conf_duration_format(ms, &out);
		assert_string_equal(str_text(&out), durations[i].formatted);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		_cleanup(str) struct str out = {0};

		assert_int_equal(conf_rate_parse(rates[i].text, &bytes), 0);
		assert_int_equal(bytes, rates[i].bytes);
		conf_rate_format(bytes, &out);
		assert_string_equal(str_text(&out), rates[i].formatted);
	}
	bytes = 7;
	ms = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad_rates); i++)
		assert_true(conf_rate_parse(bad_rates[i], &bytes) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad_sizes); i++)
		assert_true(conf_bytes_parse(bad_sizes[i], &bytes) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad_durations); i++)
		assert_true(conf_duration_parse(bad_durations[i], &ms) < 0);
	assert_int_equal(bytes, 7);
	assert_int_equal(ms, 7);
}

static void test_patterns(void **state)
{
	static const char *const cases[][2] = {
	        {"", ""},
	        {" a ,b\tc ", "a, b, c"},
	        {"a.\"B c\",d", "a.\"B c\", d"},
	        {"\"a\"\"b, c\".*", "\"a\"\"b, c\".*"},
	        {"\"a\".\"b\" c", "\"a\".\"b\", c"},
	};
	static const char *const bad[] = {"\"", "a\"", ",", "a,", "a,,b", "a a", "\"a b", "a \"\"\"b"};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(str) struct str wrong = {0}, out = {0};
		char **patterns = conf_patterns_parse(cases[i][0], &wrong);

		assert_non_null(patterns);
		conf_patterns_format(patterns, &out);
		assert_string_equal(str_text(&out), cases[i][1]);
		conf_words_free(patterns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup(str) struct str wrong = {0};

		assert_null(conf_patterns_parse(bad[i], &wrong));
		assert_true(wrong.len > 0);
	}
}

static void test_mask(void **state)
{
	static const char *const cases[][2] = {
	        {"", ""},
	        {"mydb", "mydb"},
	        {"postgresql:///db", "postgresql:///db"},
	        {"postgresql://host:5432/db", "postgresql://host:5432/db"},
	        {"postgresql://u@host:5432/db", "postgresql://u@host:5432/db"},
	        {"postgres://u:p@host:5432/db", "postgres://u:********@host:5432/db"},
	        {"postgresql://u:p@q@host/db", "postgresql://u:********@host/db"},
	        {"postgresql://u:p?q@host/db", "postgresql://u:********@host/db"},
	        {"postgresql://u:p/q@host/db?a=b", "postgresql://u:********@host/db?a=b"},
	        {"postgresql://u:p:q@h", "postgresql://u:********@h"},
	        {"postgresql://h/d?user=u&password=p&x=y", "postgresql://h/d?user=u&password=********&x=y"},
	        {"postgresql://h/d?p%61ssword=p", "postgresql://h/d?p%61ssword=********"},
	        {"postgresql://h/d?sslpassword=p&password", "postgresql://h/d?sslpassword=********&password"},
	        {"password=p", "password=********"},
	        {"host=h password = p dbname=d", "host=h password = ******** dbname=d"},
	        {"password='it''s", "password=********"},
	        {"password='a\\'b c' user=u", "password=******** user=u"},
	        {"password=a\\ b user=u", "password=******** user=u"},
	        {"sslpassword=p host=h", "sslpassword=******** host=h"},
	        {"password=", "password=********"},
	        {"a b = c", "a b = c"},
	        {" =x", " =x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(str) struct str out = {0};

		conf_mask_connection(cases[i][0], &out);
		if (strcmp(str_text(&out), cases[i][1]) != 0)
			fail_msg("%s: got %s, want %s", cases[i][0], str_text(&out), cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_defaults),        CONF_TEST(test_bad_values),  cmocka_unit_test(test_units),
	        cmocka_unit_test(test_patterns), cmocka_unit_test(test_mask),
	};

	return RUN_CONF_TESTS(tests);
}
