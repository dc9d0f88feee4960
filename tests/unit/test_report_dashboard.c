// SPDX-License-Identifier: Apache-2.0
/* status/dashboard.html: what it tells, that no text becomes markup, and that it stays small. */
#include "report_test.h"

#include "../../src/report/dashboard.h"
#include "../support/demo_history.h"
#include "../support/manifests.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/codec/json.h>

#define PAGE_MAX_BYTES 2000000
#define MORNING_US     (AT_US + 7 * 3600 * US_PER_S) /* 2026-11-20T09:00:00Z */

static void load_demo(struct fixture *f, const char *name)
{
	const struct demo *demo = demo_find(name);

	assert_non_null(demo);
	demo->configure(&f->conf);
	f->conf.timezone = (char *)"UTC0";
	f->sources.now_us = MORNING_US;
	demo->fill(f->catalog, MORNING_US);
}

/* Each page is made once, for the tests that only look at it: under a sanitizer its history takes seconds. Return: on the heap. */
static char *page_of(struct fixture *f, const char *name)
{
	static struct {
		const char *name;
		char *page;
	} made[5];
	size_t i = 0;

	while (i < ARRAY_SIZE(made) && made[i].name && strcmp(made[i].name, name) != 0)
		i++;
	assert_true(i < ARRAY_SIZE(made));
	if (!made[i].name) {
		load_demo(f, name);
		made[i].page = written_by(f, report_dashboard);
		made[i].name = name;
		demo_conf_finish(&f->conf);
	}
	return mem_strdup(made[i].page);
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
		count++;
	return count;
}

static void assert_has_not(const char *text, const char *part)
{
	const char *at = strstr(text, part);

	if (at)
		fail_msg("there is %s in: %.300s", part, at > text + 100 ? at - 100 : text);
}

/* The line of a job or database, from its beginning to the next one's; on the heap. */
static char *line_of(const char *page, const char *name)
{
	_cleanup(free) char *heading = mem_printf("<bdi>%s</bdi>", name);

	for (const char *at = strstr(page, "<tbody class=\"line "), *end; at; at = end) {
		const char *row;

		end = strstr(at + 1, "<tbody class=\"line ");
		row = strstr(at, heading);
		if (row && (!end || row < end))
			return strndup(at, end ? (size_t)(end - at) : strlen(at));
	}
	fail_msg("there is no line of %s", name);
	return NULL;
}

static void no_text_becomes_markup(void **state)
{
	_cleanup(free) char *page = page_of(*state, "hostile");

	/* The data and the script, and nobody else's. */
	assert_int_equal(count_of(page, "<script"), 2);
	assert_int_equal(count_of(page, "</script"), 2);
	assert_has_not(page, "<img");
	assert_has_not(page, "onerror=window.hit=1>\"");
	assert_has_not(page, "<h1>owned");
	assert_has_not(page, "</pre><h1");
	assert_has_not(page, "<b>x</b>");
	assert_has(page, "&lt;/script&gt;&lt;script&gt;window.hit=1");
	assert_has(page, "&lt;/pre&gt;&lt;h1&gt;owned&lt;/h1&gt;");
}

static void what_a_browser_would_obey_is_not_there(void **state)
{
	_cleanup(free) char *page = page_of(*state, "hostile");

	assert_has_not(page, "\xe2\x80\xae");
	assert_has_not(page, "\x1b");
	for (const char *at = page; *at;) {
		size_t n = str_utf8_char(at);

		assert_true(n > 0);
		at += n;
	}
	/* Names from right to left do not turn what stands behind them. */
	assert_has(page, "<bdi>\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d</bdi>");
}

static struct json *data_of(const char *page)
{
	const char *open = strstr(page, "id=\"data\">") + strlen("id=\"data\">");
	size_t len = (size_t)(strstr(open, "</script>") - open);
	struct error err = {0};
	struct json *data;

	for (size_t i = 0; i < len; i++)
		assert_true(open[i] != '<' && open[i] != '>' && open[i] != '&');
	data = json_parse(open, len, &err);
	assert_non_null(data);
	return data;
}

static void data_is_json_that_ends_no_script(void **state)
{
	_cleanup(free) char *page = page_of(*state, "hostile");
	_cleanup(json) struct json *data = data_of(page);

	assert_string_equal(json_get_string(data, "made"), "2026-11-20T09:00:00.000000Z");
	assert_int_equal(json_count(json_get(data, "jobs")), 2);
}

