// SPDX-License-Identifier: Apache-2.0
/* Which directories of backups keepfs log tells of: one that is named, or all of the database that has the table. */
#include "cli.h"
#include "client.h"
#include "log.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/conf.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct log_place *find_log_place(struct log_places *p, const struct json *backup)
{
	for (size_t i = 0; i < p->count; i++)
		if (str_equal(p->items[i].job, json_get_string(backup, "job")) &&
		    str_equal(p->items[i].target, json_get_string(backup, "target")))
			return &p->items[i];
	return NULL;
}

static int add_place(void *arg, const struct json *backup, struct error *err)
{
	struct log_places *p = arg;
	if (find_log_place(p, backup))
		return 0;
	if (p->count == LOG_PLACES_MOST)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "there are backups of more than %d databases: name the one that is meant as JOB/DATABASE",
		        LOG_PLACES_MOST);
	p->items[p->count++] = (struct log_place){.job = mem_strdup(json_get_string(backup, "job")),
	                                          .target = mem_strdup(json_get_string(backup, "target"))};
	return 0;
}

/* The newest backup of each that says anything about the table: one of less than its job asks for may not. */
static int look_for_table(void *arg, const struct json *backup, struct error *err)
{
	struct log_places *p = arg;
	_cleanup(use_counting) struct use_counting *c = use_counting_new(p->table);
	struct log_place *place = find_log_place(p, backup);
	struct use_counted found = {0};
	struct error why = {0};
	bool partial = false;

	if (!place || place->is_looked_at)
		return 0;
	/* What cannot be read is told when the place is chosen: an older one may say it. */
	if (log_backups_count(p->backups, c, str_or_empty(json_get_string(backup, "path")), &found, &why) <
	            0 &&
	    why.class != ERROR_USAGE)
		return 0;
	if (!found.is_there && why.class != ERROR_USAGE && json_get_bool(backup, "partial", &partial) &&
	    partial)
		return 0;
	place->is_looked_at = true;
	place->has_it = found.is_there || why.class == ERROR_USAGE;
	return 0;
}

static bool place_has_table(const struct log_place *place)
{
	return place->has_it;
}

static bool is_place_counted(const struct log_place *place)
{
	return place->is_looked_at;
}

static bool is_place_uncounted(const struct log_place *place)
{
	return !place->is_looked_at;
}

static size_t list_log_places(const struct log_places *p, bool (*is_meant)(const struct log_place *place),
                              struct str *out)
{
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		if (is_meant(&p->items[i]))
			str_appendf(out, "%s%s/%s", count++ > 0 ? ", " : "", p->items[i].job,
			            str_or_empty(p->items[i].target));
	return count;
}

/* Several directories may have backups of one database. False: those that are meant are of several. */
static bool one_database(const struct log_places *p, bool (*is_meant)(const struct log_place *place),
                         const char **ret_database)
{
	const struct log_place *first = NULL;

	for (size_t i = 0; i < p->count; i++) {
		if (!is_meant(&p->items[i]))
			continue;
		if (first && !str_equal(first->target, p->items[i].target))
			return false;
		first = first ? first : &p->items[i];
	}
	*ret_database = first ? first->target : NULL;
	return first != NULL;
}

static void tell_left_out_places(const struct log_places *p)
{
	_cleanup(str) struct str names = {0};
	size_t count = list_log_places(p, is_place_uncounted, &names);

	if (count == 0)
		return;
	fputs("keepfs: left out, since no backup there says which rows the table had (plain SQL has no counts): ",
	      stderr);
	cli_put_line(stderr, str_text(&names));
	fputc('\n', stderr);
}

