// SPDX-License-Identifier: Apache-2.0
#include "words.h"

#include "copied.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/codec/name.h>
#include <keepfs/use.h>

#include <errno.h>
#include <string.h>

#define PAGE_ENTRIES 32

char *words_path(const char *word)
{
	return str_equal(word, "all") ? mem_strdup("") : tree_path(word);
}

bool words_is_of_exports(const char *path)
{
	const struct tree_root *root = tree_root_of(path);

	return root && str_equal(root->name, CONF_EXPORTS);
}

int words_refuse_export(const char *path, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s is an export of a tenant's data: it is read (zcat) and handed out (cp, links/), and not restored; a dump of the database is, such as full/latest.dump",
	        path);
}

/* "backups/full/latest.dump": what the link of the mount leads to. */
static int find_latest_named(struct catalog *c, const char *path, struct catalog_entry *ret)
{
	const char *slash = strrchr(path, '/');
	_cleanup(free) char *directory = slash ? mem_printf("%.*s", (int)(slash - path), path) : NULL;

	if (!directory || !str_starts(slash, "/latest"))
		return -ENOENT;
	return catalog_entry_latest(c, ino_of_directory(directory), slash + strlen("/latest"), ret);
}

/* An artifact, or a part of one. */
static int find_by_path(struct catalog *c, const char *path, struct catalog_entry *ret)
{
	struct catalog_part part;
	int r = catalog_entry_by_ino(c, ino_of_artifact(path), ret);

	return r < 0 || ret->kind == CATALOG_ARTIFACT ? r : catalog_part(c, ret->ino, &part, NULL);
}

/* "backups/site/latest/database.dump": a part of what the link leads to. */
static int find_in_latest(struct catalog *c, const char *path, struct catalog_entry *ret)
{
	const char *at = path;
	int r = -ENOENT;

	while (r == -ENOENT && (at = strstr(at, "/latest"))) {
		const char *end = at + 1 + strcspn(at + 1, "/");
		_cleanup(free) char *link = mem_printf("%.*s", (int)(end - path), path), *bundle = NULL,
		                    *part = NULL;

		at++;
		if (!*end || find_latest_named(c, link, ret) < 0)
			continue;
		bundle = catalog_path(c, ret->ino);
		part = bundle ? mem_printf("%s%s", bundle, end) : NULL;
		r = part ? find_by_path(c, part, ret) : -ENOENT;
	}
	return r;
}

static int find_backup_named(struct catalog *c, const char *path, struct catalog_entry *ret)
{
	int r = find_by_path(c, path, ret);

	if (r == -ENOENT)
		r = find_latest_named(c, path, ret);
	return r == -ENOENT ? find_in_latest(c, path, ret) : r;
}

/* "….dump.age": as a mount without an identity shows it. */
int words_find_backup(struct catalog *c, const char *path, struct catalog_entry *ret)
{
	size_t len =
	        strlen(path) - (str_ends(path, MANIFEST_SEALED_SUFFIX) ? strlen(MANIFEST_SEALED_SUFFIX) : 0);
	_cleanup(free) char *plain = mem_printf("%.*s", (int)len, path);
	int r = find_backup_named(c, plain, ret);

	return r == -ENOENT && !str_equal(plain, path) ? find_backup_named(c, path, ret) : r;
}

/* A directory: what was made last in it, and is not known to be damaged. Where all are, the one that is told of is the newest. */
static int find_undamaged(struct catalog *c, const char *directory, struct catalog_entry *ret)
{
	uint64_t ino;
	int r = catalog_newest_whole(c, directory, &ino);

	return r == 0 ? catalog_entry_by_ino(c, ino, ret)
	              : catalog_entry_made_last(c, ino_of_directory(directory), ret);
}

/* Of a further store, as the mount shows it: a restore, a drill and a verify read it from there. */
static int refuse_copy_word(const char *word, struct error *err)
{
	_cleanup(free) char *path = copied_path(word);

	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.200s is a copy in a further store, which this command does not read: bring it back first with 'keepfs replicate %.200s from=%.*s --wait', and name %.200s then",
	        word, *path ? tree_short(path) : "BACKUP", (int)strcspn(strchr(word, '/') + 1, "/"),
	        strchr(word, '/') + 1, *path ? tree_short(path) : "it");
}

int words_find_to_restore(struct catalog *c, const char *word, struct catalog_entry *ret, struct error *err)
{
	_cleanup(free) char *path = words_path(word);
	int r = words_find_backup(c, path, ret);

	if (r == -ENOENT)
		r = find_undamaged(c, path, ret);
	if (r == 0)
		return 0;
	if (r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (copied_is_word(word))
		return refuse_copy_word(word, err);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.200s is no backup, and no directory that has any: write one as the mount shows it (full/20261120T020000Z.dump, full/latest.dump); 'keepfs info' lists them",
	        path);
}

