// SPDX-License-Identifier: Apache-2.0
/* Manifests that were removed, and that somebody has brought back: what the chain says of them, also when it is made shorter, and when a catalog has to learn it. */
#include "chain_test.h"

#include <keepfs/base/str.h>

static const struct chain_compaction always = {.before_us = INT64_MAX, .least = 1};

static uint64_t compact_all(struct fixture *f)
{
	struct error err = {0};
	uint64_t removed = 0;

	if (chain_compact(f->chain, &f->at, &always, &removed, &err) != 0)
		fail_msg("%s", err.message);
	return removed;
}

static char *manifest_of(struct fixture *f, unsigned day)
{
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path);

	return get(f, key);
}

static void put_day(struct fixture *f, unsigned day, const char *text)
{
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path);

	put(f, key, text);
}

static int tell_returned(struct fixture *f, const struct chain_at *at, const char *text)
{
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(manifest_decode("m", text, strlen(text), &m, NULL), 0);
	assert_int_equal(chain_believe(f->chain, &m, text, strlen(text), NULL), 0);
	return chain_returned(f->chain, at, &m, NULL);
}

/* As 'keepfs replicate … from=' does it: the manifest, and then what says so. */
static void bring_back_day(struct fixture *f, unsigned day, const char *text)
{
	put_day(f, day, text);
	assert_int_equal(tell_returned(f, &f->at, text), 0);
}

static int64_t end_of_chain(struct fixture *f)
{
	struct catalog_chain chain;

	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	return chain.sequence;
}

static void count_link(void *arg, int64_t sequence, const char *hash)
{
	++*(unsigned *)arg;
}

static unsigned links_of_day(struct fixture *f, unsigned day)
{
	_cleanup(free) char *path = path_of(day);
	unsigned count = 0;

	assert_int_equal(catalog_chain_links_of(f->catalog, 0, path, count_link, &count), 0);
	return count;
}

/* Number 2 is removed by 4. */
static char *begin_removed(struct fixture *f)
{
	char *text;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	text = manifest_of(f, 1);
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 4);
	return text;
}

static void one_that_was_brought_back_is_there(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f);

	put_day(f, 1, text);
	assert_found(f, PROVE_REPLAYED, "was removed, as link 4 says");
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(assert_proven(f, first_pem), 5);
	assert_int_equal(links_of_day(f, 1), 1);
	/* Once more says nothing, and nothing is said of one that nobody has called gone. */
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	free(text);
	text = manifest_of(f, 2);
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(end_of_chain(f), 5);
}

static void what_comes_after_counts_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f), *path = path_of(1), *key = manifest_key(path);

	bring_back_day(f, 1, text);
	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_found(f, PROVE_MISSING, "number 2 ");
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 6);
	put_day(f, 1, text);
	assert_found(f, PROVE_REPLAYED, "was removed, as link 6 says");
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(assert_proven(f, first_pem), 7);
}

/* It was written anew, removed, and the copy was an older version: that one is there by the word of the link, and no other. */
static void the_version_that_came_back_counts(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *before = NULL, *path = path_of(1);

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	before = manifest_of(f, 1);
	assert_int_equal(manifest_decode("m", before, strlen(before), &m, NULL), 0);
	mem_replace_string(&m.note, "written anew");
	assert_int_equal(chain_sign_again(f->chain, &m, &text, NULL), 0);
	put_day(f, 1, str_text(&text));
	assert_int_equal(chain_rewritten(f->chain, &f->at, &m, NULL), 0);
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 5);
	bring_back_day(f, 1, before);
	assert_int_equal(assert_proven(f, first_pem), 6);
	put_day(f, 1, str_text(&text));
	assert_found(f, PROVE_REPLAYED, "brought back, as link 6 says, and is another version");
	put_day(f, 1, before);
	compact_all(f);
	assert_int_equal(assert_proven(f, first_pem), 7);
}

static void a_range_keeps_what_was_brought_back(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f), *path = path_of(1), *key = manifest_key(path);

	bring_back_day(f, 1, text);
	assert_int_equal(compact_all(f), 1); /* the one that said that it was gone */
	assert_int_equal(assert_proven(f, first_pem), 6);
	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_found(f, PROVE_MISSING, "number 2 ");
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 7);
	assert_int_equal(compact_all(f), 2);
	assert_int_equal(assert_proven(f, first_pem), 8);
	put_day(f, 1, text);
	assert_found(f, PROVE_REPLAYED, "was removed, as link 8 says");
}

