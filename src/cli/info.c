// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs info: is it well, and which backups are there? Both come as text, from the mount or, where there is none, made
 * here of the catalog by the same writers: status/health, and status/backups.jsonl, a line for each backup. Lines are read
 * one at a time, twice: for the totals, and to be shown.
 */
#include "client.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>
#include <keepfs/report/health.h>
#include <keepfs/report/status.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct info {
	char *job, *target; /* what is asked for; NULL: all */
	struct str health;  /* status/health */
	FILE *backups;      /* status/backups.jsonl */
	int64_t count, damaged, size_bytes, stored_bytes;
	enum report_health level;
};

static void cleanup_info(struct info *i)
{
	free(i->job);
	free(i->target);
	str_finish(&i->health);
	if (i->backups)
		fclose(i->backups);
}

/* Where it comes from. */

static int take_from_mount(struct info *i, const char *mountpoint)
{
	_cleanup(free) char *path = mem_printf("%s/status/backups.jsonl", mountpoint);
	int r = client_read(mountpoint, "status/health", &i->health);

	if (r < 0)
		return r;
	i->backups = fopen(path, "re");
	return i->backups ? 0 : -errno;
}

static int copy_text(const struct spool *from, FILE *to)
{
	char buf[16384];
	uint64_t offset = 0;
	ssize_t n;

	while ((n = spool_read(from, buf, sizeof(buf), offset)) > 0) {
		if (fwrite(buf, 1, (size_t)n, to) != (size_t)n)
			return -EIO;
		offset += (uint64_t)n;
	}
	return (int)n;
}

static int write_texts(struct info *i, const struct report_sources *sources)
{
	_cleanup(spool) struct spool *health = spool_new(sources->conf->state_dir);
	_cleanup(spool) struct spool *backups = spool_new(sources->conf->state_dir);
	char buf[4096];
	ssize_t n;
	int r = report_health(sources, health);

	while (r == 0 && (n = spool_read(health, buf, sizeof(buf), i->health.len)) > 0)
		str_append_bytes(&i->health, buf, (size_t)n);
	if (r == 0)
		r = report_all_backups_jsonl(sources, backups);
	if (r < 0)
		return r;
	i->backups = tmpfile();
	return i->backups ? copy_text(backups, i->backups) : -errno;
}

static int take_from_catalog(struct info *i, const struct conf *conf)
{
	_cleanup(free) char *file = mem_printf("%s/catalog.db", conf->state_dir);
	_cleanup(catalog) struct catalog *catalog = NULL;
	struct report_sources sources = {.conf = conf, .now_us = clock_now_us()};
	struct error err = {0};
	int r;

	if (access(file, F_OK) < 0) {
		fprintf(stderr,
		        "keepfs: there is neither a mount on %s nor a catalog in %s: mount with 'keepfs mount', or list what the store holds with 'keepfs rebuild'\n",
		        conf->mountpoint, conf->state_dir);
		return CLI_UNREACHABLE;
	}
	if (catalog_open_beside(conf->state_dir, &catalog, &err) < 0)
		return cli_fail(&err);
	sources.catalog = catalog;
	r = write_texts(i, &sources);
	if (r == 0)
		return CLI_DONE;
	error_system(&err, -r, "the catalog in %s cannot be read", conf->state_dir);
	return cli_fail(&err);
}

/* Whoever names a mount means that one. */
static int take_from_named(struct info *i, const struct cli_options *options)
{
	_cleanup(free) char *mountpoint = NULL;
	int status = client_find(options, &mountpoint), r;

	if (status != CLI_DONE)
		return status;
	r = take_from_mount(i, mountpoint);
	if (r == 0)
		return CLI_DONE;
	fprintf(stderr, "keepfs: %s/status/backups.jsonl cannot be read: %s\n", mountpoint,
	        strerrordesc_np(-r));
	return CLI_UNREACHABLE;
}

