// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A run of a cluster's job.
 *
 *   make.c   what one run makes
 *   probe.c  would it work?
 */
#include <keepfs/make.h>

void cluster_check(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_findings *findings);
