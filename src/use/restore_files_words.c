// SPDX-License-Identifier: Apache-2.0
/* The words of a restore that are about files. */
#include "restore_order.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/files/exclude.h>
#include <keepfs/files/tree_path.h>

#include <errno.h>
#include <string.h>

#define DIRECTORY_BYTES sizeof(((struct catalog_restore *)NULL)->target)

int restore_order_directory(const char *key, const char *value, char **ret, struct error *err)
{
	char *path;

	if (*value != '/')
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s=%.80s: write the directory from the root on (/srv/media): keepfs works in another one",
		        key, value);
	if (strlen(value) >= DIRECTORY_BYTES)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s=%.40s…: a directory's path has at most %zu bytes", key, value,
		                 DIRECTORY_BYTES - 1);
	path = mem_strdup(value);
	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	*ret = path;
	return 0;
}

/* "a, b\,c": to the next comma that has no '\' in front. Return: what is behind it; NULL: nothing. */
static const char *take_choice(const char *from, struct str *ret)
{
	const char *p = from + strspn(from, " ");

	str_clear(ret);
	for (; *p && *p != ','; p++) {
		if (*p == '\\' && p[1])
			str_append_char(ret, *p++);
		str_append_char(ret, *p);
	}
	return *p ? p + 1 : NULL;
}

/* What is no pattern: "\," stands for a comma. */
static char *plain_path(const char *choice)
{
	_cleanup(str) struct str plain = {0};

	for (; *choice; choice++) {
		choice += choice[0] == '\\' && choice[1] == ',';
		str_append_char(&plain, *choice);
	}
	return str_take(&plain);
}

static int normal_choice(const char *choice, char **ret, struct error *err)
{
	_cleanup(str) struct str normal = {0};
	_cleanup(free) char *plain = NULL;

	if (tree_path_is_pattern(choice)) {
		*ret = mem_strdup(choice);
		return exclude_check(choice, err);
	}
	plain = plain_path(choice);
	if (tree_path_normal(plain, &normal) < 0 || normal.len == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "paths=%.80s: write paths as they are below the archived directory (a/b.txt), or patterns (*.jpg, a/**)",
		        plain);
	*ret = str_take(&normal);
	return 0;
}

static int add_choices(const char *value, struct restore_order *o, size_t *count, struct error *err)
{
	_cleanup(str) struct str choice = {0};
	int r = 0;

	do {
		value = take_choice(value, &choice);
		if (choice.len == 0 && value)
			continue;
		o->paths = mem_resize(o->paths, *count + 2, sizeof(*o->paths));
		o->paths[*count] = o->paths[*count + 1] = NULL;
		r = normal_choice(str_text(&choice), &o->paths[*count], err);
		++*count;
	} while (r == 0 && value);
	return r;
}

static int take_choices(const struct command_line *line, struct restore_order *o, struct error *err)
{
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, "paths"))
			r = add_choices(line->pairs[i].value, o, &count, err);
	return r;
}

static int take_owners(const struct command_line *line, struct restore_order *o, struct error *err)
{
	const char *value = words_pair(line, "owners");

	o->owners_by_number = str_equal(value, "numbers");
	if (!value || o->owners_by_number || str_equal(value, "names"))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "owners=%.20s: allowed are names, numbers", value);
}

static int take_room_word(const struct command_line *line, struct restore_order *o, struct error *err)
{
	const char *value = words_pair(line, "room");

	o->any_room = str_equal(value, "any");
	if (!value || o->any_room)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "room=%.20s: allowed is any, which writes although the disk seems too full", value);
}

static const char *one_given(const struct command_line *line, const char *const *keys)
{
	for (; *keys; keys++)
		if (words_pair(line, *keys))
			return *keys;
	return NULL;
}

static int check_of_one_kind(const struct command_line *line, struct restore_order *o, struct error *err)
{
	static const char *const of_files[] = {"paths", "overwrite", "owners", "room", NULL};
	static const char *const of_databases[] = {
	        "into",    "server",   "swap",     "create",        "clean", "content",
	        "schemas", "tables",   "no_owner", "no_privileges", "roles", "extensions",
	        "jobs",    "on_error", "level",    "analyze",       "check", NULL};
	const char *other = one_given(line, o->to || o->place ? of_databases : of_files);

	/* A base backup has both. */
	if (o->to && str_equal(other, "jobs")) {
		o->word_of_others = other;
		return 0;
	}
	if (!other && o->place)
		other = one_given(line, of_files);
	if (!other)
		return 0;
	if (o->place)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s= does not go with to=%.100s, where the objects of a mirror are brought back to: leave one of them away",
		        other, o->place);
	if (o->to)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s= is for databases, and to= for the files of an archive: leave one of them away",
		        other);
	/* A deployment has both, and only the catalog knows what the word is of. */
	o->word_of_others = other;
	return 0;
}

int restore_order_read_mirror(const struct command_line *line, struct restore_order *o, struct error *err)
{
	const char *rate = words_pair(line, "rate");
	int r = restore_order_bool(line, "delete", &o->remove, err);

	if (r == 0 && rate && conf_parse_rate(rate, &o->rate_bytes) < 0)
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "rate=%.20s: how many bytes are written per second, such as 10M", rate);
	return r;
}

int restore_order_read_files(const struct command_line *line, struct restore_order *o, struct error *err)
{
	const char *to = words_pair(line, "to");
	bool is_place = to && (str_starts(to, "s3://") || str_starts(to, "dir:/"));
	int r = to && !is_place ? restore_order_directory("to", to, &o->to, err) : 0;

	o->place = is_place ? to : NULL;
	if (r == 0)
		r = take_choices(line, o, err);
	if (r == 0)
		r = take_owners(line, o, err);
	if (r == 0)
		r = take_room_word(line, o, err);
	return r < 0 ? r : check_of_one_kind(line, o, err);
}
