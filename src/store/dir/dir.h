// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The dir: driver's own struct and what its files share. */
#include "../store_private.h"

#include <keepfs/base/mem.h>
#include <pthread.h>
#include <sys/stat.h>

#define DIR_WORK     ".keepfs" /* below the root: temporaries and uploads */
#define DIR_SETTLED  256
#define DIR_ID_BYTES 33 /* 32 hexadecimal digits and a NUL */
/* Between two looks at the cancel token and the deadline at most this much is moved. */
#define DIR_CHUNK_BYTES ((size_t)1 << 20)

struct dir_inode {
	dev_t dev;
	ino_t ino;
};

/* What the file system below the root does not have. */
enum dir_lack {
	DIR_LACKS_LINKS = 1 << 0,         /* linkat() */
	DIR_LACKS_NOREPLACE = 1 << 1,     /* renameat2() with RENAME_NOREPLACE */
	DIR_LACKS_DIR_SYNC = 1 << 2,      /* fsync() of a directory */
	DIR_LACKS_SYNC = 1 << 3,          /* nor syncfs() */
	DIR_LACKS_LOCKS = 1 << 4,         /* flock() */
	DIR_LACKS_MODES = 1 << 5,         /* modes of one's own: what is made is not private */
	DIR_LACKS_INODES = 1 << 6,        /* inode numbers that stay */
	DIR_LACKS_LARGE_FILES = 1 << 7,   /* files of 4 GiB and more */
	DIR_LACKS_WRITE_THROUGH = 1 << 8, /* what is synced is where it shall be */
};

struct dir_store {
	struct store base;
	char *root;
	int root_fd;
	int tmp_fd;             /* root/.keepfs/tmp */
	int uploads_fd;         /* root/.keepfs/uploads */
	bool root_counts_links; /* it had links when it was opened: none means that it was removed */
	int work_errno;         /* why the two could not be had (a read-only disk): positive errno; else 0 */
	bool nameless;          /* O_TMPFILE and linkat() work here */
	atomic_uint lacks;      /* enum dir_lack: what was found out so far */
	pthread_mutex_t lock;
	/* Directories whose names this process knows to be on disk; a small cache, so that a put does not
	 * sync each directory of its path each time. */
	struct dir_inode settled[DIR_SETTLED]; /* lock */
};

static inline struct dir_store *dir_store_of(struct store *s)
{
	return (struct dir_store *)s; /* `base` is the first member */
}

/** dir_error() - fill @err for "cannot <verb> <what>" with the negative errno @r; returns what to return. */
int dir_error(struct dir_store *d, int r, struct error *err, const char *verb, const char *what);
/** dir_write_error() - the same for calls that make things: there -ENOENT must not look like an absent
 * object. */
int dir_write_error(struct dir_store *d, int r, struct error *err, const char *verb, const char *what);
void dir_random_id(char ret[static DIR_ID_BYTES]);
bool dir_id_valid(const char *id);

/* path.c: from a key to a directory and a name in it. */

/**
 * dir_walk() - open the directory that the first @len bytes of @path name, below the root
 * @make: make what is missing, and have every directory's name on disk
 * Return: a descriptor, or a negative errno; -ELOOP when a part is a symbolic link.
 */
int dir_walk(struct dir_store *d, const char *path, size_t len, bool make);
/** dir_walk_parent() - the directory of @key; @ret_leaf is the rest of @key. */
int dir_walk_parent(struct dir_store *d, const char *key, bool make, const char **ret_leaf);
/** dir_stat_leaf() - a regular file's status; -ENOENT for anything that is no object, -ELOOP for a link. */
int dir_stat_leaf(int dir_fd, const char *leaf, struct stat *ret);
void dir_fill_object(const struct dir_store *d, const struct stat *st, const char *key,
                     struct store_object *ret);

/* temp.c: files that are not there yet. */

struct dir_temp {
	struct dir_store *store;
	int fd;
	char name[DIR_ID_BYTES]; /* in .keepfs/tmp; "" while it has none */
};

int dir_temp_open(struct dir_store *d, struct dir_temp *ret);
#define DIR_FD_PATH_BYTES 32
/** dir_fd_path() - "/proc/self/fd/<fd>" into @buf; returns @buf. */
char *dir_fd_path(int fd, char buf[static DIR_FD_PATH_BYTES]);
/** dir_temp_publish() - sync the file and give it its name, unless the time of @call (NULL: it has all) is over by then. Return: 0, STORE_EXISTS, or a negative errno. */
int dir_temp_publish(struct dir_temp *t, const struct store_call *call, int dir_fd, const char *leaf,
                     bool only_if_absent);
