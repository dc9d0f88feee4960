// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the steps of one dump hand to each other. How a backup comes into the store is the draft's (keepfs/make/draft.h);
 * here is what only pg_dump's backups have.
 *
 *   dump.c          the order of the steps: from the first question to the published draft
 *   target.c        the databases of a job
 *   members.c       …that it finds out by patterns or a query
 *   around.c        the other databases of its server
 *   probe.c         would a dump work now?
 *   child.c         PostgreSQL's programs, run with the job's options
 *   words.c         what these programs say: warnings, and what they were refused
 *   toc.c           an archive's header and table of contents, kept until they are whole
 *   contents.c      which entries of an archive have data, and what was counted of each
 *   transcode.c     pg_dump's stream, compressed anew: one connection
 *   parallel.c      tables read over several connections, in one snapshot
 *   tape.c          how the tables are cut into slices for that
 *   table_reader.c  one connection of them, and its thread
 *   output.c        where the data goes, whichever way it was read:
 *   archive.c       into one custom archive
 *   directory.c     …or into the files of a directory
 *   text.c          SQL text, compressed: plain dumps, the roles of the cluster, and what a database is
 *   passed.c        an archive of a version that is not known here, as pg_dump wrote it
 */
#include "words.h"

#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>
#include <keepfs/dump.h>
#include <keepfs/make/draft.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>
#include <keepfs/stream.h>

struct dump {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_job *job;   /* order's */
	const struct conf_dump *conf; /* what of it only a dump has */
	struct draft *draft;          /* once the name is reserved */
	struct pg_facts server;
	char program[PG_PATH_BYTES]; /* pg_dump */
	char program_version[128];
	struct compression compression;
	struct warnings warnings; /* of the program that ran last */
	bool passed;              /* an archive as pg_dump wrote it: nothing is known of its inside */
	/* What was counted of the data; -1: it was not. */
	int64_t rows, tables, raw_bytes;
	char *largest_tables; /* contents_largest(); NULL: none, or not known */
};

/** A program's arguments, as they are gathered. */
struct arguments {
	char **items; /* NULL-terminated, each on the heap */
	size_t count;
};
void arguments_add(struct arguments *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arguments_finish(struct arguments *a);
static inline void cleanup_arguments(struct arguments *a)
{
	arguments_finish(a);
}
/** arguments_of_job() - pg_dump's options for what the job dumps: content, filters, lock timeout. */
void arguments_of_job(const struct dump *d, struct arguments *a);
/** arguments_of_archive() - likewise, for an archive that is compressed here. */
void arguments_of_archive(const struct dump *d, struct arguments *a);
/** child_start() - @program with @a, connected to the dump's database; its words go to the run's log, and its warnings
 * to @d's, in place of those that were there. */
int child_start(struct dump *d, const char *program, const struct arguments *a, struct proc **ret_proc,
                struct error *err);
/**
 * child_wait() - proc_wait(), with a hint, and the SQLSTATE of what the server refused in err->code, "" when it cannot be
 * found out (another session asks for the same again)
 * Return: -ESTALE (ERROR_CONFLICT) besides: what it was about to read was dropped or changed before it had its locks.
 */
int child_wait(const struct dump *d, struct proc *p, struct error *err);

/** dump_is_outrun() - @r with @why: what the snapshot shows was dropped, emptied or renamed before it was locked. With
 * another snapshot it may work. */
bool dump_is_outrun(int r, const struct error *why);

/* The ways to make the artifact. Each leaves the objects in the store, and enters them in the draft. */
struct contents;

/** make_archive() - custom and directory format, over one connection or several. */
int make_archive(struct dump *d, struct error *err);
/** make_plain() - SQL text. */
int make_plain(struct dump *d, struct error *err);
/** make_globals() - roles and tablespaces, a further file of the artifact. */
int make_globals(struct dump *d, struct error *err);
/** make_database() - the statement that creates the database, and all that is set for it: a further file of SQL text, which
 * has none of that. Archives have it inside. */
int make_database(struct dump *d, struct error *err);
/** make_passed() - the archive as pg_dump compresses it itself. */
int make_passed(struct dump *d, struct error *err);

/** transcode_archive() - pg_dump's stream through the press. -ENOTSUP: an archive version that is not known
 * here; nothing was written. */
int transcode_archive(struct dump *d, struct contents *contents, struct error *err);

/** How parallel_archive() ended when it is not a failure: one connection has to do, @err says why. */
#define PARALLEL_NOT_POSSIBLE 1
/** parallel_archive() - the tables over @connections connections in one snapshot. */
int parallel_archive(struct dump *d, struct contents *contents, unsigned connections, struct error *err);

/** dump_accepts(), dump_targets(), dump_check() - of struct make_kind. */
int dump_accepts(const struct make_context *ctx, const struct conf_job *job, const struct make_wanted *wanted,
                 struct error *err);
int dump_targets(const struct make_context *ctx, const struct conf_job *job, const struct make_wanted *wanted,
                 struct make_targets *ret, struct error *err);
void dump_look_around(const struct make_context *ctx, const struct conf_job *job,
                      const struct make_target *made, struct cancel *cancel);
void dump_check(const struct make_context *ctx, const struct conf_job *job,
                const struct make_findings *findings);
void dump_rights(const struct make_context *ctx, const struct conf_job *job, struct str *script);

/** members_targets() - of a job that finds its databases out: databases_kind_of() says by patterns or a query. */
int members_targets(const struct make_context *ctx, const struct conf_job *job,
                    const struct make_wanted *wanted, struct make_targets *ret, struct error *err);
/** members_accepts() - as struct make_kind says. */
int members_accepts(const struct make_context *ctx, const struct conf_job *job,
                    const struct make_wanted *wanted, struct error *err);
/** dump_target_add() - the database @name of @job, which is called @class (NULL: nothing). */
struct make_target *dump_target_add(const struct conf_job *job, const char *name, const char *class,
                                    struct make_targets *ret);
