// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the kernel is told without having asked: that something which it may keep for long (ATTR_FOREVER_S) is
 * not so any more. Telling it to forget a name takes its lock of the directory, and waits for whoever holds
 * that: for an rm in it which is not answered yet, for example. So these are called by no thread that still
 * has a request of that directory to answer, nor by one that such an answer waits for.
 */
#include "fs_private.h"
#include "removed.h"

/** notify_directory_changed() - have the kernel ask anew about directory @path and those above it, and what
 * mirrors them. Attributes only: no lock of a directory is waited for. Any thread that answers no request
 * now. */
void notify_directory_changed(struct fs *fs, const char *path);
/** notify_directory_removed() - have it forget the directory @path that is directly in a root, and what mirrors it. As notify_removed(). */
void notify_directory_removed(struct fs *fs, const char *path);
/** notify_links_removed() - have it forget what mirrored something that was removed. Before the rm is
 * answered, so that no link is seen after it: the directory in links/ is another, and whoever locks that
 * waits for no worker. */
void notify_links_removed(struct fs *fs, const struct removed *removed);
/** notify_removed() - have it forget what was removed, and what went with it. Whoever asked with rm gets his answer right
 * after this was queued, and the kernel holds the directory's lock until then. The next rm may have that by then, and
 * waits for a worker: so this is no worker's business, but that of fs->forgetters. */
void notify_removed(struct fs *fs, const struct removed *removed);
/** notify_rewrapped() - the files of @m have other objects, which a mount without a key shows. Any thread that answers no request now. */
void notify_rewrapped(struct fs *fs, const struct manifest *m);
