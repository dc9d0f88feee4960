// SPDX-License-Identifier: Apache-2.0
/*
 * The databases of a job that finds them out: by a query on a registry, or by patterns of names. Each run asks anew. What can be
 * wrong with the answer stops as little as possible: a row that makes no sense leaves the others, and of a registry that
 * cannot be asked the catalog knows the last answer. But the run fails then, since there may be databases that nobody knows of.
 */
#include "dump.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/members.h>
#include <keepfs/make/members.h>
#include <keepfs/pg/databases.h>
#include <keepfs/policy/databases.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEMS_SHOWN 5

struct answer {
	char **names, **classes; /* classes: NULL: none */
	size_t count, rows;
	struct str problems; /* "row 3 names nothing; acme is named twice" */
	size_t problem_count;
};

static void cleanup_answer(struct answer *a)
{
	for (size_t i = 0; i < a->count; i++) {
		free(a->names[i]);
		free(a->classes[i]);
	}
	free(a->names);
	free(a->classes);
	str_finish(&a->problems);
}

static void add_answer_problem(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_answer_problem(struct answer *a, const char *fmt, ...)
{
	va_list args;

	if (a->problem_count++ >= PROBLEMS_SHOWN)
		return;
	if (a->problems.len > 0)
		str_append(&a->problems, "; ");
	va_start(args, fmt);
	str_vappendf(&a->problems, fmt, args);
	va_end(args);
}

static void add_member_name(struct answer *a, const char *name, const char *class)
{
	/* The room for them is a power of two. */
	if ((a->count & (a->count - 1)) == 0) {
		a->names = mem_resize(a->names, a->count ? 2 * a->count : 1, sizeof(*a->names));
		a->classes = mem_resize(a->classes, a->count ? 2 * a->count : 1, sizeof(*a->classes));
	}
	a->names[a->count] = mem_strdup(name);
	a->classes[a->count++] = mem_strdup(class);
}

static int take_answer_row(void *arg, const char *name, const char *class, struct error *err)
{
	struct answer *a = arg;
	const char *problem = name ? databases_name_problem(name) : "is NULL";

	a->rows++;
	if (problem) {
		add_answer_problem(a, "the name in row %zu %s", a->rows, problem);
		return 0;
	}
	problem = class && *class ? databases_name_problem(class) : NULL;
	if (problem)
		add_answer_problem(a, "the class of %s %s", name, problem);
	add_member_name(a, name, !problem && class && *class ? class : NULL);
	return 0;
}

/* Twice the same. */

struct place { /* of a name */
	const char *name;
	size_t row;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->row > y->row) - (x->row < y->row);
}

static void drop_rows(struct answer *a, const bool *is_dropped)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (is_dropped[i]) {
			free(a->names[i]);
			free(a->classes[i]);
			continue;
		}
		a->names[kept] = a->names[i];
		a->classes[kept++] = a->classes[i];
	}
	a->count = kept;
}

static void drop_doubles(struct answer *a)
{
	_cleanup(free) struct place *places = mem_array(a->count + 1, sizeof(*places));
	_cleanup(free) bool *is_dropped = mem_array(a->count + 1, sizeof(*is_dropped));

	for (size_t i = 0; i < a->count; i++) {
		places[i] = (struct place){a->names[i], i};
		is_dropped[i] = false;
	}
	qsort(places, a->count, sizeof(*places), compare_places);
	for (size_t i = 1; i < a->count; i++) {
		if (strcmp(places[i].name, places[i - 1].name) != 0)
			continue;
		is_dropped[places[i].row] = true;
		add_answer_problem(a, "%s is named twice", places[i].name);
	}
	drop_rows(a, is_dropped);
}

/* Asking. */

static void take_match(void *arg, const char *name)
{
	take_answer_row(arg, name, NULL, NULL);
}

static int ask_members_by_pattern(const struct conf_job *job, struct cancel *cancel, struct answer *a,
                                  struct error *err)
{
	_cleanup(answer) struct answer server = {0};
	int r = pg_list_databases(job->dump.database, NULL, cancel, take_answer_row, &server, err);

	if (r < 0) {
		error_prefix(err, "the server could not be asked which databases it has");
		return r;
	}
	databases_choose(job->dump.databases, (const char *const *)server.names, server.count, take_match, a);
	if (a->count > 0)
		return 0;
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "none of the %zu databases of the server is one that [backup %s] databases asks for",
	                 server.count, job->name);
}

static int ask_members_by_query(const struct conf_job *job, struct cancel *cancel, struct answer *a,
                                struct error *err)
{
	const char *registry = *str_or_empty(job->dump.registry) ? job->dump.registry : job->dump.database;
	int r = pg_ask_registry(registry, NULL, job->dump.databases[0], cancel, take_answer_row, a, err);

	if (r < 0) {
		error_prefix(err, "the registry could not be asked for the databases of job %s", job->name);
		return r;
	}
	drop_doubles(a);
	if (a->count > 0)
		return 0;
	if (a->rows == 0)
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "the registry names no database for job %s: is the query right, and may its role see the rows?",
		        job->name);
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "the registry names no database for job %s that can be one: %s", job->name,
	                 str_text(&a->problems));
}

