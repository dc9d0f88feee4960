// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Members: the databases of jobs that do not name them, but find them out anew at each run: by a query on a registry, or by
 * patterns (policy/databases.h). The catalog remembers which were named, so that those that are named no more are noticed and
 * keep their backups, and so that a registry which is down costs no backup. See keepfs/catalog.h for what is true of every
 * function.
 *
 * A member is live, or gone since some moment. One that a whole answer does not name is gone at once; but when so many are not
 * named that the answer itself is doubted (databases_are_lost()), they stay live, are told of as missing, and are gone only when
 * they are still not named after the time that is given to catalog_read_members(). A reading that failed marks nothing.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;

struct catalog_member {
	char name[256];
	char class[256]; /* "": none */
	int64_t first_seen_us, last_seen_us;
	int64_t missing_since_us; /* live, but not named since this reading; 0: it was named by the last one */
	int64_t gone_since_us;    /* 0: live */
};

/** struct catalog_named - a row of an answer; borrowed */
struct catalog_named {
	const char *name;
	const char *class; /* NULL or "": none */
};

enum catalog_member_change {
	CATALOG_MEMBER_NEW,
	CATALOG_MEMBER_BACK,    /* it was gone, or missing */
	CATALOG_MEMBER_CLASS,   /* of another class than it was */
	CATALOG_MEMBER_GONE,    /* from now on */
	CATALOG_MEMBER_MISSING, /* for the first time, and doubted */
};

/** struct catalog_reading - a whole answer, to be remembered */
struct catalog_reading {
	const char *job;
	const struct catalog_named *rows; /* in their order; no name twice */
	size_t count;                     /* not 0: an answer without names is a failure */
	int64_t at_us;
	int64_t patience_us; /* for how long a doubted answer marks nothing as gone */
};

/**
 * catalog_read_members() - remember what was named
 * @changed: called for each member that is not as it was; what it is given is borrowed. It must not call the catalog.
 *
 * Databases of which the job has backups, and that the catalog has never seen named, count as members as well: the catalog was
 * made anew, or the job used to name its databases itself.
 */
int catalog_read_members(struct catalog *c, const struct catalog_reading *reading,
                         void (*changed)(void *arg, enum catalog_member_change change,
                                         const struct catalog_member *m),
                         void *arg, struct error *err);
/** catalog_fail_members() - they could not be read. */
int catalog_fail_members(struct catalog *c, const char *job, int64_t at_us, const char *reason,
                         struct error *err);

/** struct catalog_registry - how the last readings of a job's members went */
struct catalog_registry {
	int64_t read_at_us;   /* the last one that succeeded; 0: none */
	int64_t failed_at_us; /* the first one that failed since then; 0: none */
	char failure[512];    /* of the last one */
	uint64_t live, missing, gone;
	int64_t missing_since_us; /* the earliest; 0: none is missing */
};
/** catalog_registry() - all zero when the job's members were never read. */
int catalog_registry(struct catalog *c, const char *job, struct catalog_registry *ret);

/** catalog_each_member() - call @row for each member of @job: the live ones in the order of the last answer, then with @gone those
 * that are gone, the last first. */
int catalog_each_member(struct catalog *c, const char *job, bool gone,
                        void (*row)(void *arg, const struct catalog_member *m), void *arg);
/** catalog_member() - -ENOENT: the job never had it. */
int catalog_member(struct catalog *c, const char *job, const char *name, struct catalog_member *ret);
/** catalog_member_gone() - since when the database @name (the target of its artifacts) of @job is gone; 0: it is live, or the job
 * names its databases itself. What is gone keeps its backups for the job's keep_deleted. */
int64_t catalog_member_gone(struct catalog *c, const char *job, const char *name);

/*
 * What servers have. A run tells which server its job leads to, and which databases that one has; who compares that with what
 * the jobs back up finds those that none does (report/uncovered.h).
 */
/** catalog_set_server() - @job leads to @server, which has these databases and no others. @names: @count of them */
int catalog_set_server(struct catalog *c, const char *job, const char *server, const char *const *names,
                       size_t count, struct error *err);
/** catalog_job_server() - the server that @job leads to, as far as is known; -ENOENT. */
int catalog_job_server(struct catalog *c, const char *job, char *ret_server, size_t ret_bytes);
/** catalog_each_server_database() - call @row for each database of each server to which one of the jobs leads that are known here,
 * by server and name. */
int catalog_each_server_database(struct catalog *c,
                                 void (*row)(void *arg, const char *server, const char *name), void *arg);
