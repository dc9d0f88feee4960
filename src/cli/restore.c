// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs restore: by the mount where there is one, else in this process. On a terminal the plan comes first, and then the name of the
 * database, or of a directory whose files are to be replaced, or of a whole deployment, has to be typed; whoever has given it (confirm=) is not asked. What is secret in a
 * deployment is asked for by itself.
 */
#include "work.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/use.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the plan has told. */
static bool is_of_deployment, has_secrets;

static void notice_line(const char *line)
{
	is_of_deployment |= str_starts(line, "the deployment ");
	has_secrets |= str_starts(line, "secret part ");
}

static const struct work work = {
        .kind = &use_restore, .file = "control/restore", .shows_log = true, .line = notice_line};

struct words { /* the order, as a list */
	char **items;
	int count;
};

static void words_add(struct words *w, char *word)
{
	w->items = mem_resize(w->items, (size_t)w->count + 1, sizeof(*w->items));
	w->items[w->count++] = word;
}

static void words_finish(struct words *w)
{
	for (int i = 0; i < w->count; i++)
		free(w->items[i]);
	free(w->items);
}

static inline void cleanup_words(struct words *w)
{
	words_finish(w);
}

/* The daemon works in another directory. */
static char *from_the_root(const char *path)
{
	_cleanup(free) char *here = *path == '/' ? NULL : getcwd(NULL, 0);

	while (here && str_starts(path, "./"))
		path += 2;
	if (!here || !*path)
		return mem_strdup(path);
	return str_equal(path, ".") ? mem_strdup(here)
	                            : mem_printf("%s/%s", str_equal(here, "/") ? "" : here, path);
}

static char *directory_word(const char *key, const char *path)
{
	/* A place of objects. */
	bool is_url = str_starts(path, "s3://") || str_starts(path, "dir:");
	_cleanup(free) char *whole = is_url ? mem_strdup(path) : from_the_root(path);

	return mem_printf("%s=%s", key, whole);
}

static bool has_word(const struct words *w, const char *key)
{
	for (int i = 0; i < w->count; i++)
		if (str_starts(w->items[i], key))
			return true;
	return false;
}

/* restore main /srv/pg --to '2026-11-20 10:00': a second word that is a path says where to, and then --to until when. */
static bool is_directory_word(const char *word)
{
	return *word == '/' || str_starts(word, "./") || str_starts(word, "../") || str_equal(word, ".");
}

static const char *directory_given(const struct cli_options *o)
{
	return o->argc > 1 && is_directory_word(o->argv[1]) ? o->argv[1] : NULL;
}

/* Names of directories may be written as seen from here, and are not written so in the order. */
static void add_given_word(struct words *w, const char *word, bool to_directory)
{
	if (str_starts(word, "to="))
		words_add(w, directory_word("to", word + strlen("to=")));
	else if (to_directory && str_starts(word, "confirm="))
		words_add(w, directory_word("confirm", word + strlen("confirm=")));
	else
		words_add(w, mem_strdup(word));
}

/* Options stand for words. */
static void gather_words(const struct cli_options *o, struct words *ret)
{
	const struct words given = {.items = o->argv, .count = o->argc};
	const char *directory = directory_given(o);
	bool to_directory = o->to || directory || has_word(&given, "to=");

	for (int i = 0; i < o->argc; i++)
		if (!directory || i != 1)
			add_given_word(ret, o->argv[i], to_directory);
	if (directory)
		words_add(ret, directory_word("to", directory));
	if (o->to)
		words_add(ret, directory ? mem_printf("until=%s", o->to) : directory_word("to", o->to));
	if (o->overwrite)
		words_add(ret, mem_strdup("overwrite=yes"));
	if (o->dry_run)
		words_add(ret, mem_strdup("plan=yes"));
	if (o->confirm)
		words_add(ret, to_directory ? directory_word("confirm", o->confirm)
		                            : mem_printf("confirm=%s", o->confirm));
}

/* Files are replaced only where that is asked for; else there is nothing to be afraid of. */
static bool asks(const struct cli_options *options, const struct words *w)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !options->json && !has_word(w, "confirm=") &&
	       !has_word(w, "plan=") && !has_word(w, "dry-run=") && !str_equal(w->items[0], "forget") &&
	       (!has_word(w, "to=") || has_word(w, "overwrite=yes") || has_word(w, "delete=yes") ||
	        has_word(w, "delta=yes"));
}

static int order_restore(const struct cli_options *options, const struct words *w)
{
	struct cli_options more = *options;

	more.argc = w->count;
	more.argv = w->items;
	return work_to_end(&more, &work);
}

/* The same order with one more word, or two. */
static int with_words(const struct cli_options *options, const struct words *w, char *word, char *other)
{
	struct words more = {.items = mem_array((size_t)w->count + 2, sizeof(*more.items)),
	                     .count = w->count};
	int status;

	memcpy(more.items, w->items, (size_t)w->count * sizeof(*more.items));
	more.items[more.count++] = word;
	if (other)
		more.items[more.count++] = other;
	status = order_restore(options, &more);
	free(more.items);
	return status;
}

/* heap: what was typed; NULL: nothing was */
static char *type_answer(const char *question)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	fputs(question, stdout);
	fflush(stdout);
	n = getline(&line, &room, stdin);
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n > 0)
		return line;
	free(line);
	return NULL;
}

/* heap: the word that says it; NULL: there is nothing to ask */
static char *ask_for_secrets(const struct words *w)
{
	_cleanup(free) char *typed = NULL;

	if (!is_of_deployment || !has_secrets || has_word(w, "secrets="))
		return NULL;
	typed = type_answer(
	        "Its secret parts are restored only when you say so a second time. Restore them, too? Type yes or no: ");
	return mem_strdup(str_equal(typed, "yes") ? "secrets=yes" : "secrets=no");
}

static const char *what_to_type(const struct words *w)
{
	if (is_of_deployment)
		return "deployment";
	if (!has_word(w, "to="))
		return "database, or what the plan of a mirror names with confirm=";
	return has_word(w, "to=s3:") || has_word(w, "to=dir:") ? "place, as it is written behind to="
	                                                       : "directory";
}

static int plan_and_ask(const struct cli_options *options, const struct words *w)
{
	_cleanup(free) char *plan = mem_strdup("plan=yes"), *line = NULL, *word = NULL, *secrets = NULL,
	                    *question = NULL;
	int status = with_words(options, w, plan, NULL);

	if (status != CLI_DONE)
		return status;
	question = mem_printf("To do that, type the name of the %s: ", what_to_type(w));
	line = type_answer(question);
	if (!line) {
		fprintf(stderr, "keepfs: nothing was typed, and nothing was done\n");
		return CLI_FAILED;
	}
	word = mem_printf("confirm=%s", line);
	secrets = ask_for_secrets(w);
	return with_words(options, w, word, secrets);
}

int cmd_restore(const struct cli_options *options)
{
	_cleanup(words) struct words w = {0};

	if (options->argc == 0)
		return cli_usage("restore takes a backup: full/latest.dump");
	gather_words(options, &w);
	return asks(options, &w) ? plan_and_ask(options, &w) : order_restore(options, &w);
}
