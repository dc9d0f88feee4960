// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What health asks of the troubles. */
#include <keepfs/follow.h>
#include <keepfs/lease.h>
#include <keepfs/report/troubles.h>

/** troubles_last_read_failure() - when an EIO was noted last; 0: never. */
int64_t troubles_last_read_failure(struct report_troubles *t);
/** troubles_no_cache() - heap: why the configured disk cache cannot be used; NULL: it can, or none is. */
char *troubles_no_cache(struct report_troubles *t);
/** troubles_lease() - how it stands; LEASE_NONE when there is none. troubles_follower(): false when this is no reader. */
void troubles_lease(struct report_troubles *t, struct lease_state *ret);
bool troubles_follower(struct report_troubles *t, struct follower_state *ret);
/** troubles_conf() - heap: why the file of the configuration is not what is in force; NULL: it is. */
char *troubles_conf(struct report_troubles *t, const char **ret_what_to_do);
