// SPDX-License-Identifier: Apache-2.0
/* Object lock over S3: what is asked, and what is made of answers that a server gives on its bad days only. */
#include "s3_test.h"

#include <keepfs/codec/s3xml.h>
#include <keepfs/store/canary.h>

#define XML          "<?xml version=\"1.0\"?>"
#define DENIED       "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", "")
#define NONE         "404 Not Found\r\n\r\n" ERROR_XML("NoSuchObjectLockConfiguration", "")
#define NONE_OF_CEPH "404 Not Found\r\n\r\n" ERROR_XML("ObjectLockConfigurationNotFoundError", "")
#define NO_REQUEST   "501 Not Implemented\r\n\r\n" ERROR_XML("NotImplemented", "")
#define HEAD_PLAIN   "200 OK\r\nContent-Length: 3\r\n\r\n"
#define HEAD_LOCKED                                                                                          \
	"200 OK\r\nContent-Length: 3\r\nx-amz-object-lock-mode: COMPLIANCE\r\n"                              \
	"x-amz-object-lock-retain-until-date: 2027-01-01T00:00:00.000Z\r\nx-amz-object-lock-legal-hold: OFF\r\n\r\n"
#define RETENTION(mode, date)                                                                                \
	"200 OK\r\n\r\n" XML "<Retention><Mode>" mode "</Mode><RetainUntilDate>" date                        \
	"</RetainUntilDate></Retention>"
#define HOLD(status) "200 OK\r\n\r\n" XML "<LegalHold><Status>" status "</Status></LegalHold>"
#define NEW_YEAR_US  (INT64_C(1798761600) * US_PER_S) /* 2027-01-01 */

#define VERSIONING(text) "200 OK\r\n\r\n" XML "<VersioningConfiguration>" text "</VersioningConfiguration>"
#define LOCKING(text)    "200 OK\r\n\r\n" XML "<ObjectLockConfiguration>" text "</ObjectLockConfiguration>"
#define IS_ENABLED                                                                                           \
	VERSIONING("<Status>Enabled</Status>"), LOCKING("<ObjectLockEnabled>Enabled</ObjectLockEnabled>")

static const struct store_lock until_new_year = {STORE_LOCK_GOVERNANCE, NEW_YEAR_US, false};

static void what_a_lock_asks_for(void **state)
{
	const struct store_lock held = {STORE_LOCK_COMPLIANCE, NEW_YEAR_US, true};
	char version[STORE_VERSION_BYTES] = "?";
	const struct store_put_options options = {.lock = &held, .ret_version = version};
	struct world w;

	world_begin(&w, SCRIPT(IS_ENABLED, "200 OK\r\nx-amz-version-id: v1\r\nContent-Length: 0\r\n\r\n", OK,
	                       OK, OK, OK));
	assert_int_equal(store_put_bytes(w.store, NULL, "k", "abc", 3, &options, &w.err), 0);
	assert_string_equal(version, "v1");
	assert_seen(&w, 2, "x-amz-object-lock-mode: COMPLIANCE\r\n");
	assert_seen(&w, 2, "x-amz-object-lock-retain-until-date: 2027-01-01T00:00:00Z\r\n");
	assert_seen(&w, 2, "x-amz-object-lock-legal-hold: ON\r\n");
	assert_seen(&w, 2, "content-md5: kAFQmDzST7DWlj99KOF/cg==\r\n");
	assert_int_equal(store_put_bytes(w.store, NULL, "k", "abc", 3, NULL, &w.err), 0);
	assert_not_seen(&w, 3, "object-lock");
	assert_not_seen(&w, 3, "content-md5");
	assert_int_equal(
	        store_lock_extend(w.store, NULL, "k", &(struct store_lock){0}, &until_new_year, &w.err), 0);
	assert_seen(&w, 4, "PUT /bucket/pre/k?retention= HTTP");
	assert_seen(&w, 4, "<Mode>GOVERNANCE</Mode><RetainUntilDate>2027-01-01T00:00:00Z</RetainUntilDate>");
	assert_seen(&w, 4, "content-md5: ");
	assert_not_seen(&w, 4, "bypass");
	assert_int_equal(store_legal_hold(w.store, NULL, "k", true, &w.err), 0);
	assert_seen(&w, 5, "PUT /bucket/pre/k?legal-hold= HTTP");
	assert_seen(&w, 5, "<Status>ON</Status>");
	assert_int_equal(store_legal_hold(w.store, NULL, "k", false, &w.err), 0);
	assert_seen(&w, 6, "<Status>OFF</Status>");
	world_end(&w);
}

