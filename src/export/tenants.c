// SPDX-License-Identifier: Apache-2.0
/*
 * The tenants of a run: what the query names. A row that makes no sense leaves the others, and fails the run in the end, since there
 * is a tenant without an export. An answer that cannot be had fails the run at once: without ids there is nothing to
 * export, and an empty answer never means that there are no tenants.
 */
#include "export.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/name.h>
#include <keepfs/export/admins.h>
#include <keepfs/make/members.h>
#include <keepfs/policy/databases.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEMS_SHOWN 5
#define ID_MAX_BYTES   255

struct tenant_answer {
	struct export_shared *shared; /* the tenants, in the order of the answer until they are sorted */
	size_t rows;
	struct str problems; /* "row 3 has no id; two rows have the slug acme" */
	size_t problem_count;
};

static void add_tenant_problem(struct tenant_answer *a, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

static void add_tenant_problem(struct tenant_answer *a, const char *fmt, ...)
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

/* Why an id or a slug cannot be one. */
static const char *word_problem(const char *word)
{
	return word ? databases_name_problem(word) : "is NULL";
}

static void add_tenant(struct export_shared *shared, const struct pg_tenant *row, const char *class)
{
	/* The room for them is a power of two. */
	if ((shared->count & (shared->count - 1)) == 0)
		shared->tenants = mem_resize(shared->tenants, shared->count ? 2 * shared->count : 1,
		                             sizeof(*shared->tenants));
	shared->tenants[shared->count++] = (struct export_tenant){
	        .id = mem_strdup(row->id),
	        .slug = mem_strdup(row->slug),
	        .name = mem_strdup(row->name),
	        .class = mem_strdup(class),
	        .uid = mem_strdup(row->uid),
	        .gid = mem_strdup(row->gid),
	};
	for (size_t i = 0; i < PG_TENANT_PLACES; i++)
		shared->tenants[shared->count - 1].place[i] = mem_strdup(row->place[i]);
}

static int take_tenant(void *arg, const struct pg_tenant *row, struct error *err)
{
	struct tenant_answer *a = arg;
	const char *id_problem = word_problem(row->id), *slug_problem = word_problem(row->slug);
	const char *class_problem = *str_or_empty(row->class) ? databases_name_problem(row->class) : NULL;

	a->rows++;
	if (id_problem)
		add_tenant_problem(a, "the id in row %zu %s", a->rows, id_problem);
	else if (slug_problem)
		add_tenant_problem(a, "the slug in row %zu (id %.60s) %s", a->rows, row->id, slug_problem);
	if (id_problem || slug_problem)
		return 0;
	if (class_problem)
		add_tenant_problem(a, "the class of %.60s %s", row->slug, class_problem);
	add_tenant(a->shared, row, !class_problem && *str_or_empty(row->class) ? row->class : NULL);
	return 0;
}

/* Two of one slug, one id, or one schema or database: nobody can tell which of them is meant, so neither is exported. */

enum tenant_word { WORD_SLUG, WORD_ID, WORD_OWN };

struct tenant_place {
	const char *word;
	size_t row;
};

static const char *word_of_tenant(const struct export_tenant *t, enum tenant_word which)
{
	return which == WORD_SLUG ? t->slug : which == WORD_ID ? t->id : t->own;
}

static const char *name_of_word(const struct conf_export *conf, enum tenant_word which)
{
	if (which == WORD_OWN)
		return conf->tenancy == TENANCY_SCHEMA ? "schema" : "database";
	return which == WORD_SLUG ? "slug" : "id";
}

static int compare_tenant_places(const void *a, const void *b)
{
	const struct tenant_place *x = a, *y = b;
	int order = strcmp(x->word, y->word);

	return order ? order : (x->row > y->row) - (x->row < y->row);
}

static void mark_doubles(struct tenant_answer *a, const struct conf_export *conf, enum tenant_word which,
                         bool *is_dropped)
{
	const struct export_shared *shared = a->shared;
	_cleanup(free) struct tenant_place *places = mem_array(shared->count + 1, sizeof(*places));

	for (size_t i = 0; i < shared->count; i++)
		places[i] = (struct tenant_place){word_of_tenant(&shared->tenants[i], which), i};
	qsort(places, shared->count, sizeof(*places), compare_tenant_places);
	for (size_t i = 1; i < shared->count; i++) {
		if (strcmp(places[i].word, places[i - 1].word) != 0)
			continue;
		is_dropped[places[i].row] = is_dropped[places[i - 1].row] = true;
		if (i < 2 || strcmp(places[i].word, places[i - 2].word) != 0)
			add_tenant_problem(a, "several rows have the %s %.60s", name_of_word(conf, which),
			                   places[i].word);
	}
}

/* A slug must not choose what is exported beyond what is the tenant's. */
static void mark_reserved(struct tenant_answer *a, const struct conf_export *conf, bool *is_dropped)
{
	for (size_t i = 0; i < a->shared->count; i++) {
		const struct export_tenant *t = &a->shared->tenants[i];
		const char *problem = export_own_name_problem(conf, t->own);

		if (!problem)
			continue;
		is_dropped[i] = true;
		add_tenant_problem(a, "the %s %.60s of %.60s %s", name_of_word(conf, WORD_OWN), t->own,
		                   t->slug, problem);
	}
}

static void drop_bad_tenants(struct tenant_answer *a, const struct conf_export *conf)
{
	struct export_shared *shared = a->shared;
	_cleanup(free) bool *is_dropped = mem_alloc(shared->count + 1);
	size_t kept = 0;

	mark_doubles(a, conf, WORD_SLUG, is_dropped);
	mark_doubles(a, conf, WORD_ID, is_dropped);
	if (conf->tenancy != TENANCY_COLUMN) {
		mark_doubles(a, conf, WORD_OWN, is_dropped);
		mark_reserved(a, conf, is_dropped);
	}
	for (size_t i = 0; i < shared->count; i++) {
		if (is_dropped[i])
			export_tenant_finish(&shared->tenants[i]);
		else
			shared->tenants[kept++] = shared->tenants[i];
	}
	shared->count = kept;
}

/* A slug may be another tenant's by now: what is in the directory is still the former one's. */
static bool has_own_directory(const struct make_context *ctx, const struct conf_job *job,
                              const struct export_tenant *t, struct tenant_answer *a)
{
	_cleanup(free) char *below = name_from_database(t->slug);
	_cleanup(free) char *directory = make_directory_of(job, below);
	int r;

	if (!*str_or_empty(t->uid) && !*str_or_empty(t->gid))
		return true;
	r = catalog_has_another(ctx->repository->catalog, directory, "tenant_id", t->id);
	if (r > 0)
		add_tenant_problem(
		        a,
		        "%.100s has exports of another tenant than the one that has this slug now, so its admins are let in when those are removed",
		        directory);
	if (r < 0)
		add_tenant_problem(a, "whose exports are in %.100s cannot be read in the catalog", directory);
	return r == 0;
}

/* Whoever is not known on this host is told of, and all others have what is theirs. */
static void learn_admins(const struct make_context *ctx, const struct conf_job *job, uint64_t question,
                         struct tenant_answer *a)
{
	_cleanup(export_grants) struct export_grants grants = {0};

	for (size_t i = 0; i < a->shared->count; i++) {
		const struct export_tenant *t = &a->shared->tenants[i];
		_cleanup(str) struct str problem = {0};

		if (!has_own_directory(ctx, job, t, a))
			continue;
		(void)export_grants_add(&grants, t->slug, t->uid, false, &problem);
		(void)export_grants_add(&grants, t->slug, t->gid, true, &problem);
		if (problem.len > 0)
			add_tenant_problem(a, "of the admins of %.60s this host has %s", t->slug,
			                   str_text(&problem));
	}
	if (ctx->admins)
		export_admins_answered(ctx->admins, question, &grants);
}

/* Asking. */

static int ask_tenants(const struct conf_job *job, struct cancel *cancel, struct tenant_answer *a,
                       struct error *err)
{
	int r = pg_ask_tenants(job->export.database, job->export.tenants, cancel, take_tenant, a, err);

	if (r < 0) {
		error_prefix(err, "the tenants of job %s could not be asked for", job->name);
		return r;
	}
	for (size_t i = 0; i < a->shared->count; i++)
		a->shared->tenants[i].own = export_own_name(&job->export, &a->shared->tenants[i]);
	drop_bad_tenants(a, &job->export);
	if (a->shared->count > 0)
		return 0;
	if (a->rows == 0)
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "the query of [export] tenants names nobody: is it right, and may the role see the rows (row security hides them without a word)?");
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "the query of [export] tenants names nobody that can be exported: %s",
	                 str_text(&a->problems));
}

