// SPDX-License-Identifier: Apache-2.0
/*
 * The chains of what is signed. A number and the hash of the one before it are given out together, and what is to be put into the store is kept with
 * them until it is there: so a crash at any moment leaves no number of which nobody knows what it was for.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/codec/name.h>

/* Without statistics SQLite takes the first column of the primary key for a better choice than these indexes, and reads all links of a store for each one. */

static const char chain_sql[] =
        "SELECT name, sequence, hash, key, begun_at_us, compacted FROM chain WHERE store = ?1";

static void take_chain(sqlite3_stmt *row, struct catalog_chain *ret)
{
	static const uint8_t unknown[SIGN_PUBLIC_BYTES];
	const void *key = sqlite3_column_blob(row, 3);

	*ret = (struct catalog_chain){.sequence = sqlite3_column_int64(row, 1),
	                              .begun_at_us = sqlite3_column_int64(row, 4),
	                              .compacted = sqlite3_column_int64(row, 5)};
	column_text(row, 0, ret->id, sizeof(ret->id));
	column_text(row, 2, ret->hash, sizeof(ret->hash));
	if (key && sqlite3_column_bytes(row, 3) == SIGN_PUBLIC_BYTES &&
	    memcmp(key, unknown, sizeof(unknown)) != 0)
		sign_public_from_raw(key, &ret->key);
}

int catalog_chain(struct catalog *c, uint64_t store, struct catalog_chain *ret)
{
	_cleanup(query) struct query query = query_begin(c, chain_sql, VALUES(ino_value(store)));
	int r = query_one(&query);

	if (r == 0)
		take_chain(query.row, ret);
	return r;
}

int catalog_chain_oldest(struct catalog *c, int64_t *ret_begun_at_us)
{
	static const char sql[] = "SELECT begun_at_us FROM chain ORDER BY begun_at_us LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r == 0)
		*ret_begun_at_us = sqlite3_column_int64(query.row, 0);
	return r;
}

static int next_chain(struct catalog *c, int64_t after, uint64_t *ret_store)
{
	static const char sql[] = "SELECT store FROM chain WHERE store > ?1 ORDER BY store LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(after)));
	int r = query_one(&query);

	if (r == 0)
		*ret_store = column_u64(query.row, 0);
	return r;
}

int catalog_each_chain(struct catalog *c, int (*row)(void *arg, uint64_t store, struct error *err), void *arg,
                       struct error *err)
{
	uint64_t store = 0;
	int64_t after = -1;
	int r;

	while ((r = next_chain(c, after, &store)) == 0) {
		r = row(arg, store, err);
		if (r != 0)
			return r;
		after = (int64_t)store;
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

static int read_chain(struct connection *c, uint64_t store, struct catalog_chain *ret)
{
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = db_row(c, &row, chain_sql, VALUES(ino_value(store)));

	*ret = (struct catalog_chain){0};
	if (r == 0)
		take_chain(row, ret);
	return r == -ENOENT ? 0 : r;
}

static int write_chain(struct connection *c, uint64_t store, const struct catalog_chain *chain)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO chain (store, name, sequence, hash, key, begun_at_us, compacted)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

	return db_run(c, sql,
	              VALUES(ino_value(store), text_value(chain->id), int_value(chain->sequence),
	                     text_value(chain->hash), blob_value(chain->key.raw, sizeof(chain->key.raw)),
	                     int_value(chain->begun_at_us), int_value(chain->compacted)));
}

static int write_link(struct connection *c, uint64_t store, const struct chain_place *place, const char *path,
                      const char *body)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO chain_link (store, sequence, hash, artifact_ino, path, body)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

	return db_run(c, sql,
	              VALUES(ino_value(store), int_value(place->sequence), text_value(place->hash),
	                     ino_value(path ? ino_of_artifact(path) : 0), text_value(str_or_empty(path)),
	                     text_value(body)));
}

/* Those of an artifact: nobody has to ask about them any more. */
static int drop_links_of(struct connection *c, uint64_t store, const char *path)
{
	static const char sql[] =
	        "DELETE FROM chain_link INDEXED BY chain_link_artifact WHERE store = ?1 AND artifact_ino = ?2"
	        " AND artifact_ino <> 0 AND path = ?3";

	return db_run(c, sql, VALUES(ino_value(store), ino_value(ino_of_artifact(path)), text_value(path)));
}

static int note_rewritten(struct connection *c, uint64_t store, const struct chain_place *place)
{
	static const char sql[] = "UPDATE chain_link SET hash = ?3 WHERE store = ?1 AND sequence = ?2";

	return db_run(c, sql, VALUES(ino_value(store), int_value(place->sequence), text_value(place->hash)));
}

