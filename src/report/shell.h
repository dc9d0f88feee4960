// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Lines that somebody copies into a shell: what others chose the name of is quoted. */
#include <keepfs/base/str.h>
#include <keepfs/conf.h>

struct catalog_good_copy;

/** shell_quote() - @text as one word of a shell: append. */
void shell_quote(struct str *out, const char *text);
/** shell_bring_back() - heap: the line by which @good is restored, or, of what no command restores, copied. NULL: there is none, since nobody
 * could type the name. */
char *shell_bring_back(const struct conf *conf, const struct catalog_good_copy *good);
