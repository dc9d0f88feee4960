// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the cases of the store contract share. Each case gets a fresh key prefix in a store that is opened
 * once. */
#include <keepfs/store.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

struct suite {
	const char *kind; /* the program's argument */
	struct store *store;
	char *root;          /* the dir: store's directory; NULL for S3 */
	void *remote;        /* what the S3 store borrows; NULL for the others */
	uint64_t part_bytes; /* the smallest part that is not the last */
	char prefix[64];     /* of this case's keys; ends with '/' */
};

/** suite_open() - open the store that @kind names; false: not a kind. Skips (77) when it is not
 * configured. */
bool suite_open(struct suite *t, const char *kind);
void suite_close(struct suite *t);
/** suite_kinds() - for the usage text. */
const char *suite_kinds(void);

/** suite_key() - "<the case's prefix><name>" into @buf (STORE_KEY_BYTES); returns @buf. */
char *suite_key(const struct suite *t, char *buf, const char *name);
/** suite_put() - put a text, fails the test when it cannot. */
void suite_put(struct suite *t, const char *key, const char *text);
/** suite_expect() - the object holds exactly these bytes. */
void suite_expect(struct suite *t, const char *key, const void *data, size_t len);
/** suite_expect_absent() - head says -ENOENT. */
void suite_expect_absent(struct suite *t, const char *key);
/** suite_fill() - reproducible bytes. */
void suite_fill(uint8_t *data, size_t len, uint64_t seed);
/** suite_threads() - run @run with 0 … @count - 1 at the same time, wait for all. */
void suite_threads(unsigned count, void (*run)(void *arg, unsigned index), void *arg);

int suite_case_setup(void **state);
int suite_case_teardown(void **state);

/** assert_ok() - the call returned 0; else the test fails with its message. The call's last argument is
 * `&err`. */
#define assert_ok(call)                                                                                      \
	do {                                                                                                 \
		struct error err = {0};                                                                      \
		int r_ = (call);                                                                             \
		if (r_ != 0)                                                                                 \
			fail_msg("%s = %d: %s", #call, r_, err.message);                                     \
	} while (0)

/** assert_fails() - the call returned @errnum negated, with a class and a message. */
#define assert_fails(errnum_, class_, call)                                                                  \
	do {                                                                                                 \
		struct error err = {0};                                                                      \
		int r_ = (call);                                                                             \
		if (r_ != -(errnum_) || err.class != (class_) || !err.message[0])                            \
			fail_msg("%s = %d, class %s: %s", #call, r_, error_class_name(err.class),            \
			         err.message);                                                               \
	} while (0)

#define CASE(name) cmocka_unit_test_setup_teardown(name, suite_case_setup, suite_case_teardown)

extern const struct CMUnitTest object_cases[], list_cases[], upload_cases[], waiting_cases[], dir_cases[],
        presign_cases[], lock_cases[];
extern const size_t object_case_count, list_case_count, upload_case_count, waiting_case_count, dir_case_count,
        presign_case_count, lock_case_count;
