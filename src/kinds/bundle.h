// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Bundles: one artifact of what several jobs make, each by the maker of its kind.
 *
 *   bundle.c          the order of the steps; would it work now?
 *   bundle_text.c     what a bundle says of itself, for people and for programs
 *   bundle_version.c  which version of the deployment it is of
 */
#include <keepfs/make/draft.h>

/** bundle_kind - the row of kinds.c. Its manifests are of the kind BUNDLE_KIND. */
extern const struct make_kind bundle_kind;
#define BUNDLE_KIND "bundle"

/** The facts of a bundle. */
#define BUNDLE_FACT_NAME    "deployment"
#define BUNDLE_FACT_VERSION "deployment_version"
#define BUNDLE_FACT_HOST    "host"

struct bundle_missing {  /* a part of which nothing is there, and that is as it should be */
	char *job, *why; /* heap */
};

struct bundle {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf *conf; /* in which the parts are looked up */
	struct draft *draft;
	struct rate *rate; /* that all parts share; NULL: each has its own */
	struct bundle_missing *missing;
	size_t missing_count;
};

/** bundle_put_texts() - MANIFEST.txt and MANIFEST.json, when all parts are made. */
int bundle_put_texts(const struct bundle *b, struct error *err);
/**
 * bundle_version() - the version of the deployment, by the command or file of @job: one line, at most 200 bytes, of what can be shown
 * @ret: heap; NULL: nothing is configured
 * Blocks for a minute at most. A failure names the key.
 */
int bundle_version(const struct conf_job *job, struct cancel *cancel, char **ret, struct error *err);
/** bundle_version_line() - the first line of @text as it is shown: without white space at its ends and control characters, cut. -EINVAL: there is nothing in it. Pure. */
int bundle_version_line(const char *text, size_t len, char **ret);
