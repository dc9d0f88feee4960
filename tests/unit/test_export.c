// SPDX-License-Identifier: Apache-2.0
/* The document of an export, what is looked at in each row, reading back, and the key of `hash`. The tables are made by hand. */
#include "../../src/export/document.h"
#include "../../src/export/isolation.h"
#include "../../src/export/whole.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_json.h>
#include <keepfs/codec/json.h>
#include <keepfs/export.h>
#include <keepfs/exported.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define TAKEN_AT_US INT64_C(1795140000000000) /* 2026-11-20T02:00:00Z */

/* Two tables: orgs, and orders that refer to it. Static, so nothing of it is freed. */

static uint32_t first[] = {0};
static uint32_t second[] = {1};
static uint32_t third[] = {2};
static char unique_names[][8] = {"by_org", "by_tok"};
static struct tenancy_unique order_uniques[] = {
        {.name = unique_names[0], .columns = second, .count = 1, .nulls_equal = true},
        {.name = unique_names[1], .columns = third, .count = 1}};
static char *soft_keys[] = {(char *)"org"};
static struct tenancy_test soft_tests[] = {{.of = {.column = 3}, .value = (char *)"5"}};
static struct tenancy_soft softs[] = {{.from = 0,
                                       .to = 1,
                                       .from_value = {.column = 4, .path = soft_keys, .path_count = 1},
                                       .tests = soft_tests,
                                       .test_count = 1}};
static struct tenancy_column org_columns[] = {
        {.name = "id", .type = "bigint", .base_type = "bigint", .not_null = true, .identity = 'a'},
        {.name = "name", .type = "text", .base_type = "text"},
};
static struct tenancy_column order_columns[] = {
        {.name = "id",
         .type = "public.key",
         .base_type = "bigint",
         .not_null = true,
         .identity = 'd',
         .sequence = "public.orders_id_seq"},
        {.name = "org_id", .type = "bigint", .base_type = "bigint", .not_null = true},
        {.name = "token", .type = "text", .base_type = "text"},
        {.name = "total", .type = "numeric(10,2)", .base_type = "numeric", .is_generated = true},
        {.name = "extra", .type = "jsonb", .base_type = "jsonb"},
        {.name = "shapes", .type = "geometry[]", .base_type = "geometry[]", .delimiter = ':'},
};
static struct tenancy_table tables[] = {
        {.oid = 1,
         .schema = "public",
         .name = "orders",
         .kind = 'r',
         .has_row_security = true,
         .columns = order_columns,
         .column_count = 6,
         .uniques = order_uniques,
         .unique_count = 2,
         .primary_key = first,
         .primary_key_count = 1},
        {.oid = 2,
         .schema = "public",
         .name = "orgs",
         .kind = 'r',
         .columns = org_columns,
         .column_count = 2,
         .primary_key = first,
         .primary_key_count = 1},
        {.oid = 3, .schema = "public", .name = "audit \"x\"", .kind = 'r'},
};
static struct tenancy_key keys[] = {
        {.name = "k", .from = 0, .to = 1, .from_columns = second, .to_columns = first, .count = 1}};
static struct tenancy_decision decisions[] = {
        {.table = 1,
         .verdict = TENANCY_EXPORTED,
         .way = TENANCY_BY_SELF,
         .tenant_column = 0,
         .reason = "the tenants' own table"},
        {.table = 0,
         .verdict = TENANCY_EXPORTED,
         .way = TENANCY_BY_COLUMN,
         .tenant_column = 1,
         .reason = "has org_id"},
        {.table = 2, .verdict = TENANCY_EXCLUDED, .tenant_column = -1, .reason = "exclude"},
};
static char *path_keys[] = {"a", "*"};
static struct redaction_path paths[] = {
        {.keys = path_keys, .key_count = 2, .how = REDACTION_MASK, .rule = "orders.extra->a->*:mask"}};
static struct redaction_column org_redaction[2];
static struct redaction_column order_redaction[] = {
        {0}, {0}, {.how = REDACTION_OMIT, .why = "rule *.token"}, {0}, {.paths = paths, .path_count = 1},
        {0}};
static struct redaction_column *redactions[] = {org_redaction, order_redaction, NULL};
static struct export_tenant tenant = {.id = "1", .slug = "acme", .name = "Ac\"me"};

