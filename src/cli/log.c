// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs log: when has a table changed? Two backups have the same version of it when what was counted is the same: rows, bytes, and the hash that does not
 * depend on their order. Backups come newest first, so the version at hand is told when an older one is another. What is read comes from a mount, or from the
 * store; either way it was checked.
 */
#include "client.h"
#include "engine.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>
#include <keepfs/report/status.h>
#include <keepfs/use/counted.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES_MOST 64 /* databases of jobs, of which one is to be chosen */

struct place { /* a job's database; heap */
	char *job, *target;
	bool is_looked_at, has_it, is_chosen;
};

struct version {
	bool is_there;
	struct rows rows;
	bool has_hash;
	char *since,
	        *until; /* when the oldest and the newest backup that has it began; heap; NULL: there is no version at hand */
	char *path; /* of the oldest; heap */
	uint64_t backups;
};

struct log {
	const char *table, *job, *target; /* what is asked for; job, target: NULL: to be chosen */
	char *job_word;                   /* heap: holds the two */
	char *place_word;                 /* heap: as it was written, below backups/ */
	bool is_backup;                   /* that is one */
	char *mountpoint;                 /* heap; NULL: the engine is open */
	struct engine engine;
	bool has_engine;
	FILE *backups; /* status/backups.jsonl */
	struct place places[PLACES_MOST];
	size_t place_count;
	bool json, is_one_of_several, is_next; /* directories */
	FILE *list;                            /* of versions, as JSON */
	struct use_versions seen;
	struct version at_hand;
	char *name, *nearest; /* heap */
	uint64_t versions, counted, uncounted, unreadable;
};

static void version_finish(struct version *v)
{
	free(v->since);
	free(v->until);
	free(v->path);
	*v = (struct version){0};
}

static void cleanup_log(struct log *l)
{
	for (size_t i = 0; i < l->place_count; i++) {
		free(l->places[i].job);
		free(l->places[i].target);
	}
	version_finish(&l->at_hand);
	if (l->backups)
		fclose(l->backups);
	if (l->list)
		fclose(l->list);
	if (l->has_engine)
		engine_close(&l->engine);
	free(l->mountpoint);
	free(l->job_word);
	free(l->place_word);
	free(l->name);
	free(l->nearest);
}

/* Where backups are listed. */

static int list_of_mount(struct log *l)
{
	_cleanup(free) char *path = mem_printf("%s/status/backups.jsonl", l->mountpoint);

	l->backups = fopen(path, "re");
	if (l->backups)
		return CLI_DONE;
	fprintf(stderr, "keepfs: %s cannot be read: %s\n", path, strerrordesc_np(errno));
	return CLI_UNREACHABLE;
}

static int copy_list(const struct report_sources *from, FILE *to)
{
	_cleanup(spool) struct spool *spool = spool_new(from->conf->state_dir);
	char buf[16384];
	uint64_t offset = 0;
	ssize_t n = report_all_backups_jsonl(from, spool);

	while (n >= 0 && (n = spool_read(spool, buf, sizeof(buf), offset)) > 0) {
		if (fwrite(buf, 1, (size_t)n, to) != (size_t)n)
			return -EIO;
		offset += (uint64_t)n;
	}
	return (int)n;
}

static int list_of_catalog(struct log *l, const struct conf *conf)
{
	struct report_sources sources = {.conf = conf, .now_us = clock_now_us()};
	struct error err = {0};
	int r;

	if (engine_open(conf, &l->engine, &err) < 0)
		return cli_fail(&err);
	l->has_engine = true;
	sources.catalog = l->engine.catalog;
	l->backups = tmpfile();
	r = l->backups ? copy_list(&sources, l->backups) : -errno;
	if (r == 0)
		return CLI_DONE;
	error_system(&err, -r, "the list of backups could not be made");
	return cli_fail(&err);
}

