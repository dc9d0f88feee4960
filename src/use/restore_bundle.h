// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A whole deployment, brought back from one bundle. Its parts are restored by what restores such backups by themselves; what is added here is the order, and that
 * nothing is touched before all of it was read and is right:
 *
 *   restore_bundle.c        the steps, the hooks, what is where when one fails
 *   restore_bundle_parts.c  one part: where it goes to, and how
 *   restore_bundle_tell.c   what the bundle holds, and what it lacks
 *   restore_healthy.c       the health checks at the end
 *
 * Order: databases, mirrors, archives, archives that are secret.
 */
#include "restore_files.h"
#include "restore_target.h"

/** RESTORE_BUNDLE_KIND - of manifests; and the facts of one that are told. */
#define RESTORE_BUNDLE_KIND    "bundle"
#define RESTORE_BUNDLE_VERSION "deployment_version"
#define RESTORE_BUNDLE_HOST    "host"

enum restore_part_kind {
	RESTORE_PART_DATABASE,
	RESTORE_PART_MIRROR,
	RESTORE_PART_ARCHIVE,
	RESTORE_PART_SECRET,
	RESTORE_PART_OTHER, /* what this keepfs does not know */
};
#define RESTORE_PART_KINDS (RESTORE_PART_OTHER + 1)

struct restore_whole {
	const struct restore_target *t; /* borrowed: ctx, order, wanted, backup (the bundle), copy */
	const struct conf *conf;
	const struct conf_job *job; /* that has made it; NULL: the configuration has none of that name */
	const char *name;           /* of the deployment */
	struct str places;          /* what is changed, for people */
	struct str claims;          /* lines: make_target.claim */
	struct str urls;            /* lines: where mirrors go */
	struct str done;            /* parts that were restored */
	uint64_t chosen;            /* parts, when it was looked at first; 0: it was not */
	uint64_t visited;           /* parts, by the walk that is under way: restore_part_each() adds to it */
	uint64_t restored, left_out;
	bool has_changed; /* something of the deployment is not as it was */
};

/** struct restore_part - one of the bundle, while something is done with it. */
struct restore_part {
	struct restore_whole *whole;
	struct catalog_part at;
	char *stem; /* "database", "tenants/acme": how words name it */
	enum restore_part_kind kind;
	struct backup backup;
	struct restore_order
	        wanted; /* that of the whole, as it is for this one; what it points to is borrowed, but for: */
	char *to;       /* of an archive */
};

/** restore_part_kind() - what a part is, by its kind and whether its file is secret. Negative: the catalog cannot say; a part that was taken for a secret one
 * would be passed over, and the rest be told as all of it. */
int restore_part_kind(struct catalog *c, const struct catalog_part *at, enum restore_part_kind *ret);
/** restore_part_each() - call @each with each part of @kind that was chosen, open, in the order of the bundle; what it returns ends it, if it is not 0. */
int restore_part_each(struct restore_whole *w, enum restore_part_kind kind,
                      int (*each)(struct restore_part *p, struct error *err), struct error *err);
/** restore_part_check_words() - -EINVAL: words name a part that it has not, or are of single backups. */
int restore_part_check_words(const struct restore_whole *w, struct error *err);
/** restore_part_look() - where it goes to, and whether that can be: w->places and w->claims get it. Changes nothing, and reads none of its bytes. */
int restore_part_look(struct restore_part *p, struct error *err);
/** restore_part_plan() - tell what would be done with it; an archive is read for it. Negative: it cannot be restored as it was asked for. */
int restore_part_plan(struct restore_part *p, struct error *err);
/** restore_part_restore() - do it. w->has_changed is set when something was changed, also when it fails. */
int restore_part_restore(struct restore_part *p, struct error *err);

/** restore_bundle_is() - is @b, which is open, a bundle? */
bool restore_bundle_is(const struct backup *b);
/** restore_bundle_accept() - as prepare() does of one backup: -EINVAL with what is wrong, or that the name of the deployment is to be given. Fills @io_target. */
int restore_bundle_accept(const struct restore_target *t, struct make_target *io_target, struct error *err);
/** restore_bundle_run() - all of it. @err says what is where when it fails. */
int restore_bundle_run(const struct restore_target *t, struct error *err);

/** restore_bundle_tell() - what it is, what it holds, what it lacks, and what goes before and after, as lines for the log. */
void restore_bundle_tell(struct restore_whole *w);

/** restore_healthy() - run the health checks of the deployment, each until it is well or its time is over. All are run; the first that failed is told by @err. */
int restore_healthy(const struct restore_whole *w, struct error *err);
