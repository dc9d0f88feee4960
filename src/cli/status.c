// SPDX-License-Identifier: Apache-2.0
/* keepfs status: status/health, and its first word as the exit status. */
#include "client.h"

#include "glance.h"

#include <keepfs/codec/json.h>
#include <keepfs/report/health.h>

#include <stdio.h>
#include <string.h>

/* {"health": "OK", "checks": [lines], "stats": stats.json} */
static void print_status_json(const char *mountpoint, enum report_health level, struct str *health)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str stats = {0}, out = {0};
	struct json *checks = json_array_new();
	char *rest = health->data, *line;

	json_set_string(object, "health", health_level_name(level));
	while (rest && (line = strsep(&rest, "\n"))) {
		if (*line)
			json_append_string(checks, line);
	}
	json_set(object, "checks", checks);
	if (client_read(mountpoint, "status/stats.json", &stats) == 0) {
		struct json *totals = json_parse(str_text(&stats), stats.len, NULL);

		if (totals)
			json_set(object, "stats", totals);
	}
	json_write(object, 2, &out);
	puts(str_text(&out));
}

int cmd_status(const struct cli_options *options)
{
	_cleanup(free) char *mountpoint = NULL;
	_cleanup(str) struct str health = {0};
	enum report_health level;
	int status, r;

	if (options->argc > 0)
		return cli_usage("status takes no argument");
	if (options->store_url)
		return status_of_store(options);
	if (options->max_age)
		return cli_usage("status takes --max-age with --store only");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	r = client_read(mountpoint, "status/health", &health);
	if (r < 0) {
		fprintf(stderr, "keepfs: %s/status/health cannot be read: %s\n", mountpoint,
		        strerrordesc_np(-r));
		return CLI_UNREACHABLE;
	}
	level = health_level_of(str_text(&health));
	if (options->json)
		print_status_json(mountpoint, level, &health);
	else
		fputs(str_text(&health), stdout);
	/* 1 would be taken for WARN. */
	return cli_flush() == CLI_DONE ? (int)level : CLI_UNREACHABLE;
}
