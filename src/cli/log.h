// SPDX-License-Identifier: Apache-2.0
#pragma once
/* keepfs log, the parts of it: which backups there are and what was counted of them (log_backups.c), and which directories of them are meant (log_places.c). */
#include "engine.h"

#include <keepfs/codec/json.h>
#include <keepfs/use/counted.h>

#include <stdio.h>

struct cli_options;

/** struct log_backups - the list of backups, of a mount or of the catalog. */
struct log_backups {
	char *mountpoint; /* heap; NULL: @engine is open */
	struct engine engine;
	bool has_engine;
	FILE *list;               /* status/backups.jsonl */
	const char *job, *target; /* of which job and database; NULL: of any. Borrowed */
};

/** log_backups_open() - whoever names a mount means that one. @conf has to last as long as @b. Return: a status of the command. */
int log_backups_open(struct log_backups *b, const struct cli_options *options, struct conf *conf);
void log_backups_close(struct log_backups *b);
/** log_backups_each() - call @each with every dump of what is asked for, the newest first, until one returns less than 0, which is returned. */
int log_backups_each(struct log_backups *b,
                     int (*each)(void *arg, const struct json *backup, struct error *err), void *arg,
                     struct error *err);
/** log_backups_count() - what was counted of the table of @c in the backup @path. Return: 1: it is in @ret; -EINVAL: the table has to be named otherwise. */
int log_backups_count(const struct log_backups *b, struct use_counting *c, const char *path,
                      struct use_counted *ret, struct error *err);

#define LOG_PLACES_MOST 64 /* databases of jobs, of which one is to be chosen */

/** struct log_place - a job's database. */
struct log_place {
	char *job, *target; /* heap */
	bool is_looked_at, has_it, is_chosen;
};

struct log_places {
	const char *table;
	char *job_word;   /* heap: holds job and target of @backups */
	char *place_word; /* heap: as it was written, below backups/ */
	bool is_backup;   /* that is one */
	struct log_backups *backups;
	struct log_place items[LOG_PLACES_MOST];
	size_t count;
};

/** log_places_name() - @word: a job, JOB/DATABASE, a backup, or a path of one of these below @mountpoint, as the shell completes it. */
void log_places_name(struct log_places *p, const char *word, const char *mountpoint);
/** log_places_choose() - all directories of the database that has the table (is_chosen). -EINVAL: which one is meant has to be said. */
int log_places_choose(struct log_places *p, struct error *err);
void log_places_finish(struct log_places *p);
