// SPDX-License-Identifier: Apache-2.0
/* The words of a restore that are about a cluster. */
#include "restore_cluster.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS_LEAST 2
#define JOBS_USUAL 8
#define BY_MOUNT   "mount"

static const char *const own_words[] = {"until",      "timeline", "action",          "base",
                                        "delta",      "owner",    "start",           "tablespaces",
                                        "tablespace", "archive",  "restore_command", "config"};

bool restore_cluster_is_word(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_words); i++)
		if (str_equal(own_words[i], key))
			return true;
	return false;
}

static int check_cluster_words(const struct command_line *line, struct error *err)
{
	static const char *const others[] = {"to",   "plan",     "dry-run",   "confirm", "jobs",
	                                     "room", "pre_hook", "post_hook", "note"};
	const char *allowed[ARRAY_SIZE(own_words) + ARRAY_SIZE(others) + 1] = {0};

	memcpy(allowed, own_words, sizeof(own_words));
	memcpy(allowed + ARRAY_SIZE(own_words), others, sizeof(others));
	return words_check_pairs(line, allowed, err);
}

static int take_goal(const struct conf *conf, const char *job, const char *value, struct recovery_goal *ret,
                     struct error *err)
{
	const struct conf_job *found = conf_find_job(conf, job);
	const char *all = conf->timezone && *conf->timezone ? conf->timezone : NULL;
	_cleanup(zone) struct zone *zone = NULL;
	int r = zone_load(found ? conf_zone_name(conf, found) : all, &zone, err);

	return r < 0 ? r : recovery_goal_parse(value ? value : "latest", zone, ret, err);
}

static int take_timeline(const char *value, struct restore_cluster_words *w, struct error *err)
{
	char *end;
	unsigned long number;

	w->timeline = value ? value : "latest";
	if (!value || str_equal(value, "latest") || str_equal(value, "current"))
		return 0;
	errno = 0;
	number = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || number < 1 || number > UINT32_MAX)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "timeline=%.30s: allowed are latest, current (that of the base), and numbers", value);
	w->timeline_number = (uint32_t)number;
	return 0;
}

static int take_word_of(const char *key, const char *value, const char *const *allowed, const char **ret,
                        struct error *err)
{
	_cleanup(str) struct str list = {0};

	*ret = value ? value : allowed[0];
	for (size_t i = 0; allowed[i]; i++) {
		if (str_equal(*ret, allowed[i]))
			return 0;
		str_appendf(&list, "%s%s", i > 0 ? ", " : "", allowed[i]);
	}
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.30s: allowed are %s", key, value, str_text(&list));
}

/* "16385:/srv/fast" */
static int add_space(const char *value, struct restore_cluster_words *w, struct error *err)
{
	size_t digits = strspn(value, "0123456789");
	struct cluster_back_space *s;

	if (digits == 0 || value[digits] != ':' || value[digits + 1] != '/')
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "tablespace=%.100s: write its number and a directory from the root on, 16385:/srv/fast",
		        value);
	w->spaces = mem_resize(w->spaces, w->space_count + 1, sizeof(*w->spaces));
	s = &w->spaces[w->space_count++];
	*s = (struct cluster_back_space){.oid = mem_printf("%.*s", (int)digits, value),
	                                 .directory = mem_strdup(value + digits + 1)};
	return 0;
}

static int take_spaces(const struct command_line *line, struct restore_cluster_words *w, struct error *err)
{
	static const char *const where[] = {"original", "inside", NULL};
	const char *chosen;
	int r = take_word_of("tablespaces", words_pair(line, "tablespaces"), where, &chosen, err);

	/* Of what is there already the links stay. */
	w->spaces_original = r == 0 && str_equal(chosen, "original") &&
	                     (!w->delta || words_pair(line, "tablespaces") != NULL);
	for (size_t i = 0; r == 0 && i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, "tablespace"))
			r = add_space(line->pairs[i].value, w, err);
	return r;
}

static int take_cluster_switches(const struct command_line *line, struct restore_cluster_words *w,
                                 struct error *err)
{
	static const char *const actions[] = {"promote", "pause", "shutdown", NULL};
	static const char *const archives[] = {"keep", "off", NULL};
	const char *archive = NULL;
	int r = take_word_of("action", words_pair(line, "action"), actions, &w->action, err);

	if (r == 0)
		r = take_word_of("archive", words_pair(line, "archive"), archives, &archive, err);
	w->archive_off = r == 0 && str_equal(archive, "off");
	if (r == 0)
		r = restore_order_bool(line, "delta", &w->delta, err);
	return r < 0 ? r : restore_order_bool(line, "start", &w->start, err);
}

/* Decompressing is most of the work. */
static unsigned usual_jobs(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	return processors < JOBS_LEAST   ? JOBS_LEAST
	       : processors > JOBS_USUAL ? JOBS_USUAL
	                                 : (unsigned)processors;
}

int restore_cluster_read(const struct conf *conf, const char *job, const struct restore_order *order,
                         struct restore_cluster_words *ret, struct error *err)
{
	const struct command_line *line = order->line;
	int r = check_cluster_words(line, err);