/* Whoever names a mount means that one. @conf has to last as long as @l. */
static int open_log_list(struct log *l, const struct cli_options *options, struct conf *conf)
{
	const char *named = getenv("KEEPFS_MOUNT");
	_cleanup(free) char *file = NULL;
	int status;

	if (options->mountpoint || (named && *named)) {
		status = client_find(options, &l->mountpoint);
		return status == CLI_DONE ? list_of_mount(l) : status;
	}
	status = cli_load_conf(options, conf);
	if (status != CLI_DONE)
		return status;
	file = mem_printf("%s/status/backups.jsonl", conf->mountpoint);
	if (access(file, F_OK) != 0)
		return list_of_catalog(l, conf);
	l->mountpoint = mem_strdup(conf->mountpoint);
	return list_of_mount(l);
}

/* What was counted of a backup. */

/* "backups/full/X.partial.dump" → "backups/full/X.tables.csv"; in one that is a directory, "tables.csv". */
static char *counts_path(const struct log *l, const char *backup)
{
	_cleanup(free) char *path = mem_printf("%s/%s", l->mountpoint, backup);
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return mem_printf("%s/tables.csv", path);
	*strchrnul(strrchr(path, '/'), '.') = '\0';
	return mem_printf("%s.tables.csv", path);
}

static int read_from_mount(const struct log *l, struct use_counting *c, const char *backup, struct error *err)
{
	_cleanup(free) char *path = counts_path(l, backup);
	FILE *f = fopen(path, "re");
	char buf[16384];
	size_t n;
	int r = 0;

	if (!f)
		return error_system(err, errno, "%s", path);
	while (r == 0 && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		r = use_counting_feed(c, buf, n, err);
	if (r == 0 && ferror(f))
		r = error_system(err, errno, "%s", path);
	fclose(f);
	return r;
}

/* 1: what it says is in @ret; 0: it says nothing. -EINVAL: the table has to be named otherwise. */
static int read_log_counts(struct log *l, struct use_counting *c, const char *backup, struct use_counted *ret,
                           struct error *err)
{
	int r = l->mountpoint ? read_from_mount(l, c, backup, err)
	                      : use_counting_read(c, &l->engine.make, backup, NULL, err);

	if (r == 0)
		r = use_counting_end(c, ret, err);
	return r == 0 ? 1 : r;
}

/* Which job, and which database of it. */

static bool is_of_dump(const struct log *l, const struct json *backup)
{
	return str_equal(json_get_string(backup, "kind"), "dump") &&
	       (!l->job || str_equal(l->job, json_get_string(backup, "job"))) &&
	       (!l->target || str_equal(l->target, json_get_string(backup, "target")));
}

/* Call @each with every backup of a database that is asked for, the newest first, until one returns less than 0. */
static int each_dump(struct log *l, int (*each)(struct log *l, const struct json *backup, struct error *err),
                     struct error *err)
{
	_cleanup(free) char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int r = 0;

	rewind(l->backups);
	while (r >= 0 && (len = getline(&line, &size, l->backups)) > 0) {
		_cleanup(json) struct json *backup = json_parse(line, (size_t)len, NULL);

		if (backup && is_of_dump(l, backup))
			r = each(l, backup, err);
	}
	return r < 0 ? r : 0;
}

static struct place *find_log_place(struct log *l, const struct json *backup)
{
	for (size_t i = 0; i < l->place_count; i++)
		if (str_equal(l->places[i].job, json_get_string(backup, "job")) &&
		    str_equal(l->places[i].target, json_get_string(backup, "target")))
			return &l->places[i];
	return NULL;
}

static int add_place(struct log *l, const struct json *backup, struct error *err)
{
	if (find_log_place(l, backup))
		return 0;
	if (l->place_count == PLACES_MOST)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "there are backups of more than %d databases: name the one that is meant as JOB/DATABASE",
		        PLACES_MOST);
	l->places[l->place_count++] = (struct place){.job = mem_strdup(json_get_string(backup, "job")),
	                                             .target = mem_strdup(json_get_string(backup, "target"))};
	return 0;
}

