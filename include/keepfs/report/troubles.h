// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The last failures that users ran into (reads, removals, commands), in memory: errno tells a reader of the mount what
 * class of thing went wrong, status/last-error tells why. Any thread; nothing blocks. */
#include <stdint.h>

struct follower;
struct lease;
struct report_troubles;

struct report_troubles *report_troubles_new(void);
/** report_troubles_free() - NULL is allowed; returns NULL. */
struct report_troubles *report_troubles_free(struct report_troubles *t);
/** report_trouble() - note one, newest first, the last 32 at least are kept; @path may be NULL. The same again as the newest
 * only counts it up. */
void report_trouble(struct report_troubles *t, const char *path, int errnum, const char *message);
/** report_no_cache() - the disk cache that is configured cannot be used, for the reason @why: health says
 * so. */
void report_no_cache(struct report_troubles *t, const char *why);
/** report_conf_trouble() - the file of the configuration says what is not in force, for the reason @why; @what_to_do is
 * static. NULL, NULL: it is in force. Health says so. */
void report_conf_trouble(struct report_troubles *t, const char *why, const char *what_to_do);
/** report_watch_lease(), report_watch_follower() - whom health asks how it stands with the right to write, and with following a writer: borrowed, each NULL from
 * report_troubles_new() on; NULL again before they are freed. */
void report_watch_lease(struct report_troubles *t, struct lease *lease);
void report_watch_follower(struct report_troubles *t, struct follower *follower);
/** report_troubles_generation() - grows with each. */
uint64_t report_troubles_generation(struct report_troubles *t);
