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
#include "catalog_private.h"

#include <keepfs/catalog/records.h>

_Static_assert(MANIFEST_BESIDE_MAX == 64, "files_from reckons with it");
/* Older files hold these numbers, and run_active and run_live name the first two. */
_Static_assert(RUN_PENDING == 0 && RUN_RUNNING == 1, "a run that has not ended");
_Static_assert(RUN_COMPLETED == 2 && RUN_FAILED == 3 && RUN_CANCELLED == 4, "a run that has ended");
_Static_assert(RECORD_AUDIT == 0 && RECORD_HISTORY == 1, "what a record is of");

/* Within triggers: what an artifact adds to its directory and to its tiers, and takes away with it. */
#define MORE_OF_TIER                                                                                         \
	" INSERT INTO tier_total VALUES (NEW.job, NEW.tiers, 1, NEW.stored_bytes + NEW.files_bytes)"         \
	"  ON CONFLICT (job, tiers) DO UPDATE"                                                               \
	"  SET artifacts = artifacts + 1, stored_bytes = stored_bytes + excluded.stored_bytes;"
#define LESS_OF_TIER                                                                                         \
	" UPDATE tier_total SET artifacts = artifacts - 1,"                                                  \
	"  stored_bytes = stored_bytes - OLD.stored_bytes - OLD.files_bytes"                                 \
	"  WHERE job = OLD.job AND tiers = OLD.tiers;"
#define MORE_STORED                                                                                          \
	" UPDATE directory SET stored_bytes = stored_bytes + NEW.stored_bytes + NEW.files_bytes"             \
	"  WHERE ino = NEW.directory_ino;" MORE_OF_TIER
#define LESS_STORED                                                                                          \
	" UPDATE directory SET stored_bytes = stored_bytes - OLD.stored_bytes - OLD.files_bytes"             \
	"  WHERE ino = OLD.directory_ino;" LESS_OF_TIER

