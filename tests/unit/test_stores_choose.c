// SPDX-License-Identifier: Apache-2.0
/* Where a tenant's exports go: what a query may say, and what it may not; files of credentials. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#include "../../src/stores/stores_private.h"

#include <keepfs/secret.h>

static const char conf_text[] =
        "[store]\nurl = s3://main/p\nendpoint = https://main.example\naccess_key = MAINKEY\nsecret_key = MAINSECRET\n"
        "[store eu]\nurl = s3://eu-1\nendpoint = https://eu.example\naccess_key = A\nsecret_key = B\ntenants = acme, blue-*\n"
        "[store acme]\nurl = s3://acme\nendpoint = https://main.example\n"
        "[store disk]\nurl = dir:/srv/disk\ntenants = *\n"
        "[class paid]\nstore = disk\n"
        "[class european]\nstore = eu\n"
        "[export]\ntenants = SELECT id, slug FROM orgs\ntenant_column = org_id\nstore = eu\n"
        "store_credentials_dir = /etc/keepfs/tenants\nstore_endpoints = https://*.example, http://127.0.0.1:*\n";

static void chosen(struct fixture *f, const struct stores_wanted *wanted, const char *url,
                   const char *endpoint, const char *name)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct error err = {0};

	if (stores_choose(&f->conf, wanted, &at, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(at.url, url);
	assert_string_equal(at.endpoint, endpoint);
	assert_string_equal(at.name, name);
}

static void refused(struct fixture *f, const struct stores_wanted *wanted, int expected, const char *words)
{
	struct catalog_store at;
	struct error err = {0};
	int r = stores_choose(&f->conf, wanted, &at, &err);

	assert_null(at.url);
	if (r != expected || !strstr(err.message, words))
		fail_msg("%d: %s (expected %d: %s)", r, err.message, expected, words);
}

#define WANTED(...) (&(struct stores_wanted){.tenant = "acme", __VA_ARGS__})
#define AT(...)     WANTED(.credentials = "acme.key", __VA_ARGS__)

static void test_who_says_it(void **state)
{
	struct fixture *f = *state;

	accept(f, conf_text);
	chosen(f, WANTED(.store = NULL), "s3://eu-1", "https://eu.example", "eu");
	chosen(f, WANTED(.class = "paid"), "dir:/srv/disk", "", "disk");
	chosen(f, WANTED(.class = "unheard", .store = ""), "s3://eu-1", "https://eu.example", "eu");
	chosen(f, WANTED(.class = "paid", .store = "acme"), "s3://acme", "https://main.example", "acme");
	chosen(f, AT(.class = "paid", .url = "s3://own"), "s3://own", "", "");
	/* The class is the query's word, too. */
	chosen(f, WANTED(.class = "european"), "s3://eu-1", "https://eu.example", "eu");
	refused(f, &(struct stores_wanted){.tenant = "globex", .class = "european"}, -EPERM,
	        "[store eu] tenants");
	chosen(f, &(struct stores_wanted){.tenant = "globex"}, "s3://eu-1", "https://eu.example", "eu");
	reset(f);
	accept(f, "[store]\nurl = s3://main\n");
	{
		struct catalog_store at;

		assert_int_equal(stores_choose(&f->conf, WANTED(.class = "paid"), &at, NULL), 0);
		assert_null(at.url);
	}
}

static void test_sections_of_a_query(void **state)
{
	struct fixture *f = *state;

	accept(f, conf_text);
	chosen(f, WANTED(.store = "eu"), "s3://eu-1", "https://eu.example", "eu");
	chosen(f, &(struct stores_wanted){.tenant = "blue-1", .store = "eu"}, "s3://eu-1",
	       "https://eu.example", "eu");
	refused(f, &(struct stores_wanted){.tenant = "globex", .store = "eu"}, -EPERM, "not for this tenant");
	refused(f, &(struct stores_wanted){.tenant = "globex", .store = "acme"}, -EPERM,
	        "[store acme] tenants");
	refused(f, WANTED(.store = "disk"), -EPERM, "a directory of this host");
	refused(f, WANTED(.store = "us"), -EINVAL, "no section [store us]");
	refused(f, WANTED(.store = "eu", .bucket = "own"), -EINVAL, "both a store and an address");
	refused(f, WANTED(.store = "eu", .credentials = "x"), -EINVAL, "both a store and an address");
}

