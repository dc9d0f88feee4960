// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The history, run by run, and what is told of each run. */
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** runs_each() - call @row for each run (of @job; NULL: all), newest first, until it returns false. The
 * catalog is asked for pages: no query is open while @row works. Return: 0; negative errno of the catalog. */
int runs_each(struct catalog *c, const char *job, bool (*row)(void *arg, const struct catalog_run *run),
              void *arg);
/** runs_last_ended() - catalog_last_ended(). */
int runs_last_ended(struct catalog *c, const char *job, enum run_state state, int64_t *ret_us);
/** run_object() - the object of history.jsonl; the caller's. */
struct json *run_object(const struct catalog_run *run);
/** run_log_line() - a line of a run's log, without its end. */
void run_log_line(struct str *out, int64_t at_us, const char *line);
bool run_is_live(const struct catalog_run *run);
/** run_has_duration() - it has begun and ended, in this order (a clock may have been set back). */
bool run_has_duration(const struct catalog_run *run);

/** struct run_field - one fact of a run: a column of history.csv, a key of history.jsonl, a line of
 * jobs/<run>/status. */
struct run_field {
	const char *name;
	enum {
		RUN_FIELD_NUMBER, /* of 64 bits, never negative */
		RUN_FIELD_TEXT,   /* an array of characters; "": not known */
		RUN_FIELD_WORD,   /* the same, but always known: in JSON "" is "" and not null */
		RUN_FIELD_STATE,
		RUN_FIELD_TIME,    /* 0: not yet */
		RUN_FIELD_SECONDS, /* from start to end; not known while one of them is not */
	} type;
	size_t offset; /* in struct catalog_run; not of RUN_FIELD_SECONDS */
};

/** run_fields - the facts in the order in which all texts tell them. New ones come last. */
extern const struct run_field run_fields[];
extern const size_t run_field_count;

/** run_field_append() - the fact as a text: times in ISO 8601, seconds with three digits; nothing when it is not
 * known. */
void run_field_append(const struct run_field *field, const struct catalog_run *run, struct str *out);
/** run_field_set() - the same as @field->name of an object: null when it is not known. */
void run_field_set(const struct run_field *field, const struct catalog_run *run, struct json *object);