/* S3 keeps whole seconds: a lock never ends before it was meant to. */
static void a_part_of_a_second_counts(void **state)
{
	struct store_lock lock = until_new_year;
	struct world w;

	lock.until_us += 1;
	world_begin(&w, SCRIPT(IS_ENABLED, OK));
	assert_int_equal(store_lock_extend(w.store, NULL, "k", &(struct store_lock){0}, &lock, &w.err), 0);
	assert_seen(&w, 2, "2027-01-01T00:00:01Z");
	world_end(&w);
}

struct lock_answer {
	const char *answers[6];
	int r;
	struct store_lock lock;
	const char *message;
};

static void what_is_made_of_answers(void **state)
{
	static const struct lock_answer cases[] = {
	        {{IS_ENABLED, HEAD_LOCKED}, 0, {STORE_LOCK_COMPLIANCE, NEW_YEAR_US, false}, ""},
	        {{IS_ENABLED, HEAD_PLAIN, NONE, NONE}, 0, {0}, ""},
	        {{IS_ENABLED, HEAD_PLAIN, NONE_OF_CEPH, HOLD("ON")}, 0, {.hold = true}, ""},
	        {{IS_ENABLED, HEAD_PLAIN, RETENTION("GOVERNANCE", "2027-01-01T00:00:00.000000000Z"),
	          HOLD("OFF")},
	         0,
	         {STORE_LOCK_GOVERNANCE, NEW_YEAR_US, false},
	         ""},
	        /* A mode that is not known is taken for the stronger one. */
	        {{IS_ENABLED, HEAD_PLAIN, RETENTION("ETERNAL", "2027-01-01T00:00:00Z"), NONE},
	         0,
	         {STORE_LOCK_COMPLIANCE, NEW_YEAR_US, false},
	         ""},
	        /* Nothing may look like no lock but that there is none. */
	        {{IS_ENABLED, HEAD_PLAIN, DENIED}, -EACCES, {0}, "s3:GetObjectRetention"},
	        {{IS_ENABLED, HEAD_PLAIN, NONE, DENIED}, -EACCES, {0}, "s3:GetObjectLegalHold"},
	        {{IS_ENABLED, HEAD_404, NO_KEY}, -ENOENT, {0}, "no such object"},
	        {{IS_ENABLED, HEAD_PLAIN, RETENTION("GOVERNANCE", "soon")},
	         -EPROTO,
	         {0},
	         "'soon', which is no date"},
	        {{IS_ENABLED, HEAD_PLAIN, "200 OK\r\n\r\n<html/>"}, -EPROTO, {0}, "another document"},
	        {{IS_ENABLED, HEAD_PLAIN, "200 OK\r\n\r\nnothing at all"}, -EPROTO, {0}, "not a valid lock"},
	        {{IS_ENABLED, HEAD_PLAIN, NO_REQUEST}, -EOPNOTSUPP, {0}, ""},
	        /* Nothing about an object is asked of a server that knows of no locks. */
	        {{VERSIONING("<Status>Enabled</Status>"), NONE_OF_CEPH}, -ENOTSUP, {0}, "has no object lock"},
	        {{VERSIONING(""), "200 OK\r\n\r\n" XML "<ListBucketResult/>"},
	         -ENOTSUP,
	         {0},
	         "has no object lock"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct store_lock lock = {.until_us = 7};
		struct world w;

		world_begin(&w, cases[i].answers);
		assert_int_equal(store_lock_get(w.store, NULL, "k", &lock, &w.err), cases[i].r);
		if (cases[i].r < 0) {
			assert_int_equal(lock.until_us, 7);
			if (!strstr(w.err.message, cases[i].message))
				fail_msg("case %zu: %s", i, w.err.message);
		} else {
			assert_int_equal(lock.mode, cases[i].lock.mode);
			assert_int_equal(lock.until_us, cases[i].lock.until_us);
			assert_int_equal(lock.hold, cases[i].lock.hold);
		}
		world_end(&w);
	}
}

static void what_a_bucket_has(void **state)
{
	struct store_bucket b;
	struct world w;

	world_begin(&w,
	            SCRIPT(VERSIONING("<Status>Enabled</Status>"),
	                   LOCKING("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
	                           "<Mode>GOVERNANCE</Mode><Years>2</Years></DefaultRetention></Rule>"),
	                   VERSIONING(""), NONE_OF_CEPH, VERSIONING("<Status>Suspended</Status>"), NO_REQUEST,
	                   DENIED));
	assert_int_equal(store_bucket(w.store, NULL, &b, &w.err), 0);
	assert_true(b.keeps_versions && b.can_lock);
	assert_int_equal(b.default_mode, STORE_LOCK_GOVERNANCE);
	assert_int_equal(b.default_days, 730);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_bucket(w.store, NULL, &b, &w.err), 0);
		assert_false(b.keeps_versions || b.can_lock);
	}
	assert_int_equal(store_bucket(w.store, NULL, &b, &w.err), -EACCES);
	assert_non_null(strstr(w.err.message, "s3:GetBucketVersioning"));
	world_end(&w);
}

