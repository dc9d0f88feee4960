// SPDX-License-Identifier: Apache-2.0
/* The erasure register: what is read of it, from a store and a directory, and what is wrong with an entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/use/erasures_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NAME "20261120T020000Z-0123456789abcdef.json"

struct fixture {
	char root[64];
	struct conf conf;
	struct repository repository;
	struct hmac_key *key;
	char key_id[ERASURE_KEY_ID_BYTES];
};

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	_cleanup(free) char *store = NULL;
	struct error err = {0};

	strcpy(f->root, "/tmp/test_erasures.XXXXXX");
	assert_non_null(mkdtemp(f->root));
	store = mem_printf("%s/store", f->root);
	assert_int_equal(store_dir_new(store, &f->repository.store, &err), 0);
	f->conf.state_dir = mem_printf("%s/state", f->root);
	f->conf.erasure_key.file = mem_printf("%s/key", f->root);
	assert_int_equal(mkdir(f->conf.state_dir, 0700), 0);
	write_text(f->conf.erasure_key.file, "0123456789abcdef0123456789abcdef");
	assert_int_equal(erasures_key(&f->conf, &f->key, f->key_id, &err), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command = mem_printf("rm -r '%s'", f->root);

	f->repository.store->ops->free(f->repository.store);
	hmac_key_free(f->key);
	free(f->conf.state_dir);
	free(f->conf.erasure_key.file);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static int load(struct fixture *f, struct erasures **ret, struct error *err)
{
	return erasures_load(&f->conf, &f->repository, NULL, ret, err);
}

static void put_object(struct fixture *f, const char *name, const char *text)
{
	_cleanup(free) char *key = mem_printf(ERASURES_PREFIX "%s", name);
	struct error err = {0};

	assert_int_equal(store_put_bytes(f->repository.store, NULL, key, text, strlen(text), NULL, &err), 0);
}

static char *entry_text(const struct fixture *f, const char *change)
{
	return mem_printf(
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"by\":\"me\",\"note\":null,"
	        "\"kind\":\"rows\",\"database\":\"shop\",\"schema\":\"public\",\"table\":\"users\",\"column\":\"id\",\"key\":\"%s\",\"hash\":\"%s\"%s}",
	        f->key_id, HASH, change);
}

static void nothing_is_registered(void **state)
{
	_cleanup(erasures) struct erasures *e = NULL;
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	assert_int_equal(load(*state, &e, &err), 0);
	erasures_append(e, &text);
	assert_string_equal(str_text(&text), "nothing is registered as erased\n");
	assert_int_equal(erasures_refuse_database(e, "shop", &err), 0);
	assert_false(erasures_is_tenant(e, "shop", "1"));
}

static void each_place_gets_what_the_other_has(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = entry_text(f, ""),
	                    *path = mem_printf("%s/erasures/" NAME, f->conf.state_dir);
	struct error err = {0};
	struct stat st;

	put_object(f, NAME, text);
	for (int i = 0; i < 2; i++) {
		_cleanup(erasures) struct erasures *e = NULL;
		_cleanup(str) struct str shown = {0};

		assert_int_equal(load(f, &e, &err), 0);
		erasures_append(e, &shown);
		assert_string_equal(
		        str_text(&shown),
		        "2026-11-20T02:00:00Z  rows of public.users by id, in the database shop  by me\n");
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		/* The store loses it. */
		assert_int_equal(store_remove(f->repository.store, NULL, ERASURES_PREFIX NAME, &err), 0);
	}
	{
		_cleanup(erasures) struct erasures *e = NULL;
		struct store_object object;

		assert_int_equal(load(f, &e, &err), 0);
		assert_int_equal(store_head(f->repository.store, NULL, ERASURES_PREFIX NAME, &object, &err),
		                 0);
	}
}

static void forget_here(struct fixture *f)
{
	_cleanup(free) char *command = mem_printf("rm -rf '%s/erasures'", f->conf.state_dir);

	assert_int_equal(system(command), 0);
}

static void assert_wrong(struct fixture *f, const char *text, int errnum, const char *words)
{
	struct erasures *e = NULL;
	struct error err = {0};

	put_object(f, NAME, text);
	assert_int_equal(load(f, &e, &err), -errnum);
	if (!strstr(err.message, words))
		fail_msg("'%s' is not in: %s", words, err.message);
	assert_null(e);
	forget_here(f);
	assert_int_equal(store_remove(f->repository.store, NULL, ERASURES_PREFIX NAME, &err), 0);
}

static void what_is_wrong_is_never_passed_over(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *good = entry_text(f, ""), *cut = mem_strdup(good), *other = mem_strdup(good);
	static const char *const bad[] = {
	        "",
	        "[]",
	        "null",
	        "{}",
	        "{\"format\":\"keepfs-erasure\"}",
	        "{\"format\":\"something\",\"version\":1}",
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"kind\":\"rows\",\"database\":\"shop\",\"hash\":\"" HASH
	        "\",\"key\":\"x\"}",
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"kind\":\"ghosts\",\"database\":\"shop\",\"hash\":\"" HASH
	        "\",\"key\":\"x\"}",
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"yesterday\",\"kind\":\"tenant\",\"database\":\"shop\",\"hash\":\"" HASH
	        "\",\"key\":\"x\"}",
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"kind\":\"tenant\",\"database\":\"shop\",\"hash\":\"0123\",\"key\":\"x\"}",
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"kind\":\"tenant\",\"hash\":\"" HASH
	        "\",\"key\":\"x\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_wrong(f, bad[i], EBADMSG, "cannot be read");
	cut[strlen(cut) / 2] = '\0';
	assert_wrong(f, cut, EBADMSG, "cannot be read");
	assert_wrong(f, "{\"format\":\"keepfs-erasure\",\"version\":2}", EBADMSG,
	             "was written by a newer keepfs");
	assert_wrong(
	        f,
	        "{\"format\":\"keepfs-erasure\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"kind\":\"tenant\",\"database\":\"shop\",\"hash\":\"" HASH
	        "\"}",
	        EBADMSG, "does not say which key");
	*strstr(other, f->key_id) ^= 1;
	assert_wrong(f, other, EPERM, "is not the key with which 1 erasures were registered");
	put_object(f, "20261119T020000Z-0123456789abcdef.json", good);
	assert_wrong(f, other, EBADMSG, "another key than the others");
	free(f->conf.erasure_key.file);
	f->conf.erasure_key.file = mem_strdup("");
	assert_wrong(f, good, EPERM, "are registered, and without [keepfs] erasure_key_file");
}

static void a_hash_is_of_its_place(void **state)
{
	struct fixture *f = *state;
	struct erasure of = {.kind = ERASURE_ROWS,
	                     .database = "shop",
	                     .schema = "public",
	                     .table = "users",
	                     .column = "id"};
	char first[SHA256_HEX_BYTES], second[SHA256_HEX_BYTES];

	erasure_hash(f->key, &of, "1", first);
	erasure_hash(f->key, &of, "1", second);
	assert_string_equal(first, second);
	of.table = "orders";
	erasure_hash(f->key, &of, "1", second);
	assert_string_not_equal(first, second);
	/* Where one word ends and the next begins is part of it. */
	of = (struct erasure){.kind = ERASURE_ROWS,
	                      .database = "shop",
	                      .schema = "publicu",
	                      .table = "sers",
	                      .column = "id"};
	erasure_hash(f->key, &of, "1", second);
	assert_string_not_equal(first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(nothing_is_registered, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(each_place_gets_what_the_other_has, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_wrong_is_never_passed_over, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_hash_is_of_its_place, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
