// SPDX-License-Identifier: Apache-2.0
/*
 * The tree as the mount reads it. Every lookup is by a key, every page of a directory is one range of one,
 * and what is entombed is never seen.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/name.h>

#define DIRECTORIES                                                                                          \
	"SELECT ino, parent_ino, sequence, name, mtime_us, subdirectories, files, sums_bytes FROM "          \
	"directory WHERE "
#define ARTIFACTS_OF(table)                                                                                  \
	"SELECT ino, directory_ino, sequence, name, finished_at_us, size_bytes, is_directory, files,"        \
	" subdirectories, secret, sealed_bytes, is_directory AND (EXISTS (SELECT 1 FROM artifact_object o"   \
	" WHERE o.artifact_ino = artifact.ino AND o.role = '" MANIFEST_ROLE_LISTING "')"                     \
	" OR EXISTS (SELECT 1 FROM artifact_part p WHERE p.artifact_ino = artifact.ino"                      \
	" AND p.kind IN ('" LISTING_KIND_MIRROR "', '" LISTING_KIND_BASE "'))) FROM " table                  \
	" WHERE tomb = 0 AND "
#define ARTIFACTS ARTIFACTS_OF("artifact")
/* However many partial ones are behind it. */
#define WHOLE "artifact INDEXED BY artifact_whole"
/* However many of other formats, partial or damaged ones are behind it. */
#define LATEST "artifact INDEXED BY artifact_latest"
/* CROSS JOIN: in the order of the files, whatever the planner thinks of it. */
#define FILES                                                                                                \
	"SELECT f.ino, coalesce(f.within_ino, f.parent_ino), f.sequence, f.name, a.finished_at_us,"          \
	" f.size_bytes, f.artifact_ino, f.is_directory, f.subdirectories, f.secret, f.sealed_bytes"          \
	" FROM artifact_file f CROSS JOIN artifact a ON a.ino = f.artifact_ino WHERE a.tomb = 0 AND "

/* Names of files that lie deeper begin with their directories'. */
static void read_name(sqlite3_stmt *row, enum catalog_kind kind, struct catalog_entry *entry)
{
	const char *name = column_borrowed(row, 3), *slash = strrchr(name, '/');

	str_copy(entry->name, sizeof(entry->name), kind == CATALOG_FILE && slash ? slash + 1 : name);
}

static void read_sealed_columns(sqlite3_stmt *row, struct catalog_entry *entry)
{
	entry->secret = sqlite3_column_int(row, 9);
	entry->is_sealed = sqlite3_column_type(row, 10) != SQLITE_NULL;
	entry->sealed_bytes = column_u64(row, 10);
}

static void read_entry(sqlite3_stmt *row, enum catalog_kind kind, struct catalog_entry *entry)
{
	*entry = (struct catalog_entry){
	        .ino = column_u64(row, 0),
	        .parent_ino = column_u64(row, 1),
	        .kind = kind,
	        .sequence = sqlite3_column_int64(row, 2),
	        .mtime_us = sqlite3_column_int64(row, 4),
	};
	read_name(row, kind, entry);
	switch (kind) {
	case CATALOG_DIRECTORY:
		entry->is_directory = true;
		entry->subdirectories = (uint32_t)column_u64(row, 5);
		entry->files = (uint32_t)column_u64(row, 6);
		entry->sums_bytes = column_u64(row, 7);
		break;
	case CATALOG_ARTIFACT:
		entry->artifact_ino = entry->ino;
		entry->size_bytes = column_u64(row, 5);
		entry->is_directory = sqlite3_column_int(row, 6);
		entry->files = entry->is_directory ? (uint32_t)column_u64(row, 7) : 0;
		entry->subdirectories = (uint32_t)column_u64(row, 8);
		entry->has_listing = sqlite3_column_int(row, 11);
		read_sealed_columns(row, entry);
		break;
	case CATALOG_FILE:
		entry->size_bytes = column_u64(row, 5);
		entry->artifact_ino = column_u64(row, 6);
		entry->is_directory = sqlite3_column_int(row, 7);
		entry->subdirectories = (uint32_t)column_u64(row, 8);
		read_sealed_columns(row, entry);
		break;
	}
}

static int find_entry(struct catalog *c, enum catalog_kind kind, const char *sql, const struct value *values,
                      size_t count, struct catalog_entry *ret)
{
	_cleanup(query) struct query query = query_begin(c, sql, values, count);
	int r = query_one(&query);

	if (r == 0)
		read_entry(query.row, kind, ret);
	return r;
}

