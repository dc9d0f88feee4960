// SPDX-License-Identifier: Apache-2.0
/*
 * One bundle: a draft that is a directory, and of each part a draft within it (keepfs/make/draft.h), filled by the maker of its kind, which does not know. Each
 * part is read back when it is made; the first that fails fails the bundle, whose draft takes all of it back.
 */
#include "bundle.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/kinds.h>
#include <keepfs/stream/rate.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static int bundle_accepts(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct error *err)
{
	if (!wanted->database && !wanted->class)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s: [bundle %s] is made as a whole; leave this key out, or trigger the job of the part",
	        wanted->database ? "database" : "class", job->name);
}

static int bundle_targets(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct make_target *all = make_targets_add(ret);

	all->label = mem_strdup(conf_bundle_name(job));
	all->directory = make_directory_of(job, NULL);
	return 0;
}

/* The parts. */

/* A part is called as the directory of its job, or of one of several targets of it: "database", "tenants/acme". A '.' in there would look like the
 * beginning of its suffix. */
static char *name_of_part(const struct make_target *t)
{
	_cleanup(str) struct str name = {0};

	for (const char *at = t->directory + strcspn(t->directory, "/") + 1; *at; at++) {
		if (*at == '.')
			str_append(&name, "=2E");
		else
			str_append_char(&name, *at);
	}
	return str_take(&name);
}

static void note_missing(struct bundle *b, const struct conf_job *job, const struct make_targets *targets)
{
	const char *why = targets->warning          ? targets->warning
	                  : targets->note_count > 0 ? targets->notes[targets->note_count - 1]
	                                            : "there is nothing to back up";

	b->missing = mem_resize(b->missing, b->missing_count + 1, sizeof(*b->missing));
	b->missing[b->missing_count++] =
	        (struct bundle_missing){.job = mem_strdup(job->name), .why = mem_strdup(why)};
	make_say(b->order, "part %s: nothing is in the bundle: %s", job->name, why);
}

/* What was there, and is nowhere to be seen, is rather a disk that is not mounted than gone: bundles without it must not push out those that have it. */
static int check_still_there(const struct bundle *b, const struct conf_job *job,
                             const struct make_targets *targets, struct error *err)
{
	int r = targets->warning && targets->count == 0
	                ? catalog_newest_has_part(b->ctx->repository->catalog, b->order->target->directory,
	                                          job->name)
	                : 0;

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (r == 0)
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, ENOENT,
	        "the part %s failed, so there is no bundle: %s; the newest bundle has it: take it out of parts, if it is gone for good",
	        job->name, targets->warning);
}

static int make_part(struct bundle *b, const struct conf_job *job, const struct make_targets *targets,
                     const struct make_target *t, struct error *err)
{
	_cleanup(free) char *name = name_of_part(t);
	_cleanup(manifest) struct manifest ignored = {0};
	struct make_order order = *b->order;
	int r;

	order.job = job;
	order.target = t;
	order.shared = targets->shared;
	order.at_once = 1;
	order.rate = b->rate;
	order.whole = b->draft;
	order.part = name;
	make_say(b->order, "part %s: %s of job %s", name, t->label, job->name);
	r = kind_of(job)->make(b->ctx, &order, &ignored, err);
	if (r < 0 && !cancel_is_set(b->order->cancel))
		error_prefix(err, "the part %s failed, so there is no bundle", name);
	return r;
}

static int make_targets_of_part(struct bundle *b, const struct conf_job *job, struct make_targets *targets,
                                struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < targets->note_count; i++)
		make_say(b->order, "part %s: %s", job->name, targets->notes[i]);
	if (targets->failure)
		return error_set(err, ERROR_CONFLICT, EIO, "the part %s failed, so there is no bundle: %s",
		                 job->name, targets->failure);
	r = check_still_there(b, job, targets, err);
	if (r < 0)
		return r;
	if (targets->warning)
		make_warn(b->order, "part %s: %s", job->name, targets->warning);
	if (targets->count == 0)
		note_missing(b, job, targets);
	for (size_t i = 0; r == 0 && i < targets->count; i++)
		r = make_part(b, job, targets, &targets->items[i], err);
	return r;
}

