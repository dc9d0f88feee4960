// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of a database, with what tells whose their rows are. Each kind of facts is one question over all tables, answered in
 * pieces by a cursor, so that besides the model itself memory does not grow with their number. The catalogs are read in the transaction's
 * snapshot; format_type() looks at the present ones, which differ only for a type that was altered since.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/tenancy.h>

#include <errno.h>
#include <string.h>

#define ROWS_PER_FETCH           "5000"
#define FIRST_WITH_TEMPORAL_KEYS 180000 /* pg_constraint.conperiod */

/* Views have no rows of their own, and no temporary table is there for another session. */
#define FROM_USERS_TABLES                                                                                    \
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"               \
	" AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'f', "   \
	"'m')"                                                                                               \
	" AND c.relpersistence <> 't'"

/* pg_dump: selectDumpableTable(), processExtensionTables(). */
static const char about_users_tables[] =
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,"
        " COALESCE(p.count, 0), d.description" FROM_USERS_TABLES
        " LEFT JOIN (SELECT polrelid, pg_catalog.count(*) AS count FROM pg_catalog.pg_policy GROUP BY polrelid) p"
        " ON p.polrelid = c.oid"
        " LEFT JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0"
        " AND d.classoid = 'pg_catalog.pg_class'::regclass"
        " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend m LEFT JOIN pg_catalog.pg_extension e"
        " ON e.oid = m.refobjid AND c.oid = ANY (e.extconfig) WHERE m.classid = 'pg_catalog.pg_class'::regclass"
        " AND m.objid = c.oid AND m.objsubid = 0 AND m.refclassid = 'pg_catalog.pg_extension'::regclass"
        " AND m.deptype = 'e' AND e.oid IS NULL)";

/* b: the type below a column's; e: of an array, that of its elements (other types may have a typelem, too), and x, the one below that. NOT NULL may be
 * NOT VALID since version 18: then there may be NULLs from before. */
static const char about_users_columns[] =
        "WITH RECURSIVE d (oid, below) AS (SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typtype = 'd'"
        " UNION ALL SELECT d.oid, t.typbasetype FROM d JOIN pg_catalog.pg_type t ON t.oid = d.below"
        " WHERE t.typtype = 'd'),"
        " base (oid, base) AS (SELECT d.oid, d.below FROM d JOIN pg_catalog.pg_type t ON t.oid = d.below"
        " WHERE t.typtype <> 'd')"
        " SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),"
        " pg_catalog.format_type(b.oid, NULL), b.typcategory, e.typdelim, pg_catalog.format_type(x.oid, NULL), x.typcategory, a.attidentity, a.attgenerated <> '',"
        " a.attnotnull AND (a.attrelid, a.attnum) NOT IN (SELECT v.conrelid, v.conkey[1]"
        " FROM pg_catalog.pg_constraint v WHERE v.contype = 'n' AND NOT v.convalidated), i.description" FROM_USERS_TABLES
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " LEFT JOIN base ON base.oid = a.atttypid"
        " JOIN pg_catalog.pg_type b ON b.oid = COALESCE(base.base, a.atttypid)"
        " LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND e.typarray = b.oid"
        " LEFT JOIN base below ON below.oid = e.oid"
        " LEFT JOIN pg_catalog.pg_type x ON x.oid = COALESCE(below.base, e.oid)"
        " LEFT JOIN pg_catalog.pg_description i ON i.objoid = a.attrelid AND i.objsubid = a.attnum"
        " AND i.classoid = 'pg_catalog.pg_class'::regclass"
        " ORDER BY a.attrelid, a.attnum";

/* That of an identity before one that was made to belong to the column by hand. */
static const char about_owned_sequences[] =
        "SELECT d.refobjid, d.refobjsubid,"
        " pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(s.relname))"
        " FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
        " JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace"
        " WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass"
        " AND d.objsubid = 0 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')"
        " ORDER BY d.refobjid, d.refobjsubid, d.deptype DESC, d.objid";

/* What an index INCLUDEs is not in conkey. */
static const char about_primary_keys[] =
        "SELECT conrelid, conkey FROM pg_catalog.pg_constraint WHERE contype = 'p' AND conrelid <> 0";