int catalog_has_another(struct catalog *c, const char *path, const char *fact, const char *value)
{
	static const char sql[] =
	        "SELECT 1 FROM artifact WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1) AND tomb = 0"
	        " AND coalesce(CAST(json_extract(facts, '$.' || ?2) AS TEXT), ?3) <> ?3 LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(path), text_value(fact), text_value(value)));
	int r = query_one(&query);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* What was adopted comes first: whoever adopts asks for that. */
int catalog_find_content(struct catalog *c, const char *path, const char *sha256, uint64_t size_bytes,
                         bool only_own, char **ret_path)
{
	static const char sql[] =
	        "SELECT name, coalesce((SELECT o.key > '" MANIFEST_ADOPTED
	        "' AND o.key < 'adopted0' FROM object o WHERE o.id = artifact.object_id), 0) AS adopted FROM artifact"
	        " WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1)"
	        " AND tomb = 0 AND damaged IS NULL AND is_directory = 0 AND size_bytes = ?3 AND sha256 = ?2"
	        " AND NOT (?4 AND adopted) ORDER BY adopted DESC, sequence DESC LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(text_value(path), text_value(sha256), int_value((int64_t)size_bytes),
	                           int_value(only_own)));
	int r = query_one(&query);

	if (r == 0)
		*ret_path = mem_printf("%s/%s", path, column_borrowed(query.row, 0));
	return r;
}

static int keep_until(struct connection *c, uint64_t ino, int64_t until_us)
{
	static const char sql[] =
	        "UPDATE artifact SET keep_until_us = max(keep_until_us, ?2) WHERE ino = ?1 AND tomb = 0";
	int r = db_run(c, sql, VALUES(ino_value(ino), int_value(until_us)));

	return r == 0 && sqlite3_changes64(c->db) == 0 ? -ENOENT : r;
}

int catalog_keep_until(struct catalog *c, uint64_t ino, int64_t until_us, struct error *err)
{
	return TRANSACTION(c, err, keep_until(c->writer, ino, until_us));
}

/* A part whose files are in a listing has no row among the files. */
static int find_listed_part(struct catalog *c, uint64_t ino, struct catalog_entry *ret)
{
	static const char sql[] =
	        "SELECT p.ino, p.artifact_ino, 0, p.name, p.finished_at_us, p.size_bytes, p.artifact_ino,"
	        " p.is_directory, 0, 0, NULL FROM artifact_part p CROSS JOIN artifact a ON a.ino = p.artifact_ino"
	        " WHERE a.tomb = 0 AND p.ino = ?1";

	return find_entry(c, CATALOG_FILE, sql, VALUES(ino_value(ino)), ret);
}

int catalog_entry_by_ino(struct catalog *c, uint64_t ino, struct catalog_entry *ret)
{
	static const char directory_sql[] = DIRECTORIES "ino = ?1";
	static const char artifact_sql[] = ARTIFACTS "ino = ?1";
	static const char file_sql[] = FILES "f.ino = ?1";
	int r;

	if (!ino_is_artifact(ino))
		return find_entry(c, CATALOG_DIRECTORY, directory_sql, VALUES(ino_value(ino)), ret);
	r = find_entry(c, CATALOG_ARTIFACT, artifact_sql, VALUES(ino_value(ino)), ret);
	if (r == -ENOENT)
		r = find_entry(c, CATALOG_FILE, file_sql, VALUES(ino_value(ino)), ret);
	return r == -ENOENT ? find_listed_part(c, ino, ret) : r;
}

/* An artifact that is named by time is found by its place. */
static int find_artifact(struct catalog *c, uint64_t parent_ino, const char *name, struct catalog_entry *ret)
{
	static const char place_sql[] = ARTIFACTS "directory_ino = ?1 AND sequence = ?2 AND name = ?3";
	static const char name_sql[] = ARTIFACTS "directory_ino = ?1 AND name = ?2 AND named = 1";
	int64_t sequence = name_sequence(name);

	if (sequence >= 0)
		return find_entry(c, CATALOG_ARTIFACT, place_sql,
		                  VALUES(ino_value(parent_ino), int_value(sequence), text_value(name)), ret);
	return find_entry(c, CATALOG_ARTIFACT, name_sql, VALUES(ino_value(parent_ino), text_value(name)),
	                  ret);
}

