// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Restores, in words. See keepfs/report/status.h for what is true of every function. */
#include <keepfs/base/str.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/status.h>

/** report_restore_left() - heap: what one that did not end well has left. report_restore_advice() - heap: and what is to be done. */
char *report_restore_left(const struct catalog_restore *x);
char *report_restore_advice(const struct catalog_restore *x);
/** report_restore_acts() - was the run of a restore to change anything: it was no plan, and settled nothing? Pure. */
bool report_restore_acts(const struct catalog_run *run);
/**
 * report_restores() - call @row for the last runs that restored something, or were to, the newest first
 * @since_us: only for those that have not ended before; 0: for all
 * @max: at most 16
 */
int report_restores(const struct report_sources *from, int64_t since_us, size_t max,
                    void (*row)(void *arg, const struct catalog_run *run), void *arg);
/** report_recovery_brief() - of each job that dumps databases a line: how long a restore takes and what would be lost, against the goals,
 * and how the last drill ended; append. */
int report_recovery_brief(const struct report_sources *from, struct str *out);
