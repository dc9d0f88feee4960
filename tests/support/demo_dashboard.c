// SPDX-License-Identifier: Apache-2.0
/* demo_dashboard DEMO STATE_DIR OUTPUT.html [NOW_S]: the dashboard of a made-up history (demo_history.h), and on standard
 * output how many milliseconds it took to make: the median of five. */
#include "demo_history.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/report/status.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 5

static int compare_times(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return one < other ? -1 : one > other;
}

static int write_file(const struct spool *text, const char *path)
{
	_cleanup(free) char *content = mem_alloc(spool_size(text) + 1);
	FILE *file = fopen(path, "w");
	ssize_t n = spool_read(text, content, spool_size(text), 0);

	if (!file || n < 0)
		return -1;
	fwrite(content, 1, (size_t)n, file);
	return fclose(file);
}

/* Of a processor: others use the machine, too. */
static int64_t processor_us(void)
{
	return (int64_t)clock() * US_PER_S / CLOCKS_PER_SEC;
}

static int make_page(const struct report_sources *from, const char *path)
{
	int64_t times[ROUNDS];
	int r = 0;

	for (int i = 0; i < ROUNDS && r == 0; i++) {
		_cleanup(spool) struct spool *out = spool_new(from->conf->state_dir);
		int64_t began_us = processor_us();

		r = report_dashboard(from, out);
		times[i] = processor_us() - began_us;
		if (r == 0 && i == ROUNDS - 1)
			r = write_file(out, path);
	}
	if (r < 0)
		return r;
	qsort(times, ROUNDS, sizeof(*times), compare_times);
	printf("%.1f\n", (double)times[ROUNDS / 2] / 1000);
	return 0;
}

int main(int argc, char **argv)
{
	const struct demo *demo = argc >= 4 ? demo_find(argv[1]) : NULL;
	_cleanup(catalog) struct catalog *catalog = NULL;
	struct conf conf = {0};
	struct report_sources from = {.conf = &conf, .now_us = clock_now_us()};
	struct error err = {0};
	int r;

	if (!demo) {
		fprintf(stderr,
		        "usage: demo_dashboard realistic|well|hostile|large|jobs|empty STATE_DIR OUTPUT.html [NOW_S]\n");
		return 2;
	}
	if (argc > 4)
		from.now_us = strtoll(argv[4], NULL, 10) * US_PER_S;
	demo->configure(&conf);
	conf.state_dir = argv[2];
	r = catalog_open(argv[2], &catalog, &err);
	if (r == 0) {
		demo->fill(catalog, from.now_us);
		from.catalog = catalog;
		r = make_page(&from, argv[3]);
	}
	if (r < 0)
		fprintf(stderr, "demo_dashboard: %d %s\n", r, err.message);
	demo_conf_finish(&conf);
	return r < 0;
}
