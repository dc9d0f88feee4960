// SPDX-License-Identifier: Apache-2.0
/* conf: every key's good and bad values, problems all at once with their lines, environment, documents,
 * AWS. */
#include "../../src/conf/load.h"
#include "../../src/conf/units.h"
#include "../../src/conf/value.h"
#include "../../src/conf/words.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

struct fixture {
	char *dir;
	char *file;
	struct conf conf;
	struct str problems;
};

static void write_text(const char *path, const char *text, size_t len, mode_t mode)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, len), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->dir = mem_strdup("/tmp/keepfs-conf-XXXXXX");
	if (!f->dir || !mkdtemp(f->dir))
		return -1;
	f->file = mem_printf("%s/keepfs.conf", f->dir);
	clearenv();
	setenv("HOME", f->dir, 1);
	*state = f;
	return 0;
}

static void reset(struct fixture *f)
{
	conf_finish(&f->conf);
	str_clear(&f->problems);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"keepfs.conf",    "credentials",
	                                    "config",         ".config/keepfs/keepfs.conf",
	                                    ".config/keepfs", ".config"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *path = mem_printf("%s/%s", f->dir, names[i]);

		remove(path);
	}
	conf_finish(&f->conf);
	str_finish(&f->problems);
	if (remove(f->dir) < 0)
		return -1;
	free(f->file);
	free(f->dir);
	free(f);
	return 0;
}

static int load_bytes(struct fixture *f, const char *text, size_t len)
{
	reset(f);
	write_text(f->file, text, len, 0600);
	return conf_load(f->file, &f->conf, &f->problems);
}

static int load(struct fixture *f, const char *text)
{
	return load_bytes(f, text, strlen(text));
}

/* @text must be refused with exactly one problem, which holds @expected. */
static void refuse(struct fixture *f, const char *text, const char *expected)
{
	assert_int_equal(load(f, text), -EINVAL);
	if (!strstr(str_text(&f->problems), expected) ||
	    strchr(str_text(&f->problems), '\n') + 1 != f->problems.data + f->problems.len)
		fail_msg("for:\n%s\nwant one problem with: %s\ngot:\n%s", text, expected,
		         str_text(&f->problems));
}

static void accept(struct fixture *f, const char *text)
{
	if (load(f, text) != 0)
		fail_msg("for:\n%s\ngot:\n%s", text, str_text(&f->problems));
}

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
	assert_string_equal(f->conf.store.secret_key, "");
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

