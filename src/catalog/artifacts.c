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
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/stores.h>
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

/* What was found, and not made just now, has to be asked of the store. */
static bool lock_is_due_at_birth(const struct manifest *m)
{
	return m->lock_wanted_us > 0 || (m->locked_until_us > 0 && m->lock_mode == 0);
}

static int insert_artifact(struct connection *c, const struct manifest *m, uint64_t directory_ino,
                           int64_t sequence, const char *name, uint64_t store)
{
	static const char sql[] =
	        "INSERT INTO artifact (directory_ino, sequence, ino, name, named, is_directory, partial, size_bytes,"
	        " finished_at_us, verified_at_us, sha256, stored_bytes, job, kind, target, triggered_by, note,"
	        " keepfs_version, run_id, started_at_us, facts, object_id, files, files_bytes, sums_bytes, secret, class,"
	        " tiers, keep_until_us, store, encrypted_to, sealed_bytes, lock_mode, locked_until_us, lock_wanted_us, lock_due)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
	        " ?21, ?22, 0, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35)";
	const struct manifest_object *own = manifest_own_object(m);
	_cleanup(str) struct str facts = {0};
	int64_t object_id = 0;
	int r = object_insert(c, own, &object_id);

	if (r < 0)
		return r;
	if (m->facts)
		json_write(m->facts, 0, &facts);
	return db_run(c, sql,
	              VALUES(ino_value(directory_ino), int_value(sequence),
	                     ino_value(ino_of_artifact(m->path)), text_value(name),
	                     int_value(name_sequence(name) < 0), int_value(m->is_directory),
	                     int_value(m->partial), int_value((int64_t)m->size_bytes),
	                     int_value(m->finished_at_us), int_value(m->verified_at_us),
	                     text_value(m->sha256), int_value(own ? (int64_t)own->stored_bytes : 0),
	                     text_value(m->job), text_value(m->kind), text_value(m->target),
	                     text_value(m->triggered_by), text_value(m->note), text_value(m->keepfs_version),
	                     int_value(m->run_id), int_value(m->started_at_us),
	                     text_value(facts.len > 0 ? str_text(&facts) : "{}"), int_value(object_id),
	                     int_value((int64_t)other_bytes(m, own)), int_value((int64_t)sums_bytes(m, name)),
	                     int_value(is_secret(m)), text_value(str_or_empty(m->class)),
	                     int_value(m->tiers_known ? (int64_t)m->tiers : -1), int_value(m->keep_until_us),
	                     int_value((int64_t)store), text_value(str_or_empty(m->encrypted_to)),
	                     object_sealed_bytes(own), int_value(m->lock_mode), int_value(m->locked_until_us),
	                     int_value(m->lock_wanted_us), int_value(lock_is_due_at_birth(m))));
}

/* Of whoever triggered it: from the first moment on. */
static int hold_at_birth(struct connection *c, const struct manifest *m)
{
	struct catalog_hold hold = {.at_us = m->started_at_us};

	if (!m->hold)
		return 0;
	str_copy(hold.name, sizeof(hold.name), CATALOG_HOLD_OF_TRIGGER);
	str_cut(hold.reason, sizeof(hold.reason), m->hold);
	str_cut(hold.by, sizeof(hold.by), m->triggered_by);
	return hold_set(c, ino_of_artifact(m->path), &hold);
}

