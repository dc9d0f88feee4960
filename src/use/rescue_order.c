// SPDX-License-Identifier: Apache-2.0
#include "rescue_order.h"

#include "restore_order.h"
#include "words.h"

#include <errno.h>

static int take_backup_and_table(const struct command_line *line, struct rescue_order *o, struct error *err)
{
	if (line->word_count != 2)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "name a backup and a table: full/latest.dump public.orders; several tables are rescued one after the other, those first that others refer to");
	o->backup = line->words[0];
	o->table = line->words[1];
	return 0;
}

static int take_columns(const struct command_line *line, struct rescue_order *o, struct error *err)
{
	const char *value = words_pair(line, "columns");

	o->common = str_equal(value, "common");
	return !value || o->common || str_equal(value, "all")
	               ? 0
	               : error_set(
	                         err, ERROR_USAGE, EINVAL,
	                         "columns=%.40s: allowed are all (the default: a difference is an error) and common (those that backup and table both have)",
	                         value);
}

static int refuse_password_in_server(const struct rescue_order *o, struct error *err)
{
	if (!o->server || !conf_has_password(o->server))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "server= must not hold a password, since everybody can read the history: let it be in ~/.pgpass or a service file of the user of keepfs");
}

/* Nothing is written before somebody has named what it is written to. */
static int take_confirmation(const struct command_line *line, struct rescue_order *o, struct error *err)
{
	const char *confirm = words_pair(line, "confirm"), *target = o->into ? o->into : o->table;
	bool plan = false, dry_run = false;
	int r = restore_order_bool(line, "plan", &plan, err);

	if (r == 0)
		r = restore_order_bool(line, "dry-run", &dry_run, err);
	if (r < 0)
		return r;
	if (confirm && !str_equal(confirm, target))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "confirm=%.80s: rows would be brought into %.80s, so nothing was done", confirm,
		                 target);
	o->execute = confirm && !plan && !dry_run;
	return 0;
}

int rescue_order_read(const struct command_line *line, struct rescue_order *ret, struct error *err)
{
	static const char *const allowed[] = {"where",  "by",      "into",    "database", "server",  "columns",
	                                      "replace", "confirm", "plan",    "dry-run",  "note", NULL};
	struct rescue_order o = {.where = words_pair(line, "where"),
	                         .by = words_pair(line, "by"),
	                         .into = words_pair(line, "into"),
	                         .database = words_pair(line, "database"),
	                         .server = words_pair(line, "server")};
	int r = words_check_pairs(line, allowed, err);

	if (r == 0)
		r = take_backup_and_table(line, &o, err);
	if (r == 0)
		r = take_columns(line, &o, err);
	if (r == 0)
		r = restore_order_bool(line, "replace", &o.replace, err);
	if (r == 0)
		r = refuse_password_in_server(&o, err);
	if (r == 0)
		r = take_confirmation(line, &o, err);
	if (r == 0)
		*ret = o;
	return r;
}
