// SPDX-License-Identifier: Apache-2.0
/* The parts of a mirror that need no server: sources that are directories, tar headers, which packs are needed. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/mirror/mirror_private.h"
#include <keepfs/mirror/used.h>
#include "../../src/store/source/source_private.h"
#include "../support/tree.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/tar_member.h>
#include <keepfs/conf.h>
#include <keepfs/store/source.h>

static void assert_needs(const char *const *packs, const char *expected)
{
	_cleanup(used) struct used u = {0};
	_cleanup(str) struct str text = {0};
	struct json *needs;

	for (; *packs; packs++)
		used_add(&u, *packs, 10);
	needs = used_needs(&u, "docs");
	assert_non_null(needs);
	json_write(needs, 0, &text);
	json_free(needs);
	assert_string_equal(str_text(&text), expected);
}

static void test_needs_are_ranges(void **state)
{
	static const char *const packs[] = {"20261121T020000Z/00007", "20261120T020000Z/00003",
	                                    "20261120T020000Z/00001", "20261120T020000Z/00002",
	                                    "20261120T020000Z/00001", "20261120T020000Z/100000",
	                                    "20261120T020000Z/00005", NULL};
	_cleanup(used) struct used none = {0};

	assert_needs(
	        packs,
	        "{\"packs/docs/20261120T020000Z\":\"1-3,5,100000\",\"packs/docs/20261121T020000Z\":\"7\"}");
	assert_null(used_needs(&none, "docs"));
	assert_null(used_find(&none, "20261120T020000Z/00001"));
}

static void test_many_packs_are_counted(void **state)
{
	_cleanup(used) struct used u = {0};
	char name[40];

	for (int i = 1; i <= 20000; i++) {
		snprintf(name, sizeof(name), "20261120T020000Z/%05d", i % 5000 + 1);
		used_add(&u, name, (uint64_t)i);
	}
	assert_int_equal(u.count, 5000);
	assert_int_equal(used_find(&u, "20261120T020000Z/00002")->bytes, 1 + 5001 + 10001 + 15001);
	assert_null(used_find(&u, "20261120T020000Z/05001"));
}

static void test_headers_of_members(void **state)
{
	_cleanup(str) struct str small = {0}, large = {0};
	_cleanup(free) char *name = mem_printf("%0200d", 0);

	tar_member_append(&small, &(struct tar_member){.name = "a/b",
	                                               .bytes = 1000,
	                                               .modified_us = INT64_C(1795140000999999),
	                                               .mode = 0644});
	assert_int_equal(small.len, TAR_BLOCK);
	assert_string_equal(small.data, "a/b");
	assert_string_equal(small.data + 124, "00000001750");
	assert_memory_equal(small.data + 257, "ustar\00000", 8);
	tar_member_append(&large,
	                  &(struct tar_member){.name = name, .bytes = UINT64_C(1) << 40, .mode = 0644});
	assert_int_equal(large.len, 3 * TAR_BLOCK);
	assert_int_equal(large.data[156], 'x');
	assert_non_null(strstr(large.data + TAR_BLOCK, "210 path=000"));
	assert_non_null(strstr(large.data + TAR_BLOCK + 210, "22 size=1099511627776\n"));
	assert_int_equal(tar_member_padding(0), 0);
	assert_int_equal(tar_member_padding(1), 511);
	assert_int_equal(tar_member_padding(512), 0);
}

struct place {
	char root[64];
	struct conf_store conf;
	char *url;
	struct source *source;
};

static int set_up_source(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	str_copy(p->root, sizeof(p->root), "/tmp/keepfs-source-XXXXXX");
	assert_non_null(mkdtemp(p->root));
	p->url = mem_printf("dir:%s", p->root);
	p->conf.url = p->url;
	assert_int_equal(source_open(&p->conf, 2, &p->source, NULL), 0);
	*state = p;
	return 0;
}

static int tear_down_source(void **state)
{
	struct place *p = *state;

	source_free(p->source);
	remove_tree(p->root);
	free(p->url);
	free(p);
	return 0;
}

static void write_file(const struct place *p, const char *name, const char *text)
{
	_cleanup(free) char *path = mem_printf("%s/%s", p->root, name), *above = mem_strdup(path);
	FILE *file;

	*strrchr(above, '/') = '\0';
	assert_int_equal(fd_make_dirs(above, 0700), 0);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_a_directory_in_the_order_of_its_paths(void **state)
{
	static const char *const names[] = {"a b", "a+", "a-", "a.b/x", "a/b/c", "a/d", "a0", "aa", "\xff"};
	struct place *p = *state;
	_cleanup(source_list) struct source_list *list = NULL;
	_cleanup(free) char *link = mem_printf("%s/link", p->root), *fifo = mem_printf("%s/a/fifo", p->root);
	struct error err = {0};

	for (size_t i = ARRAY_SIZE(names); i-- > 0;)
		write_file(p, names[i], names[i]);
	assert_int_equal(symlink("aa", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	list = source_list_new(p->source, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(source_object) struct source_object o = {0};

		assert_int_equal(source_list_next(list, &o, &err), 1);
		assert_string_equal(o.key, names[i]);
		assert_int_equal(o.bytes, strlen(names[i]));
	}
	assert_int_equal(source_list_next(list, &(struct source_object){0}, &err), 0);
	assert_int_equal(source_list_left(list)->links, 1);
	assert_int_equal(source_list_left(list)->others, 1);
}

/* More than what is in memory of a directory at once. */
static void test_a_large_directory(void **state)
{
	struct place *p = *state;
	_cleanup(source_list) struct source_list *list = NULL;
	_cleanup(free) char *last = NULL;
	int count = 0;

	for (int i = 0; i < 20000; i++) {
		_cleanup(free) char *path = mem_printf("%s/%x", p->root, i * 7919 % 20000);
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		close(fd);
	}
	list = source_list_new(p->source, NULL);
	for (;; count++) {
		_cleanup(source_object) struct source_object o = {0};

		if (source_list_next(list, &o, NULL) == 0)
			break;
		assert_true(!last || strcmp(last, o.key) < 0);
		mem_replace_string(&last, o.key);
	}
	assert_int_equal(count, 20000);
}

