// SPDX-License-Identifier: Apache-2.0
/*
 * Lines that somebody copies into a shell in the worst hour of his year. They hold names that others chose, and so
 * everything is quoted; and they bring a backup back beside what is there, never over it.
 */
#include "dashboard.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/codec/name.h>

#include <string.h>

#define PLAIN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,"

void shell_quote(struct str *out, const char *text)
{
	if (*text && text[strspn(text, PLAIN_CHARACTERS)] == '\0') {
		str_append(out, text);
		return;
	}
	str_append_char(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			str_append(out, "'\\''");
		else
			str_append_char(out, *text);
	}
	str_append_char(out, '\'');
}

static void append_path(const struct page *p, const struct catalog_backup *b, struct str *out)
{
	_cleanup(free) char *path = mem_printf("%s/%s", str_or_empty(p->from->conf->mountpoint), b->path);

	shell_quote(out, path);
}

/* What libpq would take for a connection string has to be written as one (libpq, "dbname"). */
static void append_database(struct str *out, const char *name)
{
	_cleanup(str) struct str conninfo = {0};

	if (!strchr(name, '=') && !str_starts(name, "postgres://") && !str_starts(name, "postgresql://")) {
		shell_quote(out, name);
		return;
	}
	str_append(&conninfo, "dbname='");
	for (; *name; name++) {
		if (*name == '\'' || *name == '\\')
			str_append_char(&conninfo, '\\');
		str_append_char(&conninfo, *name);
	}
	str_append_char(&conninfo, '\'');
	shell_quote(out, str_text(&conninfo));
}

/* Names that cannot be shown as they are cannot be copied either. */
static bool is_shown_whole(const char *text)
{
	_cleanup(str) struct str visible = {0};

	str_append_visible(&visible, text);
	return strcmp(str_text(&visible), text) == 0 && !strpbrk(text, "\r\n\t");
}

char *shell_copy(const struct page *p, const struct catalog_backup *b)
{
	_cleanup(str) struct str line = {0};

	if (!b->path || !is_shown_whole(str_or_empty(p->from->conf->mountpoint)))
		return NULL;
	str_append(&line, b->is_directory ? "cp -r " : "cp ");
	append_path(p, b, &line);
	str_append(&line, " .");
	return str_take(&line);
}

static void append_new_database(struct str *line, const char *name)
{
	str_append(line, *name == '-' ? "createdb -T template0 -- " : "createdb -T template0 ");
	shell_quote(line, name);
	str_append(line, " && ");
}

static bool append_dump(const struct page *p, const struct catalog_backup *b, struct str *line)
{
	_cleanup(free) char *name = mem_printf("%s_restored", b->label);
	bool sql = str_ends(b->path, ".sql"), sql_gz = str_ends(b->path, ".sql.gz");

	if (!sql && !sql_gz && !b->is_directory && !str_ends(b->path, ".dump"))
		return false;
	append_new_database(line, name);
	if (sql || sql_gz) {
		str_append(line, sql_gz ? "zcat " : "cat ");
		append_path(p, b, line);
		str_append(line, " | psql -v ON_ERROR_STOP=1 -d ");
		append_database(line, name);
	} else {
		str_append(line, "pg_restore -j 4 -d ");
		append_database(line, name);
		str_append_char(line, ' ');
		append_path(p, b, line);
	}
	return true;
}

static bool append_archive(const struct page *p, const struct catalog_backup *b, struct str *line)
{
	if (!strstr(b->path, ".tar"))
		return false;
	str_append(line, "mkdir restored && tar -x -C restored -f ");
	append_path(p, b, line);
	return true;
}

char *shell_restore(const struct page *p, const struct catalog_backup *b)
{
	_cleanup(str) struct str line = {0};
	bool made;

	if (!b->path || b->damaged || !is_shown_whole(str_or_empty(p->from->conf->mountpoint)) ||
	    !is_shown_whole(b->label))
		return NULL;
	made = str_equal(b->kind, "files") ? append_archive(p, b, &line) : append_dump(p, b, &line);
	return made ? str_take(&line) : NULL;
}

/* What is restored asks for its target's name, and shows first what it would do. */
char *shell_bring_back(const struct conf *conf, const struct catalog_good_copy *good)
{
	bool is_dump = str_equal(good->kind, "dump");
	const char *place = str_or_empty(conf->mountpoint);
	_cleanup(free) char *path =
	        is_dump ? mem_strdup(tree_short(good->path)) : mem_printf("%s/%s", place, good->path);
	_cleanup(str) struct str line = {0};

	if (!is_shown_whole(path) || (!is_dump && !*place))
		return NULL;
	str_append(&line, is_dump ? "keepfs restore " : "cp -r ");
	shell_quote(&line, path);
	str_append(&line, is_dump ? "" : " .");
	return str_take(&line);
}
