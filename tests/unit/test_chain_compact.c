// SPDX-License-Identifier: Apache-2.0
/* Links that are replaced by one, and manifests that are not signed and are named by one. */
#include "chain_test.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/codec/name.h>

static const struct chain_compaction always = {.before_us = INT64_MAX, .least = 1};

static uint64_t compact_by(struct fixture *f, const struct chain_compaction *when)
{
	struct error err = {0};
	uint64_t removed = 0;

	if (chain_compact(f->chain, &f->at, when, &removed, &err) != 0)
		fail_msg("%s", err.message);
	return removed;
}

static void count_day_link(void *arg, int64_t sequence, const char *hash)
{
	++*(unsigned *)arg;
}

static bool is_there(struct fixture *f, const char *key)
{
	struct store_object object;

	return store_head(f->store, NULL, key, &object, NULL) == 0;
}

/* Numbers 2 to 7 are manifests; 8, 9 and 10 say that 2, 3 and 5 are gone. */
static void begin_long(struct fixture *f)
{
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	for (unsigned day = 1; day <= 6; day++)
		publish_day(f, day, true);
	end_day(f, 1, LINK_REMOVED);
	end_day(f, 2, LINK_REMOVED);
	end_day(f, 4, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 10);
}

static void links_are_replaced_by_one(void **state)
{
	struct fixture *f = *state;

	begin_long(f);
	assert_int_equal(compact_by(f, &always), 3);
	assert_false(is_there(f, "chain/000000000008.json"));
	assert_true(is_there(f, "chain/000000000001.json"));
	assert_true(is_there(f, "chain/000000000011.json"));
	assert_int_equal(assert_proven(f, first_pem), 11);
	/* It goes on, and a later one replaces this one, too. */
	publish_day(f, 7, true);
	end_day(f, 3, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 13);
	assert_int_equal(compact_by(f, &always), 2);
	assert_false(is_there(f, "chain/000000000011.json"));
	assert_int_equal(assert_proven(f, first_pem), 14);
	assert_int_equal(compact_by(f, &(struct chain_compaction){.before_us = INT64_MAX, .least = 2}), 0);
	assert_int_equal(assert_proven(f, first_pem), 14);
}

static void young_links_and_few_stay(void **state)
{
	struct fixture *f = *state;
	struct chain_compaction young = {.before_us = 1, .least = 1},
	                        few = {.before_us = INT64_MAX, .least = 4};

	begin_long(f);
	assert_int_equal(compact_by(f, &young), 0);
	assert_int_equal(compact_by(f, &few), 0);
	assert_int_equal(assert_proven(f, first_pem), 10);
}

static void what_is_missing_is_not_made_to_be_gone(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *link = NULL;
	struct error err = {0};
	uint64_t removed = 0;

	begin_long(f);
	link = get(f, "chain/000000000009.json");
	assert_int_equal(store_remove(f->store, NULL, "chain/000000000009.json", NULL), 0);
	assert_int_equal(chain_compact(f->chain, &f->at, &always, &removed, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "number 3 is not accounted for"));
	put(f, "chain/000000000009.json", "{}");
	err = (struct error){0};
	assert_int_equal(chain_compact(f->chain, &f->at, &always, &removed, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "number 9 is not accounted for"));
	put(f, "chain/000000000009.json", link);
	assert_int_equal(compact_by(f, &always), 3);
}

