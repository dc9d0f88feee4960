// SPDX-License-Identifier: Apache-2.0
/* The words of a restore that are about a whole deployment: a bundle, with all of its parts. */
#include "restore_order.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

static const char *first_given(const struct command_line *line, const char *const *keys)
{
	for (; *keys; keys++)
		if (words_pair(line, *keys))
			return *keys;
	return NULL;
}

/* "yes", "no", or the parts of which it is so. */
static void take_overwrite(const struct command_line *line, struct restore_order *o)
{
	const char *value = words_pair(line, "overwrite");

	o->overwrite = str_equal(value, "yes");
	if (value && !o->overwrite && !str_equal(value, "no"))
		o->overwrites = restore_order_names(value);
}

static int check_target_words(const struct command_line *line, struct error *err)
{
	for (size_t i = 0; i < line->pair_count; i++) {
		const char *value = line->pairs[i].value, *colon = strchr(value, ':');

		if (str_equal(line->pairs[i].key, "target") && (!colon || colon == value || !colon[1]))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "target=%.80s: write PART:PLACE: database:shop_restored (a database), config:/etc/app (a directory), documents:s3://bucket (where a mirror goes)",
			        value);
	}
	return 0;
}

static bool is_of_whole_alone(const struct restore_order *o, const struct command_line *line)
{
	static const char *const keys[] = {"parts", "target", "secrets", NULL};

	return o->overwrites || first_given(line, keys);
}

int restore_order_read_whole(const struct command_line *line, struct restore_order *o, struct error *err)
{
	static const char *const of_whole[] = {"parts", "target", "secrets", NULL};
	static const char *const of_one[] = {"into",     "to",        "create", "clean",    "content",
	                                     "schemas",  "tables",    "paths",  "on_error", "check",
	                                     "pre_hook", "post_hook", NULL};
	int r = restore_order_bool(line, "secrets", &o->secrets, err);

	if (r == 0)
		r = check_target_words(line, err);
	if (r < 0)
		return r;
	take_overwrite(line, o);
	o->secrets_given = words_pair(line, "secrets") != NULL;
	o->parts = restore_order_names(words_pair(line, "parts"));
	o->word_of_one = first_given(line, of_one);
	if (is_of_whole_alone(o, line))
		o->word_of_others = o->overwrites ? "overwrite" : first_given(line, of_whole);
	return 0;
}

int restore_order_refuse_word(const struct restore_order *o, struct error *err)
{
	static const char *const of_whole[] = {"parts", "target", "secrets", NULL};
	const char *word = first_given(o->line, of_whole);

	if (word)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s= is for a whole bundle, whose parts are restored together; this is one backup",
		        word);
	if (o->overwrites)
		return error_set(err, ERROR_USAGE, EINVAL, "overwrite=%.20s: allowed are yes and no",
		                 words_pair(o->line, "overwrite"));
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s= is for the files of an archive: say with to=/DIRECTORY where they are restored to",
	        o->word_of_others);
}

const char *restore_order_place(const struct restore_order *o, const char *part)
{
	size_t len = strlen(part);

	for (size_t i = 0; i < o->line->pair_count; i++) {
		const struct command_pair *pair = &o->line->pairs[i];

		if (str_equal(pair->key, "target") && strncmp(pair->value, part, len) == 0 &&
		    pair->value[len] == ':')
			return pair->value + len + 1;
	}
	return NULL;
}

bool restore_order_has_part(char *const *names, const char *part)
{
	for (; names && *names; names++) {
		size_t len = strlen(*names);

		if (strncmp(*names, part, len) == 0 && (!part[len] || part[len] == '/'))
			return true;
	}
	return false;
}

bool restore_order_overwrites(const struct restore_order *o, const char *part)
{
	return o->overwrite || restore_order_has_part(o->overwrites, part);
}
