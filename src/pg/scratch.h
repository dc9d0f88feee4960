// SPDX-License-Identifier: Apache-2.0
#pragma once
/** How a throw-away server is made and ended. */
#include <keepfs/base/scratch_place.h>
#include <keepfs/pg.h>
#include <keepfs/pg/scratch.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct proc;

#define SCRATCH_DATA "data"

struct pg_scratch {
	struct pg_scratch_options options; /* for pg_scratch_new() alone */
	struct scratch_place place;
	char *sockets; /* the directory of its socket: within the place, or a short one elsewhere */
	int lock_fd;   /* of the directory: one at a time */
	uid_t uid;
	gid_t gid;
	char bindir[PG_PATH_BYTES], version[128];
	char *role, *conninfo;
	char *variables[5];
	unsigned tablespaces;
	uint64_t disk_bytes; /* the budget */
	struct proc *server;
	struct cancel cancel;
	struct cancel_hook outer; /* the caller's token sets ours */
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool ready, failed;  /* lock: what the server said */
	uint64_t peak_bytes; /* lock */
	bool is_full;        /* lock */
	struct cancel watch_end;
	pthread_t watch;
	bool has_watch;
};

/** scratch_initdb() - make the cluster. */
int scratch_initdb(struct pg_scratch *s, struct error *err);
/** scratch_start() - until it takes connections. */
int scratch_start(struct pg_scratch *s, struct error *err);

/** scratch_fill() - have the caller bring a cluster, and write what its server reads. */
int scratch_fill(struct pg_scratch *s, struct error *err);
/** scratch_name_connection() - s->conninfo and s->variables, of s->role. */
void scratch_name_connection(struct pg_scratch *s);
/* In the scratch place: what a server reads whose cluster the caller has brought. */
#define SCRATCH_CONF  "postgresql.conf"
#define SCRATCH_HBA   "pg_hba.conf"
#define SCRATCH_IDENT "pg_ident.conf"

/** scratch_tablespace() - heap: a directory for one more tablespace; NULL with @err. */
char *scratch_tablespace(struct pg_scratch *s, struct error *err);
