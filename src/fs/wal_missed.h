// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Names of WAL that somebody was just told not to be there. cp asks first whether the file is there, and when it is not, it makes it and insists on making it (O_EXCL): where the receiver has brought the same segment
 * between both, cp fails, and the server counts that as a failure of its archive_command. So who has asked a moment ago is told the same once more: then the file is made, and what comes is compared with what is there.
 * Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

struct wal_missed;
struct wal_missed *wal_missed_new(void);
struct wal_missed *wal_missed_free(struct wal_missed *m); /* NULL allowed; returns NULL */
/** wal_missed_note() - at @now_ms, of the monotonic clock, it was told that @name is not in @directory. */
void wal_missed_note(struct wal_missed *m, uint64_t directory, const char *name, int64_t now_ms);
/** wal_missed_again() - whether that was told within the last second, and is to be told once more; not twice of one telling. */
bool wal_missed_again(struct wal_missed *m, uint64_t directory, const char *name, int64_t now_ms);
/** wal_missed_forget() - somebody makes it. */
void wal_missed_forget(struct wal_missed *m, uint64_t directory, const char *name);
