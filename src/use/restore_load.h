// SPDX-License-Identifier: Apache-2.0
#pragma once
/** One loader: a session, and what it reads from the store. One thread. */
#include "restore_cut.h"
#include "restore_data.h"

struct load_options { /* borrowed */
	const struct restore_data *data;
	struct cancel *cancel;
};

struct load_totals {
	uint64_t rows, bytes, errors;
};

struct loader;
int loader_new(const struct load_options *options, struct loader **ret, struct error *err);
struct loader *loader_free(struct loader *l);
DEFINE_CLEANUP(loader, struct loader *, loader_free)
/** loader_load() - the entries from @first to @last, which follow one another in the archive. */
int loader_load(struct loader *l, size_t first, size_t last, struct error *err);
/** loader_load_part() - a part of a table; @ret: what it holds, which the caller holds against the whole. */
int loader_load_part(struct loader *l, const struct restore_piece *piece, struct rows *ret,
                     struct error *err);
/** loader_check_parts() - what all parts of an entry hold, added up, against what was counted when the backup was made. */
int loader_check_parts(struct loader *l, size_t entry, const struct rows *found, struct error *err);
void loader_add_totals(const struct loader *l, struct load_totals *io);
