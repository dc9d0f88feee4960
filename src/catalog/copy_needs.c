// SPDX-License-Identifier: Apache-2.0
/* See keepfs/catalog/copy_needs.h. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/copy_needs.h>
#include <keepfs/codec/name.h>

/* "packs/docs/T/00001.tar": its directory, and its number. */
#define DIRECTORY_OF(path) "rtrim(rtrim(" path ", replace(" path ", '/', '')), '/')"
#define NUMBER_OF_PACK(path)                                                                                 \
	"CAST(substr(" path ", length(rtrim(" path ", replace(" path ", '/', ''))) + 1) AS INTEGER)"

#define IS_LISTED_HERE(ino) "EXISTS (SELECT 1 FROM artifact a WHERE a.ino = " ino " AND a.tomb = 0)"

/* What is noted. */

struct copy_inserting {
	struct connection *c;
	uint64_t store;
	const char *path;
};

static int insert_copy_need(void *arg, const struct manifest_need *need)
{
	static const char sql[] =
	        "INSERT OR IGNORE INTO copy_need (store, directory, first, last, path) VALUES (?1, ?2, ?3, ?4, ?5)";
	const struct copy_inserting *i = arg;

	return db_run(i->c, sql,
	              VALUES(int_value((int64_t)i->store), text_value(need->directory),
	                     int_value(need->first), int_value(need->last), text_value(i->path)));
}

int copy_needs_set(struct connection *c, uint64_t store, const struct manifest *m)
{
	static const char sql[] = "DELETE FROM copy_need WHERE store = ?1 AND path = ?2";
	struct copy_inserting i = {.c = c, .store = store, .path = m->path};
	int r = db_run(c, sql, VALUES(int_value((int64_t)store), text_value(m->path)));

	if (r == 0)
		r = manifest_each_need(m, insert_copy_need, &i);
	return r == -EBADMSG ? error_set(&c->error, ERROR_CORRUPT, EBADMSG,
	                                 "%s: what it needs makes no sense", m->path)
	                     : r;
}

int catalog_note_copy_needs(struct catalog *c, const char *path, uint64_t store, struct error *err)
{
	static const char sql[] = "INSERT OR IGNORE INTO copy_need (store, directory, first, last, path)"
	                          " SELECT ?3, directory, first, last, ?2 FROM need WHERE ino = ?1";

	return write_run(
	        c, err, sql,
	        VALUES(ino_value(ino_of_artifact(path)), text_value(path), int_value((int64_t)store)));
}

/* Pages. */

static ssize_t page_of_packs(struct catalog *c, const char *sql, const struct value *values, size_t count,
                             struct catalog_pack_path *ret, size_t max)
{
	_cleanup(query) struct query query = query_begin(c, sql, values, count);
	size_t found = 0;

	while (found < max && query_next(&query)) {
		column_text(query.row, 0, ret[found].path, sizeof(ret[found].path));
		found++;
	}
	return query.result < 0 ? query.result : (ssize_t)found;
}

ssize_t catalog_packs_to_copy(struct catalog *c, const char *path, uint64_t store, const char *after,
                              struct catalog_pack_path *ret, size_t max)
{
	static const char sql[] =
	        "SELECT d.path || '/' || a.name AS pack FROM need n CROSS JOIN directory d ON d.path = n.directory"
	        " CROSS JOIN artifact a ON a.directory_ino = d.ino AND a.tomb = 0"
	        "  AND CAST(a.name AS INTEGER) BETWEEN n.first AND n.last"
	        " WHERE n.ino = ?1 AND d.path || '/' || a.name > ?3 AND NOT EXISTS (SELECT 1 FROM replica r"
	        "  WHERE r.path = d.path || '/' || a.name AND r.store = ?2 AND r.state IN (2, 5))"
	        " ORDER BY pack LIMIT ?4";

	return page_of_packs(c, sql,
	                     VALUES(ino_value(ino_of_artifact(path)), int_value((int64_t)store),
	                            text_value(after), int_value((int64_t)max)),
	                     ret, max);
}