/* What the chain says of old numbers is held against the store as before. */
static void attacks_on_a_range_are_found(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *fifth = path_of(5), *fifth_key = manifest_key(fifth), *third = path_of(3),
	                    *third_key = manifest_key(third), *first = path_of(1),
	                    *first_key = manifest_key(first);
	_cleanup(free) char *removed = NULL, *kept = NULL, *old_link = NULL, *range = NULL;

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	removed = get(f, first_key);
	for (unsigned day = 2; day <= 6; day++)
		publish_day(f, day, true);
	end_day(f, 1, LINK_REMOVED);
	old_link = get(f, "chain/000000000008.json");
	assert_int_equal(compact_by(f, &always), 1);
	/* Removed ones come back. */
	put(f, first_key, removed);
	assert_found(f, PROVE_REPLAYED, "was removed, as link 9 says");
	assert_int_equal(store_remove(f->store, NULL, first_key, NULL), 0);
	/* One that is to be there is not. */
	kept = get(f, fifth_key);
	assert_int_equal(store_remove(f->store, NULL, fifth_key, NULL), 0);
	assert_found(f, PROVE_MISSING, "number 6 ");
	/* Or is another one. */
	put(f, fifth_key, kept);
	free(kept);
	kept = get(f, third_key);
	put(f, fifth_key, kept);
	assert_found(f, PROVE_MOVED, "");
	free(kept);
	kept = NULL;
	assert_int_equal(store_remove(f->store, NULL, fifth_key, NULL), 0);
	/* The range is not there. */
	range = get(f, "chain/000000000009.json");
	assert_int_equal(store_remove(f->store, NULL, "chain/000000000009.json", NULL), 0);
	assert_found(f, PROVE_MISSING, "number 2 ");
	put(f, "chain/000000000009.json", range);
	/* A link that was replaced says nothing new. */
	put(f, "chain/000000000008.json", old_link);
	assert_found(f, PROVE_MISSING, "number 6 ");
	end_day(f, 5, LINK_REMOVED);
	assert_int_equal(assert_proven(f, first_pem), 10);
	/* And is removed at the next opportunity. */
	assert_int_equal(compact_by(f, &(struct chain_compaction){.before_us = 1, .least = 1}), 1);
	assert_false(is_there(f, "chain/000000000008.json"));
}

/* At each moment the store proves the same. */
static void a_crash_while_compacting_loses_nothing(void **state)
{
	static const char *const faults[] = {"put:1+:eio", "remove:1+:eio", "remove:2+:eio",
	                                     "remove:1+:denied"};
	struct fixture *f = *state;

	begin_long(f);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct store *store = NULL;
		_cleanup(free) char *root = mem_printf("%s/store", f->directory);
		struct chain_at broken = f->at;
		uint64_t removed = 0;

		assert_int_equal(store_dir_new(root, &store, NULL), 0);
		assert_int_equal(store_fault_new(store, faults[i], &broken.store, NULL), 0);
		(void)chain_compact(f->chain, &broken, &always, &removed, NULL);
		store_free(broken.store);
		close_chain(f);
		open_chain(f);
		if (i > 0)
			assert_proven(f, first_pem);
	}
	compact_by(f, &always);
	assert_proven(f, first_pem);
	assert_false(is_there(f, "chain/000000000008.json"));
	assert_false(is_there(f, "chain/000000000010.json"));
}

static void a_lost_catalog_learns_a_range(void **state)
{
	struct fixture *f = *state;
	struct catalog_chain chain;

	begin_long(f);
	assert_int_equal(compact_by(f, &always), 3);
	lose_catalog(f);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	assert_int_equal(chain.sequence, 11);
	assert_int_equal(chain.compacted, 11);
	publish_day(f, 8, true);
	assert_int_equal(assert_proven(f, first_pem), 12);
}

static void an_older_catalog_learns_a_range(void **state)
{
	struct fixture *f = *state;
	static const int64_t kept[] = {1, 4};
	struct catalog_chain chain;

	begin_long(f);
	assert_int_equal(catalog_chain_learn_compacted(f->catalog, 0, 10, 5, kept, 2, NULL), 0);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	assert_int_equal(chain.compacted, 10);
	assert_int_equal(catalog_chain_learn_compacted(f->catalog, 0, 9, 5, kept, 2, NULL), 0);
	assert_int_equal(catalog_chain(f->catalog, 0, &chain), 0);
	assert_int_equal(chain.compacted, 10);
}

/* A chain of another store, signed by the same key, whose number 14 says that number 4 is gone: that link lies here, too. */
static void put_link_of_another_chain(struct fixture *f)
{
	_cleanup(free) char *text = NULL;
	void *state = NULL;
	struct fixture *other;

	assert_int_equal(set_up_chain(&state), 0);
	other = state;
	assert_int_equal(chain_ready(other->chain, &other->at, NULL), 0);
	for (unsigned day = 1; day <= 12; day++)
		publish_day(other, day, true);
	end_day(other, 3, LINK_REMOVED);
	text = get(other, "chain/000000000014.json");
	put(f, "chain/000000000014.json", text);
	tear_down_chain(&state);
}

