// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the table of sections knows of each kind of job. Pure. */
#include "clash.h"

#include <keepfs/conf.h>

/** conf_dump_check() - call @told for each contradiction between the keys of a job that dumps (a struct conf_job). */
void conf_dump_check(const void *base, const struct conf_clashes *clashes);
/** conf_dump_takes_everything() - is a dump by @job a whole one? */
bool conf_dump_takes_everything(const struct conf_job *job);

/** The same for a job that archives a directory. */
void conf_files_check(const void *base, const struct conf_clashes *clashes);
bool conf_files_takes_everything(const struct conf_job *job);

/** The same for a job that makes one backup of several jobs. */
void conf_bundle_check(const void *base, const struct conf_clashes *clashes);
bool conf_bundle_takes_everything(const struct conf_job *job);

/** The same for the job that exports tenants. */
void conf_export_check(const void *base, const struct conf_clashes *clashes);
bool conf_export_takes_everything(const struct conf_job *job);

/** The same for a job that mirrors a bucket. */
void conf_mirror_check(const void *base, const struct conf_clashes *clashes);
bool conf_mirror_takes_everything(const struct conf_job *job);

/** The same for a directory into which files are written. */
void conf_inbox_check(const void *base, const struct conf_clashes *clashes);
bool conf_inbox_takes_everything(const struct conf_job *job);

/** The same for a job that is about a whole server. */
void conf_cluster_check(const void *base, const struct conf_clashes *clashes);
bool conf_cluster_takes_everything(const struct conf_job *job);

/** conf_job_is_scheduled() - by a key of its own section. */
bool conf_job_is_scheduled(const struct conf_job *job);

/** conf_named_store_check() - the same of a [store NAME]. */
void conf_named_store_check(const void *base, const struct conf_clashes *clashes);

/** conf_encryption_check() - the same of for whom something is encrypted, in a job or in [keepfs]. */
void conf_encryption_check(const struct conf_encryption *e, const struct conf_clashes *clashes);
/** conf_keepfs_check() - the same of [keepfs]. */
void conf_keepfs_check(const void *base, const struct conf_clashes *clashes);
/** conf_policy_check() - the same of the policy that a job or a class begins with. */
void conf_policy_check(const void *base, const struct conf_clashes *clashes);
