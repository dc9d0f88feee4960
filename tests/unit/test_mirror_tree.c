// SPDX-License-Identifier: Apache-2.0
/* Listings as trees, held to what a plain look at all names says: names, pages, numbers; and listings that are damaged. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/shown_name.h>
#include <keepfs/mirror/tree.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct keys {
	char **keys; /* in their order */
	char **names;
	size_t count;
	struct str listing, index;
	unsigned reads;
};

static void add_key(struct keys *k, const char *key)
{
	k->keys = mem_resize(k->keys, k->count + 1, sizeof(*k->keys));
	k->keys[k->count++] = mem_strdup(key);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int append_tree_listing(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static void write_keys(struct keys *k)
{
	const struct listing_out out = {.write = append_tree_listing, .arg = &k->listing};
	const struct listing_head head = {.job = "documents", .source = "s3://documents", .taken_at_us = 1};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	size_t count = 0;

	qsort(k->keys, k->count, sizeof(*k->keys), compare_keys);
	for (size_t i = 0; i < k->count; i++) {
		if (count > 0 && strcmp(k->keys[count - 1], k->keys[i]) == 0)
			free(k->keys[i]);
		else
			k->keys[count++] = k->keys[i];
	}
	k->count = count;
	k->names = mem_array(count + 1, sizeof(*k->names));
	for (size_t i = 0; i < count; i++) {
		const struct listing_entry e = {.key = k->keys[i],
		                                .bytes = i,
		                                .etag = "e",
		                                .sha256 = SHA,
		                                .modified_us = 1000000,
		                                .pack = "20261120T020000Z/00001",
		                                .at = i * 512};
		_cleanup(str) struct str name = {0};

		shown_name(e.key, strlen(e.key), &name);
		k->names[i] = str_take(&name);
		assert_int_equal(listing_writer_add(w, &e, NULL), 0);
	}
	assert_int_equal(listing_writer_finish(w, &k->index, NULL), 0);
}

static void keys_finish(struct keys *k)
{
	for (size_t i = 0; i < k->count; i++) {
		free(k->keys[i]);
		free(k->names[i]);
	}
	free(k->keys);
	free(k->names);
	str_finish(&k->listing);
	str_finish(&k->index);
}

static int read_keys(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len, struct error *err)
{
	struct keys *k = arg;

	assert_true(at + len <= k->listing.len);
	memcpy(buf, k->listing.data + at, len);
	k->reads++;
	return 0;
}

static struct mirror_tree *tree_of(struct keys *k, uint64_t before)
{
	const struct mirror_tree_source source = {.read = read_keys, .arg = k};
	_cleanup(listing_index) struct listing_index x = {0};
	struct mirror_tree *t = NULL;

	assert_int_equal(listing_index_decode(str_text(&k->index), k->index.len, &x, NULL), 0);
	assert_int_equal(mirror_tree_new(&x, &source, before, &t, NULL), 0);
	return t;
}

/* What a directory has, by the names of all. */

struct children {
	char **paths;
	bool *directories;
	size_t count;
};

static void children_finish(struct children *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->paths[i]);
	free(c->paths);
	free(c->directories);
}

static void add_child(struct children *c, char *path, bool is_directory)
{
	for (size_t i = 0; i < c->count; i++) {
		if (is_directory && c->directories[i] && strcmp(c->paths[i], path) == 0) {
			free(path);
			return;
		}
	}
	c->paths = mem_resize(c->paths, c->count + 1, sizeof(*c->paths));
	c->directories = mem_resize(c->directories, c->count + 1, sizeof(*c->directories));
	c->paths[c->count] = path;
	c->directories[c->count++] = is_directory;
}

static bool has_below(const struct keys *k, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < k->count; i++)
		if (strncmp(k->names[i], path, len) == 0 && k->names[i][len] == '/')
			return true;
	return false;
}

static void expect_children(const struct keys *k, const char *directory, struct children *ret)
{
	size_t len = strlen(directory);

	for (size_t i = 0; i < k->count; i++) {
		const char *name = k->names[i], *slash;

		if (len > 0 && (strncmp(name, directory, len) != 0 || name[len] != '/'))
			continue;
		slash = strchr(name + len + (len > 0), '/');
		if (slash)
			add_child(ret, mem_printf("%.*s", (int)(slash - name), name), true);
		else
			add_child(ret, mem_printf("%s%s", name, has_below(k, name) ? SHOWN_OBJECT : ""),
			          false);
	}
}