static int take_info(struct info *i, const struct cli_options *options)
{
	const char *named = getenv("KEEPFS_MOUNT");
	_cleanup(conf) struct conf conf = {0};
	int r;

	if (options->mountpoint || (named && *named))
		return take_from_named(i, options);
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	if (take_from_mount(i, conf.mountpoint) == 0)
		return CLI_DONE;
	str_clear(&i->health);
	return take_from_catalog(i, &conf);
}

/* Health: those lines that are about the job. */

/* Is one of the words of a line's name the job, or something of it? "job full", "check database full/shop". */
static bool names_job(const char *name, size_t len, const char *job)
{
	_cleanup(free) char *copy = mem_printf("%.*s", (int)len, name);
	_cleanup(free) char *below = mem_printf("%s/", job);
	char *rest = copy, *word;

	while ((word = strsep(&rest, " "))) {
		if (str_equal(word, job) || str_starts(word, below))
			return true;
	}
	return false;
}

/* How a path of a backup of the job begins, somewhere in a text. */
static char *begin_of_paths(const char *job)
{
	const struct tree_root *root = tree_root_of(job);

	return root && root->is_job ? mem_printf("%s/", root->name) : mem_printf("backups/%s/", job);
}

/* "WARN  job full: …", or "CRIT  damaged backup: backups/full/…"; behind the summary in the first line. */
static bool is_about(const struct info *i, const char *line)
{
	const char *name = line + strcspn(line, " "), *end;
	_cleanup(free) char *directory = begin_of_paths(str_or_empty(i->job));

	name += strspn(name, " ");
	end = strstr(name, ": ");
	return !i->job || (end && (names_job(name, (size_t)(end - name), i->job) || strstr(end, directory)));
}

/* Is the name one of those that the first line of health ends with: "…; acknowledged: job full, overdue full"? */
static bool ends_summary(const struct info *i, const char *name, size_t len)
{
	static const char before[] = "; acknowledged: ";
	const char *text = str_text(&i->health), *end = text + strcspn(text, "\n"), *at = NULL, *found = text;

	while ((found = strstr(found, before)) && found < end)
		at = found += strlen(before);
	while (at && at < end) {
		const char *comma = strstr(at, ", "), *stop = comma && comma < end ? comma : end;

		if ((size_t)(stop - at) == len && memcmp(at, name, len) == 0)
			return true;
		at = stop + strlen(", ");
	}
	return false;
}

/* Several lines may share a name, and a text may quote anything: an item is acknowledged when both say so. */
static bool line_is_acknowledged(const struct info *i, const char *line)
{
	const char *name = line + strcspn(line, " "), *end;

	name += strspn(name, " ");
	end = strstr(name, ": ");
	return end && strstr(end, "; acknowledged by ") && ends_summary(i, name, (size_t)(end - name));
}

static void judge_job(struct info *i, struct str *worst, struct json *why)
{
	char *rest = strchr(str_text(&i->health), '\n'), *line;

	if (rest)
		rest++;
	while (rest && (line = strsep(&rest, "\n"))) {
		enum report_health level = *line ? health_level_of(line) : REPORT_OK;

		if (level == REPORT_OK || !is_about(i, line))
			continue;
		json_append_string(why, line);
		if (level <= i->level || line_is_acknowledged(i, line))
			continue;
		i->level = level;
		str_clear(worst);
		str_append(worst, line);
	}
}

/* Backups. */

static bool is_asked_for(const struct info *i, const struct json *backup)
{
	return (!i->job || str_equal(i->job, json_get_string(backup, "job"))) &&
	       (!i->target || str_equal(i->target, json_get_string(backup, "target")));
}

/* Call @each with every one that is asked for, in the order of the list, which is read from its beginning. */
static void each_backup(struct info *i, void (*each)(struct info *i, struct json *backup, void *arg),
                        void *arg)
{
	_cleanup(free) char *line = NULL;
	size_t size = 0;
	ssize_t len;

	rewind(i->backups);
	while ((len = getline(&line, &size, i->backups)) > 0) {
		struct json *backup = json_parse(line, (size_t)len, NULL);

		if (backup && is_asked_for(i, backup))
			each(i, backup, arg);
		else
			json_free(backup);
	}
}

