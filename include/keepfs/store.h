// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The object store: keys and bytes. One contract, which the drivers (dir, s3) and the wrappers (retry, meter,
 * fault) keep alike; tests/contract holds them to it.
 *
 * - Keys are UTF-8 text without control characters, relative to the store's prefix, '/'-separated: no empty
 * component, no "." or "..", at most 900 bytes, and not beginning with ".keepfs"; anything else is -EINVAL
 * before a request is made. No key may be another's directory: of "a" and "a/b" a store may refuse the second
 * (dir: -ENOTDIR, -EISDIR).
 * - An object is whole or absent: a put or a completed upload replaces it at once, and is durable when the
 * call returns 0.
 * - Calls block the calling thread until done, cancelled (@call->cancel: -ECANCELED) or past
 * @call->deadline_ms
 *   (-ETIMEDOUT). Any thread; many at once. No call is retried here: that is the retry wrapper's, and only
 * its.
 * - Bytes are checked on their way: what a store accepted is what was sent (S3: the signed SHA-256 of each
 * body), and a get that returns 0 delivered exactly the bytes asked for. Content is checked against the
 * manifest by the reader.
 * - Failures: negative errno and a struct error, whose class and `retry` decide what the wrapper does.
 * -ENOENT: no such object. A missing bucket is ERROR_USAGE, never -ENOENT, so that it can never look like an
 * absent object.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/histogram.h>
#include <keepfs/base/str.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define STORE_EXISTS      1 /* store_put(): only_if_absent, and the object is there; it was not touched */
#define STORE_NOT_CHANGED 1 /* store_get(): if_none_match, and the object is still that one; no byte came */
#define STORE_KEY_BYTES   901
#define STORE_ETAG_BYTES  96
#define STORE_MAX_PARTS   10000
#define STORE_UNKNOWN     UINT64_MAX
#define STORE_NOTE_BYTES  640
/** STORE_VERSION_BYTES - the id of a version in a bucket that keeps versions, with a NUL. */
#define STORE_VERSION_BYTES 1025

/** struct store_call - how one call may wait. NULL stands for { NULL, 0 }. */
struct store_call {
	struct cancel *cancel; /* borrowed; NULL: cannot be cancelled */
	/* clock_mono_ms() at which to give up, retries included; 0: the store's own default */
	int64_t deadline_ms;
};

struct store_object {
	char key[STORE_KEY_BYTES];
	uint64_t bytes;
	char etag[STORE_ETAG_BYTES]; /* changes when the object does; for dir: inode, size and mtime */
};

struct store_upload_info {
	char key[STORE_KEY_BYTES];
	char *upload_id; /* heap */
};

struct store_part {
	unsigned
	        number; /* 1 to 10000, unique in its upload; gaps are allowed, but for equal_parts of store_features */
	uint64_t bytes;
	char etag[STORE_ETAG_BYTES];
};

/** enum store_lock_mode - who can end a lock before its time: whoever has the right s3:BypassGovernanceRetention (keepfs never uses
 * it), or nobody at all. */
enum store_lock_mode { STORE_LOCK_NONE, STORE_LOCK_GOVERNANCE, STORE_LOCK_COMPLIANCE };
/** store_lock_mode_name() - "none", "governance", "compliance": static. */
const char *store_lock_mode_name(enum store_lock_mode mode);

/** struct store_lock - what keeps a version of an object from being deleted or changed. All zero: nothing. */
struct store_lock {
	enum store_lock_mode mode; /* STORE_LOCK_NONE: it has no date */
	int64_t until_us;          /* whole seconds; 0 without a mode */
	bool hold;                 /* a legal hold: until it is taken off, whatever the date says */
};