static int delete_artifact(struct connection *c, uint64_t ino)
{
	static const char sql[] = "DELETE FROM artifact WHERE ino = ?1";
	int r = files_delete(c, ino);

	/* In a rebuild it comes back. */
	if (r == 0 && !c->catalog->rebuilding)
		r = proofs_forget(c, ino);
	if (r == 0 && !c->catalog->rebuilding)
		r = inside_forget(c, ino);
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

/* That was announced. */
static int announced_store(struct connection *c, const char *path, uint64_t *ret)
{
	static const char sql[] = "SELECT store FROM intent WHERE path = ?1";
	int64_t store = CATALOG_MAIN_STORE;
	int r = db_number(c, &store, sql, VALUES(text_value(path)));

	*ret = (uint64_t)store;
	return r == -ENOENT ? 0 : r;
}

/* @known: which store has it; NULL: the one that its intent names. */
static int add_artifact(struct connection *c, const struct manifest *m, enum listing listing,
                        const uint64_t *known)
{
	uint64_t store = known ? *known : CATALOG_MAIN_STORE;
	_cleanup(free) char *directory = NULL;
	const char *name;
	int64_t sequence;
	uint64_t directory_ino;
	int r = path_split(c, m->path, &directory, &name, &sequence);

	if (r == 0 && !known)
		r = announced_store(c, m->path, &store);
	if (r == 0)
		r = directory_ensure(c, directory, m->finished_at_us, &directory_ino);
	if (r == 0 && sequence < 0)
		r = find_free_place(c, m, directory_ino, &sequence);
	if (r == 0)
		r = clear_place(c, m, directory_ino, sequence);
	if (r != 0)
		return r;
	r = insert_artifact(c, m, directory_ino, sequence, name, store);
	if (r == 0)
		r = hold_at_birth(c, m);
	if (r == 0)
		r = files_insert(c, m, directory_ino, sequence);
	if (r == 0)
		r = directory_touch(c, directory_ino, m->finished_at_us);
	if (r == 0)
		r = needs_insert(c, m);
	if (r == 0)
		r = bases_insert(c, m);
	/* A pack is no backup that a run has made, but a piece of one. */
	if (r == 0 && !tree_is_pack(m->path))
		r = listing == MADE ? run_note_artifact(c, m) : run_rebuild(c, m);
	if (r == 0 && listing == REBUILT)
		r = known_give_back(c, ino_of_artifact(m->path));
	if (r == 0 && listing == REBUILT)
		r = proofs_give_back(c, ino_of_artifact(m->path));
	if (r == 0)
		r = chain_note_artifact(c, m, store);
	if (r == 0)
		r = intent_drop(c, m->path);
	return r;
}

int catalog_add_artifact(struct catalog *c, const struct manifest *m, struct error *err)
{
	return TRANSACTION(c, err, add_artifact(c->writer, m, c->rebuilding ? REBUILT : MADE, NULL));
}

/* How many good ones are there in a directory beside it, of @most at most? A partial one counts only with @partial. */
static int64_t count_others(struct connection *c, uint64_t ino, uint64_t directory_ino, bool partial,
                            unsigned most)
{
	static const char sql[] =
	        "SELECT count(*) FROM (SELECT 1 FROM artifact WHERE directory_ino = ?1 AND tomb = 0 AND damaged"
	        " IS NULL AND ino <> ?2 AND partial <= ?3 LIMIT ?4)";
	int64_t count = 0;

	db_number(c, &count, sql,
	          VALUES(ino_value(directory_ino), ino_value(ino), int_value(partial), int_value(most)));
	return count;
}

/* Was it made last of the good ones? Those that are not named by time are each of something else, so none is newer. */
static bool is_newest(struct connection *c, uint64_t ino)
{
	static const char sql[] =
	        "SELECT 1 FROM artifact a WHERE a.ino = ?1 AND a.named = 0 AND a.partial = 0 AND NOT EXISTS"
	        " (SELECT 1 FROM artifact b WHERE b.directory_ino = a.directory_ino AND b.tomb = 0 AND b.partial = 0"
	        " AND b.damaged IS NULL AND (b.run_id, b.sequence) > (a.run_id, a.sequence))";

	/* What cannot be known is no reason to let it go. */

	return db_find(c, sql, VALUES(ino_value(ino))) != -ENOENT;
}

/* Who holds it: "" when nobody does. */
static void describe_hold(struct connection *c, uint64_t ino, int64_t now_us, struct str *out)
{
	static const char sql[] = "SELECT name, reason, held_by, until_us FROM hold WHERE artifact_ino = ?1"
	                          " AND (until_us = 0 OR until_us > ?2) ORDER BY at_us LIMIT 1";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	char until[CLOCK_ISO_BYTES];
	int r = db_row(c, &row, sql, VALUES(ino_value(ino), int_value(now_us)));

	/* What cannot be known is no reason to let it go. */
	if (r < 0 && r != -ENOENT)
		str_append(out, "nobody knows whom, the catalog cannot be read");
	if (r < 0)
		return;
	str_appendf(out, "%s: %s (by %s", column_borrowed(row, 0), column_borrowed(row, 1),
	            column_borrowed(row, 2));
	if (sqlite3_column_int64(row, 3))
		str_appendf(out, ", until %s", clock_format_iso(sqlite3_column_int64(row, 3), until));
	str_append_char(out, ')');
}

static int check_policy(struct connection *c, uint64_t ino, uint64_t directory_ino, sqlite3_stmt *row,
                        const struct catalog_removal *how)
{
	unsigned floor = how->min_keep > 1 ? how->min_keep : 1;
	_cleanup(str) struct str held = {0};
	struct policy_removal facts = {
	        .directory = column_borrowed(row, 2),
	        .name = column_borrowed(row, 3),
	        .damaged = !sqlite3_column_int(row, 1),
	        .partial = sqlite3_column_int(row, 4),
	        .newest = is_newest(c, ino),
	        .others_whole = (unsigned)count_others(c, ino, directory_ino, false, floor),
	        .other_usable = count_others(c, ino, directory_ino, true, 1) > 0,
	        .min_keep = floor,
	        .is_gone = how->is_gone,
	        .keep_until_us = sqlite3_column_int64(row, 5),
	        .locked_until_us = sqlite3_column_int64(row, 6),
	        .now_us = how->now_us ? how->now_us : clock_now_us(),
	};

	describe_hold(c, ino, facts.now_us, &held);
	facts.held = held.len > 0 ? str_text(&held) : NULL;
	return policy_check_removal(&facts, &c->error);
}

static int put_into_trash(struct connection *c, uint64_t ino, const struct catalog_removal *how)
{
	static const char artifact_sql[] = "UPDATE artifact SET trashed_at_us = ?2 WHERE ino = ?1";
	static const char trash_sql[] =
	        "INSERT OR REPLACE INTO trash (artifact_ino, until_us, removed_by, reason, is_marked)"
	        " VALUES (?1, ?2, ?3, ?4, ?5)";
	int64_t now_us = how->now_us ? how->now_us : clock_now_us();
	int r = db_run(c, artifact_sql, VALUES(ino_value(ino), int_value(now_us)));

	if (r < 0)
		return r;
	return db_run(c, trash_sql,
	              VALUES(ino_value(ino), int_value(how->trash_until_us),
	                     text_value(how->by ? how->by : ""), text_value(how->reason ? how->reason : ""),
	                     int_value(how->is_marked)));
}

/* In the trash it is removed; else there is an end to wait for. */
static int note_audit(struct connection *c, uint64_t ino, const struct catalog_removal *how)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO removal (artifact_ino, uid, pid, command, object, detail)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
	const struct catalog_audit *a = how->audit;

	if (how->trash_until_us) {
		write_touches(c->catalog, TOUCHES_AUDIT | TOUCHES_REST);
		return audit_add(c, a);
	}
	return db_run(c, sql,
	              VALUES(ino_value(ino), int_value(a->uid), int_value(a->pid), text_value(a->command),
	                     text_value(a->object), text_value(a->detail)));
}