static int64_t member_number(const struct json *backup, const char *key)
{
	int64_t number = 0;

	json_get_int(backup, key, &number);
	return number;
}

static void count_backup(struct info *i, struct json *backup, void *arg)
{
	_cleanup(json) struct json *owned = backup;

	i->count++;
	i->damaged += json_get_string(owned, "damaged") != NULL;
	i->size_bytes += member_number(owned, "size_bytes");
	i->stored_bytes += member_number(owned, "stored_bytes");
}

/* A number that is null has no text. */
static const char *bytes_text(const struct json *backup, const char *key, char buf[static 16])
{
	int64_t bytes;

	if (!json_get_int(backup, key, &bytes))
		return "-";
	return str_format_bytes(buf, 16, (unsigned long long)bytes);
}

static void append_list_of(struct str *out, const char *before, const struct json *array)
{
	for (size_t i = 0; i < json_count(array); i++) {
		_cleanup(str) struct str word = {0};

		json_scalar_text(json_item(array, i), &word);
		str_append(out, i ? ", " : before);
		str_append_line(out, str_text(&word));
	}
}

static void append_remark_of(struct str *out, const char *before, const char *text)
{
	if (!text)
		return;
	str_append(out, before);
	str_append_line(out, text);
}

/* " PostgreSQL 15.18, 12 segments of WAL (192.0 MiB) to now" */
static void append_cluster_remark(const struct json *backup, struct str *out)
{
	const struct json *cluster = json_get(backup, "cluster");
	int64_t version = 0, segments = 0, bytes = 0;
	char size[16];

	if (!cluster || !json_get_int(cluster, "server_version", &version))
		return;
	str_appendf(out, " PostgreSQL %lld.%lld, consistent at %.19s", (long long)version / 10000,
	            (long long)version % 10000, str_or_empty(json_get_string(cluster, "consistent_at")));
	if (json_get_int(cluster, "replay_segments", &segments) &&
	    json_get_int(cluster, "replay_bytes", &bytes))
		str_appendf(out, ", %lld segment%s of WAL (%s) to now", (long long)segments,
		            segments == 1 ? "" : "s",
		            str_format_bytes(size, sizeof(size), (unsigned long long)bytes));
}

static void append_info_remarks(const struct json *backup, struct str *out)
{
	bool partial = false;
	int64_t sequence;

	append_remark_of(out, " DAMAGED: ", json_get_string(backup, "damaged"));
	if (json_get_bool(backup, "partial", &partial) && partial)
		str_append(out, " partial");
	append_list_of(out, " ", json_get(backup, "tiers"));
	append_list_of(out, " held: ", json_get(backup, "holds"));
	append_list_of(out, " needs: ", json_get(backup, "depends_on"));
	if (json_count(json_get(backup, "encrypted_to")) > 0)
		str_append(out, " encrypted");
	if (json_get_int(backup, "signed", &sequence))
		str_append(out, " signed");
	append_cluster_remark(backup, out);
	append_remark_of(out, " note: ", json_get_string(backup, "note"));
}

static void print_backup(struct info *i, struct json *backup, void *arg)
{
	_cleanup(json) struct json *owned = backup;
	const char *started = json_get_string(owned, "started"),
	           *finished = json_get_string(owned, "finished");
	const char *verified = json_get_string(owned, "verified");
	_cleanup(str) struct str remarks = {0}, path = {0};
	char source[16], size[16], stored[16];

	append_info_remarks(owned, &remarks);
	str_append_line(&path, str_or_empty(json_get_string(owned, "path")));
	printf("%-44s %-19.19s %-19.19s %10s %10s %10s %-19.19s %s\n", str_text(&path), str_or_empty(started),
	       str_or_empty(finished), bytes_text(owned, "source_bytes", source),
	       bytes_text(owned, "size_bytes", size), bytes_text(owned, "stored_bytes", stored),
	       verified ? verified : "-", remarks.len ? str_text(&remarks) + 1 : "");
}