/* The newest backup of each that says anything about the table: one of less than its job asks for may not. */
static int look_for_table(struct log *l, const struct json *backup, struct error *err)
{
	_cleanup(use_counting) struct use_counting *c = use_counting_new(l->table);
	struct place *place = find_log_place(l, backup);
	struct use_counted found = {0};
	struct error why = {0};
	bool partial = false;

	if (!place || place->is_looked_at)
		return 0;
	/* What cannot be read is told when the place is chosen: an older one may say it. */
	if (read_log_counts(l, c, str_or_empty(json_get_string(backup, "path")), &found, &why) < 0 &&
	    why.class != ERROR_USAGE)
		return 0;
	if (!found.is_there && why.class != ERROR_USAGE && json_get_bool(backup, "partial", &partial) &&
	    partial)
		return 0;
	place->is_looked_at = true;
	place->has_it = found.is_there || why.class == ERROR_USAGE;
	return 0;
}

static bool place_has_table(const struct place *place)
{
	return place->has_it;
}

static bool is_place_counted(const struct place *place)
{
	return place->is_looked_at;
}

static bool is_place_uncounted(const struct place *place)
{
	return !place->is_looked_at;
}

static size_t list_log_places(const struct log *l, bool (*is_meant)(const struct place *place),
                              struct str *out)
{
	size_t count = 0;

	for (size_t i = 0; i < l->place_count; i++)
		if (is_meant(&l->places[i]))
			str_appendf(out, "%s%s/%s", count++ > 0 ? ", " : "", l->places[i].job,
			            str_or_empty(l->places[i].target));
	return count;
}

/* Several directories may have backups of one database. False: those that are meant are of several. */
static bool one_database(const struct log *l, bool (*is_meant)(const struct place *place),
                         const char **ret_database)
{
	const struct place *first = NULL;

	for (size_t i = 0; i < l->place_count; i++) {
		if (!is_meant(&l->places[i]))
			continue;
		if (first && !str_equal(first->target, l->places[i].target))
			return false;
		first = first ? first : &l->places[i];
	}
	*ret_database = first ? first->target : NULL;
	return first != NULL;
}

static void tell_left_out_places(const struct log *l)
{
	_cleanup(str) struct str names = {0};
	size_t count = list_log_places(l, is_place_uncounted, &names);

	if (count == 0)
		return;
	fputs("keepfs: left out, since no backup there says which rows the table had (plain SQL has no counts): ",
	      stderr);
	cli_put_line(stderr, str_text(&names));
	fputc('\n', stderr);
}

/* All directories of the database that has the table; or of the only one there is, of which an older backup may have it. */
static int choose_logged_database(struct log *l, struct error *err)
{
	_cleanup(str) struct str having = {0}, counted = {0};
	size_t having_count = list_log_places(l, place_has_table, &having);
	const char *database = NULL;

	if (list_log_places(l, is_place_counted, &counted) == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "no backup says which tables it has: only dumps of format=custom and directory have counts, dumps of plain SQL have none");
	if (!one_database(l, having_count > 0 ? place_has_table : is_place_counted, &database))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        having_count > 0
		                ? "%.120s is in several databases: name the one that is meant: %.800s"
		                : "the newest backups have no table %.120s; to see an older one name the database: %.800s",
		        l->table, str_text(having_count > 0 ? &having : &counted));
	for (size_t i = 0; i < l->place_count; i++)
		l->places[i].is_chosen =
		        l->places[i].is_looked_at && str_equal(l->places[i].target, database);
	return 0;
}

static void split_job_word(struct log *l)
{
	char *slash = strchr(l->job_word, '/');

	if (slash)
		*slash = '\0';
	l->job = l->job_word;
	l->target = slash ? slash + 1 : NULL;
}

static int note_log_backup(struct log *l, const struct json *backup, struct error *err)
{
	const char *path = str_or_empty(json_get_string(backup, "path"));

	l->is_backup = l->is_backup || str_equal(tree_short(path), l->place_word);
	return 0;
}

