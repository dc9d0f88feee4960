// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Jobs that archive directories, between the reading (keepfs/files.h) and the draft.
 *
 *   target.c  what a run makes an archive of
 *   make.c    one archive: read, compressed, put into the store, published
 *   probe.c   would it work now?
 */
#include <keepfs/files.h>
#include <keepfs/make.h>

/** files_accepts(), files_targets(), files_make(), files_check() - of struct make_kind. */
int files_accepts(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_wanted *wanted, struct error *err);
int files_targets(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_wanted *wanted, struct make_targets *ret, struct error *err);
int files_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
               struct error *err);
void files_look_around(const struct make_context *ctx, const struct conf_job *job,
                       const struct make_target *made, struct cancel *cancel);
void files_check(const struct make_context *ctx, const struct conf_job *job,
                 const struct make_findings *findings);
