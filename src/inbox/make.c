// SPDX-License-Identifier: Apache-2.0
/*
 * One file that comes in: its first bytes say what it is and when it was made, and so what its backup is called; what follows goes into the store as it comes, past a check of its content. When it was closed:
 *
 *   its end is there → its object is completed → it has its last name → its content is not there already → what was counted → published, as every draft
 *
 * The writer waits in close() for all that (in rename(), where the name was a temporary one), and is told what became of it.
 */
#include "arrival.h"
#include "content.h"
#include "describe.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/name.h>
#include <keepfs/make/draft.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A program that has closed a file under a temporary name renames it at once. */
#define NAMING_TIMEOUT_MS (INT64_C(10) * 60 * 1000)
/* A writer that has stopped holds memory that others wait for. */
#define IDLE_TIMEOUT_MS (INT64_C(60) * 60 * 1000)

struct entry_work {
	const struct make_context *ctx;
	const struct conf *conf;
	struct make_order order; /* the run's, and the job of the inbox */
	struct inbox_arrival *arrival;
	struct str head; /* the first bytes, until they are looked at */
	struct inbox_look look;
	struct inbox_content *content;
	struct draft *draft; /* NULL: not begun */
	struct stream_object *object;
	uint64_t bytes;
	bool takes_counts; /* they are in a file beside it */
};

/* Beginning. */

static int begin_entry(struct entry_work *w, struct error *err)
{
	_cleanup(free) char *name = arrival_name(w->arrival, NULL);
	_cleanup(free) char *plain = inbox_plain_name(name);
	_cleanup(free) char *what = NULL;
	struct draft_options options = {.ctx = w->ctx, .order = &w->order};
	int64_t now_us = make_now_us(w->ctx);
	char iso[CLOCK_ISO_BYTES];
	int r;

	inbox_look_at(str_text(&w->head), w->head.len, plain, &w->look);
	options.kind = inbox_kind_of(&w->look);
	options.suffix = w->look.suffix;
	options.started_at_us =
	        inbox_time_of(&w->look, conf_zone_name(w->conf, w->order.job), now_us, now_us);
	what = inbox_look_text(&w->look);
	make_say(&w->order, "it is %s; %s %s", what,
	         options.started_at_us == now_us ? "nothing says when it was made, so it is of"
	         : w->look.time_is_of_content    ? "it says that it was made at"
	                                         : "its name says that it was made at",
	         clock_format_iso(options.started_at_us, iso));
	w->content = inbox_content_new(&w->look, w->ctx->conf->state_dir);
	r = draft_new(&options, &w->draft, err);
	return r < 0 ? r : draft_open(w->draft, NULL, 0, &w->object, err);
}

/* Its bytes. */

static int pass_bytes(struct entry_work *w, const void *data, size_t len, struct error *err)
{
	int r = draft_pace(w->draft, len, err);

	if (r == 0)
		r = inbox_content_feed(w->content, data, len, err);
	return r < 0 ? r : stream_object_write(w->object, data, len, err);
}

static int pass_head(struct entry_work *w, struct error *err)
{
	int r = begin_entry(w, err);

	if (r == 0)
		r = pass_bytes(w, str_text(&w->head), w->head.len, err);
	str_finish(&w->head);
	return r;
}

static int take_incoming_bytes(struct entry_work *w, const char *data, size_t len, struct error *err)
{
	size_t room = INBOX_HEAD_BYTES - w->head.len, n = w->draft ? 0 : len < room ? len : room;
	int r = 0;

	w->bytes += len;
	str_append_bytes(&w->head, data, n);
	if (!w->draft && w->head.len == INBOX_HEAD_BYTES)
		r = pass_head(w, err);
	return r < 0 || n == len ? r : pass_bytes(w, data + n, len - n, err);
}

static int take_all_bytes(struct entry_work *w, struct error *err)
{
	const void *data;
	size_t len;
	int r;

	while ((r = intake_next(w->arrival->intake, w->order.cancel, IDLE_TIMEOUT_MS, &data, &len, err)) ==
	       INTAKE_PIECE) {
		r = take_incoming_bytes(w, data, len, err);
		if (r < 0)
			return r;
	}
	if (r == -ETIMEDOUT)
		return error_set(err, ERROR_TIMEOUT, ETIMEDOUT,
		                 "nothing was written for an hour, and it was not closed");
	if (r < 0)
		return r;
	if (w->bytes == 0)
		return error_set(err, ERROR_USAGE, EINVAL, "the file is empty: it is no backup");
	return w->draft ? 0 : pass_head(w, err);
}

