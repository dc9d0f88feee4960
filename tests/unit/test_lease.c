// SPDX-License-Identifier: Apache-2.0
/* The lease: its text, who may take it from whom, what the fence says before, while and after it is ours. */
#include "store_test.h"

#include <keepfs/base/clock.h>
#include <keepfs/lease.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH_MS 2000

static struct error err;

static void open_objects(struct store **ret)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/objects", root);
	if (store_dir_new(path, ret, &err) < 0)
		fail_msg("%s", err.message);
}

/* @faults: of its store; NULL: none. */
static struct lease *new_lease_on(const char *host, const char *faults)
{
	_cleanup(free) char *dir = mem_printf("%s/%s", root, host);
	struct lease_options options = {.state_dir = dir, .length_ms = LENGTH_MS};
	struct lease *lease = NULL;

	mkdir(dir, 0700);
	open_objects(&options.store);
	if (faults)
		assert_int_equal(store_fault_new(options.store, faults, &options.store, &err), 0);
	assert_int_equal(lease_new(&options, &lease, &err), 0);
	return lease;
}

static struct lease *new_lease(const char *host)
{
	return new_lease_on(host, NULL);
}

static int ask(struct lease *l, int64_t *left_ms)
{
	const struct store_fence *fence = lease_fence(l);

	err = (struct error){0};
	return fence->check(fence->arg, left_ms, &err);
}

static void put_text(const struct lease_text *t)
{
	_cleanup(str) struct str text = {0};
	_cleanup(store) struct store *s = NULL;

	lease_encode(t, &text);
	open_objects(&s);
	assert_int_equal(store_put_bytes(s, NULL, LEASE_KEY, text.data, text.len, NULL, &err), 0);
}

static void get_text(struct lease_text *ret)
{
	_cleanup(store) struct store *s = NULL;
	_cleanup(free) char *text = NULL;
	size_t len;

	open_objects(&s);
	assert_int_equal(store_get_all(s, NULL, LEASE_KEY, LEASE_TEXT_MAX, &text, &len, &err), 0);
	assert_int_equal(lease_decode(text, len, ret, &err), 0);
}

static const struct lease_text of_another = {
        .host = "db2",
        .pid = 4711,
        .process = "another boot/another namespace/1",
        .instance = "0123456789abcdef0123456789abcdef",
        .fence = 41,
        .length_ms = LENGTH_MS,
        .since_us = INT64_C(1764500000000000),
};

static void texts_come_back(void **state)
{
	_cleanup(str) struct str text = {0};
	struct lease_text t;

	lease_encode(&of_another, &text);
	assert_int_equal(lease_decode(text.data, text.len, &t, &err), 0);
	assert_string_equal(t.host, "db2");
	assert_int_equal(t.pid, 4711);
	assert_string_equal(t.process, of_another.process);
	assert_string_equal(t.instance, of_another.instance);
	assert_int_equal(t.fence, 41);
	assert_int_equal(t.length_ms, LENGTH_MS);
	assert_int_equal(t.since_us, of_another.since_us);
	assert_false(t.given_back);
}

