// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files that look for servers share; private to this room. */
#include <keepfs/pg/find.h>

/* What libpq was built with, on Debian, Fedora, and in PostgreSQL's own containers. */
#define DEFAULT_SOCKET_DIRECTORY "/var/run/postgresql"

/** struct find_places - where sockets may be, and what is configured to be there. */
struct find_places {
	char **directories; /* heap, texts as well; each once */
	size_t count;
	struct str clusters; /* a line for each cluster that is configured, for people */
};

void find_places_add(struct find_places *places, const char *directory);
/** find_clusters() - those below /etc/postgresql, as Debian's pg_lsclusters knows them: the directories of their sockets, and
 * a line for each. What cannot be read is passed over. @port: only of that one; 0: of all. */
void find_clusters(struct find_places *places, long port);

/** find_databases() - connect by @server's conninfo, and take its version and its databases from there. Return: 0; negative
 * with @err, as pg_session_open(). */
int find_databases(struct pg_found_server *server, struct error *err);
