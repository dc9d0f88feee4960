// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Two texts, line by line: what stays, what is new, what is gone, with three lines around each change. It is for definitions of
 * objects, which are short; memory is bounded: where the lines between the first and the last change are too many (some two thousand on either
 * side), all of the one are gone, and all of the other are new. Pure.
 */
#include <keepfs/base/str.h>
#include <stddef.h>

/**
 * line_diff_append() - append to @out: lines that stay after " ", gone ones after "-", new ones after "+"; where lines that stay are left out, a line " ..."
 * A text without a line end at its end gets one. Equal texts append nothing.
 */
void line_diff_append(const char *a, size_t a_len, const char *b, size_t b_len, struct str *out);
