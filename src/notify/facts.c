// SPDX-License-Identifier: Apache-2.0
/*
 * What is to be said of one event, as JSON. It is made when the event happens, since what it tells of (a run's log, say) may
 * be gone when a receiver answers again; and it is bounded, since many may wait.
 */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/codec/name.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOG_LINES        20
#define LOG_LINE_BYTES   400
#define TEXT_BYTES       3000
#define TARGETS_SHOWN    10
#define RUNS_LOOKED_BACK 32

/* Cut to what one notice may have. */
static void set_cut_text(struct json *j, const char *key, const char *text, size_t max)
{
	_cleanup(free) char *cut = mem_alloc(max);

	str_cut(cut, max, str_or_empty(text));
	json_set_string(j, key, cut);
}

static char *take_facts(struct json *j)
{
	struct str out = {0};

	json_write(j, 0, &out);
	return str_take(&out);
}

/* The end of a run's log. */

struct log_end {
	char *lines[LOG_LINES]; /* a ring */
	size_t count;           /* ever added */
};

static void keep_log_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	struct log_end *end = arg;
	char iso[CLOCK_ISO_BYTES], cut[LOG_LINE_BYTES];
	char **slot = &end->lines[end->count++ % LOG_LINES];

	str_cut(cut, sizeof(cut), line);
	free(*slot);
	*slot = mem_printf("%s %s", clock_format_iso(at_us, iso), cut);
}

static void set_log(struct json *j, struct catalog *c, int64_t run_id)
{
	struct log_end end = {0};
	struct json *lines = json_array_new();
	size_t first;

	catalog_run_log(c, run_id, 0, keep_log_line, &end);
	first = end.count > LOG_LINES ? end.count - LOG_LINES : 0;
	for (size_t i = first; i < end.count; i++)
		json_append_string(lines, end.lines[i % LOG_LINES]);
	for (size_t i = 0; i < LOG_LINES; i++)
		free(end.lines[i]);
	json_set(j, "log", lines);
}

/* Which databases of the run failed; when it is one, it is what the notice is about. */
static void set_failed_targets(struct json *j, struct catalog *c, const struct catalog_run *run)
{
	struct catalog_target *targets = mem_array(TARGETS_SHOWN, sizeof(*targets));
	struct json *failed = json_array_new();
	const char *only = NULL;
	ssize_t count;

	for (size_t from = 0; (count = catalog_run_targets(c, run->id, from, targets, TARGETS_SHOWN)) > 0;
	     from += (size_t)count) {
		for (ssize_t i = 0; i < count; i++) {
			if (targets[i].state != RUN_FAILED || json_count(failed) >= TARGETS_SHOWN)
				continue;
			json_append_string(failed, targets[i].label);
		}
	}
	only = json_count(failed) == 1 ? json_text(json_item(failed, 0)) : "";
	json_set_string(j, "database", only);
	json_set(j, "databases_failed", failed);
	free(targets);
}

static void set_run(struct json *j, struct catalog *c, const struct catalog_run *run)
{
	json_set_int(j, "run", run->id);
	json_set_string(j, "state", run_state_name(run->state));
	set_cut_text(j, "error", run->error, TEXT_BYTES);
	json_set_string(j, "triggered_by", run->triggered_by);
	json_set_string(j, "note", run->note);
	json_set_time(j, "started", run->started_at_us);
	json_set_time(j, "finished", run->finished_at_us);
	set_failed_targets(j, c, run);
	set_log(j, c, run->id);
}

/* The run that a job's trouble is about: the last one that failed, or had a warning. */
static bool find_bad_run(struct catalog *c, const char *job, struct catalog_run *ret)
{
	int64_t before = 0;

	for (int i = 0; i < RUNS_LOOKED_BACK && catalog_runs(c, job, before, ret, 1) == 1; i++) {
		if (ret->state == RUN_FAILED || (ret->state == RUN_COMPLETED && *ret->warning))
			return true;
		before = ret->id;
	}
	return false;
}

static struct json *begin_facts(enum conf_event event, int level, int64_t at_us)
{
	struct json *j = json_object_new();

	json_set_string(j, "event", conf_event_name(event));
	json_set_string(j, "level", health_level_name((enum report_health)level));
	json_set_time(j, "at", at_us);
	return j;
}

char *facts_of_event(struct catalog *c, const struct notify_event *e, int64_t at_us)
{
	_cleanup(json) struct json *j = begin_facts(e->event, (int)e->level, at_us);
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));

	set_cut_text(j, "title", e->title, 300);
	set_cut_text(j, "text", e->text, TEXT_BYTES);
	set_cut_text(j, "what_to_do", e->what_to_do, TEXT_BYTES);
	json_set_time(j, "since", e->since_us ? e->since_us : at_us);
	if (e->run_id && catalog_run(c, e->run_id, run) == 0)
		set_run(j, c, run);
	json_set_string(j, "job", str_or_empty(e->job));
	if (e->database)
		json_set_string(j, "database", e->database);
	return take_facts(j);
}

