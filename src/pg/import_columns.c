// SPDX-License-Identifier: Apache-2.0
/* The columns of one table of the target: which the file has, which get a value otherwise, and what the target does when a row comes. */
#include "import.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/manage.h>

#include <errno.h>
#include <inttypes.h>

#define COMPOSITE 'C' /* pg_type.typcategory */

#define NOT_TAKEN (-2)
#define LACKING   (-1)

static bool is_ignored_column(const struct pg_import *x, const struct import_table *t, const char *column)
{
	_cleanup(free) char *by_table = mem_printf("%s.%s", t->t->name, column);
	_cleanup(free) char *by_schema = mem_printf("%s.%s.%s", t->t->schema, t->t->name, column);
	char *const *names = x->options->ignored_columns;

	for (size_t i = 0; names && names[i]; i++)
		if (str_equal(names[i], by_table) || str_equal(names[i], by_schema))
			return true;
	return false;
}

/* What the target computes, it computes of what it gets. */
static void match_file_column(const struct pg_import *x, struct import_table *t, size_t place)
{
	const struct pg_import_column *f = &t->file->columns[place];
	int found = import_find_column(t, f->name);
	struct import_column *c = found < 0 ? NULL : &t->columns[found];

	t->targets[place] = NOT_TAKEN;
	if (!c)
		t->targets[place] = f->generated || is_ignored_column(x, t, f->name) ? NOT_TAKEN : LACKING;
	else if (!t->t->columns[found].is_generated && !c->is_set) {
		t->targets[place] = found;
		c->place = (int)place;
		c->is_there = true;
	}
}

static int check_set(const struct import_table *t, size_t column, struct error *err)
{
	return t->t->columns[column].is_generated
	               ? error_set(err, ERROR_USAGE, EINVAL,
	                           "set: %s.%s is generated: no value can be given to it", t->label,
	                           t->t->columns[column].name)
	               : 0;
}

static int begin_column(const struct pg_import *x, struct import_table *t, size_t i, struct error *err)
{
	const struct tenancy_column *of = &t->t->columns[i];
	const struct pg_import_setting *set =
	        import_find_setting(x->options->sets, x->options->set_count, t, of->name);

	t->columns[i] = (struct import_column){.quoted = pg_quote_name(of->name),
	                                       .place = -1,
	                                       .map = -1,
	                                       .is_set = set,
	                                       .is_there = set,
	                                       .set = set ? set->value : NULL,
	                                       .is_json = of->category == COMPOSITE};
	return set ? check_set(t, i, err) : 0;
}

static int refuse_lacking_value(const struct import_table *t, const struct tenancy_column *c,
                                struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s.%s must have a value and has no default, and the file has none, because it was redacted or is new: say which each row gets, set=%s.%s=VALUE (a password hash that matches no password is '!')",
	        t->label, c->name, t->t->name, c->name);
}

static int check_lacking_values(const struct import_table *t, struct error *err)
{
	for (size_t i = 0; t->file->rows > 0 && i < t->t->column_count; i++) {
		const struct tenancy_column *c = &t->t->columns[i];
		const struct import_column *own = &t->columns[i];

		if (c->not_null && !own->is_there && !own->has_default && !c->is_generated)
			return refuse_lacking_value(t, c, err);
	}
	return 0;
}

int import_match_columns(struct pg_import *x, struct import_table *t, struct error *err)
{
	int r = 0;

	t->columns = mem_array(t->t->column_count + 1, sizeof(*t->columns));
	t->targets = mem_array(t->file->column_count + 1, sizeof(*t->targets));
	for (size_t i = 0; i < t->t->column_count; i++) {
		int failed = begin_column(x, t, i, err);

		r = r < 0 ? r : failed;
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < t->file->column_count; i++)
		match_file_column(x, t, i);
	if (t->d->verdict == TENANCY_EXPORTED && t->d->tenant_column >= 0)
		t->columns[t->d->tenant_column].is_tenant = true;
	r = import_learn_table(x, t, err);
	return r == 0 ? check_lacking_values(t, err) : r;
}

