// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs log: when has a table changed? Two backups have the same version of it when what was counted is the same: rows, bytes, and the hash that does not
 * depend on their order. Backups come newest first, so the version at hand is told when an older one is another. What is read comes from a mount, or from the
 * store; either way it was checked.
 */
#include "log.h"
#include "cli.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

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
	struct log_backups backups;
	struct log_places places;
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
	log_places_finish(&l->places);
	log_backups_close(&l->backups);
	version_finish(&l->at_hand);
	if (l->list)
		fclose(l->list);
	free(l->name);
	free(l->nearest);
}

static void print_log_heading(const struct log *l)
{
	fputs(l->is_next ? "\n" : "", stdout);
	cli_put_line(stdout, l->backups.job);
	putchar('/');
	cli_put_line(stdout, str_or_empty(l->backups.target));
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

static int take_backup(void *arg, const struct json *backup, struct error *err)
{
	struct log *l = arg;
	_cleanup(use_counting) struct use_counting *c = use_counting_new(l->places.table);
	struct use_counted found = {0};
	struct error why = {0};
	enum use_version version;
	bool partial = false;
	int r = log_backups_count(&l->backups, c, str_or_empty(json_get_string(backup, "path")), &found,
	                          &why);

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
	cli_put_line(stdout, l->backups.job);
	fputs(", database ", stdout);
	cli_put_line(stdout, str_or_empty(l->backups.target));
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
	json_set_string(object, "job", l->backups.job);
	json_set_string(object, "database", l->backups.target);
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
		        l->backups.job, str_or_empty(l->backups.target));
	return cli_usage("no backup of %s/%s has a table %s%s%s%s", l->backups.job,
	                 str_or_empty(l->backups.target), l->places.table,
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
static int tell_log_of_place(struct log *l, const struct log_place *place, struct error *err)
{
	l->backups.job = place->job;
	l->backups.target = place->target;
	l->list = l->json ? tmpfile() : NULL;
	if (l->json && !l->list)
		return cli_fail((error_system(err, errno, "a temporary file"), err));
	if (log_backups_each(&l->backups, take_backup, l, err) < 0)
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

	for (size_t i = 0; i < l->places.count; i++)
		chosen += l->places.items[i].is_chosen;
	l->is_one_of_several = chosen > 1;
	for (size_t i = 0; i < l->places.count; i++) {
		if (!l->places.items[i].is_chosen)
			continue;
		status = worse_status(status, tell_log_of_place(l, &l->places.items[i], err));
		l->is_next = l->is_next || l->name;
		forget_place(l);
	}
	return status;
}

int cmd_log(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(log) struct log l = {.json = options->json};
	struct error err = {0};
	int status;

	if (options->argc < 1 || options->argc > 2)
		return cli_usage("log takes a table, or a job and a table: full/acme public.orders");
	l.places.table = options->argv[options->argc - 1];
	l.places.backups = &l.backups;
	status = log_backups_open(&l.backups, options, &conf);
	if (status != CLI_DONE)
		return status;
	if (options->argc == 2)
		log_places_name(&l.places, options->argv[0],
		                l.backups.mountpoint ? l.backups.mountpoint : conf.mountpoint);
	if (log_places_choose(&l.places, &err) < 0)
		return cli_fail(&err);
	return tell_log_of_places(&l, &err);
}
