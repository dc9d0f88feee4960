// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Writing what a dump holds: rows by COPY from the client, and large objects. The statements and settings are those of pg_restore
 * (src/bin/pg_dump/pg_backup_archiver.c: _doSetFixedOutputState; pg_backup_db.c). A session belongs to one thread; what
 * keepfs/pg/session.h says of waits and failures holds here, too.
 */
#include <keepfs/pg/session.h>
#include <stdint.h>

struct pg_load_settings {
	const char *statements; /* of the archive itself: "SET client_encoding = 'UTF8';" and the like; "" */
	bool no_triggers; /* foreign keys and triggers do not act: what is loaded was consistent where it came from */
};

/**
 * pg_load_begin() - settings for loading: no time limits, an empty search_path, row_security off, synchronous_commit off
 * Return: 0; with no_triggers -EACCES where the role may not switch them off: nothing else is wrong with the session then.
 */
int pg_load_begin(struct pg_session *s, const struct pg_load_settings *settings, struct error *err);
/** pg_load_flush() - what was committed by all sessions so far is on the server's disk now. */
int pg_load_flush(struct pg_session *s, struct error *err);

/** pg_load_copy() - begin "COPY public.t (a, b) FROM stdin;"; pg_load_data() - its next bytes, of any size; waits for the server when
 * that is slower; pg_load_end() - that was all: how many rows the server has taken. After a failure the session can only be freed. */
int pg_load_copy(struct pg_session *s, const char *copy_stmt, struct error *err);
int pg_load_data(struct pg_session *s, const void *data, size_t len, struct error *err);
int pg_load_end(struct pg_session *s, uint64_t *ret_rows, struct error *err);
/** pg_load_end_within() - pg_load_end() in a transaction of the caller's, which goes on. */
int pg_load_end_within(struct pg_session *s, uint64_t *ret_rows, struct error *err);

/**
 * pg_load_copy_frozen() - as pg_load_copy(), of a large table that nobody else knows of yet: it is emptied first, in the same transaction,
 * and its rows are written as if VACUUM (FREEZE) had been there already. Whoever reads them first need not write each page once more. Where
 * the server does not allow that (a partitioned or a foreign table, no right to TRUNCATE) it is pg_load_copy().
 */
int pg_load_copy_frozen(struct pg_session *s, const char *copy_stmt, struct error *err);

/** pg_load_blobs_begin(), pg_load_blobs_end() - large objects are written in one transaction. */
int pg_load_blobs_begin(struct pg_session *s, struct error *err);
int pg_load_blobs_end(struct pg_session *s, struct error *err);
/** pg_load_blob_empty() - the large object is there, and has no bytes, whatever was before. */
int pg_load_blob_empty(struct pg_session *s, uint32_t oid, struct error *err);
/** pg_load_blob() - write at @offset of a large object that is there; at most some MiB in one call. */
int pg_load_blob(struct pg_session *s, uint32_t oid, uint64_t offset, const void *data, size_t len,
                 struct error *err);
