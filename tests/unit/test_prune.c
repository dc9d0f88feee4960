// SPDX-License-Identifier: Apache-2.0
/* Retention as it is applied: to a store and a catalog, day after day, with everything that can go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/members.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/prune.h>

#define HOUR_US (INT64_C(3600) * US_PER_S)
#define DAY_US  (24 * HOUR_US)

struct world {
	struct conf conf;
	struct conf_job job;
	struct artifact_time time;
	struct prune_outcome outcome;
	int64_t run;
};

static struct world world_of(int64_t daily)
{
	struct world w = {.time = {.now_us = AT_US, .boot = "one", .boot_us = DAY_US}};

	w.job = (struct conf_job){.name = (char *)"full",
	                          .policy = {.schedule = (char *)"0 2 * * *",
	                                     .keep_daily = daily,
	                                     .keep_within_ms = -1,
	                                     .min_keep = 1},
	                          .timezone = (char *)"UTC",
	                          .week_starts = 1};
	w.conf = (struct conf){.job_count = 1, .timezone = (char *)""};
	return w;
}

static void go_on(struct world *w, int64_t us)
{
	w->time.now_us += us;
	w->time.boot_us += us;
}

/* As of a run that has read it back; the jobs of the world have one directory. */
static void make_at(struct fixture *f, struct world *w, const char *suffix, bool partial)
{
	const struct artifact_name name = {
	        .directory = "backups/full", .suffix = suffix, .at_us = w->time.now_us};
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;

	assert_int_equal(artifact_reserve(&f->repo, &name, ++w->run, &path, NULL), 0);
	describe_dump(&m, path, w->run);
	m.verified_at_us = m.finished_at_us;
	m.partial = partial;
	put_object_of(f, &m);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
}

static void make_now(struct fixture *f, struct world *w)
{
	make_at(f, w, ".dump", false);
}

static struct prune begin(struct fixture *f, struct world *w)
{
	struct prune p;

	w->conf.jobs = &w->job;
	assert_int_equal(prune_begin(&p, &f->repo, &w->conf, &w->time, NULL), 0);
	return p;
}

static void prune_with(struct fixture *f, struct world *w, const struct prune_order *order)
{
	struct prune p = begin(f, w);

	w->outcome = (struct prune_outcome){0};
	assert_int_equal(prune_directory(&p, "backups/full", order, &w->outcome, NULL), 0);
}

static void prune_now(struct fixture *f, struct world *w)
{
	prune_with(f, w, &(const struct prune_order){.by = "retention"});
}

static void confirm_now(struct fixture *f, struct world *w)
{
	prune_with(f, w, &(const struct prune_order){.by = "retention, uid 0 (bash)", .is_confirmed = true});
}

/* A day with its backup, and what it lets go. */
static void live_a_day(struct fixture *f, struct world *w)
{
	make_now(f, w);
	prune_now(f, w);
	go_on(w, DAY_US);
}

static size_t listed(struct fixture *f)
{
	struct catalog_entry directory = {0};

	if (catalog_entry_by_ino(f->catalog, ino_of_directory("backups/full"), &directory) < 0)
		return 0;
	return directory.files;
}

static struct catalog_retention state_of(struct fixture *f)
{
	struct catalog_retention state;

	assert_int_equal(catalog_retention(f->catalog, ino_of_directory("backups/full"), &state), 0);
	return state;
}

static void count_audit(void *arg, const struct catalog_audit *entry)
{
	if (strcmp(entry->action, "remove") == 0 && strcmp(entry->result, "ok") == 0 && entry->uid == -1)
		++*(unsigned *)arg;
}

static void a_window_slides(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(7);
	unsigned audited = 0;

	for (int day = 1; day <= 30; day++) {
		live_a_day(f, &w);
		assert_int_equal(w.outcome.refused + w.outcome.waiting + w.outcome.suspended, 0);
		assert_int_equal(listed(f), day < 7 ? day : 7);
	}
	assert_int_equal(catalog_audits(f->catalog, 0, count_audit, &audited), 0);
	assert_int_equal(audited, 23);
	assert_int_equal(state_of(f).kept, 7);
	assert_int_equal(state_of(f).due, 0);
	assert_non_null(strstr(state_of(f).rules, "daily 7"));
}

