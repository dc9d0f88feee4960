// SPDX-License-Identifier: Apache-2.0
/* Whole objects: put, get, head, remove. */
#include "suite.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <stdio.h>

#define RACERS  8
#define READERS 8

static void put_get_head_remove(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES];
	struct store_object object;
	struct iovec iov[] = {{"one ", 4}, {"", 0}, {"two", 3}};

	suite_key(t, key, "dir/sub/object");
	suite_expect_absent(t, key);
	assert_ok(store_put(t->store, NULL, key, iov, 3,
	                    &(struct store_put_options){.content_type = "text/plain"}, &err));
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_string_equal(object.key, key);
	assert_int_equal(object.bytes, 7);
	assert_true(object.etag[0] != '\0');
	suite_expect(t, key, "one two", 7);
	assert_ok(store_remove(t->store, NULL, key, &err));
	suite_expect_absent(t, key);
	assert_ok(store_remove(t->store, NULL, key, &err));
}

static void empty_object(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], byte;
	struct store_object object;
	struct iovec iov = {&byte, 1};

	assert_ok(store_put(t->store, NULL, suite_key(t, key, "empty"), NULL, 0, NULL, &err));
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_int_equal(object.bytes, 0);
	suite_expect(t, key, "", 0);
	assert_fails(ERANGE, ERROR_USAGE, store_get(t->store, NULL, key, 0, &iov, 1, NULL, &err));
}

static void overwrite_changes_bytes_and_etag(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES];
	struct store_object before, after;

	suite_put(t, suite_key(t, key, "o"), "the first and longer text");
	assert_ok(store_head(t->store, NULL, key, &before, &err));
	suite_put(t, key, "second");
	assert_ok(store_head(t->store, NULL, key, &after, &err));
	assert_string_not_equal(before.etag, after.etag);
	suite_expect(t, key, "second", 6);
}

static void only_if_absent(void **state)
{
	struct suite *t = *state;
	const struct store_put_options absent = {.only_if_absent = true};
	char key[STORE_KEY_BYTES];

	suite_key(t, key, "a/once");
	assert_ok(store_put_bytes(t->store, NULL, key, "mine", 4, &absent, &err));
	assert_int_equal(store_put_bytes(t->store, NULL, key, "yours", 5, &absent, NULL), STORE_EXISTS);
	suite_expect(t, key, "mine", 4);
	assert_ok(store_remove(t->store, NULL, key, &err));
	assert_ok(store_put_bytes(t->store, NULL, key, "yours", 5, &absent, &err));
	suite_expect(t, key, "yours", 5);
}

struct race {
	struct suite *t;
	char key[STORE_KEY_BYTES];
	int result[RACERS];
};

static void race_put(void *arg, unsigned index)
{
	struct race *race = arg;
	char text[32];

	snprintf(text, sizeof(text), "racer %u", index);
	race->result[index] = store_put_bytes(race->t->store, NULL, race->key, text, strlen(text),
	                                      &(struct store_put_options){.only_if_absent = true}, NULL);
}

static void only_if_absent_has_one_winner(void **state)
{
	struct suite *t = *state;

	for (int round = 0; round < 5; round++) {
		struct race race = {.t = t};
		struct store_features features;
		unsigned winners = 0, winner = 0;
		char name[32], text[32];

		snprintf(name, sizeof(name), "race-%d", round);
		suite_key(t, race.key, name);
		suite_threads(RACERS, race_put, &race);
		for (unsigned i = 0; i < RACERS; i++) {
			assert_true(race.result[i] == 0 || race.result[i] == STORE_EXISTS);
			winners += race.result[i] == 0;
			winner = race.result[i] == 0 ? i : winner;
		}
		assert_true(winners >= 1);
		assert_ok(store_features(t->store, &features, &err));
		if (!features.atomic_absent)
			continue;
		assert_int_equal(winners, 1);
		snprintf(text, sizeof(text), "racer %u", winner);
		suite_expect(t, race.key, text, strlen(text));
	}
}