static void test_whole_file(void **state)
{
	struct fixture *f = *state;

	accept(f, "\xEF\xBB\xBF# a comment\r\n"
	          "; another\r\n"
	          "[keepfs]   # of the daemon\r\n"
	          "mountpoint = /mnt//backups/./x/   # trailing\r\n"
	          "\tstate_dir=~/state\r\n"
	          "memory: 1GiB ; colon\r\n"
	          "parallel_runs = 3\n"
	          "allow_other = Yes\n"
	          "owner = root\n"
	          "group = 12345\n"
	          "file_mode = 640\n"
	          "dir_mode = 0750\n"
	          "stop_grace = 2m\n"
	          "log_level = DEBUG\n"
	          "\n"
	          "[store]\n"
	          "url = s3://acme-backups/prod/\n"
	          "endpoint = https://[::1]:9000/\n"
	          "region = eu-west-1\n"
	          "access_key = AKIA\n"
	          "secret_key = se#cret;x=y\n"
	          "session_token = tok\n"
	          "addressing = virtual\n"
	          "ca_file = /etc/ca.pem\n"
	          "sse = aws:kms\n"
	          "sse_kms_key = arn:aws:kms:x\n"
	          "connect_timeout = 500ms\n"
	          "first_byte_timeout = 3s\n"
	          "stall_timeout = 1m\n"
	          "retry_deadline = 0\n"
	          "part_size = 16 MB\n"
	          "max_parts = 1000\n"
	          "capacity = 2T\n"
	          "faults = part:3:unavailable, get:1:eio\n"
	          "[read]\n"
	          "read_ahead = 8M\n"
	          "connections = 4\n"
	          "sha256 = always\n"
	          "cache_dir = /var/cache/keepfs/\n"
	          "cache_size = 1T\n"
	          "link_ttl = 1h\n"
	          "[backup full]\n"
	          "database = postgresql:///primary?service=x\n"
	          "[backup tenants.2]\n"
	          "databases = acme, \"my db\" other,\"q\"\"q\"\n"
	          "pg_bindir = /usr/lib/postgresql/15/bin\n"
	          "[backup empty]");
	assert_string_equal(str_text(&f->problems), "");
	assert_string_equal(f->conf.path, f->file);
	assert_string_equal(f->conf.mountpoint, "/mnt/backups/x");
	assert_true(str_starts(f->conf.state_dir, f->dir) && str_ends(f->conf.state_dir, "/state"));
	assert_int_equal(f->conf.memory_bytes, 1 << 30);
	assert_int_equal(f->conf.parallel_runs, 3);
	assert_true(f->conf.allow_other);
	assert_int_equal(f->conf.owner, 0);
	assert_int_equal(f->conf.group, 12345);
	assert_int_equal(f->conf.file_mode, 0640);
	assert_int_equal(f->conf.dir_mode, 0750);
	assert_int_equal(f->conf.stop_grace_ms, 120000);
	assert_int_equal(f->conf.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(f->conf.store.url, "s3://acme-backups/prod");
	assert_string_equal(f->conf.store.endpoint, "https://[::1]:9000");
	assert_string_equal(f->conf.store.region, "eu-west-1");
	assert_string_equal(f->conf.store.access_key, "AKIA");
	assert_string_equal(f->conf.store.secret_key, "se#cret;x=y");
	assert_string_equal(f->conf.store.session_token, "tok");
	assert_int_equal(f->conf.store.addressing, CONF_ADDRESSING_VIRTUAL);
	assert_string_equal(f->conf.store.ca_file, "/etc/ca.pem");
	assert_int_equal(f->conf.store.sse, CONF_SSE_KMS);
	assert_string_equal(f->conf.store.sse_kms_key, "arn:aws:kms:x");
	assert_int_equal(f->conf.store.connect_timeout_ms, 500);
	assert_int_equal(f->conf.store.first_byte_timeout_ms, 3000);
	assert_int_equal(f->conf.store.retry_deadline_ms, 0);
	assert_int_equal(f->conf.read.ahead_bytes, 8 << 20);
	assert_int_equal(f->conf.read.connections, 4);
	assert_int_equal(f->conf.read.sha256, CONF_SHA256_ALWAYS);
	assert_string_equal(f->conf.read.cache_dir, "/var/cache/keepfs");
	assert_int_equal(f->conf.read.cache_bytes, INT64_C(1) << 40);
	assert_int_equal(f->conf.read.link_ttl_ms, 3600000);
	assert_int_equal(f->conf.store.part_bytes, 16 << 20);
	assert_int_equal(f->conf.store.max_parts, 1000);
	assert_int_equal(f->conf.store.capacity_bytes, INT64_C(2) << 40);
	assert_string_equal(f->conf.store.faults, "part:3:unavailable, get:1:eio");
	assert_int_equal(f->conf.job_count, 3);
	assert_string_equal(f->conf.jobs[0].dump.database, "postgresql:///primary?service=x");
	assert_string_equal(f->conf.jobs[1].name, "tenants.2");
	assert_int_equal(f->conf.jobs[1].line, 44);
	assert_string_equal(f->conf.jobs[1].dump.databases[1], "my db");
	assert_string_equal(f->conf.jobs[1].dump.databases[2], "other");
	assert_string_equal(f->conf.jobs[1].dump.databases[3], "q\"q");
	assert_null(f->conf.jobs[1].dump.databases[4]);
	assert_string_equal(f->conf.jobs[1].dump.pg_bindir, "/usr/lib/postgresql/15/bin");
	assert_string_equal(f->conf.jobs[2].name, "empty");
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

static void test_all_at_once(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str want = {0};

	assert_int_equal(load(f, "mountpoint = /x\n"   /* 1 */
	                         "[keepfs]\n"          /* 2 */
	                         "memry = 1G\n"        /* 3 */
	                         "nonsense\n"          /* 4 */
	                         "parallel_runs = 0\n" /* 5 */
	                         "url = dir:/x\n"      /* 6 */
	                         "log_level = info\n"  /* 7 */
	                         "log_level = debug\n" /* 8 */
	                         "[stoer]\n"           /* 9 */
	                         "anything = goes\n"   /* 10 */
	                         "[store\n"            /* 11 */
	                         "[store]\n"           /* 12 */
	                         "bucket = b\n"        /* 13 */
	                         "= 5\n"               /* 14 */
	                         "[backup now]\n"      /* 15 */
	                         "[backup full]\n"     /* 16 */
	                         "databse = x\n"       /* 17 */
	                         "[backup full]\n"     /* 18 */
	                         "[backup a/b]\n"      /* 19 */
	                         "[backup]\n"          /* 20 */
	                         "[keepfs]\n"          /* 21 */
	                         "[exports]\n"         /* 22 */
	                         "[backup x] y\n"      /* 23 */
	                         "[]\n"),              /* 24 */
	                 -EINVAL);
	for (const char *p = str_text(&f->problems); *p; p += strcspn(p, "\n") + 1) {
		assert_true(str_starts(p, f->file));
		str_append_bytes(&want, p + strlen(f->file), strcspn(p + strlen(f->file), "\n") + 1);
	}
	assert_string_equal(
	        str_text(&want),
	        ":1: mountpoint: stands before the first [section]\n"
	        ":3: [keepfs] memry: no such key; did you mean memory?\n"
	        ":4: the line has no '=': a line is '[section]', 'key = value' or a '# comment'\n"
	        ":5: [keepfs] parallel_runs = 0: is too small; allowed: a whole number from 1 to 64\n"
	        ":6: [keepfs] url: no such key; it belongs into [store]\n"
	        ":8: [keepfs] log_level = debug: is set twice; the first time on line 7\n"
	        ":9: [stoer]: no such section; did you mean [store]?\n"
	        ":11: the line has no ']' at its end\n"
	        ":13: [store] bucket: no such key; allowed: url endpoint region access_key secret_key "
	        "session_token "
	        "profile addressing allow_http ca_file sse sse_kms_key connect_timeout first_byte_timeout "
	        "stall_timeout "
	        "retry_deadline "
	        "part_size max_parts capacity faults\n"
	        ":14: the line has no key before its '='\n"
	        ":15: [backup now]: the name is reserved: 'now' triggers the default job; allowed: 1 to 200 "
	        "of A-Z a-z "
	        "0-9 . _ -, not beginning with '.' or '-', and not 'now'\n"
	        ":17: [backup full] databse: no such key; did you mean database?\n"
	        ":18: [backup full]: a job of this name begins on line 16 already\n"
	        ":19: [backup a/b]: the name holds a character that is not allowed; allowed: 1 to 200 of A-Z "
	        "a-z 0-9 . "
	        "_ -, not beginning with '.' or '-', and not 'now'\n"
	        ":20: [backup ]: the name is not 1 to 200 characters long; allowed: 1 to 200 of A-Z a-z 0-9 "
	        ". _ -, not "
	        "beginning with '.' or '-', and not 'now'\n"
	        ":21: [keepfs]: this section begins on line 2 already: put its keys there\n"
	        ":22: [exports]: no such section; allowed: [keepfs], [store], [read], [backup NAME]\n"
	        ":23: the line has text behind the ']' of its section\n"
	        ":24: the line names no section between '[' and ']'\n");
}

static void test_nearest_section(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[bakup x]\n", ":1: [bakup x]: no such section; did you mean [backup x]?\n");
	refuse(f, "[Backup  x y]\n", "[Backup  x y]: no such section; did you mean [backup x y]?\n");
	refuse(f, "[bakup]\n", "[bakup]: no such section; did you mean [backup NAME]?\n");
	refuse(f, "[raed]\nanything = goes\n", "[raed]: no such section; did you mean [read]?\n");
	refuse(f, "[store x]\n", "[store x]: no such section; did you mean [store]?\n");
	refuse(f, "[backups x]\n", "did you mean [backup x]?\n");
}

static void test_lines(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *long_value = mem_alloc(70001);
	_cleanup(free) char *text = NULL, *name = mem_alloc(202);

	/* Longer than the buffer of inih. */
	memset(long_value, 'x', 5000);
	text = mem_printf("[store]\nurl = s3://bucket\naccess_key = A\nsession_token = %s=:y   # "
	                  "comment\nsecret_key = S\n",
	                  long_value);
	accept(f, text);
	assert_int_equal(strlen(f->conf.store.session_token), 5003);
	assert_string_equal(f->conf.store.session_token + 4999, "x=:y");
	assert_string_equal(f->conf.store.secret_key, "S");
	/* A job's name that is as long as it may be, with keys behind it. */
	memset(name, 'n', 200);
	free(text);
	text = mem_printf("[backup %s]\ndatabase = x\n", name);
	accept(f, text);
	assert_string_equal(f->conf.jobs[0].name, name);
	assert_string_equal(f->conf.jobs[0].dump.database, "x");
	name[200] = 'n';
	free(text);
	text = mem_printf("[backup %s]\n", name);
	refuse(f, text, "is not 1 to 200 characters long");
	memset(long_value, 'x', 70000);
	free(text);
	text = mem_printf("[keepfs]\nmountpoint = /%s\n", long_value);
	refuse(f, text, ":2: the line is longer than 65536 bytes");
	refuse(f, "[keepfs]\nmountpoint = /a\x01z\n", ":2: the line holds a control character");
	refuse(f, "[keepfs]\rmemory = 1G\r", ":1: the line holds a control character");
	assert_int_equal(load_bytes(f, "[keepfs]\nmemory\0 = 1G\n", 23), -EINVAL);
	assert_non_null(strstr(str_text(&f->problems), ":2: the line holds a control character"));
	accept(f, "");
	accept(f, "\n\n   \n\t# x");
}

/* A file that was cut anywhere gives problems or a configuration, and nothing worse. */
static void test_truncated(void **state)
{
	struct fixture *f = *state;
	static const char whole[] =
	        "[keepfs]\nmemory = 1G # c\n[store]\nurl = s3://bucket/p\nendpoint = https://h:9\n"
	        "[backup full]\ndatabase = postgresql://u:p@h/d?password=x\ndatabases = a, \"b c\"\n";

	for (size_t len = 0; len < sizeof(whole); len++) {
		int rc = load_bytes(f, whole, len);

		assert_true(rc == 0 || (rc == -EINVAL && f->problems.len > 0));
	}
	assert_int_equal(load(f, whole), 0);
}

static void test_file_that_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), -ENOENT);
	assert_non_null(
	        strstr(str_text(&f->problems), "keepfs.conf: cannot be read: No such file or directory"));
	str_clear(&f->problems);
	assert_int_equal(conf_load(f->dir, &f->conf, &f->problems), -EISDIR);
	assert_null(f->conf.mountpoint);
}