/* Of columns alone, and of all rows; behind the first indnkeyatts (from version 11 on) of its columns are those that it INCLUDEs. */
static const char about_unique_keys[] =
        "SELECT i.indrelid, x.relname, '{' || pg_catalog.array_to_string((i.indkey::pg_catalog.int2[])[0:k.n - 1], ',') || '}',"
        " COALESCE(k.nulls_equal, false) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid,"
        " LATERAL (SELECT COALESCE((j.j->>'indnkeyatts')::pg_catalog.int4, i.indnatts) AS n,"
        " (j.j->>'indnullsnotdistinct')::pg_catalog.bool AS nulls_equal FROM pg_catalog.to_jsonb(i) AS j (j)) k"
        " WHERE i.indisunique AND NOT i.indisprimary AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
        " AND i.indrelid >= 16384 ORDER BY i.indrelid, i.indexrelid";

/* A partition has a copy of each key of its root, and a key to a root has one for each of its partitions: these have a parent. */
static const char about_foreign_keys[] =
        "SELECT conrelid, confrelid, conkey, confkey, conname FROM pg_catalog.pg_constraint"
        " WHERE contype = 'f' AND conparentid = 0";
static const char but_temporal_keys[] = " AND NOT conperiod";

struct oid_place {
	uint32_t oid, table;
};

struct model_reading {
	struct pg_session *s;
	struct tenancy_model model;
	struct oid_place *by_oid; /* sorted */
	uint32_t **numbers;       /* of @tables: pg_attribute.attnum of each column, ascending */
	size_t tables;
};

static void model_reading_finish(struct model_reading *m)
{
	for (size_t i = 0; i < m->tables; i++)
		free(m->numbers[i]);
	free(m->numbers);
	free(m->by_oid);
	tenancy_model_finish(&m->model);
}

static inline void cleanup_model_reading(struct model_reading *m)
{
	model_reading_finish(m);
}

/* Batches. */

struct batch_taking {
	pg_take_row take;
	void *arg;
	size_t taken;
};

static int take_batch_row(void *arg, const struct pg_row *row, struct error *err)
{
	struct batch_taking *b = arg;

	b->taken++;
	return b->take(b->arg, row, err);
}

static int read_in_batches(struct model_reading *m, const char *sql, pg_take_row take, struct error *err)
{
	_cleanup(free) char *declare = mem_printf("DECLARE keepfs_tenancy NO SCROLL CURSOR FOR %s", sql);
	struct batch_taking batch = {.take = take, .arg = m};
	int r = pg_session_run(m->s, declare, err);

	if (r < 0)
		return r;
	do {
		batch.taken = 0;
		r = pg_session_rows(m->s, "FETCH FORWARD " ROWS_PER_FETCH " FROM keepfs_tenancy",
		                    take_batch_row, &batch, err);
	} while (r == 0 && batch.taken > 0);
	return r < 0 ? r : pg_session_run(m->s, "CLOSE keepfs_tenancy", err);
}

/* Room for one more in an array that holds @count, doubled when it is full. */
static void *array_grow(void *array, size_t count, size_t bytes)
{
	return (count & (count - 1)) == 0 ? mem_resize(array, count > 0 ? 2 * count : 1, bytes) : array;
}

static uint32_t parse_catalog_number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static bool says_true(const char *text)
{
	return text[0] == 't';
}

/* Tables. */

static int take_users_table(void *arg, const struct pg_row *row, struct error *err)
{
	struct tenancy_model *model = &((struct model_reading *)arg)->model;
	struct tenancy_table *t;

	model->tables = array_grow(model->tables, model->table_count, sizeof(*model->tables));
	t = &model->tables[model->table_count++];
	*t = (struct tenancy_table){
	        .oid = parse_catalog_number(row->values[0]),
	        .schema = mem_strdup(row->values[1]),
	        .name = mem_strdup(row->values[2]),
	        .kind = row->values[3][0],
	        .is_partition = says_true(row->values[4]),
	        .has_row_security = says_true(row->values[5]),
	        .forces_row_security = says_true(row->values[6]),
	        .policy_count = parse_catalog_number(row->values[7]),
	        .comment = mem_strdup(row->values[8]),
	};
	return 0;
}

static int compare_table_names(const void *a, const void *b)
{
	const struct tenancy_table *x = a, *y = b;
	int c = strcmp(x->schema, y->schema);

	return c != 0 ? c : strcmp(x->name, y->name);
}

