// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What every fuzz target shares. A target is one file, fuzz_NAME.c, with LLVMFuzzerTestOneInput(): it takes any bytes at
 * all, hands them to one parser, and insists on what the parser's contract promises. Its inputs are in corpus/NAME/.
 * It is linked with fuzz_driver.c, which runs everywhere, quickly and always alike, or with libFuzzer.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** LLVMFuzzerTestOneInput() - libFuzzer's name for it; returns 0. Whatever is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** fuzz_must() - when @condition is false: say that @what was expected, with @detail (NULL: none), and abort. */
void fuzz_must(bool condition, const char *what, const char *detail);
/** fuzz_must_refuse() - @r is the negative errno that @err has, and @err says something to people. */
void fuzz_must_refuse(int r, const struct error *err);
/** fuzz_text() - @data as a text on the heap, up to its first NUL. */
char *fuzz_text(const uint8_t *data, size_t size);
