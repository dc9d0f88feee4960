// SPDX-License-Identifier: Apache-2.0
/* keepfs export: the job of [export], for all tenants or for some. One run of a job is at work at a time, so several tenants are exported one
 * after the other, each of them by a run of its own. */
#include "client.h"
#include "explain.h"
#include "trigger.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>

#include <string.h>

/* "note=…", as a trigger takes it: for the run, and no tenant. */
static bool is_key(const char *word)
{
	size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyz_");

	return len > 0 && word[len] == '=';
}

static void append_keys(const struct cli_options *options, struct str *command)
{
	_cleanup(free) char *deletion =
	        options->then_delete ? mem_printf("then-delete=%s", options->then_delete) : NULL;

	for (int i = 0; i < options->argc; i++)
		if (is_key(options->argv[i]))
			command_line_append(command, options->argv[i]);
	if (deletion)
		command_line_append(command, deletion);
	if (options->format) {
		_cleanup(free) char *format = mem_printf("format=%s", options->format);

		command_line_append(command, format);
	}
}

static int export_tenant(const struct cli_options *options, const char *mountpoint, const char *tenant,
                         bool wait)
{
	_cleanup(free) char *pair = tenant ? mem_printf("tenant=%s", tenant) : NULL;
	_cleanup(free) char *from = options->from ? mem_printf("from=%s", options->from) : NULL;
	_cleanup(str) struct str command = {0};

	command_line_append(&command, CONF_EXPORTS);
	if (pair)
		command_line_append(&command, pair);
	if (from)
		command_line_append(&command, from);
	append_keys(options, &command);
	return trigger_send(options, mountpoint, str_text(&command), wait);
}

static int export_each(const struct cli_options *options, const char *mountpoint, int left)
{
	int worst = CLI_DONE;

	for (int i = 0; i < options->argc; i++) {
		int status;

		if (is_key(options->argv[i]))
			continue;
		/* The next one cannot begin before this one has ended. */
		left--;
		status = export_tenant(options, mountpoint, options->argv[i], options->wait || left > 0);
		if (status == CLI_UNREACHABLE)
			return status;
		if (worst == CLI_DONE || status == CLI_FAILED)
			worst = status;
	}
	return worst;
}

/* -1: go on; else an exit status. */
static int check_leaving(const struct cli_options *options, int tenants)
{
	if (options->dry_run && !options->then_delete)
		return cli_usage(
		        "--dry-run shows what --then-delete would delete; what an export would have shows --explain");
	if (options->then_delete && (tenants != 1 || options->all || options->explain))
		return cli_usage(
		        "--then-delete deletes one tenant: name it twice, as in: export acme --then-delete acme");
	if (options->dry_run && strcmp(options->then_delete, options->argv[0]) != 0)
		return cli_usage("--then-delete names another tenant than the one that is exported");
	return -1;
}

int cmd_export(const struct cli_options *options)
{
	_cleanup(free) char *mountpoint = NULL;
	int tenants = 0, status;

	for (int i = 0; i < options->argc; i++)
		tenants += !is_key(options->argv[i]);
	status = check_leaving(options, tenants);
	if (status >= 0)
		return status;
	if (options->explain || options->dry_run)
		return explain_export(options);
	if (tenants == 0 && !options->all)
		return cli_usage("export needs the name of a tenant, or --all; or --explain");
	if (options->all && options->from)
		return cli_usage("export --from takes names of tenants: one is exported after the other");
	if (tenants > 0 && options->all)
		return cli_usage("export takes names of tenants, or --all, but not both");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	return options->all ? export_tenant(options, mountpoint, NULL, options->wait)
	                    : export_each(options, mountpoint, tenants);
}
