// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Who the tenants are is learned beside the runs (keepfs/export/learner.h), and the kernel is told. */
#include "fs_private.h"

/** tenants_begin() - of a mount that serves. 0, also where there is nobody to ask. */
int tenants_begin(struct fs *fs, struct error *err);
/** tenants_run_ended() - any thread, at any time; never blocks. */
void tenants_run_ended(struct fs *fs);
/** tenants_end() - blocks briefly. Idempotent. */
void tenants_end(struct fs *fs);
