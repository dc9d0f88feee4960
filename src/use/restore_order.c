// SPDX-License-Identifier: Apache-2.0
#include "restore_order.h"

#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/use.h>

#include <errno.h>
#include <string.h>

#define JOBS_MOST 64

int restore_order_bool(const struct command_line *line, const char *key, bool *io, struct error *err)
{
	const char *value = words_pair(line, key);

	if (!value)
		return 0;
	*io = str_equal(value, "yes");
	return *io || str_equal(value, "no")
	               ? 0
	               : error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: allowed are yes and no", key, value);
}

/* One of several words: its place in @words, which is NULL-terminated. */
static int take_one_of(const struct command_line *line, const char *key, const char *const *words, int *io,
                       struct error *err)
{
	const char *value = words_pair(line, key);
	_cleanup(str) struct str list = {0};

	if (!value)
		return 0;
	for (int i = 0; words[i]; i++) {
		if (str_equal(value, words[i])) {
			*io = i;
			return 0;
		}
		str_appendf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: allowed are %s", key, value, str_text(&list));
}

static int take_number_word(const struct command_line *line, const char *key, int64_t most, int64_t *io,
                            struct error *err)
{
	const char *value = words_pair(line, key);
	char *end;

	if (!value)
		return 0;
	*io = strtoll(value, &end, 10);
	return *value && !*end && *io >= 1 && *io <= most
	               ? 0
	               : error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: a number from 1 to %lld", key, value,
	                           (long long)most);
}

/* "a, b" */
char **restore_order_names(const char *value)
{
	_cleanup(free) char *copy = mem_strdup(value);
	char *rest = copy, *name, **names = NULL;
	size_t count = 0;

	while (rest && (name = strsep(&rest, ","))) {
		name += strspn(name, " ");
		while (str_ends(name, " "))
			name[strlen(name) - 1] = '\0';
		if (!*name)
			continue;
		names = mem_resize(names, count + 2, sizeof(*names));
		names[count++] = mem_strdup(name);
		names[count] = NULL;
	}
	return names;
}

static int take_switches(const struct command_line *line, struct restore_order *o, struct error *err)
{
	bool extensions = true, dry_run = false;
	const struct {
		const char *key;
		bool *value;
	} switches[] = {{"swap", &o->swap},
	                {"create", &o->create},
	                {"clean", &o->clean},
	                {"no_owner", &o->no_owner},
	                {"no_privileges", &o->no_privileges},
	                {"roles", &o->roles},
	                {"extensions", &extensions},
	                {"analyze", &o->analyze},
	                {"plan", &o->plan},
	                {"dry-run", &dry_run}};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(switches); i++)
		r = restore_order_bool(line, switches[i].key, switches[i].value, err);
	o->plan |= dry_run;
	o->no_extensions = !extensions;
	o->swap_given = words_pair(line, "swap") != NULL;
	o->roles_given = words_pair(line, "roles") != NULL;
	return r;
}

static int take_values(const struct command_line *line, struct restore_order *o, struct error *err)
{
	static const char *const contents[] = {"full", "schema", "data", NULL};
	static const char *const on_error[] = {"stop", "continue", NULL}, *const levels[] = {"0", "1", NULL};
	int content = RESTORE_ALL, going = 0, level = PROOF_BYTES;
	int64_t jobs = 0;
	int r = take_one_of(line, "content", contents, &content, err);

	if (r == 0)
		r = take_one_of(line, "on_error", on_error, &going, err);
	if (r == 0)
		r = take_one_of(line, "level", levels, &level, err);
	if (r == 0)
		r = take_number_word(line, "jobs", JOBS_MOST, &jobs, err);
	if (r == 0)
		r = take_number_word(line, "run", INT64_MAX, &o->of_run, err);
	o->content = (enum restore_content)content;
	o->level = (enum proof_level)level;
	o->keep_going = going == 1;
	o->jobs = (unsigned)jobs;
	return r;
}

