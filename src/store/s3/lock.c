// SPDX-License-Identifier: Apache-2.0
/*
 * Object lock. A lock is set by a request of its own, with the hash of its body as Content-MD5, which AWS asks for there; Ceph 16 takes none
 * with an upload in parts, and says nothing. That a lock is never shortened is the server's to see to: the header that would allow
 * it is never sent.
 *
 * Nothing of this is ever sent to a server that has not said that the bucket has object lock: one that does not know of it takes
 * "PUT key?retention" for a put, and the object's bytes would be gone. (OpenStack Swift does; it answers "GET key?retention" with what was put.)
 *
 * How an object is locked stands in the answer to a HEAD, for whoever may know. When it says nothing, it is asked for by itself, so
 * that a missing right is never taken for a missing lock.
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <string.h>
#include <strings.h>

#define VERSIONS_MAX 1000

static const char *const mode_words[] = {
        [STORE_LOCK_GOVERNANCE] = "GOVERNANCE",
        [STORE_LOCK_COMPLIANCE] = "COMPLIANCE",
};

/* What is not known is the stronger one. */
static enum store_lock_mode parse_lock_mode(const char *word)
{
	if (!*word)
		return STORE_LOCK_NONE;
	return strcasecmp(word, mode_words[STORE_LOCK_GOVERNANCE]) == 0 ? STORE_LOCK_GOVERNANCE
	                                                                : STORE_LOCK_COMPLIANCE;
}

void s3_md5(const struct iovec *iov, int count, char ret_text[static S3_MD5_BYTES])
{
	uint8_t digest[MD5_BYTES];
	_cleanup(free) char *text = NULL;

	md5_iov(iov, count, digest);
	text = base64_encode(digest, sizeof(digest));
	str_copy(ret_text, S3_MD5_BYTES, text);
}

void s3_add_lock(struct s3_request *r, const struct store_lock *lock, struct s3_lock_texts *texts)
{
	if (lock->mode != STORE_LOCK_NONE) {
		clock_format_iso(lock->until_us, texts->until);
		s3_add_header(r, "x-amz-object-lock-mode", mode_words[lock->mode]);
		s3_add_header(r, "x-amz-object-lock-retain-until-date", texts->until);
	}
	if (lock->hold)
		s3_add_header(r, "x-amz-object-lock-legal-hold", "ON");
	s3_md5(r->body, r->body_count, texts->md5);
	s3_add_header(r, "content-md5", texts->md5);
}

static int put_lock(struct s3 *s, const struct store_call *call, const char *key, const char *what,
                    const char *xml, struct error *err)
{
	const struct iovec iov = {(char *)xml, strlen(xml)};
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "PUT", .key = key, .body = &iov, .body_count = 1};
	char md5[S3_MD5_BYTES];

	s3_md5(&iov, 1, md5);
	s3_add_query(&request, what, "");
	s3_add_header(&request, "content-md5", md5);
	s3_add_header(&request, "content-type", "application/xml");
	return s3_perform(s, call, &request, &answer, err);
}

static int extend_lock(struct s3 *s, const struct store_call *call, const char *key,
                       const struct store_lock *lock, struct error *err)
{
	char until[CLOCK_ISO_BYTES];
	_cleanup(free) char *xml =
	        mem_printf("<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>%s</Mode>"
	                   "<RetainUntilDate>%s</RetainUntilDate></Retention>",
	                   mode_words[lock->mode], clock_format_iso(lock->until_us, until));

	return put_lock(s, call, key, "retention", xml, err);
}

static int set_legal_hold(struct s3 *s, const struct store_call *call, const char *key, bool on,
                          struct error *err)
{
	return put_lock(
	        s, call, key, "legal-hold",
	        on ? "<LegalHold xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>ON</Status></LegalHold>"
	           : "<LegalHold xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>OFF</Status></LegalHold>",
	        err);
}

/* S3 says 404 when there is no lock, or the bucket has none: each server by a code of its own. */
static bool says_there_is_none(const struct error *err)
{
	return strstr(err->code, "ObjectLockConfiguration") != NULL ||
	       str_equal(err->code, "NoSuchRetention") ||
	       (str_equal(err->code, "InvalidRequest") && err->http_status == 400);
}

/* One of ?retention, ?legal-hold, ?object-lock, ?versioning: what of it there is. */
static int get_lock_document(struct s3 *s, const struct store_call *call, const char *key, const char *what,
                             struct s3xml_lock *ret, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "GET", .key = key};
	int r;

	*ret = (struct s3xml_lock){0};
	s3_add_query(&request, what, "");
	r = s3_perform(s, call, &request, &answer, err);
	if (r < 0 && says_there_is_none(err)) {
		*err = (struct error){0};
		return 0;
	}
	if (r == 0)
		r = s3xml_parse_lock(str_text(&answer.text), answer.text.len, ret, err);
	if (r < 0 && answer.status / 100 == 2)
		error_prefix(err, "GET %s%s%s", s->store.name, key ? "/" : "", key ? key : "");
	return r;
}

static int parse_lock_date(const struct s3 *s, const char *key, const char *date, int64_t *ret_us,
                           struct error *err)
{
	if (clock_parse_iso(date, ret_us) == 0)
		return 0;
	error_set(err, ERROR_UNAVAILABLE, EPROTO,
	          "%s/%s: the server says that it is locked until '%s', which is no date", s->store.name, key,
	          date);
	err->retry = true;
	return -EPROTO;
}

/* What the answer to a HEAD does not tell. */
static int ask_for_lock(struct s3 *s, const struct store_call *call, const char *key, struct store_lock *ret,
                        struct error *err)
{
	struct s3xml_lock found;
	int r = 0;

