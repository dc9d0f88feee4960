// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the texts of this room share: walking through the history, JSON of a run, small formats, health,
 * troubles. */
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>
#include <keepfs/report.h>

/** runs_each() - call @row for each run (of @job; NULL: all), newest first, until it returns false. The
 * catalog is asked for pages: no query is open while @row works. Return: 0; negative errno of the catalog. */
int runs_each(struct catalog *c, const char *job, bool (*row)(void *arg, const struct catalog_run *run),
              void *arg);
bool run_is_live(const struct catalog_run *run);
/** run_seconds() - from start to end; negative when it has not begun or not ended. */
double run_seconds(const struct catalog_run *run);

/** spool_json() - @j (consumed) as one line. */
void spool_json(struct spool *out, struct json *j);
/** append_flat() - @text as one line: line ends become " | ". */
void append_flat(struct str *out, const char *text);
/** format_time() - ISO 8601, @none for 0; returns @buf. */
const char *format_time(int64_t at_us, const char *none, char buf[static 32]);

/** health_levels() - report_health() without its text: @row is called for each line, with its name ("job
 * full", "store"; the same one may come again). Returns the worst level. */
enum report_health health_levels(struct catalog *c, const struct conf *conf, struct report_troubles *troubles,
                                 int64_t now_us,
                                 void (*row)(void *arg, const char *check, enum report_health level),
                                 void *arg);

/** troubles_last_read_failure() - when an EIO was noted last; 0: never. */
int64_t troubles_last_read_failure(struct report_troubles *t);
/** troubles_no_cache() - heap: why the configured disk cache cannot be used; NULL: it can, or none is. */
char *troubles_no_cache(struct report_troubles *t);