struct store_put_options {
	bool only_if_absent;      /* atomic where the store can: see store_features.atomic_absent */
	const char *content_type; /* NULL: application/octet-stream */
	/* Replace only the object with this etag; -ESTALE (ERROR_CONFLICT) when it is another, or gone. Not together
	 * with only_if_absent. Atomic where the store can (store_features.atomic_match): of those who name the same
	 * etag, one wins. Puts without a condition replace in any case. NULL: no condition. */
	const char *if_match;
	/* NULL, or STORE_ETAG_BYTES: the etag of what was written; "" when the store did not say. Set on success. */
	char *ret_etag;
	/* NULL: it is not locked. Else it is from its first moment on, or is not put; a store without locks: -ENOTSUP. */
	const struct store_lock *lock;
	char *ret_version; /* NULL, or STORE_VERSION_BYTES: the version that was put; "" where none are kept */
};

struct store_get_options {
	const char *if_match; /* -ESTALE when the object's etag is another; NULL: do not care */
	/* STORE_NOT_CHANGED when the object's etag is still this one, which costs one request and no bytes; NULL: do not
	 * care. Neither it nor to_the_end can be together with `arrived`. */
	const char *if_none_match;
	/* The object may end before the buffers do, which must begin with its first byte: that is success, and *ret_filled, which
	 * must be given, says how long it is. So a small object of any length is one request. An empty one is -ERANGE. */
	bool to_the_end;
	/* NULL, or STORE_ETAG_BYTES (not those of if_match): the etag of the object that the bytes are of; ""
	 * when the store did not say. Set on success, and on a failure that *ret_filled tells of bytes. */
	char *ret_etag;
	/* NULL, or how many bytes from the beginning of the buffers are the object's, also after a failure: a
	 * transfer that broke off can be taken up again from there, with if_match = its etag. */
	uint64_t *ret_filled;
	/*
	 * NULL, or called while bytes come, on the caller's thread: the first @filled bytes of the buffers
	 * are those of the object with @etag (never ""), and this get does not touch them again. @filled
	 * grows; how often it is told is up to the store, and it may be never. A get that has told of bytes
	 * does not begin anew with another object, but fails with -ESTALE as it would with if_match.
	 */
	void (*arrived)(void *arg, uint64_t filled, const char *etag);
	void *arrived_arg;
	/* The bytes that the store had were wrong, twice: have them from a spare, if there is one (store_spare_new()). Others take no notice. */
	bool elsewhere;
};

struct store_features {
	uint64_t min_part_bytes; /* all parts but the last of an upload */
	uint64_t max_part_bytes;
	unsigned max_parts;
	/* All parts of an upload but the last must have one size, and their numbers no gaps. */
	bool equal_parts;
	unsigned parallel;        /* parts worth sending at once */
	uint64_t capacity_bytes;  /* STORE_UNKNOWN: not known */
	uint64_t available_bytes; /* STORE_UNKNOWN: not known */
	/* only_if_absent has one winner; false once the server, or the file system, said that it cannot */
	bool atomic_absent;
	/* if_match of a put has one winner: false once the server was found out to ignore or refuse it (it is tried on an object
	 * of our own before the first use), or the file system has no locks. Then it is looked at first, and written after. */
	bool atomic_match;
	/* [store] object_lock: how what has to stay is locked, as far as the bucket takes it. NONE: it is not. */
	enum store_lock_mode lock_mode;
	/* [store] lock_min, lock_max: for how long at least, and at most. */
	int64_t lock_min_us, lock_max_us;
	/* The store's own clock as of now, by its last answer; 0: it has none, or did not answer yet. Locks end by it. */
	int64_t clock_us;
	/* By how much that may be behind: how long that answer took, and what a second has. */
	int64_t clock_error_us;
	/* What this place keeps less well than others, for people; "" when nothing is known. */
	char weaker[STORE_NOTE_BYTES];
	/* What was deleted, and is still stored, as far as this process knows; "" when nothing is. */
	char left[STORE_NOTE_BYTES];
};

