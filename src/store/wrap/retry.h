// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The retry wrapper's clock and dice, so that its tests take no time and know what comes. */
#include "../store_private.h"

struct retry_timing {
	int64_t (*now_ms)(void *arg);
	bool (*sleep_ms)(void *arg, struct cancel *cancel, int64_t ms); /* true: cancelled */
	int64_t (*dice)(void *arg, int64_t most);                       /* 0 to @most, evenly */
	void *arg;
};

/** retry_new() - store_retry_new() with @timing, which is copied. */
struct store *retry_new(struct store *inner, int64_t deadline_ms, const struct retry_timing *timing);
