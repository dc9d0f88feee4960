// SPDX-License-Identifier: Apache-2.0
/*
 * Is the clock to be trusted with deletions? The catalog remembers the latest time that was ever seen, and how long the
 * host had been up then: within one boot it is known how much time has passed, whatever the clock says. Across a boot
 * nothing is known, so a long pause is doubted once.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/policy/retention.h>

#define BOOT_MAX_BYTES 256
#define BOOT_FILE      "/proc/sys/kernel/random/boot_id"
#define SMALL_STEP_US  (INT64_C(300) * US_PER_S) /* as NTP may make it */
#define MOST_US        (INT64_C(86400) * US_PER_S)

void artifact_read_clock(struct artifact_time *ret)
{
	_cleanup(str) struct str boot = {0};
	struct timespec up = {0};

	*ret = (struct artifact_time){.now_us = clock_now_us()};
	if (clock_gettime(CLOCK_BOOTTIME, &up) == 0)
		ret->boot_us = (int64_t)up.tv_sec * US_PER_S + up.tv_nsec / 1000;
	if (fd_read_file(BOOT_FILE, BOOT_MAX_BYTES, &boot) == 0) {
		str_cut(ret->boot, sizeof(ret->boot), str_text(&boot));
		ret->boot[strcspn(ret->boot, "\n")] = '\0';
	}
}

static bool is_same_boot(const struct artifact_time *time, const struct catalog_seen *seen)
{
	return time->boot[0] && strcmp(time->boot, seen->boot) == 0 && time->boot_us >= seen->boot_us;
}

/* What the clock should show at least. */
static int64_t expected_us(const struct artifact_time *time, const struct catalog_seen *seen)
{
	int64_t expected = seen->at_us;

	if (is_same_boot(time, seen))
		expected += time->boot_us - seen->boot_us;
	if (expected > time->now_us && expected - time->now_us <= SMALL_STEP_US)
		return time->now_us;
	return expected;
}

static int remember_time(struct repository *repo, const struct artifact_time *time, struct error *err)
{
	struct catalog_seen seen = {.at_us = time->now_us, .boot_us = time->boot_us};

	str_copy(seen.boot, sizeof(seen.boot), time->boot);
	return catalog_set_seen(repo->catalog, &seen, err);
}

int artifact_look_at_clock(struct repository *repo, const struct artifact_time *time, int64_t *ret_seen_us,
                           struct error *err)
{
	struct catalog_seen seen;
	int r = catalog_seen(repo->catalog, &seen);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	*ret_seen_us = r == -ENOENT ? 0 : expected_us(time, &seen);
	return 0;
}

int artifact_see_clock(struct repository *repo, const struct artifact_time *time, int64_t *ret_seen_us,
                       struct error *err)
{
	struct catalog_seen seen = {0};
	int r = artifact_look_at_clock(repo, time, ret_seen_us, err);
	bool jumps_within_boot;

	if (r < 0)
		return r;
	if (*ret_seen_us == 0 || catalog_seen(repo->catalog, &seen) < 0)
		return remember_time(repo, time, err);
	jumps_within_boot = is_same_boot(time, &seen) && time->now_us - *ret_seen_us > MOST_US;
	/* Else the next look would take a wrong clock for a right one. */
	if (*ret_seen_us > time->now_us || jumps_within_boot)
		return 0;
	return remember_time(repo, time, err);
}

int artifact_check_clock(struct repository *repo, const struct artifact_time *time, struct error *err)
{
	struct retention_moment moment = {.now_s = time->now_us / US_PER_S,
	                                  .newest_good_s = time->now_us / US_PER_S};
	int64_t seen_us = 0;
	int r = artifact_look_at_clock(repo, time, &seen_us, err);

	moment.seen_s = seen_us / US_PER_S;
	return r < 0 ? r : retention_check_moment(&moment, err);
}

int artifact_trust_clock(struct repository *repo, const struct artifact_time *time, struct error *err)
{
	return remember_time(repo, time, err);
}
