// SPDX-License-Identifier: Apache-2.0
/* aws: credentials that are asked for, of a server that plays STS, a container's agent and the metadata service; and
 * that they are asked for once for all threads, and in time. */
#include "../../src/aws/source.h"
#include "s3_test.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#define HOUR_US (INT64_C(3600) * US_PER_S)

static int64_t ahead_us; /* of the clock */

static int64_t test_now_us(void)
{
	return clock_now_us() + ahead_us;
}

struct asked {
	struct world w;
	struct aws *aws;
	char dir[32], *config, *credentials, *token;
	const struct aws_credentials *got;
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void begin(struct asked *a, const char *const *answers)
{
	/* The runner's; the tests' own variables begin with AWS_ as well. */
	static const char *const variables[] = {
	        "AWS_ACCESS_KEY_ID",
	        "AWS_SECRET_ACCESS_KEY",
	        "AWS_SESSION_TOKEN",
	        "AWS_SECURITY_TOKEN",
	        "AWS_PROFILE",
	        "AWS_DEFAULT_PROFILE",
	        "AWS_ENDPOINT_URL",
	        "AWS_ENDPOINT_URL_STS",
	        "AWS_ROLE_ARN",
	        "AWS_ROLE_SESSION_NAME",
	        "AWS_WEB_IDENTITY_TOKEN_FILE",
	        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
	        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	        "http_proxy",
	};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	memset(a, 0, sizeof(*a));
	ahead_us = 0;
	world_begin(&a->w, answers);
	a->w.conf.access_key = a->w.conf.secret_key.value = (char *)"";
	str_copy(a->dir, sizeof(a->dir), "/tmp/keepfs-aws-XXXXXX");
	assert_non_null(mkdtemp(a->dir));
	a->config = mem_printf("%s/config", a->dir);
	a->credentials = mem_printf("%s/credentials", a->dir);
	a->token = mem_printf("%s/token", a->dir);
	setenv("AWS_CONFIG_FILE", a->config, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", a->credentials, 1);
	setenv("AWS_ENDPOINT_URL_STS", a->w.endpoint, 1);
	a->aws = aws_new_with_clock(&a->w.conf, a->w.net, test_now_us);
}

static void end(struct asked *a)
{
	aws_credentials_unref(a->got);
	aws_free(a->aws);
	world_end(&a->w);
	unlink(a->config);
	unlink(a->credentials);
	unlink(a->token);
	assert_int_equal(rmdir(a->dir), 0);
	free(a->config);
	free(a->credentials);
	free(a->token);
}

static int get(struct asked *a)
{
	aws_credentials_unref(a->got);
	a->got = NULL;
	a->w.err = (struct error){0};
	return aws_get(a->aws, NULL, clock_mono_ms() + 60000, &a->got, &a->w.err);
}

static void get_key_of(struct asked *a, const char *key)
{
	if (get(a) < 0)
		fail_msg("%s", a->w.err.message);
	assert_string_equal(a->got->access_key, key);
}

static void expect_message(const struct asked *a, const char *text)
{
	if (!strstr(a->w.err.message, text))
		fail_msg("want: %s\ngot: %s", text, a->w.err.message);
}

#define ROLE_XML(action, id, expiration)                                                                     \
	"<" action "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" action                   \
	"Result><AssumedRoleUser><Arn>x</Arn></AssumedRoleUser><Credentials><AccessKeyId>" id                \
	"</AccessKeyId><SecretAccessKey>S-" id "</SecretAccessKey><SessionToken>T-" id                       \
	"</SessionToken><Expiration>" expiration "</Expiration></Credentials></" action "Result></" action   \
	"Response>"
#define FAR      "2099-01-01T00:00:00Z"
#define ROLE(id) "200 OK\r\n\r\n" ROLE_XML("AssumeRole", id, FAR)
#define STS_ERROR(status, code)                                                                              \
	status "\r\n\r\n<ErrorResponse><Error><Type>Sender</Type><Code>" code                                \
	       "</Code><Message>words</Message></Error><RequestId>R9</RequestId></ErrorResponse>"
#define JSON(id, token)                                                                                      \
	"200 OK\r\n\r\n{\"Code\": \"Success\", \"AccessKeyId\": \"" id                                       \
	"\", \"SecretAccessKey\": \"S\", \"" token "\": \"T-" id "\", \"Expiration\": \"" FAR "\"}"

static void test_role_by_source_profile(void **state)
{
	struct asked a;

	begin(&a, SCRIPT(ROLE("FIRST"), ROLE("ASIA")));
	write_file(a.credentials, "[base]\naws_access_key_id = BASE\naws_secret_access_key = BS\n");
	write_file(a.config, "[default]\nrole_arn = arn:aws:iam::1:role/backup\nsource_profile = middle\n"
	                     "external_id = ex/t\nduration_seconds = 900\nrole_session_name = night\n"
	                     "[profile middle]\nrole_arn = arn:m\nsource_profile = base\n");
	get_key_of(&a, "ASIA");
	assert_string_equal(a.got->secret_key, "S-ASIA");
	assert_string_equal(a.got->session_token, "T-ASIA");
	assert_int_equal(a.got->expires_at_us, 4070908800 * US_PER_S);
	assert_true(str_starts(a.got->source, "the role arn:aws:iam::1:role/backup of "));
	assert_seen(&a.w, 0, "POST / HTTP/1.1\r\n");
	assert_seen(&a.w, 0, "Credential=BASE/");
	assert_seen(&a.w, 0, "/us-east-1/sts/aws4_request");
	assert_seen(&a.w, 0, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Am&RoleSessionName=keepfs-");
	assert_not_seen(&a.w, 0, "x-amz-security-token");
	assert_seen(&a.w, 1, "Credential=FIRST/");
	assert_seen(&a.w, 1, "x-amz-security-token: T-FIRST\r\n");
	assert_seen(&a.w, 1,
	            "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fbackup&RoleSessionName=night&ExternalId=ex%2Ft&"
	            "DurationSeconds=900");
	assert_not_seen(&a.w, 1, "S-FIRST");
	/* They are kept. */
	get_key_of(&a, "ASIA");
	end(&a);
}

static void test_role_by_credential_source(void **state)
{
	struct asked a;
	char url[96];

	begin(&a, SCRIPT(JSON("CONT", "Token"), ROLE("ASIA")));
	snprintf(url, sizeof(url), "%s/creds", a.w.endpoint);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	write_file(a.config, "[default]\nrole_arn = arn:r\ncredential_source = EcsContainer\n");
	get_key_of(&a, "ASIA");
	assert_seen(&a.w, 0, "GET /creds HTTP/1.1\r\n");
	assert_seen(&a.w, 1, "Credential=CONT/");
	end(&a);
}

static void test_role_that_is_refused(void **state)
{
	struct asked a;

	begin(&a,
	      SCRIPT(STS_ERROR("403 Forbidden", "AccessDenied"), STS_ERROR("400 Bad Request", "Throttling"),
	             "500 Oh\r\n\r\n", "200 OK\r\n\r\n<html/>"));
	write_file(a.credentials, "[default]\naws_access_key_id = BASE\naws_secret_access_key = hush-hush\n");
	write_file(a.config, "[default]\nrole_arn = arn:r\nsource_profile = default\n");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "the role arn:r of ");
	expect_message(&a, "/config [default] cannot be assumed: http://127.0.0.1:");
	expect_message(&a, "HTTP 403, AccessDenied: words");
	assert_string_equal(a.w.err.code, "AccessDenied");
	assert_string_equal(a.w.err.request_id, "R9");
	assert_false(a.w.err.retry);
	/* Within a second nobody asks again. */
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "AccessDenied: words");
	assert_int_equal(a.w.script.requests, 1);
	ahead_us = 2 * US_PER_S;
	assert_int_equal(get(&a), -ENOKEY);
	assert_true(a.w.err.retry);
	ahead_us = 4 * US_PER_S;
	assert_int_equal(get(&a), -EAGAIN);
	assert_int_equal(a.w.err.class, ERROR_UNAVAILABLE);
	assert_true(a.w.err.retry);
	assert_null(strstr(a.w.err.message, "hush"));
	ahead_us = 6 * US_PER_S;
	assert_int_equal(get(&a), -EPROTO);
	expect_message(&a, "the answer of STS holds no credentials: it is another document");
	end(&a);
}

static void test_web_identity(void **state)
{
	struct asked a;

	begin(&a, SCRIPT("200 OK\r\n\r\n" ROLE_XML("AssumeRoleWithWebIdentity", "WEB", FAR),
	                 "200 OK\r\n\r\n" ROLE_XML("AssumeRoleWithWebIdentity", "PROFILE", FAR)));
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", a.token, 1);
	setenv("AWS_ROLE_ARN", "arn:web", 1);
	setenv("AWS_ROLE_SESSION_NAME", "pod", 1);
	write_file(a.token, "a.b+c\n");
	get_key_of(&a, "WEB");
	assert_seen(&a.w, 0,
	            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aweb&"
	            "RoleSessionName=pod&WebIdentityToken=a.b%2Bc");
	assert_not_seen(&a.w, 0, "Authorization:");
	assert_string_equal(a.got->source, "the role arn:web of AWS_ROLE_ARN");

	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	{
		_cleanup(free) char *text =
		        mem_printf("[default]\nrole_arn = arn:p\nweb_identity_token_file = %s\n", a.token);

		write_file(a.config, text);
	}
	get_key_of(&a, "PROFILE");
	assert_seen(&a.w, 1, "&RoleArn=arn%3Ap&");
	assert_seen(&a.w, 1, "&WebIdentityToken=a.b%2Bc");
	end(&a);
}

static void test_endpoints_of_sts(void **state)
{
	struct asked a;
	struct conf_store *conf = &a.w.conf;

	begin(&a, SCRIPT(ROLE("ANY"), ROLE("PROFILE")));
	write_file(a.credentials, "[default]\naws_access_key_id = BASE\naws_secret_access_key = BS\n");
	write_file(a.config, "[default]\nrole_arn = arn:r\nsource_profile = default\n");
	conf->region = (char *)"eu-west-1";
	setenv("AWS_ENDPOINT_URL", a.w.endpoint, 1);
	unsetenv("AWS_ENDPOINT_URL_STS");
	get_key_of(&a, "ANY");
	assert_seen(&a.w, 0, "/eu-west-1/sts/aws4_request");
	unsetenv("AWS_ENDPOINT_URL");
	{
		_cleanup(free) char *text = mem_printf(
		        "[default]\nrole_arn = arn:r\nsource_profile = default\nendpoint_url = %s/base/\n",
		        a.w.endpoint);

		write_file(a.config, text);
	}
	get_key_of(&a, "PROFILE");
	assert_seen(&a.w, 1, "POST /base/ HTTP/1.1\r\n");
	/* The web identity's token must not cross the network as clear text. */
	conf->allow_http = false;
	setenv("AWS_ENDPOINT_URL_STS", "http://sts.example.net", 1);
	write_file(a.config, "[default]\nrole_arn = arn:s\nsource_profile = default\n");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "the endpoint of STS, http://sts.example.net (AWS_ENDPOINT_URL_STS, ");
	end(&a);
}

