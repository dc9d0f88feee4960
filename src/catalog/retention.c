// SPDX-License-Identifier: Apache-2.0
/* The facts about what is kept, and what was decided. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/codec/name.h>

/* Its newest artifact says what it is of. */
static int describe_place(struct connection *c, struct catalog_place *place)
{
	static const char newest_sql[] =
	        "SELECT target, class FROM artifact WHERE directory_ino = ?1 AND tomb = 0"
	        " ORDER BY sequence DESC LIMIT 1";
	static const char member_sql[] =
	        "SELECT class, gone_since_us FROM member WHERE job = ?1 AND name = ?2";
	_cleanup(query) struct query newest = query_within(c, newest_sql, VALUES(ino_value(place->ino)));
	int r = query_one(&newest);

	if (r < 0)
		return r;
	column_text(newest.row, 0, place->label, sizeof(place->label));
	column_text(newest.row, 1, place->class, sizeof(place->class));
	_cleanup(query) struct query member =
	        query_within(c, member_sql, VALUES(text_value(place->job), text_value(place->label)));
	if (!query_next(&member))
		return member.result;
	column_text(member.row, 0, place->class, sizeof(place->class));
	place->gone_since_us = sqlite3_column_int64(member.row, 1);
	return 0;
}

static void name_job(struct catalog_place *place)
{
	_cleanup(free) char *job = tree_job_of(place->path);

	str_copy(place->job, sizeof(place->job), str_or_empty(job));
}

ssize_t catalog_places(struct catalog *c, const char *scope, const char *after, struct catalog_place *places,
                       size_t max)
{
	static const char sql[] =
	        "SELECT ino, path, stored_bytes FROM directory WHERE path > ?2 AND files > 0"
	        " AND (path < '" TREE_PACKS "/' OR path > '" TREE_PACKS "0')"
	        " AND (?1 IS NULL OR substr(path || '/', 1, length(?1) + 1) = ?1 || '/') ORDER BY path LIMIT ?3";
	size_t count = 0;
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(scope), text_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query)) {
		struct catalog_place *place = &places[count];
		int r;

		*place = (struct catalog_place){.ino = column_u64(query.row, 0),
		                                .stored_bytes = column_u64(query.row, 2)};
		column_text(query.row, 1, place->path, sizeof(place->path));
		name_job(place);
		r = describe_place(query.connection, place);
		if (r < 0 && r != -ENOENT)
			return r;
		count += r == 0;
	}
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_each_made(struct catalog *c, uint64_t directory_ino,
                      void (*row)(void *arg, const struct catalog_made *made), void *arg)
{
	static const char sql[] =
	        "SELECT ino, run_id, sequence, started_at_us, keep_until_us, tiers, damaged IS NOT NULL,"
	        " damaged IS '" MISSING_REASON
	        "', partial, named, verified_at_us > 0, name, store, locked_until_us, lock_wanted_us FROM artifact"
	        " WHERE directory_ino = ?1 AND tomb = 0 ORDER BY sequence";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));

	while (query_next(&query)) {
		const struct catalog_made made = {
		        .ino = column_u64(query.row, 0),
		        .run_id = sqlite3_column_int64(query.row, 1),
		        .sequence = sqlite3_column_int64(query.row, 2),
		        .at_us = sqlite3_column_int64(query.row, 3),
		        .keep_until_us = sqlite3_column_int64(query.row, 4),
		        .tiers = sqlite3_column_int(query.row, 5),
		        .damaged = sqlite3_column_int(query.row, 6),
		        .missing = sqlite3_column_int(query.row, 7),
		        .partial = sqlite3_column_int(query.row, 8),
		        .named = sqlite3_column_int(query.row, 9),
		        .verified = sqlite3_column_int(query.row, 10),
		        .name = column_borrowed(query.row, 11),
		        .store = column_u64(query.row, 12),
		        .locked_until_us = sqlite3_column_int64(query.row, 13),
		        .lock_wanted_us = sqlite3_column_int64(query.row, 14),
		};

		row(arg, &made);
	}
	return query.result;
}

#define NEIGHBOUR                                                                                                    \
	"SELECT a.started_at_us FROM artifact a WHERE a.directory_ino = (SELECT ino FROM directory WHERE path = ?1)" \
	" AND a.tomb = 0 AND a.partial = 0 AND a.damaged IS NULL"                                                    \
	" AND CASE WHEN a.suffix GLOB '.schema*' THEN '.schema' WHEN a.suffix GLOB '.data*' THEN '.data' ELSE '' END = ?2"

static int find_neighbour(struct catalog *c, const char *sql, const char *directory, const char *content,
                          int64_t sequence, int64_t *ret_at_us)
{
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(directory), text_value(content), int_value(sequence)));
	int r = query_one(&query);

	if (r == 0)
		*ret_at_us = sqlite3_column_int64(query.row, 0);
	return r;
}

int catalog_neighbours(struct catalog *c, const char *directory, const char *content, int64_t at_us,
                       int64_t ret_at_us[static 2])
{
	static const char before_sql[] = NEIGHBOUR " AND a.sequence < ?3 ORDER BY a.sequence DESC LIMIT 1";
	static const char behind_sql[] = NEIGHBOUR " AND a.sequence >= ?3 ORDER BY a.sequence LIMIT 1";
	int64_t sequence = name_first_sequence(at_us);
	int count = 0, r = find_neighbour(c, before_sql, directory, content, sequence, &ret_at_us[0]);

	if (r < 0 && r != -ENOENT)
		return r;
	count += r == 0;
	r = find_neighbour(c, behind_sql, directory, content, sequence, &ret_at_us[count]);
	if (r < 0 && r != -ENOENT)
		return r;
	return count + (r == 0);
}

