// SPDX-License-Identifier: Apache-2.0
/* keepfs look: what is in exported files, wherever they are, and are they whole? Neither a mount nor a configuration is needed. */
#include "cli.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/json.h>
#include <keepfs/exported.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* For programs. */

static struct json *looked_tenant(const struct exported_head *h)
{
	struct json *tenant = json_object_new();

	json_set_string(tenant, "id", h->tenant_id);
	json_set_string(tenant, "slug", h->slug);
	json_set_string(tenant, "name", h->name);
	return tenant;
}

static struct json *looked_tables(const struct exported_head *h)
{
	struct json *tables = json_array_new();

	for (size_t i = 0; i < h->table_count; i++) {
		struct json *table = json_object_new();

		json_set_string(table, "schema", h->tables[i].schema);
		json_set_string(table, "table", h->tables[i].name);
		json_set_int(table, "rows", (int64_t)h->tables[i].rows);
		json_append(tables, table);
	}
	return tables;
}

static struct json *looked_redacted(const struct exported_head *h)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < h->redacted_count; i++) {
		const struct exported_redacted *r = &h->redacted[i];
		struct json *item = json_object_new();

		json_set_string(item, "schema", r->schema);
		json_set_string(item, "table", r->table);
		json_set_string(item, "column", r->column);
		json_set_string(item, "how", r->how);
		json_append(list, item);
	}
	return list;
}

static struct json *looked_left_out(const struct exported_head *h)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < h->left_out_count; i++) {
		struct json *item = json_object_new();

		json_set_string(item, "schema", h->left_out[i].schema);
		json_set_string(item, "table", h->left_out[i].table);
		json_set_string(item, "why", h->left_out[i].why);
		json_append(list, item);
	}
	return list;
}

static struct json *looked_remarks(const struct exported_head *h)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < h->remark_count; i++)
		json_append_string(list, h->remarks[i]);
	return list;
}

static void add_looked(struct json *object, const struct exported_head *h)
{
	json_set_string(object, "format", exported_format_name(h->format));
	json_set(object, "tenant", looked_tenant(h));
	json_set_string(object, "job", h->job);
	json_set_string(object, "database", h->database);
	json_set_string(object, "server_version", h->server_version);
	json_set_string(object, "tenancy", h->tenancy);
	json_set_time(object, "taken_at", h->taken_at_us);
	json_set_string(object, "keepfs", h->keepfs);
	json_set_int(object, "rows", (int64_t)h->rows);
	json_set(object, "tables", looked_tables(h));
	json_set(object, "redacted", looked_redacted(h));
	json_set(object, "left_out", looked_left_out(h));
	json_set(object, "remarks", looked_remarks(h));
}

static void print_looked_json(const char *path, const struct exported_head *h, const struct error *err)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str out = {0};

	json_set_string(object, "file", path);
	json_set_bool(object, "whole", h != NULL);
	json_set_string(object, "problem", h ? NULL : err->message);
	if (h)
		add_looked(object, h);
	json_write(object, 0, &out);
	puts(str_text(&out));
}

/* For people. */

static void put_looked_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void put_looked_line(const char *fmt, ...)
{
	_cleanup(str) struct str text = {0}, line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	str_append_line(&line, str_text(&text));
	puts(str_text(&line));
}

static void print_looked_absent(const struct exported_head *h)
{
	for (size_t i = 0; i < h->redacted_count; i++) {
		const struct exported_redacted *r = &h->redacted[i];
		_cleanup(str) struct str path = {0};

		for (size_t k = 0; k < r->path_count; k++)
			str_appendf(&path, "->%s", r->path[k]);
		put_looked_line("redacted  %s.%s.%s%s: %s (%s)", r->schema, r->table, r->column,
		                str_text(&path), r->how, r->why);
	}
	for (size_t i = 0; i < h->left_out_count; i++)
		put_looked_line("left out  %s.%s: %s", h->left_out[i].schema, h->left_out[i].table,
		                h->left_out[i].why);
	for (size_t i = 0; i < h->remark_count; i++)
		put_looked_line("remark    %s", h->remarks[i]);
}

static void print_looked(const char *path, const struct exported_head *h)
{
	char at[CLOCK_ISO_BYTES];

	put_looked_line("%s: whole, %s", path, exported_format_name(h->format));
	put_looked_line("tenant    %s (%s, id %s)", h->name ? h->name : h->slug, h->slug, h->tenant_id);
	put_looked_line("taken     %s, from the database %s of PostgreSQL %s",
	                clock_format_iso(h->taken_at_us, at), h->database, h->server_version);
	put_looked_line("made      by keepfs %s, by its job %s", h->keepfs, h->job);
	put_looked_line("rows      %" PRIu64 " of %zu tables", h->rows, h->table_count);
	for (size_t i = 0; i < h->table_count; i++)
		put_looked_line("%9" PRIu64 " %s.%s", h->tables[i].rows, h->tables[i].schema,
		                h->tables[i].name);
	print_looked_absent(h);
}

static int look_at_file(const struct cli_options *options, const char *path)
{
	const struct exported_source source = {.path = path, .fd = -1};
	_cleanup(exported) struct exported *e = NULL;
	struct error err = {0};
	int r = exported_open(&source, NULL, &e, &err);

	if (options->json)
		print_looked_json(path, r < 0 ? NULL : exported_head(e), &err);
	if (r < 0)
		return options->json ? CLI_FAILED : cli_fail(&err);
	if (!options->json)
		print_looked(path, exported_head(e));
	return CLI_DONE;
}

int cmd_look(const struct cli_options *options)
{
	int worst = CLI_DONE;

	if (options->argc == 0)
		return cli_usage("look needs the name of a file that was exported");
	for (int i = 0; i < options->argc; i++) {
		if (i > 0 && !options->json)
			putchar('\n');
		if (look_at_file(options, options->argv[i]) != CLI_DONE)
			worst = CLI_FAILED;
		if (cli_flush() != CLI_DONE)
			return CLI_FAILED;
	}
	return worst;
}
