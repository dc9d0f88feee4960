// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a file is, by its first bytes, and what its name says. Pure.
 */
#include <keepfs/codec/compression.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inbox_shape {
	INBOX_OTHER,   /* kept as it is */
	INBOX_ARCHIVE, /* pg_dump's custom format */
	INBOX_SQL,     /* what pg_dump or pg_dumpall write as text */
	INBOX_TAR,
};

#define INBOX_HEAD_BYTES                                                                                     \
	((size_t)256 << 10) /* so much is looked at: a block of zstd is 128 KiB of plain bytes */
#define INBOX_SUFFIX_BYTES 32

struct inbox_look {
	enum compression_method method;  /* of the file as a whole */
	enum inbox_shape shape;          /* of what is in it */
	bool is_cluster;                 /* a text that begins as those of pg_dumpall do */
	char suffix[INBOX_SUFFIX_BYTES]; /* that its artifact is to have: ".dump", ".sql.gz", ".tar.zst" */
	/* When it was made, by a clock on the wall that shows the time of the job's zone, or UTC: seconds, as base/zone.h has local times. */
	bool has_time, is_utc;
	bool time_is_of_content; /* else the name says it */
	int64_t local_s;
	char database[256], server_version[128], tool_version[128]; /* "" where nothing says it */
};

/** inbox_look_at() - @head: the first INBOX_HEAD_BYTES, or all when it is shorter; @name: the last one that it will have, as far as that is known. */
void inbox_look_at(const void *head, size_t len, const char *name, struct inbox_look *ret);

/** inbox_plain_name() - heap: of a temporary name the one that it will probably get: "old.dump" of ".old.dump.x7Gh2K"; of others itself. */
char *inbox_plain_name(const char *name);
/** inbox_time_in_name() - the first time in a name: "shop-2024-01-05_0230.sql.gz", "20240105T023000Z.dump", "backup_20240105.tar". A date alone is its first second. */
bool inbox_time_in_name(const char *name, int64_t *ret_local_s, bool *ret_is_utc);
