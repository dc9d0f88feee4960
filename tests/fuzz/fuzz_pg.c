// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as what PostgreSQL and its users write for keepfs: a connection string, an archive's COPY statement,
 * a list of columns, the words of libpq and of pg_dump. No password gets out, and what is made of a statement keeps its quotes closed.
 */
#include "../../src/dump/words.h"
#include "../../src/pg/names.h"
#include "../../src/pg/refusal.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/snapshot.h>

#include <string.h>

DEFINE_CLEANUP(fuzz_secret, char *, mem_free_secret)

static void check_conninfo(const char *text)
{
	_cleanup(free) char *child = NULL, *again = NULL, *database = pg_conninfo_database(text);
	_cleanup(fuzz_secret) char *password = NULL, *none = NULL;
	struct error err = {0};
	int r = pg_child_conninfo(text, "it's", NULL, &child, &password, &err);

	fuzz_must(database != NULL, "a connection string has a label, if only an empty one", text);
	if (r < 0) {
		fuzz_must_refuse(r, &err);
		return;
	}
	fuzz_must(pg_child_conninfo(child, NULL, NULL, &again, &none, &err) == 0,
	          "what a child is given can be read", child);
	fuzz_must(none == NULL, "what a child is given has no password", child);
	fuzz_must(!strstr(child, "password='") || strstr(child, "_password='") || strstr(child, "\\'"),
	          "a password goes through the environment", child);
}

static bool has_even_quotes(const char *text)
{
	bool even = true;

	for (; *text; text++)
		even ^= *text == '"';
	return even;
}

static void check_copy(const char *text)
{
	const struct pg_table table = {.oid = 1, .relation = "s.t", .by_pages = true};
	_cleanup(free) char *relation = pg_copy_relation(text);
	_cleanup(free) char *whole = pg_copy_statement(text, NULL, 0, UINT32_MAX);
	_cleanup(free) char *range = pg_copy_statement(text, &table, 3, 9);

	fuzz_must((relation != NULL) == (whole != NULL), "a statement has a relation, or is none", text);
	if (!whole)
		return;
	fuzz_must(relation[0] && strstr(text, relation), "a relation is part of its statement", relation);
	fuzz_must(has_even_quotes(relation) && has_even_quotes(whole), "quotes are closed", whole);
	fuzz_must(str_starts(whole, "COPY ") && str_ends(whole, " TO stdout"), "it reads", whole);
	fuzz_must(!range || str_starts(range, "COPY (SELECT "), "a range is a query", range);
}

/* What was taken is the same when it is quoted and taken again. */
static void check_names(const char *text)
{
	_cleanup(pg_names) struct names names = {0}, again = {0};
	_cleanup(str) struct str list = {0};

	if (!names_parse(text, &names)) {
		fuzz_must(names.count == 0, "of what is no list nothing is taken", text);
		return;
	}
	for (size_t i = 0; i < names.count; i++) {
		_cleanup(free) char *quoted = pg_quote_name(names.items[i]);

		str_appendf(&list, "%s%s", i > 0 ? ", " : "(", quoted);
	}
	str_append_char(&list, ')');
	fuzz_must(names_parse(str_text(&list), &again) && again.count == names.count,
	          "a list is one when it is quoted", text);
	for (size_t i = 0; i < names.count; i++)
		fuzz_must(str_equal(names.items[i], again.items[i]), "a name stays what it is", text);
}

static void check_words(const char *text)
{
	_cleanup(refusal) struct refusal refusal = {0};
	const struct make_order nobody = {0};
	_cleanup(free) char *statement = NULL, *copy = mem_strdup(text);
	struct pg_attempt attempt;
	struct warnings warnings;

	refusal_parse(&refusal, text);
	fuzz_must(strlen(refusal.state) == 0 || strlen(refusal.state) == 5, "a state has five characters",
	          refusal.state);
	fuzz_must(refusal.words.len <= strlen(text) + 1, "words are not more than was said", text);
	if (!words_attempt(text, &attempt, &statement))
		fuzz_must(!statement, "what is no attempt has no statement", text);
	warnings_init(&warnings);
	for (char *rest = copy, *line; (line = strsep(&rest, "\n"));)
		warnings_take(&warnings, line);
	warnings_tell(&warnings, &nobody);
	warnings_finish(&warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);

	check_conninfo(text);
	check_copy(text);
	check_names(text);
	check_words(text);
	return 0;
}
