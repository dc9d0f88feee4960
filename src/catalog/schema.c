// SPDX-License-Identifier: Apache-2.0
/*
 * The tables, and how an older file becomes a newer one.
 *
 * `PRAGMA user_version` is the number of migrations that a file has been through. Each is one transaction,
 * and none is ever changed once it was released: a change of the tables is another one at the end of the
 * list.
 *
 * What a directory says of its files (how many, the size of SHA256SUMS) and the totals of a job (of its
 * artifacts: total; of its runs: run_total) are columns that triggers keep, so that they are true in every
 * commit and no reader counts rows. An artifact's row is found in its directory's order without an index
 * beside it; `tomb` hides it while it is being deleted.
 *
 * The further files of an artifact have rows of their own, in the order of the manifest: below the directory of
 * the artifact, or below the artifact that is one. They are one range there, from files_from on in files_ino. They
 * are seen as long as their artifact is.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/records.h>
#include <keepfs/codec/name.h>

#define APPLICATION_ID 1801807216 /* "keep": this file is no other program's */

_Static_assert(MANIFEST_BESIDE_MAX == 64, "files_from reckons with it");
/* Older files hold these numbers, and run_active names the first two. */
_Static_assert(RUN_PENDING == 0 && RUN_RUNNING == 1, "a run that has not ended");
_Static_assert(RUN_COMPLETED == 2 && RUN_FAILED == 3 && RUN_CANCELLED == 4, "a run that has ended");
_Static_assert(RECORD_AUDIT == 0 && RECORD_HISTORY == 1, "what a record is of");

