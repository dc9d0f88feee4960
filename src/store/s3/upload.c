// SPDX-License-Identifier: Apache-2.0
/*
 * Multipart uploads.
 *
 * Completing is the one request whose answer must not be believed by its status: S3 may say 200 first and
 * fail later, in the body. And when the answer to a completion that worked is lost, the next try is told that
 * there is no such upload: then the object itself is looked at, and if it has the size and the number of
 * parts that were sent, it is ours.
 *
 * An abort that runs beside a part's upload may leave that part behind, to be paid for: so it is repeated
 * until the server does not know the upload any more.
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <stdio.h>
#include <string.h>

#define ABORT_TRIES 4

struct s3_upload {
	struct store_upload head; /* first */
	char *id;
};

static int begin_upload(struct s3 *s, const struct store_call *call, struct s3_request *request,
                        struct store_upload **ret, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct store *store = &s->store;
	const char *key = request->key;
	struct s3_upload *up;
	char *id;
	int r;

	s3_add_query(request, "uploads", "");
	s3_add_encryption(s, request);
	r = s3_perform(s, call, request, &answer, err);
	if (r)
		return r;
	id = s3xml_parse_upload_id(str_text(&answer.text), answer.text.len, err);
	if (!id) {
		error_prefix(err, "POST %s/%s", store->name, key);
		return -EPROTO;
	}
	s3_check_encryption(s, &answer);
	up = mem_alloc(sizeof(*up));
	up->head = (struct store_upload){.ops = store->ops, .store = store, .key = mem_strdup(key)};
	up->id = id;
	*ret = &up->head;
	return 0;
}

int s3_upload_begin(struct store *store, const struct store_call *call, const char *key,
                    const char *storage_class, struct store_upload **ret, struct error *err)
{
	struct s3_request request = {.method = "POST", .key = key};
	struct error spare = {0};

	s3_add_header(&request, "content-type", "application/octet-stream");
	if (storage_class)
		s3_add_header(&request, "x-amz-storage-class", storage_class);
	return begin_upload((struct s3 *)store, call, &request, ret, err ? err : &spare);
}

int s3_upload_begin_with(struct store *store, const struct store_call *call, const char *key,
                         const struct sigv4_pair *headers, size_t count, struct store_upload **ret,
                         struct error *err)
{
	struct s3_request request = {.method = "POST", .key = key, .more = headers, .more_count = count};

	return begin_upload((struct s3 *)store, call, &request, ret, err);
}

/* The server keeps parts apart until they are completed: their order costs nothing. */
void s3_upload_announce(struct store_upload *upload, unsigned number, uint64_t bytes)
{
}

int s3_upload_part(struct store_upload *upload, const struct store_call *call, unsigned number,
                   const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct s3 *s = (struct s3 *)upload->store;
	struct s3_upload *up = (struct s3_upload *)upload;
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "PUT", .key = upload->key, .body = iov, .body_count = count};
	struct error spare = {0};
	char text[STORE_ETAG_BYTES + 8], number_text[16];
	int r;

	err = err ? err : &spare;
	snprintf(number_text, sizeof(number_text), "%u", number);
	s3_add_query(&request, "partNumber", number_text);
	s3_add_query(&request, "uploadId", up->id);
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r;
	net_header_find(&answer, "etag", text, sizeof(text));
	if (!*text)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO, "PUT %s/%s: the server gave part %u no ETag",
		                 s->store.name, upload->key, number);
	*ret = (struct store_part){.number = number, .bytes = iov_bytes(iov, count)};
	s3_etag(text, ret->etag);
	return 0;
}

/* UploadPartCopy. As with a completion, a 200 may have an error in its body. */
int s3_upload_copy(struct store_upload *upload, const struct store_call *call, unsigned number,
                   const struct store_range *from, struct store_part *ret, struct error *err)
{
	struct s3 *s = (struct s3 *)upload->store;
	struct s3_upload *up = (struct s3_upload *)upload;
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(free) char *whole = mem_printf("/%s/%s%s", from->bucket ? from->bucket : s->place.bucket,
	                                        from->bucket ? "" : s->place.prefix, from->key),
	                    *etag = NULL, *quoted = NULL;
	_cleanup(str) struct str source = {0};
	struct s3_request request = {.method = "PUT", .key = upload->key};
	struct error spare = {0};
	char range[64], number_text[16];
	int r;

	err = err ? err : &spare;
	sigv4_uri_encode(whole, true, &source);
	snprintf(number_text, sizeof(number_text), "%u", number);
	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)from->offset,
	         (unsigned long long)(from->offset + from->bytes - 1));
	s3_add_query(&request, "partNumber", number_text);
	s3_add_query(&request, "uploadId", up->id);
	s3_add_header(&request, "x-amz-copy-source", str_text(&source));
	if (!from->is_whole)
		s3_add_header(&request, "x-amz-copy-source-range", range);
	if (from->if_match) {
		quoted = s3_etag_quoted(from->if_match);
		s3_add_header(&request, "x-amz-copy-source-if-match", quoted);
	}
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r;
	etag = s3xml_parse_copied_etag(str_text(&answer.text), answer.text.len);
	if (!etag)
		return s3_fail_late(s, &request, &answer, err);
	*ret = (struct store_part){.number = number, .bytes = from->bytes};
	s3_etag(etag, ret->etag);
	return 0;
}

