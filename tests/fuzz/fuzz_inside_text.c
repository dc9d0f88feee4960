// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a plain dump: its tables, its other text and its refusal are the same whatever the pieces in which it comes, each table's rows are
 * where they are told to be, and no refusal says that the dump is damaged. Within quotes, in a comment on a table, the same bytes are no table at all.
 */
#include "../../src/inside/inside_private.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

struct scanned {
	struct str tables, other;
	const char *text;
	size_t len;
};

static void cleanup_scanned(struct scanned *s)
{
	str_finish(&s->tables);
	str_finish(&s->other);
}

static int note_scanned_table(void *arg, const struct inside_text_table *t, struct error *err)
{
	struct scanned *s = arg;

	fuzz_must(t->raw_from <= s->len && t->rows.bytes <= s->len - t->raw_from &&
	                  memcmp(s->text + t->raw_from + t->rows.bytes, "\\.\n", 3) == 0,
	          "the end behind the rows", t->copy_stmt);
	fuzz_must(t->raw_from > 0 && s->text[t->raw_from - 1] == '\n', "a line in front of the rows",
	          t->copy_stmt);
	str_appendf(&s->tables, "%s.%s %llu %llu\n", t->schema, t->table, (unsigned long long)t->raw_from,
	            (unsigned long long)t->rows.count);
	return 0;
}

static int note_scanned_text(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct scanned *)arg)->other, data, len);
	return 0;
}

static int scan_hostile(struct scanned *s, size_t piece, struct error *err)
{
	const struct inside_text_events events = {
	        .table = note_scanned_table, .other = note_scanned_text, .arg = s};
	_cleanup(inside_text_scan) struct inside_text_scan *scan = inside_text_scan_new(&events);
	int r = 0;

	for (size_t at = 0; r == 0 && at < s->len; at += piece)
		r = inside_text_scan_feed(scan, s->text + at, s->len - at < piece ? s->len - at : piece, err);
	if (r == 0)
		r = inside_text_scan_end(scan, err);
	if (r < 0)
		fuzz_must_refuse(r, err);
	fuzz_must(r == 0 || (r == -ENOTSUP && !err->damage && err->class == ERROR_USAGE),
	          "a refusal is no damage", err->message);
	return r;
}

/* As pg_dump writes it, with standard_conforming_strings. */
static void scan_quoted(const uint8_t *data, size_t size)
{
	static const char real[] = "';\nCOPY s.real (a) FROM stdin;\n1\n\\.\n";
	_cleanup(scanned) struct scanned s = {0};
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	str_append(&text, "COMMENT ON TABLE s.t IS '");
	for (size_t i = 0; i < size; i++) {
		str_append_char(&text, (char)data[i]);
		if (data[i] == '\'')
			str_append_char(&text, '\'');
	}
	str_append(&text, real);
	s.text = text.data;
	s.len = text.len;
	fuzz_must(scan_hostile(&s, 4096, &err) == 0, "within quotes it is no matter", err.message);
	fuzz_must(str_starts(str_text(&s.tables), "s.real ") && strchr(str_text(&s.tables), '\n')[1] == '\0',
	          "one table, that is real", str_text(&s.tables));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 3, 17};
	_cleanup(scanned) struct scanned whole = {.text = (const char *)data, .len = size};
	struct error err = {0};
	int r = scan_hostile(&whole, size + 1, &err);

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(scanned) struct scanned s = {.text = (const char *)data, .len = size};
		struct error again = {0};

		fuzz_must(scan_hostile(&s, pieces[i], &again) == r, "the same in pieces", again.message);
		fuzz_must(str_equal(again.message, err.message), "the same message in pieces", again.message);
		fuzz_must(str_equal(str_text(&s.tables), str_text(&whole.tables)),
		          "the same tables in pieces", str_text(&s.tables));
		fuzz_must(s.other.len == whole.other.len &&
		                  memcmp(str_text(&s.other), str_text(&whole.other), s.other.len) == 0,
		          "the same text in pieces", NULL);
	}
	scan_quoted(data, size);
	return 0;
}