/* Ranges of an object of 1000 bytes: at both edges, whole, across several buffers. */
static void ranges_are_exact(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} ranges[] = {{0, 1}, {0, 1000}, {1, 998}, {1, 999}, {999, 1}, {500, 3}, {0, 999}};
	struct suite *t = *state;
	char key[STORE_KEY_BYTES];
	uint8_t data[1000], got[1002];

	suite_fill(data, sizeof(data), 1);
	assert_ok(store_put_bytes(t->store, NULL, suite_key(t, key, "r"), data, sizeof(data), NULL, &err));
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		size_t half = ranges[i].len / 2;
		struct iovec iov[] = {{got + 1, half}, {got, 0}, {got + 1 + half, ranges[i].len - half}};

		memset(got, 0xee, sizeof(got));
		assert_ok(store_get(t->store, NULL, key, ranges[i].offset, iov, 3, NULL, &err));
		assert_memory_equal(got + 1, data + ranges[i].offset, ranges[i].len);
		assert_int_equal(got[0], 0xee);
		assert_int_equal(got[1 + ranges[i].len], 0xee);
	}
}

static void ranges_past_the_end(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} ranges[] = {{0, 11}, {9, 2}, {10, 1}, {11, 1}, {1000, 1}, {(uint64_t)1 << 40, 1}};
	struct suite *t = *state;
	char key[STORE_KEY_BYTES];
	uint8_t got[16];

	suite_put(t, suite_key(t, key, "ten"), "0123456789");
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct iovec iov = {got, ranges[i].len};

		assert_fails(ERANGE, ERROR_USAGE,
		             store_get(t->store, NULL, key, ranges[i].offset, &iov, 1, NULL, &err));
	}
	assert_ok(store_get(t->store, NULL, key, 10, NULL, 0, NULL, &err));
	assert_fails(ERANGE, ERROR_USAGE, store_get(t->store, NULL, key, 11, NULL, 0, NULL, &err));
}

static void missing_objects(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], byte, *data = NULL;
	struct iovec iov = {&byte, 1};
	size_t len = 0;

	suite_put(t, suite_key(t, key, "there/object"), "x");
	suite_key(t, key, "there/none");
	suite_expect_absent(t, key);
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_get(t->store, NULL, key, 0, &iov, 1, NULL, &err));
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_get(t->store, NULL, key, 0, NULL, 0, NULL, &err));
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_get_all(t->store, NULL, key, 10, &data, &len, &err));
	suite_expect_absent(t, suite_key(t, key, "there")); /* a prefix of keys is no object */
	suite_expect_absent(t, suite_key(t, key, "there/object/below"));
	assert_ok(store_remove(t->store, NULL, key, &err));
	assert_ok(store_remove(t->store, NULL, suite_key(t, key, "no/such/directory"), &err));
}

static void get_all_is_bounded(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], *data = NULL;
	size_t len = 0;

	suite_put(t, suite_key(t, key, "ten"), "0123456789");
	assert_fails(EFBIG, ERROR_CORRUPT, store_get_all(t->store, NULL, key, 9, &data, &len, &err));
	assert_null(data);
	assert_ok(store_get_all(t->store, NULL, key, 10, &data, &len, &err));
	assert_string_equal(data, "0123456789");
	free(data);
}

static void if_match(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], got[3];
	struct iovec iov = {got, sizeof(got)};
	struct store_object object;
	struct store_get_options match = {.if_match = object.etag};

	suite_put(t, suite_key(t, key, "m"), "old");
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_ok(store_get(t->store, NULL, key, 0, &iov, 1, &match, &err));
	assert_memory_equal(got, "old", 3);
	suite_put(t, key, "new");
	assert_fails(ESTALE, ERROR_CONFLICT, store_get(t->store, NULL, key, 0, &iov, 1, &match, &err));
	assert_fails(ESTALE, ERROR_CONFLICT, store_get(t->store, NULL, key, 0, NULL, 0, &match, &err));
}

