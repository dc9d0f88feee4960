// SPDX-License-Identifier: Apache-2.0
/* Artifacts that are rewrapped: which, and the rows of their objects. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>

int catalog_begin_rewrap(struct catalog *c, uint64_t ino, const char *path, int64_t now_us, struct error *err)
{
	/* What an earlier time has left waits no longer: a crash of this one has to be seen to at once. */
	static const char sql[] = "INSERT INTO rewrap (ino, path, since_us) VALUES (?1, ?2, ?3)"
	                          " ON CONFLICT (ino) DO UPDATE SET until_us = 0, why = ''";

	return write_run(c, err, sql, VALUES(ino_value(ino), text_value(path), int_value(now_us)));
}

int catalog_expect_rewrap(struct catalog *c, uint64_t ino, const char *manifest, struct error *err)
{
	return write_run(c, err, "UPDATE rewrap SET manifest = ?2 WHERE ino = ?1",
	                 VALUES(ino_value(ino), text_value(manifest)));
}

int catalog_put_off_rewrap(struct catalog *c, uint64_t ino, int64_t until_us, const char *why,
                           struct error *err)
{
	static const char sql[] = "UPDATE rewrap SET until_us = ?2, why = ?3 WHERE ino = ?1";

	return write_run(c, err, sql, VALUES(ino_value(ino), int_value(until_us), text_value(why)));
}

int catalog_end_rewrap(struct catalog *c, uint64_t ino, struct error *err)
{
	return write_run(c, err, "DELETE FROM rewrap WHERE ino = ?1", VALUES(ino_value(ino)));
}

#define REWRAP_COLUMNS "ino, path, since_us, until_us, why, manifest"

static int take_rewrap(struct query *query, struct catalog_rewrap *ret)
{
	int r = query_one(query);

	if (r < 0)
		return r;
	*ret = (struct catalog_rewrap){.ino = column_u64(query->row, 0),
	                               .since_us = sqlite3_column_int64(query->row, 2),
	                               .until_us = sqlite3_column_int64(query->row, 3)};
	column_text(query->row, 1, ret->path, sizeof(ret->path));
	column_text(query->row, 4, ret->why, sizeof(ret->why));
	column_text(query->row, 5, ret->manifest, sizeof(ret->manifest));
	return 0;
}

int catalog_next_rewrap(struct catalog *c, uint64_t after_ino, struct catalog_rewrap *ret)
{
	/* As SQLite compares them: numbers above 2^63 come first. */
	static const char sql[] = "SELECT " REWRAP_COLUMNS " FROM rewrap WHERE ?2 = 1 OR ino > ?1"
	                          " ORDER BY ino LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(after_ino), int_value(after_ino == 0)));

	return take_rewrap(&query, ret);
}

int catalog_rewrap_of(struct catalog *c, uint64_t ino, struct catalog_rewrap *ret)
{
	static const char sql[] = "SELECT " REWRAP_COLUMNS " FROM rewrap WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return take_rewrap(&query, ret);
}

/* Other objects. */

static int replace_object(struct connection *c, int64_t id, const struct manifest_object *o)
{
	static const char sql[] = "UPDATE object SET key = ?2, cipher = ?3, stored_bytes = ?4,"
	                          " stored_sha256 = ?5, extents = ?6 WHERE id = ?1";
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;

	if (o->extents.count != o->extents_count)
		return error_set(&c->error, ERROR_INTERNAL, EINVAL, "%s: its extent table was not loaded",
		                 o->key);
	encoded = extents_encode(&o->extents, &len);
	return db_run(c, sql,
	              VALUES(int_value(id), text_value(o->key), text_value(o->cipher),
	                     int_value((int64_t)o->stored_bytes), text_value(o->stored_sha256),
	                     blob_value(encoded, len)));
}

static int relist_file(struct connection *c, const struct manifest *m, const struct manifest_file *f)
{
	static const char find_sql[] = "SELECT object_id FROM artifact_file WHERE ino = ?1";
	static const char sql[] = "UPDATE artifact_file SET sealed_bytes = ?2 WHERE ino = ?1";
	const struct manifest_object *o = f->object == MANIFEST_NO_OBJECT ? NULL : &m->objects[f->object];
	_cleanup(free) char *path = manifest_file_path(m, f);
	uint64_t ino = ino_of_artifact(path);
	int64_t id;
	int r;

	if (!o)
		return 0;
	r = db_number(c, &id, find_sql, VALUES(ino_value(ino)));
	if (r == 0)
		r = replace_object(c, id, o);
	return r < 0 ? r : db_run(c, sql, VALUES(ino_value(ino), object_sealed_bytes(o)));
}

