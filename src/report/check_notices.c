// SPDX-License-Identifier: Apache-2.0
/* Health of notices: whoever relies on being told must learn that he would not be. */
#include "checks.h"
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/notices.h>

#include <inttypes.h>
#include <string.h>

#define FAILED_TWICE 2 /* a server that is started anew answers the second time */

/* The name by which `keepfs notify --test` knows it: "mail" of "mail ops@example.com". */
static char *test_name(const char *receiver)
{
	const char *blank = strchr(receiver, ' ');

	if (str_starts(receiver, "mail ") || !blank)
		return mem_printf("%.*s", (int)strcspn(receiver, " "), receiver);
	return mem_printf("%s", blank + 1);
}

static struct health_item *add_receiver(struct checking *c, const struct catalog_receiver *r)
{
	struct health_item *item =
	        checking_add(c, REPORT_WARN, mem_printf("notices to %s", r->name), r->name);
	_cleanup(free) char *name = test_name(r->name);

	item->what_to_do = mem_printf("mend it, and try it with: keepfs notify --test %s", name);
	return item;
}

static void check_receiver(void *arg, const struct catalog_receiver *r)
{
	struct checking *c = arg;
	struct health_item *item;
	char since[32];

	if (r->attempts >= FAILED_TWICE) {
		item = add_receiver(c, r);
		item->kind = "failing";
		item->since_us = r->failing_since_us;
		item->text = mem_printf("could not send since %s, %" PRIu64 " waiting: %s",
		                        line_time(r->failing_since_us, "-", since), r->waiting, r->error);
	} else if (r->given_up > 0) {
		item = add_receiver(c, r);
		item->kind = "refused";
		item->since_us = r->given_up_at_us;
		item->text = mem_printf(
		        "%" PRIu64
		        " were refused for good and are not sent again, the last one %s (the daemon's log has them): %s",
		        r->given_up, line_time(r->given_up_at_us, "-", since), r->refusal);
	}
}

void check_notices(struct checking *c)
{
	int r = catalog_receivers(c->from->catalog, check_receiver, c);

	if (r < 0)
		checking_catalog_failed(c, r);
}
