// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of copies. A row is a file or a directory; those of one artifact come and go together, and directories above artifacts are made with the first and swept when
 * they are empty.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/name.h>

#define BITS_COPY (UINT64_C(5) << 58)
#define HASH_MASK ((UINT64_C(1) << 58) - 2) /* the lowest bit is for what is made up in a directory */

uint64_t copy_tree_ino(uint64_t store, const char *path)
{
	_cleanup(free) char *text = mem_printf("%" PRIu64 "/%s", store, path);

	return BITS_COPY | (hash64(text) & HASH_MASK);
}

/* Filling it. */

struct planting {
	struct connection *c;
	uint64_t store;
	const struct manifest *m;
};

struct copy_row {
	const char *shown; /* its whole path */
	const char *file;  /* "": a directory */
	bool is_above;     /* of no artifact */
	const struct manifest_file *of;
};

static char *parent_of_path(const char *path)
{
	const char *slash = strrchr(path, '/');

	return mem_printf("%.*s", slash ? (int)(slash - path) : 0, path);
}

/* Of an artifact that is a directory: that of its SHA256SUMS. */
static const char *sha256_of_row(const struct planting *p, const struct copy_row *row)
{
	if (row->of)
		return row->of->sha256;
	return !row->is_above && strcmp(row->shown, p->m->path) == 0 ? p->m->sha256 : "";
}

static bool is_artifact_row(const struct planting *p, const struct copy_row *row)
{
	return !row->of && !row->is_above && strcmp(row->shown, p->m->path) == 0;
}

static int listing_of_row(const struct planting *p, const struct copy_row *row)
{
	for (size_t i = 0; is_artifact_row(p, row) && i < p->m->object_count; i++)
		if (str_equal(p->m->objects[i].role, MANIFEST_ROLE_LISTING))
			return p->m->file_count > 0 ? 2 : 1;
	return 0;
}

static int insert_copy_row(struct planting *p, const struct copy_row *row)
{
	static const char sql[] =
	        "INSERT OR IGNORE INTO copy_tree (ino, parent_ino, store, path, shown, name, file, size_bytes, sealed_bytes,"
	        " secret, mtime_us, sha256, stored_sha256, stored_bytes, listing)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
	const struct manifest_object *o =
	        row->of && row->of->object != MANIFEST_NO_OBJECT ? &p->m->objects[row->of->object] : NULL;
	_cleanup(free) char *parent = parent_of_path(row->shown);
	const char *slash = strrchr(row->shown, '/');

	return db_run(p->c, sql,
	              VALUES(ino_value(copy_tree_ino(p->store, row->shown)),
	                     ino_value(row->shown[0] ? copy_tree_ino(p->store, parent) : 0),
	                     int_value((int64_t)p->store), text_value(row->is_above ? "" : p->m->path),
	                     text_value(row->shown), text_value(slash ? slash + 1 : row->shown),
	                     text_value(row->file), int_value(row->of ? (int64_t)row->of->size_bytes : 0),
	                     object_sealed_bytes(o), int_value(row->of && row->of->secret),
	                     int_value(p->m->finished_at_us), text_value(sha256_of_row(p, row)),
	                     text_value(o ? o->stored_sha256 : ""),
	                     int_value((int64_t)(o ? o->stored_bytes : p->m->size_bytes)),
	                     int_value(listing_of_row(p, row))));
}

/* All that are above @path, from behind its first @from bytes on. */
static int insert_directories(struct planting *p, const char *path, size_t from, bool is_above)
{
	int r = 0;

	for (const char *slash = strchr(path + from, '/'); r == 0 && slash; slash = strchr(slash + 1, '/')) {
		_cleanup(free) char *directory = mem_printf("%.*s", (int)(slash - path), path);

		r = insert_copy_row(p,
		                    &(struct copy_row){.shown = directory, .file = "", .is_above = is_above});
	}
	return r;
}

static int insert_copy_file(struct planting *p, const struct manifest_file *f)
{
	_cleanup(free) char *shown = manifest_file_path(p->m, f);
	size_t len = strlen(shown);
	int r = 0;

	if (p->m->is_directory)
		r = insert_directories(p, shown, strlen(p->m->path) + 1, false);
	/* An empty directory was made of its name. */
	if (r < 0 || (len > 0 && shown[len - 1] == '/'))
		return r;
	return insert_copy_row(p, &(struct copy_row){.shown = shown, .file = f->name, .of = f});
}

/* Of the artifact. */
static int note_about(struct connection *c, uint64_t store, const struct manifest *m)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO copy_about (path, store, run_id, kind, target, triggered_by, note, encrypted_to, facts)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
	_cleanup(str) struct str facts = {0};

	if (m->facts)
		json_write(m->facts, 0, &facts);
	return db_run(c, sql,
	              VALUES(text_value(m->path), int_value((int64_t)store), int_value(m->run_id),
	                     text_value(str_or_empty(m->kind)), text_value(str_or_empty(m->target)),
	                     text_value(str_or_empty(m->triggered_by)), text_value(str_or_empty(m->note)),
	                     text_value(str_or_empty(m->encrypted_to)), text_value(str_text(&facts))));
}

