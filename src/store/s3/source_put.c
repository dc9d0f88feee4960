// SPDX-License-Identifier: Apache-2.0
/*
 * Objects that are put into somebody else's bucket. One whose ETag says of how many parts it was ("…-3") is put in as many: of parts of the same sizes a bucket
 * makes the same ETag, so that whoever compares ETags, as the next run of a mirror does, finds what he knows.
 */
#include "source.h"

#include "../store_private.h"
#include "../wrap/tries.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MIB          ((uint64_t)1 << 20)
#define SINGLE_BYTES (16 * MIB) /* what had no parts, and has no more, is put whole */
#define PART_BYTES   (8 * MIB)  /* of what was cut in no way that is known */
#define PART_MIN     (5 * MIB)  /* but for the last: S3's limit */
#define ABORT_MS     10000
#define MD5_HEX      ((size_t)2 * SOURCE_MD5_BYTES)

_Static_assert(SOURCE_MD5_BYTES == MD5_BYTES, "a piece is hashed by md5_iov()");

struct cut {
	bool in_parts;
	uint64_t piece; /* bytes; 0: it cannot be put */
	uint64_t count;
};

struct s3_source_put {
	struct source_put base; /* first */
	struct cut cut;
	struct sigv4_pair *headers;
	size_t header_count;
	struct store_upload *upload; /* NULL: it is put whole */
	struct store_part *parts;
	unsigned part_count;
	struct iovec body; /* of what is put whole */
};

/* How it is cut. */

static bool is_md5(const char *etag, size_t len)
{
	return len == MD5_HEX && strspn(etag, "0123456789abcdefABCDEF") >= MD5_HEX;
}

/* "d41d8cd98f00b204e9800998ecf8427e-3": 3; 0: it was put whole, or nobody knows. */
static uint64_t parts_by_etag(const char *etag)
{
	size_t len = etag ? strcspn(etag, "-") : 0;
	char *end;
	uint64_t count;

	if (!etag || !is_md5(etag, len) || etag[len] != '-' || strspn(etag + len + 1, "0123456789") == 0)
		return 0;
	errno = 0;
	count = strtoull(etag + len + 1, &end, 10);
	return errno || *end || count > STORE_MAX_PARTS ? 0 : count;
}

static uint64_t count_of_pieces(uint64_t bytes, uint64_t piece)
{
	return bytes == 0 ? 1 : (bytes + piece - 1) / piece;
}

static uint64_t whole_mibs(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB * MIB;
}

/* As programs cut that are often used; else the smallest whole MiB that gives so many parts. 0: there is none. */
static uint64_t piece_of_parts(uint64_t bytes, uint64_t count)
{
	static const uint64_t usual[] = {8, 5, 16, 10, 15, 32, 50, 64, 100, 128, 256, 512, 1024};
	uint64_t piece;

	if (count == 1)
		return bytes > 0 ? bytes : 1;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (count_of_pieces(bytes, usual[i] * MIB) == count)
			return usual[i] * MIB;
	piece = whole_mibs((bytes + count - 1) / count);
	return piece >= PART_MIN && count_of_pieces(bytes, piece) == count ? piece : 0;
}

/* @whole: an object that has no more is put whole. */
static struct cut own_cut(uint64_t bytes, uint64_t whole)
{
	uint64_t least = whole_mibs((bytes + STORE_MAX_PARTS - 1) / STORE_MAX_PARTS);
	uint64_t piece = least > PART_BYTES ? least : PART_BYTES;

	if (bytes <= whole)
		return (struct cut){.piece = bytes > 0 ? bytes : 1, .count = 1};
	return (struct cut){.in_parts = true, .piece = piece, .count = count_of_pieces(bytes, piece)};
}

