// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Evidence for auditors: one tar for a quarter of a year, with all that keepfs knows of it. What is in it and how it is verified without keepfs stands in its README.txt,
 * and in docs/operations.md, "Evidence for an audit".
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/spool.h>
#include <keepfs/report/status.h>
#include <keepfs/store.h>
#include <stdbool.h>
#include <stdint.h>

struct keyring;
struct signing;

/** struct quarter - of a year, UTC. */
struct quarter {
	int year, number;          /* 2026, 1 to 4 */
	int64_t from_us, until_us; /* since the epoch: the first moment, and the first behind it */
};
#define QUARTER_NAME_BYTES 16
/** quarter_parse() - "2026-Q4", of the years 2000 to 9999; false: it is none. Pure. */
bool quarter_parse(const char *text, struct quarter *ret);
/** quarter_of() - in which @at_us lies; quarter_name() - "2026-Q4" in @buf, which it returns. Pure. */
void quarter_of(int64_t at_us, struct quarter *ret);
const char *quarter_name(const struct quarter *q, char buf[static QUARTER_NAME_BYTES]);

struct evidence_context {                  /* all borrowed */
	const struct report_sources *from; /* with the catalog and the configuration in force */
	struct store *store;
	struct keyring *keyring; /* opens records that are encrypted; NULL: nothing does */
	struct signing *signing; /* signs the list of digests; NULL: nobody does */
	struct cancel *cancel;   /* NULL: it cannot be cancelled */
};
/**
 * evidence_write() - the tar, into @out
 *
 * Reads all records of the audit and of runs from the store, so it blocks on it; what it gathers is in unlinked files below state_dir. Return: 0; negative errno:
 * there is no evidence, rather than some with a gap. What of a record cannot be read is no such failure, but stands in findings.txt.
 */
int evidence_write(const struct evidence_context *ctx, const struct quarter *q, struct spool *out,
                   struct error *err);
