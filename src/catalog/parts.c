// SPDX-License-Identifier: Apache-2.0
/* Parts of artifacts. Their rows come with those of the files, and go with that of the artifact, by a trigger: there are few. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/codec/name.h>

static int insert_part(struct connection *c, const struct manifest *m, size_t number, const int64_t *starts)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO artifact_part (ino, artifact_ino, number, is_directory, first, files, size_bytes,"
	        " sha256, job, kind, target, class, started_at_us, finished_at_us, facts, name)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
	const struct manifest_part *p = &m->parts[number];
	_cleanup(free) char *path = mem_printf("%s/%s", m->path, p->name);
	_cleanup(str) struct str facts = {0};
	int64_t first = starts[p->first_file];

	if (p->facts)
		json_write(p->facts, 0, &facts);
	return db_run(c, sql,
	              VALUES(ino_value(ino_of_artifact(path)), ino_value(ino_of_artifact(m->path)),
	                     int_value((int64_t)number), int_value(p->is_directory), int_value(first),
	                     int_value(starts[p->first_file + p->file_count] - first),
	                     int_value((int64_t)p->size_bytes), text_value(p->sha256), text_value(p->job),
	                     text_value(p->kind), text_value(p->target), text_value(str_or_empty(p->class)),
	                     int_value(p->started_at_us), int_value(p->finished_at_us),
	                     text_value(facts.len > 0 ? str_text(&facts) : "{}"), text_value(p->name)));
}

int parts_insert(struct connection *c, const struct manifest *m, const int64_t *starts)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->part_count; i++)
		r = insert_part(c, m, i, starts);
	return r;
}

static void read_part_row(sqlite3_stmt *row, struct catalog_part *ret)
{
	*ret = (struct catalog_part){.ino = column_u64(row, 0),
	                             .artifact_ino = column_u64(row, 1),
	                             .is_directory = sqlite3_column_int(row, 2),
	                             .first = sqlite3_column_int64(row, 3),
	                             .files = column_u64(row, 4),
	                             .number = sqlite3_column_int64(row, 14)};
	column_text(row, 8, ret->kind, sizeof(ret->kind));
	column_text(row, 15, ret->name, sizeof(ret->name));
}

static int read_part_facts(sqlite3_stmt *row, int column, struct manifest *m)
{
	const char *text = column_borrowed(row, column);

	json_free(m->facts);
	m->facts = json_parse(text, strlen(text), NULL);
	return m->facts ? 0 : -EBADMSG;
}

/* What is said of the whole stays. */
static int overlay_part(sqlite3_stmt *row, struct manifest *m)
{
	m->is_directory = sqlite3_column_int(row, 2);
	m->size_bytes = column_u64(row, 5);
	column_text(row, 6, m->sha256, sizeof(m->sha256));
	mem_replace_string(&m->job, column_borrowed(row, 7));
	mem_replace_string(&m->kind, column_borrowed(row, 8));
	mem_replace_string(&m->target, column_borrowed(row, 9));
	mem_replace_string(&m->class, *column_borrowed(row, 10) ? column_borrowed(row, 10) : NULL);
	m->started_at_us = sqlite3_column_int64(row, 11);
	m->finished_at_us = sqlite3_column_int64(row, 12);
	return read_part_facts(row, 13, m);
}

#define PART_COLUMNS                                                                                                \
	"p.ino, p.artifact_ino, p.is_directory, p.first, p.files, p.size_bytes, p.sha256, p.job, p.kind, p.target," \
	" p.class, p.started_at_us, p.finished_at_us, p.facts, p.number, p.name"
#define OF_LISTED " FROM artifact_part p JOIN artifact a ON a.ino = p.artifact_ino WHERE a.tomb = 0"

int catalog_part(struct catalog *c, uint64_t ino, struct catalog_part *ret, struct manifest *m)
{
	static const char sql[] = "SELECT " PART_COLUMNS OF_LISTED " AND p.ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	_cleanup(manifest) struct manifest of = {0};
	struct catalog_part part;
	int r = query_one(&query);

	if (r < 0)
		return r;
	read_part_row(query.row, &part);
	if (m) {
		r = catalog_manifest(c, part.artifact_ino, &of);
		if (r == 0)
			r = overlay_part(query.row, &of);
		if (r < 0)
			return r;
		free(of.path);
		of.path = catalog_path(c, ino);
		*m = of;
		of = (struct manifest){0};
	}
	*ret = part;
	return 0;
}