static int compare_oid_places(const void *a, const void *b)
{
	const struct oid_place *x = a, *y = b;

	return (x->oid > y->oid) - (x->oid < y->oid);
}

static int read_users_tables(struct model_reading *m, struct error *err)
{
	struct tenancy_model *model = &m->model;
	int r = read_in_batches(m, about_users_tables, take_users_table, err);

	if (r < 0)
		return r;
	/* Here, and not by the server, whose database may have another encoding, in which the order is another one. */
	if (model->table_count > 1)
		qsort(model->tables, model->table_count, sizeof(*model->tables), compare_table_names);
	m->by_oid = mem_array(model->table_count + 1, sizeof(*m->by_oid));
	m->numbers = mem_array(model->table_count + 1, sizeof(*m->numbers));
	m->tables = model->table_count;
	for (size_t i = 0; i < model->table_count; i++)
		m->by_oid[i] = (struct oid_place){.oid = model->tables[i].oid, .table = (uint32_t)i};
	qsort(m->by_oid, model->table_count, sizeof(*m->by_oid), compare_oid_places);
	return 0;
}

/* -1: it is none of the model's. */
static ssize_t place_of_oid(const struct model_reading *m, const char *text)
{
	const struct oid_place key = {.oid = parse_catalog_number(text)};
	const struct oid_place *found =
	        bsearch(&key, m->by_oid, m->tables, sizeof(*m->by_oid), compare_oid_places);

	return found ? (ssize_t)found->table : -1;
}

/* Columns. */

static int take_users_column(void *arg, const struct pg_row *row, struct error *err)
{
	struct model_reading *m = arg;
	ssize_t place = place_of_oid(m, row->values[0]);
	struct tenancy_table *t = place < 0 ? NULL : &m->model.tables[place];
	const char *element = row->values[7];

	if (!t)
		return 0;
	t->columns = array_grow(t->columns, t->column_count, sizeof(*t->columns));
	m->numbers[place] = array_grow(m->numbers[place], t->column_count, sizeof(**m->numbers));
	m->numbers[place][t->column_count] = parse_catalog_number(row->values[1]);
	t->columns[t->column_count++] = (struct tenancy_column){
	        .name = mem_strdup(row->values[2]),
	        .type = mem_strdup(row->values[3]),
	        .base_type = element ? mem_printf("%s[]", element) : mem_strdup(row->values[4]),
	        .category = element ? row->values[8][0] : row->values[5][0],
	        .delimiter = element ? row->values[6][0] : '\0',
	        .identity = row->values[9][0],
	        .is_generated = says_true(row->values[10]),
	        .not_null = says_true(row->values[11]),
	        .comment = mem_strdup(row->values[12]),
	};
	return 0;
}

/* -1: there is none. */
static ssize_t place_of_number(const struct model_reading *m, size_t table, uint32_t number)
{
	for (size_t i = 0; i < m->model.tables[table].column_count; i++)
		if (m->numbers[table][i] == number)
			return (ssize_t)i;
	return -1;
}

static int fail_unknown_column(const struct tenancy_table *t, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, EPROTO,
	                 "PostgreSQL tells of a column of %s.%s that it did not name before", t->schema,
	                 t->name);
}

static int take_owned_sequence(void *arg, const struct pg_row *row, struct error *err)
{
	struct model_reading *m = arg;
	ssize_t table = place_of_oid(m, row->values[0]), column;
	struct tenancy_column *c;

	if (table < 0)
		return 0;
	column = place_of_number(m, (size_t)table, parse_catalog_number(row->values[1]));
	if (column < 0)
		return fail_unknown_column(&m->model.tables[table], err);
	c = &m->model.tables[table].columns[column];
	if (!c->sequence)
		c->sequence = mem_strdup(row->values[2]);
	return 0;
}

/* "{2,1}" into places of columns; @ret is of the heap. */
static int take_key_places(const struct model_reading *m, size_t table, const char *text, uint32_t **ret,
                           size_t *ret_count, struct error *err)
{
	_cleanup(free) uint32_t *places = NULL;
	size_t count = 0;

	for (const char *p = text; *p && *p != '}';) {
		char *end;
		ssize_t column = place_of_number(m, table, (uint32_t)strtoul(p + 1, &end, 10));

		if (column < 0)
			return fail_unknown_column(&m->model.tables[table], err);
		places = array_grow(places, count, sizeof(*places));
		places[count++] = (uint32_t)column;
		p = end;
	}
	*ret = take_ptr(&places);
	*ret_count = count;
	return 0;
}

