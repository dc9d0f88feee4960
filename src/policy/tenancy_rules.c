// SPDX-License-Identifier: Apache-2.0
/* Are the rules written as they must be? What needs no database. */
#include "tenancy_private.h"

static int check_names(const char *key, char *const *entries, bool patterns, size_t parts_max,
                       const char *too_many, struct error *err)
{
	for (size_t i = 0; entries && entries[i]; i++) {
		_cleanup(policy_name) struct policy_name n = {0};
		const char *problem = policy_name_take_all(entries[i], patterns, &n);

		if (!problem && n.count > parts_max)
			problem = too_many;
		if (problem)
			return policy_bad_rule(err, key, entries[i], problem);
	}
	return 0;
}

static int check_tenant_table(const char *text, struct error *err)
{
	_cleanup(policy_name) struct policy_name n = {0};
	const char *problem = policy_name_take_all(text, false, &n);

	if (!problem && n.count < 2)
		problem = "must name the table and its key: orgs.id";
	return problem ? policy_bad_rule(err, "tenant_table", text, problem) : 0;
}

int tenancy_rules_check(const struct tenancy_rules *rules, struct error *err)
{
	static const char no_column[] = "names a column, where tables are named: a table, or schema.table";
	int r = check_names("tenant_column", rules->tenant_columns, false, POLICY_NAME_PARTS, "", err);

	if (r == 0)
		r = check_names(tenancy_list_key(LIST_SHARED), rules->shared, true, 2, no_column, err);
	if (r == 0)
		r = check_names(tenancy_list_key(LIST_REFERRED), rules->referred, true, 2, no_column, err);
	if (r == 0)
		r = check_names(tenancy_list_key(LIST_EXCLUDED), rules->excluded, true, 2, no_column, err);
	if (r == 0 && *str_or_empty(rules->tenant_table))
		r = check_tenant_table(rules->tenant_table, err);
	return r == 0 ? tenancy_references_check(rules->references, err) : r;
}
