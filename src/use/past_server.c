// SPDX-License-Identifier: Apache-2.0
#include "past_server.h"

#include "restore_words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/pg/manage.h>

#include <errno.h>
#include <stdlib.h>

#define CONNECTIONS 8

/* Not where drills are: neither waits for the other. */
char *past_server_directory(const struct conf *conf)
{
	_cleanup(free) char *drills = conf_drill_dir(conf);

	return mem_printf("%s/exports", drills);
}

static int version_of_dump(const struct backup *b)
{
	const char *text = manifest_fact(&b->m, "server_version");
	long major = text ? strtol(text, NULL, 10) : 0;

	return major >= 10 ? (int)major * 10000 : 100000;
}

static int make_past_scratch(struct past_server *s, struct error *err)
{
	_cleanup(free) char *directory = past_server_directory(s->conf);
	const struct pg_scratch_options options = {
	        .directory = directory,
	        .user = s->conf->drill_user,
	        .bindir = s->conf->drill_bindir,
	        .version_num = version_of_dump(s->backup),
	        .memory_bytes = s->conf->drill_memory_bytes,
	        .connections = CONNECTIONS,
	        .disk_bytes = s->conf->drill_disk_bytes,
	        .cancel = s->order->cancel,
	};
	int r = pg_scratch_new(&options, &s->scratch, err);

	if (r < 0) {
		error_prefix(err, "no throw-away server for the export from a backup");
		return r;
	}
	s->cancel = pg_scratch_cancel(s->scratch);
	s->conninfo = pg_conninfo_with_database(pg_scratch_conninfo(s->scratch), s->database);
	return 0;
}

/* The database: what computes values, and compares them without regard to case, does it as its locale says. */

static char *plain_statement(const struct past_server *s, const char *quoted)
{
	const char *encoding = inside_encoding(s->dump);

	return mem_printf("CREATE DATABASE %s TEMPLATE template0 ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C'",
	                  quoted, *encoding && !strchr(encoding, '\'') ? encoding : "UTF8");
}

static int make_with_statement(const struct past_server *s, const char *statement, struct error *err)
{
	const struct pg_server_place place = {.server = pg_scratch_conninfo(s->scratch), .cancel = s->cancel};
	const char *const statements[] = {statement, NULL};

	return pg_database_make(&place, statements, err);
}

static int make_plain_database(const struct past_server *s, const char *quoted, const char *why,
                               struct error *err)
{
	_cleanup(free) char *statement = plain_statement(s, quoted);

	make_warn(
	        s->order,
	        "the dump is read in a database with the locale C, where generated columns that are made of letters may have other values: %s",
	        why);
	return make_with_statement(s, statement, err);
}

static int make_database(const struct past_server *s, struct error *err)
{
	_cleanup(free) char *quoted = pg_quote_name(s->database);
	_cleanup(restore_statements) struct restore_statements statements = {0};
	struct error why = {0};
	int r;

	restore_database_statements(s->database_script, quoted, false, &statements);
	if (statements.count == 0)
		return make_plain_database(s, quoted, "it does not say which one it had", err);
	r = make_with_statement(s, statements.items[0], &why);
	if (r == 0 || cancel_is_set(s->cancel)) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	return make_plain_database(s, quoted, why.message, err);
}

int past_server_start(struct past_server *s, struct error *err)
{
	int r = make_past_scratch(s, err);

	return r < 0 ? r : make_database(s, err);
}

void past_server_finish(struct past_server *s)
{
	pg_scratch_free(s->scratch);
	past_failures_finish(&s->failures);
	free(s->conninfo);
	s->scratch = NULL;
	s->conninfo = NULL;
}