static void print_info(struct info *i, const struct str *worst, const struct json *why)
{
	char size[16], stored[16];

	cli_put(stdout, worst->len ? str_text(worst) : "ok");
	putchar('\n');
	for (size_t k = 0; k < json_count(why); k++) {
		_cleanup(str) struct str line = {0};

		json_scalar_text(json_item(why, k), &line);
		if (str_equal(str_text(&line), str_text(worst)))
			continue;
		str_append_char(&line, '\n');
		cli_put(stdout, str_text(&line));
	}
	if (i->count)
		printf("\n%-44s %-19s %-19s %10s %10s %10s %-19s %s\n", "BACKUP", "STARTED (UTC)", "STOPPED",
		       "DATABASE", "BACKUP", "STORED", "VERIFIED", "TIERS, HOLDS, REMARKS");
	each_backup(i, print_backup, NULL);
	printf("\n%lld backup%s, %s, %s in the store", (long long)i->count, i->count == 1 ? "" : "s",
	       str_format_bytes(size, sizeof(size), (unsigned long long)i->size_bytes),
	       str_format_bytes(stored, sizeof(stored), (unsigned long long)i->stored_bytes));
	if (i->damaged)
		printf(", %lld damaged", (long long)i->damaged);
	putchar('\n');
}

static void add_to_list(struct info *i, struct json *backup, void *arg)
{
	_cleanup(str) struct str item = {0};
	bool *first = arg;

	json_list_add(backup, *first, &item);
	*first = false;
	fputs(str_text(&item), stdout);
}

static void print_info_json(struct info *i, struct json *why)
{
	_cleanup(json) struct json *object = json_object_new();
	struct json *totals = json_object_new();
	_cleanup(str) struct str out = {0}, end = {0};
	bool first = true;

	json_set_string(object, "health", health_level_name(i->level));
	json_set(object, "why", why);
	json_set_int(totals, "backups", i->count);
	json_set_int(totals, "damaged", i->damaged);
	json_set_int(totals, "size_bytes", i->size_bytes);
	json_set_int(totals, "stored_bytes", i->stored_bytes);
	json_set(object, "totals", totals);
	json_write_open(object, &out);
	json_list_open("backups", &out);
	fputs(str_text(&out), stdout);
	each_backup(i, add_to_list, &first);
	json_list_close(&end);
	json_write_close(&end);
	fputs(str_text(&end), stdout);
}

/* A job that has neither a backup nor a line of health is none. */
static bool is_known_job(const struct info *i)
{
	const char *line = str_text(&i->health);

	for (; i->job && i->count == 0 && line; line = strchr(line, '\n'), line += line != NULL)
		if (*line && is_about(i, line))
			return true;
	return !i->job || i->count > 0;
}

static void take_job_word(struct info *i, const char *word)
{
	const char *slash = strchr(word, '/');

	i->job = slash ? mem_printf("%.*s", (int)(slash - word), word) : mem_strdup(word);
	i->target = slash ? mem_strdup(slash + 1) : NULL;
}

int cmd_info(const struct cli_options *options)
{
	_cleanup(info) struct info i = {0};
	_cleanup(str) struct str worst = {0};
	_cleanup(json) struct json *why = json_array_new();
	int status;

	if (options->argc > 1)
		return cli_usage("info takes one job, or JOB/DATABASE");
	if (options->argc == 1)
		take_job_word(&i, options->argv[0]);
	status = take_info(&i, options);
	if (status != CLI_DONE)
		return status;
	each_backup(&i, count_backup, NULL);
	if (!is_known_job(&i))
		return cli_usage("there is no job '%s', and no backup of one", i.job);
	judge_job(&i, &worst, why);
	if (options->json)
		print_info_json(&i, take_ptr(&why));
	else
		print_info(&i, &worst, why);
	return CLI_DONE;
}
