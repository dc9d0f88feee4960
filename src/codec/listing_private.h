// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What writing and reading a listing share. */
#include <keepfs/codec/listing.h>

#include <keepfs/codec/json.h>

/** listing_format_name(), listing_index_format_name() - what their first lines have as "format". */
const char *listing_format_name(enum listing_format format);
const char *listing_index_format_name(enum listing_format format);

/* listing_read.c: what a line has. False: it is not there, or not that. */
bool listing_get_natural(const struct json *j, const char *key, uint64_t *ret);
bool listing_get_name(const struct json *j, const char *member, char **ret_key); /* heap */
/** listing_get_modified() - null: 0, the beginning of 1970, or what a server does not say. */
bool listing_get_modified(const struct json *j, int64_t *ret_at_us);

/* listing_base.c: the line of a file or a directory of a base. */
struct json *listing_base_line(const struct listing_entry *e, const char *name);
/** listing_line_is_base() - which of the two a line is, by what it has. */
bool listing_line_is_base(const struct json *j);
/** listing_base_read() - NULL: @e, which held nothing, has it; else why not, and @e may have some of it. */
const char *listing_base_read(const struct json *j, struct listing_entry *e);
void listing_runs_free(struct listing_entry *e);
