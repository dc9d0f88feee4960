// SPDX-License-Identifier: Apache-2.0
/* The chain over a store and a catalog of its own: what is given out, what a crash leaves, what is learnt, and what the proof finds. */
#include "chain_test.h"

#include <keepfs/base/clock.h>

static void numbers_have_no_gaps(void **state)
{
	struct fixture *f = *state;
	struct catalog_chain chain;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	for (unsigned day = 1; day <= 5; day++)
		publish_day(f, day, true);
	end_day(f, 2, LINK_REMOVED);
	end_day(f, 2, LINK_REMOVED); /* once more says nothing */
	assert_int_equal(assert_proven(f, first_pem), 7);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	assert_int_equal(chain.sequence, 7);
}

/* The tidier tries it again and again, for as long as the bucket takes no link. */
static void what_cannot_be_put_is_not_given_out_again(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	_cleanup(free) char *root = mem_printf("%s/store", f->directory), *path = path_of(1),
	                    *key = manifest_key(path);
	struct chain_at broken = f->at;
	struct catalog_chain chain;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	assert_int_equal(store_dir_new(root, &store, NULL), 0);
	assert_int_equal(store_fault_new(store, "put:1+:denied", &broken.store, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	for (unsigned attempt = 0; attempt < 5; attempt++)
		assert_true(chain_end(f->chain, &broken, path, LINK_REMOVED, 1, NULL) < 0);
	store_free(broken.store);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	assert_int_equal(chain.sequence, 3);
	assert_int_equal(chain_end(f->chain, &f->at, path, LINK_REMOVED, 1, NULL), 0);
	assert_true(assert_proven(f, first_pem) <= 4);
}

static void without_a_key_nothing_is_signed(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	struct catalog_chain chain;

	close_chain(f);
	f->conf.signing_key.value = NULL;
	open_chain(f);
	describe(&m, 1);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	assert_int_equal(chain_sign(f->chain, &f->at, &m, &text, NULL), 1);
	assert_int_equal(text.len, 0);
	assert_int_equal(chain_end(f->chain, &f->at, m.path, LINK_REMOVED, 1, NULL), 0);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), -ENOENT);
	assert_int_equal(chain_sign(NULL, &f->at, &m, &text, NULL), 1);
}

static void what_was_given_out_and_not_put_is_put_later(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	_cleanup(free) char *root = mem_printf("%s/store", f->directory), *path = path_of(1),
	                    *key = manifest_key(path);
	struct chain_at broken = f->at;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	assert_int_equal(store_dir_new(root, &store, NULL), 0);
	assert_int_equal(store_fault_new(store, "put:1+:eio", &broken.store, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_true(chain_end(f->chain, &broken, path, LINK_REMOVED, 0, NULL) < 0);
	store_free(broken.store);
	assert_found(f, PROVE_MISSING, "number 2 ");
	close_chain(f);
	open_chain(f);
	assert_int_equal(chain_end(f->chain, &f->at, path, LINK_REMOVED, 0, NULL), 0);
	assert_int_equal(chain_finish_waiting(f->chain, &f->at, NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 4);
}

static void a_number_that_was_never_used_is_void(void **state)
{
	struct fixture *f = *state;

	publish_day(f, 1, false);
	publish_day(f, 2, true);
	assert_int_equal(chain_finish_waiting(f->chain, &f->at, NULL), 0);
	assert_found(f, PROVE_MISSING, "number 2 ");
	end_day(f, 1, LINK_VOID);
	assert_int_equal(assert_proven(f, first_pem), 4);
}

static void a_lost_catalog_goes_on_behind_the_last_link(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = path_of(2), *key = manifest_key(path), *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_chain chain;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	end_day(f, 1, LINK_REMOVED);
	lose_catalog(f);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	assert_int_equal(chain.sequence, 4);
	assert_true(chain.begun_at_us > 0);
	publish_day(f, 3, true);
	assert_int_equal(assert_proven(f, first_pem), 5);
	text = get(f, key);
	assert_int_equal(manifest_decode(key, text, strlen(text), &m, NULL), 0);
	assert_int_equal(chain_believe(f->chain, &m, text, strlen(text), NULL), 0);
	assert_true(m.is_proven);
}

static void what_is_not_signed_is_believed_only_from_before(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};

	describe(&m, 1);
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	m.finished_at_us = 1;
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), 0);
	m.finished_at_us = INT64_MAX;
	assert_int_equal(chain_believe(f->chain, &m, "", 0, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "is not signed"));
}

