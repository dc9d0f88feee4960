// SPDX-License-Identifier: Apache-2.0
/* conf: the section [export], which makes the job exports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#include <keepfs/policy/tenancy.h>

#define LEAST "[export]\ntenants = SELECT id, slug FROM orgs\ntenant_column = org_id\n"

static void assert_words(char *const *words, const char *expected)
{
	_cleanup(str) struct str text = {0};

	for (size_t i = 0; words[i]; i++)
		str_appendf(&text, "%s<%s>", i > 0 ? " " : "", words[i]);
	assert_string_equal(str_text(&text), expected);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;

	accept(f, LEAST);
	assert_string_equal(str_text(&f->problems), "");
	assert_int_equal(f->conf.job_count, 1); /* no job 'full' beside it */
	job = conf_find_job(&f->conf, "exports");
	assert_ptr_equal(job, &f->conf.jobs[0]);
	assert_int_equal(job->kind, CONF_JOB_EXPORT);
	assert_int_equal(job->line, 1);
	assert_string_equal(job->export.database, "");
	assert_int_equal(job->export.tenancy, TENANCY_COLUMN);
	assert_string_equal(job->export.tenants, "SELECT id, slug FROM orgs");
	assert_words(job->export.tenant_columns, "<org_id>");
	assert_string_equal(job->export.tenant_table, "");
	assert_string_equal(job->export.tenant_schema, "{slug}");
	assert_string_equal(job->export.tenant_database, "{slug}");
	assert_words(job->export.shared, "");
	assert_words(job->export.referred, "");
	assert_words(job->export.excluded, "");
	assert_words(job->export.references, "");
	assert_int_equal(job->export.undecided, CONF_UNSURE_FAIL);
	assert_string_equal(job->export.role, "");
	assert_words(job->export.settings, "");
	assert_words(job->export.admins, "");
	assert_words(job->export.redact, "");
	assert_words(job->export.redact_types, "");
	assert_words(job->export.allow_secrets, "");
	assert_int_equal(job->export.secrets_unsure, CONF_UNSURE_FAIL);
	assert_string_equal(job->export.redact_key.file, "");
	assert_int_equal(job->export.format, CONF_EXPORT_JSON);
	assert_int_equal(job->verify, CONF_VERIFY_READBACK);
	assert_string_equal(job->policy.schedule, "disabled");
	/* Nothing of another kind, and no drills. */
	assert_null(job->dump.database);
	assert_null(job->files.path);
	assert_null(job->drill);
}

/* Neither a dot, nor a comma, nor an apostrophe, nor a semicolon means anything within double quotes. */
static void test_quoted_names(void **state)
{
	struct fixture *f = *state;
	const struct conf_export *e;

	accept(f,
	       "[export]\ntenants = select 1\ntenant_column = \"Org id\", \"a.b\".\"c, d\"\n"
	       "shared = \"a.b.c\", s.\"d e\"\nexclude = \"s.t\"\nredact = t.\"a b\":mask\nallow_secrets = \"a.b\".\"c.d\"\n"
	       "references = \"O'Neil\".a -> b.c; \"x;y\".a -> \"it's\".c when d = 'e;\"f'; g.h -> i.j\n");
	assert_string_equal(str_text(&f->problems), "");
	e = &f->conf.jobs[0].export;
	assert_words(e->tenant_columns, "<\"Org id\"> <\"a.b\".\"c, d\">");
	assert_words(e->shared, "<\"a.b.c\"> <s.\"d e\">");
	assert_words(e->excluded, "<\"s.t\">");
	assert_words(e->redact, "<t.\"a b\":mask>");
	assert_words(e->allow_secrets, "<\"a.b\".\"c.d\">");
	assert_words(e->references,
	             "<\"O'Neil\".a -> b.c> <\"x;y\".a -> \"it's\".c when d = 'e;\"f'> <g.h -> i.j>");
	refuse(f, LEAST "shared = \"a.b\".\"c\".d\n", "which is not TABLE or SCHEMA.TABLE");
	refuse(f, LEAST "shared = a.\"b\n", "has a double quote that is not closed");
}