/* A put that names the object which it replaces. */
static void put_if_match(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], old[STORE_ETAG_BYTES], new[STORE_ETAG_BYTES] = "?";
	struct store_put_options create = {.only_if_absent = true, .ret_etag = old};
	struct store_put_options over = {.if_match = old, .ret_etag = new};
	struct store_object object;

	suite_key(t, key, "state/owned");
	assert_ok(store_put_bytes(t->store, NULL, key, "one", 3, &create, &err));
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_string_equal(old, object.etag);
	assert_ok(store_put_bytes(t->store, NULL, key, "two!", 4, &over, &err));
	suite_expect(t, key, "two!", 4);
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_string_equal(new, object.etag);
	assert_string_not_equal(new, old);
	/* It is another one now. */
	assert_fails(ESTALE, ERROR_CONFLICT, store_put_bytes(t->store, NULL, key, "three", 5, &over, &err));
	suite_expect(t, key, "two!", 4);
	/* And one that is gone is no reason to make it. */
	over.if_match = object.etag;
	assert_ok(store_remove(t->store, NULL, key, &err));
	assert_fails(ESTALE, ERROR_CONFLICT, store_put_bytes(t->store, NULL, key, "four", 4, &over, &err));
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_head(t->store, NULL, key, &object, &err));
	over.only_if_absent = true;
	assert_fails(EINVAL, ERROR_USAGE, store_put_bytes(t->store, NULL, key, "five", 4, &over, &err));
}

struct match_race {
	struct suite *t;
	char key[STORE_KEY_BYTES], etag[STORE_ETAG_BYTES];
	int result[RACERS];
	struct error error[RACERS];
};

static void race_match(void *arg, unsigned index)
{
	struct match_race *race = arg;
	const struct store_put_options over = {.if_match = race->etag};
	char text[32];

	snprintf(text, sizeof(text), "racer %u", index);
	race->result[index] = store_put_bytes(race->t->store, NULL, race->key, text, strlen(text), &over,
	                                      &race->error[index]);
}

static void put_if_match_has_one_winner(void **state)
{
	struct suite *t = *state;
	struct match_race race = {.t = t};
	struct store_put_options create = {.ret_etag = race.etag};
	struct store_features features;

	suite_key(t, race.key, "state/raced");
	for (int round = 0; round < 5; round++) {
		unsigned winners = 0, winner = 0;
		char text[32];

		assert_ok(store_put_bytes(t->store, NULL, race.key, "prize", 5, &create, &err));
		suite_threads(RACERS, race_match, &race);
		for (unsigned i = 0; i < RACERS; i++) {
			/* Or the server says that others are at it at this moment (S3: 409). */
			if (race.result[i] != 0 && race.result[i] != -ESTALE && !race.error[i].retry)
				fail_msg("%d: %s", race.result[i], race.error[i].message);
			winners += race.result[i] == 0;
			winner = race.result[i] == 0 ? i : winner;
		}
		assert_true(winners >= 1);
		assert_ok(store_features(t->store, &features, &err));
		if (!features.atomic_match)
			continue;
		assert_int_equal(winners, 1);
		snprintf(text, sizeof(text), "racer %u", winner);
		suite_expect(t, race.key, text, strlen(text));
	}
}

