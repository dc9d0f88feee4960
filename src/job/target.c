// SPDX-License-Identifier: Apache-2.0
/* The databases of a job: where each is reached, how it is called, and where its backups go. */
#include "job_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/pg.h>

void target_finish(struct target *t)
{
	free(t->label);
	free(t->directory);
}

size_t target_count(const struct conf_job *job)
{
	size_t n = 0;

	while (job->dump.databases && job->dump.databases[n])
		n++;
	return n > 0 ? n : 1;
}

void target_init(struct target *t, const struct conf_job *job, size_t index)
{
	_cleanup(free) char *name = NULL;

	*t = (struct target){0};
	if (!job->dump.databases || !job->dump.databases[0]) {
		t->label = job->kind == CONF_JOB_DUMP ? pg_conninfo_database(job->dump.database) : NULL;
		if (!t->label)
			t->label = mem_strdup(job->name);
		t->directory = mem_printf("backups/%s", job->name);
		return;
	}
	t->database = job->dump.databases[index];
	t->label = mem_strdup(t->database);
	name = name_from_database(t->database);
	t->directory = mem_printf("backups/%s/%s", job->name, name);
}
