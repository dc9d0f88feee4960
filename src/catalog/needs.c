// SPDX-License-Identifier: Apache-2.0
/* Packs, and who needs them. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/codec/name.h>

struct inserting {
	struct connection *c;
	uint64_t ino;
};

static int insert_need(void *arg, const struct manifest_need *need)
{
	static const char sql[] =
	        "INSERT OR IGNORE INTO need (directory, first, last, ino) VALUES (?1, ?2, ?3, ?4)";
	const struct inserting *i = arg;

	return db_run(i->c, sql,
	              VALUES(text_value(need->directory), int_value(need->first), int_value(need->last),
	                     ino_value(i->ino)));
}

int needs_insert(struct connection *c, const struct manifest *m)
{
	struct inserting i = {.c = c, .ino = ino_of_artifact(m->path)};
	int r = manifest_each_need(m, insert_need, &i);

	return r == -EBADMSG ? error_set(&c->error, ERROR_CORRUPT, EBADMSG,
	                                 "%s: what it needs makes no sense", m->path)
	                     : r;
}

/* What begins with "packs/JOB/" sorts between that and the same with the character behind '/'. */
static void range_of_job(const char *job, char **ret_from, char **ret_to)
{
	*ret_from = mem_printf(TREE_PACKS "/%s/", job);
	*ret_to = mem_printf(TREE_PACKS "/%s0", job);
}

static int find_newest_run(struct connection *c, const char *job, int64_t *ret)
{
	static const char sql[] =
	        "SELECT coalesce(max(a.run_id), 0) FROM need n CROSS JOIN artifact a ON a.ino = n.ino"
	        " WHERE n.directory > ?1 AND n.directory < ?2 AND a.tomb = 0";
	_cleanup(free) char *from = NULL, *to = NULL;

	range_of_job(job, &from, &to);
	return db_number(c, ret, sql, VALUES(text_value(from), text_value(to)));
}

int catalog_next_unneeded_pack(struct catalog *c, const char *after, struct catalog_pack *ret)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name AS pack, a.run_id, a.finished_at_us, a.locked_until_us FROM directory d"
	        " CROSS JOIN artifact a ON a.directory_ino = d.ino"
	        " WHERE d.path > '" TREE_PACKS "/' AND d.path < '" TREE_PACKS
	        "0' AND d.path >= ?2 AND a.tomb = 0"
	        " AND d.path || '/' || a.name > ?1"
	        " AND NOT EXISTS (SELECT 1 FROM need n WHERE n.directory = d.path"
	        "  AND CAST(a.name AS INTEGER) BETWEEN n.first AND n.last)"
	        " ORDER BY pack LIMIT 1";
	const char *slash = strrchr(after, '/');
	_cleanup(free) char *directory = mem_printf("%.*s", slash ? (int)(slash - after) : 0, after);
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(after), text_value(directory)));
	int r = query_one(&query);
	const char *job;

	if (r < 0)
		return r;
	*ret = (struct catalog_pack){.ino = column_u64(query.row, 0),
	                             .run_id = sqlite3_column_int64(query.row, 2),
	                             .finished_at_us = sqlite3_column_int64(query.row, 3),
	                             .locked_until_us = sqlite3_column_int64(query.row, 4)};
	column_text(query.row, 1, ret->path, sizeof(ret->path));
	job = ret->path + strlen(TREE_PACKS "/");
	snprintf(ret->job, sizeof(ret->job), "%.*s", (int)strcspn(job, "/"), job);
	return find_newest_run(query.connection, ret->job, &ret->newest_run);
}

int catalog_each_pack_of_job(struct catalog *c, const char *job, int64_t after_run,
                             void (*row)(void *arg, uint64_t ino, const char *path), void *arg)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name AS pack FROM directory d CROSS JOIN artifact a"
	        " ON a.directory_ino = d.ino WHERE d.path > ?1 AND d.path < ?2 AND a.tomb = 0 AND a.damaged IS NULL"
	        " AND a.run_id > ?3 ORDER BY pack";
	_cleanup(free) char *from = NULL, *to = NULL;
	struct query query;
	int r;

	range_of_job(job, &from, &to);
	query = query_begin(c, sql, VALUES(text_value(from), text_value(to), int_value(after_run)));
	while (query_next(&query))
		row(arg, column_u64(query.row, 0), column_borrowed(query.row, 1));
	r = query.result;
	query_finish(&query);
	return r;
}

bool catalog_needs_packs(struct catalog *c, uint64_t ino)
{
	_cleanup(query) struct query query =
	        query_begin(c, "SELECT 1 FROM need WHERE ino = ?1 LIMIT 1", VALUES(ino_value(ino)));

	return query_one(&query) == 0;
}

int catalog_each_needed_pack(struct catalog *c, uint64_t ino, void (*row)(void *arg, uint64_t pack_ino),
                             void *arg, uint64_t *ret_missing)
{
	static const char count_sql[] = "SELECT coalesce(sum(last - first + 1), 0) FROM need WHERE ino = ?1";
	static const char sql[] =
	        "SELECT a.ino FROM need n CROSS JOIN directory d ON d.path = n.directory"
	        " CROSS JOIN artifact a ON a.directory_ino = d.ino AND a.tomb = 0"
	        " AND CAST(a.name AS INTEGER) BETWEEN n.first AND n.last WHERE n.ino = ?1 ORDER BY d.path, a.name";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int64_t left = 0;
	int r = db_number(query.connection, &left, count_sql, VALUES(ino_value(ino)));

	if (r < 0)
		return r;
	for (; query_next(&query); left--)
		row(arg, column_u64(query.row, 0));
	*ret_missing = left > 0 ? (uint64_t)left : 0;
	return query.result;
}

int catalog_newest_with_needs(struct catalog *c, const char *job, struct catalog_newest *ret)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name, a.run_id FROM need n CROSS JOIN artifact a ON a.ino = n.ino"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE n.directory > ?1 AND n.directory < ?2"
	        " AND a.tomb = 0 AND a.damaged IS NULL ORDER BY a.run_id DESC, a.sequence DESC LIMIT 1";
	_cleanup(free) char *from = NULL, *to = NULL;
	struct query query;
	int r;

	range_of_job(job, &from, &to);
	query = query_begin(c, sql, VALUES(text_value(from), text_value(to)));
	r = query_one(&query);
	if (r == 0) {
		ret->ino = column_u64(query.row, 0);
		column_text(query.row, 1, ret->path, sizeof(ret->path));
		ret->run_id = sqlite3_column_int64(query.row, 2);
	}
	query_finish(&query);
	return r;
}
