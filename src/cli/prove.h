// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cli.h"

/** prove_store() - hold the store that the options name against its chain of signatures, without a catalog: CLI_DONE when nothing is wrong. */
int prove_store(const struct cli_options *options);
