// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The S3 driver's own: one bucket, how a request to it is made, and what its answers mean. */
#include <keepfs/aws.h>
#include <keepfs/base/clock.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/s3xml.h>
#include <keepfs/codec/sigv4.h>
#include <keepfs/conf.h>
#include <keepfs/net.h>
#include <keepfs/store.h>
#include <pthread.h>
#include <stdatomic.h>

#define S3_KEY_BYTES 1025 /* S3's limit for a key, our prefix included, and a NUL */

struct s3_place { /* where the bucket is; all heap */
	char *bucket;
	char *prefix; /* "" or "some/where/": what stands before every key */
	char *base;   /* URL up to the path: "https://host[:port]" */
	char *server; /* URL of all its buckets: "https://s3.example.com/path/of/endpoint" */
	char *host;   /* value of the Host header */
	char *root;   /* path before a key: "/", "/bucket/" or "/path/of/endpoint/bucket/"; not encoded */
	char *region;
};

/** s3_place_init() - from [store] url, endpoint, region, addressing. Return: 0; -EINVAL, ERROR_USAGE. */
int s3_place_init(struct s3_place *place, const struct conf_store *conf, struct error *err);
void s3_place_finish(struct s3_place *place);

struct s3 {
	struct store store; /* first */
	const struct conf_store *conf;
	struct net *net;
	struct s3_place place;
	struct aws *aws;
	pthread_mutex_t lock;
	struct sigv4_key key;           /* lock: of the last request */
	uint64_t key_serial;            /* lock: of the credentials that it is derived from; 0: none */
	atomic_bool no_conditional_put; /* the server answered 501 to If-None-Match, or is known to */
	atomic_int conditional_match;   /* enum s3_match: what it makes of If-Match on a put */
	atomic_bool warned_encryption;
	atomic_bool keeps_versions;       /* a deletion was answered with a delete marker */
	atomic_bool can_lock;             /* the server has said that the bucket has object lock */
	int64_t clock_us;                 /* lock; the server's, of its last answer; 0: there was none */
	int64_t clock_boot_us;            /* lock; clock_boot_us() when that had come */
	int64_t clock_took_us;            /* lock; how long that answer took */
	unsigned long long versions_left; /* lock; deletions of which a version could not be deleted */
	char versions_why[STORE_NOTE_BYTES / 2]; /* lock; of the last of them */
};

/* WORKS_BARE: without the quotes that RFC 9110 asks for. */
enum s3_match { S3_MATCH_UNKNOWN, S3_MATCH_WORKS, S3_MATCH_WORKS_BARE, S3_MATCH_FAILS };

#define S3_QUERY_MAX  8
#define S3_HEADER_MAX 12

struct s3_request {
	const char *method;
	const char *key; /* without the prefix; NULL: the bucket itself */
	struct sigv4_pair query[S3_QUERY_MAX];
	size_t query_count;
	struct sigv4_pair headers[S3_HEADER_MAX];
	size_t header_count;
	const struct sigv4_pair *more; /* further headers, any number */
	size_t more_count;
	const struct iovec *body;
	int body_count;
	const struct iovec *into;
	int into_count;
	void (*into_filled)(void *arg, const struct net_response *so_far); /* as net_request's */
	void *into_arg;
};

void s3_add_query(struct s3_request *r, const char *name, const char *value);
void s3_add_header(struct s3_request *r, const char *name, const char *value);
/** s3_add_encryption() - the headers that ask for encryption at rest, as [store] sse wants it. */
void s3_add_encryption(struct s3 *s, struct s3_request *r);
/** s3_check_encryption() - warn, once, when the answer does not confirm the encryption that was asked for. */
void s3_check_encryption(struct s3 *s, const struct net_response *answer);

/**
 * s3_perform() - sign, send, judge
 * @answer: to be finished by the caller in every case
 * @err:    not NULL
 * Return: 0 for a status of 2xx; else negative, @err filled by s3_fail().
 */
int s3_perform(struct s3 *s, const struct store_call *call, const struct s3_request *r,
               struct net_response *answer, struct error *err);

/** struct s3_failure - what s3_fail() needs to tell why a request failed. */
struct s3_failure {
	struct s3 *s;
	const struct s3_request *request;
	const struct aws_credentials *credentials; /* NULL: they are not what it failed for */
	const struct net_response *answer;
};

/** s3_fail() - fill @err from an answer that is an error (or a 200 whose body is one); returns the negative
 * errno. */
int s3_fail(const struct s3_failure *f, struct error *err);

/** s3_fail_late() - the same for a 2xx whose body is an error, or nothing that makes sense (then: try
 * again). */
int s3_fail_late(struct s3 *s, const struct s3_request *r, const struct net_response *answer,
                 struct error *err);

/**
 * s3_remove_versions() - after a DELETE: where the bucket keeps versions, delete those of @key, if that is wanted
 * @answer: to the DELETE
 * @err:    not NULL
 * Return: 0, also when the server refused (that is remembered); else what may be tried again.
 */
int s3_remove_versions(struct s3 *s, const struct store_call *call, const char *key,
                       const struct net_response *answer, struct error *err);
/** s3_describe_versions() - what deletions have found out, into @ret's texts. */
void s3_describe_versions(struct s3 *s, struct store_features *ret);

/** s3_put_attempt() - one PUT. @condition: the name of a header, NULL: none; @value: of it. @options: not NULL. */
int s3_put_attempt(struct s3 *s, const struct store_call *call, const char *key, const struct iovec *iov,
                   int count, const struct store_put_options *options, const char *condition,
                   const char *value, struct error *err);
