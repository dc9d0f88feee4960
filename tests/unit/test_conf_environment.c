// SPDX-License-Identifier: Apache-2.0
/* conf: keys from KEEPFS_ variables. */
#include "../../src/conf/value.h"

#include <keepfs/base/log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

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
	        "KEEPFS_FINISHED",   "KEEPFS_DATABASE",  "KEEPFS_CLASS",
	};

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		setenv(facts[i], "something", 1);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
	setenv("KEEPFS_JOBS", "1", 1);
	reset(f);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), -EINVAL);
}

/* Kubernetes tells each container of the services of its namespace: of one that is named keepfs, keepfs-store or
 * keepfs-backup-x too. Compose hands its .env on. */
static void test_environment_of_services(void **state)
{
	struct fixture *f = *state;
	static const char *const variables[][2] = {
	        {"KEEPFS_PORT", "tcp://10.0.0.1:9100"},
	        {"KEEPFS_SERVICE_HOST", "10.0.0.1"},
	        {"KEEPFS_SERVICE_PORT", "9100"},
	        {"KEEPFS_SERVICE_PORT_HTTP", "9100"},
	        {"KEEPFS_PORT_9100_TCP", "tcp://10.0.0.1:9100"},
	        {"KEEPFS_PORT_9100_TCP_ADDR", "10.0.0.1"},
	        {"KEEPFS_PORT_9100_TCP_PORT", "9100"},
	        {"KEEPFS_PORT_9100_TCP_PROTO", "tcp"},
	        {"KEEPFS_STORE_PORT", "tcp://[fd00::1]:9000"},
	        {"KEEPFS_STORE_SERVICE_HOST", "fd00::1"},
	        {"KEEPFS_STORE_SERVICE_PORT_URL", "9000"},
	        {"KEEPFS_STORE_PORT_53_UDP", "udp://10.0.0.2:53"},
	        {"KEEPFS_STORE_PORT_53_UDP_PROTO", "udp"},
	        {"KEEPFS_BACKUP_X_SERVICE_PORT_JOBS", "4"},
	        {"KEEPFS_BACKUP_X_PORT", "tcp://10.0.0.3:80"},
	        {"KEEPFS_FILES_SERVICE_HOST", "10.0.0.4"},
	        {"KEEPFS_VERSION", "1.2"},
	        {"KEEPFS_IMAGE", "registry.example.net/keepfs"},
	        {"KEEPFS_TAG", "latest"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		setenv(variables[i][0], variables[i][1], 1);
	if (conf_load(NULL, &f->conf, &f->problems) != 0)
		fail_msg("%s", str_text(&f->problems));
	assert_string_equal(str_text(&f->problems), "");
	assert_int_equal(f->conf.job_count, 1);
	assert_string_equal(f->conf.jobs[0].name, "full");
	/* But for a section that is there it is its key. */
	setenv("KEEPFS_BACKUP_A_SERVICE_PORT_JOBS", "5", 1);
	accept(f, "[backup a-service-port]\n");
	assert_int_equal(f->conf.jobs[0].dump.connections, 5);
}

/* What only looks like one is a mistyped name still. */
static void test_environment_unlike_services(void **state)
{
	struct fixture *f = *state;
	static const char *const variables[][2] = {
	        {"KEEPFS_PORT", "9100"},
	        {"KEEPFS_PORT", "http://10.0.0.1"},
	        {"KEEPFS_PORTS", "tcp://10.0.0.1:9100"},
	        {"KEEPFS_SERVICE_PORT", "x"},
	        {"KEEPFS_SERVICE_PORTS", "9100"},
	        {"KEEPFS_STORE_SERVICE_HOSTS", "h"},
	        {"KEEPFS_STORE_PORT_X_TCP", "tcp://h:1"},
	        {"KEEPFS_STORE_PORT_9_ICMP", "tcp://h:1"},
	        {"KEEPFS_STORE_PORT_9_TCP_PORT", "x"},
	        {"KEEPFS_STORE_PORT_9_TCP_PORTS", "9"},
	        {"KEEPFS_STORE_PORT_", "9"},
	        {"KEEPFS_VERSIONS", "1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		_cleanup(free) char *want =
		        mem_printf("%s: this environment variable means nothing", variables[i][0]);

		setenv(variables[i][0], variables[i][1], 1);
		assert_int_equal(conf_load(NULL, &f->conf, &f->problems), -EINVAL);
		assert_true(str_starts(str_text(&f->problems), want));
		unsetenv(variables[i][0]);
		reset(f);
	}
}

/* A value that a program wrote often ends with the end of its line. */
static void test_environment_white_space(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_STORE_URL", "s3://bucket\n", 1);
	setenv("KEEPFS_STORE_ACCESS_KEY", " AKIA\r\n", 1);
	setenv("KEEPFS_STORE_SECRET_KEY", "sec ret \n\n", 1);
	setenv("KEEPFS_STORE_SESSION_TOKEN", "\n", 1);
	setenv("AWS_REGION", "eu-west-1\n", 1);
	setenv("AWS_CA_BUNDLE", "\n", 1);
	if (conf_load(NULL, &f->conf, &f->problems) != 0)
		fail_msg("%s", str_text(&f->problems));
	assert_string_equal(f->conf.store.url, "s3://bucket");
	assert_string_equal(f->conf.store.access_key, "AKIA");
	assert_string_equal(f->conf.store.secret_key.value, "sec ret");
	assert_string_equal(f->conf.store.session_token.value, "");
	assert_string_equal(f->conf.store.region, "eu-west-1");
	assert_string_equal(f->conf.store.ca_file, "");
	reset(f);
	setenv("KEEPFS_STORE_SECRET_KEY", "hid\rden", 1);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), -EINVAL);
	assert_non_null(strstr(str_text(&f->problems),
	                       "KEEPFS_STORE_SECRET_KEY: [store] secret_key = ********: holds a control "
	                       "character (carriage return, 0x0d); "));
	assert_null(strstr(str_text(&f->problems), "hid"));
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

/* What each of its keys needs beside it. */
static void prepare_named_store(const char *key)
{
	setenv("KEEPFS_STORES_FULL_URL", "s3://other", 1);
	if (strcmp(key, "profile") != 0 && strcmp(key, "credentials_file") != 0)
		setenv("KEEPFS_STORES_FULL_ACCESS_KEY", "A", 1);
	if (strcmp(key, "profile") != 0 && strcmp(key, "credentials_file") != 0 &&
	    !str_starts(key, "secret_key_"))
		setenv("KEEPFS_STORES_FULL_SECRET_KEY", "S", 1);
	if (strcmp(key, "sse_kms_key") == 0)
		setenv("KEEPFS_STORES_FULL_SSE", "aws:kms", 1);
}

static void prepare_mirror(const char *key)
{
	setenv("KEEPFS_MIRROR_FULL_URL", "s3://documents", 1);
	if (strcmp(key, "access_key") == 0 || str_starts(key, "secret_key") ||
	    str_starts(key, "session_token"))
		setenv("KEEPFS_MIRROR_FULL_ACCESS_KEY", "A", 1);
	if (strcmp(key, "access_key") == 0 || str_starts(key, "session_token"))
		setenv("KEEPFS_MIRROR_FULL_SECRET_KEY", "S", 1);
}

static void set_key_from_environment(struct fixture *f, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];
	const char *example = k->example ? k->example : k->fallback;
	_cleanup(str) struct str name = {0}, value = {0};

	bool is_bundle = ref.section == CONF_SECTION_BUNDLE;

	conf_key_env(ref.section, k, is_bundle ? "site" : "full", &name);
	if (is_bundle) {
		/* Of jobs that are there. */
		setenv("KEEPFS_BACKUP_FULL_DATABASE", "dbname=x", 1);
		setenv("KEEPFS_FILES_DOCUMENTS_PATH", "/srv/documents", 1);
		setenv("KEEPFS_BUNDLE_SITE_PARTS", "full", 1);
		/* It stands in place of a command, which the template shows. */
		if (strcmp(k->name, "version_file") == 0)
			example = "/opt/app/VERSION";
	}
	if (strcmp(k->name, "registry") == 0) {
		/* It stands beside a query, so the template cannot show one. */
		setenv("KEEPFS_BACKUP_FULL_DATABASES", "SELECT datname FROM tenants", 1);
		example = "dbname=registry";
	}
	/* Nothing but that there is none can be said of it. */
	if (ref.section == CONF_SECTION_INBOX && strcmp(k->name, "schedule") == 0)
		example = "disabled";
	setenv("KEEPFS_STORE_URL", "s3://bucket", 1);
	if (ref.section == CONF_SECTION_FILES)
		setenv("KEEPFS_FILES_FULL_PATH", "/srv/x", 1);
	if (ref.section == CONF_SECTION_EXPORT) {
		setenv("KEEPFS_EXPORT_TENANTS", "select 1", 1);
		setenv("KEEPFS_EXPORT_TENANT_COLUMN", "org_id", 1);
		/* Its template hashes. */
		if (!str_starts(k->name, "redact_key"))
			setenv("KEEPFS_EXPORT_REDACT_KEY_FILE", "/x", 1);
	}
	if (ref.section == CONF_SECTION_NAMED_STORE)
		prepare_named_store(k->name);
	if (ref.section == CONF_SECTION_MIRROR)
		prepare_mirror(k->name);
	if (ref.section == CONF_SECTION_CLASS && strcmp(k->name, "store") == 0)
		setenv("KEEPFS_STORES_ACME_URL", "s3://other", 1);
	if (ref.section == CONF_SECTION_EXPORT)
		setenv("KEEPFS_STORES_ACME_URL", "s3://other", 1);
	setenv(str_text(&name), example, 1);
	if (ref.section == CONF_SECTION_STORE &&
	    (str_starts(k->name, "secret_key") || str_starts(k->name, "session_token")))
		setenv("KEEPFS_STORE_ACCESS_KEY", "A", 1);
	if (ref.section == CONF_SECTION_STORE &&
	    (strcmp(k->name, "access_key") == 0 || str_starts(k->name, "session_token")))
		setenv("KEEPFS_STORE_SECRET_KEY", "A", 1);
	if (ref.section == CONF_SECTION_WEBHOOK && !str_starts(k->name, "url"))
		setenv("KEEPFS_WEBHOOK_FULL_URL", "https://h/x", 0);
	if (ref.section == CONF_SECTION_HEARTBEAT && !str_starts(k->name, "url"))
		setenv("KEEPFS_HEARTBEAT_FULL_URL", "https://h/x", 0);
	if (ref.section == CONF_SECTION_CHECK) {
		/* A check asks something, of a job that is there; what is expected is of an answer. */
		setenv("KEEPFS_BACKUP_FULL_DATABASE", "dbname=x", 0);
		setenv("KEEPFS_CHECK_FULL_SQL", "select true", 0);
	}
	if (ref.section == CONF_SECTION_COMMAND)
		setenv("KEEPFS_COMMAND_FULL_COMMAND", "true", 0);
	if (ref.section == CONF_SECTION_MAIL) {
		setenv("KEEPFS_MAIL_TO", "a@b", 0);
		setenv("KEEPFS_MAIL_SERVER", "smtp://h", 0);
		setenv("KEEPFS_MAIL_USER", "u", 0);
		if (strcmp(k->name, "password_command") != 0)
			setenv("KEEPFS_MAIL_PASSWORD", "p", 0);
	}
	if (strcmp(k->name, "sse_kms_key") == 0)
		setenv("KEEPFS_STORE_SSE", "aws:kms", 1);
	if (conf_load(NULL, &f->conf, &f->problems) != 0)
		fail_msg("%s: %s", str_text(&name), str_text(&f->problems));
	while (is_bundle && f->conf.jobs[ref.item].kind != CONF_JOB_BUNDLE)
		ref.item++;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_environment),
	        CONF_TEST(test_environment_of_hooks),
	        CONF_TEST(test_environment_of_services),
	        CONF_TEST(test_environment_unlike_services),
	        CONF_TEST(test_environment_white_space),
	        CONF_TEST(test_environment_problems),
	        CONF_TEST(test_every_key_from_environment),
	};

	return RUN_CONF_TESTS(tests);
}
