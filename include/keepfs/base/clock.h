// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Time. Points in time are int64_t microseconds since the Unix epoch, UTC (`…_at_us`); durations say their
 * unit. Deadlines use the monotonic clock.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define US_PER_S INT64_C(1000000)

#define CLOCK_NAME_BYTES 17 /* "20261120T020000Z" and its NUL */
#define CLOCK_ISO_BYTES  21 /* "2026-11-20T02:00:00Z" and its NUL */

int64_t clock_now_us(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/** clock_boot_us() - as clock_mono_us(), and goes on while the host sleeps: what passes elsewhere, too. */
int64_t clock_boot_us(void);

/** clock_format_name() - ISO 8601 basic, as in file names; returns @buf. */
char *clock_format_name(int64_t at_us, char buf[static CLOCK_NAME_BYTES]);
/** clock_format_iso() - ISO 8601 extended, whole seconds; returns @buf. */
char *clock_format_iso(int64_t at_us, char buf[static CLOCK_ISO_BYTES]);
/** clock_parse_name() - the first 16 characters of @text as written by clock_format_name(); -EINVAL
 * otherwise. */
int clock_parse_name(const char *text, int64_t *ret_at_us);
/** clock_parse_iso() - "2026-11-20T02:00:00Z", with an optional fraction; -EINVAL otherwise. */
int clock_parse_iso(const char *text, int64_t *ret_at_us);
struct timespec clock_to_timespec(int64_t at_us);
/** clock_cond_init() - initialise a condition variable that counts by the monotonic clock. */
#include <pthread.h>
void clock_cond_init(pthread_cond_t *cond);
/** clock_cond_wait_ms() - wait on such a condition for at most @ms; false when the time was over. */
bool clock_cond_wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);
