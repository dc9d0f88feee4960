// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A base backup, brought back into a data directory that a server recovers from (keepfs/cluster/back.h): to which moment is known, and that it can be reached, before anything is fetched.
 *
 *   restore_cluster.c        the order of steps
 *   restore_cluster_words.c  what was asked for
 *   restore_cluster_reach.c  which base, and which WAL
 *   restore_cluster_tell.c   the plan, for people
 *   restore_cluster_start.c  a server on it
 */
#include "restore_order.h"

#include <keepfs/cluster/back.h>
#include <keepfs/inside/backup.h>

struct copied;

struct restore_cluster {                    /* borrowed */
	const struct make_context *ctx;     /* of the run */
	const struct make_context *reading; /* of the backup; NULL: ctx is */
	const struct make_order *order;
	const struct restore_order *wanted;
	struct backup *backup;
	const struct copied *copy; /* that it is read from, in a further store; NULL: it is listed */
};

/** struct restore_cluster_words - heap, where not said otherwise. */
struct restore_cluster_words {
	struct recovery_goal goal;
	const char *timeline,
	        *action; /* borrowed: "latest", "current", a number; "promote", "pause", "shutdown" */
	uint32_t timeline_number; /* 0: it is none */
	const char *base; /* borrowed: as it is called, "20261120T020000Z"; NULL: the best one is chosen */
	const char *restore_command; /* borrowed; NULL: keepfs wal-get */
	const char *config; /* borrowed: a postgresql.conf outside of the directory; NULL: the one in there */
	const char *owner;  /* borrowed; NULL: not given */
	bool delta, start, archive_off, spaces_original;
	unsigned jobs;
	struct cluster_back_space *spaces;
	size_t space_count;
};
/** restore_cluster_read() - -EINVAL with what is allowed. Times are those of @conf's time zone for @job. Loads that. */
int restore_cluster_read(const struct conf *conf, const char *job, const struct restore_order *order,
                         struct restore_cluster_words *ret, struct error *err);
void restore_cluster_words_finish(struct restore_cluster_words *w);
static inline void cleanup_restore_cluster_words(struct restore_cluster_words *w)
{
	restore_cluster_words_finish(w);
}
/** restore_cluster_is_word() - is it one of base backups alone? Pure. */
bool restore_cluster_is_word(const char *key);
/** restore_cluster_take_spaces() - those of the base that go where they were; checks that those that were named are of it. @listed: its fact "tablespaces", NULL: it has none. */
int restore_cluster_take_spaces(struct restore_cluster_words *w, const char *listed, struct error *err);
/**
 * restore_cluster_command() - heap: the restore_command, by which a server gets the WAL of @job
 * @given: a command; "mount": it is copied out of the mount; NULL: this program is asked, with its configuration
 * NULL with @err: there is no file of configuration.
 */
char *restore_cluster_command(const struct conf *conf, const char *job, const char *given, struct error *err);

/** struct restore_reach - how the target is reached. */
struct restore_reach {
	char base[512];     /* path of the artifact */
	char *first, *last; /* heap: names of the first and last segment that are replayed; NULL: not known */
	uint64_t segments;
	uint64_t segment_bytes;
	int64_t latest_us; /* of the last commit in these; 0: not known */
	uint32_t timeline; /* that the recovery goes to; 0: not known */
	bool is_unsure;
	char *gap; /* heap: the segment that is missing behind these; NULL: none is */
};
void restore_reach_finish(struct restore_reach *r);
static inline void cleanup_restore_reach(struct restore_reach *r)
{
	restore_reach_finish(r);
}
/**
 * restore_cluster_reach() - which base leads to the target, and whether all WAL is there that it takes
 * @only: this base and no other; NULL: the best
 * Return: 0; -ENOENT (ERROR_NOT_FOUND) and -EINVAL (ERROR_USAGE): it cannot be reached, @err says why, and what can.
 */
int restore_cluster_reach(const struct make_context *ctx, const char *job,
                          const struct restore_cluster_words *words, const char *only,
                          struct restore_reach *ret, struct error *err);
/** restore_cluster_learn() - what the store has of WAL is listed now, where this catalog may not know of it. */
int restore_cluster_learn(const struct make_context *ctx, struct cancel *cancel, struct error *err);

/** restore_cluster_is() - is it a base backup? */
bool restore_cluster_is(const struct backup *b);
/** restore_cluster_accept() - what can be said before a run is queued. The base may become another one than @target names, which is the newest, for its moment. */
int restore_cluster_accept(const struct restore_cluster *c, struct make_target *target, struct error *err);
/** restore_cluster_run() - do it, or with plan=yes tell what would be done. */
int restore_cluster_run(const struct restore_cluster *c, struct error *err);

/* The plan. */

void restore_cluster_tell(const struct restore_cluster *c, const struct restore_cluster_words *words,
                          const struct cluster_back *back, const struct cluster_back_plan *plan,
                          const struct restore_reach *reach);

/* A server on it. */

struct restore_start { /* borrowed */
	const struct make_order *order;
	const char *bindir;    /* "": where programs are found */
	const char *directory; /* the data directory */
	const char *action;
	const char *config; /* its postgresql.conf; NULL: that in the data directory */
	int version_num;
	uid_t uid; /* whose it is */
	gid_t gid;
};
/** restore_start_check() - can it be started? Before anything is fetched. -ENOENT: there is no pg_ctl of that version. */
int restore_start_check(const struct restore_start *s, struct error *err);
/** restore_start_run() - start it, and wait until the recovery has reached its target. @err says what its log said. */
int restore_start_run(const struct restore_start *s, struct error *err);
/** restore_start_command() - heap: how people do it. */
char *restore_start_command(const struct restore_start *s);
