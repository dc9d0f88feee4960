// SPDX-License-Identifier: Apache-2.0
#include "past_dump.h"
#include "proving.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/codec/name.h>
#include <keepfs/inside/toc.h>

#include <errno.h>
#include <string.h>

#define READING_THREADS  3U
#define SCRIPT_MAX_BYTES ((size_t)1 << 20)

/* Which one. */

/* "full/20261120T020000Z" */
static int find_without_suffix(struct catalog *c, const char *path, struct catalog_entry *ret)
{
	static const char *const suffixes[] = {
	        ".dump",         ".sql.gz",  ".sql.zst",        ".sql",
	        ".partial.dump", ".partial", ".partial.sql.gz", ".partial.sql"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup(free) char *whole = mem_printf("%s%s", path, suffixes[i]);
		int r = words_find_backup(c, whole, ret);

		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

static int check_dump_of(const struct manifest *m, const char *database, struct error *err)
{
	const char *own = manifest_fact(m, "database"), *content = manifest_fact(m, "content");

	if (str_equal(m->kind, "export"))
		return words_refuse_export(m->path, err);
	if (!str_equal(m->kind, "dump"))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s is no dump of a database: there are no tables in it", m->path);
	if (content && !str_equal(content, "full"))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s does not hold both tables and rows (content=%s)", m->path, content);
	if (*database && own && !str_equal(own, database))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s is a dump of the database %s, and tenants are exported from %s", m->path,
		                 own, database);
	return 0;
}

/* Of a bundle: the part that is a dump of that database. Which one would not do, and why, is told where there is but one dump. */
static int find_dump_in_bundle(struct catalog *c, const struct manifest *bundle, const char *database,
                               uint64_t *ret_ino, struct error *err)
{
	struct catalog_part part = {.number = -1};
	struct error why = {0};
	size_t dumps = 0;
	int r;

	while ((r = catalog_next_part(c, ino_of_artifact(bundle->path), part.number, &part)) == 0) {
		_cleanup(manifest) struct manifest m = {0};

		if (!str_equal(part.kind, "dump") || catalog_backup_manifest(c, part.ino, &m) < 0)
			continue;
		dumps++;
		if (check_dump_of(&m, database, &why) < 0)
			continue;
		*ret_ino = part.ino;
		return 0;
	}
	if (r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (dumps == 1 && err)
		*err = why;
	if (dumps == 1)
		return -EINVAL;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "no part of the bundle %s is a dump of the database %s that holds tables and rows",
	                 bundle->path, *database ? database : "of [export]");
}

/* @io_ino: of a backup, or a part of one; of a bundle that of its part. */
static int check_named(struct catalog *c, uint64_t *io_ino, const char *database, struct manifest *ret,
                       struct error *err)
{
	int r = catalog_backup_manifest(c, *io_ino, ret);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return str_equal(ret->kind, "bundle") ? find_dump_in_bundle(c, ret, database, io_ino, err)
	                                      : check_dump_of(ret, database, err);
}

/* The newest good one of a directory, if it is of that database, and newer than @io. */
static int consider_directory(struct catalog *c, const char *directory, const char *database,
                              int64_t *io_started_us, uint64_t *io_ino)
{
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_entry latest = {0};
	struct error ignored = {0};
	uint64_t ino;
	int r = catalog_newest_whole(c, directory, &ino);

	/* Of bundles what "latest" leads to. */
	if (r == -ENOENT) {
		r = catalog_entry_latest(c, ino_of_directory(directory), "", &latest);
		ino = latest.ino;
	}

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = check_named(c, &ino, database, &m, &ignored);
	if (r == 0 && m.started_at_us > *io_started_us) {
		*io_started_us = m.started_at_us;
		*io_ino = ino;
	}
	return r < 0 && ignored.class == ERROR_USAGE ? 0 : r;
}

static int find_newest_of(struct catalog *c, const char *path, const char *word, const char *database,
                          uint64_t *ret_ino, struct error *err)
{
	_cleanup(make_targets) struct make_targets places = {0};
	int64_t started_us = INT64_MIN;
	int r = words_add_targets(c, path, &places, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < places.count; i++) {
		r = consider_directory(c, places.items[i].name, database, &started_us, ret_ino);
		if (r < 0)
			return error_system(err, -r, "the catalog cannot be read");
	}
	if (started_us > INT64_MIN)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%.200s has no dump of the database %s that is whole, and holds tables and rows",
	                 word, *database ? database : "of [export]");
}

