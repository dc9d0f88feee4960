// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A replication session: base backups, as PostgreSQL 13 to 18 send them
 * (https://www.postgresql.org/docs/current/protocol-replication.html). Up to 14 BASE_BACKUP takes keywords and sends one COPY for each tar, from 15 on it takes options in
 * parentheses and sends one COPY in which each message says what it is; whoever uses this sees no difference. A session belongs to one thread. Every wait ends with
 * -ECANCELED when the session's token is set; answers to questions are waited for for 10 s (-ETIMEDOUT), a backup has no limit, since a checkpoint may take long. Failures: as in keepfs/pg/session.h.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_replication;

/** pg_replication_open() - as pg_session_open() connects, with its limits. @conninfo: what it says of a database means nothing. -ENOTSUP (ERROR_USAGE): the server is older
 * than 13, which writes no backup_manifest. */
int pg_replication_open(const char *conninfo, const char *application, struct cancel *cancel,
                        struct pg_replication **ret, struct error *err);
/** pg_replication_free() - disconnect; a backup that still runs is ended at the server first. NULL allowed; returns NULL. */
struct pg_replication *pg_replication_free(struct pg_replication *s);
DEFINE_CLEANUP(pg_replication, struct pg_replication *, pg_replication_free)

struct pg_replication_system {
	int version_num;            /* 150018 */
	char system_identifier[32]; /* decimal */
	uint32_t timeline;
	uint64_t lsn; /* flushed so far */
};
/** pg_replication_identify() - IDENTIFY_SYSTEM. */
int pg_replication_identify(struct pg_replication *s, struct pg_replication_system *ret, struct error *err);
/** pg_replication_setting() - SHOW @name, which is trusted: heap, the caller's. */
int pg_replication_setting(struct pg_replication *s, const char *name, char **ret_value, struct error *err);

/** pg_lsn_format() - "0/3000028" into @ret, which is returned. */
#define PG_LSN_BYTES 18
const char *pg_lsn_format(uint64_t lsn, char ret[static PG_LSN_BYTES]);

struct pg_base_options {
	const char *label; /* in backup_label */
	bool spread;       /* the checkpoint is made over checkpoint_timeout, not at once */
	bool with_wal;     /* pg_wal has the WAL that the backup needs */
	bool waits; /* its end comes when the server has archived that WAL; at once, where it archives none */
	bool incremental; /* against the backup_manifest that this session has sent before; from 17 on */
};

/**
 * pg_replication_manifest_begin(), …_put(), …_end() - send the backup_manifest of an earlier backup (UPLOAD_MANIFEST): the next base backup of this session may be incremental against it
 *
 * The server takes of it the files with their lengths, the system identifier, and where the oldest WAL that it names begins; it looks for its summaries of the WAL since then only
 * when the backup begins. _end() waits for the server's word, without a limit.
 * -ENOTSUP (ERROR_USAGE): the server is older than 17; -EBADMSG and others: what the server says of it.
 */
int pg_replication_manifest_begin(struct pg_replication *s, struct error *err);
int pg_replication_manifest_put(struct pg_replication *s, const void *data, size_t len, struct error *err);
int pg_replication_manifest_end(struct pg_replication *s, struct error *err);

struct pg_base_place {
	uint32_t oid;     /* of a tablespace; 0: the data directory itself, which comes last */
	const char *path; /* of it at the server; "": the data directory */
	uint64_t bytes;   /* as the server estimates it; 0: not known */
};

/** struct pg_base_to - who is told of what comes, in this order; a negative return ends it, and is returned. Everything is borrowed for the call. */
struct pg_base_to {
	int (*start)(void *arg, uint64_t lsn, uint32_t timeline, const struct pg_base_place *places,
	             size_t count, struct error *err);
	int (*archive)(void *arg, size_t place, struct error *err); /* the tar of this place begins */
	/* of that tar, in messages of any size; two blocks of zeros may end it */
	int (*data)(void *arg, const void *data, size_t len, struct error *err);
	int (*manifest)(void *arg, const void *data, size_t len, struct error *err); /* of backup_manifest */
	void *arg;
};
/**
 * pg_replication_base() - BASE_BACKUP
 * @ret_end, @ret_timeline: where the backup ended; WAL is needed from the start's LSN to there
 * Return: 0: everything was sent, and the server said that it was well; else nothing of it counts. -EBADMSG (ERROR_CORRUPT, code XX001): pages of files have wrong checksums,
 * the message names the first of them. After a failure the session can only be freed.
 */
int pg_replication_base(struct pg_replication *s, const struct pg_base_options *options,
                        const struct pg_base_to *to, uint64_t *ret_end, uint32_t *ret_timeline,
                        struct error *err);