#define LIST(entries)                                                                                        \
	"200 OK\r\nDate: Fri, 20 Nov 2026 02:00:00 GMT\r\n\r\n" XML "<ListVersionsResult>" entries           \
	"</ListVersionsResult>"
#define CANARY(key, id) "<Version><Key>pre/" key "</Key><VersionId>" id "</VersionId></Version>"
#define PUT_V1          "200 OK\r\nx-amz-version-id: v1\r\nContent-Length: 0\r\n\r\n"

static int try_lock(struct world *w, const char *const *answers, struct store_lock_tried *ret)
{
	world_begin(w, answers);
	w->conf.object_lock = STORE_LOCK_GOVERNANCE;
	return store_try_lock(w->store, 10000, NULL, ret, &w->err);
}

static void the_canary_tells_who_keeps_no_locks(void **state)
{
	static const struct {
		const char *answers[12];
		int r;
		const char *message;
	} cases[] = {
	        {{VERSIONING(""), NONE}, -ENOTSUP, "has no object lock, and keeps no versions"},
	        {{VERSIONING("<Status>Enabled</Status>"), NONE}, -ENOTSUP, "has no object lock:"},
	        {{IS_ENABLED, LIST(""), IS_ENABLED, PUT_V1, NO_CONTENT},
	         -EIO,
	         "accepts locks and does not keep them: an object"},
	        {{IS_ENABLED, LIST(""), IS_ENABLED, PUT_V1, DENIED, HEAD_PLAIN, NONE, NONE},
	         -EIO,
	         "accepts locks and does not keep them: it does not say"},
	        {{IS_ENABLED, LIST(""), IS_ENABLED, OK, LIST("")}, -EIO, "it keeps no versions"},
	        {{IS_ENABLED, LIST(""), IS_ENABLED, DENIED}, -EACCES, "cannot be locked"},
	        {{IS_ENABLED, DENIED}, -EACCES, "s3:ListBucketVersions"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct store_lock_tried tried = {0};
		struct world w;

		assert_int_equal(try_lock(&w, cases[i].answers, &tried), cases[i].r);
		if (!strstr(w.err.message, cases[i].message))
			fail_msg("case %zu: %s", i, w.err.message);
		world_end(&w);
	}
}

/* What an earlier process has left is cleared away, when its lock is over; and the new one is locked by the server's clock. */
static void the_canary_clears_up_and_stays(void **state)
{
	struct store_lock_tried tried = {0};
	struct world w;

	assert_int_equal(
	        try_lock(
	                &w,
	                SCRIPT(IS_ENABLED, LIST(CANARY("state/canary-1", "a") CANARY("state/canary-2", "b")),
	                       NO_CONTENT, DENIED, IS_ENABLED,
	                       "200 OK\r\nx-amz-version-id: v1\r\nContent-Length: 0\r\n\r\n", DENIED,
	                       "200 OK\r\nContent-Length: 7\r\nx-amz-object-lock-mode: GOVERNANCE\r\n"
	                       "x-amz-object-lock-retain-until-date: 2026-11-20T02:02:00Z\r\nx-amz-object-lock-legal-hold: OFF\r\n\r\n"),
	                &tried),
	        0);
	assert_int_equal(tried.left, 1);
	assert_seen(&w, 3, "DELETE /bucket/pre/state/canary-1?versionId=a HTTP");
	assert_seen(&w, 4, "DELETE /bucket/pre/state/canary-2?versionId=b HTTP");
	assert_seen(&w, 7, "PUT /bucket/pre/state/canary-");
	assert_seen(&w, 7, "x-amz-object-lock-retain-until-date: 2026-11-20T02:01:0");
	assert_seen(&w, 8, "?versionId=v1 HTTP");
	world_end(&w);
}

static void locks_that_are_wrong_are_refused(void **state)
{
	static const char *const documents[] = {"", "<", "<Retention>", "<Other/>",
	                                        "<!DOCTYPE x><Retention/>"};
	static const char numbers[] =
	        "<ObjectLockConfiguration><Days>-3</Days><Years>1e9</Years></ObjectLockConfiguration>";
	struct s3xml_lock lock = {.days = 9};
	struct error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		assert_int_equal(s3xml_parse_lock(documents[i], strlen(documents[i]), &lock, &err), -EPROTO);
		assert_true(err.retry && err.message[0]);
		assert_int_equal(lock.days, 9);
	}
	assert_int_equal(s3xml_parse_lock(numbers, strlen(numbers), &lock, &err), 0);
	assert_int_equal(lock.days + lock.years, 0);
}