static void test_addresses_of_a_query(void **state)
{
	struct fixture *f = *state;

	accept(f, conf_text);
	chosen(f, AT(.bucket = "own"), "s3://own", "", "");
	chosen(f, AT(.url = "s3://own/a/b/"), "s3://own/a/b", "", "");
	chosen(f, AT(.url = "s3://own", .endpoint = "https://s3.example/"), "s3://own", "https://s3.example",
	       "");
	chosen(f, AT(.url = "s3://own", .endpoint = "http://127.0.0.1:9000"), "s3://own",
	       "http://127.0.0.1:9000", "");
	refused(f, AT(.url = "dir:/etc"), -EINVAL, "buckets only");
	refused(f, AT(.url = "/etc"), -EINVAL, "buckets only");
	refused(f, AT(.url = "s3://"), -EINVAL, "no name of a bucket");
	refused(f, AT(.url = "s3://a@b"), -EINVAL, "no name of a bucket");
	refused(f, AT(.bucket = "own/x"), -EINVAL, "no name of a bucket");
	refused(f, AT(.bucket = "Own"), -EINVAL, "no name of a bucket");
	refused(f, AT(.bucket = "a..b"), -EINVAL, "no name of a bucket");
	refused(f, AT(.bucket = "169.254.169.254#"), -EINVAL, "no name of a bucket");
	refused(f, AT(.url = "s3://own/../other"), -EINVAL, "prefix");
	refused(f, AT(.url = "s3://own/a//b"), -EINVAL, "prefix");
	refused(f, AT(.url = "s3://own", .bucket = "own"), -EINVAL, "give one of them");
	refused(f, AT(.endpoint = "https://s3.example"), -EINVAL, "which bucket is it");
	refused(f, AT(.url = "s3://own", .endpoint = "http://s3.example"), -EPERM, "store_endpoints");
	refused(f, AT(.url = "s3://own", .endpoint = "https://s3.example.net"), -EPERM, "store_endpoints");
	refused(f, AT(.url = "s3://own", .endpoint = "https://evil.net/s3.example"), -EINVAL,
	        "not of the form");
	refused(f, AT(.url = "s3://own", .endpoint = "https://evil.net?x.example"), -EINVAL,
	        "not of the form");
	refused(f, AT(.url = "s3://own", .endpoint = "https://a@s3.example"), -EINVAL, "not of the form");
	refused(f, AT(.url = "s3://own", .endpoint = "https://s3.example:"), -EINVAL, "not of the form");
	refused(f, AT(.url = "s3://own", .endpoint = "https://"), -EINVAL, "not of the form");
	refused(f, AT(.url = "s3://own", .endpoint = "s3.example"), -EINVAL, "not of the form");
	refused(f, AT(.url = "s3://own", .region = "evil.net/"), -EINVAL, "name of a region");
	refused(f, AT(.url = "s3://own", .region = "eu.evil"), -EINVAL, "name of a region");
	/* A provider gives an endpoint, which must be allowed as any. */
	refused(f, AT(.url = "s3://own", .provider = "azure"), -EINVAL, "no provider that is known here");
	refused(f, AT(.url = "s3://own", .provider = "b2"), -EINVAL, "store_region must say");
	refused(f, AT(.url = "s3://own", .provider = "r2"), -EINVAL, "store_endpoint must say");
	refused(f, AT(.url = "s3://own", .provider = "b2", .region = "us-west-004"), -EPERM,
	        "https://s3.us-west-004.backblazeb2.com is none of those");
	refused(f, AT(.url = "s3://own", .provider = "b2", .region = "evil.net/"), -EINVAL,
	        "not of the form https://HOST");
	refused(f,
	        AT(.url = "s3://own", .provider = "gcs", .endpoint = "https://fra1.digitaloceanspaces.com"),
	        -EINVAL, "another provider's");
	refused(f, WANTED(.store = "acme", .provider = "gcs"), -EINVAL, "both a store and an address");
	chosen(f, AT(.url = "s3://own", .provider = "gcs", .endpoint = "https://own.example"), "s3://own",
	       "https://own.example", "");
	refused(f, WANTED(.url = "s3://own"), -EINVAL, "no store_credentials");
	refused(f, WANTED(.url = "s3://own", .credentials = "../x"), -EINVAL, "plain name");
	refused(f, WANTED(.url = "s3://own", .credentials = ".hidden"), -EINVAL, "plain name");
	refused(f, WANTED(.url = "s3://own", .credentials = "a/b"), -EINVAL, "plain name");
	reset(f);
	accept(f,
	       "[store]\nurl = s3://main\n[export]\ntenants = SELECT id, slug FROM orgs\ntenant_column = org_id\n");
	refused(f, AT(.url = "s3://own"), -EINVAL, "store_credentials_dir");
	refused(f, AT(.url = "s3://own", .endpoint = "https://any.example"), -EPERM, "store_endpoints");
}

