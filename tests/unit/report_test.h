// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the tests of the room report share: a catalog, a configuration of one job "full" (and a second, "tenants", for
 * who sets job_count to 2), and the sources over them. report_test.c is compiled into each program that is named
 * test_report_….c.
 */
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/health.h>
#include <keepfs/report/run.h>
#include <keepfs/report/status.h>
#include <keepfs/report/troubles.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define AT_S  INT64_C(1795140000) /* 2026-11-20T02:00:00Z */
#define AT_US (AT_S * US_PER_S)

struct fixture {
	char directory[64];
	struct catalog *catalog;
	struct conf conf;
	struct conf_job jobs[2];
	struct report_sources sources; /* of the catalog and the configuration, three hours behind AT_US */
	struct spool *out;
};

int set_up(void **state);
int tear_down(void **state);
#define REPORT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/** text_of() - what was written to f->out since the last call; on the heap. */
char *text_of(struct fixture *f);
/** written_by() - the whole text of a status file, on the heap; it must not fail. */
char *written_by(struct fixture *f, int (*writer)(const struct report_sources *, struct spool *));

/** add_run() - a run in @state; returns its number. @error: NULL for none. */
int64_t add_run(struct fixture *f, const char *job, enum run_state state, const char *error);
/** add_changed_run() - the same; @options: what the trigger changed. */
int64_t add_changed_run(struct fixture *f, const char *job, const char *options, enum run_state state,
                        const char *error);
/** add_warned_run() - a run that completed with a warning. */
int64_t add_warned_run(struct fixture *f, const char *job, const char *warning);
/** finished_at() - when a run ended. */
int64_t finished_at(struct fixture *f, int64_t run_id);
/** add_artifact() - a backup that was completed @second seconds behind AT_S; returns its inode number. A partial one
 * was not read back. */
uint64_t add_artifact(struct fixture *f, const char *job, int64_t second, int64_t run_id, uint32_t size);
uint64_t add_partial_artifact(struct fixture *f, const char *job, int64_t second, int64_t run_id,
                              uint32_t size);
/** set_probe() - the only result of the last `keepfs check`. */
void set_probe(struct fixture *f, const char *check, bool ok, int64_t at_us);
/** break_catalog() - open it anew, and put garbage in place of all but its first page. */
void break_catalog(struct fixture *f);

/** gather() - ask all checks; release with health_finish(). */
struct health gather(struct fixture *f);
/** find_item() - NULL when there is none. */
const struct health_item *find_item(const struct health *h, const char *check, const char *subject);
void assert_no_item(struct fixture *f, const char *check);
/** assert_item() - there is one, and it says this. @what_to_do: a part of it; NULL: there is to be none. */
void assert_item(struct fixture *f, const char *check, const char *subject, enum report_health level,
                 int64_t since_us, const char *what_to_do);

void assert_has(const char *text, const char *part);

/** sample_run - a run with every fact. */
extern const struct catalog_run sample_run;
