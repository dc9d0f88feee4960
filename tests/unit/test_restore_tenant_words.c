// SPDX-License-Identifier: Apache-2.0
/* What is written to control/restore-tenant, and what is not taken. */
#include "../../src/use/restore_tenant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <string.h>

static void assert_taken(const char *text, enum restore_tenant_mode mode, bool is_export)
{
	_cleanup(command_line) struct command_line line = {0};
	struct restore_tenant_words words;
	struct error err = {0};

	assert_int_equal(command_line_parse(text, &line, &err), 0);
	assert_int_equal(restore_tenant_words(&line, &words, &err), 0);
	assert_string_equal(words.tenant, "acme");
	assert_int_equal(words.mode, mode);
	assert_int_equal(words.is_export, is_export);
}

static void assert_refused(const char *text, const char *reason)
{
	_cleanup(command_line) struct command_line line = {0};
	struct restore_tenant_words words;
	struct error err = {0};

	assert_int_equal(command_line_parse(text, &line, &err), 0);
	assert_int_equal(restore_tenant_words(&line, &words, &err), -EINVAL);
	if (!strstr(err.message, reason))
		fail_msg("'%s' is not in: %s", reason, err.message);
}

static void what_is_taken(void **state)
{
	assert_taken("acme from=full mode=diff", RESTORE_TENANT_DIFF, false);
	assert_taken("acme from=backups/full/20261120T020000Z.dump mode=replace confirm=acme note='why'",
	             RESTORE_TENANT_REPLACE, false);
	assert_taken("acme from=exports/acme/20261120T020000Z.json.gz into=acme-copy", RESTORE_TENANT_BESIDE,
	             true);
	assert_taken("acme from=full into=acme id=17", RESTORE_TENANT_BESIDE, false);
}

static void what_is_not(void **state)
{
	assert_refused("", "write: TENANT from=BACKUP");
	assert_refused("from=full mode=diff", "write: TENANT from=BACKUP");
	assert_refused("'' from=full mode=diff", "write: TENANT from=BACKUP");
	assert_refused("acme globex from=full mode=diff", "write: TENANT from=BACKUP");
	assert_refused("acme mode=diff", "write: TENANT from=BACKUP");
	assert_refused("acme from= mode=diff", "write: TENANT from=BACKUP");
	assert_refused("acme from=full", "one of mode=diff");
	assert_refused("acme from=full mode=DIFF", "one of mode=diff");
	assert_refused("acme from=full mode=diff into=x", "one of mode=diff");
	assert_refused("acme from=full into=", "one of mode=diff");
	assert_refused("acme from=full mode=diff database=x", "database");
	/* The name is typed twice. */
	assert_refused("acme from=full mode=replace", "write confirm=acme; nothing was done");
	assert_refused("acme from=full mode=replace confirm=", "write confirm=acme; nothing was done");
	assert_refused("acme from=full mode=replace confirm=Acme", "write confirm=acme; nothing was done");
	assert_refused("acme from=full mode=replace confirm=globex", "write confirm=acme; nothing was done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_taken),
	        cmocka_unit_test(what_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