struct walk {
	struct keys *keys;
	struct mirror_tree *tree;
	struct children *expected;
	size_t at, page, left;
	uint64_t place;
	uint64_t *numbers;
	size_t number_count;
};

static void check_item(struct walk *w, const struct mirror_item *i, const char *directory)
{
	_cleanup(mirror_item) struct mirror_item found = {0}, again = {0};

	assert_int_equal(mirror_tree_find(w->tree, NULL, directory, mirror_item_name(i), &found, NULL), 1);
	assert_string_equal(found.path, i->path);
	assert_true(found.number == i->number && found.is_directory == i->is_directory);
	assert_true(i->number < MIRROR_NUMBERS && (i->number >= MIRROR_DIRECTORIES) == i->is_directory);
	assert_true(mirror_tree_has(w->tree, i->number));
	assert_int_equal(mirror_tree_at(w->tree, NULL, i->number, &again, NULL), 1);
	assert_string_equal(again.path, i->path);
	assert_true(again.place == i->place && again.number == i->number);
	if (!i->is_directory)
		assert_int_equal(again.entry.bytes, i->entry.bytes);
	w->numbers = mem_resize(w->numbers, w->number_count + 1, sizeof(*w->numbers));
	w->numbers[w->number_count++] = i->number;
}

static int take_item(void *arg, const struct mirror_item *i, struct error *err)
{
	struct walk *w = arg;

	if (w->left-- == 0)
		return 7;
	assert_true(w->at < w->expected->count);
	assert_string_equal(i->path, w->expected->paths[w->at]);
	assert_int_equal(i->is_directory, w->expected->directories[w->at]);
	assert_true(i->place > w->place);
	w->place = i->place;
	w->at++;
	return 0;
}

static void walk_directory(struct walk *w, const char *directory, unsigned depth)
{
	struct children c = {0};
	const struct mirror_each each = {.item = take_item, .arg = w};
	int r = 7;

	expect_children(w->keys, directory, &c);
	w->expected = &c;
	w->at = 0;
	w->place = 0;
	while (r == 7) {
		w->left = w->page;
		r = mirror_tree_list(w->tree, NULL, directory, w->place, &each, NULL);
	}
	assert_int_equal(r, 0);
	assert_int_equal(w->at, c.count);
	for (size_t i = 0; i < c.count; i++) {
		_cleanup(mirror_item) struct mirror_item item = {0};
		const char *slash = strrchr(c.paths[i], '/');

		assert_int_equal(mirror_tree_find(w->tree, NULL, directory, slash ? slash + 1 : c.paths[i],
		                                  &item, NULL),
		                 1);
		check_item(w, &item, directory);
		if (c.directories[i] && depth < 40)
			walk_directory(w, c.paths[i], depth + 1);
	}
	children_finish(&c);
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int count_file(void *arg, const struct mirror_item *i, struct error *err)
{
	size_t *count = arg;

	assert_false(i->is_directory);
	assert_int_equal(i->entry.bytes, (*count)++);
	return 0;
}

static void check_tree(struct keys *k, size_t page, uint64_t before)
{
	struct walk w = {.keys = k, .page = page};
	size_t count = 0;
	const struct mirror_each each = {.item = count_file, .arg = &count};

	write_keys(k);
	w.tree = tree_of(k, before);
	walk_directory(&w, "", 0);
	qsort(w.numbers, w.number_count, sizeof(*w.numbers), compare_numbers);
	for (size_t i = 1; i < w.number_count; i++)
		assert_true(w.numbers[i - 1] != w.numbers[i]);
	assert_int_equal(mirror_tree_each(w.tree, NULL, &each, NULL), 0);
	assert_int_equal(count, k->count);
	mirror_tree_free(w.tree);
	free(w.numbers);
}

static void test_hostile_keys(void **state)
{
	static const char *const keys[] = {
	        "a",    "a/b",  "a!b",    "a/",  "a//b",  "/x",     "/",         "//",
	        ".",    "..",   "a/../b", "%",   "%25",   "100%/x", "dir/",      "dir/file",
	        "a\nb", "\xff", "a-b",    "a0",  "a/b/c", "b",      "b!",        "b!!",
	        "b/1",  "b!/1", "z=",     "z%=", "z",     "z/a",    "SHA256SUMS"};
	struct keys k = {0};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		add_key(&k, keys[i]);
	check_tree(&k, 1, 0);
	keys_finish(&k);
}

/* Components that are cut, between others that are just short enough. */
static void test_components_that_go_on(void **state)
{
	struct keys k = {0};

	for (int len = 195; len < 206; len++) {
		static const char *const ends[] = {"", "a", "c", "/x", "/y", "c/x", "zz", "\xc3\xbc", "%"};

		for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
			_cleanup(free) char *key = mem_printf("d/%0*d%s", len, 0, ends[i]);

			add_key(&k, key);
		}
	}
	for (int len = 380; len < 420; len += 3) {
		_cleanup(free) char *key = mem_printf("d/%0*db", len, 0);

		add_key(&k, key);
	}
	add_key(&k, "d/0");
	add_key(&k, "d/1");
	check_tree(&k, 3, 100000);
	keys_finish(&k);
}

