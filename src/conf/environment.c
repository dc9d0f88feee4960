// SPDX-License-Identifier: Apache-2.0
/* KEEPFS_<KEY>, KEEPFS_STORE_<KEY>, KEEPFS_READ_<KEY>, KEEPFS_BACKUP_<NAME>_<KEY>: any key from the
 * environment, which wins over the file. A variable that begins with KEEPFS_ and means nothing is an error,
 * as an unknown key is: a mistyped name must not be silently ignored. */
#include "load.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <string.h>

extern char **environ;

/* What means something without being a key: also the facts that a hook gets, as hooks may call keepfs. */
static bool is_other(const char *name)
{
	static const char *const others[] = {
	        "KEEPFS_CONFIG",    "KEEPFS_MOUNT",        "KEEPFS_JOB",        "KEEPFS_RUN",
	        "KEEPFS_DATABASES", "KEEPFS_TRIGGERED_BY", "KEEPFS_NOTE",       "KEEPFS_STORE",
	        "KEEPFS_STATE",     "KEEPFS_ERROR",        "KEEPFS_SIZE_BYTES", "KEEPFS_ARTIFACTS",
	        "KEEPFS_SHA256",    "KEEPFS_STARTED",      "KEEPFS_FINISHED",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_equal(name, others[i]))
			return true;
	return str_starts(name, "KEEPFS_TEST_");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all KEEPFS_ variables that could be keys, sorted, so that problems come in a fixed order. */
static char **list_names(size_t *ret_count)
{
	char **names = NULL;
	size_t count = 0;

	for (char **e = environ; e && *e; e++) {
		char *name;

		if (!str_starts(*e, "KEEPFS_"))
			continue;
		name = mem_printf("%.*s", (int)strcspn(*e, "="), *e);
		if (is_other(name)) {
			free(name);
			continue;
		}
		names = mem_resize(names, count + 1, sizeof(*names));
		names[count++] = name;
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	*ret_count = count;
	return names;
}

/* The variables of [keepfs], [store] and [read], for lookup and for suggestions. */
static int find_single(const char *name)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		_cleanup(str) struct str env = {0};

		if (conf_keys[i].section == CONF_SECTION_BACKUP)
			continue;
		conf_key_env(&conf_keys[i], NULL, &env);
		if (strcmp(str_text(&env), name) == 0)
			return (int)i;
	}
	return -1;
}

/* How many jobs @name (as in a variable) can mean; *@ret_job is the last of them. */
static size_t match_jobs(const struct conf *c, const char *name, size_t *ret_job)
{
	_cleanup(free) char *wanted = mem_printf("KEEPFS_BACKUP_%s_DATABASE", name);
	int key = conf_key_find(CONF_SECTION_BACKUP, "database");
	size_t count = 0;

	for (size_t i = 0; i < c->backup_count; i++) {
		_cleanup(str) struct str env = {0};

		conf_key_env(&conf_keys[key], c->backups[i].name, &env);
		if (strcmp(str_text(&env), wanted) != 0)
			continue;
		*ret_job = i;
		count++;
	}
	return count;
}

/* The <NAME> in a variable, when that can be one of key @k; else NULL. */
static char *job_in_variable(const struct conf_key *k, const char *name)
{
	static const char prefix[] = "KEEPFS_BACKUP_";
	_cleanup(str) struct str env = {0};
	size_t len = strlen(name), tail_len;
	const char *tail;

	conf_key_env(k, "", &env);
	tail = str_text(&env) + sizeof(prefix) - 1; /* "_DATABASE" */
	tail_len = strlen(tail);
	if (!str_starts(name, prefix) || !str_ends(name, tail) || len <= sizeof(prefix) - 1 + tail_len)
		return NULL;
	return mem_printf("%.*s", (int)(len - tail_len - (sizeof(prefix) - 1)), name + sizeof(prefix) - 1);
}