/* One request tells that nothing is new, or brings all of it. */
static void if_none_match(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], etag[STORE_ETAG_BYTES] = "", got[64];
	struct iovec iov = {got, sizeof(got)};
	uint64_t filled = 77;
	struct store_get_options options = {.to_the_end = true, .ret_etag = etag, .ret_filled = &filled};
	char known[STORE_ETAG_BYTES];

	suite_put(t, suite_key(t, key, "state/followed"), "first");
	assert_ok(store_get(t->store, NULL, key, 0, &iov, 1, &options, &err));
	assert_int_equal(filled, 5);
	assert_memory_equal(got, "first", 5);
	memcpy(known, etag, sizeof(known));
	options.if_none_match = known;
	assert_int_equal(store_get(t->store, NULL, key, 0, &iov, 1, &options, NULL), STORE_NOT_CHANGED);
	assert_int_equal(filled, 0);
	assert_int_equal(store_get(t->store, NULL, key, 0, NULL, 0, &options, NULL), STORE_NOT_CHANGED);
	suite_put(t, key, "the second one");
	assert_ok(store_get(t->store, NULL, key, 0, &iov, 1, &options, &err));
	assert_int_equal(filled, 14);
	assert_memory_equal(got, "the second one", 14);
	assert_string_not_equal(etag, known);
	assert_ok(store_remove(t->store, NULL, key, &err));
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_get(t->store, NULL, key, 0, &iov, 1, &options, &err));
	suite_put(t, key, "");
	assert_fails(ERANGE, ERROR_USAGE, store_get(t->store, NULL, key, 0, &iov, 1, &options, &err));
	options.ret_filled = NULL;
	assert_fails(EINVAL, ERROR_USAGE, store_get(t->store, NULL, key, 0, &iov, 1, &options, &err));
}

/* What a get says of where its bytes are from, and how many came. */
static void gets_tell_what_they_got(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], got[8], etag[STORE_ETAG_BYTES] = "?";
	struct iovec iov[] = {{got, 3}, {got + 3, 0}, {got + 3, 4}}, longer = {got, sizeof(got)};
	uint64_t filled = 77;
	struct store_object object;
	struct store_get_options tell = {.ret_etag = etag, .ret_filled = &filled};

	suite_put(t, suite_key(t, key, "told"), "0123456789");
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_ok(store_get(t->store, NULL, key, 2, iov, 3, &tell, &err));
	assert_string_equal(etag, object.etag);
	assert_int_equal(filled, 7);
	assert_ok(store_get(t->store, NULL, key, 10, NULL, 0, &tell, &err));
	assert_string_equal(etag, object.etag);
	assert_int_equal(filled, 0);
	assert_ok(store_get(t->store, NULL, key, 0, iov, 3, &tell, &err));
	assert_fails(ERANGE, ERROR_USAGE, store_get(t->store, NULL, key, 3, &longer, 1, &tell, &err));
	assert_int_equal(filled, 0);
	assert_ok(store_get(t->store, NULL, key, 0, iov, 3, &tell, &err));
	assert_fails(ENOENT, ERROR_NOT_FOUND,
	             store_get(t->store, NULL, suite_key(t, key, "none"), 0, iov, 3, &tell, &err));
	assert_string_equal(etag, "");
	assert_int_equal(filled, 0);
	assert_fails(EINVAL, ERROR_USAGE, store_get(t->store, NULL, "", 0, iov, 3, &tell, &err));
	assert_int_equal(filled, 0);
}

struct arrivals {
	const char *bytes; /* of the object, from where the get begins */
	char *got;         /* its buffer */
	const char *etag;
	uint64_t filled;
	bool wrong;
};

static void on_arrived(void *arg, uint64_t filled, const char *etag)
{
	struct arrivals *a = arg;

	a->wrong |= filled < a->filled || strcmp(etag, a->etag) != 0 || memcmp(a->got, a->bytes, filled) != 0;
	a->filled = filled;
}

/* What is told of while a get runs is there by then, and of the object. */
static void what_arrives_is_there(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES];
	size_t size = (size_t)3 << 20;
	_cleanup(free) char *data = mem_alloc(size + 1), *got = mem_alloc(size);
	struct iovec iov[] = {{got, 1000}, {got + 1000, size - 1007}};
	struct store_object object;
	struct arrivals a = {.bytes = data + 7, .got = got, .etag = object.etag};
	struct store_get_options options = {.arrived = on_arrived, .arrived_arg = &a};

	for (size_t i = 0; i < size; i++)
		data[i] = (char)('a' + i * 7919 % 26);
	suite_put(t, suite_key(t, key, "arrives"), data);
	assert_ok(store_head(t->store, NULL, key, &object, &err));
	assert_ok(store_get(t->store, NULL, key, 7, iov, 2, &options, &err));
	assert_memory_equal(got, data + 7, size - 7);
	assert_false(a.wrong);
	/* It need not be told. */
	assert_true(a.filled == 0 || a.filled == size - 7);
}

