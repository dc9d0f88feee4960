// SPDX-License-Identifier: Apache-2.0
/*
 * With what something is decrypted. The identities in force are a set that never changes, and is replaced as a whole, so that no
 * lock is held while somebody decrypts with it.
 */
#include <keepfs/keyring.h>

#include <keepfs/base/mem.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define PASSPHRASES_MAX 16

/* Of passphrases age takes one at a time, so each has a struct age_identities of its own; the first has the keys, too. */
struct identity_set {
	atomic_uint refs;
	struct age_identities *items[PASSPHRASES_MAX];
	size_t count;
	uint64_t stamp; /* of their files */
};

struct kept_key {
	uint8_t id[SHA256_BYTES];
	struct age_key key;
	uint64_t used; /* 0: the place is free */
};

struct keyring {
	const struct conf *conf;
	pthread_mutex_t lock;
	struct identity_set *identities;    /* lock; NULL: not read yet */
	uint64_t ticks;                     /* lock */
	struct kept_key kept[KEYRING_KEPT]; /* lock */
};

struct keyring *keyring_new(const struct conf *conf)
{
	struct keyring *k = mem_alloc(sizeof(*k));

	k->conf = conf;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

static void unref_identities(struct identity_set *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	for (size_t i = 0; i < set->count; i++)
		age_identities_free(set->items[i]);
	free(set);
}

static void cleanup_identity_set(struct identity_set **set)
{
	unref_identities(*set);
}

struct keyring *keyring_free(struct keyring *k)
{
	if (!k)
		return NULL;
	unref_identities(k->identities);
	explicit_bzero(k->kept, sizeof(k->kept));
	pthread_mutex_destroy(&k->lock);
	free(k);
	return NULL;
}

/* Where passphrases stand: by number from 0; NULL: there are no more. Those of jobs that encrypt with one open what these made. */
static const struct conf_secret *passphrase_place(const struct conf *conf, size_t number)
{
	if (number == 0)
		return &conf->identity_passphrase;
	if (number == 1)
		return &conf->encrypt.passphrase;
	return number - 2 < conf->job_count ? &conf->jobs[number - 2].encrypt.passphrase : NULL;
}

bool keyring_is_given(const struct conf *conf)
{
	const struct conf_secret *secret;
	bool found = conf_secret_is_set(&conf->identity);

	for (size_t i = 0; !found && (secret = passphrase_place(conf, i)); i++)
		found = conf_secret_is_set(secret);
	return found;
}

bool keyring_can_read(const struct keyring *k)
{
	return k && keyring_is_given(k->conf);
}

const char *keyring_advice(void)
{
	return "set [keepfs] identity_file to a file with the secret key (AGE-SECRET-KEY-1…) of one of its recipients";
}

/* Reading them. */

static int add_identities(const struct keyring *k, struct identity_set *set, struct cancel *cancel,
                          struct error *err)
{
	const struct secret_use use = {.what = "[keepfs] identity", .whole = true};
	_cleanup(secret_text) struct secret_text text = {0};
	int r;

	set->items[0] = age_identities_new();
	set->count = 1;
	if (!conf_secret_is_set(&k->conf->identity))
		return 0;
	r = secret_get(&k->conf->identity, &use, cancel, &text, err);
	if (r < 0)
		return r;
	r = age_identities_add(set->items[0], text.data, err);
	if (r < 0)
		error_prefix(err, "[keepfs] %s",
		             conf_secret_key(&k->conf->identity, CONF_SECRET_KEYS("identity")));
	return r;
}

static int add_passphrase_identity(struct identity_set *set, const struct conf_secret *secret,
                                   struct cancel *cancel, struct error *err)
{
	const struct secret_use use = {.what = "a passphrase of backups"};
	_cleanup(secret_text) struct secret_text text = {0};
	bool beside_keys = !age_identities_have_passphrase(set->items[0]);
	int r = secret_get(secret, &use, cancel, &text, err);