/* In an artifact that is a directory, in a directory within one, or beside an artifact. */
static int find_file(struct catalog *c, uint64_t parent_ino, const char *name, struct catalog_entry *ret)
{
	static const char sql[] = FILES "f.parent_ino = ?1 AND f.name = ?2";
	static const char within_sql[] =
	        FILES "(f.parent_ino, f.name) = (SELECT artifact_ino, name || '/' || ?2 FROM artifact_file"
	              " WHERE ino = ?1 AND is_directory = 1)";
	int r = find_entry(c, CATALOG_FILE, sql, VALUES(ino_value(parent_ino), text_value(name)), ret);

	if (r == -ENOENT && ino_is_artifact(parent_ino))
		r = find_entry(c, CATALOG_FILE, within_sql, VALUES(ino_value(parent_ino), text_value(name)),
		               ret);
	return r;
}

int catalog_entry_by_name(struct catalog *c, uint64_t parent_ino, const char *name, struct catalog_entry *ret)
{
	static const char directory_sql[] = DIRECTORIES "parent_ino = ?1 AND name = ?2";
	int r = -ENOENT;

	if (!ino_is_artifact(parent_ino))
		r = find_artifact(c, parent_ino, name, ret);
	if (r == -ENOENT)
		r = find_file(c, parent_ino, name, ret);
	if (r == -ENOENT)
		r = find_entry(c, CATALOG_DIRECTORY, directory_sql,
		               VALUES(ino_value(parent_ino), text_value(name)), ret);
	return r;
}

int catalog_entry_latest(struct catalog *c, uint64_t directory_ino, const char *suffix,
                         struct catalog_entry *ret)
{
	static const char sql[] =
	        ARTIFACTS_OF(LATEST) "partial = 0 AND directory_ino = ?1 AND suffix = ?2"
	                             " ORDER BY damaged IS NULL DESC, run_id DESC, sequence DESC LIMIT 1";

	return find_entry(c, CATALOG_ARTIFACT, sql, VALUES(ino_value(directory_ino), text_value(suffix)),
	                  ret);
}

int catalog_entry_made_last(struct catalog *c, uint64_t directory_ino, struct catalog_entry *ret)
{
	static const char sql[] = ARTIFACTS_OF(WHOLE) "partial = 0 AND directory_ino = ?1"
	                                              " ORDER BY run_id DESC, sequence DESC LIMIT 1";

	return find_entry(c, CATALOG_ARTIFACT, sql, VALUES(ino_value(directory_ino)), ret);
}

int catalog_next_suffix(struct catalog *c, uint64_t directory_ino, const char *after,
                        char ret[static NAME_MAX_BYTES])
{
	static const char first_sql[] =
	        "SELECT min(suffix) FROM " LATEST " WHERE tomb = 0 AND partial = 0 AND directory_ino = ?1";
	static const char next_sql[] = "SELECT min(suffix) FROM " LATEST " WHERE tomb = 0 AND partial = 0"
	                               " AND directory_ino = ?1 AND suffix > ?2";
	const struct value values[] = {ino_value(directory_ino), text_value(after)};
	_cleanup(query) struct query query =
	        query_begin(c, after ? next_sql : first_sql, values, after ? 2 : 1);
	char suffix[NAME_MAX_BYTES];
	int r = query_one(&query);

	if (r < 0)
		return r;
	if (sqlite3_column_type(query.row, 0) == SQLITE_NULL)
		return -ENOENT;
	column_text(query.row, 0, suffix, sizeof(suffix));
	str_copy(ret, NAME_MAX_BYTES, suffix);
	return 0;
}

/* Does anything lie deeper in what has that number: then its files are listed by what shows them. */
static bool has_depth(struct catalog *c, uint64_t ino)
{
	static const char sql[] = "SELECT 1 FROM artifact_file WHERE within_ino = ?1 LIMIT 1";
	_cleanup(query) struct query query = {0};

	if (!ino_is_artifact(ino))
		return false;
	query = query_begin(c, sql, VALUES(ino_value(ino)));
	return query_one(&query) == 0;
}

