// SPDX-License-Identifier: Apache-2.0
/* The probe over a store in memory that misbehaves on demand. No server answers: what pg says of one is tried
 * end to end. */
#include "../../src/check/check_private.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/check.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/tree.h"

enum trouble { NONE, PUT_FAILS, ALWAYS_EXISTS, OVERWRITES, GET_FAILS, GET_LIES, REMOVE_FAILS, REMOVE_LIES };

struct one_store { /* holds one object */
	struct store base;
	enum trouble trouble;
	char key[STORE_KEY_BYTES]; /* "": none */
	char data[1024];
	size_t len;
	unsigned puts, removes;
};

static int deny(struct error *err)
{
	return error_set(err, ERROR_DENIED, EACCES, "AccessDenied: no");
}

static int one_put(struct store *store, const struct store_call *call, const char *key,
                   const struct iovec *iov, int count, const struct store_put_options *options,
                   struct error *err)
{
	struct one_store *s = (struct one_store *)store;

	s->puts++;
	if (s->trouble == PUT_FAILS)
		return deny(err);
	if (s->trouble == ALWAYS_EXISTS)
		return STORE_EXISTS;
	if (str_equal(s->key, key) && s->trouble != OVERWRITES)
		return STORE_EXISTS;
	assert_true(options->only_if_absent);
	assert_int_equal(count, 1);
	assert_in_range(iov[0].iov_len, 1, sizeof(s->data));
	str_copy(s->key, sizeof(s->key), key);
	memcpy(s->data, iov[0].iov_base, iov[0].iov_len);
	s->len = iov[0].iov_len;
	return 0;
}

static int one_get(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
                   const struct iovec *iov, int count, const struct store_get_options *options,
                   struct error *err)
{
	struct one_store *s = (struct one_store *)store;

	if (s->trouble == GET_FAILS)
		return deny(err);
	assert_string_equal(key, s->key);
	assert_int_equal(iov[0].iov_len, s->len);
	memcpy(iov[0].iov_base, s->data, s->len);
	if (s->trouble == GET_LIES)
		((char *)iov[0].iov_base)[s->len - 1] ^= 1;
	return 0;
}

static int one_head(struct store *store, const struct store_call *call, const char *key,
                    struct store_object *ret, struct error *err)
{
	struct one_store *s = (struct one_store *)store;

	if (!str_equal(s->key, key))
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "no such object");
	*ret = (struct store_object){.bytes = s->len};
	return 0;
}

static int one_remove(struct store *store, const struct store_call *call, const char *key, struct error *err)
{
	struct one_store *s = (struct one_store *)store;

	s->removes++;
	if (s->trouble == REMOVE_FAILS)
		return deny(err);
	if (s->trouble != REMOVE_LIES)
		s->key[0] = '\0';
	return 0;
}

static int one_features(struct store *store, struct store_features *ret, struct error *err)
{
	*ret = (struct store_features){.min_part_bytes = 5 << 20,
	                               .max_part_bytes = (uint64_t)5 << 30,
	                               .max_parts = 10000,
	                               .capacity_bytes = STORE_UNKNOWN,
	                               .available_bytes = STORE_UNKNOWN,
	                               .weaker = "nothing is kept"};
	return 0;
}

static const struct store_ops one_ops = {
        .put = one_put, .get = one_get, .head = one_head, .remove = one_remove, .features = one_features};

static struct one_store one_store(enum trouble trouble)
{
	return (struct one_store){.base = {.ops = &one_ops, .name = (char *)"one:"}, .trouble = trouble};
}

struct bench {
	char state_dir[64];
	struct conf conf;
	struct conf_job job;
	char **databases;
	struct check_result *result;
};

static char *no_databases[] = {NULL};

static void bench_init(struct bench *b)
{
	*b = (struct bench){.job = {.name = (char *)"full",
	                            .dump.database = (char *)"postgresql:///x?host=/nowhere/at/all",
	                            .dump.databases = no_databases,
	                            .dump.pg_bindir = (char *)""}};
	log_set_level(0);
	str_copy(b->state_dir, sizeof(b->state_dir), "/tmp/keepfs-test-check-XXXXXX");
	assert_non_null(mkdtemp(b->state_dir));
	b->conf = (struct conf){.state_dir = b->state_dir, .jobs = &b->job, .job_count = 1};
	b->conf.store.url = (char *)"one:";
	b->result = mem_alloc(sizeof(*b->result));
}

static void bench_finish(struct bench *b)
{
	free(b->result);
	assert_int_equal(remove_tree(b->state_dir), 0);
}

static const struct catalog_probe *find_item(const struct check_result *result, const char *name)
{
	for (size_t i = 0; i < result->count; i++)
		if (str_equal(result->items[i].check, name))
			return &result->items[i];
	return NULL;
}

