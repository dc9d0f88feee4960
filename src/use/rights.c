// SPDX-License-Identifier: Apache-2.0
/* What an order may not hold, and what not everybody may order. */
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/use.h>

#include <errno.h>
#include <string.h>

/* "scheme://user:secret@…", wherever it stands in a text. */
static bool has_user_with_password(const char *text)
{
	const char *at = text;

	while ((at = strstr(at, "://"))) {
		const char *end, *colon;

		at += strlen("://");
		end = at + strcspn(at, "/ \t");
		colon = memchr(at, ':', (size_t)(end - at));
		if (colon && memchr(colon, '@', (size_t)(end - colon)))
			return true;
	}
	return false;
}

static bool shows_secret(const char *text)
{
	return conf_has_password(text) || has_user_with_password(text);
}

/* What cannot be taken apart is looked at as a whole. */
bool use_has_password(const char *text)
{
	_cleanup(command_line) struct command_line line = {0};
	struct error ignored = {0};
	bool found = false;

	if (command_line_parse(text, &line, &ignored) < 0)
		return shows_secret(text) || strstr(text, "password");
	for (size_t i = 0; i < line.word_count; i++)
		found |= shows_secret(line.words[i]);
	for (size_t i = 0; i < line.pair_count; i++) {
		/* A value of a column, which may well be called so. */
		if (str_equal(line.pairs[i].key, "set"))
			continue;
		_cleanup(free) char *pair = mem_printf("%s=%s", line.pairs[i].key, line.pairs[i].value);

		found |= shows_secret(pair) || shows_secret(line.pairs[i].value);
	}
	return found;
}

static bool is_configured(const struct conf *conf, const char *server)
{
	for (size_t i = 0; *server && i < conf->job_count; i++) {
		const struct conf_job *job = &conf->jobs[i];

		if (str_equal(job->drill_server, server) ||
		    (job->kind == CONF_JOB_DUMP && str_equal(job->dump.database, server)))
			return true;
	}
	return false;
}

/* Commands run as the daemon, and so does a query, with the daemon's role; a server that only the caller knows gets its credentials; and
 * what is in a directory is looked at with the daemon's rights. */
static bool is_of_owner(const struct conf *conf, const struct command_pair *pair)
{
	static const char *const keys[] = {"pre_hook", "post_hook", "check", "to",
	                                   "target",   "where",     "mirror"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_equal(pair->key, keys[i]))
			return true;
	return str_equal(pair->key, "server") && !is_configured(conf, pair->value);
}

/* Rows that come back to where they were are as they were; anywhere else they are somebody's. */
static bool leads_elsewhere(const struct make_kind *work, const struct command_pair *pair)
{
	return work == &use_rescue && (str_equal(pair->key, "into") || str_equal(pair->key, "database") ||
	                               str_equal(pair->key, "server"));
}

static int refuse_import(const char *what, struct error *err)
{
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s acts with the rights of the user of keepfs: only that user, and root, may import so; others may import exports of the store into the database that [export] names",
	        what);
}

static bool is_of_exports(const struct conf *conf, const char *database)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (conf->jobs[i].kind == CONF_JOB_EXPORT && *database &&
		    str_equal(conf->jobs[i].export.database, database))
			return true;
	return false;
}

/* A file would be read with keepfs's rights, and a server reached with its passwords. */
static int check_import_rights(const struct conf *conf, const struct command_line *line, struct error *err)
{
	for (size_t i = 0; i < line->word_count; i++)
		if (*line->words[i] == '/')
			return refuse_import("the path of a file", err);
	for (size_t i = 0; i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, "database") && !is_of_exports(conf, line->pairs[i].value))
			return refuse_import("database=", err);
	return 0;
}

static int check_pair_rights(const struct conf *conf, const struct make_kind *work,
                             const struct command_pair *pair, struct error *err)
{
	if (leads_elsewhere(work, pair))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s= brings rows into another table than that of which they were backed up: only the user of keepfs, and root, may give it",
		        pair->key);
	if (!is_of_owner(conf, pair))
		return 0;
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s= acts with the rights of the user of keepfs: only that user, and root, may give it, and of servers everybody only those that the configuration names (database, drill_server)",
	        pair->key);
}

int use_check_rights(const struct conf *conf, const struct make_kind *work, const char *text, int64_t uid,
                     int64_t own_uid, struct error *err)
{
	_cleanup(command_line) struct command_line line = {0};
	struct error ignored = {0};
	int r = 0;

	if (uid == 0 || uid == own_uid || command_line_parse(text, &line, &ignored) < 0)
		return 0;
	if (line.word_count > 0 && str_equal(line.words[0], "forget"))
		return 0;
	if (work == &use_import)
		r = check_import_rights(conf, &line, err);
	for (size_t i = 0; r == 0 && i < line.pair_count; i++)
		r = check_pair_rights(conf, work, &line.pairs[i], err);
	return r;
}
