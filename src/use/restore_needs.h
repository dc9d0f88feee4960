// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a dump needs of its server and cannot bring along: known from its table of contents, and asked for before anything is changed. */
#include "restore_toc.h"

/**
 * restore_needs_check() - does the server have the roles, extensions and tablespaces of what is wanted?
 * Only what would be restored counts: no roles where owners and rights are left out, none of all this for content=data.
 * Return: 0; -ENOENT: @err names all that is missing, and what to do about it.
 */
int restore_needs_check(const struct restore_toc *t, const struct restore_database_options *o,
                        struct error *err);
