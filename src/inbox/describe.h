// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What becomes of a file of others, however it came: what its backup is called, of which kind it is, what its manifest says, and what goes because of it. */
#include "content.h"
#include "looks.h"

#include <keepfs/make/draft.h>

/* What came in may be older than all that the rules keep: it is there for a day at least, so that somebody can say otherwise. */
#define INBOX_STAYS_US (INT64_C(86400) * 1000000)

/* inbox_time_of() - when it was made, in the zone of that name; @otherwise_us where neither its content nor its name says it. Never behind @now_us. */
int64_t inbox_time_of(const struct inbox_look *look, const char *zone, int64_t otherwise_us, int64_t now_us);
/* inbox_kind_of() - what can be read, restored and looked into as what such a job makes is called so: "dump", "files", "inbox". */
const char *inbox_kind_of(const struct inbox_look *look);
/* inbox_look_text() - heap, for people: "an archive of pg_dump, compressed with gzip". */
char *inbox_look_text(const struct inbox_look *look);
/* inbox_describe() - the facts of @m. @content: its end was reached; @name: that others gave it; @dated_by: where inbox_time_of() had to take @otherwise_us. */
void inbox_describe(struct manifest *m, const struct inbox_look *look, const struct inbox_content *content,
                    const char *name, const char *dated_by);
/* inbox_put_counts() - tables.csv and the sums, where there are any; @sums_alone: nothing that names a table. */
int inbox_put_counts(struct draft *d, const struct inbox_content *content, bool sums_alone,
                     struct error *err);
/* inbox_prune() - as behind every run of a job: what is too old in the target's directory goes. That fails nothing. */
void inbox_prune(const struct make_context *ctx, const struct conf *conf, const struct make_order *order);
