// SPDX-License-Identifier: Apache-2.0
/* Restores, in words: what one has left, which were the last, and what would be possible. */
#include "line.h"
#include "rehearsed.h"
#include "watched.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/report/restores.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define RUNS_OF_EACH 8
#define RUNS_MOST    16

/* What one has left. */

static bool is_files(const struct catalog_restore *x)
{
	return x->phase == RESTORE_PHASE_FILES || x->phase == RESTORE_PHASE_FILES_OVER;
}

static bool is_to_directory(const struct catalog_restore *x)
{
	return is_files(x) || x->phase == RESTORE_PHASE_CLUSTER;
}

static char *describe_files_state(const struct catalog_restore *x)
{
	return mem_strdup(
	        x->phase == RESTORE_PHASE_FILES_OVER
	                ? "each file there is whole, but some are those of the backup, and others as they were"
	                : "each file there is whole, but some of the backup are not there; nothing was replaced");
}

static char *advise_of_files(const struct catalog_restore *x, const struct str *forget)
{
	return mem_printf(
	        "restore it once more as it was asked for (jobs/%lld/log has it), with overwrite=yes: what is there already is not written again; or leave it so: %s",
	        (long long)x->run_id, str_text(forget));
}

static char *advise_of_cluster(const struct catalog_restore *x, const struct str *forget)
{
	return mem_printf(
	        "restore it once more as it was asked for (jobs/%lld/log has it): it goes on with what is there; or remove the directory, and say so: %s",
	        (long long)x->run_id, str_text(forget));
}

static char *describe_state(const struct catalog_restore *x)
{
	if (x->phase == RESTORE_PHASE_CLUSTER)
		return mem_strdup("the data directory is not whole, and no server starts on it");
	if (is_files(x))
		return describe_files_state(x);
	if (x->phase == RESTORE_PHASE_IN_PLACE)
		return mem_printf("%s itself was changed, or may have been, and can hold a part of it",
		                  x->target);
	if (x->phase == RESTORE_PHASE_SWAP && x->before[0])
		return mem_printf(
		        "while names were exchanged: either %s is the restored database and %s the old one, or %s is as it was and %s is the restored one",
		        x->target, x->before, x->target, x->made);
	if (x->phase == RESTORE_PHASE_SWAP)
		return mem_printf("while it got its name: the restored database is %s, or still %s",
		                  x->target, x->made);
	/* Earlier versions made it under its own name. */
	if (str_equal(x->made, x->target))
		return mem_printf("the database %s was made for it, or was to be, and may hold a part of it",
		                  x->target);
	return mem_printf("%s %s; %s beside it, if it is there, may hold a part of the backup", x->target,
	                  x->before[0] ? "is as it was" : "was not made", x->made);
}

static char *describe_deployment(const struct catalog_restore *x)
{
	return mem_printf(
	        "run %lld restored the deployment %s from %s and did not end well (%s): %s",
	        (long long)x->run_id, x->target, x->backup, x->problem,
	        str_equal(x->made, RESTORE_DEPLOYMENT_ALL)
	                ? "all of its parts are those of the backup"
	                : "some of its parts may be those of the backup, and others as they were; it may be stopped");
}

static char *describe_scratch(const struct catalog_restore *x)
{
	return mem_printf(
	        "run %lld, a drill of %s, has brought objects back into %s/%s, and did not remove them (%s)",
	        (long long)x->run_id, x->backup, x->server, x->target, x->problem);
}

char *report_restore_left(const struct catalog_restore *x)
{
	if (x->phase == RESTORE_PHASE_DEPLOYMENT)
		return describe_deployment(x);
	if (x->phase == RESTORE_PHASE_SCRATCH)
		return describe_scratch(x);

	_cleanup(free) char *state = describe_state(x);

	return mem_printf("run %lld restored %s to %s and did not end well (%s): %s", (long long)x->run_id,
	                  x->backup, is_to_directory(x) ? x->target : x->server, x->problem, state);
}

/* Never a command that restores: what was asked for is in the run's log, and only who has looked knows what is to be done now. */
char *report_restore_advice(const struct catalog_restore *x)
{
	_cleanup(free) char *into = mem_printf("%s=%s", is_to_directory(x) ? "to" : "into", x->target);
	_cleanup(str) struct str forget = {0};

	str_appendf(&forget, "keepfs restore forget run=%lld", (long long)x->run_id);
	if (x->phase == RESTORE_PHASE_DEPLOYMENT)
		return mem_printf(
		        "restore it once more as it was asked for (jobs/%lld/log has it), or look whether it works as it is; when it is settled: %s",
		        (long long)x->run_id, str_text(&forget));
	if (x->phase == RESTORE_PHASE_SCRATCH)
		return mem_printf(
		        "keepfs drill clear removes them; when that cannot be, remove them and say so: %s",
		        str_text(&forget));
	command_line_append(&forget, into);
	if (is_files(x))
		return advise_of_files(x, &forget);
	if (x->phase == RESTORE_PHASE_CLUSTER)
		return advise_of_cluster(x, &forget);
	if (x->phase == RESTORE_PHASE_BESIDE && !str_equal(x->made, x->target))
		return mem_printf(
		        "at %s drop %s, if it is there and nobody needs it, and restore once more (jobs/%lld/log has what was asked for); or leave it so: %s",
		        x->server, x->made, (long long)x->run_id, str_text(&forget));
	if (x->phase == RESTORE_PHASE_SWAP)
		return mem_printf("look which databases there are (psql -l), at %s; when all is well: %s",
		                  x->server, str_text(&forget));
	return mem_printf(
	        "look at %s, at %s, and at jobs/%lld/log, which has what was asked for and how far that came, before anything else is done; when it is settled: %s",
	        x->target, x->server, (long long)x->run_id, str_text(&forget));
}

