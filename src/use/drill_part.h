// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is no database, restored for a trial: an archive of files, be it a backup of its own or a part of a bundle, and a mirror that is such a part.
 */
#include "drill.h"

struct drill_part {
	struct drill *d;       /* borrowed, as the next ones: of the whole */
	struct backup *backup; /* which is d->backup where that is no bundle */
	const char *name;      /* for people: "config.tar.zst" */
	bool is_secret;
	const char *place; /* where mirrors are brought back; NULL: they are read only */
	/* What came of it. */
	const char *how; /* "unpacked", "opened", "brought back", "read": static; NULL: nothing did */
	int level;       /* enum proof_level; -1: nothing was proven */
	uint64_t count, bytes;
	int64_t restore_us; /* 0: it was not restored, but read */
};

/**
 * drill_part_files() - unpack an archive into a directory that nobody else can enter, hold what is there against it, and remove it again
 *
 * What is secret is opened and read to its end, and never written. Return: 0, also when what was unpacked is otherwise (drill_differs()); negative: it could not be unpacked, or read.
 */
int drill_part_files(struct drill_part *p, struct error *err);
/** drill_part_mirror() - bring a mirror back into p->place, read it there, and remove it again; without a place each object is read from the store. As drill_part_files(). */
int drill_part_mirror(struct drill_part *p, struct error *err);
