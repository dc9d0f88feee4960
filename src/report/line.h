// SPDX-License-Identifier: Apache-2.0
#pragma once
/** How the texts of this room put what is the same in all of them: times, JSON. */
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/json.h>

#include <stdint.h>

/** line_json() - @j (consumed) as one line. */
void line_json(struct spool *out, struct json *j);
/** line_time() - ISO 8601, @none for 0; returns @buf. */
const char *line_time(int64_t at_us, const char *none, char buf[static 32]);
/** line_age() - "3 h", for people; returns @buf. */
const char *line_age(int64_t us, char buf[static 32]);
