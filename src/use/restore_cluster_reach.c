// SPDX-License-Identifier: Apache-2.0
/* Which base leads to a target, and whether the WAL is there that it takes: known before anything is fetched. */
#include "restore_cluster.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/wal.h>
#include <keepfs/wal/recovery.h>

#include <errno.h>

void restore_reach_finish(struct restore_reach *r)
{
	free(r->first);
	free(r->last);
	free(r->gap);
	*r = (struct restore_reach){0};
}

int restore_cluster_learn(const struct make_context *ctx, struct cancel *cancel, struct error *err)
{
	uint64_t found;
	int r = wal_learn_all(ctx->repository, ctx->pool, cancel, &found, err);

	if (r < 0)
		error_prefix(err, "which WAL the store has cannot be listed");
	return r;
}

static enum recovery_target_kind kind_of_goal(enum recovery_goal_kind kind)
{
	static const enum recovery_target_kind kinds[] = {
	        [RECOVERY_TO_LATEST] = RECOVERY_LATEST, [RECOVERY_TO_IMMEDIATE] = RECOVERY_IMMEDIATE,
	        [RECOVERY_TO_TIME] = RECOVERY_TIME,     [RECOVERY_TO_LSN] = RECOVERY_LSN,
	        [RECOVERY_TO_XID] = RECOVERY_XID,       [RECOVERY_TO_NAME] = RECOVERY_POINT};

	return kinds[kind];
}

static struct recovery_target target_of(const struct restore_cluster_words *words, const char *only)
{
	const struct recovery_goal *g = &words->goal;

	return (struct recovery_target){.kind = kind_of_goal(g->kind),
	                                .at_us = g->time_us,
	                                .lsn = g->lsn,
	                                .xid = (uint32_t)g->xid,
	                                .point = g->name,
	                                .which = words->timeline_number ? RECOVERY_TIMELINE_NUMBER
	                                         : str_equal(words->timeline, "current")
	                                                 ? RECOVERY_TIMELINE_CURRENT
	                                                 : RECOVERY_TIMELINE_LATEST,
	                                .timeline = words->timeline_number,
	                                .base_ino = only ? ino_of_artifact(only) : 0};
}

static char *name_of_segment(const struct recovery_facts *f, uint32_t timeline, uint64_t number)
{
	struct wal_name name = wal_name_of_lsn(timeline, number * f->segment_bytes, f->segment_bytes);
	char text[WAL_NAME_BYTES];

	wal_name_format(&name, text);
	return mem_strdup(text);
}

static void take_plan(const struct recovery_facts *f, const struct recovery_plan *p,
                      struct restore_reach *ret)
{
	char text[WAL_NAME_BYTES];

	str_copy(ret->base, sizeof(ret->base), f->bases[p->base].path);
	ret->segments = p->segments;
	ret->segment_bytes = f->segment_bytes;
	ret->latest_us = p->latest_us;
	ret->timeline = p->timeline;
	ret->is_unsure = p->is_unsure;
	if (p->count > 0) {
		const struct recovery_stretch *last = &p->stretches[p->count - 1];

		ret->first = name_of_segment(f, p->stretches[0].timeline, p->stretches[0].first);
		ret->last = name_of_segment(f, last->timeline, last->last);
	}
	if (p->has_gap) {
		wal_name_format(&p->missing, text);
		ret->gap = mem_strdup(text);
	}
}

int restore_cluster_reach(const struct make_context *ctx, const char *job,
                          const struct restore_cluster_words *words, const char *only,
                          struct restore_reach *ret, struct error *err)
{
	_cleanup(recovery_facts) struct recovery_facts facts = {0};
	_cleanup(recovery_plan) struct recovery_plan plan = {0};
	const struct recovery_target target = target_of(words, only);
	int r = wal_recovery_load(ctx->repository->catalog, job, &facts, err);

	*ret = (struct restore_reach){0};
	if (r == 0)
		r = recovery_plan_make(&facts, &target, &plan, err);
	if (r == 0)
		take_plan(&facts, &plan, ret);
	return r;
}