static void test_container(void **state)
{
	struct asked a;
	char url[96];

	begin(&a, SCRIPT(JSON("CONT", "Token"), JSON("FILE", "Token"), "404 No\r\n\r\n", "503 No\r\n\r\n"));
	a.w.conf.allow_http = false;
	snprintf(url, sizeof(url), "%s/v1/credentials?id=7", a.w.endpoint);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain", 1);
	get_key_of(&a, "CONT");
	assert_string_equal(a.got->session_token, "T-CONT");
	assert_string_equal(a.got->source, url);
	assert_seen(&a.w, 0, "GET /v1/credentials?id=7 HTTP/1.1\r\n");
	assert_seen(&a.w, 0, "Authorization: plain\r\n");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", a.token, 1);
	write_file(a.token, "rotated\n");
	write_file(a.credentials, "changed\n");
	get_key_of(&a, "FILE");
	assert_seen(&a.w, 1, "Authorization: rotated\r\n");
	write_file(a.credentials, "changed again\n");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, " gives no credentials: HTTP 404");
	ahead_us = 2 * US_PER_S;
	assert_int_equal(get(&a), -EAGAIN);
	assert_true(a.w.err.retry);
	ahead_us = 4 * US_PER_S;
	write_file(a.token, "hush\nhush\n");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "AWS_CONTAINER_AUTHORIZATION_TOKEN[_FILE] has a line end in it");
	ahead_us = 6 * US_PER_S;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://agent.example.net/x", 1);
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(
	        &a,
	        "AWS_CONTAINER_CREDENTIALS_FULL_URI = http://agent.example.net/x: credentials would cross");
	/* A name and a password in front of the host look like this one. */
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:x@agent.example.net/x", 1);
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "credentials would cross");
	end(&a);
}

