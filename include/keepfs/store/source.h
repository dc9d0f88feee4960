// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A source: a bucket, or a directory, that belongs to somebody else, and is read. It is no store (keepfs/store.h), whose contract is about keys of our
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
	uint64_t unreadable;    /* directories, with all below them, and names that are too long */
	char first[512];        /* of the unreadable ones, and why */
};
struct source_list;
/** source_list_new() - from the beginning. @call is borrowed, NULL allowed. */
struct source_list *source_list_new(struct source *s, const struct store_call *call);
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