/* Its end. */

static int end_bytes(struct entry_work *w, struct error *err)
{
	int r = inbox_content_end(w->content, err);

	if (r == 0)
		r = draft_finish(w->draft, NULL, w->object, NULL, err);
	w->object = stream_object_free(w->object);
	return r;
}

static int wait_for_name(struct entry_work *w, struct error *err)
{
	const void *data;
	bool is_temporary;
	size_t len;
	int r = 0;

	free(arrival_name(w->arrival, &is_temporary));
	while (is_temporary && r == INTAKE_END) {
		intake_answer(w->arrival->intake, 0);
		make_say(&w->order, "it is stored, and waits for its last name");
		r = intake_next(w->arrival->intake, w->order.cancel, NAMING_TIMEOUT_MS, &data, &len, err);
		free(arrival_name(w->arrival, &is_temporary));
	}
	if (r == -ETIMEDOUT)
		return error_set(
		        err, ERROR_TIMEOUT, ETIMEDOUT,
		        "it was closed under a temporary name, and was not renamed within ten minutes");
	if (r == INTAKE_PIECE)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "something was written behind its end: one close is the end of a file");
	return r;
}

/* 1: @ret_path (heap) has it already, and stays as long as what comes in does, though the rules may want it gone. What was adopted is in no store of ours: the writer is promised that this is. */
static int find_same(struct entry_work *w, char **ret_path, struct error *err)
{
	const struct manifest_file *own = &draft_manifest(w->draft)->files[0];
	int r = arrival_claim_content(w->arrival, own->sha256, w->order.cancel, err);

	if (r < 0)
		return r;
	r = catalog_find_content(w->ctx->repository->catalog, w->order.target->directory, own->sha256,
	                         own->size_bytes, true, ret_path);
	if (r == 0)
		r = catalog_keep_until(w->ctx->repository->catalog, ino_of_artifact(*ret_path),
		                       make_now_us(w->ctx) + INBOX_STAYS_US, err);
	/* There is none, or it was removed in this moment. */
	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_system(err, -r, "the catalog cannot be used") : 1;
}

static void describe_incoming(struct entry_work *w)
{
	_cleanup(free) char *name = arrival_name(w->arrival, NULL);
	struct manifest *m = draft_manifest(w->draft);

	inbox_describe(m, &w->look, w->content, name, "arrival");
	m->keep_until_us = make_now_us(w->ctx) + INBOX_STAYS_US;
}

static int feed_entry_again(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int end_entry_again(void *arg, struct error *err)
{
	return pg_archive_scan_end(arg, err);
}

/* An archive is read back as our own are. */
static int publish_entry(struct entry_work *w, struct manifest *ret, struct error *err)
{
	struct pg_archive_scan *scan = inbox_content_counts(w->content) ? pg_archive_scan_new(NULL) : NULL;
	const struct draft_check check = {.feed = feed_entry_again, .end = end_entry_again, .arg = scan};
	int r = draft_publish(w->draft, scan ? &check : NULL, ret, err);

	pg_archive_scan_free(scan);
	return r;
}

static int publish_what_came(struct entry_work *w, struct manifest *ret, struct error *err)
{
	int r;

	describe_incoming(w);
	r = inbox_put_counts(w->draft, w->content, false, err);
	if (r == 0)
		r = publish_entry(w, ret, err);
	if (r < 0)
		return r;
	if (!inbox_content_has_end(w->content))
		make_say(
		        &w->order,
		        "nothing in such a file says where it ends: that it was written whole is what its writer has said by closing it");
	arrival_succeed(w->arrival, ret->path, "");
	inbox_prune(w->ctx, w->conf, &w->order);
	return 0;
}

static int take_incoming_file(struct entry_work *w, struct manifest *ret, struct error *err)
{
	_cleanup(free) char *same = NULL;
	int r = take_all_bytes(w, err);

	if (r == 0)
		r = end_bytes(w, err);
	if (r == 0)
		r = wait_for_name(w, err);
	if (r == 0)
		r = find_same(w, &same, err);
	if (r == 0)
		return publish_what_came(w, ret, err);
	if (r > 0) {
		make_say(&w->order, "%s has the same content: nothing is stored twice", same);
		w->draft = draft_free(w->draft);
		arrival_succeed(w->arrival, same, "it was there already");
	}
	return r > 0 ? 0 : r;
}

/* The kind of work. */

static const char *order_value(const struct command_line *line, const char *key)
{
	for (size_t i = 0; i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, key))
			return line->pairs[i].value;
	return "";
}

