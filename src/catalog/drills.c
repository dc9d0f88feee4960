// SPDX-License-Identifier: Apache-2.0
/*
 * Rehearsed restores, and whose turn it is. A turn is taken by trying, so that one that fails keeps no other from its own.
 */
#include "access.h"
#include "catalog_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/policy/retention.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

_Static_assert(DRILL_PASSED == 0 && DRILL_CANCELLED == 3 && PROOF_RESTORED == 2,
               "catalogs hold these numbers");

#define NAMES_TRIED 10000

#define DRILL_COLUMNS                                                                                                     \
	"id, name, run_id, job, directory, path, pick, started_at_us, finished_at_us, result, level, wanted, restore_us," \
	" bytes, error, wrong_level"
#define SELECT_DRILLS "SELECT " DRILL_COLUMNS " FROM drill"

/* Of f: see catalog_standing_drill(). A check may have gone from the configuration, and SQL text never proves more than level 2. */
#define IS_THERE                                                                                             \
	"EXISTS (SELECT 1 FROM artifact a JOIN directory d ON d.ino = a.directory_ino"                       \
	" WHERE d.path = f.directory AND a.tomb = 0 AND a.name = substr(f.path, length(f.directory) + 2))"
#define HAS_OTHERS                                                                                           \
	"EXISTS (SELECT 1 FROM artifact a JOIN directory d ON d.ino = a.directory_ino"                       \
	" WHERE d.path = f.directory AND a.tomb = 0)"
#define STANDING                                                                                               \
	"f.result IN (1, 2) AND NOT EXISTS (SELECT 1 FROM drill p WHERE p.job = f.job AND p.result = 0"        \
	" AND p.id > f.id AND p.wanted >= iif(f.wrong_level = 0, f.wanted, f.wrong_level)"                     \
	" AND (f.wrong_level NOT IN (3, 4) OR f.level <> f.wrong_level - 1 OR p.level >= f.wrong_level)"       \
	" AND (f.wrong_level <> 6 OR p.level >= 6)"                                                            \
	" AND (p.path = f.path OR (p.directory = f.directory AND (f.wrong_level IN (0, 5, 6) OR NOT " IS_THERE \
	")) OR NOT " HAS_OTHERS "))"

const char *drill_result_name(enum drill_result result)
{
	static const char *const names[DRILL_RESULTS] = {"passed", "failed", "differs", "cancelled"};

	return (unsigned)result < DRILL_RESULTS ? names[result] : "unknown";
}

static int find_free_name(struct connection *c, struct catalog_drill *io)
{
	static const char sql[] = "SELECT 1 FROM drill WHERE name = ?1";
	char time[CLOCK_NAME_BYTES];

	clock_format_name(io->started_at_us, time);
	str_copy(io->name, sizeof(io->name), time);
	for (unsigned n = 2; n < NAMES_TRIED; n++) {
		int r = db_find(c, sql, VALUES(text_value(io->name)));

		if (r < 0)
			return r == -ENOENT ? 0 : r;
		snprintf(io->name, sizeof(io->name), "%s-%u", time, n);
	}
	return -EEXIST;
}

static int add_drill(struct connection *c, struct catalog_drill *io, const char *report)
{
	static const char sql[] =
	        "INSERT INTO drill (name, run_id, job, directory, path, pick, started_at_us, finished_at_us, result, level,"
	        " wanted, restore_us, bytes, error, report, wrong_level)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
	static const char old_sql[] =
	        "DELETE FROM drill WHERE id <= (SELECT max(id) FROM drill) - ?1"
	        " AND id NOT IN (SELECT max(id) FROM drill GROUP BY job)"
	        " AND id NOT IN (SELECT max(id) FROM drill WHERE result = 0 GROUP BY job, wanted)"
	        " AND id NOT IN (SELECT max(f.id) FROM drill f WHERE " STANDING " GROUP BY f.path)";
	int r = find_free_name(c, io);

	if (r == 0)
		r = db_run(c, sql,
		           VALUES(text_value(io->name), int_value(io->run_id), text_value(io->job),
		                  text_value(io->directory), text_value(io->path), text_value(io->pick),
		                  int_value(io->started_at_us), int_value(io->finished_at_us),
		                  int_value(io->result), int_value(io->level), int_value(io->wanted),
		                  int_value(io->restore_us), int_value((int64_t)io->bytes),
		                  text_value(io->error), text_value(report), int_value(io->wrong_level)));
	if (r == 0)
		io->id = sqlite3_last_insert_rowid(c->db);
	return r < 0 ? r : db_run(c, old_sql, VALUES(int_value(DRILLS_KEPT)));
}