/* An outage of any length uses up nothing, whatever was there stays; and goes on with the first new one. */
static void an_outage_uses_up_nothing(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(7);

	for (int day = 0; day < 10; day++)
		live_a_day(f, &w);
	for (int day = 0; day < 60; day++) {
		prune_now(f, &w);
		assert_int_equal(w.outcome.removed, 0);
		go_on(&w, DAY_US);
	}
	live_a_day(f, &w);
	assert_int_equal(w.outcome.removed, 1);
	assert_int_equal(listed(f), 7);
}

/* A year in which one day in five has no backup, and one in ten several: each day there is what the rules say of all that
 * was ever made, since nothing that went comes back, and nothing that stays depends on what went. */
static void a_year_with_failures(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(7);
	struct retention_backup made[800], judged[800];
	char names[800][NAME_MAX_BYTES];
	struct retention_rules rules;
	struct zone *zone = NULL;
	size_t count = 0;

	w.job.policy.keep_weekly = 4;
	w.job.policy.keep_monthly = 3;
	w.job.week_starts = 0;
	conf_policy_rules(&w.job, &w.job.policy, &rules);
	assert_int_equal(zone_load("UTC", &zone, NULL), 0);
	srandom(1);
	for (int day = 0; day < 365; day++) {
		int times = random() % 5 == 0 ? 0 : random() % 10 == 0 ? 3 : 1;

		for (int i = 0; i < times; i++) {
			make_now(f, &w);
			name_format(name_first_sequence(w.time.now_us), ".dump", names[count]);
			made[count++] = (struct retention_backup){.at_s = w.time.now_us / US_PER_S};
			prune_now(f, &w);
			assert_int_equal(w.outcome.refused + w.outcome.waiting, 0);
			go_on(&w, HOUR_US);
		}
		go_on(&w, DAY_US - times * HOUR_US);
		memcpy(judged, made, sizeof(made));
		retention_plan(&rules, zone, w.time.now_us / US_PER_S, judged, count);
		for (size_t i = 0; i < count; i++) {
			_cleanup(free) char *path = mem_printf("backups/full/%s", names[i]);

			if (is_listed(f, path) != (judged[i].reasons != 0))
				fail_msg("day %d: %s is %s", day, path, judged[i].reasons ? "gone" : "there");
		}
	}
	zone_free(zone);
}

static void a_new_policy_waits(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(0);

	w.conf.policy_delay_ms = 24 * 3600 * 1000;
	for (int day = 0; day < 10; day++)
		live_a_day(f, &w);
	assert_int_equal(listed(f), 10);
	w.job.policy.keep_daily = 9;
	make_now(f, &w);
	prune_now(f, &w);
	assert_int_equal(w.outcome.waiting, 1);
	assert_non_null(strstr(w.outcome.why, "the rules were: forever; now they are: daily 9"));
	assert_int_equal(listed(f), 11);
	assert_int_equal(strlen(state_of(f).waits_plan), 8);
	/* Nobody has confirmed it for a day. */
	go_on(&w, DAY_US - HOUR_US);
	prune_now(f, &w);
	assert_int_equal(w.outcome.waiting, 1);
	go_on(&w, HOUR_US);
	prune_now(f, &w);
	assert_int_equal(w.outcome.removed, 2);
	assert_int_equal(listed(f), 9);
	assert_string_equal(state_of(f).waits_why, "");
}

static void a_confirmed_one_does_not_wait(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(0);

	w.conf.policy_delay_ms = 24 * 3600 * 1000;
	for (int day = 0; day < 10; day++)
		live_a_day(f, &w);
	w.job.policy.keep_daily = 2;
	make_now(f, &w);
	prune_now(f, &w);
	assert_int_equal(w.outcome.waiting, 1);
	confirm_now(f, &w);
	assert_int_equal(w.outcome.removed, 9);
	assert_int_equal(listed(f), 2);
}