static void test_all_keys(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *key_file = mem_printf("%s/config", f->dir);
	_cleanup(free) char *text = mem_printf(
	        "[backup full]\n"
	        "[export]\n"
	        "database = host=db dbname=shop\n"
	        "tenancy = column\n"
	        "tenants = with t as (select 1) select id, slug, 'a;b' as name, class from orgs\n"
	        "tenant_column = org_id, orders.owner_org public.notes.org\n"
	        "tenant_table = public.orgs.id\n"
	        "shared = countries, ref.*, shop.\"Odd. Name\"\n"
	        "referred = users\n"
	        "exclude = audit_*\n"
	        "references = comments.subject_id -> posts.id when subject_type = 'a;b';  events.payload->>'user_id' -> users.id;\n"
	        "undecided = warn\n"
	        "role = app_reader\n"
	        "settings = app.org_id={id}, \"request.jwt.claims={\"\"sub\"\": \"\"{id}\"\"}\" app.mode=export\n"
	        "redact = *password_hash, users.email:hash a.settings->api_key:mask\n"
	        "redact_types = secret_text:null\n"
	        "allow_secrets = sessions.token_count\n"
	        "secrets_unsure = warn\n"
	        "redact_key_file = %s\n"
	        "format = json\n"
	        "compression = gzip:9\n"
	        "schedule = daily-2am\n"
	        "keep_last = 3\n"
	        "keep_deleted = 90d\n"
	        "[class big]\n"
	        "keep_last = 9\n",
	        key_file);
	const struct conf_export *e;

	write_text(key_file, "0123456789abcdef0123456789abcdef", 32, 0600);
	accept(f, text);
	assert_string_equal(str_text(&f->problems), "");
	assert_int_equal(f->conf.job_count, 2);
	assert_string_equal(f->conf.jobs[1].name, "exports");
	e = &f->conf.jobs[1].export;
	assert_string_equal(e->database, "host=db dbname=shop");
	assert_string_equal(e->tenants,
	                    "with t as (select 1) select id, slug, 'a;b' as name, class from orgs");
	assert_words(e->tenant_columns, "<org_id> <orders.owner_org> <public.notes.org>");
	assert_string_equal(e->tenant_table, "public.orgs.id");
	assert_words(e->shared, "<countries> <ref.*> <shop.\"Odd. Name\">");
	assert_words(e->referred, "<users>");
	assert_words(e->excluded, "<audit_*>");
	assert_words(e->references, "<comments.subject_id -> posts.id when subject_type = 'a;b'> "
	                            "<events.payload->>'user_id' -> users.id>");
	assert_int_equal(e->undecided, CONF_UNSURE_WARN);
	assert_string_equal(e->role, "app_reader");
	assert_words(e->settings,
	             "<app.org_id={id}> <request.jwt.claims={\"sub\": \"{id}\"}> <app.mode=export>");
	assert_words(e->redact, "<*password_hash> <users.email:hash> <a.settings->api_key:mask>");
	assert_words(e->redact_types, "<secret_text:null>");
	assert_words(e->allow_secrets, "<sessions.token_count>");
	assert_int_equal(e->secrets_unsure, CONF_UNSURE_WARN);
	assert_string_equal(e->redact_key.file, key_file);
	assert_int_equal(f->conf.jobs[1].policy.keep_last, 3);
	accept(f, "[export]\ntenancy = schema\ntenants = select 1\ntenant_schema = t_{id}_{slug}\n");
	assert_string_equal(f->conf.jobs[0].export.tenant_schema, "t_{id}_{slug}");
	accept(f,
	       "[export]\ntenancy = database\ntenants = select 1\ntenant_database = app_{slug}\nshared = a\n");
	assert_string_equal(f->conf.jobs[0].export.tenant_database, "app_{slug}");
}

