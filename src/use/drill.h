// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A rehearsed restore: of one backup, on a throw-away server or in a database of its own elsewhere, looked at level by level. What is found
 * on the way is gathered here; drill_report.c makes the report of it.
 *
 * Of a bundle it is one drill, whose parts are tried one after the other: databases as by themselves, in a struct drill of their own (drill_rehearse()), and what is none by
 * what its kind has (drill_part.h).
 */
#include <keepfs/inside/backup.h>

#include <keepfs/base/spool.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/codec/json.h>

#include <pthread.h>

struct copied;
struct drill_cluster;
struct pg_scratch;

#define DRILL_DIFFERENCES_SHOWN 10
#define DRILL_NOTES_SHOWN       50
#define DRILL_PARTS_SHOWN       200 /* and as many that did not pass */
#define DRILL_PARTS_WITH_ALL    20  /* with all that was found out */

/** struct drill_words - what whoever ordered it said. Texts are borrowed. */
struct drill_words {
	int level; /* 0: as the job says */
	unsigned jobs;
	const char *server; /* NULL: as the job says */
	const char *mirror; /* NULL: as the job says; "": mirrors are read only */
	bool keep, rotate;
};

struct drill {
	const struct make_context *ctx; /* with a pool of its own */
	const struct make_order *order;
	const struct conf *conf;
	const struct conf_job *job; /* of the configuration; NULL: it has none of that name */
	struct backup *backup;
	const struct copied *copy; /* that it is read from, in a further store; NULL: it is listed */
	struct drill *
	        whole; /* that this is a part of, and that is told what is told here; NULL: it is all of it */
	const char *part; /* its name there */
	enum proof_level wanted;
	bool keep;
	unsigned jobs;                 /* connections */
	const char *server;            /* connection string */
	char *database;                /* what is restored into; heap */
	bool with_rights;              /* owners and rights are restored, and compared */
	bool made;                     /* this drill has made it, on a server that stays */
	bool noted;                    /* that it makes it there */
	struct pg_scratch *scratch;    /* NULL: on another server */
	struct drill_cluster *cluster; /* of a base backup (drill_cluster.h); NULL */
	char server_version[128];
	int server_version_num;
	char pg_dump[512];
	struct cancel *cancel;

	pthread_mutex_t lock;
	uint64_t differences; /* lock */
	uint64_t notes;       /* lock */
	struct json *first;   /* lock: texts of the first differences */
	struct json *told;    /* lock: texts of notes */
	char first_text[512]; /* lock */
	uint64_t tables;      /* that were compared */
	uint64_t rows, bytes; /* of them */
	struct json *phases, *objects, *checks;
	struct json *moment; /* of a base backup: drill_report_moment(); NULL */
	struct json *parts;  /* of what consists of some; NULL */
	uint64_t parts_tried, parts_failed;
	struct catalog_drill row;
};

/** drill_differs() - what was restored is not what it should be: counted, told, and in the report if it is one of the first. Any thread. */
void drill_differs(struct drill *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** drill_note() - whoever reads the report should know. Any thread. */
void drill_note(struct drill *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * struct drill_contents - what the archive says that there is: its table of contents, in spools below state_dir but for some 16 bytes for
 * each entry. Of a text nothing is known.
 */
struct drill_objects {
	struct spool *texts;
	struct drill_object {
		uint64_t hash, at;
	} * items;
	size_t count;
};
struct drill_contents {
	bool known;
	char encoding[64];    /* "": not told */
	struct spool *copies; /* of each entry with data what loads it, with its NUL; "" of large objects */
	struct spool *sequences; /* what sets each, with its NUL */
	struct drill_objects objects;
};
/** drill_contents_read() - of the backup. */
int drill_contents_read(struct drill *d, struct drill_contents *ret, struct error *err);
void drill_contents_finish(struct drill_contents *c);
static inline void cleanup_drill_contents(struct drill_contents *c)
{
	drill_contents_finish(c);
}
/** drill_text() - heap: the text at @at of a spool, which is moved behind it; NULL with @err. */
char *drill_text(const struct spool *spool, uint64_t *at, struct error *err);

/* The levels. Each returns 0 when all was looked at, whatever was found (drill_differs()). */
/** drill_equal() - @ret_provable: false: the backup does not say what its rows are. */
int drill_equal(struct drill *d, bool *ret_provable, struct error *err);
/** drill_compare_tables() - rows and hash of each table, large objects. */
int drill_compare_tables(struct drill *d, const struct drill_contents *contents, bool *ret_counted,
                         struct error *err);
/** drill_compare_objects() - everything that the table of contents names, and sequences. */
int drill_compare_objects(struct drill *d, const struct drill_contents *contents, struct error *err);
/** drill_sound() - @ret_provable: false: there is no amcheck. */
int drill_sound(struct drill *d, bool *ret_provable, struct error *err);
/** drill_ask() - @ret_asked: how many checks there are. */
int drill_ask(struct drill *d, unsigned *ret_asked, struct error *err);

/** drill_note_database() - before it is made on a server that stays, so that after a crash health tells of it. */
int drill_note_database(struct drill *d, struct error *err);
/** drill_end_database() - drop what was made there, unless it is to be kept; what could not be dropped health tells of. */
void drill_end_database(struct drill *d);

/** drill_begin() - d->ctx, order, conf, backup and copy, of a part also whole and part, are set. drill_finish() frees what it holds. */
void drill_begin(struct drill *d, const struct drill_words *words);
void drill_finish(struct drill *d);

/** drill_rehearse() - all of it: d->row says how it ended. Return: 0: it passed. */
int drill_rehearse(struct drill *d, struct error *err);
/** drill_whole() - the same of a bundle, with each of its parts, and of an archive of files. */
int drill_whole(struct drill *d, const struct drill_words *words, struct error *err);
/** drill_is_whole() - is it what drill_whole() tries? */
bool drill_is_whole(const struct backup *b);
/** drill_take_scratch() - the throw-away server is there: it is the one that is asked. */
void drill_take_scratch(struct drill *d);
/** drill_run_phase() - call @phase, and note how long it took. Not when it was cancelled. */
int drill_run_phase(struct drill *d, const char *name, int (*phase)(struct drill *d, struct error *err),
                    struct error *err);
/** drill_note_wrong() - @level was looked at, and that returned @r, with @err: what is the backup's fault is on record. */
void drill_note_wrong(struct drill *d, enum proof_level level, int r, const struct error *err);
/** drill_look_phase() - drill_run_phase() and drill_note_wrong(), where so much is to be proven. */
int drill_look_phase(struct drill *d, enum proof_level level, const char *name,
                     int (*phase)(struct drill *d, struct error *err), struct error *err);
/** drill_end() - d->row says how it ended: @r and @err are what came of it, and what differs is added. */
int drill_end(struct drill *d, int r, struct error *err);
/** drill_mark_wrong() - what failed may be the fault of @b: then it is read by itself, which decides. */
void drill_mark_wrong(struct drill *d, struct backup *b, const struct error *why);
/** drill_is_of_elsewhere() - what it was tried on, or the store, has failed: of the backup nothing is known. */
bool drill_is_of_elsewhere(const struct drill *d, const struct error *err);
/** drill_part_report() - what was found of a database that is a part: the caller's. */
struct json *drill_part_report(struct drill *d);
/** drill_report() - heap: of d->row and all that was found. */
char *drill_report(struct drill *d);
