// SPDX-License-Identifier: Apache-2.0
/*
 * The rows of artifacts as they come and go. Each change is one transaction with all that depends on it: the
 * counts of the directory (by triggers), its mtime, the run that made the artifact, the intent that announced
 * it.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy.h>

/* Of all that it has in the store beside its own object. */
static uint64_t other_bytes(const struct manifest *m, const struct manifest_object *own)
{
	return manifest_stored_bytes(m) - (own ? own->stored_bytes : 0);
}

static bool is_secret(const struct manifest *m)
{
	return !m->is_directory && m->file_count > 0 && m->files[0].secret;
}

static int insert_artifact(struct connection *c, const struct manifest *m, uint64_t directory_ino,
                           int64_t sequence, const char *name)
{
	static const char sql[] =
	        "INSERT INTO artifact (directory_ino, sequence, ino, name, named, is_directory, partial, size_bytes,"
	        " finished_at_us, verified_at_us, sha256, stored_bytes, job, kind, target, triggered_by, note,"
	        " keepfs_version, run_id, started_at_us, facts, object_id, files, files_bytes, sums_bytes, secret)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
	        " ?21, ?22, 0, ?23, ?24, ?25)";
	const struct manifest_object *own = manifest_own_object(m);
	_cleanup(str) struct str facts = {0};
	int64_t object_id = 0;
	int r = object_insert(c, own, &object_id);

	if (r < 0)
		return r;
	if (m->facts)
		json_write(m->facts, 0, &facts);
	return db_run(
	        c, sql,
	        VALUES(ino_value(directory_ino), int_value(sequence), ino_value(ino_of_artifact(m->path)),
	               text_value(name), int_value(name_sequence(name) < 0), int_value(m->is_directory),
	               int_value(m->partial), int_value((int64_t)m->size_bytes), int_value(m->finished_at_us),
	               int_value(m->verified_at_us), text_value(m->sha256),
	               int_value(own ? (int64_t)own->stored_bytes : 0), text_value(m->job),
	               text_value(m->kind), text_value(m->target), text_value(m->triggered_by),
	               text_value(m->note), text_value(m->keepfs_version), int_value(m->run_id),
	               int_value(m->started_at_us), text_value(facts.len > 0 ? str_text(&facts) : "{}"),
	               int_value(object_id), int_value((int64_t)other_bytes(m, own)),
	               int_value((int64_t)sums_bytes(m, name)), int_value(is_secret(m))));
}

static int delete_artifact(struct connection *c, uint64_t ino)
{
	static const char sql[] = "DELETE FROM artifact WHERE ino = ?1";
	int r = files_delete(c, ino);

	return r < 0 ? r : db_run(c, sql, VALUES(ino_value(ino)));
}

/* Make room for the row of @m: drop the one of the same path. Another path at its place or with its number is
 * an error. */
static int clear_place(struct connection *c, const struct manifest *m, uint64_t directory_ino,
                       int64_t sequence)
{
	static const char find_sql[] = "SELECT d.path || '/' || a.name, a.tomb FROM artifact a JOIN "
	                               "directory d ON d.ino = a.directory_ino"
	                               " WHERE (a.directory_ino = ?1 AND a.sequence = ?2)"
	                               " UNION ALL SELECT d.path || '/' || a.name, a.tomb FROM artifact a"
	                               " JOIN directory d ON d.ino = a.directory_ino WHERE a.ino = ?3"
	                               " UNION ALL SELECT name, 0 FROM artifact_file WHERE ino = ?3";
	uint64_t ino = ino_of_artifact(m->path);
	_cleanup(query) struct query query = query_within(
	        c, find_sql, VALUES(ino_value(directory_ino), int_value(sequence), ino_value(ino)));
	bool tomb = false;

	while (query_next(&query)) {
		const char *path = column_borrowed(query.row, 0);

		if (strcmp(path, m->path) != 0)
			return error_set(
			        &c->error, ERROR_CONFLICT, EEXIST,
			        "%s has the place or the inode number of %s: one of them needs another name",
			        m->path, path);
		tomb = sqlite3_column_int(query.row, 1);
	}
	if (query.result < 0)
		return query.result;
	if (tomb && c->catalog->rebuilding)
		return CATALOG_ENTOMBED;
	return delete_artifact(c, ino);
}

/* One that is not named by time has the place of the time at which it began, or the next that is free; the one that it
 * had, when it is listed anew. */
static int find_free_place(struct connection *c, const struct manifest *m, uint64_t directory_ino,
                           int64_t *ret_sequence)
{
	static const char own_sql[] = "SELECT sequence FROM artifact WHERE ino = ?1";
	static const char free_sql[] =
	        "SELECT coalesce(min(a.sequence) + 1, ?2) FROM artifact a WHERE a.directory_ino = ?1 AND a.sequence >= ?2"
	        " AND NOT EXISTS (SELECT 1 FROM artifact b WHERE b.directory_ino = ?1 AND b.sequence = a.sequence + 1)"
	        " AND EXISTS (SELECT 1 FROM artifact b WHERE b.directory_ino = ?1 AND b.sequence = ?2)";
	int r = db_number(c, ret_sequence, own_sql, VALUES(ino_value(ino_of_artifact(m->path))));

	if (r != -ENOENT)
		return r;
	return db_number(c, ret_sequence, free_sql,
	                 VALUES(ino_value(directory_ino), int_value(name_first_sequence(m->started_at_us))));
}

