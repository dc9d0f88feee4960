// SPDX-License-Identifier: Apache-2.0
/* WAL archives. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/wal.h>

#include <errno.h>

/* Of one archive, by what is asked. */
enum wal_fact { WAL_FILES, WAL_STORED, WAL_LAST };

static int tell_wal(const struct report_sources *from, const char *job, const char *family,
                    enum wal_fact fact, struct spool *out)
{
	struct catalog_wal last;
	uint64_t files = 0, stored = 0;
	int r = fact == WAL_LAST ? catalog_wal_last(from->catalog, job, &last)
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

/* Receivers. */

enum receiver_fact {
	RECEIVER_UP,
	RECEIVER_BEHIND_BYTES,
	RECEIVER_BEHIND_SECONDS,
	RECEIVER_DURABLE,
	RECEIVER_TAILS
};

static uint64_t receiver_fact(const struct wal_receiver_state *s, enum receiver_fact fact)
{
	switch (fact) {
	case RECEIVER_UP:
		return s->phase == WAL_RECEIVER_STREAMING;
	case RECEIVER_BEHIND_BYTES:
		return s->server_lsn > s->durable_lsn ? s->server_lsn - s->durable_lsn : 0;
	case RECEIVER_BEHIND_SECONDS:
		return (uint64_t)(s->behind_us / US_PER_S);
	case RECEIVER_DURABLE:
		return s->durable_lsn;
	default:
		return s->tails;
	}
}

static bool has_receiver(const struct report_sources *from)
{
	struct wal_receiver_state s;

	for (size_t i = 0; from->wal && i < from->conf->job_count; i++)
		if (wal_receiver_state(from->wal, from->conf->jobs[i].name, &s) == 0)
			return true;
	return false;
}

static void metrics_receivers(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name, *type, *help;
		enum receiver_fact fact;
	} families[] = {
	        {"keepfs_wal_receiver_streaming", "gauge",
	         "1 while the WAL of a cluster is streamed, else 0.", RECEIVER_UP},
	        {"keepfs_wal_receiver_behind_bytes", "gauge",
	         "WAL that the server has, as it said last, and that is not durable here.",
	         RECEIVER_BEHIND_BYTES},
	        {"keepfs_wal_receiver_behind_seconds", "gauge",
	         "For how long WAL that has come waits to be durable.", RECEIVER_BEHIND_SECONDS},
	        {"keepfs_wal_receiver_durable_lsn", "gauge",
	         "The place of the log up to which it is durable, in bytes.", RECEIVER_DURABLE},
	        {"keepfs_wal_receiver_tails_total", "counter",
	         "Parts of segments that were stored before these were full, since the start.",
	         RECEIVER_TAILS},
	};
	struct wal_receiver_state s;

	for (size_t i = 0; has_receiver(from) && i < ARRAY_SIZE(families); i++) {
		expose_family(out, families[i].name, families[i].type, families[i].help);
		for (size_t k = 0; k < from->conf->job_count; k++)
			if (wal_receiver_state(from->wal, from->conf->jobs[k].name, &s) == 0)
				expose_number(out, families[i].name,
				              LABELS("backup_job", from->conf->jobs[k].name),
				              receiver_fact(&s, families[i].fact));
	}
}

int metrics_wal(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name, *help;
		enum wal_fact fact;
	} families[] = {
	        {"keepfs_wal_files", "Files in the WAL archive of a cluster.", WAL_FILES},
	        {"keepfs_wal_stored_bytes", "Bytes that these have in the store.", WAL_STORED},
	        {"keepfs_wal_last_archived_timestamp_seconds", "When the last of them came.", WAL_LAST},
	};
	int r = 0;

	for (size_t i = 0; has_archive(from->conf) && i < ARRAY_SIZE(families); i++) {
		expose_family(out, families[i].name, "gauge", families[i].help);
		for (size_t k = 0; r == 0 && k < from->conf->job_count; k++)
			if (wal_is_archived(&from->conf->jobs[k]))
				r = tell_wal(from, from->conf->jobs[k].name, families[i].name,
				             families[i].fact, out);
	}
	metrics_receivers(from, out);
	return r;
}
