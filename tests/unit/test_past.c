// SPDX-License-Identifier: Apache-2.0
/* Which rows of a dump an export of one tenant needs: values as texts, sets of keys, rows; and what a script did not make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/use/past_filter.h"
#include "../../src/use/past_script.h"
#include "tenancy_test.h"

#include <errno.h>
#include <stdio.h>

/* Values. */

static struct str folded(enum past_fold how, const char *text)
{
	struct str out = {0};

	assert_true(past_fold_append(how, text, strlen(text), &out));
	return out;
}

static void assert_same(enum past_fold how, const char *a, const char *b, bool same)
{
	_cleanup(str) struct str x = folded(how, a), y = folded(how, b);

	assert_true(same == (x.len == y.len && memcmp(x.data, y.data, x.len) == 0));
}

static void test_folds(void **state)
{
	assert_same(PAST_FOLD_TEXT, "a  ", "a", false);
	assert_same(PAST_FOLD_BLANKS, "a  ", "a", true);
	assert_same(PAST_FOLD_TEXT, "a", "A", false);
	assert_same(PAST_FOLD_BLANKS, "", " ", true);
	assert_same(PAST_FOLD_NUMBER, "1.50", "1.5", true);
	assert_same(PAST_FOLD_NUMBER, "1.00", "1", true);
	assert_same(PAST_FOLD_NUMBER, "100", "1", false);
	assert_same(PAST_FOLD_NUMBER, "-0.00", "0", true);
	assert_same(PAST_FOLD_NUMBER, "1e+20", "1e+2", false);
	assert_same(PAST_FOLD_NUMBER, "NaN", "Infinity", false);
	assert_same(PAST_FOLD_LETTERS, "ACME", "acme", true);
	assert_same(PAST_FOLD_LETTERS, "Straße I", "STRAßE i", true);
	assert_same(PAST_FOLD_LETTERS, "acme", "acne", false);
	assert_same(PAST_FOLD_INTEGER, "007", "7", true);
	assert_same(PAST_FOLD_INTEGER, "-07", "-7", true);
	assert_same(PAST_FOLD_INTEGER, "-0", "0", true);
	assert_same(PAST_FOLD_INTEGER, "7", "-7", false);
	assert_same(PAST_FOLD_UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
	            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true);
}

/* What is no number or no uuid is equal to none, and nothing is left of it. */
static void test_folds_of_nothing(void **state)
{
	static const char *const no_integers[] = {"",   "-",  "+7", "7a", "7.0", "1234567890123456789",
	                                          " 7", "7\n"};
	static const char *const no_uuids[] = {
	        "", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
	        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1}"};
	_cleanup(str) struct str out = {0};

	for (size_t i = 0; i < ARRAY_SIZE(no_integers); i++)
		assert_false(
		        past_fold_append(PAST_FOLD_INTEGER, no_integers[i], strlen(no_integers[i]), &out));
	for (size_t i = 0; i < ARRAY_SIZE(no_uuids); i++)
		assert_false(past_fold_append(PAST_FOLD_UUID, no_uuids[i], strlen(no_uuids[i]), &out));
	assert_int_equal(out.len, 0);
}

/* Keys of several columns are told apart. */
static void test_fold_borders(void **state)
{
	_cleanup(str) struct str a = folded(PAST_FOLD_TEXT, "ab"), b = folded(PAST_FOLD_TEXT, "a");

	assert_true(past_fold_append(PAST_FOLD_TEXT, "c", 1, &a));
	assert_true(past_fold_append(PAST_FOLD_TEXT, "bc", 2, &b));
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.data, b.data, a.len);
}

static void test_keys(void **state)
{
	struct past_memory memory = {.max_bytes = 64 << 10};
	struct past_keys keys = {0};
	struct error err = {0};
	uint64_t i = 1;
	int r = 0;

	assert_false(past_keys_has(&keys, 1));
	for (; r == 0; i++)
		r = past_keys_add(&keys, &memory, past_key_hash(&i, sizeof(i)), &err);
	assert_int_equal(r, -E2BIG);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_non_null(strstr(err.message, "keys_memory"));
	assert_true(memory.used_bytes <= memory.max_bytes);
	for (uint64_t k = 1; k + 1 < i; k++)
		assert_true(past_keys_has(&keys, past_key_hash(&k, sizeof(k))));
	i += 1000;
	assert_false(past_keys_has(&keys, past_key_hash(&i, sizeof(i))));
	past_keys_finish(&keys, &memory);
	assert_int_equal(memory.used_bytes, 0);
}

/* Rows. */

