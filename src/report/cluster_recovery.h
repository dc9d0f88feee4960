// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What can be recovered of a cluster, as texts, health and metrics tell it alike. */
#include <keepfs/catalog/wal_places.h>
#include <keepfs/policy/recovery.h>
#include <keepfs/report/status.h>

struct cluster_recovery {
	struct recovery_facts facts; /* asks the catalog */
	struct recovery_view view;
	const struct recovery_window *newest; /* of @view; NULL: nothing can be recovered */
	const struct recovery_window *oldest; /* the same */
	uint64_t files, stored_bytes;
	struct catalog_wal last; /* that came; id 0: none has */
};

/** cluster_recovery_gather() - of [cluster @job]; 0, or negative errno of the catalog. cluster_recovery_finish() follows in any case. */
int cluster_recovery_gather(const struct report_sources *from, const char *job, struct cluster_recovery *ret);
void cluster_recovery_finish(struct cluster_recovery *c);
static inline void cleanup_cluster_recovery(struct cluster_recovery *c)
{
	cluster_recovery_finish(c);
}
/** cluster_base_name() - how a base is called: the last part of its path; borrowed. */
const char *cluster_base_name(const struct recovery_base *b);
struct wal_server_state;
/** cluster_behind() - how many bytes the server has written that have not come; false: that cannot be told. */
bool cluster_behind(const struct cluster_recovery *c, const struct wal_server_state *server,
                    uint64_t *ret_bytes);
/** CLUSTER_POINTS, CLUSTER_GAPS - so many restore points and gaps are told of. */
#define CLUSTER_POINTS 20
#define CLUSTER_GAPS   20

/** report_cluster_recovery() - the section of status/recovery. */
int report_cluster_recovery(const struct report_sources *from, const struct conf_job *job, struct spool *out);