static void test_bad_values(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
	        {"database = mysql://h/d", "is a URI of something that is not PostgreSQL"},
	        {"tenancy = row",
	         "is none of the words that are allowed; allowed: column, schema or database"},
	        {"tenant_table = orgs",
	         "tenant_table = orgs: has orgs, which is not TABLE.COLUMN or SCHEMA.TABLE.COLUMN; allowed: empty, "},
	        {"tenant_table = a.b.c.d", "has a.b.c.d, which is not"},
	        {"tenant_table = .id", "has .id, which is not"},
	        {"tenant_table = orgs.", "has orgs., which is not"},
	        {"tenant_table = a..b", "has a..b, which is not"},
	        {"tenant_table = *.id", "has *.id, a pattern, where one column is to be named"},
	        {"shared = a.b.c",
	         "has a.b.c, which is not TABLE or SCHEMA.TABLE; allowed: different tables"},
	        {"shared = a,,b", "has an empty entry"},
	        {"shared = a a", "names a twice"},
	        {"referred = .a", "has .a, which is not TABLE or SCHEMA.TABLE"},
	        {"exclude = a.", "has a., which is not TABLE or SCHEMA.TABLE"},
	        {"references =;", "has an empty entry; allowed: references as TABLE.COLUMN"},
	        {"references = a.b -> c.d;;e.f -> g.h", "has an empty entry"},
	        {"references = a.b -> c.d;a.b -> c.d", "names a.b -> c.d twice"},
	        {"undecided = ignore", "is none of the words that are allowed; allowed: fail or warn"},
	        {"admins = acme", "has acme, which is not TENANT:USER or TENANT:@GROUP; allowed: the slug"},
	        {"admins = :anna", "has :anna, which is not TENANT:USER"},
	        {"admins = acme:, globex:1", "has acme:, which is not TENANT:USER"},
	        {"admins = acme:@", "has acme:@, which is not TENANT:USER"},
	        {"settings = app.org_id",
	         "has app.org_id, which is no NAME=VALUE; allowed: different settings"},
	        {"settings = ={id}", "has ={id}, where '' is no name of a setting"},
	        {"settings = a..b={id}", "where 'a..b' is no name of a setting"},
	        {"settings = a.={id}", "where 'a.' is no name of a setting"},
	        {"settings = 1a={id}", "where '1a' is no name of a setting"},
	        {"settings = a-b={id}", "where 'a-b' is no name of a setting"},
	        {"settings = a.b={tenant}", "has {tenant}, where only {id} and {slug} are replaced"},
	        {"settings = a.b={id}, a.b={slug}", "sets a.b twice"},
	        {"redact = a,,b", "has an empty entry"},
	        {"redact = \"a", "has a double quote that is not closed"},
	        {"redact_types = a a", "names a twice"},
	        {"allow_secrets = a.b.c.d",
	         "a.b.c.d\" has a name of more than three parts; allowed: different columns"},
	        {"redact = users.email:hide", "redact = users.email:hide: \"users.email:hide\" "},
	        {"redact = users..email", "redact = users..email: \"users..email\" "},
	        {"redact = ->a", "redact = ->a: \"->a\" "},
	        {"redact_types = a:b", "redact_types = a:b: \"a:b\" "},
	        {"redact_types = varchar(10)", "no quotes, and no length in parentheses"},
	        {"references = comments.subject_id", "[export] references = comments.subject_id: "},
	        {"references = a.b -> c.d when", "[export] references = a.b -> c.d when: "},
	        {"references = a -> b", "[export] references = a -> b: "},
	        {"secrets_unsure = no", "is none of the words that are allowed; allowed: fail or warn"},
	        {"redact_key_file = key", "is not an absolute path"},
	        {"format = xls",
	         "is none of the words that are allowed; allowed: json, ndjson, csv, sql or sqlite"},
	        {"compression = zstd",
	         "compression = zstd:3: is not how exports are compressed: [export] format = json (default); "
	         "allowed: fast, small, gzip or gzip:1 to gzip:9"},
	        {"compression = none", "compression = none: is not how exports are compressed: "},
	        {"tenant_schema = t_{id}",
	         "tenant_schema = t_{id}: is of tenancy = schema only, but [export] tenancy = column (default)"},
	        {"tenant_schema = shop",
	         "tenant_schema = shop: is the same for all tenants; allowed: a name with {id}"},
	        {"tenant_schema = {org}", "has {org}, where only {id} and {slug} are replaced"},
	        {"tenant_schema =", "is empty"},
	        {"tenant_database = x_{id}", "is of tenancy = database only, but"},
	        {"tenant_database = x", "is the same for all tenants"},
	        {"redact = a:hash",
	         "redact = a:hash: hashes, which needs a key, but there is none with [export] redact_key_file =  "
	         "(default); allowed: redact_key_file with the path of a key, or omit, null or mask"},
	        {"redact_types = a:hash", "redact_types = a:hash: hashes, which needs a key"},
	        {"keep_last = 1\nkeep = forever", "keep_last = 1: says what may go, but nothing may with"},
	        {"tenent_table = a.b", "tenent_table: no such key; did you mean tenant_table?"},
	        {"path = /x", "path: no such key; it belongs into [files NAME]\n"},
	        {"drill = @daily",
	         "drill: no such key; it belongs into [backup NAME] or [files NAME] or [bundle NAME] or [cluster NAME]\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *text = mem_printf("%s%s\n", LEAST, cases[i][0]);
		_cleanup(free) char *place = mem_printf("%s:4: [export] ", f->file);

		if (load(f, text) == 0)
			fail_msg("is taken: %s", cases[i][0]);
		refuse(f, text, cases[i][1]);
		if (!str_starts(str_text(&f->problems), place))
			fail_msg("no place: %s", str_text(&f->problems));
	}
	refuse(f, LEAST "shared = a, b\nreferred = b\n",
	       ":5: [export] referred = b: names a table that is named by [export] shared = a, b (");
	refuse(f, LEAST "shared = a\nexclude = a\n",
	       ":5: [export] exclude = a: names a table that is named by");
	refuse(f, "[export]\ntenants = org_list()\ntenant_column = org_id\n",
	       ":2: [export] tenants = org_list(): is no query; allowed: a query that begins with SELECT or WITH");
	refuse(f, "[export]\ntenants = select 1\ntenant_column = *.org_id\n",
	       ":3: [export] tenant_column = *.org_id: has *.org_id, a pattern, where one column is to be named");
	refuse(f, "[export]\ntenants = select 1\ntenant_column = a.b.c.d\n",
	       "has a.b.c.d, which is not COLUMN, ");
}