	if (ret->mode == STORE_LOCK_NONE) {
		r = get_lock_document(s, call, key, "retention", &found, err);
		if (r == 0 && *found.mode) {
			ret->mode = parse_lock_mode(found.mode);
			r = parse_lock_date(s, key, found.until, &ret->until_us, err);
		}
	}
	if (r == 0 && !ret->hold) {
		r = get_lock_document(s, call, key, "legal-hold", &found, err);
		ret->hold = r == 0 && str_equal(found.status, "ON");
	}
	return r;
}

static int get_lock(struct s3 *s, const struct store_call *call, const char *key, struct store_lock *ret,
                    struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "HEAD", .key = key};
	char mode[32], until[64], hold[8];
	struct store_lock lock = {0};
	int r = s3_perform(s, call, &request, &answer, err);

	if (r == 0) {
		net_header_find(&answer, "x-amz-object-lock-mode", mode, sizeof(mode));
		net_header_find(&answer, "x-amz-object-lock-retain-until-date", until, sizeof(until));
		net_header_find(&answer, "x-amz-object-lock-legal-hold", hold, sizeof(hold));
		lock.mode = parse_lock_mode(mode);
		lock.hold = str_equal(hold, "ON");
		if (lock.mode != STORE_LOCK_NONE)
			r = parse_lock_date(s, key, until, &lock.until_us, err);
	} else if (err->retry) {
		return r;
	}
	/* The answer to a HEAD that failed does not say why: these do. */
	if (!(r == 0 && lock.mode != STORE_LOCK_NONE && *hold))
		r = ask_for_lock(s, call, key, &lock, err);
	if (r == 0)
		*ret = lock;
	return r;
}

static int get_bucket(struct s3 *s, const struct store_call *call, struct store_bucket *ret,
                      struct error *err)
{
	struct s3xml_lock versioning, locking = {0};
	int r = get_lock_document(s, call, NULL, "versioning", &versioning, err);

	if (r == 0)
		r = get_lock_document(s, call, NULL, "object-lock", &locking, err);
	/* A server that has never heard of locks: it says so, or answers with a listing of the bucket. */
	if (r == -EOPNOTSUPP || r == -EPROTO) {
		*err = (struct error){0};
		locking = (struct s3xml_lock){0};
		r = 0;
	}
	if (r < 0)
		return r;
	*ret = (struct store_bucket){
	        .keeps_versions = str_equal(versioning.status, "Enabled"),
	        .can_lock = str_equal(locking.enabled, "Enabled"),
	        .default_mode = parse_lock_mode(locking.mode),
	        .default_days = locking.days + locking.years * 365,
	};
	return 0;
}

/* Once is enough: object lock is never switched off. */
static int be_sure_of_locks(struct s3 *s, const struct store_call *call, struct error *err)
{
	struct store_bucket bucket = {0};
	int r = atomic_load(&s->can_lock) ? 0 : get_bucket(s, call, &bucket, err);

	if (r < 0 || atomic_load(&s->can_lock))
		return r;
	if (!bucket.can_lock)
		return error_set(err, ERROR_USAGE, ENOTSUP, "the bucket of %s has no object lock",
		                 s->store.name);
	atomic_store(&s->can_lock, true);
	return 0;
}

int s3_check_put_lock(struct s3 *s, const struct store_call *call, const struct store_put_options *options,
                      struct error *err)
{
	return options && options->lock ? be_sure_of_locks(s, call, err) : 0;
}

struct version_page {
	size_t prefix_len; /* of the store's own prefix */
	struct store_version *items;
	size_t count;
};

static void add_to_version_page(void *arg, const char *full_key, const char *version_id, bool is_marker)
{
	struct version_page *page = arg;
	struct store_version *v;

	if (page->count == VERSIONS_MAX || strlen(full_key) < page->prefix_len)
		return;
	v = &page->items[page->count++];
	str_copy(v->key, sizeof(v->key), full_key + page->prefix_len);
	str_copy(v->id, sizeof(v->id), version_id);
	v->is_marker = is_marker;
}

static int list_version_page(struct s3 *s, const struct store_call *call, struct store_locking *io,
                             struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("%s%s", s->place.prefix, io->key);
	_cleanup(free) struct store_version *items = mem_array(VERSIONS_MAX, sizeof(*items));
	struct version_page page = {.prefix_len = strlen(s->place.prefix), .items = items};
	int r = s3_each_version(s, call, prefix, add_to_version_page, &page, err);

	if (r < 0)
		return r;
	io->versions = take_ptr(&items);
	io->count = page.count;
	return 0;
}

int s3_locking(struct store *store, const struct store_call *call, struct store_locking *io,
               struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	struct error spare = {0};
	int r = 0;

	err = err ? err : &spare;
	if (io->op == STORE_LOCK_EXTEND || io->op == STORE_LOCK_HOLD || io->op == STORE_LOCK_GET)
		r = be_sure_of_locks(s, call, err);
	if (r < 0)
		return r;
	switch (io->op) {
	case STORE_LOCK_EXTEND:
		return extend_lock(s, call, io->key, &io->lock, err);
	case STORE_LOCK_HOLD:
		return set_legal_hold(s, call, io->key, io->lock.hold, err);
	case STORE_LOCK_GET:
		return get_lock(s, call, io->key, &io->lock, err);
	case STORE_LOCK_BUCKET:
		return get_bucket(s, call, &io->bucket, err);
	case STORE_LOCK_LIST:
		return list_version_page(s, call, io, err);
	case STORE_LOCK_REMOVE:
		return s3_delete_version(s, call, io->key, io->version, err);
	case STORE_CLASS_GET:
		return s3_class_get(s, call, io->key, &io->class, err);
	case STORE_CLASS_THAW:
		return s3_class_thaw(s, call, io->key, &io->thaw, &io->class, err);
	}
	return -EINVAL;
}
