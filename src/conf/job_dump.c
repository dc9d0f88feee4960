// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that dumps say about each other. Pure. */
#include "job_kinds.h"
#include "words.h"

#include <keepfs/policy/databases.h>

#include <string.h>

static bool is_set(char *const *words)
{
	return words && words[0];
}

static bool takes_everything(const struct conf_dump *d)
{
	return d->content == CONF_CONTENT_FULL && !is_set(d->schemas) && !is_set(d->exclude_schemas) &&
	       !is_set(d->tables) && !is_set(d->exclude_tables) && !is_set(d->exclude_table_data);
}

bool conf_dump_takes_everything(const struct conf_job *job)
{
	return takes_everything(&job->dump);
}

bool conf_dump_has_globals(const struct conf_dump *dump)
{
	if (dump->globals == CONF_GLOBALS_AUTO)
		return takes_everything(dump);
	return dump->globals == CONF_GLOBALS_YES;
}

static void check_format(const struct conf_job *job, const struct conf_clashes *c)
{
	const struct conf_dump *d = &job->dump;
	bool zstd = job->compression.kind == COMPRESS_ZSTD;

	if (d->format == CONF_FORMAT_PLAIN && zstd)
		conf_clash(c, "compression", "format", "is for custom backups only, but",
		           "fast, small, none, gzip or gzip:1 to gzip:9 for plain backups");
	if (d->format == CONF_FORMAT_DIRECTORY && zstd)
		conf_clash(c, "compression", "format", "is for custom backups only, but",
		           "fast, small, none, gzip or gzip:1 to gzip:9 for backups that are directories");
	if (d->format == CONF_FORMAT_PLAIN && d->connections > 1)
		conf_clash(c, "jobs", "format",
		           "reads through several connections, but one stream of SQL is made with",
		           "jobs = 1 or auto for plain backups");
}

static void check_content(const struct conf_dump *d, const struct conf_clashes *c)
{

	if (d->content == CONF_CONTENT_SCHEMA && d->connections > 1)
		conf_clash(c, "jobs", "content",
		           "reads rows through several connections, but there are none with",
		           "jobs = 1 or auto for a schema alone");
	if (d->content == CONF_CONTENT_SCHEMA && is_set(d->exclude_table_data))
		conf_clash(c, "exclude_table_data", "content", "leaves out rows, but there are none with",
		           "no exclude_table_data for a schema alone");
}

/* pg_dump takes no notice of --schema and --exclude-schema beside --table. */
static void check_filters(const struct conf_dump *d, const struct conf_clashes *c)
{

	if (is_set(d->tables) && is_set(d->schemas))
		conf_clash(c, "schemas", "tables", "has no effect beside",
		           "schemas or tables (SCHEMA.* is a pattern for all tables of a schema)");
	if (is_set(d->tables) && is_set(d->exclude_schemas))
		conf_clash(c, "exclude_schemas", "tables", "has no effect beside",
		           "exclude_tables = SCHEMA.* together with tables");
	for (size_t i = 0; is_set(d->schemas) && d->schemas[i]; i++) {
		if (!conf_words_find(d->exclude_schemas, d->schemas[i]))
			continue;
		conf_clash(c, "exclude_schemas", "schemas", "leaves out a pattern that is asked for by",
		           "each pattern in one of them");
		break;
	}
	for (size_t i = 0; is_set(d->tables) && d->tables[i]; i++) {
		if (!conf_words_find(d->exclude_tables, d->tables[i]))
			continue;
		conf_clash(c, "exclude_tables", "tables", "leaves out a pattern that is asked for by",
		           "each pattern in one of them");
		break;
	}
}

/* Roles belong to what creates objects that they own, and to all of it. */
static void check_globals(const struct conf_dump *d, const struct conf_clashes *c)
{
	static const char whole[] =
	        "globals = auto or no, or a backup that leaves out no schema and no table";

	if (d->globals != CONF_GLOBALS_YES)
		return;
	if (d->content == CONF_CONTENT_DATA)
		conf_clash(c, "globals", "content",
		           "keeps roles, but nothing is created that needs them with",
		           "globals = auto or no for rows alone");
	if (is_set(d->schemas))
		conf_clash(c, "globals", "schemas", "belongs to a whole database, but there is", whole);
	if (is_set(d->exclude_schemas))
		conf_clash(c, "globals", "exclude_schemas", "belongs to a whole database, but there is",
		           whole);
	if (is_set(d->tables))
		conf_clash(c, "globals", "tables", "belongs to a whole database, but there is", whole);
	if (is_set(d->exclude_tables))
		conf_clash(c, "globals", "exclude_tables", "belongs to a whole database, but there is",
		           whole);
}

static void check_registry(const struct conf_dump *d, const struct conf_clashes *c)
{
	if (d->registry && *d->registry && databases_kind_of(d->databases) != DATABASES_QUERY)
		conf_clash(c, "registry", "databases", "is where a query is asked, but there is none in",
		           "a query in databases, or no registry");
}

void conf_dump_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	check_format(job, clashes);
	check_content(&job->dump, clashes);
	check_filters(&job->dump, clashes);
	check_globals(&job->dump, clashes);
	check_registry(&job->dump, clashes);
}
