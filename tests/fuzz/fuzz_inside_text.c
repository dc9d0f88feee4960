// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a plain dump: its tables, its large objects, its other text and its refusal are the same whatever the pieces in which it comes, each
 * table's rows are where they are told to be, each large object's bytes are digits, and no refusal says that the dump is damaged. Within quotes, in a comment
 * on a table, the same bytes are no table and no large object at all.
 */
#include "../../src/inside/inside_private.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

struct scanned {
	struct str tables, other, blobs;
	const char *text;
	size_t len;
	bool in_blob;
};

static void cleanup_scanned(struct scanned *s)
{
	str_finish(&s->tables);
	str_finish(&s->other);
	str_finish(&s->blobs);
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

static int note_scanned_blob(void *arg, uint32_t oid, struct error *err)
{
	struct scanned *s = arg;

	fuzz_must(oid > 0 && !s->in_blob, "one large object after the other", str_text(&s->blobs));
	s->in_blob = true;
	str_appendf(&s->blobs, "%u", oid);
	return 0;
}

static int note_scanned_piece(void *arg, uint64_t digits_at, size_t bytes, struct error *err)
{
	struct scanned *s = arg;
	uint8_t value;

	fuzz_must(s->in_blob && bytes > 0 && digits_at <= s->len && 2 * bytes <= s->len - digits_at,
	          "pieces are in the text", str_text(&s->blobs));
	for (size_t i = 0; i < 2 * bytes; i++)
		fuzz_must(lo_digit_value(s->text[digits_at + i], &value), "pieces are digits",
		          str_text(&s->blobs));
	fuzz_must(s->text[digits_at + 2 * bytes] == '\'' && s->text[digits_at - 1] == 'x',
	          "all of the digits", str_text(&s->blobs));
	str_appendf(&s->blobs, " %llu+%zu", (unsigned long long)digits_at, bytes);
	return 0;
}

static int note_scanned_blob_end(void *arg, struct error *err)
{
	struct scanned *s = arg;

	fuzz_must(s->in_blob, "an end behind its begin", str_text(&s->blobs));
	s->in_blob = false;
	str_append_char(&s->blobs, '\n');
	return 0;
}

static int scan_hostile(struct scanned *s, size_t piece, struct error *err)
{
	const struct inside_text_events events = {.table = note_scanned_table,
	                                          .other = note_scanned_text,
	                                          .blob = note_scanned_blob,
	                                          .blob_piece = note_scanned_piece,
	                                          .blob_end = note_scanned_blob_end,
	                                          .arg = s};
	_cleanup(inside_text_scan) struct inside_text_scan *scan = inside_text_scan_new(&events);
	int r = 0;

	for (size_t at = 0; r == 0 && at < s->len; at += piece)
		r = inside_text_scan_feed(scan, s->text + at, s->len - at < piece ? s->len - at : piece, err);
	if (r == 0)
		r = inside_text_scan_end(scan, err);
	if (r < 0)
		fuzz_must_refuse(r, err);
	fuzz_must(r < 0 || !s->in_blob || inside_text_scan_odd(scan), "one that does not end is odd",
	          str_text(&s->blobs));
	str_append(&s->blobs, r == 0 && inside_text_scan_odd(scan) ? inside_text_scan_odd(scan) : "");
	fuzz_must(r == 0 || (r == -ENOTSUP && !err->damage && err->class == ERROR_USAGE),
	          "a refusal is no damage", err->message);
	return r;
}

/* As pg_dump writes it, with standard_conforming_strings. */
static void scan_quoted(const uint8_t *data, size_t size)
{
	static const char real[] =
	        "';\nCOPY s.real (a) FROM stdin;\n1\n\\.\n-- Data for Name: BLOBS; Type: BLOBS;\n"
	        "SELECT pg_catalog.lo_open('7', 131072);\nSELECT pg_catalog.lo_close(0);\n";
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
	fuzz_must(str_equal(str_text(&s.blobs), "7\n"), "one large object, that is real", str_text(&s.blobs));
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
		fuzz_must(str_equal(str_text(&s.blobs), str_text(&whole.blobs)),
		          "the same large objects in pieces", str_text(&s.blobs));
		fuzz_must(s.other.len == whole.other.len &&
		                  memcmp(str_text(&s.other), str_text(&whole.other), s.other.len) == 0,
		          "the same text in pieces", NULL);
	}
	scan_quoted(data, size);
	return 0;
}
