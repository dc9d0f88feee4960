// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Numbers with units. Pure. */
#include <keepfs/base/str.h>
#include <stdint.h>

/** conf_bytes_parse() - "64M", "64MiB", "1048576", "none" (0): 0; -EINVAL; -ERANGE beyond INT64_MAX. */
int conf_bytes_parse(const char *text, uint64_t *ret);
void conf_bytes_format(uint64_t bytes, struct str *out);
/** conf_rate_parse() - the same per second: "50MB/s", "50M/s", "50M". */
int conf_rate_parse(const char *text, uint64_t *ret);
void conf_rate_format(uint64_t bytes_per_s, struct str *out);
/** conf_duration_parse() - "500ms", "30s", "5m", "2h", "1d", "0", to milliseconds: 0; -EINVAL; -ERANGE. */
int conf_duration_parse(const char *text, int64_t *ret_ms);
void conf_duration_format(int64_t ms, struct str *out);
int conf_int_parse(const char *text, int64_t *ret);