static void add_export_target(const struct conf_job *job, const char *slug, const char *class,
                              struct make_targets *ret)
{
	_cleanup(free) char *directory = name_from_database(slug);
	struct make_target *t = make_targets_add(ret);

	t->name = mem_strdup(slug);
	t->label = mem_strdup(slug);
	t->class = class && *class ? mem_strdup(class) : NULL;
	t->directory = make_directory_of(job, directory);
}

static const struct make_member_words tenant_words = {
        .one = "tenant",
        .many = "tenants",
        .when_new = "it is exported from now on",
        .when_gone = "its exports stay for keep_deleted",
};

static int learn_tenants(const struct make_context *ctx, const struct conf_job *job,
                         const struct export_shared *shared, struct make_targets *ret, struct error *err)
{
	_cleanup(free) struct catalog_named *rows = mem_array(shared->count + 1, sizeof(*rows));

	for (size_t i = 0; i < shared->count; i++)
		rows[i] = (struct catalog_named){shared->tenants[i].slug, shared->tenants[i].class};
	return make_learn_members(ctx, job, &tenant_words, rows, shared->count, ret, err);
}

/* That they are not known is told by health, too. */
static void note_failed_answer(const struct make_context *ctx, const struct conf_job *job,
                               const struct make_wanted *wanted, int r, const char *why)
{
	struct error ignored = {0};

	if (!wanted->learns || r == -ECANCELED)
		return;
	if (catalog_fail_members(ctx->repository->catalog, job->name, make_now_us(ctx), why, &ignored) < 0)
		log_error("job %s: that its tenants are not known could not be kept: %s", job->name,
		          ignored.message);
}