static void one_comes_back_behind_a_range(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f);

	assert_int_equal(compact_all(f), 1);
	bring_back_day(f, 1, text);
	assert_int_equal(assert_proven(f, first_pem), 6);
	publish_day(f, 3, true);
	end_day(f, 2, LINK_REMOVED);
	assert_int_equal(compact_all(f), 2);
	assert_int_equal(assert_proven(f, first_pem), 9);
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(compact_all(f), 2);
	assert_int_equal(assert_proven(f, first_pem), 11);
}

/* A manifest that nobody has told of, and none without the link. */
static void a_range_is_not_written_for_what_only_lies_there(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f);

	put_day(f, 1, text);
	compact_all(f);
	assert_found(f, PROVE_REPLAYED, "was removed, as link 5 says");
}

static void an_older_catalog_learns_what_was_brought_back(void **state)
{
	struct fixture *f = *state, newer = *f;
	_cleanup(free) char *text = NULL;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	text = manifest_of(f, 1);
	/* Another one goes on, as after a rebuild. */
	newer.catalog = NULL;
	newer.chain = NULL;
	newer.signing = NULL;
	open_catalog_in(&newer, "newer");
	open_chain(&newer);
	assert_int_equal(chain_learn(newer.chain, &newer.at, NULL, NULL), 0);
	for (unsigned day = 1; day <= 2; day++) {
		_cleanup(free) char *one = manifest_of(f, day);
		_cleanup(manifest) struct manifest m = {0};

		assert_int_equal(manifest_decode("m", one, strlen(one), &m, NULL), 0);
		assert_int_equal(chain_believe(newer.chain, &m, one, strlen(one), NULL), 0);
		assert_int_equal(catalog_chain_note_artifact(newer.catalog, 0, &m, NULL), 0);
	}
	end_day(&newer, 1, LINK_REMOVED);
	compact_all(&newer);
	bring_back_day(&newer, 1, text);
	end_day(&newer, 2, LINK_REMOVED);
	close_chain(&newer);
	catalog_free(newer.catalog);
	/* The older one knows what is there, and goes on. */
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(links_of_day(f, 1), 1);
	assert_int_equal(links_of_day(f, 2), 0);
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 8);
	compact_all(f);
	assert_int_equal(assert_proven(f, first_pem), 9);
}

static void a_link_that_could_not_be_put_is_put_later(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f), *root = mem_printf("%s/store", f->directory);
	struct store *store = NULL;
	struct chain_at broken = f->at;

	put_day(f, 1, text);
	assert_int_equal(store_dir_new(root, &store, NULL), 0);
	assert_int_equal(store_fault_new(store, "put:1+:eio", &broken.store, NULL), 0);
	assert_true(tell_returned(f, &broken, text) < 0);
	assert_true(tell_returned(f, &broken, text) < 0);
	store_free(broken.store);
	assert_found(f, PROVE_REPLAYED, "was removed, as link 4 says");
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(assert_proven(f, first_pem), 5);
}

static void without_a_key_or_of_another_chain_nothing_is_said(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = begin_removed(f);
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(manifest_decode("m", text, strlen(text), &m, NULL), 0);
	assert_int_equal(chain_returned(NULL, &f->at, &m, NULL), 0);
	/* Nobody has looked at its signature. */
	assert_int_equal(chain_returned(f->chain, &f->at, &m, NULL), 0);
	m.is_proven = true;
	m.chain.sequence = 99;
	assert_int_equal(chain_returned(f->chain, &f->at, &m, NULL), 0);
	m.chain.sequence = 2;
	str_copy(m.chain.id, sizeof(m.chain.id), "0123456789abcdef");
	assert_int_equal(chain_returned(f->chain, &f->at, &m, NULL), 0);
	assert_int_equal(end_of_chain(f), 4);
}

/* One from before the chain. */

static void list_unsigned_day(struct fixture *f, unsigned day)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};

	describe(&m, day);
	m.started_at_us = m.finished_at_us = 1000000;
	manifest_encode(&m, &text);
	put_day(f, day, str_text(&text));
	assert_int_equal(catalog_restore_artifact(f->catalog, &m, &(struct catalog_marks){0}, NULL), 0);
}

static void end_unsigned_day(struct fixture *f, unsigned day)
{
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path);

	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_int_equal(chain_end(f->chain, &f->at, path, LINK_REMOVED, (int64_t)day, NULL), 0);
}