static int drop_copy_rows(struct connection *c, uint64_t store, const char *path)
{
	static const char sql[] = "DELETE FROM copy_tree WHERE store = ?1 AND path = ?2";

	return db_run(c, sql, VALUES(int_value((int64_t)store), text_value(path)));
}

static int plant(struct connection *c, uint64_t store, const struct manifest *m)
{
	struct planting p = {.c = c, .store = store, .m = m};
	/* As in the first store: what packs have is shown in the states that need them. */
	bool is_shown = !tree_is_pack(m->path);
	int r = drop_copy_rows(c, store, m->path);

	if (r == 0 && is_shown)
		r = insert_copy_row(&p, &(struct copy_row){.shown = "", .file = "", .is_above = true});
	if (r == 0 && is_shown)
		r = insert_directories(&p, m->path, 0, true);
	if (r == 0 && m->is_directory)
		r = insert_copy_row(&p, &(struct copy_row){.shown = m->path, .file = ""});
	for (size_t i = 0; r == 0 && i < m->file_count; i++)
		r = insert_copy_file(&p, &m->files[i]);
	if (r == 0)
		r = copy_needs_set(c, store, m);
	return r < 0 ? r : note_about(c, store, m);
}

int catalog_set_copy_tree(struct catalog *c, uint64_t store, const struct manifest *m, struct error *err)
{
	return TRANSACTION(c, err, plant(c->writer, store, m));
}

