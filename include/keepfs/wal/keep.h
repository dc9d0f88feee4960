// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * WAL archives are kept as long as somebody needs them, and no longer: what policy says of them (keepfs/policy/wal_keep.h), told and carried out.
 *
 *   wal_survey()           which files nobody needs; asks the catalog alone
 *   wal_keep_carry_out()   these go, the oldest first
 *   wal_keep_command()     what control/prune says of archives, and does
 *
 * A file goes at once, and not into the trash: it is needed by base backups alone, and as long as one of them is in the trash it keeps what makes it consistent.
 * A survey holds what prune_plan() does for the base backups of the cluster, and nothing for each file.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/wal_keep.h>
#include <keepfs/conf.h>
#include <keepfs/prune.h>

/** struct wal_survey - of one archive: what is there, and what may go. */
struct wal_survey {
	const struct conf_job *job; /* borrowed */
	uint64_t files, stored_bytes;
	uint64_t locked;             /* files that nobody needs, and that the store lets nobody delete yet */
	struct catalog_wal_sum goes; /* of all stretches together */
	struct catalog_wal_stretch *stretches; /* heap; in the order in which they go */
	size_t count;
	char base[512]; /* the oldest base backup from which on all is kept; "": none */
	int64_t since_us; /* from when on any moment can be reached, as far as there is no gap; 0: there is no base */
	bool is_short;     /* no base is as old as the window */
	uint32_t unjudged; /* the newest timeline whose history is not known, but would have to be; 0: none */
	int64_t window_us; /* in force; 0: as long as there are bases */
	int64_t shorter_until_us;     /* a shorter one is configured, and is in force then; 0: none is */
	struct catalog_wal_kept kept; /* what was decided last */
	bool is_doubtful;             /* the clock is */
	char why[512];                /* nothing may go now; "" */
};
/** wal_survey() - of @job, which has an archive. Does not ask the store. @ret: the caller's wal_survey_finish(). */
int wal_survey(const struct prune *p, const struct conf_job *job, struct wal_survey *ret, struct error *err);
void wal_survey_finish(struct wal_survey *s);
static inline void cleanup_wal_survey(struct wal_survey *s)
{
	wal_survey_finish(s);
}
/** wal_survey_append() - in one line, without its end: what is there, from when on it serves, what goes. */
void wal_survey_append(const struct wal_survey *s, struct str *out);

struct wal_keep_order {
	const char *by; /* for the audit: "retention" */
	bool (*stop)(
	        void *arg); /* asked between two batches; NULL: nobody wants that. What is left goes the next time */
	void *arg;
	struct cancel *cancel; /* NULL: none */
};
struct wal_keep_outcome {
	uint64_t files, stored_bytes;
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES]; /* of what went; "" */
	char why[512];                                    /* not all, or nothing, went; "" */
};
/**
 * wal_keep_carry_out() - what may go of @job's archive goes
 *
 * The store is asked before whether it has all base backups that are listed, and none that is not; and nothing goes by a clock that is doubtful. Each batch is noted as going, removed from the store, and struck from the catalog with a line
 * of the audit; what a crash leaves is finished at the next start, or the next time. Blocks on the store. Return: 0, also when something
 * stays (@ret says why); the catalog's, or the store's, failure.
 */
int wal_keep_carry_out(const struct prune *p, const struct conf_job *job, const struct wal_keep_order *order,
                       struct wal_keep_outcome *ret, struct error *err);
/** wal_keep_append_outcome() - what went, and why not more, in one line without its end; nothing when there is nothing to say. */
void wal_keep_append_outcome(const struct wal_keep_outcome *o, struct str *out);
/** wal_keep_all() - the same for all archives, as "retention"; what goes wrong is in the log alone. @cancel NULL: until the archives end. */
void wal_keep_all(const struct prune *p, struct cancel *cancel);
/** wal_finish_removals() - what was going is removed, of all archives. Blocks on the store. */
int wal_finish_removals(struct repository *repository, struct cancel *cancel, struct error *err);
/** wal_keep_command() - behind prune_command(), with the same @text, which that has understood: a line for each archive that it is about, or in an answer of JSON the member "wal". What is to be carried out is. */
int wal_keep_command(const struct prune *p, const char *text, const char *by, struct str *answer,
                     struct error *err);
