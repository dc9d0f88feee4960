// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Since when backups are expected: the catalog is told at each start, and when the configuration was read again. */
#include <keepfs/base/error.h>
#include <keepfs/catalog.h>
#include <keepfs/conf.h>

/**
 * report_expect_backups() - what @conf expects is expected from now on, as far as it was not before
 *
 * A job that has a schedule or an expected_interval is watched (report/health.h, overdue). One that never ran is counted from
 * when it was first expected, and so is one of which something else is expected now. Blocks on the local disk. Return: 0;
 * negative errno of the catalog, with @err.
 */
int report_expect_backups(struct catalog *c, const struct conf *conf, int64_t now_us, struct error *err);