/* Other rules again, or a time zone: whoever has seen the first has not seen these. */
static void another_change_waits_anew(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(0);

	w.conf.policy_delay_ms = 24 * 3600 * 1000;
	for (int day = 0; day < 10; day++)
		live_a_day(f, &w);
	w.job.policy.keep_daily = 9;
	make_now(f, &w);
	prune_now(f, &w);
	go_on(&w, 20 * HOUR_US);
	w.job.policy.keep_daily = 3;
	prune_now(f, &w);
	go_on(&w, 20 * HOUR_US);
	prune_now(f, &w);
	assert_int_equal(w.outcome.waiting, 1);
	w.job.timezone = (char *)"Asia/Tokyo";
	go_on(&w, 4 * HOUR_US);
	prune_now(f, &w);
	assert_int_equal(w.outcome.waiting, 1);
	assert_int_equal(listed(f), 11);
}

/* Not by another policy: many at once, because pruning did not come to it for long. */
static void many_at_once_wait(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(7);

	w.conf.policy_delay_ms = 24 * 3600 * 1000;
	for (int day = 0; day < 8; day++)
		live_a_day(f, &w);
	for (int day = 0; day < 5; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	prune_now(f, &w);
	assert_int_equal(w.outcome.waiting, 1);
	assert_non_null(strstr(w.outcome.why, "it removes 5 of 12 backups"));
}

static void new_ones_that_stay_out_suspend_it(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);

	for (int day = 0; day < 3; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, 2 * DAY_US);
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	assert_non_null(strstr(state_of(f).suspended_why, "new ones stay out"));
	assert_int_equal(listed(f), 3);
}

static void one_that_was_not_read_back_replaces_none(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);
	_cleanup(free) char *first = make_dump(f, 1, w.time.now_us), *second = NULL;

	go_on(&w, DAY_US);
	second = make_dump(f, 2, w.time.now_us);
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	assert_non_null(strstr(w.outcome.why, "was not read back"));
	assert_true(is_listed(f, first));
	assert_int_equal(catalog_set_verified(f->catalog, ino_of_artifact(second), w.time.now_us, NULL), 0);
	confirm_now(f, &w);
	assert_int_equal(w.outcome.removed, 1);
	assert_false(is_listed(f, first));
}

static void nothing_goes_by_a_wrong_clock(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);

	for (int day = 0; day < 3; day++) {
		make_now(f, &w);
		if (day < 2)
			prune_now(f, &w);
		go_on(&w, DAY_US);
	}
	/* The host was up for a day; its clock says that it was a year. */
	w.time.now_us += 365 * DAY_US;
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	assert_non_null(strstr(w.outcome.why, "it has jumped by more than a day"));
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	/* Set right again. */
	w.time.now_us -= 365 * DAY_US;
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 0);
	assert_int_equal(listed(f), 2);
}

static void a_clock_that_was_set_back_is_believed_when_somebody_says_so(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);

	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		if (day == 1)
			prune_now(f, &w);
		go_on(&w, DAY_US);
	}
	w.time.now_us -= HOUR_US;
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	assert_non_null(strstr(w.outcome.why, "it was set back"));
	assert_int_equal(artifact_trust_clock(&f->repo, &w.time, NULL), 0);
	confirm_now(f, &w);
	assert_int_equal(w.outcome.suspended, 0);
	assert_int_equal(listed(f), 2);
}

static void what_is_held_or_promised_stays(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);
	struct catalog_hold hold = {.name = "audit", .reason = "audit 2026", .by = "uid 0 (bash)"};
	uint64_t first;

	make_now(f, &w);
	first = ino_of_artifact("backups/full/20261120T020000Z.dump");
	hold.until_us = w.time.now_us + 10 * DAY_US;
	assert_int_equal(artifact_hold(&f->repo, first, &hold, NULL), 0);
	assert_true(is_stored(f, "holds/backups/full/20261120T020000Z.dump.json"));
	for (int day = 0; day < 9; day++) {
		go_on(&w, DAY_US);
		make_now(f, &w);
		prune_now(f, &w);
	}
	assert_int_equal(listed(f), 3);
	assert_true(is_listed(f, "backups/full/20261120T020000Z.dump"));
	go_on(&w, DAY_US);
	live_a_day(f, &w);
	assert_false(is_listed(f, "backups/full/20261120T020000Z.dump"));
	assert_false(is_stored(f, "holds/backups/full/20261120T020000Z.dump.json"));
}