/* "full/latest.dump", "full/acme/20261120T020000Z.dump": a backup says which directory is meant. */
static int cut_backup(struct log *l, struct error *err)
{
	char *name = strrchr(l->place_word, '/');
	const char *target = l->target;

	if (!name)
		return 0;
	l->target = NULL;
	each_dump(l, note_log_backup, err);
	l->target = target;
	if (!l->is_backup && !str_starts(name + 1, "latest"))
		return 0;
	*name = '\0';
	mem_replace_string(&l->job_word, l->place_word);
	split_job_word(l);
	return each_dump(l, add_place, err);
}

static int refuse_place(struct log *l, struct error *err)
{
	const char *target = l->target;
	_cleanup(str) struct str names = {0};
	int r;

	l->target = NULL;
	r = target ? each_dump(l, add_place, err) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->place_count; i++)
		str_appendf(&names, "%s%s", i > 0 ? ", " : "", str_or_empty(l->places[i].target));
	if (l->place_count > 0)
		return error_set(err, ERROR_USAGE, EINVAL, "%.120s has no database %.120s; it has: %.800s",
		                 l->job, target, str_text(&names));
	if (str_equal(l->job, CONF_EXPORTS))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "of %s there is no backup of a database, and exports of tenants have no versions of tables: name another job",
		        l->job);
	return error_set(err, ERROR_USAGE, EINVAL, "there is no backup of a database%s%s",
	                 l->job ? " of " : "", str_or_empty(l->job));
}

static int choose_places(struct log *l, struct error *err)
{
	int r = each_dump(l, add_place, err);

	if (r == 0 && l->place_count == 0 && l->target)
		r = cut_backup(l, err);
	if (r < 0)
		return r;
	if (l->place_count == 0)
		return refuse_place(l, err);
	if (l->place_count == 1) {
		l->places[0].is_chosen = true;
		return 0;
	}
	r = each_dump(l, look_for_table, err);
	if (r < 0)
		return r;
	tell_left_out_places(l);
	return choose_logged_database(l, err);
}

/* Versions. */

static void print_log_heading(const struct log *l)
{
	fputs(l->is_next ? "\n" : "", stdout);
	cli_put_line(stdout, l->job);
	putchar('/');
	cli_put_line(stdout, str_or_empty(l->target));
	puts(":\n");
}

static void print_version(const struct log *l, const struct version *v, const struct use_counted *older)
{
	char rows[24] = "-", change[24] = "", bytes[16] = "-";

	if (v->is_there) {
		snprintf(rows, sizeof(rows), "%" PRIu64, v->rows.count);
		str_format_bytes(bytes, sizeof(bytes), v->rows.bytes);
	}
	if (older && (v->is_there || older->is_there))
		snprintf(change, sizeof(change), "%+" PRId64,
		         (int64_t)((v->is_there ? v->rows.count : 0) -
		                   (older->is_there ? older->rows.count : 0)));
	if (l->versions == 0 && l->is_one_of_several)
		print_log_heading(l);
	if (l->versions == 0)
		printf("%-19s %14s %14s %10s %8s %s\n", "SINCE (UTC)", "ROWS", "+/-", "BYTES", "BACKUPS",
		       "FIRST BACKUP THAT HAS IT");
	printf("%-19.19s %14s %14s %10s %8" PRIu64 " ", v->since, rows, change, bytes, v->backups);
	cli_put_line(stdout, v->path);
	puts(v->is_there ? "" : " (the table is not there)");
}

