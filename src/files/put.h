// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What belongs to a file beside its content (owner, mode, time of change, extended attributes, ACLs): given to one, or compared with
 * what one has. */
#include "attributes.h"
#include "owner_ids.h"
#include "untar.h"

#include <sys/stat.h>

struct put {              /* how it is done here; in the caller's memory, zero at first */
	bool sets_owners; /* we are root; else files belong to whoever restores, and setuid and setgid are left away */
	bool by_number; /* owners are the numbers of the archive, whatever their names are here */
	struct owner_ids ids;
	struct attributes room;
};

struct put_wanted {
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permissions */
	bool is_symlink;
	struct timespec mtime;
	struct untar_attribute *attributes;
	size_t attribute_count;
};

/** put_wanted() - what a file that is made from @e has to have here. @e's attributes are borrowed. */
struct put_wanted put_wanted(struct put *p, const struct untar_entry *e);
/** put_wanted_copy() - the same with attributes of its own, for put_wanted_finish(). */
struct put_wanted put_wanted_copy(const struct put_wanted *w);
void put_wanted_finish(struct put_wanted *w);
/**
 * put_apply() - @fd: of O_PATH, or any
 * Return: 0; 1: all but what this file system, or the rights of this process, do not take, *@ret_errnum says why; negative errno.
 */
int put_apply(struct put *p, int fd, const struct put_wanted *w, int *ret_errnum);
/** put_difference() - static: what of it @fd (of O_PATH) has otherwise ("owner", "mode", …); NULL: nothing. @without_time: that does not count. */
const char *put_difference(struct put *p, int fd, const struct stat *st, const struct put_wanted *w,
                           bool without_time);
