// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Between unpack.c, which has the thread, and what it does with each entry.
 *
 *   feed.c     bytes from the thread that has them to the one that wants them
 *   untar.c    bytes into entries: libarchive
 *   tree.c     the directory, by descriptors
 *   put.c      owners, modes, times, attributes
 *   order.c    is every directory before what is in it?
 *   compare.c  an entry held against what is there
 *   extract.c  an entry written, by way of the stage (stage.c)
 */
#include "put.h"
#include "tree.h"
#include "untar.h"

#include <keepfs/files/unpack.h>

struct files_unpack {
	const struct files_unpack_options *options;
	struct files_comparison *comparison;  /* that is being found out; NULL */
	const struct files_comparison *known; /* of an extraction */
	struct files_outcome *outcome;
	struct feed feed;
	struct untar *untar;
	struct tree tree; /* root -1: the directory is not there */
	struct put put;
	struct str above; /* the directory of the entry, all of whose parents were in the archive */
	bool *found;      /* by the place in options->paths */
	pthread_t thread;
	bool is_running, is_joined;
	int result; /* of the thread, once the feed is closed */
	struct error error;
	struct comparing *comparing;
	struct extracting *extracting;
};

/** unpack_check_order() - @e's directory was there before it. -EPERM. */
int unpack_check_order(struct files_unpack *u, const struct untar_entry *e, struct error *err);
/** unpack_is_cancelled() - -ECANCELED. */
int unpack_is_cancelled(const struct files_unpack *u, struct error *err);

/** comparing_new() - with the directory open. */
struct comparing *comparing_new(struct files_unpack *u);
struct comparing *comparing_free(struct comparing *c);
int comparing_entry(struct comparing *c, const struct untar_entry *e, struct error *err);
/** comparing_end() - look for what else is there. */
int comparing_end(struct comparing *c, struct error *err);

/** extracting_begin() - make the directory, and the stage. */
int extracting_begin(struct files_unpack *u, struct extracting **ret, struct error *err);
int extracting_entry(struct extracting *x, const struct untar_entry *e, struct error *err);
/** extracting_end() - @r: how it went so far. Directories get their attributes, the stage goes. Frees @x. */
int extracting_end(struct extracting *x, int r, struct error *err);