static int take_primary_key(void *arg, const struct pg_row *row, struct error *err)
{
	struct model_reading *m = arg;
	ssize_t place = place_of_oid(m, row->values[0]);
	struct tenancy_table *t = place < 0 ? NULL : &m->model.tables[place];

	return t ? take_key_places(m, (size_t)place, row->values[1], &t->primary_key, &t->primary_key_count,
	                           err)
	         : 0;
}

static int take_unique_key(void *arg, const struct pg_row *row, struct error *err)
{
	struct model_reading *m = arg;
	ssize_t place = place_of_oid(m, row->values[0]);
	struct tenancy_table *t = place < 0 ? NULL : &m->model.tables[place];
	struct tenancy_unique *u;

	if (!t)
		return 0;
	t->uniques = array_grow(t->uniques, t->unique_count, sizeof(*t->uniques));
	u = &t->uniques[t->unique_count++];
	*u = (struct tenancy_unique){.name = mem_strdup(row->values[1]),
	                             .nulls_equal = says_true(row->values[3])};
	return take_key_places(m, (size_t)place, row->values[2], &u->columns, &u->count, err);
}

/* Foreign keys. */

static int take_foreign_key(void *arg, const struct pg_row *row, struct error *err)
{
	struct model_reading *m = arg;
	struct tenancy_model *model = &m->model;
	ssize_t from = place_of_oid(m, row->values[0]), to = place_of_oid(m, row->values[1]);
	struct tenancy_key *key;
	size_t to_count = 0;
	int r;

	if (from < 0 || to < 0 || model->tables[from].is_partition || model->tables[to].is_partition)
		return 0;
	model->keys = array_grow(model->keys, model->key_count, sizeof(*model->keys));
	key = &model->keys[model->key_count++];
	*key = (struct tenancy_key){
	        .name = mem_strdup(row->values[4]), .from = (uint32_t)from, .to = (uint32_t)to};
	r = take_key_places(m, (size_t)from, row->values[2], &key->from_columns, &key->count, err);
	if (r == 0)
		r = take_key_places(m, (size_t)to, row->values[3], &key->to_columns, &to_count, err);
	if (r == 0 && to_count != key->count)
		r = error_set(err, ERROR_INTERNAL, EPROTO,
		              "PostgreSQL tells of a foreign key %s of unlike sides", key->name);
	return r;
}

static int compare_foreign_keys(const void *a, const void *b)
{
	const struct tenancy_key *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int read_foreign_keys(struct model_reading *m, struct error *err)
{
	bool temporal = PQserverVersion(m->s->conn) >= FIRST_WITH_TEMPORAL_KEYS;
	_cleanup(free) char *sql = mem_printf("%s%s", about_foreign_keys, temporal ? but_temporal_keys : "");
	int r = read_in_batches(m, sql, take_foreign_key, err);

	if (r == 0 && m->model.key_count > 1)
		qsort(m->model.keys, m->model.key_count, sizeof(*m->model.keys), compare_foreign_keys);
	return r;
}

int pg_tenancy_read(struct pg_session *s, struct tenancy_model *ret, struct error *err)
{
	_cleanup(model_reading) struct model_reading m = {.s = s};
	int r = read_users_tables(&m, err);

	if (r == 0)
		r = read_in_batches(&m, about_users_columns, take_users_column, err);
	if (r == 0)
		r = read_in_batches(&m, about_owned_sequences, take_owned_sequence, err);
	if (r == 0)
		r = read_in_batches(&m, about_primary_keys, take_primary_key, err);
	if (r == 0)
		r = read_in_batches(&m, about_unique_keys, take_unique_key, err);
	if (r == 0)
		r = read_foreign_keys(&m, err);
	if (r < 0) {
		if (r != -ECANCELED)
			error_prefix(err, "what tables there are cannot be read");
		return r;
	}
	*ret = m.model;
	m.model = (struct tenancy_model){0};
	return 0;
}