/** store_clock_ahead_us() - by how much the store's clock is ahead of this host's for sure, which shows @now_us; negative: it is behind; 0: they may show the same, or it has none. */
int64_t store_clock_ahead_us(const struct store_features *f, int64_t now_us);
/** STORE_CLOCKS_DIFFER_US - what is worth a word to people: S3 takes no request of a clock that is off by a quarter of an hour. */
#define STORE_CLOCKS_DIFFER_US (INT64_C(60) * 1000000)
/** struct store_range - bytes of an object that is there. */
struct store_range {
	const char *key;
	uint64_t offset, bytes; /* @bytes: 1 or more */
	const char *if_match;   /* -ESTALE when the object's etag is another; NULL: do not care */
	bool is_whole;          /* it is all of the object: AWS takes ranges of objects above 5 MB alone */
	/* NULL: of the same store. Else of this bucket of the same server, in which @key, which may be any bytes, is the whole key: source_copied_from(). */
	const char *bucket;
};

struct store;
struct store_upload;

/** struct store_bucket - what keeps a store's objects from being lost, as the server says. */
struct store_bucket {
	bool keeps_versions; /* what is deleted or replaced is kept below what is new */
	bool can_lock;       /* object lock is enabled */
	enum store_lock_mode
	        default_mode; /* what the bucket locks by itself, all that is put; NONE: nothing */
	int64_t default_days;
};

/** struct store_version - one version of an object, or a delete marker. */
struct store_version {
	char key[STORE_KEY_BYTES];
	char id[STORE_VERSION_BYTES];
	bool is_marker;
};

/** STORE_CLASS_BYTES - the name of a storage class, with a NUL. */
#define STORE_CLASS_BYTES 32
/** struct store_class - where an object is kept. */
struct store_class {
	char name[STORE_CLASS_BYTES];      /* "STANDARD" also where the server does not say */
	bool is_frozen;                    /* it cannot be read: it has to be thawed first */
	bool is_thawing;                   /* that was asked for, and is under way */
	int64_t ready_until_us;            /* it was thawed, and can be read until then; 0: it was not */
	struct store_object object;        /* as store_head() tells it */
	char version[STORE_VERSION_BYTES]; /* of the object; "" where none are kept */
	bool etag_is_md5; /* as far as the server says; an etag of parts is that of their MD5s then */
};
/** enum store_thaw_tier - how soon, and for how much. */
enum store_thaw_tier { STORE_THAW_BULK, STORE_THAW_STANDARD, STORE_THAW_EXPEDITED };
/** struct store_thaw - how an object is to be thawed. */
struct store_thaw {
	unsigned days; /* the thawed copy stays so long */
	enum store_thaw_tier tier;
};

/** enum store_lock_op - what may be asked about an object beside its bytes: locks, versions, storage classes. */
enum store_lock_op {
	STORE_LOCK_EXTEND, /* lock the newest version of `key`, as `lock` says; its hold is left alone */
	STORE_LOCK_HOLD,   /* set the legal hold of that to lock.hold */
	STORE_LOCK_GET,    /* → lock */
	STORE_LOCK_BUCKET, /* → bucket */
	STORE_LOCK_LIST,   /* the versions of all keys that begin with `key` → versions, count */
	STORE_LOCK_REMOVE, /* the version `version` of `key`, for good */
	STORE_CLASS_GET,   /* → class */
	STORE_CLASS_THAW, /* the newest version of `key`, as `thaw` says → class.is_thawing, ready_until_us */
};
/** struct store_locking - one such question, and its answer. Callers use store_lock_extend() and so on. */
struct store_locking {
	enum store_lock_op op;
	const char *key;        /* NULL of STORE_LOCK_BUCKET */
	const char *version;    /* STORE_LOCK_REMOVE */
	struct store_lock lock; /* in or out */
	struct store_bucket bucket;
	struct store_version *versions; /* heap */
	size_t count;
	struct store_thaw thaw;
	struct store_class class;
};
/** store_locking_writes() - does it change anything? */
bool store_locking_writes(const struct store_locking *io);

/**
 * struct store_ops - what a driver implements; every slot is set. Semantics: the store_…() functions below.
 * get: whoever calls the slot has begun its answers with store_get_begin(). presign: with only_length the URL is for
 * counting, must not be handed out, and may be signed with credentials that have ended.
 */