static void write_complete(const struct store_part *parts, size_t count, struct str *out)
{
	_cleanup(free) struct s3xml_part *list = mem_array(count, sizeof(*list));

	for (size_t i = 0; i < count; i++)
		list[i] = (struct s3xml_part){parts[i].number, s3_etag_quoted(parts[i].etag)};
	s3xml_write_complete(list, count, out);
	for (size_t i = 0; i < count; i++)
		free((char *)list[i].etag);
}

/* A multipart object's ETag ends in "-<number of parts>"; a server that makes other ETags is asked for the
 * size only. */
static bool has_other_part_count(const char *etag, size_t count)
{
	const char *dash = strrchr(etag, '-');
	char want[24];

	snprintf(want, sizeof(want), "-%zu", count);
	return dash && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1) &&
	       !str_equal(dash, want);
}

/* The upload is gone: @err says so. Success if the object is what it would have become. */
static int find_completed(struct s3 *s, const struct store_call *call, const char *key,
                          const struct store_part *parts, size_t count, struct error *err)
{
	struct store_object object;
	struct error head_err = {0};
	uint64_t bytes = 0;
	int r = s3_head(&s->store, call, key, &object, &head_err);

	if (r && r != -ENOENT) {
		*err = head_err;
		return r;
	}
	for (size_t i = 0; i < count; i++)
		bytes += parts[i].bytes;
	if (!r && object.bytes == bytes && !has_other_part_count(object.etag, count))
		return 0;
	return -ENOENT;
}

/* -ENOENT: the server does not know the upload (any more). */
static int upload_request(struct s3 *s, const struct store_call *call, const char *method, const char *key,
                          const char *upload_id, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = method, .key = key};

	s3_add_query(&request, "uploadId", upload_id);
	return s3_perform(s, call, &request, &answer, err);
}

/* Ceph says 500 (as if it were at work on it) when the upload is gone: its parts are asked for, which it
 * knows better. */
static int complete_failed(struct s3 *s, const struct store_call *call, const char *key,
                           const char *upload_id, int r, struct error *err)
{
	struct error parts_err = {0};

	if (err->http_status != 500 || upload_request(s, call, "GET", key, upload_id, &parts_err) != -ENOENT)
		return r;
	error_set(err, ERROR_NOT_FOUND, ENOENT,
	          "POST %s/%s: there is no such upload: it was aborted or completed", s->store.name, key);
	return -ENOENT;
}

int s3_upload_complete(struct store_upload *upload, const struct store_call *call,
                       const struct store_part *parts, size_t count, struct error *err)
{
	struct s3 *s = (struct s3 *)upload->store;
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(str) struct str body = {0};
	_cleanup(free) char *etag = NULL;
	struct s3_upload *up = (struct s3_upload *)upload;
	struct s3_request request = {.method = "POST", .key = upload->key};
	struct error spare = {0};
	struct iovec iov;
	int r;

	err = err ? err : &spare;
	write_complete(parts, count, &body);
	iov = (struct iovec){body.data, body.len};
	request.body = &iov;
	request.body_count = 1;
	s3_add_query(&request, "uploadId", up->id);
	s3_add_header(&request, "content-type", "application/xml");
	r = s3_perform(s, call, &request, &answer, err);
	if (!r) {
		etag = s3xml_parse_complete_etag(str_text(&answer.text), answer.text.len);
		if (etag)
			return 0;
		r = s3_fail_late(s, &request, &answer, err);
	}
	r = complete_failed(s, call, upload->key, up->id, r, err);
	if (r == -ENOENT)
		return find_completed(s, call, upload->key, parts, count, err);
	return r;
}

const char *s3_upload_id(const struct store_upload *upload)
{
	return ((const struct s3_upload *)upload)->id;
}

struct store_upload *s3_upload_free(struct store_upload *upload)
{
	struct s3_upload *up = (struct s3_upload *)upload;

	if (!up)
		return NULL;
	free(up->head.key);
	free(up->id);
	free(up);
	return NULL;
}

int s3_upload_abort(struct store *store, const struct store_call *call, const char *key,
                    const char *upload_id, struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	struct error spare = {0};
	int r;

	err = err ? err : &spare;
	for (int i = 0; i < ABORT_TRIES; i++) {
		r = upload_request(s, call, "DELETE", key, upload_id, err);
		if (r)
			return r == -ENOENT ? 0 : r;
		r = upload_request(s, call, "GET", key, upload_id, err); /* the list of its parts */
		if (r == -ENOENT ||
		    r == -EACCES) /* gone; or we may not look, and must believe the first answer */
			return 0;
		if (r)
			return r;
	}
	error_set(err, ERROR_UNAVAILABLE, EBUSY, "DELETE %s/%s: the server still holds parts of upload %s",
	          store->name, key, upload_id);
	err->retry = true;
	return -EBUSY;
}