/* When the first of a day is damaged the next one stands for that day, and the damaged one goes then. */
/* It is put off until its date, told with it, and goes by itself then. */
static void what_is_locked_stays_until_its_date(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(7);
	uint64_t first = ino_of_artifact("backups/full/20261120T020000Z.dump");
	struct catalog_lock lock = {.mode = 1, .until_us = w.time.now_us + 12 * DAY_US};

	live_a_day(f, &w);
	assert_int_equal(catalog_set_lock(f->catalog, first, &lock, NULL), 0);
	for (int day = 2; day <= 20; day++) {
		live_a_day(f, &w);
		assert_int_equal(w.outcome.refused + w.outcome.waiting + w.outcome.suspended, 0);
		assert_int_equal(listed(f), day < 7 ? day : day >= 8 && day <= 12 ? 8 : 7);
		assert_int_equal(is_listed(f, "backups/full/20261120T020000Z.dump"), day <= 12);
	}
}

static void a_damaged_one_makes_room_for_the_next(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(3);

	make_now(f, &w);
	go_on(&w, HOUR_US);
	make_now(f, &w);
	assert_int_equal(catalog_mark_damaged(f->catalog,
	                                      ino_of_artifact("backups/full/20261120T020000Z.dump"),
	                                      "flipped", NULL),
	                 0);
	go_on(&w, DAY_US - HOUR_US);
	live_a_day(f, &w);
	assert_false(is_listed(f, "backups/full/20261120T020000Z.dump"));
	assert_true(is_listed(f, "backups/full/20261120T030000Z.dump"));
}

static void a_damaged_one_without_another_stays(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);

	make_now(f, &w);
	assert_int_equal(catalog_mark_damaged(f->catalog,
	                                      ino_of_artifact("backups/full/20261120T020000Z.dump"),
	                                      "flipped", NULL),
	                 0);
	for (int day = 0; day < 4; day++) {
		go_on(&w, DAY_US);
		make_now(f, &w);
		prune_now(f, &w);
	}
	assert_true(is_listed(f, "backups/full/20261120T020000Z.dump"));
	assert_int_equal(listed(f), 2);
}

/* They are compared with each other only, and take the place of none that is whole. */
static void partial_ones_are_by_themselves(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);

	for (int day = 0; day < 6; day++) {
		make_at(f, &w, ".schema.dump", true);
		go_on(&w, 60 * US_PER_S);
		if (day < 2)
			make_now(f, &w);
		prune_now(f, &w);
		go_on(&w, DAY_US - 60 * US_PER_S);
	}
	assert_true(is_listed(f, "backups/full/20261120T020100Z.dump"));
	assert_true(is_listed(f, "backups/full/20261121T020100Z.dump"));
	assert_true(is_listed(f, "backups/full/20261125T020000Z.schema.dump"));
}

static void of_a_job_that_is_gone_all_stays(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);

	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	w.conf.job_count = 0;
	confirm_now(f, &w);
	assert_int_equal(w.outcome.removed, 0);
	assert_int_equal(listed(f), 4);
}

/* What no store answers for is put off, and is no reason to keep the others. */
static void a_store_that_refuses_puts_it_off(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);
	struct artifact_recovery recovery;

	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	open_store(f, "remove:1+:eio");
	prune_now(f, &w);
	assert_int_equal(w.outcome.refused, 3);
	assert_int_equal(state_of(f).refused, 3);
	assert_int_equal(listed(f), 1);
	assert_true(is_stored(f, "manifests/backups/full/20261120T020000Z.dump.json"));
	open_store(f, "");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 3);
	assert_false(is_stored(f, "manifests/backups/full/20261120T020000Z.dump.json"));
}

static bool has_suspicious(struct fixture *f, const char *path)
{
	_cleanup(free) char *key = manifest_key(path);

	return is_listed(f, path) != is_stored(f, key);
}

