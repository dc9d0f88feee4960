// SPDX-License-Identifier: Apache-2.0
/*
 * From the store to state_dir. A copy is used when its file has the digest that its name tells, when SQLite finds it sound,
 * and when this keepfs knows its format. What the store does not answer for is no reason to take an older one.
 */
#include "copies_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 20)

struct receiving {
	int fd;
	struct sha256 *sha256;
};

static int take_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct receiving *r = arg;
	int failed = fd_write_all(r->fd, data, len);

	if (failed < 0)
		return error_system(err, -failed, "the copy of the catalog cannot be written into state_dir");
	sha256_update(r->sha256, data, len);
	return 0;
}

static int get_pieces(struct store *store, const struct store_object *object, struct decompressor *out,
                      struct error *err)
{
	const struct store_get_options options = {.if_match = object->etag};
	_cleanup(free) uint8_t *buf = mem_alloc(PIECE_BYTES);
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < object->bytes; at += PIECE_BYTES) {
		uint64_t left = object->bytes - at;
		const struct iovec piece = {buf, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES};

		r = store_get(store, NULL, object->key, at, &piece, 1, &options, err);
		if (r == 0)
			r = decompressor_write(out, buf, piece.iov_len, err);
	}
	return r == 0 ? decompressor_finish(out, err) : r;
}

static int get_copy(struct store *store, const char *key, struct receiving *receiving, struct error *err)
{
	const struct decompressor_out out = {.write = take_plain, .arg = receiving};
	_cleanup(decompressor) struct decompressor *d = decompressor_new(COMPRESSION_ZSTD, &out);
	struct store_object object;
	int r = store_head(store, NULL, key, &object, err);

	return r < 0 ? r : get_pieces(store, &object, d, err);
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

static int receive_copy(const struct copies_restore *restore, const struct copy_name *name, const char *key,
                        struct error *err)
{
	_cleanup(fd) int fd = catalog_copy_receive(restore->conf->state_dir, err);
	struct receiving receiving = {.fd = fd};
	int r;

	if (fd < 0)
		return fd;
	receiving.sha256 = sha256_new();
	r = get_copy(restore->store, key, &receiving, err);
	if (r == 0)
		r = check_hash(&receiving, name, err);
	sha256_free(receiving.sha256);
	return r;
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

/* 1: it is the catalog now; 0: it cannot be used, which was told. */
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
		if (r > 0)
			restore->key = take_ptr(&key);
	}
	catalog_copy_clean(restore->conf->state_dir);
	return r < 0 ? r : 0;
}
