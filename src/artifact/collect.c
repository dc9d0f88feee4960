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

#define REST_KEPT_US (INT64_C(7) * 86400 * US_PER_S)

/* The rest of a run that broke off, which the next one takes up. */
static bool is_rest(const struct catalog_pack *p, int64_t now_us)
{
	return p->run_id > p->newest_run && now_us - p->finished_at_us < REST_KEPT_US;
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

int artifact_collect_packs(struct repository *repo, int64_t now_us, struct cancel *cancel,
                           uint64_t *ret_count, struct error *err)
{
	struct catalog_pack p = {0};
	struct error first = {0};
	int r, failed = 0;

	*ret_count = 0;
	while ((r = catalog_next_unneeded_pack(repo->catalog, p.path, &p)) == 0) {
		struct error why = {0};

		if (cancel_is_set(cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		/* One that is locked is looked at again a day later, at the most. */
		if (is_rest(&p, now_us) || p.locked_until_us > now_us ||
		    !artifact_begin_collecting(repo, p.job))
			continue;
		r = remove_pack(repo, &p, &why);
		artifact_end_collecting(repo, p.job);
		*ret_count += r == 0;
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