static void list_log_version(const struct log *l, const struct version *v, const struct use_counted *older)
{
	_cleanup(str) struct str item = {0};
	struct json *j = json_object_new();
	char hash[17];

	json_set_string(j, "since", v->since);
	json_set_string(j, "until", v->until);
	json_set_string(j, "path", v->path);
	json_set_int(j, "backups", (int64_t)v->backups);
	json_set_bool(j, "there", v->is_there);
	if (v->is_there) {
		snprintf(hash, sizeof(hash), "%016" PRIx64, v->rows.hash);
		json_set_int(j, "rows", (int64_t)v->rows.count);
		json_set_int(j, "bytes", (int64_t)v->rows.bytes);
		json_set_string(j, "hash", v->has_hash ? hash : NULL);
	}
	if (older)
		json_set_int(j, "rows_change",
		             (int64_t)((v->is_there ? v->rows.count : 0) -
		                       (older->is_there ? older->rows.count : 0)));
	json_list_add(j, l->versions == 0, &item);
	fputs(str_text(&item), l->list);
}

/* The one at hand is over, since @older is another one, or there is no older backup (NULL). */
static void tell_version(struct log *l, const struct use_counted *older)
{
	if (!l->at_hand.since)
		return;
	if (l->json)
		list_log_version(l, &l->at_hand, older);
	else
		print_version(l, &l->at_hand, older);
	l->versions++;
	version_finish(&l->at_hand);
}

static void take_log_version(struct log *l, const struct json *backup, const struct use_counted *found,
                             bool is_other)
{
	const char *started = str_or_empty(json_get_string(backup, "started"));
	struct version *v = &l->at_hand;

	if (is_other)
		tell_version(l, found);
	if (!v->since) {
		v->is_there = found->is_there;
		v->rows = found->rows;
		v->has_hash = found->has_hash;
		v->until = mem_strdup(started);
	}
	mem_replace_string(&v->since, started);
	mem_replace_string(&v->path, str_or_empty(json_get_string(backup, "path")));
	v->backups++;
}

static int count_unread(struct log *l, int r, const struct error *why)
{
	l->uncounted++;
	if (r == -ENOENT)
		return 0;
	l->unreadable++;
	fputs("keepfs: ", stderr);
	cli_put_line(stderr, why->message);
	fputc('\n', stderr);
	return 0;
}

static int take_backup(struct log *l, const struct json *backup, struct error *err)
{
	_cleanup(use_counting) struct use_counting *c = use_counting_new(l->table);
	struct use_counted found = {0};
	struct error why = {0};
	enum use_version version;
	bool partial = false;
	int r = read_log_counts(l, c, str_or_empty(json_get_string(backup, "path")), &found, &why);

	if (r < 0 && why.class == ERROR_USAGE) {
		*err = why;
		return r;
	}
	if (r < 0)
		return count_unread(l, r, &why);
	(void)json_get_bool(backup, "partial", &partial);
	version = use_versions_take(&l->seen, &found, partial);
	if (version == USE_VERSION_SILENT)
		return 0;
	l->counted++;
	if (found.name && !l->name)
		l->name = mem_strdup(found.name);
	if (found.nearest && !l->nearest)
		l->nearest = mem_strdup(found.nearest);
	take_log_version(l, backup, &found, version == USE_VERSION_OTHER);
	return 0;
}

/* Telling. */

static void print_end(const struct log *l)
{
	printf("\n%s of ", l->name);
	cli_put_line(stdout, l->job);
	fputs(", database ", stdout);
	cli_put_line(stdout, str_or_empty(l->target));
	printf(": %" PRIu64 " version%s in %" PRIu64 " backup%s\n", l->versions, l->versions == 1 ? "" : "s",
	       l->counted, l->counted == 1 ? "" : "s");
	if (l->uncounted > 0)
		printf("%" PRIu64
		       " more backups say nothing of it: nothing was counted of them (plain SQL), or it cannot be read\n",
		       l->uncounted);
}

static int print_list(const struct log *l)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str out = {0}, end = {0};
	char buf[16384];
	size_t n;

	json_set_string(object, "table", l->name);
	json_set_string(object, "job", l->job);
	json_set_string(object, "database", l->target);
	json_set_int(object, "backups", (int64_t)l->counted);
	json_set_int(object, "backups_uncounted", (int64_t)l->uncounted);
	json_write_open(object, &out);
	json_list_open("versions", &out);
	fputs(str_text(&out), stdout);
	rewind(l->list);
	while ((n = fread(buf, 1, sizeof(buf), l->list)) > 0)
		fwrite(buf, 1, n, stdout);
	json_list_close(&end);
	json_write_close(&end);
	fputs(str_text(&end), stdout);
	return CLI_DONE;
}