static int check_server(const struct restore_order *o, struct error *err)
{
	if (!o->server || !conf_has_password(o->server))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "server= must not hold a password, since everybody can read the history: let it be in ~/.pgpass or a service file of the user of keepfs");
}

bool restore_order_forgets(const struct command_line *line)
{
	return line->word_count > 0 && str_equal(line->words[0], "forget");
}

/* All that is of one run, of one database, or of both. */
static int check_forgetting(const struct command_line *line, struct error *err)
{
	static const char *const allowed[] = {"into", "run", "to", "note", NULL};

	if (line->word_count > 1)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "forget takes no further word: write restore forget, with run=NUMBER, into=NAME or to=DIR");
	return words_check_pairs(line, allowed, err);
}

static int check_together(const struct restore_order *o, struct error *err)
{
	bool partial = o->content != RESTORE_ALL || o->schemas || o->tables || o->clean;

	if (restore_order_forgets(o->line))
		return check_forgetting(o->line, err);
	if (!o->line->word_count == !o->of_run)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "name one or more backups (full/latest.dump), or with run=NUMBER all that a run has made");
	if (o->to && (o->line->word_count > 1 || o->of_run))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "to= is for one backup: the files of several would be mixed in one directory");
	if (o->place && (o->line->word_count > 1 || o->of_run))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "to= is for one state of a mirror: the objects of several would be mixed in one place");
	if (o->into && (o->line->word_count > 1 || o->of_run))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "into= is for one backup: several would be restored into the same database");
	if (o->clean && o->content == RESTORE_DATA)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "clean=yes drops what is restored, and content=data makes no tables: leave one of them away");
	if (o->swap_given && o->swap && partial)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "swap=yes puts a whole new database in the place of the old one: it does not go with clean=yes, content=schema, content=data, schemas or tables");
	return 0;
}

int restore_order_read(const struct command_line *line, struct restore_order *ret, struct error *err)
{
	static const char *const allowed[] = {
	        "into",      "server",      "swap",    "create",     "clean",
	        "content",   "schemas",     "tables",  "no_owner",   "no_privileges",
	        "roles",     "extensions",  "jobs",    "on_error",   "confirm",
	        "level",     "analyze",     "plan",    "run",        "pre_hook",
	        "post_hook", "check",       "note",    "to",         "paths",
	        "overwrite", "owners",      "room",    "dry-run",    "parts",
	        "target",    "secrets",     "delete",  "rate",       "until",
	        "timeline",  "action",      "base",    "delta",      "owner",
	        "start",     "tablespaces", "archive", "tablespace", "restore_command",
	        "config",    NULL};
	int r = words_check_pairs(line, allowed, err);

	*ret = (struct restore_order){.line = line, .create = true, .roles = true, .analyze = true};
	ret->into = words_pair(line, "into");
	ret->server = words_pair(line, "server");
	ret->confirm = words_pair(line, "confirm");
	ret->pre_hook = words_pair(line, "pre_hook");
	ret->post_hook = words_pair(line, "post_hook");
	ret->schemas = restore_order_names(words_pair(line, "schemas"));
	ret->tables = restore_order_names(words_pair(line, "tables"));
	if (r == 0)
		r = take_switches(line, ret, err);
	if (r == 0)
		r = take_values(line, ret, err);
	if (r == 0)
		r = restore_order_read_files(line, ret, err);
	if (r == 0)
		r = restore_order_read_whole(line, ret, err);
	if (r == 0)
		r = restore_order_read_mirror(line, ret, err);
	if (r == 0)
		r = check_server(ret, err);
	if (r == 0)
		r = check_together(ret, err);
	if (!ret->swap_given)
		ret->swap = ret->create && !ret->clean && ret->content == RESTORE_ALL && !ret->schemas &&
		            !ret->tables;
	return r;
}

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

void restore_order_finish(struct restore_order *o)
{
	free_names(o->schemas);
	free_names(o->tables);
	free_names(o->paths);
	free_names(o->parts);
	free_names(o->overwrites);
	o->parts = o->overwrites = NULL;
	free(o->to);
	o->schemas = o->tables = o->paths = NULL;
	o->to = NULL;
}
