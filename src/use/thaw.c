// SPDX-License-Identifier: Apache-2.0
/*
 * Thawing: backups that are frozen in an archive class of the store are asked for (artifact_thaw()), with the packs that a state of a mirror needs. The run ends when that is ordered, since it takes the
 * store minutes to days; how it stands is asked by whoever reads (status/thaws). The store takes money for it, so plan=yes says how much it would be.
 */
#include "words.h"

#include <keepfs/artifact/class.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/use.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_DEFAULT 7
#define DAYS_MAX     365

struct thaw_work {
	const struct make_context *ctx;
	const struct make_order *order;
	struct store_thaw how;
	bool plan;
	uint64_t asked, readable, failed, bytes;
	int result;
	struct error first; /* failure */
};

/* The words. */

static int take_thaw_days(const char *text, unsigned *ret, struct error *err)
{
	char *end;
	long days = text ? strtol(text, &end, 10) : DAYS_DEFAULT;

	if (text && (!*text || *end || days < 1 || days > DAYS_MAX))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "days=%.20s: for how many days it stays thawed, 1 to %d", text, DAYS_MAX);
	*ret = (unsigned)days;
	return 0;
}

static int take_thaw_tier(const char *text, enum store_thaw_tier *ret, struct error *err)
{
	*ret = STORE_THAW_BULK;
	for (enum store_thaw_tier tier = STORE_THAW_BULK; tier <= STORE_THAW_EXPEDITED; tier++)
		if (!text || str_equal(text, store_thaw_tier_name(tier))) {
			*ret = tier;
			return 0;
		}
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "tier=%.20s: allowed are bulk (the cheapest, up to two days), standard (hours) and expedited (minutes, not of DEEP_ARCHIVE)",
	        text);
}

static int take_thaw_plan(const char *text, bool *ret, struct error *err)
{
	*ret = text && str_equal(text, "yes");
	if (!text || *ret || str_equal(text, "no"))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "plan=%.20s: allowed are yes and no", text);
}

static int take_thaw_words(const struct command_line *line, struct store_thaw *ret, bool *ret_plan,
                           struct error *err)
{
	static const char *const allowed[] = {"days", "tier", "plan", "note", NULL};
	int r = words_check_pairs(line, allowed, err);

	if (r == 0 && line->word_count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "name a backup, a job, or: all");
	if (r == 0)
		r = take_thaw_days(words_pair(line, "days"), &ret->days, err);
	if (r == 0)
		r = take_thaw_tier(words_pair(line, "tier"), &ret->tier, err);
	return r < 0 ? r : take_thaw_plan(words_pair(line, "plan"), ret_plan, err);
}

static int thaw_accepts(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	struct store_thaw how;
	bool plan;
	int r = take_thaw_words(wanted->line, &how, &plan, err);

	return r < 0 ? r : words_targets(ctx, job, wanted, &targets, err);
}

/* One backup. */

static void note_thaw_failure(struct thaw_work *w, const char *path, int r, const struct error *why)
{
	w->failed++;
	make_say(w->order, "%s: %s", path, why->message);
	if (w->result == 0) {
		w->result = r;
		w->first = *why;
		error_prefix(&w->first, "%s", path);
	}
}

static void note_thaw_in_audit(struct thaw_work *w, const char *path, const char *text)
{
	struct catalog_audit entry = {.at_us = make_now_us(w->ctx),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "thaw",
	                              .result = "ok"};
	struct error err = {0};

	str_cut(entry.object, sizeof(entry.object), path);
	str_cut(entry.detail, sizeof(entry.detail), text);
	if (catalog_add_audit(w->ctx->repository->catalog, &entry, &err) < 0)
		make_warn(w->order, "that %s is thawed could not be noted in the audit: %s", path,
		          err.message);
}

