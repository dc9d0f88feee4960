// SPDX-License-Identifier: Apache-2.0
/*
 * The programs speak English here, whatever the server's language (their messages are not translated for us, and lc_messages is C
 * where the role may choose). What is not recognised is an error: so a server that may not be made to speak English makes more errors, and
 * none is missed.
 */
#include "restore_words.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Errors without a consequence: by the words of the error, and by the beginning of the statement that it is about. NULL: any. */
static const struct {
	const char *words, *command;
	bool no_owner; /* only where owners and rights are left out */
} harmless[] = {
        /* They are there in each new database. */
        {"schema \"public\" already exists", "CREATE SCHEMA public", false},
        {"extension \"plpgsql\" already exists", "CREATE EXTENSION", false},
        {"language \"plpgsql\" already exists", "CREATE ", false},
        {"must be owner of extension ", "COMMENT ON EXTENSION ", false},
        {"must be owner of schema public", "COMMENT ON SCHEMA public", false},
        {"must be owner of language plpgsql", "COMMENT ON ", false},
        /* A pg_restore that is newer than the server. */
        {"unrecognized configuration parameter ", "SET ", false},
        {" does not exist", "GRANT ", true},
        {" does not exist", "REVOKE ", true},
        {" does not exist", "ALTER DEFAULT PRIVILEGES ", true},
};

static bool is_harmless_error(const char *words, const char *command, bool no_owner)
{
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strstr(words, harmless[i].words) && str_starts(command, harmless[i].command) &&
		    (!harmless[i].no_owner || (no_owner && strstr(words, "role \""))))
			return true;
	return false;
}

void restore_listener_finish(struct restore_listener *l)
{
	str_finish(&l->error);
	str_finish(&l->about);
}

/* The error that waited, now that @command is known (""): it never will be. */
static enum restore_said judge_waiting_error(struct restore_listener *l, const char *command, struct str *ret)
{
	enum restore_said said = is_harmless_error(str_text(&l->error), command, l->no_owner)
	                                 ? RESTORE_SAID_HARMLESS
	                                 : RESTORE_SAID_ERROR;

	str_append_line(ret, str_text(&l->error));
	if (*command) {
		str_append(ret, " | ");
		str_append_line(ret, command);
	} else if (l->about.len > 0) {
		str_append(ret, " | ");
		str_append_line(ret, str_text(&l->about));
	}
	str_clear(&l->error);
	str_clear(&l->about);
	return said;
}

/* "psql:<stdin>:12: FEHLER:  …" → "FEHLER:  …" */
static const char *behind_place(const char *line)
{
	const char *at = str_starts(line, "psql:") ? strstr(line, ": ") : NULL;

	return at && isdigit((unsigned char)at[-1]) ? at + strlen(": ") : NULL;
}

/* What is no error in English may be one in no language. */
static bool is_only_told(const char *text)
{
	static const char *const words[] = {
	        "NOTICE:", "WARNING:", "INFO:", "LOG:", "DEBUG:", "warning:", "info:"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_starts(text, words[i]))
			return true;
	return false;
}

/* "pg_restore: error: could not execute query: ERROR:  …", "psql:<stdin>:12: ERROR:  …", "pg_restore: error: …", and before 12
 * "pg_restore: [archiver (db)] could not execute query: FEHLER:  …" */
static const char *error_in(const struct restore_listener *l, const char *line)
{
	const char *at, *told = behind_place(line);

	if (!str_starts(line, "pg_restore: ") && !str_starts(line, "psql:"))
		return NULL;
	at = strstr(line, "ERROR:  ");
	if (!at)
		at = strstr(line, "FATAL:  ");
	if (!at && (at = strstr(line, "error: ")) && strstr(line, "warning: errors ignored"))
		return NULL;
	if (!at)
		at = strstr(line, "could not execute query: ");
	return at || !l->every_line || !told || is_only_told(told) ? at : told;
}

/* DETAIL, and the lines of CONTEXT and of the statement, hold what is in rows: of these only which line of which table it was. */
static void add_to_error(struct restore_listener *l, const char *line)
{
	static const char copy[] = "CONTEXT:  COPY ";

	if (str_starts(line, "HINT:  "))
		str_appendf(&l->error, " | %s", line);
	else if (str_starts(line, copy))
		str_appendf(&l->error, " | %.*s", (int)(strlen(copy) + strcspn(line + strlen(copy), ":")),
		            line);
}

enum restore_said restore_listen(struct restore_listener *l, const char *line, struct str *ret)
{
	static const char command_was[] = "Command was: ", ignored[] = "errors ignored on restore: ";
	static const char about[] = "from TOC entry ";
	enum restore_said said = RESTORE_SAID_NOTHING;
	const char *error = line ? error_in(l, line) : NULL, *at;

	if (line && l->error.len > 0 && str_starts(line + strspn(line, " "), command_was))
		return judge_waiting_error(l, line + strspn(line, " ") + strlen(command_was), ret);
	/* A detail, a hint, the place in the statement. */
	if (line && l->error.len > 0 && !error && !str_starts(line, "pg_restore: ") &&
	    !str_starts(line, "psql:")) {
		add_to_error(l, line);
		return RESTORE_SAID_NOTHING;
	}
	if (l->error.len > 0)
		said = judge_waiting_error(l, "", ret);
	if (error)
		str_append(&l->error, error);
	else if (line && (at = strstr(line, about)))
		str_clear(&l->about), str_append(&l->about, at);
	else if (line && (at = strstr(line, ignored)))
		l->ignored = (unsigned)strtoul(at + strlen(ignored), NULL, 10);
	return said;
}

/* Scripts. */

void restore_statements_finish(struct restore_statements *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct restore_statements){0};
}

