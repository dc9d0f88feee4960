// SPDX-License-Identifier: Apache-2.0
/* WAL archives. */
#include "cluster_recovery.h"
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

/* What can be recovered. */
enum recovery_fact {
	RECOVERY_NEWEST,
	RECOVERY_OLDEST,
	RECOVERY_MISSING,
	RECOVERY_UNREAD,
	RECOVERY_WAITING,
	RECOVERY_BEHIND
};

static int add_missing_segments(void *arg, const struct recovery_gap *g)
{
	uint64_t *missing = arg;

	if (g->blocks_newest && !g->is_cut)
		*missing += g->last - g->first + 1;
	return 0;
}

static uint64_t count_missing(const struct cluster_recovery *c)
{
	uint64_t missing = 0;

	recovery_each_gap(&c->facts, add_missing_segments, &missing);
	return missing;
}

static uint64_t count_unread_segments(const struct cluster_recovery *c)
{
	uint64_t unread = 0;

	for (size_t i = 0; i < c->view.window_count; i++)
		unread += c->view.windows[i].unknown;
	return unread;
}

/* False: there is nothing to tell. */
static bool tell_server(const struct report_sources *from, const char *job, const struct cluster_recovery *c,
                        enum recovery_fact fact, uint64_t *ret)
{
	struct wal_server_state state;
	uint64_t bytes;

	if (!from->wal || !wal_server_state(from->wal, job, &state))
		return false;
	*ret = state.waiting;
	return fact == RECOVERY_WAITING || (cluster_behind(c, &state, &bytes) && (*ret = bytes, true));
}

static bool recovery_fact_of(const struct report_sources *from, const char *job,
                             const struct cluster_recovery *c, enum recovery_fact fact, uint64_t *ret)
{
	switch (fact) {
	case RECOVERY_NEWEST:
		if (!c->newest)
			return false;
		*ret = (uint64_t)((c->newest->to_us > c->newest->from_us ? c->newest->to_us
		                                                         : c->newest->from_us) /
		                  US_PER_S);
		return true;
	case RECOVERY_OLDEST:
		*ret = c->oldest ? (uint64_t)(c->oldest->from_us / US_PER_S) : 0;
		return c->oldest;
	case RECOVERY_MISSING:
		*ret = count_missing(c);
		return true;
	case RECOVERY_UNREAD:
		*ret = count_unread_segments(c);
		return true;
	case RECOVERY_WAITING:
	case RECOVERY_BEHIND:
		break;
	}
	return tell_server(from, job, c, fact, ret);
}

static int metrics_recovery(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name, *help;
		enum recovery_fact fact;
	} families[] = {
	        {"keepfs_recovery_newest_timestamp_seconds",
	         "The newest moment of a cluster that can be recovered: its last commit that has come.",
	         RECOVERY_NEWEST},
	        {"keepfs_recovery_oldest_timestamp_seconds", "The oldest such moment.", RECOVERY_OLDEST},
	        {"keepfs_wal_missing_segments",
	         "Segments that are missing, so that what came later cannot be recovered.", RECOVERY_MISSING},
	        {"keepfs_wal_unread_segments", "Segments of which it is not known yet what is in them.",
	         RECOVERY_UNREAD},
	        {"keepfs_wal_waiting_segments",
	         "Whole segments that the server has written, and that have not come.", RECOVERY_WAITING},
	        {"keepfs_wal_behind_bytes", "Bytes that the server has written, and that have not come.",
	         RECOVERY_BEHIND},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++) {
		expose_family(out, families[i].name, "gauge", families[i].help);
		for (size_t k = 0; r == 0 && k < from->conf->job_count; k++) {
			_cleanup(cluster_recovery) struct cluster_recovery c = {0};
			const struct conf_job *job = &from->conf->jobs[k];
			uint64_t number;

			if (!wal_is_archived(job))
				continue;
			r = cluster_recovery_gather(from, job->name, &c);
			if (r == 0 && recovery_fact_of(from, job->name, &c, families[i].fact, &number))
				expose_number(out, families[i].name, LABELS("backup_job", job->name), number);
		}
	}
	return r;
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
	if (r == 0 && has_archive(from->conf))
		r = metrics_recovery(from, out);
	metrics_receivers(from, out);
	if (r == 0 && has_archive(from->conf))
		r = metrics_wal_kept(from, out);
	return r;
}
