// SPDX-License-Identifier: Apache-2.0
/* Few facts of many runs and backups; and the sums by directory and by tier, which no reader adds up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <keepfs/catalog/facts.h>
#include <keepfs/catalog/overview.h>
#include <keepfs/policy/retention.h>
#include <sqlite3.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

static int64_t ended_run(struct fixture *f, const char *job, enum run_state state, const char *warning)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of(job, "uid 0"), &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	if (warning)
		assert_int_equal(catalog_warn_run(f->catalog, id, warning, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, state, state == RUN_FAILED ? "no" : NULL, NULL),
	                 0);
	return id;
}

struct told {
	struct str text;
	unsigned left;
};

static bool tell_outcome(void *arg, const struct catalog_outcome *o)
{
	struct told *told = arg;

	assert_true(o->queued_at_us > 0 && o->started_at_us >= o->queued_at_us &&
	            o->finished_at_us >= o->started_at_us);
	str_appendf(&told->text, "%" PRId64 " %s%s;", o->id, run_state_name(o->state), o->warned ? "!" : "");
	return --told->left > 0;
}

static void assert_told(struct told *told, const char *want)
{
	assert_string_equal(str_text(&told->text), want);
	str_finish(&told->text);
}

static void outcomes_are_those_of_a_job_the_newest_first(void **state)
{
	struct fixture *f = *state;
	struct told told = {.left = 10}, few = {.left = 2};

	ended_run(f, "full", RUN_COMPLETED, NULL);
	ended_run(f, "media", RUN_COMPLETED, NULL);
	ended_run(f, "full", RUN_FAILED, NULL);
	ended_run(f, "full", RUN_COMPLETED, "look");
	assert_int_equal(catalog_outcomes(f->catalog, "full", tell_outcome, &told), 0);
	assert_told(&told, "4 completed!;3 failed;1 completed;");
	assert_int_equal(catalog_outcomes(f->catalog, "full", tell_outcome, &few), 0);
	assert_told(&few, "4 completed!;3 failed;");
	assert_int_equal(catalog_outcomes(f->catalog, "nobody", tell_outcome, &few), 0);
	assert_told(&few, "");
}

static void tell_one_result(void *arg, const struct catalog_result *r)
{
	struct told *told = arg;

	str_appendf(&told->text, "%s %s %s %" PRIu64 " %s;", r->label, run_state_name(r->state), r->path,
	            r->size_bytes, r->error);
}

static void results_are_the_targets_of_a_run(void **state)
{
	struct fixture *f = *state;
	struct catalog_target good = {
	        .label = "b", .state = RUN_COMPLETED, .path = "backups/x", .size_bytes = 7};
	struct catalog_target bad = {.label = "a", .state = RUN_FAILED, .error = "denied"};
	struct told told = {.left = 0};
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "uid 0"), &id, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, id, &good, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, id, &bad, NULL), 0);
	assert_int_equal(catalog_results(f->catalog, id, 10, tell_one_result, &told), 0);
	assert_told(&told, "b completed backups/x 7 ;a failed  0 denied;");
	assert_int_equal(catalog_results(f->catalog, id, 1, tell_one_result, &told), 0);
	assert_told(&told, "b completed backups/x 7 ;");
}

static void tell_holding(void *arg, const struct catalog_holding *h)
{
	struct told *told = arg;

	str_appendf(&told->text, "%s %" PRIu64 " %" PRIu64 " %s;", h->path, h->artifacts, h->stored_bytes,
	            h->newest ? strrchr(h->newest->path, '/') + 1 : "-");
}

static void assert_holdings(struct fixture *f, const char *directory, const char *want)
{
	struct told told = {.left = 0};

	assert_int_equal(catalog_holdings(f->catalog, directory, 100, tell_holding, &told), 0);
	assert_told(&told, want);
}

static uint64_t ino_at_second(const char *directory, int64_t second)
{
	_cleanup(free) char *path = NULL;
	char name[NAME_MAX_BYTES];

	name_format((SECONDS + second) * 1000, ".dump", name);
	path = mem_printf("%s/%s", directory, name);
	return ino_of_artifact(path);
}

/* Nobody writes them yet but by SQL. */
static void change_by_sql(struct fixture *f, const char *sql)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void tell_tier(void *arg, const char *job, unsigned tiers, uint64_t artifacts, uint64_t stored_bytes)
{
	struct told *told = arg;

	str_appendf(&told->text, "%s %u %" PRIu64 " %" PRIu64 ";", job, tiers, artifacts, stored_bytes);
}

static void assert_tiers(struct fixture *f, const char *want)
{
	struct told told = {.left = 0};

	assert_int_equal(catalog_tier_totals(f->catalog, tell_tier, &told), 0);
	assert_told(&told, want);
}