static void test_contradictions(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *expected;
	} cases[] = {
	        {"[store]\nurl = s3://bucket\nsse = AES256\nsse_kms_key = k\n",
	         ":4: [store] sse_kms_key = k: is for sse = aws:kms only, but [store] sse = AES256 (FILE:3)"},
	        {"[store]\nurl = s3://bucket\nsse_kms_key = k\n", "[store] sse = none (default)"},
	        {"[store]\nurl = s3://bucket\nendpoint = http://h\n",
	         ":3: [store] endpoint = http://h: sends backups as clear text, but [store] allow_http = no "
	         "(default); "
	         "allowed: https://, or allow_http = yes"},
	        {"[store]\nurl = dir:/x\nendpoint = https://h\n",
	         ":3: [store] endpoint = https://h: is for a bucket only, but [store] url = dir:/x (FILE:2)"},
	        {"[store]\nprofile = p\n",
	         ":2: [store] profile = p: is for a bucket only, but [store] url = dir:"},
	        {"[store]\nsse = AES256\n", ":2: [store] sse = AES256: is for a bucket only"},
	        {"[store]\nurl = s3://bucket\naccess_key = A\n",
	         ":3: [store] access_key = A: needs its secret, but [store] secret_key =  (default)"},
	        {"[store]\nurl = s3://bucket\nsecret_key = SECRET\n",
	         ":3: [store] secret_key = ********: needs its id, but [store] access_key =  (default)"},
	        {"[store]\nurl = s3://bucket\nsession_token = SECRET\n",
	         ":3: [store] session_token = ********: belongs to an access key"},
	        {"[keepfs]\nstate_dir = /srv/keep/state\nmountpoint = /srv/keep\n",
	         ":2: [keepfs] state_dir = /srv/keep/state: lies inside, around or at [keepfs] mountpoint = "
	         "/srv/keep "
	         "(FILE:3)"},
	        {"[keepfs]\nstate_dir = /srv\nmountpoint = /srv/keep\n",
	         ":2: [keepfs] state_dir = /srv: lies"},
	        {"[keepfs]\nstate_dir = /mnt/keep/s\n", "[keepfs] mountpoint = /mnt/keep (default)"},
	        {"[keepfs]\nmountpoint = /\n", "mountpoint = /"},
	        {"[keepfs]\nmountpoint = /m\n[store]\nurl = dir:/m/o\n",
	         ":4: [store] url = dir:/m/o: lies inside, around or at [keepfs] mountpoint = /m (FILE:2)"},
	        {"[keepfs]\nmountpoint = /o/m\n[store]\nurl = dir:/o\n",
	         ":4: [store] url = dir:/o: lies inside"},
	        {"[keepfs]\nstate_dir = /o/s\n[store]\nurl = dir:/o\n",
	         ":2: [keepfs] state_dir = /o/s: lies inside"},
	        {"[keepfs]\nmountpoint = /m\n[read]\ncache_dir = /m/c\n",
	         ":4: [read] cache_dir = /m/c: lies inside, around or at [keepfs] mountpoint = /m (FILE:2); "
	         "allowed: a directory for the cache alone"},
	        {"[keepfs]\nmountpoint = /c/m\n[read]\ncache_dir = /c\n",
	         ":4: [read] cache_dir = /c: lies inside, around or at [keepfs] mountpoint"},
	        {"[read]\ncache_dir = /mnt/keep\n", "at [keepfs] mountpoint = /mnt/keep (default)"},
	        {"[store]\nurl = dir:/o\n[read]\ncache_dir = /o/c\n",
	         ":4: [read] cache_dir = /o/c: lies inside, around or at [store] url = dir:/o (FILE:2)"},
	        {"[store]\nurl = dir:/o\n[read]\ncache_dir = /o\n", ":4: [read] cache_dir = /o: lies"},
	        {"[store]\nurl = dir:/c/o\n[read]\ncache_dir = /c\n",
	         ":4: [read] cache_dir = /c: lies inside, around or at [store] url"},
	        {"[keepfs]\nstate_dir = /s\n[read]\ncache_dir = /s\n",
	         ":4: [read] cache_dir = /s: lies around or at [keepfs] state_dir = /s (FILE:2); allowed: a "
	         "directory for the cache alone, such as one in state_dir"},
	        {"[keepfs]\nstate_dir = /c/s\n[read]\ncache_dir = /c\n",
	         ":4: [read] cache_dir = /c: lies around or at [keepfs] state_dir"},
	        {"[keepfs]\nmemory = 64M\n", ":2: [keepfs] memory = 64M: half of memory must hold 3 parts, "
	                                     "and 4 more for each of [keepfs] parallel_runs = 2 "
	                                     "(default), but with [store] part_size = 8M (default); allowed: "
	                                     "memory = 176M or more, or smaller"},
	        {"[keepfs]\nparallel_runs = 4\n", ":2: [keepfs] parallel_runs = 4: half of memory"},
	        {"[store]\npart_size = 64M\n", ":2: [store] part_size = 64M: half of memory"},
	        {"[backup a]\n[backup full]\nformat = plain\ncompression = zstd\n",
	         ":4: [backup full] compression = zstd:3: is for custom backups only, but [backup full] "
	         "format "
	         "= plain (FILE:3); allowed: fast, small, none, gzip or gzip:1"},
	        {"[backup full]\nformat = directory\ncompression = zstd:1\n",
	         ":3: [backup full] compression = zstd:1: is for custom"},
	        {"[backup full]\nformat = plain\njobs = 2\n",
	         ":3: [backup full] jobs = 2: reads through several connections, but one stream of SQL is "
	         "made "
	         "with [backup full] format = plain (FILE:2); allowed: jobs = 1 or auto"},
	        {"[backup full]\njobs = 2\ncontent = schema\n", ":2: [backup full] jobs = 2: reads rows"},
	        {"[backup full]\ncontent = schema\nexclude_table_data = a\n",
	         ":3: [backup full] exclude_table_data = a: leaves out rows, but there are none with [backup "
	         "full] content = schema (FILE:2)"},
	        {"[backup full]\nschemas = a b\nexclude_schemas = c b\n",
	         ":3: [backup full] exclude_schemas = c, b: leaves out a pattern that is asked for by "
	         "[backup "
	         "full] schemas = a, b (FILE:2)"},
	        {"[backup full]\ntables = a b\nexclude_tables = b c\n",
	         ":3: [backup full] exclude_tables = b, c: leaves out"},
	        {"[backup full]\ntables = a\nschemas = b\n",
	         ":3: [backup full] schemas = b: has no effect beside [backup full] tables = a (FILE:2)"},
	        {"[backup full]\ntables = a\nexclude_schemas = b\n",
	         ":3: [backup full] exclude_schemas = b: has no effect beside"},
	        {"[backup full]\nglobals = yes\ncontent = data\n",
	         ":2: [backup full] globals = yes: keeps roles, but nothing is created"},
	        {"[backup full]\nglobals = yes\nschemas = a\n",
	         ":2: [backup full] globals = yes: belongs to a whole database, but there is [backup full] "
	         "schemas = a (FILE:3)"},
	        {"[backup full]\nglobals = yes\nexclude_schemas = a\n", "[backup full] exclude_schemas = a"},
	        {"[backup full]\nglobals = yes\ntables = a\n", "[backup full] tables = a"},
	        {"[backup full]\nglobals = yes\nexclude_tables = a\n", "[backup full] exclude_tables = a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *mark = strstr(cases[i].expected, "FILE");
		_cleanup(free) char *expected = mark ? mem_printf("%.*s%s%s", (int)(mark - cases[i].expected),
		                                                  cases[i].expected, f->file, mark + 4)
		                                     : mem_strdup(cases[i].expected);

		refuse(f, cases[i].text, expected);
	}
	/* Not contradictions. */
	accept(f, "[keepfs]\nmemory = 112M\nparallel_runs = 1\n");
	accept(f, "[store]\nurl = s3://bucket\nendpoint = http://127.0.0.1:80\nallow_http = on\n");
	accept(f, "[store]\nendpoint =\nsse = none\n");
	accept(f, "[keepfs]\nmountpoint = /srv/keep\nstate_dir = /srv/keepfs\n");
	accept(f, "[keepfs]\nstate_dir = /s\n[read]\ncache_dir = /s/cache\n");
	accept(f, "[store]\nurl = dir:/srv/c\n[read]\ncache_dir = /srv/cache\n");
	accept(f, "[store]\nurl = s3://bucket/c\n[read]\ncache_dir = /c\n");
	accept(f, "[backup full]\nformat = plain\ncompression = gzip:9\njobs = 1\n");
	accept(f, "[backup full]\nformat = directory\ncompression = none\njobs = 8\n");
	accept(f, "[backup full]\ncontent = schema\njobs = auto\nglobals = yes\n");
	accept(f, "[backup full]\nglobals = yes\nexclude_table_data = a\n");
	accept(f, "[backup full]\ntables = a.*\nexclude_tables = a.b\nexclude_table_data = a.b\n");
	accept(f, "[backup full]\nschemas = a\n[backup b]\nexclude_schemas = a\n");
	/* A value that was refused is not told a second time by what it contradicts. */
	refuse(f, "[store]\nurl = s3://bucket\nsse = x\nsse_kms_key = k\n", "sse = x: is none of the words");
	refuse(f, "[backup a]\nformat = plain\njobs = 99\n", "jobs = 99: is too large");
}

