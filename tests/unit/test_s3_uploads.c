// SPDX-License-Identifier: Apache-2.0
/* Uploads in parts over the S3 driver: how they are listed, completed and given up. */
#include "s3_test.h"

#include <keepfs/store/source.h>

static void test_upload_lists(void **state)
{
	struct store_upload_info *uploads;
	struct world w;
	size_t count;

#define UPLOADS         "200 OK\r\n\r\n<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
#define UPLOAD(key, id) "<Upload><Key>" key "</Key><UploadId>" id "</UploadId></Upload>"
	world_begin(&w,
	            SCRIPT(UPLOADS UPLOAD("pre/a", "1") UPLOAD("pre/a", "2") "</ListMultipartUploadsResult>",
	                   "200 OK\r\n\r\n<ListMultipartUploadsResult>" UPLOAD(
	                           "pre/b", "3") "</ListMultipartUploadsResult>",
	                   UPLOADS "</ListMultipartUploadsResult>"));
	assert_int_equal(store_upload_list(w.store, NULL, "", &uploads, &count, &w.err), 0);
	assert_int_equal(count, 3);
	assert_string_equal(uploads[2].key, "b");
	store_upload_list_free(uploads, count);
	assert_seen(&w, 1, "GET /bucket/?key-marker=pre%2Fa&prefix=pre%2F&upload-id-marker=2&uploads= HTTP");
	/* A list that does not go on must not be asked for for ever. */
	assert_int_equal(store_upload_list(w.store, NULL, "", &uploads, &count, &w.err), -EPROTO);
	world_end(&w);
}

#define BEGUN                                                                                                \
	"200 "                                                                                               \
	"OK\r\n\r\n<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"
#define PART "200 OK\r\nETag: \"p1\"\r\nContent-Length: 0\r\n\r\n"

/* Begins an upload and sends one part of four bytes. */
static void upload_one_part(struct world *w, struct store_upload **ret_up, struct store_part *ret_part)
{
	struct iovec iov = {(char *)"data", 4};

	assert_int_equal(store_upload_begin(w->store, NULL, "a", ret_up, &w->err), 0);
	assert_int_equal(store_upload_part(*ret_up, NULL, 3, &iov, 1, ret_part, &w->err), 0);
}

static int complete_after(const char *const *answers, struct error *err)
{
	struct store_upload *up;
	struct store_part part;
	struct world w;
	int rc;

	world_begin(&w, answers);
	upload_one_part(&w, &up, &part);
	assert_seen(&w, 0, "POST /bucket/pre/a?uploads= HTTP");
	assert_seen(&w, 1, "PUT /bucket/pre/a?partNumber=3&uploadId=u%2F1 HTTP");
	rc = store_upload_complete(up, NULL, &part, 1, &w.err);
	assert_seen(&w, 2, "<Part><PartNumber>3</PartNumber><ETag>&quot;p1&quot;</ETag></Part>");
	*err = w.err;
	store_upload_free(up);
	world_end(&w);
	return rc;
}

static void test_complete(void **state)
{
	struct error err;

	assert_int_equal(
	        complete_after(SCRIPT(BEGUN, PART, "200 OK\r\n\r\n  <CompleteMultipartUploadResult/>"), &err),
	        0);

	/* 200 first, the failure later. */
	assert_int_equal(
	        complete_after(SCRIPT(BEGUN, PART, "200 OK\r\n\r\n" ERROR_XML("SlowDown", "")), &err),
	        -EAGAIN);
	assert_true(err.retry);
	assert_string_equal(err.code, "SlowDown");
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, "200 OK\r\n\r\n  "), &err), -EPROTO);
	assert_true(err.retry);

	/* The first answer was lost: what the object looks like decides. */
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD,
	                                       "200 OK\r\nContent-Length: 4\r\nETag: \"x-1\"\r\n\r\n"),
	                                &err),
	                 0);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD,
	                                       "200 OK\r\nContent-Length: 5\r\nETag: \"x-1\"\r\n\r\n"),
	                                &err),
	                 -ENOENT);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD,
	                                       "200 OK\r\nContent-Length: 4\r\nETag: \"x-2\"\r\n\r\n"),
	                                &err),
	                 -ENOENT);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD, HEAD_404, NO_KEY), &err), -ENOENT);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD, "503 x\r\n\r\n"), &err), -EIO);
	assert_true(err.retry);
}

static void test_upload_answers(void **state)
{
	struct iovec iov = {(char *)"data", 4};
	struct store_upload *up;
	struct store_part part;
	struct world w;

	world_begin(&w, SCRIPT("200 OK\r\n\r\n<html/>", BEGUN, OK));
	assert_int_equal(store_upload_begin(w.store, NULL, "a", &up, &w.err), -EPROTO);
	assert_true(w.err.retry);
	assert_int_equal(store_upload_begin(w.store, NULL, "a", &up, &w.err), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &iov, 1, &part, &w.err), -EPROTO); /* no ETag */
	store_upload_free(up);
	world_end(&w);
}

#define COPIED  "200 OK\r\n\r\n<CopyPartResult><ETag>&quot;c1&quot;</ETag></CopyPartResult>"
#define CHANGED "412 Precondition Failed\r\n\r\n" ERROR_XML("PreconditionFailed", "")

