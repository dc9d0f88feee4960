// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * When nothing that a schedule asks for may begin: windows of the week on a clock on the wall, such as
 * "mon-fri 08:00-18:00, 22:00-02:00". Pure.
 *
 * A window without days is one of every day. One that ends on the next day is one of the day on which it begins. Several are
 * joined. What counts is what the clock shows: where an hour is left out or repeated, so is its part of a window.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/zone.h>
#include <stdint.h>

struct blackout;

/**
 * blackout_parse() - of what a user wrote
 * @ret: heap, the caller's blackout_free(); NULL for a text without windows
 *
 * Names of days are English, of three letters, in any case; "sat, sun 10:00-12:00" is of both days, and "fri-mon" of four.
 * 24:00 is the end of a day. Return: 0; -EINVAL with a message that names the part that is wrong and what may stand there.
 * Windows that leave no minute of the week are such an error: nothing could ever begin.
 */
int blackout_parse(const char *text, struct blackout **ret, struct error *err);
/** blackout_free() - NULL is allowed; returns NULL. */
struct blackout *blackout_free(struct blackout *b);
DEFINE_CLEANUP(blackout, struct blackout *, blackout_free)
/** blackout_end() - the first moment from @at_s on, seconds since 1970 UTC, that is in no window: @at_s itself mostly. @b NULL:
 * there is none. */
int64_t blackout_end(const struct blackout *b, const struct zone *z, int64_t at_s);
/** blackout_begin() - the first moment from @at_s on that is in a window: for windows in which something may happen. @b NULL: @at_s. */
int64_t blackout_begin(const struct blackout *b, const struct zone *z, int64_t at_s);