/* What nobody may delete stays a backup that is listed; it is tried again, and goes when the right is there. */
static void what_the_store_does_not_let_go_is_listed(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);

	for (int day = 0; day < 12; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	confirm_now(f, &w); /* the rules, which are new */
	open_store(f, "remove:1+:denied");
	for (int day = 0; day < 3; day++) {
		unsigned long long removes = calls_of(f, STORE_CALL_REMOVE);

		go_on(&w, DAY_US);
		make_now(f, &w);
		prune_now(f, &w);
		assert_int_equal(listed(f), 2 + day);
		assert_int_equal(w.outcome.removed, 0);
		assert_int_equal(w.outcome.refused, 1 + day);
		assert_int_equal(state_of(f).refused, 1 + day);
		assert_non_null(strstr(state_of(f).refused_why, "no right to do that"));
		assert_non_null(strstr(state_of(f).refused_why, "is still listed"));
		assert_int_equal(count_pending(f), 0);
		assert_int_equal(calls_of(f, STORE_CALL_REMOVE) - removes, 1 + day);
	}
	assert_false(has_suspicious(f, "backups/full/20261201T010000Z.dump"));
	open_store(f, "");
	prune_now(f, &w);
	assert_int_equal(w.outcome.removed, 3);
	assert_int_equal(w.outcome.refused, 0);
	assert_int_equal(state_of(f).refused, 0);
	assert_int_equal(listed(f), 1);
}

/* Each that is tried is gone for a moment from the eyes of whoever lists them: so not all are. */
static void a_store_that_forbids_all_is_asked_a_few_times(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);

	for (int day = 0; day < 12; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	open_store(f, "remove:1+:denied");
	confirm_now(f, &w);
	assert_int_equal(w.outcome.refused, 11);
	assert_int_equal(state_of(f).refused, 11);
	assert_int_equal(calls_of(f, STORE_CALL_REMOVE), 3);
	assert_int_equal(listed(f), 12);
	/* It was confirmed, and is not to be again. */
	assert_string_equal(state_of(f).waits_why, "");
	/* One that cannot go is no reason to keep the others. */
	open_store(f, "remove:1:denied");
	go_on(&w, 60 * US_PER_S);
	confirm_now(f, &w);
	assert_int_equal(w.outcome.removed, 10);
	assert_int_equal(w.outcome.refused, 1);
	assert_int_equal(listed(f), 2);
}

static unsigned count_audited(struct fixture *f)
{
	unsigned audited = 0;

	assert_int_equal(catalog_audits(f->catalog, 0, count_audit, &audited), 0);
	return audited;
}

/* Once, whoever ends it. */
static void a_removal_is_told_when_it_is_done(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);
	struct artifact_recovery recovery;

	for (int day = 0; day < 3; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	open_store(f, "remove:1+:eio");
	prune_now(f, &w);
	assert_int_equal(listed(f), 1);
	assert_int_equal(count_audited(f), 0);
	open_store(f, "");
	for (int i = 0; i < 2; i++)
		assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(count_audited(f), 2);
	prune_now(f, &w);
	assert_int_equal(count_audited(f), 2);
}

/* An older catalog was put back: the store knows who holds it. */
static void what_only_the_store_knows_to_be_held_stays(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);
	struct catalog_hold hold = {.name = "audit", .reason = "audit 2026", .by = "uid 0 (bash)"}, found[2];
	uint64_t first = ino_of_artifact("backups/full/20261120T020000Z.dump");

	for (int day = 0; day < 3; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	assert_int_equal(artifact_hold(&f->repo, first, &hold, NULL), 0);
	assert_int_equal(catalog_drop_hold(f->catalog, first, "audit", NULL), 0);
	/* A store that does not say whether anybody holds it is no reason to let it go. */
	open_store(f, "head:1+:eio");
	prune_now(f, &w);
	assert_int_equal(w.outcome.refused, 2);
	assert_non_null(strstr(w.outcome.why, "it cannot be found out who holds it"));
	assert_int_equal(listed(f), 3);
	open_store(f, "");
	prune_now(f, &w);
	assert_int_equal(w.outcome.removed, 1);
	assert_non_null(strstr(w.outcome.why, "audit: audit 2026 (by uid 0 (bash))"));
	assert_true(is_listed(f, "backups/full/20261120T020000Z.dump"));
	assert_int_equal(catalog_holds(f->catalog, first, found, 2), 1);
	prune_now(f, &w);
	assert_int_equal(w.outcome.refused, 0);
	assert_int_equal(listed(f), 2);
}

