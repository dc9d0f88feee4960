// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cli.h"

/** status_of_store() - keepfs status --store: an exit status, 0, 1, 2 as OK, WARN, CRIT; 3 when the store cannot be asked. */
int status_of_store(const struct cli_options *options);
