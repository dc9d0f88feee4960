// SPDX-License-Identifier: Apache-2.0
/* The databases of a job: where each is reached, how it is called, and where its backups go. */
#include "dump.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy/databases.h>

#include <errno.h>

static void add_own(const struct conf_job *job, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);

	t->label = pg_conninfo_database(job->dump.database);
	if (!t->label)
		t->label = mem_strdup(job->name);
	t->directory = make_directory_of(job, NULL);
}

struct make_target *dump_target_add(const struct conf_job *job, const char *name, const char *class,
                                    struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);
	_cleanup(free) char *directory = name_from_database(name);

	t->name = mem_strdup(name);
	t->label = mem_strdup(name);
	t->class = class && *class ? mem_strdup(class) : NULL;
	t->directory = make_directory_of(job, directory);
	return t;
}

static void add_targets_by_name(const struct conf_job *job, struct make_targets *ret)
{
	for (char *const *name = job->dump.databases; name && *name; name++)
		dump_target_add(job, *name, NULL, ret);
	if (ret->count == 0)
		add_own(job, ret);
}

static bool finds_out(const struct conf_job *job)
{
	enum databases_kind kind = databases_kind_of(job->dump.databases);

	return kind == DATABASES_MATCHED || kind == DATABASES_QUERY;
}

static int named_targets(const struct conf_job *job, const struct make_wanted *wanted,
                         struct make_targets *ret, struct error *err)
{
	int r;

	if (wanted->class)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "class=%.100s: [backup %s] has no registry that says which class a database is of: ask it for the databases with a query",
		        wanted->class, job->name);
	add_targets_by_name(job, ret);
	r = make_targets_choose(job, wanted, ret, err);
	for (size_t i = 0; r == 0 && i < ret->count; i++)
		ret->items[i].is_final = wanted->is_final;
	return r;
}

int dump_targets(const struct make_context *ctx, const struct conf_job *job, const struct make_wanted *wanted,
                 struct make_targets *ret, struct error *err)
{
	if (finds_out(job))
		return members_targets(ctx, job, wanted, ret, err);
	return named_targets(job, wanted, ret, err);
}

int dump_accepts(const struct make_context *ctx, const struct conf_job *job, const struct make_wanted *wanted,
                 struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};

	if (finds_out(job))
		return members_accepts(ctx, job, wanted, err);
	return named_targets(job, wanted, &targets, err);
}
