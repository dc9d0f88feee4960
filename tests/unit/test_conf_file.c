// SPDX-License-Identifier: Apache-2.0
/* conf: keepfs.conf line by line: what stands where, all problems at once with their lines, files that cannot be read. */
#include <keepfs/base/log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

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
	assert_string_equal(f->conf.store.secret_key.value, "se#cret;x=y");
	assert_string_equal(f->conf.store.session_token.value, "tok");
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
	                         "[snapshots]\n"       /* 22 */
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
	        ":6: [keepfs] url: no such key; it belongs into [store] or [store NAME] or [mirror NAME] or [webhook NAME] or [heartbeat NAME]\n"
	        ":8: [keepfs] log_level = debug: is set twice; the first time on line 7\n"
	        ":9: [stoer]: no such section; did you mean [store]?\n"
	        ":11: the line has no ']' at its end\n"
	        ":13: [store] bucket: no such key; allowed: url provider region endpoint access_key secret_key "
	        "secret_key_file secret_key_command session_token session_token_file session_token_command "
	        "profile addressing allow_http ca_file sse sse_kms_key conditional_puts equal_parts delete_versions object_lock lock_min lock_max connect_timeout "
	        "first_byte_timeout stall_timeout "
	        "retry_deadline "
	        "part_size max_parts capacity scrub_within scrub_rate faults\n"
	        ":14: the line has no key before its '='\n"
	        ":15: [backup now]: the name is reserved: 'now' triggers the default job; allowed: 1 to 200 "
	        "of A-Z a-z "
	        "0-9 . _ -, not beginning with '.' or '-', and not 'now' or 'packs'\n"
	        ":17: [backup full] databse: no such key; did you mean database?\n"
	        ":18: [backup full]: a job of this name begins on line 16 already\n"
	        ":19: [backup a/b]: the name holds a character that is not allowed; allowed: 1 to 200 of A-Z "
	        "a-z 0-9 . "
	        "_ -, not beginning with '.' or '-', and not 'now' or 'packs'\n"
	        ":20: [backup ]: the name is not 1 to 200 characters long; allowed: 1 to 200 of A-Z a-z 0-9 "
	        ". _ -, not "
	        "beginning with '.' or '-', and not 'now' or 'packs'\n"
	        ":21: [keepfs]: this section begins on line 2 already: put its keys there\n"
	        ":22: [snapshots]: no such section; allowed: [keepfs], [store], [store NAME], [read], [backup NAME], [files NAME], [bundle NAME], [export], [mirror NAME], [inbox NAME], [cluster NAME], [class NAME], "
	        "[mail], [webhook NAME], [command NAME], [heartbeat NAME], [check NAME], [control]\n"
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
	refuse(f, "[stoer x]\n", "[stoer x]: no such section; did you mean [store x]?\n");
	refuse(f, "[backups x]\n", "did you mean [backup x]?\n");
	refuse(f, "[file x]\n", ":1: [file x]: no such section; did you mean [files x]?\n");
	refuse(f, "[fiels]\n", "[fiels]: no such section; did you mean [files NAME]?\n");
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
	assert_int_equal(strlen(f->conf.store.session_token.value), 5003);
	assert_string_equal(f->conf.store.session_token.value + 4999, "x=:y");
	assert_string_equal(f->conf.store.secret_key.value, "S");
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
/* A comment begins behind a space, but not in quotes. */
static void test_comments_and_quotes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *line, *value; /* NULL: refused */
	} cases[] = {
	        {"host=h password='a #b ;c' dbname=x # near", "host=h password='a #b ;c' dbname=x"},
	        {"password='it\\' ;s' ; near", "password='it\\' ;s'"},
	        {"password=\"a #b\" # near \"", "password=\"a #b\""},
	        {"dbname=don't # isn't", "dbname=don't"},
	        {"dbname=\\' # isn't '", "dbname=\\'"},
	        {"dbname=a#b;c", "dbname=a#b;c"},
	        {"postgresql://h/d?options='x #y'", "postgresql://h/d?options='x #y'"},
	        {"password='a #b", NULL},
	        {"host = h password = 'a ;b", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *text = mem_printf("[backup full]\ndatabase = %s\n", cases[i].line);

		if (!cases[i].value) {
			refuse(f, text, ":2: [backup full] database = ");
			assert_non_null(
			        strstr(str_text(&f->problems),
			               ": has a quote that is never closed (outside of closed quotes, "
			               "a '#' or ';' behind a space begins a comment); allowed: "));
			assert_null(strstr(str_text(&f->problems), "'a"));
			continue;
		}
		accept(f, text);
		assert_string_equal(f->conf.jobs[0].dump.database, cases[i].value);
	}
	accept(f, "[backup full]\ntables = public.\"a #b\", c ; near\npre_hook = sh -c 'a ; b' # near\n");
	assert_string_equal(f->conf.jobs[0].dump.tables[0], "public.\"a #b\"");
	assert_string_equal(f->conf.jobs[0].dump.tables[1], "c");
	assert_string_equal(f->conf.jobs[0].pre_hook, "sh -c 'a ; b'");
}

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

/* Whatever the mode of the configuration is. */
static void test_warning_of_a_secret_file(void **state)
{
	static const char mail[] =
	        "[mail]\nto = a@b\nserver = smtps://h\nuser = u\npassword_file = %s\n[backup b]\ndatabase = host=h\n";
	struct fixture *f = *state;
	_cleanup(free) char *path = mem_printf("%s/mail-password", f->dir), *text = mem_printf(mail, path),
	                    *want = mem_printf("chmod 600 %s", path);

	write_text(path, "HIDDEN\n", 7, 0604);
	write_text(f->file, text, strlen(text), 0600);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_non_null(
	        strstr(str_text(&f->problems),
	               "keepfs.conf:5: [mail] password_file: every user of this system can read the secret"));
	assert_non_null(strstr(str_text(&f->problems), want));
	assert_null(strstr(str_text(&f->problems), "HIDDEN"));
	reset(f);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
	/* One that is not there is for nobody to read. */
	reset(f);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_whole_file),      CONF_TEST(test_all_at_once),
	        CONF_TEST(test_nearest_section), CONF_TEST(test_lines),
	        CONF_TEST(test_truncated),       CONF_TEST(test_file_that_cannot_be_read),
	        CONF_TEST(test_warning),         CONF_TEST(test_warning_of_a_secret_file),
	        CONF_TEST(test_find_path),       CONF_TEST(test_comments_and_quotes),
	        cmocka_unit_test(test_nearest),
	};

	return RUN_CONF_TESTS(tests);
}
