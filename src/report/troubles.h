// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What health asks of the troubles. */
#include <keepfs/report/troubles.h>

/** troubles_last_read_failure() - when an EIO was noted last; 0: never. */
int64_t troubles_last_read_failure(struct report_troubles *t);
/** troubles_no_cache() - heap: why the configured disk cache cannot be used; NULL: it can, or none is. */
char *troubles_no_cache(struct report_troubles *t);
/** troubles_conf() - heap: why the file of the configuration is not what is in force; NULL: it is. */
char *troubles_conf(struct report_troubles *t, const char **ret_what_to_do);
