// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The kinds of jobs that there are: whoever runs or checks a job asks here what its kind does. */
#include <keepfs/make.h>

/** kind_of() - of a job of the configuration; never NULL. */
const struct make_kind *kind_of(const struct conf_job *job);
/** kind_unknown() - heap: what of a manifest is of a kind that this keepfs does not have ("the kind \"base\""); NULL:
 * it has it. */
char *kind_unknown(const struct manifest *m);
