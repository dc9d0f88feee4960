// SPDX-License-Identifier: Apache-2.0
/* Providers of S3: what they set, what overrides it, what contradicts them; and whose an address is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#include <keepfs/conf/provider.h>

#define STORE "[store]\nurl = s3://bucket/p\n"

static void test_what_a_provider_sets(void **state)
{
	static const struct {
		const char *text, *endpoint, *region;
		enum conf_conditional conditional;
		bool equal_parts;
		int64_t max_parts;
	} cases[] = {
	        {"", "", "us-east-1", CONF_CONDITIONAL_AUTO, false, 10000},
	        {"provider = aws\nregion = eu-west-3\n", "", "eu-west-3", CONF_CONDITIONAL_AUTO, false,
	         10000},
	        {"provider = gcs\n", "https://storage.googleapis.com", "auto", CONF_CONDITIONAL_NO, false,
	         10000},
	        {"provider = b2\nregion = us-west-004\n", "https://s3.us-west-004.backblazeb2.com",
	         "us-west-004", CONF_CONDITIONAL_NO, false, 10000},
	        {"provider = wasabi\n", "https://s3.us-east-1.wasabisys.com", "us-east-1",
	         CONF_CONDITIONAL_NO, false, 10000},
	        {"provider = spaces\nregion = fra1\n", "https://fra1.digitaloceanspaces.com", "fra1",
	         CONF_CONDITIONAL_AUTO, false, 10000},
	        {"provider = hetzner\nregion = fsn1\n", "https://fsn1.your-objectstorage.com", "fsn1",
	         CONF_CONDITIONAL_AUTO, false, 10000},
	        {"provider = minio\nendpoint = https://minio:9000\n", "https://minio:9000", "us-east-1",
	         CONF_CONDITIONAL_AUTO, false, 10000},
	        {"provider = r2\nendpoint = https://abc.r2.cloudflarestorage.com\n",
	         "https://abc.r2.cloudflarestorage.com", "auto", CONF_CONDITIONAL_AUTO, true, 10000},
	        {"provider = swift\nendpoint = https://swift.example\n", "https://swift.example", "us-east-1",
	         CONF_CONDITIONAL_NO, false, 1000},
	        /* The address tells. */
	        {"endpoint = https://abc.eu.r2.cloudflarestorage.com\n",
	         "https://abc.eu.r2.cloudflarestorage.com", "auto", CONF_CONDITIONAL_AUTO, true, 10000},
	        {"endpoint = https://s3.eu-central-003.backblazeb2.com:443\n",
	         "https://s3.eu-central-003.backblazeb2.com:443", "eu-central-003", CONF_CONDITIONAL_NO,
	         false, 10000},
	        {"endpoint = https://s3.eu-west-1.amazonaws.com\n", "https://s3.eu-west-1.amazonaws.com",
	         "eu-west-1", CONF_CONDITIONAL_AUTO, false, 10000},
	        {"endpoint = https://s3.example.net\n", "https://s3.example.net", "us-east-1",
	         CONF_CONDITIONAL_AUTO, false, 10000},
	        /* Each key comes before its provider. */
	        {"provider = r2\nendpoint = https://abc.r2.cloudflarestorage.com\nequal_parts = no\nregion = us-east-1\n"
	         "conditional_puts = no\nmax_parts = 500\n",
	         "https://abc.r2.cloudflarestorage.com", "us-east-1", CONF_CONDITIONAL_NO, false, 500},
	        {"provider = gcs\nendpoint = https://proxy.example\nconditional_puts = yes\n",
	         "https://proxy.example", "auto", CONF_CONDITIONAL_YES, false, 10000},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *text = mem_printf(STORE "%s", cases[i].text);

		accept(f, text);
		assert_string_equal(f->conf.store.endpoint, cases[i].endpoint);
		assert_string_equal(f->conf.store.region, cases[i].region);
		assert_int_equal(conf_puts_conditionally(&f->conf.store), cases[i].conditional);
		assert_int_equal(conf_wants_equal_parts(&f->conf.store), cases[i].equal_parts);
		assert_int_equal(f->conf.store.max_parts, cases[i].max_parts);
		reset(f);
	}
}

static void test_a_provider_comes_before_the_variables_of_aws(void **state)
{
	struct fixture *f = *state;

	setenv("AWS_REGION", "eu-west-2", 1);
	setenv("AWS_ENDPOINT_URL", "https://elsewhere.example", 1);
	accept(f, STORE "provider = gcs\n");
	assert_string_equal(f->conf.store.endpoint, "https://storage.googleapis.com");
	assert_string_equal(f->conf.store.region, "auto");
	reset(f);
	accept(f, STORE);
	assert_string_equal(f->conf.store.endpoint, "https://elsewhere.example");
	assert_string_equal(f->conf.store.region, "eu-west-2");
}