/* All directories of the database that has the table; or of the only one there is, of which an older backup may have it. */
static int choose_logged_database(struct log_places *p, struct error *err)
{
	_cleanup(str) struct str having = {0}, counted = {0};
	size_t having_count = list_log_places(p, place_has_table, &having);
	const char *database = NULL;

	if (list_log_places(p, is_place_counted, &counted) == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "no backup says which tables it has: only dumps of format=custom and directory have counts, dumps of plain SQL have none");
	if (!one_database(p, having_count > 0 ? place_has_table : is_place_counted, &database))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        having_count > 0
		                ? "%.120s is in several databases: name the one that is meant: %.800s"
		                : "the newest backups have no table %.120s; to see an older one name the database: %.800s",
		        p->table, str_text(having_count > 0 ? &having : &counted));
	for (size_t i = 0; i < p->count; i++)
		p->items[i].is_chosen = p->items[i].is_looked_at && str_equal(p->items[i].target, database);
	return 0;
}

static void split_job_word(struct log_places *p)
{
	char *slash = strchr(p->job_word, '/');

	if (slash)
		*slash = '\0';
	p->backups->job = p->job_word;
	p->backups->target = slash ? slash + 1 : NULL;
}

static int note_log_backup(void *arg, const struct json *backup, struct error *err)
{
	struct log_places *p = arg;
	const char *path = str_or_empty(json_get_string(backup, "path"));

	p->is_backup = p->is_backup || str_equal(tree_short(path), p->place_word);
	return 0;
}

/* "full/latest.dump", "full/acme/20261120T020000Z.dump": a backup says which directory is meant. */
static int cut_backup(struct log_places *p, struct error *err)
{
	char *name = strrchr(p->place_word, '/');
	const char *target = p->backups->target;

	if (!name)
		return 0;
	p->backups->target = NULL;
	log_backups_each(p->backups, note_log_backup, p, err);
	p->backups->target = target;
	if (!p->is_backup && !str_starts(name + 1, "latest"))
		return 0;
	*name = '\0';
	mem_replace_string(&p->job_word, p->place_word);
	split_job_word(p);
	return log_backups_each(p->backups, add_place, p, err);
}

static int refuse_place(struct log_places *p, struct error *err)
{
	const char *target = p->backups->target;
	_cleanup(str) struct str names = {0};
	int r;

	p->backups->target = NULL;
	r = target ? log_backups_each(p->backups, add_place, p, err) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->count; i++)
		str_appendf(&names, "%s%s", i > 0 ? ", " : "", str_or_empty(p->items[i].target));
	if (p->count > 0)
		return error_set(err, ERROR_USAGE, EINVAL, "%.120s has no database %.120s; it has: %.800s",
		                 p->backups->job, target, str_text(&names));
	if (str_equal(p->backups->job, CONF_EXPORTS))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "of %s there is no backup of a database, and exports of tenants have no versions of tables: name another job",
		        p->backups->job);
	return error_set(err, ERROR_USAGE, EINVAL, "there is no backup of a database%s%s",
	                 p->backups->job ? " of " : "", str_or_empty(p->backups->job));
}

int log_places_choose(struct log_places *p, struct error *err)
{
	int r = log_backups_each(p->backups, add_place, p, err);

	if (r == 0 && p->count == 0 && p->backups->target)
		r = cut_backup(p, err);
	if (r < 0)
		return r;
	if (p->count == 0)
		return refuse_place(p, err);
	if (p->count == 1) {
		p->items[0].is_chosen = true;
		return 0;
	}
	r = log_backups_each(p->backups, look_for_table, p, err);
	if (r < 0)
		return r;
	tell_left_out_places(p);
	return choose_logged_database(p, err);
}

void log_places_name(struct log_places *p, const char *word, const char *mountpoint)
{
	_cleanup(free) char *path = tree_path(client_within_mount(mountpoint, word));

	p->place_word = mem_strdup(tree_short(path));
	p->job_word = mem_strdup(p->place_word);
	split_job_word(p);
}

void log_places_finish(struct log_places *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->items[i].job);
		free(p->items[i].target);
	}
	free(p->job_word);
	free(p->place_word);
}
