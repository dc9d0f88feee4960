// SPDX-License-Identifier: Apache-2.0
/*
 * The steps of bringing back a deployment. Until all of the bundle was read, and everything that is to be changed was looked at, nothing is touched. Then the deployment is
 * stopped, the parts come back one after the other, and it is started and asked whether it is well.
 *
 * When a step fails and nothing of it was changed, it is started again as it was. When something was, it stays stopped: a new database with old files, or the other way
 * round, must not begin to serve people by itself. The catalog knows of it from before the first change on, so health tells of it, also after a crash.
 */
#include "restore_bundle.h"

#include "restore_dump.h"
#include "restore_hook.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/restores.h>

#include <errno.h>
#include <inttypes.h>

bool restore_bundle_is(const struct backup *b)
{
	return str_equal(b->m.kind, RESTORE_BUNDLE_KIND);
}

static void begin_whole(const struct restore_target *t, struct restore_whole *ret)
{
	const struct conf *conf = make_conf_ref(t->ctx);
	const struct conf_job *job = conf_find_job(conf, t->backup->m.job);

	*ret = (struct restore_whole){.t = t,
	                              .conf = conf,
	                              .job = job && job->kind == CONF_JOB_BUNDLE ? job : NULL,
	                              .name = t->backup->m.target};
}

static void finish_whole(struct restore_whole *w)
{
	make_conf_unref(w->t->ctx, w->conf);
	str_finish(&w->places);
	str_finish(&w->claims);
	str_finish(&w->urls);
	str_finish(&w->done);
}

/* A bundle that another host has removed, or that the store has lost, ends each walk early: its parts go with its row. */
static int check_all_visited(struct restore_whole *w, struct error *err)
{
	if (w->chosen == 0)
		w->chosen = w->visited;
	if (w->visited == w->chosen)
		return 0;
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "%s is not there any more: %" PRIu64 " of its parts were found, of %" PRIu64
	                 " that were to be restored",
	                 w->t->backup->path, w->visited, w->chosen);
}

/* Whatever the order of the bundle: first what the rest belongs to. */
static int each_in_order(struct restore_whole *w, int (*each)(struct restore_part *p, struct error *err),
                         struct error *err)
{
	int r = 0;

	w->visited = 0;
	for (int kind = 0; r == 0 && kind < RESTORE_PART_KINDS; kind++)
		r = restore_part_each(w, (enum restore_part_kind)kind, each, err);
	return r < 0 ? r : check_all_visited(w, err);
}

/* Before anything is read. */

static int check_deployment_confirmed(const struct restore_whole *w, struct error *err)
{
	const struct restore_order *wanted = w->t->wanted;

	if (wanted->plan || str_equal(wanted->confirm, w->name))
		return 0;
	if (wanted->confirm)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "confirm=%.80s: %s is of the deployment %s, whose name is to be given, so nothing was done",
		        wanted->confirm, w->t->backup->path, w->name);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s is the whole deployment %s, and its restore changes %.300s: to do that write confirm=%s; plan=yes shows what would be done",
	        w->t->backup->path, w->name, str_text(&w->places), w->name);
}

static int look_at_all_parts(struct restore_whole *w, struct error *err)
{
	int r = w->t->wanted->parts ? 0 : restore_check_not_damaged(w->t->backup, err);

	if (r == 0)
		r = restore_part_check_words(w, err);
	if (r == 0)
		r = each_in_order(w, restore_part_look, err);
	if (r == 0 && w->places.len == 0)
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "nothing of %s would be restored: secrets=yes restores what is secret, and parts= names what else is wanted",
		        w->t->backup->path);
	return r < 0 ? r : check_deployment_confirmed(w, err);
}

int restore_bundle_accept(const struct restore_target *t, struct make_target *io_target, struct error *err)
{
	struct restore_whole w;
	int r;

	begin_whole(t, &w);
	r = look_at_all_parts(&w, err);
	if (r == 0 && !t->wanted->plan)
		io_target->claim = mem_printf("%s\nthe deployment %s", str_text(&w.claims), w.name);
	finish_whole(&w);
	return r;
}

