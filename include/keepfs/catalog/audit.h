// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The audit: who did what, for ever. See keepfs/catalog.h for what is true of every function. */
#include <keepfs/base/error.h>
#include <stddef.h>
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
	int64_t id; /* grows from each to the next; not looked at by catalog_add_audit() */
};
/** catalog_add_audit() - note it; the caller says when (at_us). */
int catalog_add_audit(struct catalog *c, const struct catalog_audit *entry, struct error *err);
/** catalog_audits() - call @row for each, newest first. */
int catalog_audits(struct catalog *c, void (*row)(void *arg, const struct catalog_audit *entry), void *arg);
/** catalog_audits_since() - call @row for each behind the one with the id @after, oldest first, at most @max times. */
int catalog_audits_since(struct catalog *c, int64_t after, size_t max,
                         void (*row)(void *arg, const struct catalog_audit *entry), void *arg);