static void lines_for_a_shell_are_quoted(void **state)
{
	_cleanup(free) char *page = page_of(*state, "hostile");

	assert_has(page,
	           "<code>cp &#39;/mnt/a&#39;\\&#39;&#39;b $(touch /tmp/x)&quot;&lt;b&gt;/backups/full/");
	assert_has(
	        page,
	        "<code>createdb -T template0 &#39;a&#39;\\&#39;&#39; ; rm -rf / #_restored&#39; &amp;&amp; "
	        "pg_restore -j 4 -d &#39;a&#39;\\&#39;&#39; ; rm -rf / #_restored&#39; ");
	/* What libpq would take for a server's address. */
	assert_has(
	        page,
	        "-d &#39;dbname=&#39;\\&#39;&#39;postgresql://evil.example/x?a=b_restored&#39;\\&#39;&#39;&#39; ");
	/* A name that cannot be shown as it is gets no line that only looks like it. */
	assert_has_not(page, "window.hit=1&lt;/script&gt;_restored");
}

static void much_stays_small(void **state)
{
	_cleanup(free) char *page = page_of(*state, "large");

	assert_true(strlen(page) < PAGE_MAX_BYTES);
	/* One line, or what is left out, says that there are more. */
	assert_int_equal(count_of(page, "<tr class=\"facts\">"), LINES_SHOWN);
	assert_has(page, "and 710 more of <bdi>tenants</bdi>: 710 × OK</td>");
	/* What is wrong comes first, and not all of it has its log. */
	assert_int_equal(count_of(page, "<td class=\"state crit\""), 41);
	assert_int_equal(count_of(page, "<pre "), FAILURES_SHOWN);
	assert_int_equal(count_of(page, "Its log is <code>jobs/"), 41 - FAILURES_SHOWN);
}

static void many_jobs_stay_small(void **state)
{
	_cleanup(free) char *page = page_of(*state, "jobs");

	assert_true(strlen(page) < PAGE_MAX_BYTES);
	assert_int_equal(count_of(page, "<tr class=\"facts\">"), LINES_SHOWN);
	assert_has(page, "and 700 more jobs, which are no worse</p>");
	assert_has(page, "and 960 more jobs, which would lose less</p>");
	assert_has(page, "988 more jobs are not drawn");
	assert_int_equal(count_of(page, "<figure class=\"calendar\">"), CALENDARS_SHOWN);
	assert_has(page, "<span class=\"label\">Databases</span> <span class=\"value\">1,000</span>");
	/* A job of one database is as its runs are. */
	assert_has(page, "aria-label=\"the last 10 runs: 10 good; the newest: good\"");
}

