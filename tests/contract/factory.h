// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The stores that need more than a directory. */
#include "suite.h"

/** factory_check() - end the program with @err's message when @r is negative. */
void factory_check(int r, const struct error *err);
/** factory_open_s3() - the bucket that KEEPFS_TEST_S3_URL, _ENDPOINT, _REGION, _ACCESS_KEY and _SECRET_KEY
 * name; ends the program with 77 (skipped) when they are not set. */
void factory_open_s3(struct suite *t);
void factory_close_s3(struct suite *t);