static const struct conf_job *inbox_job(const struct conf *conf, const char *name, struct error *err)
{
	const struct conf_job *job = conf_find_job(conf, name);

	if (job && job->kind == CONF_JOB_INBOX)
		return job;
	error_set(err, ERROR_USAGE, EINVAL, "the configuration has no [inbox %s] any more", name);
	return NULL;
}

static void cleanup_entry_work(struct entry_work *w)
{
	stream_object_free(w->object);
	draft_free(w->draft);
	inbox_content_free(w->content);
	str_finish(&w->head);
	make_conf_unref(w->ctx, w->conf);
}

static int inbox_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                      struct error *err)
{
	struct entry_work w = {
	        .ctx = ctx, .conf = make_conf_ref(ctx), .order = *order, .arrival = order->shared};
	struct error why = {0};
	int r = -EINVAL;

	w.order.job = inbox_job(w.conf, w.arrival->job, &why);
	if (w.order.job)
		r = take_incoming_file(&w, ret, &why);
	cleanup_entry_work(&w);
	if (r == 0)
		return 0;
	if (!why.message[0])
		error_system(&why, -r, "the file could not be taken");
	inbox_arrival_end(w.arrival, r, &why);
	if (err)
		*err = why;
	return r;
}

static void drop_arrival(void *shared)
{
	arrival_abandon(shared);
	inbox_arrival_unref(shared);
}

static int prepare_entry(const struct make_context *ctx, const struct make_wanted *wanted,
                         struct make_targets *ret, struct error *err)
{
	const uint64_t number = strtoull(order_value(wanted->line, "number"), NULL, 10);
	struct inbox_arrival *a = ctx->arrivals ? arrivals_find(ctx->arrivals, number) : NULL;
	const struct conf *conf = make_conf_ref(ctx);
	const struct conf_job *job = a ? inbox_job(conf, a->job, err) : NULL;
	struct make_target *target;

	if (job) {
		target = make_targets_add(ret);
		target->label = mem_strdup(order_value(wanted->line, "name"));
		target->directory = make_directory_of(job, NULL);
		ret->shared = a;
		ret->free_shared = drop_arrival;
	} else {
		inbox_arrival_unref(a);
	}
	make_conf_unref(ctx, conf);
	if (job)
		return 0;
	return a ? -EINVAL
	         : error_set(err, ERROR_USAGE, EINVAL, "a file is taken when somebody writes it into inbox/");
}

static enum make_lane inbox_lane(const struct command_line *line)
{
	return MAKE_LANE_INBOX;
}

const struct make_kind inbox_work = {
        .name = "inbox",
        .targets_name = "files",
        .lane = inbox_lane,
        .prepare = prepare_entry,
        .make = inbox_make,
};

/* The kind of job. */

static int refuse_run(const struct conf_job *job, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "[inbox %s] makes nothing by itself: what is written into inbox/%s/ of the mount becomes a backup",
	        job->name, job->name);
}

static int accept_none(const struct make_context *ctx, const struct conf_job *job,
                       const struct make_wanted *wanted, struct error *err)
{
	return refuse_run(job, err);
}

/* Its directory is there all the same, for those who ask where it is. */
static int inbox_targets(const struct make_context *ctx, const struct conf_job *job,
                         const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct make_target *target;

	if (!wanted->offline)
		return refuse_run(job, err);
	target = make_targets_add(ret);
	target->label = mem_strdup(job->name);
	target->directory = make_directory_of(job, NULL);
	return 0;
}

static int make_none(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	return refuse_run(order->job, err);
}

static void look_at_nothing(const struct make_context *ctx, const struct conf_job *job,
                            const struct make_target *made, struct cancel *cancel)
{
}

static void check_inbox(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_findings *findings)
{
	_cleanup(free) char *name = mem_printf("inbox %s", job->name);

	make_found(findings, true, name,
	           "what is written into inbox/%s/ of the mount becomes a backup in backups/%s/", job->name,
	           job->name);
}

const struct make_kind inbox_kind = {
        .name = "inbox",
        .targets_name = "files",
        .accepts = accept_none,
        .targets = inbox_targets,
        .make = make_none,
        .look_around = look_at_nothing,
        .check = check_inbox,
};
