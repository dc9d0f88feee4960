// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The begin of global/pg_control, by which a server knows its cluster, and what state that is in: the first fields of struct ControlFileData, which are at the same places in PostgreSQL 13 to 18
 * (src/include/catalog/pg_control.h); in the order of bytes of the host that wrote it, which for the architectures that keepfs runs on is little-endian. Pure; any thread.
 */
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

#define PG_CONTROL_NAME       "global/pg_control"
#define PG_CONTROL_HEAD_BYTES 32 /* so many are looked at */

enum pg_control_state { /* enum DBState */
	                PG_CONTROL_STARTUP,
	                PG_CONTROL_SHUTDOWNED,
	                PG_CONTROL_SHUTDOWNED_IN_RECOVERY,
	                PG_CONTROL_SHUTDOWNING,
	                PG_CONTROL_IN_CRASH_RECOVERY,
	                PG_CONTROL_IN_ARCHIVE_RECOVERY,
	                PG_CONTROL_IN_PRODUCTION,
};

struct pg_control {
	uint64_t system_id;
	uint32_t version; /* of the file's format: 1300, 1700, 1800 */
	enum pg_control_state state;
};
/** pg_control_decode() - -EBADMSG (ERROR_CORRUPT): it is none, or too short. */
int pg_control_decode(const void *data, size_t len, struct pg_control *ret, struct error *err);
