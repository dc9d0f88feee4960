// SPDX-License-Identifier: Apache-2.0
/* One machine over characters: a field is plain or in quotes (RFC 4180), in which a line may end and a quote is written twice. */
#include <keepfs/codec/tables_csv.h>

#include <ctype.h>
#include <errno.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS          5
#define LINE_MAX_BYTES  ((size_t)1 << 20)
#define HASH_HEX_DIGITS 16

enum place { AT_FIELD, IN_PLAIN, IN_QUOTES, BEHIND_QUOTE };

struct tables_csv {
	int (*line)(void *arg, const struct tables_csv_line *line, struct error *err);
	void *arg;
	struct str fields[FIELDS];
	unsigned field;
	enum place place;
	bool begun;      /* a line */
	uint64_t number; /* of lines that have ended */
	size_t bytes;    /* of this line */
};

struct tables_csv *
tables_csv_new(int (*line)(void *arg, const struct tables_csv_line *line, struct error *err), void *arg)
{
	struct tables_csv *t = mem_alloc(sizeof(*t));

	t->line = line;
	t->arg = arg;
	return t;
}

struct tables_csv *tables_csv_free(struct tables_csv *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; i < FIELDS; i++)
		str_finish(&t->fields[i]);
	free(t);
	return NULL;
}

static int refuse(const struct tables_csv *t, const char *why, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "line %llu of the counts of tables: %s",
	                 (unsigned long long)t->number + 1, why);
}

static int take_heading(const struct tables_csv *t, struct error *err)
{
	static const char *const names[FIELDS] = {"schema", "table", "rows", "bytes", "hash"};

	for (unsigned i = 0; i < FIELDS; i++)
		if (!str_equal(str_text(&t->fields[i]), names[i]))
			return refuse(t, "it must be schema,table,rows,bytes,hash", err);
	return 0;
}

static bool take_number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && isxdigit((unsigned char)text[0]) && !*end;
}

static int take_csv_line(struct tables_csv *t, struct error *err)
{
	const char *hash = str_text(&t->fields[4]);
	struct tables_csv_line line = {
	        .schema = str_text(&t->fields[0]), .table = str_text(&t->fields[1]), .has_hash = *hash};

	if (!take_number(str_text(&t->fields[2]), 10, &line.rows.count) ||
	    !take_number(str_text(&t->fields[3]), 10, &line.rows.bytes))
		return refuse(t, "rows and bytes must be numbers", err);
	if (line.has_hash && (strlen(hash) != HASH_HEX_DIGITS || !take_number(hash, 16, &line.rows.hash)))
		return refuse(t, "the hash must have 16 hexadecimal digits", err);
	return t->line(t->arg, &line, err);
}

static int end_line(struct tables_csv *t, struct error *err)
{
	int r;

	if (t->field + 1 != FIELDS)
		return refuse(t, "it must have five fields", err);
	r = t->number == 0 ? take_heading(t, err) : take_csv_line(t, err);
	for (unsigned i = 0; i < FIELDS; i++)
		str_clear(&t->fields[i]);
	t->field = 0;
	t->bytes = 0;
	t->begun = false;
	t->number++;
	return r;
}

static int end_field(struct tables_csv *t, char c, struct error *err)
{
	t->place = AT_FIELD;
	if (c == '\n')
		return end_line(t, err);
	t->field++;
	return t->field == FIELDS ? refuse(t, "it has more than five fields", err) : 0;
}

static int take_csv_char(struct tables_csv *t, char c, struct error *err)
{
	struct str *field = &t->fields[t->field];

	t->begun = true;
	if (++t->bytes > LINE_MAX_BYTES)
		return refuse(t, "it is too long", err);
	if (c == '\0')
		return refuse(t, "it has a zero byte", err);
	if (t->place == IN_QUOTES) {
		if (c == '"')
			t->place = BEHIND_QUOTE;
		else
			str_append_char(field, c);
		return 0;
	}
	if (c == ',' || c == '\n')
		return end_field(t, c, err);
	if (c == '"' && t->place != IN_PLAIN) {
		if (t->place == BEHIND_QUOTE)
			str_append_char(field, c);
		t->place = IN_QUOTES;
		return 0;
	}
	if (c == '"' || t->place == BEHIND_QUOTE)
		return refuse(t, "its quotes are wrong", err);
	t->place = IN_PLAIN;
	str_append_char(field, c);
	return 0;
}

int tables_csv_feed(struct tables_csv *t, const void *data, size_t len, struct error *err)
{
	const char *p = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++)
		r = take_csv_char(t, p[i], err);
	return r;
}

int tables_csv_end(struct tables_csv *t, struct error *err)
{
	if (t->begun)
		return refuse(t, "the file ends within it", err);
	return t->number == 0 ? refuse(t, "it is missing: the file is empty", err) : 0;
}