/* What has to be there. */
static void test_missing(void **state)
{
	struct fixture *f = *state;

	refuse(f, "\n[export]\ntenant_column = org_id\nsettings = a.b={id}\n",
	       ":2: [export] tenants: is not set; allowed: a query that begins with SELECT");
	/* Where neither is in the file, the section's own line is the place. */
	refuse(f, "\n[export]\ntenants = select 1\n",
	       ":2: [export] tenancy = column: finds a tenant's rows by a column, but there is none with [export] "
	       "tenant_column =  (default); allowed: tenant_column with its name");
	refuse(f, "[export]\ntenants = select 1\ntenancy = column\n", ":3: [export] tenancy = column: finds");
	setenv("KEEPFS_EXPORT_TENANT_COLUMN", "org_id", 1);
	refuse(f, "", "KEEPFS_EXPORT_TENANTS: [export] tenants: is not set");
	unsetenv("KEEPFS_EXPORT_TENANT_COLUMN");
	setenv("KEEPFS_EXPORT_TENANTS", "select 1", 1);
	refuse(f, "",
	       "KEEPFS_EXPORT_TENANT_COLUMN: [export] tenancy = column: finds a tenant's rows by a column, but");
}

/* What another tenancy has no use for. */
static void test_keys_of_another_tenancy(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = {"tenant_column = org_id", "tenant_table = orgs.id",
	                                   "referred = users", "references = a.b -> c.d"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup(free) char *text =
		        mem_printf("[export]\ntenancy = schema\ntenants = select 1\n%s\n", keys[i]);
		_cleanup(free) char *expected = mem_printf(
		        ":4: [export] %s: is of tenancy = column only, but [export] tenancy = schema (",
		        keys[i]);

		refuse(f, text, expected);
	}
}