/* By whoever may write in the bucket, with a date from before the chain. */
static void what_was_signed_is_not_believed_without(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};

	publish_day(f, 1, true);
	describe(&m, 1);
	m.finished_at_us = 1;
	assert_int_equal(chain_believe(f->chain, &m, "", 0, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "the one that keepfs wrote is"));
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), 0);
}

/* Signing was switched off for a while, and is on again: what was made meanwhile is no other than it was. */
static void what_the_catalog_has_unsigned_is_believed(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	publish_day(f, 1, true);
	describe(&m, 2);
	m.finished_at_us = INT64_MAX / 2;
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), -EBADMSG);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), 0);
	m.size_bytes++;
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), -EBADMSG);
	m.size_bytes--;
	m.run_id++;
	assert_int_equal(chain_believe(f->chain, &m, "", 0, NULL), -EBADMSG);
}

static void another_key_is_vouched_for(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	f->conf.signing_key.value = second_pem;
	f->conf.signing_key_old.value = first_pem;
	assert_int_equal(signing_read_again(f->signing, &f->conf, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	f->conf.signing_key_old.value = NULL;
	assert_int_equal(signing_read_again(f->signing, &f->conf, NULL), 0);
	publish_day(f, 2, true);
	assert_int_equal(assert_proven(f, first_pem), 4);
	assert_int_equal(assert_proven(f, second_pem), 4);
	end_day(f, 1, LINK_REMOVED);
	/* The old one is believed without being configured, also by a catalog that has to learn it. */
	lose_catalog(f);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 3, true);
	assert_int_equal(assert_proven(f, first_pem), 6);
}

static void another_key_without_the_old_one_needs_both(void **state)
{
	struct fixture *f = *state;
	struct findings found;

	publish_day(f, 1, true);
	f->conf.signing_key.value = second_pem;
	assert_int_equal(signing_read_again(f->signing, &f->conf, NULL), 0);
	publish_day(f, 2, true);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	assert_found(f, PROVE_ADDED, "was not given");
	prove_by(f, second_pem, NULL, &found);
	assert_true(found.of[PROVE_ADDED] > 0 && found.of[PROVE_MISSING] > 0);
	str_finish(&found.text);
}

/* The catalog of an earlier day: it knows no more than that the chain was begun. */
static void put_older_catalog_back(struct fixture *f)
{
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	publish_day(f, 2, true);
	lose_catalog(f);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
}

struct numbers_read {
	struct fixture *f;
	unsigned count;
	int result;
};

static int read_numbers(void *arg, const struct chain_at *at, struct error *err)
{
	struct numbers_read *n = arg;

	n->count++;
	for (unsigned day = 1; n->result == 0 && day <= 2; day++) {
		_cleanup(manifest) struct manifest m = {0};
		_cleanup(free) char *path = path_of(day), *key = manifest_key(path), *text = get(n->f, key);

		assert_int_equal(manifest_decode(key, text, strlen(text), &m, NULL), 0);
		assert_int_equal(catalog_chain_learn(n->f->catalog, at->id, &m.chain, NULL, 0, NULL), 0);
	}
	return n->result < 0 ? error_set(err, ERROR_UNAVAILABLE, -n->result, "it does not answer") : 0;
}

static void no_number_is_given_out_before_all_are_known(void **state)
{
	struct fixture *f = *state;
	struct numbers_read n = {.f = f, .result = -EIO};
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};

	put_older_catalog_back(f);
	chain_read_numbers_by(f->chain, read_numbers, &n);
	describe(&m, 3);
	assert_int_equal(chain_sign(f->chain, &f->at, &m, &text, NULL), -EIO);
	assert_true(n.count == 1 && text.len == 0);
	n.result = 0;
	publish_day(f, 3, true);
	publish_day(f, 4, true);
	end_day(f, 3, LINK_REMOVED);
	assert_int_equal(n.count, 2);
	assert_int_equal(assert_proven(f, first_pem), 6);
}

