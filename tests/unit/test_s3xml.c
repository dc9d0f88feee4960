// SPDX-License-Identifier: Apache-2.0
/* S3's XML: answers as AWS, Ceph and Swift give them, cut at each byte, garbage, and documents that only want
 * to hurt. */
#include <keepfs/codec/s3xml.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char error_xml[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>The "
        "difference &amp; "
        "more</Message><RequestTime>20261120T120000Z</RequestTime><ServerTime>2026-11-20T13:00:00Z</"
        "ServerTime>"
        "<RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId><Owner><Message>not this "
        "one</Message></Owner></Error>";

static const char list_xml[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Name>bucket</Name><Prefix/><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
        "<Contents><Key>a "
        "&lt;b&gt;</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;e1&quot;</ETag>"
        "<Size>434234</Size><Owner><ID>7</ID><Key>no</Key></Owner></Contents>"
        "<Contents><Size>18446744073709551615</Size><Key>\xc3\xa4%20+</Key></Contents></ListBucketResult>";

static const char uploads_xml[] =
        "<ListMultipartUploadsResult><Bucket>b</Bucket><EncodingType>url</EncodingType><KeyMarker/>"
        "<NextKeyMarker>k%2B2</NextKeyMarker><NextUploadIdMarker>id%2</NextUploadIdMarker><IsTruncated>true</"
        "IsTruncated>"
        "<Upload><Key>dir/a%20b+c%25</Key><UploadId>id1</UploadId><Initiator><ID>x</ID></Initiator></Upload>"
        "<Upload><Key>k%2B2</Key><UploadId>id%2</UploadId></Upload></ListMultipartUploadsResult>";

static void on_object(void *arg, const char *key, uint64_t bytes, const char *etag)
{
	str_appendf(arg, "[%s|%llu|%s]", key, (unsigned long long)bytes, etag);
}

static void on_upload(void *arg, const char *key, const char *upload_id)
{
	str_appendf(arg, "[%s|%s]", key, upload_id);
}

static void list_finish(struct s3xml_list *list)
{
	free(list->next_token);
	free(list->next_key_marker);
	free(list->next_upload_marker);
}

static int parse(const char *xml, size_t len, struct s3xml_list *list, struct str *seen, struct error *err)
{
	*list = (struct s3xml_list){.object = on_object, .upload = on_upload, .arg = seen};
	str_clear(seen);
	return s3xml_parse_list(xml, len, list, err);
}

/* What is refused must say so: -EPROTO, a message, and worth another try. */
static void refuse_list(const char *xml, size_t len)
{
	_cleanup(str) struct str seen = {0};
	struct s3xml_list list;
	struct error err = {0};

	assert_int_equal(parse(xml, len, &list, &seen, &err), -EPROTO);
	assert_true(err.retry);
	assert_true(err.message[0]);
	list_finish(&list);
}

static void test_error(void **state)
{
	struct s3xml_error e;

	assert_true(s3xml_parse_error(error_xml, strlen(error_xml), &e));
	assert_string_equal(e.code, "RequestTimeTooSkewed");
	assert_string_equal(e.message, "The difference & more");
	assert_string_equal(e.request_id, "4442587FB7D0A2F9");
	assert_string_equal(e.server_time, "2026-11-20T13:00:00Z");
	assert_string_equal(e.region, "");
}

static void test_error_of_ceph(void **state)
{
	const char *xml = "<?xml version=\"1.0\" "
	                  "encoding=\"UTF-8\"?><Error><Code>PreconditionFailed</Code><Message></Message>"
	                  "<BucketName>b</BucketName><RequestId>tx0</RequestId></Error>";
	struct s3xml_error e;

	assert_true(s3xml_parse_error(xml, strlen(xml), &e));
	assert_string_equal(e.code, "PreconditionFailed");
	assert_string_equal(e.message, "");
}

static void test_error_region(void **state)
{
	const char *xml = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region>"
	                  "<Endpoint>b.s3.eu-central-1.amazonaws.com</Endpoint></Error>";
	struct s3xml_error e;

	assert_true(s3xml_parse_error(xml, strlen(xml), &e));
	assert_string_equal(e.region, "eu-central-1");
	assert_string_equal(e.endpoint, "b.s3.eu-central-1.amazonaws.com");
}

static void test_error_long_fields(void **state)
{
	_cleanup(str) struct str xml = {0};
	struct s3xml_error e;

	str_append(&xml, "<Error><Code>");
	for (int i = 0; i < 1000; i++)
		str_append_char(&xml, 'c');
	str_append(&xml, "</Code></Error>");
	assert_true(s3xml_parse_error(str_text(&xml), xml.len, &e));
	assert_int_equal(strlen(e.code), sizeof(e.code) - 1);
}

static void test_not_an_error(void **state)
{
	const char *others[] = {"",
	                        " ",
	                        "<html><body>502 Bad Gateway</body></html>",
	                        "{\"Error\":1}",
	                        "<Error>",
	                        "<Errors><Error><Code>x</Code></Error></Errors>",
	                        "\xff\xfe\x00"};
	struct s3xml_error e;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_false(s3xml_parse_error(others[i], strlen(others[i]), &e));
		assert_string_equal(e.code, "");
	}
	for (size_t len = 0; len < strlen(error_xml); len++)
		assert_false(s3xml_parse_error(error_xml, len, &e));
}

