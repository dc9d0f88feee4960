// SPDX-License-Identifier: Apache-2.0
/* The settings of the S3 driver, the credentials among them, and the URLs that it signs with these. */
#include "s3_test.h"

static void test_settings(void **state)
{
	static const struct {
		const char *url, *endpoint;
		bool allow_http;
		const char *message; /* NULL: right */
	} cases[] = {
	        {"s3://bucket", "", false, NULL},
	        {"s3://bucket/a/b/", "https://h:443/base/", false, NULL},
	        {"s3://bucket", "http://h", false, "allow_http"},
	        {"s3://bucket", "http://h", true, NULL},
	        {"s3://bucket", "ftp://h", true, "https://"},
	        {"s3://bucket", "h:9000", true, "https://host"},
	        {"s3://bucket", "https://", true, "https://host"},
	        {"s3://bucket", "https://u@h", true, "https://host"},
	        {"s3://", "", true, "bucket"},
	        {"s3:///x", "", true, "bucket"},
	        {"s3://bu cket", "", true, "bucket"},
	        {"http://bucket", "", true, "s3://"},
	        {"s3://bucket/a//b", "", true, "prefix"},
	        {"s3://bucket/../b", "", true, "prefix"},
	};
	struct conf_store conf = {.region = (char *)"us-east-1"};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};
		struct store *s = NULL;
		int rc;

		conf.url = (char *)cases[i].url;
		conf.endpoint = (char *)cases[i].endpoint;
		conf.allow_http = cases[i].allow_http;
		rc = store_s3_new(&conf, NULL, &s, &err);
		assert_int_equal(rc, cases[i].message ? -EINVAL : 0);
		if (cases[i].message) {
			assert_int_equal(err.class, ERROR_USAGE);
			assert_non_null(strstr(err.message, cases[i].message));
		}
		store_free(s);
	}
}

static void write_credentials(const char *path, const char *key)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "[default]\naws_access_key_id = %s\naws_secret_access_key = s\naws_session_token = t-%s\n",
	        key, key);
	fclose(f);
}

static void test_changed_credentials_are_read_again(void **state)
{
	char path[] = "/tmp/test_s3_XXXXXX";
	struct world w;

	close(mkstemp(path));
	write_credentials(path, "FIRST");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_PROFILE");
	world_begin(&w, SCRIPT(NO_CONTENT, NO_CONTENT, NO_CONTENT));
	w.conf.access_key = w.conf.secret_key.value = (char *)"";
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), 0);
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), 0);
	write_credentials(path, "SECOND");
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), 0);
	assert_seen(&w, 1, "Credential=FIRST/");
	assert_seen(&w, 2, "Credential=SECOND/");
	assert_seen(&w, 2, "x-amz-security-token: t-SECOND\r\n");
	unlink(path);
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), -ENOKEY);
	world_end(&w);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

/* Made without a request: the script has no answer. */
static char *presigned(struct world *w, int64_t ttl_ms)
{
	struct str url = {0};

	assert_int_equal(store_presign(w->store, "a/b c=.dump", ttl_ms, &url, &w->err), 0);
	return str_take(&url);
}

static void test_presigned(void **state)
{
	_cleanup(free) char *by_path = NULL, *by_host = NULL, *begin = NULL;
	struct world w;

	world_begin(&w, (const char *const[]){NULL});
	by_path = presigned(&w, 900999);
	begin = mem_printf("%s/bucket/pre/a/b%%20c%%3D.dump?X-Amz-Algorithm=AWS4-HMAC-SHA256&"
	                   "X-Amz-Credential=AKIA%%2F",
	                   w.endpoint);
	assert_true(str_starts(by_path, begin));
	assert_non_null(strstr(by_path, "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date="));
	assert_non_null(strstr(by_path, "&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="));
	assert_null(strstr(by_path, "hush"));

	store_free(w.store);
	w.conf.addressing = CONF_ADDRESSING_VIRTUAL;
	w.conf.session_token.value = (char *)"to/ken";
	world_open_store(&w);
	by_host = presigned(&w, 604800000);
	free(begin);
	begin = mem_printf("http://bucket.127.0.0.1:%d/pre/a/b%%20c%%3D.dump?", w.script.port);
	assert_true(str_starts(by_host, begin));
	assert_non_null(strstr(by_host, "&X-Amz-Expires=604800&X-Amz-Security-Token=to%2Fken&"));
	world_end(&w);
}

static void test_presigned_with_the_credentials_in_force(void **state)
{
	_cleanup(free) char *first = NULL, *second = NULL;
	_cleanup(str) struct str none = {0};
	char path[] = "/tmp/test_s3_XXXXXX";
	struct world w;

	close(mkstemp(path));
	write_credentials(path, "FIRST");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_PROFILE");
	world_begin(&w, (const char *const[]){NULL});
	w.conf.access_key = w.conf.secret_key.value = (char *)"";
	first = presigned(&w, 1000);
	write_credentials(path, "SECOND");
	second = presigned(&w, 1000);
	assert_non_null(strstr(first, "Credential=FIRST%2F"));
	assert_non_null(strstr(second, "Credential=SECOND%2F"));
	assert_non_null(strstr(second, "Security-Token=t-SECOND&"));
	unlink(path);
	assert_int_equal(store_presign(w.store, "a", 1000, &none, &w.err), -ENOKEY);
	assert_int_equal(none.len, 0);
	world_end(&w);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_settings),
	        cmocka_unit_test(test_changed_credentials_are_read_again),
	        cmocka_unit_test(test_presigned),
	        cmocka_unit_test(test_presigned_with_the_credentials_in_force),
	};

	return cmocka_run_group_tests_name("s3_settings", tests, NULL, NULL);
}