/* Why an artifact is listed. */
enum listing { MADE, REBUILT, ADOPTED };

static int add_artifact(struct connection *c, const struct manifest *m, enum listing listing)
{
	_cleanup(free) char *directory = NULL;
	const char *name;
	int64_t sequence;
	uint64_t directory_ino;
	int r = path_split(c, m->path, &directory, &name, &sequence);

	if (r == 0)
		r = directory_ensure(c, directory, m->finished_at_us, &directory_ino);
	if (r == 0 && sequence < 0)
		r = find_free_place(c, m, directory_ino, &sequence);
	if (r == 0)
		r = clear_place(c, m, directory_ino, sequence);
	if (r != 0)
		return r;
	r = insert_artifact(c, m, directory_ino, sequence, name);
	if (r == 0)
		r = files_insert(c, m, directory_ino, sequence);
	if (r == 0)
		r = directory_touch(c, directory_ino, m->finished_at_us);
	if (r == 0)
		r = listing == MADE ? run_note_artifact(c, m) : run_rebuild(c, m);
	if (r == 0)
		r = intent_drop(c, m->path);
	return r;
}

int catalog_add_artifact(struct catalog *c, const struct manifest *m, struct error *err)
{
	return TRANSACTION(c, err, add_artifact(c->writer, m, c->rebuilding ? REBUILT : MADE));
}

static int adopt_artifact(struct connection *c, const struct manifest *m)
{
	int r = artifact_find_known(c, m->path);

	if (r == 0)
		return CATALOG_KNOWN;
	return r == -ENOENT ? add_artifact(c, m, ADOPTED) : r;
}

int catalog_adopt_artifact(struct catalog *c, const struct manifest *m, struct error *err)
{
	return TRANSACTION(c, err, adopt_artifact(c->writer, m));
}

/* Is there another good one in a directory? A partial one counts only with @partial. 0; -ENOENT. */
static int find_other(struct connection *c, uint64_t ino, uint64_t directory_ino, bool partial)
{
	static const char sql[] = "SELECT 1 FROM artifact WHERE directory_ino = ?1 AND tomb = 0 AND damaged "
	                          "IS NULL AND ino <> ?2 AND partial <= ?3 LIMIT 1";

	return db_find(c, sql, VALUES(ino_value(directory_ino), ino_value(ino), int_value(partial)));
}

static int check_policy(struct connection *c, uint64_t ino, uint64_t directory_ino, sqlite3_stmt *row)
{
	const struct policy_removal facts = {
	        .directory = column_borrowed(row, 2),
	        .name = column_borrowed(row, 3),
	        .damaged = !sqlite3_column_int(row, 1),
	        .partial = sqlite3_column_int(row, 4),
	        .other_whole = find_other(c, ino, directory_ino, false) == 0,
	        .other_usable = find_other(c, ino, directory_ino, true) == 0,
	};

	return policy_check_removal(&facts, &c->error);
}

static int entomb_artifact(struct connection *c, uint64_t ino, bool by_policy)
{
	static const char find_sql[] =
	        "SELECT d.ino, coalesce(a.damaged, '" MISSING_REASON "') = '" MISSING_REASON
	        "', d.path, a.name, a.partial FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.ino = ?1 AND a.tomb = 0";
	static const char tomb_sql[] = "UPDATE artifact SET tomb = 1 WHERE ino = ?1";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	uint64_t directory_ino;
	int r = db_row(c, &row, find_sql, VALUES(ino_value(ino)));

	if (r < 0)
		return r;
	directory_ino = column_u64(row, 0);
	if (by_policy)
		r = check_policy(c, ino, directory_ino, row);
	if (r == 0)
		r = db_run(c, tomb_sql, VALUES(ino_value(ino)));
	if (r == 0)
		r = directory_touch(c, directory_ino, clock_now_us());
	return r;
}

int catalog_entomb_artifact(struct catalog *c, uint64_t ino, bool by_policy, struct error *err)
{
	return TRANSACTION(c, err, entomb_artifact(c->writer, ino, by_policy));
}

int catalog_drop_artifact(struct catalog *c, uint64_t ino, struct error *err)
{
	return TRANSACTION(c, err, delete_artifact(c->writer, ino));
}

int catalog_tomb_run(struct catalog *c, uint64_t ino, int64_t *ret_run_id)
{
	static const char sql[] = "SELECT run_id FROM artifact WHERE ino = ?1 AND tomb = 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		*ret_run_id = sqlite3_column_int64(query.row, 0);
	return r;
}

int catalog_tombs(struct catalog *c, void (*row)(void *arg, uint64_t ino, const char *path), void *arg)
{
	static const char sql[] = "SELECT a.ino, d.path || '/' || a.name FROM artifact a"
	                          " JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_u64(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}