static const char shop[] = "orgs id* name:text\n"
                           "users id* org_id! email:text\n"
                           "projects id* org_id! owner_id\n"
                           "tasks id* project_id user_id\n"
                           "notes id* kind:text! ref:text payload:jsonb\n"
                           "people id* name:text\n"
                           "members org_id* person_id*\n"
                           "users.org_id > orgs.id\n"
                           "projects.org_id > orgs.id\n"
                           "projects.owner_id > users.id\n"
                           "tasks.project_id > projects.id\n"
                           "tasks.user_id > users.id\n"
                           "members.org_id > orgs.id\n"
                           "members.person_id > people.id\n";

static char org_id[] = "org_id", orgs_key[] = "orgs.id", people[] = "people";
static char of_kind[] = "notes.ref -> tasks.id when kind = 'Task'",
            within[] = "notes.payload->>'user' -> users.id";

static int as_it_is(void *arg, const char *text, const char *type, struct str *ret, struct error *err)
{
	str_append(ret, text);
	return 0;
}

struct fixture {
	struct tenancy_model model;
	struct tenancy_plan plan;
	struct past_filter *filter;
};

static void begin(struct fixture *x, uint64_t memory_bytes)
{
	const struct tenancy_rules rules = {
	        .kind = TENANCY_COLUMN,
	        .tenant_columns = (char *[]){org_id, NULL},
	        .tenant_table = orgs_key,
	        .referred = (char *[]){people, NULL},
	        .references = (char *[]){of_kind, within, NULL},
	};
	struct past_filter_options options = {.tenant = "1", .memory_bytes = memory_bytes, .value = as_it_is};
	struct error err = {0};

	*x = (struct fixture){.model = model_of(shop)};
	if (tenancy_decide(&x->model, &rules, NULL, &x->plan, &err) < 0)
		fail_msg("%s", err.message);
	options.model = &x->model;
	options.plan = &x->plan;
	if (past_filter_new(&options, &x->filter, &err) < 0)
		fail_msg("%s", err.message);
}

static void end(struct fixture *x)
{
	past_filter_free(x->filter);
	tenancy_plan_finish(&x->plan);
	tenancy_model_finish(&x->model);
}

static size_t number_of(const struct fixture *x, const char *table)
{
	ssize_t at = tenancy_find_table(&x->model, NULL, table);

	for (size_t i = 0; i < past_filter_count(x->filter); i++)
		if ((ssize_t)past_filter_table(x->filter, i) == at)
			return i;
	fail_msg("%s is not read", table);
	return 0;
}

static void enter(const struct fixture *x, const char *table, enum past_pass pass, const char *columns)
{
	_cleanup(copy_columns) struct copy_columns parsed = {0};
	struct error err = {0};

	assert_int_equal(copy_columns_parse(columns, &parsed, &err), 0);
	assert_int_equal(past_filter_entry(x->filter, number_of(x, table), pass, &parsed, &err), 0);
}

static void assert_row(const struct fixture *x, const char *row, int expected)
{
	struct error err = {0};
	int r = past_filter_row(x->filter, row, strlen(row), &err);

	if (r != expected)
		fail_msg("%s: %d, and not %d (%s)", row, r, expected, err.message);
}

static void assert_before(const struct fixture *x, const char *first, const char *second)
{
	assert_true(number_of(x, first) < number_of(x, second));
}

static void test_rows(void **state)
{
	struct fixture x;

	begin(&x, 1 << 20);
	assert_int_equal(past_filter_count(x.filter), 7);
	assert_before(&x, "projects", "tasks");
	assert_before(&x, "tasks", "notes");
	assert_before(&x, "members", "people");
	enter(&x, "orgs", PAST_OWN, "(name, id)");
	assert_row(&x, "Acme\t1", 1);
	assert_row(&x, "1\t2", 0);
	assert_row(&x, "\\N\t\\N", 0);
	enter(&x, "users", PAST_OWN, "(id, org_id, email)");
	assert_row(&x, "10\t1\ta\\tb", 1);
	assert_row(&x, "11\t1\t\\N", 1);
	assert_row(&x, "20\t2\tc", 0);
	enter(&x, "projects", PAST_OWN, "(id, org_id, owner_id)");
	assert_row(&x, "100\t1\t10", 1);
	assert_row(&x, "200\t2\t20", 0);
	enter(&x, "tasks", PAST_OWN, "(id, user_id, project_id)");
	assert_row(&x, "1000\t\\N\t100", 1);
	assert_row(&x, "1001\t11\t\\N", 1);
	assert_row(&x, "1002\t\\N\t\\N", 0);
	assert_row(&x, "1003\t20\t200", 0);
	assert_row(&x, "1004\t20\t100", 1);
	enter(&x, "notes", PAST_OWN, "(id, kind, ref, payload)");
	assert_row(&x, "1\tTask\t01000\t\\N", 1);
	assert_row(&x, "2\tOther\t1000\t\\N", 0);
	assert_row(&x, "3\tOther\t\\N\t{\"user\": 10}", 1);
	assert_row(&x, "4\tOther\t\\N\t{\"user\": \"11\", \"x\": \"\\\\\"\"}", 1);
	assert_row(&x, "5\tTask\tx\t{\"user\": 20}", 0);
	assert_row(&x, "6\tTask\t1000\t{\"user\": 20}", 1);
	enter(&x, "members", PAST_OWN, "(org_id, person_id)");
	assert_row(&x, "1\t7", 1);
	assert_row(&x, "2\t8", 0);
	enter(&x, "people", PAST_OWN, "(id, name)");
	assert_row(&x, "7\tx", 1);
	assert_row(&x, "8\tx", 0);
	end(&x);
}