/* "job full failed", "the store is in trouble", "reads: the store failed a read" */
static char *title_of_change(const struct change *change, enum ending ending)
{
	const struct health_item *item = change->item;
	const char *name = item ? item->name : change->before->check;
	char text[100];

	switch (change->event) {
	case EVENT_FAILED:
		return mem_printf("%s failed", name);
	case EVENT_MISSED:
		if (item && str_equal(item->kind, "rpo"))
			return mem_printf("job %s: more would be lost than its goal (rpo) allows",
			                  item->subject);
		return mem_printf("%s: a backup is overdue", name);
	case EVENT_STORE_BAD:
		return mem_strdup("the store is in trouble");
	case EVENT_STORE_GOOD:
		return mem_strdup("the store works again");
	case EVENT_RECOVERED:
		return item ? mem_printf("%s is well again", name) : ending_title(change->before, ending);
	default:
		if (!item)
			return ending_title(change->before, ending);
		str_cut(text, sizeof(text), str_or_empty(item->text));
		text[strcspn(text, "\n")] = '\0';
		return mem_printf("%s: %s", name, text);
	}
}

/* Which job it is about: the caller's; NULL: none. A database that something was restored into may be called as a job is. */
static char *job_of_change(const struct conf *conf, const char *check, const char *subject)
{
	_cleanup(free) char *job = NULL;

	if (strcmp(check, "restore") == 0)
		return NULL;
	job = strcmp(check, "damaged") == 0 ? tree_job_of(subject) : NULL;
	if (!job)
		job = mem_strdup(subject);
	return conf_find_job(conf, job) ? take_ptr(&job) : NULL;
}

/* The run that it is about: of a drill its own, and not the last backup. */
static bool find_run_of_change(struct catalog *c, const char *check, const char *kind, const char *job,
                               struct catalog_run *ret)
{
	struct catalog_drill drill;

	if (strcmp(check, "rto") == 0 || strcmp(check, "damaged") == 0)
		return false;
	if (strcmp(check, "drill") != 0)
		return find_bad_run(c, job, ret);
	return !str_equal(kind, "overdue") && catalog_last_drill(c, job, NULL, false, &drill) == 0 &&
	       catalog_run(c, drill.run_id, ret) == 0;
}

static const char *const over_texts[] = {
        [ENDING_MENDED] = "what was told of is over: nothing is wrong with it any more",
        [ENDING_GONE] = "what was told of is not there any more, so there is nothing to be mended",
        [ENDING_UNTOLD] = "",
};

char *facts_of_change(struct catalog *c, const struct conf *conf, const struct change *change, int64_t at_us)
{
	const struct health_item *item = change->item;
	bool is_over = !item || item->level == REPORT_OK;
	const char *subject = item ? item->subject : change->before->subject;
	int64_t since_us = item && !is_over ? item->since_us : at_us;
	_cleanup(json) struct json *j =
	        begin_facts(change->event, item ? (int)item->level : REPORT_OK, at_us);
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	enum ending ending = item ? ENDING_MENDED : ending_of(c, conf, change->before);
	_cleanup(free) char *title = title_of_change(change, ending);
	const char *check = item ? item->check : change->before->check;
	_cleanup(free) char *job = job_of_change(conf, check, subject);

	set_cut_text(j, "title", title, 300);
	set_cut_text(j, "text", item ? item->text : over_texts[ending], TEXT_BYTES);
	set_cut_text(j, "what_to_do", is_over ? "" : item->what_to_do, TEXT_BYTES);
	json_set_string(j, "check", check);
	json_set_string(j, "subject", subject);
	json_set_time(j, "since", since_us ? since_us : at_us);
	if (is_over && change->before->since_us)
		json_set_time(j, "began", change->before->since_us);
	if (job && !is_over && find_run_of_change(c, check, item->kind, job, run))
		set_run(j, c, run);
	json_set_string(j, "job", str_or_empty(job));
	if (strcmp(check, "restore") == 0)
		json_set_string(j, "database", subject);
	return take_facts(j);
}

char *facts_of_run(struct catalog *c, const struct catalog_run *run, bool ended, int64_t at_us)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_string(j, "beat", !ended ? "start" : run->state == RUN_COMPLETED ? "success" : "failure");
	json_set_time(j, "at", at_us);
	json_set_string(j, "job", run->job);
	set_run(j, c, run);
	json_set_int(j, "milliseconds",
	             ended && run->finished_at_us > run->started_at_us
	                     ? (run->finished_at_us - run->started_at_us) / 1000
	                     : 0);
	return take_facts(j);
}

char *facts_of_test(int64_t at_us)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_string(j, "event", "test");
	json_set_string(j, "level", health_level_name(REPORT_OK));
	json_set_time(j, "at", at_us);
	json_set_time(j, "since", at_us);
	json_set_string(j, "title", "a test of notices");
	json_set_string(j, "text", "this is what 'keepfs notify --test' sends: notices reach you");
	json_set_string(j, "what_to_do", "");
	json_set_string(j, "job", "");
	return take_facts(j);
}
