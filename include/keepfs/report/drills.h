// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Rehearsed restores, as texts. See keepfs/report/status.h for what is true of every function. */
#include <keepfs/report/status.h>

/** report_drill_text() - a report of a drill (JSON, docs/formats.md) for people. Pure, but for the spool. */
int report_drill_text(const char *report, struct spool *out);
/** report_recovery() - status/recovery: of each job what could be restored now, what would be lost, how long it would take, and what of
 * that is proven. */
int report_recovery(const struct report_sources *from, struct spool *out);
