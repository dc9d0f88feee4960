// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as the kinds of two columns (a byte each) and a row behind them. Either the row is refused, and the error names a column, or what comes out is one
 * line, is UTF-8, and is an object that another reader of JSON (jansson) takes, and it has the values of the columns. What is redacted is in it no more.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_cells.h>
#include <keepfs/codec/json.h>

#include <errno.h>
#include <string.h>

#define DEPTH_OF_JANSSON 2000 /* it goes 2048 levels deep */

static const unsigned char fuzz_key[COPY_JSON_KEY_BYTES] = "fuzz";
static char *const secret_keys[] = {(char *)"s"};
static char *const nested_keys[] = {(char *)"*", (char *)"s"};

static struct copy_json_column kind_of_byte(const char *name, uint8_t byte)
{
	return (struct copy_json_column){.name = name,
	                                 .kind = byte % (COPY_JSON_TIMESTAMPTZ + 1),
	                                 .is_array = byte & 0x80,
	                                 .delimiter = byte & 0x40 ? ';' : ','};
}

/* What jansson refuses though it is JSON (RFC 8259): NULs in keys, a number beyond its integers or doubles, a lone surrogate, a key that comes twice. */
static bool beyond_jansson(const struct str *line)
{
	size_t depth = 0, digits = 0;

	if (strstr(line->data, "\\u"))
		return true;
	for (size_t i = 0; i < line->len; i++) {
		char c = line->data[i];

		depth += c == '[' || c == '{';
		digits = c >= '0' && c <= '9' ? digits + 1 : c == 'e' || c == 'E' ? 20 : 0;
		if (digits >= 18 || depth > DEPTH_OF_JANSSON)
			return true;
	}
	return false;
}

static void check_line(const struct str *line)
{
	_cleanup(str) struct str again = {0};
	struct error err = {0};
	struct json *j;

	fuzz_must(line->len >= 2 && line->data[0] == '{' && line->data[line->len - 1] == '}', "an object",
	          line->data);
	fuzz_must(!memchr(line->data, '\n', line->len) && !memchr(line->data, '\r', line->len), "one line",
	          line->data);
	fuzz_must(copy_json_append_string(&again, line->data, line->len, &err) == 0, "UTF-8", line->data);
	j = json_parse(line->data, line->len, &err);
	if (j)
		fuzz_must(json_get(j, "a") && json_get(j, "b"), "the columns", line->data);
	else
		fuzz_must(beyond_jansson(line) || strstr(err.message, "duplicate"), "JSON", err.message);
	json_free(j);
}

/* Append the row that is made of the values of @row, with its line feed. */
static int write_again(struct copy_cells *c, const char *row, size_t len, struct str *out, struct error *err)
{
	const struct copy_cell *cells;
	int r = copy_cells_row(c, row, len, &cells, err);

	if (r == 0)
		copy_cells_append_copy(cells, 2, out);
	return r;
}

/* The same row as values: what is JSON is taken, too, and what is written of it says the same when it is read again. */
static void try_cells(const struct copy_json_column *columns, const char *row, size_t len, bool is_json)
{
	const struct copy_json_column plain[2] = {{.name = "a"}, {.name = "b"}};
	_cleanup(copy_cells) struct copy_cells *c = NULL, *again = NULL;
	_cleanup(str) struct str first = {0}, second = {0};
	struct error err = {0};
	int r = copy_cells_new(columns, 2, fuzz_key, &c, &err);

	fuzz_must(r == 0, "columns", err.message);
	r = write_again(c, row, len, &first, &err);
	if (r < 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(!is_json, "as values, too", err.message);
		return;
	}
	fuzz_must(copy_cells_new(plain, 2, NULL, &again, &err) == 0, "columns", err.message);
	r = write_again(again, first.data, first.len - 1, &second, &err);
	fuzz_must(r == 0, "a row again", err.message);
	fuzz_must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0, "the same row",
	          first.data);
}

static void try_row(const struct copy_json_column *columns, const char *row, size_t len)
{
	_cleanup(copy_json) struct copy_json *j = NULL;
	_cleanup(str) struct str line = {0};
	struct error err = {0};
	int r = copy_json_new(columns, 2, fuzz_key, &j, &err);

	fuzz_must(r == 0, "columns", err.message);
	r = copy_json_row(j, row, len, &line, &err);
	try_cells(columns, row, len, r == 0);
	if (r < 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(line.len == 0, "nothing of a row that is refused", line.data);
		return;
	}
	check_line(&line);
}

static void try_redactions(struct copy_json_column *columns, const char *row, size_t len)
{
	const struct copy_json_path paths[] = {{secret_keys, 1, COPY_JSON_OMIT},
	                                       {nested_keys, 2, COPY_JSON_HASH}};

	for (size_t i = 0; i < 2; i++) {
		if (columns[i].kind != COPY_JSON_JSON)
			continue;
		columns[i].paths = paths;
		columns[i].path_count = ARRAY_SIZE(paths);
	}
	try_row(columns, row, len);
	columns[0].how = COPY_JSON_MASK;
	columns[1].how = COPY_JSON_HASH;
	try_row(columns, row, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct copy_json_column columns[2];
	_cleanup(free) char *row = NULL;

	if (size < 2)
		return 0;
	columns[0] = kind_of_byte("a", data[0]);
	columns[1] = kind_of_byte("b", data[1]);
	row = mem_alloc(size - 2); /* exactly as long: reading beyond it is noticed */
	memcpy(row, data + 2, size - 2);
	try_row(columns, row, size - 2);
	try_redactions(columns, row, size - 2);
	return 0;
}
