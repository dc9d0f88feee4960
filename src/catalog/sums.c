// SPDX-License-Identifier: Apache-2.0
/*
 * SHA256SUMS of a directory. How long it is stands in the directory's row, from the very lines that are
 * written here: a file whose size were another could not be read to its end.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/entries.h>

void sums_append(struct str *out, const char *name, bool is_directory, const char *sha256)
{
	if (sha256[0])
		str_appendf(out, "%s  %s%s", sha256, name, is_directory ? "/SHA256SUMS" : "");
	else
		str_appendf(out, "# %s: not read back, so its SHA-256 is not known", name);
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

static void tell_sum(struct sums *sums, sqlite3_stmt *row, bool is_directory)
{
	str_clear(&sums->line);
	sums_append(&sums->line, column_borrowed(row, 0), is_directory, column_borrowed(row, 1));
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
		tell_sum(sums, query.row, false);
	return query.result;
}

int catalog_sums(struct catalog *c, uint64_t directory_ino, void (*row)(void *arg, const char *line),
                 void *arg)
{
	static const char sql[] = "SELECT name, sha256, is_directory, files_from, files FROM artifact"
	                          " WHERE tomb = 0 AND directory_ino = ?1 ORDER BY sequence";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));
	struct sums sums = {.row = row, .arg = arg};

	while (query_next(&query)) {
		bool is_directory = sqlite3_column_int(query.row, 2);
		int64_t from = sqlite3_column_int64(query.row, 3), count = sqlite3_column_int64(query.row, 4);

		tell_sum(&sums, query.row, is_directory);
		if (!is_directory && count > 0)
			query.result = tell_files(&sums, query.connection, directory_ino, from, count);
	}
	str_finish(&sums.line);
	return query.result;
}