static struct decided example(void)
{
	return (struct decided){
	        .model = {.tables = tables, .table_count = 3, .keys = keys, .key_count = 1},
	        .plan = {.decisions = decisions,
	                 .count = 3,
	                 .softs = softs,
	                 .soft_count = 1,
	                 .exported = 2,
	                 .excluded = 1},
	        .redaction = {.columns = redactions, .table_count = 3},
	};
}

static int take_document(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static void add_row(struct document *d, const char *object)
{
	_cleanup(free) char *row = mem_printf(DOCUMENT_ROW_BEGIN "%s", object);

	assert_int_equal(document_rows(d, row, strlen(row), 1, NULL), 0);
}

static void write_example(struct document *d, struct str *out, const char *const *orders)
{
	struct decided decided = example();
	const struct document_head head = {.tenant = &tenant,
	                                   .job = "exports",
	                                   .triggered_by = "uid 0 (bash)",
	                                   .database = "primary",
	                                   .server_version = "15.4",
	                                   .tenancy = TENANCY_COLUMN,
	                                   .taken_at_us = TAKEN_AT_US,
	                                   .decided = &decided};

	*d = (struct document){.write = take_document, .arg = out};
	assert_int_equal(document_begin(d, &head, NULL), 0);
	assert_int_equal(document_table(d, &decided, 0, NULL), 0);
	add_row(d, "{\"id\":1,\"name\":\"Acme\"}");
	assert_int_equal(document_table_end(d, NULL), 0);
	assert_int_equal(document_table(d, &decided, 1, NULL), 0);
	for (; *orders; orders++)
		add_row(d, *orders);
	assert_int_equal(document_table_end(d, NULL), 0);
	assert_int_equal(document_end(d, NULL), 0);
}

static const struct json *member(const struct json *j, const char *key)
{
	const struct json *value = json_get(j, key);

	assert_non_null(value);
	return value;
}

static int64_t number(const struct json *j, const char *key)
{
	int64_t value = -1;

	assert_true(json_get_int(j, key, &value));
	return value;
}

static const char *const two_orders[] = {"{\"id\":1}", "{\"id\":2}", NULL};

static void test_document(void **state)
{
	_cleanup(str) struct str out = {0};
	_cleanup(json) struct json *j = NULL;
	const struct json *orders, *column;
	struct document d;
	bool flag = false;

	write_example(&d, &out, two_orders);
	j = json_parse(out.data, out.len, NULL);
	assert_non_null(j);
	assert_string_equal(json_get_string(j, "format"), "keepfs-export");
	assert_int_equal(number(j, "version"), 1);
	assert_string_equal(json_get_string(member(j, "tenant"), "name"), "Ac\"me");
	assert_string_equal(json_get_string(member(j, "source"), "taken_at"), "2026-11-20T02:00:00.000000Z");
	assert_string_equal(json_get_string(member(j, "source"), "tenancy"), "column");
	assert_int_equal(json_count(member(j, "redacted")), 2);
	assert_string_equal(json_get_string(json_item(member(j, "redacted"), 0), "how"), "omit");
	assert_null(json_get(json_item(member(j, "redacted"), 0), "path"));
	assert_int_equal(json_count(member(json_item(member(j, "redacted"), 1), "path")), 2);
	assert_string_equal(json_get_string(json_item(member(j, "left_out"), 0), "table"), "audit \"x\"");
	assert_int_equal(json_count(member(j, "tables")), 2);
	assert_int_equal(number(j, "row_count"), 3);
	orders = json_item(member(j, "tables"), 1);
	assert_string_equal(json_get_string(orders, "table"), "orders");
	assert_int_equal(number(orders, "row_count"), 2);
	assert_int_equal(json_count(member(orders, "rows")), 2);
	/* What is omitted is no column. */
	assert_int_equal(json_count(member(orders, "columns")), 5);
	column = json_item(member(orders, "columns"), 0);
	assert_string_equal(json_get_string(column, "identity"), "by default");
	column = json_item(member(orders, "columns"), 2);
	assert_true(json_get_bool(column, "generated", &flag) && flag);
	assert_true(json_get_bool(column, "nullable", &flag) && flag);
	assert_string_equal(
	        json_text(json_item(member(json_item(member(orders, "foreign_keys"), 0), "references"), 0)),
	        "id");
	document_finish(&d);
}

/* Whoever brings the rows back finds what he needs. */
static void test_described_for_readers(void **state)
{
	static const char *const orders[] = {
	        "{\"id\":1,\"org_id\":1,\"total\":5.10,\"extra\":{\"org\":\"1\"},\"shapes\":[\"0101\",\"0102\"]}",
	        NULL};
	_cleanup(str) struct str out = {0};
	_cleanup(exported) struct exported *e = NULL;
	const struct exported_value *values;
	const struct exported_table *t;
	struct document d;
	struct error err = {0};
	int fd = memfd_create("export", MFD_CLOEXEC);

	write_example(&d, &out, orders);
	document_finish(&d);
	assert_int_equal(write(fd, out.data, out.len), out.len);
	if (exported_open(&(struct exported_source){.fd = fd}, NULL, &e, &err) < 0)
		fail_msg("%s", err.message);
	t = &exported_head(e)->tables[0];
	assert_int_equal(t->way, EXPORTED_BY_SELF);
	assert_int_equal(t->tenant_column, 0);
	assert_false(t->row_security);
	t = &exported_head(e)->tables[1];
	assert_int_equal(t->way, EXPORTED_BY_COLUMN);
	assert_int_equal(t->tenant_column, 1);
	assert_true(t->row_security);
	assert_string_equal(t->columns[0].type, "public.key");
	assert_string_equal(t->columns[0].base, "bigint");
	assert_string_equal(t->columns[0].sequence, "public.orders_id_seq");
	assert_int_equal(t->columns[4].delimiter, ':');
	/* The other one is of a column that is omitted. */
	assert_int_equal(t->unique_count, 1);
	assert_string_equal(t->uniques[0].name, "by_org");
	assert_true(t->uniques[0].nulls_equal);
	assert_string_equal(t->keys[0].name, "k");
	assert_int_equal(t->soft_count, 1);
	assert_string_equal(t->softs[0].from.column, "extra");
	assert_string_equal(t->softs[0].from.path[0], "org");
	assert_string_equal(t->softs[0].table, "orgs");
	assert_string_equal(t->softs[0].to.column, "id");
	assert_string_equal(t->softs[0].tests[0].value, "5");
	assert_int_equal(exported_table_begin(e, 1, &err), 0);
	assert_int_equal(exported_row(e, &values, &err), 1);
	assert_string_equal(values[4].text, "{\"0101\":\"0102\"}");
	close(fd);
}

static void test_rows_stand_on_lines(void **state)
{
	_cleanup(str) struct str out = {0};
	struct document d;

	write_example(&d, &out, two_orders);
	assert_non_null(
	        strstr(str_text(&out),
	               "\"rows\":[\n{\"id\":1},\n{\"id\":2}\n],\"row_count\":2}\n],\"row_count\":3}\n"));
	document_finish(&d);
}

/* Rows that go by themselves where the document is written are counted, and what comes before them is written before. */
static void test_rows_that_are_passed(void **state)
{
	static const char passed[] = ",\n{\"id\":2},\n{\"id\":3}", *const three[] = {"{\"id\":1}",
	                                                                             "{\"id\":2}",
	                                                                             "{\"id\":3}", NULL};
	struct decided decided = example();
	const struct document_head head = {.tenant = &tenant,
	                                   .job = "exports",
	                                   .triggered_by = "uid 0 (bash)",
	                                   .database = "primary",
	                                   .server_version = "15.4",
	                                   .tenancy = TENANCY_COLUMN,
	                                   .taken_at_us = TAKEN_AT_US,
	                                   .decided = &decided};
	_cleanup(str) struct str expected = {0}, out = {0};
	struct document d, e = {.write = take_document, .arg = &out};

	write_example(&d, &expected, three);
	assert_int_equal(document_begin(&e, &head, NULL), 0);
	assert_int_equal(document_table(&e, &decided, 0, NULL), 0);
	add_row(&e, "{\"id\":1,\"name\":\"Acme\"}");
	assert_int_equal(document_table_end(&e, NULL), 0);
	assert_int_equal(document_table(&e, &decided, 1, NULL), 0);
	add_row(&e, "{\"id\":1}");
	assert_int_equal(document_pass_rows(&e, sizeof(passed) - 1, 2, NULL), 0);
	str_append(&out, passed);
	assert_int_equal(document_table_end(&e, NULL), 0);
	assert_int_equal(document_end(&e, NULL), 0);
	assert_string_equal(str_text(&out), str_text(&expected));
	assert_int_equal(e.bytes, d.bytes);
	assert_int_equal(e.lines, d.lines);
	assert_int_equal(e.rows, d.rows);
	document_finish(&d);
	document_finish(&e);
}

static void test_empty_table(void **state)
{
	static const char *const none[] = {NULL};
	_cleanup(str) struct str out = {0};
	_cleanup(json) struct json *j = NULL;
	struct document d;

	write_example(&d, &out, none);
	j = json_parse(out.data, out.len, NULL);
	assert_non_null(j);
	assert_int_equal(json_count(member(json_item(member(j, "tables"), 1), "rows")), 0);
	document_finish(&d);
}

static int refuse_document(void *arg, const void *data, size_t len, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "full");
}