ssize_t catalog_entries(struct catalog *c, uint64_t directory_ino, enum catalog_kind kind, int64_t after,
                        struct catalog_entry *entries, size_t max)
{
	static const char directory_sql[] =
	        DIRECTORIES "parent_ino = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
	static const char artifact_sql[] =
	        ARTIFACTS "directory_ino = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
	static const char file_sql[] =
	        FILES "f.parent_ino = ?1 AND f.sequence > ?2 ORDER BY f.sequence LIMIT ?3";
	static const char within_sql[] =
	        FILES "f.within_ino = ?1 AND f.sequence > ?2 ORDER BY f.sequence LIMIT ?3";
	static const char *const sql[] = {
	        [CATALOG_DIRECTORY] = directory_sql,
	        [CATALOG_ARTIFACT] = artifact_sql,
	        [CATALOG_FILE] = file_sql,
	};
	bool deep = kind == CATALOG_FILE && has_depth(c, directory_ino);
	size_t count = 0;
	_cleanup(query) struct query query =
	        query_begin(c, deep ? within_sql : sql[kind],
	                    VALUES(ino_value(directory_ino), int_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_entry(query.row, kind, &entries[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

ssize_t catalog_artifact_files(struct catalog *c, uint64_t artifact_ino, int64_t after,
                               struct catalog_entry *entries, size_t max)
{
	static const char sql[] = FILES
	        "f.parent_ino = (SELECT files_ino FROM artifact WHERE ino = ?1) AND f.artifact_ino = ?1"
	        " AND f.sequence > max(?2, (SELECT files_from - 1 FROM artifact WHERE ino = ?1))"
	        " AND f.sequence < (SELECT iif(is_directory, 1 << 62, files_from + 64) FROM artifact WHERE ino = ?1)"
	        " ORDER BY f.sequence LIMIT ?3";
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(
	        c, sql, VALUES(ino_value(artifact_ino), int_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_entry(query.row, CATALOG_FILE, &entries[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

/* Each is one of the catalog's indexes. */
#define IN_TIER(bit)                                                                                         \
	ARTIFACTS "tiers > 0 AND tiers & " bit                                                               \
	          " AND directory_ino = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"

ssize_t catalog_tier_entries(struct catalog *c, unsigned tier, uint64_t directory_ino, int64_t after,
                             struct catalog_entry *entries, size_t max)
{
	static const char daily_sql[] = IN_TIER("1"), weekly_sql[] = IN_TIER("2"),
	                  monthly_sql[] = IN_TIER("4"), yearly_sql[] = IN_TIER("8");
	static const char *const sql[MANIFEST_TIERS] = {daily_sql, weekly_sql, monthly_sql, yearly_sql};
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(
	        c, sql[tier], VALUES(ino_value(directory_ino), int_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_entry(query.row, CATALOG_ARTIFACT, &entries[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

ssize_t catalog_dump_entries(struct catalog *c, uint64_t directory_ino, int64_t after, bool bundles,
                             struct catalog_entry *entries, size_t max)
{
	static const char dumps_sql[] =
	        ARTIFACTS "directory_ino = ?1 AND sequence > ?2 AND kind = 'dump' ORDER BY sequence LIMIT ?3";
	static const char both_sql[] = ARTIFACTS
	        "directory_ino = ?1 AND sequence > ?2 AND kind IN ('dump', 'bundle') ORDER BY sequence LIMIT ?3";
	const char *sql = bundles ? both_sql : dumps_sql;
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(
	        c, sql, VALUES(ino_value(directory_ino), int_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_entry(query.row, CATALOG_ARTIFACT, &entries[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_dump_by_stem(struct catalog *c, uint64_t directory_ino, const char *stem,
                         struct catalog_entry *ret)
{
#define IS_DUMP_OF                                                                                           \
	"kind = 'dump' AND substr(name, 1, instr(name || '.', '.') - 1) = ?2 AND directory_ino = ?1"
	static const char place_sql[] = ARTIFACTS IS_DUMP_OF " AND sequence = ?3";
	static const char name_sql[] = ARTIFACTS IS_DUMP_OF " AND named = 1 ORDER BY sequence LIMIT 1";
	int64_t sequence = name_sequence(stem);

	if (sequence >= 0)
		return find_entry(c, CATALOG_ARTIFACT, place_sql,
		                  VALUES(ino_value(directory_ino), text_value(stem), int_value(sequence)),
		                  ret);
	return find_entry(c, CATALOG_ARTIFACT, name_sql, VALUES(ino_value(directory_ino), text_value(stem)),
	                  ret);
}

bool catalog_is_in_tier(struct catalog *c, uint64_t ino, unsigned tier)
{
	static const char sql[] =
	        "SELECT 1 FROM artifact WHERE ino = ?1 AND tomb = 0 AND tiers > 0 AND tiers & ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(ino), int_value(1 << tier)));

	return query_one(&query) == 0;
}

int catalog_file_near(struct catalog *c, uint64_t from, uint64_t to, struct catalog_entry *ret)
{
	static const char sql[] = FILES "f.ino BETWEEN ?1 AND ?2 LIMIT 1";

	return find_entry(c, CATALOG_FILE, sql, VALUES(ino_value(from), ino_value(to)), ret);
}

int catalog_entry_near(struct catalog *c, uint64_t from, uint64_t to, struct catalog_entry *ret)
{
	static const char directory_sql[] = DIRECTORIES "ino BETWEEN ?1 AND ?2 LIMIT 1";
	static const char artifact_sql[] = ARTIFACTS "ino BETWEEN ?1 AND ?2 LIMIT 1";
	const struct value values[] = {ino_value(from), ino_value(to)};

	if (ino_is_artifact(from))
		return find_entry(c, CATALOG_ARTIFACT, artifact_sql, values, 2, ret);
	return find_entry(c, CATALOG_DIRECTORY, directory_sql, values, 2, ret);
}

char *catalog_path(struct catalog *c, uint64_t ino)
{
	static const char directory_sql[] = "SELECT path FROM directory WHERE ino = ?1";
	static const char artifact_sql[] =
	        "SELECT d.path || '/' || a.name FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.ino = ?1 AND a.tomb = 0"
	        " UNION ALL SELECT d.path || '/' || iif(a.is_directory, a.name || '/', '') || f.name"
	        " FROM artifact_file f CROSS JOIN artifact a ON a.ino = f.artifact_ino"
	        " CROSS JOIN directory d ON d.ino = a.directory_ino WHERE f.ino = ?1 AND a.tomb = 0"
	        " UNION ALL SELECT d.path || '/' || a.name || '/' || p.name"
	        " FROM artifact_part p CROSS JOIN artifact a ON a.ino = p.artifact_ino"
	        " CROSS JOIN directory d ON d.ino = a.directory_ino WHERE p.ino = ?1 AND a.tomb = 0";
	_cleanup(query) struct query query =
	        query_begin(c, ino_is_artifact(ino) ? artifact_sql : directory_sql, VALUES(ino_value(ino)));

	if (query_one(&query) < 0)
		return NULL;
	return column_string(query.row, 0);
}

static void read_manifest(sqlite3_stmt *row, struct manifest *m)
{
	const char *facts;
	int column = 0;

	m->path = column_string(row, column++);
	m->job = column_string(row, column++);
	m->kind = column_string(row, column++);
	m->target = column_string(row, column++);
	m->triggered_by = column_string(row, column++);
	m->note = column_string(row, column++);
	m->partial = sqlite3_column_int(row, column++);
	m->is_directory = sqlite3_column_int(row, column++);
	m->keepfs_version = column_string(row, column++);
	m->run_id = sqlite3_column_int64(row, column++);
	m->started_at_us = sqlite3_column_int64(row, column++);
	m->finished_at_us = sqlite3_column_int64(row, column++);
	m->verified_at_us = sqlite3_column_int64(row, column++);
	m->size_bytes = column_u64(row, column++);
	column_text(row, column++, m->sha256, sizeof(m->sha256));
	facts = column_borrowed(row, column++);
	m->facts = json_parse(facts, strlen(facts), NULL);
	if (*column_borrowed(row, column))
		m->class = column_string(row, column);
	column++;
	m->tiers_known = sqlite3_column_int(row, column) >= 0;
	m->tiers = m->tiers_known ? (unsigned)sqlite3_column_int(row, column) : 0;
	m->keep_until_us = sqlite3_column_int64(row, column + 1);
	if (*column_borrowed(row, column + 2))
		m->encrypted_to = column_string(row, column + 2);
	m->locked_until_us = sqlite3_column_int64(row, column + 3);
	m->lock_mode = sqlite3_column_int(row, column + 4);
}

int catalog_manifest(struct catalog *c, uint64_t ino, struct manifest *ret)
{
	static const char sql[] =
	        "SELECT d.path || '/' || a.name, job, kind, target, triggered_by, note, partial, is_directory,"
	        " keepfs_version, run_id, started_at_us, finished_at_us, verified_at_us, size_bytes, sha256, facts, class,"
	        " tiers, keep_until_us, encrypted_to, locked_until_us, lock_mode"
	        " FROM artifact a JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 0"
	        " AND a.ino = coalesce((SELECT artifact_ino FROM artifact_file WHERE ino = ?1), ?1)";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct manifest){0};
	read_manifest(query.row, ret);
	return 0;
}

uint64_t catalog_last_size(struct catalog *c, const char *directory_path)
{
	static const char sql[] = "SELECT size_bytes FROM " WHOLE " WHERE tomb = 0 AND partial = 0"
	                          " AND directory_ino = (SELECT ino FROM directory WHERE path = ?1)"
	                          " ORDER BY run_id DESC, sequence DESC LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(directory_path)));

	if (query_one(&query) < 0)
		return 0;
	return column_u64(query.row, 0);
}
