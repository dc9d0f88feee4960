// SPDX-License-Identifier: Apache-2.0
/* Health of WAL archives: what came last, and when. Whether that is long ago, only the server knows, which archives when it has written something. */
#include "checks.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/catalog/wal_copies.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <inttypes.h>

static void tell_archive(struct checking *c, const char *job)
{
	struct catalog_wal last;
	char at[CLOCK_ISO_BYTES];
	int r = catalog_wal_last(c->from->catalog, job, &last);

	if (r < 0 && r != -ENOENT) {
		checking_catalog_failed(c, r);
		return;
	}
	checking_add(c, REPORT_OK, mem_printf("WAL of %s", job), job)->text =
	        r == 0 ? mem_printf("%s was archived at %s", last.name, clock_format_iso(last.arrived_us, at))
	               : mem_printf("nothing has come yet: archive_command = 'cp %%p MOUNTPOINT/wal/%s/%%f'",
	                            job);
}

/* Behind for so long, what is lost with [store] is more than anybody counts on. */
#define BEHIND_LATE_US      (INT64_C(3600) * US_PER_S)
#define BEHIND_VERY_LATE_US (24 * BEHIND_LATE_US)

struct telling_copies {
	struct checking *c;
	const struct conf_job *job;
};

static enum report_health level_of_copy(const struct checking *c, const struct catalog_wal_copy *copy)
{
	int64_t behind_us = copy->oldest_us ? c->from->now_us - copy->oldest_us : 0;

	if (behind_us > BEHIND_VERY_LATE_US)
		return REPORT_CRIT;
	return behind_us > BEHIND_LATE_US ? REPORT_WARN : REPORT_OK;
}

static int tell_wal_copy(void *arg, const struct catalog_wal_copy *copy)
{
	struct telling_copies *t = arg;
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct health_item *item;
	char size[16], since[CLOCK_ISO_BYTES];

	if (catalog_get_store(t->c->from->catalog, copy->store, &at) < 0 || !conf_has_copies(t->job, at.name))
		return 0;
	item = checking_add(t->c, level_of_copy(t->c, copy),
	                    mem_printf("WAL of %s in %s", t->job->name, at.name), t->job->name);
	if (copy->files == 0) {
		item->text = mem_strdup("all of it is there");
		return 0;
	}
	item->since_us = copy->oldest_us;
	item->text = mem_printf(
	        "%" PRIu64 " file%s of %s not there yet, the first came at %s%s%s", copy->files,
	        copy->files == 1 ? "" : "s", str_format_bytes(size, sizeof(size), copy->stored_bytes),
	        clock_format_iso(copy->oldest_us, since), copy->why[0] ? ": " : "", copy->why);
	item->what_to_do = mem_printf("look whether [store %s] answers: keepfs check", at.name);
	return 0;
}

static void tell_wal_copies(struct checking *c, const struct conf_job *job)
{
	struct telling_copies t = {.c = c, .job = job};
	int r = catalog_wal_copies(c->from->catalog, job->name, tell_wal_copy, &t);

	if (r < 0)
		checking_catalog_failed(c, r);
}

void check_wal(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++) {
		const struct conf_job *job = &c->from->conf->jobs[i];

		if (!wal_is_archived(job))
			continue;
		tell_archive(c, job->name);
		tell_wal_copies(c, job);
	}
}
