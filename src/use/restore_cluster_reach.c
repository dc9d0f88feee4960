// SPDX-License-Identifier: Apache-2.0
/* Which base leads to a target, and whether the WAL is there that it takes: known before anything is fetched. */
#include "restore_cluster.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/bases.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

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

struct choosing {
	const struct restore_cluster_words *words;
	const char *only;
	struct catalog_base best;
	bool is_found;
};

static bool is_before_goal(const struct recovery_goal *g, const struct base_facts *f)
{
	if (g->kind == RECOVERY_TO_LSN)
		return f->stop_lsn <= g->lsn;
	if (g->kind == RECOVERY_TO_TIME)
		return f->stopped_us <= g->time_us;
	return true;
}

static int consider_base(void *arg, const struct catalog_base *b)
{
	struct choosing *c = arg;

	if (c->only ? !str_equal(c->only, b->path) : b->is_removed || b->is_damaged)
		return 0;
	if (!is_before_goal(&c->words->goal, &b->facts))
		return 0;
	c->best = *b;
	c->is_found = true;
	return 0;
}

static int refuse_goal(const struct choosing *c, const char *job, struct error *err)
{
	_cleanup(str) struct str goal = {0};

	recovery_goal_format(&c->words->goal, &goal);
	if (c->only)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s cannot be reached from %s: that was consistent only later", str_text(&goal),
		                 c->only);
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "%s cannot be reached: no base backup of %s was consistent before that",
	                 str_text(&goal), job);
}

static int check_consistent(struct catalog *catalog, const char *job, const struct catalog_base *b,
                            struct restore_reach *ret, struct error *err)
{
	const struct base_facts *f = &b->facts;
	struct wal_name name = wal_name_of_lsn(f->timeline, f->start_lsn, f->segment_bytes),
	                last = wal_name_of_end(f->timeline, f->stop_lsn, f->segment_bytes);
	char text[WAL_NAME_BYTES];
	struct catalog_wal row;
	int r = 0;

	wal_name_format(&name, text);
	ret->first = mem_strdup(text);
	while (r == 0 && wal_name_compare(&name, &last) <= 0) {
		wal_name_format(&name, text);
		r = catalog_wal_find(catalog, job, text, &row);
		if (r == -ENOENT)
			return error_set(
			        err, ERROR_NOT_FOUND, ENOENT,
			        "%s in the archive of %s is missing, without which %s does not become consistent: choose another base with base=TIME",
			        text, job, b->path);
		if (r < 0)
			return error_system(err, -r, "the catalog cannot be read");
		ret->segments++;
		r = wal_name_next(&name, f->segment_bytes, &name);
	}
	wal_name_format(&last, text);
	ret->last = mem_strdup(text);
	ret->segment_bytes = f->segment_bytes;
	return r;
}

int restore_cluster_reach(const struct make_context *ctx, const char *job,
                          const struct restore_cluster_words *words, const char *only,
                          struct restore_reach *ret, struct error *err)
{
	struct choosing c = {.words = words, .only = only};
	int r = catalog_each_base(ctx->repository->catalog, job, consider_base, &c);

	*ret = (struct restore_reach){0};
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (!c.is_found)
		return refuse_goal(&c, job, err);
	str_copy(ret->base, sizeof(ret->base), c.best.path);
	return check_consistent(ctx->repository->catalog, job, &c.best, ret, err);
}