static void links_of_another_chain_say_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = path_of(3);
	struct catalog_chain before, after;
	struct error err = {0};
	uint64_t removed = 0, problems = 0;
	unsigned count = 0;

	begin_long(f);
	publish_day(f, 7, true);
	put_link_of_another_chain(f);
	assert_int_equal(catalog_chain(f->catalog, 0, &before), 0);
	assert_int_equal(chain_learn(f->chain, &f->at, &problems, NULL), 0);
	assert_int_equal(problems, 1);
	assert_int_equal(catalog_chain_links_of(f->catalog, 0, path, count_day_link, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(chain_compact(f->chain, &f->at, &always, &removed, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "of another chain"));
	/* Also where it is not known which chain it is: by a key that another one has to vouch for, too. */
	f->conf.signing_key.value = second_pem;
	f->conf.signing_key_old.value = first_pem;
	assert_int_equal(signing_read_again(f->signing, &f->conf, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	f->conf.signing_key_old.value = NULL;
	lose_catalog(f);
	problems = 0;
	assert_int_equal(chain_learn(f->chain, &f->at, &problems, NULL), 0);
	assert_int_equal(problems, 1);
	assert_int_equal(catalog_chain(f->catalog, 0, &after), 0);
	assert_string_equal(after.id, before.id);
	assert_int_equal(after.sequence, 12);
}

/* Manifests that are not signed. */

static void list_unsigned(struct fixture *f, unsigned day, int64_t finished_at_us)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *key = NULL;

	describe(&m, day);
	m.started_at_us = m.finished_at_us = finished_at_us;
	key = manifest_key(m.path);
	manifest_encode(&m, &text);
	put(f, key, str_text(&text));
	assert_int_equal(catalog_restore_artifact(f->catalog, &m, &(struct catalog_marks){0}, NULL), 0);
}

static int believe_day(struct fixture *f, unsigned day, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path), *text = get(f, key);

	assert_int_equal(manifest_decode(key, text, strlen(text), &m, NULL), 0);
	return chain_believe(f->chain, &m, text, strlen(text), err);
}

/* One letter of the name of its database. */
static void change_day(struct fixture *f, unsigned day, char from, char to)
{
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path), *text = get(f, key);
	const char before[] = {'s', from, 'o', 'p', '\0'};
	char *at = strstr(text, before);

	assert_non_null(at);
	at[1] = to;
	put(f, key, text);
}

/* As a rebuild does it. */
static void note_day(struct fixture *f, unsigned day)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path), *text = get(f, key);

	assert_int_equal(manifest_decode(key, text, strlen(text), &m, NULL), 0);
	assert_int_equal(chain_believe(f->chain, &m, text, strlen(text), NULL), 0);
	assert_int_equal(catalog_chain_note_artifact(f->catalog, 0, &m, NULL), 0);
}

static void a_link_binds_what_is_from_before(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	list_unsigned(f, 1, 1000000);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 2); /* begun, and its manifests */
	assert_int_equal(chain_name_unsigned(f->chain, &f->at, 100, NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 2);
	assert_int_equal(believe_day(f, 1, NULL), 0);
	change_day(f, 1, 'h', 'i');
	assert_found(f, PROVE_CHANGED, "size, SHA-256 or manifest");
	assert_int_equal(believe_day(f, 1, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "a link of the chain names"));
}

static void what_was_made_while_signing_was_off_is_named(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	int64_t now_us = clock_now_us();

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	publish_day(f, 1, true);
	close_chain(f);
	f->conf.signing_key.value = NULL;
	open_chain(f);
	list_unsigned(f, 2, now_us + 1000000);
	close_chain(f);
	f->conf.signing_key.value = first_pem;
	open_chain(f);
	assert_found(f, PROVE_ADDED, "its manifest is not signed");
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 3);
	/* A catalog that is made anew believes it, and nothing else that is not signed. */
	lose_catalog(f);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	note_day(f, 1);
	assert_int_equal(believe_day(f, 2, NULL), 0);
	change_day(f, 2, 'h', 'i');
	assert_int_equal(believe_day(f, 2, &err), -EBADMSG);
	change_day(f, 2, 'i', 'h');
	/* And one that was removed is not missing. */
	{
		_cleanup(free) char *path = path_of(2), *key = manifest_key(path);

		assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
		assert_found(f, PROVE_MISSING, "as a link of the chain says");
		assert_int_equal(chain_end(f->chain, &f->at, path, LINK_REMOVED, 2, NULL), 0);
	}
	assert_int_equal(assert_proven(f, first_pem), 4);
	assert_int_equal(compact_by(f, &always), 1);
	assert_int_equal(assert_proven(f, first_pem), 5);
}

