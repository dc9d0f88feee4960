// SPDX-License-Identifier: Apache-2.0
/* Health of class_after: backups that could not be moved into the storage class that their age has. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/classes.h>

#include <inttypes.h>

void check_classes(struct checking *c)
{
	struct catalog_class_failing failing = {0};
	struct health_item *item;
	int r = catalog_class_failing(c->from->catalog, &failing);

	if (r < 0)
		checking_catalog_failed(c, r);
	if (r < 0 || failing.count == 0)
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("storage classes"), "");
	item->text = mem_printf(
	        "%" PRIu64 " backup%s not be moved into another storage class (class_after): %s: %s",
	        failing.count, failing.count == 1 ? " could" : "s could", failing.path, failing.why);
	item->what_to_do = mem_strdup(
	        "mend what it says, or class_after of the job; it is tried again by itself, within a day");
}
