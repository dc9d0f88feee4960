// SPDX-License-Identifier: Apache-2.0
/*
 * What a job of files makes: one archive of all, named by the time; or, with `each`, one of every subdirectory that matches
 * and has no archive yet, named like it. A subdirectory is taken when nothing in it has changed for `settle`, since its
 * archive is made once and kept. One that cannot be looked into is taken as well, and fails: nobody would miss it else.
 */
#include "job.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

struct search {
	const struct make_context *ctx;
	const struct conf_job *job;
	struct make_targets *targets;
	char *directory; /* where the archives go */
	size_t constant; /* bytes of all paths that no wildcard stands for: "years/" of "years" and "*" */
	int64_t now_us;
};

/* The levels before the first wildcard are the same for all, and would only make the names longer. */
static size_t constant_bytes(const char *pattern)
{
	size_t wild = strcspn(pattern, "*?[\\");

	while (wild > 0 && pattern[wild - 1] != '/')
		wild--;
	return pattern[wild] ? wild : 0;
}

static int take_subdirectory(void *arg, const struct files_subdirectory *d, struct error *err)
{
	struct search *s = arg;
	/* What lies above the wildcards is shorter, when there is a problem with it. */
	_cleanup(free) char *stem =
	        name_stem_from(d->path + (strlen(d->path) > s->constant ? s->constant : 0));
	bool is_known = d->changed_at_us > INT64_MIN,
	     fails = d->problem && !(s->job->files.skip_unreadable && is_known);
	struct make_target *target;
	int taken;

	if (!fails && s->now_us - d->changed_at_us < s->job->files.settle_ms * 1000)
		return 0;
	taken = catalog_stem_taken(s->ctx->repository->catalog, s->directory, stem);
	if (taken < 0)
		return error_set(err, ERROR_INTERNAL, -taken, "the catalog cannot be read");
	if (taken > 0)
		return 0;
	target = make_targets_add(s->targets);
	target->name = mem_strdup(d->path);
	target->label = mem_strdup(d->path);
	target->directory = mem_strdup(s->directory);
	target->stem = take_ptr(&stem);
	target->problem = fails ? mem_strdup(d->problem) : NULL;
	return 0;
}

static int find_each(const struct make_context *ctx, const struct conf_job *job, struct make_targets *ret,
                     struct error *err)
{
	struct search s = {.ctx = ctx,
	                   .job = job,
	                   .targets = ret,
	                   .directory = make_directory_of(job, NULL),
	                   .constant = constant_bytes(job->files.each),
	                   .now_us = make_now_us(ctx)};
	const struct files_source source = {.root = job->files.path,
	                                    .exclude = job->files.exclude,
	                                    .cross_mounts = job->files.cross_mounts,
	                                    .now_us = s.now_us,
	                                    .arg = &s};
	int r = files_subdirectories(&source, job->files.each, take_subdirectory, err);

	free(s.directory);
	return r;
}

int files_targets(const struct make_context *ctx, const struct conf_job *job, struct make_targets *ret,
                  struct error *err)
{
	struct make_target *all;

	if (job->files.each[0])
		return find_each(ctx, job, ret, err);
	all = make_targets_add(ret);
	all->label = mem_strdup(job->files.path);
	all->directory = make_directory_of(job, NULL);
	return 0;
}