/* Reading all of it. */

static int prove_part(struct restore_part *p, struct error *err)
{
	const struct restore_target *t = p->whole->t;
	const struct restore_target one = {
	        .ctx = t->ctx, .order = t->order, .wanted = t->wanted, .backup = &p->backup, .copy = t->copy};

	return restore_prove_first(&one, err);
}

/* Of a bundle of which a part is damaged the others can be restored, when that is said. */
static int prove_all(struct restore_whole *w, struct error *err)
{
	return w->t->wanted->parts ? each_in_order(w, prove_part, err) : restore_prove_first(w->t, err);
}

/* What is kept of it. */

static struct catalog_restore_which which_deployment(const struct restore_whole *w)
{
	return (struct catalog_restore_which){.run_id = w->t->order->run_id, .target = w->name, .server = ""};
}

static int note_deployment(const struct restore_whole *w, const char *made, struct error *err)
{
	struct catalog_restore x = {.run_id = w->t->order->run_id,
	                            .phase = RESTORE_PHASE_DEPLOYMENT,
	                            .begun_at_us = make_now_us(w->t->ctx)};

	str_copy(x.target, sizeof(x.target), w->name);
	str_cut(x.backup, sizeof(x.backup), w->t->order->target->name);
	str_copy(x.made, sizeof(x.made), made);
	return catalog_set_restore(w->t->ctx->repository->catalog, &x, err);
}

static void note_deployment_end(const struct restore_whole *w)
{
	const struct catalog_restore_which which = which_deployment(w);
	struct error err = {0};

	if (catalog_end_restore(w->t->ctx->repository->catalog, &which, &err) < 0)
		make_warn(w->t->order, "that the restore left nothing could not be kept: %s", err.message);
}

static void note_deployment_left(const struct restore_whole *w, const char *problem)
{
	const struct catalog_restore_which which = which_deployment(w);
	struct error err = {0};

	if (catalog_leave_restore(w->t->ctx->repository->catalog, &which, problem, &err) < 0)
		make_warn(w->t->order, "what the restore left could not be kept: %s", err.message);
}

/* All of it is well: what earlier ones have left is settled. */
static void settle_earlier_deployments(const struct restore_whole *w)
{
	const struct catalog_restore_which which = {.target = w->name, .server = ""};
	uint64_t count;

	note_deployment_end(w);
	if (!w->t->wanted->parts)
		catalog_forget_restores(w->t->ctx->repository->catalog, &which, &count, NULL);
}

/* Who ordered it stands in the audit already; this is what became of it. */
static void audit_deployment(const struct restore_whole *w, int r, const struct error *why)
{
	struct catalog_audit entry = {.at_us = make_now_us(w->t->ctx),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "restore-deployment"};
	_cleanup(free) char *detail =
	        mem_printf("%s: %s", w->name, r == 0 ? str_text(&w->done) : why->message);
	struct error err = {0};

	str_copy(entry.result, sizeof(entry.result), r == 0 ? "ok" : "failed");
	str_cut(entry.object, sizeof(entry.object), w->t->backup->path);
	str_cut(entry.detail, sizeof(entry.detail), detail);
	if (catalog_add_audit(w->t->ctx->repository->catalog, &entry, &err) < 0)
		make_warn(w->t->order, "the audit could not be written: %s", err.message);
}

/* Doing it. */

static int run_deployment_hook(const struct restore_whole *w, const char *name, const char *command,
                               const char *state, const struct error *why, struct error *err)
{
	const struct restore_hook hook = {.order = w->t->order,
	                                  .backup = w->t->backup->path,
	                                  .variable = "KEEPFS_DEPLOYMENT",
	                                  .target = w->name,
	                                  .job = w->t->backup->m.job,
	                                  .problem = why ? why->message : NULL,
	                                  .timeout_ms = w->job ? w->job->hook_timeout_ms : 0};
	bool is_start = why || str_equal(state, "completed");

	/* What was stopped is started, also when the run was cancelled. */
	return restore_hook_run(&hook, name, command, state, is_start ? NULL : w->t->order->cancel, err);
}