static int refuse_log(const struct log *l)
{
	if (l->counted == 0)
		return cli_usage(
		        "of no backup of %s/%s the tables were counted: dumps of plain SQL have no .tables.csv; those of format=custom and directory have one",
		        l->job, str_or_empty(l->target));
	return cli_usage("no backup of %s/%s has a table %s%s%s%s", l->job, str_or_empty(l->target), l->table,
	                 l->nearest ? ": did you mean " : "", str_or_empty(l->nearest),
	                 l->nearest ? "?" : "");
}

/* What was never there has no versions: its only one is that it is not. */
static int tell_log(struct log *l)
{
	if (l->unreadable > 0 && l->counted == 0)
		return CLI_FAILED;
	if (!l->name)
		return refuse_log(l);
	tell_version(l, NULL);
	if (l->json)
		print_list(l);
	else
		print_end(l);
	return l->unreadable > 0 ? CLI_FAILED : CLI_DONE;
}

/* A directory of backups after the other, with what was counted there. */
static int tell_log_of_place(struct log *l, const struct place *place, struct error *err)
{
	l->job = place->job;
	l->target = place->target;
	l->list = l->json ? tmpfile() : NULL;
	if (l->json && !l->list)
		return cli_fail((error_system(err, errno, "a temporary file"), err));
	if (each_dump(l, take_backup, err) < 0)
		return cli_fail(err);
	return tell_log(l);
}

static void forget_place(struct log *l)
{
	version_finish(&l->at_hand);
	if (l->list)
		fclose(l->list);
	l->list = NULL;
	free(l->name);
	free(l->nearest);
	l->name = l->nearest = NULL;
	l->seen = (struct use_versions){0};
	l->versions = l->counted = l->uncounted = l->unreadable = 0;
}

/* Where one directory lacks the table and others have it, that is said and is no mistake. */
static int worse_status(int a, int b)
{
	if (a == CLI_FAILED || b == CLI_FAILED)
		return CLI_FAILED;
	return a == CLI_DONE || b == CLI_DONE ? CLI_DONE : b;
}

static int tell_log_of_places(struct log *l, struct error *err)
{
	int status = CLI_USAGE;
	size_t chosen = 0;

	for (size_t i = 0; i < l->place_count; i++)
		chosen += l->places[i].is_chosen;
	l->is_one_of_several = chosen > 1;
	for (size_t i = 0; i < l->place_count; i++) {
		if (!l->places[i].is_chosen)
			continue;
		status = worse_status(status, tell_log_of_place(l, &l->places[i], err));
		l->is_next = l->is_next || l->name;
		forget_place(l);
	}
	return status;
}

/* A path below the mount, as the shell completes it, is known by what is listed there. */
static void take_log_place(struct log *l, const struct cli_options *options, const char *mountpoint)
{
	_cleanup(free) char *path = NULL;
	const char *word;

	if (options->argc == 1)
		return;
	word = client_within_mount(mountpoint, options->argv[0]);
	path = tree_path(word);
	l->place_word = mem_strdup(tree_short(path));
	l->job_word = mem_strdup(l->place_word);
	split_job_word(l);
}

int cmd_log(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(log) struct log l = {.json = options->json};
	struct error err = {0};
	int status;

	if (options->argc < 1 || options->argc > 2)
		return cli_usage("log takes a table, or a job and a table: full/acme public.orders");
	l.table = options->argv[options->argc - 1];
	status = open_log_list(&l, options, &conf);
	if (status != CLI_DONE)
		return status;
	take_log_place(&l, options, l.mountpoint ? l.mountpoint : conf.mountpoint);
	if (choose_places(&l, &err) < 0)
		return cli_fail(&err);
	return tell_log_of_places(&l, &err);
}
