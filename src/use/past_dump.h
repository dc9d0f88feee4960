// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Which dump is meant, and reading it. */
#include <keepfs/inside.h>
#include <keepfs/inside/backup.h>
#include <keepfs/reader.h>

/**
 * past_find_dump() - the backup that @word names: itself, or without the end of its name; or the newest good dump of @database in the directory, or
 * below it
 * @database: whose dump it must be; "": of any
 * -EINVAL (ERROR_USAGE): there is none.
 */
int past_find_dump(const struct make_context *ctx, const char *word, const char *database, uint64_t *ret_ino,
                   struct error *err);

struct past_dump { /* with memory of its own; past_dump_close() in any case */
	struct make_context ctx;
	struct backup backup;
	struct str database_script; /* what makes its database: "CREATE DATABASE …"; "": it does not say */
	struct reader_metrics reading;
	struct reader *reader;
	struct inside *inside;
	struct inside_dump *dump;
};
int past_dump_open(struct past_dump *d, const struct make_context *ctx, uint64_t ino, struct cancel *cancel,
                   struct error *err);
void past_dump_close(struct past_dump *d);