static void lose_in_store(struct fixture *f, const char *path)
{
	_cleanup(free) char *key = manifest_key(path);

	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, path, NULL), 0);
}

/* The store was put back to how it was two days ago: what the catalog takes for the newest is not there. */
static void what_is_not_there_takes_nobodys_place(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(3);

	for (int day = 0; day < 5; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	lose_in_store(f, "backups/full/20261123T020000Z.dump");
	lose_in_store(f, "backups/full/20261124T020000Z.dump");
	make_now(f, &w);
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	assert_int_equal(w.outcome.removed + w.outcome.refused, 0);
	assert_non_null(strstr(state_of(f).suspended_why, "the store lacks 2 of the backups"));
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 0);
	assert_string_equal(state_of(f).suspended_why, "");
	assert_int_equal(w.outcome.removed, 1); /* the first: three others are there */
	assert_true(is_listed(f, "backups/full/20261121T020000Z.dump"));
	assert_true(is_listed(f, "backups/full/20261122T020000Z.dump"));
	assert_true(is_listed(f, "backups/full/20261125T020000Z.dump"));
	/* They may come back. */
	assert_true(is_listed(f, "backups/full/20261123T020000Z.dump"));
}

static void a_store_that_does_not_say_what_it_has_loses_nothing(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);

	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	open_store(f, "list:1+:eio");
	prune_now(f, &w);
	assert_int_equal(w.outcome.suspended, 1);
	assert_int_equal(listed(f), 4);
	assert_non_null(strstr(w.outcome.why, "does not say whether it has those that are to stay"));
	open_store(f, "");
	prune_now(f, &w);
	assert_int_equal(listed(f), 2);
}