static bool is_known_column(const struct pg_import *x, const char *said)
{
	for (size_t i = 0; i < x->table_count; i++) {
		const struct import_table *t = &x->tables[i];
		const struct pg_import_setting one = {.column = said};

		for (size_t c = 0; c < t->t->column_count; c++)
			if (import_find_setting(&one, 1, t, t->t->columns[c].name))
				return true;
	}
	return false;
}

static int check_known_columns(const struct pg_import *x, const char *option,
                               const struct pg_import_setting *settings, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (!is_known_column(x, settings[i].column))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "%s names %s, which is no column of a table that is imported: write it as users.email, or public.users.email",
			        option, settings[i].column);
	return 0;
}

int import_check_settings(const struct pg_import *x, struct error *err)
{
	int r = check_known_columns(x, "set", x->options->sets, x->options->set_count, err);

	return r == 0 ? check_known_columns(x, "rename", x->options->renames, x->options->rename_count, err)
	              : r;
}

/* What the target does by itself. */

static int take_default(void *arg, const struct pg_row *row, struct error *err)
{
	struct import_table *t = arg;
	int place = import_find_column(t, row->values[0]);
	struct import_column *c = place < 0 ? NULL : &t->columns[place];

	if (!c)
		return 0;
	c->has_default |= !row->values[1];
	if (row->values[1] && !c->sequence) {
		c->sequence = mem_strdup(row->values[1]);
		c->counts_down = str_or_empty(row->values[2])[0] == '-';
	}
	return 0;
}

/* A sequence that the column owns before one that its default asks. */
static int learn_defaults(struct pg_import *x, struct import_table *t, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT a.attname, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(s.relname)), q.seqincrement"
	        " FROM pg_catalog.pg_class s JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid"
	        " JOIN (SELECT 1 AS rank, d.objid AS sequence, d.refobjsubid::int AS number FROM pg_catalog.pg_depend d WHERE d.classid ="
	        " 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = %u"
	        " AND d.deptype IN ('a', 'i') UNION ALL SELECT 2, d.refobjid, e.adnum::int FROM pg_catalog.pg_attrdef e JOIN pg_catalog.pg_depend d ON d.classid ="
	        " 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = e.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	        " WHERE e.adrelid = %u) o ON o.sequence = s.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = %u AND a.attnum = o.number"
	        " WHERE s.relkind = 'S' ORDER BY o.rank, 2",
	        t->t->oid, t->t->oid, t->t->oid);
	_cleanup(free) char *defaults = mem_printf(
	        "SELECT attname, NULL FROM pg_catalog.pg_attribute WHERE attrelid = %u AND attnum > 0 AND (atthasdef OR attidentity <> '')",
	        t->t->oid);
	int r = pg_session_rows(x->session, sql, take_default, t, err);

	return r < 0 ? r : pg_session_rows(x->session, defaults, take_default, t, err);
}

static int learn_triggers(struct pg_import *x, struct import_table *t, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.string_agg(tgname, ', ' ORDER BY tgname) FROM pg_catalog.pg_trigger WHERE tgrelid = %u AND NOT tgisinternal"
	        " AND tgenabled IN ('O', 'A') AND tgtype & 4 <> 0", /* TRIGGER_TYPE_INSERT */
	        t->t->oid);

	return pg_session_value(x->session, sql, &t->triggers, err);
}

static int check_sees_all(struct pg_import *x, const struct import_table *t, struct error *err)
{
	_cleanup(free) char *sql =
	        mem_printf("SELECT 1 WHERE pg_catalog.row_security_active(%u::oid)", t->t->oid);
	_cleanup(free) char *active = NULL;
	int r = t->t->has_row_security ? pg_session_value(x->session, sql, &active, err) : 0;

	if (r < 0 || !active)
		return r;
	return error_set(
	        err, ERROR_DENIED, EACCES,
	        "row security of %s applies to the role of this connection%s: import as a role that sees and writes all rows, the owner of the tables, or one with BYPASSRLS (ALTER ROLE … BYPASSRLS)",
	        t->label, t->t->forces_row_security ? ", to its owner, too, since it is FORCEd" : "");
}

int import_learn_table(struct pg_import *x, struct import_table *t, struct error *err)
{
	int r = learn_defaults(x, t, err);

	if (r == 0)
		r = learn_triggers(x, t, err);
	return r == 0 ? check_sees_all(x, t, err) : r;
}
