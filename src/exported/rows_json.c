// SPDX-License-Identifier: Apache-2.0
/* libyajl says which tokens come; where we are says what they mean. */
#include "rows_json_private.h"

#include "text.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PIECE_MAX_BYTES ((size_t)64 << 20)

int json_rows_refuse(struct json_rows *j, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	error_set(&j->err, ERROR_CORRUPT, EBADMSG, "%s", str_text(&text));
	return 0;
}

static bool describes(const struct json_rows *j)
{
	return j->order.what == JSON_ROWS_DOCUMENT || j->order.what == JSON_ROWS_DESCRIPTION;
}

static struct exported_table *present_table(const struct json_rows *j)
{
	return &j->order.head->tables[j->table];
}

/* Rows. */

static int begin_row_object(struct json_rows *j)
{
	row_batch_row_begin(j->order.batch, j->table, present_table(j)->column_count);
	j->rows++;
	j->next_column = 0;
	j->at = IN_ROW;
	return 1;
}

static bool names_column(const struct exported_table *t, size_t column, const char *text, size_t len)
{
	return strlen(t->columns[column].name) == len && memcmp(t->columns[column].name, text, len) == 0;
}

/* Mostly they come in their order. */
static ssize_t find_column(const struct json_rows *j, const char *text, size_t len)
{
	const struct exported_table *t = present_table(j);

	if (j->next_column < t->column_count && names_column(t, j->next_column, text, len))
		return (ssize_t)j->next_column;
	for (size_t i = 0; i < t->column_count; i++)
		if (names_column(t, i, text, len))
			return (ssize_t)i;
	return -1;
}

static int take_row_key(struct json_rows *j, const char *text, size_t len)
{
	ssize_t column = find_column(j, text, len);

	if (column < 0)
		return json_rows_refuse(j, "the row has \"%.*s\", which is no column of the table",
		                        (int)(len < 100 ? len : 100), text);
	j->of = &present_table(j)->columns[column];
	j->value_column = (size_t)column;
	if (json_rows_present_value(j)->is_there)
		return json_rows_refuse(j, "the row has \"%s\" twice", j->of->name);
	j->next_column = (size_t)column + 1;
	return json_rows_begin_value(j, FATE_PLAIN);
}

static int end_row_object(struct json_rows *j)
{
	ssize_t missing = row_batch_missing(j->order.batch);

	if (missing >= 0)
		return json_rows_refuse(j, "the row has no \"%s\"", present_table(j)->columns[missing].name);
	row_batch_row_end(j->order.batch);
	if (j->table < j->keep_from)
		row_batch_row_drop(j->order.batch);
	j->at = IN_ROWS;
	return 1;
}

/* Tables. */

static int begin_table(struct json_rows *j)
{
	struct exported_head *head = j->order.head;

	if (!describes(j) && j->table >= head->table_count)
		return json_rows_refuse(j, "there is one more table than before");
	if (describes(j)) {
		json_free(j->members);
		j->members = json_object_new();
		head->tables = mem_resize(head->tables, head->table_count + 1, sizeof(*head->tables));
		head->tables[head->table_count++] = (struct exported_table){.tenant_column = -1};
	}
	j->is_described = j->has_rows = j->has_count = false;
	j->rows = 0;
	j->at = IN_TABLE;
	return 1;
}

static int add_place_of_rows(struct json_rows *j)
{
	const char *place = json_get_string(j->members, j->order.place_key);
	char ***places = j->order.places;

	if (!place)
		return json_rows_refuse(j, "\"%s\" is not there as a text", j->order.place_key);
	for (size_t i = 0; i < j->table; i++)
		if (strcmp((*places)[i], place) == 0)
			return json_rows_refuse(j, "\"%s\" is that of another table, too",
			                        j->order.place_key);
	*places = mem_resize(*places, j->table + 2, sizeof(**places));
	(*places)[j->table] = mem_strdup(place);
	(*places)[j->table + 1] = NULL;
	return 1;
}

static int describe_present(struct json_rows *j)
{
	struct exported_table *t = present_table(j);

	if (j->is_described || !describes(j))
		return 1;
	j->is_described = true;
	if (describe_table(t, j->members, &j->err) < 0)
		return 0;
	if (exported_find_table(j->order.head, t->schema, t->name) != (ssize_t)j->table)
		return json_rows_refuse(j, "the table %s.%s is there twice", t->schema, t->name);
	return j->order.what == JSON_ROWS_DESCRIPTION ? add_place_of_rows(j) : 1;
}