static void test_environment(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_CONFIG", "/x", 1);
	setenv("KEEPFS_MOUNT", "/x", 1);
	setenv("KEEPFS_TEST_ANYTHING", "1", 1);
	setenv("KEEPFS_LOG_LEVEL", "", 1);
	setenv("KEEPFS_MOUNTPOINT", "/env", 1);
	setenv("KEEPFS_STORE_URL", "s3://from-env", 1);
	setenv("KEEPFS_BACKUP_FULL_DATABASE", "dbname=x", 1);
	setenv("KEEPFS_BACKUP_A_B_PG_BINDIR", "/bin", 1);
	setenv("KEEPFS_BACKUP_NEW_ONE_DATABASES", "p q", 1);
	setenv("KEEPFS_BACKUP_NEW_ONE_PG_BINDIR", "/pg", 1);
	/* Of the job full; of the job old.exclude, as there is one, and none old. */
	setenv("KEEPFS_BACKUP_FULL_EXCLUDE_TABLES", "x", 1);
	setenv("KEEPFS_BACKUP_OLD_EXCLUDE_TABLES", "y", 1);
	setenv("KEEPFS_BACKUP_FULL_JOBS", "3", 1);
	accept(f, "[keepfs]\nmountpoint = /file\nlog_level = debug\n[backup Full]\ndatabase = y\n[backup "
	          "a-b]\n[backup old.exclude]\n");
	assert_string_equal(f->conf.mountpoint, "/env");
	assert_int_equal(f->conf.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(f->conf.store.url, "s3://from-env");
	assert_int_equal(f->conf.job_count, 4);
	assert_string_equal(f->conf.jobs[0].name, "Full");
	assert_string_equal(f->conf.jobs[0].dump.database, "dbname=x");
	assert_string_equal(f->conf.jobs[0].dump.exclude_tables[0], "x");
	assert_int_equal(f->conf.jobs[0].dump.connections, 3);
	assert_string_equal(f->conf.jobs[1].dump.pg_bindir, "/bin");
	assert_string_equal(f->conf.jobs[2].dump.tables[0], "y");
	assert_string_equal(f->conf.jobs[3].name, "new_one");
	assert_string_equal(f->conf.jobs[3].dump.databases[1], "q");
	assert_string_equal(f->conf.jobs[3].dump.pg_bindir, "/pg");
	/* Environment alone: jobs from there, and no default job beside them. */
	reset(f);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	assert_int_equal(f->conf.job_count, 4);
	assert_string_equal(conf_find_job(&f->conf, "old")->dump.exclude_tables[0], "y");
	assert_null(conf_find_job(&f->conf, "Full"));
	assert_string_equal(conf_find_job(&f->conf, "full")->dump.database, "dbname=x");
}

/* A hook may call keepfs: the facts in its environment are no keys. */
static void test_environment_of_hooks(void **state)
{
	struct fixture *f = *state;
	static const char *const facts[] = {
	        "KEEPFS_JOB",        "KEEPFS_RUN",       "KEEPFS_DATABASES", "KEEPFS_TRIGGERED_BY",
	        "KEEPFS_NOTE",       "KEEPFS_STORE",     "KEEPFS_STATE",     "KEEPFS_ERROR",
	        "KEEPFS_SIZE_BYTES", "KEEPFS_ARTIFACTS", "KEEPFS_SHA256",    "KEEPFS_STARTED",
	        "KEEPFS_FINISHED",
	};

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		setenv(facts[i], "something", 1);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
	setenv("KEEPFS_JOBS", "1", 1);
	reset(f);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), -EINVAL);
}

