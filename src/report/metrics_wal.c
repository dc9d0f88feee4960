// SPDX-License-Identifier: Apache-2.0
/* WAL archives. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/catalog/wal_keep.h>
#include <keepfs/wal.h>

#include <errno.h>

/* Of one archive, by what is asked. */
enum wal_fact { WAL_FILES, WAL_STORED, WAL_LAST, WAL_REMOVED_FILES, WAL_REMOVED_BYTES };

static int tell_removed_wal(const struct report_sources *from, const char *job, const char *family,
                            enum wal_fact fact, struct spool *out)
{
	struct catalog_wal_kept kept;
	int r = catalog_wal_kept(from->catalog, job, &kept);

	if (r == 0)
		expose_number(out, family, LABELS("backup_job", job),
		              fact == WAL_REMOVED_FILES ? kept.removed_files : kept.removed_bytes);
	return r;
}

static int tell_wal(const struct report_sources *from, const char *job, const char *family,
                    enum wal_fact fact, struct spool *out)
{
	struct catalog_wal last;
	uint64_t files = 0, stored = 0;
	int r;

	if (fact == WAL_REMOVED_FILES || fact == WAL_REMOVED_BYTES)
		return tell_removed_wal(from, job, family, fact, out);
	r = fact == WAL_LAST ? catalog_wal_last(from->catalog, job, &last)
	                     : catalog_wal_totals(from->catalog, job, &files, &stored);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	expose_number(out, family, LABELS("backup_job", job),
	              fact == WAL_LAST    ? (uint64_t)(last.arrived_us / US_PER_S)
	              : fact == WAL_FILES ? files
	                                  : stored);
	return 0;
}

static bool has_archive(const struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (wal_is_archived(&conf->jobs[i]))
			return true;
	return false;
}

int metrics_wal(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name, *type, *help;
		enum wal_fact fact;
	} families[] = {
	        {"keepfs_wal_files", "gauge", "Files in the WAL archive of a cluster.", WAL_FILES},
	        {"keepfs_wal_stored_bytes", "gauge", "Bytes that these have in the store.", WAL_STORED},
	        {"keepfs_wal_last_archived_timestamp_seconds", "gauge", "When the last of them came.",
	         WAL_LAST},
	        {"keepfs_wal_removed_files_total", "counter",
	         "Files that were removed, since no base backup needed them any more.", WAL_REMOVED_FILES},
	        {"keepfs_wal_removed_bytes_total", "counter", "Bytes that these had in the store.",
	         WAL_REMOVED_BYTES},
	};
	int r = 0;

	for (size_t i = 0; has_archive(from->conf) && i < ARRAY_SIZE(families); i++) {
		expose_family(out, families[i].name, families[i].type, families[i].help);
		for (size_t k = 0; r == 0 && k < from->conf->job_count; k++)
			if (wal_is_archived(&from->conf->jobs[k]))
				r = tell_wal(from, from->conf->jobs[k].name, families[i].name,
				             families[i].fact, out);
	}
	return r;
}
