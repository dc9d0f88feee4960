// SPDX-License-Identifier: Apache-2.0
/* The stores that the contract is tried on. */
#include "suite.h"
#include "factory.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../support/tree.h"

#define RETRY_DEADLINE_MS 60000
/* Every call fails now and then, and of some only the answer is lost. No begin is: what it leaves is another
 * open upload, which the cases would rightly find. */
#define TROUBLE "put:5%:timeout,remove:5%:timeout,complete:20%:timeout,part:5%:timeout,*:3%:unavailable"

void factory_check(int r, const struct error *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "cannot open the store to be tested: %s\n", err->message);
	exit(2);
}

static void open_dir(struct suite *t)
{
	const char *tmp = getenv("TMPDIR");
	struct error err = {0};

	t->root = mem_printf("%s/keepfs-contract-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(t->root))
		factory_check(error_system(&err, errno, "mkdtemp %s", t->root), &err);
	factory_check(store_dir_new(t->root, &t->store, &err), &err);
}

/* tests/support/foreign.c makes it lack what KEEPFS_TEST_FOREIGN says. */
static void open_foreign(struct suite *t)
{
	if (!getenv("KEEPFS_TEST_FOREIGN")) {
		fprintf(stderr, "set KEEPFS_TEST_FOREIGN to what the file system shall lack\n");
		exit(2);
	}
	open_dir(t);
}

static void wrap_fault(struct suite *t, const char *spec)
{
	struct error err = {0};

	factory_check(store_fault_new(t->store, spec, &t->store, &err), &err);
}

static void open_retry(struct suite *t)
{
	open_dir(t);
	t->store = store_retry_new(t->store, RETRY_DEADLINE_MS);
}

static void open_fault(struct suite *t)
{
	open_dir(t);
	wrap_fault(t, "");
}

/* Counters only: nobody looks at them here. */
static struct store_metrics metrics;

static void open_meter(struct suite *t)
{
	open_dir(t);
	t->store = store_meter_new(t->store, &metrics);
}

static void close_lent(void *arg)
{
	store_free(arg);
}

static void open_handle(struct suite *t)
{
	open_dir(t);
	t->store = store_handle_new(t->store, "the store acme", close_lent, t->store);
}

static int let_pass(void *arg, int64_t *ret_left_ms, struct error *err)
{
	*ret_left_ms = 60000;
	return 0;
}

static const struct store_fence open_gate = {.check = let_pass};

static void open_fence(struct suite *t)
{
	open_dir(t);
	t->store = store_fence_new(t->store, &open_gate);
}

/* Wrapped as store_open_fenced() does it. */
static void open_trouble(struct suite *t)
{
	open_dir(t);
	wrap_fault(t, TROUBLE);
	t->store = store_meter_new(t->store, &metrics);
	t->store = store_fence_new(t->store, &open_gate);
	t->store = store_retry_new(t->store, RETRY_DEADLINE_MS);
}

static void open_s3_trouble(struct suite *t)
{
	factory_open_s3(t);
	wrap_fault(t, TROUBLE);
	t->store = store_retry_new(t->store, RETRY_DEADLINE_MS);
}

static const struct {
	const char *name;
	void (*open)(struct suite *t);
} kinds[] = {
        {"dir", open_dir},           {"foreign", open_foreign},
        {"retry", open_retry},       {"fault", open_fault},
        {"meter", open_meter},       {"trouble", open_trouble},
        {"handle", open_handle},     {"s3", factory_open_s3},
        {"locked", factory_open_s3}, {"s3-trouble", open_s3_trouble},
        {"fence", open_fence},
};

const char *suite_kinds(void)
{
	return "dir|foreign|retry|fault|meter|trouble|handle|fence|s3|locked|s3-trouble";
}

bool suite_open(struct suite *t, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_equal(kinds[i].name, kind))
			continue;
		t->kind = kinds[i].name;
		kinds[i].open(t);
		return true;
	}
	return false;
}

void suite_close(struct suite *t)
{
	t->store = store_free(t->store);
	if (t->remote)
		factory_close_s3(t);
	if (t->root)
		remove_tree(t->root);
	free(t->root);
}
