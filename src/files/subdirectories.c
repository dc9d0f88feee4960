// SPDX-License-Identifier: Apache-2.0
/* One walk finds the directories that match and, below each, what changed last; a row is complete when the walk leaves it. */
#include "walk.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/files/exclude.h>

#include <errno.h>
#include <string.h>

typedef int row_function(void *arg, const struct files_subdirectory *d, struct error *err);

struct search {
	const struct files_source *source;
	row_function *row;
	char **levels; /* of the pattern: "/a", "/a/b", …: what a path of each depth has to match */
	size_t level_count;
	int64_t now_us;
	char *path; /* the one the walk is in; NULL */
	struct files_subdirectory current;
	char *problem;  /* the first of the current one */
	int row_result; /* of a row that came as a trouble */
	struct error row_error;
};

static size_t depth_of(const char *path)
{
	size_t depth = *path != '\0';

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

static int64_t to_us(struct statx_timestamp t)
{
	return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static void add_change(struct search *s, const struct statx *st)
{
	int64_t modified_us = to_us(st->stx_mtime), changed_us = to_us(st->stx_ctime);

	if (changed_us > s->current.changed_at_us)
		s->current.changed_at_us = changed_us;
	/* A time in the future was set by somebody, which the ctime tells. */
	if (modified_us > s->current.changed_at_us && modified_us <= s->now_us)
		s->current.changed_at_us = modified_us;
}

static int end_row(struct search *s, struct error *err)
{
	_cleanup(free) char *path = take_ptr(&s->path), *problem = take_ptr(&s->problem);

	if (!path)
		return 0;
	s->current.path = path;
	s->current.problem = problem;
	return s->row(s->source->arg, &s->current, err);
}

/* One of which no more is known than that it should be there. */
static int problem_row(struct search *s, const char *path, char *problem, struct error *err)
{
	const struct files_subdirectory d = {.path = path, .changed_at_us = INT64_MIN, .problem = problem};
	int r = s->row(s->source->arg, &d, err);

	free(problem);
	return r;
}

/* What is at the depth of the pattern, or above. */
static int visit_candidate(struct search *s, const struct walk_entry *e, size_t depth, struct error *err)
{
	int r = end_row(s, err);

	if (r == 0 && s->row_result < 0) {
		*err = s->row_error;
		r = s->row_result;
	}
	if (r < 0)
		return r;
	if (!S_ISDIR(e->st->stx_mode) || !exclude_match(s->levels[depth - 1], e->path, true))
		return WALK_LEAVE_OUT;
	if (e->other_mount) {
		r = problem_row(
		        s, e->path,
		        mem_strdup(
		                "another file system is mounted there: set cross_mounts = yes, or exclude it"),
		        err);
		return r < 0 ? r : WALK_LEAVE_OUT;
	}
	if (depth < s->level_count)
		return 0;
	s->path = mem_strdup(e->path);
	s->current = (struct files_subdirectory){.changed_at_us = INT64_MIN};
	add_change(s, e->st);
	return 0;
}

static int visit_subdirectory(void *arg, const struct walk_entry *e, struct error *err)
{
	struct search *s = arg;
	size_t depth = depth_of(e->path);

	if (depth == 0)
		return 0;
	if (depth <= s->level_count)
		return visit_candidate(s, e, depth, err);
	add_change(s, e->st);
	return 0;
}

static bool is_at_or_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* What vanished changed its directory, whose time tells. */
static void note_incomplete(void *arg, enum walk_trouble what, const char *path, int errnum)
{
	struct search *s = arg;

	size_t depth = depth_of(path);
	char *problem;

	if (what != WALK_UNREADABLE || s->row_result < 0)
		return;
	if (depth == 0) {
		s->row_result =
		        error_system(&s->row_error, errnum, "%s cannot be read to its end", s->source->root);
		return;
	}
	if (depth <= s->level_count && !exclude_match(s->levels[depth - 1], path, true))
		return;
	problem = mem_printf("%s cannot be read: %s", path, strerrordesc_np(errnum));
	/* One that is not entered may be the last that was visited, or one of which nothing but the name is known. */
	if (depth >= s->level_count && s->path && is_at_or_below(path, s->path)) {
		if (!s->problem)
			s->problem = take_ptr(&problem);
		free(problem);
		return;
	}
	s->row_result = problem_row(s, path, problem, &s->row_error);
}

static int check_pattern(const char *pattern, struct error *err)
{
	int r = exclude_check(pattern, err);

	if (r == 0 && strstr(pattern, "**"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the pattern \"%.200s\" has \"**\": subdirectories are found at one depth only, as in \"*\" or \"*/*\"",
		        pattern);
	return r;
}

/* @pattern begins with one '/'. */
static void add_levels(struct search *s, const char *pattern)
{
	for (const char *p = pattern; *p == '/' && p[1]; p += strcspn(p + 1, "/") + 1) {
		s->levels = mem_resize(s->levels, s->level_count + 1, sizeof(*s->levels));
		s->levels[s->level_count++] =
		        mem_printf("%.*s", (int)(p + 1 + strcspn(p + 1, "/") - pattern), pattern);
	}
}

static void search_finish(struct search *s)
{
	for (size_t i = 0; i < s->level_count; i++)
		free(s->levels[i]);
	free(s->levels);
	free(s->path);
	free(s->problem);
}

int files_subdirectories(const struct files_source *source, const char *pattern, row_function *row,
                         struct error *err)
{
	struct search s = {.source = source, .row = row, .now_us = source->now_us};
	struct walk_visitor visitor = {.visit = visit_subdirectory, .trouble = note_incomplete, .arg = &s};
	_cleanup(free) char *anchored = mem_printf("/%s", pattern + (*pattern == '/'));
	int r = check_pattern(pattern, err);

	if (r < 0)
		return r;
	add_levels(&s, anchored);
	r = walk_directory(source, &visitor, err);
	if (r == 0)
		r = end_row(&s, err);
	if (r == 0 && s.row_result < 0) {
		*err = s.row_error;
		r = s.row_result;
	}
	search_finish(&s);
	return r;
}