/* Day 1 is not signed, its manifest is named, and another one is put in its place. */
static void rewrap_day(struct fixture *f)
{
	_cleanup(free) char *path = path_of(1), *key = manifest_key(path), *text = NULL;
	uint64_t ino = ino_of_artifact(path);
	char hash[SHA256_HEX_BYTES];

	assert_int_equal(catalog_begin_rewrap(f->catalog, ino, path, 1, NULL), 0);
	change_day(f, 1, 'h', 'i');
	text = get(f, key);
	sign_hash(text, strlen(text), hash);
	/* What keepfs has not put is not believed, at no moment. */
	assert_int_equal(believe_day(f, 1, NULL), -EBADMSG);
	assert_int_equal(catalog_expect_rewrap(f->catalog, ino, hash, NULL), 0);
	assert_int_equal(believe_day(f, 1, NULL), 0);
}

static void one_that_is_rewrapped_is_named_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = path_of(1);
	_cleanup(manifest) struct manifest m = {0};

	list_unsigned(f, 1, 1000000);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	describe(&m, 1);
	rewrap_day(f);
	/* Somebody has looked at it meanwhile, and has left a word. */
	assert_int_equal(
	        catalog_put_off_rewrap(f->catalog, ino_of_artifact(path), 7, "somebody reads it", NULL), 0);
	assert_int_equal(believe_day(f, 1, NULL), 0);
	assert_int_equal(chain_rewritten(f->chain, &f->at, &m, NULL), 0);
	assert_int_equal(chain_rewritten(f->chain, &f->at, &m, NULL), 0);
	assert_int_equal(catalog_end_rewrap(f->catalog, ino_of_artifact(path), NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 3);
	assert_int_equal(believe_day(f, 1, NULL), 0);
	/* And the one before is not any more. */
	change_day(f, 1, 'i', 'h');
	assert_int_equal(believe_day(f, 1, NULL), -EBADMSG);
	assert_found(f, PROVE_CHANGED, "size, SHA-256 or manifest");
}

/* A store in which somebody does something else while a manifest is read. */
struct meddled {
	struct store base;
	struct fixture *f;
	struct store *inner;
	unsigned day; /* 0: it was done */
	bool is_told; /* the chain is told of it */
};

static void remove_meanwhile(struct meddled *m)
{
	_cleanup(free) char *path = path_of(m->day), *key = manifest_key(path);
	const struct chain_at at = {.store = m->inner};
	int64_t run_id = m->day;

	m->day = 0;
	assert_int_equal(catalog_entomb_artifact(m->f->catalog, ino_of_artifact(path), NULL, NULL), 0);
	assert_int_equal(store_remove(m->inner, NULL, key, NULL), 0);
	if (m->is_told)
		assert_int_equal(chain_end(m->f->chain, &at, path, LINK_REMOVED, run_id, NULL), 0);
	assert_int_equal(catalog_drop_artifact(m->f->catalog, ino_of_artifact(path), NULL), 0);
}

static int meddled_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                       const struct iovec *iov, int count, const struct store_get_options *options,
                       struct error *err)
{
	struct meddled *m = (struct meddled *)s;
	_cleanup(free) char *path = path_of(m->day), *own = manifest_key(path);
	int r = store_get(m->inner, call, key, offset, iov, count, options, err);

	if (m->day && strcmp(key, own) == 0)
		remove_meanwhile(m);
	return r;
}

static int meddled_head(struct store *s, const struct store_call *call, const char *key,
                        struct store_object *ret, struct error *err)
{
	return store_head(((struct meddled *)s)->inner, call, key, ret, err);
}

static int meddled_put(struct store *s, const struct store_call *call, const char *key,
                       const struct iovec *iov, int count, const struct store_put_options *options,
                       struct error *err)
{
	return store_put(((struct meddled *)s)->inner, call, key, iov, count, options, err);
}

static int meddled_features(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(((struct meddled *)s)->inner, ret, err);
}

static const struct store_ops meddled_ops = {
        .get = meddled_get, .head = meddled_head, .put = meddled_put, .features = meddled_features};