static int make_job_as_part(struct bundle *b, const char *name, struct error *err)
{
	const struct conf_job *job = conf_find_job(b->conf, name);
	const struct make_wanted wanted = {.is_part = true, .cancel = b->order->cancel};
	_cleanup(make_targets) struct make_targets targets = {0};
	int r;

	if (!job)
		return error_set(err, ERROR_USAGE, ENOENT,
		                 "the part %s failed, so there is no bundle: there is no such job any more",
		                 name);
	r = kind_of(job)->targets(b->ctx, job, &wanted, &targets, err);
	if (r < 0) {
		error_prefix(err, "the part %s failed, so there is no bundle", name);
		return r;
	}
	return make_targets_of_part(b, job, &targets, err);
}

/* The whole. */

static int begin_bundle(struct bundle *b, struct error *err)
{
	const struct draft_options options = {.ctx = b->ctx,
	                                      .order = b->order,
	                                      .kind = bundle_kind.name,
	                                      .suffix = "",
	                                      .is_directory = true,
	                                      .started_at_us = make_now_us(b->ctx)};

	return draft_new(&options, &b->draft, err);
}

/* Which host and version it is of is asked before the first part: that is when the deployment was as it is in the bundle. */
static void describe_bundle(const struct bundle *b)
{
	struct manifest *m = draft_manifest(b->draft);
	_cleanup(free) char *version = NULL;
	char host[256] = "";
	struct error err = {0};

	manifest_set_fact(m, BUNDLE_FACT_NAME, conf_bundle_name(b->order->job));
	(void)gethostname(host, sizeof(host) - 1);
	manifest_set_fact(m, BUNDLE_FACT_HOST, host[0] ? host : NULL);
	if (bundle_version(b->order->job, b->order->cancel, &version, &err) < 0)
		make_warn(b->order, "the bundle is made without the version of the deployment: %s",
		          err.message);
	manifest_set_fact(m, BUNDLE_FACT_VERSION, version);
}

static int make_bundle(struct bundle *b, struct manifest *ret, struct error *err)
{
	char *const *parts = b->order->job->bundle.parts;
	int r = begin_bundle(b, err);

	if (r < 0)
		return r;
	describe_bundle(b);
	for (size_t i = 0; r == 0 && parts[i]; i++)
		r = make_job_as_part(b, parts[i], err);
	if (r == 0)
		r = bundle_put_texts(b, err);
	return r < 0 ? r : draft_publish(b->draft, NULL, ret, err);
}

static int bundle_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct error *err)
{
	struct bundle b = {.ctx = ctx, .order = order, .conf = make_conf_ref(ctx)};
	uint64_t rate = order->job->max_rate_bytes;
	int r;

	b.rate = rate ? rate_new(rate) : NULL;
	r = make_bundle(&b, ret, err);
	draft_free(b.draft);
	rate_free(b.rate);
	for (size_t i = 0; i < b.missing_count; i++) {
		free(b.missing[i].job);
		free(b.missing[i].why);
	}
	free(b.missing);
	make_conf_unref(ctx, b.conf);
	return r;
}

static void bundle_look_around(const struct make_context *ctx, const struct conf_job *job,
                               const struct make_target *made, struct cancel *cancel)
{
	const struct conf *conf = make_conf_ref(ctx);

	for (size_t i = 0; !cancel_is_set(cancel) && job->bundle.parts[i]; i++) {
		const struct conf_job *part = conf_find_job(conf, job->bundle.parts[i]);

		if (part)
			kind_of(part)->look_around(ctx, part, NULL, cancel);
	}
	make_conf_unref(ctx, conf);
}

/* The parts are jobs, and are looked at as such. */
static void bundle_check(const struct make_context *ctx, const struct conf_job *job,
                         const struct make_findings *findings)
{
	_cleanup(free) char *version = NULL;
	_cleanup(str) struct str parts = {0};
	struct error err = {0};

	for (size_t i = 0; job->bundle.parts[i]; i++)
		str_appendf(&parts, "%s%s", i > 0 ? ", " : "", job->bundle.parts[i]);
	make_found(findings, true, "parts", "%s", str_text(&parts));
	if (bundle_version(job, NULL, &version, &err) < 0)
		make_found(findings, false, "version", "%s", err.message);
	else if (version)
		make_found(findings, true, "version", "%s", version);
}

const struct make_kind bundle_kind = {
        .name = BUNDLE_KIND,
        .targets_name = "bundles",
        .accepts = bundle_accepts,
        .targets = bundle_targets,
        .make = bundle_make,
        .look_around = bundle_look_around,
        .check = bundle_check,
};
