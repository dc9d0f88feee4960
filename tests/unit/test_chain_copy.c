// SPDX-License-Identifier: Apache-2.0
/* A store of copies follows when links are replaced by one; what tells of copies that are still there stays, and they stay provable. */
#include "chain_test.h"

#include <keepfs/base/str.h>
#include <keepfs/codec/copied.h>
#include <keepfs/codec/link.h>

static const struct chain_compaction always = {.before_us = INT64_MAX, .least = 1};

struct copies {
	struct fixture *f;
	struct store *there;
	const char *held; /* a path; NULL: none is */
};

static void begin_copies(struct copies *c, struct fixture *f)
{
	_cleanup(free) char *root = mem_printf("%s/there", f->directory);

	*c = (struct copies){.f = f};
	assert_int_equal(store_dir_new(root, &c->there, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
}

/* What is there and not here stays. */
static void copy_all(struct copies *c)
{
	_cleanup(free) struct store_object *objects = NULL;
	size_t count = 0;
	bool more = false;

	assert_int_equal(store_list(c->f->store, NULL, "", NULL, 1000, &objects, &count, &more, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *text = get(c->f, objects[i].key);

		assert_int_equal(
		        store_put_bytes(c->there, NULL, objects[i].key, text, strlen(text), NULL, NULL), 0);
	}
}

static bool is_in(struct store *store, const char *key)
{
	struct store_object object;

	return store_head(store, NULL, key, &object, NULL) == 0;
}

static bool holds(void *arg, const char *path)
{
	const struct copies *c = arg;

	return c->held && str_equal(c->held, path);
}

static uint64_t follow(struct copies *c)
{
	const struct chain_copy copy = {.store = c->there, .main = c->f->store, .holds = holds, .arg = c};
	struct error err = {0};
	uint64_t removed = 99;

	if (chain_compact_copy(c->f->chain, &copy, &removed, &err) != 0)
		fail_msg("%s", err.message);
	return removed;
}

static void compact_here(struct copies *c, uint64_t expected)
{
	uint64_t removed = 0;

	assert_int_equal(chain_compact(c->f->chain, &c->f->at, &always, &removed, NULL), 0);
	assert_int_equal(removed, expected);
}

/* What the store says of itself: it has all of the chain that is there now. */
static void say_copied(struct copies *c)
{
	_cleanup(copied) struct copied says = {.store = mem_strdup("there"), .at_us = 1795140000000000};
	_cleanup(str) struct str text = {0};
	struct catalog_chain known;
	struct sign_key *key = NULL;

	assert_int_equal(catalog_chain(c->f->catalog, 0, &known), 0);
	assert_int_equal(sign_key_parse("k", first_pem, strlen(first_pem), &key, NULL), 0);
	says.sequence = known.sequence;
	str_copy(says.chain, sizeof(says.chain), known.id);
	copied_encode(&says, key, &text);
	sign_key_free(key);
	assert_int_equal(store_put_bytes(c->there, NULL, COPIED_KEY, text.data, text.len, NULL, NULL), 0);
}

static uint64_t prove_there(struct copies *c, struct findings *found)
{
	struct prove_options options = {
	        .key_count = 1, .directory = "/tmp", .copy = true, .problem = note_finding, .arg = found};
	struct prove_result result = {0};
	struct sign_key *key = NULL;
	uint64_t kept;

	say_copied(c);
	assert_int_equal(sign_key_parse("k", first_pem, strlen(first_pem), &key, NULL), 0);
	options.keys = sign_key_public(key);
	*found = (struct findings){0};
	assert_int_equal(chain_prove(c->there, &options, &result, NULL), 0);
	kept = result.kept;
	prove_result_finish(&result);
	sign_key_free(key);
	return kept;
}

static void assert_proven_there(struct copies *c, uint64_t kept)
{
	struct findings found;
	uint64_t counted = prove_there(c, &found);

	if (found.text.len > 0)
		fail_msg("%s", str_text(&found.text));
	assert_int_equal(counted, kept);
	str_finish(&found.text);
}

static void remove_there(struct copies *c, unsigned day)
{
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path);

	assert_int_equal(store_remove(c->there, NULL, key, NULL), 0);
}

/* Numbers 2 to 7 are manifests; 8, 9 and 10 say that 2, 3 and 5 are gone, and 11 tells of all of them. All is copied before, and the link behind it. */
static void begin_followed(struct copies *c, struct fixture *f)
{
	begin_copies(c, f);
	for (unsigned day = 1; day <= 6; day++)
		publish_day(f, day, true);
	copy_all(c);
	end_day(f, 1, LINK_REMOVED);
	end_day(f, 2, LINK_REMOVED);
	end_day(f, 4, LINK_REMOVED);
	copy_all(c);
	assert_proven_there(c, 3);
	compact_here(c, 3);
}

static void old_links_go_when_the_copies_have_gone(void **state)
{
	_cleanup(free) char *second = path_of(2);
	struct copies c;

	begin_followed(&c, *state);
	/* The link that tells of all of them has to be there first. */
	assert_int_equal(follow(&c), 0);
	copy_all(&c);
	assert_proven_there(&c, 3);
	remove_there(&c, 1);
	remove_there(&c, 4);
	c.held = second;
	assert_int_equal(follow(&c), 2);
	assert_false(is_in(c.there, "chain/000000000008.json"));
	assert_true(is_in(c.there, "chain/000000000009.json"));
	assert_false(is_in(c.there, "chain/000000000010.json"));
	assert_proven_there(&c, 1);
	assert_int_equal(follow(&c), 0);
	/* It goes with its copy. */
	remove_there(&c, 2);
	c.held = NULL;
	assert_int_equal(follow(&c), 1);
	assert_true(is_in(c.there, "chain/000000000001.json"));
	assert_true(is_in(c.there, "chain/000000000011.json"));
	assert_proven_there(&c, 0);
	/* And it goes on: what told of the first range goes, too. */
	publish_day(c.f, 7, true);
	end_day(c.f, 3, LINK_REMOVED);
	copy_all(&c);
	compact_here(&c, 2);
	copy_all(&c);
	remove_there(&c, 3);
	assert_int_equal(follow(&c), 2);
	assert_false(is_in(c.there, "chain/000000000011.json"));
	assert_proven_there(&c, 0);
	store_free(c.there);
}

/* A number that was given out and never used proves no copy. */
static void what_was_never_used(void **state)
{
	struct copies c;

	begin_copies(&c, *state);
	publish_day(c.f, 1, true);
	publish_day(c.f, 2, false);
	end_day(c.f, 2, LINK_VOID);
	copy_all(&c);
	compact_here(&c, 1);
	copy_all(&c);
	assert_int_equal(follow(&c), 1);
	assert_proven_there(&c, 0);
	store_free(c.there);
}

/* Whoever removes links here has nothing removed there; nor does a link that both stores do not have. */
static void only_what_is_told_to_be_gone_goes(void **state)
{
	_cleanup(free) char *range = NULL;
	struct copies c;

	begin_followed(&c, *state);
	copy_all(&c);
	for (unsigned day = 1; day <= 4; day++)
		if (day != 3)
			remove_there(&c, day);
	range = get(c.f, "chain/000000000011.json");
	/* Another one there, none there, another one here. */
	assert_int_equal(store_put_bytes(c.there, NULL, "chain/000000000011.json", "{}", 2, NULL, NULL), 0);
	assert_int_equal(follow(&c), 0);
	assert_int_equal(store_remove(c.there, NULL, "chain/000000000011.json", NULL), 0);
	assert_int_equal(follow(&c), 0);
	copy_all(&c);
	put(c.f, "chain/000000000011.json", "{}");
	assert_int_equal(follow(&c), 0);
	assert_int_equal(store_remove(c.f->store, NULL, "chain/000000000011.json", NULL), 0);
	assert_int_equal(follow(&c), 0);
	put(c.f, "chain/000000000011.json", range);
	/* What the first store still has, or nobody believes, stays. */
	put(c.f, "chain/000000000008.json", "locked");
	assert_int_equal(store_put_bytes(c.there, NULL, "chain/000000000009.json", "{}", 2, NULL, NULL), 0);
	assert_int_equal(follow(&c), 1);
	assert_true(is_in(c.there, "chain/000000000008.json"));
	assert_true(is_in(c.there, "chain/000000000009.json"));
	/* Behind the range nothing goes, whatever the first store has lost. */
	end_day(c.f, 3, LINK_REMOVED);
	copy_all(&c);
	assert_int_equal(store_remove(c.f->store, NULL, "chain/000000000012.json", NULL), 0);
	assert_int_equal(store_remove(c.f->store, NULL, "chain/000000000001.json", NULL), 0);
	assert_int_equal(follow(&c), 0);
	assert_true(is_in(c.there, "chain/000000000012.json"));
	assert_true(is_in(c.there, "chain/000000000001.json"));
	store_free(c.there);
}

/* The link that stays has the hash of what was removed: another version of it, though it is signed, is found. */
static void another_version_of_a_kept_copy_is_found(void **state)
{
	_cleanup(free) char *second = path_of(2), *key = manifest_key(second), *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str other = {0};
	struct findings found;
	struct copies c;
	size_t len;

	begin_followed(&c, *state);
	copy_all(&c);
	remove_there(&c, 1);
	remove_there(&c, 4);
	c.held = second;
	assert_int_equal(follow(&c), 2);
	assert_int_equal(store_get_all(c.there, NULL, key, 1 << 20, &text, &len, NULL), 0);
	assert_int_equal(manifest_decode(key, text, len, &m, NULL), 0);
	m.partial = true;
	assert_int_equal(chain_sign_again(c.f->chain, &m, &other, NULL), 0);
	assert_int_equal(store_put_bytes(c.there, NULL, key, other.data, other.len, NULL, NULL), 0);
	prove_there(&c, &found);
	if (found.of[PROVE_REPLAYED] != 1 ||
	    !strstr(str_text(&found.text), "as link 9 says, and is another version"))
		fail_msg("%s", str_text(&found.text));
	str_finish(&found.text);
	store_free(c.there);
}

/* Without a key that signs there is nothing to follow. */
static void nothing_is_signed(void **state)
{
	struct copies c;
	uint64_t removed = 9;

	begin_followed(&c, *state);
	copy_all(&c);
	assert_int_equal(
	        chain_compact_copy(
	                NULL,
	                &(struct chain_copy){.store = c.there, .main = c.f->store, .holds = holds, .arg = &c},
	                &removed, NULL),
	        0);
	assert_int_equal(removed, 0);
	store_free(c.there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CHAIN_TEST(old_links_go_when_the_copies_have_gone),
	        CHAIN_TEST(what_was_never_used),
	        CHAIN_TEST(only_what_is_told_to_be_gone_goes),
	        CHAIN_TEST(another_version_of_a_kept_copy_is_found),
	        CHAIN_TEST(nothing_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
