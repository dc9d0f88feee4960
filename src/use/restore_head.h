// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What stands in front of all objects in SQL text that pg_dump or pg_restore has written: settings of its session. A newer one lifts a limit there that an older server
 * does not know, "SET transaction_timeout = 0;" (from version 17 on), and the server refuses it, though it has no such limit. Exactly such lines become comments
 * here, so that all others keep their numbers; whatever else a server may not know is left in, for it to refuse. Source: pg_backup_archiver.c
 * (_doSetFixedOutputState). Pure.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>

/** restore_head_settings - the settings that are left out where a server does not know them; NULL-terminated. */
extern const char *const restore_head_settings[];

struct restore_head {        /* zeroed, but for the first four; restore_head_finish() */
	const char *lacking; /* those that the server does not know: "a, b"; borrowed */
	int (*write)(void *arg, const void *data, size_t len, struct error *err); /* what psql is to get */
	void (*left_out)(void *arg, const char *line); /* one that has become a comment; NULL */
	void *arg;
	/* Its own. */
	struct str line; /* what there is of the present one */
	bool is_over;    /* objects, or something else, have begun */
};
static inline void cleanup_restore_head(struct restore_head *h)
{
	str_finish(&h->line);
}
/** restore_head_feed() - the next bytes of the text, in pieces of any size. Return: 0, or what @write returned. */
int restore_head_feed(struct restore_head *h, const void *data, size_t len, struct error *err);
/** restore_head_end() - the text has ended. Return: as restore_head_feed(). */
int restore_head_end(struct restore_head *h, struct error *err);