int catalog_add_drill(struct catalog *c, struct catalog_drill *io, const char *report, struct error *err)
{
	return TRANSACTION(c, err, add_drill(c->writer, io, report));
}

static void take_drill(sqlite3_stmt *row, struct catalog_drill *ret)
{
	*ret = (struct catalog_drill){
	        .id = sqlite3_column_int64(row, 0),
	        .run_id = sqlite3_column_int64(row, 2),
	        .started_at_us = sqlite3_column_int64(row, 7),
	        .finished_at_us = sqlite3_column_int64(row, 8),
	        .result = (enum drill_result)sqlite3_column_int(row, 9),
	        .level = sqlite3_column_int(row, 10),
	        .wanted = sqlite3_column_int(row, 11),
	        .restore_us = sqlite3_column_int64(row, 12),
	        .bytes = column_u64(row, 13),
	        .wrong_level = sqlite3_column_int(row, 15),
	};
	column_text(row, 1, ret->name, sizeof(ret->name));
	column_text(row, 3, ret->job, sizeof(ret->job));
	column_text(row, 4, ret->directory, sizeof(ret->directory));
	column_text(row, 5, ret->path, sizeof(ret->path));
	column_text(row, 6, ret->pick, sizeof(ret->pick));
	column_text(row, 14, ret->error, sizeof(ret->error));
}