static void bad_texts_are_refused(void **state)
{
	static const struct {
		const char *text, *what;
		int errnum;
	} bad[] = {
	        {"", "no JSON object", EBADMSG},
	        {"[]", "no JSON object", EBADMSG},
	        {"{", "no JSON object", EBADMSG},
	        {"{}", "\"version\"", EBADMSG},
	        {"{\"version\":\"1\"}", "\"version\"", EBADMSG},
	        {"{\"version\":2}", "use a newer keepfs", ENOTSUP},
	        {"{\"version\":1}", "\"fence\"", EBADMSG},
	        {"{\"version\":1,\"fence\":0}", "\"fence\"", EBADMSG},
	        {"{\"version\":1,\"fence\":-1}", "\"fence\"", EBADMSG},
	        {"{\"version\":1,\"fence\":9223372036854775807}", "\"fence\"", EBADMSG},
	        {"{\"version\":1,\"fence\":1}", "\"length_ms\"", EBADMSG},
	        {"{\"version\":1,\"fence\":1,\"length_ms\":0}", "\"length_ms\"", EBADMSG},
	        {"{\"version\":1,\"fence\":1,\"length_ms\":3600001}", "\"length_ms\"", EBADMSG},
	        {"{\"version\":1,\"fence\":1,\"length_ms\":1000}", "\"instance\"", EBADMSG},
	        {"{\"version\":1,\"fence\":1,\"length_ms\":1000,\"instance\":7}", "\"instance\"", EBADMSG},
	};
	struct lease_text t = {.fence = 7};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(lease_decode(bad[i].text, strlen(bad[i].text), &t, &err), -bad[i].errnum);
		assert_non_null(strstr(err.message, bad[i].what));
		assert_int_equal(t.fence, 7);
	}
}

static void a_free_place_is_taken(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	struct lease_state how;
	struct lease_text t;
	int64_t left_ms;

	assert_int_equal(ask(l, &left_ms), -EROFS);
	assert_true(err.retry);
	assert_int_equal(lease_number(l), 0);
	assert_int_equal(lease_take(l, &refuse, &err), 0);
	assert_int_equal(ask(l, &left_ms), 0);
	assert_in_range(left_ms, 1, LENGTH_MS - LENGTH_MS / 6);
	assert_int_equal(lease_number(l), 1);
	lease_look(l, &how);
	assert_int_equal(how.phase, LEASE_HELD);
	get_text(&t);
	assert_int_equal(t.pid, getpid());
	assert_int_equal(t.length_ms, LENGTH_MS);
	lease_give_back(l);
	assert_int_equal(ask(l, &left_ms), -EROFS);
	get_text(&t);
	assert_true(t.given_back);
	lease_free(l);
}

static void what_was_given_back_is_taken_at_once(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *first = new_lease("db1"), *second = new_lease("db2");

	assert_int_equal(lease_take(first, &refuse, &err), 0);
	lease_give_back(first);
	assert_int_equal(lease_take(second, &refuse, &err), LEASE_TAKEN_OVER);
	assert_int_equal(lease_number(second), 2);
	lease_free(second);
	lease_free(first);
}

/* As after a crash: the same state_dir, and nothing was given back. */
static void ones_own_is_taken_at_once(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");

	assert_int_equal(lease_take(l, &refuse, &err), 0);
	lease_free(l);
	l = new_lease("db1");
	assert_int_equal(lease_take(l, &refuse, &err), 0);
	assert_int_equal(lease_number(l), 2);
	lease_free(l);
}

/* A state_dir that was copied to another host has the same word, and that host may be alive. */
static void that_of_a_copied_state_dir_is_waited_out(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	struct lease_text t;
	int64_t began_ms;

	assert_int_equal(lease_take(l, &refuse, &err), 0);
	get_text(&t);
	lease_free(l);
	str_copy(t.host, sizeof(t.host), "where it was copied to");
	str_copy(t.process, sizeof(t.process), "another boot/another namespace/1");
	put_text(&t);
	l = new_lease("db1");
	began_ms = clock_mono_ms();
	assert_int_equal(lease_take(l, &refuse, &err), LEASE_TAKEN_OVER);
	assert_true(clock_mono_ms() - began_ms >= LENGTH_MS);
	lease_free(l);
}

/* This process is alive, and has renewed it meanwhile. */
static void a_living_one_is_left_alone(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *first = new_lease("db1"), *second = new_lease("db2");
	int64_t left_ms;

	assert_int_equal(lease_take(first, &refuse, &err), 0);
	assert_int_equal(lease_take(second, &refuse, &err), -EBUSY);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "only one may"));
	assert_int_equal(ask(second, &left_ms), -EROFS);
	assert_int_equal(ask(first, &left_ms), 0);
	lease_free(second);
	lease_free(first);
}

