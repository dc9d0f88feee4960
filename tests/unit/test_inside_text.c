// SPDX-License-Identifier: Apache-2.0
/* The tables of a text of SQL, and COPY statements: in pieces of any size, odd and wrong. */
#include "../../src/inside/inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD(name, schema)                                                                                   \
	"--\n-- Data for Name: " name "; Type: TABLE DATA; Schema: " schema "; Owner: app\n--\n\n"
#define NAME(name, type) "--\n-- Name: " name "; Type: " type "; Schema: public; Owner: app\n--\n\n"

struct taken {
	struct str tables, other, blobs;
	const char *text, *odd;
};

static void cleanup_taken(struct taken *t)
{
	str_finish(&t->tables);
	str_finish(&t->other);
	str_finish(&t->blobs);
}

static int note_table(void *arg, const struct inside_text_table *table, struct error *err)
{
	struct taken *t = arg;

	str_appendf(&t->tables, "%s.%s %llu [%.*s]\n", table->schema, table->table,
	            (unsigned long long)table->rows.count, (int)table->rows.bytes, t->text + table->raw_from);
	return 0;
}

static int note_other(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct taken *)arg)->other, data, len);
	return 0;
}

static int note_blob(void *arg, uint32_t oid, struct error *err)
{
	str_appendf(&((struct taken *)arg)->blobs, "%u:", oid);
	return 0;
}

static int note_blob_piece(void *arg, uint64_t digits_at, size_t bytes, struct error *err)
{
	struct taken *t = arg;

	str_appendf(&t->blobs, " %.*s", (int)bytes * 2, t->text + digits_at);
	return 0;
}

static int note_blob_end(void *arg, struct error *err)
{
	str_append(&((struct taken *)arg)->blobs, ".\n");
	return 0;
}

static int scan_in_pieces(const char *text, size_t piece, struct taken *t, struct error *err)
{
	const struct inside_text_events events = {.table = note_table,
	                                          .other = note_other,
	                                          .blob = note_blob,
	                                          .blob_piece = note_blob_piece,
	                                          .blob_end = note_blob_end,
	                                          .arg = t};
	_cleanup(inside_text_scan) struct inside_text_scan *s = inside_text_scan_new(&events);
	size_t len = strlen(text);
	int r = 0;

	t->text = text;
	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = inside_text_scan_feed(s, text + at, len - at < piece ? len - at : piece, err);
	if (r == 0)
		r = inside_text_scan_end(s, err);
	t->odd = inside_text_scan_odd(s);
	return r;
}

static void expect_scan(const char *text, const char *tables, const char *other)
{
	for (size_t piece = 1; piece < 40; piece++) {
		_cleanup(taken) struct taken t = {0};

		assert_int_equal(scan_in_pieces(text, piece, &t, NULL), 0);
		assert_string_equal(str_text(&t.tables), tables);
		if (other)
			assert_string_equal(str_text(&t.other), other);
	}
}

static void test_tables_of_a_text(void **state)
{
	expect_scan("SET x = 1;\n" HEAD("t", "public") "COPY public.t (a) FROM stdin;\n1\n\\N\n\\.\n\n\n"
	                                               "ALTER TABLE t;\n",
	            "public.t 2 [1\n\\N\n]\n", "SET x = 1;\n" HEAD("t", "public") "\n\nALTER TABLE t;\n");
	expect_scan(HEAD("t", "public") "COPY public.t (a) FROM stdin;\n\\.\n\n\n", "public.t 0 []\n", NULL);
}

static void test_rows_that_look_like_the_end(void **state)
{
	expect_scan(HEAD("t", "s") "COPY s.t (a, b) FROM stdin;\n\\\\.\n\\.x\nx\\.\n.\n\\\n\n\\.\n",
	            "s.t 6 [\\\\.\n\\.x\nx\\.\n.\n\\\n\n]\n", NULL);
	expect_scan(HEAD("t", "s") "COPY s.t (a, b) FROM stdin;\n-- Name: x; Type: TABLE\nCOPY a FROM "
	                           "stdin;\n\\.\n",
	            "s.t 2 [-- Name: x; Type: TABLE\nCOPY a FROM stdin;\n]\n", NULL);
}