static void what_is_removed_while_it_is_named_is_not_missing(void **state)
{
	struct fixture *f = *state;
	int64_t now_us = clock_now_us();
	_cleanup(free) char *path = path_of(2);

	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	for (int is_told = 0; is_told < 2; is_told++) {
		struct meddled m = {.base = {.ops = &meddled_ops, .name = f->store->name},
		                    .f = f,
		                    .inner = f->store,
		                    .day = 2,
		                    .is_told = is_told};
		const struct chain_at at = {.store = &m.base};
		int64_t before = assert_proven(f, first_pem);

		list_unsigned(f, 2, now_us + 1000000);
		assert_int_equal(chain_name_unsigned(f->chain, &at, 100, NULL), 0);
		assert_int_equal(m.day, 0);
		/* Nothing names it; who tells of it tells that it is gone. */
		assert_int_equal(assert_proven(f, first_pem), before + is_told);
	}
	/* So one that somebody puts there again is no backup. */
	list_unsigned(f, 2, now_us + 1000000);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(path), NULL), 0);
	assert_int_equal(believe_day(f, 2, NULL), -EBADMSG);
	assert_found(f, PROVE_ADDED, "its manifest is not signed");
}

/* A reader, or whoever takes the lease next: it knows the manifest from before. */
static void another_catalog_learns_what_was_named_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog *writer = f->catalog;

	list_unsigned(f, 1, 1000000);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	close_chain(f);
	open_catalog_in(f, "reader");
	open_chain(f);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(believe_day(f, 1, NULL), 0);
	{
		struct catalog *reader = f->catalog;

		close_chain(f);
		f->catalog = writer;
		open_chain(f);
		describe(&m, 1);
		rewrap_day(f);
		assert_int_equal(chain_rewritten(f->chain, &f->at, &m, NULL), 0);
		close_chain(f);
		catalog_free(f->catalog);
		f->catalog = reader;
		open_chain(f);
	}
	assert_int_equal(believe_day(f, 1, NULL), -EBADMSG);
	assert_int_equal(chain_learn(f->chain, &f->at, NULL, NULL), 0);
	assert_int_equal(believe_day(f, 1, NULL), 0);
}

/* Nobody could sign the link: it is written when somebody can. */
static void one_that_is_rewrapped_without_a_key_is_named_later(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = path_of(1);
	_cleanup(manifest) struct manifest m = {0};

	list_unsigned(f, 1, 1000000);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	describe(&m, 1);
	close_chain(f);
	f->conf.signing_key.value = NULL;
	open_chain(f);
	{
		_cleanup(free) char *key = manifest_key(path), *text = NULL;
		char hash[SHA256_HEX_BYTES];

		assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(path), path, 1, NULL), 0);
		change_day(f, 1, 'h', 'i');
		text = get(f, key);
		sign_hash(text, strlen(text), hash);
		assert_int_equal(catalog_expect_rewrap(f->catalog, ino_of_artifact(path), hash, NULL), 0);
	}
	assert_int_equal(chain_rewritten(f->chain, &f->at, &m, NULL), 0);
	assert_int_equal(catalog_end_rewrap(f->catalog, ino_of_artifact(path), NULL), 0);
	close_chain(f);
	f->conf.signing_key.value = first_pem;
	open_chain(f);
	assert_int_equal(believe_day(f, 1, NULL), 0);
	assert_int_equal(chain_ready(f->chain, &f->at, NULL), 0);
	assert_int_equal(assert_proven(f, first_pem), 3);
	change_day(f, 1, 'i', 'h');
	assert_int_equal(believe_day(f, 1, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CHAIN_TEST(links_are_replaced_by_one),
	        CHAIN_TEST(young_links_and_few_stay),
	        CHAIN_TEST(what_is_missing_is_not_made_to_be_gone),
	        CHAIN_TEST(attacks_on_a_range_are_found),
	        CHAIN_TEST(a_crash_while_compacting_loses_nothing),
	        CHAIN_TEST(a_lost_catalog_learns_a_range),
	        CHAIN_TEST(an_older_catalog_learns_a_range),
	        CHAIN_TEST(links_of_another_chain_say_nothing),
	        CHAIN_TEST(a_link_binds_what_is_from_before),
	        CHAIN_TEST(one_that_is_rewrapped_is_named_again),
	        CHAIN_TEST(what_is_removed_while_it_is_named_is_not_missing),
	        CHAIN_TEST(another_catalog_learns_what_was_named_again),
	        CHAIN_TEST(one_that_is_rewrapped_without_a_key_is_named_later),
	        CHAIN_TEST(what_was_made_while_signing_was_off_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