/* The last ones. */

bool report_restore_acts(const struct catalog_run *run)
{
	_cleanup(command_line) struct command_line line = {0};
	bool acts = true;

	/* Of a long command the history has the beginning. */
	if (command_line_parse(run->options, &line, NULL) < 0)
		return !strstr(run->options, "plan=yes");
	if (line.word_count > 0 && str_equal(line.words[0], "forget"))
		return false;
	for (size_t i = 0; i < line.pair_count; i++)
		if (str_equal(line.pairs[i].key, "plan") || str_equal(line.pairs[i].key, "dry-run"))
			acts &= !str_equal(line.pairs[i].value, "yes");
	return acts;
}

struct last_restores {
	struct catalog_run *runs; /* the newest first */
	size_t count, max;
	int64_t since_us;
};

static void keep_restore(struct last_restores *l, const struct catalog_run *run)
{
	size_t at = 0;

	while (at < l->count && l->runs[at].id > run->id)
		at++;
	if (at == l->max)
		return;
	if (l->count == l->max)
		l->count--;
	memmove(&l->runs[at + 1], &l->runs[at], (l->count - at) * sizeof(*l->runs));
	l->runs[at] = *run;
	l->count++;
}

static int look_at_restores(struct catalog *c, const char *job, struct catalog_run *page,
                            struct last_restores *l)
{
	_cleanup(free) char *name = mem_printf("restore:%s", job);
	ssize_t count = catalog_runs(c, name, 0, page, RUNS_OF_EACH);

	for (ssize_t i = 0; i < count; i++)
		if (report_restore_acts(&page[i]) &&
		    !(page[i].finished_at_us && page[i].finished_at_us < l->since_us))
			keep_restore(l, &page[i]);
	return count < 0 ? (int)count : 0;
}

int report_restores(const struct report_sources *from, int64_t since_us, size_t max,
                    void (*row)(void *arg, const struct catalog_run *run), void *arg)
{
	_cleanup(free) struct catalog_run *page = mem_array(RUNS_OF_EACH, sizeof(*page)),
	                                  *runs = mem_array(RUNS_MOST, sizeof(*runs));
	struct last_restores last = {
	        .runs = runs, .max = max < RUNS_MOST ? max : RUNS_MOST, .since_us = since_us};
	int r = look_at_restores(from->catalog, "all", page, &last);

	for (size_t i = 0; r == 0 && i < from->conf->job_count; i++)
		r = look_at_restores(from->catalog, from->conf->jobs[i].name, page, &last);
	for (size_t i = 0; r == 0 && i < last.count; i++)
		row(arg, &last.runs[i]);
	return r;
}

/* What would be possible. */

struct loss_now { /* of the database that would lose most */
	const struct report_sources *from;
	int64_t lost_us;
	size_t without, directories;
};

static void take_loss_now(void *arg, const struct watched *w)
{
	struct loss_now *l = arg;
	int64_t lost_us = l->from->now_us - w->snapshot_us;

	l->directories++;
	l->without += !w->snapshot_us;
	if (w->snapshot_us && lost_us > l->lost_us)
		l->lost_us = lost_us;
}

static void append_goal(struct str *out, int64_t us, int64_t goal_ms)
{
	char goal[32];

	if (goal_ms > 0)
		str_appendf(out, " (goal %s: %s)", line_age(goal_ms * 1000, goal),
		            us <= goal_ms * 1000 ? "met" : "MISSED");
}

static void append_loss(struct str *out, const struct loss_now *l, const struct conf_job *job)
{
	char lost[32];

	if (l->without > 0 || l->directories == 0) {
		str_append(out, "everything would be lost: there is no good backup");
		if (l->directories > 1)
			str_appendf(out, " of %zu of %zu databases", l->without, l->directories);
		return;
	}
	str_appendf(out, "lost would be %s", line_age(l->lost_us, lost));
	append_goal(out, l->lost_us, job->rpo_ms);
}

static void append_rehearsed(struct str *out, const struct rehearsed *r, const struct conf_job *job)
{
	char took[32], at[32];

	if (r->rto_us > 0) {
		str_appendf(out, "; a restore takes %s", line_age(r->rto_us, took));
		append_goal(out, r->rto_us, job->rto_ms);
	} else {
		str_append(out, "; how long a restore takes is not known");
	}
	if (r->last.id)
		str_appendf(out, "; the last drill, of %s, %s", line_time(r->last.started_at_us, "-", at),
		            r->last.result == DRILL_PASSED ? "passed" : "did NOT pass");
	else
		str_append(out, "; no restore was tried yet");
}

int report_recovery_brief(const struct report_sources *from, struct str *out)
{
	_cleanup(free) struct rehearsed *all = NULL;
	int r = rehearsed_new(from, &all);

	for (size_t i = 0; r == 0 && i < from->conf->job_count; i++) {
		const struct conf_job *job = &from->conf->jobs[i];
		struct loss_now loss = {.from = from};

		if (job->kind != CONF_JOB_DUMP)
			continue;
		r = watched_each(from, job, take_loss_now, &loss);
		str_appendf(out, "  %s: ", job->name);
		append_loss(out, &loss, job);
		append_rehearsed(out, &all[i], job);
		str_append_char(out, '\n');
	}
	return r;
}