static void who_is_silent_is_waited_out(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	int64_t began_ms = clock_mono_ms();

	put_text(&of_another);
	assert_int_equal(lease_take(l, &refuse, &err), LEASE_TAKEN_OVER);
	assert_true(clock_mono_ms() - began_ms >= LENGTH_MS);
	assert_int_equal(lease_number(l), 42);
	lease_free(l);
}

/* A process of this boot and namespace that is not there any more cannot write. */
static void a_dead_process_is_not_waited_for(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	struct lease_text t;
	int64_t began_ms;

	assert_int_equal(lease_take(l, &refuse, &err), 0);
	get_text(&t);
	lease_free(l);
	memcpy(t.instance, of_another.instance, sizeof(t.instance));
	/* Another process of this pid, which began at another time. */
	t.process[strlen(t.process)] = '7';
	put_text(&t);
	l = new_lease("db1");
	began_ms = clock_mono_ms();
	assert_int_equal(lease_take(l, &refuse, &err), LEASE_TAKEN_OVER);
	assert_true(clock_mono_ms() - began_ms < LENGTH_MS);
	lease_free(l);
}

/* Another one has taken it: for good. */
static void what_is_lost_stays_lost(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	struct lease_state how;
	int64_t left_ms, until_ms = clock_mono_ms() + 60000;

	assert_int_equal(lease_take(l, &refuse, &err), 0);
	put_text(&of_another);
	do
		lease_look(l, &how);
	while (how.phase != LEASE_LOST && clock_mono_ms() < until_ms && !cancel_sleep_ms(NULL, 10));
	assert_int_equal(how.phase, LEASE_LOST);
	assert_non_null(strstr(how.text, "db2 (pid 4711)"));
	assert_int_equal(ask(l, &left_ms), -EROFS);
	assert_false(err.retry);
	assert_non_null(strstr(err.message, "db2 (pid 4711)"));
	lease_give_back(l);
	lease_free(l);
}

static void wait_for_phase(struct lease *l, enum lease_phase phase, struct lease_state *ret)
{
	int64_t until_ms = clock_mono_ms() + 60000;

	do
		lease_look(l, ret);
	while (ret->phase != phase && clock_mono_ms() < until_ms && !cancel_sleep_ms(NULL, 10));
	assert_int_equal(ret->phase, phase);
}

/* The store did not answer when it was to be taken. Its own is taken when it does. */
static void ones_own_is_taken_late(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	struct lease_state how;

	assert_int_equal(lease_take(l, &refuse, &err), 0);
	lease_free(l);
	l = new_lease_on("db1", "get:1:eio");
	assert_int_equal(lease_take(l, &refuse, &err), LEASE_LATER);
	wait_for_phase(l, LEASE_HELD, &how);
	assert_int_equal(lease_number(l), 2);
	lease_free(l);
}

/* Another one wrote meanwhile, also when it has ended: nobody would look at what it did. */
static void that_of_another_is_not_taken_late(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease_text ended = of_another, t;
	struct lease *l = new_lease_on("db1", "get:1:eio");
	struct lease_state how;
	int64_t left_ms;

	ended.given_back = true;
	put_text(&ended);
	assert_int_equal(lease_take(l, &refuse, &err), LEASE_LATER);
	wait_for_phase(l, LEASE_LOST, &how);
	assert_non_null(strstr(how.text, "db2 (pid 4711), wrote to "));
	assert_int_equal(ask(l, &left_ms), -EROFS);
	assert_false(err.retry);
	get_text(&t);
	assert_int_equal(t.fence, ended.fence);
	lease_free(l);
}

/* A start that has seen it and fails then is none: the next one sees it again, or its own, and knows. */
static void a_start_that_has_seen_another_fails_with_the_store(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease_text ended = of_another;
	struct lease *l = new_lease_on("db1", "put:1+:eio");

	ended.given_back = true;
	put_text(&ended);
	assert_int_equal(lease_take(l, &refuse, &err), -EIO);
	lease_free(l);
}