/* What a store of a tenant may make appear. */
static void test_what_it_may_have(void **state)
{
	struct fixture *f = *state;
	struct catalog_store
	        own = {.tenant = "acme", .url = "s3://own"},
	        all = {.name = "eu", .tenant = "", .url = "s3://eu-1", .endpoint = "https://eu.example"},
	        section = {.name = "acme",
	                   .tenant = "",
	                   .url = "s3://acme",
	                   .endpoint = "https://main.example"},
	        some = {.name = "some", .tenant = "", .url = "s3://some", .endpoint = "https://main.example"},
	        elsewhere = {
	                .name = "acme", .tenant = "", .url = "s3://acme", .endpoint = "https://eu.example"};

	_cleanup(free) char *text = mem_printf(
	        "%s[store some]\nurl = s3://some\nendpoint = https://main.example\ntenants = blue-*, Ünder_7\n",
	        conf_text);

	accept(f, text);
	assert_true(stores_may_have(&f->conf, &own, "exports/acme/20261120T020000Z.json.gz", "exports"));
	assert_false(stores_may_have(&f->conf, &own, "exports/acme2/20261120T020000Z.json.gz", "exports"));
	assert_false(stores_may_have(&f->conf, &own, "exports/globex/20261120T020000Z.json.gz", "exports"));
	assert_false(stores_may_have(&f->conf, &own, "backups/acme/20261120T020000Z.dump", "exports"));
	assert_false(stores_may_have(&f->conf, &own, "exports/acme/20261120T020000Z.json.gz", "full"));
	/* [export] sends everybody there. */
	assert_true(stores_may_have(&f->conf, &all, "exports/globex/20261120T020000Z.json.gz", "exports"));
	assert_false(stores_may_have(&f->conf, &all, "backups/full/20261120T020000Z.dump", "full"));
	/* Those of one tenant, and of some, who may write there themselves. */
	assert_true(stores_may_have(&f->conf, &section, "exports/acme/20261120T020000Z.json.gz", "exports"));
	assert_false(
	        stores_may_have(&f->conf, &section, "exports/globex/20261120T020000Z.json.gz", "exports"));
	assert_true(stores_may_have(&f->conf, &some, "exports/blue-1/20261120T020000Z.json.gz", "exports"));
	assert_true(
	        stores_may_have(&f->conf, &some, "exports/=C3=9Cnder_7/20261120T020000Z.json.gz", "exports"));
	assert_false(stores_may_have(&f->conf, &some, "exports/acme/20261120T020000Z.json.gz", "exports"));
	assert_false(stores_may_have(&f->conf, &some, "exports/some/20261120T020000Z.json.gz", "exports"));
	assert_false(
	        stores_may_have(&f->conf, &elsewhere, "exports/acme/20261120T020000Z.json.gz", "exports"));
}

/* Files of credentials. */

