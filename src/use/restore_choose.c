// SPDX-License-Identifier: Apache-2.0
#include "restore_choose.h"

#include "table_names.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* How often what hangs on something can hang on something that hangs …: a comment on an index of a table. */
#define ROUNDS 4

struct chosen_table {
	int id;              /* of its entry */
	char *schema, *name; /* heap */
};

struct choosing {
	struct restore_toc *toc;
	const struct restore_database_options *options;
	bool *schema_found;          /* by the place in the options */
	struct chosen_table *tables; /* by the place in the options */
	size_t table_count;
	uint8_t *passed;     /* a bit for each number of an entry that has come */
	uint8_t *needed;     /* likewise: by what is wanted */
	bool has_extensions; /* one of them makes an extension */
};

static bool is_one_of(const char *desc, const char *const *descs)
{
	for (; *descs; descs++)
		if (str_equal(desc, *descs))
			return true;
	return false;
}

bool restore_is_chosen(const struct restore_toc *t, int id)
{
	return id > 0 && id <= t->base.last_id && t->wanted[id / 8] & 1U << id % 8;
}

static void want(struct restore_toc *t, int id)
{
	t->wanted[id / 8] |= (uint8_t)(1U << id % 8);
}

/* Of the database itself, not of what is in it. */
static bool is_of_database(const struct pg_archive_entry *e)
{
	static const char *const descs[] = {"DATABASE", "DATABASE PROPERTIES", NULL};
	static const char *const about[] = {"ACL", "COMMENT", "SECURITY LABEL", NULL};

	return is_one_of(e->desc, descs) || (is_one_of(e->desc, about) && str_starts(e->tag, "DATABASE "));
}

static bool is_setting(const struct pg_archive_entry *e)
{
	static const char *const descs[] = {"ENCODING", "STDSTRINGS", "SEARCHPATH", NULL};

	return is_one_of(e->desc, descs);
}

static bool is_of_extension(const struct pg_archive_entry *e)
{
	return str_equal(e->desc, "EXTENSION") ||
	       (str_equal(e->desc, "COMMENT") && str_starts(e->tag, "EXTENSION "));
}

/* Rows and values of an extension's own tables: of what makes these the archive has nothing. */
static bool is_data_of_extension(const struct choosing *c, const struct pg_archive_entry *e)
{
	static const char *const descs[] = {"TABLE DATA", "SEQUENCE SET", NULL};

	if (!c->has_extensions || !is_one_of(e->desc, descs))
		return false;
	for (size_t i = 0; i < e->dependency_count; i++) {
		int id = e->dependencies[i];

		if (id > 0 && id <= c->toc->base.last_id && c->passed[id / 8] & 1U << id % 8)
			return false;
	}
	return e->dependency_count > 0;
}

/* Seeds: what was named. */

bool restore_is_relation(const struct pg_archive_entry *e)
{
	static const char *const descs[] = {"TABLE",         "VIEW",     "MATERIALIZED VIEW",
	                                    "FOREIGN TABLE", "SEQUENCE", NULL};

	return is_one_of(e->desc, descs);
}

static bool is_named_table(struct choosing *c, const struct pg_archive_entry *e)
{
	for (size_t i = 0; i < c->table_count; i++)
		if (str_equal(c->tables[i].schema, e->namespace) && str_equal(c->tables[i].name, e->tag))
			return true;
	return false;
}

static bool is_in_named_schema(struct choosing *c, const struct pg_archive_entry *e)
{
	const char *const *schemas = c->options->schemas;
	const char *own = str_equal(e->desc, "SCHEMA") ? e->tag : e->namespace;
	bool found = false;

	for (size_t i = 0; schemas && schemas[i]; i++) {
		if (!str_equal(schemas[i], own))
			continue;
		found = true;
		c->schema_found[i] = true;
	}
	return found;
}

static bool is_seed(struct choosing *c, const struct pg_archive_entry *e)
{
	const struct restore_database_options *o = c->options;

	if (is_of_database(e) || (o->no_extensions && (is_of_extension(e) || is_data_of_extension(c, e))))
		return false;
	if (is_setting(e) || (!o->schemas && !o->tables))
		return true;
	/* Both: the tables alone, besides all of the schemas. */
	return is_in_named_schema(c, e) ||
	       ((restore_is_relation(e) || str_equal(e->desc, "TABLE DATA")) && is_named_table(c, e));
}

