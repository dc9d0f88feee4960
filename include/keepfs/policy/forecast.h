// SPDX-License-Identifier: Apache-2.0
#pragma once
/** When will the store be full? Pure: how much it held on the days that are known, and how much more it takes. */
#include <stddef.h>
#include <stdint.h>

/** FORECAST_DAYS - so many of the last days are looked at. */
#define FORECAST_DAYS 30

/** struct forecast_day - how much was stored at the end of a day. */
struct forecast_day {
	int64_t day; /* days since 1970, UTC */
	uint64_t stored_bytes;
};

/** FORECAST_NEVER - it does not grow, or so slowly that a hundred years are not enough, or too little is known: less than a
 * week. */
#define FORECAST_NEVER INT64_MAX
/**
 * forecast_full_day() - the day on which @free_bytes will be used up, if it goes on growing as in these days
 * @days: in their order, each once; days may be missing
 *
 * The growth is that of the straight line that fits them best (least squares), so that one large backup that was removed
 * the next day decides nothing. Return: days since 1970; FORECAST_NEVER.
 */
int64_t forecast_full_day(const struct forecast_day *days, size_t count, uint64_t free_bytes);