#define LOOKS_LIKE_DATA HEAD("t", "s") "COPY s.t (a) FROM stdin;\nfake\n\\.\n"
#define LOOKS_UNENDED   HEAD("t", "s") "COPY s.t (1;2) FROM stdin;\nfake\n"
#define REAL            HEAD("t", "s") "COPY s.t (a) FROM stdin;\n1\n\\.\n\n"

/* Anybody's text, as pg_dump writes it: between quotes of all kinds, before and behind the data. */
static void test_texts_that_look_like_data(void **state)
{
	static const char *const around[][2] = {
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n", "$$;\n"},
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$ SELECT $1 || $$\n", "$$$_$;\n"},
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_X$ $_$ $_\n", "$$ $_X$;\n"},
	        {"COMMENT ON TABLE s.t IS 'it''s ''\n", "';\n"},
	        {"COMMENT ON TABLE s.t IS 'a \\';\nCOMMENT ON TABLE s.t IS '\n", "';\n"},
	        {"CREATE VIEW v AS SELECT 1 || E'\\'\\\\\\'\n", "\\\\';\n"},
	        {"SET standard_conforming_strings = off;\nCOMMENT ON TABLE s.t IS '\\'\n", "\\\\';\n"},
	        {"ALTER TABLE s.\"a\"\" $$ ' -- /*\n", "\" OWNER TO app;\n"},
	        {"/* a /* nested */ ' \" $$\n", "*/\n"},
	        {"CREATE TABLE x (\n", ");\n"}, /* in the middle of a statement */
	        {"\\restrict '$$\"\nCOMMENT ON TABLE s.a$$b IS '", "'; -- it's $$ \" /*\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(around); i++) {
		static const char *const fakes[] = {LOOKS_LIKE_DATA, LOOKS_UNENDED,
		                                    "-- Data for Name: BLOBS; Type: BLOBS;\nCOPY \n"};

		for (size_t j = 0; j < ARRAY_SIZE(fakes); j++) {
			_cleanup(free) char *in_front =
			        mem_printf("%s%s%s" REAL, around[i][0], fakes[j], around[i][1]);
			_cleanup(free) char *behind =
			        mem_printf(REAL "%s%s%s", around[i][0], fakes[j], around[i][1]);

			expect_scan(in_front, "s.t 1 [1\n]\n", NULL);
			expect_scan(behind, "s.t 1 [1\n]\n", NULL);
		}
	}
}

static void test_statements_without_a_comment(void **state)
{
	expect_scan("COPY public.t (a) FROM stdin;\n1\n\\.\n", "public.t 1 [1\n]\n", NULL);
	expect_scan(HEAD("t", "s") "COPY s.t (a) TO stdout;\nCOPY s.t (a) FROM stdin;\n1'\n\\.\n"
	                           "COPY u (a) FROM stdin;\n2\n\\.\n",
	            "s.t 1 [1'\n]\n.u 1 [2\n]\n", NULL);
}

static void expect_refusal(const char *text, const char *why)
{
	for (size_t piece = 1; piece < 40; piece++) {
		_cleanup(taken) struct taken t = {0};
		struct error err = {0};

		assert_int_equal(scan_in_pieces(text, piece, &t, &err), -ENOTSUP);
		assert_non_null(strstr(err.message, why));
		assert_non_null(strstr(err.message, "psql"));
		assert_false(err.damage);
	}
}

static void test_texts_that_are_refused(void **state)
{
	expect_refusal("copy s.t from stdin;\n1\n\\.\n", "as pg_dump does not write it");
	expect_refusal("COPY s.t (a) FROM stdin WITH (FORMAT csv);\n1\n\\.\n",
	               "as pg_dump does not write it");
	expect_refusal("COPY s.t (a) FROM stdin; SELECT 1;\n1\n\\.\n", "as pg_dump does not write it");
	expect_refusal("COMMENT ON TABLE t IS 'x\n", "within quotes");
	expect_refusal("CREATE FUNCTION f() AS $x$ a\n$ $x\n", "within quotes");
	expect_refusal("SELECT 1; /* x\n", "a comment");
	/* In such an encoding the backslash may be the half of a character. */
	expect_refusal("SET client_encoding = 'SJIS';\nSELECT E'\x95\\';\nSELECT ';\n", "encoding");
	expect_scan("SET client_encoding = 'UTF8';\nSELECT E'\xc3\xa4\\'';\n", "", NULL);
	expect_scan("SET client_encoding = 'SJIS';\nSELECT '\x95\\';\n", "", NULL);
}

/* What ends a line is looked for in each piece once: this would take hours otherwise. */
static void test_a_long_statement_of_many_lines(void **state)
{
	const struct inside_text_events events = {0};
	_cleanup(inside_text_scan) struct inside_text_scan *s = inside_text_scan_new(&events);
	_cleanup(str) struct str lines = {0};
	struct error err = {0};
	int r;

	for (unsigned i = 0; i < 500000; i++)
		str_append(&lines, "\n\n");
	r = inside_text_scan_feed(s, "COPY s.\"", 8, &err);
	for (unsigned i = 0; r == 0 && i < 9; i++)
		r = inside_text_scan_feed(s, lines.data, lines.len, &err);
	assert_int_equal(r, -ENOTSUP);
	assert_non_null(strstr(err.message, "too long"));
}

static void test_a_tag_as_long_as_the_body_demands(void **state)
{
	_cleanup(str) struct str text = {0};
	_cleanup(str) struct str tag = {0};
	_cleanup(taken) struct taken t = {0};
	struct error err = {0};

	str_append(&tag, "$_");
	while (tag.len < 5000)
		str_append(&tag, "XXXXXXX_");
	str_append(&text, "CREATE FUNCTION f() AS ");
	str_appendf(&text, "%s$\n" LOOKS_LIKE_DATA "%s", str_text(&tag), str_text(&tag));
	str_append(&text, "$;\n" REAL);
	assert_int_equal(scan_in_pieces(str_text(&text), 4096, &t, NULL), 0);
	assert_string_equal(str_text(&t.tables), "s.t 1 [1\n]\n");
	str_clear(&text);
	str_append(&text, "SELECT $");
	while (text.len < ((size_t)1 << 20) + 100)
		str_append(&text, "XXXXXXX_");
	str_append(&text, "$\n");
	assert_int_equal(scan_in_pieces(str_text(&text), 65536, &t, &err), -ENOTSUP);
}

static void test_statements_around_the_rows(void **state)
{
	expect_scan(HEAD("t", "s") "SET SESSION AUTHORIZATION 'app';\n\nALTER TABLE s.t DISABLE TRIGGER "
	                           "ALL;\n\nCOPY s.t (a) FROM stdin;\n1\n\\.\n",
	            "s.t 1 [1\n]\n", NULL);
}

static void test_names_of_a_text(void **state)
{
	/* An old pg_dump names no schema in the statement. */
	expect_scan(HEAD("t", "old one") "COPY t (a) FROM stdin;\n1\n\\.\n", "old one.t 1 [1\n]\n", NULL);
	/* The comment has no end of a line, the statement has. */
	expect_scan(HEAD("two lines", "s") "COPY s.\"two\nlines\" (\"a\n\"\"b\") FROM stdin;\n1\n\\.\n",
	            "s.two\nlines 1 [1\n]\n", NULL);
}

static void test_large_objects_of_a_text(void **state)
{
	expect_scan("-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\n"
	            "SELECT pg_catalog.lowrite(0, '\\x00');\n" NAME("i", "INDEX") "CREATE INDEX i;\n",
	            "",
	            "-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n" NAME(
	                    "i", "INDEX") "CREATE INDEX i;\n");
}

/* Large objects. @odd: what the reason names, and then nothing of them is believed; NULL: they are @blobs. */
static void expect_blobs(const char *text, const char *blobs, const char *odd)
{
	for (size_t piece = 1; piece < 80; piece += piece < 8 ? 1 : 13) {
		_cleanup(taken) struct taken t = {0};

		assert_int_equal(scan_in_pieces(text, piece, &t, NULL), 0);
		if (odd) {
			assert_non_null(t.odd);
			assert_non_null(strstr(t.odd, odd));
		} else {
			assert_null(t.odd);
			assert_string_equal(str_text(&t.blobs), blobs);
		}
	}
}

#define BLOBS      "--\n-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\nBEGIN;\n\n"
#define OPEN(oid)  "SELECT pg_catalog.lo_open('" oid "', 131072);\n"
#define WRITE(hex) "SELECT pg_catalog.lowrite(0, '\\x" hex "');\n"
#define CLOSE      "SELECT pg_catalog.lo_close(0);\n\n"
#define COMMIT     "COMMIT;\n\n"

static void test_bytes_of_large_objects(void **state)
{
	expect_blobs(BLOBS OPEN("16385") WRITE("00fF") WRITE("0a") CLOSE OPEN("1") CLOSE COMMIT,
	             "16385: 00fF 0a.\n1:.\n", NULL);
	expect_blobs(BLOBS OPEN("4294967295") WRITE("5c") CLOSE COMMIT NAME("i", "INDEX") "CREATE INDEX i;\n",
	             "4294967295: 5c.\n", NULL);
	/* A group of them by itself, as pg_dump 17 writes it. */
	expect_blobs("-- Data for Name: 5..7; Type: BLOBS; Schema: -; Owner: app\n--\n\nBEGIN;\n\n" OPEN("5")
	                     WRITE("aa") CLOSE COMMIT
	             "-- Data for Name: 9; Type: BLOBS; Schema: -; Owner: b\n--\n\nBEGIN;\n\n" OPEN("9")
	                     CLOSE COMMIT,
	             "5: aa.\n9:.\n", NULL);
	/* Backslashes escape, when the text says so. */
	expect_blobs("SET standard_conforming_strings = off;\n" BLOBS OPEN("7") WRITE("00") CLOSE COMMIT,
	             NULL, "lowrite() is not");
	expect_blobs("SET standard_conforming_strings = off;\n" BLOBS OPEN(
	                     "7") "SELECT pg_catalog.lowrite(0, '\\\\x00ff');\n" CLOSE COMMIT,
	             "7: 00ff.\n", NULL);
	/* A pg_dump that is very old makes each anew. */
	expect_blobs(BLOBS
	             "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid "
	             "= '8';\nSELECT pg_catalog.lo_open(pg_catalog.lo_create('8'), 131072);\n" WRITE("01")
	                     CLOSE COMMIT,
	             "8: 01.\n", NULL);
	/* What makes one and has no bytes in the text has none to show. */
	expect_blobs(NAME("8", "BLOB") "SELECT pg_catalog.lo_create('8');\n\n" REAL, "", NULL);
}

static void test_calls_that_are_odd(void **state)
{
	static const struct {
		const char *text, *odd;
	} texts[] = {
	        {BLOBS OPEN("5") WRITE("0"), "lowrite() are not"},
	        {BLOBS OPEN("5") WRITE("00f"), "lowrite() are not"},
	        {BLOBS OPEN("5") WRITE(""), "lowrite() are not"},
	        {BLOBS OPEN("5") WRITE("0g"), "lowrite() are not"},
	        {BLOBS OPEN("5") WRITE("00 ff"), "lowrite() are not"},
	        {BLOBS OPEN("5") "SELECT pg_catalog.lowrite(0, '\\x00'); SELECT 1;\n" CLOSE,
	         "lowrite() are not"},
	        {BLOBS OPEN("5") "SELECT pg_catalog.lowrite(0, '\\x00')\n;\n" CLOSE, "lowrite() are not"},
	        {BLOBS OPEN("5") "SELECT pg_catalog.lowrite(0, '\\x00');\r\n" CLOSE, "lowrite() are not"},
	        {BLOBS OPEN("5") "SELECT pg_catalog.lowrite(0, '\\000\\377a');\n", "is not as pg_dump"},
	        {BLOBS OPEN("5") "SELECT pg_catalog.lowrite(0, E'\\\\x00');\n", "not closed"},
	        {BLOBS OPEN("5") "SELECT pg_catalog.lowrite(1, '\\x00');\n", "not closed"},
	        {BLOBS OPEN("5") WRITE("00") OPEN("6"), "not closed"},
	        {BLOBS OPEN("5") WRITE("00") COMMIT, "not closed"},
	        {BLOBS OPEN("5") WRITE("00") "-- a comment\n" CLOSE, "not closed"},
	        {BLOBS OPEN("5") NAME("i", "INDEX"), "not closed"},
	        {BLOBS OPEN("5") REAL, "not closed"},
	        {BLOBS OPEN("5") "\\restrict x\n" CLOSE, "not closed"},
	        {BLOBS OPEN("5") "\n" WRITE("00"), "ends within"},
	        {BLOBS OPEN("5") WRITE("00") "SELECT pg_catalog.lo_close(0);", "ends within"},
	        {BLOBS CLOSE, "not where"},
	        {BLOBS WRITE("00"), "not where"},
	        {BLOBS OPEN("5") CLOSE CLOSE, "not where"},
	        {BLOBS OPEN("0"), "not where"},
	        {BLOBS OPEN("05"), "not where"},
	        {BLOBS OPEN("-5"), "not where"},
	        {BLOBS OPEN("4294967296"), "not where"},
	        {BLOBS OPEN("99999999999999999999999"), "not where"},
	        {BLOBS OPEN(""), "not where"},
	        {BLOBS "SELECT pg_catalog.lo_open('5', 262144);\n", "not where"},
	        {BLOBS "SELECT pg_catalog.lo_put(5, 0, '\\x00');\n", "not where"},
	        {OPEN("5") WRITE("00") CLOSE, "not announced"},
	        {WRITE("00"), "not announced"},
	        {BLOBS OPEN("5") CLOSE COMMIT NAME("i", "INDEX") OPEN("6") CLOSE, "not announced"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup(free) char *behind = mem_printf("%s" REAL, texts[i].text);

		expect_blobs(texts[i].text, NULL, texts[i].odd);
		/* The rows around them are what they are. */
		if (!strstr(texts[i].odd, "ends") && !strstr(texts[i].odd, "within"))
			expect_scan(behind,
			            strstr(texts[i].text, REAL) ? "s.t 1 [1\n]\ns.t 1 [1\n]\n"
			                                        : "s.t 1 [1\n]\n",
			            NULL);
	}
}

#define FAKE_BLOB BLOBS OPEN("666") WRITE("66") CLOSE OPEN("667")

/* Anybody's text, as pg_dump writes it, adds none, takes none and spoils none. */
static void test_texts_that_look_like_large_objects(void **state)
{
	static const char *const around[][2] = {
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n", "$$;\n"},
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_X$ $_$ $_\n", "$$ $_X$;\n"},
	        {"ALTER TABLE s.\"a\"\" $$ ' -- /*\n", "\" OWNER TO app;\n"},
	        {"/* a /* nested */ ' \" $$\n", "*/\n"},
	        {"CREATE TABLE x (\n-- a column\n", ");\n"},
	        {HEAD("t", "s") "COPY s.t (a) FROM stdin;\n", "\\.\n"},
	};
	static const char doubled[] = "--\n-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\n"
	                              "SELECT pg_catalog.lo_open(''5'', 131072);\n"
	                              "SELECT pg_catalog.lowrite(0, ''\\x00'');\n";
	_cleanup(free) char *quoted = mem_printf(
	        "COMMENT ON TABLE s.t IS '\n%s';\n" BLOBS OPEN("5") WRITE("aa") CLOSE COMMIT, doubled);

	expect_blobs(quoted, "5: aa.\n", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(around); i++) {
		/* A statement that is open ends at the first semicolon, wherever it is. */
		const char *fake = str_starts(around[i][0], "CREATE TABLE")
		                           ? "-- Data for Name: x; Type: BLOBS;\n"
		                           : FAKE_BLOB;
		_cleanup(free) char *in_front = mem_printf("%s%s%s" BLOBS OPEN("5") WRITE("aa") CLOSE COMMIT,
		                                           around[i][0], fake, around[i][1]);
		_cleanup(free) char *behind = mem_printf(BLOBS OPEN("5") WRITE("aa") CLOSE COMMIT "%s%s%s",
		                                         around[i][0], fake, around[i][1]);

		expect_blobs(in_front, "5: aa.\n", NULL);
		expect_blobs(behind, "5: aa.\n", NULL);
	}
	/* A function's body without quotes is what the server has written: its statements are indented. */
	expect_blobs("CREATE FUNCTION f() RETURNS int LANGUAGE sql\n    BEGIN ATOMIC\n SELECT "
	             "pg_catalog.lo_open('5', 131072);\n SELECT pg_catalog.lowrite(0, '\\x00');\nEND;\n",
	             "", NULL);
	/* A name that looks like the type of what follows. */
	expect_blobs("-- Data for Name: x; Type: BLOBS; y; Type: TABLE DATA; Schema: s; Owner: a\n--\n\n"
	             "INSERT INTO s.x VALUES ('\n-- SELECT pg_catalog.lo_open(5);\n');\n",
	             "", NULL);
}

static void test_cut_off_large_objects(void **state)
{
	static const char text[] = BLOBS OPEN("5") WRITE("00ff") WRITE("0a") CLOSE COMMIT;
	size_t opened = (size_t)(strstr(text, "lo_open") - text) + strlen("lo_open('5', 131072);\n");
	size_t closed = (size_t)(strstr(text, "lo_close") - text) + strlen("lo_close(0);\n");

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		_cleanup(taken) struct taken t = {0};
		_cleanup(free) char *cut = mem_printf("%.*s", (int)len, text);
		struct error err = {0};
		int r = scan_in_pieces(cut, 7, &t, &err);

		if (r < 0)
			assert_non_null(strstr(err.message, "within quotes"));
		else if (len >= opened && len < closed)
			assert_non_null(strstr(t.odd, "ends within"));
		else
			assert_string_equal(str_text(&t.blobs), len >= closed ? "5: 00ff 0a.\n" : "");
	}
}

static const char *odd_of_a_long_call(size_t bytes)
{
	_cleanup(str) struct str text = {0};
	_cleanup(taken) struct taken t = {0};

	str_append(&text, BLOBS OPEN("5") "SELECT pg_catalog.lowrite(0, '\\x");
	for (size_t i = 0; i < bytes; i++)
		str_append(&text, "5c");
	str_append(&text, "');\n" CLOSE COMMIT);
	assert_int_equal(scan_in_pieces(str_text(&text), 65536, &t, NULL), 0);
	assert_true(t.odd || t.blobs.len > 2 * bytes);
	return t.odd;
}

static void test_a_call_that_is_too_long(void **state)
{
	assert_null(odd_of_a_long_call(LO_CALL_MAX_BYTES / 2 - 40));
	assert_non_null(strstr(odd_of_a_long_call(LO_CALL_MAX_BYTES / 2), "longer"));
	assert_non_null(strstr(odd_of_a_long_call((size_t)5 << 20), "longer"));
}

/* Runs. */

static void expect_runs(const struct inside_text_run *pieces, size_t count, uint64_t runs)
{
	struct inside_text_blobs b = {0};
	struct inside_text_blob blob;
	uint64_t found = 0;

	inside_text_blobs_begin(&b, "/tmp");
	assert_int_equal(inside_text_blobs_add(&b, 5, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(
		        inside_text_blobs_add_piece(&b, pieces[i].digits_at, (size_t)pieces[i].bytes, NULL),
		        0);
	assert_int_equal(inside_text_blobs_end_one(&b, NULL), 0);
	assert_int_equal(inside_text_blobs_count(&b, &found, NULL), 0);
	assert_int_equal(found, 1);
	assert_int_equal(spool_get(b.objects, &blob, sizeof(blob), 0, NULL), 0);
	assert_int_equal(blob.runs, runs);
	inside_text_blobs_finish(&b);
}

static void test_pieces_of_one_length_are_one_run(void **state)
{
	static const struct inside_text_run even[] = {{.digits_at = 100, .bytes = 10},
	                                              {.digits_at = 150, .bytes = 10},
	                                              {.digits_at = 200, .bytes = 3}};
	static const struct inside_text_run behind_short[] = {{.digits_at = 100, .bytes = 10},
	                                                      {.digits_at = 150, .bytes = 3},
	                                                      {.digits_at = 200, .bytes = 3}};
	static const struct inside_text_run longer[] = {{.digits_at = 100, .bytes = 10},
	                                                {.digits_at = 150, .bytes = 11}};
	static const struct inside_text_run apart[] = {{.digits_at = 100, .bytes = 10},
	                                               {.digits_at = 150, .bytes = 10},
	                                               {.digits_at = 201, .bytes = 10}};
	static const struct inside_text_run far[] = {{.digits_at = 100, .bytes = 10},
	                                             {.digits_at = (uint64_t)5 << 32, .bytes = 10}};

	expect_runs(even, 0, 0);
	expect_runs(even, 1, 1);
	expect_runs(even, 3, 1);
	expect_runs(behind_short, 3, 2);
	expect_runs(longer, 2, 2);
	expect_runs(apart, 3, 2);
	expect_runs(far, 2, 2);
}

static void test_texts_that_are_cut_off(void **state)
{
	static const char text[] = HEAD("t", "s") "COPY s.t (a) FROM stdin;\n1\n22\n\\.\n";
	size_t rows = (size_t)(strstr(text, "1\n22") - text);

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		_cleanup(taken) struct taken t = {0};
		_cleanup(free) char *cut = mem_printf("%.*s", (int)len, text);
		struct error err = {0};
		int r = scan_in_pieces(cut, 7, &t, &err);

		assert_int_equal(r, len >= rows ? -ENOTSUP : 0);
		if (r < 0)
			assert_non_null(strstr(err.message, "cut off"));
	}
}

/* COPY statements. */

static void expect_copy(const char *statement, const char *schema, const char *table, const char *columns)
{
	_cleanup(inside_copy) struct inside_copy copy = {0};

	assert_true(inside_copy_parse(statement, strlen(statement), &copy));
	assert_string_equal(copy.schema, schema);
	assert_string_equal(copy.table, table);
	assert_int_equal(copy.columns_len, strlen(columns));
	assert_memory_equal(copy.columns, columns, strlen(columns));
}

static void test_copy_statements(void **state)
{
	expect_copy("COPY public.t (a, b) FROM stdin;\n", "public", "t", "(a, b)");
	expect_copy("COPY t (a) FROM stdin;", "", "t", "(a)");
	expect_copy("COPY public.t  FROM stdin;\n", "public", "t", "");
	expect_copy("COPY \"a.b\".\"c \"\"d\"\"\" (\"x) FROM stdin;\", y) FROM stdin;\n", "a.b", "c \"d\"",
	            "(\"x) FROM stdin;\", y)");
}

static void test_copy_statements_that_are_none(void **state)
{
	static const char *const wrong[] = {"",
	                                    "\n",
	                                    "COPY",
	                                    "COPY ",
	                                    "COPY  FROM stdin;",
	                                    "COPY t (a) FROM stdout;",
	                                    "COPY t (a FROM stdin;",
	                                    "COPY \"t (a) FROM stdin;",
	                                    "COPY t. FROM stdin;",
	                                    "COPY s.\"t\"x (a) FROM stdin;",
	                                    "INSERT INTO t FROM stdin;",
	                                    "COPY t(a) FROM stdin;",
	                                    "COPY a.b.c (a) FROM stdin;"};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup(inside_copy) struct inside_copy copy = {0};

		assert_false(inside_copy_parse(wrong[i], strlen(wrong[i]), &copy));
	}
}

/* Points. */

static void test_points(void **state)
{
	const struct segment_record records[] = {{.offset = 10, .raw_bytes = 100},
	                                         {.offset = 20, .raw_bytes = 1},
	                                         {.offset = 30, .raw_bytes = 50}};
	_cleanup(inside_points) struct inside_points *p = inside_points_of_records(records, 3);

	assert_null(inside_points_of_records(records, 1));
	assert_null(inside_points_find(NULL, 5));
	assert_null(inside_points_find(p, 0));
	assert_null(inside_points_find(p, 99));
	assert_int_equal(inside_points_find(p, 100)->offset, 20);
	assert_int_equal(inside_points_find(p, 101)->offset, 30);
	assert_int_equal(inside_points_find(p, UINT64_MAX)->offset, 30);
}

static void test_many_points_are_thinned(void **state)
{
	_cleanup(inside_found) struct inside_found f = {0};
	_cleanup(inside_points) struct inside_points *p = NULL;
	uint64_t step = (uint64_t)1 << 20;

	for (uint64_t i = 1; i <= 5 * INSIDE_POINTS_MAX; i++)
		inside_found_add(&f, i, i * step);
	p = inside_found_take(&f);
	assert_true(p->count <= INSIDE_POINTS_MAX && p->count > INSIDE_POINTS_MAX / 4);
	for (size_t i = 0; i < p->count; i++) {
		assert_true(p->items[i].raw == p->items[i].offset * step);
		assert_true(i == 0 || p->items[i].raw > p->items[i - 1].raw);
	}
	assert_true(p->items[p->count - 1].raw > (5 * INSIDE_POINTS_MAX - 64) * step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tables_of_a_text),
	        cmocka_unit_test(test_rows_that_look_like_the_end),
	        cmocka_unit_test(test_texts_that_look_like_data),
	        cmocka_unit_test(test_statements_without_a_comment),
	        cmocka_unit_test(test_texts_that_are_refused),
	        cmocka_unit_test(test_a_long_statement_of_many_lines),
	        cmocka_unit_test(test_a_tag_as_long_as_the_body_demands),
	        cmocka_unit_test(test_statements_around_the_rows),
	        cmocka_unit_test(test_names_of_a_text),
	        cmocka_unit_test(test_large_objects_of_a_text),
	        cmocka_unit_test(test_bytes_of_large_objects),
	        cmocka_unit_test(test_calls_that_are_odd),
	        cmocka_unit_test(test_texts_that_look_like_large_objects),
	        cmocka_unit_test(test_cut_off_large_objects),
	        cmocka_unit_test(test_a_call_that_is_too_long),
	        cmocka_unit_test(test_pieces_of_one_length_are_one_run),
	        cmocka_unit_test(test_texts_that_are_cut_off),
	        cmocka_unit_test(test_copy_statements),
	        cmocka_unit_test(test_copy_statements_that_are_none),
	        cmocka_unit_test(test_points),
	        cmocka_unit_test(test_many_points_are_thinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
