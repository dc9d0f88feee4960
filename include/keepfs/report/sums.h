// SPDX-License-Identifier: Apache-2.0
#pragma once
/** SHA256SUMS of the directories below backups/. */
#include <keepfs/base/spool.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/entries.h>

/** report_sums() - SHA256SUMS of a directory, as sha256sum writes and checks it; comments name what has no
 * known checksum. Blocks on the local disk; any thread. Return: 0; negative errno of the catalog or the spool: the
 * text is not whole then. */
int report_sums(struct catalog *c, uint64_t directory_ino, enum catalog_sums_of of, struct spool *out);