static void test_environment_problems(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_MEMORY", "1", 1);
	setenv("KEEPFS_STORE_BUCKET", "b", 1);
	setenv("KEEPFS_STORE_URLS", "b", 1);
	setenv("KEEPFS_BACKUP_NOW_DATABASE", "x", 1);
	setenv("KEEPFS_BACKUP_A_B_DATABASE", "x", 1);
	setenv("KEEPFS_BACKUP_C_EXCLUDE_TABLES", "x", 1);
	setenv("KEEPFS_BACKUP__DATABASE", "x", 1);
	setenv("KEEPFS_STORE_SECRET_KEYS", "hidden", 1);
	setenv("KEEPFS_LOG_LEVEL", "a\nb", 1);
	assert_int_equal(load(f, "[backup a-b]\n[backup a.b]\n[backup c]\n[backup "
	                         "c-exclude]\n[keepfs]\nparallel_runs = x\n"),
	                 -EINVAL);
	assert_non_null(strstr(str_text(&f->problems), ":6: [keepfs] parallel_runs = x: "));
	assert_non_null(strstr(str_text(&f->problems), "\nKEEPFS_MEMORY: [keepfs] memory = 1: is too small"));
	assert_non_null(strstr(str_text(&f->problems),
	                       "\nKEEPFS_STORE_URLS: this environment variable means nothing; did you mean "
	                       "KEEPFS_STORE_URL?\n"));
	assert_non_null(strstr(str_text(&f->problems),
	                       "\nKEEPFS_STORE_BUCKET: this environment variable means nothing"));
	assert_non_null(strstr(str_text(&f->problems), "did you mean KEEPFS_STORE_SECRET_KEY?"));
	assert_non_null(strstr(str_text(&f->problems),
	                       "\nKEEPFS_BACKUP_NOW_DATABASE: the job's name now is reserved"));
	assert_non_null(strstr(str_text(&f->problems),
	                       "\nKEEPFS_BACKUP_A_B_DATABASE: this environment variable could "
	                       "mean more than one job"));
	assert_non_null(
	        strstr(str_text(&f->problems),
	               "\nKEEPFS_BACKUP_C_EXCLUDE_TABLES: this environment variable could mean more"));
	assert_non_null(
	        strstr(str_text(&f->problems), "\nKEEPFS_BACKUP__DATABASE: this environment variable means"));
	assert_non_null(strstr(str_text(&f->problems), "KEEPFS_LOG_LEVEL: "));
	assert_null(strstr(str_text(&f->problems), "hidden"));
}