static int find_part(struct catalog *c, const char *sql, const struct value *values, size_t count,
                     struct catalog_part *ret)
{
	_cleanup(query) struct query query = query_begin(c, sql, values, count);
	int r = query_one(&query);

	if (r == 0)
		read_part_row(query.row, ret);
	return r;
}

int catalog_next_part(struct catalog *c, uint64_t artifact_ino, int64_t after, struct catalog_part *ret)
{
	static const char sql[] = "SELECT " PART_COLUMNS OF_LISTED
	                          " AND p.artifact_ino = ?1 AND p.number > ?2 ORDER BY p.number LIMIT 1";

	return find_part(c, sql, VALUES(ino_value(artifact_ino), int_value(after)), ret);
}

int catalog_newest_has_part(struct catalog *c, const char *path, const char *job)
{
	static const char sql[] =
	        "SELECT 1 FROM artifact_part WHERE job = ?2 AND artifact_ino = (SELECT ino FROM artifact"
	        " WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1) AND tomb = 0 AND partial = 0"
	        " AND damaged IS NULL ORDER BY sequence DESC LIMIT 1) LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(path), text_value(job)));
	int r = query_one(&query);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* In the order of bytes '.' comes right before '/'. */
int catalog_part_by_stem(struct catalog *c, uint64_t artifact_ino, const char *stem, struct catalog_part *ret)
{
	static const char sql[] =
	        "SELECT " PART_COLUMNS OF_LISTED
	        " AND p.artifact_ino = ?1 AND (p.name = ?2 OR (p.name >= ?2 || '.' AND p.name < ?2 || '/'))"
	        " ORDER BY p.name LIMIT 1";

	return find_part(c, sql, VALUES(ino_value(artifact_ino), text_value(stem)), ret);
}

int catalog_part_below(struct catalog *c, uint64_t artifact_ino, const char *directory, const char *kind,
                       struct catalog_part *ret)
{
	static const char sql[] = "SELECT " PART_COLUMNS OF_LISTED
	                          " AND p.artifact_ino = ?1 AND p.name >= ?2 || '/' AND p.name < ?2 || '0'"
	                          " AND p.kind = ?3 ORDER BY p.name LIMIT 1";

	return find_part(c, sql, VALUES(ino_value(artifact_ino), text_value(directory), text_value(kind)),
	                 ret);
}

int catalog_backup_manifest(struct catalog *c, uint64_t ino, struct manifest *ret)
{
	struct catalog_part ignored;
	int r = catalog_part(c, ino, &ignored, ret);

	return r == -ENOENT ? catalog_manifest(c, ino, ret) : r;
}

char *catalog_part_damage(struct catalog *c, const struct catalog_part *part)
{
	static const char sql[] =
	        "SELECT name || ': ' || damaged FROM artifact_file WHERE parent_ino = ?1 AND sequence >= ?2"
	        " AND sequence < ?2 + ?3 AND damaged IS NOT NULL ORDER BY sequence LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(ino_value(part->artifact_ino), int_value(part->first),
	                           int_value((int64_t)part->files)));

	return query_one(&query) == 0 ? column_string(query.row, 0) : NULL;
}

int catalog_artifact_of(struct catalog *c, uint64_t ino, uint64_t *ret)
{
	static const char sql[] =
	        "SELECT ino FROM artifact WHERE ino = ?1 AND tomb = 0 UNION ALL"
	        " SELECT a.ino FROM artifact_file f JOIN artifact a ON a.ino = f.artifact_ino"
	        " WHERE f.ino = ?1 AND a.tomb = 0 UNION ALL"
	        " SELECT a.ino FROM artifact_part p JOIN artifact a ON a.ino = p.artifact_ino"
	        " WHERE p.ino = ?1 AND a.tomb = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		*ret = column_u64(query.row, 0);
	return r;
}
