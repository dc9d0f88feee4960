// SPDX-License-Identifier: Apache-2.0
/*
 * What the rules let go after a run has made something. Its backups are safe by then: whatever goes wrong here is a line in
 * the run's log, and the next run tries again.
 */
#include "job_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/make.h>
#include <keepfs/prune.h>
#include <keepfs/wal/keep.h>
#include <keepfs/wal.h>

static bool should_stop(void *arg)
{
	struct run *run = arg;

	return cancel_is_set(&run->cancel);
}

static void tell_outcome(struct jobs *j, struct run *run, const struct prune_outcome *o)
{
	_cleanup(str) struct str put_off = {0};

	prune_append_put_off(o->put_off, o->put_off_until_us, &put_off);
	if (put_off.len > 0)
		run_log(j, run, "retention: %s", str_text(&put_off));
	if (o->removed)
		run_log(j, run, "retention: %zu of %zu backups removed", o->removed, o->kept + o->removed);
	if (o->refused)
		run_log(j, run, "retention: %zu could not be removed: %s", o->refused, o->why);
	if (o->in_use)
		run_log(j, run, "retention: %zu stay until the next run: %s", o->in_use, o->use);
	if (o->waiting)
		run_log(j, run, "retention: a plan waits to be confirmed, see status/retention: %s", o->why);
	if (o->suspended)
		run_log(j, run, "retention: nothing is removed now: %s", o->why);
}

static int prune_targets(struct jobs *j, struct run *run, const struct outcome *o, const struct prune *p)
{
	const struct prune_order order = {.by = "retention", .stop = should_stop, .arg = run};
	_cleanup(free) char *directory = make_directory_of(run->request.job, NULL);
	struct prune_outcome outcome = {0};
	struct error err = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->targets; i++)
		if (o->made[i])
			r = prune_directory(p, run->targets.items[i].directory, &order, &outcome, &err);
	/* Where it is not known which databases there are, none counts as gone. */
	if (r == 0 && !run->targets.failure)
		r = prune_gone(p, directory, &order, &outcome, &err);
	tell_outcome(j, run, &outcome);
	if (r < 0) {
		run_log(j, run, "retention: %s", err.message);
		log_warning("retention of job %s: %s", run->request.name, err.message);
	}
	return r;
}

/* What the bases that have gone needed alone. */
static void keep_wal_of_job(struct jobs *j, struct run *run, const struct prune *p)
{
	const struct wal_keep_order order = {
	        .by = "retention", .stop = should_stop, .arg = run, .cancel = &run->cancel};
	_cleanup(str) struct str text = {0};
	struct wal_keep_outcome o;
	struct error err = {0};

	if (wal_keep_carry_out(p, run->request.job, &order, &o, &err) < 0)
		str_append(&text, err.message);
	else
		wal_keep_append_outcome(&o, &text);
	if (text.len > 0)
		run_log(j, run, "retention: %s", str_text(&text));
}

static void prune_and_keep_wal(struct jobs *j, struct run *run, const struct outcome *o,
                               const struct prune *p)
{
	if (prune_targets(j, run, o, p) == 0 && wal_is_archived(run->request.job))
		keep_wal_of_job(j, run, p);
}

void run_prune(struct jobs *j, struct run *run, const struct outcome *o)
{
	const struct make_context *ctx = j->options.ctx;
	const struct conf *conf = make_conf_ref(ctx);
	struct artifact_time time;
	struct error err = {0};
	struct prune p;

	make_time(ctx, &time);
	/* What shows another time than now (an export from a backup) takes no place from those of the job: its next run sees to them. */
	if (o->artifact_count > 0 && !run->request.partial && run->request.job) {
		if (prune_begin(&p, ctx->repository, conf, &time, &err) == 0)
			prune_and_keep_wal(j, run, o, &p);
		else
			run_log(j, run, "retention: %s", err.message);
	}
	make_conf_unref(ctx, conf);
}