	*ret = (struct restore_cluster_words){.base = words_pair(line, "base"),
	                                      .restore_command = words_pair(line, "restore_command"),
	                                      .config = words_pair(line, "config"),
	                                      .owner = words_pair(line, "owner"),
	                                      .jobs = order->jobs ? order->jobs : usual_jobs()};
	if (ret->jobs > CLUSTER_BACK_JOBS_MAX)
		ret->jobs = CLUSTER_BACK_JOBS_MAX;
	if (r == 0)
		r = take_goal(conf, job, words_pair(line, "until"), &ret->goal, err);
	if (r == 0)
		r = take_timeline(words_pair(line, "timeline"), ret, err);
	if (r == 0)
		r = take_cluster_switches(line, ret, err);
	if (r == 0)
		r = take_spaces(line, ret, err);
	if (r == 0 && ret->config && (*ret->config != '/' || access(ret->config, F_OK) < 0))
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "config=%.200s: there is no such file; write the path of a postgresql.conf from the root on",
		        ret->config);
	if (r == 0 && ret->restore_command && !str_equal(ret->restore_command, BY_MOUNT) &&
	    !strstr(ret->restore_command, "%f"))
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "restore_command=%.100s: it has to name %%f, the file that is asked for, and %%p, where it is to go",
		        ret->restore_command);
	if (r == 0 && ret->goal.kind == RECOVERY_TO_LATEST && !str_equal(ret->action, "promote"))
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "action=%s is for a target: say with until= up to where, since a server that reaches the end of the archive goes on as a new primary",
		        ret->action);
	return r;
}

void restore_cluster_words_finish(struct restore_cluster_words *w)
{
	for (size_t i = 0; i < w->space_count; i++) {
		free(w->spaces[i].oid);
		free(w->spaces[i].directory);
	}
	free(w->spaces);
	*w = (struct restore_cluster_words){0};
}

/* Tablespaces: "16385 /srv/fast", a line for each. */

static bool has_base_space(const char *listed, const char *oid)
{
	size_t len = strlen(oid);

	for (; listed && *listed; listed += strcspn(listed, "\n"), listed += *listed == '\n')
		if (strncmp(listed, oid, len) == 0 && listed[len] == ' ')
			return true;
	return false;
}

static bool is_space_named(const struct restore_cluster_words *w, const char *oid, size_t len)
{
	for (size_t i = 0; i < w->space_count; i++)
		if (strlen(w->spaces[i].oid) == len && strncmp(w->spaces[i].oid, oid, len) == 0)
			return true;
	return false;
}

static int add_original_spaces(struct restore_cluster_words *w, const char *listed, struct error *err)
{
	int r = 0;

	while (r == 0 && listed && *listed) {
		size_t len = strcspn(listed, "\n"), digits = strcspn(listed, " ");
		_cleanup(free) char *pair = NULL;

		/* One that was made within the data directory has no place of its own: "16385 pg_tblspc/16385". */
		if (digits < len && listed[digits + 1] == '/' && !is_space_named(w, listed, digits)) {
			pair = mem_printf("%.*s:%.*s", (int)digits, listed, (int)(len - digits - 1),
			                  listed + digits + 1);
			r = add_space(pair, w, err);
		}
		listed += len + (listed[len] == '\n');
	}
	return r;
}

int restore_cluster_take_spaces(struct restore_cluster_words *w, const char *listed, struct error *err)
{
	for (size_t i = 0; i < w->space_count; i++)
		if (!has_base_space(listed, w->spaces[i].oid))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "tablespace=%s:%s: the base backup has no tablespace of that number; it has: %s",
			        w->spaces[i].oid, w->spaces[i].directory,
			        listed && *listed ? listed : "none");
	return w->spaces_original ? add_original_spaces(w, listed, err) : 0;
}

/* restore_command: a server replaces %f and %p, and gives it to a shell. */

static void append_command_word(struct str *out, const char *word)
{
	_cleanup(str) struct str quoted = {0};

	str_append_shell_word(&quoted, word);
	for (const char *p = str_text(&quoted); *p; p++) {
		if (*p == '%')
			str_append_char(out, '%');
		str_append_char(out, *p);
	}
	str_append_char(out, ' ');
}

/* Where this program is: behind that of one that was replaced while it runs stands " (deleted)". */
static char *own_program(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len <= 0)
		return mem_strdup("keepfs");
	path[len] = '\0';
	if (str_ends(path, " (deleted)"))
		path[len - (ssize_t)strlen(" (deleted)")] = '\0';
	return mem_strdup(path);
}

/*
 * Whoever may not read the configuration may read the mount. cp fails in the same way where there is no such file and where the mount is gone; and what is not there a server takes for the
 * end of the archive: so only what a living mount does not have is not there.
 */
static char *command_of_mount(const struct conf *conf, const char *job)
{
	_cleanup(free) char *directory = mem_printf("%s/wal/%s/", conf->mountpoint, job);
	_cleanup(str) struct str word = {0};
	const char *d;

	append_command_word(&word, directory);
	word.data[--word.len] = '\0';
	d = str_text(&word);
	return mem_printf("cp %s%%f \"%%p\" || { test -d %s && ! test -e %s%%f && exit 1; exit 126; }", d, d,
	                  d);
}

char *restore_cluster_command(const struct conf *conf, const char *job, const char *given, struct error *err)
{
	_cleanup(free) char *program = own_program(), *path = conf->path ? realpath(conf->path, NULL) : NULL;
	_cleanup(str) struct str command = {0};

	if (given)
		return str_equal(given, BY_MOUNT) ? command_of_mount(conf, job) : mem_strdup(given);
	if (!path) {
		error_set(
		        err, ERROR_USAGE, EINVAL,
		        "keepfs has its configuration from the environment alone, which a server does not have: say with restore_command='… %%f %%p' how it gets its WAL");
		return NULL;
	}
	append_command_word(&command, program);
	str_append(&command, "wal-get -c ");
	append_command_word(&command, path);
	append_command_word(&command, job);
	str_append(&command, "%f \"%p\"");
	return str_take(&command);
}