static int take_rows_key(struct json_rows *j)
{
	if (j->order.what == JSON_ROWS_DESCRIPTION || j->has_rows)
		return json_rows_refuse(j, "\"rows\" is %s",
		                        j->has_rows ? "there twice" : "not here, but in a file");
	if (!describe_present(j))
		return 0;
	j->has_rows = true;
	j->at = AT_ROWS;
	return 1;
}

static bool is_member_key(const char *text, size_t len, const char *key)
{
	return strlen(key) == len && memcmp(text, key, len) == 0;
}

static void set_member_key(struct json_rows *j, const char *text, size_t len)
{
	free(j->key);
	j->key = mem_alloc(len + 1);
	memcpy(j->key, text, len);
}

/* What comes behind the rows is none of what describes the table. */
static int take_table_key(struct json_rows *j, const char *text, size_t len)
{
	set_member_key(j, text, len);
	if (is_member_key(text, len, "rows"))
		return take_rows_key(j);
	if (is_member_key(text, len, "row_count"))
		return json_rows_begin_value(j, FATE_COUNT);
	if (!describes(j) || j->is_described)
		return json_rows_begin_value(j, FATE_IGNORED);
	if (json_get(j->members, j->key))
		return json_rows_refuse(j, "\"%s\" is there twice", j->key);
	return json_rows_begin_value(j, FATE_TABLE);
}

static int end_table(struct json_rows *j)
{
	struct exported_table *t = present_table(j);
	bool with_rows = j->order.what != JSON_ROWS_DESCRIPTION;

	if (!describe_present(j))
		return 0;
	if (!j->has_count || (with_rows && !j->has_rows))
		return json_rows_refuse(j, "the table has no \"%s\"", j->has_count ? "rows" : "row_count");
	if (with_rows && j->rows != j->said_rows)
		return json_rows_refuse(j, "the table has %" PRIu64 " rows, and \"row_count\" says %" PRIu64,
		                        j->rows, j->said_rows);
	if (describes(j))
		t->rows = j->said_rows;
	else if (t->rows != j->rows)
		return json_rows_refuse(j, "it had %" PRIu64 " rows before", t->rows);
	j->total += j->said_rows;
	j->table++;
	j->at = IN_TABLES;
	return 1;
}

/* The document. */

static int take_tables_key(struct json_rows *j)
{
	if (j->has_tables)
		return json_rows_refuse(j, "\"tables\" is there twice");
	if (describes(j) && describe_document_check(j->seen, &j->err) < 0)
		return 0;
	j->has_tables = true;
	j->at = AT_TABLES;
	return 1;
}

static int take_document_key(struct json_rows *j, const char *text, size_t len)
{
	set_member_key(j, text, len);
	if (is_member_key(text, len, "tables"))
		return take_tables_key(j);
	if (is_member_key(text, len, "row_count"))
		return json_rows_begin_value(j, FATE_COUNT);
	return json_rows_begin_value(j,
	                             describes(j) && describe_knows(j->key) ? FATE_DOCUMENT : FATE_IGNORED);
}

static int end_document(struct json_rows *j)
{
	if (!j->has_tables || !j->has_total)
		return json_rows_refuse(j, "the document has no \"%s\": it is not whole",
		                        j->has_tables ? "row_count" : "tables");
	if (j->total != j->said_total)
		return json_rows_refuse(
		        j, "the tables have %" PRIu64 " rows together, and \"row_count\" says %" PRIu64,
		        j->total, j->said_total);
	if (describes(j))
		j->order.head->rows = j->total;
	j->at = BEHIND_DOCUMENT;
	return 1;
}

/* Tokens. */

static int refuse_json_place(struct json_rows *j, const char *wanted)
{
	return json_rows_refuse(j, "%s has to be here", wanted);
}

static int enter_json_place(struct json_rows *j, enum token token, enum token wanted, enum place next,
                            const char *what)
{
	if (token != wanted)
		return refuse_json_place(j, what);
	j->at = next;
	return 1;
}

static int take_member_token(struct json_rows *j, enum token token, const char *text, size_t len)
{
	bool is_end = token == TOKEN_CLOSE_OBJECT; /* libyajl lets nothing through but that and keys */

	switch (j->at) {
	case IN_DOCUMENT:
		return is_end ? end_document(j) : take_document_key(j, text, len);
	case IN_TABLE:
		return is_end ? end_table(j) : take_table_key(j, text, len);
	default:
		return is_end ? end_row_object(j) : take_row_key(j, text, len);
	}
}

