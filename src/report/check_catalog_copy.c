// SPDX-License-Identifier: Apache-2.0
/* Health of the copy of the catalog in the store, without which a lost state_dir takes the history with it. */
#include "checks.h"
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/copy.h>

#include <errno.h>

static void tell_old_copy(struct checking *c, const struct catalog_copy_state *state, const char *at)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_strdup("catalog copy"), "");
	const char *why = state->failure[0] ? state->failure : "";

	item->since_us = state->current_us;
	if (state->key[0])
		item->text = mem_printf("the newest copy of the catalog in the store is of %s%s%s", at,
		                        *why ? ": " : "", why);
	else
		item->text = mem_printf("there is no copy of the catalog in the store, since %s%s%s", at,
		                        *why ? ": " : "", why);
	item->what_to_do =
	        mem_strdup("let keepfs write and delete below catalog/ in the store, and look at the "
	                   "daemon's log; without a copy a lost host takes the history with it");
}

void check_catalog_copy(struct checking *c)
{
	struct catalog_copy_state state;
	int r = c->from->conf->catalog_copies ? catalog_copy_state(c->from->catalog, &state) : -ENOENT;
	char at[32];

	if (r == -ENOENT)
		return;
	if (r < 0) {
		checking_catalog_failed(c, r);
		return;
	}
	line_time(state.current_us, "-", at);
	checking_changes_at(c, state.current_us + 2 * CATALOG_COPY_INTERVAL_US + 1);
	if (c->from->now_us - state.current_us > 2 * CATALOG_COPY_INTERVAL_US)
		tell_old_copy(c, &state, at);
	else if (state.key[0])
		checking_add(c, REPORT_OK, mem_strdup("catalog copy"), "")->text =
		        mem_printf("%s has what the catalog held %s", state.key, at);
}
