// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of one run share: make.c, walk.c. */
#include "copying.h"
#include "late.h"
#include "mirror_private.h"

#define NAMES_TOLD 5 /* of objects that cannot be read */

struct mirror_counts {
	uint64_t new, changed_before, unchanged, changed, vanished, unreadable, anew;
};

struct mirror {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_mirror *conf;
	struct store_call call;
	struct draft *draft;
	struct source *source;
	struct source_list *list;
	struct base base;
	struct rests rests;
	struct fetch *fetch;
	struct packer *packer;
	struct spool *spool; /* of the listing */
	struct listing_writer *listing;
	struct used used;
	struct mirror_counts counts;
	struct str unreadable;         /* the first of them */
	struct fetched_object *partly; /* of which pieces are still to be asked for; owned by its pieces */
	uint64_t partly_at;
	bool list_is_over;
	struct source_object held; /* listed, and not asked for yet; key NULL: none */
	struct copying copying;
	struct late late;
};

/** mirror_walk() - until all of the source is in packs, or known: its listing is written, but for what `late` still has. */
int mirror_walk(struct mirror *m, struct error *err);
/** mirror_told_copied() - struct packs_told. */
int mirror_told_copied(void *arg, const struct listing_entry *e, const struct str *line, struct error *err);
