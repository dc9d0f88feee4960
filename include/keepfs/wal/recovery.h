// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What can be recovered of a cluster, as the catalog knows it: the facts for policy/recovery.h. */
#include <keepfs/catalog/wal_places.h>
#include <keepfs/policy/recovery.h>

/**
 * wal_recovery_load() - bases, histories and ranges of segments of [cluster @job]
 *
 * The index is not loaded: @ret asks @c for it, which has to outlive it. A history that cannot be read is left out. Blocks on the local disk; any thread.
 * Return: 0, and @ret replaced; negative errno of the catalog.
 */
int wal_recovery_load(struct catalog *c, const char *job, struct recovery_facts *ret, struct error *err);
