// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share. */
#include <keepfs/replica.h>

/** replica_claim() - from here on, until replica_end_claim(), nobody else of this process works on the replica of @path in @store, or brings it back; one
 * who does is waited for. -ECANCELED. */
int replica_claim(const char *path, uint64_t store, struct cancel *cancel, struct error *err);
void replica_end_claim(const char *path, uint64_t store);
/** replica_describe() - fill of @row what a manifest tells. */
void replica_describe(const struct manifest *m, struct catalog_replica *row);
/** replica_note() - write @row; what prevents that is logged. Returns 0, or what did. */
int replica_note(const struct replica_order *order, const struct catalog_replica *row, struct error *err);
/** replica_show() - that store has all of @m: copies/ shows it; what prevents that is logged. @anew: also when it is shown already. */
void replica_show(const struct replica_order *order, const struct manifest *m, bool anew);