static void test_list(void **state)
{
	_cleanup(str) struct str seen = {0};
	struct s3xml_list list;
	struct error err = {0};

	assert_int_equal(parse(list_xml, strlen(list_xml), &list, &seen, &err), 0);
	assert_string_equal(str_text(&seen), "[a <b>|434234|\"e1\"][\xc3\xa4%20+|18446744073709551615|]");
	assert_true(list.truncated);
	assert_string_equal(list.next_token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
	list_finish(&list);
}

static void test_uploads(void **state)
{
	_cleanup(str) struct str seen = {0};
	struct s3xml_list list;
	struct error err = {0};

	assert_int_equal(parse(uploads_xml, strlen(uploads_xml), &list, &seen, &err), 0);
	assert_string_equal(str_text(&seen), "[dir/a b c%|id1][k+2|id%2]");
	assert_string_equal(list.next_key_marker, "k+2");
	assert_string_equal(list.next_upload_marker, "id%2");
	list_finish(&list);
}

static void test_cut_lists(void **state)
{
	for (size_t len = 0; len < strlen(list_xml); len++)
		refuse_list(list_xml, len);
	for (size_t len = 0; len < strlen(uploads_xml); len++)
		refuse_list(uploads_xml, len);
}

static void test_bad_lists(void **state)
{
	const char *bad[] = {
	        "garbage",
	        "<html/>",
	        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
	        "<ListBucketResult><Contents><Key></Key><Size>1</Size></Contents></ListBucketResult>",
	        "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
	        "<ListBucketResult><Contents><Key>a</Key><Size></Size></Contents></ListBucketResult>",
	        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
	        "<ListBucketResult><Contents><Key>a</Key><Size>1x</Size></Contents></ListBucketResult>",
	        "<ListBucketResult><Contents><Key>a</Key><Size>18446744073709551616</Size></Contents></"
	        "ListBucketResult>",
	        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%2</Key><Size>1</Size></"
	        "Contents>"
	        "</ListBucketResult>",
	        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%00</Key><Size>1</Size></"
	        "Contents>"
	        "</ListBucketResult>",
	        "<ListMultipartUploadsResult><Upload><Key>a</Key></Upload></ListMultipartUploadsResult>",
	        "<ListBucketResult></ListBucketResult><x/>",
	        "<ListBucketResult>&unknown;</ListBucketResult>",
	        "<ListBucketResult>\xff</ListBucketResult>",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse_list(bad[i], strlen(bad[i]));
}

static void test_entities_are_refused(void **state)
{
	const char *bomb =
	        "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
	        "\"&a;&a;&a;&a;&a;&a;\">"
	        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]><ListBucketResult><Contents><Key>&c;</Key><Size>1</Size>"
	        "</Contents></ListBucketResult>";
	const char *outside = "<!DOCTYPE Error SYSTEM \"file:///etc/passwd\"><Error><Code>x</Code></Error>";
	struct s3xml_error e;

	refuse_list(bomb, strlen(bomb));
	assert_false(s3xml_parse_error(outside, strlen(outside), &e));
}

static void test_limits(void **state)
{
	_cleanup(str) struct str deep = {0}, text = {0}, name = {0};

	for (int i = 0; i < 100000; i++)
		str_append(&deep, "<a>");
	refuse_list(str_text(&deep), deep.len);

	str_append(&text, "<ListBucketResult><Name>");
	for (int i = 0; i < (65 << 10); i++)
		str_append_char(&text, 'x');
	str_append(&text, "</Name></ListBucketResult>");
	refuse_list(str_text(&text), text.len);

	str_append(&name, "<ListBucketResult><");
	for (int i = 0; i < 100; i++)
		str_append_char(&name, 'x');
	str_append(&name, "/></ListBucketResult>");
	refuse_list(str_text(&name), name.len);
}

static void test_upload_id(void **state)
{
	const char *xml =
	        "<?xml version=\"1.0\"?>\n<InitiateMultipartUploadResult "
	        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	        "<Bucket>b</Bucket><Key>k</Key><UploadId>2~AbC</UploadId></InitiateMultipartUploadResult>";
	const char *empty = "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>";
	struct error err = {0};
	_cleanup(free) char *id = s3xml_parse_upload_id(xml, strlen(xml), &err);

	assert_string_equal(id, "2~AbC");
	for (size_t len = 0; len < strlen(xml); len++)
		assert_null(s3xml_parse_upload_id(xml, len, &err));
	assert_null(s3xml_parse_upload_id(empty, strlen(empty), &err));
	assert_int_equal(err.errnum, EPROTO);
	assert_null(s3xml_parse_upload_id(error_xml, strlen(error_xml), NULL));
}

static void test_complete(void **state)
{
	/* A server that works long keeps the connection alive with blanks before the document. */
	const char *xml =
	        " \n \n<?xml version=\"1.0\"?><CompleteMultipartUploadResult><Location>http://x</Location>"
	        "<ETag>\"3858f62230ac3c915f300c664312c11f-9\"</ETag></CompleteMultipartUploadResult>";
	const char *of_ceph = "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>";
	_cleanup(free) char *etag = s3xml_parse_complete_etag(xml, strlen(xml));

	assert_string_equal(etag, "\"3858f62230ac3c915f300c664312c11f-9\"");
	for (size_t len = 0; len < strlen(xml); len++)
		assert_null(s3xml_parse_complete_etag(xml, len));
	assert_null(s3xml_parse_complete_etag(error_xml, strlen(error_xml)));

	_cleanup(free) char *none = s3xml_parse_complete_etag(of_ceph, strlen(of_ceph));

	assert_string_equal(none, "");
}

/* A copied part has a tag, or was not copied. */
static void test_copied_part(void **state)
{
	const char *xml =
	        "<?xml version=\"1.0\"?><CopyPartResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LastModified>"
	        "2026-11-20T02:00:00.000Z</LastModified><ETag>\"9b2cf535f27731c974343645a3985328\"</ETag></CopyPartResult>";
	const char *const wrong[] = {"",
	                             "<CopyPartResult/>",
	                             "<CopyPartResult><ETag></ETag></CopyPartResult>",
	                             "<CopyObjectResult><ETag>x</ETag></CopyObjectResult>",
	                             "<CopyPartResult><Other><ETag>x</ETag></Other></CopyPartResult>",
	                             "<CopyPartResult><ETag>x</CopyPartResult>",
	                             error_xml};
	_cleanup(free) char *etag = s3xml_parse_copied_etag(xml, strlen(xml));

	assert_string_equal(etag, "\"9b2cf535f27731c974343645a3985328\"");
	for (size_t len = 0; len < strlen(xml); len++)
		assert_null(s3xml_parse_copied_etag(xml, len));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_null(s3xml_parse_copied_etag(wrong[i], strlen(wrong[i])));
}

static void test_write_complete(void **state)
{
	const struct s3xml_part parts[] = {{1, "\"a&b\""}, {10000, "<c>"}};
	_cleanup(str) struct str out = {0};

	s3xml_write_complete(parts, 2, &out);
	assert_string_equal(str_text(&out),
	                    "<CompleteMultipartUpload "
	                    "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><PartNumber>1"
	                    "</PartNumber><ETag>&quot;a&amp;b&quot;</ETag></Part><Part><PartNumber>10000</"
	                    "PartNumber><ETag>"
	                    "&lt;c&gt;</ETag></Part></CompleteMultipartUpload>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_error),          cmocka_unit_test(test_error_of_ceph),
	        cmocka_unit_test(test_error_region),   cmocka_unit_test(test_error_long_fields),
	        cmocka_unit_test(test_not_an_error),   cmocka_unit_test(test_list),
	        cmocka_unit_test(test_uploads),        cmocka_unit_test(test_cut_lists),
	        cmocka_unit_test(test_bad_lists),      cmocka_unit_test(test_entities_are_refused),
	        cmocka_unit_test(test_limits),         cmocka_unit_test(test_upload_id),
	        cmocka_unit_test(test_complete),       cmocka_unit_test(test_copied_part),
	        cmocka_unit_test(test_write_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
