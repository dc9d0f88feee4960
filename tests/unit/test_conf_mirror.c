// SPDX-License-Identifier: Apache-2.0
/* [mirror NAME]: what is taken, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#define BUCKET "[mirror docs]\nurl = s3://documents/x\n"

static void test_a_bucket(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;

	accept(f, BUCKET
	       "endpoint = https://h\naccess_key = A\nsecret_key = S\nconnections = 8\nunreadable = skip\nserver_copy = no\nallow_empty = yes\nkeep_daily = 7\n");
	job = &f->conf.jobs[0];
	assert_int_equal(job->kind, CONF_JOB_MIRROR);
	assert_string_equal(job->name, "docs");
	assert_string_equal(job->mirror.from.url, "s3://documents/x");
	assert_string_equal(job->mirror.from.endpoint, "https://h");
	assert_string_equal(job->mirror.from.region, "us-east-1");
	assert_int_equal(job->mirror.connections, 8);
	assert_int_equal(job->mirror.skip_unreadable, CONF_UNREADABLE_SKIP);
	assert_int_equal(job->mirror.server_copy, CONF_SERVER_COPY_NO);
	assert_true(job->mirror.allow_empty);
	assert_int_equal(job->policy.keep_daily, 7);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	accept(f, BUCKET);
	assert_int_equal(f->conf.jobs[0].mirror.connections, 32);
	assert_int_equal(f->conf.jobs[0].mirror.skip_unreadable, CONF_UNREADABLE_FAIL);
	assert_int_equal(f->conf.jobs[0].mirror.server_copy, CONF_SERVER_COPY_AUTO);
	assert_false(f->conf.jobs[0].mirror.allow_empty);
	accept(f, "[mirror docs]\nurl = dir:/srv/uploads\n");
	accept(f, "[mirror docs]\nurl = none\n");
	accept(f, BUCKET "copies = primary, other\n[store other]\nurl = dir:/other\n");
}

static void test_what_is_refused(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[mirror docs]\n", "[mirror docs] url: is not set");
	refuse(f, "[mirror docs]\nurl = ftp://x\n", "or none");
	refuse(f, BUCKET "endpoint = http://h\n", "allow_http");
	refuse(f, BUCKET "access_key = A\n", "belong together");
	refuse(f, BUCKET "session_token = T\n", "belongs to an access key");
	refuse(f, BUCKET "connections = 0\n", "connections");
	refuse(f, BUCKET "unreadable = maybe\n", "unreadable");
	refuse(f, BUCKET "server_copy = yes\n", "server_copy");
	refuse(f, BUCKET "allow_empty = perhaps\n", "is neither yes nor no");
	refuse(f, "[mirror docs]\nurl = dir:/srv/uploads\nprofile = x\n", "is for a bucket only");
	refuse(f, "[mirror docs]\nurl = none\nendpoint = https://h\n", "is for a bucket only");
	refuse(f, "[mirror packs]\nurl = dir:/srv/uploads\n", "[mirror packs]: the name is reserved");
	refuse(f, "[backup packs]\ndatabase = x\n", "[backup packs]: the name is reserved");
	refuse(f, BUCKET "[files docs]\npath = /srv/x\n", "no two jobs of any kind");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_a_bucket),
	        CONF_TEST(test_defaults),
	        CONF_TEST(test_what_is_refused),
	};

	return RUN_CONF_TESTS(tests);
}