static void note_silence(void *arg, const char *who)
{
	*(bool *)arg |= who == NULL;
}

static void who_stands_by_waits_for_the_store(void **state)
{
	bool was_silent = false;
	const struct lease_wait wait = {.forever = true, .waiting = note_silence, .arg = &was_silent};
	struct lease_text ended = of_another;
	struct lease *l = new_lease_on("db1", "get:1:eio");

	ended.given_back = true;
	put_text(&ended);
	assert_int_equal(lease_take(l, &wait, &err), LEASE_TAKEN_OVER);
	assert_true(was_silent);
	lease_free(l);
}

/* Of a server that does not say which object it sent nobody can tell whether the lease is renewed. */

struct nameless {
	struct store base;
	struct store *inner;
};

static struct store *inner_of(struct store *s)
{
	return ((struct nameless *)s)->inner;
}

static int nameless_put(struct store *s, const struct store_call *call, const char *key,
                        const struct iovec *iov, int count, const struct store_put_options *options,
                        struct error *e)
{
	return store_put(inner_of(s), call, key, iov, count, options, e);
}

static int nameless_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                        const struct iovec *iov, int count, const struct store_get_options *options,
                        struct error *e)
{
	int r = store_get(inner_of(s), call, key, offset, iov, count, options, e);

	if (options->ret_etag)
		options->ret_etag[0] = '\0';
	return r;
}

static struct store *nameless_free(struct store *s)
{
	store_free(inner_of(s));
	free(s->name);
	free(s);
	return NULL;
}

static const struct store_ops nameless_ops = {
        .put = nameless_put, .get = nameless_get, .free = nameless_free};

static void a_living_one_is_left_alone_where_objects_have_no_names(void **state)
{
	static const struct lease_wait refuse = {0};
	struct nameless *s = mem_alloc(sizeof(*s));
	struct lease_options options = {.state_dir = root, .length_ms = LENGTH_MS, .store = &s->base};
	struct lease *first = new_lease("db1"), *second = NULL;
	struct lease_text t;

	s->base = (struct store){&nameless_ops, mem_strdup("nameless")};
	open_objects(&s->inner);
	assert_int_equal(lease_take(first, &refuse, &err), 0);
	assert_int_equal(lease_new(&options, &second, &err), 0);
	assert_int_equal(lease_take(second, &refuse, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "lease = none"));
	get_text(&t);
	assert_int_equal(t.fence, 1);
	lease_free(second);
	lease_free(first);
}

static void waiting_can_be_cancelled(void **state)
{
	struct cancel cancel;
	const struct lease_wait wait = {.forever = true, .cancel = &cancel};
	struct lease *l = new_lease("db1");

	cancel_init(&cancel);
	cancel_set(&cancel);
	put_text(&of_another);
	assert_int_equal(lease_take(l, &wait, &err), -ECANCELED);
	lease_free(l);
	cancel_finish(&cancel);
}

static void what_is_no_lease_is_told(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease *l = new_lease("db1");
	_cleanup(store) struct store *s = NULL;

	open_objects(&s);
	assert_int_equal(store_put_bytes(s, NULL, LEASE_KEY, "mine", 4, NULL, &err), 0);
	assert_int_equal(lease_take(l, &refuse, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "remove the object"));
	lease_free(l);
}

static void no_lease_lets_all_pass(void **state)
{
	static const struct lease_wait refuse = {0};
	struct lease_options options = {.state_dir = root};
	struct lease *l = NULL;
	int64_t left_ms;

	open_objects(&options.store);
	assert_int_equal(lease_new(&options, &l, &err), 0);
	assert_int_equal(lease_take(l, &refuse, &err), 0);
	assert_int_equal(ask(l, &left_ms), 0);
	assert_int_equal(lease_number(l), 0);
	lease_give_back(l);
	lease_free(l);
}

