// SPDX-License-Identifier: Apache-2.0
#include <keepfs/policy/forecast.h>

#define DAYS_LEAST 7
#define YEARS_MOST 100

/* By least squares; the days from the first on, so that the sums stay exact enough. */
static double growth_per_day(const struct forecast_day *days, size_t count)
{
	double n = (double)count, x_sum = 0, y_sum = 0, xx_sum = 0, xy_sum = 0, spread;

	for (size_t i = 0; i < count; i++) {
		double x = (double)(days[i].day - days[0].day);
		double y = (double)days[i].stored_bytes - (double)days[0].stored_bytes;

		x_sum += x;
		y_sum += y;
		xx_sum += x * x;
		xy_sum += x * y;
	}
	spread = n * xx_sum - x_sum * x_sum;
	return spread > 0 ? (n * xy_sum - x_sum * y_sum) / spread : 0;
}

int64_t forecast_full_day(const struct forecast_day *days, size_t count, uint64_t free_bytes)
{
	double growth, left;

	while (count > 1 && days[count - 1].day - days[0].day > FORECAST_DAYS) {
		days++;
		count--;
	}
	if (count < 3 || days[count - 1].day - days[0].day < DAYS_LEAST)
		return FORECAST_NEVER;
	growth = growth_per_day(days, count);
	if (growth <= 0)
		return FORECAST_NEVER;
	left = (double)free_bytes / growth;
	return left < YEARS_MOST * 365.0 ? days[count - 1].day + (int64_t)left : FORECAST_NEVER;
}