#define TEXT(text) "200 OK\r\n\r\n" text

static void test_instance(void **state)
{
	struct asked a;

	begin(&a, SCRIPT(TEXT("TOKEN"), TEXT("the-role\n"), JSON("INST", "Token"),
	                 /* A service in trouble gives what has ended. */
	                 TEXT("TOKEN"), TEXT("r"),
	                 TEXT("{\"Code\": \"Success\", \"AccessKeyId\": \"OLD\", \"SecretAccessKey\": \"S\", "
	                      "\"Token\": \"T\", \"Expiration\": \"2020-01-01T00:00:00Z\"}"),
	                 TEXT("TOKEN"), TEXT("r"),
	                 TEXT("{\"Code\": \"AssumeRoleUnauthorizedAccess\", \"Message\": \"no trust\"}"),
	                 "403 No\r\n\r\n", TEXT("TOKEN"), "404 No\r\n\r\n"));
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", a.w.endpoint, 1);
	get_key_of(&a, "INST");
	assert_seen(&a.w, 0, "PUT /latest/api/token HTTP/1.1\r\n");
	assert_seen(&a.w, 0, "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
	assert_seen(&a.w, 1, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n");
	assert_seen(&a.w, 1, "X-aws-ec2-metadata-token: TOKEN\r\n");
	assert_seen(&a.w, 2, "GET /latest/meta-data/iam/security-credentials/the-role HTTP/1.1\r\n");
	assert_true(str_ends(a.got->source, "/latest/meta-data/iam/security-credentials/the-role"));
	write_file(a.credentials, "1");
	get_key_of(&a, "OLD");
	assert_true(a.got->expires_at_us > clock_now_us());
	write_file(a.credentials, "22");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "has no \"Code\": Success, and says AssumeRoleUnauthorizedAccess: no trust");
	write_file(a.credentials, "333");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "; the instance metadata service: ");
	expect_message(&a, "HTTP 403");
	write_file(a.credentials, "4444");
	assert_int_equal(get(&a), -ENOKEY);
	expect_message(&a, "the instance has no role");
	end(&a);
}