static int ask_members(const struct conf_job *job, struct cancel *cancel, struct answer *a, struct error *err)
{
	if (databases_kind_of(job->dump.databases) == DATABASES_QUERY)
		return ask_members_by_query(job, cancel, a, err);
	return ask_members_by_pattern(job, cancel, a, err);
}

/* Remembering. */

static const struct make_member_words member_words = {
        .one = "database",
        .many = "databases",
        .when_new = "it is backed up from now on",
        .when_gone = "its backups stay for keep_deleted",
};

static int learn_members(const struct make_context *ctx, const struct conf_job *job, const struct answer *a,
                         struct make_targets *ret, struct error *err)
{
	_cleanup(free) struct catalog_named *rows = mem_array(a->count + 1, sizeof(*rows));

	for (size_t i = 0; i < a->count; i++)
		rows[i] = (struct catalog_named){a->names[i], a->classes[i]};
	return make_learn_members(ctx, job, &member_words, rows, a->count, ret, err);
}

/* What the catalog knows. */

struct known {
	const struct conf_job *job;
	struct make_targets *targets;
};

static void add_known(void *arg, const struct catalog_member *m)
{
	struct known *known = arg;

	dump_target_add(known->job, m->name, m->class, known->targets);
}

static int add_known_members(const struct make_context *ctx, const struct conf_job *job,
                             struct make_targets *ret, struct error *err)
{
	struct known known = {job, ret};
	int r;

	/* A probe may have none. */
	if (!ctx->repository->catalog)
		return 0;
	r = catalog_each_member(ctx->repository->catalog, job->name, false, add_known, &known);

	return r < 0 ? error_set(err, ERROR_INTERNAL, -r, "the catalog cannot be read") : 0;
}

/* @why: what came of asking. Return: 0; @r when nothing is known either. */
static int use_last_answer(const struct make_context *ctx, const struct conf_job *job,
                           const struct make_wanted *wanted, int r, const struct error *why,
                           struct make_targets *ret, struct error *err)
{
	struct catalog *catalog = ctx->repository->catalog;
	struct error ignored = {0};

	if (err)
		*err = *why;
	if (r == -ECANCELED)
		return r;
	if (wanted->learns &&
	    catalog_fail_members(catalog, job->name, make_now_us(ctx), why->message, &ignored) < 0)
		log_error("job %s: that its databases are not known could not be kept: %s", job->name,
		          ignored.message);
	if (add_known_members(ctx, job, ret, &ignored) < 0 || ret->count == 0)
		return r;
	ret->failure = mem_printf(
	        "%s (so the %zu databases that were named the last time are backed up, and new ones are not)",
	        why->message, ret->count);
	return 0;
}

static void add_answer(const struct conf_job *job, const struct answer *a, struct make_targets *ret)
{
	for (size_t i = 0; i < a->count; i++)
		dump_target_add(job, a->names[i], a->classes[i], ret);
	if (a->problem_count > 0)
		ret->failure = mem_printf("what names the databases is wrong: %s%s; all others are backed up",
		                          str_text(&a->problems),
		                          a->problem_count > PROBLEMS_SHOWN ? "; and more" : "");
}

static int find_members(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	_cleanup(answer) struct answer a = {0};
	struct error why = {0};
	int r = ask_members(job, wanted->cancel, &a, &why);

	if (r < 0)
		return use_last_answer(ctx, job, wanted, r, &why, ret, err);
	if (wanted->learns && (r = learn_members(ctx, job, &a, ret, err)) < 0)
		return r;
	add_answer(job, &a, ret);
	return 0;
}

/* Choosing. */

static bool has_target(const struct make_targets *targets, const char *name)
{
	for (size_t i = 0; i < targets->count; i++)
		if (str_equal(targets->items[i].name, name))
			return true;
	return false;
}

/* One that nobody names any more, but the job has had. */
static void add_gone(const struct make_context *ctx, const struct conf_job *job, const char *name,
                     struct make_targets *ret)
{
	struct catalog_member m;

	if (!has_target(ret, name) && catalog_member(ctx->repository->catalog, job->name, name, &m) == 0)
		dump_target_add(job, m.name, m.class, ret);
}

int members_targets(const struct make_context *ctx, const struct conf_job *job,
                    const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	int r = wanted->offline ? add_known_members(ctx, job, ret, err)
	                        : find_members(ctx, job, wanted, ret, err);

	if (r < 0)
		return r;
	if (wanted->is_final)
		add_gone(ctx, job, wanted->database, ret);
	r = make_targets_choose(job, wanted, ret, err);
	for (size_t i = 0; r == 0 && i < ret->count; i++)
		ret->items[i].is_final = wanted->is_final;
	return r;
}

int members_accepts(const struct make_context *ctx, const struct conf_job *job,
                    const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};

	return make_is_known_member(ctx, job, wanted, wanted->is_final)
	               ? 0
	               : members_targets(ctx, job, wanted, &targets, err);
}
