// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The audit: who did what, and when. What has grown old leaves it for the store (catalog/records.h). See keepfs/catalog.h for what is true of every function.
 *
 * It is a chain: each line names the SHA-256 of the line before it, as that is written in status/audit.jsonl and in records. So a line that was
 * changed, removed or put in between is found by whoever reads all of them (codec/audit_chain.h, docs/formats.md). Who may write into the catalog can make
 * a chain anew: what shows that are heads of the chain that were noted elsewhere. Lines that an earlier keepfs wrote name none.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/hash.h>
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
	/* What catalog_add_audit() gives it. */
	int64_t id; /* its number, in the order in which they came, without gaps */
	char previous
	        [SHA256_HEX_BYTES]; /* the SHA-256 of the line before; zeros: it is the first that has this; "": an earlier keepfs wrote it */
};
struct json;
/** catalog_audit_object() - the line as it is shown, stored and hashed; the caller's. What a line has never changes. Pure. */
struct json *catalog_audit_object(const struct catalog_audit *entry);

/** struct catalog_audit_head - the end of the chain. */
struct catalog_audit_head {
	int64_t number;              /* of the newest line there ever was; 0: none */
	char hash[SHA256_HEX_BYTES]; /* of that line; zeros: it is one of an earlier keepfs */
};
int catalog_audit_head(struct catalog *c, struct catalog_audit_head *ret);
/** catalog_raise_audit_head() - there are lines elsewhere up to @head: the next one goes on from there. Does nothing when the catalog has been as far. */
int catalog_raise_audit_head(struct catalog *c, const struct catalog_audit_head *head, struct error *err);
/** catalog_add_audit() - note it; the caller says when (at_us). */
int catalog_add_audit(struct catalog *c, const struct catalog_audit *entry, struct error *err);
/** catalog_audits() - call @row for each of the newest @max (0: of all), newest first. */
int catalog_audits(struct catalog *c, uint64_t max, void (*row)(void *arg, const struct catalog_audit *entry),
                   void *arg);
/** catalog_audits_after() - call @row for each line behind number @after (0: from the oldest), oldest first, until it
 * returns false. */
int catalog_audits_after(struct catalog *c, int64_t after,
                         bool (*row)(void *arg, const struct catalog_audit *entry), void *arg);
