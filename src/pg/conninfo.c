// SPDX-License-Identifier: Apache-2.0
/*
 * Connection strings. libpq parses them, in both notations; this file only decides what goes where. The
 * password never reaches an argument list, where every user of the host could read it, nor a message: libpq's
 * complaint about a string that it cannot parse quotes the string, so that part is cut out.
 */
#include "conninfo.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/pg/find.h>

#include <errno.h>
#include <string.h>

bool conninfo_is_plain(const char *conninfo)
{
	return conninfo[0] && !strchr(conninfo, '=') && !str_starts(conninfo, "postgresql://") &&
	       !str_starts(conninfo, "postgres://");
}

/* What is between the first and the last quotation mark was copied from the string. */
static char *without_quotation(const char *words)
{
	const char *first = strchr(words, '"'), *last = strrchr(words, '"');

	if (!first || first == last)
		return mem_strdup(words);
	return mem_printf("%.*s\"…\"%s", (int)(first - words), words, last + 1);
}

static bool may_hold_secret(const char *conninfo)
{
	return strstr(conninfo, "password") || strchr(conninfo, '@');
}

static void append_option(struct str *out, const char *keyword, const char *value)
{
	if (out->len > 0)
		str_append_char(out, ' ');
	str_appendf(out, "%s='", keyword);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			str_append_char(out, '\\');
		str_append_char(out, *value);
	}
	str_append_char(out, '\'');
}

char *pg_database_conninfo(const char *name)
{
	_cleanup(str) struct str out = {0};

	append_option(&out, "dbname", name);
	return str_take(&out);
}

bool pg_conninfo_is_name(const char *text)
{
	return conninfo_is_plain(text);
}

/* What libpq takes without quotes, and a file of the configuration without a comment in it. */
static bool needs_no_quotes(const char *value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:@+,";

	return *value && !value[strspn(value, plain)];
}

void pg_conninfo_add(struct str *conninfo, const char *keyword, const char *value)
{
	if (!needs_no_quotes(value))
		append_option(conninfo, keyword, value);
	else
		str_appendf(conninfo, "%s%s=%s", conninfo->len > 0 ? " " : "", keyword, value);
}

static PQconninfoOption *parse_plain(const char *name, char **ret_words)
{
	_cleanup(free) char *text = pg_database_conninfo(name);

	return PQconninfoParse(text, ret_words);
}

int conninfo_parse(const char *conninfo, PQconninfoOption **ret_options, struct error *err)
{
	_cleanup(free) char *told = NULL;
	PQconninfoOption *options;
	char *words = NULL;

	if (conninfo_is_plain(conninfo))
		options = parse_plain(conninfo, &words);
	else
		options = PQconninfoParse(conninfo, &words);
	if (options) {
		*ret_options = options;
		return 0;
	}
	if (words)
		words[strcspn(words, "\n")] = '\0';
	told = words && may_hold_secret(conninfo) ? without_quotation(words) : mem_strdup(words);
	error_set(err, ERROR_USAGE, EINVAL, "the connection string of the database is wrong: %s",
	          told ? told : "no memory");
	PQfreemem(words);
	return -EINVAL;
}

const char *conninfo_value(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++) {
		if (strcmp(options->keyword, keyword) == 0)
			return options->val && options->val[0] ? options->val : NULL;
	}
	return NULL;
}

bool conninfo_leaves_alive(const PQconninfoOption *options)
{
	static const char *const deciding[] = {CONNINFO_ALIVE, "keepalives", "tcp_user_timeout", "service"};
	const char *service = getenv("PGSERVICE");

	for (size_t i = 0; i < ARRAY_SIZE(deciding); i++)
		if (conninfo_value(options, deciding[i]))
			return false;
	return !service || !service[0];
}

int pg_child_conninfo(const char *conninfo, const char *database, const char *options, char **ret_conninfo,
                      char **ret_env, struct error *err)
{
	static const char *const alive[] = {CONNINFO_ALIVE}, *const alive_values[] = {CONNINFO_ALIVE_VALUES};
	_cleanup(pq_options) PQconninfoOption *given = NULL;
	_cleanup(str) struct str out = {0};
	const char *password;
	int r = conninfo_parse(conninfo, &given, err);

	if (r < 0)
		return r;
	if (conninfo_value(given, "sslpassword"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the connection string of the database holds sslpassword, which cannot be handed to pg_dump unseen: "
		        "move it to a service file (pg_service.conf) and name that with service=");
	password = conninfo_value(given, "password");
	if (database)
		append_option(&out, "dbname", database);
	if (options && options[0])
		append_option(&out, "options", options);
	for (const PQconninfoOption *o = given; o->keyword; o++) {
		bool moved = strcmp(o->keyword, "password") == 0;
		bool replaced = (database && strcmp(o->keyword, "dbname") == 0) ||
		                (options && options[0] && strcmp(o->keyword, "options") == 0);

		if (o->val && o->val[0] && !moved && !replaced)
			append_option(&out, o->keyword, o->val);
	}
	for (size_t i = 0; i < CONNINFO_ALIVE_COUNT && conninfo_leaves_alive(given); i++)
		append_option(&out, alive[i], alive_values[i]);
	*ret_env = password ? mem_printf("PGPASSWORD=%s", password) : NULL;
	*ret_conninfo = str_take(&out);
	return 0;
}

char *pg_conninfo_database(const char *conninfo)
{
	_cleanup(pq_options) PQconninfoOption *options = NULL;
	_cleanup(pq_options) PQconninfoOption *defaults = NULL;
	const char *name;

	if (conninfo_parse(conninfo, &options, NULL) < 0)
		return mem_strdup("");
	name = conninfo_value(options, "dbname");
	if (!name)
		name = conninfo_value(options, "service");
	if (name)
		return mem_strdup(name);
	/* The environment, PGSERVICE's entry, and at last what libpq does: the name of the user. */
	defaults = PQconndefaults();
	name = defaults ? conninfo_value(defaults, "dbname") : NULL;
	if (!name)
		name = conninfo_value(options, "user");
	if (!name && defaults)
		name = conninfo_value(defaults, "user");
	return mem_strdup(name ? name : "");
}

static char *with_setting(const char *conninfo, const char *keyword, const char *value)
{
	_cleanup(pq_options) PQconninfoOption *options = NULL;
	_cleanup(str) struct str out = {0};

	if (conninfo_parse(conninfo, &options, NULL) < 0)
		return mem_strdup("");
	for (const PQconninfoOption *o = options; o->keyword; o++)
		if (o->val && o->val[0] && !strchr(o->dispchar, '*') && strcmp(o->keyword, keyword) != 0)
			pg_conninfo_add(&out, o->keyword, o->val);
	pg_conninfo_add(&out, keyword, value);
	return str_take(&out);
}

char *pg_conninfo_with_database(const char *conninfo, const char *database)
{
	return with_setting(conninfo, "dbname", database);
}

char *pg_conninfo_with_user(const char *conninfo, const char *user)
{
	return with_setting(conninfo, "user", user);
}
