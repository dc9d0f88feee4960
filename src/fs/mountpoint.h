// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The directory that is mounted on: what is there before, and taking a mount away. None of these asks the file
 * system that is mounted there for more than its root, since its daemon may have gone; and none sets off an
 * automount, which would wait for the very mount that is being made. Any thread.
 */
#include <keepfs/base/error.h>

#include <stdbool.h>

#define MOUNT_DEVICE_BYTES 32

/** mountpoint_prepare() - take a mount away whose daemon has gone, or make the directory when it is missing, or see that
 * it is an empty one. @nonempty: it may hold something, which is hidden then. @err says what is in the way. */
int mountpoint_prepare(const char *mountpoint, bool nonempty, struct error *err);
/** mountpoint_find() - the mount on top of @mountpoint (absolute, without links): its device ("0:57"), and whether it is
 * one of keepfs; -ENOENT: nothing is mounted there. */
int mountpoint_find(const char *mountpoint, char ret_device[static MOUNT_DEVICE_BYTES], bool *ret_keepfs);
/** mountpoint_detach() - unmount lazily: open files cannot hold it up. */
void mountpoint_detach(const char *mountpoint);
