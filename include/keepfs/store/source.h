// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A source: a bucket, or a directory, that belongs to somebody else, and is read, or gets back what it had. It is no store (keepfs/store.h), whose contract is about keys of our
 * own making: here a key is any bytes ("a//b", "..", "/x", "dir/"), and beside its bytes an object has a type, metadata, a time and a version.
 *
 * The S3 driver shares signing, transfers and the reading of answers with the store's; calls that fail are made again by the store's own wrapper.
 * What is listed is in the order of the bytes of the keys. Any thread, several calls at once, but for a listing, which belongs to one.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/json.h>
#include <keepfs/store.h>
#include <sys/uio.h>

struct conf_store;
struct source;

/**
 * source_open() - of conf->url, "s3://bucket/prefix" or "dir:/absolute/path"; no request is made
 * @conf:        borrowed as long as the source is open
 * @connections: so many requests at once
 */
int source_open(const struct conf_store *conf, unsigned connections, struct source **ret, struct error *err);
struct source *source_free(struct source *s); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(source, struct source *, source_free)
/** source_name() - "s3://documents/prefix": borrowed. */
const char *source_name(const struct source *s);
/** source_set_section() - "[mirror documents]": where the configuration has what errors say is to be mended; before the first call. */
void source_set_section(struct source *s, const char *section);
/** source_is_local() - a directory: no request is on its way to anybody. */
bool source_is_local(const struct source *s);
/** source_is_beside() - is it a bucket of the same server, and in the same region, as that of @store? Then that may copy objects by itself (store_upload_copy()), if its
 * credentials may read them. Asks nobody. */
bool source_is_beside(const struct source *s, const struct conf_store *store);
/** source_copied_from() - where the object @key is for store_upload_copy(), of a source that is beside the store: its bucket, borrowed, and in *@ret_key, heap, its whole key. */
const char *source_copied_from(const struct source *s, const char *key, char **ret_key);
/** source_requests() - how many were made so far, each try counted; 0 of a directory. */
uint64_t source_requests(const struct source *s);

/** struct source_object - as a listing tells it; all heap. */
struct source_object {
	char *key; /* behind the prefix */
	uint64_t bytes;
	char *etag; /* of a directory: inode, size, mtime and ctime of the file */
	int64_t modified_us;
	char *storage_class; /* NULL: nobody says */
};
void source_object_finish(struct source_object *o);
static inline void cleanup_source_object(struct source_object *o)
{
	source_object_finish(o);
}
/** source_is_archived() - in a storage class from which it would have to be restored before it can be read. */
bool source_is_archived(const struct source_object *o);

/** struct source_left - what a listing of a directory has passed over. */
struct source_left {
	uint64_t links, others; /* symbolic links; sockets, devices and the like */
	uint64_t
	        unreadable; /* directories, with all below them that could not be listed; files that cannot be looked at, and names that are too long */
	char first[512];    /* of the unreadable ones, and why */
};
struct source_list;
/** source_list_new() - from the beginning. @call is borrowed, NULL allowed. */
struct source_list *source_list_new(struct source *s, const struct store_call *call);
/** source_list_below() - the same of the keys that begin with @prefix, which is copied. */
struct source_list *source_list_below(struct source *s, const struct store_call *call, const char *prefix);
struct source_list *source_list_free(struct source_list *l); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(source_list, struct source_list *, source_list_free)
/** source_list_next() - 1: @ret, which held nothing, is the next object; 0: there are no more. Memory: a page of 1,000, or some thousand names for each
 * level of directories. */
int source_list_next(struct source_list *l, struct source_object *ret, struct error *err);
/** source_list_left() - what was passed over so far. */
const struct source_left *source_list_left(const struct source_list *l);

/** struct source_facts - what the answer to a get says of the object. */
struct source_facts {
	char *version_id; /* heap; NULL: no versions are kept */
	char *type;       /* heap; NULL: nobody says */
	bool etag_is_md5; /* of all its bytes, as far as the server says */
	struct json *
	        meta; /* an object of strings, by the names of their headers: "x-amz-meta-owner", "content-encoding"; NULL: none */
};
void source_facts_finish(struct source_facts *f);
static inline void cleanup_source_facts(struct source_facts *f)
{
	source_facts_finish(f);
}
/**
 * source_get() - @iov is filled with the bytes from @offset on
 * @etag: of source_object: it must be that object still
 * @ret:  which held nothing; NULL: nobody wants to know
 *
 * No bytes may be wanted, of an object that is empty: it is asked whether it is there. Return: 0; -ESTALE: it is another one now; -ENOENT: it is gone; -EACCES:
 * it must not be read, or is in an archive; -EKEYREJECTED: the credentials are refused, whatever the object.
 */
