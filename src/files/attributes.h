// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Extended attributes and ACLs, as records of an archive. */
#include <keepfs/base/str.h>

#define ATTRIBUTE_BYTES                                                                                      \
	((size_t)64 << 10) /* Linux' bound of a list and of a value: XATTR_LIST_MAX, XATTR_SIZE_MAX */

struct attributes { /* where they are read; several MiB on no stack */
	char names[ATTRIBUTE_BYTES];
	char value[ATTRIBUTE_BYTES];
};

/**
 * attributes_append() - append what the file behind @fd (it may be one of O_PATH, of any kind) has
 * ACLs have numbers instead of names: GNU tar refuses a whole ACL when one of its names is unknown where it is restored.
 * Attributes "system.*" but the ACLs belong to one file system and are left out, as rsync does.
 * Return: 0, also where the file system has none; negative errno.
 */
int attributes_append(struct attributes *a, int fd, struct str *records);
/** acl_append_text() - an ACL as Linux hands it out, as "user::rwx,user:1001:r-x,…"; -EBADMSG when it is none. */
int acl_append_text(struct str *out, const void *acl, size_t len);