static int compare_slugs(const void *a, const void *b)
{
	return strcmp(((const struct export_tenant *)a)->slug, ((const struct export_tenant *)b)->slug);
}

/* The targets are in the order of the query; the tenants from then on in that of their slugs. */
static void add_tenants(const struct conf_job *job, const struct tenant_answer *a, struct make_targets *ret)
{
	struct export_shared *shared = a->shared;

	for (size_t i = 0; i < shared->count; i++)
		add_export_target(job, shared->tenants[i].slug, shared->tenants[i].class, ret);
	qsort(shared->tenants, shared->count, sizeof(*shared->tenants), compare_slugs);
	if (a->problem_count > 0)
		ret->failure = mem_printf(
		        "what [export] tenants names is wrong: %s%s; all others are exported",
		        str_text(&a->problems), a->problem_count > PROBLEMS_SHOWN ? "; and more" : "");
}

#define CONNECTIONS_LEAST 2U
#define CONNECTIONS_MOST  8U
#define FEEDING_LEAST     4U /* buffers of one export: its own two, and its reader's (publish.c) */

static unsigned connections_of(const struct conf_job *job)
{
	unsigned cores = make_cores();

	if (job->export.connections > 0)
		return (unsigned)job->export.connections;
	return cores < CONNECTIONS_LEAST  ? CONNECTIONS_LEAST
	       : cores < CONNECTIONS_MOST ? cores
	                                  : CONNECTIONS_MOST;
}

unsigned export_at_once(const struct make_context *ctx, const struct conf_job *job)
{
	size_t room = make_turns_buffers(ctx) / FEEDING_LEAST;
	unsigned most = connections_of(job);

	return room < 1 ? 1 : room < most ? (unsigned)room : most;
}

static int find_tenants(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct tenant_answer a = {.shared = export_shared_new()};
	const uint64_t question = ctx->admins ? export_admins_ask(ctx->admins) : 0;
	struct error why = {0};
	int r = ask_tenants(job, wanted->cancel, &a, &why);

	a.shared->connections = connections_of(job);
	ret->shared = a.shared;
	ret->free_shared = export_shared_free;
	if (r < 0) {
		note_failed_answer(ctx, job, wanted, r, why.message);
		if (err)
			*err = why;
	}
	if (r == 0 && wanted->learns)
		r = learn_tenants(ctx, job, a.shared, ret, err);
	if (r == 0) {
		learn_admins(ctx, job, question, &a);
		add_tenants(job, &a, ret);
	}
	str_finish(&a.problems);
	return r;
}

/* What the catalog knows: no server is asked, and nothing can be exported so. */

struct known_tenants {
	const struct conf_job *job;
	struct make_targets *targets;
};

static void add_known_tenant(void *arg, const struct catalog_member *m)
{
	struct known_tenants *known = arg;

	add_export_target(known->job, m->name, m->class, known->targets);
}

static int known_tenants(const struct make_context *ctx, const struct conf_job *job, struct make_targets *ret,
                         struct error *err)
{
	struct known_tenants known = {job, ret};
	int r;

	/* A probe may have none. */
	if (!ctx->repository->catalog)
		return 0;
	r = catalog_each_member(ctx->repository->catalog, job->name, false, add_known_tenant, &known);
	return r < 0 ? error_set(err, ERROR_INTERNAL, -r, "the catalog cannot be read") : 0;
}

/* What @err says of one that is not there is a list of those that are; of one that was there it is said when. */
static int refuse_gone_tenant(const struct make_context *ctx, const struct conf_job *job, const char *slug,
                              struct error *err)
{
	struct catalog *catalog = ctx->repository->catalog;
	struct catalog_member m;
	char last[CLOCK_ISO_BYTES], since[CLOCK_ISO_BYTES];

	if (!slug || !catalog || catalog_member(catalog, job->name, slug, &m) < 0 || !m.gone_since_us)
		return -EINVAL;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "tenant %.100s is gone: the query of [export] tenants named it last at %s, and not any more since %s; the exports that were made of it stay for keep_deleted",
	        slug, clock_format_iso(m.last_seen_us, last), clock_format_iso(m.gone_since_us, since));
}

int export_targets(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	int r = wanted->offline ? known_tenants(ctx, job, ret, err)
	                        : find_tenants(ctx, job, wanted, ret, err);

	if (r < 0)
		return r;
	r = make_targets_choose(job, wanted, ret, err);
	if (r == -EINVAL)
		r = refuse_gone_tenant(ctx, job, wanted->database, err);
	for (size_t i = 0; r == 0 && i < ret->count; i++)
		ret->items[i].is_final = wanted->is_final;
	return r;
}

int export_accepts(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};

	return make_is_known_member(ctx, job, wanted, false)
	               ? 0
	               : export_targets(ctx, job, wanted, &targets, err);
}

/* Who else is there is what the query says. */
void export_look_around(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_target *made, struct cancel *cancel)
{
}