/** dir_temp_replace() - the same for a name that is taken, in any case. */
int dir_temp_replace(struct dir_temp *t, int dir_fd, const char *leaf);
void dir_temp_finish(struct dir_temp *t);
static inline void cleanup_dir_temp(struct dir_temp *t)
{
	dir_temp_finish(t);
}
/** dir_temp_works_nameless() - find out whether O_TMPFILE and linkat() work in .keepfs/tmp. */
bool dir_temp_works_nameless(struct dir_store *d);
/** dir_temp_sweep() - remove the temporaries that no living process holds. */
void dir_temp_sweep(struct dir_store *d);
/** dir_write_iov() - write all of @iov at @offset, looking at @call between chunks. */
int dir_write_iov(int fd, uint64_t offset, const struct iovec *iov, int count, const struct store_call *call);

/* match.c: replacing the object with a certain etag. */

/** DIR_OTHER - it is another one, or gone. */
#define DIR_OTHER 2
/** dir_publish_over() - sync the file and let it take the place of the object @key with the etag @etag, under the lock that all take who
 * do that. Return: 0, DIR_OTHER, or a negative errno. */
int dir_publish_over(struct dir_temp *t, const struct store_call *call, int dir_fd, const char *leaf,
                     const char *key, const char *etag);
/** dir_matches_atomically() - has it one winner? As far as was found out. */
bool dir_matches_atomically(const struct dir_store *d);

/* foreign.c: what not every file system has, and what takes its place. */

/** dir_look_at_place() - find out what can be known before anything is written; tmp_fd is open. */
void dir_look_at_place(struct dir_store *d);
/** dir_sync() - have the names in a directory on the disk, as far as that can be had. */
int dir_sync(struct dir_store *d, int dir_fd);
/** dir_lock() - flock(); 0 also where there are no locks. */
int dir_lock(struct dir_store *d, int fd, int operation);
/** dir_has_locks() - does flock() work? As far as was found out. */
bool dir_has_locks(const struct dir_store *d);
/** dir_is_left() - does no living process hold this temporary? Where there are no locks its age tells. */
bool dir_is_left(struct dir_store *d, int fd);
/** dir_name_new() - give a synced temporary its name, unless that is taken. Return: 0, STORE_EXISTS, or a
 * negative errno. */
int dir_name_new(struct dir_temp *t, int dir_fd, const char *leaf);
/** dir_replace() - renameat(), such that the new object's etag is another than the old one's, where times last. */
int dir_replace(struct dir_store *d, int from_fd, const char *name, int dir_fd, const char *leaf);
/** dir_inodes_last() - does a file keep its inode number for as long as it is there? */
bool dir_inodes_last(const struct dir_store *d);
/** dir_times_last() - does a file keep its mtime when nobody writes to it? */
bool dir_times_last(const struct dir_store *d);
/** dir_creates_exclusively() - has dir_name_new() one winner? As far as was found out. */
bool dir_creates_exclusively(const struct dir_store *d);
/** dir_describe_lacks() - what is weaker in this place, for people; "" when nothing is. */
void dir_describe_lacks(const struct dir_store *d, char *buf, size_t buf_bytes);

/* The slots. */
int dir_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
            int count, const struct store_put_options *options, struct error *err);
int dir_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
            const struct iovec *iov, int count, const struct store_get_options *options, struct error *err);
int dir_head(struct store *s, const struct store_call *call, const char *key, struct store_object *ret,
             struct error *err);
int dir_remove(struct store *s, const struct store_call *call, const char *key, struct error *err);
int dir_list(struct store *s, const struct store_call *call, const char *prefix, const char *start_after,
             size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
             struct error *err);
/* dir_has_no_classes() - -ENOTSUP. */
int dir_has_no_classes(struct store *s, struct error *err);
int dir_upload_begin(struct store *s, const struct store_call *call, const char *key,
                     const char *storage_class, struct store_upload **ret_upload, struct error *err);
void dir_upload_announce(struct store_upload *up, unsigned number, uint64_t bytes);
int dir_upload_part(struct store_upload *up, const struct store_call *call, unsigned number,
                    const struct iovec *iov, int count, struct store_part *ret, struct error *err);
int dir_upload_complete(struct store_upload *up, const struct store_call *call,
                        const struct store_part *parts, size_t count, struct error *err);
const char *dir_upload_id(const struct store_upload *up);
struct store_upload *dir_upload_free(struct store_upload *up);
int dir_upload_abort(struct store *s, const struct store_call *call, const char *key, const char *upload_id,
                     struct error *err);
int dir_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                    struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err);