static int set_tiers(struct connection *c, uint64_t ino, unsigned tiers)
{
	static const char sql[] = "UPDATE artifact SET tiers = ?2 WHERE ino = ?1 AND tiers = -1";
	static const char run_sql[] =
	        "UPDATE run SET tier = tier | ?2 WHERE id = (SELECT run_id FROM artifact WHERE ino = ?1)"
	        " AND job = (SELECT job FROM artifact WHERE ino = ?1)";
	int r = db_run(c, sql, VALUES(ino_value(ino), int_value(tiers)));

	return r < 0 ? r : db_run(c, run_sql, VALUES(ino_value(ino), int_value(tiers)));
}

static int set_all_tiers(struct connection *c, const struct catalog_tag *tags, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = set_tiers(c, tags[i].ino, tags[i].tiers);
	return r;
}

int catalog_set_tiers(struct catalog *c, const struct catalog_tag *tags, size_t count, struct error *err)
{
	return TRANSACTION(c, err, set_all_tiers(c->writer, tags, count));
}

bool catalog_has_untagged(struct catalog *c, uint64_t directory_ino)
{
	static const char sql[] =
	        "SELECT 1 FROM artifact WHERE directory_ino = ?1 AND tiers = -1 AND tomb = 0 LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));

	return query_one(&query) == 0;
}

int catalog_name_of(struct catalog *c, uint64_t ino, char *ret_name, size_t bytes)
{
	static const char sql[] = "SELECT name FROM artifact WHERE ino = ?1 AND tomb = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		column_text(query.row, 0, ret_name, bytes);
	return r;
}

/* What was decided. */

#define RETENTION                                                                                                       \
	"SELECT r.rules, planned_at_us, kept, due, refused, refused_why, suspended_why, suspended_since_us, waits_why," \
	" waits_since_us, waits_rules, waits_due, waits_plan"

static void read_retention(sqlite3_stmt *row, struct catalog_retention *ret)
{
	*ret = (struct catalog_retention){
	        .planned_at_us = sqlite3_column_int64(row, 1),
	        .kept = column_u64(row, 2),
	        .due = column_u64(row, 3),
	        .refused = column_u64(row, 4),
	        .suspended_since_us = sqlite3_column_int64(row, 7),
	        .waits_since_us = sqlite3_column_int64(row, 9),
	        .waits_due = column_u64(row, 11),
	};
	column_text(row, 0, ret->rules, sizeof(ret->rules));
	column_text(row, 5, ret->refused_why, sizeof(ret->refused_why));
	column_text(row, 6, ret->suspended_why, sizeof(ret->suspended_why));
	column_text(row, 8, ret->waits_why, sizeof(ret->waits_why));
	column_text(row, 10, ret->waits_rules, sizeof(ret->waits_rules));
	column_text(row, 12, ret->waits_plan, sizeof(ret->waits_plan));
}

int catalog_retention(struct catalog *c, uint64_t directory_ino, struct catalog_retention *ret)
{
	static const char sql[] = RETENTION " FROM retention r WHERE directory_ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));
	int r = query_one(&query);

	if (r == 0)
		read_retention(query.row, ret);
	if (r != -ENOENT)
		return r;
	*ret = (struct catalog_retention){0};
	return 0;
}

int catalog_set_retention(struct catalog *c, uint64_t directory_ino, const struct catalog_retention *s,
                          struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO retention (directory_ino, rules, planned_at_us, kept, due, refused, refused_why,"
	        " suspended_why, suspended_since_us, waits_why, waits_since_us, waits_rules, waits_due, waits_plan)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

	return write_run(c, err, sql,
	                 VALUES(ino_value(directory_ino), text_value(s->rules), int_value(s->planned_at_us),
	                        ino_value(s->kept), ino_value(s->due), ino_value(s->refused),
	                        text_value(s->refused_why), text_value(s->suspended_why),
	                        int_value(s->suspended_since_us), text_value(s->waits_why),
	                        int_value(s->waits_since_us), text_value(s->waits_rules),
	                        ino_value(s->waits_due), text_value(s->waits_plan)));
}

int catalog_each_retention(struct catalog *c, const char *scope,
                           void (*row)(void *arg, const char *path, const struct catalog_retention *state),
                           void *arg)
{
#define EACH RETENTION ", d.path FROM directory d JOIN retention r ON r.directory_ino = d.ino"
	static const char all_sql[] = EACH " ORDER BY d.path";
	/* A range of the index, since there may be as many jobs as directories; '0' is what follows '/'. */
	static const char scope_sql[] =
	        EACH " WHERE d.path >= ?1 AND d.path < ?1 || '0'"
	             " AND substr(d.path || '/', 1, length(?1) + 1) = ?1 || '/' ORDER BY d.path";
#undef EACH
	_cleanup(query) struct query query = scope ? query_begin(c, scope_sql, VALUES(text_value(scope)))
	                                           : query_begin(c, all_sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_retention state;

		read_retention(query.row, &state);
		row(arg, column_borrowed(query.row, 13), &state);
	}
	return query.result;
}

/* The clock. */

int catalog_seen(struct catalog *c, struct catalog_seen *ret)
{
	static const char sql[] = "SELECT seen_us, boot, boot_us FROM clock WHERE one = 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_seen){.at_us = sqlite3_column_int64(query.row, 0),
	                             .boot_us = sqlite3_column_int64(query.row, 2)};
	column_text(query.row, 1, ret->boot, sizeof(ret->boot));
	return 0;
}

int catalog_set_seen(struct catalog *c, const struct catalog_seen *seen, struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO clock (one, seen_us, boot, boot_us) VALUES (1, ?1, ?2, ?3)";

	return write_run(c, err, sql,
	                 VALUES(int_value(seen->at_us), text_value(seen->boot), int_value(seen->boot_us)));
}
