// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs prune: a thin client of control/prune; or, where nothing is mounted, the same by this process, with the credentials and the catalog of its own
 * configuration. So an identity that may delete can prune what one makes that may not: another configuration, with another state_dir, for the same
 * bucket.
 */
#include "client.h"
#include "engine.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/link.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/prune.h>
#include <keepfs/wal/keep.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_FILE "control/prune"

static void append_prune_pair(struct str *command, const char *key, const char *value)
{
	_cleanup(str) struct str pair = {0};

	if (!value)
		return;
	str_appendf(&pair, "%s=%s", key, value);
	command_line_append(command, str_text(&pair));
}

static void write_prune_command(const struct cli_options *options, const char *mountpoint,
                                struct str *command)
{
	if (options->argc == 0)
		command_line_append(command, "all");
	for (int i = 0; i < options->argc; i++)
		command_line_append(command, client_within_mount(mountpoint, options->argv[i]));
	if (options->apply)
		command_line_append(command, "apply");
	if (options->json)
		command_line_append(command, "json");
	append_prune_pair(command, "confirm", options->confirm);
	append_prune_pair(command, "simulate", options->simulate);
}

static int prune_by_mount(const struct cli_options *options, const char *mountpoint)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	int r;

	write_prune_command(options, mountpoint, &command);
	r = client_command(mountpoint, CONTROL_FILE, str_text(&command), &answer);
	if (r < 0)
		return client_refused(r, &answer);
	fputs(str_text(&answer), stdout);
	return CLI_DONE;
}

/* A mount does that for what is written to it. */
static void audit_prune(struct engine *e, const char *command, int r, const struct error *err)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = getuid(), .pid = getpid()};
	struct error own = {0};

	str_copy(entry.command, sizeof(entry.command), "keepfs");
	str_copy(entry.action, sizeof(entry.action), "prune");
	str_cut(entry.object, sizeof(entry.object), command);
	str_copy(entry.result, sizeof(entry.result), r < 0 ? "failed" : "ok");
	str_cut(entry.detail, sizeof(entry.detail), r < 0 ? err->message : "");
	if (catalog_add_audit(e->catalog, &entry, &own) < 0)
		log_error("what was ordered could not be written to the audit: %s", own.message);
}

static int prune_with(struct engine *e, const struct conf *conf, const char *command, struct str *answer,
                      struct error *err)
{
	_cleanup(free) char *by = mem_printf("uid %lld (keepfs)", (long long)getuid());
	struct artifact_time time;
	struct prune p;
	int r;

	artifact_read_clock(&time);
	r = prune_begin(&p, &e->repository, conf, &time, err);
	if (r == 0)
		r = prune_command(&p, command, by, answer, err);
	if (r == 0)
		r = wal_keep_command(&p, command, by, answer, err);
	audit_prune(e, command, r, err);
	return r;
}

/* The links that say what was removed are signed: without them 'keepfs verify --key' would take it for stolen, for ever. */
static int check_who_signs(const struct cli_options *options, struct engine *e, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = signing_ref(e->signing);
	_cleanup(free) struct store_object *found = NULL;
	size_t count = 0;
	bool more;
	int r;

	if ((!options->apply && !options->confirm) || keys->key)
		return 0;
	r = store_list(e->store, NULL, LINK_PREFIX, NULL, 1, &found, &count, &more, err);
	if (r < 0 || count == 0)
		return r;
	return error_set(
	        err, ERROR_USAGE, EPERM,
	        "%s has a chain of signatures, and nobody here can sign what is removed, so 'keepfs verify --key' would call it missing: let the host that signs prune (control/prune of its mount), or set [keepfs] signing_key_file here, with the right to write below chain/, and prune while that one does not run",
	        e->store->name);
}

static int prune_here(const struct cli_options *options, const struct conf *conf)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	struct error err = {0};
	struct engine e;
	int r = engine_open(conf, &e, &err);

	if (r < 0)
		return cli_fail(&err);
	engine_tag_backups(&e, conf);
	write_prune_command(options, conf->mountpoint, &command);
	r = check_who_signs(options, &e, &err);
	if (r == 0)
		r = prune_with(&e, conf, str_text(&command), &answer, &err);
	engine_close(&e);
	if (r < 0)
		return cli_fail(&err);
	fputs(str_text(&answer), stdout);
	return CLI_DONE;
}

int cmd_prune(const struct cli_options *options)
{
	const char *named = getenv("KEEPFS_MOUNT");
	_cleanup(free) char *mountpoint = NULL, *file = NULL;
	_cleanup(conf) struct conf conf = {0};
	int status;

	if ((options->apply != 0) + (options->confirm != NULL) + (options->simulate != NULL) > 1)
		return cli_usage("prune takes one of --apply, --confirm and --simulate");
	if (options->mountpoint || (named && *named)) {
		status = client_find(options, &mountpoint);
		return status == CLI_DONE ? prune_by_mount(options, mountpoint) : status;
	}
	status = cli_load_conf(options, &conf);
	if (status != CLI_DONE)
		return status;
	file = mem_printf("%s/" CONTROL_FILE, conf.mountpoint);
	return access(file, F_OK) == 0 ? prune_by_mount(options, conf.mountpoint)
	                               : prune_here(options, &conf);
}