/** s3_put_if_match() - the slot put, of options that have if_match; @err: not NULL. */
int s3_put_if_match(struct s3 *s, const struct store_call *call, const char *key, const struct iovec *iov,
                    int count, const struct store_put_options *options, struct error *err);

/** s3_each_version() - a page (1000) of the versions and delete markers of all keys that begin with @full_prefix. */
int s3_each_version(struct s3 *s, const struct store_call *call, const char *full_prefix,
                    void (*version)(void *arg, const char *full_key, const char *version_id, bool is_marker),
                    void *arg, struct error *err);
/** s3_delete_version() - one that is not there is success. */
int s3_delete_version(struct s3 *s, const struct store_call *call, const char *key, const char *id,
                      struct error *err);

#define S3_MD5_BYTES 32 /* base64, with a NUL */
/** s3_md5() - as the header Content-MD5 wants it. */
void s3_md5(const struct iovec *iov, int count, char ret_text[static S3_MD5_BYTES]);
struct s3_lock_texts { /* what headers point to */
	char until[CLOCK_ISO_BYTES];
	char md5[S3_MD5_BYTES];
};
/** s3_check_put_lock() - 0 when there is no lock among @options, or the bucket takes locks; -ENOTSUP. */
int s3_check_put_lock(struct s3 *s, const struct store_call *call, const struct store_put_options *options,
                      struct error *err);
/** s3_add_lock() - the headers of a put that is locked from the beginning. @texts: live as long as the request. */
void s3_add_lock(struct s3_request *r, const struct store_lock *lock, struct s3_lock_texts *texts);

/** s3_class_get(), s3_class_thaw() - store_class_get() and store_class_thaw(); @err: not NULL. */
int s3_class_get(struct s3 *s, const struct store_call *call, const char *key, struct store_class *ret,
                 struct error *err);
int s3_class_thaw(struct s3 *s, const struct store_call *call, const char *key, const struct store_thaw *how,
                  struct store_class *ret, struct error *err);
/** s3_restore_parse() - the header x-amz-restore: `ongoing-request="true"`, or "false" and `expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`. What makes no sense, or is "", says nothing: neither
 * is set. Pure. */
void s3_restore_parse(const char *text, bool *ret_is_thawing, int64_t *ret_ready_until_us);
/** s3_head_parse() - the answer to a HEAD, as store_head() tells it. */
int s3_head_parse(const struct s3 *s, const char *key, const struct net_response *answer,
                  struct store_object *ret, struct error *err);

/** s3_etag_is_md5() - of the bytes, or, with "-" and their number behind it, of the MD5s of the parts: as far as the answer says. */
bool s3_etag_is_md5(const struct net_response *answer, const char *etag);

/** s3_date_parse() - an HTTP date ("Fri, 20 Nov 2026 02:00:00 GMT"); -EINVAL for anything else. */
int s3_date_parse(const char *text, int64_t *ret_at_us);

/** s3_etag() - @text without quotes, as store_object.etag holds it. */
void s3_etag(const char *text, char ret_etag[static STORE_ETAG_BYTES]);
/** s3_etag_quoted() - as If-Match and CompleteMultipartUpload want it. */
char *s3_etag_quoted(const char *etag);

/* The slots of store_ops. */
int s3_put(struct store *store, const struct store_call *call, const char *key, const struct iovec *iov,
           int count, const struct store_put_options *options, struct error *err);
int s3_get(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
           const struct iovec *iov, int count, const struct store_get_options *options, struct error *err);
int s3_head(struct store *store, const struct store_call *call, const char *key, struct store_object *ret,
            struct error *err);
int s3_remove(struct store *store, const struct store_call *call, const char *key, struct error *err);
int s3_list(struct store *store, const struct store_call *call, const char *prefix, const char *start_after,
            size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
            struct error *err);
int s3_upload_begin(struct store *store, const struct store_call *call, const char *key,
                    const char *storage_class, struct store_upload **ret, struct error *err);
/** s3_upload_begin_with() - the same with these headers, and no others. */
int s3_upload_begin_with(struct store *store, const struct store_call *call, const char *key,
                         const struct sigv4_pair *headers, size_t count, struct store_upload **ret,
                         struct error *err);
void s3_upload_announce(struct store_upload *upload, unsigned number, uint64_t bytes);
int s3_upload_part(struct store_upload *upload, const struct store_call *call, unsigned number,
                   const struct iovec *iov, int count, struct store_part *ret, struct error *err);
int s3_upload_copy(struct store_upload *upload, const struct store_call *call, unsigned number,
                   const struct store_range *from, struct store_part *ret, struct error *err);
int s3_upload_complete(struct store_upload *upload, const struct store_call *call,
                       const struct store_part *parts, size_t count, struct error *err);
const char *s3_upload_id(const struct store_upload *upload);
struct store_upload *s3_upload_free(struct store_upload *upload);
int s3_upload_abort(struct store *store, const struct store_call *call, const char *key,
                    const char *upload_id, struct error *err);
int s3_upload_list(struct store *store, const struct store_call *call, const char *prefix,
                   struct store_upload_info **ret, size_t *ret_count, struct error *err);
int s3_locking(struct store *store, const struct store_call *call, struct store_locking *io,
               struct error *err);
int s3_presign(struct store *store, const char *key, int64_t ttl_ms, bool only_length, struct str *ret_url,
               struct error *err);