static int start_deployment(const struct restore_whole *w, const char *state, const struct error *why,
                            struct error *err)
{
	return run_deployment_hook(w, "restore_start_hook", w->job ? w->job->bundle.restore_start_hook : NULL,
	                           state, why, err);
}

static int stop_and_restore(struct restore_whole *w, struct error *err)
{
	int r = run_deployment_hook(w, "restore_stop_hook", w->job ? w->job->bundle.restore_stop_hook : NULL,
	                            "running", NULL, err);

	return r < 0 ? r : each_in_order(w, restore_part_restore, err);
}

static void tell_that_it_is_stopped(const struct restore_whole *w, struct error *err)
{
	_cleanup(str) struct str text = {0};

	str_appendf(
	        &text,
	        "%s%s %s is restored in part (%s), so restore_start_hook was not run: it may be stopped. Restore it once more, or start it when you know that it can be",
	        err->message, str_ends(err->message, ".") ? "" : ".", w->name,
	        w->done.len > 0 ? str_text(&w->done) : "the part that failed has changed something");
	/* The history has no further words for what was cancelled. */
	make_say(w->t->order, "%s", str_text(&text));
	str_cut(err->message, sizeof(err->message), str_text(&text));
	note_deployment_left(w, err->message);
}

static void start_unchanged(const struct restore_whole *w, struct error *err)
{
	struct error why = *err, hook = {0};

	error_prefix(err, "nothing of the deployment %s was changed", w->name);
	if (start_deployment(w, "failed", &why, &hook) == 0) {
		note_deployment_end(w);
		return;
	}
	make_warn(w->t->order, "%s: it is as it was, and may be stopped", hook.message);
	note_deployment_left(w, hook.message);
}

static int start_and_ask(const struct restore_whole *w, struct error *err)
{
	int r = note_deployment(w, RESTORE_DEPLOYMENT_ALL, err);

	if (r == 0)
		r = start_deployment(w, "completed", NULL, err);
	if (r == 0)
		r = restore_healthy(w, err);
	if (r == 0) {
		settle_earlier_deployments(w);
		return 0;
	}
	error_prefix(err, "everything was restored (%.400s), but", str_text(&w->done));
	note_deployment_left(w, err->message);
	return r;
}

static int change_deployment(struct restore_whole *w, struct error *err)
{
	int r = note_deployment(w, "", err);

	if (r < 0)
		return r;
	r = stop_and_restore(w, err);
	if (r == 0)
		return start_and_ask(w, err);
	if (w->has_changed)
		tell_that_it_is_stopped(w, err);
	else
		start_unchanged(w, err);
	return r;
}

static int prove_and_plan(struct restore_whole *w, struct error *err)
{
	int r = prove_all(w, err);

	if (r < 0)
		return r;
	restore_bundle_tell(w);
	r = each_in_order(w, restore_part_plan, err);
	if (r < 0)
		error_prefix(err, "nothing was changed");
	return r;
}

static int run_whole(struct restore_whole *w, struct error *err)
{
	struct error why = {0};
	int r = look_at_all_parts(w, err);

	if (r < 0)
		return r;
	r = prove_and_plan(w, err);
	if (r < 0)
		return r;
	if (w->t->wanted->plan) {
		make_say(w->t->order, "plan=yes: nothing was done");
		return 0;
	}
	r = change_deployment(w, &why);
	audit_deployment(w, r, &why);
	if (r < 0 && err)
		*err = why;
	if (r == 0)
		make_say(w->t->order, "the deployment %s is restored: %" PRIu64 " parts (%s)", w->name,
		         w->restored, str_text(&w->done));
	return r;
}

static int run_if_allowed(struct restore_whole *w, struct error *err)
{
	if (!restore_may_command(w->t->order))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "a deployment is restored with the rights of the user of keepfs, whose files and commands are its own: only that user, and root, may order it");
	return run_whole(w, err);
}

int restore_bundle_run(const struct restore_target *t, struct error *err)
{
	struct restore_whole w;
	int r;

	begin_whole(t, &w);
	r = run_if_allowed(&w, err);
	finish_whole(&w);
	return r;
}
