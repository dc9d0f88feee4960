// SPDX-License-Identifier: Apache-2.0
/*
 * Files of credentials. They say what they are for, so that whoever names one (a query) cannot use it for anything else. A message never has a value of theirs.
 */
#include "stores_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TENANTS_MAX 1000
#define WHITE       " \t\r"

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void stores_credentials_finish(struct stores_credentials *c)
{
	wipe(&c->access_key);
	wipe(&c->secret_key);
	wipe(&c->session_token);
	free(c->endpoint);
	free(c->bucket);
	for (size_t i = 0; c->tenants && c->tenants[i]; i++)
		free(c->tenants[i]);
	free(c->tenants);
	*c = (struct stores_credentials){0};
}

/* "acme, globex" */
static int take_tenants_of_file(const char *text, struct stores_credentials *ret)
{
	size_t count = 0;

	if (ret->tenants)
		return -EEXIST;
	ret->tenants = mem_array(TENANTS_MAX + 1, sizeof(*ret->tenants));
	while (*text && count < TENANTS_MAX) {
		size_t len = strcspn(text, ", \t");

		if (len > 0)
			ret->tenants[count++] = mem_printf("%.*s", (int)len, text);
		text += len;
		text += strspn(text, ", \t");
	}
	return *text ? -E2BIG : 0;
}

static int take_credential(const char *key, const char *value, struct stores_credentials *ret)
{
	const struct {
		const char *key;
		char **slot;
	} keys[] = {
	        {"access_key", &ret->access_key},
	        {"secret_key", &ret->secret_key},
	        {"session_token", &ret->session_token},
	        {"endpoint", &ret->endpoint},
	        {"bucket", &ret->bucket},
	};

	if (str_equal(key, "tenants"))
		return take_tenants_of_file(value, ret);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!str_equal(key, keys[i].key))
			continue;
		if (*keys[i].slot)
			return -EEXIST;
		*keys[i].slot = mem_strdup(value);
		return 0;
	}
	return -ENOENT;
}

static void trim(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && strchr(WHITE, text[len - 1]))
		text[--len] = '\0';
	memmove(text, text + strspn(text, WHITE), strlen(text + strspn(text, WHITE)) + 1);
}

/* @line is the caller's to wipe. */
static int parse_credentials_line(const char *where, unsigned number, char *line,
                                  struct stores_credentials *ret, struct error *err)
{
	char *value = strchr(line, '=');
	int r;

	trim(line);
	if (!*line || *line == '#' || *line == ';')
		return 0;
	if (!value)
		return error_set(err, ERROR_USAGE, EINVAL, "%s:%u: the line is not of the form KEY = VALUE",
		                 where, number);
	value = strchr(line, '=');
	*value++ = '\0';
	trim(line);
	trim(value);
	if (!*value)
		return error_set(err, ERROR_USAGE, EINVAL, "%s:%u: %s has no value", where, number, line);
	r = take_credential(line, value, ret);
	if (r == -EEXIST)
		return error_set(err, ERROR_USAGE, EINVAL, "%s:%u: %s is set twice", where, number, line);
	if (r == -E2BIG)
		return error_set(err, ERROR_USAGE, EINVAL, "%s:%u: more than %d tenants", where, number,
		                 TENANTS_MAX);
	/* What stands there is not shown: it may be a secret without its key. */
	if (r < 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s:%u: no such key; allowed: access_key, secret_key, session_token, endpoint, bucket, tenants",
		        where, number);
	return 0;
}

static int parse_credentials(const char *where, char *text, struct stores_credentials *ret, struct error *err)
{
	unsigned number = 0;
	int r = 0;

	for (char *line = text, *next; r == 0 && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		r = parse_credentials_line(where, ++number, line, ret, err);
	}
	if (r == 0 && (!ret->access_key || !ret->secret_key))
		r = error_set(err, ERROR_USAGE, EINVAL, "%s: there is no %s", where,
		              ret->access_key ? "secret_key" : "access_key");
	return r;
}

int stores_parse_credentials(const char *where, const char *text, size_t len, struct stores_credentials *ret,
                             struct error *err)
{
	struct stores_credentials found = {0};
	char *copy = mem_printf("%.*s", (int)len, text);
	int r = strlen(copy) != len ? error_set(err, ERROR_USAGE, EINVAL, "%s: it holds a character 0", where)
	                            : parse_credentials(where, copy, &found, err);

	explicit_bzero(copy, len);
	free(copy);
	if (r == 0)
		*ret = found;
	else
		stores_credentials_finish(&found);
	return r;
}

/* Reading. */

/* Nobody else may exchange it, as nobody else may write in its directory. That of systemd's credentials is the service manager's. */
static int check_credentials_directory(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup(free) char *directory = mem_printf("%.*s", slash > path ? (int)(slash - path) : 1, path);
	_cleanup(fd) int fd = -1;

	if (!slash)
		return 0;
	fd = own_directory_open(
	        directory, "directory of credentials",
	        "give it to root or the user whose keepfs is, and let nobody else write in it", err);
	return fd < 0 ? fd : 0;
}

int stores_read_credentials(const char *path, struct stores_credentials *ret, struct error *err)
{
	const struct secret_use use = {.what = "credentials", .whole = true};
	_cleanup(secret_text) struct secret_text text = {0};
	int r = check_credentials_directory(path, err);

	if (r == 0)
		r = secret_open_file(path, &use, &text, err);
	return r < 0 ? r : stores_parse_credentials(path, text.data, text.len, ret, err);
}