static struct cut cut_of(const struct source_new *what)
{
	uint64_t count = parts_by_etag(what->etag);
	uint64_t piece = count ? piece_of_parts(what->bytes, count) : 0;
	bool was_whole = what->etag && is_md5(what->etag, strlen(what->etag));
	uint64_t whole =
	        was_whole || what->most_piece_bytes < SINGLE_BYTES ? what->most_piece_bytes : SINGLE_BYTES;
	struct cut cut = {.in_parts = true, .piece = piece, .count = count};

	if (!piece || piece > what->most_piece_bytes)
		cut = own_cut(what->bytes, whole);
	if (cut.piece > what->most_piece_bytes)
		cut.piece = 0;
	return cut;
}

size_t s3_source_piece_bytes(const struct source *s, const struct source_new *what)
{
	(void)s;
	return cut_of(what).piece;
}

bool s3_source_may_tell(const struct source *s, const struct source_new *what, const char *etag)
{
	struct cut cut = cut_of(what);
	uint64_t count = parts_by_etag(etag);

	(void)s;
	if (!cut.piece)
		return false;
	return cut.in_parts ? count == cut.count : is_md5(etag, strlen(etag));
}

char *s3_source_made_etag(const struct source *s, const struct source_new *what,
                          const uint8_t (*md5s)[SOURCE_MD5_BYTES], size_t count)
{
	const struct iovec all = {.iov_base = (void *)md5s, .iov_len = count * SOURCE_MD5_BYTES};
	char hex[MD5_HEX + 1];
	uint8_t digest[SOURCE_MD5_BYTES];

	(void)s;
	if (!cut_of(what).in_parts) {
		hex_encode(md5s[0], SOURCE_MD5_BYTES, hex);
		return mem_strdup(hex);
	}
	md5_iov(&all, 1, digest);
	hex_encode(digest, sizeof(digest), hex);
	return mem_printf("%s-%zu", hex, count);
}

/* Putting. */

int s3_source_check_key(const struct source *base, const char *key, struct error *err)
{
	const struct s3_source *s = (const struct s3_source *)base;
	const char *prefix = s->s3->place.prefix;

	/* Without a prefix it would be the bucket. */
	if ((*key || *prefix) && strlen(prefix) + strlen(key) < S3_KEY_BYTES)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "no object of %s can be called so: a key has 1 to %d bytes, what the URL says included",
	        base->name, S3_KEY_BYTES - 1);
}

static bool is_header_value(const char *value)
{
	for (const unsigned char *c = (const unsigned char *)value; *c; c++)
		if ((*c < 0x20 && *c != '\t') || *c == 0x7f)
			return false;
	return true;
}

