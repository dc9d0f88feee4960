// SPDX-License-Identifier: Apache-2.0
/* Which runs wait for which, what they say of that, and what they have for themselves: over a real catalog, with works that wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/runs.h>

#include "../../src/artifact/artifact_private.h"
#include "../../src/job/job_private.h"
#include "../support/tree.h"

struct lane_bench {
	struct make_context ctx; /* first: the works find the bench by it */
	struct repository repository;
	char state_dir[64];
	struct conf conf;
	struct jobs *jobs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned running; /* lock */
};

struct held_work {
	struct lane_bench *bench;
	bool cancelled; /* bench->lock */
};

static void wake_work(void *arg)
{
	struct held_work *held = arg;

	pthread_mutex_lock(&held->bench->lock);
	held->cancelled = true;
	pthread_cond_broadcast(&held->bench->changed);
	pthread_mutex_unlock(&held->bench->lock);
}

/* Until it is cancelled. */
static int work_waits(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                      struct error *err)
{
	struct lane_bench *b = (struct lane_bench *)ctx;
	struct held_work held = {.bench = b};
	struct cancel_hook hook = {.wake = wake_work, .arg = &held};

	cancel_add_hook(order->cancel, &hook);
	pthread_mutex_lock(&b->lock);
	b->running++;
	pthread_cond_broadcast(&b->changed);
	while (!held.cancelled)
		pthread_cond_wait(&b->changed, &b->lock);
	b->running--;
	pthread_mutex_unlock(&b->lock);
	cancel_remove_hook(order->cancel, &hook);
	return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
}

static void add_word(const char *word, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);

	t->name = mem_strdup(word);
	t->label = mem_strdup(word);
	t->directory = mem_strdup(word);
}

static int accept_anything(const struct make_context *ctx, const struct conf_job *job,
                           const struct make_wanted *wanted, struct error *err)
{
	return 0;
}

static int words_are_targets(const struct make_context *ctx, const struct conf_job *job,
                             const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	for (size_t i = 0; i < wanted->line->word_count; i++)
		add_word(wanted->line->words[i], ret);
	return 0;
}

/* Each word is claimed, and the artifact of that number stays. */
static int prepare_words(const struct make_context *ctx, const struct make_wanted *wanted,
                         struct make_targets *ret, struct error *err)
{
	words_are_targets(ctx, NULL, wanted, ret, err);
	for (size_t i = 0; i < ret->count; i++) {
		ret->items[i].claim = mem_printf("the database %s", ret->items[i].name);
		ret->items[i].stays_ino = ino_of_artifact(ret->items[i].name);
	}
	return 0;
}

static enum make_lane lane_of_verify(const struct command_line *line)
{
	return MAKE_LANE_VERIFY;
}

static enum make_lane lane_of_restore(const struct command_line *line)
{
	return MAKE_LANE_RESTORE;
}

static enum make_lane lane_of_drill(const struct command_line *line)
{
	return MAKE_LANE_DRILL;
}

static const struct make_kind verifying = {.name = "verify",
                                           .targets_name = "places",
                                           .lane = lane_of_verify,
                                           .accepts = accept_anything,
                                           .targets = words_are_targets,
                                           .make = work_waits};
static const struct make_kind restoring = {.name = "restore",
                                           .targets_name = "backups",
                                           .lane = lane_of_restore,
                                           .prepare = prepare_words,
                                           .make = work_waits};
static const struct make_kind drilling = {.name = "drill",
                                          .targets_name = "backups",
                                          .lane = lane_of_drill,
                                          .accepts = accept_anything,
                                          .targets = words_are_targets,
                                          .make = work_waits};

static void set_up_lanes(struct lane_bench *b)
{
	struct jobs_options options = {.hook_stop_ms = 50};
	struct error err = {0};

	*b = (struct lane_bench){.conf = {.parallel_runs = 1, .store.url = (char *)"dir:/objects"}};
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	log_set_level(0);
	str_copy(b->state_dir, sizeof(b->state_dir), "/tmp/keepfs-test-lanes-XXXXXX");
	assert_non_null(mkdtemp(b->state_dir));
	assert_int_equal(catalog_open(b->state_dir, &b->repository.catalog, &err), 0);
	b->ctx.conf = &b->conf;
	b->ctx.repository = &b->repository;
	options.ctx = &b->ctx;
	assert_int_equal(jobs_start(&options, &b->jobs, &err), 0);
}

static void tear_down_lanes(struct lane_bench *b)
{
	assert_null(jobs_free(b->jobs));
	catalog_free(b->repository.catalog);
	assert_int_equal(remove_tree(b->state_dir), 0);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
}

static int order_to(struct lane_bench *b, const struct make_kind *work, const char *text, int64_t *ret_id,
                    struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct catalog_run run = {0};
	int r = jobs_order_parse_work(work, text, &order, err);

	if (r == 0)
		r = jobs_submit(b->jobs, &order, "test", &run, err);
	if (r == 0)
		*ret_id = run.id;
	return r;
}

