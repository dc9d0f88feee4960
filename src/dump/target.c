// SPDX-License-Identifier: Apache-2.0
/* The databases of a job: where each is reached, how it is called, and where its backups go. */
#include "dump.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

static void add_own(const struct conf_job *job, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);

	t->label = pg_conninfo_database(job->dump.database);
	if (!t->label)
		t->label = mem_strdup(job->name);
	t->directory = make_directory_of(job, NULL);
}

int dump_targets(const struct make_context *ctx, const struct conf_job *job, struct make_targets *ret,
                 struct error *err)
{
	char *const *databases = job->dump.databases;

	if (!databases || !databases[0])
		add_own(job, ret);
	for (; databases && *databases; databases++) {
		struct make_target *t = make_targets_add(ret);
		_cleanup(free) char *name = name_from_database(*databases);

		t->name = mem_strdup(*databases);
		t->label = mem_strdup(*databases);
		t->directory = make_directory_of(job, name);
	}
	return 0;
}
