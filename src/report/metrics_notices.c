// SPDX-License-Identifier: Apache-2.0
/* Notices: what waits for each receiver. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/catalog/notices.h>

struct notice_family {
	struct spool *out;
	const char *name, *type, *help;
	uint64_t (*value)(const struct catalog_receiver *r);
};

static uint64_t waiting_of(const struct catalog_receiver *r)
{
	return r->waiting;
}

static uint64_t failures_of(const struct catalog_receiver *r)
{
	return r->failures;
}

static uint64_t refused_of(const struct catalog_receiver *r)
{
	return r->given_up;
}

static void expose_receiver(void *arg, const struct catalog_receiver *r)
{
	struct notice_family *f = arg;

	expose_number(f->out, f->name, LABELS("receiver", r->name), f->value(r));
}

int metrics_notices(const struct report_sources *from, struct spool *out)
{
	struct notice_family families[] = {
	        {out, "keepfs_notify_queue", "gauge", "Notices that wait to be sent.", waiting_of},
	        {out, "keepfs_notify_failures_total", "counter",
	         "Attempts to send notices that failed or were refused.", failures_of},
	        {out, "keepfs_notify_refused", "gauge",
	         "Notices that were refused for good since the last one that was taken.", refused_of},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++) {
		expose_family(out, families[i].name, families[i].type, families[i].help);
		r = catalog_receivers(from->catalog, expose_receiver, &families[i]);
	}
	return r;
}
