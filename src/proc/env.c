// SPDX-License-Identifier: Apache-2.0
/*
 * The environment of a child: of ours what it may have, and what the caller puts in its place.
 *
 * Programs of PostgreSQL get what is on a list, since nobody can list all secrets that a service's environment
 * may hold. Hooks are the administrator's own programs, which may need anything: they get all but what is known
 * to be keepfs's own.
 */
#include "env.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/conf.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static size_t count_strings(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool replaced(const char *variable, const char *const *extra)
{
	size_t name = strcspn(variable, "=") + 1;

	for (; *extra; extra++) {
		if (strncmp(*extra, variable, name) == 0)
			return true;
	}
	return false;
}

/* Names, or with a '*' what they begin with. */
static bool is_listed(const char *variable, const char *const *list)
{
	size_t name = strcspn(variable, "=");

	for (; *list; list++) {
		size_t len = strlen(*list);
		bool is_prefix = (*list)[len - 1] == '*';

		if (is_prefix ? strncmp(variable, *list, len - 1) == 0
		              : len == name && strncmp(variable, *list, len) == 0)
			return true;
	}
	return false;
}

/* libpq's, those of the libraries below it (TLS, Kerberos, LDAP), those by which the system finds programs and
 * libraries, and those that say how to write. */
static bool is_for_postgres(const char *variable)
{
	static const char *const list[] = {
	        "PG*",     "PATH",      "HOME",        "USER",        "LOGNAME",     "SHELL",
	        "TMPDIR",  "LANG",      "LANGUAGE",    "LC_*",        "TZ",          "TZDIR",
	        "SSL_*",   "OPENSSL_*", "KRB5*",       "LDAP*",       "LD_*",        "GCONV_PATH",
	        "LOCPATH", "NLSPATH",   "HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN", NULL};

	return is_listed(variable, list);
}

/* What finds programs and libraries, and says how to write. */
static bool is_for_servers(const char *variable)
{
	static const char *const list[] = {"PATH",  "TMPDIR", "LANG",       "LANGUAGE", "LC_*",    "TZ",
	                                   "TZDIR", "LD_*",   "GCONV_PATH", "LOCPATH",  "NLSPATH", NULL};

	return is_listed(variable, list);
}

/* What the service manager has told this process, and no other. */
static bool is_ours_alone(const char *variable)
{
	static const char *const list[] = {"NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_*", "WATCHDOG_*", NULL};

	return is_listed(variable, list);
}

static bool is_of_administrator(const char *variable)
{
	return !is_ours_alone(variable) && !conf_variable_is_private(variable);
}

static bool may_have(enum proc_env which, const char *variable)
{
	static const char *const of_databases[] = {"PGPASSWORD", NULL};

	if (which == PROC_ENV_HOOK)
		return is_of_administrator(variable);
	if (which == PROC_ENV_HELPER)
		return is_of_administrator(variable) && !is_listed(variable, of_databases);
	return which == PROC_ENV_SERVER ? is_for_servers(variable) : is_for_postgres(variable);
}

char **env_merge(enum proc_env which, const char *const *extra)
{
	static const char *const nothing[] = {NULL};
	const char *const *own = (const char *const *)environ;
	char **merged;
	size_t n = 0;

	if (!extra)
		extra = nothing;
	merged = mem_array(count_strings(own) + count_strings(extra) + 1, sizeof(*merged));
	for (; own && *own; own++) {
		if (may_have(which, *own) && !replaced(*own, extra))
			merged[n++] = (char *)*own;
	}
	for (; *extra; extra++)
		merged[n++] = (char *)*extra;
	return merged;
}
