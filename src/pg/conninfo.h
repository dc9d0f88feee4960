// SPDX-License-Identifier: Apache-2.0
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
/** CONNINFO_ALIVE - settings for libpq, pairs ended by NULL: a server that vanished in mid-answer is noticed
 * within two minutes, and not by the system's own rules (after two hours). */
#define CONNINFO_ALIVE        "keepalives_idle", "keepalives_interval", "keepalives_count"
#define CONNINFO_ALIVE_VALUES "60", "15", "4"
#define CONNINFO_ALIVE_COUNT  3
/** conninfo_leaves_alive() - nobody has said when a server counts as dead: neither @options nor, perhaps, a
 * service. */
bool conninfo_leaves_alive(const PQconninfoOption *options);
/** conninfo_value() - borrowed; NULL when @keyword is not set, or set to nothing. */
const char *conninfo_value(const PQconninfoOption *options, const char *keyword);
