// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Files that are written into the mount: what the kernel does with them, whatever becomes of their bytes. A class of such files (struct incoming_class) says what that is; the first is inbox.c.
 *
 * A file is written in order, from its beginning to its end, once. Each write(2) is a request that becomes a piece of the file's intake (keepfs/stream/intake.h): it is answered when the class's reader has used
 * it up, so that whoever writes is as fast as the store, and nothing grows. FUSE's threads only copy the piece, into one buffer for each file, out of a pool of INCOMING_MAX
 * buffers. The first byte has a worker call the class's begin(), which has somebody read.
 *
 *   FLUSH     of the process that wrote the last byte is the end. Each close(2) brings one: a shell's before the first byte, too, and that of a child which has inherited the descriptor; these say
 *             nothing. It is answered when the reader has finished the intake: so close(2) tells whether the file was taken. Of a process that was killed it comes as well:
 *             caller_is_dying() tells, and the file is given up.
 *   RELEASE   comes behind the last one, and nobody sees what becomes of it. A file that had no end until then is given up.
 *   fsync(2)  promises nothing: only a close does.
 *   INTERRUPT is heard of a process that is about to die, since bytes that were taken must not be written once more. Who was interrupted by a handler of his own waits.
 *   lseek(2)  is refused by the kernel (FOPEN_NONSEEKABLE): pg_dump asks, and writes its archive in one go then.
 *
 * A name that the class calls temporary is not the last one: what was closed under it waits for rename(2), which is answered as the close of another is.
 *
 * The entry of a file stays in its directory when it was taken, so that programs which change the mode or times of what they have copied find it, and rsync sees that it has it: of the last INCOMING_KEPT files,
 * in memory alone. It cannot be read.
 */
#include "handle.h"
#include "node.h"

#include <keepfs/catalog/audit.h>
#include <keepfs/stream/intake.h>

#define INCOMING_MAX  32  /* files that are open for writing at once */
#define INCOMING_KEPT 256 /* entries of files that were taken */

struct incoming;
struct incomings;

struct incoming_class {
	/* On a worker, with the first byte: have somebody read incoming_intake(), and end it by incoming_ended(). A failure does that, too. */
	void (*begin)(struct incoming *f);
	/* Is that a name that programs give a file while they write it? Pure. */
	bool (*is_temporary)(const char *name);
	/* It has its last name: @own is what begin() has made of it. Before the intake gets an end for that. */
	void (*named)(void *own, const char *name);
	/* Nobody has the file any more. */
	void (*forget)(void *own);
	const char *action; /* of its line in the audit */
	/* What was taken is listed elsewhere, in the same directory: its entry here goes then. There are so many of these that the audit has a line only of those that were not taken. */
	bool is_listed;
};

struct incomings *incomings_new(void);
/** incomings_end() - the mount ends: whatever is being written is given up, now and from now on. */
void incomings_end(struct incomings *all);
struct incomings *
incomings_free(struct incomings *all); /* when nobody has a file any more; NULL allowed; returns NULL */

/** struct incoming_place - the directory in which a file is. */
struct incoming_place {
	const struct incoming_class *class;
	uint64_t directory; /* its inode number */
	const char *path;   /* "inbox/legacy" */
	const char *job;
};

/** incoming_create() - node_class.create of such a directory; @ret has the class @node_class. -EBUSY: it is being written by somebody; -ENFILE: INCOMING_MAX are; -EINVAL: the name is no line of text. */
int incoming_create(fuse_req_t req, const struct incoming_place *place, const char *name,
                    const struct node_class *node_class, struct node *ret, struct handle **ret_handle,
                    struct error *err);
/** incoming_open_again() - open() of one that is there: written anew when it was taken and is truncated. */
int incoming_open_again(fuse_req_t req, const struct incoming_place *place, const struct node *node,
                        int flags, struct handle **ret_handle, struct error *err);
/** incoming_open_over() - open() for writing of the file @ino of a class that lists what was taken (is_listed): it is written once more under its name, and whoever reads the intake compares. As incoming_create(). */
int incoming_open_over(fuse_req_t req, const struct incoming_place *place, const char *name, uint64_t ino,
                       struct handle **ret_handle, struct error *err);
/** incoming_find() - the number of @name in @directory; -ENOENT. */
int incoming_find(struct fs *fs, uint64_t directory, const char *name, uint64_t *ret_ino);

struct incoming_facts {
	char name[256];
	uint64_t ino, directory, bytes;
	int64_t mtime_us;
	bool is_taken; /* nobody writes it any more */
};
/** incoming_facts() - -ENOENT: there is none of that number. incoming_next() - the first in @directory with a number above @after; -ENOENT: there is none. */
int incoming_facts(struct fs *fs, uint64_t ino, struct incoming_facts *ret);
int incoming_next(struct fs *fs, uint64_t directory, uint64_t after, struct incoming_facts *ret);
/** incoming_stat() - node_class.stat of such a file. */
int incoming_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);
/** incoming_set_attributes() - what of them can be told apart from none: a size is as it is, a time of its own is kept while the entry is. -EINVAL: another size. */
int incoming_set_attributes(struct fs *fs, uint64_t ino, const struct stat *attr, int to_set);
/** incoming_rename(), incoming_remove() - answer @req. */
void incoming_rename(fuse_req_t req, const struct incoming_place *place, const char *name,
                     const char *new_name, unsigned flags);
void incoming_remove(fuse_req_t req, uint64_t ino);

/* For classes. */
struct fs *incoming_fs(const struct incoming *f);
struct intake *incoming_intake(const struct incoming *f);
/** incoming_name() - heap: as of now. */
char *incoming_name(struct incoming *f);
const char *incoming_job(const struct incoming *f);
/** incoming_by() - "uid 0 (cp)" into @buf. */
void incoming_by(const struct incoming *f, char *buf, size_t size);
struct incoming *incoming_ref(struct incoming *f);
void incoming_unref(struct incoming *f);
/** incoming_set_own() - what named() and forget() get; in begin(). */
void incoming_set_own(struct incoming *f, void *own);
/** incoming_ended() - once, before the intake is finished with @r: audit, status/last-error, and the entry. @text: where it is now, or why not. May block for the catalog. */
void incoming_ended(struct incoming *f, int r, const char *text);
