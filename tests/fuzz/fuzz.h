// SPDX-License-Identifier: Apache-2.0
#pragma once
/* libFuzzer's entry into what it tests; fuzz_driver.c uses it, too. */
#include <stddef.h>
#include <stdint.h>

/** LLVMFuzzerTestOneInput() - returns 0; whatever is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
