// SPDX-License-Identifier: Apache-2.0
/*
 * SHA256SUMS of a directory. How long it is stands in the directory's row, from the very lines that are
 * written here: a file whose size were another could not be read to its end.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/entries.h>
#include <keepfs/codec/listing.h>

#define NOT_READ_BACK "not read back, so its SHA-256 is not known"
/* Of a base backup every file has a checksum, but no SHA-256. */
#define OF_A_BASE "has a CRC-32C for each file: keepfs verify"
_Static_assert(sizeof(OF_A_BASE) == sizeof(NOT_READ_BACK),
               "directories of older catalogs know how long their lines are");

void sums_append(struct str *out, const char *name, bool is_directory, const char *sha256)
{
	if (sha256[0])
		str_appendf(out, "%s  %s%s", sha256, name, is_directory ? "/SHA256SUMS" : "");
	else
		str_appendf(out, "# %s: " NOT_READ_BACK, name);
}

uint64_t sums_bytes(const struct manifest *m, const char *name)
{
	_cleanup(str) struct str line = {0};
	uint64_t bytes;

	sums_append(&line, name, m->is_directory, m->sha256);
	bytes = line.len + 1;
	for (size_t i = 1; !m->is_directory && i < m->file_count; i++) {
		str_clear(&line);
		sums_append(&line, m->files[i].name, false, m->files[i].sha256);
		bytes += line.len + 1;
	}
	return bytes;
}

struct sums {
	void (*row)(void *arg, const char *line);
	void *arg;
	struct str line;
};

static void tell_sum(struct sums *sums, const char *name, bool is_directory, const char *sha256)
{
	str_clear(&sums->line);
	sums_append(&sums->line, name, is_directory, sha256);
	sums->row(sums->arg, str_text(&sums->line));
}

static void tell_base_sum(struct sums *sums, const char *name)
{
	str_clear(&sums->line);
	str_appendf(&sums->line, "# %s: " OF_A_BASE, name);
	sums->row(sums->arg, str_text(&sums->line));
}

/* The files beside an artifact. */
static int tell_files(struct sums *sums, struct connection *reader, uint64_t directory_ino, int64_t from,
                      int64_t count)
{
	static const char sql[] = "SELECT name, sha256 FROM artifact_file WHERE parent_ino = ?1"
	                          " AND sequence >= ?2 AND sequence < ?3 ORDER BY sequence";
	_cleanup(query) struct query query = query_within(
	        reader, sql, VALUES(ino_value(directory_ino), int_value(from), int_value(from + count)));

	while (query_next(&query))
		tell_sum(sums, column_borrowed(query.row, 0), false, column_borrowed(query.row, 1));
	return query.result;
}

/* Of the objects. */

static void tell_stored_sum(struct sums *sums, sqlite3_stmt *row, const char *directory)
{
	const char *sha256 = column_borrowed(row, 1),
	           *ending = sqlite3_column_type(row, 2) == SQLITE_NULL ? "" : MANIFEST_SEALED_SUFFIX;

	str_clear(&sums->line);
	if (sha256[0])
		str_appendf(&sums->line, "%s  %s%s%s", sha256, directory, column_borrowed(row, 0), ending);
	else
		str_appendf(&sums->line, "# %s%s%s: not read back, so its SHA-256 is not known", directory,
		            column_borrowed(row, 0), ending);
	sums->row(sums->arg, str_text(&sums->line));
}

static int tell_stored_files(struct sums *sums, struct connection *reader, sqlite3_stmt *artifact)
{
	static const char sql[] =
	        "SELECT f.name, o.stored_sha256, o.cipher FROM artifact_file f JOIN object o ON o.id = f.object_id"
	        " WHERE f.parent_ino = ?1 AND f.sequence >= ?2 AND f.sequence < ?2 + ?3 AND o.key <> ''"
	        " ORDER BY f.sequence";
	_cleanup(str) struct str directory = {0};
	_cleanup(query) struct query query = query_within(
	        reader, sql,
	        VALUES(ino_value(column_u64(artifact, 4)), int_value(sqlite3_column_int64(artifact, 5)),
	               int_value(sqlite3_column_int64(artifact, 6))));

	if (sqlite3_column_int(artifact, 3))
		str_appendf(&directory, "%s/", column_borrowed(artifact, 0));
	while (query_next(&query))
		tell_stored_sum(sums, query.row, str_text(&directory));
	return query.result;
}

static int tell_stored(struct sums *sums, struct connection *reader, sqlite3_stmt *artifact)
{
	if (!sqlite3_column_int(artifact, 3))
		tell_stored_sum(sums, artifact, "");
	return sqlite3_column_int64(artifact, 6) > 0 ? tell_stored_files(sums, reader, artifact) : 0;
}

static int tell_plain(struct sums *sums, struct connection *reader, sqlite3_stmt *artifact,
                      uint64_t directory_ino)
{
	bool is_directory = sqlite3_column_int(artifact, 3);
	const char *name = column_borrowed(artifact, 0), *sha256 = column_borrowed(artifact, 7);
	int64_t from = sqlite3_column_int64(artifact, 5), count = sqlite3_column_int64(artifact, 6);

	if (!sha256[0] && strcmp(column_borrowed(artifact, 9), LISTING_KIND_BASE) == 0)
		tell_base_sum(sums, name);
	else
		tell_sum(sums, name, is_directory, sha256);
	return is_directory || count == 0 ? 0 : tell_files(sums, reader, directory_ino, from, count);
}

int catalog_sums(struct catalog *c, uint64_t directory_ino, enum catalog_sums_of of,
                 void (*row)(void *arg, const char *line), void *arg)
{
	static const char sql[] =
	        "SELECT a.name, o.stored_sha256, o.cipher, a.is_directory, a.files_ino, a.files_from, a.files, a.sha256,"
	        " a.encrypted_to <> '', a.kind FROM artifact a JOIN object o ON o.id = a.object_id"
	        " WHERE a.tomb = 0 AND a.directory_ino = ?1 ORDER BY a.sequence";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));
	struct sums sums = {.row = row, .arg = arg};

	while (query_next(&query)) {
		bool stored = of == CATALOG_SUMS_STORED ||
		              (of == CATALOG_SUMS_LOCKED && sqlite3_column_int(query.row, 8));

		query.result = stored ? tell_stored(&sums, query.connection, query.row)
		                      : tell_plain(&sums, query.connection, query.row, directory_ino);
	}
	str_finish(&sums.line);
	return query.result;
}

bool catalog_has_any_sealed(struct catalog *c)
{
	static const char sql[] = "SELECT 1 FROM artifact INDEXED BY artifact_sealed WHERE encrypted_to <> ''"
	                          " AND tomb = 0 LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	return query_one(&query) == 0;
}

bool catalog_has_sealed(struct catalog *c, uint64_t directory_ino)
{
	static const char sql[] = "SELECT 1 FROM artifact INDEXED BY artifact_sealed WHERE encrypted_to <> ''"
	                          " AND directory_ino = ?1 AND tomb = 0 LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));

	return query_one(&query) == 0;
}
