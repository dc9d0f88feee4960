// SPDX-License-Identifier: Apache-2.0
/* The audit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>

#include "catalog_fixture.h"

static void see_audit(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%" PRId64 " %" PRId64 " %s %s %s %s %s;", entry->uid, entry->pid, entry->command,
	            entry->action, entry->object, entry->result, entry->detail);
}

static void the_audit_is_newest_first(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str seen = {0};
	struct catalog_audit entry = {.at_us = AT_US,
	                              .uid = 1000,
	                              .pid = 7,
	                              .command = "rm",
	                              .action = "remove",
	                              .object = "backups/full/x",
	                              .result = "denied",
	                              .detail = "the last"};

	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	entry.uid = entry.pid = -1;
	str_copy(entry.result, sizeof(entry.result), "ok");
	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	assert_int_equal(catalog_audits(f->catalog, 0, see_audit, &seen), 0);
	assert_string_equal(str_text(&seen), "-1 -1 rm remove backups/full/x ok the last;"
	                                     "1000 7 rm remove backups/full/x denied the last;");
}

struct seen_entries {
	struct str text;
	int left;
};

static bool see_some_audits(void *arg, const struct catalog_audit *entry)
{
	struct seen_entries *seen = arg;

	see_audit(&seen->text, entry);
	return --seen->left > 0;
}

static void what_came_after_is_oldest_first(void **state)
{
	struct fixture *f = *state;
	struct seen_entries some = {.left = 2}, none = {.left = 2};
	struct catalog_audit entry = {.at_us = AT_US, .command = "rm", .result = "ok"};

	for (int i = 1; i <= 5; i++) {
		entry.uid = i;
		assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	}
	assert_int_equal(catalog_audits_after(f->catalog, 2, see_some_audits, &some), 0);
	assert_string_equal(str_text(&some.text), "3 0 rm   ok ;4 0 rm   ok ;");
	assert_int_equal(catalog_audits_after(f->catalog, 5, see_some_audits, &none), 0);
	assert_string_equal(str_text(&none.text), "");
	str_finish(&some.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(the_audit_is_newest_first),
	        TEST(what_came_after_is_oldest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