/* A catalog that was made anew while no key was there lists them, and does not know that they have numbers. */
static void what_was_listed_without_a_key_has_its_number(void **state)
{
	struct fixture *f = *state;

	put_older_catalog_back(f);
	for (unsigned day = 1; day <= 2; day++) {
		_cleanup(manifest) struct manifest m = {0};
		_cleanup(free) char *path = path_of(day), *key = manifest_key(path), *text = get(f, key);

		assert_int_equal(manifest_decode(key, text, strlen(text), &m, NULL), 0);
		m.finished_at_us = clock_now_us() + US_PER_S;
		assert_int_equal(catalog_restore_artifact(f->catalog, &m, &(struct catalog_marks){0}, NULL),
		                 0);
	}
	publish_day(f, 3, true);
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 5);
}

/* Whoever can write into the store can make it as long and as deep as he likes. */
static void what_nobody_has_signed_is_not_parsed(void **state)
{
	struct fixture *f = *state;
	static const char key[] = "chain/000000000001.json";
	_cleanup(free) char *begun = NULL, *wrong = NULL, *unknown = NULL;
	const char *last;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	begun = get(f, key);
	last = strstr(begun, "\"signature\":");
	wrong = mem_printf("{[[[,\n%s", last);
	put(f, key, wrong);
	assert_found(f, PROVE_CHANGED, "its signature does not fit");
	unknown = mem_strdup(wrong);
	memset(strstr(unknown, "\"key\":\"") + strlen("\"key\":\""), 'e', 16);
	put(f, key, unknown);
	assert_found(f, PROVE_ADDED, "a key that was not given");
	put(f, key, begun);
	assert_int_equal(assert_proven(f, first_pem), 1);
}

/* In the place of the next link: else it would never be put, or no other one any more. */
static void what_somebody_has_put_before_is_replaced(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	for (unsigned day = 1; day <= 3; day++)
		publish_day(f, day, true);
	put(f, "chain/000000000005.json", "{}");
	end_day(f, 1, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 5);
	/* Another one of ours is no better: it has another number than its name. */
	first = get(f, "chain/000000000001.json");
	put(f, "chain/000000000006.json", first);
	end_day(f, 2, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 6);
}