int source_get(struct source *s, const struct store_call *call, const char *key, const char *etag,
               uint64_t offset, const struct iovec *iov, int count, struct source_facts *ret,
               struct error *err);
/** source_head() - as it is now; -ENOENT: it is gone. */
int source_head(struct source *s, const struct store_call *call, const char *key, struct source_object *ret,
                struct error *err);

/* Writing: a source that is the target of what is brought back (keepfs/mirror/back.h). */

/** struct source_new - an object that is to be there; all borrowed until source_put_free(). */
struct source_new {
	const char *key;
	uint64_t bytes;
	const char *type;        /* NULL: nobody says */
	const struct json *meta; /* as source_facts.meta; NULL: none */
	int64_t modified_us;     /* a file gets that time; a bucket gives its own */
	/* That it had, when it was got. A bucket makes the same of the same bytes, if they come in parts of the same sizes: so they are cut as they were,
	 * where that can be told. NULL */
	const char *etag;
	size_t most_piece_bytes; /* a piece has no more: of 8 MiB at least */
	bool only_new; /* what somebody has put there meanwhile stays: source_put_end() is -ESTALE */
};
/** source_check_key() - may an object of that key be there? -EINVAL (ERROR_USAGE), with why not: of a directory, "a//b", "..", "/x", "dir/". Asks nobody. */
int source_check_key(const struct source *s, const char *key, struct error *err);
/** source_piece_bytes() - so many bytes each source_put_write() is to have, but the last; 0: it is too large for pieces of that size. */
size_t source_piece_bytes(const struct source *s, const struct source_new *what);

/** SOURCE_MD5_BYTES - of a digest of a piece. */
#define SOURCE_MD5_BYTES 16
/** source_may_tell() - can source_made_etag() of @what be @etag? false: nothing can be told of it. */
bool source_may_tell(const struct source *s, const struct source_new *what, const char *etag);
/** source_made_etag() - heap: the ETag that a bucket most probably gives @what, of the MD5s of its pieces; of a file NULL. */
char *source_made_etag(const struct source *s, const struct source_new *what,
                       const uint8_t (*md5s)[SOURCE_MD5_BYTES], size_t count);

struct source_put;
/**
 * source_put_begin() - nobody sees anything of it before source_put_end()
 *
 * A bucket is told its type and metadata; each request has the SHA-256 of its bytes in its signature, so what is damaged on its way is refused by the server, and sent again. A
 * file is written below a name of its own beside it (which no listing tells); no symbolic link is followed below the directory, missing directories are made.
 * Return: 0; -EINVAL: as source_check_key(), or metadata that are none; -EEXIST (ERROR_CONFLICT): a link, a directory, or a file in the place of a directory, is in the way.
 */
int source_put_begin(struct source *s, const struct store_call *call, const struct source_new *what,
                     struct source_put **ret, struct error *err);
/** source_put_write() - the next piece; @data is borrowed until the next call. */
int source_put_write(struct source_put *p, const struct store_call *call, const void *data, size_t len,
                     struct error *err);
/** source_put_end() - it is there, whole and durable, in the place of what was there. -EEXIST: as source_put_begin(). */
int source_put_end(struct source_put *p, const struct store_call *call, struct error *err);
/** source_put_free() - what was not ended is taken back: may block on the server for some seconds. NULL allowed; returns NULL. */
struct source_put *source_put_free(struct source_put *p);
DEFINE_CLEANUP(source_put, struct source_put *, source_put_free)
/** source_remove() - success when there is none. A bucket that keeps versions keeps this one, below a delete marker. No link is followed, and none removed; no directory is. */
int source_remove(struct source *s, const struct store_call *call, const char *key, struct error *err);
/**
 * source_empty() - remove all that is there: of a place that is the caller's own alone
 *
 * Of a bucket every object behind the prefix, and what was begun to be put there and never ended, where the credentials may list that; of a directory the directory itself, with all that is in it.
 * Return: 0, also when nothing is there; what could not be removed, when all the rest is.
 */
int source_empty(struct source *s, const struct store_call *call, struct error *err);
