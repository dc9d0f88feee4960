// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What tells a server how far it is to recover: settings in postgresql.auto.conf, which a server reads behind postgresql.conf
 * (https://www.postgresql.org/docs/current/runtime-config-wal.html, "Archive Recovery" and "Recovery Target"). PostgreSQL 13 to 18. Pure; any thread.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stdint.h>

struct zone;

enum recovery_goal_kind {
	RECOVERY_TO_LATEST,    /* to the end of what there is of the log */
	RECOVERY_TO_IMMEDIATE, /* only until the cluster is consistent */
	RECOVERY_TO_TIME,
	RECOVERY_TO_LSN,
	RECOVERY_TO_XID,
	RECOVERY_TO_NAME, /* of a restore point: pg_create_restore_point() */
};

#define RECOVERY_NAME_BYTES 64 /* of a restore point, with NUL: MAXFNAMELEN of PostgreSQL */
struct recovery_goal {
	enum recovery_goal_kind kind;
	int64_t time_us; /* of a time: what was committed then or before is there */
	uint64_t lsn;
	uint64_t xid; /* as pg_current_xact_id() gives it, or without its epoch, as it is in rows */
	char name[RECOVERY_NAME_BYTES];
};

/**
 * recovery_goal_parse() - "latest", "immediate", "lsn:0/3000028", "xid:1234", "name:before_upgrade", or a time: "2026-11-20 10:00", with or without seconds and up to six digits of their fraction, with
 * 'T' or ' ' between, with "Z", "+01", "+01:00" or "+0100" behind it, or else by @zone
 * Return: 0; -EINVAL (ERROR_USAGE): it is none of these, and @err says how they are written.
 */
int recovery_goal_parse(const char *text, const struct zone *zone, struct recovery_goal *ret,
                        struct error *err);
/** recovery_goal_format() - as it is written: "2026-11-20T10:00:00Z", "lsn:0/3000028", "latest". Appended. */
void recovery_goal_format(const struct recovery_goal *t, struct str *out);

struct recovery_settings {
	struct recovery_goal target;
	const char *restore_command; /* borrowed, as the next ones */
	const char *timeline;        /* "latest", "current", or a number */
	const char *action;          /* at the target: "promote", "pause", "shutdown" */
	bool archive_off; /* what the server writes is not to be archived: it is a copy beside another one that lives */
};
/**
 * recovery_settings_write() - a postgresql.auto.conf with these settings, and all else that @old had
 * What an earlier recovery has left in @old (NULL: there is none) is taken out: targets, restore_command, and what is done at the end of a recovery. A target that
 * stands in postgresql.conf does not count any more: a server refuses two.
 */
void recovery_settings_write(const char *old, const struct recovery_settings *s, struct str *out);
