// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The files of throw-away servers: looked at and removed by descriptors, since their owner is another user, whose links lead anywhere. */
#include <keepfs/pg.h>
#include <keepfs/pg/scratch.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct proc;

#define SCRATCH_PREFIX "scratch-"
#define SCRATCH_DATA   "data"

struct scratch_place {
	int dir_fd;    /* of the directory in which it lies */
	int lock_fd;   /* of NAME.lock, locked */
	char name[64]; /* "scratch-1f0e…" */
	char *path;    /* of what belongs to the server's user */
	char *sockets; /* the directory of its socket: within @path, or a short one elsewhere */
};

struct pg_scratch {
	struct pg_scratch_options options; /* for pg_scratch_new() alone */
	struct scratch_place place;
	int lock_fd; /* of the directory: one at a time */
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

/** scratch_place_new() - under a name of its own, locked, with the directories, which belong to @uid and @gid. */
int scratch_place_new(const char *directory, uid_t uid, gid_t gid, struct scratch_place *ret,
                      struct error *err);
/** scratch_place_remove() - end the processes that work in it, remove all of it, unlock. */
int scratch_place_remove(struct scratch_place *p, struct error *err);
/** scratch_open() - the directory of the options; -ENOENT when it is missing and not @make. */
int scratch_open(const char *directory, bool make, struct error *err);

/** scratch_measure() - the bytes that the files below a directory take. */
uint64_t scratch_measure(int dir_fd, const char *name);
/** scratch_end_processes() - of the processes of the user who owns @path those that have their working directory there or below: SIGQUIT, and after 5 s SIGKILL. */
void scratch_end_processes(const char *path);
/** scratch_tablespace() - heap: a directory for one more tablespace; NULL with @err. */
char *scratch_tablespace(struct pg_scratch *s, struct error *err);
