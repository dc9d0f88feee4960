// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a file that somebody says is an export. It is refused with a message, or it has as many rows as its head says, their values have an end, and
 * going back finds the same again. The document is read in small pieces, too, whose size is the last byte: it is refused or taken all the same, with the same values.
 */
#include "../../src/exported/exported.h"
#include "../../src/exported/rows_json.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void add_row_text(struct str *out, const struct exported_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fuzz_must(strlen(values[i].text) == values[i].len, "a text without NULs", values[i].text);
		str_appendf(out, "%d%d", values[i].is_null, values[i].is_json);
		str_append_bytes(out, values[i].text, values[i].len);
		str_append_char(out, '\t');
	}
	str_append_char(out, '\n');
}

static void read_fuzzed_table(struct exported *e, size_t place, struct str *out)
{
	const struct exported_table *t = &exported_head(e)->tables[place];
	const struct exported_value *values;
	struct error err = {0};
	uint64_t rows = 0;
	int r = exported_table_begin(e, place, &err);

	fuzz_must(r == 0, "a table", err.message);
	while ((r = exported_row(e, &values, &err)) > 0) {
		add_row_text(out, values, t->column_count);
		rows++;
	}
	fuzz_must(r == 0, "all rows", err.message);
	fuzz_must(rows == t->rows, "as many rows as were counted", t->name);
}

static void read_fuzzed_tables(struct exported *e, struct str *out)
{
	_cleanup(str) struct str again = {0};

	for (size_t i = 0; i < exported_head(e)->table_count; i++)
		read_fuzzed_table(e, i, out);
	if (exported_head(e)->table_count == 0)
		return;
	read_fuzzed_table(e, 0, &again);
	fuzz_must(again.len <= out->len && memcmp(str_text(&again), str_text(out), again.len) == 0,
	          "the same rows again", NULL);
}

/* Is it taken? */
static bool read_as_file(const uint8_t *data, size_t size, struct str *out)
{
	struct exported *e = NULL;
	struct error err = {0};
	int fd = memfd_create("fuzz", MFD_CLOEXEC), r;

	fuzz_must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a file in memory", NULL);
	r = exported_open(&(struct exported_source){.fd = fd}, NULL, &e, &err);
	if (r < 0)
		fuzz_must_refuse(r, &err);
	else
		read_fuzzed_tables(e, out);
	exported_close(e);
	close(fd);
	return r == 0;
}

static void take_fuzzed_rows(struct exported_head *head, struct row_batch *b, struct str *out)
{
	const struct batch_row *row;

	while ((row = row_batch_first(b))) {
		size_t count = head->tables[row->table].column_count;

		add_row_text(out, row_batch_take(b), count);
	}
	row_batch_clear(b);
}

static bool read_in_pieces(const uint8_t *data, size_t size, size_t piece, struct str *out)
{
	struct exported_head head = {0};
	struct row_batch batch = {0};
	struct error err = {0};
	struct json_rows *rows = json_rows_new(
	        &(struct json_rows_order){.what = JSON_ROWS_DOCUMENT, .head = &head, .batch = &batch});
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += piece) {
		/* On the heap, so that reading behind it is noticed. */
		size_t len = size - at < piece ? size - at : piece;
		_cleanup(free) char *copy = mem_alloc(len);

		memcpy(copy, data + at, len);
		r = json_rows_feed(rows, copy, len, &err);
		take_fuzzed_rows(&head, &batch, out);
	}
	if (r == 0)
		r = json_rows_end(rows, &err);
	if (r < 0)
		fuzz_must_refuse(r, &err);
	json_rows_free(rows);
	row_batch_finish(&batch);
	exported_head_finish(&head);
	return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(str) struct str of_file = {0};
	_cleanup(str) struct str of_pieces = {0};
	bool is_taken;

	if (size == 0)
		return 0;
	is_taken = read_as_file(data, size, &of_file);
	if (data[0] != '{')
		return 0;
	fuzz_must(read_in_pieces(data, size, 1 + data[size - 1], &of_pieces) == is_taken,
	          "the same judgement in pieces", NULL);
	if (is_taken)
		fuzz_must(of_file.len == of_pieces.len &&
		                  memcmp(str_text(&of_file), str_text(&of_pieces), of_file.len) == 0,
		          "the same rows in pieces", str_text(&of_pieces));
	return 0;
}
