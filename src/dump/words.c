// SPDX-License-Identifier: Apache-2.0
/*
 * Lines of pg_dump and pg_dumpall: "pg_dump: warning: text", and behind it perhaps "pg_dump: detail: …" and "pg_dump:
 * hint: …" (src/common/logging.c); until version 11 "pg_dump: [archiver] WARNING: text". A statement that failed stands at
 * the end, over as many lines as it has: "pg_dump: detail: Query was: …", "pg_dump: error: query was: …" before 15,
 * "pg_dump: detail: Command was: …".
 */
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>
#include <strings.h>

#define WARNINGS_KEPT 1000
#define WARNINGS_TOLD 10
#define WARNING_BYTES 400

static const char separator[] = ": ";

void warnings_init(struct warnings *w)
{
	*w = (struct warnings){0};
	pthread_mutex_init(&w->lock, NULL);
}

void warnings_clear(struct warnings *w)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->count; i++)
		free(w->items[i].text);
	w->count = w->left_out = w->open = 0;
	pthread_mutex_unlock(&w->lock);
}

void warnings_finish(struct warnings *w)
{
	warnings_clear(w);
	free(w->items);
	pthread_mutex_destroy(&w->lock);
}

/* Behind @label, if @line has it behind the program's name; NULL. */
static const char *behind_label(const char *line, const char *label)
{
	const char *p = strstr(line, separator);

	if (!p || strcspn(line, " ") < (size_t)(p - line))
		return NULL;
	p += strlen(separator);
	if (*p == '[' && strstr(p, "] "))
		p = strstr(p, "] ") + 2;
	return strncasecmp(p, label, strlen(label)) == 0 ? p + strlen(label) : NULL;
}

static void open_warning(struct warnings *w, const char *text)
{
	if (w->count == WARNINGS_KEPT) {
		w->left_out++;
		return;
	}
	if (w->count == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->items = mem_resize(w->items, w->cap, sizeof(*w->items));
	}
	w->items[w->count++] = (struct words_warning){.text = mem_strdup(text), .times = 1};
	w->open = w->count;
}

/* Whole with its details, it may be one that there was already. */
static void close_warning(struct warnings *w)
{
	struct words_warning *last = w->open > 0 ? &w->items[w->open - 1] : NULL;

	w->open = 0;
	for (size_t i = 0; last && &w->items[i] < last; i++) {
		if (!str_equal(w->items[i].text, last->text))
			continue;
		w->items[i].times++;
		free(last->text);
		w->count--;
		return;
	}
}

static void add_detail(struct warnings *w, const char *text)
{
	struct words_warning *last = &w->items[w->open - 1];
	_cleanup(free) char *longer = NULL;

	if (strlen(last->text) >= WARNING_BYTES)
		return;
	longer = mem_printf("%s; %s", last->text, text + strspn(text, " "));
	mem_replace_string(&last->text, longer);
}

void warnings_take(struct warnings *w, const char *line)
{
	const char *text = behind_label(line, "warning: ");
	const char *detail = behind_label(line, "detail: ");

	if (!detail)
		detail = behind_label(line, "hint: ");
	pthread_mutex_lock(&w->lock);
	if (detail && w->open > 0) {
		add_detail(w, detail);
	} else {
		close_warning(w);
		if (text)
			open_warning(w, text);
	}
	pthread_mutex_unlock(&w->lock);
}

static void tell_warning(const struct words_warning *one, const struct make_order *order)
{
	char text[WARNING_BYTES];

	str_cut(text, sizeof(text), one->text);
	if (one->times > 1)
		make_warn(order, "pg_dump: %s (%zu times)", text, one->times);
	else
		make_warn(order, "pg_dump: %s", text);
}

void warnings_tell(struct warnings *w, const struct make_order *order)
{
	size_t told;

	pthread_mutex_lock(&w->lock);
	close_warning(w);
	told = w->count < WARNINGS_TOLD ? w->count : WARNINGS_TOLD;
	for (size_t i = 0; i < told; i++)
		tell_warning(&w->items[i], order);
	if (w->count + w->left_out > told)
		make_warn(order, "pg_dump: %zu further warnings, which the run's log has",
		          w->count + w->left_out - told);
	pthread_mutex_unlock(&w->lock);
}

/* The last @mark of @said that begins what a line says; behind it. */
static const char *behind_last(const char *said, const char *mark)
{
	const char *found = NULL;

	for (const char *p = said; (p = strcasestr(p, mark)); p += strlen(mark))
		found = p + strlen(mark);
	return found;
}

/* Up to the end, or to the line in which the program speaks again. */
static size_t statement_length(const char *statement)
{
	const char *end = statement + strlen(statement);

	for (const char *p = statement; (p = strchr(p, '\n')); p++) {
		if (str_starts(p + 1, "pg_dump: ") || str_starts(p + 1, "pg_dumpall: ")) {
			end = p;
			break;
		}
	}
	while (end > statement && strchr(" \n;", end[-1]))
		end--;
	return (size_t)(end - statement);
}

/* libpq itself says these, in English: nothing that is asked once more would tell why. */
static bool is_session_gone(const char *said)
{
	static const char *const words[] = {"server closed the connection", "no connection to the server",
	                                    "could not receive data from server",
	                                    "SSL connection has been closed"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strstr(said, words[i]))
			return true;
	}
	return false;
}

static const char *find_statement(const char *said)
{
	const char *query = behind_last(said, "query was: "), *command = behind_last(said, "command was: ");

	return command && command > query ? command : query;
}

bool words_attempt(const char *said, struct pg_attempt *ret, char **ret_statement)
{
	const char *statement = find_statement(said);
	const char *object = behind_last(said, "could not open large object ");

	*ret = (struct pg_attempt){0};
	*ret_statement = NULL;
	if (is_session_gone(said))
		return false;
	if (statement) {
		*ret_statement = mem_printf("%.*s", (int)statement_length(statement), statement);
		ret->sql = *ret_statement;
		return true;
	}
	if (object) {
		ret->large_object = (uint32_t)strtoul(object, NULL, 10);
		return true;
	}
	return strstr(said, "connection to server ") || strstr(said, "connection to database ");
}