static bool is_char_of_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* The end of the token that begins at @at: a word, a quoted text, or one character. */
static const char *token_end(const char *at)
{
	const char *end = at;

	if (*at == '\'' || *at == '"') {
		for (end++; *end && (*end != *at || end[1] == *at); end++)
			end += *end == *at;
		return *end ? end + 1 : end;
	}
	/* E'…': a backslash keeps what follows it. */
	if (*at == 'E' && at[1] == '\'') {
		for (end = at + 2; *end && (*end != '\'' || end[1] == '\''); end++)
			end += (*end == '\\' || *end == '\'') && end[1];
		return *end ? end + 1 : end;
	}
	while (is_char_of_word(*end))
		end++;
	return end == at ? at + 1 : end;
}

static bool is_word(const char *at, const char *end, const char *word)
{
	return (size_t)(end - at) == strlen(word) && strncmp(at, word, strlen(word)) == 0;
}

struct statement { /* while it is read */
	struct str text;
	bool about_database; /* its word DATABASE has come, and the name behind it was replaced */
	bool expects_name;
	bool names_role;
};

/* One token, copied, or the name in its place. */
static void add_statement_token(struct statement *s, const char *at, const char *end, const char *quoted)
{
	bool replaces = s->expects_name && *at != ' ' && *at != '\n';

	if (replaces)
		str_append(&s->text, quoted);
	else
		str_append_bytes(&s->text, at, (size_t)(end - at));
	if (replaces) {
		s->expects_name = false;
		s->about_database = true;
	} else if (is_word(at, end, "DATABASE") && !s->about_database) {
		s->expects_name = true;
	} else if (is_word(at, end, "OWNER") || is_word(at, end, "GRANT") || is_word(at, end, "REVOKE") ||
	           is_word(at, end, "ROLE")) {
		s->names_role = true;
	}
}

static void end_sql_statement(struct statement *s, bool owner, struct restore_statements *ret)
{
	if (s->about_database && (owner || !s->names_role)) {
		ret->items = mem_resize(ret->items, ret->count + 2, sizeof(*ret->items));
		ret->items[ret->count++] = mem_strdup(str_text(&s->text));
		ret->items[ret->count] = NULL;
	}
	str_finish(&s->text);
	*s = (struct statement){0};
}

static const char *skip_line(const char *at)
{
	at = strchrnul(at, '\n');
	return *at ? at + 1 : at;
}

void restore_database_statements(const char *script, const char *quoted, bool owner,
                                 struct restore_statements *ret)
{
	struct statement s = {0};
	const char *at = script;

	while (*at) {
		const char *end;

		/* Comments, and commands of psql. */
		if (str_starts(at, "--") || (*at == '\\' && s.text.len == 0)) {
			at = skip_line(at);
			continue;
		}
		end = token_end(at);
		if (*at == ';')
			end_sql_statement(&s, owner, ret);
		else if (s.text.len > 0 || !isspace((unsigned char)*at))
			add_statement_token(&s, at, end, quoted);
		at = end;
	}
	str_finish(&s.text);
}

/* Roles. */

static void add_text(struct restore_statements *s, char *text)
{
	s->items = mem_resize(s->items, s->count + 2, sizeof(*s->items));
	s->items[s->count++] = text;
	s->items[s->count] = NULL;
}

/* Heap: an identifier without its quotes. */
static char *plain_name(const char *at, const char *end)
{
	struct str name = {0};

	if (*at != '"')
		str_append_bytes(&name, at, (size_t)(end - at));
	else
		for (at++; at < end - 1; at++) {
			str_append_char(&name, *at);
			at += *at == '"';
		}
	return str_take(&name);
}

/* The name behind the first word @word; NULL: there is no such word. */
static char *name_behind(const char *statement, const char *word)
{
	bool next = false;

	for (const char *at = statement; *at;) {
		const char *end = token_end(at);

		if (next && *at != ' ' && *at != '\n')
			return plain_name(at, end);
		next = next || is_word(at, end, word);
		at = end;
	}
	return NULL;
}

static void end_role_statement(struct str *text, struct restore_statements *statements,
                               struct restore_statements *roles)
{
	const char *statement = str_text(text);
	char *role = NULL;

	if (str_starts(statement, "CREATE ROLE ") || str_starts(statement, "ALTER ROLE "))
		role = name_behind(statement, "ROLE");
	/* GRANT … ON … is of a tablespace, or of a parameter. */
	else if (str_starts(statement, "GRANT ") && !strstr(statement, " ON "))
		role = name_behind(statement, "TO");
	if (role) {
		add_text(statements, mem_strdup(statement));
		add_text(roles, role);
	}
	str_clear(text);
}

void restore_role_statements(const char *script, struct restore_statements *statements,
                             struct restore_statements *roles)
{
	_cleanup(str) struct str text = {0};
	const char *at = script;

	while (*at) {
		const char *end;

		if (str_starts(at, "--") || (*at == '\\' && text.len == 0)) {
			at = skip_line(at);
			continue;
		}
		end = token_end(at);
		if (*at == ';')
			end_role_statement(&text, statements, roles);
		else if (text.len > 0 || !isspace((unsigned char)*at))
			str_append_bytes(&text, at, (size_t)(end - at));
		at = end;
	}
}

/* In a statement that takes rights away "TO" does not come. */
void restore_grantees(const char *script, struct restore_statements *ret)
{
	bool next = false;

	for (const char *at = script; *at;) {
		const char *end = token_end(at);
		bool is_name = next && *at != ' ' && *at != '\n';

		if (is_name && !is_word(at, end, "PUBLIC"))
			add_text(ret, plain_name(at, end));
		next = is_word(at, end, "TO") || (next && !is_name);
		at = end;
	}
}