/* An answer whose credentials end after @left_us, by the test's clock. */
static const char *ends_after(struct str *answer, const char *id, int64_t left_us)
{
	char until[CLOCK_ISO_BYTES];

	str_appendf(answer,
	            "200 OK\r\n\r\n{\"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"S\", \"Token\": \"T\", "
	            "\"Expiration\": \"%s\"}",
	            id, clock_format_iso(clock_now_us() + left_us, until));
	return str_text(answer);
}

static void ask_container(struct asked *a)
{
	char url[96];

	snprintf(url, sizeof(url), "%s/c", a->w.endpoint);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
}

static void test_renewal(void **state)
{
	struct str one = {0}, three = {0}, last = {0};
	struct asked a;

	begin(&a, SCRIPT(ends_after(&one, "ONE", HOUR_US), "503 No\r\n\r\n",
	                 ends_after(&three, "THREE", 3 * HOUR_US), "503 No\r\n\r\n",
	                 ends_after(&last, "LAST", 9 * HOUR_US)));
	ask_container(&a);
	get_key_of(&a, "ONE");
	ahead_us = HOUR_US / 2;
	get_key_of(&a, "ONE");
	assert_int_equal(a.w.script.requests, 1);
	/* A quarter of an hour before the end they are asked for; while that fails the old ones are good. */
	ahead_us = HOUR_US - HOUR_US / 5;
	get_key_of(&a, "ONE");
	get_key_of(&a, "ONE");
	assert_int_equal(a.w.script.requests, 2);
	ahead_us += HOUR_US / 60;
	get_key_of(&a, "THREE");
	/* They ended while nobody needed any: an error that may pass, and then others. */
	ahead_us = 4 * HOUR_US;
	assert_int_equal(get(&a), -EAGAIN);
	assert_true(a.w.err.retry);
	ahead_us += 2 * US_PER_S;
	get_key_of(&a, "LAST");
	end(&a);
	str_finish(&one);
	str_finish(&three);
	str_finish(&last);
}

