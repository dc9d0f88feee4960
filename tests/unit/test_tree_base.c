// SPDX-License-Identifier: Apache-2.0
/* The listing of a base as a tree: directories with lines of their own, names as they are, pages, numbers, and listings that are forged. */
#include <keepfs/base/mem.h>
#include <keepfs/mirror/tree.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct based {
	char **keys; /* in their order; of a directory with '/' at its end */
	size_t count;
	struct str listing, index;
	struct mirror_tree *tree;
	unsigned reads;
};

static bool is_directory_key(const char *key)
{
	size_t len = strlen(key);

	return len == 0 || key[len - 1] == '/' || strcmp(key, ".") == 0;
}

static char *without_slash(const char *key)
{
	size_t len = strlen(key);

	return mem_printf("%.*s", (int)(len > 0 && key[len - 1] == '/' ? len - 1 : len), key);
}

static int compare_based(const void *a, const void *b)
{
	_cleanup(free) char *x = without_slash(*(char *const *)a), *y = without_slash(*(char *const *)b);

	return strcmp(x, y);
}

static int append_based(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int read_based(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len, struct error *err)
{
	struct based *b = arg;

	assert_true(at + len <= b->listing.len);
	memcpy(buf, b->listing.data + at, len);
	b->reads++;
	return 0;
}

static void add_based(struct based *b, const char *key)
{
	b->keys = mem_resize(b->keys, b->count + 1, sizeof(*b->keys));
	b->keys[b->count++] = mem_strdup(key);
}

static void write_based(struct based *b)
{
	const struct listing_out out = {.write = append_based, .arg = &b->listing};
	const struct listing_head head = {
	        .format = LISTING_BASE, .job = "main", .source = "main", .taken_at_us = 1};
	const struct mirror_tree_source source = {.read = read_based, .arg = b};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	_cleanup(listing_index) struct listing_index x = {0};

	qsort(b->keys, b->count, sizeof(*b->keys), compare_based);
	for (size_t i = 0; i < b->count; i++) {
		_cleanup(free) char *key = without_slash(b->keys[i]);
		const struct listing_entry e = {.format = LISTING_BASE,
		                                .key = key,
		                                .is_directory = is_directory_key(b->keys[i]),
		                                .mode = is_directory_key(b->keys[i]) ? 0700 : 0640};

		assert_int_equal(listing_writer_add(w, &e, NULL), 0);
	}
	assert_int_equal(listing_writer_finish(w, &b->index, NULL), 0);
	assert_int_equal(listing_index_decode(str_text(&b->index), b->index.len, &x, NULL), 0);
	assert_int_equal(mirror_tree_new(&x, &source, 0, &b->tree, NULL), 0);
}

static void make_based(struct based *b, const char *const *keys)
{
	for (; *keys; keys++)
		add_based(b, *keys);
	write_based(b);
}

static int set_up_based(void **state)
{
	*state = mem_alloc(sizeof(struct based));
	return 0;
}

static int tear_down_based(void **state)
{
	struct based *b = *state;

	mirror_tree_free(b->tree);
	for (size_t i = 0; i < b->count; i++)
		free(b->keys[i]);
	free(b->keys);
	str_finish(&b->listing);
	str_finish(&b->index);
	free(b);
	return 0;
}

struct told {
	struct str names; /* "1/ 1-2 …" */
	uint64_t last;
	unsigned left; /* so many more are told; then it ends */
};

static int note_told(void *arg, const struct mirror_item *item, struct error *err)
{
	struct told *t = arg;

	if (t->left == 0)
		return 1;
	t->left--;
	assert_true(item->place > t->last);
	t->last = item->place;
	str_appendf(&t->names, "%s%s%s", t->names.len ? " " : "", mirror_item_name(item),
	            item->is_directory ? "/" : "");
	return 0;
}

/* In pages of @page names. */
static char *list_based(struct based *b, const char *directory, unsigned page)
{
	struct told told = {0};
	const struct mirror_each each = {.item = note_told, .arg = &told};
	int r = 1;

	while (r == 1) {
		told.left = page;
		r = mirror_tree_list(b->tree, NULL, directory, told.last, &each, NULL);
	}
	assert_int_equal(r, 0);
	return str_take(&told.names);
}

static void assert_listed(struct based *b, const char *directory, const char *names)
{
	for (unsigned page = 1; page < 6; page++) {
		_cleanup(free) char *listed = list_based(b, directory, page);

		assert_string_equal(listed ? listed : "", names);
	}
}

static void test_directories_of_a_base(void **state)
{
	static const char *const keys[] = {
	        "",           "base/",   "base/1/",       "base/1-2/", "base/1/x",
	        "base/1-2/y", "base/1.", "base/1/pgsql/", "global/",   "global/pg_control",
	        "pg_notify/", "a%b",     "t\xff/",        "t\xff/%41", "PG_VERSION",
	        NULL};
	struct based *b = *state;

	make_based(b, keys);
	assert_int_equal(mirror_tree_format(b->tree), LISTING_BASE);
	assert_listed(b, "", "PG_VERSION a%b base/ global/ pg_notify/ t\xff/");
	assert_listed(b, "base", "1/ 1-2/ 1.");
	assert_listed(b, "base/1", "pgsql/ x");
	assert_listed(b, "base/1-2", "y");
	assert_listed(b, "base/1/pgsql", "");
	assert_listed(b, "pg_notify", "");
	assert_listed(b, "t\xff", "%41");
	assert_listed(b, "nowhere", "");
}

static void assert_found(struct based *b, const char *directory, const char *name, bool is_directory)
{
	_cleanup(mirror_item) struct mirror_item item = {0}, again = {0};
	_cleanup(free) char *path = mem_printf("%s%s%s", directory, *directory ? "/" : "", name);

	assert_int_equal(mirror_tree_find(b->tree, NULL, directory, name, &item, NULL), 1);
	assert_string_equal(item.path, path);
	assert_int_equal(item.is_directory, is_directory);
	assert_int_equal(item.entry.mode, is_directory ? 0700 : 0640);
	assert_int_equal(item.number >= MIRROR_DIRECTORIES, is_directory);
	assert_true(mirror_tree_has(b->tree, item.number));
	assert_int_equal(mirror_tree_at(b->tree, NULL, item.number, &again, NULL), 1);
	assert_string_equal(again.path, path);
	assert_int_equal(again.place, item.place);
}

static void assert_not_found(struct based *b, const char *directory, const char *name)
{
	struct mirror_item item = {0};

	assert_int_equal(mirror_tree_find(b->tree, NULL, directory, name, &item, NULL), 0);
}

static void test_names_of_a_base(void **state)
{
	_cleanup(free) char *longest = mem_alloc(256);
	struct based *b = *state;
	_cleanup(mirror_item) struct mirror_item root = {0};

	memset(longest, 'n', 255);
	add_based(b, "./");
	add_based(b, "base/");
	add_based(b, "base/1");
	add_based(b, "base/%2F%=");
	add_based(b, longest);
	free(b->keys[0]);
	b->keys[0] = mem_strdup(".");
	write_based(b);
	assert_found(b, "", "base", true);
	assert_found(b, "base", "1", false);
	assert_found(b, "base", "%2F%=", false);
	assert_found(b, "", longest, false);
	assert_not_found(b, "", ".");
	assert_not_found(b, "", "..");
	assert_not_found(b, "", "");
	assert_not_found(b, "base", "2");
	assert_not_found(b, "bas", "e");
	assert_not_found(b, "base/1", "x");
	assert_int_equal(mirror_tree_root(b->tree, NULL, &root, NULL), 1);
	assert_string_equal(root.path, "");
	assert_true(root.is_directory);
}

/* Short lines, and many: every number is of one line, and numbers between them are nobody's. */
static void test_numbers_of_a_base(void **state)
{
	struct based *b = *state;
	_cleanup(free) uint64_t *numbers = mem_array(6000, sizeof(*numbers));
	uint64_t last = 0;

	for (unsigned i = 0; i < 3000; i++) {
		_cleanup(free) char *key = mem_printf("%u%s", i, i % 3 ? "" : "/");

		add_based(b, key);
	}
	write_based(b);
	for (unsigned i = 0; i < 3000; i++) {
		_cleanup(free) char *name = without_slash(b->keys[i]);
		_cleanup(mirror_item) struct mirror_item item = {0};

		assert_found(b, "", name, is_directory_key(b->keys[i]));
		assert_int_equal(mirror_tree_find(b->tree, NULL, "", name, &item, NULL), 1);
		numbers[i] = item.number;
		if (!item.is_directory) {
			assert_true(item.number > last);
			last = item.number;
		}
	}
	for (unsigned i = 1; i < 3000; i++)
		for (uint64_t n = numbers[i] - 3; n < numbers[i] + 3; n++) {
			_cleanup(mirror_item) struct mirror_item item = {0};

			if (mirror_tree_at(b->tree, NULL, n, &item, NULL) == 1)
				assert_int_equal(item.number, n);
		}
}

static uint64_t seed = 7;

static unsigned any_of(unsigned count)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return (unsigned)(seed >> 33) % count;
}