static void test_document_that_cannot_be_written(void **state)
{
	struct decided decided = example();
	const struct document_head head = {.tenant = &tenant,
	                                   .job = "j",
	                                   .triggered_by = "t",
	                                   .database = "d",
	                                   .server_version = "15",
	                                   .decided = &decided};
	struct document d = {.write = refuse_document};

	assert_int_equal(document_begin(&d, &head, NULL), -ENOSPC);
	document_finish(&d);
}

/* Rows. */

static int check_row(const char *row, const struct tenancy_column *column, const char *id,
                     const char **ret_rest, struct error *err)
{
	const struct isolation i = {.table = "public.orders", .tenant = id, .column = column};

	*ret_rest = row;
	return isolation_check(&i, ret_rest, row + strlen(row), err);
}

static void expect_refused(const char *row, const struct tenancy_column *column, const char *id,
                           const char *why)
{
	struct error err = {0};
	const char *rest;

	assert_int_equal(check_row(row, column, id, &rest, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	if (!strstr(err.message, why))
		fail_msg("%s does not say: %s", err.message, why);
}

static void test_isolation(void **state)
{
	static const struct tenancy_column text = {.name = "org", .base_type = "text"},
	                                   uuid = {.name = "org", .base_type = "uuid"};
	struct error err = {0};
	const char *rest;

	assert_int_equal(check_row("t\t7\ta\tb", &text, "7", &rest, &err), 0);
	assert_string_equal(rest, "a\tb");
	assert_int_equal(check_row("t\ta\\tb\tx", &text, "a\tb", &rest, &err), 0);
	assert_int_equal(check_row("t\t7", &text, "7", &rest, &err), 0);
	assert_null(rest);
	assert_int_equal(check_row("t\tAB\tx", &uuid, "ab", &rest, &err), 0);
	assert_int_equal(check_row("t\t\\N\tx", NULL, "7", &rest, &err), 0);
	assert_string_equal(rest, "x");
	expect_refused("t\t8\ta", &text, "7", "a row has another tenant in org");
	expect_refused("t\tAB\tx", &text, "ab", "another tenant in org");
	expect_refused("t\t77\ta", &text, "7", "another tenant in org");
	expect_refused("t\t\\N\ta", &text, "7", "has no tenant");
	expect_refused("f\t7\ta", &text, "7", "also leads to another tenant");
	expect_refused("\\N\t7\ta", &text, "7", "also leads to another tenant");
	expect_refused("tt\t7\ta", &text, "7", "also leads to another tenant");
	expect_refused("t\t7\ta", NULL, "7", "nobody asked for");
	assert_int_equal(check_row("t", &text, "7", &rest, &err), -EBADMSG);
	assert_int_equal(check_row("", &text, "7", &rest, &err), -EBADMSG);
}

/* Reading back. */

static void gzip(const struct str *in, size_t len, struct str *out)
{
	z_stream z = {.next_in = (Bytef *)in->data, .avail_in = (uInt)len};
	unsigned char buf[65536];

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = buf;
	z.avail_out = sizeof(buf);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	str_append_bytes(out, buf, sizeof(buf) - z.avail_out);
	deflateEnd(&z);
}

/* @piece: bytes at once. */
static int read_back(const struct document *d, const struct str *file, size_t piece, struct error *err)
{
	struct whole w;
	struct draft_check check;
	int r = 0;

	whole_init(&w, d);
	check = whole_check(&w);
	for (size_t at = 0; r == 0 && at < file->len; at += piece)
		r = check.feed(check.arg, file->data + at, file->len - at < piece ? file->len - at : piece,
		               err);
	if (r == 0)
		r = check.end(check.arg, err);
	whole_finish(&w);
	return r;
}

static void test_whole(void **state)
{
	_cleanup(str) struct str out = {0}, file = {0}, cut = {0}, other = {0};
	struct error err = {0};
	struct document d;

	write_example(&d, &out, two_orders);
	assert_int_equal(d.bytes, out.len);
	gzip(&out, out.len, &file);
	assert_int_equal(read_back(&d, &file, 7, &err), 0);
	assert_int_equal(read_back(&d, &file, 1, &err), 0);
	assert_int_equal(read_back(&d, &file, file.len, &err), 0);
	/* A document that ends too early, in a file that is whole. */
	gzip(&out, out.len - 20, &cut);
	assert_int_equal(read_back(&d, &cut, 7, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "not whole"));
	/* As long, with another end. */
	out.data[out.len - 3] = '4';
	gzip(&out, out.len, &other);
	assert_int_equal(read_back(&d, &other, 7, &err), -EBADMSG);
	/* A file that is cut off. */
	file.len -= 4;
	assert_int_equal(read_back(&d, &file, 7, &err), -EBADMSG);
	document_finish(&d);
}

/* The key. */

static char *write_key(const char *dir, const char *content, mode_t mode)
{
	char *path = mem_printf("%s/key", dir);
	_cleanup(fd) int fd = -1;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, content, strlen(content)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	return path;
}

static int key_of_file(const char *path, unsigned char *key, struct error *err)
{
	const struct conf_secret secret = {.file = (char *)path};

	return export_key_of(&secret, "[export] redact_key", key, err);
}

static void expect_key(const char *dir, const char *content, mode_t mode, const char *why)
{
	_cleanup(free) char *path = write_key(dir, content, mode);
	unsigned char key[COPY_JSON_KEY_BYTES] = {0};
	struct error err = {0};
	int r = key_of_file(path, key, &err);

	unlink(path);
	if (!why) {
		assert_int_equal(r, 0);
		return;
	}
	assert_int_equal(r, -EPERM);
	if (!strstr(err.message, why))
		fail_msg("%s does not say: %s", err.message, why);
}

static void test_key(void **state)
{
	char dir[] = "/tmp/keepfs-test-XXXXXX";
	unsigned char key[COPY_JSON_KEY_BYTES];
	struct error err = {0};

	assert_non_null(mkdtemp(dir));
	expect_key(dir, "0123456789abcdef0123456789abcdef", 0600, NULL);
	expect_key(dir, "0123456789abcdef0123456789abcdef", 0400, NULL);
	expect_key(dir, "0123456789abcdef0123456789abcde", 0600, "less than 32 bytes");
	expect_key(dir, "", 0600, "less than 32 bytes");
	expect_key(dir, "0123456789abcdef0123456789abcdef", 0640, "chmod 600");
	expect_key(dir, "0123456789abcdef0123456789abcdef", 0604, "chmod 600");
	assert_int_equal(key_of_file(dir, key, &err), -EINVAL);
	assert_non_null(strstr(err.message, "no regular file"));
	assert_int_equal(key_of_file("/nonexistent/key", key, &err), -ENOENT);
	rmdir(dir);
}

static void test_template(void **state)
{
	static const struct export_tenant t = {.id = "7", .slug = "{id}"};
	const struct {
		const char *template, *expected;
	} cases[] = {{"{slug}", "{id}"},
	             {"t_{id}_x", "t_7_x"},
	             {"", ""},
	             {"{other}{id", "{other}{id"},
	             {"{id}{id}", "77"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *filled = export_template(cases[i].template, &t);

		assert_string_equal(filled, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_document),
	        cmocka_unit_test(test_described_for_readers),
	        cmocka_unit_test(test_rows_stand_on_lines),
	        cmocka_unit_test(test_empty_table),
	        cmocka_unit_test(test_rows_that_are_passed),
	        cmocka_unit_test(test_document_that_cannot_be_written),
	        cmocka_unit_test(test_isolation),
	        cmocka_unit_test(test_whole),
	        cmocka_unit_test(test_key),
	        cmocka_unit_test(test_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