/* Whom a row refers to, and is not the tenant's, comes as well, with what it refers to: the proof looks at it. */
static void test_others(void **state)
{
	struct fixture x;

	begin(&x, 1 << 20);
	enter(&x, "users", PAST_OWN, "(id, org_id, email)");
	assert_row(&x, "10\t1\t", 1);
	assert_row(&x, "20\t2\t", 0);
	enter(&x, "projects", PAST_OWN, "(id, org_id, owner_id)");
	assert_row(&x, "100\t1\t10", 1);
	assert_row(&x, "200\t2\t20", 0);
	assert_false(past_filter_has_others(x.filter, number_of(&x, "users")));
	enter(&x, "tasks", PAST_OWN, "(id, project_id, user_id)");
	assert_row(&x, "1000\t100\t20", 1);
	assert_row(&x, "2000\t200\t20", 0);
	assert_row(&x, "2001\t200\t\\N", 0);
	assert_true(past_filter_has_others(x.filter, number_of(&x, "users")));
	enter(&x, "notes", PAST_OWN, "(id, kind, ref, payload)");
	assert_row(&x, "1\tTask\t2001\t{\"user\": 10}", 1);
	assert_true(past_filter_has_others(x.filter, number_of(&x, "tasks")));
	assert_false(past_filter_has_others(x.filter, number_of(&x, "projects")));
	enter(&x, "tasks", PAST_OTHERS, "(id, project_id, user_id)");
	assert_row(&x, "1000\t100\t20", 0);
	assert_row(&x, "2000\t200\t20", 0);
	assert_row(&x, "2001\t200\t\\N", 1);
	assert_true(past_filter_has_others(x.filter, number_of(&x, "projects")));
	enter(&x, "projects", PAST_OTHERS, "(id, org_id, owner_id)");
	assert_row(&x, "100\t1\t10", 0);
	assert_row(&x, "200\t2\t20", 1);
	enter(&x, "users", PAST_OTHERS, "(id, org_id, email)");
	assert_row(&x, "10\t1\t", 0);
	assert_row(&x, "20\t2\t", 1);
	assert_row(&x, "30\t2\t", 0);
	end(&x);
}

/* What a soft reference leads to may be there twice, and belong to two tenants: then the other one's row is needed, too. */
static void test_keys_of_two(void **state)
{
	static const char text[] = "orgs id* name:text\n"
	                           "posts id* org_id! slug:text\n"
	                           "likes id* post:text\n"
	                           "posts.org_id > orgs.id\n";
	static char by_slug[] = "likes.post -> posts.slug";
	const struct tenancy_rules rules = {.kind = TENANCY_COLUMN,
	                                    .tenant_columns = (char *[]){org_id, NULL},
	                                    .tenant_table = orgs_key,
	                                    .references = (char *[]){by_slug, NULL}};
	struct past_filter_options options = {.tenant = "1", .memory_bytes = 1 << 20, .value = as_it_is};
	struct fixture x = {.model = model_of(text)};
	struct error err = {0};

	assert_int_equal(tenancy_decide(&x.model, &rules, NULL, &x.plan, &err), 0);
	options.model = &x.model;
	options.plan = &x.plan;
	assert_int_equal(past_filter_new(&options, &x.filter, &err), 0);
	enter(&x, "posts", PAST_OWN, "(id, org_id, slug)");
	assert_row(&x, "1\t1\thello", 1);
	assert_row(&x, "2\t2\thello", 0);
	assert_row(&x, "3\t2\tbye", 0);
	enter(&x, "likes", PAST_OWN, "(id, post)");
	assert_row(&x, "1\thello", 1);
	assert_row(&x, "2\tbye", 0);
	assert_true(past_filter_has_others(x.filter, number_of(&x, "posts")));
	enter(&x, "posts", PAST_OTHERS, "(id, org_id, slug)");
	assert_row(&x, "1\t1\thello", 0);
	assert_row(&x, "2\t2\thello", 1);
	assert_row(&x, "3\t2\tbye", 0);
	end(&x);
}