/* A range of an object in a bucket beside the store's, which may have any key. */
static void test_copies_from_another_bucket(void **state)
{
	const struct store_range from = {
	        .bucket = "other", .key = "up//a b", .offset = 5, .bytes = 7, .if_match = "e1"};
	struct store_upload *up;
	struct store_part part;
	struct world w;

	world_begin(&w, SCRIPT(BEGUN, COPIED, CHANGED, NO_KEY,
	                       "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", ""),
	                       "501 Not Implemented\r\n\r\n" ERROR_XML("NotImplemented", ""),
	                       "200 OK\r\n\r\n" ERROR_XML("SlowDown", "")));
	assert_int_equal(store_upload_begin(w.store, NULL, "a", &up, &w.err), 0);
	assert_int_equal(store_upload_copy(up, NULL, 2, &from, &part, &w.err), 0);
	assert_true(part.number == 2 && part.bytes == 7);
	assert_string_equal(part.etag, "c1");
	assert_seen(&w, 1, "x-amz-copy-source: /other/up//a%20b\r\n");
	assert_seen(&w, 1, "x-amz-copy-source-range: bytes=5-11\r\n");
	assert_seen(&w, 1, "x-amz-copy-source-if-match: \"e1\"\r\n");
	assert_int_equal(store_upload_copy(up, NULL, 2, &from, &part, &w.err), -ESTALE);
	assert_int_equal(store_upload_copy(up, NULL, 2, &from, &part, &w.err), -ENOENT);
	assert_int_equal(store_upload_copy(up, NULL, 2, &from, &part, &w.err), -EACCES);
	assert_non_null(strstr(w.err.message, "s3:GetObject on the objects that are copied"));
	assert_int_equal(store_upload_copy(up, NULL, 2, &from, &part, &w.err), -EOPNOTSUPP);
	assert_int_equal(store_upload_copy(up, NULL, 2, &from, &part, &w.err), -EAGAIN);
	assert_true(w.err.retry);
	store_upload_free(up);
	world_end(&w);
}

static bool is_beside(const struct world *w, const char *endpoint, const char *region, const char *url)
{
	struct conf_store of = w->conf;
	struct source *s = NULL;
	char *key = NULL;
	bool is;

	of.endpoint = (char *)endpoint;
	of.region = (char *)region;
	of.url = (char *)url;
	assert_int_equal(source_open(&of, 1, &s, NULL), 0);
	is = source_is_beside(s, &w->conf);
	if (is) {
		assert_string_equal(source_copied_from(s, "x//y", &key), "other");
		assert_string_equal(key, "sub/x//y");
	}
	free(key);
	source_free(s);
	return is;
}

/* On one server, in one region; whatever the names of the buckets. */
static void test_what_is_beside_a_store(void **state)
{
	_cleanup(free) char *same = NULL;
	struct conf_store directory = {.url = (char *)"dir:/srv/x"};
	struct world w;

	world_begin(&w, SCRIPT(OK));
	same = mem_printf("%s/", w.endpoint);
	assert_true(is_beside(&w, w.endpoint, "us-east-1", "s3://other/sub"));
	assert_true(is_beside(&w, same, "", "s3://other/sub"));
	assert_false(is_beside(&w, w.endpoint, "eu-central-1", "s3://other/sub"));
	assert_false(is_beside(&w, "http://127.0.0.1:1", "us-east-1", "s3://other/sub"));
	assert_false(is_beside(&w, w.endpoint, "us-east-1", "dir:/srv/x"));
	w.conf.url = directory.url;
	assert_false(is_beside(&w, w.endpoint, "us-east-1", "s3://other/sub"));
	w.conf.url = (char *)"s3://bucket/pre";
	assert_int_equal(store_remove(w.store, NULL, "k", NULL), 0); /* the script is over */
	world_end(&w);
}

/* Repeated until the server does not know the upload any more. */
static void test_abort(void **state)
{
	const char *parts = "200 OK\r\n\r\n<ListPartsResult/>";
	struct world w;

	world_begin(&w, SCRIPT(NO_CONTENT, parts, NO_CONTENT, NO_UPLOAD, NO_UPLOAD, NO_CONTENT,
	                       "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", ""), "503 x\r\n\r\n"));
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), 0);
	assert_seen(&w, 2, "DELETE /bucket/pre/a?uploadId=u HTTP");
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), 0);
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), 0);
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), -EIO);
	world_end(&w);

	world_begin(&w, SCRIPT(NO_CONTENT, parts, NO_CONTENT, parts, NO_CONTENT, parts, NO_CONTENT, parts));
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), -EBUSY);
	assert_true(w.err.retry);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_upload_lists),
	        cmocka_unit_test(test_complete),
	        cmocka_unit_test(test_upload_answers),
	        cmocka_unit_test(test_abort),
	        cmocka_unit_test(test_copies_from_another_bucket),
	        cmocka_unit_test(test_what_is_beside_a_store),
	};

	return cmocka_run_group_tests_name("s3_uploads", tests, NULL, NULL);
}