static void one_from_before_the_chain_comes_back(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	list_unsigned_day(f, 1);
	text = manifest_of(f, 1);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	end_unsigned_day(f, 1);
	assert_int_equal(assert_proven(f, first_pem), 3);
	put_day(f, 1, text);
	assert_found(f, PROVE_REPLAYED, "it was removed");
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(assert_proven(f, first_pem), 4);
	assert_int_equal(compact_all(f), 1);
	assert_int_equal(assert_proven(f, first_pem), 5);
	end_unsigned_day(f, 1);
	assert_int_equal(assert_proven(f, first_pem), 6);
	/* And behind a range that says that it is gone. */
	assert_int_equal(compact_all(f), 2);
	assert_int_equal(assert_proven(f, first_pem), 7);
	bring_back_day(f, 1, text);
	assert_int_equal(assert_proven(f, first_pem), 8);
	publish_day(f, 2, true);
	end_day(f, 2, LINK_REMOVED);
	assert_int_equal(compact_all(f), 2);
	assert_int_equal(assert_proven(f, first_pem), 11);
	/* What a catalog learns from all this: it is there. */
	lose_catalog(f);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	assert_int_equal(end_of_chain(f), 11);
}

/* Each turns to the other's catalog. */
static void turn_to(struct fixture *f, struct catalog **other)
{
	struct catalog *now = *other;

	close_chain(f);
	*other = f->catalog;
	f->catalog = now;
	open_chain(f);
}

/* A reader has learnt that it was removed, and learns another day that it was brought back. */
static void another_catalog_learns_that_one_came_back(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog *other = f->catalog;

	list_unsigned_day(f, 1);
	text = manifest_of(f, 1);
	assert_int_equal(manifest_decode("m", text, strlen(text), &m, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	end_unsigned_day(f, 1);
	close_chain(f);
	open_catalog_in(f, "reader");
	open_chain(f);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(catalog_unsigned_is(f->catalog, &m, ""), CATALOG_UNSIGNED_GONE);
	turn_to(f, &other);
	put_day(f, 1, text);
	assert_int_equal(tell_returned(f, &f->at, text), 0);
	turn_to(f, &other);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_not_equal(catalog_unsigned_is(f->catalog, &m, ""), CATALOG_UNSIGNED_GONE);
	turn_to(f, &other);
	end_unsigned_day(f, 1);
	turn_to(f, &other);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(catalog_unsigned_is(f->catalog, &m, ""), CATALOG_UNSIGNED_GONE);
	catalog_free(other);
}

/* The manifest was replaced, and the key was taken away: without the link it would be a forged one for whoever proves it. */
static void what_was_signed_again_waits_for_the_key(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *before = NULL;
	struct error err = {0};

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	before = manifest_of(f, 1);
	assert_int_equal(manifest_decode("m", before, strlen(before), &m, NULL), 0);
	mem_replace_string(&m.note, "written anew");
	assert_int_equal(chain_sign_again(f->chain, &m, &text, NULL), 0);
	put_day(f, 1, str_text(&text));
	close_chain(f);
	f->conf.signing_key.value = NULL;
	open_chain(f);
	assert_int_equal(chain_rewritten(f->chain, &f->at, &m, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "signing_key_file"));
	close_chain(f);
	f->conf.signing_key.value = first_pem;
	open_chain(f);
	assert_int_equal(chain_rewritten(f->chain, &f->at, &m, NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CHAIN_TEST(one_that_was_brought_back_is_there),
	        CHAIN_TEST(what_comes_after_counts_again),
	        CHAIN_TEST(the_version_that_came_back_counts),
	        CHAIN_TEST(a_range_keeps_what_was_brought_back),
	        CHAIN_TEST(one_comes_back_behind_a_range),
	        CHAIN_TEST(a_range_is_not_written_for_what_only_lies_there),
	        CHAIN_TEST(an_older_catalog_learns_what_was_brought_back),
	        CHAIN_TEST(a_link_that_could_not_be_put_is_put_later),
	        CHAIN_TEST(without_a_key_or_of_another_chain_nothing_is_said),
	        CHAIN_TEST(one_from_before_the_chain_comes_back),
	        CHAIN_TEST(another_catalog_learns_that_one_came_back),
	        CHAIN_TEST(what_was_signed_again_waits_for_the_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