static void set_key_from_environment(struct fixture *f, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];
	const char *example = k->example ? k->example : k->fallback;
	_cleanup(str) struct str name = {0}, value = {0};

	conf_key_env(ref.section, k, "full", &name);
	setenv("KEEPFS_STORE_URL", "s3://bucket", 1);
	setenv(str_text(&name), example, 1);
	if (strcmp(k->name, "secret_key") == 0 || strcmp(k->name, "session_token") == 0)
		setenv("KEEPFS_STORE_ACCESS_KEY", "A", 1);
	if (strcmp(k->name, "access_key") == 0 || strcmp(k->name, "session_token") == 0)
		setenv("KEEPFS_STORE_SECRET_KEY", "A", 1);
	if (strcmp(k->name, "sse_kms_key") == 0)
		setenv("KEEPFS_STORE_SSE", "aws:kms", 1);
	if (conf_load(NULL, &f->conf, &f->problems) != 0)
		fail_msg("%s: %s", str_text(&name), str_text(&f->problems));
	assert_string_equal(conf_origin_of(&f->conf, ref)->text, str_text(&name));
	conf_value_format(k, conf_base(&f->conf, ref), &value);
	assert_string_equal(str_text(&value), example);
	reset(f);
	clearenv();
	setenv("HOME", f->dir, 1);
}

/* Every key has a variable, and that one sets it. */
static void test_every_key_from_environment(void **state)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		struct conf_ref ref = {.section = s, .key = -1};

		while (conf_next_key(&ref))
			set_key_from_environment(*state, ref);
	}
}

/* The template with its examples in force, but for those of keys that end in @but. */
static void uncomment(const char *template, const char *but, struct str *out)
{
	for (const char *p = template; *p; p += strcspn(p, "\n") + 1) {
		size_t len = strcspn(p, "\n") + 1;

		if (p[0] == '#' && p[1] != ' ' && !memmem(p, len, but, strlen(but)))
			str_append_bytes(out, p + 1, len - 1);
		else
			str_append_bytes(out, p, len);
	}
}

/* Every value of the configuration in force is a default, or comes from the file, but for keys that hold @but. */
static void check_origins(struct fixture *f, bool from_file, const char *but)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(&f->conf, n, &ref); n++) {
		while (conf_next_key(&ref)) {
			const struct conf_origin *origin = conf_origin_of(&f->conf, ref);

			if (from_file)
				assert_true(origin->line > 0 || strstr(conf_keys[ref.key].name, but));
			else
				assert_string_equal(origin->text, "default");
		}
	}
}

static void test_template(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0}, all = {0}, defaults = {0}, again = {0};

	/* As it is written, it means the defaults. */
	conf_write_template(&text, NULL, NULL, NULL);
	accept(f, str_text(&text));
	assert_string_equal(str_text(&f->problems), "");
	free(take_ptr(&f->conf.path));
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *k = &conf_keys[i];
		_cleanup(free) char *line = mem_printf("\n#%s = ", k->name);

		assert_non_null(strstr(str_text(&text), line));
		assert_true(strlen(k->help) > 20 && k->help[strlen(k->help) - 1] == '.');
	}
	check_origins(f, false, "");
	conf_write_effective(&f->conf, &again);
	conf_finish(&f->conf);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	conf_write_effective(&f->conf, &defaults);
	assert_string_equal(str_text(&again), str_text(&defaults));
	/* Every line that it offers can be taken as it stands, but for one that contradicts another. */
	uncomment(str_text(&text), "schemas = ", &all);
	accept(f, str_text(&all));
	check_origins(f, true, "schemas");
	str_clear(&all);
	uncomment(str_text(&text), "tables = ", &all);
	accept(f, str_text(&all));
	check_origins(f, true, "tables");
	/* With what `keepfs init` was told. */
	str_clear(&text);
	conf_write_template(&text, "/s", "/m", "dir:/o");
	accept(f, str_text(&text));
	assert_string_equal(f->conf.state_dir, "/s");
	assert_string_equal(f->conf.mountpoint, "/m");
	assert_string_equal(f->conf.store.url, "dir:/o");
	for (const char *p = str_text(&text); *p; p += strcspn(p, "\n") + 1)
		assert_true(strcspn(p, "\n") <= 110);
}