/* To such a server the request would be a put, and the object's bytes be gone. */
static void nothing_is_sent_to_a_server_without_locks(void **state)
{
	const struct store_put_options options = {.lock = &until_new_year};
	struct world w;

	world_begin(&w, SCRIPT(VERSIONING(""), NONE, VERSIONING(""), NO_REQUEST, VERSIONING(""),
	                       "200 OK\r\n\r\nabc"));
	assert_int_equal(
	        store_lock_extend(w.store, NULL, "k", &(struct store_lock){0}, &until_new_year, &w.err),
	        -ENOTSUP);
	assert_int_equal(store_legal_hold(w.store, NULL, "k", true, &w.err), -ENOTSUP);
	assert_int_equal(store_put_bytes(w.store, NULL, "k", "abc", 3, &options, &w.err), -ENOTSUP);
	for (int i = 0; i < 6; i++)
		assert_seen(&w, i, "GET /bucket/?");
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_a_lock_asks_for),
	        cmocka_unit_test(a_part_of_a_second_counts),
	        cmocka_unit_test(what_is_made_of_answers),
	        cmocka_unit_test(nothing_is_sent_to_a_server_without_locks),
	        cmocka_unit_test(what_a_bucket_has),
	        cmocka_unit_test(the_canary_tells_who_keeps_no_locks),
	        cmocka_unit_test(the_canary_clears_up_and_stays),
	        cmocka_unit_test(locks_that_are_wrong_are_refused),
	};

	return cmocka_run_group_tests_name("s3_lock", tests, NULL, NULL);
}
