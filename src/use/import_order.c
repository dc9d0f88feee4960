// SPDX-License-Identifier: Apache-2.0
#include "import_order.h"

#include "restore_order.h"
#include "words.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

bool import_order_is_path(const char *file)
{
	return *file == '/';
}

static int refuse_setting(const char *key, const char *value, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s=%.80s: write it as %s=users.%s, or with the schema in front, public.users.%s",
	                 key, value, key, str_equal(key, "null") ? "manager_id" : "email=VALUE",
	                 str_equal(key, "null") ? "manager_id" : "email=VALUE");
}

/* "users.email=VALUE" */
static int add_column_setting(const struct command_pair *pair, bool is_null, struct pg_import_setting **list,
                              size_t *count, struct error *err)
{
	const char *equals = is_null ? NULL : strchr(pair->value, '=');
	size_t len = equals ? (size_t)(equals - pair->value) : strlen(pair->value);

	if ((!equals && !is_null) || !memchr(pair->value, '.', len))
		return refuse_setting(pair->key, pair->value, err);
	*list = mem_resize(*list, *count + 1, sizeof(**list));
	(*list)[(*count)++] = (struct pg_import_setting){.column = mem_printf("%.*s", (int)len, pair->value),
	                                                 .value = equals ? equals + 1 : NULL};
	return 0;
}

static void add_said(char ***list, char *value)
{
	size_t count = 0;

	while (*list && (*list)[count])
		count++;
	*list = mem_resize(*list, count + 2, sizeof(**list));
	(*list)[count] = value;
	(*list)[count + 1] = NULL;
}

static int check_rename(const struct command_pair *pair, struct error *err)
{
	return strstr(pair->value, "{value}")
	               ? 0
	               : error_set(
	                         err, ERROR_USAGE, EINVAL,
	                         "rename=%.80s: the new value has \"{value}\" in it, which stands for the old one: users.email={value}.imported",
	                         pair->value);
}

static int take_repeated(const struct command_line *line, struct import_order *o, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < line->pair_count; i++) {
		const struct command_pair *pair = &line->pairs[i];
		bool is_null = str_equal(pair->key, "null");

		if (is_null || str_equal(pair->key, "set"))
			r = add_column_setting(pair, is_null, &o->sets, &o->options.set_count, err);
		else if (str_equal(pair->key, "rename"))
			r = add_column_setting(pair, false, &o->renames, &o->options.rename_count, err);
		else if (str_equal(pair->key, "ignore-column"))
			add_said(&o->ignored, pair->value);
		else if (str_equal(pair->key, "reference"))
			add_said(&o->references, pair->value);
		if (r == 0 && str_equal(pair->key, "rename"))
			r = check_rename(pair, err);
	}
	o->options.sets = o->sets;
	o->options.renames = o->renames;
	o->options.ignored_columns = o->ignored;
	o->options.references = o->references;
	return r;
}

/* Of a pair that has one of two values: is it the second one? */
static int take_import_choice(const struct command_line *line, const char *key, const char *usual,
                              const char *other, bool *ret, struct error *err)
{
	const char *value = words_pair(line, key);

	*ret = str_equal(value, other);
	return !value || *ret || str_equal(value, usual)
	               ? 0
	               : error_set(err, ERROR_USAGE, EINVAL, "%s=%.40s: allowed are %s (the default) and %s",
	                           key, value, usual, other);
}

static int take_key_choice(const struct command_line *line, struct import_order *o, struct error *err)
{
	const char *value = words_pair(line, "keys");

	if (str_equal(value, "keep"))
		o->options.keys = PG_IMPORT_KEYS_KEPT;
	else if (str_equal(value, "remap"))
		o->options.keys = PG_IMPORT_KEYS_REMAPPED;
	else if (value)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "keys=%.40s: allowed are keep (as they are in the file) and remap (new ones; the default with tenant=)",
		        value);
	return 0;
}

static int take_import_choices(const struct command_line *line, struct import_order *o, struct error *err)
{
	bool plan = false;
	int r = take_key_choice(line, o, err);

	if (r == 0)
		r = take_import_choice(line, "shared", "check", "insert", &o->options.insert_shared, err);
	if (r == 0)
		r = take_import_choice(line, "living", "same", "keep", &o->options.keep_living, err);
	if (r == 0)
		r = take_import_choice(line, "changed", "refuse", "allow", &o->options.allow_changed, err);
	if (r == 0)
		r = restore_order_bool(line, "dry-run", &o->dry_run, err);
	if (r == 0)
		r = restore_order_bool(line, "plan", &plan, err);
	/* Of two words that contradict each other the one that changes nothing. */
	o->dry_run = o->dry_run || plan;
	return r;
}

static int take_file(const struct command_line *line, struct import_order *o, struct error *err)
{
	if (line->word_count != 1)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "name one export: exports/acme/20261120T020000Z.json.gz, exports/acme/latest.json.gz, or the path of a file, /srv/acme.json.gz");
	o->file = line->words[0];
	return 0;
}

static int check_not_empty(const struct command_line *line, struct error *err)
{
	static const char *const keys[] = {"database", "tenant", "tenant-id", "schema"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_equal(words_pair(line, keys[i]), ""))
			return error_set(err, ERROR_USAGE, EINVAL, "%s= has no value", keys[i]);
	return 0;
}

int import_order_read(const struct command_line *line, struct import_order *ret, struct error *err)
{
	static const char *const allowed[] = {"database", "tenant",  "tenant-id", "name",          "schema",
	                                      "keys",     "set",     "null",      "rename",        "living",
	                                      "shared",   "changed", "reference", "ignore-column", "dry-run",
	                                      "plan",     "note",    NULL};
	int r = words_check_pairs(line, allowed, err);

	*ret = (struct import_order){.database = words_pair(line, "database"),
	                             .options = {.slug = words_pair(line, "tenant"),
	                                         .id = words_pair(line, "tenant-id"),
	                                         .name = words_pair(line, "name"),
	                                         .schema = words_pair(line, "schema")}};
	if (r == 0)
		r = take_file(line, ret, err);
	if (r == 0)
		r = check_not_empty(line, err);
	if (r == 0)
		r = take_import_choices(line, ret, err);
	return r == 0 ? take_repeated(line, ret, err) : r;
}

void import_order_finish(struct import_order *o)
{
	for (size_t i = 0; i < o->options.set_count; i++)
		free((void *)o->sets[i].column);
	for (size_t i = 0; i < o->options.rename_count; i++)
		free((void *)o->renames[i].column);
	free(o->sets);
	free(o->renames);
	free(o->ignored);
	free(o->references);
	o->sets = o->renames = NULL;
	o->ignored = o->references = NULL;
	o->options.set_count = o->options.rename_count = 0;
}
