// SPDX-License-Identifier: Apache-2.0
/* Storage classes over S3: what is asked, and what is made of the answers, as AWS documents them. */
#include "s3_test.h"

#include <keepfs/policy/classes.h>

#include "../../src/store/s3/s3.h"

#define HEAD(more) "200 OK\r\nContent-Length: 3\r\nETag: \"900150983cd24fb0d6963f7d28e17f72\"\r\n" more "\r\n"
#define FROZEN                                                                                               \
	"403 Forbidden\r\n\r\n" ERROR_XML("InvalidObjectState", "<StorageClass>DEEP_ARCHIVE</StorageClass>")
#define NOT_ALLOWED  "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", "")
#define A_BYTE       "206 Partial Content\r\nContent-Range: bytes 0-0/3\r\nContent-Length: 1\r\n\r\na"
#define CHRISTMAS_US (INT64_C(1356048000) * US_PER_S) /* 2012-12-21 */

static void what_the_restore_header_says(void **state)
{
	static const struct {
		const char *text;
		bool is_thawing;
		int64_t until_us;
	} cases[] = {
	        {"", false, 0},
	        {"ongoing-request=\"true\"", true, 0},
	        {"ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"", false,
	         CHRISTMAS_US},
	        {"ongoing-request=\"true\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"", true, 0},
	        {"ongoing-request=\"false\"", false, 0},
	        {"ongoing-request=\"false\", expiry-date=\"\"", false, 0},
	        {"ongoing-request=\"false\", expiry-date=\"soon\"", false, 0},
	        {"ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT", false,
	         CHRISTMAS_US},
	        {"expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"", false, 0},
	        {"ongoing-request=true", false, 0},
	        {"nonsense", false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool is_thawing = !cases[i].is_thawing;
		int64_t until_us = -1;

		s3_restore_parse(cases[i].text, &is_thawing, &until_us);
		assert_int_equal(is_thawing, cases[i].is_thawing);
		assert_int_equal(until_us, cases[i].until_us);
	}
}

static void where_an_object_is(void **state)
{
	struct store_class c;
	struct world w;

	world_begin(
	        &w,
	        SCRIPT(HEAD(""), HEAD("x-amz-storage-class: GLACIER_IR\r\nx-amz-version-id: v7\r\n"),
	               HEAD("x-amz-storage-class: GLACIER\r\nx-amz-restore: ongoing-request=\"true\"\r\n"),
	               HEAD("x-amz-storage-class: GLACIER\r\nx-amz-restore: ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"\r\n"),
	               HEAD("x-amz-storage-class: DEEP_ARCHIVE\r\n"), FROZEN,
	               HEAD("x-amz-storage-class: GLACIER\r\n"), A_BYTE));
	assert_int_equal(store_class_get(w.store, NULL, "k", &c, &w.err), 0);
	assert_string_equal(c.name, "STANDARD");
	assert_true(c.etag_is_md5 && c.object.bytes == 3 && !c.is_frozen && !c.version[0]);
	assert_int_equal(store_class_get(w.store, NULL, "k", &c, &w.err), 0);
	assert_string_equal(c.name, "GLACIER_IR");
	assert_string_equal(c.version, "v7");
	assert_false(c.is_frozen);
	assert_int_equal(store_class_get(w.store, NULL, "k", &c, &w.err), 0);
	assert_true(c.is_frozen && c.is_thawing && c.ready_until_us == 0);
	assert_int_equal(store_class_get(w.store, NULL, "k", &c, &w.err), 0);
	assert_true(!c.is_frozen && !c.is_thawing && c.ready_until_us == CHRISTMAS_US);
	assert_int_equal(store_class_get(w.store, NULL, "k", &c, &w.err), 0);
	assert_true(c.is_frozen && !c.is_thawing);
	/* A pool of Ceph's that is called so. */
	assert_int_equal(store_class_get(w.store, NULL, "k", &c, &w.err), 0);
	assert_false(c.is_frozen);
	world_end(&w);
}

static void what_is_frozen_cannot_be_read(void **state)
{
	char byte;
	const struct iovec iov = {&byte, 1};
	struct world w;

	world_begin(&w, SCRIPT(FROZEN));
	assert_int_equal(store_get(w.store, NULL, "k", 0, &iov, 1, NULL, &w.err), -EIO);
	assert_string_equal(w.err.storage_class, "DEEP_ARCHIVE");
	assert_false(w.err.retry);
	assert_false(w.err.damage);
	assert_non_null(strstr(w.err.message, "frozen in the storage class DEEP_ARCHIVE"));
	assert_non_null(strstr(w.err.message, "control/thaw"));
	world_end(&w);
}

static void what_thawing_asks_for(void **state)
{
	const struct store_thaw how = {.days = 3, .tier = STORE_THAW_BULK};
	struct store_class c;
	struct world w;

	world_begin(&w,
	            SCRIPT("202 Accepted\r\nContent-Length: 0\r\n\r\n", OK,
	                   "409 Conflict\r\n\r\n" ERROR_XML("RestoreAlreadyInProgress", ""), NOT_ALLOWED));
	assert_int_equal(store_class_thaw(w.store, NULL, "k", &how, &c, &w.err), 0);
	assert_true(c.is_thawing);
	assert_seen(&w, 0, "POST /bucket/pre/k?restore= HTTP");
	assert_seen(&w, 0, "<Days>3</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters>");
	assert_seen(&w, 0, "content-md5: ");
	assert_int_equal(store_class_thaw(w.store, NULL, "k", &how, &c, &w.err), 0);
	assert_false(c.is_thawing);
	assert_int_equal(store_class_thaw(w.store, NULL, "k", &how, &c, &w.err), 0);
	assert_true(c.is_thawing);
	assert_int_equal(store_class_thaw(w.store, NULL, "k", &how, &c, &w.err), -EACCES);
	assert_non_null(strstr(w.err.message, "s3:RestoreObject"));
	world_end(&w);
}

static void an_upload_into_a_class(void **state)
{
	const struct store_range from = {.key = "k", .bytes = 3, .if_match = "abc"};
	const struct store_range whole = {.key = "k", .bytes = 3, .is_whole = true};
	struct store_upload *up = NULL;
	struct store_part part;
	struct world w;

	world_begin(
	        &w,
	        SCRIPT("200 OK\r\n\r\n<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
	               "200 OK\r\n\r\n<CopyPartResult><ETag>\"900150983cd24fb0d6963f7d28e17f72\"</ETag></CopyPartResult>",
	               "200 OK\r\nContent-Length: 0\r\n\r\n",
	               "400 Bad Request\r\n\r\n" ERROR_XML("InvalidStorageClass", "")));
	assert_int_equal(store_upload_begin_in(w.store, NULL, "k", "GLACIER_IR", &up, &w.err), 0);
	assert_seen(&w, 0, "x-amz-storage-class: GLACIER_IR\r\n");
	assert_int_equal(store_upload_copy(up, NULL, 1, &from, &part, &w.err), 0);
	assert_seen(&w, 1, "x-amz-copy-source: /bucket/pre/k\r\n");
	assert_seen(&w, 1, "x-amz-copy-source-if-match: \"abc\"\r\n");
	assert_seen(&w, 1, "x-amz-copy-source-range: bytes=0-2\r\n");
	/* A server that does not know how to copy has put nothing: there is no part. */
	assert_true(store_upload_copy(up, NULL, 2, &whole, &part, &w.err) < 0);
	assert_not_seen(&w, 2, "x-amz-copy-source-range");
	store_upload_free(up);
	assert_int_equal(store_upload_begin_in(w.store, NULL, "k", "COLDLINE", &up, &w.err), -EINVAL);
	assert_non_null(strstr(w.err.message, "no such storage class"));
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_the_restore_header_says),  cmocka_unit_test(where_an_object_is),
	        cmocka_unit_test(what_is_frozen_cannot_be_read), cmocka_unit_test(what_thawing_asks_for),
	        cmocka_unit_test(an_upload_into_a_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