struct store_ops {
	int (*put)(struct store *, const struct store_call *, const char *key, const struct iovec *,
	           int count, const struct store_put_options *, struct error *);
	int (*get)(struct store *, const struct store_call *, const char *key, uint64_t offset,
	           const struct iovec *, int count, const struct store_get_options *, struct error *);
	int (*head)(struct store *, const struct store_call *, const char *key, struct store_object *,
	            struct error *);
	int (*remove)(struct store *, const struct store_call *, const char *key, struct error *);
	int (*list)(struct store *, const struct store_call *, const char *prefix, const char *start_after,
	            size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
	            struct error *);
	int (*upload_begin)(struct store *, const struct store_call *, const char *key,
	                    const char *storage_class, struct store_upload **, struct error *);
	void (*upload_announce)(struct store_upload *, unsigned number, uint64_t bytes);
	int (*upload_part)(struct store_upload *, const struct store_call *, unsigned number,
	                   const struct iovec *, int count, struct store_part *, struct error *);
	/* NULL: the store does not copy by itself. */
	int (*upload_copy)(struct store_upload *, const struct store_call *, unsigned number,
	                   const struct store_range *, struct store_part *, struct error *);
	int (*upload_complete)(struct store_upload *, const struct store_call *, const struct store_part *,
	                       size_t count, struct error *);
	const char *(*upload_id)(const struct store_upload *);
	struct store_upload *(*upload_free)(struct store_upload *);
	int (*upload_abort)(struct store *, const struct store_call *, const char *key, const char *upload_id,
	                    struct error *);
	int (*upload_list)(struct store *, const struct store_call *, const char *prefix,
	                   struct store_upload_info **ret_uploads, size_t *ret_count, struct error *);
	int (*presign)(struct store *, const char *key, int64_t ttl_ms, bool only_length, struct str *ret_url,
	               struct error *);
	/* One slot for all about locks, versions and storage classes: wrappers treat them alike. The output is untouched by a failure. */
	int (*locking)(struct store *, const struct store_call *, struct store_locking *io, struct error *);
	int (*features)(struct store *, struct store_features *, struct error *);
	struct store *(*free)(struct store *);
};

/** struct store - the head of every driver's own struct. `name` is the store's URL without secrets, for
 * messages. */
struct store {
	const struct store_ops *ops;
	char *name;
};

struct store_upload { /* likewise */
	const struct store_ops *ops;
	struct store *store;
	char *key;
};

/** store_put() - write one whole object from memory. Return: 0, or STORE_EXISTS. */
int store_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
              int count, const struct store_put_options *options, struct error *err);
/** store_put_bytes() - store_put() from one buffer. */
int store_put_bytes(struct store *s, const struct store_call *call, const char *key, const void *data,
                    size_t len, const struct store_put_options *options, struct error *err);
/**
 * store_get() - fill the buffers of @iov with the object's bytes from @offset
 * Return: 0 when every buffer is full; STORE_NOT_CHANGED by if_none_match; -ENOENT; -ERANGE when the object ends before;
 * -ESTALE by if_match.
 * After a failure the buffers' contents are undefined.
 */
int store_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
              const struct iovec *iov, int count, const struct store_get_options *options, struct error *err);
/** store_get_object() - as store_get_all(), and which object it is; its length is @ret's. */
int store_get_object(struct store *s, const struct store_call *call, const char *key, size_t max_bytes,
                     char **ret_data, struct store_object *ret, struct error *err);
/** store_get_all() - a small object on the heap with a NUL behind it; -EFBIG when it is larger than
 * @max_bytes. */
int store_get_all(struct store *s, const struct store_call *call, const char *key, size_t max_bytes,
                  char **ret_data, size_t *ret_len, struct error *err);
int store_head(struct store *s, const struct store_call *call, const char *key, struct store_object *ret,
               struct error *err);
/** store_remove() - delete an object; one that is not there is success. dir: an empty directory of that name
 * goes, too. S3: where the bucket keeps versions they go with [store] delete_versions only; one that may not be
 * deleted is no failure, but told by store_features(). */
