// SPDX-License-Identifier: Apache-2.0
#include "restore_foresee.h"

#include "restore_choose.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/lacking.h>
#include <keepfs/pg/session.h>

#include <errno.h>
#include <string.h>

#define ASKED_AT_ONCE 500

int restore_foresee_text(const struct restore_database_options *o, struct error *err)
{
	if (o->content == RESTORE_ALL && !o->schemas && !o->tables && !o->clean && !o->no_owner &&
	    !o->no_privileges && !o->no_extensions)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "a dump in SQL text can only be restored as a whole and as it is: content, schemas, tables, clean, no_owner, no_privileges and extensions=no are for the formats custom and directory");
}

/* What is there. */

struct asking {
	const struct restore_toc *toc;
	const struct restore_database_options *options;
	struct pg_session *session;
	struct pg_relation_name names[ASKED_AT_ONCE]; /* on the heap, each of both */
	size_t count;
	struct str there;
};

static void forget_asked(struct asking *a)
{
	for (size_t i = 0; i < a->count; i++) {
		free(a->names[i].schema);
		free(a->names[i].name);
	}
	a->count = 0;
}

static void cleanup_asking(struct asking *a)
{
	forget_asked(a);
	pg_session_free(a->session);
	str_finish(&a->there);
}

static int ask_for_relations(struct asking *a, struct error *err)
{
	int r = a->count > 0 && a->there.len == 0
	                ? pg_relations_there(a->session, a->names, a->count, &a->there, err)
	                : 0;

	forget_asked(a);
	return r;
}

static int ask_for_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct asking *a = arg;

	if (!restore_is_relation(e) || !restore_is_chosen(a->toc, e->dump_id) || a->there.len > 0)
		return 0;
	a->names[a->count++] =
	        (struct pg_relation_name){.schema = mem_strdup(e->namespace), .name = mem_strdup(e->tag)};
	return a->count == ASKED_AT_ONCE ? ask_for_relations(a, err) : 0;
}

static int refuse_what_is_there(const struct restore_database_options *o, const char *names,
                                struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the database %s has %.400s already, so nothing was done: with clean=yes what is restored is dropped first; content=data loads rows into tables that are there; into=ANOTHER_NAME restores beside it; keepfs rescue brings back single rows",
	        o->database, names);
}

int restore_foresee_tables(const struct restore_toc *t, const struct restore_database_options *o,
                           struct error *err)
{
	_cleanup(asking) struct asking a = {.toc = t, .options = o};
	const struct pg_archive_events events = {.entry = ask_for_entry, .arg = &a};
	struct error why = {0};
	int r;

	if (o->create || o->clean || o->keep_going || o->content == RESTORE_DATA)
		return 0;
	r = pg_session_open(o->server, o->database, "keepfs restore", o->cancel, &a.session, &why);
	if (r == 0)
		r = inside_toc_each(&t->base, &events, &why);
	if (r == 0)
		r = ask_for_relations(&a, &why);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return a.there.len > 0 ? refuse_what_is_there(o, str_text(&a.there), err) : 0;
}

/* Beforehand. */

static bool has_to_be_looked_at(const struct restore_database_options *o)
{
	return o->tables || o->schemas ||
	       !(o->create || o->clean || o->keep_going || o->content == RESTORE_DATA);
}

int restore_foresee(const struct restore_database_options *o, struct error *err)
{
	_cleanup(restore_toc) struct restore_toc toc = {0};
	struct error why = {0};
	int r;

	if (str_equal(manifest_fact(&o->backup->m, "format"), "plain"))
		return restore_foresee_text(o, err);
	if (!has_to_be_looked_at(o))
		return 0;
	r = restore_toc_open(&toc, o, &why);
	if (r == 0)
		r = restore_foresee_tables(&toc, o, &why);
	if (r == 0 || (r != -ECANCELED && why.class != ERROR_USAGE))
		return 0;
	if (err)
		*err = why;
	return r;
}