/*
 * The key whose variable for some job this is; *@ret_job is the <NAME> in it
 *
 * KEEPFS_BACKUP_FULL_EXCLUDE_TABLES is exclude_tables of the job full, unless there is a job full_exclude,
 * and no job full.
 */
static int find_of_job(const struct conf *c, const char *name, char **ret_job, bool *ret_ambiguous)
{
	size_t found_len = 0;
	bool found_known = false;
	int found = -1;

	*ret_ambiguous = false;
	for (size_t i = 0; i < conf_key_count; i++) {
		_cleanup(free) char *job = conf_keys[i].section == CONF_SECTION_BACKUP
		                                   ? job_in_variable(&conf_keys[i], name)
		                                   : NULL;
		size_t ignored, len = strlen(conf_keys[i].name);
		bool known = job && match_jobs(c, job, &ignored) > 0;

		*ret_ambiguous |= known && found_known;
		if (!job || (found >= 0 && (known == found_known ? len < found_len : !known)))
			continue;
		found = (int)i;
		found_len = len;
		found_known = known;
		free(*ret_job);
		*ret_job = take_ptr(&job);
	}
	return found;
}

static void unknown_variable(struct conf_loader *l, const char *name)
{
	_cleanup(free) const char **known = mem_array(conf_key_count + 2, sizeof(*known));
	_cleanup(free) struct str *texts = mem_array(conf_key_count, sizeof(*texts));
	const char *nearest;
	size_t count = 0;

	for (size_t i = 0; i < conf_key_count; i++) {
		conf_key_env(&conf_keys[i], "<NAME>", &texts[i]);
		known[count++] = str_text(&texts[i]);
	}
	known[count++] = "KEEPFS_CONFIG";
	known[count++] = "KEEPFS_MOUNT";
	nearest = conf_nearest(name, known, count);
	if (nearest)
		conf_problem(l, 0, "%s: this environment variable means nothing; did you mean %s?", name,
		             nearest);
	else
		conf_problem(
		        l, 0,
		        "%s: this environment variable means nothing; allowed: "
		        "KEEPFS_<KEY>, KEEPFS_STORE_<KEY>, KEEPFS_READ_<KEY>, KEEPFS_BACKUP_<NAME>_<KEY> with the keys of keepfs.conf(5)",
		        name);
	for (size_t i = 0; i < conf_key_count; i++)
		str_finish(&texts[i]);
}

static void set_of_job(struct conf_loader *l, int key, const char *variable, char *name, bool ambiguous,
                       const char *value)
{
	size_t job = 0, matches = match_jobs(&l->conf, name, &job);
	const char *wrong;

	if (ambiguous || matches > 1) {
		conf_problem(
		        l, 0,
		        "%s: this environment variable could mean more than one job; allowed: jobs whose names differ in letters or digits, or this key in the file",
		        variable);
		return;
	}
	if (matches == 0) {
		for (char *p = name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		wrong = conf_job_name_wrong(name);
		if (wrong) {
			conf_problem(l, 0, "%s: the job's name %s %s", variable, name, wrong);
			return;
		}
		job = conf_add_job(l, name, 0);
	}
	conf_set(l, key, job, value, variable, 0, true);
}

void conf_read_environment(struct conf_loader *l)
{
	size_t count;
	_cleanup(free) char **names = list_names(&count);

	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *name = names[i];
		_cleanup(free) char *job = NULL;
		const char *value = getenv(name);
		int key = find_single(name);
		bool ambiguous = false;

		if (key < 0)
			key = find_of_job(&l->conf, name, &job, &ambiguous);
		if (key < 0)
			unknown_variable(l, name);
		else if (!value || !*value)
			continue; /* an empty variable is as good as none: service managers make them */
		else if (job)
			set_of_job(l, key, name, job, ambiguous, value);
		else
			conf_set(l, key, 0, value, name, 0, true);
	}
}
