// SPDX-License-Identifier: Apache-2.0
/*
 * What the file says of its tables, held against the rules of this keepfs. Somebody may have edited it: a table that is said to be found by a key, or to be of
 * everybody, would have its rows brought in without a look at the column that says whose they are. So that column is where the rules see it in the target.
 */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>

/* Before keys of the file are added to the model. The target may be of another age than the rules: then the columns alone count, and if there are none of them, nothing
 * does. */
void import_decide_own(struct pg_import *x)
{
	const struct tenancy_rules *rules = x->options->rules;
	struct error why = {0};

	if (!rules || rules->kind != TENANCY_COLUMN)
		return;
	if (tenancy_decide(&x->model, rules, NULL, &x->own, &why) < 0) {
		const struct tenancy_rules columns = {.kind = rules->kind,
		                                      .tenant_columns = rules->tenant_columns};

		if (tenancy_decide(&x->model, &columns, NULL, &x->own, &why) < 0) {
			import_say(
			        x,
			        "whose the rows are is taken from the file alone, since the rules of [export] are not for the target: %s",
			        why.message);
			return;
		}
	}
	x->has_own = true;
}

static bool says_whose(const struct tenancy_decision *d)
{
	return d->verdict == TENANCY_EXPORTED &&
	       (d->way == TENANCY_BY_COLUMN || d->way == TENANCY_BY_SELF || d->way == TENANCY_BY_KEY);
}

/* A column that the file has not gets no value from it. */
static bool is_filled_by_file(const struct import_table *t, const struct tenancy_decision *own)
{
	return own->tenant_column < 0 || t->columns[own->tenant_column].place >= 0;
}

int import_check_own(const struct pg_import *x, const struct import_table *t, struct error *err)
{
	const struct tenancy_decision *own =
	        x->has_own ? &x->own.decisions[x->own.decision_of[t->model]] : NULL;

	if (!own || t->file->rows == 0 || !says_whose(own) || !is_filled_by_file(t, own))
		return 0;
	if (t->role == IMPORT_OWN && t->d->way == own->way && t->d->tenant_column == own->tenant_column)
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s: by the rules of [export] its rows are a tenant's (%s), and the file says something else of them: it is not as keepfs wrote it, or was made by other rules, and nothing of it is imported",
	        t->label, str_or_empty(own->reason));
}
