// SPDX-License-Identifier: Apache-2.0
/* Roles, their memberships and settings, and tablespaces, in a throw-away server. */
#include "scratch.h"
#include "statement.h"
#include "statements.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pg_globals {
	struct pg_scratch *scratch;
	struct pg_session *session;
	struct statements *statements;
	void (*say)(void *arg, const char *line);
	void *arg;
	unsigned failed;
};

/* "CREATE TABLESPACE fast OWNER x LOCATION '/srv/fast'", with a directory of ours; the location is what stands last. NULL with @err. */
static char *place_tablespace(struct pg_globals *g, const char *sql, struct error *err)
{
	static const char word[] = " LOCATION '";
	const char *at = NULL, *next = sql;
	_cleanup(free) char *directory = NULL, *literal = NULL;

	while ((next = strstr(next, word)))
		at = next++;
	if (!at)
		return mem_strdup(sql);
	directory = scratch_tablespace(g->scratch, err);
	if (!directory)
		return NULL;
	literal = pg_quote_literal(directory);
	return mem_printf("%.*s LOCATION %s", (int)(at - sql), sql, literal);
}

static int run_global(void *arg, const char *sql, struct error *err)
{
	struct pg_globals *g = arg;
	_cleanup(free) char *placed = NULL, *line = NULL;
	struct error own = {0};
	int r;

	if (str_starts(sql, "CREATE TABLESPACE ")) {
		placed = place_tablespace(g, sql, err);
		if (!placed)
			return -EIO;
	}
	r = pg_session_run(g->session, placed ? placed : sql, &own);
	if (r == 0)
		return 0;
	/* With a state it is what the server says of the statement; else the session is gone. */
	if (r == -ECANCELED || !own.code[0]) {
		if (err)
			*err = own;
		return r;
	}
	g->failed++;
	line = mem_printf("a statement of the globals (%.*s …) failed: %s", (int)strcspn(sql, " "), sql,
	                  own.message);
	g->say(g->arg, line);
	return 0;
}

int pg_globals_new(struct pg_scratch *s, void (*say)(void *arg, const char *line), void *arg,
                   struct pg_globals **ret, struct error *err)
{
	struct pg_globals *g = mem_alloc(sizeof(*g));
	int r = pg_session_open(pg_scratch_conninfo(s), "postgres", "keepfs drill", pg_scratch_cancel(s),
	                        &g->session, err);

	g->scratch = s;
	g->say = say;
	g->arg = arg;
	g->statements = statements_new(run_global, g);
	if (r < 0)
		pg_globals_free(g);
	else
		*ret = g;
	return r;
}

int pg_globals_feed(struct pg_globals *g, const void *data, size_t len, struct error *err)
{
	return statements_feed(g->statements, data, len, err);
}

int pg_globals_end(struct pg_globals *g, unsigned *ret_failed, struct error *err)
{
	int r = statements_end(g->statements, err);

	*ret_failed = g->failed;
	return r;
}

struct pg_globals *pg_globals_free(struct pg_globals *g)
{
	if (!g)
		return NULL;
	statements_free(g->statements);
	pg_session_free(g->session);
	free(g);
	return NULL;
}