static int take_seed(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct choosing *c = arg;

	if (entry->dump_id <= 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "no sound PostgreSQL archive: an entry has the number %d", entry->dump_id);
	/* What makes a thing comes before what hangs on it. */
	c->passed[entry->dump_id / 8] |= (uint8_t)(1U << entry->dump_id % 8);
	c->has_extensions |= str_equal(entry->desc, "EXTENSION");
	if (is_seed(c, entry))
		want(c->toc, entry->dump_id);
	return 0;
}

/* What hangs on it. */

/* "t t_pkey" of the table t: a foreign key depends on two tables, and is of one. */
static bool hangs_by_name(const struct choosing *c, const struct pg_archive_entry *e)
{
	for (size_t i = 0; i < c->table_count; i++) {
		const struct chosen_table *t = &c->tables[i];

		if (str_equal(t->schema, e->namespace) && str_starts(e->tag, t->name) &&
		    e->tag[strlen(t->name)] == ' ')
			return true;
	}
	return false;
}

static bool may_hang(const struct choosing *c, const struct pg_archive_entry *e)
{
	static const char *const parts[] = {"TABLE DATA",
	                                    "CONSTRAINT",
	                                    "CHECK CONSTRAINT",
	                                    "INDEX",
	                                    "TRIGGER",
	                                    "RULE",
	                                    "POLICY",
	                                    "ROW SECURITY",
	                                    "STATISTICS",
	                                    "SEQUENCE",
	                                    "SEQUENCE OWNED BY",
	                                    "SEQUENCE SET",
	                                    "COMMENT",
	                                    "ACL",
	                                    "SECURITY LABEL",
	                                    "MATERIALIZED VIEW DATA",
	                                    NULL};
	/* What depends on two, and is of one. */
	static const char *const named[] = {"FK CONSTRAINT", "DEFAULT", NULL};

	return is_one_of(e->desc, named) ? hangs_by_name(c, e) : is_one_of(e->desc, parts);
}

/* A part that is attached to a whole: where both are wanted. */
static bool hangs_between(const struct choosing *c, const struct pg_archive_entry *e)
{
	for (size_t i = 0; i < e->dependency_count; i++)
		if (!restore_is_chosen(c->toc, e->dependencies[i]))
			return false;
	return e->dependency_count > 0;
}

/* Into a database of its own come tables without those that they refer to: a foreign key where both are there. */
static bool leads_away(const struct choosing *c, const struct pg_archive_entry *e)
{
	return c->options->create && str_equal(e->desc, "FK CONSTRAINT") && !hangs_between(c, e);
}

static bool hangs(const struct choosing *c, const struct pg_archive_entry *e)
{
	static const char *const attached[] = {"INDEX ATTACH", "TABLE ATTACH", NULL};

	if (is_one_of(e->desc, attached))
		return hangs_between(c, e);
	if (leads_away(c, e))
		return false;
	for (size_t i = 0; i < e->dependency_count; i++)
		if (restore_is_chosen(c->toc, e->dependencies[i]))
			return may_hang(c, e);
	return false;
}

static int take_hanging(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct choosing *c = arg;
	struct restore_toc *t = c->toc;

	if (is_of_database(entry) || restore_is_chosen(t, entry->dump_id) || !hangs(c, entry))
		return 0;
	want(t, entry->dump_id);
	/* The sequence of a serial column depends on nothing; what says whose it is depends on both. */
	if (str_equal(entry->desc, "SEQUENCE OWNED BY"))
		for (size_t i = 0; i < entry->dependency_count; i++)
			if (entry->dependencies[i] <= t->base.last_id && entry->dependencies[i] > 0)
				want(t, entry->dependencies[i]);
	return 0;
}

/* What it needs. In a database of its own there is nothing yet of what tables are made of: their schema, types, functions. */

static bool is_schema_of_table(const struct choosing *c, const struct pg_archive_entry *e)
{
	for (size_t i = 0; str_equal(e->desc, "SCHEMA") && i < c->table_count; i++)
		if (str_equal(c->tables[i].schema, e->tag))
			return true;
	return false;
}

static bool may_be_needed(const struct choosing *c, const struct pg_archive_entry *e)
{
	static const char *const descs[] = {"EXTENSION", "TYPE",      "SHELL TYPE", "DOMAIN",   "FUNCTION",
	                                    "AGGREGATE", "COLLATION", "OPERATOR",   "SEQUENCE", NULL};

	return c->needed[e->dump_id / 8] & 1U << e->dump_id % 8 && is_one_of(e->desc, descs) &&
	       !(c->options->no_extensions && is_of_extension(e));
}