/* What a closed fence does to each call of a store. */
static void a_closed_fence_lets_nothing_pass(void **state)
{
	const struct iovec iov = {(void *)"x", 1};
	struct store_upload *up = NULL;
	struct store_object object;
	struct store *s = NULL;

	open_objects(&s);
	assert_int_equal(store_put_bytes(s, NULL, "there", "x", 1, NULL, &err), 0);
	s = store_fence_new(s, lease_fence_of_reader());
	assert_int_equal(store_put(s, NULL, "k", &iov, 1, NULL, &err), -EROFS);
	assert_non_null(strstr(err.message, "role = reader"));
	assert_int_equal(store_remove(s, NULL, "there", &err), -EROFS);
	assert_int_equal(store_upload_begin(s, NULL, "k", &up, &err), -EROFS);
	assert_int_equal(store_upload_abort(s, NULL, "k", "0123456789abcdef0123456789abcdef", &err), -EROFS);
	assert_int_equal(store_head(s, NULL, "there", &object, &err), 0);
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -ENOENT);
	store_free(s);
}

struct gate {
	bool closed;
};

static int check_gate(void *arg, int64_t *ret_left_ms, struct error *e)
{
	const struct gate *gate = arg;

	*ret_left_ms = 60000;
	return gate->closed ? error_set(e, ERROR_CONFLICT, ESTALE, "it is another's now") : 0;
}

/* One's own upload may always be given up; all else of it may not go on. */
static void an_upload_ends_at_the_fence(void **state)
{
	struct gate gate = {0};
	const struct store_fence fence = {.check = check_gate, .arg = &gate};
	const struct iovec iov = {(void *)"x", 1};
	struct store_upload_info *open = NULL;
	struct store_upload *up = NULL;
	struct store_part part;
	struct store *s = NULL;
	size_t count = 7;

	open_objects(&s);
	s = store_fence_new(s, &fence);
	assert_int_equal(store_upload_begin(s, NULL, "k", &up, &err), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &iov, 1, &part, &err), 0);
	gate.closed = true;
	assert_int_equal(store_upload_part(up, NULL, 2, &iov, 1, &part, &err), -ESTALE);
	assert_int_equal(store_upload_complete(up, NULL, &part, 1, &err), -ESTALE);
	assert_int_equal(store_upload_abort(s, NULL, "k", store_upload_id(up), &err), 0);
	assert_int_equal(store_upload_list(s, NULL, "", &open, &count, &err), 0);
	assert_int_equal(count, 0);
	store_upload_list_free(open, count);
	store_upload_free(up);
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(texts_come_back),
	        cmocka_unit_test(bad_texts_are_refused),
	        cmocka_unit_test_setup_teardown(a_free_place_is_taken, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(what_was_given_back_is_taken_at_once, root_setup,
	                                        root_teardown),
	        cmocka_unit_test_setup_teardown(ones_own_is_taken_at_once, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(that_of_a_copied_state_dir_is_waited_out, root_setup,
	                                        root_teardown),
	        cmocka_unit_test_setup_teardown(a_living_one_is_left_alone, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(a_living_one_is_left_alone_where_objects_have_no_names,
	                                        root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(ones_own_is_taken_late, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(that_of_another_is_not_taken_late, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(a_start_that_has_seen_another_fails_with_the_store,
	                                        root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(who_stands_by_waits_for_the_store, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(who_is_silent_is_waited_out, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(a_dead_process_is_not_waited_for, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(what_is_lost_stays_lost, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(waiting_can_be_cancelled, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(what_is_no_lease_is_told, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(no_lease_lets_all_pass, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(a_closed_fence_lets_nothing_pass, root_setup, root_teardown),
	        cmocka_unit_test_setup_teardown(an_upload_ends_at_the_fence, root_setup, root_teardown),
	};

	return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