const char *const migrations[] = {
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
        /* What keepfs does by itself: when backups are due, what is kept, and what people have said about it. */
        "ALTER TABLE artifact ADD COLUMN tiers INTEGER NOT NULL DEFAULT 0;" /* enum retention_reason, at birth */
        "ALTER TABLE artifact ADD COLUMN class TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE artifact ADD COLUMN keep_until_us INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN trashed_at_us INTEGER;"
        "CREATE TABLE hold ("
        " artifact_ino INTEGER NOT NULL,"
        " name TEXT NOT NULL,"
        " reason TEXT NOT NULL,"
        " held_by TEXT NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " until_us INTEGER NOT NULL DEFAULT 0," /* 0: until it is ended */
        " PRIMARY KEY (artifact_ino, name)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE schedule ("
        " job TEXT NOT NULL,"
        " class TEXT NOT NULL DEFAULT '',"
        " due_us INTEGER NOT NULL," /* the last one that was dealt with */
        " PRIMARY KEY (job, class)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE switch ("
        " job TEXT PRIMARY KEY," /* '': of all */
        " is_off INTEGER NOT NULL,"
        " until_us INTEGER NOT NULL DEFAULT 0,"
        " said_by TEXT NOT NULL,"
        " at_us INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE member (" /* databases that a registry named */
        " job TEXT NOT NULL,"
        " name TEXT NOT NULL,"
        " class TEXT NOT NULL DEFAULT '',"
        " first_seen_us INTEGER NOT NULL,"
        " last_seen_us INTEGER NOT NULL,"
        " gone_since_us INTEGER NOT NULL DEFAULT 0,"
        " PRIMARY KEY (job, name)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE clock (" /* the latest time that was ever seen */
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " seen_us INTEGER NOT NULL"
        ") STRICT;"
        "CREATE TABLE ack (" /* items of health that somebody knows of */
        " check_name TEXT NOT NULL,"
        " subject TEXT NOT NULL,"
        " until_us INTEGER NOT NULL,"
        " said_by TEXT NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " note TEXT NOT NULL DEFAULT '',"
        " PRIMARY KEY (check_name, subject)"
        ") STRICT, WITHOUT ROWID;",
        /* The copy of the catalog in the store, as far as this catalog knows. */
        "CREATE TABLE copy ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " key TEXT NOT NULL DEFAULT '',"    /* of the newest; '': none was made yet */
        " current_us INTEGER NOT NULL,"     /* when it last held all that there was to copy */
        " failure TEXT NOT NULL DEFAULT ''" /* why there is no newer one */
        ") STRICT;"
        /* A row: this is such a copy, of the catalog of that store; what is there was not compared yet. */
        "CREATE TABLE copied ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " store_url TEXT NOT NULL,"
        " keepfs_version TEXT NOT NULL"
        ") STRICT;"
        /* What no manifest tells of an artifact: in a copy of all, else only while a rebuild lists them anew. */
        "CREATE TABLE artifact_known ("
        " ino INTEGER PRIMARY KEY,"
        " tiers INTEGER NOT NULL,"
        " class TEXT NOT NULL,"
        " keep_until_us INTEGER NOT NULL,"
        " trashed_at_us INTEGER"
        ") STRICT;",

        /* Since when backups are expected, how much was stored on the last days, and how bad an item of health was when it
         * was acknowledged. */
        "CREATE TABLE expected ("
        " job TEXT NOT NULL,"
        " target TEXT NOT NULL," /* a database; '': the job */
        " what TEXT NOT NULL,"
        " since_us INTEGER NOT NULL,"
        " is_new INTEGER NOT NULL DEFAULT 1," /* while it is decided what is expected */
        " PRIMARY KEY (job, target)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE stored_day ("
        " day INTEGER PRIMARY KEY," /* since 1970, UTC */
        " stored_bytes INTEGER NOT NULL"
        ") STRICT;"
        "ALTER TABLE ack ADD COLUMN level INTEGER NOT NULL DEFAULT 0;", /* enum report_health */
        /* What the backups of one database come to, which the total of its job does not say; and of one tier. */
        "ALTER TABLE directory ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;"
        "UPDATE directory SET stored_bytes = (SELECT coalesce(sum(stored_bytes + files_bytes), 0)"
        " FROM artifact WHERE directory_ino = directory.ino AND tomb = 0);"
        "CREATE TABLE tier_total ("
        " job TEXT NOT NULL,"
        " tiers INTEGER NOT NULL,"
        " artifacts INTEGER NOT NULL,"
        " stored_bytes INTEGER NOT NULL,"
        " PRIMARY KEY (job, tiers)"
        ") STRICT, WITHOUT ROWID;"
        "INSERT INTO tier_total SELECT job, tiers, count(*), sum(stored_bytes + files_bytes)"
        " FROM artifact WHERE tomb = 0 GROUP BY job, tiers;"
        "CREATE TRIGGER directory_grew AFTER INSERT ON artifact WHEN NEW.tomb = 0 BEGIN" MORE_STORED " END;"
        "CREATE TRIGGER directory_grew_again AFTER UPDATE OF tomb ON artifact"
        " WHEN OLD.tomb <> 0 AND NEW.tomb = 0 BEGIN" MORE_STORED " END;"
        "CREATE TRIGGER directory_shrank AFTER UPDATE OF tomb ON artifact"
        " WHEN OLD.tomb = 0 AND NEW.tomb <> 0 BEGIN" LESS_STORED " END;"
        "CREATE TRIGGER directory_shrank_at_once AFTER DELETE ON artifact WHEN OLD.tomb = 0 BEGIN" LESS_STORED
        " END;"
        "CREATE TRIGGER tiers_changed AFTER UPDATE OF tiers ON artifact"
        " WHEN OLD.tomb = 0 AND NEW.tomb = 0 BEGIN" LESS_OF_TIER MORE_OF_TIER " END;",

        /* Notices: what waits for each receiver (notice; the numbers are part of Message-IDs, and never come again), how
         * sending goes (notice_receiver), and what was told already: of health, and of the runs of a heartbeat's jobs. */
        "CREATE TABLE notice ("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " kind INTEGER NOT NULL," /* enum notice_kind */
        " receiver TEXT NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " job TEXT NOT NULL,"
        " run_id INTEGER NOT NULL,"
        " facts TEXT NOT NULL"
        ") STRICT;"
        "CREATE INDEX notice_waiting ON notice (receiver, id);"
        "CREATE TABLE notice_receiver ("
        " name TEXT PRIMARY KEY,"
        " failing_since_us INTEGER NOT NULL DEFAULT 0,"
        " attempts INTEGER NOT NULL DEFAULT 0,"
        " due_us INTEGER NOT NULL DEFAULT 0,"
        " error TEXT NOT NULL DEFAULT '',"
        " given_up INTEGER NOT NULL DEFAULT 0,"
        " given_up_at_us INTEGER NOT NULL DEFAULT 0,"
        " refusal TEXT NOT NULL DEFAULT '',"
        " dropped INTEGER NOT NULL DEFAULT 0,"
        " dropped_from_us INTEGER NOT NULL DEFAULT 0,"
        " dropped_to_us INTEGER NOT NULL DEFAULT 0,"
        " sent_at_us INTEGER NOT NULL DEFAULT 0,"
        " digest_us INTEGER NOT NULL DEFAULT 0,"
        " failures INTEGER NOT NULL DEFAULT 0"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE notice_told ("
        " check_name TEXT NOT NULL,"
        " subject TEXT NOT NULL,"
        " kind TEXT NOT NULL,"
        " level INTEGER NOT NULL,"
        " told INTEGER NOT NULL,"
        " since_us INTEGER NOT NULL,"
        " PRIMARY KEY (check_name, subject)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE notice_beat ("
        " receiver TEXT NOT NULL,"
        " job TEXT NOT NULL,"
        " run_id INTEGER NOT NULL,"
        " begun INTEGER NOT NULL,"
        " ended INTEGER NOT NULL,"
        " PRIMARY KEY (receiver, job)"
        ") STRICT, WITHOUT ROWID;",
        /* What mends a finding of the probe. */
        "ALTER TABLE probe ADD COLUMN fix TEXT NOT NULL DEFAULT '';",
        /* Databases that jobs find out by themselves, and those that no job is of. */
        "ALTER TABLE member ADD COLUMN place INTEGER NOT NULL DEFAULT 0;" /* in the last answer */
        "ALTER TABLE member ADD COLUMN missing_since_us INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE registry ("
        " job TEXT PRIMARY KEY,"
        " read_at_us INTEGER NOT NULL DEFAULT 0,"
        " failed_at_us INTEGER NOT NULL DEFAULT 0," /* the first failure since; 0: none */
        " failure TEXT NOT NULL DEFAULT ''"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE job_server ("
        " job TEXT PRIMARY KEY,"
        " server TEXT NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE server_database ("
        " server TEXT NOT NULL,"
        " name TEXT NOT NULL,"
        " PRIMARY KEY (server, name)"
        ") STRICT, WITHOUT ROWID;",
        /* By which schedule it was due: what another one asks for is not due in the past. And why it was switched off. */
        "ALTER TABLE schedule ADD COLUMN rule TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE switch ADD COLUMN note TEXT NOT NULL DEFAULT '';",
        /* What is kept: what was removed and can be taken back, why, and what of the rules waits for somebody. */
        "UPDATE artifact SET tiers = -1;" /* not known yet */
        "CREATE INDEX artifact_untagged ON artifact (directory_ino) WHERE tiers = -1 AND tomb = 0;"
        "CREATE INDEX artifact_daily ON artifact (directory_ino, sequence) WHERE tomb = 0 AND tiers > 0 AND tiers & 1;"
        "CREATE INDEX artifact_weekly ON artifact (directory_ino, sequence) WHERE tomb = 0 AND tiers > 0 AND tiers & 2;"
        "CREATE INDEX artifact_monthly ON artifact (directory_ino, sequence) WHERE tomb = 0 AND tiers > 0 AND tiers & 4;"
        "CREATE INDEX artifact_yearly ON artifact (directory_ino, sequence) WHERE tomb = 0 AND tiers > 0 AND tiers & 8;"
        "CREATE TRIGGER artifact_hold_forgotten AFTER DELETE ON artifact BEGIN"
        " DELETE FROM hold WHERE artifact_ino = OLD.ino; END;"
        "CREATE TABLE trash (" /* of artifacts with trashed_at_us, which are tombs */
        " artifact_ino INTEGER PRIMARY KEY,"
        " until_us INTEGER NOT NULL,"
        " removed_by TEXT NOT NULL,"
        " reason TEXT NOT NULL DEFAULT '',"
        " is_marked INTEGER NOT NULL DEFAULT 0" /* the store knows of it */
        ") STRICT;"
        "CREATE INDEX trash_until ON trash (until_us);"
        "CREATE TRIGGER artifact_trash_forgotten AFTER DELETE ON artifact BEGIN"
        " DELETE FROM trash WHERE artifact_ino = OLD.ino; END;"
        "CREATE TRIGGER artifact_untombed AFTER UPDATE OF tomb ON artifact"
        " WHEN OLD.tomb = 1 AND NEW.tomb = 0 BEGIN"
        " UPDATE directory SET files = files + 1, sums_bytes = sums_bytes + NEW.sums_bytes,"
        "  subdirectories = subdirectories + NEW.is_directory WHERE ino = NEW.directory_ino;"
        " INSERT INTO total VALUES (NEW.job, 1, NEW.stored_bytes + NEW.files_bytes)"
        "  ON CONFLICT (job) DO UPDATE"
        "  SET artifacts = artifacts + 1, stored_bytes = stored_bytes + excluded.stored_bytes;"
        " DELETE FROM trash WHERE artifact_ino = NEW.ino; END;"
        /* Of each directory: the rules by which it was last pruned, what those of today would do, and why that was not done. */
        "CREATE TABLE retention ("
        " directory_ino INTEGER PRIMARY KEY,"
        " rules TEXT NOT NULL DEFAULT ''," /* in force: a plan by them was carried out, or had nothing to remove */
        " planned_at_us INTEGER NOT NULL DEFAULT 0,"
        " kept INTEGER NOT NULL DEFAULT 0,"
        " due INTEGER NOT NULL DEFAULT 0,"
        " refused INTEGER NOT NULL DEFAULT 0,"
        " refused_why TEXT NOT NULL DEFAULT '',"
        " suspended_why TEXT NOT NULL DEFAULT ''," /* '': it is not */
        " suspended_since_us INTEGER NOT NULL DEFAULT 0,"
        " waits_why TEXT NOT NULL DEFAULT ''," /* '': it does not */
        " waits_since_us INTEGER NOT NULL DEFAULT 0,"
        " waits_rules TEXT NOT NULL DEFAULT '',"
        " waits_due INTEGER NOT NULL DEFAULT 0,"
        " waits_plan TEXT NOT NULL DEFAULT ''"
        ") STRICT;"
        "ALTER TABLE clock ADD COLUMN boot TEXT NOT NULL DEFAULT '';" /* which boot of the host it was seen in */
        "ALTER TABLE clock ADD COLUMN boot_us INTEGER NOT NULL DEFAULT 0;" /* and how old that was */
        "ALTER TABLE run ADD COLUMN tier INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN has_holds INTEGER NOT NULL DEFAULT 0;" /* the store has an object for them */
        "ALTER TABLE artifact ADD COLUMN left_why TEXT;" /* of a tomb: why the store still has it; NULL: nothing is known */
        "CREATE INDEX artifact_left ON artifact (ino) WHERE left_why IS NOT NULL;",

        /* What was proven of artifacts, and when: keepfs/catalog/proofs.h. */
        "CREATE TABLE proof ("
        " artifact_ino INTEGER NOT NULL,"
        " level INTEGER NOT NULL," /* enum proof_level */
        " at_us INTEGER NOT NULL,"
        " run_id INTEGER NOT NULL," /* 0: none */
        " PRIMARY KEY (artifact_ino, level)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX artifact_proven ON artifact (verified_at_us, ino) WHERE tomb = 0 AND damaged IS NULL;"
        "ALTER TABLE artifact ADD COLUMN damaged_level INTEGER NOT NULL DEFAULT 0;", /* that has shown it */

        /* Of deletions that have begun: the line of the audit that comes with their end. */
        "CREATE TABLE removal ("
        " artifact_ino INTEGER PRIMARY KEY,"
        " uid INTEGER NOT NULL,"
        " pid INTEGER NOT NULL,"
        " command TEXT NOT NULL,"
        " object TEXT NOT NULL,"
        " detail TEXT NOT NULL"
        ") STRICT;"
        "CREATE TRIGGER artifact_removal_ended AFTER DELETE ON artifact BEGIN"
        " DELETE FROM removal WHERE artifact_ino = OLD.ino; END;"
        "CREATE TRIGGER artifact_removal_given_up AFTER UPDATE OF tomb ON artifact"
        " WHEN OLD.tomb = 1 AND NEW.tomb = 0 BEGIN"
        " DELETE FROM removal WHERE artifact_ino = NEW.ino;"
        " UPDATE artifact SET left_why = NULL WHERE ino = NEW.ino AND left_why IS NOT NULL; END;",
        /* Up to when the ends of holds were told, or need not be. */
        "CREATE TABLE notice_look ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " holds_us INTEGER NOT NULL"
        ") STRICT;",

        /* Restores that change something now, and those that have left something: keepfs/catalog/restores.h. */
        "CREATE TABLE restore ("
        " run_id INTEGER NOT NULL,"
        " target TEXT NOT NULL," /* the database that is restored */
        " server TEXT NOT NULL," /* without a password */
        " backup TEXT NOT NULL,"
        " made TEXT NOT NULL,"     /* the database that it is restored into meanwhile; '': none */
        " before TEXT NOT NULL,"   /* how the old one is called afterwards; '': there is none */
        " phase INTEGER NOT NULL," /* enum restore_phase */
        " begun_at_us INTEGER NOT NULL,"
        " is_over INTEGER NOT NULL DEFAULT 0,"
        " problem TEXT NOT NULL DEFAULT ''," /* why it left something */
        " PRIMARY KEY (run_id, target)"
        ") STRICT;",

        /* Rehearsed restores: keepfs/catalog/drills.h. */
        "CREATE TABLE drill ("
        " id INTEGER PRIMARY KEY,"
        " name TEXT NOT NULL UNIQUE,"
        " run_id INTEGER NOT NULL,"
        " job TEXT NOT NULL,"
        " directory TEXT NOT NULL,"
        " path TEXT NOT NULL,"
        " pick TEXT NOT NULL,"
        " started_at_us INTEGER NOT NULL,"
        " finished_at_us INTEGER NOT NULL,"
        " result INTEGER NOT NULL," /* enum drill_result */
        " level INTEGER NOT NULL,"  /* that was proven; -1: none */
        " wanted INTEGER NOT NULL,"
        " restore_us INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL,"
        " error TEXT NOT NULL,"
        " report TEXT NOT NULL"
        ") STRICT;"
        "CREATE INDEX drill_job ON drill (job, id);"
        "CREATE INDEX drill_directory ON drill (directory, id);",

        "CREATE INDEX artifact_trashed ON artifact (job, stored_bytes, files_bytes) WHERE tomb = 1 AND trashed_at_us IS NOT NULL;",

        /* Of what a proof is, so that the newest of a directory is found without looking at all of it. */
        "ALTER TABLE proof ADD COLUMN directory_ino INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE proof ADD COLUMN made_run INTEGER NOT NULL DEFAULT 0;" /* the run that made the artifact */
        "UPDATE proof SET (directory_ino, made_run) = (SELECT directory_ino, run_id FROM artifact"
        " WHERE ino = proof.artifact_ino) WHERE artifact_ino IN (SELECT ino FROM artifact);"
        "CREATE INDEX proof_newest ON proof (directory_ino, level, made_run);"
        /* What is unproven is added up from the index alone. */
        "DROP INDEX artifact_proven;"
        "CREATE INDEX artifact_proven ON artifact (verified_at_us, ino, finished_at_us, stored_bytes, files_bytes)"
        " WHERE tomb = 0 AND damaged IS NULL;"
        /* Where a restore went to, also when it is over: what is told of it. */
        "CREATE TABLE restore_place ("
        " run_id INTEGER NOT NULL,"
        " target TEXT NOT NULL,"
        " server TEXT NOT NULL," /* without a password */
        " backup TEXT NOT NULL,"
        " before TEXT NOT NULL," /* how the old database is called afterwards; '': there is none */
        " PRIMARY KEY (run_id, target, server)"
        ") STRICT, WITHOUT ROWID;"
        /* Restores that have ended, and of which nobody was told. */
        "CREATE TABLE notice_restore (run_id INTEGER PRIMARY KEY) STRICT;"
        "CREATE TRIGGER run_restore_ended AFTER UPDATE OF state ON run"
        " WHEN NEW.kind = 'restore' AND OLD.state IN (0, 1) AND NEW.state NOT IN (0, 1) AND NEW.started_at_us > 0 BEGIN"
        " INSERT OR IGNORE INTO notice_restore VALUES (NEW.id); END;",

        /* What a later drill has to show before a bad one is settled. */
        "ALTER TABLE drill ADD COLUMN wrong_level INTEGER NOT NULL DEFAULT 0;" /* of the first thing that was wrong with the backup; 0: none */
        "CREATE INDEX drill_path ON drill (path, id);",

        /* Databases of one name on two servers are two. */
        "ALTER TABLE restore RENAME TO restore_of_one_server;"
        "CREATE TABLE restore ("
        " run_id INTEGER NOT NULL,"
        " target TEXT NOT NULL," /* the database that is restored */
        " server TEXT NOT NULL," /* without a password */
        " backup TEXT NOT NULL,"
        " made TEXT NOT NULL,"     /* the database that it is restored into meanwhile; '': none */
        " before TEXT NOT NULL,"   /* how the old one is called afterwards; '': there is none */
        " phase INTEGER NOT NULL," /* enum restore_phase */
        " begun_at_us INTEGER NOT NULL,"
        " is_over INTEGER NOT NULL DEFAULT 0,"
        " problem TEXT NOT NULL DEFAULT ''," /* why it left something */
        " PRIMARY KEY (run_id, target, server)"
        ") STRICT;"
        "INSERT INTO restore SELECT * FROM restore_of_one_server;"
        "DROP TABLE restore_of_one_server;",

        /* Several restores of one job's backups may wait and be at work: what they are about is different databases. And how long it took to
         * check and to restore backups: keepfs/catalog/pace.h. */
        "DROP INDEX run_active;"
        "CREATE UNIQUE INDEX run_active ON run (job) WHERE state IN (0, 1) AND kind <> 'restore';"
        "CREATE INDEX run_live ON run (job) WHERE state IN (0, 1);"
        "CREATE TABLE pace ("
        " id INTEGER PRIMARY KEY,"
        " directory TEXT NOT NULL,"
        " work INTEGER NOT NULL," /* enum pace_work */
        " at_us INTEGER NOT NULL,"
        " took_us INTEGER NOT NULL,"
        " stored_bytes INTEGER NOT NULL,"
        " database_bytes INTEGER NOT NULL" /* of the restored one; 0: not known */
        ") STRICT;"
        "CREATE INDEX pace_directory ON pace (directory, work, id);"
        "CREATE INDEX pace_work ON pace (work, id);",

        /* Dumps that were looked into, by the number that stands for them in inode numbers, and sizes that were found by reading:
         * keepfs/catalog/inside.h. */
        "CREATE TABLE inside_dump ("
        " number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " artifact_ino INTEGER NOT NULL UNIQUE,"
        " finished_at_us INTEGER NOT NULL"
        ") STRICT;"
        "CREATE TABLE inside_size ("
        " number INTEGER NOT NULL,"
        " part INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL,"
        " PRIMARY KEY (number, part)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TRIGGER inside_size_forgotten AFTER DELETE ON inside_dump BEGIN"
        " DELETE FROM inside_size WHERE number = OLD.number; END;",

        /* Tables whose versions somebody looked at, and what was counted of them in each dump of their directory:
         * keepfs/catalog/history.h. */
        "CREATE TABLE history_table ("
        " number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " ino INTEGER NOT NULL UNIQUE,"
        " directory_ino INTEGER NOT NULL,"
        " name TEXT NOT NULL,"                /* of its directory in the mount */
        " counted INTEGER NOT NULL DEFAULT 0" /* in which order tables were counted; 0: it was not */
        ") STRICT;"
        "CREATE INDEX history_table_counted ON history_table (counted) WHERE counted > 0;"
        "CREATE TABLE history_count ("
        " ino INTEGER PRIMARY KEY," /* of the link to this version */
        " number INTEGER NOT NULL," /* of the table */
        " artifact_ino INTEGER NOT NULL,"
        " finished_at_us INTEGER NOT NULL," /* so that another dump of that name has none of it */
        " state INTEGER NOT NULL,"          /* enum catalog_history_state */
        " rows INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL,"
        " hash INTEGER NOT NULL"
        ") STRICT;"
        "CREATE UNIQUE INDEX history_count_number ON history_count (number, artifact_ino);"
        "CREATE TRIGGER history_count_forgotten AFTER DELETE ON history_table BEGIN"
        " DELETE FROM history_count WHERE number = OLD.number; END;",

        /* Which store has an artifact, or is to have it: keepfs/catalog/stores.h. 0: the one that the catalog belongs to. */
        "CREATE TABLE store ("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " name TEXT NOT NULL,"   /* of its section; '': a query named its address */
        " tenant TEXT NOT NULL," /* whose it is by that query; '': of a section */
        " url TEXT NOT NULL,"
        " endpoint TEXT NOT NULL,"
        " region TEXT NOT NULL,"
        " credentials TEXT NOT NULL," /* the name of a file */
        " since_us INTEGER NOT NULL,"
        " trouble TEXT NOT NULL DEFAULT ''," /* why it could not be listed; '': it could, or nobody tried */
        " trouble_us INTEGER NOT NULL DEFAULT 0" /* since when */
        ") STRICT;"
        "CREATE UNIQUE INDEX store_address ON store (name, tenant, url, endpoint);"
        "ALTER TABLE artifact ADD COLUMN store INTEGER NOT NULL DEFAULT 0;"
        "CREATE INDEX artifact_store ON artifact (store, ino) WHERE store <> 0;"
        "ALTER TABLE intent ADD COLUMN store INTEGER NOT NULL DEFAULT 0;",

        /* Each line of the audit names the one before it: keepfs/catalog/audit.h. Lines that were there before have no such name. */
        "ALTER TABLE audit ADD COLUMN previous TEXT;" /* SHA-256 of the line before, hexadecimal */
        "CREATE TABLE audit_head ("
        " only INTEGER PRIMARY KEY CHECK (only = 1),"
        " number INTEGER NOT NULL," /* of the newest line; 0: there never was one */
        " hash TEXT NOT NULL" /* of that line; zeros: it names none, and the next one is the first that does */
        ") STRICT;"
        "INSERT INTO audit_head (only, number, hash)"
        " SELECT 1, coalesce(max(id), 0), '0000000000000000000000000000000000000000000000000000000000000000' FROM audit;",

        /* The chains of signed manifests, one for each store, and their links that somebody may still have to say something about:
         * keepfs/catalog/chain.h. */
        "CREATE TABLE chain ("
        " store INTEGER PRIMARY KEY,"
        " name TEXT NOT NULL,"        /* its id */
        " sequence INTEGER NOT NULL," /* of the last link, and its hash */
        " hash TEXT NOT NULL,"
        " key BLOB NOT NULL," /* the public one that signs */
        " begun_at_us INTEGER NOT NULL"
        ") STRICT;"
        "CREATE TABLE chain_link ("
        " store INTEGER NOT NULL,"
        " sequence INTEGER NOT NULL,"
        " hash TEXT NOT NULL,"
        " artifact_ino INTEGER NOT NULL," /* whose manifest it is; 0: an object of its own */
        " path TEXT NOT NULL,"
        " body TEXT," /* that object, as long as the store may not have it */
        " PRIMARY KEY (store, sequence)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE chain_key (" /* that signed before, as the key says that signs now */
        " id TEXT PRIMARY KEY,"
        " raw BLOB NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX chain_link_artifact ON chain_link (store, artifact_ino) WHERE artifact_ino <> 0;"
        "CREATE INDEX chain_link_waiting ON chain_link (store, sequence) WHERE body IS NOT NULL;",

        /* The last checkpoint of the audit that was put into the store: keepfs/checkpoint.h. */
        "CREATE TABLE checkpoint ("
        " only INTEGER PRIMARY KEY CHECK (only = 1),"
        " key TEXT NOT NULL,"
        " sha256 TEXT NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " number INTEGER NOT NULL,"
        " sequence INTEGER NOT NULL"
        ") STRICT;",
        /* What is stored encrypted. */
        "ALTER TABLE artifact ADD COLUMN sealed_bytes INTEGER;" /* of its own object, when that is; NULL: it is not */
        "ALTER TABLE artifact ADD COLUMN encrypted_to TEXT NOT NULL DEFAULT '';" /* recipients; '': to nobody */
        "ALTER TABLE artifact_file ADD COLUMN sealed_bytes INTEGER;"
        "CREATE INDEX artifact_sealed ON artifact (directory_ino) WHERE encrypted_to <> '';",
        /* How artifacts are locked in the store: keepfs/catalog/locks.h. */
        "ALTER TABLE artifact ADD COLUMN lock_mode INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN locked_until_us INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN lock_wanted_us INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN lock_held INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN lock_due INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE artifact ADD COLUMN lock_failed_us INTEGER NOT NULL DEFAULT 0;" /* since when; 0: it did not fail */
        "ALTER TABLE artifact ADD COLUMN lock_why TEXT NOT NULL DEFAULT '';"
        "CREATE INDEX artifact_lock_due ON artifact (ino) WHERE lock_due = 1;"
        "CREATE INDEX artifact_locked ON artifact (locked_until_us) WHERE locked_until_us > 0;"
        "ALTER TABLE artifact_known ADD COLUMN locked_until_us INTEGER NOT NULL DEFAULT 0;",
        /* What further stores have of artifacts, also of those that were removed: keepfs/catalog/replicas.h. */
        "CREATE TABLE replica ("
        " path TEXT NOT NULL," /* of the artifact */
        " store INTEGER NOT NULL,"
        " ino INTEGER NOT NULL,"   /* of the artifact */
        " state INTEGER NOT NULL," /* enum replica_state */
        " job TEXT NOT NULL,"
        " class TEXT NOT NULL,"
        " started_at_us INTEGER NOT NULL,"
        " finished_at_us INTEGER NOT NULL,"
        " keep_until_us INTEGER NOT NULL,"
        " partial INTEGER NOT NULL,"
        " since_us INTEGER NOT NULL,"                 /* in that state */
        " verified_at_us INTEGER NOT NULL DEFAULT 0," /* 0: never */
        " stored_bytes INTEGER NOT NULL,"
        " done_bytes INTEGER NOT NULL DEFAULT 0,"
        " manifest_sha256 TEXT NOT NULL DEFAULT ''," /* of the one that was put there */
        " attempts INTEGER NOT NULL DEFAULT 0,"      /* that failed */
        " next_try_us INTEGER NOT NULL DEFAULT 0,"
        " error TEXT NOT NULL DEFAULT '',"
        " PRIMARY KEY (path, store)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX replica_ino ON replica (ino, store);"
        "CREATE INDEX replica_due ON replica (store, finished_at_us) WHERE state IN (0, 1, 4);"
        "CREATE INDEX replica_whole ON replica (store, verified_at_us) WHERE state IN (2, 5);"
        "CREATE INDEX replica_state ON replica (store, state, since_us);"
        "CREATE INDEX replica_failed ON replica (store, state) WHERE error <> '';"
        /* How many are in each state, and their bytes: those that are not there yet, or that are. */
        "CREATE TABLE replica_sum ("
        " store INTEGER NOT NULL,"
        " state INTEGER NOT NULL,"
        " count INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL,"
        " PRIMARY KEY (store, state)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TRIGGER replica_added AFTER INSERT ON replica BEGIN"
        " INSERT INTO replica_sum (store, state, count, bytes) VALUES (NEW.store, NEW.state, 1,"
        "  iif(NEW.state IN (0, 1, 4), max(NEW.stored_bytes - NEW.done_bytes, 0), NEW.stored_bytes))"
        "  ON CONFLICT (store, state) DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes; END;"
        "CREATE TRIGGER replica_dropped AFTER DELETE ON replica BEGIN"
        " UPDATE replica_sum SET count = count - 1, bytes = bytes -"
        "  iif(OLD.state IN (0, 1, 4), max(OLD.stored_bytes - OLD.done_bytes, 0), OLD.stored_bytes)"
        "  WHERE store = OLD.store AND state = OLD.state; END;"
        "CREATE TRIGGER replica_changed AFTER UPDATE ON replica BEGIN"
        " UPDATE replica_sum SET count = count - 1, bytes = bytes -"
        "  iif(OLD.state IN (0, 1, 4), max(OLD.stored_bytes - OLD.done_bytes, 0), OLD.stored_bytes)"
        "  WHERE store = OLD.store AND state = OLD.state;"
        " INSERT INTO replica_sum (store, state, count, bytes) VALUES (NEW.store, NEW.state, 1,"
        "  iif(NEW.state IN (0, 1, 4), max(NEW.stored_bytes - NEW.done_bytes, 0), NEW.stored_bytes))"
        "  ON CONFLICT (store, state) DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes; END;"
        "CREATE TABLE replica_store ("
        " store INTEGER PRIMARY KEY,"
        " compared_at_us INTEGER NOT NULL,"
        " failing_since_us INTEGER NOT NULL," /* 0: it is not */
        " error TEXT NOT NULL"
        ") STRICT;"
        "CREATE TABLE replica_read (" /* from a replica, since the first store failed */
        " path TEXT PRIMARY KEY,"
        " store INTEGER NOT NULL,"
        " first_us INTEGER NOT NULL,"
        " last_us INTEGER NOT NULL,"
        " damaged INTEGER NOT NULL," /* the bytes of the first were wrong */
        " why TEXT NOT NULL"
        ") STRICT, WITHOUT ROWID;",

        /* How links of the chain and checkpoints are locked, of each store: keepfs/catalog/locks.h. */
        "CREATE TABLE proof_lock ("
        " store INTEGER PRIMARY KEY,"
        " looked_at_us INTEGER NOT NULL," /* 0: there is one that is not locked */
        " until_us INTEGER NOT NULL,"
        " count INTEGER NOT NULL,"
        " failed INTEGER NOT NULL,"
        " failing_us INTEGER NOT NULL,"
        " why TEXT NOT NULL"
        ") STRICT;",

        /* Objects beside backups that a further store has with another content: keepfs/catalog/replicas.h. */
        "CREATE TABLE replica_beside ("
        " store INTEGER NOT NULL,"
        " key TEXT NOT NULL,"
        " since_us INTEGER NOT NULL,"
        " PRIMARY KEY (store, key)"
        ") STRICT, WITHOUT ROWID;"
        /* What copies/ shows: keepfs/catalog/copy_tree.h. */
        "CREATE TABLE copy_tree ("
        " sequence INTEGER PRIMARY KEY AUTOINCREMENT," /* in which its directory is listed */
        " ino INTEGER NOT NULL UNIQUE,"
        " parent_ino INTEGER NOT NULL," /* 0: copies/ */
        " store INTEGER NOT NULL,"
        " path TEXT NOT NULL,"  /* of the artifact; '': it is a directory above artifacts */
        " shown TEXT NOT NULL," /* its own, below copies/<store>/ */
        " name TEXT NOT NULL,"  /* the last part of that */
        " file TEXT NOT NULL,"  /* as the manifest calls it; '': it is a directory */
        " size_bytes INTEGER NOT NULL,"
        " sealed_bytes INTEGER," /* of the object, if it is encrypted */
        " secret INTEGER NOT NULL,"
        " mtime_us INTEGER NOT NULL"
        ") STRICT;"
        "CREATE INDEX copy_tree_parent ON copy_tree (parent_ino, sequence);"
        "CREATE INDEX copy_tree_name ON copy_tree (parent_ino, name);"
        "CREATE INDEX copy_tree_path ON copy_tree (store, path);"
        "CREATE INDEX copy_tree_above ON copy_tree (ino) WHERE path = '';"
        "CREATE TRIGGER copy_tree_dropped AFTER DELETE ON replica BEGIN"
        " DELETE FROM copy_tree WHERE store = OLD.store AND path = OLD.path; END;"
        /* Another artifact has the name. One that is damaged stays, as it does in backups/. */
        "CREATE TRIGGER copy_tree_changed AFTER UPDATE OF state ON replica WHEN NEW.state = 0 BEGIN"
        " DELETE FROM copy_tree WHERE store = OLD.store AND path = OLD.path; END;",

        /* Artifacts that get, or got, other objects, and whose objects that their manifest does not name are to be removed: keepfs/catalog/rewraps.h. */
        "CREATE TABLE rewrap ("
        " ino INTEGER PRIMARY KEY," /* of the artifact */
        " path TEXT NOT NULL,"
        " since_us INTEGER NOT NULL,"
        " until_us INTEGER NOT NULL DEFAULT 0," /* the store does not let them go before; 0: not known */
        " why TEXT NOT NULL DEFAULT ''"         /* they are still there */
        ") STRICT;",

        /* What links say of manifests that are not signed, and up to which number a chain is compacted: keepfs/catalog/chain.h. */
        "CREATE TABLE chain_unsigned ("
        " store INTEGER NOT NULL,"
        " ino INTEGER NOT NULL,"
        " path TEXT NOT NULL,"
        " run_id INTEGER NOT NULL,"
        " size_bytes INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL,"   /* of the artifact; '': not known */
        " manifest TEXT NOT NULL," /* SHA-256 of the manifest; '': no link has that yet */
        " is_gone INTEGER NOT NULL,"
        " PRIMARY KEY (ino, store)"
        ") STRICT, WITHOUT ROWID;"
        "ALTER TABLE chain ADD COLUMN compacted INTEGER NOT NULL DEFAULT 0;", /* the link that tells of the longest range; 0: none */

        /* Up to which lease all is listed that other keepfs have made and removed in the store. */
        "CREATE TABLE known_fence ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " fence INTEGER NOT NULL"
        ") STRICT;",

        /* How copies are locked in their store: keepfs/catalog/replica_locks.h. What is made again is locked again. */
        "CREATE TABLE replica_lock ("
        " path TEXT NOT NULL,"
        " store INTEGER NOT NULL,"
        " mode INTEGER NOT NULL,"
        " until_us INTEGER NOT NULL,"
        " tiers INTEGER NOT NULL,"
        " is_held INTEGER NOT NULL,"
        " is_put_off INTEGER NOT NULL," /* its lock alone keeps it */
        " failed_us INTEGER NOT NULL,"  /* 0: it is locked as it is to be */
        " why TEXT NOT NULL,"
        " PRIMARY KEY (path, store)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX replica_lock_until ON replica_lock (store, until_us);"
        "CREATE TRIGGER replica_lock_dropped AFTER DELETE ON replica BEGIN"
        " DELETE FROM replica_lock WHERE store = OLD.store AND path = OLD.path; END;"
        "CREATE TRIGGER replica_lock_changed AFTER UPDATE OF state ON replica WHEN NEW.state = 0 BEGIN"
        " DELETE FROM replica_lock WHERE store = OLD.store AND path = OLD.path; END;",

        /* The SHA-256 of the manifest that was put last, or was about to be; '': none was yet. And the newest link that says something of a manifest that is not signed. */
        "ALTER TABLE rewrap ADD COLUMN manifest TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE chain_unsigned ADD COLUMN link INTEGER NOT NULL DEFAULT 0;",

        /* Whose artifact was removed here, when nobody held it: what a further store says of holds is older then. Of one that is lost nobody knows that. */
        "ALTER TABLE replica ADD COLUMN is_released INTEGER NOT NULL DEFAULT 0;"
        "CREATE TRIGGER replica_released AFTER UPDATE OF tomb ON artifact WHEN NEW.tomb <> 0"
        " AND NOT EXISTS (SELECT 1 FROM hold WHERE artifact_ino = NEW.ino AND until_us = 0) BEGIN"
        " UPDATE replica SET is_released = 1 WHERE ino = NEW.ino; END;"
        "CREATE TRIGGER replica_listed_again AFTER UPDATE OF tomb ON artifact WHEN NEW.tomb = 0 BEGIN"
        " UPDATE replica SET is_released = 0 WHERE ino = NEW.ino; END;"
        "CREATE TRIGGER replica_named_again AFTER INSERT ON artifact BEGIN"
        " UPDATE replica SET is_released = 0 WHERE ino = NEW.ino AND is_released <> 0; END;",

        /* As which object each manifest was when it was read: catalog_look_at_manifest(). Of those that were listed before nobody knows. */
        "CREATE TABLE manifest_seen ("
        " ino INTEGER PRIMARY KEY," /* of the artifact */
        " mark TEXT NOT NULL"       /* of the object; '': not known */
        ") STRICT;"
        "INSERT INTO manifest_seen (ino, mark) SELECT ino, '' FROM artifact;"
        "CREATE TRIGGER manifest_seen_gone AFTER DELETE ON artifact BEGIN"
        " DELETE FROM manifest_seen WHERE ino = OLD.ino; END;",

        /* What is known of copies beside their names: keepfs/catalog/copy_tree.h. What an earlier keepfs has noted is learned anew, by the comparison of names. */
        "DELETE FROM copy_tree;"
        "ALTER TABLE copy_tree ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';" /* of the file; '': not known */
        "ALTER TABLE copy_tree ADD COLUMN stored_sha256 TEXT NOT NULL DEFAULT '';" /* of the object */
        "ALTER TABLE copy_tree ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE copy_about ("
        " path TEXT NOT NULL," /* of the artifact */
        " store INTEGER NOT NULL,"
        " run_id INTEGER NOT NULL,"
        " kind TEXT NOT NULL,"
        " target TEXT NOT NULL,"
        " triggered_by TEXT NOT NULL,"
        " note TEXT NOT NULL,"
        " encrypted_to TEXT NOT NULL,"
        " facts TEXT NOT NULL," /* an object of JSON; '': there are none */
        " PRIMARY KEY (path, store)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TRIGGER copy_about_dropped AFTER DELETE ON replica BEGIN"
        " DELETE FROM copy_about WHERE store = OLD.store AND path = OLD.path; END;"
        "CREATE TRIGGER copy_about_changed AFTER UPDATE OF state ON replica WHEN NEW.state = 0 BEGIN"
        " DELETE FROM copy_about WHERE store = OLD.store AND path = OLD.path; END;"
        "UPDATE replica_store SET compared_at_us = 0;",
        /* Which packs an artifact needs, from its manifest: keepfs/catalog/needs.h. */
        "CREATE TABLE need ("
        " directory TEXT NOT NULL," /* of packs */
        " first INTEGER NOT NULL,"
        " last INTEGER NOT NULL,"
        " ino INTEGER NOT NULL," /* of the artifact that needs them */
        " PRIMARY KEY (directory, first, last, ino)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX need_of ON need (ino);"
        "CREATE TRIGGER artifact_needs_forgotten AFTER DELETE ON artifact BEGIN"
        " DELETE FROM need WHERE ino = OLD.ino; END;",
        /* Artifacts that consist of several: keepfs/catalog/parts.h. */
        "CREATE TABLE artifact_part ("
        " ino INTEGER PRIMARY KEY," /* of its path */
        " artifact_ino INTEGER NOT NULL,"
        " number INTEGER NOT NULL,"
        " name TEXT NOT NULL," /* in the artifact */
        " is_directory INTEGER NOT NULL,"
        " first INTEGER NOT NULL," /* of its rows in artifact_file: sequence, and how many */
        " files INTEGER NOT NULL,"
        " size_bytes INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL,"
        " job TEXT NOT NULL,"
        " kind TEXT NOT NULL,"
        " target TEXT NOT NULL,"
        " class TEXT NOT NULL,"
        " started_at_us INTEGER NOT NULL,"
        " finished_at_us INTEGER NOT NULL,"
        " facts TEXT NOT NULL"
        ") STRICT;"
        "CREATE UNIQUE INDEX artifact_part_of ON artifact_part (artifact_ino, number);"
        "CREATE INDEX artifact_part_name ON artifact_part (artifact_ino, name);"
        "CREATE TRIGGER artifact_part_dropped AFTER DELETE ON artifact BEGIN"
        " DELETE FROM artifact_part WHERE artifact_ino = OLD.ino; END;",
        /* Which packs the copies of a further store need: keepfs/catalog/copy_needs.h. What an earlier keepfs has copied without its packs is copied with them. */
        "CREATE TABLE copy_need ("
        " store INTEGER NOT NULL,"
        " directory TEXT NOT NULL," /* of packs */
        " first INTEGER NOT NULL,"
        " last INTEGER NOT NULL,"
        " path TEXT NOT NULL," /* of the artifact whose copy needs them */
        " PRIMARY KEY (store, directory, first, last, path)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX copy_need_of ON copy_need (store, path);"
        "CREATE TRIGGER copy_need_dropped AFTER DELETE ON replica BEGIN"
        " DELETE FROM copy_need WHERE store = OLD.store AND path = OLD.path; END;"
        "UPDATE replica SET state = 0, next_try_us = 0 WHERE state = 2 AND ino IN (SELECT ino FROM need);"
        "DELETE FROM copy_tree WHERE (store, path) IN (SELECT store, path FROM copy_about WHERE kind = 'bundle');"
        "ALTER TABLE copy_tree ADD COLUMN listing INTEGER NOT NULL DEFAULT 0;" /* 1: a listing says what is in it; 2: beside its files */
        "UPDATE replica_store SET compared_at_us = 0;",
        /* What of places of others was looked at: keepfs/catalog/adopted.h. */
        "CREATE TABLE adopted ("
        " place TEXT NOT NULL,"
        " key TEXT NOT NULL," /* there */
        " bytes INTEGER NOT NULL,"
        " etag TEXT NOT NULL," /* as it was listed */
        " path TEXT NOT NULL," /* of the artifact that it became, or of the one that has the same; '': none */
        " why TEXT NOT NULL,"  /* not; '' */
        " PRIMARY KEY (place, key)"
        ") STRICT, WITHOUT ROWID;",
        /* In which storage class artifacts are: keepfs/catalog/classes.h. */
        "CREATE TABLE storage_class ("
        " ino INTEGER PRIMARY KEY," /* of the artifact */
        " class TEXT NOT NULL,"     /* '': not known */
        " bytes INTEGER NOT NULL,"
        " since_us INTEGER NOT NULL,"
        " is_frozen INTEGER NOT NULL,"
        " wanted TEXT NOT NULL DEFAULT '',"
        " moving TEXT NOT NULL DEFAULT '',"
        " next_try_us INTEGER NOT NULL DEFAULT 0,"
        " failures INTEGER NOT NULL DEFAULT 0,"
        " why TEXT NOT NULL DEFAULT '',"
        " thaw_at_us INTEGER NOT NULL DEFAULT 0,"
        " thaw_days INTEGER NOT NULL DEFAULT 0,"
        " thaw_tier TEXT NOT NULL DEFAULT '',"
        " asked_at_us INTEGER NOT NULL DEFAULT 0,"
        " ready_until_us INTEGER NOT NULL DEFAULT 0"
        ") STRICT;"
        "CREATE INDEX storage_class_frozen ON storage_class (ino) WHERE is_frozen = 1;"
        "CREATE TRIGGER storage_class_gone AFTER DELETE ON artifact BEGIN"
        " DELETE FROM storage_class WHERE ino = OLD.ino; END;",
        /* The files of WAL archives, and of which clusters these are: keepfs/catalog/wal.h. */
        "CREATE TABLE wal_segment ("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " job TEXT NOT NULL,"
        " name TEXT NOT NULL,"
        " key TEXT NOT NULL,"
        " bytes INTEGER," /* NULL: not known */
        " stored_bytes INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL," /* '': not known */
        " arrived_us INTEGER NOT NULL"
        ") STRICT;"
        "CREATE UNIQUE INDEX wal_segment_name ON wal_segment (job, name);"
        "CREATE INDEX wal_segment_of ON wal_segment (job, id);"
        "CREATE TABLE wal_cluster ("
        " job TEXT PRIMARY KEY,"
        " system_id INTEGER NOT NULL,"    /* of 64 bits without a sign */
        " segment_bytes INTEGER NOT NULL" /* 0: not known */
        ") STRICT;",
        /* What base backups need of the write-ahead log: keepfs/catalog/bases.h. */
        "CREATE TABLE base ("
        " ino INTEGER PRIMARY KEY," /* of the artifact */
        " job TEXT NOT NULL,"
        " system_id INTEGER NOT NULL," /* of 64 bits without a sign */
        " timeline INTEGER NOT NULL,"
        " start_lsn INTEGER NOT NULL,"
        " stop_lsn INTEGER NOT NULL,"
        " segment_bytes INTEGER NOT NULL,"
        " stopped_us INTEGER NOT NULL"
        ") STRICT;"
        "CREATE INDEX base_of ON base (job, start_lsn);"
        "CREATE TRIGGER base_gone AFTER DELETE ON artifact BEGIN"
        " DELETE FROM base WHERE ino = OLD.ino; END;",
        /* Where the segments of WAL archives lie in the log, and what their indexes say: keepfs/catalog/wal_places.h. A segment knows of its neighbours, so that what is there, and what
         * is missing, is a few rows of many. */
        "CREATE TABLE wal_place ("
        " job TEXT NOT NULL,"
        " timeline INTEGER NOT NULL,"
        " number INTEGER NOT NULL,"             /* of the segment: where it begins, by the size of segments */
        " id INTEGER NOT NULL,"                 /* of wal_segment */
        " is_first INTEGER NOT NULL DEFAULT 1," /* the one before it is not there */
        " is_last INTEGER NOT NULL DEFAULT 1," /* the one behind it is not there; 2: it was, and was removed */
        " state INTEGER NOT NULL DEFAULT 0," /* 0: not read yet, 1: it is known what follows, 2: it cannot be read */
        " end_lsn INTEGER NOT NULL DEFAULT 0,"     /* of its last record; 0: it has none */
        " latest_us INTEGER NOT NULL DEFAULT 0,"   /* of its commits and aborts; 0: it has none */
        " highest_xid INTEGER NOT NULL DEFAULT 0," /* of these; 0 */
        " commits INTEGER NOT NULL DEFAULT 0,"
        " full_page_writes INTEGER NOT NULL DEFAULT 0," /* enum wal_index_writes */
        " PRIMARY KEY (job, timeline, number)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE UNIQUE INDEX wal_place_of ON wal_place (id);"
        "CREATE INDEX wal_place_edge ON wal_place (job, timeline, number) WHERE is_first <> 0 OR is_last <> 0;"
        "CREATE INDEX wal_place_unread ON wal_place (job, timeline, number) WHERE state <> 1;"
        "CREATE TRIGGER wal_place_come AFTER INSERT ON wal_place BEGIN"
        " UPDATE wal_place SET is_first = NOT EXISTS (SELECT 1 FROM wal_place WHERE job = NEW.job"
        " AND timeline = NEW.timeline AND number = NEW.number - 1),"
        " is_last = NOT EXISTS (SELECT 1 FROM wal_place WHERE job = NEW.job AND timeline = NEW.timeline"
        " AND number = NEW.number + 1)"
        " WHERE job = NEW.job AND timeline = NEW.timeline AND number = NEW.number;"
        " UPDATE wal_place SET is_last = 0"
        " WHERE job = NEW.job AND timeline = NEW.timeline AND number = NEW.number - 1;"
        " UPDATE wal_place SET is_first = 0"
        " WHERE job = NEW.job AND timeline = NEW.timeline AND number = NEW.number + 1; END;"
        "CREATE TRIGGER wal_place_gone AFTER DELETE ON wal_place BEGIN"
        " UPDATE wal_place SET is_last = 2"
        " WHERE job = OLD.job AND timeline = OLD.timeline AND number = OLD.number - 1;"
        " UPDATE wal_place SET is_first = 1"
        " WHERE job = OLD.job AND timeline = OLD.timeline AND number = OLD.number + 1; END;"
        "CREATE TABLE wal_point (" /* restore points */
        " id INTEGER NOT NULL,"    /* of wal_segment */
        " job TEXT NOT NULL,"
        " timeline INTEGER NOT NULL," /* of the segment, as its number */
        " number INTEGER NOT NULL,"
        " lsn INTEGER NOT NULL,"
        " at_us INTEGER NOT NULL,"
        " name TEXT NOT NULL"
        ") STRICT;"
        "CREATE INDEX wal_point_of ON wal_point (id);"
        "CREATE INDEX wal_point_name ON wal_point (job, name, lsn);"
        "CREATE INDEX wal_point_at ON wal_point (job, at_us);"
        "CREATE TABLE wal_history (" /* files of histories */
        " id INTEGER PRIMARY KEY,"   /* of wal_segment */
        " job TEXT NOT NULL,"
        " timeline INTEGER NOT NULL,"
        " text TEXT NOT NULL"
        ") STRICT;"
        "CREATE INDEX wal_history_of ON wal_history (job, timeline);"
        "CREATE TRIGGER wal_segment_gone AFTER DELETE ON wal_segment BEGIN"
        " DELETE FROM wal_place WHERE id = OLD.id;"
        " DELETE FROM wal_point WHERE id = OLD.id;"
        " DELETE FROM wal_history WHERE id = OLD.id; END;",
        /* How long files of WAL archives are kept: keepfs/catalog/wal_keep.h. */
        "ALTER TABLE wal_segment ADD COLUMN is_going INTEGER NOT NULL DEFAULT 0;" /* it is being removed */
        "ALTER TABLE wal_segment ADD COLUMN locked_until_us INTEGER NOT NULL DEFAULT 0;" /* in the store; 0: it is not, or nobody knows */
        "CREATE INDEX wal_segment_going ON wal_segment (job, id) WHERE is_going = 1;"
        "CREATE TABLE wal_pin ("
        " run_id INTEGER PRIMARY KEY,"
        " job TEXT NOT NULL,"
        " first TEXT NOT NULL" /* the name of the segment from which on it needs all of that timeline; '': everything */
        ") STRICT;"
        "CREATE TRIGGER wal_pin_ended AFTER UPDATE OF state ON run WHEN NEW.state NOT IN (0, 1) BEGIN"
        " DELETE FROM wal_pin WHERE run_id = NEW.id; END;"
        "CREATE TRIGGER wal_pin_gone AFTER DELETE ON run BEGIN"
        " DELETE FROM wal_pin WHERE run_id = OLD.id; END;"
        "CREATE TABLE wal_timeline ("
        " job TEXT NOT NULL,"
        " timeline INTEGER NOT NULL,"
        " content BLOB NOT NULL,"
        " PRIMARY KEY (job, timeline)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE wal_kept ("
        " job TEXT PRIMARY KEY,"
        " window_us INTEGER NOT NULL," /* by which it was last decided; 0: as long as bases; -1: never yet */
        " shorter_since_us INTEGER NOT NULL," /* a shorter one is configured since then; 0: none is */
        " planned_at_us INTEGER NOT NULL,"
        " why TEXT NOT NULL," /* nothing was removed, or not all of it; '' */
        " removed_files INTEGER NOT NULL,"
        " removed_bytes INTEGER NOT NULL"
        ") STRICT;"
        /* What further stores have of them. */
        "CREATE TABLE wal_copy ("
        " job TEXT NOT NULL,"
        " store INTEGER NOT NULL,"
        " up_to INTEGER NOT NULL,"            /* all files up to that number are there */
        " failing_since_us INTEGER NOT NULL," /* 0: the last attempt went well */
        " why TEXT NOT NULL,"
        " PRIMARY KEY (job, store)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE wal_left (" /* objects that are to be removed there */
        " store INTEGER NOT NULL,"
        " key TEXT NOT NULL,"
        " PRIMARY KEY (store, key)"
        ") STRICT, WITHOUT ROWID;",
};
const size_t migration_count = ARRAY_SIZE(migrations);