int past_find_dump(const struct make_context *ctx, const char *word, const char *database, uint64_t *ret_ino,
                   struct error *err)
{
	struct catalog *c = ctx->repository->catalog;
	_cleanup(free) char *path = words_path(word);
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_entry entry;
	int r = words_find_backup(c, path, &entry);

	if (r == -ENOENT)
		r = find_without_suffix(c, path, &entry);
	if (r == -ENOENT)
		return find_newest_of(c, path, word, database, ret_ino, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	*ret_ino = entry.ino;
	return check_named(c, ret_ino, database, &m, err);
}

/* What makes its database. */

static int take_database_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	if (str_equal(e->desc, "DATABASE"))
		str_append(arg, e->defn);
	return 0;
}

static int script_of_archive(struct backup *b, struct str *script, struct error *err)
{
	_cleanup(inside_toc) struct inside_toc toc = {0};
	const struct pg_archive_events events = {.entry = take_database_entry, .arg = script};
	int r = inside_toc_open(&toc, b, err);

	return r < 0 ? r : inside_toc_each(&toc, &events, err);
}

static int take_database_script(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *script = arg;

	if (script->len + len > SCRIPT_MAX_BYTES)
		return error_set(err, ERROR_CORRUPT, EFBIG, "the script that makes the database is too long");
	str_append_bytes(script, data, len);
	return 0;
}

static int script_of_text(struct backup *b, struct str *script, struct error *err)
{
	const struct backup_out out = {.write = take_database_script, .arg = script};
	struct catalog_entry file;
	int r = backup_find(b, "database.sql.gz", &file);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_system(err, -r, "the catalog cannot be read")
	             : backup_read_plain(b, &file, &out, err);
}

static int read_database_script(struct past_dump *d, struct error *err)
{
	const char *name = strrchr(d->backup.path, '/');
	bool is_text =
	        str_equal(manifest_fact(&d->backup.m, "format"), "plain") || (name && strstr(name, ".sql"));

	return is_text ? script_of_text(&d->backup, &d->database_script, err)
	               : script_of_archive(&d->backup, &d->database_script, err);
}

/* Reading it. */

int past_dump_open(struct past_dump *d, const struct make_context *ctx, uint64_t ino, struct cancel *cancel,
                   struct error *err)
{
	struct reader_options reading = {.store = repository_store(ctx->repository),
	                                 .threads = READING_THREADS,
	                                 .ahead_bytes = PROVING_POOL_BYTES / 2,
	                                 .metrics = &d->reading};
	struct inside_options options = {.ctx = &d->ctx, .open_dumps = 1};
	int r;

	d->ctx = *ctx;
	d->ctx.pool = pool_new(PROVING_POOL_BYTES);
	if (!d->ctx.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the backup");
	d->backup = (struct backup){.ctx = &d->ctx, .cancel = cancel};
	r = backup_open(&d->backup, ino, err);
	/* All of the memory is the reader's from then on. */
	if (r == 0)
		r = read_database_script(d, err);
	if (r < 0)
		return r;
	reading.pool = d->ctx.pool;
	reading.buffers = pool_buffers(d->ctx.pool);
	r = reader_new(&reading, &d->reader, err);
	options.reader = d->reader;
	if (r == 0)
		r = inside_new(&options, &d->inside, err);
	return r < 0 ? r : inside_open(d->inside, ino, cancel, &d->dump, err);
}

void past_dump_close(struct past_dump *d)
{
	inside_close(d->dump);
	inside_free(d->inside);
	reader_free(d->reader);
	backup_finish(&d->backup);
	str_finish(&d->database_script);
	pool_free(d->ctx.pool);
}
