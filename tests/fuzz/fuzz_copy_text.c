// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a list of columns (up to the first NUL) and the rows of a table behind it. As CSV they are the same whatever the pieces in which they
 * come; each row has as many fields as the list has names; and a field's value is never longer than the field.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <string.h>

static int append_csv(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int to_csv(const char *columns, const char *rows, size_t len, size_t piece, struct str *ret,
                  struct error *err)
{
	_cleanup(copy_csv) struct copy_csv *c = NULL;
	int r = copy_csv_new(columns, append_csv, ret, &c, err);

	for (size_t at = 0; at < len && r == 0; at += piece)
		r = copy_csv_feed(c, rows + at, len - at < piece ? len - at : piece, err);
	return r < 0 ? r : copy_csv_end(c, err);
}

static void check_fields(const char *rows, size_t len)
{
	_cleanup(free) char *value = mem_alloc(len + 1);
	const char *at = rows;
	struct copy_field field;
	size_t seen = 0;

	while (copy_field_next(&at, rows + len, &field)) {
		fuzz_must(copy_field_decode(&field, value) <= field.len,
		          "a value is not longer than its field", NULL);
		seen += field.len + 1;
	}
	fuzz_must(seen == len + 1, "the fields and their separators are the row", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 3, 17};
	_cleanup(free) char *columns = fuzz_text(data, size);
	_cleanup(str) struct str whole = {0};
	struct error err = {0};
	size_t head = strlen(columns) < size ? strlen(columns) + 1 : size;
	const char *rows = (const char *)data + head;
	int r = to_csv(columns, rows, size - head, size + 1, &whole, &err);

	if (r < 0)
		fuzz_must_refuse(r, &err);
	check_fields(rows, size - head);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(str) struct str csv = {0};
		struct error again = {0};

		fuzz_must(to_csv(columns, rows, size - head, pieces[i], &csv, &again) == r,
		          "the same in pieces", again.message);
		fuzz_must(str_equal(again.message, err.message), "the same message in pieces", again.message);
		fuzz_must(r < 0 || (csv.len == whole.len && memcmp(csv.data, whole.data, csv.len) == 0),
		          "the same CSV in pieces", str_text(&csv));
	}
	return 0;
}