static int check_removal(struct connection *c, uint64_t ino, const struct catalog_removal *how,
                         uint64_t *ret_directory_ino)
{
	static const char find_sql[] =
	        "SELECT d.ino, coalesce(a.damaged, '" MISSING_REASON "') = '" MISSING_REASON
	        "', d.path, a.name, a.partial, a.keep_until_us, a.locked_until_us FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.ino = ?1 AND a.tomb = 0";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = db_row(c, &row, find_sql, VALUES(ino_value(ino)));

	if (r < 0)
		return r;
	*ret_directory_ino = column_u64(row, 0);
	return how && !how->is_decided ? check_policy(c, ino, *ret_directory_ino, row, how) : 0;
}

static int ask_removal(struct connection *c, uint64_t ino, const struct catalog_removal *how)
{
	uint64_t directory_ino;

	return check_removal(c, ino, how, &directory_ino);
}

int catalog_check_removal(struct catalog *c, uint64_t ino, const struct catalog_removal *how,
                          struct error *err)
{
	return TRANSACTION(c, err, ask_removal(c->writer, ino, how));
}

static int entomb_artifact(struct connection *c, uint64_t ino, const struct catalog_removal *how)
{
	static const char tomb_sql[] = "UPDATE artifact SET tomb = 1 WHERE ino = ?1";
	uint64_t directory_ino;
	int r = check_removal(c, ino, how, &directory_ino);

	if (r == 0)
		r = db_run(c, tomb_sql, VALUES(ino_value(ino)));
	if (r == 0 && how && how->trash_until_us)
		r = put_into_trash(c, ino, how);
	if (r == 0 && how && how->audit)
		r = note_audit(c, ino, how);
	if (r == 0)
		r = directory_touch(c, directory_ino, clock_now_us());
	return r;
}

int catalog_entomb_artifact(struct catalog *c, uint64_t ino, const struct catalog_removal *how,
                            struct error *err)
{
	return TRANSACTION(c, err, entomb_artifact(c->writer, ino, how));
}

/* With what the store knows of it: before anybody sees it. 0, or as add_artifact(). */
static int add_marked(struct connection *c, const struct manifest *m, const struct catalog_marks *marks,
                      enum listing listing)
{
	uint64_t ino = ino_of_artifact(m->path);
	int r = add_artifact(c, m, listing, marks ? &marks->store : NULL);

	if (r == 0 && marks)
		r = holds_restore(c, ino, marks);
	if (r == 0 && marks && marks->trash)
		r = entomb_artifact(c, ino, marks->trash);
	return r;
}

