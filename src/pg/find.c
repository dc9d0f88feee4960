// SPDX-License-Identifier: Apache-2.0
/*
 * Where servers of this host may be, one place after the other, and what each of them answers. A place where nobody
 * answers becomes a line of what was looked at; a server that refuses is found all the same, with its reason.
 */
#include "find.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg.h>

#include "conninfo.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_NAME  ".s.PGSQL."
#define DEFAULT_PORT 5432
#define SUPERUSER    "postgres"

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* What the environment says of connections, but for what is secret, what names a database, and what is of the caller's terminal. */
static void add_environment(struct str *conninfo, const char *const *but)
{
	static const char *const never[] = {"dbname", "client_encoding", "application_name", NULL};
	_cleanup(pq_options) PQconninfoOption *options = PQconndefaults();

	for (const PQconninfoOption *o = options; o && o->keyword; o++) {
		const char *value = o->envvar ? variable(o->envvar) : NULL;
		bool left_out = !value || strchr(o->dispchar, '*');

		for (const char *const *word = never; !left_out && *word; word++)
			left_out = strcmp(*word, o->keyword) == 0;
		for (const char *const *word = but; !left_out && *word; word++)
			left_out = strcmp(*word, o->keyword) == 0;
		if (!left_out)
			pg_conninfo_add(conninfo, o->keyword, value);
	}
}

static struct pg_found_server *add_server(struct pg_found *found, char *conninfo, char *place)
{
	found->servers = mem_resize(found->servers, found->count + 1, sizeof(*found->servers));
	found->servers[found->count] = (struct pg_found_server){.conninfo = conninfo, .place = place};
	return &found->servers[found->count++];
}

static void server_finish(struct pg_found_server *s)
{
	for (size_t i = 0; i < s->database_count; i++)
		free(s->databases[i].name);
	free(s->databases);
	free(s->conninfo);
	free(s->place);
	free(s->version);
	free(s->refusal);
}

void pg_found_finish(struct pg_found *found)
{
	for (size_t i = 0; i < found->count; i++)
		server_finish(&found->servers[i]);
	free(found->servers);
	str_finish(&found->looked);
	str_finish(&found->passed_over);
	*found = (struct pg_found){0};
}

/* A server has said no, or asks for what we do not have; else nobody answers there. */
static bool is_refused(const struct error *err)
{
	return err->code[0] || err->class == ERROR_DENIED;
}

static bool is_superuser_worth_trying(void)
{
	_cleanup(pq_options) PQconninfoOption *options = PQconndefaults();
	const char *user = options ? conninfo_value(options, "user") : NULL;

	return !variable("PGUSER") && !variable("PGSERVICE") && !str_equal(user, SUPERUSER);
}

/* Once more under the superuser's usual name; the server keeps that only when it lets us in so. */
static int try_superuser(struct pg_found_server *s)
{
	_cleanup(str) struct str conninfo = {0};
	_cleanup(free) char *before = NULL;
	struct error ignored = {0};
	int r;

	str_append(&conninfo, s->conninfo);
	pg_conninfo_add(&conninfo, "user", SUPERUSER);
	before = s->conninfo;
	s->conninfo = str_take(&conninfo);
	r = find_databases(s, &ignored);
	if (r < 0) {
		free(s->conninfo);
		s->conninfo = take_ptr(&before);
	}
	return r;
}

/* @conninfo, @place: consumed. */
static void try_place(struct pg_found *found, char *conninfo, char *place)
{
	struct pg_found_server *s = add_server(found, conninfo, place);
	struct error err = {0};
	int r = find_databases(s, &err);

	if (r < 0 && is_refused(&err) && is_superuser_worth_trying() && try_superuser(s) == 0)
		r = 0;
	if (r == 0)
		return;
	if (is_refused(&err)) {
		s->refusal = mem_strdup(err.message);
		return;
	}
	str_appendf(&found->looked, "  %s: %s\n", s->place, err.message);
	server_finish(s);
	found->count--;
}

static void try_environment(struct pg_found *found)
{
	static const char *const nothing[] = {NULL};
	static const char *const names[] = {"PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT"};
	struct str conninfo = {0};
	_cleanup(str) struct str place = {0};

	add_environment(&conninfo, nothing);
	str_append(&place, "the server that the environment names (");
	for (size_t i = 0, told = 0; i < ARRAY_SIZE(names); i++)
		if (variable(names[i]))
			str_appendf(&place, "%s%s=%s", told++ ? " " : "", names[i], variable(names[i]));
	str_append_char(&place, ')');
	try_place(found, str_take(&conninfo), str_take(&place));
}

