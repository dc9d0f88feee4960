// SPDX-License-Identifier: Apache-2.0
/* Health of restores: what one that failed, or a crash, has left at a server, or in a directory. What is there now, nobody has looked at: so the line says
 * what can be there, and how to go on. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/restores.h>

static void add_left(void *arg, const struct catalog_restore *x)
{
	struct checking *c = arg;
	struct health_item *item;

	if (!x->is_over)
		return;
	item = checking_add(c,
	                    x->phase == RESTORE_PHASE_IN_PLACE || x->phase == RESTORE_PHASE_FILES_OVER ||
	                                    x->phase == RESTORE_PHASE_DEPLOYMENT
	                            ? REPORT_CRIT
	                            : REPORT_WARN,
	                    mem_printf("restore %s", x->target), x->target);
	item->text = report_restore_left(x);
	item->what_to_do = report_restore_advice(x);
	item->since_us = x->begun_at_us;
}

void check_restore(struct checking *c)
{
	int r = catalog_each_restore(c->from->catalog, add_left, c);

	if (r < 0)
		checking_catalog_failed(c, r);
}