static int64_t begin(struct lane_bench *b, const struct make_kind *work, const char *text)
{
	struct error err = {0};
	int64_t id = 0;

	if (order_to(b, work, text, &id, &err) < 0)
		fail_msg("%s", err.message);
	return id;
}

static void wait_for_running(struct lane_bench *b, unsigned count)
{
	pthread_mutex_lock(&b->lock);
	while (b->running != count)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static void end_run(struct lane_bench *b, int64_t id)
{
	struct catalog_run run;

	assert_int_equal(jobs_cancel(b->jobs, id, NULL), 0);
	assert_int_equal(jobs_wait(b->jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
}

static void a_restore_waits_for_no_verify_and_no_drill(void **state)
{
	struct lane_bench b;
	int64_t first, second, third;
	struct report_progress p;

	set_up_lanes(&b);
	first = begin(&b, &verifying, "one/a");
	second = begin(&b, &verifying, "two/a");
	third = begin(&b, &verifying, "three/a");
	begin(&b, &drilling, "one/a");
	wait_for_running(&b, 3);
	assert_true(jobs_progress(b.jobs, third, &p));
	{
		_cleanup(free) char *want = mem_printf("run %lld (verify:one), run %lld (verify:two)",
		                                       (long long)first, (long long)second);

		assert_string_equal(p.waits_for, want);
	}
	assert_true(jobs_progress(b.jobs, first, &p));
	assert_string_equal(p.waits_for, "");
	begin(&b, &restoring, "one/a");
	wait_for_running(&b, 4);
	/* What has waited begins when there is room. */
	end_run(&b, first);
	wait_for_running(&b, 4);
	assert_true(jobs_progress(b.jobs, third, &p));
	assert_string_equal(p.waits_for, "");
	tear_down_lanes(&b);
}

/* Of one job several may be restored at once, as far as they are about different databases; those that wait say for what. */
static void restores_of_one_job(void **state)
{
	struct lane_bench b;
	int64_t first, second, third, id;
	struct error err = {0};
	struct report_progress p;

	set_up_lanes(&b);
	first = begin(&b, &restoring, "one/a");
	second = begin(&b, &restoring, "one/b");
	wait_for_running(&b, 2);
	third = begin(&b, &restoring, "one/c");
	assert_true(jobs_progress(b.jobs, third, &p));
	assert_non_null(strstr(p.waits_for, "(restore:one), run "));
	assert_int_equal(order_to(&b, &restoring, "one/a", &id, &err), -EBUSY);
	assert_non_null(strstr(err.message, "is at work on the database one/a"));
	/* Also one that waits has it. */
	assert_int_equal(order_to(&b, &restoring, "one/d one/c", &id, &err), -EBUSY);
	end_run(&b, third);
	id = begin(&b, &restoring, "one/d one/c");
	end_run(&b, id);
	end_run(&b, first);
	begin(&b, &restoring, "one/a");
	wait_for_running(&b, 2);
	end_run(&b, second);
	tear_down_lanes(&b);
}

/* From the moment at which it is ordered, also while it waits; until it has ended, however that is. */
static void backups_of_a_restore_are_kept(void **state)
{
	struct lane_bench b;
	struct error err = {0};
	uint64_t ino = ino_of_artifact("one/c");
	int64_t waiting;

	set_up_lanes(&b);
	begin(&b, &restoring, "one/a");
	begin(&b, &restoring, "one/b");
	wait_for_running(&b, 2);
	waiting = begin(&b, &restoring, "one/c");
	assert_int_equal(artifact_claim_removal(&b.repository, ino, "one/c", &err), -EBUSY);
	end_run(&b, waiting);
	assert_int_equal(artifact_claim_removal(&b.repository, ino, "one/c", &err), 0);
	artifact_end_claim(&b.repository, ino);
	jobs_stop(b.jobs, 0);
	ino = ino_of_artifact("one/a");
	assert_int_equal(artifact_claim_removal(&b.repository, ino, "one/a", &err), 0);
	artifact_end_claim(&b.repository, ino);
	tear_down_lanes(&b);
}

/* It was found, and then removed: nothing is begun with it. */
static void what_goes_when_it_is_ordered_is_not_restored(void **state)
{
	struct lane_bench b;
	uint64_t ino = ino_of_artifact("one/a");
	struct catalog_run run;
	int64_t id;

	set_up_lanes(&b);
	assert_int_equal(artifact_claim_removal(&b.repository, ino, "one/a", NULL), 0);
	id = begin(&b, &restoring, "one/a");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_non_null(strstr(run.error, "a backup was being removed when this was ordered"));
	artifact_end_claim(&b.repository, ino);
	tear_down_lanes(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_restore_waits_for_no_verify_and_no_drill),
	        cmocka_unit_test(restores_of_one_job),
	        cmocka_unit_test(backups_of_a_restore_are_kept),
	        cmocka_unit_test(what_goes_when_it_is_ordered_is_not_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
