#pragma once
/** Connection strings, taken apart by libpq itself. Private to this room. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <libpq-fe.h>
#include <stdbool.h>

DEFINE_CLEANUP(pq_options, PQconninfoOption *, PQconninfoFree)

/** conninfo_is_plain() - @conninfo is the bare name of a database, as libpq's dbname allows. */
bool conninfo_is_plain(const char *conninfo);
/** conninfo_parse() - what @conninfo sets, and nothing from the environment. -EINVAL with a message that
 * quotes no secret. */
int conninfo_parse(const char *conninfo, PQconninfoOption **ret_options, struct error *err);
/** conninfo_value() - borrowed; NULL when @keyword is not set, or set to nothing. */
const char *conninfo_value(const PQconninfoOption *options, const char *keyword);
