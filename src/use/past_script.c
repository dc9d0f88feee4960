// SPDX-License-Identifier: Apache-2.0
#include "past_script.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES      16384
#define HEAD_LINE_BYTES  ((size_t)1024) /* what is longer is no comment of pg_dump about an object */
#define WORDS_SHOW_BYTES 300

void past_failures_finish(struct past_failures *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->items[i].words);
		free(f->items[i].type);
		free(f->items[i].schema);
		free(f->items[i].name);
	}
	free(f->items);
	*f = (struct past_failures){0};
}

/* "psql:<stdin>:123: ERROR:  …" */
void past_failures_hear(struct past_failures *f, const char *line)
{
	static const char prefix[] = "psql:<stdin>:";
	const char *at = str_starts(line, prefix) ? line + strlen(prefix) : NULL, *words;
	char *end;
	uint64_t number = at && isdigit((unsigned char)*at) ? strtoull(at, &end, 10) : 0;

	if (number == 0 || !str_starts(end, ": "))
		return;
	words = strstr(end, "ERROR:  ");
	if (!words)
		words = strstr(end, "FATAL:  ");
	if (!words)
		return;
	if (f->count >= PAST_FAILURES_MAX) {
		f->more++;
		return;
	}
	f->items = mem_resize(f->items, f->count + 1, sizeof(*f->items));
	f->items[f->count++] = (struct past_failure){.line = number, .words = mem_strdup(words)};
}

/* Comments. */

struct object_head {
	char *type, *schema, *name; /* heap; NULL */
};

static void finish_object_head(struct object_head *h)
{
	free(h->type);
	free(h->schema);
	free(h->name);
	*h = (struct object_head){0};
}

/* What stands between @before and the first @behind after it; NULL. */
static char *text_between(const char *line, const char *before, const char *behind, const char **ret_end)
{
	const char *at = strstr(line, before), *end;

	if (!at)
		return NULL;
	at += strlen(before);
	end = strstr(at, behind);
	if (!end)
		return NULL;
	*ret_end = end;
	return mem_printf("%.*s", (int)(end - at), at);
}

static void take_object_head(struct object_head *h, const char *line)
{
	const char *end = line;
	struct object_head found = {0};

	if (!str_starts(line, "-- Name: ") && !str_starts(line, "-- Data for Name: "))
		return;
	found.name = text_between(line, "Name: ", "; Type: ", &end);
	if (found.name)
		found.type = text_between(end, "; Type: ", "; Schema: ", &end);
	if (found.type)
		found.schema = text_between(end, "; Schema: ", "; Owner:", &end);
	if (!found.schema) {
		finish_object_head(&found);
		return;
	}
	finish_object_head(h);
	*h = found;
}

static void give_object(struct past_failure *f, const struct object_head *h)
{
	f->type = mem_strdup(str_or_empty(h->type));
	f->schema = mem_strdup(str_or_empty(h->schema));
	f->name = mem_strdup(str_or_empty(h->name));
}

struct script_reading {
	struct past_failures *failures;
	size_t next; /* failure */
	struct object_head head;
	uint64_t line; /* number of the one that is gathered */
	struct str text;
};

static void end_script_line(struct script_reading *s)
{
	if (s->text.len <= HEAD_LINE_BYTES)
		take_object_head(&s->head, str_text(&s->text));
	while (s->next < s->failures->count && s->failures->items[s->next].line <= s->line)
		give_object(&s->failures->items[s->next++], &s->head);
	str_clear(&s->text);
	s->line++;
}

static void feed_script(struct script_reading *s, const char *data, size_t len)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		if (s->text.len <= HEAD_LINE_BYTES)
			str_append_bytes(&s->text, data, n);
		if (end)
			end_script_line(s);
		n += end != NULL;
		data += n;
		len -= n;
	}
}

int past_script_find(const struct spool *script, struct past_failures *f, struct error *err)
{
	struct script_reading s = {.failures = f, .line = 1};
	char piece[PIECE_BYTES];
	uint64_t at = 0;
	ssize_t n = 0;

	while (s.next < f->count && (n = spool_read(script, piece, sizeof(piece), at)) > 0) {
		feed_script(&s, piece, (size_t)n);
		at += (uint64_t)n;
	}
	while (s.next < f->count)
		give_object(&f->items[s.next++], &s.head);
	finish_object_head(&s.head);
	str_finish(&s.text);
	return n < 0 ? error_system(err, (int)-n, "the definitions of the dump cannot be read again") : 0;
}

