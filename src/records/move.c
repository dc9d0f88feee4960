// SPDX-License-Identifier: Apache-2.0
/*
 * What is due, and its way into the store. A kind of record is a row of `kinds`. Little that is due waits until a tenth
 * of what is kept has come together, or until its age is a tenth more than it may have: so an object holds many rows,
 * whatever the pace at which they come.
 */
#include "records_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/keyring.h>
#include <keepfs/report/run.h>
#include <keepfs/report/status.h>

#include <errno.h>
#include <string.h>

#define RUNS_AT_ONCE 1000 /* of one object, and as many as may come together before they are moved */

/* Before when something is too old; 0: nothing is. @patience: too old for any longer waiting. */
static int64_t due_before_us(const struct records_context *ctx, int64_t age_ms, bool patience)
{
	int64_t now_us = ctx->now_us ? ctx->now_us() : clock_now_us();

	if (age_ms == 0)
		return 0;
	return now_us - (age_ms + (patience ? age_ms / 10 : 0)) * 1000;
}

/* The audit. */

struct old_audits {
	struct pack *pack;
	int64_t up_to; /* all up to this number are too many; 0: none is */
	int64_t before_us;
	int64_t newest; /* its number: it stays */
};

static bool is_old_audit(const struct old_audits *old, const struct catalog_audit *entry)
{
	return entry->id < old->newest && (entry->id <= old->up_to || entry->at_us < old->before_us);
}

static bool take_audit(void *arg, const struct catalog_audit *entry)
{
	struct old_audits *old = arg;

	if (!is_old_audit(old, entry))
		return false;
	pack_add(old->pack, entry->id, entry->at_us, catalog_audit_object(entry));
	return !pack_is_full(old->pack);
}

static bool see_whether_old(void *arg, const struct catalog_audit *entry)
{
	struct old_audits *old = arg;

	if (!is_old_audit(old, entry))
		old->before_us = 0;
	return false;
}

/* Sets what makes a line old, for now: neither, when what is old can wait. */
static int judge_audit(const struct records_context *ctx, struct old_audits *old)
{
	int64_t keep = ctx->conf->audit_keep, first = 0, age_ms = ctx->conf->audit_age_ms;
	int r = catalog_audit_span(ctx->catalog, &first, &old->newest);

	if (r < 0)
		return r;
	old->before_us = due_before_us(ctx, age_ms, true);
	r = catalog_audits_after(ctx->catalog, 0, see_whether_old, old);
	if (old->before_us)
		old->before_us = due_before_us(ctx, age_ms, false);
	if (keep && (uint64_t)(old->newest - first + 1) > report_rows_shown(keep))
		old->up_to = old->newest - keep;
	return r;
}

static int pack_audits(const struct records_context *ctx, struct pack *p)
{
	struct old_audits old = {.pack = p};
	int r = judge_audit(ctx, &old);

	if (r == 0)
		r = catalog_audits_after(ctx->catalog, 0, take_audit, &old);
	return r == -ENOENT ? 0 : r;
}

/* Runs. */

static ssize_t find_old_runs(const struct records_context *ctx, int64_t keep, int64_t before_us, int64_t *ids,
                             size_t max)
{
	const struct catalog_run_age age = {
	        .keep = (uint64_t)keep, .before_us = before_us, .keep_of_job = RECORDS_RUNS_OF_JOB};

	return catalog_old_runs(ctx->catalog, &age, ids, max);
}

/* 1: enough has come together, or one is so old that it must not wait; 0; negative errno. */
static int has_due_runs(const struct records_context *ctx, int64_t *ids)
{
	int64_t keep = ctx->conf->history_keep;
	size_t enough = (size_t)(report_rows_shown(keep) - (uint64_t)keep) + 1;
	int64_t before_us = due_before_us(ctx, ctx->conf->history_age_ms, true);
	ssize_t count = 0;

	if (enough > RUNS_AT_ONCE)
		enough = RUNS_AT_ONCE;
	if (keep)
		count = find_old_runs(ctx, keep, 0, ids, enough);
	if (count < 0 || (keep && (size_t)count == enough))
		return count < 0 ? (int)count : 1;
	return before_us ? (int)find_old_runs(ctx, 0, before_us, ids, 1) : 0;
}

static int pack_run(const struct records_context *ctx, struct pack *p, int64_t id)
{
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	struct json *record = NULL;
	int r = catalog_run(ctx->catalog, id, run);

	if (r == 0)
		r = report_run_record(ctx->catalog, run, &record);
	if (r == 0)
		pack_add(p, id, run->queued_at_us, record);
	return r;
}