static int note_needed(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct choosing *c = arg;

	for (size_t i = 0; restore_is_chosen(c->toc, entry->dump_id) && i < entry->dependency_count; i++) {
		int id = entry->dependencies[i];

		if (id > 0 && id <= c->toc->base.last_id)
			c->needed[id / 8] |= (uint8_t)(1U << id % 8);
	}
	return 0;
}

static int take_needed(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct choosing *c = arg;

	if (may_be_needed(c, entry) || is_schema_of_table(c, entry))
		want(c->toc, entry->dump_id);
	return 0;
}

static int tell_keys_left_out(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	const struct choosing *c = arg;
	_cleanup(free) char *line = NULL;

	if (!leads_away(c, entry) || !hangs_by_name(c, entry) || !c->options->say)
		return 0;
	line = mem_printf("the foreign key %s is left out: it leads to a table that is not restored",
	                  entry->tag);
	c->options->say(c->options->arg, line);
	return 0;
}

static int choose_needed(struct choosing *c, struct error *err)
{
	const struct pg_archive_events noting = {.entry = note_needed, .arg = c};
	const struct pg_archive_events taking = {.entry = take_needed, .arg = c};
	const struct pg_archive_events telling = {.entry = tell_keys_left_out, .arg = c};
	int r = 0;

	for (int i = 0; r == 0 && i < ROUNDS; i++) {
		r = inside_toc_each(&c->toc->base, &noting, err);
		if (r == 0)
			r = inside_toc_each(&c->toc->base, &taking, err);
	}
	return r < 0 ? r : inside_toc_each(&c->toc->base, &telling, err);
}

static int check_schemas_found(const struct choosing *c, struct error *err)
{
	const char *const *names = c->options->schemas;

	for (size_t i = 0; names && names[i]; i++)
		if (!c->schema_found[i])
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the backup has no schema %s: 'pg_restore -l' of the backup lists what it has",
			        names[i]);
	return 0;
}

static size_t count_names(const char *const *names)
{
	size_t count = 0;

	while (names && names[count])
		count++;
	return count;
}

/* Which tables are meant. */

struct naming {
	struct table_names names;
	bool of_data; /* entries with rows alone are looked at: an extension's table has no other */
};

static int name_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct naming *n = arg;

	if (n->of_data ? str_equal(e->desc, "TABLE DATA") : restore_is_relation(e))
		table_names_add(&n->names, (uint32_t)e->dump_id, e->namespace, e->tag);
	return 0;
}

static int take_named_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct chosen_table *t = arg;

	if (e->dump_id != t->id)
		return 0;
	mem_replace_string(&t->schema, e->namespace);
	mem_replace_string(&t->name, e->tag);
	return 0;
}

static bool is_none(const struct table_names *n)
{
	return !n->exact && n->schemas == 0;
}

static int refuse_no_table(const struct table_names *n, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the backup has no table %.120s%s%.200s%s; 'pg_restore -l' of the backup lists what it has",
	        n->word, n->nearest ? ": did you mean " : "", str_or_empty(n->nearest),
	        n->nearest ? "?" : "");
}

static int find_named_table(const struct choosing *c, struct table_names *names, uint32_t *ret_id,
                            struct error *err)
{
	struct naming n = {.names = {.word = names->word}};
	const struct pg_archive_events events = {.entry = name_entry, .arg = &n};
	int r = inside_toc_each(&c->toc->base, &events, err);

	if (r == 0 && is_none(&n.names)) {
		n.of_data = true;
		r = inside_toc_each(&c->toc->base, &events, err);
	}
	*names = n.names;
	if (r == 0 && is_none(names))
		return refuse_no_table(names, err);
	return r < 0 ? r : table_names_choose(names, ret_id, err);
}

static int find_tables(struct choosing *c, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->table_count; i++) {
		_cleanup(table_names) struct table_names names = {.word = c->options->tables[i]};
		const struct pg_archive_events events = {.entry = take_named_entry, .arg = &c->tables[i]};
		uint32_t id = 0;

		r = find_named_table(c, &names, &id, err);
		c->tables[i].id = (int)id;
		if (r == 0)
			r = inside_toc_each(&c->toc->base, &events, err);
	}
	return r;
}

static int choose_entries(struct choosing *c, struct error *err)
{
	const struct restore_database_options *o = c->options;
	const struct pg_archive_events seeds = {.entry = take_seed, .arg = c};
	const struct pg_archive_events hanging = {.entry = take_hanging, .arg = c};
	int r = find_tables(c, err);

	if (r == 0)
		r = inside_toc_each(&c->toc->base, &seeds, err);
	for (int i = 0; r == 0 && (o->schemas || o->tables) && i < ROUNDS; i++)
		r = inside_toc_each(&c->toc->base, &hanging, err);
	if (r == 0 && o->tables && o->create)
		r = choose_needed(c, err);
	return r < 0 ? r : check_schemas_found(c, err);
}

