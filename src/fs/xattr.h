// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the extended attributes user.keepfs.… of a node are made from. */
#include <keepfs/catalog/classes.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/codec/manifest.h>

struct facts { /* zeroed before it is filled; the manifest is finished by whoever asked, on failure, too */
	struct manifest manifest;      /* of the artifact */
	char sha256[SHA256_HEX_BYTES]; /* "": not known */
	uint64_t stored_bytes;
	char stored_sha256[SHA256_HEX_BYTES]; /* of what is encrypted; "": it is not, or it is not known */
	struct catalog_hold holds[CATALOG_HOLDS_MAX];
	size_t hold_count;
	int64_t proven_at_us[PROOF_LEVELS]; /* 0: it was not */
	char *store; /* which one has it, for people; NULL or "": the store of all; heap, as the manifest */
	char *copies; /* "primary:whole, offsite:copying 43%"; NULL: no further store has or is to have it; heap, as the manifest */
	struct catalog_class storage_class; /* of the artifact; name "": it is not known */
	bool for_admin;                     /* of a tenant: who is told the least */
	bool for_names; /* set before it is filled: the attributes are listed, and none was asked for by its name */
	bool is_one_of_many; /* only what it does not share with others is listed: cp -a asks twice for each name */
	bool damaged;        /* of a file in a directory: that one or another of it */
};