static void a_holding_is_kept_true(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest beside = {0};
	uint64_t last = ino_at_second("backups/full", 2);

	assert_holdings(f, "backups/full", "");
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	fill_beside(&beside, "backups/full", (SECONDS + 1) * 1000, 2, 20);
	assert_int_equal(catalog_add_artifact(f->catalog, &beside, NULL), 0);
	assert_int_equal(add(f, "backups/full", (SECONDS + 2) * 1000, 3, 40), 0);
	assert_holdings(f, "backups/full", "backups/full 3 73 20261120T020002Z.dump;");
	/* Listing it again changes nothing. */
	assert_int_equal(add(f, "backups/full", (SECONDS + 2) * 1000, 3, 40), 0);
	assert_holdings(f, "backups/full", "backups/full 3 73 20261120T020002Z.dump;");
	assert_int_equal(catalog_mark_damaged(f->catalog, last, "flipped", NULL), 0);
	assert_holdings(f, "backups/full", "backups/full 3 73 20261120T020001Z.dump;");
	assert_int_equal(catalog_entomb_artifact(f->catalog, last, false, NULL), 0);
	assert_holdings(f, "backups/full", "backups/full 2 33 20261120T020001Z.dump;");
	assert_int_equal(catalog_drop_artifact(f->catalog, last, NULL), 0);
	assert_holdings(f, "backups/full", "backups/full 2 33 20261120T020001Z.dump;");
	reopen(f);
	assert_holdings(f, "backups/full", "backups/full 2 33 20261120T020001Z.dump;");
}

static void a_job_of_many_has_many_holdings(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(add(f, "backups/tenants/b", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/tenants/a", SECONDS * 1000, 1, 20), 0);
	assert_int_equal(add(f, "backups/tenants2/c", SECONDS * 1000, 2, 40), 0);
	assert_holdings(
	        f, "backups/tenants",
	        "backups/tenants/b 1 10 20261120T020000Z.dump;backups/tenants/a 1 20 20261120T020000Z.dump;");
}

static void tell_backup(void *arg, const struct catalog_backup *b)
{
	struct told *told = arg;

	str_appendf(&told->text, "%s %" PRIu64 "/%" PRIu64 " %s%s;", strrchr(b->path, '/') + 1, b->size_bytes,
	            b->stored_bytes, b->held_until_us == INT64_MAX ? "held " : "", str_or_empty(b->damaged));
}

static void the_newest_backups_come_first(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest beside = {0};
	struct told told = {.left = 0};

	fill_beside(&beside, "backups/full", (SECONDS + 1) * 1000, 2, 20);
	assert_int_equal(catalog_add_artifact(f->catalog, &beside, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/media", SECONDS * 1000, 3, 40), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_at_second("backups/full", 1), "flipped", NULL),
	                 0);
	change_by_sql(f,
	              "INSERT INTO hold SELECT ino, 'audit', '', 'x', 1, 0 FROM artifact WHERE run_id = 3");
	change_by_sql(f,
	              "INSERT INTO hold SELECT ino, 'short', '', 'x', 1, 5 FROM artifact WHERE run_id = 3");
	assert_int_equal(catalog_newest_backups(f->catalog, 2, tell_backup, &told), 0);
	assert_told(&told, "20261120T020000Z.dump 40/40 held ;20261120T020001Z.dump 20/23 flipped;");
}

static void tiers_are_summed_up(void **state)
{
	struct fixture *f = *state;

	assert_tiers(f, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(f, "backups/full", (SECONDS + i) * 1000, i + 1, 10), 0);
	assert_tiers(f, "full 0 3 30;");
	change_by_sql(f, "UPDATE artifact SET tiers = -1");
	assert_tiers(f, "full 0 3 30;");
	change_by_sql(f, "UPDATE artifact SET tiers = run_id > 1");
	assert_tiers(f, "full 0 1 10;full 1 2 20;");
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_at_second("backups/full", 1), false, NULL),
	                 0);
	assert_tiers(f, "full 0 1 10;full 1 1 10;");
	/* What is taken back counts again. */
	change_by_sql(f, "UPDATE artifact SET tomb = 0 WHERE tomb = 1");
	assert_tiers(f, "full 0 1 10;full 1 2 20;");
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_at_second("backups/full", 0), NULL), 0);
	assert_tiers(f, "full 1 2 20;");
}

static void facts_of_a_run_add_up(void **state)
{
	struct fixture *f = *state;
	int64_t sum = 0;

	for (int i = 0; i < 3; i++) {
		_cleanup(manifest) struct manifest m = {0};

		fill(&m, "backups/full", (SECONDS + i) * 1000, 7, 10);
		if (i > 0)
			manifest_set_fact_int(&m, "rows", 100 * i);
		assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	}
	assert_int_equal(catalog_fact_of_run(f->catalog, 7, "rows", 10, &sum), 0);
	assert_int_equal(sum, 300);
	assert_int_equal(catalog_fact_of_run(f->catalog, 7, "server_version", 10, &sum), -ENOENT);
	assert_int_equal(catalog_fact_of_run(f->catalog, 8, "rows", 10, &sum), -ENOENT);
	assert_int_equal(sum, 300);
}

