// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <keepfs/base/error.h>
#include <keepfs/conf.h>

/** own_places_check() - would a mount on @mountpoint (absolute) hide a directory that keepfs itself needs, or lie in one
 * that is keepfs's alone? Directories are compared by what they are, whatever links and bind mounts lead to them, and
 * need not exist yet. 0, or -EINVAL with @err. Blocks on the local disk only. */
int own_places_check(const struct conf *conf, const char *mountpoint, struct error *err);