static void tell_thaw(struct thaw_work *w, const char *path, const struct artifact_thaw *io)
{
	unsigned asked = io->objects - io->thawing;
	char size[16];
	_cleanup(free) char *text = NULL;

	if (io->objects == 0) {
		w->readable++;
		make_say(w->order, "%s is not frozen: it can be read as it is", path);
		return;
	}
	w->asked++;
	w->bytes += io->bytes;
	text = mem_printf(
	        "run %" PRId64
	        ": %u objects, %s, in %s%s for %u days, tier %s; of %u it was asked for before, %u can be read already",
	        w->order->run_id, asked, str_format_bytes(size, sizeof(size), io->bytes), io->class,
	        w->plan ? " would be thawed" : "", io->how.days, store_thaw_tier_name(io->how.tier),
	        io->thawing, io->done);
	make_say(w->order, "%s: %s", path, strchr(text, ':') + 2);
	if (!w->plan)
		note_thaw_in_audit(w, path, text);
}

struct thawed_packs {
	struct thaw_work *w;
	struct artifact_thaw *io;
	int result;
	struct error error;
};

static void thaw_pack(void *arg, uint64_t pack_ino)
{
	struct thawed_packs *p = arg;

	if (p->result == 0)
		p->result = artifact_thaw(p->w->ctx->repository, pack_ino, p->io, &p->error);
}

/* What a state of a mirror shows is in its packs. */
static int thaw_with_packs(struct thaw_work *w, uint64_t ino, struct artifact_thaw *io, struct error *err)
{
	struct thawed_packs packs = {.w = w, .io = io};
	uint64_t missing = 0;
	int r = artifact_thaw(w->ctx->repository, ino, io, err);

	if (r < 0 || !catalog_needs_packs(w->ctx->repository->catalog, ino))
		return r;
	r = catalog_each_needed_pack(w->ctx->repository->catalog, ino, thaw_pack, &packs, &missing);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (packs.result < 0)
		*err = packs.error;
	return packs.result;
}

static void thaw_backup(struct thaw_work *w, uint64_t ino)
{
	_cleanup(free) char *path = NULL;
	struct artifact_thaw io = {.how = w->how, .plan = w->plan, .cancel = w->order->cancel};
	struct error why = {0};
	int r;

	/* Of a part all of the artifact is asked for: it is one manifest. */
	(void)catalog_artifact_of(w->ctx->repository->catalog, ino, &ino);
	path = catalog_path(w->ctx->repository->catalog, ino);
	/* It was removed meanwhile. */
	if (!path)
		return;
	r = thaw_with_packs(w, ino, &io, &why);
	if (r == 0)
		tell_thaw(w, path, &io);
	else if (!cancel_is_set(w->order->cancel))
		note_thaw_failure(w, path, r, &why);
}

static bool thaw_one(void *arg, uint64_t ino)
{
	struct thaw_work *w = arg;

	if (!cancel_is_set(w->order->cancel))
		thaw_backup(w, ino);
	return !cancel_is_set(w->order->cancel);
}

static int thaw_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	struct thaw_work w = {.ctx = ctx, .order = order};
	char size[16];
	int r = take_thaw_words(order->line, &w.how, &w.plan, err);

	if (r == 0)
		r = words_each_backup(ctx->repository->catalog, order->target->name, thaw_one, &w, err);
	if (r < 0)
		return r;
	make_say(order, "%s: %" PRIu64 " backups (%s) %s; %" PRIu64 " are not frozen, %" PRIu64 " failed%s",
	         order->target->label, w.asked, str_format_bytes(size, sizeof(size), w.bytes),
	         w.plan ? "would be thawed" : "are being thawed", w.readable, w.failed,
	         w.plan || w.asked == 0 ? "" : "; when they can be read says status/thaws");
	if (w.result == 0)
		return 0;
	*err = w.first;
	return w.result;
}

static enum make_lane thaw_lane(const struct command_line *line)
{
	return MAKE_LANE_VERIFY;
}

const struct make_kind use_thaw = {
        .name = "thaw",
        .targets_name = "places",
        .lane = thaw_lane,
        .accepts = thaw_accepts,
        .targets = words_targets,
        .make = thaw_make,
};