/* ?1 the copy, ?2 its store: its packs that the store has whole. '0' comes behind '/'. */
#define WHOLE_PACKS_OF_COPY                                                                                     \
	" FROM copy_need n CROSS JOIN replica r ON r.path > n.directory || '/' AND r.path < n.directory || '0'" \
	" AND r.store = ?2 AND r.state IN (2, 5) AND " NUMBER_OF_PACK(                                          \
	        "r.path") " BETWEEN n.first AND n.last WHERE n.store = ?2 AND n.path = ?1"

ssize_t catalog_packs_to_bring_back(struct catalog *c, const char *path, uint64_t store, const char *after,
                                    struct catalog_pack_path *ret, size_t max)
{
	static const char sql[] =
	        "SELECT r.path" WHOLE_PACKS_OF_COPY
	        " AND r.path > ?3 AND NOT EXISTS (SELECT 1 FROM artifact a"
	        "  WHERE a.ino = r.ino AND a.tomb = 0 AND a.damaged IS NULL) ORDER BY r.path LIMIT ?4";

	return page_of_packs(c, sql,
	                     VALUES(text_value(path), int_value((int64_t)store), text_value(after),
	                            int_value((int64_t)max)),
	                     ret, max);
}

ssize_t catalog_packs_of_copy(struct catalog *c, const char *path, uint64_t store, const char *after,
                              struct catalog_pack_path *ret, size_t max)
{
	static const char sql[] =
	        "SELECT r.path" WHOLE_PACKS_OF_COPY " AND r.path > ?3 ORDER BY r.path LIMIT ?4";

	return page_of_packs(c, sql,
	                     VALUES(text_value(path), int_value((int64_t)store), text_value(after),
	                            int_value((int64_t)max)),
	                     ret, max);
}

ssize_t catalog_packs_to_lock(struct catalog *c, const char *path, uint64_t store, int64_t until_us,
                              const char *after, struct catalog_pack_path *ret, size_t max)
{
	static const char sql[] =
	        "SELECT r.path" WHOLE_PACKS_OF_COPY
	        " AND r.path > ?3 AND NOT EXISTS (SELECT 1 FROM replica_lock l"
	        "  WHERE l.path = r.path AND l.store = ?2 AND l.until_us >= ?5 AND l.failed_us = 0)"
	        " ORDER BY r.path LIMIT ?4";

	return page_of_packs(c, sql,
	                     VALUES(text_value(path), int_value((int64_t)store), text_value(after),
	                            int_value((int64_t)max), int_value(until_us)),
	                     ret, max);
}

/* Of the row r, a pack that is whole in the store ?1. */
#define IS_UNNEEDED                                                                                                   \
	" r.state = 5 AND NOT " IS_LISTED_HERE(                                                                       \
	        "r.ino") " AND NOT EXISTS (SELECT 1 FROM copy_need n"                                                 \
	                 " WHERE n.store = ?1 AND n.directory = " DIRECTORY_OF("r.path") " AND " NUMBER_OF_PACK(      \
	                         "r.path") " BETWEEN n.first AND n.last)"                                             \
	                                   " AND NOT EXISTS (SELECT 1 FROM need n WHERE n.directory = " DIRECTORY_OF( \
	                                           "r.path") " AND " NUMBER_OF_PACK("r.path") " BETWEEN n.first AND n.last)"

ssize_t catalog_unneeded_copies(struct catalog *c, uint64_t store, const char *after,
                                struct catalog_pack_path *ret, size_t max)
{
	static const char sql[] = "SELECT r.path FROM replica r WHERE r.path > max(?2, '" TREE_PACKS
	                          "/') AND r.path < '" TREE_PACKS "0'"
	                          " AND r.store = ?1 AND" IS_UNNEEDED " ORDER BY r.path LIMIT ?3";

	return page_of_packs(c, sql,
	                     VALUES(int_value((int64_t)store), text_value(after), int_value((int64_t)max)),
	                     ret, max);
}

bool catalog_is_unneeded_copy(struct catalog *c, const char *path, uint64_t store)
{
	static const char sql[] =
	        "SELECT 1 FROM replica r WHERE r.path = ?2 AND r.store = ?1 AND" IS_UNNEEDED;
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value((int64_t)store), text_value(path)));

	return tree_is_pack(path) && query_one(&query) == 0;
}

/* Counts. */