static void test_key_file(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = mem_printf("%s/config", f->dir);
	_cleanup(free) char *text = mem_printf("%sredact = a:hash\nredact_key_file = %s\n", LEAST, path);
	_cleanup(free) char *of_directory = mem_printf("%sredact_key_file = %s\n", LEAST, f->dir);

	refuse(f, of_directory, "is no file; allowed: the path of a file of 32 bytes or more");
	write_text(path, "0123456789abcdef0123456789abcde", 31, 0600);
	refuse(f, text, ":5: [export] redact_key_file = ");
	assert_non_null(
	        strstr(str_text(&f->problems), "holds less than 32 bytes; allowed: the path of a file"));
	write_text(path, "0123456789abcdef0123456789abcdef", 32, 0644);
	accept(f, text);
	assert_non_null(strstr(
	        str_text(&f->problems),
	        "every user of this system can read the secret in this file; protect it with: chmod 600"));
	/* One that is not there yet, or that this user may not see, is told of by a run. */
	assert_int_equal(remove(path), 0);
	accept(f, text);
}

static void test_section(void **state)
{
	struct fixture *f = *state;

	refuse(f, LEAST "\n[export]\nnice = 1\n",
	       ":5: [export]: this section begins on line 1 already: put its keys there");
	refuse(f, "[export acme]\ntenants = select 1\ntenant_column = org_id\n",
	       ":1: [export acme]: this section has no name; allowed: [export]");
	refuse(f, LEAST "[backup exports]\n",
	       ":4: [backup exports]: [export] begins on line 1 already, and [export] makes a job named exports: "
	       "give the other job another name");
	refuse(f, "[files exports]\npath = /x\n" LEAST,
	       ":3: [export]: [files exports] begins on line 1 already, and [export] makes a job named exports: "
	       "give the other job another name");
	refuse(f, "[exprt]\n", "[exprt]: no such section; did you mean [export]?");
	refuse(f, "[exports acme]\n", "[exports acme]: no such section; did you mean [export]?");
	/* Without [export] the name is free. */
	accept(f, "[backup exports]\n");
	setenv("KEEPFS_EXPORT_TENANTS", "select 1", 1);
	refuse(f, "[backup exports]\n",
	       "KEEPFS_EXPORT_TENANTS: there is [backup exports] already, and [export] makes a job named exports");
	unsetenv("KEEPFS_EXPORT_TENANTS");
	setenv("KEEPFS_BACKUP_EXPORTS_DATABASE", "y", 1);
	refuse(f, LEAST, "KEEPFS_BACKUP_EXPORTS_DATABASE: there is [export] already, and no two jobs");
}

static void test_environment(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_EXPORT_TENANTS", "SELECT id, slug FROM t", 1);
	setenv("KEEPFS_EXPORT_TENANT_COLUMN", "tenant_id", 1);
	setenv("KEEPFS_EXPORT_DATABASE", "host=h password=secret", 1);
	setenv("KEEPFS_EXPORT_ROLE", "", 1);
	reset(f);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	assert_int_equal(f->conf.job_count, 1);
	assert_string_equal(f->conf.jobs[0].name, "exports");
	assert_words(f->conf.jobs[0].export.tenant_columns, "<tenant_id>");
	assert_true(conf_variable_is_private("KEEPFS_EXPORT_DATABASE=host=h password=secret"));
	assert_false(conf_variable_is_private("KEEPFS_EXPORT_TENANTS"));
	/* Over the file. */
	accept(f, "[backup full]\n" LEAST);
	assert_int_equal(f->conf.job_count, 2);
	assert_words(f->conf.jobs[1].export.tenant_columns, "<tenant_id>");
	setenv("KEEPFS_EXPORT_TENANTZ", "a", 1);
	refuse(f, "",
	       "KEEPFS_EXPORT_TENANTZ: this environment variable means nothing; did you mean KEEPFS_EXPORT_TENANTS?");
}

static void test_effective(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};

	accept(f, LEAST "database = host=h password=HIDDEN\n"
	                "references = a.b -> c.d;e.f -> g.h when x = 'y z'\n"
	                "settings = \"a.b={id} x\"\n");
	conf_write_effective(&f->conf, &text);
	assert_null(strstr(str_text(&text), "HIDDEN"));
	assert_non_null(strstr(str_text(&text), "\n\n[export]\ndatabase = host=h password=********  # "));
	assert_non_null(strstr(str_text(&text), "\nreferences = a.b -> c.d; e.f -> g.h when x = 'y z'  # "));
	assert_non_null(strstr(str_text(&text), "\nsettings = \"a.b={id} x\"  # "));
	/* It can be read again. */
	accept(f, str_text(&text));
	assert_words(f->conf.jobs[0].export.references, "<a.b -> c.d> <e.f -> g.h when x = 'y z'>");
	assert_words(f->conf.jobs[0].export.settings, "<a.b={id} x>");
}