const char *words_server(const struct conf *conf, const char *given, const char *job_name, struct error *err)
{
	const struct conf_job *job = conf_find_job(conf, job_name);

	if (given)
		return given;
	if (job && job->kind == CONF_JOB_DUMP)
		return job->dump.database;
	error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the configuration has no job %s, whose server would be restored to: name one with server=postgresql://…",
	        job_name);
	return NULL;
}

static void add_backup_target(struct catalog *c, const struct catalog_entry *entry, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);

	t->name = catalog_path(c, entry->ino);
	t->label = mem_strdup(t->name);
	t->directory = mem_strdup(t->name);
	t->expected_bytes = entry->size_bytes;
}

static ssize_t add_directory_targets(struct catalog *c, const char *scope, struct make_targets *ret)
{
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	ssize_t n, added = 0;

	while ((n = catalog_places(c, *scope ? scope : NULL, place->path, place, 1)) > 0) {
		struct make_target *t = make_targets_add(ret);

		t->name = mem_strdup(place->path);
		t->label = mem_strdup(place->path);
		t->directory = mem_strdup(place->path);
		t->expected_bytes = place->stored_bytes;
		added++;
	}
	return n < 0 ? n : added;
}

int words_add_targets(struct catalog *c, const char *path, struct make_targets *ret, struct error *err)
{
	struct catalog_entry entry;
	ssize_t n = 0;
	int r = words_find_backup(c, path, &entry);

	if (r == 0)
		add_backup_target(c, &entry, ret);
	else if (r == -ENOENT)
		n = add_directory_targets(c, path, ret);
	if ((r < 0 && r != -ENOENT) || n < 0)
		return error_system(err, n < 0 ? (int)-n : -r, "the catalog cannot be read");
	if (r == 0 || n > 0)
		return 0;
	if (!*path)
		return error_set(err, ERROR_USAGE, EINVAL, "there is no backup yet");
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.200s is neither a backup nor a directory that has any: write one as the mount shows it (backups/full/20261120T020000Z.dump, backups/full/latest.dump), a job (full), a database of one (tenants/acme), or: all",
	        path);
}

int words_targets(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < wanted->line->word_count; i++) {
		_cleanup(free) char *path = words_path(wanted->line->words[i]);

		r = words_add_targets(ctx->repository->catalog, path, ret, err);
	}
	return r;
}

static int each_in_directory(struct catalog *c, const char *directory, bool (*each)(void *arg, uint64_t ino),
                             void *arg, struct error *err)
{
	_cleanup(free) struct catalog_entry *entries = mem_array(PAGE_ENTRIES, sizeof(*entries));
	uint64_t ino = ino_of_directory(directory);
	int64_t after = -1;
	ssize_t count;

	while ((count = catalog_entries(c, ino, CATALOG_ARTIFACT, after, entries, PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			if (!each(arg, entries[i].ino))
				return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		after = entries[count - 1].sequence;
	}
	return count < 0 ? error_system(err, (int)-count, "the catalog cannot be read") : 0;
}

int words_each_backup(struct catalog *c, const char *path, bool (*each)(void *arg, uint64_t ino), void *arg,
                      struct error *err)
{
	struct catalog_entry entry;
	int r = words_find_backup(c, path, &entry);

	if (r == -ENOENT)
		return each_in_directory(c, path, each, arg, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return each(arg, entry.ino) ? 0 : error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
}

const char *words_pair(const struct command_line *line, const char *key)
{
	for (size_t i = 0; i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, key))
			return line->pairs[i].value;
	return NULL;
}

int words_check_pairs(const struct command_line *line, const char *const *allowed, struct error *err)
{
	for (size_t i = 0; i < line->pair_count; i++) {
		_cleanup(str) struct str list = {0};
		size_t k = 0;

		for (; allowed[k] && !str_equal(allowed[k], line->pairs[i].key); k++)
			str_appendf(&list, "%s%s", k > 0 ? ", " : "", allowed[k]);
		if (!allowed[k])
			return error_set(err, ERROR_USAGE, EINVAL, "%.40s=%.40s: allowed are %s",
			                 line->pairs[i].key, line->pairs[i].value, str_text(&list));
	}
	return 0;
}

char *use_name(const struct make_kind *work, const struct command_line *line)
{
	_cleanup(free) char *job = NULL;

	size_t count = work->names_none                                 ? 0
	               : work->first_word_alone && line->word_count > 1 ? 1
	                                                                : line->word_count;

	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *path = copied_is_word(line->words[i]) ? copied_path(line->words[i])
		                                                           : words_path(line->words[i]);
		_cleanup(free) char *own = tree_job_of(path);

		if (!own || !*own || (job && !str_equal(own, job)))
			return mem_printf("%s:all", work->name);
		if (!job)
			job = take_ptr(&own);
	}
	return mem_printf("%s:%s", work->name, job ? job : "all");
}
