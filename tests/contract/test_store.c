// SPDX-License-Identifier: Apache-2.0
/*
 * The contract of include/keepfs/store.h, which every driver and wrapper passes alike:
 *
 *     test_store dir|…|s3|locked     (s3: against the server that KEEPFS_TEST_S3_… names; locked: a bucket there with object lock)
 */
#include "suite.h"

#include <keepfs/base/mem.h>

#include <stdio.h>

#define SMALL_PART_BYTES ((uint64_t)64 << 10)

static size_t add(struct CMUnitTest *all, size_t at, const struct CMUnitTest *cases, size_t count,
                  struct suite *t)
{
	for (size_t i = 0; i < count; i++) {
		all[at + i] = cases[i];
		all[at + i].initial_state = t;
	}
	return at + count;
}

static int run(struct suite *t)
{
	size_t most = object_case_count + list_case_count + upload_case_count + waiting_case_count +
	              presign_case_count + lock_case_count + dir_case_count;
	_cleanup(free) struct CMUnitTest *all = mem_array(most, sizeof(*all));
	size_t n = 0;

	n = add(all, n, lock_cases, lock_case_count, t);
	/* A bucket with locks is one that keeps versions, and tried with what is about them. */
	if (strcmp(t->kind, "locked") == 0)
		return _cmocka_run_group_tests(t->kind, all, n, NULL, NULL);
	n = add(all, n, object_cases, object_case_count, t);
	n = add(all, n, list_cases, list_case_count, t);
	n = add(all, n, upload_cases, upload_case_count, t);
	n = add(all, n, waiting_cases, waiting_case_count, t);
	n = add(all, n, presign_cases, presign_case_count, t);
	if (strcmp(t->kind, "dir") == 0)
		n = add(all, n, dir_cases, dir_case_count, t);
	return _cmocka_run_group_tests(t->kind, all, n, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct suite t = {0};
	struct store_features features;
	int failed;

	if (argc != 2 || !suite_open(&t, argv[1])) {
		fprintf(stderr, "usage: %s %s\n", argv[0], suite_kinds());
		return 2;
	}
	if (store_features(t.store, &features, NULL) < 0)
		return 2;
	t.part_bytes =
	        features.min_part_bytes > SMALL_PART_BYTES ? features.min_part_bytes : SMALL_PART_BYTES;
	failed = run(&t);
	suite_close(&t);
	return failed ? 1 : 0;
}