static void refuse_row(const struct fixture *x, const char *row, int expected, const char *message)
{
	struct error err = {0};

	assert_int_equal(past_filter_row(x->filter, row, strlen(row), &err), expected);
	if (!strstr(err.message, message))
		fail_msg("%s", err.message);
}

static void test_bad_rows(void **state)
{
	_cleanup(copy_columns) struct copy_columns columns = {0};
	struct fixture x;
	struct error err = {0};

	begin(&x, 1 << 20);
	enter(&x, "users", PAST_OWN, "(id, email, org_id)");
	assert_row(&x, "10\tx\t1", 1);
	refuse_row(&x, "", -EBADMSG, "public.users");
	refuse_row(&x, "10\tx", -EBADMSG, "too few fields");
	enter(&x, "notes", PAST_OWN, "(id, kind, ref, payload)");
	refuse_row(&x, "1\tOther\tx\t{\"user\": ", -EBADMSG, "JSON");
	refuse_row(&x, "1\tOther", -EBADMSG, "too few fields");
	assert_int_equal(copy_columns_parse("(id, email)", &columns, &err), 0);
	assert_int_equal(past_filter_entry(x.filter, number_of(&x, "users"), PAST_OWN, &columns, &err),
	                 -EBADMSG);
	assert_non_null(strstr(err.message, "org_id"));
	end(&x);
}

static void test_too_many_keys(void **state)
{
	struct fixture x;
	struct error err = {0};
	char row[64];
	int r = 1;

	begin(&x, 4096);
	enter(&x, "users", PAST_OWN, "(id, org_id, email)");
	for (int i = 0; r == 1; i++) {
		snprintf(row, sizeof(row), "%d\t1\t", i);
		r = past_filter_row(x.filter, row, strlen(row), &err);
		assert_true(i < 4096);
	}
	assert_int_equal(r, -E2BIG);
	end(&x);
}

/* Of these nobody can say by their texts when two are equal. */
static void test_types(void **state)
{
	static const char *const refused[] = {"interval", "jsonb", "time~with~time~zone", "integer[]",
	                                      "point"};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup(free) char *text = mem_printf("things org_id:%s n\n", refused[i]);
		_cleanup(tenancy_model) struct tenancy_model m = model_of(text);
		const struct past_side side = {.table = &m.tables[0]};
		enum past_fold fold;
		struct error err = {0};

		assert_int_equal(past_fold_of(&side, NULL, &fold, &err), -ENOTSUP);
		assert_non_null(strstr(err.message, "public.things.org_id"));
	}
}