/* if_match together with what is told: the old object's etag never passes for the new one's. */
static void a_replaced_object_tells_its_own_etag(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES], got[3], old[STORE_ETAG_BYTES], new[STORE_ETAG_BYTES];
	struct iovec iov = {got, sizeof(got)};
	uint64_t filled = 77;
	struct store_get_options first = {.ret_etag = old}, match = {.if_match = old};

	suite_put(t, suite_key(t, key, "r"), "old");
	assert_ok(store_get(t->store, NULL, key, 0, &iov, 1, &first, &err));
	suite_put(t, key, "new");
	match.ret_etag = new;
	match.ret_filled = &filled;
	assert_fails(ESTALE, ERROR_CONFLICT, store_get(t->store, NULL, key, 0, &iov, 1, &match, &err));
	assert_int_equal(filled, 0);
	match.if_match = NULL;
	assert_ok(store_get(t->store, NULL, key, 0, &iov, 1, &match, &err));
	assert_string_not_equal(old, new);
	assert_int_equal(filled, 3);
	assert_memory_equal(got, "new", 3);
}

static void keys_with_special_characters(void **state)
{
	static const char *const names[] = {
	        "with space",
	        " leading",
	        "trailing ",
	        "plus+plus",
	        "per%cent",
	        "per%2Fcent",
	        "equals=1",
	        "colon:colon",
	        "~tilde",
	        "amp&amp;",
	        "hash#hash",
	        "question?x=y",
	        "semi;colon",
	        "quote'\"quote",
	        "less<greater>",
	        "back\\slash",
	        "comma,at@dollar$",
	        "(brackets)[x]{y}",
	        "star*bang!pipe|",
	        "\xc3\xbc"
	        "ml\xc3\xa4ut",
	        "\xe6\x97\xa5\xe6\x9c\xac",
	        "\xf0\x9f\x90\x98/elephant",
	        "...",
	        "a..b",
	        ".hidden",
	        "-dash",
	};
	struct suite *t = *state;
	_cleanup(free) struct store_object *objects = NULL;
	size_t count = 0;
	bool more;
	char key[STORE_KEY_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suite_put(t, suite_key(t, key, names[i]), names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suite_expect(t, suite_key(t, key, names[i]), names[i], strlen(names[i]));
	assert_ok(store_list(t->store, NULL, t->prefix, NULL, 1000, &objects, &count, &more, &err));
	assert_int_equal(count, ARRAY_SIZE(names));
	for (size_t i = 0; i < count; i++) {
		suite_expect(t, objects[i].key, objects[i].key + strlen(t->prefix),
		             strlen(objects[i].key) - strlen(t->prefix));
		assert_ok(store_remove(t->store, NULL, objects[i].key, &err));
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suite_expect_absent(t, suite_key(t, key, names[i]));
}

static void longest_key(void **state)
{
	struct suite *t = *state;
	char key[STORE_KEY_BYTES + 1];
	size_t at = strlen(t->prefix);
	struct store_object object;

	memcpy(key, t->prefix, at);
	for (; at < STORE_KEY_BYTES - 1; at++)
		key[at] = at % 100 == 98 ? '/' : 'k';
	key[at] = '\0';
	suite_put(t, key, "long");
	suite_expect(t, key, "long", 4);
	key[at] = 'k';
	key[at + 1] = '\0';
	assert_fails(EINVAL, ERROR_USAGE, store_head(t->store, NULL, key, &object, &err));
}

static void unsafe_keys_are_refused(void **state)
{
	static const char *const keys[] = {
	        "",
	        "/",
	        "/a",
	        "a/",
	        "a//b",
	        ".",
	        "..",
	        "./a",
	        "../a",
	        "a/.",
	        "a/..",
	        "a/../b",
	        "a/./b",
	        "a\nb",
	        "a\x7f",
	        "\xff",
	        "\xc3",
	        "a\xc0\xaf",
	        "\xed\xa0\x80",
	        "\xf4\x90\x80\x80",
	        "\xe0\x80\xaf",
	        "\xf0\x80\x80\xaf",
	        "\xe6\x97",
	        ".keepfs",
	        ".keepfs/x",
	        ".keepfs-other",
	};
	struct suite *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct store_upload *up = NULL;
		struct store_object object;
		char byte, *data = NULL;
		struct iovec iov = {&byte, 1};
		size_t len;

		assert_fails(EINVAL, ERROR_USAGE,
		             store_put_bytes(t->store, NULL, keys[i], "x", 1, NULL, &err));
		assert_fails(EINVAL, ERROR_USAGE, store_get(t->store, NULL, keys[i], 0, &iov, 1, NULL, &err));
		assert_fails(EINVAL, ERROR_USAGE,
		             store_get_all(t->store, NULL, keys[i], 1, &data, &len, &err));
		assert_fails(EINVAL, ERROR_USAGE, store_head(t->store, NULL, keys[i], &object, &err));
		assert_fails(EINVAL, ERROR_USAGE, store_remove(t->store, NULL, keys[i], &err));
		assert_fails(EINVAL, ERROR_USAGE, store_upload_begin(t->store, NULL, keys[i], &up, &err));
		assert_fails(EINVAL, ERROR_USAGE, store_upload_abort(t->store, NULL, keys[i], "id", &err));
	}
}

struct readers {
	struct suite *t;
	char key[STORE_KEY_BYTES];
	uint8_t *data;
	size_t len;
	bool wrong[READERS];
};

static void read_ranges(void *arg, unsigned index)
{
	struct readers *readers = arg;
	_cleanup(free) uint8_t *got = mem_alloc(readers->len);
	uint32_t x = index + 1;

	for (int i = 0; i < 20; i++) {
		size_t offset, len;
		struct iovec iov;

		x = x * 1664525u + 1013904223u;
		offset = x % readers->len;
		len = 1 + (x >> 8) % (readers->len - offset);
		iov = (struct iovec){got, len};
		if (store_get(readers->t->store, NULL, readers->key, offset, &iov, 1, NULL, NULL) != 0 ||
		    memcmp(got, readers->data + offset, len) != 0)
			readers->wrong[index] = true;
	}
}

static void concurrent_readers(void **state)
{
	struct suite *t = *state;
	struct readers readers = {.t = t, .len = ((size_t)3 << 20) + 17};
	_cleanup(free) uint8_t *data = mem_alloc(readers.len);

	suite_fill(data, readers.len, 7);
	readers.data = data;
	assert_ok(store_put_bytes(t->store, NULL, suite_key(t, readers.key, "shared"), data, readers.len,
	                          NULL, &err));
	suite_threads(READERS, read_ranges, &readers);
	for (size_t i = 0; i < READERS; i++)
		assert_false(readers.wrong[i]);
}

const struct CMUnitTest object_cases[] = {
        CASE(put_get_head_remove),
        CASE(empty_object),
        CASE(overwrite_changes_bytes_and_etag),
        CASE(only_if_absent),
        CASE(only_if_absent_has_one_winner),
        CASE(ranges_are_exact),
        CASE(ranges_past_the_end),
        CASE(missing_objects),
        CASE(get_all_is_bounded),
        CASE(if_match),
        CASE(put_if_match),
        CASE(put_if_match_has_one_winner),
        CASE(if_none_match),
        CASE(gets_tell_what_they_got),
        CASE(what_arrives_is_there),
        CASE(a_replaced_object_tells_its_own_etag),
        CASE(keys_with_special_characters),
        CASE(longest_key),
        CASE(unsafe_keys_are_refused),
        CASE(concurrent_readers),
};
const size_t object_case_count = ARRAY_SIZE(object_cases);
