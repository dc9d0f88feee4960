// SPDX-License-Identifier: Apache-2.0
/* What a further store has beside copies of backups: what of the chain it lacks, and which objects are another's. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog/replicas.h>

#define IS_COPIED(path)                                                                                      \
	"EXISTS (SELECT 1 FROM replica r WHERE r.path = " path " AND r.store = ?1 AND r.state IN (2, 5))"

static int each_uncopied_number(struct catalog *c, uint64_t store, int64_t last,
                                void (*number)(void *arg, int64_t sequence), void *arg)
{
	static const char sql[] =
	        "SELECT l.sequence FROM chain_link l WHERE l.store = 0 AND l.artifact_ino <> 0 AND l.sequence <= ?2"
	        " AND NOT " IS_COPIED("l.path") " ORDER BY l.sequence";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value((int64_t)store), int_value(last)));

	while (query_next(&query))
		number(arg, sqlite3_column_int64(query.row, 0));
	return query.result;
}

static int each_uncopied_before(struct catalog *c, uint64_t store,
                                void (*before)(void *arg, const char *path), void *arg)
{
	static const char sql[] =
	        "SELECT d.path || '/' || a.name FROM artifact a JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE a.store = 0 AND NOT EXISTS (SELECT 1 FROM chain_link l WHERE l.store = 0"
	        "  AND l.artifact_ino = a.ino AND l.artifact_ino <> 0)"
	        " AND NOT " IS_COPIED("d.path || '/' || a.name");
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)store)));

	while (query_next(&query))
		before(arg, column_borrowed(query.row, 0));
	return query.result;
}

int catalog_each_uncopied(struct catalog *c, uint64_t store, int64_t last,
                          void (*number)(void *arg, int64_t sequence),
                          void (*before)(void *arg, const char *path), void *arg)
{
	int r = each_uncopied_number(c, store, last, number, arg);

	return r < 0 ? r : each_uncopied_before(c, store, before, arg);
}

int catalog_is_beside(struct catalog *c, uint64_t store, const char *key)
{
	static const char sql[] = "SELECT 1 FROM replica_beside WHERE store = ?1 AND key = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value((int64_t)store), text_value(key)));
	int r = query_one(&query);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int catalog_note_beside(struct catalog *c, uint64_t store, const char *key, int64_t now_us, struct error *err)
{
	static const char sql[] = "INSERT INTO replica_beside (store, key, since_us) VALUES (?1, ?2, ?3)";
	int r = catalog_is_beside(c, store, key);

	if (r != 0)
		return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
	r = write_run(c, err, sql, VALUES(int_value((int64_t)store), text_value(key), int_value(now_us)));
	return r < 0 ? r : 1;
}

int catalog_forget_beside(struct catalog *c, uint64_t store, const char *key, struct error *err)
{
	static const char sql[] = "DELETE FROM replica_beside WHERE store = ?1 AND key = ?2";

	return write_run(c, err, sql, VALUES(int_value((int64_t)store), text_value(key)));
}

int catalog_besides(struct catalog *c, uint64_t store, struct catalog_besides *ret)
{
	static const char sql[] =
	        "SELECT key, since_us, (SELECT count(*) FROM replica_beside b WHERE b.store = ?1)"
	        " FROM replica_beside WHERE store = ?1 ORDER BY since_us, key LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)store)));
	int r = query_one(&query);

	*ret = (struct catalog_besides){0};
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	column_text(query.row, 0, ret->key, sizeof(ret->key));
	ret->since_us = sqlite3_column_int64(query.row, 1);
	ret->count = column_u64(query.row, 2);
	return 0;
}

int catalog_count_beside(struct catalog *c, uint64_t store, uint64_t *ret, struct error *err)
{
	struct catalog_besides besides;
	int r = catalog_besides(c, store, &besides);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	*ret = besides.count;
	return 0;
}

#define HERE " IN (SELECT id FROM store WHERE tenant = '' AND url = ?1 AND endpoint = ?2)"

static int take_over_replicas(struct connection *c, const char *url, const char *endpoint)
{
	static const char *const sqls[] = {
	        "DELETE FROM replica WHERE store" HERE,
	        "DELETE FROM replica_store WHERE store" HERE,
	        "DELETE FROM replica_beside WHERE store" HERE,
	        "DELETE FROM replica_read WHERE store" HERE,
	        "DELETE FROM copy_tree WHERE store" HERE,
	        "DELETE FROM store WHERE id" HERE
	        " AND NOT EXISTS (SELECT 1 FROM artifact a WHERE a.store = store.id AND a.store <> 0)"
	        " AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.store = store.id)",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sqls); i++)
		r = db_run(c, sqls[i], VALUES(text_value(url), text_value(str_or_empty(endpoint))));
	return r;
}

int catalog_take_over_replicas(struct catalog *c, const char *url, const char *endpoint, struct error *err)
{
	return TRANSACTION(c, err, take_over_replicas(c->writer, url, endpoint));
}
