// SPDX-License-Identifier: Apache-2.0
/* status/recovery: if a restore were needed now. */
#include "cluster_recovery.h"
#include "line.h"
#include "watched.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/report/drills.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const level_words[PROOF_LEVELS] = {
        [PROOF_BYTES] = "read from the store",
        [PROOF_STRUCTURE] = "decompressed, rows counted",
        [PROOF_RESTORED] = "restored",
        [PROOF_EQUAL] = "equal",
        [PROOF_SOUND] = "sound",
        [PROOF_YOURS] = "checks passed",
        [PROOF_MOMENT] = "recovered to a moment",
};

struct recovering {
	const struct report_sources *from;
	struct spool *out;
	int result;
};

static void put_proofs(struct recovering *r, uint64_t ino)
{
	int64_t at_us[PROOF_LEVELS];
	char at[32], age[32];

	if (catalog_proofs(r->from->catalog, ino, at_us) < 0)
		return;
	for (int level = PROOF_LEVELS - 1; level >= PROOF_BYTES; level--) {
		if (at_us[level] == 0)
			continue;
		spool_appendf(r->out, "  of it proven       level %d (%s), %s, %s ago\n", level,
		              level_words[level], line_time(at_us[level], "-", at),
		              line_age(r->from->now_us - at_us[level], age));
		return;
	}
	spool_appendf(r->out, "  of it proven       nothing\n");
}

static uint64_t stored_bytes(const struct recovering *r, uint64_t ino)
{
	struct catalog_entry entry;

	return catalog_entry_by_ino(r->from->catalog, ino, &entry) == 0 ? entry.size_bytes : 0;
}

/* As many bytes a second as then. Of one that is gone the size is not known any more. */
static int64_t put_expected_time(struct recovering *r, const struct catalog_drill *last, uint64_t ino)
{
	uint64_t then = stored_bytes(r, ino_of_artifact(last->path)), now = stored_bytes(r, ino);
	int64_t expected_us = last->restore_us;
	char took[32], before[32], at[32], size[16], other[16];

	line_time(last->started_at_us, "-", at);
	if (then == now || then == 0 || now == 0) {
		spool_appendf(r->out, "  expected time      %s, as the drill of %s",
		              line_age(expected_us, took), at);
		return expected_us;
	}
	expected_us = (int64_t)((double)expected_us * ((double)now / (double)then));
	spool_appendf(r->out, "  expected time      %s for %s, by the drill of %s, which took %s for %s",
	              line_age(expected_us, took), str_format_bytes(size, sizeof(size), now), at,
	              line_age(last->restore_us, before), str_format_bytes(other, sizeof(other), then));
	return expected_us;
}

/* By the last drill of the directory that passed, or of the job. */
static void put_time(struct recovering *r, const struct watched *w, uint64_t ino)
{
	struct catalog_drill last;
	int64_t goal_us = w->job->rto_ms * 1000, expected_us;
	char goal[32];
	int found = catalog_last_drill(r->from->catalog, w->job->name, w->directory, true, &last);

	if (found == -ENOENT)
		found = catalog_last_drill(r->from->catalog, w->job->name, NULL, true, &last);
	if (found < 0 || last.restore_us == 0) {
		spool_appendf(r->out,
		              "  expected time      not known: no drill has passed yet (keepfs drill %s)\n",
		              w->job->name);
		return;
	}
	expected_us = put_expected_time(r, &last, ino);
	if (goal_us > 0)
		spool_appendf(r->out, "; goal %s: %s", line_age(goal_us, goal),
		              expected_us <= goal_us ? "met" : "NOT met");
	if (w->job->kind == CONF_JOB_CLUSTER) {
		spool_appendf(
		        r->out,
		        "\n  not in that time   WAL that has come since, and is replayed, too; waiting for the disk (fsync)\n");
		return;
	}
	spool_appendf(
	        r->out,
	        "\n  not in that time   what a restore does and a drill does not: read the whole backup before, ANALYZE after, wait for the disk (fsync)\n");
}

static void put_last_drill(struct recovering *r, const struct watched *w)
{
	struct catalog_drill last;
	char at[32];

	if (catalog_last_drill(r->from->catalog, w->job->name, w->directory, false, &last) < 0) {
		spool_appendf(r->out, "  last drill         none\n");
		return;
	}
	spool_appendf(r->out, "  last drill         %s, %s, of %s (%s): drills/%s.txt\n",
	              line_time(last.started_at_us, "-", at), drill_result_name(last.result),
	              strrchr(last.path, '/') ? strrchr(last.path, '/') + 1 : last.path, last.pick,
	              last.name);
}

static void put_expected_loss(struct recovering *r, const struct watched *w)
{
	int64_t rpo_us = w->job->rpo_ms * 1000, lost_us = r->from->now_us - w->snapshot_us;
	char lost[32], goal[32];

	spool_appendf(r->out, "  expected loss      %s", line_age(lost_us, lost));
	if (rpo_us > 0)
		spool_appendf(r->out, "; goal %s: %s", line_age(rpo_us, goal),
		              lost_us <= rpo_us ? "met" : "NOT met");
	spool_append(r->out, "\n", 1);
}

static void put_directory(void *arg, const struct watched *w)
{
	struct recovering *r = arg;
	_cleanup(free) char *path = NULL;
	uint64_t ino;
	char at[32];
	int found = catalog_newest_whole(r->from->catalog, w->directory, &ino);

	if (found < 0 && found != -ENOENT)
		r->result = found;
	if (found < 0) {
		spool_appendf(r->out, "%s%s%s\n  newest point       NONE: there is no whole backup\n",
		              w->job->name, *w->label ? " " : "", w->label);
		return;
	}
	path = catalog_path(r->from->catalog, ino);
	spool_appendf(r->out, "%s%s%s\n  newest point       %s, %s\n", w->job->name, *w->label ? " " : "",
	              w->label, line_time(w->snapshot_us, "-", at), path ? path : "?");
	put_expected_loss(r, w);
	put_time(r, w, ino);
	put_proofs(r, ino);
	put_last_drill(r, w);
}

static int put_cluster(struct recovering *r, const struct conf_job *job)
{
	_cleanup(free) char *directory = mem_printf("backups/%s", job->name);
	const struct watched w = {.job = job, .directory = directory};
	uint64_t ino;
	int found = report_cluster_recovery(r->from, job, r->out);

	if (found < 0)
		return found;
	found = catalog_newest_whole(r->from->catalog, directory, &ino);
	if (found < 0)
		return found == -ENOENT ? 0 : found;
	put_time(r, &w, ino);
	put_proofs(r, ino);
	put_last_drill(r, &w);
	return 0;
}

int report_recovery(const struct report_sources *from, struct spool *out)
{
	struct recovering r = {.from = from, .out = out};

	for (size_t i = 0; i < from->conf->job_count; i++) {
		const struct conf_job *job = &from->conf->jobs[i];
		int one = job->kind == CONF_JOB_DUMP || job->kind == CONF_JOB_BUNDLE
		                  ? watched_each(from, job, put_directory, &r)
		          : job->kind == CONF_JOB_CLUSTER ? put_cluster(&r, job)
		                                          : 0;

		if (one < 0 || r.result < 0)
			return one < 0 ? one : r.result;
	}
	return spool_error(out);
}