static int pack_runs(const struct records_context *ctx, struct pack *p)
{
	_cleanup(free) int64_t *ids = mem_array(RUNS_AT_ONCE, sizeof(*ids));
	int r = has_due_runs(ctx, ids);
	ssize_t count;

	if (r <= 0)
		return r;
	count = find_old_runs(ctx, ctx->conf->history_keep,
	                      due_before_us(ctx, ctx->conf->history_age_ms, false), ids, RUNS_AT_ONCE);
	r = count < 0 ? (int)count : 0;
	for (ssize_t i = 0; r == 0 && i < count && !pack_is_full(p); i++)
		r = pack_run(ctx, p, ids[i]);
	return r;
}

/* Both. */

static const struct {
	const char *directory; /* below RECORDS_PREFIX */
	const char *what;
	/* Put what is due into @p, or as much of it as one object may hold. */
	int (*pack)(const struct records_context *ctx, struct pack *p);
} kinds[RECORD_KINDS] = {
        [RECORD_AUDIT] = {"audit", "lines of the audit", pack_audits},
        [RECORD_HISTORY] = {"history", "runs", pack_runs},
};

const char *record_directory(enum record_kind kind)
{
	return kinds[kind].directory;
}

/* 1: a record was begun; 0: nothing is due. */
static int begin_next(const struct records_context *ctx, enum record_kind kind, const struct store_call *call,
                      struct error *err)
{
	_cleanup(catalog_record) struct catalog_record record = {0};
	_cleanup(age_recipients) struct age_recipients *recipients = NULL;
	_cleanup(conf_ref) const struct conf *live = ctx->live ? conf_live_ref(ctx->live) : NULL;
	_cleanup(pack) struct pack pack = {0};
	int r = kinds[kind].pack(ctx, &pack);

	if (r < 0)
		return error_system(err, -r, "old %s cannot be read from the catalog", kinds[kind].what);
	if (pack.count == 0)
		return 0;
	r = keyring_recipients(live ? live : ctx->conf, NULL, call ? call->cancel : NULL, &recipients, err);
	if (r == 0)
		r = pack_record(&pack, kinds[kind].directory, recipients, &record, err);
	if (r == 0)
		r = catalog_begin_record(ctx->catalog, kind, &record, pack.ids, pack.count, err);
	if (r == 0)
		log_info("%zu %s move to %s", pack.count, kinds[kind].what, record.key);
	return r < 0 ? r : 1;
}

/* Rows are dropped only for an object that was seen whole. */
static int send_record(const struct records_context *ctx, const struct store_call *call,
                       const struct catalog_record *record, struct error *err)
{
	const struct store_put_options options = {.only_if_absent = true, .content_type = "application/gzip"};
	_cleanup(free) char *stored = NULL;
	size_t bytes = 0;
	int r = store_put_bytes(ctx->store, call, record->key, record->content, record->bytes, &options, err);

	if (r >= 0)
		r = store_get_all(ctx->store, call, record->key, record->bytes, &stored, &bytes, err);
	if (r < 0)
		return r;
	if (bytes != record->bytes || memcmp(stored, record->content, bytes) != 0)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s is not what was put there: what it was to hold stays in the catalog; look "
		        "at the store, and remove this object there",
		        record->key);
	return 0;
}

/* Bring what was begun, now or before a crash, to its end. 0 also when there is nothing. */
static int end_begun(const struct records_context *ctx, enum record_kind kind, const struct store_call *call,
                     struct error *err)
{
	_cleanup(catalog_record) struct catalog_record record = {0};
	int r = catalog_record(ctx->catalog, kind, &record);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_system(err, -r,
		                    "what is on its way to the store cannot be read from the catalog");
	r = send_record(ctx, call, &record, err);
	if (r == 0 && ctx->put)
		ctx->put(ctx->put_arg);
	return r < 0 ? r : catalog_end_record(ctx->catalog, kind, err);
}

static int move_kind(const struct records_context *ctx, enum record_kind kind, const struct store_call *call,
                     struct error *err)
{
	int r = end_begun(ctx, kind, call, err);

	while (r == 0) {
		r = begin_next(ctx, kind, call, err);
		if (r <= 0)
			return r;
		r = end_begun(ctx, kind, call, err);
	}
	return r;
}

int records_move(const struct records_context *ctx, const struct store_call *call, struct error *err)
{
	int result = 0;

	/* What holds up one kind does not hold up the other. */
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct error failure = {0};
		int r = move_kind(ctx, (enum record_kind)kind, call, &failure);

		if (r == 0 || result < 0)
			continue;
		result = r;
		if (err)
			*err = failure;
	}
	return result;
}