static void test_credentials(void **state)
{
	_cleanup(stores_credentials) struct stores_credentials c = {0};
	static const char text[] =
	        "# of acme\r\n\n access_key =  AK \nsecret_key=a=b#c\n; more\ntenants = acme, blue-*\tgreen\nendpoint = https://s3.example\nbucket = own";

	assert_int_equal(stores_parse_credentials("f", text, strlen(text), &c, NULL), 0);
	assert_string_equal(c.access_key, "AK");
	assert_string_equal(c.secret_key, "a=b#c");
	assert_null(c.session_token);
	assert_string_equal(c.endpoint, "https://s3.example");
	assert_string_equal(c.bucket, "own");
	assert_true(stores_matches(c.tenants, "acme") && stores_matches(c.tenants, "blue-2") &&
	            stores_matches(c.tenants, "green"));
	assert_false(stores_matches(c.tenants, "acme2") || stores_matches(NULL, "acme"));
}

static void test_bad_credentials(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
	        {"", "f: there is no access_key"},
	        {"access_key = A\n", "f: there is no secret_key"},
	        {"access_key = A\nsecret_key\n", "f:2: the line is not of the form KEY = VALUE"},
	        {"access_key = A\nsecret_key =\n", "f:2: secret_key has no value"},
	        {"access_key = A\naccess_key = B\n", "f:2: access_key is set twice"},
	        {"tenants = a\ntenants = b\n", "f:2: tenants is set twice"},
	        {"[default]\n", "f:1: the line is not of the form"},
	        {"HIDDEN = HIDDEN\n", "f:1: no such key; allowed: access_key"},
	};
	char text[8192];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct stores_credentials c = {0};
		struct error err = {0};

		assert_int_equal(stores_parse_credentials("f", bad[i].text, strlen(bad[i].text), &c, &err),
		                 -EINVAL);
		assert_null(c.access_key);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!strstr(err.message, bad[i].words) || strstr(err.message, "HIDDEN"))
			fail_msg("%s", err.message);
	}
	/* A character 0, and each prefix of what is right. */
	{
		struct stores_credentials c = {0};
		struct error err = {0};

		assert_int_equal(stores_parse_credentials("f", "a\0b", 3, &c, &err), -EINVAL);
		snprintf(text, sizeof(text), "access_key = A\nsecret_key = B\ntenants = a,b\n");
		for (size_t len = 0; len <= strlen(text); len++)
			if (stores_parse_credentials("f", text, len, &c, NULL) == 0)
				stores_credentials_finish(&c);
	}
}

/* A file of credentials may be sealed for this host, and anybody may see it then. */
static void read_sealed_credentials(struct fixture *f, const char *text)
{
	_cleanup(free) char *key = mem_printf("%s/host.key", f->dir);
	_cleanup(secret_text) struct secret_text plain = {0};
	_cleanup(stores_credentials) struct stores_credentials c = {0};
	_cleanup(str) struct str armor = {0};
	struct error err = {0};

	secret_set_host_key(key);
	secret_text_set(&plain, text, strlen(text));
	assert_int_equal(secret_seal(&plain, &armor, &err), 0);
	write_text(f->file, str_text(&armor), armor.len, 0644);
	assert_int_equal(stores_read_credentials(f->file, &c, &err), 0);
	assert_string_equal(c.secret_key, "B");
	assert_int_equal(unlink(key), 0);
	assert_int_equal(stores_read_credentials(f->file, &(struct stores_credentials){0}, &err), -ENOKEY);
	secret_set_host_key(NULL);
	write_text(f->file, text, strlen(text), 0600);
}

static void test_credentials_of_a_file(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "access_key = A\nsecret_key = B\n";
	_cleanup(free) char *missing = mem_printf("%s/missing", f->dir);
	struct stores_credentials c = {0};
	struct error err = {0};

	assert_int_equal(chmod(f->dir, 0700), 0);
	write_text(f->file, text, strlen(text), 0600);
	assert_int_equal(stores_read_credentials(f->file, &c, &err), 0);
	stores_credentials_finish(&c);
	assert_int_equal(chmod(f->file, 0640), 0);
	assert_int_equal(stores_read_credentials(f->file, &c, &err), -EPERM);
	assert_non_null(strstr(err.message, "can be read or written by others"));
	assert_int_equal(chmod(f->file, 0600), 0);
	read_sealed_credentials(f, text);
	assert_int_equal(stores_read_credentials(missing, &c, &err), -ENOENT);
	assert_int_not_equal(err.class, ERROR_NOT_FOUND);
	/* Whoever may write in the directory could exchange it. */
	assert_int_equal(chmod(f->dir, 0777), 0);
	assert_true(stores_read_credentials(f->file, &c, &err) < 0);
	assert_int_equal(chmod(f->dir, 0700), 0);
	assert_true(stores_read_credentials(f->dir, &c, &err) < 0);
}