static void test_random_keys(void **state)
{
	static const char *const pieces[] = {"a", "b", "/", "/", "!", "0", "%", ".", "-", "="};
	uint32_t seed = 11;

	for (unsigned round = 0; round < 24; round++) {
		struct keys k = {0};

		for (unsigned i = 0; i < 90; i++) {
			_cleanup(str) struct str key = {0};

			seed = seed * 1664525 + 1013904223;
			for (unsigned n = 1 + (seed >> 20) % 9; n > 0; n--) {
				seed = seed * 1664525 + 1013904223;
				str_append(&key, pieces[(seed >> 16) % ARRAY_SIZE(pieces)]);
			}
			if (round % 2 && i % 3 == 0) {
				_cleanup(free) char *more =
				        mem_printf("%0*d", 190 + (int)((seed >> 8) % 15), 0);

				str_append(&key, more);
				str_append(&key, pieces[(seed >> 12) % ARRAY_SIZE(pieces)]);
				str_append(&key, pieces[(seed >> 22) % ARRAY_SIZE(pieces)]);
			}
			add_key(&k, str_text(&key));
		}
		check_tree(&k, 1 + round % 7, round * 1000);
		keys_finish(&k);
	}
}

static void test_what_is_not_there(void **state)
{
	static const char *const names[] = {"",    "b",     "a%=%=", "a/b", ".",    "..",    "%2e",
	                                    "%41", "c%=",   "x%-",   "%-",  "d%-",  "%=",    "a%",
	                                    "aa",  "c%=%=", "%",     "%%",  "\xff", "%C3%BC"};
	struct keys k = {0};
	struct mirror_tree *t;

	add_key(&k, "a");
	add_key(&k, "a/b");
	add_key(&k, "c");
	add_key(&k, "d/e");
	write_keys(&k);
	t = tree_of(&k, 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(mirror_item) struct mirror_item item = {0};

		assert_int_equal(mirror_tree_find(t, NULL, "", names[i], &item, NULL), 0);
		assert_int_equal(mirror_tree_find(t, NULL, "nowhere", names[i], &item, NULL), 0);
	}
	for (uint64_t number = 0; number < 40; number++) {
		_cleanup(mirror_item) struct mirror_item item = {0};

		if (mirror_tree_at(t, NULL, number, &item, NULL) == 1)
			assert_int_equal(item.number, number);
	}
	mirror_tree_free(t);
	keys_finish(&k);
}

static int count_item(void *arg, const struct mirror_item *i, struct error *err)
{
	++*(size_t *)arg;
	return 0;
}

static int stop_soon(void *arg, const struct mirror_item *i, struct error *err)
{
	return ++*(size_t *)arg == 100;
}

/* What is asked for is found without reading the rest. */
static void test_a_large_one_is_read_in_parts(void **state)
{
	struct keys k = {0};
	_cleanup(mirror_item) struct mirror_item item = {0};
	struct mirror_tree *t;
	size_t count = 0;
	const struct mirror_each soon = {.item = stop_soon, .arg = &count},
	                         all = {.item = count_item, .arg = &count};

	for (int i = 0; i < 30000; i++) {
		_cleanup(free) char *key = mem_printf("%s/%06d", i % 3 ? "flat" : "other", i);

		add_key(&k, key);
	}
	write_keys(&k);
	t = tree_of(&k, 0);
	assert_int_equal(mirror_tree_find(t, NULL, "other", "029997", &item, NULL), 1);
	assert_in_range(k.reads, 1, 4);
	assert_int_equal(mirror_tree_list(t, NULL, "flat", 0, &soon, NULL), 1);
	assert_in_range(k.reads, 1, 6);
	count = 0;
	assert_int_equal(mirror_tree_list(t, NULL, "flat", 0, &all, NULL), 0);
	assert_int_equal(count, 20000);
	count = 0;
	k.reads = 0;
	assert_int_equal(mirror_tree_list(t, NULL, "", 0, &all, NULL), 0);
	assert_int_equal(count, 2);
	assert_in_range(k.reads, 0, 4);
	mirror_tree_free(t);
	keys_finish(&k);
}