static void test_a_file_that_is_another_one(void **state)
{
	struct place *p = *state;
	_cleanup(source_object) struct source_object o = {0}, now = {0};
	struct error err = {0};
	char buf[8] = "";
	const struct iovec two = {.iov_base = buf, .iov_len = 2};

	write_file(p, "f", "abcd");
	assert_int_equal(source_head(p->source, NULL, "f", &o, &err), 0);
	assert_int_equal(source_get(p->source, NULL, "f", o.etag, 1, &two, 1, NULL, &err), 0);
	assert_memory_equal(buf, "bc", 2);
	assert_int_equal(source_get(p->source, NULL, "f", o.etag, 0, NULL, 0, NULL, &err), 0);
	assert_int_equal(source_get(p->source, NULL, "f", "other", 0, &two, 1, NULL, &err), -ESTALE);
	write_file(p, "f", "abcde");
	assert_int_equal(source_get(p->source, NULL, "f", o.etag, 0, &two, 1, NULL, &err), -ESTALE);
	assert_int_equal(source_head(p->source, NULL, "f", &now, &err), 0);
	assert_string_not_equal(o.etag, now.etag);
	assert_int_equal(source_get(p->source, NULL, "g", o.etag, 0, &two, 1, NULL, &err), -ENOENT);
	assert_int_equal(source_get(p->source, NULL, "f/g", o.etag, 0, &two, 1, NULL, &err), -ENOENT);
}