/* What is in a directory, by a plain look at all keys. */
static char *plain_children(const struct based *b, const char *directory)
{
	_cleanup(free) char *prefix = mem_printf("%s%s", directory, *directory ? "/" : "");
	struct str names = {0};

	for (size_t i = 0; i < b->count; i++) {
		_cleanup(free) char *key = without_slash(b->keys[i]);

		if (*key && strncmp(key, prefix, strlen(prefix)) == 0 && !strchr(key + strlen(prefix), '/'))
			str_appendf(&names, "%s%s%s", names.len ? " " : "", key + strlen(prefix),
			            is_directory_key(b->keys[i]) ? "/" : "");
	}
	return str_take(&names);
}

/* A random directory below another one, and then files: so all have their parents. */
static void make_random_tree(struct based *b)
{
	static const char *const names[] = {"1",  "1-2", "1.", "10",       "a", "a-b",
	                                    "a0", "A",   "%",  "\xc3\xa4", "~"};

	for (unsigned i = 0; i < 400; i++) {
		const char *parent = b->count && any_of(4) ? b->keys[any_of((unsigned)b->count)] : "";
		_cleanup(free) char *key =
		        mem_printf("%s%s%s", parent, names[any_of(ARRAY_SIZE(names))], any_of(3) ? "/" : "");
		_cleanup(free) char *plain = without_slash(key);
		bool is_new = !*parent || is_directory_key(parent);

		for (size_t j = 0; is_new && j < b->count; j++) {
			_cleanup(free) char *other = without_slash(b->keys[j]);

			is_new = strcmp(other, plain) != 0;
		}
		if (is_new)
			add_based(b, key);
	}
	write_based(b);
}