int store_remove(struct store *s, const struct store_call *call, const char *key, struct error *err);
/**
 * store_list() - one page of the objects whose keys begin with @prefix, in byte order of the keys
 * @start_after: only keys greater than this; NULL from the start. Pass the last key of a page to get the
 * next.
 * @max:         1 to 1000
 * @ret_objects: heap array, freed with free()
 * @ret_more:    there may be another page
 */
int store_list(struct store *s, const struct store_call *call, const char *prefix, const char *start_after,
               size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
               struct error *err);

/** store_upload_begin() - open a multipart upload; nothing is visible under @key before
 * store_upload_complete(). */
int store_upload_begin(struct store *s, const struct store_call *call, const char *key,
                       struct store_upload **ret_upload, struct error *err);
/** store_upload_begin_in() - the same, and what comes of it is in @storage_class; -ENOTSUP: the store has no such (dir:). A server may refuse the name of one that it does not know,
 * or take it and do nothing: look at what came of it (store_class_get()). */
int store_upload_begin_in(struct store *s, const struct store_call *call, const char *key,
                          const char *storage_class, struct store_upload **ret_upload, struct error *err);
/**
 * store_upload_announce() - part @number (1 to 10000) will have @bytes and is sent after its followers
 * A hint, made before the part and those behind it are sent: a store that writes parts to their final place
 * (dir) leaves room for it, and then copies nothing at the end. No request is made. A part that comes in
 * another size, or not at all, is as good as without: only slower.
 */
void store_upload_announce(struct store_upload *up, unsigned number, uint64_t bytes);
/** store_upload_part() - send one part; the same number again replaces it. Any thread, several at once. */
int store_upload_part(struct store_upload *up, const struct store_call *call, unsigned number,
                      const struct iovec *iov, int count, struct store_part *ret_part, struct error *err);
/**
 * store_upload_copy() - part @number becomes a range of another object, which the store copies by itself
 * It is of the same store, or of a bucket beside it that the store's own credentials may read. Not every server looks at if_match (Ceph's does not). Sizes are bound as those of sent parts. What was copied is not checked: read it back. Return: 0; -ENOENT: there is no such object; -ENOTSUP: the store does not do that,
 * and the caller sends the bytes. A server that does not know it may also fail in its own way, or make a part of something else.
 */
int store_upload_copy(struct store_upload *up, const struct store_call *call, unsigned number,
                      const struct store_range *from, struct store_part *ret_part, struct error *err);
/**
 * store_upload_complete() - make the object of @parts, in ascending order of number; at least one
 * Frees nothing. No part call may be running. List every part that was sent: what is done with others is the
 * store's own (dir and most S3 servers drop them, Ceph refuses).
 * Return: 0; -ENOENT when the upload is not open any more (completed, aborted); -EINVAL when a part is not as
 * uploaded.
 */
int store_upload_complete(struct store_upload *up, const struct store_call *call,
                          const struct store_part *parts, size_t count, struct error *err);
/** store_upload_id() - what store_upload_abort() needs in a later process; borrowed. */
const char *store_upload_id(const struct store_upload *up);
/** store_upload_free() - forget the handle; the upload itself stays until completed or aborted. NULL
 * allowed. */
struct store_upload *store_upload_free(struct store_upload *up);
DEFINE_CLEANUP(store_upload, struct store_upload *, store_upload_free)
/** store_upload_abort() - drop an upload and its parts; one that is not there is success. No part call may be
 * running. */
int store_upload_abort(struct store *s, const struct store_call *call, const char *key, const char *upload_id,
                       struct error *err);
/** store_upload_list() - all open uploads under @prefix; free with store_upload_list_free(). */
int store_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                      struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err);
void store_upload_list_free(struct store_upload_info *uploads, size_t count);
/**
 * store_presign() - append a URL with which anybody can GET the object for @ttl_ms, and nothing else
 * @ttl_ms: 1 s to 7 days (else -EINVAL); what is over a whole second is cut off
 *
 * Computed, without a request to the store: the object may not be there. But it may block until there are credentials.
 * Return: 0; -ENOTSUP: the store has no such URLs (dir:), said in @err; -ENOKEY without credentials. Credentials that
 * are temporary may end before @ttl_ms.
 */
