// SPDX-License-Identifier: Apache-2.0
/*
 * What a job of files makes: one archive of all, named by the time; or, with `each`, one of every subdirectory that matches
 * and has no archive yet, named like it. A subdirectory is taken when nothing in it has changed for `settle`, since its
 * archive is made once and kept. One that cannot be looked into is taken as well, and fails: nobody would miss it else.
 *
 * As a part of a bundle all subdirectories that match are archived, each time, settled or not: the bundle is of a moment, and is to be whole.
 */
#include "job.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/codec/name.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NAMES_TRIED 100 /* for one subdirectory, when others have taken those before */

struct search {
	const struct make_context *ctx;
	const struct conf_job *job;
	struct make_targets *targets;
	char *directory; /* where the archives go */
	size_t constant; /* bytes of all paths that no wildcard stands for: "years/" of "years" and "*" */
	int64_t now_us;
	bool is_part;  /* of a bundle */
	uint64_t seen; /* subdirectories that match, whatever becomes of them */
};

/* The levels before the first wildcard are the same for all, and would only make the names longer. */
static size_t constant_bytes(const char *pattern)
{
	size_t wild = strcspn(pattern, "*?[\\");

	while (wild > 0 && pattern[wild - 1] != '/')
		wild--;
	return pattern[wild] ? wild : 0;
}

/* What lies above the wildcards is left out, unless somebody else has the name without it. */
static char *stem_of_attempt(const struct search *s, const char *path, unsigned attempt)
{
	/* What lies above the wildcards is shorter, when there is a problem with it. */
	size_t left_out = attempt == 0 && strlen(path) > s->constant ? s->constant : 0;
	_cleanup(free) char *stem = name_stem_from(path + left_out);

	return attempt < 2 ? take_ptr(&stem) : mem_printf("%s-%u", stem, attempt);
}

/* The name of its archive, which is that of another place when `path` or `each` were changed. Return: 1 when it has one. */
static int choose_stem(const struct search *s, const char *path, char **ret, struct error *err)
{
	_cleanup(free) char *source = mem_printf("%s/%s", s->job->files.path, path);
	struct catalog *catalog = s->ctx->repository->catalog;
	int other = 1, taken = 0;

	for (unsigned attempt = 0; other > 0 && attempt < NAMES_TRIED; attempt++) {
		free(*ret);
		*ret = stem_of_attempt(s, path, attempt);
		other = catalog_stem_is_of_another(catalog, s->directory, *ret, source);
	}
	if (other == 0)
		taken = catalog_stem_taken(catalog, s->directory, *ret);
	if (other < 0 || taken < 0)
		return error_set(err, ERROR_INTERNAL, other < 0 ? -other : -taken,
		                 "the catalog cannot be read");
	return taken;
}

static bool is_directory_of_target(const struct make_targets *targets, const char *directory)
{
	for (size_t i = 0; i < targets->count; i++)
		if (str_equal(targets->items[i].directory, directory))
			return true;
	return false;
}

static void take_as_part(struct search *s, const struct files_subdirectory *d, bool fails)
{
	_cleanup(free) char *stem = NULL, *directory = NULL;
	struct make_target *target;

	for (unsigned attempt = 0; attempt == 0 || is_directory_of_target(s->targets, directory); attempt++) {
		free(stem);
		free(directory);
		stem = stem_of_attempt(s, d->path, attempt);
		directory = make_directory_of(s->job, stem);
	}
	target = make_targets_add(s->targets);
	target->name = mem_strdup(d->path);
	target->label = mem_strdup(d->path);
	target->directory = take_ptr(&directory);
	target->problem = fails ? mem_strdup(d->problem) : NULL;
}

static int take_subdirectory(void *arg, const struct files_subdirectory *d, struct error *err)
{
	struct search *s = arg;
	_cleanup(free) char *stem = NULL;
	bool is_known = d->changed_at_us > INT64_MIN,
	     fails = d->problem && !(s->job->files.skip_unreadable && is_known);
	struct make_target *target;
	int taken;

	s->seen++;
	if (s->is_part) {
		take_as_part(s, d, fails);
		return 0;
	}
	if (!fails && s->now_us - d->changed_at_us < s->job->files.settle_ms * 1000)
		return 0;
	taken = choose_stem(s, d->path, &stem, err);
	if (taken != 0)
		return taken < 0 ? taken : 0;
	target = make_targets_add(s->targets);
	target->name = mem_strdup(d->path);
	target->label = mem_strdup(d->path);
	target->directory = mem_strdup(s->directory);
	target->stem = take_ptr(&stem);
	target->problem = fails ? mem_strdup(d->problem) : NULL;
	return 0;
}

static bool is_empty_directory(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool is_empty = dir != NULL;

	while (is_empty && (entry = readdir(dir)))
		is_empty = str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..");
	if (dir)
		closedir(dir);
	return is_empty;
}

/* A disk that was not mounted leaves an empty directory, in which nothing is missing as far as one can see. */
static void tell_nothing_seen(const struct search *s, struct make_targets *ret)
{
	const struct conf_files *files = &s->job->files;
	struct catalog_good newest;

	if (is_empty_directory(files->path) &&
	    catalog_newest_good(s->ctx->repository->catalog, s->directory, INT64_MAX, &newest) == 0)
		ret->failure = mem_printf(
		        "%s is empty, and there are archives of what was in it: is the disk mounted that belongs there?",
		        files->path);
	else
		ret->warning = mem_printf(
		        "no directory below %s matches each = %s, so there is nothing to archive: is everything mounted there, and is each in [files %s] right?",
		        files->path, files->each, s->job->name);
}

static int find_each(const struct make_context *ctx, const struct conf_job *job, bool is_part,
                     struct make_targets *ret, struct error *err)
{
	struct search s = {.ctx = ctx,
	                   .job = job,
	                   .targets = ret,
	                   .directory = make_directory_of(job, NULL),
	                   .constant = constant_bytes(job->files.each),
	                   .now_us = make_now_us(ctx),
	                   .is_part = is_part};
	const struct files_source source = {.root = job->files.path,
	                                    .exclude = job->files.exclude,
	                                    .cross_mounts = job->files.cross_mounts,
	                                    .now_us = s.now_us,
	                                    .arg = &s};
	int r = files_subdirectories(&source, job->files.each, take_subdirectory, err);

	if (r == 0 && s.seen == 0)
		tell_nothing_seen(&s, ret);
	free(s.directory);
	return r;
}

int files_accepts(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_wanted *wanted, struct error *err)
{
	if (!wanted->database && !wanted->class)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s: [files %s] archives a directory, and has no databases; leave this key out",
	                 wanted->database ? "database" : "class", job->name);
}

/* What else is in a file system nobody could list. */
void files_look_around(const struct make_context *ctx, const struct conf_job *job,
                       const struct make_target *made, struct cancel *cancel)
{
}

int files_targets(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct make_target *all;

	if (job->files.each[0])
		return find_each(ctx, job, wanted->is_part, ret, err);
	all = make_targets_add(ret);
	all->label = mem_strdup(job->files.path);
	all->directory = make_directory_of(job, NULL);
	return 0;
}