static int count_packs(struct catalog *c, const char *sql, const char *path, uint64_t store, uint64_t *ret)
{
	static const char needed_sql[] =
	        "SELECT coalesce(sum(last - first + 1), 0) FROM copy_need WHERE path = ?1 AND store = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, needed_sql, VALUES(text_value(path), int_value((int64_t)store)));
	int64_t needed = 0, found = 0;
	int r = query_one(&query);

	if (r == 0) {
		needed = sqlite3_column_int64(query.row, 0);
		r = db_number(query.connection, &found, sql,
		              VALUES(text_value(path), int_value((int64_t)store)));
	}
	if (r == 0)
		*ret = needed > found ? (uint64_t)(needed - found) : 0;
	return r;
}

int catalog_missing_copies(struct catalog *c, const char *path, uint64_t store, uint64_t *ret)
{
	static const char sql[] = "SELECT count(*)" WHOLE_PACKS_OF_COPY;

	return count_packs(c, sql, path, store, ret);
}

int catalog_missing_packs(struct catalog *c, const char *path, uint64_t store, uint64_t *ret)
{
	static const char sql[] = "SELECT (SELECT count(*)" WHOLE_PACKS_OF_COPY " AND NOT " IS_LISTED_HERE(
	        "r.ino") ") + (SELECT count(*) FROM copy_need n CROSS JOIN directory d ON d.path = n.directory"
	                 " CROSS JOIN artifact a ON a.directory_ino = d.ino AND a.tomb = 0"
	                 " AND CAST(a.name AS INTEGER) BETWEEN n.first AND n.last"
	                 " WHERE n.path = ?1 AND n.store = ?2)";

	return count_packs(c, sql, path, store, ret);
}

int catalog_each_job_of_needs(struct catalog *c, const char *path, uint64_t store,
                              void (*row)(void *arg, const char *job), void *arg)
{
	static const char sql[] =
	        "SELECT DISTINCT substr(directory, 1 + length('" TREE_PACKS "/'),"
	        " instr(substr(directory, 1 + length('" TREE_PACKS "/')), '/') - 1) FROM copy_need"
	        " WHERE path = ?1 AND store = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(path), int_value((int64_t)store)));

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0));
	return query.result;
}

bool catalog_copies_are_known(struct catalog *c, uint64_t store)
{
	static const char sql[] =
	        "SELECT 1 FROM replica r WHERE r.store = ?1 AND r.state IN (2, 3, 5)"
	        " AND (r.path < '" TREE_PACKS "/' OR r.path > '" TREE_PACKS "0') AND NOT " IS_LISTED_HERE(
	                "r.ino") " AND NOT EXISTS (SELECT 1 FROM copy_tree t WHERE t.store = r.store AND t.path = r.path)"
	                         " LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)store)));

	return query_one(&query) == -ENOENT;
}

/* What is wrong with a pack. */

int catalog_copies_lack_pack(struct catalog *c, const char *pack, uint64_t store, int64_t now_us,
                             struct error *err)
{
	static const char sql[] = "UPDATE replica SET state = iif(state = 2 AND " IS_LISTED_HERE(
	        "replica.ino") ", 4, 3), since_us = ?3, next_try_us = 0,"
	                       " error = 'its copy of ' || ?2 || ', which it needs, is not right there'"
	                       " WHERE store = ?1 AND state IN (2, 5) AND path IN (SELECT n.path FROM copy_need n"
	                       "  WHERE n.store = ?1 AND n.directory = " DIRECTORY_OF(
	                               "?2") " AND " NUMBER_OF_PACK("?2") " BETWEEN n.first AND n.last)";

	return write_run(c, err, sql, VALUES(int_value((int64_t)store), text_value(pack), int_value(now_us)));
}

/* Locks. */

int catalog_pack_copy_lock(struct catalog *c, const char *pack, uint64_t store, int64_t *ret_us)
{
	static const char sql[] =
	        "SELECT coalesce(max(l.until_us), 0) FROM copy_need n CROSS JOIN replica_lock l ON l.path = n.path"
	        " AND l.store = n.store WHERE n.store = ?1 AND n.directory = " DIRECTORY_OF(
	                "?2") " AND " NUMBER_OF_PACK("?2") " BETWEEN n.first AND n.last";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value((int64_t)store), text_value(pack)));
	int r = query_one(&query);

	if (r == 0)
		*ret_us = sqlite3_column_int64(query.row, 0);
	return r;
}