int store_presign(struct store *s, const char *key, int64_t ttl_ms, struct str *ret_url, struct error *err);
/**
 * store_presign_length() - how long such a URL is with the credentials at hand; 0 when there can be none, or are none at
 * hand. Never blocks for a network; where credentials were renewed meanwhile the URL may have another length.
 */
size_t store_presign_length(struct store *s, const char *key, int64_t ttl_ms);
/*
 * Object lock. Only a bucket that keeps versions has it: a lock is on one version of an object. Deleting or replacing such an
 * object by its name works all the same, and puts a marker or another version on top; what is locked stays below, and comes
 * back when that is removed. All of these are -ENOTSUP, with a sentence, in a store that has no locks (dir:).
 */
/**
 * store_lock_extend() - lock the newest version of @key until @wanted->until_us, in @wanted->mode; its legal hold is left alone
 * @now: how it is locked as far as the caller knows (store_lock_get()); all zero: it is not
 *
 * Never shortens and never weakens: -EPERM, ERROR_USAGE, before any request, when @wanted ends before @now, or is governance and
 * @now compliance. That what the caller knew is outdated is refused by the store. Return: 0, also when there was nothing to do; -ENOENT.
 */
int store_lock_extend(struct store *s, const struct store_call *call, const char *key,
                      const struct store_lock *now, const struct store_lock *wanted, struct error *err);
/** store_legal_hold() - set or take off the legal hold of the newest version of @key; the same again is success. */
int store_legal_hold(struct store *s, const struct store_call *call, const char *key, bool on,
                     struct error *err);
/** store_lock_get() - how the newest version of @key is locked; all zero: it is not. -ENOENT. */
int store_lock_get(struct store *s, const struct store_call *call, const char *key, struct store_lock *ret,
                   struct error *err);
/** store_bucket() - what the server says of the bucket. dir: keeps no versions and has no locks, and says so without an error. */
int store_bucket(struct store *s, const struct store_call *call, struct store_bucket *ret, struct error *err);
/** store_version_list() - versions and delete markers below @prefix, a page (1000 at most), by key and newest first; @ret_versions: heap. */
int store_version_list(struct store *s, const struct store_call *call, const char *prefix,
                       struct store_version **ret_versions, size_t *ret_count, struct error *err);
/** store_version_remove() - delete one version, or marker, for good; one that is not there is success. -EACCES: it is locked, or there is no
 * right to. */
int store_version_remove(struct store *s, const struct store_call *call, const char *key, const char *version,
                         struct error *err);

/*
 * Storage classes: where S3 keeps an object, and for how much. -ENOTSUP, with a sentence, in a store that has none (dir:). What a get of a frozen object brings is -EIO, at once, and
 * error.storage_class is the name of its class.
 */
/** store_class_get() - of the newest version of @key. A class that is called as one of AWS's archives and can be read all the same (Ceph's pools have any name) is not frozen: of
 * such a one its first byte is asked for. -ENOENT. */
int store_class_get(struct store *s, const struct store_call *call, const char *key, struct store_class *ret,
                    struct error *err);
/** store_class_thaw() - have @key thawed; again is success. What is thawed already stays so for @how->days from now. @ret: is_thawing and
 * ready_until_us; NULL allowed. */
int store_class_thaw(struct store *s, const struct store_call *call, const char *key,
                     const struct store_thaw *how, struct store_class *ret, struct error *err);
/** store_thaw_tier_name() - "bulk", "standard", "expedited": static. */
const char *store_thaw_tier_name(enum store_thaw_tier tier);

int store_features(struct store *s, struct store_features *ret, struct error *err);
/** store_free() - close; wrappers free what they wrap. NULL allowed, returns NULL. */
struct store *store_free(struct store *s);
DEFINE_CLEANUP(store, struct store *, store_free)

/** store_key_check() - 0, or -EINVAL with a message. */
int store_key_check(const char *key, struct error *err);

/* Drivers and wrappers. */

struct net;
struct conf_store;