static void the_worst_text_stays_small(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *page = NULL;
	struct catalog_target target = {.state = RUN_FAILED};
	int64_t id = add_run(f, "full", RUN_RUNNING, NULL);

	memset(target.label, '"', 200);
	memset(target.error, '"', sizeof(target.error) - 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(target.label + 200, 16, "%d", i);
		assert_int_equal(catalog_set_target(f->catalog, id, &target, NULL), 0);
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(catalog_log_run(f->catalog, id, target.error, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, target.error, NULL), 0);
	page = written_by(f, report_dashboard);
	assert_true(strlen(page) < PAGE_MAX_BYTES);
}

static void it_is_the_same_at_the_same_time(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL, *later = NULL;

	load_demo(f, "realistic");
	/* How much is free on the disk is another thing each time. */
	f->conf.state_dir = (char *)"/nonexistent";
	first = written_by(f, report_dashboard);
	second = written_by(f, report_dashboard);
	assert_string_equal(first, second);
	f->sources.now_us += 3600 * US_PER_S;
	later = written_by(f, report_dashboard);
	assert_string_not_equal(first, later);
	assert_has(later, "Made <time datetime=\"2026-11-20T10:00:00Z\">2026-11-20 10:00</time> UTC");
	demo_conf_finish(&f->conf);
}

static void what_never_ran_does_not_look_well(void **state)
{
	_cleanup(free) char *page = page_of(*state, "empty");
	_cleanup(free) char *line = line_of(page, "full");

	assert_has(line, "<tbody class=\"line never\">");
	assert_has(line, "<use href=\"#i-never\"/></svg><span>Never ran</span>");
	assert_has(line, "aria-label=\"no run yet\"");
	assert_has(line, "<strong>never</strong>");
	assert_has(line, "not scheduled");
	assert_has_not(line, "class=\"badge ok\"");
	assert_has(page, "1 database or directory could not be restored at all.");
	assert_has(page, "<strong class=\"crit\">there is none</strong>");
	assert_has(page, "<strong class=\"crit\">everything</strong>");
	assert_has(page, "nothing is scheduled here");
	assert_has(page, "There is no backup yet.");
}

/* By what the configuration names, and not by what the last run did: it may have been one of a single database. */
static void a_database_is_new_or_gone_by_the_configuration(void **state)
{
	struct fixture *f = *state;
	char *names[] = {(char *)"acme", (char *)"new", NULL};
	struct catalog_target target = {.label = "acme", .state = RUN_COMPLETED};
	_cleanup(free) char *page = NULL, *new = NULL, *old = NULL;
	int64_t id = add_run(f, "full", RUN_RUNNING, NULL);

	f->jobs[0].dump.databases = names;
	assert_int_equal(catalog_set_target(f->catalog, id, &target, NULL), 0);
	str_copy(target.label, sizeof(target.label), "old");
	assert_int_equal(catalog_set_target(f->catalog, id, &target, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	page = written_by(f, report_dashboard);
	new = line_of(page, "new");
	assert_has(new, "<span>No backup yet</span>");
	old = line_of(page, "old");
	assert_has(old, "<span>Not backed up any more</span>");
	assert_has(page, "<span class=\"label\">Databases</span> <span class=\"value\">2</span>");
}

static void a_failure_says_why_and_what_to_do(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	_cleanup(free) char *line = line_of(page, "nordwind");

	assert_has(line, "<span>Failed</span>");
	assert_has(line, "aria-label=\"the last 10 runs: 3 failed, 7 good; the newest: failed\"");
	assert_has(line, "permission denied for table invoices_2026; grant it with: GRANT SELECT");
	assert_has(line, "13 of 14 databases completed\n</pre>");
	assert_has(line, "and try again with: keepfs trigger tenants");
	/* The one of three days ago is still there, and can be brought back. */
	assert_has(line,
	           "createdb -T template0 nordwind_restored &amp;&amp; pg_restore -j 4 -d nordwind_restored "
	           "/mnt/keep/backups/tenants/nordwind/20261117T033000Z.dump</code>");
}

static void what_would_be_lost_is_held_against_the_goal(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	const char *loss = strstr(page, "id=\"h-loss\"");

	/* The worst of the job's databases counts. */
	assert_has(loss, "the oldest of 14: <bdi>nordwind</bdi>");
	assert_has(loss, "<span class=\"goal crit\" data-goal=\"93600\" data-since=\"1794886200\">");
	assert_has(loss, "<span class=\"goal ok\" data-goal=\"86400\" data-since=\"1795140000\">");
	assert_has(loss, "no goal is set");
	assert_has(loss, "<span class=\"muted\">not measured</span>");
}

/* From its heading to the next one's; on the heap. */
static char *section_of(const char *page, const char *id)
{
	_cleanup(free) char *heading = mem_printf("<h2 id=\"%s\">", id);
	const char *from = strstr(page, heading), *end;

	assert_non_null(from);
	end = strstr(from, "</section>");
	return strndup(from, (size_t)(end - from));
}

static void drills_say_whether_and_how_fast_it_comes_back(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic"), *recovery = section_of(page, "h-recovery"),
	                    *loss = section_of(page, "h-loss");

	assert_has(recovery, "<use href=\"#i-ok\"/></svg>passed</strong>");
	assert_has(recovery, "differs</strong>");
	assert_has(recovery, "never tried</strong>");
	assert_has(recovery, "4: sound");
	assert_has(recovery, "2: restored<br><span class=\"muted\">of 4</span>");
	assert_has(recovery, "public.invoices_2026 holds 18240 rows of 18377");
	assert_has(recovery, "<code>keepfs drill tenants</code>");
	assert_has(recovery, "47 min<br><span class=\"muted\">goal 2 h</span>");
	assert_has(recovery, "completed</span> <code>keepfs restore tenants/acme/20261117T033000Z.dump "
	                     "into=acme_of_tuesday</code>");
	/* One text, in both places. */
	assert_has(loss, "47 min<br><span class=\"muted\">goal 2 h</span>");
}

static void what_is_damaged_names_the_next_good_one(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = add_artifact(f, "full", 5, 1, 100);
	_cleanup(free) char *alone = NULL, *beside = NULL, *page = NULL, *other = NULL;

	assert_int_equal(catalog_mark_damaged(f->catalog, ino, "flipped <b>", NULL), 0);
	page = written_by(f, report_dashboard);
	alone = section_of(page, "h-recovery");
	assert_has(alone, "<span class=\"file\">backups/full/20261120T020005Z.dump</span>");
	assert_has(alone, "flipped &lt;b&gt;");
	assert_has(alone, "There is no other good one of it.");
	add_artifact(f, "full", 0, 0, 100);
	other = written_by(f, report_dashboard);
	beside = section_of(other, "h-recovery");
	assert_has(beside,
	           "The next good one is <span class=\"file\">backups/full/20261120T020000Z.dump</span>");
	assert_has(beside, "<code>keepfs restore full/20261120T020000Z.dump</code>");
}

static bool tell_restore_progress(void *arg, int64_t run_id, struct report_progress *ret)
{
	*ret = (struct report_progress){.read_bytes = 3 << 20, .expected_bytes = 8 << 20};
	return true;
}

static void restores_under_way_and_what_they_left(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = {
	        .kind = "restore", .job = "restore:full", .options = "full/x.dump into=shop"};
	struct catalog_restore x = {.target = "shop",
	                            .server = "host=db",
	                            .backup = "backups/full/x.dump",
	                            .phase = RESTORE_PHASE_IN_PLACE};
	_cleanup(free) char *none = NULL, *live = NULL, *over = NULL;

	none = written_by(f, report_dashboard);
	assert_has(none, "Nothing was ever restored but by drills.");
	assert_int_equal(catalog_add_run(f->catalog, &run, &x.run_id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, x.run_id, NULL), 0);
	assert_int_equal(catalog_set_restore(f->catalog, &x, NULL), 0);
	f->sources.progress = tell_restore_progress;
	live = written_by(f, report_dashboard);
	assert_has(live, "running</span> <code>keepfs restore full/x.dump into=shop</code>, run 1, ");
	assert_has(live, "3.0 MiB of about 8.0 MiB are read");
	assert_int_equal(catalog_interrupt_restores(f->catalog, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, x.run_id, RUN_FAILED, "it was cut off", NULL), 0);
	over = written_by(f, report_dashboard);
	assert_has(over, "failed</span> <code>keepfs restore full/x.dump into=shop</code>");
	assert_has(over, "<p class=\"error\">it was cut off</p>");
	assert_has(over, "shop itself was changed, or may have been, and can hold a part of it");
	assert_has(over, "keepfs restore forget run=1 into=shop");
}

static void days_and_figures_are_those_of_the_history(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");

	assert_has(
	        page,
	        "<bdi>tenants</bdi></strong> <span class=\"muted\">88 good · <span class=\"crit\">3 failed</span>: "
	        "2026-11-20, 2026-11-19, 2026-11-18</span>");
	assert_has(
	        page,
	        "aria-label=\"shop: 91 days with a good backup, 1 of them with a warning or a failure, too; 0 failed; "
	        "0 without a run\"");
	assert_has(page, "<g><title>2026-10-18: good, with a warning or a failure</title>");
	assert_has(page, "<span class=\"value\">487,");
}

static void a_schedule_says_when_it_is_due(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	_cleanup(free) char *shop = line_of(page, "shop"), *sandbox = line_of(page, "sandbox");

	assert_has(shop, "<time class=\"next\" datetime=\"2026-11-21T02:00:00Z\">in 17 h</time>");
	assert_has(sandbox, "not scheduled");
}

static void what_is_acknowledged_is_apart(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	_cleanup(free) char *line = line_of(page, "sandbox");
	const char *apart = strstr(page, "1 trouble is acknowledged, and does not count</summary>");

	assert_non_null(apart);
	assert_has(apart, "<bdi>job sandbox</bdi></strong>");
	assert_has(
	        apart,
	        "acknowledged</span> by uid 1001 (bash) until <time datetime=\"2026-12-19T09:00:00Z\">2026-12-19 "
	        "09:00</time> UTC: nothing in it that anybody needs</p>");
	/* It is not among the reasons, but it is no better for that. */
	assert_true(strstr(page, "<bdi>job sandbox</bdi></strong>") > apart);
	assert_has(line, "<span>Never ran</span><br><span class=\"badge\">acknowledged</span>");
}

static void what_a_registry_says_of_databases(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	_cleanup(free) char *new = line_of(page, "meridian"), *gone = line_of(page, "polaris");
	_cleanup(free) char *old = line_of(page, "acme"), *job = line_of(page, "tenants");

	assert_has(new, "<span class=\"badge new\">new</span>");
	assert_has(gone, "<span>Not backed up any more</span><br><span class=\"muted\">since <time "
	                 "datetime=\"2026-11-20T03:00:00Z\">");
	assert_has_not(old, "badge new");
	assert_has(job, "14 databases<br>1 new, 1 gone</span>");
}

static void what_goes_says_when_and_why(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	const char *kept = strstr(page, "id=\"h-retention\""), *media = strstr(kept, "<bdi>media</bdi>");
	const char *shop = strstr(kept, "<bdi>shop</bdi>"), *warehouse = strstr(kept, "<bdi>warehouse</bdi>");

	assert_has(media, "<bdi>media</bdi> <span class=\"muted\">7 stay, 18 may go, the next <time "
	                  "datetime=\"2026-11-21\">2026-11-21</time></span>");
	assert_has(
	        media,
	        "20260828T011500Z.tar.zst</th><td data-label=\"No rule keeps it\">daily: 7 newer days have one</td>"
	        "<td data-label=\"When it goes\">may go now</td>");
	assert_has(media, "and 14 more may go now</td>");
	assert_has(
	        shop,
	        "Rules: daily 14, weekly 12, monthly 12, within 2d, at least 1; weeks begin on monday; UTC0</p>");
	assert_has(shop, "20261108T020000Z.dump</th><td data-label=\"Stays as\">daily</td>"
	                 "<td data-label=\"When it goes\">goes on 2026-11-22</td>");
	assert_has(warehouse, "<bdi>warehouse</bdi> <span class=\"muted\">24 stay</span>");
	assert_has(warehouse, "<span class=\"muted\">no date</span>");
}

static void directories_that_wait_for_somebody_come_first(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	const struct catalog_retention waiting = {
	        .rules = "x", .due = 3, .waits_why = "other rules", .waits_plan = "0"};
	_cleanup(free) char *page = NULL;

	load_demo(f, "realistic");
	assert_int_equal(catalog_places(f->catalog, "backups/tenants/kestrel", "", place, 1), 1);
	assert_int_equal(catalog_set_retention(f->catalog, place->ino, &waiting, NULL), 0);
	page = written_by(f, report_dashboard);
	demo_conf_finish(&f->conf);
	assert_has(page, "<ul class=\"recent kept\"><li><details><summary><bdi>tenants/kestrel</bdi>");
	assert_int_equal(count_of(strstr(page, "id=\"h-retention\""), "<summary><bdi>tenants/kestrel</bdi>"),
	                 1);
}

static void much_that_is_kept_stays_small(void **state)
{
	_cleanup(free) char *page = page_of(*state, "large");
	const char *kept = strstr(page, "id=\"h-retention\"");

	assert_int_equal(count_of(kept, "<li><details>"), DIRECTORIES_SHOWN);
	assert_has(
	        kept,
	        "There are more directories; all of them, with each backup, are in <code>status/retention</code>");
}

static void the_store_says_when_it_is_full(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *page = NULL, *soon = NULL;

	load_demo(f, "realistic");
	page = written_by(f, report_dashboard);
	assert_has(page, "<span class=\"full\">full on <time");
	assert_has(page, "if it goes on growing as in the last 30 days.");
	f->conf.store.capacity_bytes = UINT64_C(2700) << 30;
	soon = written_by(f, report_dashboard);
	demo_conf_finish(&f->conf);
	assert_has(soon, "<p class=\"forecast warn\">");
	assert_has(soon, "<bdi>space forecast</bdi>");
}

/* By health's own rule: what is a quarter away from what is usual has a mark, and not what is a fifth. */
static void the_band_is_that_of_health(void **state)
{
	_cleanup(free) char *page = page_of(*state, "realistic");
	const char *trend = strstr(page, "id=\"h-trend\""),
	           *warehouse = strstr(trend, "<bdi>warehouse</bdi>");

	assert_has(page, "<bdi>anomaly warehouse</bdi>");
	assert_has(warehouse, "below the normal ");
	assert_has_not(page, "<bdi>anomaly shop</bdi>");
	assert_int_equal(count_of(trend, "class=\"odd\""), 2);
}

static void what_nobody_watches_does_not_look_well(void **state)
{
	struct fixture *f = *state;
	struct catalog_switch off = {.is_off = true, .at_us = AT_US};
	_cleanup(free) char *page = NULL, *other = NULL, *line = NULL, *other_line = NULL;

	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	page = written_by(f, report_dashboard);
	line = line_of(page, "full");
	assert_has(line, "<use href=\"#i-off\"/></svg><span>Not watched</span>");
	f->jobs[0].policy.schedule = (char *)"daily-2am";
	assert_int_equal(catalog_set_switch(f->catalog, &off, NULL), 0);
	other = written_by(f, report_dashboard);
	other_line = line_of(other, "full");
	assert_has(other_line, "<use href=\"#i-off\"/></svg><span>Switched off</span>");
}

static void add_with_tables(struct fixture *f, int day, const char *tables)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;
	char name[NAME_MAX_BYTES], sha256[SHA256_HEX_BYTES] = "";

	name_format((AT_S + (int64_t)day * 86400) * 1000, ".dump", name);
	path = mem_printf("backups/full/%s", name);
	manifest_describe(&m, path, day + 1, "primary");
	m.started_at_us = m.finished_at_us = AT_US + day * DAY_US;
	manifest_set_fact(&m, "largest_tables", tables);
	manifest_put_own(&m, 100, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void tables_grow(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = NULL, *one = NULL, *two = NULL;

	none = written_by(f, report_dashboard);
	assert_has(none, "There is something to see here once a database with rows");
	add_with_tables(f, 0, "[[\"public.orders\",10,1048576],[\"public.gone\",1,9]]");
	f->sources.now_us = AT_US + 40 * DAY_US;
	one = written_by(f, report_dashboard);
	assert_has(one, "<bdi>public.orders</bdi>");
	assert_has(one, "not known yet");
	/* A manifest is not ours to trust: what is no table is passed over. */
	add_with_tables(f, 39,
	                "[[\"public.orders\",20,3145728],[\"<b>x</b>\",2,5],7,[\"a\"],[\"public.no\",-1,2]]");
	two = written_by(f, report_dashboard);
	assert_has(two, "+2.0 MiB in 39 days");
	assert_has(two, "<bdi>&lt;b&gt;x&lt;/b&gt;</bdi>");
	assert_has(two, "was not among the largest");
	assert_has_not(two, "public.gone");
	assert_has_not(two, "public.no<");
}

static void a_catalog_that_cannot_be_read_is_an_error(void **state)
{
	struct fixture *f = *state;

	break_catalog(f);
	assert_true(report_dashboard(&f->sources, f->out) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(no_text_becomes_markup),
	        REPORT_TEST(what_a_browser_would_obey_is_not_there),
	        REPORT_TEST(data_is_json_that_ends_no_script),
	        REPORT_TEST(lines_for_a_shell_are_quoted),
	        REPORT_TEST(much_stays_small),
	        REPORT_TEST(many_jobs_stay_small),
	        REPORT_TEST(the_worst_text_stays_small),
	        REPORT_TEST(it_is_the_same_at_the_same_time),
	        REPORT_TEST(what_never_ran_does_not_look_well),
	        REPORT_TEST(a_database_is_new_or_gone_by_the_configuration),
	        REPORT_TEST(a_failure_says_why_and_what_to_do),
	        REPORT_TEST(what_would_be_lost_is_held_against_the_goal),
	        REPORT_TEST(drills_say_whether_and_how_fast_it_comes_back),
	        REPORT_TEST(what_is_damaged_names_the_next_good_one),
	        REPORT_TEST(restores_under_way_and_what_they_left),
	        REPORT_TEST(days_and_figures_are_those_of_the_history),
	        REPORT_TEST(a_schedule_says_when_it_is_due),
	        REPORT_TEST(what_is_acknowledged_is_apart),
	        REPORT_TEST(what_a_registry_says_of_databases),
	        REPORT_TEST(what_goes_says_when_and_why),
	        REPORT_TEST(directories_that_wait_for_somebody_come_first),
	        REPORT_TEST(much_that_is_kept_stays_small),
	        REPORT_TEST(the_store_says_when_it_is_full),
	        REPORT_TEST(the_band_is_that_of_health),
	        REPORT_TEST(what_nobody_watches_does_not_look_well),
	        REPORT_TEST(tables_grow),
	        REPORT_TEST(a_catalog_that_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests_name("report_dashboard", tests, NULL, NULL);
}
