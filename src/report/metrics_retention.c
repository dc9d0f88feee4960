// SPDX-License-Identifier: Apache-2.0
/* What is kept, by job: as the last look of each directory has found it. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/make.h>

struct kept {
	uint64_t kept, due, refused, held, trashed, trashed_bytes;
};

static void add_kept(void *arg, const char *path, const struct catalog_retention *state)
{
	struct kept *kept = arg;

	kept->kept += state->kept;
	kept->due += state->due;
	kept->refused += state->refused;
}

static int gather_kept(const struct report_sources *from, struct kept *kept)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->conf->job_count; i++) {
		const char *job = from->conf->jobs[i].name;
		_cleanup(free) char *directory = make_directory_of(&from->conf->jobs[i], NULL);
		int64_t held = catalog_count_held(from->catalog, job, from->now_us);

		r = held < 0 ? (int)held
		             : catalog_each_retention(from->catalog, directory, add_kept, &kept[i]);
		if (r == 0)
			r = catalog_trash_total(from->catalog, job, &kept[i].trashed, &kept[i].trashed_bytes);
		kept[i].held = held < 0 ? 0 : (uint64_t)held;
	}
	return r;
}

int metrics_retention(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name;
		size_t offset;
		const char *help;
	} families[] = {
	        {"keepfs_retention_kept_backups", offsetof(struct kept, kept),
	         "Backups that the rules kept when they were last applied."},
	        {"keepfs_retention_due_backups", offsetof(struct kept, due),
	         "Backups that no rule keeps, and that were not removed when the rules were last applied."},
	        {"keepfs_retention_refused_backups", offsetof(struct kept, refused),
	         "Of these, backups that could not be removed."},
	        {"keepfs_held_backups", offsetof(struct kept, held), "Backups that somebody holds."},
	        {"keepfs_trash_backups", offsetof(struct kept, trashed), "Backups in the trash."},
	        {"keepfs_trash_bytes", offsetof(struct kept, trashed_bytes),
	         "What backups in the trash take in the store."},
	};
	_cleanup(free) struct kept *kept = mem_array(from->conf->job_count + 1, sizeof(*kept));
	int r = gather_kept(from, kept);

	for (size_t f = 0; r == 0 && f < ARRAY_SIZE(families); f++) {
		expose_family(out, families[f].name, "gauge", families[f].help);
		for (size_t i = 0; i < from->conf->job_count; i++)
			expose_number(out, families[f].name, LABELS("backup_job", from->conf->jobs[i].name),
			              *(const uint64_t *)((const char *)&kept[i] + families[f].offset));
	}
	return r;
}
