// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Files that keepfs keeps for itself by a name: the catalog, its lock, the log, the disk cache. They hold what databases
 * said, and decide what is listed, so they are written only where nobody else has a hand in them: in a directory of ours
 * (or root's) that others cannot write in, or where the sticky bit keeps them from our files; as regular files of ours,
 * for us alone, and no symbolic link is followed to them.
 *
 * All block on the local disk. What is refused is -EPERM (ERROR_DENIED) with the reason; `advice` says what to do then,
 * and follows a semicolon: "move it away, or name another [keepfs] state_dir".
 */
#include <keepfs/base/error.h>

/** own_directory_open() - open the directory, and look at whose it is
 * @what: "state directory"
 *
 * Return: a descriptor; negative errno. The path may lead over links, since whoever configured it
 * chose them; but its last part over none that another user than root or we has made. */
int own_directory_open(const char *path, const char *what, const char *advice, struct error *err);
/** own_file_open() - open @name in it, with O_CREAT as a new file of mode 0600; what is there becomes 0600
 * @dir_fd: of own_directory_open(), of @dir
 *
 * Return: a descriptor; negative errno. */
int own_file_open(int dir_fd, const char *dir, const char *name, int flags, const char *advice,
                  struct error *err);
/** own_file_check() - the same of a file that another library will open by its name. It is not opened here: closing it
 * would drop the locks that this process has on it. Return: 0; -ENOENT, without @err; another negative errno. */
int own_file_check(int dir_fd, const char *dir, const char *name, const char *advice, struct error *err);
