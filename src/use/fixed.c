// SPDX-License-Identifier: Apache-2.0
/* Which backups a command means is what it means when it is given: a second person confirms what was ordered, and not what has become the newest since. */
#include "words.h"

#include "copied.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/use.h>

#include <errno.h>
#include <string.h>

struct fixing {
	struct catalog *catalog;
	struct str text;  /* the command anew */
	struct str *told; /* what stands for what */
	bool any;
};

static char *find_meant_copy(struct catalog *c, const char *word)
{
	_cleanup(free) char *meant = NULL, *path = copied_path(word);
	struct catalog_replica row;
	struct error ignored = {0};

	if (copied_find(c, word, &meant, &row, &ignored) < 0 || str_starts(path, row.path))
		return NULL;
	return take_ptr(&meant);
}

/* What @word leads to, when that is a backup by another name; NULL: it names none, or names it already. */
static char *find_meant(struct catalog *c, const char *word, bool of_directory)
{
	_cleanup(free) char *path = words_path(word);
	struct catalog_entry entry;
	struct error ignored = {0};
	_cleanup(free) char *meant = NULL;
	int r;

	if (copied_is_word(word))
		return of_directory ? find_meant_copy(c, word) : NULL;
	r = words_find_backup(c, path, &entry);
	if (r == -ENOENT && of_directory)
		r = words_find_to_restore(c, word, &entry, &ignored);
	if (r < 0)
		return NULL;
	meant = catalog_path(c, entry.ino);
	/* "X.dump.age" is X.dump, as a mount without an identity shows it. */
	return !meant || str_starts(path, meant) ? NULL : take_ptr(&meant);
}

static bool is_directory_of_backups(struct catalog *c, const char *word)
{
	_cleanup(free) char *path = words_path(word);
	struct catalog_entry entry;
	uint64_t ino;

	return words_find_backup(c, path, &entry) == -ENOENT && catalog_newest_whole(c, path, &ino) == 0;
}

static void append_fixed(struct fixing *f, const char *key, const char *word, char *meant)
{
	_cleanup(free) char *owned = meant;
	const char *now = meant ? meant : word;
	_cleanup(free) char *pair = key ? mem_printf("%s=%s", key, now) : NULL;

	command_line_append(&f->text, pair ? pair : now);
	if (!meant)
		return;
	str_appendf(f->told, "%s is %s\n", word, now);
	f->any = true;
}

static int fix_words(struct fixing *f, const struct command_line *line, size_t backups, bool of_directory)
{
	for (size_t i = 0; i < line->word_count; i++)
		append_fixed(f, NULL, line->words[i],
		             i < backups ? find_meant(f->catalog, line->words[i], of_directory) : NULL);
	return 0;
}

static int fix_pairs(struct fixing *f, const struct command_line *line, struct error *err)
{
	for (size_t i = 0; i < line->pair_count; i++) {
		const struct command_pair *pair = &line->pairs[i];
		bool is_from = str_equal(pair->key, "from");

		if (is_from && is_directory_of_backups(f->catalog, pair->value))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "from=%.200s is whatever will be the newest there when a second person confirms: name one backup, as the mount shows it",
			        pair->value);
		append_fixed(f, pair->key, pair->value,
		             is_from ? find_meant(f->catalog, pair->value, false) : NULL);
	}
	return 0;
}

/* Quotes are made anew: is it the same command still? */
static int check_fixed(const struct fixing *f, const struct command_line *line, struct error *err)
{
	_cleanup(command_line) struct command_line again = {0};
	int r = command_line_parse(str_text(&f->text), &again, err);

	if (r < 0 || (again.word_count == line->word_count && again.pair_count == line->pair_count))
		return r;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "name the backup itself, and not 'latest': with such quotes the command cannot be written anew for whoever confirms it");
}

int use_fix_backups(struct catalog *catalog, const char *file, const char *text, char **ret_text,
                    struct str *told, struct error *err)
{
	static const struct {
		const char *file;
		size_t backups; /* so many words at its beginning name one */
		bool of_directory;
	} rules[] = {{"restore", SIZE_MAX, true}, {"rescue", 1, true},          {"import", 1, true},
	             {"hold", 1, false},          {"restore-tenant", 0, false}, {"trigger", 0, false}};
	_cleanup(command_line) struct command_line line = {0};
	struct fixing f = {.catalog = catalog, .told = told};
	int r = command_line_parse(text, &line, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rules); i++)
		if (str_equal(rules[i].file, file)) {
			r = fix_words(&f, &line, rules[i].backups, rules[i].of_directory);
			if (r == 0)
				r = fix_pairs(&f, &line, err);
		}
	if (r == 0 && f.any)
		r = check_fixed(&f, &line, err);
	if (r == 0)
		*ret_text = f.any ? str_take(&f.text) : mem_strdup(text);
	str_finish(&f.text);
	return r;
}
