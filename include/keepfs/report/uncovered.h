// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Databases that no job backs up: what the servers have, as runs have seen it, but for what the jobs are of. */
#include <keepfs/base/error.h>
#include <keepfs/conf.h>

struct catalog;

/**
 * report_uncovered() - call @row for each, by server and name
 *
 * A job is of the databases that it names, of the one its connection leads to, or of the live members that the catalog knows. It is
 * of those of its own server; while it has not run yet, nobody knows which that is, and it is taken for that of whichever has one
 * of its names. What [keepfs] ignore_databases matches is left out.
 * Any thread; waits for the local disk. Return: 0; negative errno of the catalog.
 */
int report_uncovered(const struct conf *conf, struct catalog *catalog,
                     void (*row)(void *arg, const char *server, const char *name), void *arg);