static int take_given(struct connection *c, uint64_t store, struct catalog_chain *at,
                      const struct catalog_chain_given *given)
{
	int r = given->ends ? drop_links_of(c, store, given->ends) : 0;

	if (r == 0 && given->ends_run_id)
		r = chain_unsigned_gone(c, store, given->ends, given->ends_run_id, given->place.sequence);
	if (r == 0 && given->rewritten)
		r = note_rewritten(c, store, given->rewritten);
	if (r == 0 && given->returned)
		r = write_link(c, store, &given->returned->chain, given->returned->path, NULL);
	if (r == 0)
		r = write_link(c, store, &given->place, given->path, given->body);
	if (r < 0)
		return r;
	str_copy(at->id, sizeof(at->id), given->place.id);
	str_copy(at->hash, sizeof(at->hash), given->place.hash);
	at->sequence = given->place.sequence;
	if (given->key)
		at->key = *given->key;
	if (given->begun_at_us)
		at->begun_at_us = given->begun_at_us;
	if (given->is_compacted)
		at->compacted = given->place.sequence;
	return write_chain(c, store, at);
}

typedef int (*make_fn)(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                       struct error *err);

static int give(struct connection *c, uint64_t store, make_fn make, void *arg)
{
	struct catalog_chain_given given = {0};
	struct catalog_chain at;
	int r = read_chain(c, store, &at);

	if (r == 0)
		r = make(arg, &at, &given, &c->error);
	if (r == 0)
		r = take_given(c, store, &at, &given);
	free(given.body);
	return r;
}

int catalog_chain_give(struct catalog *c, uint64_t store, make_fn make, void *arg, struct error *err)
{
	return TRANSACTION(c, err, give(c->writer, store, make, arg));
}

static int mark_gone_name(struct connection *c, uint64_t store, struct catalog_unsigned *a, bool is_first)
{
	/* Of a new chain nothing was ever said. */
	static const char sql[] =
	        "SELECT 1 FROM artifact a WHERE a.ino = ?1 AND a.store = ?2 AND a.run_id = ?3 AND (?4 OR NOT EXISTS"
	        " (SELECT 1 FROM chain_unsigned u WHERE u.ino = a.ino AND u.store = a.store AND u.run_id = a.run_id AND u.is_gone))";
	int r = db_find(c, sql,
	                VALUES(ino_value(ino_of_artifact(a->path)), ino_value(store), int_value(a->run_id),
	                       int_value(is_first)));

	a->is_gone = r == -ENOENT;
	return r == -ENOENT ? 0 : r;
}

static int give_named(struct connection *c, uint64_t store, struct catalog_unsigned *named, size_t count,
                      make_fn make, void *arg)
{
	struct catalog_chain at;
	int r = read_chain(c, store, &at);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = mark_gone_name(c, store, &named[i], !at.id[0]);
	if (r == 0)
		r = give(c, store, make, arg);
	if (r == 0)
		r = read_chain(c, store, &at);
	return r != 0 ? r : chain_note_named(c, store, named, count, at.sequence);
}

int catalog_chain_give_named(struct catalog *c, uint64_t store, struct catalog_unsigned *named, size_t count,
                             make_fn make, void *arg, struct error *err)
{
	return TRANSACTION(c, err, give_named(c->writer, store, named, count, make, arg));
}

int catalog_chain_waiting(struct catalog *c, uint64_t store, int64_t *ret_sequence, char **ret_body)
{
	static const char sql[] =
	        "SELECT sequence, body FROM chain_link INDEXED BY chain_link_waiting WHERE store = ?1 AND body IS NOT NULL"
	        " ORDER BY sequence LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(store)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret_sequence = sqlite3_column_int64(query.row, 0);
	*ret_body = column_string(query.row, 1);
	return 0;
}

int catalog_chain_written(struct catalog *c, uint64_t store, int64_t sequence, struct error *err)
{
	static const char sql[] =
	        "DELETE FROM chain_link WHERE store = ?1 AND sequence = ?2 AND artifact_ino = 0";

	return write_run(c, err, sql, VALUES(ino_value(store), int_value(sequence)));
}

