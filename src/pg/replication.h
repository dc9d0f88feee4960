// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A replication session; private to this room. */
#include "session.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/replication.h>

struct pg_replication {
	struct pg_session session;
	struct str warnings;  /* of the server: the first few */
	char *stream_message; /* libpq's: the last one of a stream */
	PGresult *stream_end; /* the row that said where a timeline ended */
};

/** replication_read_lsn() - "0/3000028"; -EPROTO: it is none. */
int replication_read_lsn(const char *text, uint64_t *ret, struct error *err);
/** replication_read_number() - decimal, of at most @most; -EPROTO. */
int replication_read_number(const char *text, uint64_t most, uint64_t *ret, struct error *err);
