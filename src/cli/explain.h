// SPDX-License-Identifier: Apache-2.0
#pragma once
/* keepfs export --explain: what of the tables an export would have. */
#include "cli.h"

/** explain_export() - or what would be deleted when the tenant leaves (--then-delete). For the tenant that is the command's only word, or without one. It asks PostgreSQL alone, and changes nothing: neither a mount nor
 * a store is needed. Returns an exit status. */
int explain_export(const struct cli_options *options);