/** store_dir_new() - objects as files below @root, which is made (0700) when its parent exists. */
int store_dir_new(const char *root, struct store **ret_store, struct error *err);
/** store_dir_new_read_only() - the same of one that is there, for listing and reading alone: nothing is made in it, no left-over is
 * cleared away, and what would write fails. */
int store_dir_new_read_only(const char *root, struct store **ret_store, struct error *err);
/** store_dir_is_used() - a store was opened here before: false for a directory that is missing or fresh, such
 * as the mountpoint of a disk that is not mounted. */
bool store_dir_is_used(const char *root);
/** store_s3_new() - a bucket; @net and @conf are borrowed for the store's life. No request is made. */
int store_s3_new(const struct conf_store *conf, struct net *net, struct store **ret_store, struct error *err);
/**
 * store_retry_new() - wrap @inner (consumed): calls that failed with error.retry are tried again, with capped
 * exponential back-off and full jitter, not before error.retry_after_ms, until @deadline_ms after the call
 * began. A get goes on where it broke off, of the same object, else it begins again.
 * @deadline_ms: 0: each call is made once, and has no deadline but its caller's
 */
struct store *store_retry_new(struct store *inner, int64_t deadline_ms);
/**
 * store_fault_new() - wrap @inner (consumed): fail calls on purpose, to rehearse what a broken store does
 * @inner: consumed on failure, too
 * @spec: "op:when:what" rules separated by ',' ("": none). op: put get head remove list begin part complete
 * abort uploads lock *; when: N (the Nth such call, from 1), N+ (from the Nth on), N% (at random); what: eio (not
 * retried), unavailable (retried), timeout (the call is made, but its answer is lost, of a get the second
 * half of the bytes; retried), corrupt (get: one byte flipped; else like eio), slow:MS (then goes on), crash
 * (SIGKILL to self), nospace, denied. The first rule that applies decides.
 */
int store_fault_new(struct store *inner, const char *spec, struct store **ret_store, struct error *err);

enum store_call_kind {
	STORE_CALL_PUT,
	STORE_CALL_GET,
	STORE_CALL_HEAD,
	STORE_CALL_REMOVE,
	STORE_CALL_LIST,
	STORE_CALL_BEGIN,
	STORE_CALL_PART,
	STORE_CALL_COMPLETE,
	STORE_CALL_ABORT,
	STORE_CALL_UPLOADS,
	STORE_CALL_LOCK, /* all about locks and versions */
	STORE_CALL_KINDS
};
/** store_call_name() - "put", "get", "part" …, the words of store_fault_new(): static. */
const char *store_call_name(enum store_call_kind kind);

/** struct store_metrics - what was asked of a store since the process began, each try counted. Any thread. */
struct store_metrics {
	struct {
		atomic_ullong calls; /* that have returned */
		/* Of these. A cancellation is none, nor is that the object of a get or head is not there,
		 * ends before, or is another: these are answers. */
		atomic_ullong failures;
		/* Of content, sent or received, of calls that succeeded; of a get that broke off what
		 * came. */
		atomic_ullong bytes;
		struct histogram duration;
	} of[STORE_CALL_KINDS];
	atomic_ullong failures_by_class[ERROR_CLASSES];
};
/** store_meter_new() - wrap @inner (consumed): count into @metrics, which outlives the store. */
struct store *store_meter_new(struct store *inner, struct store_metrics *metrics);
/**
 * store_handle_new() - a store for somebody to have, above @inner, which stays its owner's (borrowed, and open until @release)
 * @label:   copied; "<label>: " comes before the message of each failure, also of its uploads; NULL: nothing does
 * @release: NULL, or called once with @arg when the handle is freed; uploads that were begun with it must have been freed before
 */
struct store *store_handle_new(struct store *inner, const char *label, void (*release)(void *arg), void *arg);

/**
 * struct store_fence - who may write to a store, and until when
 *
 * @check is asked before each call that writes, on the thread that makes it; it must not block. It returns 0, and in *@ret_left_ms for
 * how long from now on it is sure that we may write; or a negative errno with a message, whose error.retry says whether
 * it may be allowed again soon. Borrowed, and kept until the store is freed.
 */