static void add_with_fact(struct fixture *f, int day, const char *fact, bool partial)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", (SECONDS + day * 86400) * 1000, day + 1, 10);
	m.partial = partial;
	manifest_set_fact(&m, "largest_tables", fact);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void assert_fact_then(struct fixture *f, int by_day, const char *now, const char *then)
{
	struct catalog_fact_then fact;

	assert_int_equal(catalog_fact_then(f->catalog, "backups/full", "largest_tables",
	                                   (SECONDS + by_day * 86400) * US_PER_S, &fact),
	                 0);
	assert_string_equal(str_or_empty(fact.now), now);
	assert_string_equal(str_or_empty(fact.then), then);
	free(fact.now);
	free(fact.then);
}

static void a_fact_beside_that_of_before(void **state)
{
	struct fixture *f = *state;

	assert_fact_then(f, 0, "", "");
	add_with_fact(f, 0, NULL, false); /* of an earlier keepfs */
	assert_fact_then(f, 0, "", "");
	add_with_fact(f, 1, "[1]", false);
	assert_fact_then(f, 0, "[1]", "");
	assert_fact_then(f, 5, "[1]", "");
	add_with_fact(f, 2, "[2]", false);
	add_with_fact(f, 3, "[3]", false);
	add_with_fact(f, 4, "[4]", true);
	assert_fact_then(f, 2, "[3]", "[2]");
	/* All are younger: the oldest one. */
	assert_fact_then(f, 0, "[3]", "[1]");
}

static void add_encrypted(struct fixture *f, int nth, const char *fact, bool has_object)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", (SECONDS + nth) * 1000, nth + 1, 10);
	m.encrypted_to = mem_strdup("age1one, age1two");
	manifest_set_fact(&m, "format", "custom");
	manifest_set_fact(&m, MANIFEST_NAMING_FACT, fact);
	if (has_object) {
		_cleanup(free) char *key = manifest_facts_key(m.path);
		size_t index = manifest_add_object(&m, key);

		m.objects[index].role = mem_strdup(MANIFEST_ROLE_FACTS);
		m.objects[index].cipher = mem_strdup(MANIFEST_CIPHER_AGE);
	}
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void hidden_facts_are_learnt(void **state)
{
	struct fixture *f = *state;
	_cleanup(catalog_unlearned) struct catalog_unlearned u = {0}, none = {0};
	uint64_t ino;

	add_encrypted(f, 0, "[0]", true); /* known since it was made */
	add_encrypted(f, 1, NULL, false); /* has none */
	assert_int_equal(catalog_next_unlearned(f->catalog, 0, &u), -ENOENT);
	add_encrypted(f, 2, NULL, true);
	assert_int_equal(catalog_next_unlearned(f->catalog, 0, &u), 0);
	assert_non_null(strstr(u.key, ".facts"));
	assert_string_equal(u.cipher, MANIFEST_CIPHER_AGE);
	assert_string_equal(u.encrypted_to, "age1one, age1two");
	assert_int_equal(catalog_next_unlearned(f->catalog, u.ino, &none), -ENOENT);
	ino = u.ino;
	assert_int_equal(catalog_learn_facts(f->catalog, ino, "{\"largest_tables\":\"[2]\"}", NULL), 0);
	assert_int_equal(catalog_next_unlearned(f->catalog, 0, &none), -ENOENT);
	assert_fact_then(f, 0, "[2]", "[0]");
	/* One that was removed meanwhile, and what is no object. */
	assert_int_equal(catalog_learn_facts(f->catalog, ino + 1, "{}", NULL), 0);
	assert_true(catalog_learn_facts(f->catalog, ino, "{", NULL) < 0);
}

static void tell_line(void *arg, int64_t at_us, const char *line)
{
	struct told *told = arg;

	assert_true(at_us > 0);
	str_appendf(&told->text, "%s;", line);
}

static void the_end_of_a_log_is_in_order(void **state)
{
	struct fixture *f = *state;
	struct told told = {.left = 0};
	int64_t id = ended_run(f, "full", RUN_FAILED, NULL);

	assert_int_equal(catalog_log_end(f->catalog, id, 2, tell_line, &told), 0);
	assert_told(&told, "");
	for (int i = 0; i < 5; i++) {
		_cleanup(free) char *line = mem_printf("line %d", i);

		assert_int_equal(catalog_log_run(f->catalog, id, line, NULL), 0);
	}
	assert_int_equal(catalog_log_end(f->catalog, id, 2, tell_line, &told), 0);
	assert_told(&told, "line 3;line 4;");
}

#define OVERVIEW_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        OVERVIEW_TEST(outcomes_are_those_of_a_job_the_newest_first),
	        OVERVIEW_TEST(results_are_the_targets_of_a_run),
	        OVERVIEW_TEST(a_holding_is_kept_true),
	        OVERVIEW_TEST(a_job_of_many_has_many_holdings),
	        OVERVIEW_TEST(the_newest_backups_come_first),
	        OVERVIEW_TEST(tiers_are_summed_up),
	        OVERVIEW_TEST(facts_of_a_run_add_up),
	        OVERVIEW_TEST(a_fact_beside_that_of_before),
	        OVERVIEW_TEST(hidden_facts_are_learnt),
	        OVERVIEW_TEST(the_end_of_a_log_is_in_order),
	};

	return cmocka_run_group_tests_name("catalog_overview", tests, NULL, NULL);
}