int catalog_has_copy_tree(struct catalog *c, uint64_t store, const char *path)
{
	static const char sql[] = "SELECT 1 FROM copy_tree WHERE store = ?1 AND path = ?2 LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value((int64_t)store), text_value(path)));
	int r = query_one(&query);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int catalog_sweep_copy_tree(struct catalog *c, struct error *err)
{
	static const char sql[] = "DELETE FROM copy_tree WHERE path = '' AND NOT EXISTS"
	                          " (SELECT 1 FROM copy_tree child WHERE child.parent_ino = copy_tree.ino)";

	return TRANSACTION(c, err, db_repeat(c->writer, sql, NULL, 0));
}

/* Reading it. */

#define COPY_ENTRY                                                                                           \
	"SELECT ino, parent_ino, sequence, name, mtime_us, size_bytes, sealed_bytes, secret, file, listing FROM copy_tree"

static void read_copy_entry(sqlite3_stmt *row, struct catalog_entry *ret)
{
	*ret = (struct catalog_entry){
	        .ino = column_u64(row, 0),
	        .parent_ino = column_u64(row, 1),
	        .sequence = sqlite3_column_int64(row, 2),
	        .mtime_us = sqlite3_column_int64(row, 4),
	        .size_bytes = column_u64(row, 5),
	        .is_sealed = sqlite3_column_type(row, 6) != SQLITE_NULL,
	        .sealed_bytes = column_u64(row, 6),
	        .secret = sqlite3_column_int(row, 7),
	        .has_listing = sqlite3_column_int(row, 9) > 0,
	        .files = sqlite3_column_int(row, 9) > 1,
	};
	column_text(row, 3, ret->name, sizeof(ret->name));
	ret->is_directory = column_borrowed(row, 8)[0] == '\0';
}

static int one_copy_entry(struct catalog *c, const char *sql, const struct value *values, size_t count,
                          struct catalog_entry *ret)
{
	_cleanup(query) struct query query = query_begin(c, sql, values, count);
	int r = query_one(&query);

	if (r == 0)
		read_copy_entry(query.row, ret);
	return r;
}

int catalog_copy_entry(struct catalog *c, uint64_t ino, struct catalog_entry *ret)
{
	return one_copy_entry(c, COPY_ENTRY " WHERE ino = ?1", VALUES(ino_value(ino)), ret);
}

int catalog_copy_child(struct catalog *c, uint64_t parent_ino, const char *name, struct catalog_entry *ret)
{
	return one_copy_entry(c, COPY_ENTRY " WHERE parent_ino = ?1 AND name = ?2",
	                      VALUES(ino_value(parent_ino), text_value(name)), ret);
}

ssize_t catalog_copy_children(struct catalog *c, uint64_t parent_ino, int64_t after,
                              struct catalog_entry *ret, size_t max)
{
	static const char sql[] =
	        COPY_ENTRY " WHERE parent_ino = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(parent_ino), int_value(after), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query))
		read_copy_entry(query.row, &ret[count++]);
	return query.result < 0 ? query.result : count;
}

int catalog_copy_tree_of(struct catalog *c, const char *name, uint64_t *ret_store)
{
	static const char sql[] =
	        "SELECT t.store FROM copy_tree t JOIN store s ON s.id = t.store WHERE t.parent_ino = 0 AND t.shown = ''"
	        " AND s.name = ?1 ORDER BY t.store DESC LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(name)));
	int r = query_one(&query);

	if (r == 0)
		*ret_store = column_u64(query.row, 0);
	return r;
}

int catalog_copy_place(struct catalog *c, uint64_t ino, struct catalog_copy_place *ret)
{
	static const char sql[] = "SELECT store, path, shown, file FROM copy_tree WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	ret->store = column_u64(query.row, 0);
	column_text(query.row, 1, ret->path, sizeof(ret->path));
	column_text(query.row, 2, ret->shown, sizeof(ret->shown));
	column_text(query.row, 3, ret->file, sizeof(ret->file));
	return 0;
}

/* What is known of them. */

static void read_about(sqlite3_stmt *row, struct manifest *m)
{
	const char *facts = column_borrowed(row, 6);

	m->run_id = sqlite3_column_int64(row, 0);
	m->kind = column_string(row, 1);
	m->target = column_string(row, 2);
	m->triggered_by = column_string(row, 3);
	m->note = column_borrowed(row, 4)[0] ? column_string(row, 4) : NULL;
	m->encrypted_to = column_borrowed(row, 5)[0] ? column_string(row, 5) : NULL;
	m->facts = *facts ? json_parse(facts, strlen(facts), NULL) : NULL;
}

static void take_replica(const struct catalog_replica *row, struct manifest *m)
{
	m->path = mem_strdup(row->path);
	m->job = mem_strdup(row->job);
	m->class = row->class[0] ? mem_strdup(row->class) : NULL;
	m->started_at_us = row->started_at_us;
	m->finished_at_us = row->finished_at_us;
	m->keep_until_us = row->keep_until_us;
	m->partial = row->partial;
	/* 1: somebody has found it there. */
	m->verified_at_us = row->verified_at_us > 1 ? row->verified_at_us : 0;
}

static int read_about_of(struct catalog *c, const struct catalog_copy_place *place, struct manifest *m)
{
	static const char sql[] =
	        "SELECT run_id, kind, target, triggered_by, note, encrypted_to, facts FROM copy_about"
	        " WHERE path = ?1 AND store = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(place->path), int_value((int64_t)place->store)));
	int r = query_one(&query);

	if (r == 0)
		read_about(query.row, m);
	return r;
}

static int read_sums_of(struct catalog *c, uint64_t ino, struct catalog_copy_facts *ret)
{
	static const char sql[] = "SELECT sha256, stored_sha256, stored_bytes FROM copy_tree WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	column_text(query.row, 0, ret->sha256, sizeof(ret->sha256));
	column_text(query.row, 1, ret->stored_sha256, sizeof(ret->stored_sha256));
	ret->stored_bytes = column_u64(query.row, 2);
	return 0;
}

int catalog_copy_facts(struct catalog *c, uint64_t ino, struct catalog_copy_facts *ret)
{
	struct catalog_copy_place place;
	struct catalog_copy_facts facts = {0};
	int r = catalog_copy_place(c, ino, &place);

	if (r == 0 && (!place.path[0] || (!place.file[0] && strcmp(place.shown, place.path) != 0)))
		r = -ENOENT;
	if (r == 0)
		r = read_sums_of(c, ino, &facts);
	if (r == 0)
		r = catalog_replica(c, place.path, place.store, &facts.replica);
	if (r == 0)
		r = read_about_of(c, &place, &facts.manifest);
	if (r < 0)
		return r;
	take_replica(&facts.replica, &facts.manifest);
	*ret = facts;
	return 0;
}

/* SHA256SUMS: of each artifact that is a directory there is one among its files. */

bool catalog_copy_has_sums(struct catalog *c, uint64_t directory_ino)
{
	static const char sql[] = "SELECT 1 FROM copy_tree d JOIN copy_tree child ON child.parent_ino = d.ino"
	                          " WHERE d.ino = ?1 AND d.path = '' AND child.path <> '' LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));

	return query_one(&query) == 0;
}

int catalog_copy_sums(struct catalog *c, uint64_t directory_ino, bool as_stored,
                      void (*row)(void *arg, const char *line), void *arg)
{
	static const char sql[] =
	        "SELECT iif(t.file = '', t.name || '/' || s.name, t.name), coalesce(s.sha256, t.sha256),"
	        " coalesce(s.stored_sha256, t.stored_sha256), coalesce(s.sealed_bytes, t.sealed_bytes) IS NOT NULL"
	        " FROM copy_tree t LEFT JOIN copy_tree s ON t.file = '' AND s.parent_ino = t.ino AND s.name = 'SHA256SUMS'"
	        " WHERE t.parent_ino = ?1 AND t.path <> '' AND (t.file <> '' OR s.ino IS NOT NULL) ORDER BY t.name";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(directory_ino)));
	_cleanup(str) struct str line = {0}, name = {0};

	while (query_next(&query)) {
		bool is_stored = as_stored && sqlite3_column_int(query.row, 3);

		str_clear(&line);
		str_clear(&name);
		str_appendf(&name, "%s%s", column_borrowed(query.row, 0),
		            is_stored ? MANIFEST_SEALED_SUFFIX : "");
		sums_append(&line, str_text(&name), false, column_borrowed(query.row, is_stored ? 2 : 1));
		row(arg, str_text(&line));
	}
	return query.result;
}
