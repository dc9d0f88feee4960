// SPDX-License-Identifier: Apache-2.0
/* keepfs check: the probe, without a mount. */
#include "check.h"

#include "engine.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/check.h>
#include <keepfs/codec/json.h>

#include <stdio.h>

/* @script: NULL: nobody asked for it. */
static void print_check_json(const struct check_result *result, const struct str *script)
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
		json_set_string(item, "fix", result->items[i].fix[0] ? result->items[i].fix : NULL);
		json_append(checks, item);
	}
	json_set(object, "checks", checks);
	if (script)
		json_set_string(object, "sql", str_text(script));
	json_write(object, 2, &out);
	puts(str_text(&out));
}

void check_print(const struct check_result *result)
{
	for (size_t i = 0; i < result->count; i++) {
		_cleanup(str) struct str line = {0};

		str_appendf(&line, "%s %s: %s\n", result->items[i].ok ? "ok  " : "FAIL",
		            result->items[i].check, result->items[i].detail);
		cli_put(stdout, str_text(&line));
	}
}

static void put_comment(const char *before, const char *text)
{
	_cleanup(str) struct str line = {0};

	/* One line, whatever is in it: what follows a line's end would be a statement. */
	str_append_line(&line, text);
	printf("-- %s%s\n", before, str_text(&line));
}

/* All of it is a script for psql: what was found, and what mends it elsewhere, are comments. */
static void print_fixes(const struct check_result *result, const struct str *script)
{
	puts("-- keepfs check --fix. Nothing was changed. This is a script for psql, to be looked at, and run by a superuser of the server;\n"
	     "-- what has to be done elsewhere stands behind \"mend\".");
	for (size_t i = 0; i < result->count; i++) {
		const struct catalog_probe *item = &result->items[i];
		_cleanup(free) char *text = mem_printf("%s: %s", item->check, item->detail);

		put_comment(item->ok ? "ok   " : "FAIL ", text);
		if (!item->ok && item->fix[0])
			put_comment("     mend: ", item->fix);
	}
	cli_put(stdout, str_text(script));
}

void check_now(const struct conf *conf, struct check_result *ret)
{
	_cleanup(catalog) struct catalog *catalog = NULL;
	struct error store_error = {0}, catalog_error = {0};
	struct store *store = NULL;
	struct net *net = NULL;

	/* No lock: the result can be kept while a mount serves. A state directory that cannot be made is one
	 * of the findings. */
	if (fd_make_dirs(conf->state_dir, 0700) == 0 &&
	    catalog_open_beside(conf->state_dir, &catalog, &catalog_error) < 0)
		fprintf(stderr, "keepfs: the result cannot be kept: %s\n", catalog_error.message);
	engine_open_store(conf, NULL, &net, &store, &store_error);
	check_run(conf, store, &store_error, catalog, ret);
	store_free(store);
	net_free(net);
}

int cmd_check(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(free) struct check_result *result = mem_alloc(sizeof(*result));
	_cleanup(str) struct str script = {0};
	int r;

	if (options->argc > 0)
		return cli_usage("check takes no argument");
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	check_now(&conf, result);
	if (options->fix)
		check_rights(&conf, &script);
	if (options->json)
		print_check_json(result, options->fix ? &script : NULL);
	else if (options->fix)
		print_fixes(result, &script);
	else
		check_print(result);
	return result->failed ? CLI_FAILED : CLI_DONE;
}
