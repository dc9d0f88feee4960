// SPDX-License-Identifier: Apache-2.0
/* Checkpoints, read back: those that can be believed, and whether one is missing that another one names. */
#include <keepfs/checkpoint.h>

#include <keepfs/base/mem.h>
#include <keepfs/keyring/signing.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 1000

/* By the order of their keys, which the store lists in. */
struct named {
	char *key;
	char sha256[SHA256_HEX_BYTES];
};

struct reading_checkpoints {
	const struct checkpoint_reading *io;
	const struct signing_keys *keys;
	struct named *seen, *wanted; /* wanted: that others name as the one before them */
	size_t seen_count, wanted_count;
};

static void tell_checkpoint(const struct reading_checkpoints *r, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

static void tell_checkpoint(const struct reading_checkpoints *r, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	r->io->problem(r->io->arg, str_text(&text));
}

static void add_named_checkpoint(struct named **list, size_t *count, const char *key, const char *sha256)
{
	*list = mem_resize(*list, *count + 1, sizeof(**list));
	(*list)[*count] = (struct named){.key = mem_strdup(key)};
	str_copy((*list)[(*count)++].sha256, SHA256_HEX_BYTES, sha256);
}

static const struct sign_public *find_checkpoint_key(const struct reading_checkpoints *r, const char *id)
{
	for (size_t i = 0; i < r->io->key_count; i++)
		if (strcmp(r->io->keys[i].id, id) == 0)
			return &r->io->keys[i];
	return r->keys ? signing_find(r->keys, id) : NULL;
}

static bool has_checkpoint_keys(const struct reading_checkpoints *r)
{
	return r->io->key_count > 0 || (r->keys && r->keys->count > 0);
}

static bool is_believed_checkpoint(const struct reading_checkpoints *r, const char *key,
                                   const struct checkpoint *c, const char *text, size_t len)
{
	const struct sign_public *by = find_checkpoint_key(r, c->signature.key);

	if (!has_checkpoint_keys(r) || (!c->signature.key[0] && c->at_us < r->io->unsigned_until_us))
		return true;
	if (by && checkpoint_is_signed_by(c, by, text, len))
		return true;
	if (!c->signature.key[0])
		tell_checkpoint(r, "%s is not signed", key);
	else if (by)
		tell_checkpoint(r, "%s has a signature that does not fit: it was changed", key);
	else
		tell_checkpoint(r, "%s is signed by %s, a key that is not known here", key, c->signature.key);
	return false;
}

static int look_at_checkpoint(struct reading_checkpoints *r, const char *key, struct error *err)
{
	_cleanup(checkpoint) struct checkpoint c = {0};
	_cleanup(free) char *text = NULL;
	char hash[SHA256_HEX_BYTES];
	struct error why = {0};
	size_t len = 0;
	int got = store_get_all(r->io->store, r->io->call, key, CHECKPOINT_OBJECT_MAX, &text, &len, err);

	if (got < 0 && got != -ENOENT && got != -EFBIG)
		return got;
	if (got == 0)
		got = checkpoint_decode(key, text, len, &c, &why);
	if (got < 0) {
		tell_checkpoint(r, "%s", why.message[0] ? why.message : err ? err->message : key);
		return 0;
	}
	sign_hash(text, len, hash);
	add_named_checkpoint(&r->seen, &r->seen_count, key, hash);
	if (!is_believed_checkpoint(r, key, &c, text, len))
		return 0;
	if (c.previous_key)
		add_named_checkpoint(&r->wanted, &r->wanted_count, c.previous_key, c.previous);
	r->io->each(r->io->arg, key, &c);
	return 0;
}

static int list_checkpoints(struct reading_checkpoints *r, struct error *err)
{
	char last[STORE_KEY_BYTES] = "";
	bool more = true;

	while (more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;
		int got = store_list(r->io->store, r->io->call, CHECKPOINT_PREFIX, *last ? last : NULL,
		                     LIST_PAGE, &objects, &count, &more, err);

		for (size_t i = 0; got == 0 && i < count; i++)
			got = look_at_checkpoint(r, objects[i].key, err);
		if (got < 0)
			return got;
		if (count > 0)
			str_copy(last, sizeof(last), objects[count - 1].key);
		more = more && count > 0;
	}
	return 0;
}

static int compare_named(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->key, ((const struct named *)b)->key);
}

static void judge_wanted(const struct reading_checkpoints *r)
{
	for (size_t i = 0; i < r->wanted_count; i++) {
		const struct named *w = &r->wanted[i];
		const struct named *found =
		        r->seen_count ? bsearch(w, r->seen, r->seen_count, sizeof(*w), compare_named) : NULL;

		if (!found)
			tell_checkpoint(r, "%s is missing, which the one after it names", w->key);
		else if (strcmp(found->sha256, w->sha256) != 0)
			tell_checkpoint(r, "%s is another one than the one after it names", w->key);
	}
}

static void free_named(struct named *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].key);
	free(list);
}

int checkpoint_read(const struct checkpoint_reading *io, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = io->signing ? signing_ref(io->signing) : NULL;
	struct reading_checkpoints reading = {.io = io, .keys = keys};
	int r = list_checkpoints(&reading, err);

	if (r == 0)
		judge_wanted(&reading);
	free_named(reading.seen, reading.seen_count);
	free_named(reading.wanted, reading.wanted_count);
	return r;
}
