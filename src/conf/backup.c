// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job say about each other: the same rules for a configuration and for what a trigger
 * makes of a job. Pure. */
#include "backup.h"

#include "words.h"

#include <string.h>

struct clashes {
	const struct conf_backup *job;
	conf_clash_fn told;
	void *arg;
};

static void clash(const struct clashes *c, const char *key, const char *other, const char *what,
                  const char *allowed)
{
	const struct conf_clash clash = {key, other, what, allowed};

	c->told(c->arg, &clash);
}

static bool is_set(char *const *words)
{
	return words && words[0];
}

bool conf_backup_takes_everything(const struct conf_backup *job)
{
	return job->dump.content == CONF_CONTENT_FULL && !is_set(job->dump.schemas) && !is_set(job->dump.exclude_schemas) &&
	       !is_set(job->dump.tables) && !is_set(job->dump.exclude_tables) && !is_set(job->dump.exclude_table_data);
}

bool conf_backup_has_globals(const struct conf_backup *job)
{
	if (job->dump.globals == CONF_GLOBALS_AUTO)
		return conf_backup_takes_everything(job);
	return job->dump.globals == CONF_GLOBALS_YES;
}

static void check_format(const struct clashes *c)
{
	const struct conf_backup *job = c->job;
	bool zstd = job->compression.kind == COMPRESS_ZSTD;

	if (job->dump.format == CONF_FORMAT_PLAIN && zstd)
		clash(c, "compression", "format", "is for custom backups only, but",
		      "fast, small, none, gzip or gzip:1 to gzip:9 for plain backups");
	if (job->dump.format == CONF_FORMAT_DIRECTORY && zstd)
		clash(c, "compression", "format", "is for custom backups only, but",
		      "fast, small, none, gzip or gzip:1 to gzip:9 for backups that are directories");
	if (job->dump.format == CONF_FORMAT_PLAIN && job->dump.connections > 1)
		clash(c, "jobs", "format",
		      "reads through several connections, but one stream of SQL is made with",
		      "jobs = 1 or auto for plain backups");
}

static void check_content(const struct clashes *c)
{
	const struct conf_backup *job = c->job;

	if (job->dump.content == CONF_CONTENT_SCHEMA && job->dump.connections > 1)
		clash(c, "jobs", "content", "reads rows through several connections, but there are none with",
		      "jobs = 1 or auto for a schema alone");
	if (job->dump.content == CONF_CONTENT_SCHEMA && is_set(job->dump.exclude_table_data))
		clash(c, "exclude_table_data", "content", "leaves out rows, but there are none with",
		      "no exclude_table_data for a schema alone");
}

/* pg_dump takes no notice of --schema and --exclude-schema beside --table. */
static void check_filters(const struct clashes *c)
{
	const struct conf_backup *job = c->job;

	if (is_set(job->dump.tables) && is_set(job->dump.schemas))
		clash(c, "schemas", "tables", "has no effect beside",
		      "schemas or tables (SCHEMA.* is a pattern for all tables of a schema)");
	if (is_set(job->dump.tables) && is_set(job->dump.exclude_schemas))
		clash(c, "exclude_schemas", "tables", "has no effect beside",
		      "exclude_tables = SCHEMA.* together with tables");
	for (size_t i = 0; is_set(job->dump.schemas) && job->dump.schemas[i]; i++) {
		if (!conf_words_find(job->dump.exclude_schemas, job->dump.schemas[i]))
			continue;
		clash(c, "exclude_schemas", "schemas", "leaves out a pattern that is asked for by",
		      "each pattern in one of them");
		break;
	}
	for (size_t i = 0; is_set(job->dump.tables) && job->dump.tables[i]; i++) {
		if (!conf_words_find(job->dump.exclude_tables, job->dump.tables[i]))
			continue;
		clash(c, "exclude_tables", "tables", "leaves out a pattern that is asked for by",
		      "each pattern in one of them");
		break;
	}
}

/* Roles belong to what creates objects that they own, and to all of it. */
static void check_globals(const struct clashes *c)
{
	const struct conf_backup *job = c->job;
	static const char whole[] =
	        "globals = auto or no, or a backup that leaves out no schema and no table";

	if (job->dump.globals != CONF_GLOBALS_YES)
		return;
	if (job->dump.content == CONF_CONTENT_DATA)
		clash(c, "globals", "content", "keeps roles, but nothing is created that needs them with",
		      "globals = auto or no for rows alone");
	if (is_set(job->dump.schemas))
		clash(c, "globals", "schemas", "belongs to a whole database, but there is", whole);
	if (is_set(job->dump.exclude_schemas))
		clash(c, "globals", "exclude_schemas", "belongs to a whole database, but there is", whole);
	if (is_set(job->dump.tables))
		clash(c, "globals", "tables", "belongs to a whole database, but there is", whole);
	if (is_set(job->dump.exclude_tables))
		clash(c, "globals", "exclude_tables", "belongs to a whole database, but there is", whole);
}

void conf_backup_check(const struct conf_backup *job, conf_clash_fn told, void *arg)
{
	const struct clashes c = {job, told, arg};

	check_format(&c);
	check_content(&c);
	check_filters(&c);
	check_globals(&c);
}