ssize_t catalog_drills(struct catalog *c, const char *job, int64_t before, struct catalog_drill *ret,
                       size_t max)
{
	static const char sql[] = SELECT_DRILLS
	        " WHERE (?1 IS NULL OR job = ?1) AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), int_value(before), int_value((int64_t)max)));
	size_t count = 0;

	while (count < max && query_next(&query))
		take_drill(query.row, &ret[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_last_drill(struct catalog *c, const char *job, const char *directory, bool passed,
                       struct catalog_drill *ret)
{
	static const char sql[] = SELECT_DRILLS
	        " WHERE job = ?1 AND (?2 IS NULL OR directory = ?2)"
	        " AND CASE WHEN ?3 THEN result = 0 ELSE result <> 3 END ORDER BY id DESC LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), text_value(directory), int_value(passed)));
	int r = query_one(&query);

	if (r == 0)
		take_drill(query.row, ret);
	return r;
}

int catalog_last_drills(struct catalog *c, bool by_directory,
                        void (*row)(void *arg, const struct catalog_drill *drill), void *arg)
{
#define LAST_BY(what, where)                                                                                 \
	SELECT_DRILLS " WHERE id IN (SELECT max(id) FROM drill WHERE result <> 3 GROUP BY " what             \
	              " UNION SELECT max(id) FROM drill WHERE result = 0 GROUP BY " what ")" where           \
	              " ORDER BY id"
#define HAS_BACKUPS " AND EXISTS (SELECT 1 FROM directory WHERE path = drill.directory AND files > 0)"
	_cleanup(query) struct query query = query_begin(
	        c, by_directory ? LAST_BY("job, directory", HAS_BACKUPS) : LAST_BY("job", ""), NULL, 0);
#undef HAS_BACKUPS
#undef LAST_BY

	while (query_next(&query)) {
		struct catalog_drill drill;

		take_drill(query.row, &drill);
		row(arg, &drill);
	}
	return query.result;
}

int catalog_good_drill(struct catalog *c, const char *job, int wanted, struct catalog_drill *ret)
{
	static const char sql[] =
	        SELECT_DRILLS " WHERE job = ?1 AND result = 0 AND wanted >= ?2 ORDER BY id DESC LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), int_value(wanted)));
	int r = query_one(&query);

	if (r == 0)
		take_drill(query.row, ret);
	return r;
}

int catalog_standing_drill(struct catalog *c, const char *job, struct catalog_drill *ret, uint64_t *ret_count)
{
	static const char sql[] =
	        "SELECT " DRILL_COLUMNS ", count(*) OVER () FROM drill f WHERE f.job = ?1 AND " STANDING
	        " ORDER BY f.result = 2 DESC, f.id DESC LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	take_drill(query.row, ret);
	*ret_count = column_u64(query.row, 16);
	return 0;
}

int catalog_find_drill(struct catalog *c, const char *name, struct catalog_drill *ret, char **ret_report)
{
	static const char sql[] = "SELECT " DRILL_COLUMNS ", report FROM drill WHERE name = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(name)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	take_drill(query.row, ret);
	*ret_report = column_string(query.row, 16);
	return 0;
}

/* Whose turn it is. */

#define DRILLED    "a.kind IN ('dump', 'files', 'bundle', 'base')"
#define WHOLE_ONES "a.tomb = 0 AND " DRILLED " AND a.partial = 0 AND a.damaged IS NULL"

int catalog_drill_directory(struct catalog *c, const char *path, char **ret)
{
	static const char sql[] =
	        "SELECT d.path FROM directory d WHERE (d.path = ?1 OR substr(d.path, 1, length(?1) + 1) = ?1 || '/' OR ?1 = '')"
	        " AND EXISTS (SELECT 1 FROM artifact a WHERE a.directory_ino = d.ino AND " WHOLE_ONES ")"
	        " ORDER BY max(coalesce((SELECT max(started_at_us) FROM drill WHERE directory = d.path), 0),"
	        " coalesce((SELECT max(p.at_us) FROM artifact a JOIN proof p ON p.artifact_ino = a.ino AND p.level >= 2"
	        "  WHERE a.directory_ino = d.ino), 0)), d.path LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(path)));
	int r = query_one(&query);

	if (r == 0)
		*ret = column_string(query.row, 0);
	return r;
}

static int newest_whole(struct catalog *c, const char *directory, uint64_t *ret_ino)
{
	static const char sql[] =
	        "SELECT a.ino FROM artifact a JOIN directory d ON d.ino = a.directory_ino WHERE d.path = ?1"
	        " AND " WHOLE_ONES " ORDER BY a.run_id DESC, a.finished_at_us DESC LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(directory)));
	int r = query_one(&query);

	if (r == 0)
		*ret_ino = column_u64(query.row, 0);
	return r;
}

int catalog_newest_whole(struct catalog *c, const char *directory, uint64_t *ret_ino)
{
	return newest_whole(c, directory, ret_ino);
}

int catalog_damaged_dumps(struct catalog *c, const char *directory, uint64_t *ret)
{
	static const char sql[] =
	        "SELECT count(*) FROM artifact a INDEXED BY artifact_damaged JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE a.damaged IS NOT NULL AND a.tomb = 0 AND " DRILLED " AND d.path = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(directory)));
	int r = query_one(&query);

	if (r == 0)
		*ret = column_u64(query.row, 0);
	return r;
}

/* A random one of those that were never tried, while there are any. */
static int find_of_tier(struct catalog *c, const char *directory, int64_t tier, uint64_t newest,
                        uint64_t *ret_ino)
{
	static const char sql[] =
	        "SELECT a.ino FROM artifact a JOIN directory d ON d.ino = a.directory_ino WHERE d.path = ?1"
	        " AND " WHOLE_ONES " AND a.tiers > 0 AND a.tiers & ?2 AND a.ino <> ?3"
	        " ORDER BY EXISTS (SELECT 1 FROM proof WHERE artifact_ino = a.ino AND level >= 2), random() LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(directory), int_value(tier), ino_value(newest)));
	int r = query_one(&query);

	if (r == 0)
		*ret_ino = column_u64(query.row, 0);
	return r;
}

static int64_t last_turn_us(struct catalog *c, const char *directory, const char *pick)
{
	static const char sql[] = "SELECT max(started_at_us) FROM drill WHERE directory = ?1 AND pick = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(directory), text_value(pick)));

	return query_one(&query) == 0 ? sqlite3_column_int64(query.row, 0) : 0;
}

int catalog_drill_pick(struct catalog *c, const char *directory, uint64_t *ret_ino, char ret_pick[static 16])
{
	static const struct {
		const char *pick;
		int64_t tier;
	} turns[] = {{"newest", 0},
	             {"daily", RETENTION_DAILY},
	             {"weekly", RETENTION_WEEKLY},
	             {"monthly", RETENTION_MONTHLY},
	             {"yearly", RETENTION_YEARLY}};
	int64_t longest_us = INT64_MAX;
	uint64_t newest = 0;
	int r = newest_whole(c, directory, &newest);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(turns); i++) {
		int64_t at_us = last_turn_us(c, directory, turns[i].pick);
		uint64_t ino = newest;
		int found = at_us >= longest_us ? -ENOENT
		            : turns[i].tier     ? find_of_tier(c, directory, turns[i].tier, newest, &ino)
		                                : 0;

		if (found < 0 && found != -ENOENT)
			return found;
		if (found < 0)
			continue;
		longest_us = at_us;
		*ret_ino = ino;
		str_copy(ret_pick, 16, turns[i].pick);
	}
	return r;
}