static int take_token(struct json_rows *j, enum token token, const char *text, size_t len)
{
	j->tokens++;
	switch (j->at) {
	case IN_VALUE:
		return json_rows_take_value(j, token, text, len);
	case AT_DOCUMENT:
		return enter_json_place(j, token, TOKEN_OPEN_OBJECT, IN_DOCUMENT, "the object of an export");
	case AT_TABLES:
		return enter_json_place(j, token, TOKEN_OPEN_LIST, IN_TABLES, "a list of tables");
	case AT_ROWS:
		return enter_json_place(j, token, TOKEN_OPEN_LIST, IN_ROWS, "a list of rows");
	case IN_TABLES:
		if (token == TOKEN_OPEN_OBJECT)
			return begin_table(j);
		return enter_json_place(j, token, TOKEN_CLOSE_LIST, IN_DOCUMENT, "a table");
	case IN_ROWS:
		if (token == TOKEN_OPEN_OBJECT)
			return begin_row_object(j);
		if (j->order.what == JSON_ROWS_LINES)
			return refuse_json_place(j, "a row");
		return enter_json_place(j, token, TOKEN_CLOSE_LIST, IN_TABLE, "a row");
	case BEHIND_DOCUMENT:
		return refuse_json_place(j, "the end");
	default:
		return take_member_token(j, token, text, len);
	}
}

static int on_json_null(void *arg)
{
	return take_token(arg, TOKEN_NULL, "null", 4);
}

static int on_json_boolean(void *arg, int value)
{
	return value ? take_token(arg, TOKEN_TRUE, "true", 4) : take_token(arg, TOKEN_FALSE, "false", 5);
}

static int on_json_number(void *arg, const char *text, size_t len)
{
	return take_token(arg, TOKEN_NUMBER, text, len);
}

static int on_json_string(void *arg, const unsigned char *text, size_t len)
{
	return take_token(arg, TOKEN_STRING, (const char *)text, len);
}

static int on_json_key(void *arg, const unsigned char *text, size_t len)
{
	return take_token(arg, TOKEN_KEY, (const char *)text, len);
}

static int on_object_begin(void *arg)
{
	return take_token(arg, TOKEN_OPEN_OBJECT, NULL, 0);
}

static int on_object_end(void *arg)
{
	return take_token(arg, TOKEN_CLOSE_OBJECT, NULL, 0);
}

static int on_list_begin(void *arg)
{
	return take_token(arg, TOKEN_OPEN_LIST, NULL, 0);
}

static int on_list_end(void *arg)
{
	return take_token(arg, TOKEN_CLOSE_LIST, NULL, 0);
}

static const yajl_callbacks json_callbacks = {
        .yajl_null = on_json_null,
        .yajl_boolean = on_json_boolean,
        .yajl_number = on_json_number,
        .yajl_string = on_json_string,
        .yajl_start_map = on_object_begin,
        .yajl_map_key = on_json_key,
        .yajl_end_map = on_object_end,
        .yajl_start_array = on_list_begin,
        .yajl_end_array = on_list_end,
};

/* Pieces. */

struct json_rows *json_rows_new(const struct json_rows_order *order)
{
	struct json_rows *j = mem_alloc(sizeof(*j));
	bool is_lines = order->what == JSON_ROWS_LINES;

	j->order = *order;
	j->yajl = yajl_alloc(&json_callbacks, NULL, j); /* fails only without memory */
	if (!j->yajl)
		abort();
	yajl_config(j->yajl, yajl_allow_multiple_values, is_lines);
	j->at = is_lines ? IN_ROWS : AT_DOCUMENT;
	j->table = is_lines ? order->table : 0;
	j->wanted = PIECE_BYTES;
	j->line = 1;
	return j;
}

struct json_rows *json_rows_free(struct json_rows *j)
{
	if (!j)
		return NULL;
	yajl_free(j->yajl);
	json_free(j->members);
	free(j->key);
	str_finish(&j->text.kept);
	str_finish(&j->element.kept);
	free(j);
	return NULL;
}

void json_rows_keep_from(struct json_rows *j, size_t table)
{
	j->keep_from = table;
}

size_t json_rows_table(const struct json_rows *j)
{
	return j->table;
}

uint64_t json_rows_count(const struct json_rows *j)
{
	return j->rows;
}

