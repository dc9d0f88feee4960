// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Why a backup stays, and until when: the same words in status/retention and on the dashboard. */
#include <keepfs/base/str.h>
#include <keepfs/policy/retention_dates.h>

/** retention_append_reasons() - "daily, weekly". */
void retention_append_reasons(unsigned reasons, struct str *out);
/** retention_append_end() - @before and "goes on 2026-12-04", or "goes when 3 more days have one" where nobody can say when;
 * nothing of what stays until somebody does something. @b: the backup @i of @d. */
void retention_append_end(struct retention_dates *d, size_t i, const struct retention_backup *b,
                          const char *before, struct str *out);