static int relist_role(struct connection *c, uint64_t ino, const struct manifest_object *o)
{
	static const char sql[] =
	        "SELECT object_id FROM artifact_object WHERE artifact_ino = ?1 AND role = ?2";
	int64_t id;
	int r = db_number(c, &id, sql, VALUES(ino_value(ino), text_value(o->role)));

	/* An earlier keepfs did not list it. */
	return r == -ENOENT ? 0 : r < 0 ? r : replace_object(c, id, o);
}

/* Hidden and shown again within the transaction: so the triggers count its bytes as they are. */
static int relist_row(struct connection *c, const struct manifest *m, int64_t *ret_object_id)
{
	static const char find_sql[] = "SELECT object_id FROM artifact WHERE ino = ?1 AND tomb = 0";
	static const char hide_sql[] = "UPDATE artifact SET tomb = 1 WHERE ino = ?1";
	static const char sql[] =
	        "UPDATE artifact SET stored_bytes = ?2, files_bytes = ?3, encrypted_to = ?4, sealed_bytes = ?5,"
	        " verified_at_us = max(verified_at_us, ?6), lock_due = max(lock_due, ?7) WHERE ino = ?1";
	static const char show_sql[] = "UPDATE artifact SET tomb = 0 WHERE ino = ?1";
	const struct manifest_object *own = manifest_own_object(m);
	uint64_t ino = ino_of_artifact(m->path), own_bytes = own ? own->stored_bytes : 0;
	int r = db_number(c, ret_object_id, find_sql, VALUES(ino_value(ino)));

	if (r == 0)
		r = db_run(c, hide_sql, VALUES(ino_value(ino)));
	if (r == 0)
		r = db_run(c, sql,
		           VALUES(ino_value(ino), int_value((int64_t)own_bytes),
		                  int_value((int64_t)(manifest_stored_bytes(m) - own_bytes)),
		                  text_value(str_or_empty(m->encrypted_to)), object_sealed_bytes(own),
		                  int_value(m->verified_at_us), int_value(m->locked_until_us > 0)));
	return r < 0 ? r : db_run(c, show_sql, VALUES(ino_value(ino)));
}

/* What further stores have of it is not what it is any more; what was not begun there stays as it was. */
static int want_replicas_again(struct connection *c, const struct manifest *m)
{
	static const char sql[] =
	        "UPDATE replica SET state = ?2, since_us = ?3, stored_bytes = ?4, done_bytes = 0,"
	        " attempts = 0, next_try_us = 0, error = '' WHERE path = ?1 AND state IN (?5, ?6)";

	return db_run(c, sql,
	              VALUES(text_value(m->path), int_value(REPLICA_WANTED), int_value(clock_now_us()),
	                     int_value((int64_t)manifest_stored_bytes(m)), int_value(REPLICA_WHOLE),
	                     int_value(REPLICA_COPYING)));
}

static int find_store_of(struct connection *c, uint64_t ino, uint64_t *ret)
{
	static const char sql[] = "SELECT store FROM artifact WHERE ino = ?1";
	int64_t store = CATALOG_MAIN_STORE;
	int r = db_number(c, &store, sql, VALUES(ino_value(ino)));

	*ret = (uint64_t)store;
	return r;
}

static int relist_artifact(struct connection *c, const struct manifest *m)
{
	uint64_t ino = ino_of_artifact(m->path), store = CATALOG_MAIN_STORE;
	int64_t object_id = 0;
	int r = relist_row(c, m, &object_id);

	if (r == 0)
		r = find_store_of(c, ino, &store);
	if (r == 0 && manifest_own_object(m))
		r = replace_object(c, object_id, manifest_own_object(m));
	for (size_t i = manifest_first_beside(m); r == 0 && i < m->file_count; i++)
		r = relist_file(c, m, &m->files[i]);
	for (size_t i = 0; r == 0 && i < m->object_count; i++)
		if (m->objects[i].role && manifest_object_of_role(m, m->objects[i].role) == &m->objects[i])
			r = relist_role(c, ino, &m->objects[i]);
	if (r == 0)
		r = want_replicas_again(c, m);
	return r < 0 ? r : chain_note_artifact(c, m, store);
}

int catalog_relist_artifact(struct catalog *c, const struct manifest *m, struct error *err)
{
	return TRANSACTION(c, err, relist_artifact(c->writer, m));
}
