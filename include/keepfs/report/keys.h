// SPDX-License-Identifier: Apache-2.0
#pragma once
/** status/keys: for whom the backups that are listed are encrypted. */
#include <keepfs/base/spool.h>

struct report_sources;

#define REPORT_KEYS_MAX                                                                                      \
	1024 /* recipients that are told of: whoever wrote manifests by hand does not make it endless */

/**
 * report_keys() - a line for each recipient ("age1…", "passphrase"): how many backups it opens, their bytes in the store, since when, and the last one;
 * likewise of what is not encrypted; for whom the next ones are; and what is being rewrapped, or still has objects for other recipients
 * Blocks on the local disk; any thread. Return: 0; negative errno of the catalog or the spool: the text is not whole then.
 */
int report_keys(const struct report_sources *from, struct spool *out);
