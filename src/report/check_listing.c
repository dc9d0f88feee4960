// SPDX-License-Identifier: Apache-2.0
/* Health of the list of backups: what the store holds and the catalog does not list. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/compare.h>

#include <inttypes.h>

#define UNLISTED_SHOWN 5

struct unlisted {
	struct checking *checking;
	uint64_t count;
};

static void tell_unlisted(void *arg, const char *path, const char *reason)
{
	struct unlisted *u = arg;
	struct health_item *item;

	if (u->count++ >= UNLISTED_SHOWN)
		return;
	item = checking_add(u->checking, REPORT_WARN, mem_strdup("unlisted backup"), path);
	item->text = mem_printf("the store holds %s, but it is not listed: %s", path, reason);
}

void check_listing(struct checking *c)
{
	struct unlisted u = {.checking = c};
	int r = catalog_each_unlisted(c->from->catalog, tell_unlisted, &u);

	if (r < 0)
		checking_catalog_failed(c, r);
	if (u.count > UNLISTED_SHOWN)
		checking_add_rest(c, REPORT_WARN, mem_strdup("unlisted backups"), "",
		                  mem_printf("%" PRIu64 " in all", u.count));
}