/* Judging. */

bool past_is_outside(const struct past_scope *scope, const char *schema, const char *table)
{
	_cleanup(free) char *own_schema = mem_strdup(schema), *own_table = mem_strdup(table);
	struct tenancy_table one = {.schema = own_schema, .name = own_table, .kind = 'r'};
	const struct tenancy_model model = {.tables = &one, .table_count = 1};
	const struct tenancy_rules rules = {
	        .kind = scope->kind == TENANCY_SCHEMA ? TENANCY_SCHEMA : TENANCY_DATABASE,
	        .excluded = scope->excluded,
	        .shared = scope->kind == TENANCY_SCHEMA ? scope->shared : NULL,
	};
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	struct error ignored = {0};

	return tenancy_decide(&model, &rules, scope->schema, &plan, &ignored) == 0 && plan.count == 1 &&
	       plan.decisions[0].verdict == TENANCY_EXCLUDED;
}

static bool is_about_role(const struct past_failure *f)
{
	return strstr(f->words, "role \"") && strstr(f->words, "does not exist");
}

/* A schema or an extension that each new database has. */
static bool is_there_already(const struct past_failure *f)
{
	return strstr(f->words, "already exists") != NULL;
}

bool past_failures_lack(const struct past_failures *f, const char *schema, const char *table)
{
	for (size_t i = 0; i < f->count; i++)
		if (str_equal(f->items[i].type, "TABLE") && !is_about_role(&f->items[i]) &&
		    str_equal(f->items[i].schema, schema) && str_equal(f->items[i].name, table))
			return true;
	return false;
}

/* "orders orders_pkey", "COLUMN orders.id", "TABLE orders": of a table that was not made? */
static bool is_of_lacking_table(const struct past_failures *f, const struct past_failure *one)
{
	const char *name = one->name;

	if (str_starts(name, "COLUMN "))
		name += strlen("COLUMN ");
	else if (str_starts(name, "TABLE "))
		name += strlen("TABLE ");
	for (size_t i = 0; i < f->count; i++) {
		const struct past_failure *table = &f->items[i];
		size_t len = strlen(table->name);

		if (str_equal(table->type, "TABLE") && !is_about_role(table) &&
		    str_equal(table->schema, one->schema) && strncmp(name, table->name, len) == 0 &&
		    (name[len] == '\0' || name[len] == ' ' || name[len] == '.'))
			return true;
	}
	return false;
}

static bool is_needed(const struct past_failure *f)
{
	static const char *const types[] = {"TABLE",         "TABLE ATTACH", "CONSTRAINT",
	                                    "FK CONSTRAINT", "ROW SECURITY", ""};

	if (str_equal(f->type, "COMMENT"))
		return str_starts(f->name, "COLUMN ") || str_starts(f->name, "TABLE ");
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_equal(f->type, types[i]))
			return true;
	return false;
}

static bool is_harmless_failure(const struct past_failures *f, const struct past_failure *one,
                                const struct past_scope *scope)
{
	if (!is_needed(one) || is_about_role(one) || is_there_already(one))
		return true;
	if (str_equal(one->type, "TABLE"))
		return past_is_outside(scope, one->schema, one->name);
	/* The table itself was judged by its own failure. */
	return is_of_lacking_table(f, one);
}

int past_failures_judge(const struct past_failures *f, const struct past_scope *scope, struct error *err)
{
	char words[WORDS_SHOW_BYTES];

	for (size_t i = 0; i < f->count; i++) {
		const struct past_failure *one = &f->items[i];

		if (is_harmless_failure(f, one, scope))
			continue;
		str_cut(words, sizeof(words), one->words);
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the throw-away server could not make %s %.100s of the dump: %s; when an extension is missing, install it on this host, or exclude the table",
		        *one->type ? one->type : "something", one->name, words);
	}
	if (f->more > 0)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the throw-away server could not make more than %d objects of the dump; the first: %.200s",
		        PAST_FAILURES_MAX, f->items[0].words);
	return 0;
}
