// SPDX-License-Identifier: Apache-2.0
/*
 * From the store to state_dir. A copy is used when its file has the digest that its name tells, when SQLite finds it sound,
 * and when this keepfs knows its format. What the store does not answer for is no reason to take an older one.
 */
#include "copies_private.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 20)

struct receiving {
	int fd; /* -1: it is only hashed */
	struct sha256 *sha256;
};

static int take_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct receiving *r = arg;
	int failed = r->fd < 0 ? 0 : fd_write_all(r->fd, data, len);

	if (failed < 0)
		return error_system(err, -failed, "the copy of the catalog cannot be written into state_dir");
	sha256_update(r->sha256, data, len);
	return 0;
}

static int take_stored(void *arg, const void *data, size_t len, struct error *err)
{
	return decompressor_write(arg, data, len, err);
}

/* Where the stored bytes go: the decompressor, or what decrypts them first. @head: their first ones, which have the keys. */
static int open_sealed_copy(const struct copies_restore *restore, const struct store_object *object,
                            const void *head, size_t len, struct decompressor *out,
                            struct sealed_opener **ret, struct error *err)
{
	struct sealed_opener_options options = {
	        .end = object->bytes, .what = object->key, .take = take_stored, .arg = out};
	uint8_t id[SHA256_BYTES];
	const struct keyring_object sealed = {.id = id, .what = object->key};
	struct age_key key;
	int r;

	sha256_once(head, len, id);
	r = keyring_open(restore->keyring, &sealed, head, len, NULL, &key, err);
	if (r < 0)
		return r == -EAGAIN ? -EBADMSG : r;
	options.key = &key;
	*ret = sealed_opener_new(&options);
	age_key_wipe(&key);
	return 0;
}

static int get_pieces(const struct copies_restore *restore, const struct store_object *object, bool is_sealed,
                      struct decompressor *out, struct error *err)
{
	_cleanup(sealed_opener) struct sealed_opener *opener = NULL;
	char plain[SHA256_HEX_BYTES];
	const struct store_get_options options = {.if_match = object->etag};
	_cleanup(free) uint8_t *buf = mem_alloc(PIECE_BYTES);
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < object->bytes; at += PIECE_BYTES) {
		uint64_t left = object->bytes - at;
		const struct iovec piece = {buf, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES};

		r = store_get(restore->store, NULL, object->key, at, &piece, 1, &options, err);
		if (r == 0 && is_sealed && !opener)
			r = open_sealed_copy(restore, object, buf, piece.iov_len, out, &opener, err);
		if (r == 0)
			r = opener ? sealed_opener_feed(opener, buf, piece.iov_len, err)
			           : decompressor_write(out, buf, piece.iov_len, err);
	}
	if (r == 0 && opener)
		r = sealed_opener_end(opener, plain, err);
	return r == 0 ? decompressor_finish(out, err) : r;
}

static int get_copy(const struct copies_restore *restore, const struct copy_name *name, const char *key,
                    struct receiving *receiving, struct error *err)
{
	const struct decompressor_out out = {.write = take_plain, .arg = receiving};
	_cleanup(decompressor) struct decompressor *d = decompressor_new(COMPRESSION_ZSTD, &out);
	struct store_object object;
	int r = store_head(restore->store, NULL, key, &object, err);

	return r < 0 ? r : get_pieces(restore, &object, name->is_sealed, d, err);
}

static int check_hash(const struct receiving *receiving, const struct copy_name *name, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	char hash[COPY_HASH_HEX + 1];

	sha256_final(receiving->sha256, digest);
	hex_encode(digest, COPY_HASH_BYTES, hash);
	if (strcmp(hash, name->hash) == 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "it is damaged: the SHA-256 of the file in it begins with %s, not as its name says",
	                 hash);
}

/* @fd: -1: nothing is written. */
static int receive_into(const struct copies_restore *restore, const struct copy_name *name, const char *key,
                        int fd, struct error *err)
{
	struct receiving receiving = {.fd = fd};
	int r;

	receiving.sha256 = sha256_new();
	r = get_copy(restore, name, key, &receiving, err);
	if (r == 0)
		r = check_hash(&receiving, name, err);
	sha256_free(receiving.sha256);
	return r;
}

static int receive_copy(const struct copies_restore *restore, const struct copy_name *name, const char *key,
                        struct error *err)
{
	_cleanup(fd) int fd = catalog_copy_receive(restore->conf->state_dir, err);

	return fd < 0 ? fd : receive_into(restore, name, key, fd, err);
}