/* What is entered with what. */

static void settle(struct fixture *f, const struct catalog_store *at, const char *access_key)
{
	struct settings s = {0};
	struct error err = {0};

	if (settings_of(&f->conf, at, &s, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(s.conf.access_key, access_key);
	assert_string_equal(s.conf.url, at->url);
	assert_string_equal(s.conf.endpoint, at->endpoint);
	settings_finish(&s);
}

static void unsettled(struct fixture *f, const struct catalog_store *at, const char *words)
{
	struct settings s = {0};
	struct error err = {0};

	assert_true(settings_of(&f->conf, at, &s, &err) < 0);
	assert_true(err.class == ERROR_USAGE || err.class == ERROR_DENIED);
	if (!strstr(err.message, words))
		fail_msg("%s", err.message);
}

static void test_settings(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = mem_printf(
	        "[store]\nurl = s3://main/p\nendpoint = https://main.example\naccess_key = MAINKEY\nsecret_key = MAINSECRET\n"
	        "[store eu]\nurl = s3://eu-1\nendpoint = https://eu.example\naccess_key = EUKEY\nsecret_key = B\n"
	        "[store near]\nurl = s3://near\nendpoint = https://main.example\n"
	        "[export]\ntenants = SELECT id, slug FROM orgs\ntenant_column = org_id\nstore_credentials_dir = %s\n",
	        f->dir);
	_cleanup(free) char *file = mem_printf("%s/credentials", f->dir);
	static const char keys[] =
	        "access_key = OWNKEY\nsecret_key = B\nendpoint = https://own.example\nbucket = own\ntenants = acme\n";
	struct catalog_store eu = {
	        .name = "eu", .tenant = "", .url = "s3://eu-1", .endpoint = "https://eu.example"};
	struct catalog_store near = {
	        .name = "near", .tenant = "", .url = "s3://near", .endpoint = "https://main.example"};
	struct catalog_store own = {.name = "",
	                            .tenant = "acme",
	                            .url = "s3://own/x",
	                            .endpoint = "https://own.example",
	                            .region = "r",
	                            .credentials = "credentials"};

	setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "S", 1);
	accept(f, text);
	write_text(file, keys, strlen(keys), 0600);
	settle(f, &eu, "EUKEY");
	/* The section was renamed; another address. */
	eu.name = "formerly";
	settle(f, &eu, "EUKEY");
	eu.url = "s3://eu-2";
	unsettled(f, &eu, "no section [store NAME] has its address");
	eu.name = "eu";
	unsettled(f, &eu, "[store eu] is s3://eu-1 now");
	/* Those of the store itself go to its own server alone. */
	settle(f, &near, "MAINKEY");
	settle(f, &own, "OWNKEY");
	own.tenant = "globex";
	unsettled(f, &own, "is for other tenants");
	own.tenant = "acme";
	own.endpoint = "https://main.example";
	unsettled(f, &own, "is for the endpoint https://own.example");
	own.endpoint = "https://own.example";
	own.url = "s3://other";
	unsettled(f, &own, "is for the bucket own");
	own.url = "s3://own-other";
	unsettled(f, &own, "is for the bucket own");
	own.url = "s3://own";
	own.credentials = "missing";
	unsettled(f, &own, "cannot be opened");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_who_says_it),           CONF_TEST(test_sections_of_a_query),
	        CONF_TEST(test_addresses_of_a_query),  CONF_TEST(test_what_it_may_have),
	        CONF_TEST(test_credentials),           CONF_TEST(test_bad_credentials),
	        CONF_TEST(test_credentials_of_a_file), CONF_TEST(test_settings),
	};

	return RUN_CONF_TESTS(tests);
}