static const char *const migrations[] = {
        "PRAGMA application_id = 1801807216;"

        "CREATE TABLE directory ("
        " ino INTEGER PRIMARY KEY,"
        " parent_ino INTEGER REFERENCES directory (ino)," /* NULL: backups/ itself */
        " sequence INTEGER NOT NULL,"
        " name TEXT NOT NULL,"
        " path TEXT NOT NULL UNIQUE,"
        " mtime_us INTEGER NOT NULL,"
        " subdirectories INTEGER NOT NULL DEFAULT 0,"
        " files INTEGER NOT NULL DEFAULT 0,"
        " sums_bytes INTEGER NOT NULL DEFAULT 0,"
        " UNIQUE (parent_ino, sequence),"
        " UNIQUE (parent_ino, name)"
        ") STRICT;"
        "CREATE TRIGGER directory_made AFTER INSERT ON directory BEGIN"
        " UPDATE directory SET subdirectories = subdirectories + 1 WHERE ino = NEW.parent_ino; END;"
        "CREATE TRIGGER directory_dropped AFTER DELETE ON directory BEGIN"
        " UPDATE directory SET subdirectories = subdirectories - 1 WHERE ino = OLD.parent_ino; END;"
        "INSERT INTO directory (ino, sequence, name, path, mtime_us) VALUES (0, 0, 'backups', 'backups', 0);"

        /* Numbered in the order they come: inode numbers are hashes, and would scatter them over the whole
         * file. */
        "CREATE TABLE extent_table ("
        " id INTEGER PRIMARY KEY,"
        " encoded BLOB NOT NULL"
        ") STRICT;"
        "CREATE TABLE artifact ("
        " directory_ino INTEGER NOT NULL REFERENCES directory (ino),"
        " sequence INTEGER NOT NULL,"
        " ino INTEGER NOT NULL UNIQUE,"
        " tomb INTEGER NOT NULL DEFAULT 0,"
        " damaged TEXT," /* what is wrong with it; NULL: nothing that is known */
        " name TEXT NOT NULL,"
        " is_directory INTEGER NOT NULL,"
        " partial INTEGER NOT NULL,"
        " size_bytes INTEGER NOT NULL,"
        " finished_at_us INTEGER NOT NULL,"
        " verified_at_us INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL," /* '': not known */
        " stored_bytes INTEGER NOT NULL,"
        " stored_sha256 TEXT NOT NULL,"
        " job TEXT NOT NULL,"
        " kind TEXT NOT NULL,"
        " database TEXT NOT NULL,"
        " server_version TEXT NOT NULL,"
        " tool_version TEXT NOT NULL,"
        " system_identifier TEXT,"
        " triggered_by TEXT NOT NULL,"
        " format TEXT NOT NULL,"
        " content TEXT NOT NULL,"
        " compression TEXT NOT NULL,"
        " note TEXT,"
        " keepfs_version TEXT NOT NULL,"
        " run_id INTEGER NOT NULL,"
        " started_at_us INTEGER NOT NULL,"
        " extents_count INTEGER NOT NULL,"
        " extents_key TEXT,"
        " extents_sha256 TEXT NOT NULL,"
        " extents_id INTEGER NOT NULL REFERENCES extent_table (id),"
        " files INTEGER NOT NULL,"       /* further ones */
        " files_bytes INTEGER NOT NULL," /* of them all */
        " sums_bytes INTEGER NOT NULL,"  /* of its lines in the directory's SHA256SUMS */
        " files_ino INTEGER AS (iif(is_directory, ino, directory_ino)),"
        " files_from INTEGER AS (iif(is_directory, 0, sequence * 64))," /* MANIFEST_BESIDE_MAX */
        " PRIMARY KEY (directory_ino, sequence)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE UNIQUE INDEX artifact_extents ON artifact (extents_id);"
        "CREATE INDEX artifact_whole ON artifact (directory_ino, sequence) WHERE tomb = 0 AND partial = 0;"
        "CREATE INDEX artifact_job ON artifact (job, finished_at_us) WHERE tomb = 0;"
        "CREATE INDEX artifact_job_whole ON artifact (job, finished_at_us) WHERE tomb = 0 AND partial = 0;"
        "CREATE INDEX artifact_tomb ON artifact (ino) WHERE tomb = 1;"
        "CREATE INDEX artifact_damaged ON artifact (ino) WHERE damaged IS NOT NULL;"
        "CREATE TABLE artifact_file ("
        " parent_ino INTEGER NOT NULL,"
        " sequence INTEGER NOT NULL,"
        " ino INTEGER NOT NULL UNIQUE,"
        " artifact_ino INTEGER NOT NULL,"
        " name TEXT NOT NULL,"
        " size_bytes INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL,"
        " extents_id INTEGER NOT NULL REFERENCES extent_table (id),"
        " damaged TEXT,"
        " PRIMARY KEY (parent_ino, sequence),"
        " UNIQUE (parent_ino, name)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE UNIQUE INDEX artifact_file_extents ON artifact_file (extents_id);"
        "CREATE INDEX artifact_file_damaged ON artifact_file (ino) WHERE damaged IS NOT NULL;"
        "CREATE TABLE total ("
        " job TEXT PRIMARY KEY,"
        " artifacts INTEGER NOT NULL,"
        " stored_bytes INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TRIGGER artifact_listed AFTER INSERT ON artifact WHEN NEW.tomb = 0 BEGIN"
        " UPDATE directory SET files = files + 1, sums_bytes = sums_bytes + NEW.sums_bytes,"
        "  subdirectories = subdirectories + NEW.is_directory WHERE ino = NEW.directory_ino;"
        " INSERT INTO total VALUES (NEW.job, 1, NEW.stored_bytes + NEW.files_bytes)"
        "  ON CONFLICT (job) DO UPDATE"
        "  SET artifacts = artifacts + 1, stored_bytes = stored_bytes + excluded.stored_bytes; END;"
        "CREATE TRIGGER artifact_entombed AFTER UPDATE OF tomb ON artifact"
        " WHEN OLD.tomb = 0 AND NEW.tomb = 1 BEGIN"
        " UPDATE directory SET files = files - 1, sums_bytes = sums_bytes - OLD.sums_bytes,"
        "  subdirectories = subdirectories - OLD.is_directory WHERE ino = OLD.directory_ino;"
        " UPDATE total SET artifacts = artifacts - 1,"
        "  stored_bytes = stored_bytes - OLD.stored_bytes - OLD.files_bytes WHERE job = OLD.job; END;"
        "CREATE TRIGGER artifact_dropped AFTER DELETE ON artifact WHEN OLD.tomb = 0 BEGIN"
        " UPDATE directory SET files = files - 1, sums_bytes = sums_bytes - OLD.sums_bytes,"
        "  subdirectories = subdirectories - OLD.is_directory WHERE ino = OLD.directory_ino;"
        " UPDATE total SET artifacts = artifacts - 1,"
        "  stored_bytes = stored_bytes - OLD.stored_bytes - OLD.files_bytes WHERE job = OLD.job; END;"

        "CREATE TRIGGER artifact_forgotten AFTER DELETE ON artifact BEGIN"
        " DELETE FROM extent_table WHERE id = OLD.extents_id; END;"
        "CREATE TRIGGER artifact_file_forgotten AFTER DELETE ON artifact_file BEGIN"
        " DELETE FROM extent_table WHERE id = OLD.extents_id; END;"

        "CREATE TABLE intent ("
        " directory TEXT NOT NULL,"
        " sequence INTEGER NOT NULL,"
        " path TEXT NOT NULL,"
        " run_id INTEGER NOT NULL,"
        " PRIMARY KEY (directory, sequence)"
        ") STRICT, WITHOUT ROWID;"

        "CREATE TABLE run ("
        " id INTEGER PRIMARY KEY,"
        " job TEXT NOT NULL,"
        " kind TEXT NOT NULL,"
        " state INTEGER NOT NULL," /* enum run_state */
        " triggered_by TEXT NOT NULL,"
        " note TEXT NOT NULL DEFAULT '',"
        " options TEXT NOT NULL DEFAULT '',"
        " warning TEXT NOT NULL DEFAULT '',"
        " queued_at_us INTEGER NOT NULL,"
        " started_at_us INTEGER NOT NULL DEFAULT 0,"
        " finished_at_us INTEGER NOT NULL DEFAULT 0,"
        " size_bytes INTEGER NOT NULL DEFAULT 0,"
        " targets INTEGER NOT NULL DEFAULT 0,"
        " targets_failed INTEGER NOT NULL DEFAULT 0,"
        " sha256 TEXT NOT NULL DEFAULT '',"
        " error TEXT NOT NULL DEFAULT '',"
        " rebuilt INTEGER NOT NULL DEFAULT 0" /* made from manifests */
        ") STRICT;"
        "CREATE INDEX run_job ON run (job, id);"
        "CREATE UNIQUE INDEX run_active ON run (job) WHERE state IN (0, 1);"
        "CREATE TABLE run_target ("
        " id INTEGER PRIMARY KEY,"
        " run_id INTEGER NOT NULL REFERENCES run (id),"
        " database TEXT NOT NULL,"
        " state INTEGER NOT NULL,"
        " path TEXT NOT NULL,"
        " size_bytes INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL DEFAULT '',"
        " error TEXT NOT NULL,"
        " UNIQUE (run_id, database)"
        ") STRICT;"
        "CREATE INDEX run_target_order ON run_target (run_id, id);"
        "CREATE TABLE run_log ("
        " run_id INTEGER NOT NULL REFERENCES run (id),"
        " number INTEGER NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " line TEXT NOT NULL,"
        " PRIMARY KEY (run_id, number)"
        ") STRICT, WITHOUT ROWID;"

        "CREATE TABLE audit ("
        " id INTEGER PRIMARY KEY,"
        " at_us INTEGER NOT NULL,"
        " uid INTEGER NOT NULL,"
        " pid INTEGER NOT NULL,"
        " command TEXT NOT NULL,"
        " action TEXT NOT NULL,"
        " object TEXT NOT NULL,"
        " result TEXT NOT NULL,"
        " detail TEXT NOT NULL"
        ") STRICT;"
        "CREATE TABLE probe ("
        " position INTEGER PRIMARY KEY,"
        " name TEXT NOT NULL,"
        " ok INTEGER NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " detail TEXT NOT NULL"
        ") STRICT;"
        "CREATE TABLE bound_store ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " url TEXT NOT NULL"
        ") STRICT;"
        "CREATE TABLE store_verified ("
        " url TEXT PRIMARY KEY,"
        " at_us INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;",

        /* How many runs of a job are in each state: who asks for that often must not walk the history. */
        "CREATE TABLE run_total ("
        " job TEXT NOT NULL,"
        " state INTEGER NOT NULL,"
        " runs INTEGER NOT NULL,"
        " last_finished_at_us INTEGER NOT NULL,"
        " PRIMARY KEY (job, state)"
        ") STRICT, WITHOUT ROWID;"
        "INSERT INTO run_total SELECT job, state, count(*), max(finished_at_us) FROM run GROUP BY job, state;"
        "CREATE TRIGGER run_made AFTER INSERT ON run BEGIN"
        " INSERT INTO run_total VALUES (NEW.job, NEW.state, 1, NEW.finished_at_us)"
        "  ON CONFLICT (job, state) DO UPDATE SET runs = runs + 1,"
        "  last_finished_at_us = max(last_finished_at_us, excluded.last_finished_at_us); END;"
        "CREATE TRIGGER run_moved AFTER UPDATE OF state, finished_at_us ON run BEGIN"
        " UPDATE run_total SET runs = runs - 1 WHERE job = OLD.job AND state = OLD.state;"
        " INSERT INTO run_total VALUES (NEW.job, NEW.state, 1, NEW.finished_at_us)"
        "  ON CONFLICT (job, state) DO UPDATE SET runs = runs + 1,"
        "  last_finished_at_us = max(last_finished_at_us, excluded.last_finished_at_us); END;"
        /* The history tells of each run what became of its backups. */
        "CREATE INDEX damaged_of_run ON artifact (run_id) WHERE damaged IS NOT NULL;",

        /* What the store holds has rows of its own: a key is looked up, never made of a path. What only one kind of
         * backup has is facts, not columns. Artifacts may be named otherwise than by time, and files of one that is a
         * directory may lie deeper in it. */
        "ALTER TABLE extent_table RENAME TO object;"
        "ALTER TABLE object RENAME COLUMN encoded TO extents;"
        "ALTER TABLE object ADD COLUMN key TEXT NOT NULL DEFAULT '';" /* '': nothing in the store */
        "ALTER TABLE object ADD COLUMN cipher TEXT;"
        "ALTER TABLE object ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE object ADD COLUMN stored_sha256 TEXT NOT NULL DEFAULT '';"
        "UPDATE object SET (key, stored_bytes, stored_sha256) ="
        " (SELECT d.path || '/' || a.name, a.stored_bytes, a.stored_sha256 FROM artifact a"
        "  JOIN directory d ON d.ino = a.directory_ino WHERE a.extents_id = object.id)"
        " WHERE id IN (SELECT extents_id FROM artifact WHERE is_directory = 0);"
        "UPDATE object SET (key, stored_bytes, stored_sha256) ="
        " (SELECT d.path || '/' || iif(a.is_directory, a.name || '/', '') || f.name, f.size_bytes, f.sha256"
        "  FROM artifact_file f JOIN artifact a ON a.ino = f.artifact_ino"
        "  JOIN directory d ON d.ino = a.directory_ino WHERE f.extents_id = object.id)"
        " WHERE id IN (SELECT extents_id FROM artifact_file);"
        "ALTER TABLE artifact RENAME COLUMN extents_id TO object_id;"
        "ALTER TABLE artifact_file RENAME COLUMN extents_id TO object_id;"
        /* Objects that no file shows. */
        "CREATE TABLE artifact_object ("
        " artifact_ino INTEGER NOT NULL,"
        " role TEXT NOT NULL,"
        " object_id INTEGER NOT NULL REFERENCES object (id),"
        " PRIMARY KEY (artifact_ino, role)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE UNIQUE INDEX artifact_object_object ON artifact_object (object_id);"
        "CREATE TRIGGER artifact_object_forgotten AFTER DELETE ON artifact_object BEGIN"
        " DELETE FROM object WHERE id = OLD.object_id; END;"
        "CREATE TRIGGER artifact_objects_forgotten AFTER DELETE ON artifact BEGIN"
        " DELETE FROM artifact_object WHERE artifact_ino = OLD.ino; END;"

        "ALTER TABLE artifact ADD COLUMN target TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE artifact ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';"
        "UPDATE artifact SET target = database, facts = json_patch('{}', json_object('database', database,"
        " 'server_version', server_version, 'tool_version', tool_version, 'system_identifier',"
        " system_identifier, 'format', format, 'content', content, 'compression', compression));"
        "ALTER TABLE artifact DROP COLUMN database;"
        "ALTER TABLE artifact DROP COLUMN server_version;"
        "ALTER TABLE artifact DROP COLUMN tool_version;"
        "ALTER TABLE artifact DROP COLUMN system_identifier;"
        "ALTER TABLE artifact DROP COLUMN format;"
        "ALTER TABLE artifact DROP COLUMN content;"
        "ALTER TABLE artifact DROP COLUMN compression;"
        "ALTER TABLE artifact DROP COLUMN stored_sha256;"
        "ALTER TABLE artifact DROP COLUMN extents_count;"
        "ALTER TABLE artifact DROP COLUMN extents_key;"
        "ALTER TABLE artifact DROP COLUMN extents_sha256;"
        "ALTER TABLE artifact ADD COLUMN named INTEGER NOT NULL DEFAULT 0;"          /* not by the time */
        "ALTER TABLE artifact ADD COLUMN subdirectories INTEGER NOT NULL DEFAULT 0;" /* of a directory */
        "CREATE UNIQUE INDEX artifact_named ON artifact (directory_ino, name) WHERE named = 1;"

        /* A file that lies deeper has the name with its directories, which have rows, too, and within_ino is the one
         * that shows it; NULL where nothing lies deeper. */
        "ALTER TABLE artifact_file ADD COLUMN is_directory INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact_file ADD COLUMN subdirectories INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact_file ADD COLUMN within_ino INTEGER;"
        "CREATE INDEX artifact_file_within ON artifact_file (within_ino, sequence) WHERE within_ino IS NOT NULL;"

        "ALTER TABLE intent RENAME TO intent_v2;"
        "CREATE TABLE intent ("
        " path TEXT PRIMARY KEY,"
        " directory TEXT NOT NULL,"
        " sequence INTEGER," /* NULL: not named by time */
        " run_id INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "INSERT INTO intent SELECT path, directory, sequence, run_id FROM intent_v2;"
        "DROP TABLE intent_v2;"
        "CREATE UNIQUE INDEX intent_place ON intent (directory, sequence) WHERE sequence IS NOT NULL;"

        "ALTER TABLE run_target RENAME COLUMN database TO label;",

        /* The newest of each format, whatever else lies in the directory: what its name says from the first '.' on. */
        "ALTER TABLE artifact ADD COLUMN suffix TEXT AS (substr(name, instr(name || '.', '.')));"
        "CREATE INDEX artifact_latest ON artifact (directory_ino, suffix, damaged IS NULL, run_id, sequence)"
        " WHERE tomb = 0 AND partial = 0;",
        /* What has grown old leaves the catalog for the store. Until the store has it, it waits here as it will be
         * stored, with the numbers of the rows that it tells of: these are dropped together with it. */
        "CREATE TABLE record ("
        " kind INTEGER PRIMARY KEY," /* enum record_kind */
        " key TEXT NOT NULL,"
        " content BLOB NOT NULL"
        ") STRICT;"
        "CREATE TABLE record_row ("
        " kind INTEGER NOT NULL REFERENCES record (kind),"
        " id INTEGER NOT NULL,"
        " PRIMARY KEY (kind, id)"
        ") STRICT, WITHOUT ROWID;"
        /* A run stays as long as it has a backup. */
        "CREATE INDEX artifact_run ON artifact (run_id);",
        /* The newest is what was made last: by the number of the run, since a clock may have been ahead. */
        "DROP INDEX artifact_whole;"
        "DROP INDEX artifact_job_whole;"
        "CREATE INDEX artifact_whole ON artifact (directory_ino, run_id, sequence)"
        " WHERE tomb = 0 AND partial = 0;"
        "CREATE INDEX artifact_job_whole ON artifact (job, run_id, finished_at_us)"
        " WHERE tomb = 0 AND partial = 0;"
        "CREATE INDEX artifact_job_partial ON artifact (job, run_id, finished_at_us)"
        " WHERE tomb = 0 AND partial = 1;"
        /* What the store holds and is not listed, and why; and the largest number of a run that a manifest bears. */
        "CREATE TABLE unlisted ("
        " path TEXT PRIMARY KEY,"
        " reason TEXT NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE run_number ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " used INTEGER NOT NULL"
        ") STRICT;",
        /* What is shown to nobody but the owner was known by its name only. */
        "ALTER TABLE artifact ADD COLUMN secret INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact_file ADD COLUMN secret INTEGER NOT NULL DEFAULT 0;"
        "UPDATE artifact_file SET secret = 1 WHERE is_directory = 0 AND name GLOB '*globals.sql.gz';",
};