static int check_url(const struct copies_restore *restore, const char *key, const char *url,
                     struct error *err)
{
	if (restore->moved || strcmp(url, restore->conf->store.url) == 0)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s is a copy of the catalog of %s, and [store] url is %s: if the one was moved or copied to the other, "
	        "say so with 'keepfs rebuild --moved'; else leave the copy aside with 'keepfs rebuild --no-history'",
	        key, url, restore->conf->store.url);
}

/* What is wrong with the copy itself, and not on the way to it. */
static bool is_unusable(int r)
{
	return r == -EBADMSG || r == -ENOTSUP || r == -ENOENT || r == -ESTALE || r == -ERANGE;
}

static void tell_unusable(const struct copies_restore *restore, const char *key, const struct error *why)
{
	_cleanup(free) char *text = mem_printf("%s is not used: %s", key, why->message);

	if (restore->problem)
		restore->problem(restore->arg, text);
}

/* It is the only one that knows the history: from now on others are made, which take its place. */
static void tell_locked(const struct copies_restore *restore, const char *key, const struct error *why)
{
	_cleanup(free) char *text = mem_printf(
	        "%s is not used: %s; without it the history begins anew, and it is removed once there are copies of %lld later days: "
	        "to have it, set an identity, empty state_dir, and rebuild before that",
	        key, why->message, (long long)restore->conf->catalog_copies);

	if (restore->problem)
		restore->problem(restore->arg, text);
}

/* What nobody here can decrypt may be right. */
static bool is_locked(int r)
{
	return r == -ENOKEY || r == -EKEYREJECTED;
}

#define COPY_IS_LOCKED 2

/* 1: it is the catalog now; 0: it cannot be used, which was told; COPY_IS_LOCKED: likewise, and no older one is to stand for it. */
static int use_copy(const struct copies_restore *restore, const struct copy_name *name, const char *key,
                    struct error *err)
{
	_cleanup(free) char *url = NULL;
	struct error why = {0};
	int r = receive_copy(restore, name, key, &why);

	if (r == 0)
		r = catalog_copy_look(restore->conf->state_dir, &url, &why);
	if (is_unusable(r)) {
		tell_unusable(restore, key, &why);
		return 0;
	}
	if (is_locked(r)) {
		tell_locked(restore, key, &why);
		return COPY_IS_LOCKED;
	}
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	r = check_url(restore, key, url, err);
	if (r == 0)
		r = catalog_copy_install(restore->conf->state_dir, err);
	return r < 0 ? r : 1;
}

int copies_restore(struct copies_restore *restore, struct error *err)
{
	_cleanup(copy_list) struct copy_list list = {0};
	int r = copy_list_get(restore->store, NULL, &list, err);

	for (size_t i = list.count; r == 0 && i-- > 0;) {
		_cleanup(free) char *key = copy_key(&list.items[i]);

		r = use_copy(restore, &list.items[i], key, err);
		if (r == 1)
			restore->key = take_ptr(&key);
	}
	catalog_copy_clean(restore->conf->state_dir);
	return r < 0 ? r : 0;
}

static void tell_unproven(const struct copies_proving *io, const char *key, const struct error *why)
{
	_cleanup(free) char *text = mem_printf("%s: %s", key, why->message);

	io->problem(io->arg, text);
}

static int prove_copy(struct copies_proving *io, const struct copy_name *name, struct error *err)
{
	const struct copies_restore reading = {.store = io->store, .keyring = io->keyring};
	_cleanup(free) char *key = copy_key(name);
	struct error why = {0};
	int r = receive_into(&reading, name, key, -1, &why);

	if (is_locked(r)) {
		io->locked++;
		return 0;
	}
	if (r == -ENOENT || r == -ESTALE) /* an old one is removed when a new one was made */
		return 0;
	if (r < 0 && !is_unusable(r)) {
		if (err)
			*err = why;
		return r;
	}
	io->count++;
	if (r < 0)
		tell_unproven(io, key, &why);
	return 0;
}

static void tell_strange_name(void *arg, const char *key)
{
	const struct copies_proving *io = arg;
	const struct error why = {.message = "not the name of a copy of the catalog"};

	tell_unproven(io, key, &why);
}

int copies_prove(struct copies_proving *io, struct error *err)
{
	_cleanup(copy_list) struct copy_list list = {.strange = tell_strange_name, .arg = io};
	int r = copy_list_get(io->store, NULL, &list, err);

	io->count = io->locked = 0;
	for (size_t i = 0; r == 0 && i < list.count; i++)
		r = prove_copy(io, &list.items[i], err);
	return r;
}