static void test_man(void **state)
{
	_cleanup(str) struct str text = {0};

	conf_write_man(&text);
	assert_true(str_starts(str_text(&text), "# OPTIONS\n"));
	for (size_t i = 0; i < conf_key_count; i++) {
		_cleanup(str) struct str line = {0};

		str_append(&line, "\n*");
		for (const char *p = conf_keys[i].name; *p; p++)
			str_appendf(&line, "%s%c", *p == '_' ? "\\" : "", *p);
		str_append(&line, "*\n\t");
		assert_non_null(strstr(str_text(&text), str_text(&line)));
	}
	assert_non_null(strstr(str_text(&text), "Environment: KEEPFS\\_BACKUP\\_<NAME>\\_PG\\_BINDIR.\n"));
	assert_non_null(strstr(str_text(&text), "Environment: KEEPFS\\_STORE\\_REGION, then AWS\\_REGION, "
	                                        "AWS\\_DEFAULT\\_REGION.\n"));
}

static void test_effective(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};
	const char *t;

	setenv("KEEPFS_STOP_GRACE", "90s", 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	setenv("AWS_SESSION_TOKEN", "HIDDEN", 1);
	accept(f, "[store]\nurl = s3://bucket\naccess_key = AKIA\nsecret_key = HIDDEN\n"
	          "[backup full]\ndatabase = postgresql://user:HIDDEN@host/db?x=1\n"
	          "[backup b]\ndatabase = host=h password='HIDDEN x' user=u\ndatabases = a \"b c\"\n"
	          "compression = gzip\ntables = a.\"B c\"  x\nmax_rate = 1048576\njobs = 2\n");
	conf_write_effective(&f->conf, &text);
	t = str_text(&text);
	assert_null(strstr(t, "HIDDEN"));
	assert_non_null(strstr(t, "secret_key = ********  # "));
	assert_non_null(strstr(t, "keepfs.conf:4\n"));
	assert_non_null(strstr(t, "\nsession_token =   # default\n"));
	assert_non_null(strstr(t, "\nstop_grace = 90s  # KEEPFS_STOP_GRACE\n"));
	assert_non_null(strstr(t, "\nregion = eu-central-1  # AWS_REGION\n"));
	assert_non_null(strstr(t, "\nmemory = 256M  # default\n"));
	assert_non_null(strstr(t, "\nfile_mode = 0600  # default\n"));
	assert_non_null(strstr(t, "\n[backup full]\ndatabase = postgresql://user:********@host/db?x=1  # "));
	assert_non_null(strstr(t, "\n[backup b]\ndatabase = host=h password=******** user=u  # "));
	assert_non_null(strstr(t, "\ndatabases = a, \"b c\"  # "));
	assert_non_null(strstr(t, "\ncompression = gzip:6  # "));
	assert_non_null(strstr(t, "\ntables = a.\"B c\", x  # "));
	assert_non_null(strstr(t, "\nmax_rate = 1M/s  # "));
	assert_non_null(strstr(t, "\njobs = 2  # "));
	assert_non_null(strstr(t, "\njobs = auto  # default"));
	assert_non_null(strstr(t, "\nlock_wait_timeout = none  # default"));
	/* A struct that was not loaded has no sources to tell. */
	str_clear(&text);
	conf_finish(&f->conf);
	conf_write_effective(&f->conf, &text);
	assert_null(strstr(str_text(&text), "  # "));
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

static void test_nearest(void **state)
{
	static const char *const names[] = {"memory", "mountpoint", "owner", "url"};

	assert_string_equal(conf_nearest("memroy", names, 4), "memory");
	assert_string_equal(conf_nearest("Mountpoint", names, 4), "mountpoint");
	assert_string_equal(conf_nearest("mount_point", names, 4), "mountpoint");
	assert_string_equal(conf_nearest("urls", names, 4), "url");
	assert_null(conf_nearest("schedule", names, 4));
	assert_null(conf_nearest("", names, 4));
}

static void test_warning(void **state)
{
	struct fixture *f = *state;
	static const char text[] =
	        "[store]\nurl = s3://bucket\naccess_key = A\nsecret_key = HIDDEN\n"
	        "[backup full]\ndatabase = host=h password=HIDDEN\n[backup b]\ndatabase = host=h\n";

	write_text(f->file, text, strlen(text), 0644);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_true(str_starts(str_text(&f->problems), "warning: "));
	assert_non_null(strstr(str_text(&f->problems),
	                       "keepfs.conf:4: [store] secret_key: every user of this system can"));
	assert_non_null(strstr(str_text(&f->problems), "\nwarning: "));
	assert_non_null(strstr(str_text(&f->problems), "keepfs.conf:6: [backup full] database: every user"));
	assert_null(strstr(str_text(&f->problems), "[backup b]"));
	assert_null(strstr(str_text(&f->problems), "HIDDEN"));
	accept(f, text); /* 0600 */
	assert_string_equal(str_text(&f->problems), "");
	reset(f);
	write_text(f->file, text, strlen(text), 0640);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
}

static void test_find_path(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *dir = mem_printf("%s/.config/keepfs", f->dir);
	_cleanup(free) char *file = mem_printf("%s/keepfs.conf", dir);
	_cleanup(free) char *by_option = conf_find_path("/o.conf"), *by_env = NULL, *by_home = NULL;

	assert_string_equal(by_option, "/o.conf");
	assert_int_equal(fd_make_dirs(dir, 0700), 0);
	write_text(file, "", 0, 0600);
	by_home = conf_find_path(NULL);
	assert_string_equal(by_home, file);
	setenv("KEEPFS_CONFIG", "/e.conf", 1);
	by_env = conf_find_path(NULL);
	assert_string_equal(by_env, "/e.conf");
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
	         "tables, exclude_tables, exclude_table_data, globals, verify, max_rate, note"},
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

/* AWS. */

static void test_aws_environment(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *config = mem_printf("%s/config", f->dir);
	static const char text[] =
	        "[default]\nregion = us-west-2\n[profile backup]\noutput = json\n"
	        "region = ap-south-1 # near\ns3 =\n  max_concurrent_requests = 20\n[profile x]\n";

	write_text(config, text, strlen(text), 0600);
	setenv("AWS_CONFIG_FILE", config, 1);
	setenv("AWS_ENDPOINT_URL", "https://any:1", 1);
	setenv("AWS_CA_BUNDLE", "/ca.pem", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "us-west-2");
	assert_string_equal(f->conf.store.endpoint, "https://any:1");
	assert_string_equal(f->conf.store.ca_file, "/ca.pem");
	setenv("AWS_PROFILE", "backup", 1);
	setenv("AWS_ENDPOINT_URL_S3", "https://s3:1", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "ap-south-1");
	assert_string_equal(f->conf.store.endpoint, "https://s3:1");
	accept(f, "[store]\nurl = s3://bucket\nprofile = x\nendpoint = https://file:1\n");
	assert_string_equal(f->conf.store.region, "us-east-1");
	assert_string_equal(f->conf.store.endpoint, "https://file:1");
	setenv("AWS_DEFAULT_REGION", "d", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "d");
	setenv("AWS_REGION", "r", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "r");
	/* A directory does not care for any of them. */
	accept(f, "[store]\nurl = dir:/o\n");
	assert_string_equal(f->conf.store.endpoint, "");
	setenv("AWS_ENDPOINT_URL_S3", "http://plain", 1);
	refuse(f, "[store]\nurl = s3://bucket\n",
	       "AWS_ENDPOINT_URL_S3: [store] endpoint = http://plain: sends backups as clear text, but "
	       "[store] "
	       "allow_http = no (default)");
	setenv("AWS_ENDPOINT_URL_S3", "plain", 1);
	refuse(f, "[store]\nurl = s3://bucket\n",
	       "AWS_ENDPOINT_URL_S3: [store] endpoint = plain: does not begin");
}

static void test_aws_credentials_order(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = mem_printf("%s/credentials", f->dir);
	struct conf_store conf = {0};
	struct aws_credentials c = {0};
	struct error err = {0};
	static const char text[] =
	        "[default]\naws_access_key_id = FILE\naws_secret_access_key = FS\n"
	        "[other]\naws_access_key_id=O\naws_secret_access_key=OS\naws_session_token=OT\n";

	assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "[store] access_key"));
	assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
	assert_non_null(strstr(err.message, "/.aws/credentials"));
	assert_false(err.retry);
	assert_int_equal(aws_credentials_stamp(&conf), 0);

	setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
	write_text(file, text, strlen(text), 0600);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "FILE");
	assert_string_equal(c.secret_key, "FS");
	assert_null(c.session_token);
	assert_true(str_ends(c.source, "/credentials [default]"));
	aws_credentials_finish(&c);

	conf.profile = (char *)"other";
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "O");
	assert_string_equal(c.session_token, "OT");
	aws_credentials_finish(&c);
	conf.profile = (char *)"";
	setenv("AWS_PROFILE", "missing", 1);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "has no profile [missing]"));
	assert_false(err.retry);

	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"));
	setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
	setenv("AWS_SESSION_TOKEN", "ET", 1);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "ENV");
	assert_string_equal(c.session_token, "ET");
	assert_string_equal(c.source, "AWS_ACCESS_KEY_ID");
	aws_credentials_finish(&c);

	conf.access_key = (char *)"CONF";
	conf.secret_key = (char *)"CS";
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "CONF");
	assert_null(c.session_token);
	assert_string_equal(c.source, "[store] access_key");
	aws_credentials_finish(&c);
}

