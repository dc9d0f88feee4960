// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The object of a pack, for a reader: see runs_object.c. */
#include <keepfs/mirror/runs.h>

/** pack_object_open() - of the artifact @path, as the catalog knows it, or its manifest in the store; as runs_packs.open(). */
int pack_object_open(struct repository *repository, struct reader *reader, const char *path,
                     struct cancel *cancel, struct runs_object *ret, struct error *err);