static void test_store_cases(void **state)
{
	static const struct {
		enum trouble trouble;
		bool ok, left;
		const char *words;
	} cases[] = {
	        {NONE, true, false, "it never replaces what is there"},
	        {PUT_FAILS, false, false, "cannot be written: AccessDenied"},
	        {ALWAYS_EXISTS, false, false, "cannot be relied on"},
	        {OVERWRITES, true, false, "cannot create exclusively"},
	        {GET_FAILS, false, false, "cannot be read back: AccessDenied"},
	        {GET_LIES, false, false, "with other bytes"},
	        {REMOVE_FAILS, false, true, "cannot be deleted: AccessDenied"},
	        {REMOVE_LIES, false, true, "still there after it was deleted"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct one_store store = one_store(cases[i].trouble);
		const struct catalog_probe *item;
		struct bench b;

		bench_init(&b);
		check_run(&b.conf, &store.base, NULL, NULL, b.result);
		item = find_item(b.result, "store");
		assert_non_null(item);
		assert_int_equal(item->ok, cases[i].ok);
		assert_non_null(strstr(item->detail, cases[i].words));
		assert_non_null(strstr(item->detail, "one:"));
		assert_int_equal(store.key[0] != '\0', cases[i].left);
		assert_true(store.removes > 0);
		bench_finish(&b);
	}
}

static void test_what_is_weaker_is_told(void **state)
{
	struct one_store store = one_store(NONE);
	struct bench b;

	bench_init(&b);
	check_run(&b.conf, &store.base, NULL, NULL, b.result);
	assert_true(find_item(b.result, "store")->ok);
	assert_non_null(strstr(find_item(b.result, "store")->detail,
	                       "up to 5.0 GiB; it has no conditional replacing: two keepfs that begin"));
	assert_non_null(
	        strstr(find_item(b.result, "store")->detail, "; weaker in this place: nothing is kept"));
	bench_finish(&b);
}

static void test_store_that_was_not_opened(void **state)
{
	const struct error why = {
	        .class = ERROR_DENIED, .errnum = ENOKEY, .message = "no credentials were found"};
	struct bench b;

	bench_init(&b);
	check_run(&b.conf, NULL, &why, NULL, b.result);
	assert_string_equal(find_item(b.result, "store")->detail, "no credentials were found");
	assert_false(find_item(b.result, "store")->ok);
	bench_finish(&b);
}

/* What mends it depends on what the store said, and names the place. */
static void test_fixes_of_a_store(void **state)
{
	static const struct {
		const char *url;
		struct error why;
		const char *fix;
	} cases[] = {
	        {"s3://shelf/prod",
	         {.class = ERROR_USAGE, .errnum = ENODEV, .code = "NoSuchBucket", .message = "no bucket"},
	         "aws s3api create-bucket --bucket shelf --endpoint-url https://s3.example.net"},
	        {"s3://shelf",
	         {.class = ERROR_DENIED, .errnum = ENOKEY, .message = "no credentials"},
	         "aws configure (as the user that keepfs runs as)"},
	        {"s3://shelf/prod",
	         {.class = ERROR_DENIED, .errnum = EACCES, .code = "AccessDenied", .message = "no"},
	         "\"Resource\":\"arn:aws:s3:::shelf/prod/*\"}"},
	        {"s3://shelf/prod", {.class = ERROR_TIMEOUT, .errnum = ETIMEDOUT, .message = "slow"}, ""},
	        {"dir:/srv/my backups",
	         {.class = ERROR_USAGE, .errnum = ENODEV, .message = "is not there"},
	         "'/srv/my backups'"},
	        {"dir:/srv/backups", {.class = ERROR_NO_SPACE, .errnum = ENOSPC, .message = "full"}, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct catalog_probe *item;
		struct bench b;

		bench_init(&b);
		b.conf.store.url = (char *)cases[i].url;
		b.conf.store.endpoint = (char *)"https://s3.example.net";
		check_run(&b.conf, NULL, &cases[i].why, NULL, b.result);
		item = find_item(b.result, "store");
		assert_false(item->ok);
		if (*cases[i].fix)
			assert_non_null(strstr(item->fix, cases[i].fix));
		else
			assert_string_equal(item->fix, "");
		assert_null(strchr(item->fix, '\n'));
		bench_finish(&b);
	}
}

static void test_result_is_kept_whole(void **state)
{
	struct catalog_probe *kept = mem_array(CHECK_MAX + 1, sizeof(*kept));
	struct one_store store = one_store(NONE);
	struct catalog *catalog = NULL;
	struct error err = {0};
	size_t failed = 0;
	struct bench b;

	bench_init(&b);
	assert_int_equal(catalog_open(b.state_dir, &catalog, &err), 0);
	assert_int_equal(catalog_store_verified(catalog, "one:"), 0);
	check_run(&b.conf, &store.base, NULL, catalog, b.result);
	assert_int_equal(catalog_probes(catalog, kept, CHECK_MAX + 1), b.result->count);
	for (size_t i = 0; i < b.result->count; i++) {
		assert_string_equal(kept[i].check, b.result->items[i].check);
		assert_int_equal(kept[i].ok, b.result->items[i].ok);
		assert_true(kept[i].detail[0] != '\0');
		assert_string_equal(kept[i].fix, b.result->items[i].fix);
		assert_true(kept[i].at_us > 0);
		failed += !kept[i].ok;
	}
	assert_int_equal(failed, b.result->failed);
	assert_true(catalog_store_verified(catalog, "one:") > 0);
	assert_non_null(find_item(b.result, "fuse"));
	catalog_free(catalog);
	bench_finish(&b);
	free(kept);
}

static void test_state_directory(void **state)
{
	char missing[] = "/tmp/keepfs-test-check-is-not-there/at-all";
	struct bench b;

	bench_init(&b);
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_true(find_item(b.result, "catalog")->ok);
	assert_string_equal(find_item(b.result, "catalog")->fix, "");
	b.conf.state_dir = missing;
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_false(find_item(b.result, "catalog")->ok);
	assert_true(str_starts(find_item(b.result, "catalog")->fix, "install -d -m 0700 -o "));
	assert_true(str_ends(find_item(b.result, "catalog")->fix, missing));
	assert_non_null(strstr(find_item(b.result, "catalog")->detail, "state_dir"));
	b.conf.state_dir = (char *)"/proc";
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_false(find_item(b.result, "catalog")->ok);
	bench_finish(&b);
}

/* Where the device is there and may not be used, loading a module helps nobody. */
static void test_advice_on_the_device(void **state)
{
	assert_non_null(strstr(fuse_device_advice(EPERM), "--device /dev/fuse --cap-add SYS_ADMIN"));
	assert_null(strstr(fuse_device_advice(EPERM), "modprobe"));
	assert_string_equal(fuse_device_advice(EACCES), fuse_device_advice(EPERM));
	assert_non_null(strstr(fuse_device_advice(ENOENT), "modprobe fuse"));
	assert_non_null(strstr(fuse_device_advice(ENXIO), "modprobe fuse"));
	assert_null(strstr(fuse_device_advice(EMFILE), "modprobe"));
	assert_true(str_starts(fuse_device_fix(EACCES), "chmod 0666 /dev/fuse"));
	assert_true(str_starts(fuse_device_fix(ENODEV), "modprobe fuse"));
	assert_null(fuse_device_fix(EMFILE));
}

static void test_server_that_does_not_answer(void **state)
{
	static char *databases[] = {(char *)"one", (char *)"two", NULL};
	struct bench b;

	bench_init(&b);
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_false(find_item(b.result, "database full/x")->ok);
	assert_non_null(find_item(b.result, "pg_dump full"));
	b.job.dump.databases = databases;
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_non_null(strstr(find_item(b.result, "database full/one")->detail, "/nowhere/at/all"));
	assert_string_equal(find_item(b.result, "database full/two")->detail,
	                    "not tried: the server did not answer for database one");
	assert_false(find_item(b.result, "database full/two")->ok);
	bench_finish(&b);
}

static void test_more_findings_than_fit(void **state)
{
	enum { DATABASES = 100 };
	char names[DATABASES][8], *databases[DATABASES + 1] = {NULL};
	const struct catalog_probe *last;
	struct bench b;

	for (size_t i = 0; i < DATABASES; i++) {
		snprintf(names[i], sizeof(names[i]), "db%zu", i);
		databases[i] = names[i];
	}
	bench_init(&b);
	b.job.dump.databases = databases;
	b.job.dump.pg_bindir = (char *)"/nowhere/at/all";
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_int_equal(b.result->count, CHECK_MAX);
	last = &b.result->items[CHECK_MAX - 1];
	assert_string_equal(last->check, "others");
	assert_false(last->ok);
	/* 3 of the host, 100 databases, pg_dump; one place is the last item's. */
	assert_non_null(strstr(last->detail, "41 of 41 more checks failed: database full/db60: not tried"));
	bench_finish(&b);
}

static void test_no_job(void **state)
{
	struct bench b;

	bench_init(&b);
	b.conf.job_count = 0;
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_false(find_item(b.result, "jobs")->ok);
	assert_string_equal(find_item(b.result, "jobs")->fix, "keepfs init --quick");
	bench_finish(&b);
}

/* A job that archives files asks no server. */
/* Each kind of job is asked in its own way. */
static void test_directories_of_a_job(void **state)
{
	struct bench b;

	bench_init(&b);
	b.job = (struct conf_job){.name = (char *)"docs", .kind = CONF_JOB_FILES, .files.path = b.state_dir};
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_true(find_item(b.result, "files docs")->ok);
	b.job.files.path = (char *)"/nowhere/at/all";
	check_run(&b.conf, NULL, NULL, NULL, b.result);
	assert_false(find_item(b.result, "files docs")->ok);
	assert_non_null(strstr(find_item(b.result, "files docs")->detail, "/nowhere/at/all cannot be read"));
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_store_cases),
	        cmocka_unit_test(test_what_is_weaker_is_told),
	        cmocka_unit_test(test_store_that_was_not_opened),
	        cmocka_unit_test(test_fixes_of_a_store),
	        cmocka_unit_test(test_result_is_kept_whole),
	        cmocka_unit_test(test_state_directory),
	        cmocka_unit_test(test_advice_on_the_device),
	        cmocka_unit_test(test_server_that_does_not_answer),
	        cmocka_unit_test(test_more_findings_than_fit),
	        cmocka_unit_test(test_no_job),
	        cmocka_unit_test(test_directories_of_a_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
