// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * An archive, entry by entry: what libarchive reads from a feed, with paths in normal form and whatever would lead out of the tree
 * refused. No name is converted: they are bytes, as they were when the archive was made. One thread.
 */
#include "feed.h"

#include <keepfs/base/error.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum untar_kind { UNTAR_FILE, UNTAR_DIRECTORY, UNTAR_SYMLINK, UNTAR_HARD_LINK, UNTAR_SPECIAL };

struct untar_attribute { /* an extended attribute; an ACL is one, as Linux takes it ("system.posix_acl_access") */
	char *name;
	void *value;
	size_t bytes;
};

struct untar_entry {      /* borrowed until the next one */
	uint64_t number;  /* in the archive, from 0 */
	const char *path; /* normal (keepfs/files/tree_path.h); "" is the tree itself */
	enum untar_kind kind;
	const char *link; /* of a symbolic link, as it is; of a hard link the normal path of the file */
	mode_t mode;      /* with the type */
	dev_t device;     /* of a device */
	uid_t uid;
	gid_t gid;
	const char *user, *group; /* "": unknown where it was made */
	uint64_t size;
	struct timespec mtime;
	const struct untar_attribute *attributes;
	size_t attribute_count;
};

struct untar;
struct untar *untar_new(struct feed *feed);
struct untar *untar_free(struct untar *u);
DEFINE_CLEANUP(untar, struct untar *, untar_free)
/**
 * untar_next() - Return: 1; 0 at the end, behind which the feed was read, too; -EBADMSG (ERROR_CORRUPT): it is no archive; -EPERM
 * (ERROR_DENIED): an entry leads out of the tree, or is of a kind that is not known; -ECANCELED.
 */
int untar_next(struct untar *u, const struct untar_entry **ret, struct error *err);
/** untar_data() - the next bytes of the entry, and where in the file they are: between them are holes. Return: 1; 0: that was all; or as
 * untar_next(). */
int untar_data(struct untar *u, const void **ret, size_t *ret_len, uint64_t *ret_at, struct error *err);