/* By a clock that was set back the time in the trash would be over at once. */
static void the_trash_does_not_believe_a_clock_that_was_set_back(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(0);
	struct catalog_trashed t;
	uint64_t first = ino_of_artifact("backups/full/20261120T020000Z.dump");
	int64_t seen_us;
	struct prune p;

	w.conf.trash_ms = INT64_C(3) * 24 * 3600 * 1000;
	for (int day = 0; day < 3; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	prune_now(f, &w);
	seen_us = w.time.now_us;
	go_on(&w, -365 * DAY_US);
	p = begin(f, &w);
	assert_int_equal(prune_remove(&p, first, "me", NULL, NULL), 0);
	assert_int_equal(catalog_trash_find(f->catalog, first, &t), 0);
	assert_int_equal(t.until_us, seen_us + 3 * DAY_US);
}

/* The process ends at the n-th call of the store: after a start and another run all is as if it had not. */
static void it_may_end_at_any_call(void **state)
{
	for (unsigned n = 1;; n++) {
		_cleanup(free) char *faults = mem_printf("*:%u+:eio", n);
		struct fixture *f;
		struct world w = world_of(2);
		struct artifact_recovery recovery = {0};
		void *own = NULL;
		bool died;

		set_up(&own);
		f = own;
		w.conf.trash_ms = n % 2 ? 0 : 3 * 24 * 3600 * 1000;
		for (int day = 0; day < 5; day++) {
			make_now(f, &w);
			go_on(&w, DAY_US);
		}
		go_on(&w, -HOUR_US);
		open_store(f, faults);
		prune_now(f, &w);
		died = w.outcome.refused > 0;
		open_store(f, "");
		assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
		assert_true(listed(f) >= 2);
		prune_now(f, &w);
		assert_int_equal(listed(f), 2);
		assert_true(is_listed(f, "backups/full/20261123T020000Z.dump"));
		assert_true(is_listed(f, "backups/full/20261124T020000Z.dump"));
		tear_down(&own);
		if (!died && n > 2)
			break;
	}
}

static bool stop_at_second(void *arg)
{
	return ++*(unsigned *)arg > 1;
}

static void it_can_be_stopped_between_two(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(1);
	unsigned asked = 0;

	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	go_on(&w, -HOUR_US);
	prune_with(f, &w,
	           &(const struct prune_order){.by = "retention", .stop = stop_at_second, .arg = &asked});
	assert_int_equal(w.outcome.removed, 1);
	assert_int_equal(listed(f), 3);
	prune_now(f, &w);
	assert_int_equal(listed(f), 1);
}

static void ignore_change(void *arg, enum catalog_member_change change, const struct catalog_member *m)
{
}

/* Of a database that is gone everything stays for so long, and then nothing. */
static void a_database_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);
	struct catalog_place place = {.ino = ino_of_directory("backups/full")};
	struct prune_plan plan = {0};
	struct prune p;
	char *query[] = {"SELECT name FROM tenants", NULL};
	const struct catalog_named other = {.name = "other"};
	struct catalog_reading reading = {.job = "full", .rows = &other, .count = 1};

	w.job.dump.databases = query;
	w.job.keep_deleted_ms = INT64_C(30) * 24 * 3600 * 1000;
	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	str_copy(place.path, sizeof(place.path), "backups/full");
	str_copy(place.job, sizeof(place.job), "full");
	place.gone_since_us = w.time.now_us;
	p = begin(f, &w);
	assert_int_equal(prune_plan(&p, &place, &plan, NULL), 0);
	assert_int_equal(plan.due, 0);
	assert_true(plan.backups[0].reasons & RETENTION_GONE);
	prune_plan_finish(&plan);
	go_on(&w, 31 * DAY_US);
	/* Its last word is from before that: what it says now is not known. */
	p = begin(f, &w);
	assert_int_equal(prune_plan(&p, &place, &plan, NULL), 0);
	assert_int_equal(plan.due, 0);
	prune_plan_finish(&plan);
	reading.at_us = w.time.now_us;
	assert_int_equal(catalog_read_members(f->catalog, &reading, ignore_change, NULL, NULL), 0);
	p = begin(f, &w);
	assert_int_equal(prune_plan(&p, &place, &plan, NULL), 0);
	assert_int_equal(plan.due, 4);
	assert_non_null(strstr(plan.rules_text, "its database is gone: nothing stays"));
	prune_plan_finish(&plan);
	/* Named by the job itself, it is backed up, whatever a registry once said. */
	query[0] = "shop";
	p = begin(f, &w);
	assert_int_equal(prune_plan(&p, &place, &plan, NULL), 0);
	assert_int_equal(plan.due, 0);
	prune_plan_finish(&plan);
}

/* The same of a tenant, by the rules of [export], which are no others' rules. */
static void a_tenant_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(2);
	struct catalog_place place = {.ino = ino_of_directory("backups/full")};
	const struct catalog_named other = {.name = "other"};
	struct catalog_reading reading = {.job = "exports", .rows = &other, .count = 1};
	struct prune_plan plan = {0};
	struct prune p;

	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	w.job.kind = CONF_JOB_EXPORT;
	w.job.name = (char *)"exports";
	w.job.keep_deleted_ms = INT64_C(30) * 24 * 3600 * 1000;
	str_copy(place.path, sizeof(place.path), "exports/acme");
	str_copy(place.job, sizeof(place.job), "exports");
	place.gone_since_us = w.time.now_us;
	go_on(&w, 31 * DAY_US);
	reading.at_us = w.time.now_us;
	assert_int_equal(catalog_read_members(f->catalog, &reading, ignore_change, NULL, NULL), 0);
	p = begin(f, &w);
	assert_int_equal(prune_plan(&p, &place, &plan, NULL), 0);
	assert_int_equal(plan.due, 4);
	assert_non_null(strstr(plan.rules_text, "its tenant is gone: nothing stays"));
	prune_plan_finish(&plan);
	/* What a job of databases of that name has left. */
	str_copy(place.path, sizeof(place.path), "backups/exports");
	p = begin(f, &w);
	assert_int_equal(prune_plan(&p, &place, &plan, NULL), 0);
	assert_null(plan.job);
	assert_int_equal(plan.due, 0);
	prune_plan_finish(&plan);
}

