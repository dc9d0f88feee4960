// SPDX-License-Identifier: Apache-2.0
/*
 * The clusters that Debian's postgresql-common knows: a directory for each, /etc/postgresql/VERSION/NAME, with its
 * postgresql.conf. Of that file only two settings are of interest. Files that it includes are not followed: what they would
 * say is asked of the server itself, once it is found.
 */
#include "find.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define CONF_MAX_BYTES 1048576
#define DEFAULT_PORT   5432

void find_places_add(struct find_places *places, const char *directory)
{
	_cleanup(free) char *real = realpath(directory, NULL);

	for (size_t i = 0; real && i < places->count; i++)
		if (str_equal(places->directories[i], real))
			return;
	places->directories =
	        mem_resize(places->directories, places->count + 1, sizeof(*places->directories));
	places->directories[places->count++] = real ? take_ptr(&real) : mem_strdup(directory);
}

/* "port = 5433 # comment", "unix_socket_directories = '/a, /b'": the value without its quotes into @out. */
static bool take_setting(const char *line, const char *name, struct str *out)
{
	size_t len = strlen(name);

	line += strspn(line, " \t");
	if (strncmp(line, name, len) != 0 || isalnum((unsigned char)line[len]) || line[len] == '_')
		return false;
	line += len + strspn(line + len, " \t=");
	str_clear(out);
	if (*line == '\'')
		str_append_bytes(out, line + 1, strcspn(line + 1, "'"));
	else
		str_append_bytes(out, line, strcspn(line, " \t#"));
	return true;
}

struct cluster {
	struct str port, directories;
};

static void read_cluster(const char *path, struct cluster *ret)
{
	_cleanup(str) struct str text = {0};
	char *rest, *line;

	if (fd_read_file(path, CONF_MAX_BYTES, &text) < 0)
		return;
	rest = text.data;
	while (rest && (line = strsep(&rest, "\n"))) {
		take_setting(line, "port", &ret->port);
		take_setting(line, "unix_socket_directories", &ret->directories);
	}
}

static void add_directories(struct find_places *places, char *list)
{
	char *word;

	while ((word = strsep(&list, ","))) {
		word += strspn(word, " \t");
		word[strcspn(word, " \t")] = '\0';
		if (*word == '/')
			find_places_add(places, word);
	}
}

/* @path: "/etc/postgresql/15/main/postgresql.conf" */
static void take_cluster(struct find_places *places, const char *path, long wanted_port)
{
	_cleanup(free) char *copy = mem_strdup(path);
	struct cluster cluster = {0};
	char *name, *version;
	long port;

	read_cluster(path, &cluster);
	port = cluster.port.len ? strtol(str_text(&cluster.port), NULL, 10) : DEFAULT_PORT;
	*strrchr(copy, '/') = '\0';
	name = strrchr(copy, '/');
	*name++ = '\0';
	version = strrchr(copy, '/') + 1;
	if (!wanted_port || port == wanted_port) {
		if (cluster.directories.data)
			add_directories(places, cluster.directories.data);
		str_appendf(
		        &places->clusters,
		        "  the cluster %s/%s is configured for port %ld: is it running? (pg_ctlcluster %s %s start)\n",
		        version, name, port, version, name);
	}
	str_finish(&cluster.port);
	str_finish(&cluster.directories);
}

void find_clusters(struct find_places *places, long port)
{
	glob_t found;

	if (glob("/etc/postgresql/*/*/postgresql.conf", 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		take_cluster(places, found.gl_pathv[i], port);
	globfree(&found);
}
