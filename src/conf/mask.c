// SPDX-License-Identifier: Apache-2.0
/* Passwords in libpq's connection strings are hidden rather too often than too rarely: a string that libpq
 * would refuse must not show its password either. */
#include "value.h"

#include <ctype.h>
#include <string.h>

static bool is_uri(const char *text)
{
	return str_starts(text, "postgresql://") || str_starts(text, "postgres://");
}

/* The last '@' that can end the user's part: before the first '/', else before the first '?'. */
static const char *user_part_end(const char *authority)
{
	const char *end = memrchr(authority, '@', strcspn(authority, "/"));

	return end ? end : memrchr(authority, '@', strcspn(authority, "?"));
}

/* Does the parameter's name, which may be percent-encoded, speak of a password? */
static bool is_password_name(const char *name, size_t len)
{
	_cleanup(str) struct str plain = {0};

	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (c == '%' && i + 2 < len && isxdigit((unsigned char)name[i + 1]) &&
		    isxdigit((unsigned char)name[i + 2])) {
			char hex[3] = {name[i + 1], name[i + 2], '\0'};

			c = (char)strtol(hex, NULL, 16);
			i += 2;
		}
		str_append_char(&plain, (char)tolower((unsigned char)c));
	}
	return strstr(str_text(&plain), "password") || str_equal(str_text(&plain), "oauth_client_secret");
}

static void mask_query(const char *query, struct str *out)
{
	while (*query) {
		size_t len = strcspn(query, "&"), name_len = strcspn(query, "=");

		if (name_len < len && is_password_name(query, name_len)) {
			str_append_bytes(out, query, name_len + 1);
			str_append(out, CONF_MASK);
		} else {
			str_append_bytes(out, query, len);
		}
		query += len;
		if (*query)
			str_append_char(out, *query++);
	}
}

static void mask_uri(const char *text, struct str *out)
{
	const char *authority = strstr(text, "://") + 3, *user_end = user_part_end(authority);
	const char *rest = text,
	           *colon = user_end ? memchr(authority, ':', (size_t)(user_end - authority)) : NULL;
	size_t path_len;

	if (colon) {
		str_append_bytes(out, text, (size_t)(colon + 1 - text));
		str_append(out, CONF_MASK);
		rest = user_end;
	}
	path_len = strcspn(rest, "?");
	path_len += rest[path_len] == '?';
	str_append_bytes(out, rest, path_len);
	mask_query(rest + path_len, out);
}

/* The end of a value: up to a space outside of quotes; a backslash takes the next character along. */
static const char *keyword_value_end(const char *p)
{
	bool quoted = false;

	for (; *p && (quoted || !isspace((unsigned char)*p)); p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '\'')
			quoted = !quoted;
	}
	return p;
}

static void mask_keywords(const char *text, struct str *out)
{
	while (*text) {
		size_t name_len = strcspn(text, "= \t");
		const char *value = text + name_len, *end;

		value += strspn(value, " \t");
		if (*value != '=') { /* not a pair: as it stands */
			str_append_bytes(out, text, (size_t)(value - text));
			text = value;
			continue;
		}
		value++;
		value += strspn(value, " \t");
		end = keyword_value_end(value);
		str_append_bytes(out, text, (size_t)(value - text));
		if (is_password_name(text, name_len))
			str_append(out, CONF_MASK);
		else
			str_append_bytes(out, value, (size_t)(end - value));
		text = end;
		name_len = strspn(text, " \t");
		str_append_bytes(out, text, name_len);
		text += name_len;
	}
}

bool conf_has_password(const char *connection)
{
	_cleanup(str) struct str masked = {0};

	conf_mask_connection(connection, &masked);
	return !str_equal(connection, str_text(&masked));
}

void conf_mask_connection(const char *text, struct str *out)
{
	if (is_uri(text))
		mask_uri(text, out);
	else
		mask_keywords(text, out);
}