static void test_random_trees(void **state)
{
	struct based *b = *state;

	make_random_tree(b);
	for (size_t i = 0; i < b->count; i++) {
		_cleanup(free) char *path = without_slash(b->keys[i]);
		char *slash = strrchr(path, '/');
		_cleanup(free) char *directory = mem_printf("%.*s", slash ? (int)(slash - path) : 0, path);
		_cleanup(free) char *children = plain_children(b, path);

		assert_found(b, directory, slash ? slash + 1 : path, is_directory_key(b->keys[i]));
		if (is_directory_key(b->keys[i]))
			assert_listed(b, path, children ? children : "");
	}
	{
		_cleanup(free) char *children = plain_children(b, "");

		assert_listed(b, "", children);
	}
}

static int count_based(void *arg, const struct mirror_item *item, struct error *err)
{
	(*(unsigned *)arg)++;
	return 0;
}

static void test_names_that_no_file_has(void **state)
{
	static const char *const wrong[] = {"..", "a/../b", "a//b", "a/.", "/a", "../a", NULL};
	unsigned count = 0;
	const struct mirror_each each = {.item = count_based, .arg = &count};

	(void)state;
	for (size_t i = 0; wrong[i]; i++) {
		struct based b = {0};
		struct error err = {0};

		add_based(&b, wrong[i]);
		write_based(&b);
		assert_int_equal(mirror_tree_each(b.tree, NULL, &each, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		mirror_tree_free(b.tree);
		free(b.keys[0]);
		free(b.keys);
		str_finish(&b.listing);
		str_finish(&b.index);
	}
	assert_int_equal(count, 0);
}

#define BASED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_based, tear_down_based)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        BASED_TEST(test_directories_of_a_base),  BASED_TEST(test_names_of_a_base),
	        BASED_TEST(test_numbers_of_a_base),      BASED_TEST(test_random_trees),
	        BASED_TEST(test_names_that_no_file_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