static bool is_header_name(const char *name)
{
	return strspn(name,
	              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") ==
	               strlen(name) &&
	       s3_is_kept_header(name, strlen(name));
}

/* A listing may be forged: what it says becomes no other header. */
static int take_new_headers(struct s3_source_put *p, struct error *err)
{
	const struct source_new *what = &p->base.what;
	const char *type = what->type ? what->type : "binary/octet-stream"; /* as S3 says of what has none */
	bool right = is_header_value(type);
	size_t count = 1;

	for (const char *name = what->meta ? json_first_key(what->meta) : NULL; name;
	     name = json_next_key(what->meta, name))
		count++;
	p->headers = mem_array(count, sizeof(*p->headers));
	p->headers[p->header_count++] = (struct sigv4_pair){"content-type", type};
	for (const char *name = what->meta ? json_first_key(what->meta) : NULL; name;
	     name = json_next_key(what->meta, name)) {
		const char *value = json_get_string(what->meta, name);

		right = right && value && is_header_name(name) && is_header_value(value);
		p->headers[p->header_count++] = (struct sigv4_pair){name, str_or_empty(value)};
	}
	return right ? 0
	             : error_set(err, ERROR_USAGE, EINVAL,
	                         "what the listing says of its metadata can be in no header");
}

static struct s3_source *source_of_put(const struct s3_source_put *p)
{
	return s3_source_of(p->base.source);
}

static int begin_parts(struct s3_source_put *p, const struct store_call *call, struct error *err)
{
	struct s3_source *s = source_of_put(p);

	atomic_fetch_add(&s->base.requests, 1);
	return s3_upload_begin_with(&s->s3->store, call, p->base.what.key, p->headers, p->header_count,
	                            &p->upload, err);
}

int s3_source_put_begin(struct source *base, const struct store_call *call, const struct source_new *what,
                        struct source_put **ret, struct error *err)
{
	_cleanup(source_put) struct source_put *put = NULL;
	struct s3_source_put *p = mem_alloc(sizeof(*p));
	struct tries t;
	int r;

	*p = (struct s3_source_put){.base = {.source = base, .what = *what}, .cut = cut_of(what)};
	put = &p->base;
	if (!p->cut.piece)
		return error_set(err, ERROR_USAGE, EFBIG, "it is too large for the memory that there is");
	r = take_new_headers(p, err);
	if (r == 0 && p->cut.in_parts) {
		p->parts = mem_array(p->cut.count, sizeof(*p->parts));
		tries_begin(&t, base->retry, call);
		r = tries_end(&t, TRY(&t, begin_parts(p, &t.call, &t.error)), err);
	}
	if (r == 0)
		*ret = take_ptr(&put);
	return r;
}

static int put_part(struct s3_source_put *p, const struct store_call *call, const struct iovec *body,
                    struct error *err)
{
	atomic_fetch_add(&p->base.source->requests, 1);
	return s3_upload_part(p->upload, call, p->part_count + 1, body, 1, &p->parts[p->part_count], err);
}

int s3_source_put_write(struct source_put *base, const struct store_call *call, const void *data, size_t len,
                        struct error *err)
{
	struct s3_source_put *p = (struct s3_source_put *)base;
	const struct iovec body = {.iov_base = (void *)data, .iov_len = len};
	struct tries t;
	int r;

	if (!p->upload) {
		p->body = body;
		return 0;
	}
	if (p->part_count == p->cut.count)
		return error_set(err, ERROR_INTERNAL, EINVAL, "%s: more pieces than were announced",
		                 base->what.key);
	tries_begin(&t, base->source->retry, call);
	r = tries_end(&t, TRY(&t, put_part(p, &t.call, &body, &t.error)), err);
	if (r == 0)
		p->part_count++;
	return r;
}

static int refuse_taken(const struct s3_source_put *p, struct error *err)
{
	return error_set(err, ERROR_CONFLICT, ESTALE, "PUT %s/%s: somebody has put an object there meanwhile",
	                 p->base.source->name, p->base.what.key);
}

/* Where the server cannot be told, and of parts. */
static int check_not_there(const struct s3_source_put *p, const struct store_call *call, struct error *err)
{
	_cleanup(source_object) struct source_object there = {0};
	struct error why = {0};
	int r = source_head(p->base.source, call, p->base.what.key, &there, &why);

	if (r == 0)
		return refuse_taken(p, err);
	if (r < 0 && r != -ENOENT && err)
		*err = why;
	return r == -ENOENT ? 0 : r;
}

/* The answer to a put that was made once more may have been lost: then it is ours. */
static int judge_taken(const struct s3_source_put *p, const struct store_call *call, struct error *err)
{
	_cleanup(source_object) struct source_object there = {0};
	_cleanup(free) char *made = NULL;
	uint8_t md5[1][SOURCE_MD5_BYTES];

	md5_iov(&p->body, 1, md5[0]);
	made = s3_source_made_etag(p->base.source, &p->base.what, md5, 1);
	if (source_head(p->base.source, call, p->base.what.key, &there, NULL) == 0 &&
	    str_equal(there.etag, made))
		return 0;
	return refuse_taken(p, err);
}

static int put_object_whole(struct s3_source_put *p, bool only_new, const struct store_call *call,
                            struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3 *s3 = source_of_put(p)->s3;
	struct s3_request request = {.method = "PUT",
	                             .key = p->base.what.key,
	                             .more = p->headers,
	                             .more_count = p->header_count,
	                             .body = &p->body,
	                             .body_count = p->body.iov_len > 0 ? 1 : 0};

	atomic_fetch_add(&p->base.source->requests, 1);
	s3_add_encryption(s3, &request);
	if (only_new)
		s3_add_header(&request, "if-none-match", "*");
	return s3_perform(s3, call, &request, &answer, err);
}

/* An upload has at least one part. */
static int put_empty_part(struct s3_source_put *p, const struct store_call *call, struct error *err)
{
	return p->part_count > 0 ? 0 : s3_source_put_write(&p->base, call, "", 0, err);
}

static int complete_parts(struct s3_source_put *p, const struct store_call *call, struct error *err)
{
	atomic_fetch_add(&p->base.source->requests, 1);
	return s3_upload_complete(p->upload, call, p->parts, p->part_count, err);
}

static int put_whole_with_tries(struct s3_source_put *p, bool only_new, const struct store_call *call,
                                struct error *err)
{
	struct tries t;

	tries_begin(&t, p->base.source->retry, call);
	return tries_end(&t, TRY(&t, put_object_whole(p, only_new, &t.call, &t.error)), err);
}

static int end_whole_object(struct s3_source_put *p, const struct store_call *call, struct error *err)
{
	struct error why = {0};
	int r = put_whole_with_tries(p, p->base.what.only_new, call, &why);

	if (p->base.what.only_new && why.http_status == 412)
		return judge_taken(p, call, err);
	if (p->base.what.only_new && r == -EOPNOTSUPP && why.http_status == 501) {
		r = check_not_there(p, call, err);
		return r < 0 ? r : put_whole_with_tries(p, false, call, err);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

int s3_source_put_end(struct source_put *base, const struct store_call *call, struct error *err)
{
	struct s3_source_put *p = (struct s3_source_put *)base;
	struct tries t;
	int r;

	if (!p->upload)
		return end_whole_object(p, call, err);
	r = put_empty_part(p, call, err);
	if (r == 0 && base->what.only_new)
		r = check_not_there(p, call, err);
	if (r < 0)
		return r;
	tries_begin(&t, base->source->retry, call);
	return tries_end(&t, TRY(&t, complete_parts(p, &t.call, &t.error)), err);
}

/* Also when whatever it was for is cancelled; a server that does not answer keeps its parts. */
static void give_upload_up(struct s3_source_put *p)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + ABORT_MS};
	struct s3_source *s = source_of_put(p);
	struct error ignored = {0};
	struct tries t;

	tries_begin(&t, s->base.retry, &call);
	(void)tries_end(&t,
	                TRY(&t, s3_upload_abort(&s->s3->store, &t.call, p->base.what.key,
	                                        s3_upload_id(p->upload), &t.error)),
	                &ignored);
}

void s3_source_put_free(struct source_put *base)
{
	struct s3_source_put *p = (struct s3_source_put *)base;

	if (p->upload && !base->is_ended)
		give_upload_up(p);
	s3_upload_free(p->upload);
	free(p->headers);
	free(p->parts);
	free(p);
}

static int delete_object(struct s3_source *s, const struct store_call *call, const char *key,
                         struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "DELETE", .key = key};
	int r;

	atomic_fetch_add(&s->base.requests, 1);
	r = s3_perform(s->s3, call, &request, &answer, err);
	/* But that of the bucket. */
	return r == -ENOENT && str_equal(err->code, "NoSuchKey") ? 0 : r;
}

int s3_source_remove(struct source *base, const struct store_call *call, const char *key, struct error *err)
{
	struct tries t;

	tries_begin(&t, base->retry, call);
	return tries_end(&t, TRY(&t, delete_object(s3_source_of(base), &t.call, key, &t.error)), err);
}