int catalog_chain_links_of(struct catalog *c, uint64_t store, const char *path,
                           void (*row)(void *arg, int64_t sequence, const char *hash), void *arg)
{
	static const char sql[] =
	        "SELECT sequence, hash FROM chain_link INDEXED BY chain_link_artifact WHERE store = ?1 AND artifact_ino = ?2"
	        " AND artifact_ino <> 0 AND path = ?3";
	_cleanup(query) struct query query = query_begin(
	        c, sql, VALUES(ino_value(store), ino_value(ino_of_artifact(path)), text_value(path)));

	while (query_next(&query))
		row(arg, sqlite3_column_int64(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}

static int learn_place(struct connection *c, uint64_t store, const struct chain_place *place,
                       const struct sign_public *key, int64_t begun_at_us)
{
	struct catalog_chain at;
	int r = read_chain(c, store, &at);

	if (r < 0 || (at.id[0] && strcmp(at.id, place->id) != 0))
		return r;
	str_copy(at.id, sizeof(at.id), place->id);
	if (begun_at_us)
		at.begun_at_us = begun_at_us;
	if (key && (place->sequence > at.sequence || !at.key.id[0]))
		at.key = *key;
	if (place->sequence > at.sequence) {
		at.sequence = place->sequence;
		str_copy(at.hash, sizeof(at.hash), place->hash);
	}
	return write_chain(c, store, &at);
}

int catalog_chain_learn(struct catalog *c, uint64_t store, const struct chain_place *place,
                        const struct sign_public *key, int64_t begun_at_us, struct error *err)
{
	return TRANSACTION(c, err, learn_place(c->writer, store, place, key, begun_at_us));
}

int catalog_chain_learn_gone(struct catalog *c, uint64_t store, int64_t sequence, struct error *err)
{
	static const char sql[] =
	        "DELETE FROM chain_link WHERE store = ?1 AND sequence = ?2 AND body IS NULL";

	return write_run(c, err, sql, VALUES(ino_value(store), int_value(sequence)));
}

int chain_note_artifact(struct connection *c, const struct manifest *m, uint64_t store)
{
	struct catalog_chain at;
	int r;

	if (!m->chain.sequence || !m->is_proven)
		return 0;
	r = learn_place(c, store, &m->chain, NULL, 0);
	if (r == 0)
		r = read_chain(c, store, &at);
	if (r < 0 || strcmp(at.id, m->chain.id) != 0)
		return r;
	return write_link(c, store, &m->chain, m->path, NULL);
}

int catalog_chain_note_artifact(struct catalog *c, uint64_t store, const struct manifest *m,
                                struct error *err)
{
	return TRANSACTION(c, err, chain_note_artifact(c->writer, m, store));
}

/* Of a range all that is not kept; then that range is known. */
static int learn_compacted(struct connection *c, uint64_t store, int64_t by, int64_t to, const int64_t *kept,
                           size_t count)
{
	static const char forget[] = "DELETE FROM chain_link WHERE store = ?1 AND sequence > ?2"
	                             " AND sequence < ?3 AND body IS NULL";
	static const char note[] = "UPDATE chain SET compacted = ?2 WHERE store = ?1 AND compacted < ?2";
	int64_t after = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i <= count; i++) {
		int64_t before = i < count ? kept[i] : to + 1;

		r = db_run(c, forget, VALUES(ino_value(store), int_value(after), int_value(before)));
		after = before;
	}
	return r < 0 ? r : db_run(c, note, VALUES(ino_value(store), int_value(by)));
}

int catalog_chain_learn_compacted(struct catalog *c, uint64_t store, int64_t by, int64_t to,
                                  const int64_t *kept, size_t count, struct error *err)
{
	return TRANSACTION(c, err, learn_compacted(c->writer, store, by, to, kept, count));
}

int catalog_chain_each_link(struct catalog *c, uint64_t store, int64_t to,
                            void (*row)(void *arg, int64_t sequence, const char *hash, const char *path),
                            void *arg)
{
	static const char sql[] =
	        "SELECT sequence, hash, path FROM chain_link WHERE store = ?1 AND sequence <= ?2"
	        " AND artifact_ino <> 0 ORDER BY sequence";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(store), int_value(to)));

	while (query_next(&query))
		row(arg, sqlite3_column_int64(query.row, 0), column_borrowed(query.row, 1),
		    column_borrowed(query.row, 2));
	return query.result;
}

int catalog_chain_add_key(struct catalog *c, const struct sign_public *key, struct error *err)
{
	static const char sql[] = "INSERT OR REPLACE INTO chain_key (id, raw) VALUES (?1, ?2)";

	return write_run(c, err, sql, VALUES(text_value(key->id), blob_value(key->raw, sizeof(key->raw))));
}

int catalog_chain_key(struct catalog *c, const char *id, struct sign_public *ret)
{
	static const char sql[] = "SELECT raw FROM chain_key WHERE id = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(id)));
	int r = query_one(&query);

	if (r == 0 && sqlite3_column_bytes(query.row, 0) == SIGN_PUBLIC_BYTES)
		sign_public_from_raw(sqlite3_column_blob(query.row, 0), ret);
	return r;
}

int catalog_has_as(struct catalog *c, const struct manifest *m)
{
	static const char sql[] = "SELECT 1 FROM artifact WHERE ino = ?1 AND run_id = ?2 AND size_bytes = ?3"
	                          " AND coalesce(sha256, '') = ?4";
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(ino_value(ino_of_artifact(m->path)), int_value(m->run_id),
	                           int_value((int64_t)m->size_bytes), text_value(str_or_empty(m->sha256))));
	int r = query_one(&query);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int catalog_each_artifact_of(struct catalog *c, uint64_t store,
                             void (*row)(void *arg, const struct catalog_unsigned *artifact), void *arg)
{
	static const char sql[] =
	        "SELECT d.path || '/' || a.name, a.run_id, a.size_bytes, a.sha256 FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.store = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(store)));

	while (query_next(&query)) {
		const struct catalog_unsigned artifact = {
		        .path = column_borrowed(query.row, 0),
		        .run_id = sqlite3_column_int64(query.row, 1),
		        .size_bytes = column_u64(query.row, 2),
		        .sha256 = str_or_empty(column_borrowed(query.row, 3)),
		};

		row(arg, &artifact);
	}
	return query.result;
}