static void test_contradictions(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
	        {STORE "provider = azure\n", "keepfs.conf:3: [store] provider = azure"},
	        {STORE "provider = b2\n", "keepfs.conf:3: [store] region: provider b2 needs it"},
	        {STORE "provider = spaces\n", "[store] region: provider spaces needs it"},
	        {STORE "provider = r2\n", "keepfs.conf:3: [store] endpoint: provider r2 needs it"},
	        {STORE "provider = other\n", "[store] endpoint: provider other needs it"},
	        {STORE "provider = gcs\nendpoint = https://s3.eu-central-003.backblazeb2.com\n",
	         "keepfs.conf:3: [store] provider = gcs: is not whose this is: [store] endpoint"},
	        {STORE "endpoint = https://s3.eu-central-003.backblazeb2.com\nregion = us-west-004\n",
	         "keepfs.conf:4: [store] region = us-west-004: is another region than that of"},
	        {STORE "provider = gcs\nsse = aws:kms\n",
	         "keepfs.conf:4: [store] sse = aws:kms: is not to be had with [store] provider = gcs"},
	        {STORE "endpoint = https://a.r2.cloudflarestorage.com\nsse = AES256\n",
	         "[store] sse = AES256: is not to be had with [store] endpoint = https://a.r2"},
	        {STORE "provider = b2\nregion = us-west-004\nsse = aws:kms\n",
	         "allowed: sse = AES256, or none"},
	        {STORE
	         "provider = r2\nendpoint = https://a.r2.cloudflarestorage.com\nobject_lock = governance\n",
	         "keepfs.conf:5: [store] object_lock = governance: is not to be had with [store] provider = r2"},
	        {STORE "endpoint = https://a.r2.cloudflarestorage.com\nobject_lock = governance\n",
	         "allowed: object_lock = none: it does not implement x-amz-object-lock-…"},
	        {STORE "endpoint = https://storage.googleapis.com\nobject_lock = compliance\n",
	         "object_lock = compliance: is not to be had with [store] endpoint = https://storage.googleapis.com"},
	        {STORE "provider = spaces\nregion = fra1\nobject_lock = governance\n",
	         "object_lock = none: its documents name no object lock"},
	        {STORE "provider = swift\nendpoint = https://swift.example\nobject_lock = governance\n",
	         "object_lock = none: it accepts locks, and deletes all the same. What is to be locked needs another store"},
	        {STORE
	         "[store eu]\nurl = s3://other/p\nprovider = gcs\nobject_lock = governance\naccess_key = a\nsecret_key = b\n",
	         "[store eu] object_lock = governance: is not to be had with [store eu] provider = gcs"},
	        {STORE "endpoint = https://a.r2.cloudflarestorage.com\ndelete_versions = yes\n",
	         "keepfs.conf:4: [store] delete_versions = yes: is for buckets that keep versions"},
	        {"[store]\nurl = dir:/srv/x\nprovider = gcs\n",
	         "[store] provider = gcs: is for a bucket only"},
	        {STORE "conditional_puts = perhaps\n", "allowed: auto, yes or no"},
	        {STORE
	         "[store eu]\nurl = s3://eu-bucket\naccess_key = A\nsecret_key = B\nprovider = hetzner\n",
	         "keepfs.conf:7: [store eu] region: provider hetzner needs it"},
	        {STORE
	         "[store eu]\nurl = s3://eu-bucket\naccess_key = A\nsecret_key = B\nprovider = gcs\nsse = AES256\n",
	         "keepfs.conf:8: [store eu] sse = AES256: is not to be had with [store eu] provider = gcs"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(f, cases[i].text, cases[i].words);
}

static void test_further_stores(void **state)
{
	struct fixture *f = *state;

	accept(f, STORE
	       "[store eu]\nurl = s3://eu-bucket\naccess_key = A\nsecret_key = B\nprovider = hetzner\nregion = fsn1\n");
	assert_string_equal(f->conf.stores[0].store.endpoint, "https://fsn1.your-objectstorage.com");
	assert_string_equal(f->conf.stores[0].store.region, "fsn1");
}

static void test_whose_an_address_is(void **state)
{
	static const struct {
		const char *endpoint, *name, *region;
	} cases[] = {
	        {"https://storage.googleapis.com", "gcs", NULL},
	        {"https://STORAGE.googleapis.com:443", "gcs", NULL},
	        {"https://s3.us-west-004.backblazeb2.com", "b2", "us-west-004"},
	        {"https://fra1.digitaloceanspaces.com", "spaces", "fra1"},
	        {"https://a.b.digitaloceanspaces.com", NULL, NULL},
	        {"https://.digitaloceanspaces.com", NULL, NULL},
	        {"https://evil.example/fra1.digitaloceanspaces.com", NULL, NULL},
	        {"https://fra1.digitaloceanspaces.com.evil.example", NULL, NULL},
	        {"https://s3.wasabisys.com", NULL, NULL},
	        {"storage.googleapis.com", NULL, NULL},
	        {"", NULL, NULL},
	        {"https://", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct conf_provider_info *p = conf_provider_at(cases[i].endpoint);
		_cleanup(free) char *region = p ? conf_provider_region(p, cases[i].endpoint) : NULL;

		assert_int_equal(p != NULL, cases[i].name != NULL);
		if (p)
			assert_string_equal(p->name, cases[i].name);
		assert_int_equal(region != NULL, cases[i].region != NULL);
		if (region)
			assert_string_equal(region, cases[i].region);
	}
	for (int i = CONF_PROVIDER_AUTO + 1; i < CONF_PROVIDERS; i++)
		assert_ptr_equal(conf_provider_find(conf_provider_info(i)->name), conf_provider_info(i));
	assert_null(conf_provider_find("auto"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_what_a_provider_sets),
	        CONF_TEST(test_a_provider_comes_before_the_variables_of_aws),
	        CONF_TEST(test_contradictions),
	        CONF_TEST(test_further_stores),
	        cmocka_unit_test(test_whose_an_address_is),
	};

	return RUN_CONF_TESTS(tests);
}