/* The lists. */

struct listing {
	const struct restore_toc *toc;
	FILE *all, *without_data, *of_database;
};

static int list_entry(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct listing *l = arg;

	if (is_of_database(entry))
		fprintf(l->of_database, "%d\n", entry->dump_id);
	if (!restore_is_chosen(l->toc, entry->dump_id))
		return 0;
	fprintf(l->all, "%d\n", entry->dump_id);
	if (!entry->has_data)
		fprintf(l->without_data, "%d\n", entry->dump_id);
	return 0;
}

static FILE *open_list(const char *path)
{
	return fopen(path, "wxe");
}

static int close_list(FILE *f)
{
	bool failed = !f || ferror(f);

	if (f && fclose(f) != 0)
		failed = true;
	return failed ? -EIO : 0;
}

static int write_lists(struct restore_toc *t, struct error *err)
{
	struct listing l = {.toc = t,
	                    .all = open_list(t->list),
	                    .without_data = open_list(t->data_list),
	                    .of_database = open_list(t->database_list)};
	const struct pg_archive_events events = {.entry = list_entry, .arg = &l};
	int r = l.all && l.without_data && l.of_database ? inside_toc_each(&t->base, &events, err) : -EIO;
	int closed = close_list(l.all) | close_list(l.without_data) | close_list(l.of_database);

	if (r == 0 && closed == 0)
		return 0;
	return r < 0 && r != -EIO ? r
	                          : error_system(err, EIO, "lists for pg_restore cannot be written in %s",
	                                         t->place.directory);
}

/* Whose tables are made by this very restore, which ends when one of them is there already. */

struct owning {
	struct restore_toc *toc;
	uint8_t *made; /* a bit for each number of an entry: a table that is made */
	size_t next;   /* of those with data */
};

static bool is_made_before(const struct owning *o, const struct pg_archive_entry *e)
{
	int table = e->dependency_count > 0 ? e->dependencies[0] : 0;

	return table > 0 && table <= o->toc->base.last_id && o->made[table / 8] & 1U << table % 8;
}

static int take_owned(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct owning *o = arg;
	int id = entry->dump_id;

	if (str_equal(entry->desc, "TABLE") && restore_is_chosen(o->toc, id))
		o->made[id / 8] |= (uint8_t)(1U << id % 8);
	/* Data of an extension's table depends on the extension: what that has put in there stays. */
	if (entry->has_data)
		o->toc->base.entries[o->next++].own_table =
		        str_equal(entry->desc, "TABLE DATA") && is_made_before(o, entry);
	return 0;
}

static int find_own_tables(struct restore_toc *t, const struct restore_database_options *o, struct error *err)
{
	_cleanup(free) uint8_t *made = mem_alloc((size_t)t->base.last_id / 8 + 1);
	struct owning owning = {.toc = t, .made = made};
	const struct pg_archive_events events = {.entry = take_owned, .arg = &owning};

	if (o->content != RESTORE_ALL || o->keep_going)
		return 0;
	return inside_toc_each(&t->base, &events, err);
}

int restore_choose(struct restore_toc *t, const struct restore_database_options *o, struct error *err)
{
	_cleanup(free) bool *schemas = mem_array(count_names(o->schemas) + 1, sizeof(*schemas));
	size_t table_count = count_names(o->tables);
	_cleanup(free) struct chosen_table *tables = mem_array(table_count + 1, sizeof(*tables));
	struct choosing c = {.toc = t,
	                     .options = o,
	                     .schema_found = schemas,
	                     .tables = tables,
	                     .table_count = table_count};
	_cleanup(free) uint8_t *passed = mem_alloc((size_t)t->base.last_id / 8 + 1);
	_cleanup(free) uint8_t *needed = mem_alloc((size_t)t->base.last_id / 8 + 1);
	int r;

	c.passed = passed;
	c.needed = needed;
	t->wanted = mem_alloc((size_t)t->base.last_id / 8 + 1);
	r = choose_entries(&c, err);
	for (size_t i = 0; i < table_count; i++) {
		free(tables[i].schema);
		free(tables[i].name);
	}
	for (size_t i = 0; r == 0 && i < t->base.count; i++)
		t->base.entries[i].wanted =
		        o->content != RESTORE_SCHEMA && restore_is_chosen(t, t->base.entries[i].dump_id);
	if (r == 0)
		r = find_own_tables(t, o, err);
	return r < 0 ? r : write_lists(t, err);
}