/* A clock that was handed in is one of no boot: days pass by as they are told. */
static void by_hand_the_newest_stays(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(0);
	struct error err = {0};
	struct prune p;

	w.job.policy.min_keep = 3;
	for (int day = 0; day < 4; day++) {
		make_now(f, &w);
		go_on(&w, DAY_US);
	}
	p = begin(f, &w);
	assert_int_equal(
	        prune_remove(&p, ino_of_artifact("backups/full/20261123T020000Z.dump"), "me", NULL, &err),
	        -EPERM);
	assert_non_null(strstr(err.message, "is the newest good backup"));
	assert_int_equal(
	        prune_remove(&p, ino_of_artifact("backups/full/20261120T020000Z.dump"), "me", NULL, &err), 0);
	assert_int_equal(
	        prune_remove(&p, ino_of_artifact("backups/full/20261121T020000Z.dump"), "me", NULL, &err),
	        -EPERM);
	assert_non_null(strstr(err.message, "min_keep = 3"));
}

/* Made by an earlier keepfs: their tiers are found out by what is there. */
static void what_has_no_tiers_gets_them(void **state)
{
	struct fixture *f = *state;
	struct world w = world_of(0);
	_cleanup(manifest) struct manifest m = {0};
	struct prune p;

	make_now(f, &w);
	go_on(&w, HOUR_US);
	make_now(f, &w);
	p = begin(f, &w);
	assert_int_equal(prune_tag_all(&p, NULL), 0);
	assert_int_equal(
	        catalog_manifest(f->catalog, ino_of_artifact("backups/full/20261120T020000Z.dump"), &m), 0);
	assert_true(m.tiers_known);
	assert_int_equal(m.tiers, RETENTION_TIERS);
	manifest_finish(&m);
	m = (struct manifest){0};
	assert_int_equal(
	        catalog_manifest(f->catalog, ino_of_artifact("backups/full/20261120T030000Z.dump"), &m), 0);
	assert_true(m.tiers_known);
	assert_int_equal(m.tiers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_window_slides),
	        TEST(an_outage_uses_up_nothing),
	        TEST(a_year_with_failures),
	        TEST(a_new_policy_waits),
	        TEST(a_confirmed_one_does_not_wait),
	        TEST(another_change_waits_anew),
	        TEST(many_at_once_wait),
	        TEST(new_ones_that_stay_out_suspend_it),
	        TEST(one_that_was_not_read_back_replaces_none),
	        TEST(nothing_goes_by_a_wrong_clock),
	        TEST(a_clock_that_was_set_back_is_believed_when_somebody_says_so),
	        TEST(what_is_held_or_promised_stays),
	        TEST(what_is_locked_stays_until_its_date),
	        TEST(a_damaged_one_makes_room_for_the_next),
	        TEST(a_damaged_one_without_another_stays),
	        TEST(partial_ones_are_by_themselves),
	        TEST(of_a_job_that_is_gone_all_stays),
	        TEST(a_store_that_refuses_puts_it_off),
	        TEST(what_the_store_does_not_let_go_is_listed),
	        TEST(a_store_that_forbids_all_is_asked_a_few_times),
	        TEST(a_removal_is_told_when_it_is_done),
	        TEST(what_only_the_store_knows_to_be_held_stays),
	        TEST(what_is_not_there_takes_nobodys_place),
	        TEST(a_store_that_does_not_say_what_it_has_loses_nothing),
	        TEST(the_trash_does_not_believe_a_clock_that_was_set_back),
	        cmocka_unit_test(it_may_end_at_any_call),
	        TEST(it_can_be_stopped_between_two),
	        TEST(a_database_that_is_gone),
	        TEST(a_tenant_that_is_gone),
	        TEST(by_hand_the_newest_stays),
	        TEST(what_has_no_tiers_gets_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