/* At @host, a directory of sockets or a name. */
static void try_host(struct pg_found *found, const char *host, long port)
{
	static const char *const placed[] = {"host", "hostaddr", "port", "service", NULL};
	_cleanup(free) char *number = mem_printf("%ld", port);
	struct str conninfo = {0};

	pg_conninfo_add(&conninfo, "host", host);
	pg_conninfo_add(&conninfo, "port", number);
	add_environment(&conninfo, placed);
	try_place(found, str_take(&conninfo),
	          *host == '/' ? mem_printf("the socket in %s, port %ld", host, port)
	                       : mem_printf("%s, port %ld", host, port));
}

/* The port in the name of a server's socket; 0: it is none. */
static long port_of_socket(int dir_fd, const char *name, uid_t *ret_owner)
{
	struct stat st;
	char *end;
	long port;

	if (!str_starts(name, SOCKET_NAME))
		return 0;
	port = strtol(name + strlen(SOCKET_NAME), &end, 10);
	if (*end || port < 1 || port > 65535 || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	*ret_owner = st.st_uid;
	return S_ISSOCK(st.st_mode) ? port : 0;
}

/* In /tmp anybody can make a socket, show whatever he likes behind it, and be told a password. */
static bool is_trusted_owner(uid_t owner)
{
	const struct passwd *superuser = getpwnam(SUPERUSER);

	return owner == 0 || owner == geteuid() || (superuser && owner == superuser->pw_uid);
}

static void pass_over_socket(struct pg_found *found, const char *directory, long port, uid_t owner)
{
	const struct passwd *user = getpwuid(owner);
	_cleanup(free) char *line = mem_printf(
	        "  the socket in %s, port %ld: not asked, since it belongs to %s (uid %lu), and not to root, " SUPERUSER
	        " or the user that asks; if that is a server of yours, name it: --database 'host=%s port=%ld dbname=…'\n",
	        directory, port, user ? user->pw_name : "a user without a name", (unsigned long)owner,
	        directory, port);

	str_append(&found->looked, line);
	str_append(&found->passed_over, line);
}

static void try_directory(struct pg_found *found, const char *directory, long wanted_port)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	bool any = false;

	while (dir && (entry = readdir(dir))) {
		uid_t owner = 0;
		long port = port_of_socket(dirfd(dir), entry->d_name, &owner);

		if (!port || (wanted_port && port != wanted_port))
			continue;
		any = true;
		if (is_trusted_owner(owner))
			try_host(found, directory, port);
		else
			pass_over_socket(found, directory, port, owner);
	}
	if (dir)
		closedir(dir);
	if (any)
		return;
	str_appendf(&found->looked, "  %s: no socket of a server", directory);
	if (wanted_port)
		str_appendf(&found->looked, " of port %ld", wanted_port);
	str_append_char(&found->looked, '\n');
}

static void try_host_itself(struct pg_found *found)
{
	const char *text = variable("PGPORT");
	long port = text ? strtol(text, NULL, 10) : 0;
	struct find_places places = {0};

	find_places_add(&places, DEFAULT_SOCKET_DIRECTORY);
	find_places_add(&places, "/tmp");
	find_clusters(&places, port);
	for (size_t i = 0; i < places.count; i++) {
		try_directory(found, places.directories[i], port);
		free(places.directories[i]);
	}
	free(places.directories);
	if (found->count == 0)
		try_host(found, "localhost", port ? port : DEFAULT_PORT);
	if (found->count == 0)
		str_append(&found->looked, str_text(&places.clusters));
	str_finish(&places.clusters);
}

static int compare_servers(const void *a, const void *b)
{
	const struct pg_found_server *one = a, *other = b;

	if (!one->refusal != !other->refusal)
		return one->refusal ? 1 : -1;
	return (one->bytes < other->bytes) - (one->bytes > other->bytes);
}

void pg_find_servers(struct pg_found *ret)
{
	*ret = (struct pg_found){0};
	if (variable("PGHOST") || variable("PGHOSTADDR") || variable("PGSERVICE"))
		try_environment(ret);
	else
		try_host_itself(ret);
	if (ret->count > 1)
		qsort(ret->servers, ret->count, sizeof(*ret->servers), compare_servers);
}
