// SPDX-License-Identifier: Apache-2.0
/* The frame around the cases: a prefix of its own for each, and a look at what it left. */
#include "suite.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/codec/hash.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/random.h>

char *suite_key(const struct suite *t, char *buf, const char *name)
{
	snprintf(buf, STORE_KEY_BYTES, "%s%s", t->prefix, name);
	return buf;
}

void suite_put(struct suite *t, const char *key, const char *text)
{
	assert_ok(store_put_bytes(t->store, NULL, key, text, strlen(text), NULL, &err));
}

void suite_expect(struct suite *t, const char *key, const void *data, size_t len)
{
	_cleanup(free) char *got = NULL;
	size_t got_len = 0;

	assert_ok(store_get_all(t->store, NULL, key, (size_t)256 << 20, &got, &got_len, &err));
	assert_int_equal(got_len, len);
	assert_true(memcmp(got, data, len) == 0);
	assert_int_equal(got[len], '\0');
}

void suite_expect_absent(struct suite *t, const char *key)
{
	struct store_object object;

	assert_fails(ENOENT, ERROR_NOT_FOUND, store_head(t->store, NULL, key, &object, &err));
}

void suite_fill(uint8_t *data, size_t len, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (uint8_t)(x >> 32);
	}
}

struct thread_arg {
	void (*run)(void *arg, unsigned index);
	void *arg;
	unsigned index;
};

static void *thread_main(void *arg)
{
	struct thread_arg *a = arg;

	a->run(a->arg, a->index);
	return NULL;
}

void suite_threads(unsigned count, void (*run)(void *arg, unsigned index), void *arg)
{
	_cleanup(free) pthread_t *threads = mem_array(count, sizeof(*threads));
	_cleanup(free) struct thread_arg *args = mem_array(count, sizeof(*args));

	for (unsigned i = 0; i < count; i++) {
		args[i] = (struct thread_arg){run, arg, i};
		assert_int_equal(thread_start(&threads[i], "contract", thread_main, &args[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

int suite_case_setup(void **state)
{
	struct suite *t = *state;
	uint8_t bytes[8];
	char hex[2 * sizeof(bytes) + 1];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -1;
	hex_encode(bytes, sizeof(bytes), hex);
	snprintf(t->prefix, sizeof(t->prefix), "contract-%s/", hex);
	return 0;
}

static void remove_objects(struct suite *t)
{
	bool more = true;

	while (more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		assert_ok(store_list(t->store, NULL, t->prefix, NULL, 1000, &objects, &count, &more, &err));
		for (size_t i = 0; i < count; i++)
			assert_ok(store_remove(t->store, NULL, objects[i].key, &err));
	}
}

static void abort_uploads(struct suite *t)
{
	struct store_upload_info *uploads = NULL;
	size_t count = 0;

	assert_ok(store_upload_list(t->store, NULL, t->prefix, &uploads, &count, &err));
	for (size_t i = 0; i < count; i++)
		assert_ok(store_upload_abort(t->store, NULL, uploads[i].key, uploads[i].upload_id, &err));
	store_upload_list_free(uploads, count);
	assert_ok(store_upload_list(t->store, NULL, t->prefix, &uploads, &count, &err));
	assert_int_equal(count, 0);
	store_upload_list_free(uploads, count);
}

/* A dir: store keeps nothing of what was done, failed or given up. */
static void expect_empty(const struct suite *t, const char *directory)
{
	_cleanup(free) char *path = mem_printf("%s/.keepfs/%s", t->root, directory);
	DIR *dir = opendir(path);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			fail_msg("%s/%s was left", path, entry->d_name);
	}
	closedir(dir);
}

int suite_case_teardown(void **state)
{
	struct suite *t = *state;

	remove_objects(t);
	abort_uploads(t);
	if (t->root) {
		expect_empty(t, "tmp");
		expect_empty(t, "uploads");
	}
	return 0;
}