static void test_reload(void **state)
{
	struct fixture *f = *state;
	struct conf next = {0};
	_cleanup(conf_changes) struct conf_changes changes = {0};
	static const char text[] = LEAST "keep_last = 3\nredact = a\n", without[] = "[backup full]\n";

	accept(f, LEAST "redact = b\n");
	write_text(f->file, text, strlen(text), 0600);
	assert_int_equal(conf_reload(&f->conf, &next, &changes, &f->problems), 0);
	assert_non_null(strstr(str_text(&changes.taken), "[export] redact: b is now a\n"));
	assert_non_null(strstr(str_text(&changes.policy), "[export] keep_last: none is now 3\n"));
	assert_int_equal(changes.need_restart.len, 0);
	assert_words(next.jobs[0].export.redact, "<a>");
	conf_finish(&next);
	write_text(f->file, without, strlen(without), 0600);
	assert_int_equal(conf_reload(&f->conf, &next, &changes, &f->problems), 0);
	assert_non_null(strstr(str_text(&changes.taken), "[export] is gone\n"));
	assert_non_null(strstr(str_text(&changes.taken), "[backup full] is new\n"));
	conf_finish(&next);
}

static int trigger_export(const struct conf_job *job, const char *key, const char *value,
                          struct conf_job **ret, bool *ret_partial, struct error *err)
{
	return conf_job_override(job, &key, &value, 1, ret, ret_partial, err);
}

static void test_triggers(void **state)
{
	struct fixture *f = *state;
	_cleanup(conf_job) struct conf_job *copy = NULL;
	static const char *const cases[][3] = {
	        {"redact", "a",
	         "redact: this key cannot be changed for one run; allowed: format, compression, verify, "
	         "max_rate, note, hold, keep, tenant, class, then-delete"},
	        {"tables", "a", "tables: [export] has no such key; allowed: format, compression, "},
	        {"tenat", "a", "tenat: no such key; did you mean tenant?"},
	        {"compression", "zstd",
	         "compression = zstd:3: is not how exports are compressed: format = json"},
	};
	_cleanup(str) struct str keys = {0}, all = {0};
	struct error err = {0};
	bool partial = true;

	accept(f, LEAST "references = a.b -> c.d\nsettings = a.b={id}\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_job *none = NULL;

		assert_int_equal(
		        trigger_export(&f->conf.jobs[0], cases[i][0], cases[i][1], &none, &partial, &err),
		        -EINVAL);
		assert_null(none);
		if (!str_starts(err.message, cases[i][2]))
			fail_msg("want: %s\ngot: %s", cases[i][2], err.message);
	}
	assert_int_equal(trigger_export(&f->conf.jobs[0], "compression", "small", &copy, &partial, &err), 0);
	conf_list_trigger_keys(&f->conf.jobs[0], &keys);
	/* The copy does not need the configuration any more. */
	reset(f);
	assert_false(partial);
	assert_words(copy->export.references, "<a.b -> c.d>");
	assert_words(copy->export.settings, "<a.b={id}>");
	assert_string_equal(copy->export.tenants, "SELECT id, slug FROM orgs");
	assert_string_equal(
	        str_text(&keys),
	        "format, compression, verify, max_rate, note, hold, keep, tenant, class, then-delete");
	conf_write_trigger_keys(&all);
	assert_non_null(strstr(
	        str_text(&all),
	        "\n  [export]: format, compression, verify, max_rate, note, hold, keep, tenant, class, then-delete\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_defaults),    CONF_TEST(test_quoted_names),
	        CONF_TEST(test_all_keys),    CONF_TEST(test_bad_values),
	        CONF_TEST(test_missing),     CONF_TEST(test_keys_of_another_tenancy),
	        CONF_TEST(test_key_file),    CONF_TEST(test_section),
	        CONF_TEST(test_environment), CONF_TEST(test_effective),
	        CONF_TEST(test_reload),      CONF_TEST(test_triggers),
	};

	return RUN_CONF_TESTS(tests);
}
