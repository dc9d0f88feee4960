// SPDX-License-Identifier: Apache-2.0
/* What servers keep of WAL that has not come, and how far copies of it in further stores are behind. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/clock.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/wal_copies.h>
#include <keepfs/wal.h>

/* Servers. */

enum keeping_fact { KEEPING_FAILING, KEEPING_FAILED, KEEPING_SAFE };

static bool keeping_fact_of(const struct pg_wal_keeping *k, enum keeping_fact fact, uint64_t *ret)
{
	switch (fact) {
	case KEEPING_FAILING:
		*ret = k->is_failing;
		return true;
	case KEEPING_FAILED:
		*ret = k->failed_count;
		return true;
	default:
		*ret = k->safe_bytes > 0 ? (uint64_t)k->safe_bytes : 0;
		return k->has_slot && k->has_limit;
	}
}

static void metrics_keeping(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name, *type, *help;
		enum keeping_fact fact;
	} families[] = {
	        {"keepfs_wal_archiver_failing", "gauge",
	         "1 when archive_command of the server failed the last time, else 0.", KEEPING_FAILING},
	        {"keepfs_wal_archiver_failed_total", "counter",
	         "Times that it has failed, as the server counts (pg_stat_archiver).", KEEPING_FAILED},
	        {"keepfs_wal_slot_safe_bytes", "gauge",
	         "WAL that the server may still write before it removes what was not streamed; without max_slot_wal_keep_size there is none.",
	         KEEPING_SAFE},
	};

	for (size_t i = 0; from->wal && i < ARRAY_SIZE(families); i++) {
		expose_family(out, families[i].name, families[i].type, families[i].help);
		for (size_t k = 0; k < from->conf->job_count; k++) {
			const char *job = from->conf->jobs[k].name;
			struct wal_server_state state;
			uint64_t number;

			if (wal_is_archived(&from->conf->jobs[k]) &&
			    wal_server_state(from->wal, job, &state) && state.has_keeping &&
			    keeping_fact_of(&state.keeping, families[i].fact, &number))
				expose_number(out, families[i].name, LABELS("backup_job", job), number);
		}
	}
}

/* Copies. */

enum wal_copy_fact { WAL_COPY_FILES, WAL_COPY_BYTES, WAL_COPY_SECONDS };

struct exposing_copies {
	const struct report_sources *from;
	const struct conf_job *job;
	const char *family;
	enum wal_copy_fact fact;
	struct spool *out;
};

static int expose_wal_copy(void *arg, const struct catalog_wal_copy *copy)
{
	const struct exposing_copies *e = arg;
	_cleanup(catalog_store) struct catalog_store at = {0};
	int64_t behind_us = copy->oldest_us ? e->from->now_us - copy->oldest_us : 0;

	if (catalog_get_store(e->from->catalog, copy->store, &at) < 0 || !conf_has_copies(e->job, at.name))
		return 0;
	expose_number(e->out, e->family, LABELS("backup_job", e->job->name, "store", at.name),
	              e->fact == WAL_COPY_FILES   ? copy->files
	              : e->fact == WAL_COPY_BYTES ? copy->stored_bytes
	                                          : (uint64_t)(behind_us > 0 ? behind_us / US_PER_S : 0));
	return 0;
}

static bool has_copied_archive(const struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (wal_is_archived(&conf->jobs[i]) && conf->jobs[i].copies && conf->jobs[i].copies[0])
			return true;
	return false;
}

static int metrics_wal_copies(const struct report_sources *from, struct spool *out)
{
	static const struct {
		const char *name, *help;
		enum wal_copy_fact fact;
	} families[] = {
	        {"keepfs_wal_copy_waiting_files", "Files of WAL that a further store has not got yet.",
	         WAL_COPY_FILES},
	        {"keepfs_wal_copy_waiting_bytes", "Bytes that these have in [store].", WAL_COPY_BYTES},
	        {"keepfs_wal_copy_behind_seconds",
	         "How long ago the first of these came: so much would be lost with [store].",
	         WAL_COPY_SECONDS},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && has_copied_archive(from->conf) && i < ARRAY_SIZE(families); i++) {
		struct exposing_copies e = {
		        .from = from, .family = families[i].name, .fact = families[i].fact, .out = out};

		expose_family(out, families[i].name, "gauge", families[i].help);
		for (size_t k = 0; r == 0 && k < from->conf->job_count; k++) {
			e.job = &from->conf->jobs[k];
			if (wal_is_archived(e.job))
				r = catalog_wal_copies(from->catalog, e.job->name, expose_wal_copy, &e);
		}
	}
	return r;
}

int metrics_wal_kept(const struct report_sources *from, struct spool *out)
{
	metrics_keeping(from, out);
	return metrics_wal_copies(from, out);
}