	if (r < 0)
		return r;
	if (!beside_keys) {
		if (set->count == PASSPHRASES_MAX)
			return 0;
		set->items[set->count++] = age_identities_new();
	}
	return age_identities_add_passphrase(set->items[beside_keys ? 0 : set->count - 1], text.data, err);
}

static uint64_t stamp_of_files(const struct keyring *k)
{
	const struct conf_secret *secret;
	uint64_t stamp = secret_stamp(&k->conf->identity);

	for (size_t i = 0; (secret = passphrase_place(k->conf, i)); i++)
		stamp = stamp * 31 + secret_stamp(secret);
	return stamp;
}

static int read_identities(struct keyring *k, struct cancel *cancel, struct identity_set **ret,
                           struct error *err)
{
	_cleanup(identity_set) struct identity_set *set = mem_alloc(sizeof(*set));
	const struct conf_secret *secret;
	int r;

	atomic_init(&set->refs, 1);
	/* Read before the files are: a change in between makes the set look old, never new. */
	set->stamp = stamp_of_files(k);
	r = add_identities(k, set, cancel, err);
	for (size_t i = 0; r == 0 && (secret = passphrase_place(k->conf, i)); i++)
		if (conf_secret_is_set(secret))
			r = add_passphrase_identity(set, secret, cancel, err);
	if (r == 0)
		*ret = take_ptr(&set);
	return r;
}

static struct identity_set *ref_known_identities(struct keyring *k)
{
	struct identity_set *set;