static void test_what_is_no_source(void **state)
{
	struct conf_store conf = {.url = (char *)"none"};
	struct source *source = NULL;
	struct error err = {0};

	assert_int_equal(source_open(&conf, 1, &source, &err), -EINVAL);
	conf.url = (char *)"dir:/nonexistent/keepfs";
	assert_int_equal(source_open(&conf, 1, &source, &err), 0);
	{
		_cleanup(source_list) struct source_list *list = source_list_new(source, NULL);

		assert_int_equal(source_list_next(list, &(struct source_object){0}, &err), -ENOENT);
		assert_non_null(strstr(err.message, "/nonexistent/keepfs"));
	}
	source_free(source);
}

/* A server that takes its time over the second piece. */
struct slow_source {
	struct source base; /* first */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_asked, may_answer; /* lock */
	bool is_same_etag;         /* lock: from the question to the answer */
};

static int get_slowly(struct source *s, const struct store_call *call, const char *key, const char *etag,
                      uint64_t offset, const struct iovec *iov, int count, struct source_facts *ret,
                      struct error *err)
{
	struct slow_source *slow = (struct slow_source *)s;
	_cleanup(free) char *asked = mem_strdup(etag);

	if (ret)
		*ret = (struct source_facts){0};
	if (offset == 0)
		return error_set(err, ERROR_CONFLICT, ESTALE, "it is another one now");
	pthread_mutex_lock(&slow->lock);
	slow->is_asked = true;
	pthread_cond_broadcast(&slow->changed);
	while (!slow->may_answer)
		pthread_cond_wait(&slow->changed, &slow->lock);
	/* As a request that is made once more. */
	slow->is_same_etag = strcmp(asked, etag) == 0;
	pthread_mutex_unlock(&slow->lock);
	return 0;
}

/* The first piece tells that the object is another one, whose ETag is noted while the second is still on its way: by one thread, so that the first is done by then. */
static void test_a_piece_on_its_way_keeps_its_etag(void **state)
{
	static const struct source_ops ops = {.get = get_slowly};
	struct slow_source slow = {.base = {.ops = &ops},
	                           .lock = PTHREAD_MUTEX_INITIALIZER,
	                           .changed = PTHREAD_COND_INITIALIZER};
	struct pool *pool = pool_new(16 * POOL_BUFFER_BYTES);
	const struct fetch_options options = {
	        .source = &slow.base, .pool = pool, .connections = 1, .at_once = 1, .buffers = 4};
	struct fetched_object *object = mem_alloc(sizeof(*object));
	struct fetch *f = NULL;
	struct piece *first;

	(void)state;
	object->entry = (struct listing_entry){
	        .key = mem_strdup("a"), .bytes = 2, .etag = mem_strdup("the etag of before")};
	object->etag = mem_strdup(object->entry.etag);
	assert_int_equal(fetch_new(&options, &f, NULL), 0);
	fetch_add(f, object, 0, 1, false);
	fetch_add(f, object, 1, 1, true);
	pthread_mutex_lock(&slow.lock);
	while (!slow.is_asked)
		pthread_cond_wait(&slow.changed, &slow.lock);
	pthread_mutex_unlock(&slow.lock);
	first = fetch_take(f);
	assert_int_equal(first->result, -ESTALE);
	mem_replace_string(&object->entry.etag, "another etag, that is longer than the one of before");
	pthread_mutex_lock(&slow.lock);
	slow.may_answer = true;
	pthread_cond_broadcast(&slow.changed);
	pthread_mutex_unlock(&slow.lock);
	piece_free(fetch_take(f));
	assert_true(slow.is_same_etag);
	piece_free(first);
	fetch_free(f);
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_piece_on_its_way_keeps_its_etag),
	        cmocka_unit_test(test_needs_are_ranges),
	        cmocka_unit_test(test_many_packs_are_counted),
	        cmocka_unit_test(test_headers_of_members),
	        cmocka_unit_test_setup_teardown(test_a_directory_in_the_order_of_its_paths, set_up_source,
	                                        tear_down_source),
	        cmocka_unit_test_setup_teardown(test_a_large_directory, set_up_source, tear_down_source),
	        cmocka_unit_test_setup_teardown(test_a_file_that_is_another_one, set_up_source,
	                                        tear_down_source),
	        cmocka_unit_test(test_what_is_no_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
