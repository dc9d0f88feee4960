// SPDX-License-Identifier: Apache-2.0
/* keepfs check: the probe, without a mount. */
#include "cli.h"

#include "engine.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/check.h>
#include <keepfs/codec/json.h>

#include <stdio.h>

static void print_check_json(const struct check_result *result)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str out = {0};
	struct json *checks = json_array_new();

	json_set_bool(object, "ok", result->failed == 0);
	for (size_t i = 0; i < result->count; i++) {
		struct json *item = json_object_new();

		json_set_string(item, "check", result->items[i].check);
		json_set_bool(item, "ok", result->items[i].ok);
		json_set_string(item, "detail", result->items[i].detail);
		json_append(checks, item);
	}
	json_set(object, "checks", checks);
	json_write(object, 2, &out);
	puts(str_text(&out));
}

static void print_lines(const struct check_result *result)
{
	for (size_t i = 0; i < result->count; i++) {
		_cleanup(str) struct str line = {0};

		str_appendf(&line, "%s %s: %s\n", result->items[i].ok ? "ok  " : "FAIL",
		            result->items[i].check, result->items[i].detail);
		cli_put(stdout, str_text(&line));
	}
}

int cmd_check(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(catalog) struct catalog *catalog = NULL;
	_cleanup(free) struct check_result *result = mem_alloc(sizeof(*result));
	struct error store_error = {0}, catalog_error = {0};
	struct store *store = NULL;
	struct net *net = NULL;
	int r;

	if (options->argc > 0)
		return cli_usage("check takes no argument");
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	/* No lock: the result can be kept while a mount serves. A state directory that cannot be made is one
	 * of the findings. */
	if (fd_make_dirs(conf.state_dir, 0700) == 0 &&
	    catalog_open(conf.state_dir, &catalog, &catalog_error) < 0)
		fprintf(stderr, "keepfs: the result cannot be kept: %s\n", catalog_error.message);
	engine_open_store(&conf, NULL, &net, &store, &store_error);
	check_run(&conf, store, &store_error, catalog, result);
	store_free(store);
	net_free(net);
	if (options->json)
		print_check_json(result);
	else
		print_lines(result);
	return result->failed ? CLI_FAILED : CLI_DONE;
}