size_t json_rows_bytes_wanted(const struct json_rows *j)
{
	return j->wanted;
}

static void advance_lines(struct json_rows *j, size_t len)
{
	const char *at = j->piece, *end = at + len, *found;

	while ((found = memchr(at, '\n', (size_t)(end - at)))) {
		j->line++;
		j->column = 0;
		at = found + 1;
	}
	j->column += (size_t)(end - at);
}

static bool has_table_name(const struct json_rows *j)
{
	return (j->at == IN_ROWS || j->at == IN_ROW || j->at == IN_TABLE ||
	        (j->at == IN_VALUE && (j->outside == IN_ROW || j->outside == IN_TABLE))) &&
	       j->table < j->order.head->table_count && present_table(j)->name;
}

static int tell_where(struct json_rows *j, struct error *err)
{
	_cleanup(str) struct str where = {0};

	str_appendf(&where, "line %" PRIu64 ", column %zu", j->line, j->column + 1);
	if (has_table_name(j))
		str_appendf(&where, ", table %s.%s", present_table(j)->schema, present_table(j)->name);
	if (has_table_name(j) && j->at != IN_TABLE && j->rows > 0)
		str_appendf(&where, ", row %" PRIu64, j->rows);
	error_prefix(err, "%s", str_text(&where));
	return -EBADMSG;
}

/* "lexical error: invalid char in json text.\n" */
static int refuse_json(struct json_rows *j, struct error *err)
{
	unsigned char *why = yajl_get_error(j->yajl, 0, NULL, 0);
	size_t len = strcspn((const char *)why, "\n");

	error_set(err, ERROR_CORRUPT, EBADMSG, "it is no JSON: %.*s", (int)len, why);
	yajl_free_error(j->yajl, why);
	return tell_where(j, err);
}

static int judge_status(struct json_rows *j, yajl_status status, struct error *err)
{
	if (status == yajl_status_ok)
		return 0;
	advance_lines(j, yajl_get_bytes_consumed(j->yajl));
	if (status == yajl_status_error)
		return refuse_json(j, err);
	if (err)
		*err = j->err;
	return tell_where(j, err);
}

int json_rows_feed(struct json_rows *j, const char *data, size_t len, struct error *err)
{
	uint64_t tokens = j->tokens;
	int r;

	j->piece = data;
	j->piece_len = len;
	r = judge_status(j, yajl_parse(j->yajl, (const unsigned char *)data, len), err);
	if (r < 0)
		return r;
	r = json_rows_keep_text(j, err);
	if (r < 0)
		return tell_where(j, err);
	advance_lines(j, len);
	j->pending = j->tokens > tokens ? 0 : j->pending + len;
	/* A token that is cut is looked at from its beginning with each piece. */
	j->wanted = j->pending < PIECE_BYTES ? PIECE_BYTES : j->pending;
	if (j->wanted > PIECE_MAX_BYTES)
		j->wanted = PIECE_MAX_BYTES;
	if (j->pending <= EXPORTED_ROW_MAX_BYTES)
		return 0;
	error_set(err, ERROR_CORRUPT, EBADMSG, "a value has more than %zu bytes", EXPORTED_ROW_MAX_BYTES);
	return tell_where(j, err);
}

int json_rows_end(struct json_rows *j, struct error *err)
{
	j->piece = "";
	j->piece_len = 0;
	if (j->order.what == JSON_ROWS_LINES && j->at == IN_ROWS)
		return 0;
	if (j->at == BEHIND_DOCUMENT)
		return judge_status(j, yajl_complete_parse(j->yajl), err);
	error_set(err, ERROR_CORRUPT, EBADMSG, "it ends here, and it is not whole");
	return tell_where(j, err);
}

int json_rows_pull(struct json_rows *j, struct bytes *from, struct str *piece, struct error *err)
{
	size_t wanted = j->wanted, len = 0;
	ssize_t n = 1;

	if (piece->cap < wanted || piece->cap > 8 * wanted) {
		str_finish(piece);
		piece->cap = wanted;
		piece->data = mem_alloc(wanted);
	}
	while (len < wanted && (n = from->read(from, piece->data + len, wanted - len, err)) > 0)
		len += (size_t)n;
	if (n < 0)
		return (int)n;
	if (len > 0) {
		int r = json_rows_feed(j, piece->data, len, err);

		return r < 0 ? r : 1;
	}
	return json_rows_end(j, err);
}
