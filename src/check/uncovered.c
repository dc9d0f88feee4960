// SPDX-License-Identifier: Apache-2.0
/* What was just seen on the servers, and is not in any job. */
#include "check_private.h"

#include <keepfs/base/str.h>
#include <keepfs/report/uncovered.h>

#define UNCOVERED_SHOWN 20

struct seen {
	struct str names;
	size_t count;
};

static void add_seen(void *arg, const char *server, const char *name)
{
	struct seen *seen = arg;

	if (seen->count++ < UNCOVERED_SHOWN)
		str_appendf(&seen->names, "%s%s", seen->names.len > 0 ? ", " : "", name);
}

/* It is no failure: backups work. status/health warns of it. */
void probe_uncovered(struct probe *p, const struct conf *conf, struct catalog *catalog)
{
	struct seen seen = {0};

	if (report_uncovered(conf, catalog, add_seen, &seen) == 0 && seen.count > 0)
		probe_add(
		        p, true, "uncovered",
		        "%zu databases are backed up by no job: %s%s; add them to a job, or to ignore_databases in [keepfs]",
		        seen.count, str_text(&seen.names), seen.count > UNCOVERED_SHOWN ? ", …" : "");
	str_finish(&seen.names);
}
