// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The audit: who did what, and when. What has grown old leaves it for the store (catalog/records.h). See keepfs/catalog.h for what is true of every function. */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

struct catalog_audit {
	int64_t at_us;
	int64_t uid, pid; /* -1: keepfs itself */
	char command[64];
	char action[32]; /* "read", "link", "trigger", "remove", "cancel", "probe", "rebuild", "damaged" */
	char object[512];
	char result[16]; /* "ok", "denied", "failed" */
	char detail[512];
	int64_t id; /* its number, in the order in which they came; catalog_add_audit() gives one itself */
};
/** catalog_add_audit() - note it; the caller says when (at_us). */
int catalog_add_audit(struct catalog *c, const struct catalog_audit *entry, struct error *err);
/** catalog_audits() - call @row for each of the newest @max (0: of all), newest first. */
int catalog_audits(struct catalog *c, uint64_t max, void (*row)(void *arg, const struct catalog_audit *entry),
                   void *arg);
/** catalog_audits_after() - call @row for each line behind number @after (0: from the oldest), oldest first, until it
 * returns false. */
int catalog_audits_after(struct catalog *c, int64_t after,
                         bool (*row)(void *arg, const struct catalog_audit *entry), void *arg);
