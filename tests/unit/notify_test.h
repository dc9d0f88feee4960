// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the tests of the room notify share: rounds over a real catalog, with a clock and receivers of the test's own. The
 * programs that use it are listed in meson.build, with report_test.c, on whose fixture it stands.
 */
#include "../../src/notify/notify_private.h"

#include "report_test.h"

#include <keepfs/catalog/notices.h>

#include <limits.h>

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)

/* The clock of rounds. */
extern int64_t now_us;

/* What receivers did, and are to do. */
struct fake_receivers {
	int asked, taken;
	int answer; /* 0: it is taken */
	struct delivery_result result;
	char receiver[64], event[32], text[20000], subject[256], id[64];
	size_t count;  /* events of the last message */
	size_t events; /* of all that were taken */
};
extern struct fake_receivers fake;

extern char *nobody[], *ops[], *both[]; /* addresses of mail: none, one, two */

struct notices { /* on the fixture of report */
	struct fixture *f;
	struct notify_options options;
	struct cancel cancel;
	struct round round;
};

int set_up_notices(void **state);
int tear_down_notices(void **state);
#define NOTICES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_notices, tear_down_notices)

/** begin() - as a process that begins, or after a reload: nothing is in memory. */
void begin(struct notices *n);
/** look() - compare; it must not fail. */
void look(struct notices *n);
/** turn() - compare, and send what is due. */
void turn(struct notices *n);
/** state_of() - of the last receiver by name. */
struct catalog_receiver state_of(struct notices *n);
/** good_run() - a run of "full" that made a backup. */
void good_run(struct notices *n, int64_t second);
/** begin_well() - all is well, and that is known. */
void begin_well(struct notices *n);