	pthread_mutex_lock(&k->lock);
	set = k->identities;
	if (set)
		atomic_fetch_add(&set->refs, 1);
	pthread_mutex_unlock(&k->lock);
	return set;
}

static void keep_identities(struct keyring *k, struct identity_set *set)
{
	struct identity_set *old;

	atomic_fetch_add(&set->refs, 1);
	pthread_mutex_lock(&k->lock);
	old = k->identities;
	k->identities = set;
	pthread_mutex_unlock(&k->lock);
	unref_identities(old);
}

/* @fresh: those that are known opened nothing. *@ret_is_new: they were read just now. */
static int ref_identities(struct keyring *k, bool fresh, struct cancel *cancel, struct identity_set **ret,
                          bool *ret_is_new, struct error *err)
{
	_cleanup(identity_set) struct identity_set *set = fresh ? NULL : ref_known_identities(k);
	int r = 0;

	*ret_is_new = !set || set->stamp != stamp_of_files(k);
	if (*ret_is_new) {
		unref_identities(take_ptr(&set));
		r = read_identities(k, cancel, &set, err);
	}
	if (r < 0)
		return r;
	if (*ret_is_new)
		keep_identities(k, set);
	*ret = take_ptr(&set);
	return 0;
}

int keyring_check(struct keyring *k, struct cancel *cancel, size_t *ret_count, struct error *err)
{
	_cleanup(identity_set) struct identity_set *set = NULL;
	bool is_new;
	int r = ref_identities(k, true, cancel, &set, &is_new, err);

	if (r < 0)
		return r;
	*ret_count = age_identities_count(set->items[0]);
	for (size_t i = 0; i < set->count; i++)
		*ret_count += age_identities_have_passphrase(set->items[i]);
	return 0;
}

/* What was opened. */

int keyring_find(struct keyring *k, const uint8_t id[static SHA256_BYTES], struct age_key *ret)
{
	int r = -ENOENT;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; r < 0 && i < KEYRING_KEPT; i++) {
		struct kept_key *kept = &k->kept[i];

		if (!kept->used || memcmp(kept->id, id, SHA256_BYTES) != 0)
			continue;
		kept->used = ++k->ticks;
		*ret = kept->key;
		r = 0;
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

static void keep_key(struct keyring *k, const uint8_t *id, const struct age_key *key)
{
	struct kept_key *oldest = &k->kept[0];

	pthread_mutex_lock(&k->lock);
	for (size_t i = 1; i < KEYRING_KEPT && oldest->used; i++)
		if (k->kept[i].used < oldest->used)
			oldest = &k->kept[i];
	memcpy(oldest->id, id, SHA256_BYTES);
	oldest->key = *key;
	oldest->used = ++k->ticks;
	pthread_mutex_unlock(&k->lock);
}

static bool is_not_for_us(int r)
{
	return r == -ENOKEY || r == -EKEYREJECTED;
}

static int open_with(const struct identity_set *set, const void *head, size_t len, struct age_key *ret,
                     struct error *err)
{
	struct error why = {0};
	int r = -ENOKEY;

	for (size_t i = 0; is_not_for_us(r) && i < set->count; i++) {
		why = (struct error){0};
		r = age_header_open(head, len, set->items[i], ret, &why);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static int tell_no_identity(const struct keyring_object *object, struct error *err)
{
	bool known = object->encrypted_to && *object->encrypted_to;

	return error_set(err, ERROR_DENIED, ENOKEY, "%s is encrypted%s%s, and this host has no identity: %s",
	                 object->what, known ? " to " : "", known ? object->encrypted_to : "",
	                 keyring_advice());
}

/* What is wrong with the identities is nothing wrong with what they would open: nobody is to take it for damaged, or for missing. */
static int blame_identities(int r, struct error *err)
{
	if (r == -ECANCELED)
		return r;
	if (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND)
		err->class = ERROR_DENIED;
	err->damage = false;
	err->errnum = EACCES;
	return -EACCES;
}

int keyring_open(struct keyring *k, const struct keyring_object *object, const void *head, size_t len,
                 struct cancel *cancel, struct age_key *ret, struct error *err)
{
	struct error why = {0};
	bool fresh = false, is_new = false;
	int r = -ENOKEY;

	if (!keyring_can_read(k))
		return tell_no_identity(object, err);
	/* A command may have another key to give by now. */
	while (is_not_for_us(r) && !is_new) {
		_cleanup(identity_set) struct identity_set *set = NULL;

		why = (struct error){0};
		r = ref_identities(k, fresh, cancel, &set, &is_new, &why);
		if (r == 0) {
			r = open_with(set, head, len, ret, &why);
		} else {
			r = blame_identities(r, &why);
			is_new = true;
		}
		fresh = true;
	}
	if (r == 0) {
		keep_key(k, object->id, ret);
		return 0;
	}
	if (err)
		*err = why;
	error_prefix(err, "%s", object->what);
	return r;
}

int keyring_decrypt(struct keyring *k, const struct keyring_object *object, const void *stored, size_t len,
                    struct cancel *cancel, struct str *ret, struct error *err)
{
	struct age_key key;
	struct age_cipher *cipher;
	size_t at, before = ret->len;
	uint64_t cell = 0;
	int r = keyring_find(k, object->id, &key);

	if (r < 0)
		r = keyring_open(k, object, stored, len, cancel, &key, err);
	if (r == -EAGAIN)
		r = -EBADMSG;
	if (r < 0)
		return r;
	cipher = age_cipher_new(&key);
	at = key.head_bytes;
	age_key_wipe(&key);
	do {
		_cleanup(free) char *plain = mem_alloc(AGE_CELL_STORED_BYTES);
		size_t n = len - at < AGE_CELL_STORED_BYTES ? len - at : AGE_CELL_STORED_BYTES;

		r = n < AGE_TAG_BYTES ? error_set(err, ERROR_CORRUPT, EBADMSG, "its end is missing")
		                      : age_open_cell(cipher, cell++, at + n == len,
		                                      (const char *)stored + at, n, plain, err);
		if (r == 0)
			str_append_bytes(ret, plain, n - AGE_TAG_BYTES);
		at += n;
	} while (r == 0 && at < len);
	age_cipher_free(cipher);
	if (r < 0) {
		ret->len = before;
		error_prefix(err, "%s", object->what);
	}
	return r;
}
