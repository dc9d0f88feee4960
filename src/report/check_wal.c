// SPDX-License-Identifier: Apache-2.0
/* Health of WAL archives: what came last, and when. Whether that is long ago, only the server knows, which archives when it has written something. */
#include "checks.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/wal.h>

#include <errno.h>

static void tell_archive(struct checking *c, const struct conf_job *configured)
{
	const char *job = configured->name;
	struct catalog_wal last;
	char at[CLOCK_ISO_BYTES];
	int r = catalog_wal_last(c->from->catalog, job, &last);

	if (r < 0 && r != -ENOENT) {
		checking_catalog_failed(c, r);
		return;
	}
	checking_add(c, REPORT_OK, mem_printf("WAL of %s", job), job)->text =
	        r == 0 ? mem_printf("%s was archived at %s", last.name, clock_format_iso(last.arrived_us, at))
	        : configured->cluster.wal == CONF_WAL_STREAM
	                ? mem_strdup("no whole segment has come yet")
	                : mem_printf("nothing has come yet: archive_command = 'cp %%p MOUNTPOINT/wal/%s/%%f'",
	                             job);
}

void check_wal(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		if (wal_is_archived(&c->from->conf->jobs[i])) {
			tell_archive(c, &c->from->conf->jobs[i]);
			check_wal_receiver(c, c->from->conf->jobs[i].name);
		}
}