static void test_a_cancelled_one(void **state)
{
	struct keys k = {0};
	struct mirror_tree *t;
	struct cancel cancel;
	size_t count = 0;
	const struct mirror_each all = {.item = count_item, .arg = &count};

	add_key(&k, "a");
	write_keys(&k);
	t = tree_of(&k, 0);
	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(mirror_tree_list(t, &cancel, "", 0, &all, NULL), -ECANCELED);
	cancel_finish(&cancel);
	mirror_tree_free(t);
	keys_finish(&k);
}

/* Whatever is wrong with it, it ends, and says so, or shows what it says. */
static void test_damaged_listings(void **state)
{
	uint32_t seed = 5;

	for (unsigned round = 0; round < 400; round++) {
		struct keys k = {0};
		struct mirror_tree *t;
		struct error err = {0};
		size_t count = 0;
		const struct mirror_each all = {.item = count_item, .arg = &count};
		int r;

		for (int i = 0; i < 60; i++) {
			_cleanup(free) char *key = mem_printf("d%d/%d", i / 7, i);

			add_key(&k, key);
		}
		write_keys(&k);
		t = tree_of(&k, 0);
		seed = seed * 1664525 + 1013904223;
		k.listing.data[(seed >> 8) % k.listing.len] ^= (char)(1 + (seed >> 4) % 255);
		r = mirror_tree_each(t, NULL, &all, &err);
		assert_true(r == 0 || (r == -EBADMSG && err.class == ERROR_CORRUPT));
		r = mirror_tree_list(t, NULL, "", 0, &all, &err);
		assert_true(r == 0 || (r == -EBADMSG && err.class == ERROR_CORRUPT));
		mirror_tree_free(t);
		keys_finish(&k);
	}
}

/* An index that fits a listing whose keys are in another order. */
static void test_keys_that_are_in_no_order(void **state)
{
	struct keys k = {0};
	struct mirror_tree *t;
	struct error err = {0};
	size_t count = 0;
	const struct mirror_each all = {.item = count_item, .arg = &count};
	struct keys other = {0};
	int r;

	add_key(&k, "a/1");
	add_key(&k, "a/2");
	add_key(&k, "a/3");
	add_key(&k, "b/1");
	write_keys(&k);
	add_key(&other, "a/1");
	add_key(&other, "a/2");
	add_key(&other, "a/3");
	add_key(&other, "a/4");
	write_keys(&other);
	str_finish(&k.listing);
	k.listing = other.listing;
	other.listing = (struct str){0};
	t = tree_of(&k, 0);
	r = mirror_tree_list(t, NULL, "", 0, &all, &err);
	assert_true(r == 0 || r == -EBADMSG);
	mirror_tree_free(t);
	keys_finish(&k);
	keys_finish(&other);
}

static void test_prefixes(void **state)
{
	static const char *const wrong[] = {"%0", "%2e", "%00", "%G0", "a/%4"};
	_cleanup(str) struct str prefix = {0};

	assert_int_equal(shown_name_prefix("a/%/b", &prefix), 0);
	assert_string_equal(str_text(&prefix), "a//b/");
	str_clear(&prefix);
	assert_int_equal(shown_name_prefix("abc%-", &prefix), 0);
	assert_string_equal(str_text(&prefix), "abc");
	str_clear(&prefix);
	assert_int_equal(shown_name_prefix("abc%-/%25", &prefix), 0);
	assert_string_equal(str_text(&prefix), "abc%/");
	str_clear(&prefix);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(shown_name_prefix(wrong[i], &prefix), -EINVAL);
	assert_int_equal(prefix.len, 0);
	assert_true(shown_name_goes_on("a%-") && !shown_name_goes_on("a%-/b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hostile_keys),
	        cmocka_unit_test(test_components_that_go_on),
	        cmocka_unit_test(test_random_keys),
	        cmocka_unit_test(test_what_is_not_there),
	        cmocka_unit_test(test_a_large_one_is_read_in_parts),
	        cmocka_unit_test(test_a_cancelled_one),
	        cmocka_unit_test(test_damaged_listings),
	        cmocka_unit_test(test_keys_that_are_in_no_order),
	        cmocka_unit_test(test_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
