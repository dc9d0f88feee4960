// SPDX-License-Identifier: Apache-2.0
/* Two schemas, object by object, whatever order they come in. */
#include "../../src/use/schema_diff.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OBJECT(name, type, text)                                                                             \
	"--\n-- Name: " name "; Type: " type "; Schema: public; Owner: shop\n--\n\n" text "\n\n"

static int compare_schemas(const char *a, const char *b, struct cancel *cancel, struct str *ret,
                           struct error *err)
{
	_cleanup(spool) struct spool *x = spool_new("/tmp"), *y = spool_new("/tmp"), *out = spool_new("/tmp");
	char buf[4096];
	int r;

	spool_append(x, a, strlen(a));
	spool_append(y, b, strlen(b));
	r = schema_diff_write("/tmp", x, y, cancel, out, err);
	if (r == 0)
		str_append_bytes(ret, buf, (size_t)spool_read(out, buf, sizeof(buf), 0));
	return r;
}

static void assert_schemas(const char *a, const char *b, const char *expected)
{
	_cleanup(str) struct str found = {0};

	assert_int_equal(compare_schemas(a, b, NULL, &found, NULL), 0);
	assert_string_equal(str_text(&found), expected);
}

static void equal_ones_in_any_order(void **state)
{
	assert_schemas("", "", "");
	assert_schemas(OBJECT("a", "TABLE", "A;") OBJECT("b", "TABLE", "B;"),
	               "SET something = 1;\n\n" OBJECT("b", "TABLE", "B;") OBJECT("a", "TABLE", "A;"), "");
}

static void new_gone_and_changed(void **state)
{
	assert_schemas(
	        OBJECT("a", "TABLE", "CREATE TABLE a (\n    id integer,\n    note text\n);")
	                OBJECT("b", "TABLE", "B;") OBJECT("c", "VIEW", "C;"),
	        OBJECT("a", "TABLE", "CREATE TABLE a (\n    id bigint,\n    note text\n);")
	                OBJECT("c", "VIEW", "C;") OBJECT("d", "INDEX", "D;"),
	        "@@ changed TABLE public.a @@\n CREATE TABLE a (\n-    id integer,\n+    id bigint,\n     note text\n );\n"
	        "@@ new INDEX public.d @@\n+D;\n"
	        "@@ gone TABLE public.b @@\n-B;\n");
}

/* One name, two types; and twice the same of one type. */
static void names_that_are_not_unique(void **state)
{
	assert_schemas(OBJECT("a", "TABLE", "A;") OBJECT("a", "INDEX", "I;"), OBJECT("a", "TABLE", "A;"),
	               "@@ gone INDEX public.a @@\n-I;\n");
	assert_schemas(OBJECT("a", "ACL", "1;") OBJECT("a", "ACL", "2;"),
	               OBJECT("a", "ACL", "1;") OBJECT("a", "ACL", "3;") OBJECT("a", "ACL", "4;"),
	               "@@ changed ACL public.a @@\n-2;\n+3;\n@@ new ACL public.a @@\n+4;\n");
}

static void cancelled(void **state)
{
	_cleanup(str) struct str found = {0};
	struct cancel cancel;
	struct error err = {0};

	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(compare_schemas(OBJECT("a", "TABLE", "A;"), "", &cancel, &found, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	cancel_finish(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(equal_ones_in_any_order),
	        cmocka_unit_test(new_gone_and_changed),
	        cmocka_unit_test(names_that_are_not_unique),
	        cmocka_unit_test(cancelled),
	};

	return cmocka_run_group_tests_name("schema_diff", tests, NULL, NULL);
}
