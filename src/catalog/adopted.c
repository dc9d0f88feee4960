// SPDX-License-Identifier: Apache-2.0
/* Objects in places of others. */
#include "access.h"
#include "catalog_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/adopted.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>

void catalog_adopted_finish(struct catalog_adopted *a)
{
	free(a->place);
	free(a->key);
	free(a->etag);
	free(a->path);
	free(a->why);
}

int catalog_get_adopted(struct catalog *c, const char *place, const char *key, struct catalog_adopted *ret)
{
	static const char sql[] =
	        "SELECT place, key, bytes, etag, path, why FROM adopted WHERE place = ?1 AND key = ?2";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(place), text_value(key)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct catalog_adopted){.place = column_string(query.row, 0),
		                                .key = column_string(query.row, 1),
		                                .bytes = column_u64(query.row, 2),
		                                .etag = column_string(query.row, 3),
		                                .path = column_string(query.row, 4),
		                                .why = column_string(query.row, 5)};
	return r;
}

static int note_adopted(struct connection *c, const struct catalog_adopted *a)
{
	static const char sql[] = "INSERT OR REPLACE INTO adopted (place, key, bytes, etag, path, why)"
	                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

	return db_run(c, sql,
	              VALUES(text_value(a->place), text_value(a->key), int_value((int64_t)a->bytes),
	                     text_value(a->etag), text_value(a->path ? a->path : ""),
	                     text_value(a->why ? a->why : "")));
}

int catalog_note_adopted(struct catalog *c, const struct catalog_adopted *a, struct error *err)
{
	return TRANSACTION(c, err, note_adopted(c->writer, a));
}

/* What begins with "adopted/PLACE/" sorts between that and the same with the character behind '/'. */
static int learn_adopted(struct connection *c, const char *place)
{
	static const char sql[] =
	        "INSERT OR IGNORE INTO adopted (place, key, bytes, etag, path, why)"
	        " SELECT ?1, substr(o.key, length(?2) + 1), o.stored_bytes,"
	        "  coalesce(json_extract(a.facts, '$.adopted_etag'), ''), d.path || '/' || a.name, ''"
	        " FROM artifact a JOIN object o ON o.id = a.object_id JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE o.key > ?2 AND o.key < ?3";
	_cleanup(free) char *from = mem_printf(MANIFEST_ADOPTED "%s/", place),
	                    *to = mem_printf(MANIFEST_ADOPTED "%s0", place);

	return db_run(c, sql, VALUES(text_value(place), text_value(from), text_value(to)));
}

int catalog_learn_adopted(struct catalog *c, const char *place, struct error *err)
{
	return TRANSACTION(c, err, learn_adopted(c->writer, place));
}

int catalog_adopted_object(struct catalog *c, uint64_t ino, char **ret_key, char **ret_etag,
                           uint64_t *ret_bytes)
{
	static const char sql[] =
	        "SELECT o.key, coalesce(json_extract(a.facts, '$.adopted_object'), ''), o.stored_bytes"
	        " FROM artifact a JOIN object o ON o.id = a.object_id"
	        " WHERE a.ino = ?1 AND o.key > '" MANIFEST_ADOPTED "' AND o.key < 'adopted0'";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret_key = column_string(query.row, 0);
	*ret_etag = column_string(query.row, 1);
	*ret_bytes = column_u64(query.row, 2);
	return 0;
}