struct store_fence {
	int (*check)(void *arg, int64_t *ret_left_ms, struct error *err);
	void *arg;
};
/**
 * store_fence_new() - wrap @inner (consumed): every call that writes (put, remove, begin, part, complete, abort) is made
 * only when @fence allows it
 *
 * A put and a removal have no longer deadline than the fence says: what is not at the server by then is given up. A part and a
 * completion may take longer: what they make is seen by nobody without a manifest, which is a put. An upload that was begun by this
 * store may always be aborted, since it is our own. It lies below the retries, so that each try is checked.
 */
struct store *store_fence_new(struct store *inner, const struct store_fence *fence);
/** struct store_spares - other stores that have the same objects, for reading when the first fails. Any thread, several at once. */
struct store_spares {
	/**
	 * open() - the spare number @number, from 0 on, that has the object @key with the same bytes: the caller's store_free()
	 * -ENOENT: there are no more. Another failure: that one cannot be had now.
	 */
	int (*open)(void *arg, unsigned number, struct store **ret_store, struct error *err);
	/* The bytes that are handed out are those of @spare, by its number. @damaged: what the first had was wrong, or not there; else it did not answer. */
	void (*used)(void *arg, unsigned number, const char *key, bool damaged, const struct error *why);
	void (*free)(void *arg);
	void *arg;
};
/**
 * store_spare_new() - wrap @inner (consumed), for reading: a get that fails there, or asks for elsewhere, is answered by a spare
 *
 * A get of the first has its time before it counts as failed; after a failure that another try might have mended it is passed over for a while, so that
 * not every get waits for that. An object that a spare has is no other one: if_match is asked of the first alone, and no etag is told of a spare's. Other calls
 * that read are the first's, and what would write fails.
 */
struct store *store_spare_new(struct store *inner, const struct store_spares *spares);
/** store_has_spares() - is it one of these? */
bool store_has_spares(const struct store *s);

/** struct store_tried - how long each step of store_try() took. */
struct store_tried {
	int64_t put_ms, get_ms, remove_ms;
	bool exclusive; /* what is there was not replaced by an object that must be new */
};
/**
 * store_try() - write, create once more, read back and delete a small object below state/, whose name is new each time: does a store
 * keep what it is given, and let go of it?
 *
 * For @deadline_ms at most (and some seconds for clearing up). Return: 0; negative errno with what is wrong.
 */
int store_try(struct store *s, int64_t deadline_ms, struct cancel *cancel, struct store_tried *ret,
              struct error *err);

/** struct store_elsewhere - where objects are that lie in other places than the store that knows of them. */
struct store_elsewhere {
	/* A store of the place of that name: the caller's store_free(). @removes: to remove an object there. -EINVAL (ERROR_USAGE): nobody says where it is, or how to get in;
	 * -EPERM (ERROR_DENIED): nothing is removed there. Any thread. */
	int (*open)(void *arg, const char *place, bool removes, struct store **ret_store, struct error *err);
	void *arg;
};
/**
 * store_elsewhere_new() - @inner (borrowed), in which what has a key that begins with "adopted/PLACE/" (keepfs/codec/manifest.h) is read in that place
 * @places: copied
 *
 * Such an object can be read, looked for and have a URL; it can be removed where open() lets it; nothing can be written there (-EROFS), and nothing be locked (-ENOTSUP).
 * Listings are of @inner alone.
 */
struct store *store_elsewhere_new(struct store *inner, const struct store_elsewhere *places);
/** store_open() - the store that the configuration describes, wrapped: retry(meter?(fault?(driver))).
 * @net may be NULL for dir; @metrics NULL: not counted. */
int store_open(const struct conf_store *conf, struct net *net, struct store_metrics *metrics,
               struct store **ret_store, struct error *err);
/** store_open_fenced() - the same with a fence: retry(fence(meter?(fault?(driver)))). @fence: NULL: store_open(). */
int store_open_fenced(const struct conf_store *conf, struct net *net, struct store_metrics *metrics,
                      const struct store_fence *fence, struct store **ret_store, struct error *err);
