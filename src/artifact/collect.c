// SPDX-License-Identifier: Apache-2.0
/*
 * Packs that nobody needs any more are removed: one after the other, each as every artifact is removed, with a line of the audit. Whether one is needed is a
 * question to the catalog alone, so whoever calls this has held the catalog against the store before.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/codec/listing.h>

#define REST_KEPT_US (INT64_C(7) * 86400 * US_PER_S)

/* No other base can use it. */
static bool is_pack_of_base(const struct catalog_pack *p)
{
	return str_ends(p->path, listing_pack_suffix(LISTING_BASE));
}

/* The rest of a run that broke off, which the next one takes up. */
static bool is_rest(const struct catalog_pack *p, int64_t now_us)
{
	return !is_pack_of_base(p) && p->run_id > p->newest_run && now_us - p->finished_at_us < REST_KEPT_US;
}

static int remove_pack(struct repository *repo, const struct catalog_pack *p, struct error *err)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = -1, .pid = -1};
	const struct catalog_removal how = {
	        .is_decided = true, .by = "keepfs", .reason = "nothing needs it", .audit = &entry};

	str_copy(entry.command, sizeof(entry.command), "keepfs");
	str_copy(entry.action, sizeof(entry.action), "remove");
	str_copy(entry.object, sizeof(entry.object), p->path);
	str_copy(entry.result, sizeof(entry.result), "ok");
	str_copy(entry.detail, sizeof(entry.detail), "no backup needs this pack any more");
	return artifact_remove(repo, p->ino, &how, err);
}

/* A run may have begun, have taken it into its state, and have ended since it was found. Now none can begin. */
static bool is_unneeded_still(struct repository *repo, const char *before, const struct catalog_pack *p)
{
	struct catalog_pack now;

	return catalog_next_unneeded_pack(repo->catalog, before, &now) == 0 && now.ino == p->ino;
}

/* 0, also when a run of its job is under way: then it stays. */
static int collect_pack(struct repository *repo, const char *before, const struct catalog_pack *p,
                        uint64_t *count, struct error *err)
{
	int r = 0;

	if (!artifact_begin_collecting(repo, p->job))
		return 0;
	if (is_unneeded_still(repo, before, p)) {
		r = remove_pack(repo, p, err);
		*count += r == 0;
	}
	artifact_end_collecting(repo, p->job);
	return r;
}

struct collecting {
	struct repository *repo;
	bool (*wants)(const struct collecting *c, const struct catalog_pack *p);
	int64_t now_us;
	const char *job; /* of wants_of_run() */
	int64_t run_id;
	uint64_t count;
};

/* One that is locked is looked at again a day later, at the most. */
static bool wants_what_may_go(const struct collecting *c, const struct catalog_pack *p)
{
	return !is_rest(p, c->now_us) && p->locked_until_us <= c->now_us;
}

static bool wants_of_run(const struct collecting *c, const struct catalog_pack *p)
{
	return p->run_id == c->run_id && str_equal(p->job, c->job) && is_pack_of_base(p);
}

/* What cannot be removed stops no other; the first failure is told. */
static int collect_wanted(struct collecting *c, struct cancel *cancel, struct error *err)
{
	struct catalog_pack p = {0};
	char before[sizeof(p.path)] = "";
	struct error first = {0};
	int r, failed = 0;

	for (; (r = catalog_next_unneeded_pack(c->repo->catalog, before, &p)) == 0;
	     str_copy(before, sizeof(before), p.path)) {
		struct error why = {0};

		if (cancel_is_set(cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		if (!c->wants(c, &p))
			continue;
		r = collect_pack(c->repo, before, &p, &c->count, &why);
		if (r < 0 && failed == 0) {
			failed = r;
			first = why;
		}
	}
	if (r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (failed < 0 && err)
		*err = first;
	return failed;
}

int artifact_collect_packs(struct repository *repo, int64_t now_us, struct cancel *cancel,
                           uint64_t *ret_count, struct error *err)
{
	struct collecting c = {.repo = repo, .wants = wants_what_may_go, .now_us = now_us};
	int r = collect_wanted(&c, cancel, err);

	*ret_count = c.count;
	return r;
}

int artifact_remove_base_packs(struct repository *repo, const char *job, int64_t run_id, struct error *err)
{
	struct collecting c = {.repo = repo, .wants = wants_of_run, .job = job, .run_id = run_id};

	return collect_wanted(&c, NULL, err);
}