/* As a keepfs will that gives old manifests new recipients: by hand, since nothing rewrites any today. */
static void one_that_was_written_anew_keeps_its_number(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = path_of(1), *key = manifest_key(path), *old = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0}, body = {0};
	_cleanup(link) struct link l = {.type = LINK_REWRITTEN, .at_us = INT64_C(1795140000000000)};
	struct link_entry *e = link_add(&l, path);
	struct sign_key *k = NULL;
	struct catalog_chain chain;
	struct signature s;

	assert_int_equal(sign_key_parse("k", first_pem, strlen(first_pem), &k, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	old = get(f, key);
	assert_int_equal(manifest_decode(key, old, strlen(old), &m, NULL), 0);
	e->sequence = m.chain.sequence;
	str_copy(e->hash, sizeof(e->hash), m.chain.hash);
	mem_replace_string(&m.note, "written anew");
	manifest_encode(&m, &text);
	sign_hash(text.data, text.len, e->now);
	sign_make(k, text.data, text.len, &s);
	signature_append(&text, &s, NULL);
	put(f, key, str_text(&text));
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	l.place = (struct chain_place){.sequence = 3};
	str_copy(l.place.id, sizeof(l.place.id), chain.id);
	str_copy(l.place.previous, sizeof(l.place.previous), chain.hash);
	link_encode(&l, &body);
	sign_make(k, body.data, body.len, &s);
	signature_append(&body, &s, NULL);
	put(f, "chain/000000000003.json", str_text(&body));
	sign_key_free(k);
	assert_int_equal(assert_proven(f, first_pem), 3);
	put(f, key, old);
	assert_found(f, PROVE_REPLAYED, "older version");
}

static void each_attack_is_found(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = path_of(2), *key = manifest_key(path), *kept = NULL, *third = NULL,
	                    *third_key = NULL, *changed = NULL, *third_path = path_of(3);
	struct findings found;
	struct prove_checkpoint expected = {.sequence = 6};

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	for (unsigned day = 1; day <= 4; day++)
		publish_day(f, day, true);
	assert_int_equal(assert_proven(f, first_pem), 5);
	kept = get(f, key);
	store_remove(f->store, NULL, key, NULL);
	assert_found(f, PROVE_MISSING, "number 3 ");
	third_key = manifest_key(third_path);
	third = get(f, third_key);
	put(f, key, third);
	assert_found(f, PROVE_MOVED, "is the manifest of");
	changed = mem_strdup(kept);
	*strstr(changed, "false") = 'F';
	put(f, key, changed);
	assert_found(f, PROVE_CHANGED, "not valid JSON");
	put(f, key, kept);
	put(f, "manifests/backups/full/whatever", "x");
	assert_found(f, PROVE_ADDED, "not the name of a manifest");
	store_remove(f->store, NULL, "manifests/backups/full/whatever", NULL);
	put(f, "chain/7", "x");
	assert_found(f, PROVE_ADDED, "not the name of a link");
	store_remove(f->store, NULL, "chain/7", NULL);
	end_day(f, 2, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 6);
	put(f, key, kept);
	assert_found(f, PROVE_REPLAYED, "was removed");
	store_remove(f->store, NULL, key, NULL);
	store_remove(f->store, NULL, "chain/000000000006.json", NULL);
	prove_by(f, first_pem, &expected, &found);
	assert_true(found.of[PROVE_CUT] == 1);
	str_finish(&found.text);
}

static void a_store_without_a_chain_is_not_proven(void **state)
{
	struct fixture *f = *state;

	assert_found(f, PROVE_MISSING, "no chain of signatures");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CHAIN_TEST(numbers_have_no_gaps),
	        CHAIN_TEST(what_cannot_be_put_is_not_given_out_again),
	        CHAIN_TEST(without_a_key_nothing_is_signed),
	        CHAIN_TEST(what_was_given_out_and_not_put_is_put_later),
	        CHAIN_TEST(a_number_that_was_never_used_is_void),
	        CHAIN_TEST(a_lost_catalog_goes_on_behind_the_last_link),
	        CHAIN_TEST(what_is_not_signed_is_believed_only_from_before),
	        CHAIN_TEST(what_was_signed_is_not_believed_without),
	        CHAIN_TEST(what_the_catalog_has_unsigned_is_believed),
	        CHAIN_TEST(another_key_is_vouched_for),
	        CHAIN_TEST(another_key_without_the_old_one_needs_both),
	        CHAIN_TEST(one_that_was_written_anew_keeps_its_number),
	        CHAIN_TEST(no_number_is_given_out_before_all_are_known),
	        CHAIN_TEST(what_was_listed_without_a_key_has_its_number),
	        CHAIN_TEST(what_nobody_has_signed_is_not_parsed),
	        CHAIN_TEST(what_somebody_has_put_before_is_replaced),
	        CHAIN_TEST(each_attack_is_found),
	        CHAIN_TEST(a_store_without_a_chain_is_not_proven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
