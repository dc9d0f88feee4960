// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The probe, for whoever has a configuration and no mount. */
#include "cli.h"

#include <keepfs/check.h>

/** check_now() - make the state directory, open what is needed, run the probe, keep its result. */
void check_now(const struct conf *conf, struct check_result *ret);
/** check_print() - a line for each finding, on standard output. */
void check_print(const struct check_result *result);