/* A server that takes them no more: their source may have others, unless they are fresh from there. */
static void test_refused(void **state)
{
	struct asked a;

	begin(&a, SCRIPT(JSON("ONE", "Token"), JSON("TWO", "Token")));
	ask_container(&a);
	get_key_of(&a, "ONE");
	assert_false(aws_refused(a.aws, a.got));
	get_key_of(&a, "ONE");
	ahead_us = 60 * US_PER_S;
	assert_true(aws_refused(a.aws, a.got));
	get_key_of(&a, "TWO");
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "S", 1);
	write_file(a.credentials, "changed\n");
	get_key_of(&a, "ENV");
	ahead_us = 120 * US_PER_S;
	assert_false(aws_refused(a.aws, a.got));
	end(&a);
}

/* Many at once. */

static void *get_in_thread(void *arg)
{
	struct asked *a = arg;
	const struct aws_credentials *c = NULL;
	int r = aws_get(a->aws, NULL, 0, &c, NULL);

	aws_credentials_unref(c);
	return (void *)(intptr_t)r;
}

#define THREADS 8

static void test_once_for_all(void **state)
{
	pthread_t threads[THREADS];
	struct asked a;
	void *r;

	/* One answer, and no other: whoever asked as well would be refused. */
	begin(&a, SCRIPT(JSON("ONE", "Token")));
	ask_container(&a);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &a), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &r);
		assert_int_equal((intptr_t)r, 0);
	}
	end(&a);
}

struct waiting {
	struct asked *a;
	struct cancel *cancel;
	struct error err;
	int result;
};

static void *wait_in_thread(void *arg)
{
	struct waiting *w = arg;
	const struct aws_credentials *c = NULL;

	w->result = aws_get(w->a->aws, w->cancel, 0, &c, &w->err);
	aws_credentials_unref(c);
	return NULL;
}

/* Who asks is cancelled, and then who waits asks: nobody waits for what nobody does. */
static void test_cancelled(void **state)
{
	struct waiting first, second;
	struct cancel cancel, other;
	pthread_t threads[2];
	struct asked a;

	begin(&a, SCRIPT(NULL));
	write_file(a.config, "[default]\ncredential_process = exec sleep 1000\n");
	cancel_init(&cancel);
	cancel_init(&other);
	first = (struct waiting){.a = &a, .cancel = &cancel};
	second = (struct waiting){.a = &a, .cancel = &other};
	assert_int_equal(pthread_create(&threads[0], NULL, wait_in_thread, &first), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, wait_in_thread, &second), 0);
	cancel_set(&cancel);
	pthread_join(threads[0], NULL);
	assert_int_equal(first.result, -ECANCELED);
	assert_int_equal(first.err.class, ERROR_CANCELLED);
	cancel_set(&other);
	pthread_join(threads[1], NULL);
	assert_int_equal(second.result, -ECANCELED);
	cancel_finish(&cancel);
	cancel_finish(&other);
	end(&a);
}

/* Who waits for another has a deadline of its own. */
static void test_deadline(void **state)
{
	const struct aws_credentials *c = NULL;
	_cleanup(free) char *text = NULL;
	struct waiting asking;
	struct cancel cancel;
	struct error err = {0};
	pthread_t thread;
	struct asked a;

	begin(&a, SCRIPT(NULL));
	text = mem_printf("[default]\ncredential_process = touch %s && exec sleep 1000\n", a.token);
	write_file(a.config, text);
	assert_int_equal(aws_get(a.aws, NULL, clock_mono_ms() + 50, &c, &err), -ETIMEDOUT);
	unlink(a.token);
	cancel_init(&cancel);
	asking = (struct waiting){.a = &a, .cancel = &cancel};
	assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &asking), 0);
	while (access(a.token, F_OK) != 0)
		sched_yield();
	assert_int_equal(aws_get(a.aws, NULL, clock_mono_ms() + 10, &c, &err), -ETIMEDOUT);
	assert_string_equal(err.message, "the credentials did not come in time");
	assert_true(err.retry);
	cancel_set(&cancel);
	pthread_join(thread, NULL);
	assert_int_equal(asking.result, -ECANCELED);
	cancel_finish(&cancel);
	end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_role_by_source_profile),
	        cmocka_unit_test(test_role_by_credential_source),
	        cmocka_unit_test(test_role_that_is_refused),
	        cmocka_unit_test(test_web_identity),
	        cmocka_unit_test(test_endpoints_of_sts),
	        cmocka_unit_test(test_container),
	        cmocka_unit_test(test_instance),
	        cmocka_unit_test(test_renewal),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_once_for_all),
	        cmocka_unit_test(test_cancelled),
	        cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests_name("aws_requests", tests, NULL, NULL);
}