static const char version_sql[] = "PRAGMA user_version";

static int read_version(struct connection *c, int64_t *ret_version)
{
	static const char owner_sql[] = "PRAGMA application_id";
	static const char objects_sql[] = "SELECT count(*) FROM sqlite_schema";
	int64_t owner = 0, objects = 0;
	int r = db_number(c, ret_version, version_sql, NULL, 0);

	if (r == 0)
		r = db_number(c, &owner, owner_sql, NULL, 0);
	if (r == 0)
		r = db_number(c, &objects, objects_sql, NULL, 0);
	if (r < 0)
		return r;
	if (owner != APPLICATION_ID && (*ret_version != 0 || objects != 0))
		return error_set(&c->error, ERROR_CORRUPT, EBADMSG,
		                 "%s is no catalog of keepfs: move it away, then run `keepfs rebuild`",
		                 c->catalog->file);
	return 0;
}

/* One migration, unless another process has made it meanwhile. */
static int apply(struct connection *c, int64_t from)
{
	static const char begin_sql[] = "BEGIN IMMEDIATE", commit_sql[] = "COMMIT";
	_cleanup(str) struct str script = {0};
	int64_t version = from;
	int r = db_run(c, begin_sql, NULL, 0);

	if (r == 0)
		r = db_number(c, &version, version_sql, NULL, 0);
	str_appendf(&script, "%s PRAGMA user_version = %d;", migrations[from], (int)from + 1);
	if (r == 0 && version == from)
		r = db_script(c, str_text(&script));
	if (r == 0)
		r = db_run(c, commit_sql, NULL, 0);
	if (r < 0 && !sqlite3_get_autocommit(c->db))
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* A root that came with a newer keepfs has no row yet. The first one is of every catalog: without it this is none. */
static int make_roots(struct connection *c)
{
	static const char find_sql[] = "SELECT ino FROM directory WHERE ino = 0";
	static const char sql[] = "INSERT OR IGNORE INTO directory (ino, sequence, name, path, mtime_us)"
	                          " VALUES (?1, 0, ?2, ?2, 0)";
	int64_t root = 0;
	int r = db_number(c, &root, find_sql, NULL, 0);

	if (r == -ENOENT)
		return db_fail(c, SQLITE_CORRUPT);
	for (size_t i = 1; r == 0 && i < tree_roots_count; i++)
		r = db_run(c, sql,
		           VALUES(ino_value(tree_roots[i].catalog_ino), text_value(tree_roots[i].name)));
	return r;
}

int schema_migrate(struct connection *c)
{
	const int64_t newest = (int64_t)ARRAY_SIZE(migrations);
	int64_t version = 0;
	int r = read_version(c, &version);

	if (r == 0 && version > newest)
		return error_set(&c->error, ERROR_USAGE, ENOTSUP,
		                 "the catalog %s has format %d, this keepfs knows formats up to %d: use the "
		                 "newer keepfs "
		                 "that wrote it, or move it away and run `keepfs rebuild`",
		                 c->catalog->file, (int)version, (int)newest);
	for (; r == 0 && version < newest; version++)
		r = apply(c, version);
	return r < 0 ? r : make_roots(c);
}