/* The file while it is written in place, byte after byte: never wrong credentials for right ones. */
static void test_aws_rotation(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = mem_printf("%s/credentials", f->dir);
	struct conf_store conf = {0};
	struct aws_credentials c = {0};
	struct error err = {0};
	static const char text[] = "[default]\naws_access_key_id = NEW\naws_secret_access_key = S\n";
	uint64_t before, after;

	setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
	write_text(file, text, strlen(text), 0600);
	before = aws_credentials_stamp(&conf);
	assert_int_equal(aws_credentials_stamp(&conf), before);
	for (size_t len = 0; len < strlen(text) - 1; len++) {
		write_text(file, text, len, 0600);
		assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
		assert_null(c.access_key);
		if (len == 0 || len > strlen("[default]"))
			assert_true(err.retry);
	}
	assert_non_null(strstr(err.message, "has no aws_secret_access_key in its profile [default]"));
	write_text(file, text, strlen(text), 0600);
	after = aws_credentials_stamp(&conf);
	assert_true(after != before && after != 0); /* the time of change differs */
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "NEW");
	aws_credentials_finish(&c);
}

int main(void)
{
#define CONF_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_defaults),
	        CONF_TEST(test_backup_keys),
	        CONF_TEST(test_whole_file),
	        CONF_TEST(test_bad_values),
	        CONF_TEST(test_all_at_once),
	        CONF_TEST(test_nearest_section),
	        CONF_TEST(test_lines),
	        CONF_TEST(test_truncated),
	        CONF_TEST(test_file_that_cannot_be_read),
	        CONF_TEST(test_contradictions),
	        CONF_TEST(test_environment),
	        CONF_TEST(test_environment_of_hooks),
	        CONF_TEST(test_environment_problems),
	        CONF_TEST(test_every_key_from_environment),
	        CONF_TEST(test_template),
	        CONF_TEST(test_man),
	        CONF_TEST(test_effective),
	        cmocka_unit_test(test_mask),
	        cmocka_unit_test(test_units),
	        cmocka_unit_test(test_nearest),
	        CONF_TEST(test_warning),
	        CONF_TEST(test_find_path),
	        CONF_TEST(test_override),
	        CONF_TEST(test_override_refuses),
	        CONF_TEST(test_override_partial),
	        cmocka_unit_test(test_patterns),
	        CONF_TEST(test_aws_environment),
	        CONF_TEST(test_aws_credentials_order),
	        CONF_TEST(test_aws_rotation),
	};

	/* The tests clear the environment, in which the runner asks for its format. */
	if (str_equal(getenv("CMOCKA_MESSAGE_OUTPUT"), "TAP"))
		cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
