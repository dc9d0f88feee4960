// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of the chain share: a store and a catalog of its own, days whose backups are published and removed, and what a proof finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>

#include "../support/tree.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/chain.h>
#include <keepfs/chain/prove.h>
#include <keepfs/conf.h>
#include <keepfs/keyring/signing.h>

#include "../support/manifests.h"

static __attribute__((unused)) char first_pem[] =
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
        "-----END PRIVATE KEY-----\n";
static __attribute__((unused)) char second_pem[] =
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbCNa4o+5zTr4tx4FcqGAu0Wq/yvB/7\n"
        "-----END PRIVATE KEY-----\n";

struct fixture {
	char directory[64];
	struct catalog *catalog;
	struct store *store;
	struct conf conf;
	struct signing *signing;
	struct chain *chain;
	struct chain_at at;
};

static inline void open_chain(struct fixture *f)
{
	struct error err = {0};

	if (signing_new(&f->conf, &f->signing, &err) < 0)
		fail_msg("%s", err.message);
	f->chain = chain_new(f->catalog, f->signing);
}

static inline void close_chain(struct fixture *f)
{
	f->chain = chain_free(f->chain);
	f->signing = signing_free(f->signing);
}

static inline void open_catalog_in(struct fixture *f, const char *name)
{
	_cleanup(free) char *state = mem_printf("%s/%s", f->directory, name);

	mkdir(state, 0700);
	assert_int_equal(catalog_open(state, &f->catalog, NULL), 0);
}

static inline int set_up_chain(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	_cleanup(free) char *root = NULL;

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-chain-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	root = mem_printf("%s/store", f->directory);
	open_catalog_in(f, "state");
	assert_int_equal(store_dir_new(root, &f->store, NULL), 0);
	f->conf.signing_key.value = first_pem;
	f->at = (struct chain_at){.id = 0, .store = f->store};
	open_chain(f);
	*state = f;
	return 0;
}

static inline int tear_down_chain(void **state)
{
	struct fixture *f = *state;

	close_chain(f);
	store_free(f->store);
	catalog_free(f->catalog);
	remove_tree(f->directory);
	free(f);
	return 0;
}

static inline void lose_catalog(struct fixture *f)
{
	close_chain(f);
	catalog_free(f->catalog);
	open_catalog_in(f, "anew");
	open_chain(f);
}

static inline char *path_of(unsigned day)
{
	return mem_printf("backups/full/202611%02uT020000Z.dump", day);
}

static inline void describe(struct manifest *m, unsigned day)
{
	_cleanup(free) char *path = path_of(day);
	size_t len;

	manifest_describe(m, path, day, "shop");
	manifest_put_own(m, 1000, 1, "");
	m->started_at_us = m->finished_at_us = INT64_C(1795140000000000) + day;
	free(manifest_seal_extents(m, &len));
}

static inline void put(struct fixture *f, const char *key, const char *text)
{
	assert_int_equal(store_put_bytes(f->store, NULL, key, text, strlen(text), NULL, NULL), 0);
}

static __attribute__((noinline, unused)) char *get(struct fixture *f, const char *key)
{
	char *text = NULL;
	size_t len;

	assert_int_equal(store_get_all(f->store, NULL, key, 1 << 20, &text, &len, NULL), 0);
	return text;
}

/* Sign it, and put it with @is_put. */
static inline void publish_day(struct fixture *f, unsigned day, bool is_put)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *key = NULL;
	struct error err = {0};

	describe(&m, day);
	key = manifest_key(m.path);
	if (chain_sign(f->chain, &f->at, &m, &text, &err) != 0)
		fail_msg("%s", err.message);
	if (is_put)
		put(f, key, str_text(&text));
}

static inline void end_day(struct fixture *f, unsigned day, enum link_type how)
{
	_cleanup(free) char *path = path_of(day), *key = manifest_key(path);

	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_int_equal(chain_end(f->chain, &f->at, path, how, 0, NULL), 0);
}

struct findings {
	uint64_t of[PROVE_KINDS];
	struct str text;
};

static inline void note_finding(void *arg, enum prove_kind kind, const char *text)
{
	struct findings *found = arg;

	found->of[kind]++;
	str_appendf(&found->text, "%s: %s\n", prove_kind_name(kind), text);
}

static inline int64_t prove_by(struct fixture *f, const char *pem, const struct prove_checkpoint *expected,
                               struct findings *found)
{
	struct prove_options options = {
	        .key_count = 1, .directory = "/tmp", .problem = note_finding, .arg = found};
	struct prove_result result = {0};
	struct sign_key *key = NULL;
	int64_t sequence;

	assert_int_equal(sign_key_parse("k", pem, strlen(pem), &key, NULL), 0);
	options.keys = sign_key_public(key);
	if (expected)
		options.expected = *expected;
	*found = (struct findings){0};
	assert_int_equal(chain_prove(f->store, &options, &result, NULL), 0);
	sequence = result.sequence;
	prove_result_finish(&result);
	sign_key_free(key);
	return sequence;
}

static inline int64_t assert_proven(struct fixture *f, const char *pem)
{
	struct findings found;
	int64_t sequence = prove_by(f, pem, NULL, &found);

	if (found.text.len > 0)
		fail_msg("%s", str_text(&found.text));
	str_finish(&found.text);
	return sequence;
}

static inline void assert_found(struct fixture *f, enum prove_kind kind, const char *word)
{
	struct findings found;

	prove_by(f, first_pem, NULL, &found);
	if (found.of[kind] == 0 || !strstr(str_text(&found.text), word))
		fail_msg("no %s with '%s' in:\n%s", prove_kind_name(kind), word, str_text(&found.text));
	str_finish(&found.text);
}

#define CHAIN_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_chain, tear_down_chain)
