// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Since when a backup may go, and when one that stays will: by the backups that are there, and, for what is to come, by a
 * schedule that goes on as it does. Pure, as keepfs/policy/retention.h.
 */
#include <keepfs/policy/retention.h>
#include <keepfs/policy/schedule.h>

/** RETENTION_NO_DATE - nobody can say when: it is held, or kept for ever, or there is no schedule. */
#define RETENTION_NO_DATE INT64_MAX

struct retention_dates;

/**
 * retention_dates_new() - all is borrowed for as long as it lives
 * @schedule: NULL, or one that is off: what is to come is not known
 * @backups:  after retention_plan() by the same rules
 *
 * Takes some 40 bytes for each.
 */
struct retention_dates *retention_dates_new(const struct retention_rules *rules, const struct zone *z,
                                            const struct schedule *schedule, int64_t now_s,
                                            const struct retention_backup *backups, size_t count);
/** retention_dates_free() - NULL is allowed; returns NULL. */
struct retention_dates *retention_dates_free(struct retention_dates *d);
DEFINE_CLEANUP(retention_dates, struct retention_dates *, retention_dates_free)

/** retention_goes_at() - when the backup @i, which stays, is kept by no rule any more; RETENTION_NO_DATE. */
int64_t retention_goes_at(struct retention_dates *d, size_t i);
/** retention_more_needed() - how many more of what @reason counts (days, weeks …, good backups) have to come before @i is not
 * kept by it any more; 0: it is not counted. */
unsigned retention_more_needed(const struct retention_dates *d, size_t i, enum retention_reason reason);
/** retention_since() - since when the backup @i, which may go, is kept by no rule: when that one was made that took its
 * place. */
int64_t retention_since(const struct retention_dates *d, size_t i);