static void test_pairs_of_types(void **state)
{
	static const struct {
		const char *a, *b;
		int foreign_key, soft; /* enum past_fold; -1: refused */
	} pairs[] = {
	        {"bigint", "integer", PAST_FOLD_NUMBER, PAST_FOLD_NUMBER},
	        {"bigint", "numeric", PAST_FOLD_NUMBER, PAST_FOLD_NUMBER},
	        {"bigint", "text", -1, PAST_FOLD_INTEGER},
	        {"uuid", "text", -1, PAST_FOLD_UUID},
	        {"text", "public.citext", PAST_FOLD_LETTERS, PAST_FOLD_LETTERS},
	        {"character", "text", PAST_FOLD_BLANKS, PAST_FOLD_BLANKS},
	        {"text", "character~varying", PAST_FOLD_TEXT, PAST_FOLD_TEXT},
	        {"bpchar", "bigint", -1, PAST_FOLD_INTEGER},
	        {"date", "date", PAST_FOLD_TEXT, PAST_FOLD_TEXT},
	        {"date", "timestamp~with~time~zone", -1, -1},
	        {"boolean", "text", -1, -1},
	        {"real", "double~precision", -1, -1},
	        {"real", "real", PAST_FOLD_NUMBER, PAST_FOLD_NUMBER},
	        {"inet", "cidr", -1, -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup(free) char *text = mem_printf("things a:%s b:%s\n", pairs[i].a, pairs[i].b);
		_cleanup(tenancy_model) struct tenancy_model m = model_of(text);
		const struct past_side a = {.table = &m.tables[0]}, b = {.table = &m.tables[0], .column = 1};
		enum past_fold fold = PAST_FOLD_TEXT;
		struct error err = {0};
		int r = past_fold_of(&a, &b, &fold, &err);

		assert_int_equal(r == 0 ? (int)fold : -1, pairs[i].foreign_key);
		r = past_fold_of_soft(&a, &b, &fold, &err);
		assert_int_equal(r == 0 ? (int)fold : -1, pairs[i].soft);
	}
}

/* Scripts. */

static const char script_text[] =
        "SET x = 1;\n"
        "--\n"
        "-- Name: geo; Type: TABLE; Schema: public; Owner: app\n"
        "--\n"
        "CREATE TABLE public.geo (g geometry);\n"
        "-- Name: geo geo_pkey; Type: CONSTRAINT; Schema: public; Owner: app\n"
        "ALTER TABLE …;\n"
        "-- Name: orders orders_fk; Type: FK CONSTRAINT; Schema: public; Owner: app\n"
        "ALTER TABLE …;\n"
        "-- Name: v; Type: VIEW; Schema: public; Owner: app\n"
        "CREATE VIEW …;\n";

static void judge(const char *const *lines, char *const *excluded, const char *refusal)
{
	_cleanup(past_failures) struct past_failures f = {0};
	_cleanup(spool) struct spool *script = spool_new("/tmp");
	const struct past_scope scope = {.kind = TENANCY_COLUMN, .excluded = excluded};
	struct error err = {0};
	int r;

	spool_append(script, script_text, strlen(script_text));
	for (; *lines; lines++)
		past_failures_hear(&f, *lines);
	assert_int_equal(past_script_find(script, &f, &err), 0);
	r = past_failures_judge(&f, &scope, &err);
	assert_int_equal(r, refusal ? -ENOTSUP : 0);
	if (refusal && !strstr(err.message, refusal))
		fail_msg("%s", err.message);
}

static void test_script(void **state)
{
	static char geo[] = "geo", others[] = "order*";
	const char *const harmless[] = {"psql:<stdin>:11: ERROR:  function f() does not exist",
	                                "DETAIL:  psql:<stdin>:9: ERROR:  not one",
	                                "psql:<stdin>:9: NOTICE:  nothing",
	                                "psql:<stdin>:x: ERROR:  none",
	                                "psql:<stdin>:9: ERROR:  role \"app\" does not exist",
	                                NULL};
	const char *const table[] = {"psql:<stdin>:5: ERROR:  type \"geometry\" does not exist",
	                             "psql:<stdin>:7: ERROR:  relation \"public.geo\" does not exist", NULL};
	const char *const key[] = {"psql:<stdin>:9: ERROR:  relation \"public.x\" does not exist", NULL};
	const char *const early[] = {"psql:<stdin>:1: ERROR:  unrecognized", NULL};

	judge(harmless, NULL, NULL);
	judge(table, NULL, "TABLE geo");
	judge(table, (char *[]){geo, NULL}, NULL);
	judge(table, (char *[]){others, NULL}, "geometry");
	judge(key, (char *[]){geo, others, NULL}, "FK CONSTRAINT orders orders_fk");
	judge(early, NULL, "unrecognized");
}

static void test_many_failures(void **state)
{
	_cleanup(past_failures) struct past_failures f = {0};
	const struct past_scope scope = {.kind = TENANCY_COLUMN};
	_cleanup(spool) struct spool *script = spool_new("/tmp");
	struct error err = {0};

	for (int i = 0; i < PAST_FAILURES_MAX + 5; i++)
		past_failures_hear(&f, "psql:<stdin>:11: ERROR:  function f() does not exist");
	assert_int_equal(f.count, PAST_FAILURES_MAX);
	assert_int_equal(f.more, 5);
	spool_append(script, script_text, strlen(script_text));
	assert_int_equal(past_script_find(script, &f, &err), 0);
	assert_int_equal(past_failures_judge(&f, &scope, &err), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_folds),          cmocka_unit_test(test_folds_of_nothing),
	        cmocka_unit_test(test_fold_borders),   cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_rows),           cmocka_unit_test(test_others),
	        cmocka_unit_test(test_keys_of_two),    cmocka_unit_test(test_bad_rows),
	        cmocka_unit_test(test_too_many_keys),  cmocka_unit_test(test_types),
	        cmocka_unit_test(test_pairs_of_types), cmocka_unit_test(test_script),
	        cmocka_unit_test(test_many_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