int catalog_restore_artifact(struct catalog *c, const struct manifest *m, const struct catalog_marks *marks,
                             struct error *err)
{
	return TRANSACTION(c, err, add_marked(c->writer, m, marks, c->rebuilding ? REBUILT : MADE));
}

static int adopt_artifact(struct connection *c, const struct manifest *m, const struct catalog_marks *marks)
{
	int r = artifact_find_known(c, m->path);

	if (r == 0)
		return CATALOG_KNOWN;
	return r == -ENOENT ? add_marked(c, m, marks, ADOPTED) : r;
}

int catalog_adopt_artifact(struct catalog *c, const struct manifest *m, const struct catalog_marks *marks,
                           struct error *err)
{
	return TRANSACTION(c, err, adopt_artifact(c->writer, m, marks));
}

static int audit_of_removal(struct connection *c, uint64_t ino, struct catalog_audit *ret)
{
	static const char sql[] =
	        "SELECT uid, pid, command, object, detail FROM removal WHERE artifact_ino = ?1";
	_cleanup(query) struct query query = query_within(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_audit){.at_us = clock_now_us(),
	                              .uid = sqlite3_column_int64(query.row, 0),
	                              .pid = sqlite3_column_int64(query.row, 1),
	                              .action = "remove",
	                              .result = "ok"};
	column_text(query.row, 2, ret->command, sizeof(ret->command));
	column_text(query.row, 3, ret->object, sizeof(ret->object));
	column_text(query.row, 4, ret->detail, sizeof(ret->detail));
	return 0;
}

static int drop_artifact(struct connection *c, uint64_t ino)
{
	struct catalog_audit entry;
	int r = audit_of_removal(c, ino, &entry);

	if (r == 0)
		r = audit_add(c, &entry);
	if (r == 0)
		write_touches(c->catalog, TOUCHES_AUDIT | TOUCHES_REST);
	return r < 0 && r != -ENOENT ? r : delete_artifact(c, ino);
}

int catalog_drop_artifact(struct catalog *c, uint64_t ino, struct error *err)
{
	return TRANSACTION(c, err, drop_artifact(c->writer, ino));
}

static int give_up_removal(struct connection *c, uint64_t ino)
{
	static const char find_sql[] =
	        "SELECT directory_ino FROM artifact WHERE ino = ?1 AND tomb = 1 AND trashed_at_us IS NULL";
	static const char sql[] = "UPDATE artifact SET tomb = 0 WHERE ino = ?1";
	int64_t directory_ino;
	int r = db_number(c, &directory_ino, find_sql, VALUES(ino_value(ino)));

	if (r == 0)
		r = db_run(c, sql, VALUES(ino_value(ino)));
	return r < 0 ? r : directory_touch(c, (uint64_t)directory_ino, clock_now_us());
}

int catalog_give_up_removal(struct catalog *c, uint64_t ino, struct error *err)
{
	return TRANSACTION(c, err, give_up_removal(c->writer, ino));
}

int catalog_tomb(struct catalog *c, uint64_t ino, struct catalog_tomb *ret)
{
	static const char sql[] = "SELECT run_id, trashed_at_us IS NOT NULL, has_holds,"
	                          " EXISTS (SELECT 1 FROM trash WHERE artifact_ino = ino AND is_marked = 1)"
	                          " FROM artifact WHERE ino = ?1 AND tomb = 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct catalog_tomb){.run_id = sqlite3_column_int64(query.row, 0),
		                             .is_trashed = sqlite3_column_int(query.row, 1),
		                             .has_holds = sqlite3_column_int(query.row, 2),
		                             .is_marked = sqlite3_column_int(query.row, 3)};
	return r;
}

int catalog_note_left(struct catalog *c, uint64_t ino, const char *why, struct error *err)
{
	static const char sql[] = "UPDATE artifact SET left_why = ?2 WHERE ino = ?1 AND tomb = 1";

	return write_run(c, err, sql, VALUES(ino_value(ino), text_value(why)));
}

int catalog_each_left(struct catalog *c, void (*row)(void *arg, const char *path, const char *why), void *arg)
{
	static const char sql[] = "SELECT d.path || '/' || a.name, a.left_why FROM artifact a"
	                          " JOIN directory d ON d.ino = a.directory_ino WHERE a.left_why IS NOT NULL"
	                          " AND a.tomb = 1 ORDER BY 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}

int catalog_tombs(struct catalog *c, int64_t trash_until_us,
                  void (*row)(void *arg, uint64_t ino, const char *path), void *arg)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 1"
	        " AND NOT EXISTS (SELECT 1 FROM trash WHERE artifact_ino = a.ino AND until_us > ?1)";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(trash_until_us)));

	while (query_next(&query))
		row(arg, column_u64(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}
